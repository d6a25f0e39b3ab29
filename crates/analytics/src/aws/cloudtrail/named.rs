//! What calls named, by their parameters: many calls of an account have the same.
use super::{
    hash::Map,
    implied::{Implied, Watch},
    record::Record,
    resources::Shape,
    scan::Text,
};

/// How many different parameters are kept, and the longest of them in bytes: 8 MiB in all, and what they name.
const MAX_KEPT: usize = 8_192;
const MAX_KEY: usize = 1_024;

/// What one call named.
#[derive(Clone, Default, Debug)]
pub struct Names {
    /// The ARNs of all its resources, or none.
    pub resources: Vec<String>,
    /// What follows from it.
    pub implied: Vec<Implied>,
}

/// What calls named.
#[derive(Default)]
pub struct Named {
    known: Map<Vec<u8>, usize>,
    list: Vec<Names>,
    key: Vec<u8>,
    long: Names,
}

impl Named {
    /// Of a record. `operation` is a number that no other operation has.
    #[inline(always)]
    pub fn of(&mut self, record: &Record<'_>, operation: u64, shape: Option<&Shape>, watch: Option<&Watch>) -> &Names {
        let account = record.recipient.or(record.user.and_then(|user| user.account));
        let (parameters, resources) = (record.parameters.unwrap_or_default(), record.resources.unwrap_or_default());
        self.key.clear();
        self.key.extend_from_slice(&operation.to_le_bytes());
        if shape.is_some() || watch.is_some() {
            // A quote is in none of these texts without a backslash, so that their bounds are clear.
            for part in [raw(record.region), b"\"", raw(account), b"\"", &parameters[..parameters.len().min(MAX_KEY)], b"\"", resources] {
                self.key.extend_from_slice(part);
            }
        }
        if self.key.len() > MAX_KEY {
            fill(&mut self.long, record, shape, watch);
            return &self.long;
        }
        if let Some(at) = self.known.get(self.key.as_slice()) {
            return &self.list[*at];
        }
        if self.list.len() >= MAX_KEPT {
            self.known.clear();
            self.list.clear();
        }
        let mut names = Names::default();
        fill(&mut names, record, shape, watch);
        self.known.insert(self.key.clone(), self.list.len());
        self.list.push(names);
        &self.list[self.list.len() - 1]
    }
}

/// A text as it is written, or an empty one.
fn raw(text: Option<Text<'_>>) -> &[u8] {
    text.map_or(&[], Text::raw)
}

fn fill(names: &mut Names, record: &Record<'_>, shape: Option<&Shape>, watch: Option<&Watch>) {
    names.resources.clear();
    names.implied.clear();
    if let Some(shape) = shape {
        shape.resources(record, &mut names.resources);
    }
    if let Some(watch) = watch {
        watch.implied(record, &mut names.implied);
    }
}
