//! How the records of CloudTrail were counted.
use std::collections::BTreeMap;

/// How many names of one kind are kept apart.
const MAX_NAMES: usize = 1_000;
/// The longest such name, in bytes.
const MAX_NAME: usize = 200;

/// Numbers by name. After 1,000 names, the rest is counted as `others`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Names(pub BTreeMap<String, u64>);

impl Names {
    /// Counts one.
    pub fn add(&mut self, name: &str) {
        if let Some(count) = self.0.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if self.0.len() < MAX_NAMES { curfew_core::text::clip(name.to_owned(), MAX_NAME) } else { "others".into() };
        *self.0.entry(name).or_default() += 1;
    }
    /// All together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// How records were counted. Every record that could be read is in `records`, and in exactly one of the numbers after it, except those of `unmapped`,
/// which are also in `uses`.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Records of a version that is known.
    pub records: u64,
    /// Successful calls of identities.
    pub uses: u64,
    /// Read before, by their identifier.
    pub duplicates: u64,
    /// After the end of the window.
    pub after_window: u64,
    /// Calls that were refused or failed, by error code.
    pub failed: Names,
    /// Successful calls by callers that hold no permissions in the account, such as AWS services, by type.
    pub other_callers: Names,
    /// Records of events that are not calls, by type, such as those that a service makes on its own.
    pub not_calls: Names,
    /// Calls without an action in the catalogue, by operation.
    pub unmapped: Names,
    /// Objects of other versions, or none, by name.
    pub unknown_versions: Names,
    /// Files that prove that logs are unchanged, and files of CloudTrail Insights: neither has calls.
    pub skipped_files: u64,
}
