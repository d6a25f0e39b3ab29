//! Reads records, and tells who used what.
use super::{
    counts::Counts,
    frames::{Frame, frames},
    hash::Map,
    identity::{Caller, LASTING_KEY, caller},
    implied::{Implied, Watch},
    named::Named,
    operations::{Used, operation, prefix, used, without_version},
    record::{Kind, Record, object},
    resources::Shape,
    scan::{Cursor, Text},
    seen::Seen,
    time::seconds,
};
use crate::{
    aws::catalogue::Actions,
    files::{self, Problems},
};
use std::{borrow::Cow, collections::BTreeSet, io::Read, path::Path};

/// How many operations are kept; an account uses some hundreds.
const MAX_OPERATIONS: usize = 20_000;

/// One successful call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Use<'a> {
    /// `eventID`: a UUID; empty if the record has none.
    pub id: &'a str,
    /// When, in Unix seconds.
    pub at: i64,
    /// By whom: the ARN of a user, of a role for all its sessions, or of the root user. For callers that hold no permissions in the account, which are
    /// told only when they assume a role, the type and the name, such as `AWSService ec2.amazonaws.com`: it does not begin with `arn:`.
    pub identity: &'a str,
    /// The access key, if it is one of a user.
    pub key: Option<&'a str>,
    /// What: the event source without its domain, and the event name, such as `s3:ListBuckets`. [`super::operations::used`] gives its actions.
    pub operation: &'a str,
    /// The ARNs of all resources. Empty: the record does not name all of them, and it counts for each that is granted.
    pub resources: &'a [String],
    /// What AWS checks besides.
    pub implied: &'a [Implied],
}

/// Reads records. It remembers the last ones, so that a record that is in two files is counted once.
pub struct Reader<'a> {
    /// How records were counted.
    pub counts: Counts,
    /// The hours with records, in hours since the Unix epoch.
    pub hours: BTreeSet<i64>,
    /// The newest record, in Unix seconds.
    pub newest: Option<i64>,
    actions: &'a Actions,
    until: i64,
    seen: Seen,
    operations: Operations,
    named: Named,
    memory: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Records after `until`, in Unix seconds, do not count.
    pub fn new(actions: &'a Actions, until: i64) -> Self {
        Self {
            counts: Counts::default(),
            hours: BTreeSet::new(),
            newest: None,
            actions,
            until,
            seen: Seen::default(),
            operations: Operations::default(),
            named: Named::default(),
            memory: Vec::new(),
        }
    }

    /// Reads what a file has, unpacked, and calls `sink` with every use. What cannot be read is a problem; the rest counts. `name` is for problems.
    pub fn stream(&mut self, input: impl Read, name: &Path, problems: &mut Problems, mut sink: impl FnMut(&Use<'_>)) {
        let mut memory = std::mem::take(&mut self.memory);
        let mut records = 0_u64;
        frames(input, &mut memory, |frame| match frame {
            Frame::Object(kind, record) => {
                records += 1;
                if let Err(why) = self.visit(kind, record, &mut sink) {
                    problems.add(name, None, format!("record {records}: {why}; it was left out"));
                }
            }
            Frame::Broken(place, why, goes_on) => {
                let then = if goes_on { "it was left out" } else { "nothing after it could be read: copy the file again, or remove it" };
                problems.add(name, Some(place.line), format!("byte {}, after {records} records: {why}; {then}", place.byte));
            }
            Frame::Cut(place, Some(error)) => problems.add(name, Some(place.line), files::cut(&error)),
            Frame::Cut(place, None) => problems.add(
                name,
                Some(place.line),
                format!("the file ends too early, after {records} records: these count; copy the file again"),
            ),
        });
        self.memory = memory;
    }

    fn visit(&mut self, kind: Kind<'_>, record: &Record<'_>, sink: &mut impl FnMut(&Use<'_>)) -> Result<(), &'static str> {
        match kind {
            Kind::Record => self.record(record, sink),
            Kind::Digest => {
                self.counts.skipped_files += 1;
                Ok(())
            }
            Kind::Embedded(text) => self.embedded(text, sink),
        }
    }

    /// A record that is a text in another object.
    fn embedded(&mut self, text: Text<'_>, sink: &mut impl FnMut(&Use<'_>)) -> Result<(), &'static str> {
        let text = text.get().ok_or("the text of the event is not UTF-8, or an escape in it is wrong")?;
        let mut record = Record::default();
        match object(&mut Cursor::new(text.as_bytes()), &mut record) {
            Ok(Kind::Record) => self.record(&record, sink),
            Ok(Kind::Digest | Kind::Embedded(_)) | Err(_) => Err("the text of the event is not a record of CloudTrail"),
        }
    }

    /// Counts a record.
    fn record(&mut self, record: &Record<'_>, sink: &mut impl FnMut(&Use<'_>)) -> Result<(), &'static str> {
        // CloudTrail changes the first number if a change is not compatible (User Guide, "CloudTrail record contents").
        if !record.version.is_some_and(|version| version.starts_with("1.")) {
            let version = record.version.and_then(Text::get).unwrap_or("none".into());
            self.counts.unknown_versions.add(&format!("eventVersion {version}"));
            return Ok(());
        }
        let time = record.time.ok_or("it has no eventTime")?;
        let at = time.get().and_then(|time| seconds(time.as_bytes())).ok_or("its eventTime is not a time")?;
        let id = record.id.map_or(Some("".into()), Text::get).ok_or("its eventID is not UTF-8")?;
        let other = not_a_call(record);
        if other.is_none() && (record.source.is_none() || record.name.is_none()) {
            return Err("it has no eventSource or no eventName");
        }
        self.counts.records += 1;
        if at > self.until {
            self.counts.after_window += 1;
            return Ok(());
        }
        if !id.is_empty() && !self.seen.insert(id.as_bytes()) {
            self.counts.duplicates += 1;
            return Ok(());
        }
        if self.newest.is_none_or(|newest| newest.div_euclid(3600) != at.div_euclid(3600)) {
            self.hours.insert(at.div_euclid(3600));
        }
        self.newest = self.newest.max(Some(at));
        match (other, failure(record), record.user.as_ref().and_then(caller)) {
            (Some(name), ..) => self.counts.not_calls.add(&name),
            (None, Some(code), _) => self.counts.failed.add(&code),
            (None, None, None) => self.counts.not_calls.add("a call without userIdentity"),
            (None, None, Some(caller)) => self.call(record, at, &id, caller, sink),
        }
        Ok(())
    }

    /// Counts a successful call, and tells the sink.
    fn call(&mut self, record: &Record<'_>, at: i64, id: &str, caller: Caller<'_>, sink: &mut impl FnMut(&Use<'_>)) {
        let operation = self.operations.get(self.actions, record);
        let name;
        let identity = match &caller {
            Caller::Identity(identity) => {
                self.counts.uses += 1;
                if operation.unknown {
                    self.counts.unmapped.add(&operation.name);
                }
                identity.as_ref()
            }
            Caller::Other(kind, who) => {
                self.counts.other_callers.add(kind);
                if !operation.assumes_role {
                    return;
                }
                name = format!("{kind} {who}");
                &name
            }
        };
        let names = self.named.of(record, operation.number, operation.shape.as_ref(), operation.watch.as_ref());
        let key = record.user.and_then(|user| user.key).filter(|key| key.starts_with(LASTING_KEY)).and_then(Text::get);
        let (resources, implied) = (&names.resources, &names.implied);
        sink(&Use { id, at, identity, key: key.as_deref(), operation: &operation.name, resources, implied });
    }
}

/// What an event is that is not a call, by its type.
fn not_a_call<'a>(record: &Record<'a>) -> Option<Cow<'a, str>> {
    let is = |text: Option<Text<'_>>, words: &[&str]| text.is_some_and(|text| words.iter().any(|word| text.is(word)));
    // Events of network activity show calls a second time, from a VPC endpoint; Insights events are statistics.
    if is(record.category, &["NetworkActivity", "Insight"]) {
        return record.category.and_then(Text::get);
    }
    if record.kind.is_none() || is(record.kind, &["AwsApiCall", "AwsConsoleAction", "AwsConsoleSignIn"]) {
        return None;
    }
    Some(record.kind.and_then(Text::get).unwrap_or_default())
}

/// Why a call did not succeed. A dry run of EC2 that would have succeeded is a use: its permission was checked.
fn failure<'a>(record: &Record<'a>) -> Option<Cow<'a, str>> {
    match record.error {
        Some(code) if code.is("Client.DryRunOperation") => None,
        Some(code) => Some(code.get().unwrap_or_default()),
        // A sign-in that failed has a message alone.
        None if record.message.is_some() && record.source.is_some_and(|source| source.is("signin.amazonaws.com")) => {
            Some("sign-in failed".into())
        }
        None => None,
    }
}

/// What is known of the operations that were seen.
#[derive(Default)]
struct Operations {
    known: Map<Vec<u8>, usize>,
    list: Vec<Operation>,
    key: Vec<u8>,
    made: u64,
}

struct Operation {
    /// No other one has this number.
    number: u64,
    name: String,
    unknown: bool,
    assumes_role: bool,
    shape: Option<Shape>,
    watch: Option<Watch>,
}

impl Operations {
    /// Of a record with a source and a name.
    #[inline(always)]
    fn get(&mut self, actions: &Actions, record: &Record<'_>) -> &Operation {
        let (source, name) = (record.source.map_or(&b""[..], Text::raw), record.name.map_or(&b""[..], Text::raw));
        self.key.clear();
        self.key.extend_from_slice(source);
        self.key.push(b' ');
        self.key.extend_from_slice(name);
        if let Some(at) = self.known.get(self.key.as_slice()) {
            return &self.list[*at];
        }
        if self.list.len() >= MAX_OPERATIONS {
            self.known.clear();
            self.list.clear();
        }
        let read = |text: Option<Text<'_>>| text.and_then(Text::get).map_or_else(String::new, Cow::into_owned);
        self.known.insert(self.key.clone(), self.list.len());
        self.made += 1;
        self.list.push(Operation::new(actions, self.made, operation(&read(record.source), &read(record.name))));
        &self.list[self.list.len() - 1]
    }
}

impl Operation {
    fn new(actions: &Actions, number: u64, name: String) -> Self {
        let used = used(actions, &name);
        let shape = match &used {
            Used::Actions(used) => used.first().and_then(|action| Shape::of(actions, *action)),
            Used::NoPermission | Used::Unknown => None,
        };
        let (service, event) = name.split_once(':').unwrap_or((&name, ""));
        let watch = Watch::of(actions, prefix(service), without_version(event));
        let assumes_role = service == "sts" && event.starts_with("AssumeRole");
        Self { number, unknown: used == Used::Unknown, assumes_role, shape, watch, name }
    }
}
