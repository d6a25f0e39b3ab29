//! Names of permissions in the order of their lower-case form, so that a prefix is a range of ids, and patterns over them: `*` and `?`.
//!
//! AWS and Azure compare actions without regard to case, and their policies use wildcards. Both sides are folded to lower case.
use roaring::RoaringBitmap;
use std::{borrow::Cow, ops::Range};

/// ASCII lower case, without a copy if it is already.
pub fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) { text.to_ascii_lowercase().into() } else { text.into() }
}

/// Whether a text matches a pattern with `*` (any characters, also none) and `?` (one character). The comparison is exact: the caller folds
/// the case where the provider does.
pub fn matches(pattern: &str, text: &str) -> bool {
    glob(pattern.as_bytes(), text.as_bytes())
}

/// Matches bytes of UTF-8. It steps back to the last `*` only, so the time is bounded by the product of the lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => {
                t = after_character(text, t);
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    let from = after_character(text, from);
                    (p, t, back) = (star, from, Some((star, from)));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Where the character that begins at `at` ends.
fn after_character(text: &[u8], at: usize) -> usize {
    let continues = |byte: &&u8| **byte & 0xc0 == 0x80;
    at + 1 + text[at + 1..].iter().take_while(continues).count()
}

/// A pattern in lower case, for tests of single names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern as a policy or role has it.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_ascii_lowercase())
    }
    /// Whether a name matches, in upper or lower case.
    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, &lower_case(name))
    }
    /// The pattern in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names with ids from 0, ascending in lower case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    /// All names one after the other, as they are written and in lower case, and where each begins.
    written: String,
    lower: String,
    starts: Vec<u32>,
}

impl Names {
    /// Names in any order. Of names that are equal without regard to case the first in the order of bytes is kept.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut names: Vec<(String, S)> = names.into_iter().map(|name| (name.as_ref().to_ascii_lowercase(), name)).collect();
        names.sort_by(|a, b| (&a.0, a.1.as_ref()).cmp(&(&b.0, b.1.as_ref())));
        names.dedup_by(|a, b| a.0 == b.0);
        let mut all = Self { written: String::new(), lower: String::new(), starts: vec![0] };
        for (lower, name) in names {
            all.written.push_str(name.as_ref());
            all.lower.push_str(&lower);
            all.starts.push(all.lower.len() as u32);
        }
        all
    }
    /// How many there are.
    pub fn len(&self) -> u32 {
        self.starts.len() as u32 - 1
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn span(&self, id: u32) -> Range<usize> {
        self.starts[id as usize] as usize..self.starts[id as usize + 1] as usize
    }
    /// A name as it is written.
    pub fn get(&self, id: u32) -> &str {
        &self.written[self.span(id)]
    }
    /// A name in lower case.
    pub fn lower(&self, id: u32) -> &str {
        &self.lower[self.span(id)]
    }
    /// The names as they are written, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|id| self.get(id))
    }
    /// The id of a name, in upper or lower case.
    pub fn find(&self, name: &str) -> Option<u32> {
        let name = lower_case(name);
        let at = self.partition(0, |lower| lower < name.as_bytes());
        (at < self.len() && self.lower(at) == name).then_some(at)
    }
    /// The first id from `low` on for which the condition, which holds for a first part of the names, does not hold.
    fn partition(&self, low: u32, holds: impl Fn(&[u8]) -> bool) -> u32 {
        let (mut low, mut high) = (low, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if holds(self.lower(middle).as_bytes()) { low = middle + 1 } else { high = middle }
        }
        low
    }
    /// The ids of the names that match a pattern, in upper or lower case. The characters before the first wildcard give a range of ids; the
    /// rest of the pattern is compared within it.
    pub fn expand(&self, pattern: &str) -> RoaringBitmap {
        let pattern = lower_case(pattern);
        let Some(wild) = memchr::memchr2(b'*', b'?', pattern.as_bytes()) else {
            return self.find(&pattern).into_iter().collect();
        };
        let (prefix, rest) = pattern.as_bytes().split_at(wild);
        let first = self.partition(0, |lower| lower < prefix);
        let last = self.partition(first, |lower| lower.starts_with(prefix));
        if rest.iter().all(|byte| *byte == b'*') {
            let mut all = RoaringBitmap::new();
            all.insert_range(first..last);
            return all;
        }
        let literal = rest.split(|byte| matches!(byte, b'*' | b'?')).max_by_key(|literal| literal.len()).unwrap_or_default();
        let hits = self.containing(first..last, literal);
        RoaringBitmap::from_sorted_iter(hits.filter(|id| glob(rest, &self.lower(*id).as_bytes()[wild..]))).expect("ids ascend")
    }
    /// The ids of a range whose names contain a text, or begin one that goes on in the next name. All names are searched as one text, so that
    /// the search runs at the speed of memory.
    fn containing(&self, ids: Range<u32>, literal: &[u8]) -> impl Iterator<Item = u32> {
        let finder = memchr::memmem::Finder::new(literal).into_owned();
        let end = self.starts[ids.end as usize] as usize;
        let (mut id, mut at) = (ids.start, self.starts[ids.start as usize] as usize);
        std::iter::from_fn(move || {
            if id < ids.end {
                let found = at + finder.find(&self.lower.as_bytes()[at..end])?;
                while self.starts[id as usize + 1] as usize <= found {
                    id += 1;
                }
                (id, at) = (id + 1, self.starts[id as usize + 1] as usize);
                return Some(id - 1);
            }
            None
        })
    }
}
