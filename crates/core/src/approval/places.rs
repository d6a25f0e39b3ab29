//! The matching of people to stages: a stage has as many places as its quorum, and a person fills one place.
//!
//! Places are filled in a given order, each by an augmenting path: who holds a place may move to another stage that lists them, so that a
//! place stays empty only if nobody can be found for it without emptying one that was filled before. The sets of places that can be filled
//! together form a matroid, so this fills as many as possible, those that come first before the others. With one more person no place that
//! was filled becomes empty.

/// The stages that a person may fill, as bits.
pub(super) type Stages = u32;

/// How many stages can be told apart. The CRDs allow eight; what is beyond is filled by nobody.
pub(super) const MAX_STAGES: usize = 32;

/// The stage as a bit.
pub(super) fn bit(stage: usize) -> Stages {
    if stage < MAX_STAGES { 1 << stage } else { 0 }
}

/// Who fills which stage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Placement {
    /// By person: the stage whose place they hold.
    pub(super) at: Vec<Option<usize>>,
    /// By stage: how many of its places are filled.
    pub(super) filled: Vec<usize>,
}

impl Placement {
    /// How many places are filled.
    pub(super) fn total(&self) -> usize {
        self.filled.iter().sum()
    }
}

/// Fills these places, (stage, number), in this order. Takes at most `places × people × stages` steps.
pub(super) fn place(people: &[Stages], wanted: &[(usize, usize)], stages: usize) -> Placement {
    let mut placement = Placement { at: vec![None; people.len()], filled: vec![0; stages] };
    for &(stage, number) in wanted {
        while placement.filled[stage] < number && find(&mut placement.at, people, stage, &mut vec![false; people.len()]) {
            placement.filled[stage] += 1;
        }
    }
    placement
}

/// Finds a person for one more place of a stage: one who holds none, or one whose place another person can take.
fn find(at: &mut [Option<usize>], people: &[Stages], stage: usize, tried: &mut [bool]) -> bool {
    let may = |person: usize| people[person] & bit(stage) != 0;
    if let Some(free) = (0..people.len()).find(|&p| may(p) && at[p].is_none()) {
        at[free] = Some(stage);
        return true;
    }
    for person in 0..people.len() {
        let Some(other) = at[person].filter(|other| may(person) && *other != stage && !tried[person]) else { continue };
        tried[person] = true;
        if find(at, people, other, tried) {
            at[person] = Some(stage);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_place_moves_where_they_help_most() {
        let (a, b, c) = (bit(0), bit(1), bit(2));
        let placed = place(&[a | b, a], &[(0, 1), (1, 1)], 2);
        assert_eq!((placed.at, placed.filled), (vec![Some(1), Some(0)], vec![1, 1]));
        // A chain: each moves one stage on.
        let placed = place(&[a | b, b | c, a], &[(0, 1), (1, 1), (2, 1)], 3);
        assert_eq!(placed.at, [Some(1), Some(2), Some(0)]);
        let placed = place(&[a | b], &[(1, 1), (0, 1)], 2);
        assert_eq!((placed.total(), placed.filled), (1, vec![0, 1]), "what comes first is filled first");
        assert_eq!(place(&[bit(40)], &[(40, 1)], 41).total(), 0, "nobody fills what cannot be told apart");
    }
}
