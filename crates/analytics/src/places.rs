//! Sets of the places in which a permission may be used or was used.
use std::hash::{Hash, Hasher};

/// A set of places: small numbers that the provider gives out. For Kubernetes, place 0 is the cluster itself and the others are its
/// namespaces. The first 64 places need no allocation: most types have fewer.
#[derive(Clone, Default, Debug)]
pub struct Places {
    /// The places below 64.
    first: u64,
    /// The others, by word.
    rest: Vec<u64>,
}

impl Places {
    /// The places `0..n`.
    pub fn first(n: u32) -> Self {
        let word = |n: u32| if n >= 64 { u64::MAX } else { (1 << n) - 1 };
        let rest = (1..n.div_ceil(64)).map(|i| word(n - i * 64)).collect();
        Self { first: word(n), rest }
    }
    fn word(&self, i: usize) -> u64 {
        match i.checked_sub(1) {
            None => self.first,
            Some(i) => self.rest.get(i).copied().unwrap_or(0),
        }
    }
    fn words(&self) -> usize {
        self.rest.len() + 1
    }
    fn word_mut(&mut self, i: usize) -> &mut u64 {
        match i.checked_sub(1) {
            None => &mut self.first,
            Some(i) => {
                if self.rest.len() <= i {
                    self.rest.resize(i + 1, 0);
                }
                &mut self.rest[i]
            }
        }
    }
    /// Adds a place.
    pub fn insert(&mut self, place: u32) {
        *self.word_mut(place as usize / 64) |= 1 << (place % 64);
    }
    /// Removes a place.
    pub fn remove(&mut self, place: u32) {
        let i = place as usize / 64;
        if i < self.words() {
            *self.word_mut(i) &= !(1 << (place % 64));
        }
    }
    /// Whether the place is in the set.
    pub fn contains(&self, place: u32) -> bool {
        self.word(place as usize / 64) >> (place % 64) & 1 == 1
    }
    /// How many places there are.
    pub fn len(&self) -> u32 {
        self.first.count_ones() + self.rest.iter().map(|word| word.count_ones()).sum::<u32>()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.rest.iter().all(|word| *word == 0)
    }
    /// Adds every place of the other set.
    pub fn extend(&mut self, other: &Self) {
        self.first |= other.first;
        if self.rest.len() < other.rest.len() {
            self.rest.resize(other.rest.len(), 0);
        }
        self.rest.iter_mut().zip(&other.rest).for_each(|(word, more)| *word |= more);
    }
    /// Keeps the places that are in both sets.
    pub fn retain(&mut self, other: &Self) {
        self.first &= other.first;
        self.rest.iter_mut().enumerate().for_each(|(i, word)| *word &= other.word(i + 1));
    }
    /// Removes the places that are in the other set.
    pub fn subtract(&mut self, other: &Self) {
        self.first &= !other.first;
        self.rest.iter_mut().zip(&other.rest).for_each(|(word, less)| *word &= !less);
    }
    /// How many places are in one set or the other.
    pub fn union_len(&self, other: &Self) -> u32 {
        (0..self.words().max(other.words())).map(|i| (self.word(i) | other.word(i)).count_ones()).sum()
    }
    /// Whether every place of this set is in the other.
    pub fn within(&self, other: &Self) -> bool {
        (0..self.words()).all(|i| self.word(i) & !other.word(i) == 0)
    }
    /// The places in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.words() as u32 * 64).filter(|place| self.contains(*place))
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

impl Hash for Places {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.first.hash(state);
        let words = self.rest.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        self.rest[..words].hash(state);
    }
}

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
        for n in [0, 1, 63, 64, 65, 128, 200] {
            assert_eq!((Places::first(n), Places::first(n).len()), ((0..n).collect(), n));
        }
        let mut some = Places::first(130);
        some.subtract(&[3, 129, 500].into_iter().collect());
        assert!(some.len() == 128 && !some.contains(129));
    }

    #[test]
    fn retain_keeps_what_is_in_both() {
        let mut a: Places = [1, 70, 200].into_iter().collect();
        a.retain(&[70, 2].into_iter().collect());
        assert_eq!(a.iter().collect::<Vec<_>>(), [70]);
        assert!(!a.is_empty() && a.len() == 1);
    }
}
