//! The existing roles that together allow what is needed, with the least beyond it.
//!
//! A set cover in which the cost is the weight of the union beyond the need. It is solved exactly by branch and bound; where the search is
//! cut off, the result says so.
use roaring::RoaringBitmap;

/// How many partial choices are looked at before the best one so far is taken.
const MAX_STEPS: usize = 200_000;

/// An existing role.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// What it covers of the need, by index of the need.
    pub covers: RoaringBitmap,
    /// Every permission that it grants, by permission.
    pub grants: RoaringBitmap,
}

/// The roles that were chosen.
#[derive(Clone, PartialEq, Debug)]
pub struct Selection {
    /// Indices of candidates, ascending.
    pub chosen: Vec<usize>,
    /// The weight of what they grant together beyond the need.
    pub excess: f64,
    /// Whether no other choice has less excess. `false` if the search was cut off.
    pub exact: bool,
}

/// Chooses at most `max` candidates that cover every index of `need`, with the least excess; of equal ones the fewest, then the first.
///
/// `needed`: the permissions that are needed; they are not excess. `weight`: of a permission. `None`: no such choice exists.
pub fn best(
    need: &RoaringBitmap,
    candidates: &[Candidate],
    needed: &RoaringBitmap,
    weight: impl Fn(u32) -> f64,
    max: usize,
) -> Option<Selection> {
    let beyond: Vec<RoaringBitmap> = candidates.iter().map(|candidate| &candidate.grants - needed).collect();
    let useful = undominated(need, candidates, &beyond);
    let mut search = Search { candidates, beyond: &beyond, weight: &weight, useful, max, best: None, steps: 0 };
    search.run(need.clone(), &RoaringBitmap::new(), 0.0, &mut Vec::new());
    let exact = search.steps < MAX_STEPS;
    search.best.map(|(excess, chosen)| Selection { chosen, excess, exact })
}

/// The candidates without those that cover no more than another one, and grant no less beyond the need.
fn undominated(need: &RoaringBitmap, candidates: &[Candidate], beyond: &[RoaringBitmap]) -> Vec<usize> {
    let covers: Vec<RoaringBitmap> = candidates.iter().map(|candidate| &candidate.covers & need).collect();
    let dominates = |a: usize, b: usize| covers[b].is_subset(&covers[a]) && beyond[a].is_subset(&beyond[b]);
    let kept =
        |b: &usize| !covers[*b].is_empty() && !(0..candidates.len()).any(|a| a != *b && dominates(a, *b) && (a < *b || !dominates(*b, a)));
    (0..candidates.len()).filter(kept).collect()
}

struct Search<'a, W> {
    candidates: &'a [Candidate],
    beyond: &'a [RoaringBitmap],
    weight: &'a W,
    useful: Vec<usize>,
    max: usize,
    best: Option<(f64, Vec<usize>)>,
    steps: usize,
}

impl<W: Fn(u32) -> f64> Search<'_, W> {
    /// Covers what is `open` in every way that can still be better than the best one. Excess never falls as candidates are added, so a
    /// partial choice that costs more than the best one is not continued.
    fn run(&mut self, open: RoaringBitmap, granted: &RoaringBitmap, excess: f64, chosen: &mut Vec<usize>) {
        self.steps += 1;
        if self.steps >= MAX_STEPS || self.best.as_ref().is_some_and(|(least, _)| excess > *least) {
            return;
        }
        // The element with the fewest candidates: one that is forced has a single branch.
        let Some(element) = open.iter().min_by_key(|element| self.branches(*element).count()) else {
            return self.take(excess, chosen);
        };
        if chosen.len() == self.max {
            return;
        }
        let cost = |i: usize| excess + (&self.beyond[i] - granted).iter().map(self.weight).sum::<f64>();
        let mut next: Vec<(f64, usize)> = self.branches(element).map(|i| (cost(i), i)).collect();
        next.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (excess, i) in next {
            chosen.push(i);
            self.run(&open - &self.candidates[i].covers, &(granted | &self.beyond[i]), excess, chosen);
            chosen.pop();
        }
    }

    /// The candidates that cover an element.
    fn branches(&self, element: u32) -> impl Iterator<Item = usize> + '_ {
        self.useful.iter().copied().filter(move |i| self.candidates[*i].covers.contains(element))
    }

    fn take(&mut self, excess: f64, chosen: &[usize]) {
        let mut sorted = chosen.to_vec();
        sorted.sort_unstable();
        let better = |(least, best): &(f64, Vec<usize>)| {
            excess.total_cmp(least).then(sorted.len().cmp(&best.len())).then_with(|| sorted.cmp(best)).is_lt()
        };
        if self.best.as_ref().is_none_or(better) {
            self.best = Some((excess, sorted));
        }
    }
}
