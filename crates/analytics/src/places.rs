//! Sets of the places in which a permission may be used or was used.

/// A set of places: small numbers that the provider gives out. For Kubernetes, place 0 is the cluster itself and the others are its
/// namespaces.
#[derive(Clone, Default, Debug)]
pub struct Places(Vec<u64>);

impl Places {
    /// The places `0..n`.
    pub fn first(n: u32) -> Self {
        (0..n).collect()
    }
    /// Adds a place.
    pub fn insert(&mut self, place: u32) {
        let (word, bit) = (place as usize / 64, place % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }
    /// Removes a place.
    pub fn remove(&mut self, place: u32) {
        if let Some(word) = self.0.get_mut(place as usize / 64) {
            *word &= !(1 << (place % 64));
        }
    }
    /// Whether the place is in the set.
    pub fn contains(&self, place: u32) -> bool {
        self.0.get(place as usize / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
    /// How many places there are.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
    /// Adds every place of the other set.
    pub fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }
    /// Keeps the places that are in both sets.
    pub fn retain(&mut self, other: &Self) {
        self.0.iter_mut().enumerate().for_each(|(i, word)| *word &= other.0.get(i).copied().unwrap_or(0));
    }
    /// How many places are in one set or the other.
    pub fn union_len(&self, other: &Self) -> u32 {
        let longest = self.0.len().max(other.0.len());
        let word = |set: &Self, i: usize| set.0.get(i).copied().unwrap_or(0);
        (0..longest).map(|i| (word(self, i) | word(other, i)).count_ones()).sum()
    }
    /// Whether every place of this set is in the other.
    pub fn within(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(i, word)| word & !other.0.get(i).copied().unwrap_or(0) == 0)
    }
    /// The places in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.0.len() * 64).map(|place| place as u32).filter(|place| self.contains(*place))
    }
}

impl FromIterator<u32> for Places {
    fn from_iter<T: IntoIterator<Item = u32>>(places: T) -> Self {
        let mut set = Self::default();
        places.into_iter().for_each(|place| set.insert(place));
        set
    }
}

/// Equal sets are equal, however they came about.
impl PartialEq for Places {
    fn eq(&self, other: &Self) -> bool {
        self.within(other) && other.within(self)
    }
}
impl Eq for Places {}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn sets_of_different_lengths_are_compared_by_content() {
        let (mut a, b) = (Places::first(130), Places::first(64));
        assert!(b.within(&a) && !a.within(&b) && a.union_len(&b) == 130);
        (64..130).for_each(|place| a.remove(place));
        assert_eq!(a, b);
        assert_eq!(a.iter().collect::<Vec<_>>(), (0..64).collect::<Vec<_>>());
    }

    #[test]
    fn retain_keeps_what_is_in_both() {
        let mut a: Places = [1, 70, 200].into_iter().collect();
        a.retain(&[70, 2].into_iter().collect());
        assert_eq!(a.iter().collect::<Vec<_>>(), [70]);
        assert!(!a.is_empty() && a.len() == 1);
    }
}
