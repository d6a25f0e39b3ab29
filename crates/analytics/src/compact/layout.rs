//! The permissions of a catalogue in the order of their weights: each weight begins a new word of 64 bits.
use crate::catalogue::Catalogue;
use std::ops::Range;

/// One bit for each permission.
pub(super) struct Layout {
    /// The bit of each permission.
    bits: Vec<u32>,
    weights: Vec<f64>,
    /// Each weight, and the words of the permissions that have it.
    classes: Vec<(f64, Range<usize>)>,
    /// Each method's permissions as words and masks.
    methods: Vec<Box<[(u32, u64)]>>,
}

impl Layout {
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let weights: Vec<f64> = catalogue.permissions().iter().map(|permission| permission.weight).collect();
        let mut order: Vec<u32> = (0..weights.len() as u32).collect();
        order.sort_by(|a, b| weights[*a as usize].total_cmp(&weights[*b as usize]));
        let (mut bits, mut classes, mut next) = (vec![0; weights.len()], Vec::<(f64, Range<usize>)>::new(), 0u32);
        for permission in order {
            let weight = weights[permission as usize];
            if classes.last().is_none_or(|(last, _)| last.total_cmp(&weight).is_ne()) {
                next = next.next_multiple_of(64);
                classes.push((weight, next as usize / 64..next as usize / 64));
            }
            bits[permission as usize] = next;
            next += 1;
            if let Some((_, words)) = classes.last_mut() {
                words.end = next.div_ceil(64) as usize;
            }
        }
        let mut layout = Self { bits, weights, classes, methods: Vec::new() };
        let words = |ids: &[usize]| words_of(ids.iter().map(|id| layout.bits[*id]));
        let methods = catalogue.methods().iter().map(|method| words(&method.permissions)).collect();
        layout.methods = methods;
        layout
    }
    /// How many words the permissions take.
    pub(super) fn words(&self) -> usize {
        self.classes.last().map_or(0, |(_, words)| words.end)
    }
    pub(super) fn bit(&self, permission: u32) -> u32 {
        self.bits[permission as usize]
    }
    pub(super) fn weight(&self, permission: u32) -> f64 {
        self.weights[permission as usize]
    }
    pub(super) fn methods(&self) -> &[Box<[(u32, u64)]>] {
        &self.methods
    }
    /// The weights of all permissions whose bits are set.
    pub(super) fn mass(&self, words: &[u64]) -> f64 {
        let count = |range: &Range<usize>| words[range.clone()].iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        self.classes.iter().map(|(weight, range)| weight * count(range) as f64).sum()
    }
}

/// Bits as words that are not zero, ascending.
pub(super) fn words_of(bits: impl IntoIterator<Item = u32>) -> Box<[(u32, u64)]> {
    let mut bits: Vec<u32> = bits.into_iter().collect();
    bits.sort_unstable();
    let mut words: Vec<(u32, u64)> = Vec::new();
    for bit in bits {
        match words.last_mut() {
            Some((word, mask)) if *word == bit / 64 => *mask |= 1 << (bit % 64),
            _ => words.push((bit / 64, 1 << (bit % 64))),
        }
    }
    words.into()
}
