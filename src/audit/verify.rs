//! `curfew audit verify`: checks that an audit log is complete, unedited and in order. No I/O.
//!
//! A chain alone reveals edited, dropped and reordered records. A missing end or a missing writer is detectable only with the
//! heads that are anchored elsewhere: in the status of CurfewConfig, and in the first record of every later writer. The hashes
//! have no key, so records that someone appended are detectable only with these heads and the times at which they were anchored.
use super::chain::{GENESIS_HASH, Head, hash};
use crate::timing::SHIPPED;
use curfew_core::time::Time;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
};

/// Extra time, in seconds, that a record may be later than one anchor interval after the last anchor: an anchor that failed with a
/// conflict is retried after one interval.
const SLACK: i64 = 15;

/// A head that is stored outside the audit log under test.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// The head of the chain when it was anchored.
    pub head: Head,
    /// When it was anchored; if it comes from the first record of another writer, the time of that record.
    pub at: Time,
}

/// One problem, and where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The line number, starting at 1; 0 if the problem is a missing record.
    pub line: usize,
    /// The writer whose chain has the problem.
    pub writer: String,
    /// The sequence number of the record.
    pub sequence: u64,
    /// The kind of the problem.
    pub what: Problem,
}

/// The kinds of problems.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The line is not an audit record, or is incomplete.
    Unreadable,
    /// The content of the record does not match its hash.
    Edited,
    /// Preceding records are missing.
    Dropped {
        /// The sequence number of the first missing record.
        from: u64,
    },
    /// The record follows one that it should precede, or has the sequence number of an earlier record.
    OutOfOrder,
    /// Its `prevhash` is not the hash of the preceding record.
    Unchained,
    /// The chain ends before the record that was anchored.
    Truncated {
        /// The anchored sequence number.
        anchored: u64,
    },
    /// The anchor has a different hash for this sequence number.
    NotTheAnchored,
    /// No anchor names this writer, so anyone could have written its chain.
    Unknown,
    /// The record is after the last anchor, and later than a running writer would leave without an anchor, so anyone could have
    /// appended it.
    Unanchored,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { line, writer, sequence, what } = self;
        match what {
            Problem::Unreadable => write!(f, "line {line}: is not an audit record, or is incomplete"),
            Problem::Edited => write!(f, "line {line}: {writer}/{sequence} was edited: its content does not match its hash"),
            Problem::Dropped { from } => write!(f, "line {line}: {writer}/{from} to {writer}/{} are missing", sequence.saturating_sub(1)),
            Problem::OutOfOrder => write!(f, "line {line}: {writer}/{sequence} is out of order or duplicated"),
            Problem::Unchained => write!(f, "line {line}: {writer}/{sequence} does not contain the hash of the preceding record"),
            Problem::Truncated { anchored } => write!(f, "{writer}: ends with {sequence}, but {anchored} was anchored: the end is missing"),
            Problem::Unknown => write!(f, "{writer}: no anchor names this writer: anyone could have written its chain"),
            Problem::Unanchored => write!(
                f,
                "line {line}: {writer}/{sequence} is later than the last anchor of its writer allows: anyone could have appended it"
            ),
            Problem::NotTheAnchored => write!(f, "{writer}/{sequence} has another hash than the anchored record"),
        }
    }
}

/// The result of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of records that were read.
    pub records: u64,
    /// The last record of the chain of each writer.
    pub heads: BTreeMap<String, Head>,
    /// The number of records after the last anchor of each writer, if there are any. The writer may have written them, but no anchor
    /// proves it.
    pub unvouched: BTreeMap<String, u64>,
    /// The problems, in the order in which they were detected.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether there are no findings.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        for (writer, head) in &self.heads {
            writeln!(f, "{writer}: {} records, head {}", head.sequence, head.hash)?;
        }
        for (writer, count) in &self.unvouched {
            writeln!(f, "{writer}: {count} records after its last anchor are not covered by any anchor")?;
        }
        let verdict = if self.is_sound() { "sound".to_owned() } else { format!("{} findings", self.findings.len()) };
        write!(f, "{} records of {} writers: {verdict}", self.records, self.heads.len())
    }
}

/// The parts of a record that the checks against anchors need.
struct Kept {
    line: usize,
    hash: String,
    at: Option<Time>,
}

/// Records by writer and sequence number.
type Records = BTreeMap<(String, u64), Kept>;

/// Checks every chain in `lines` for consistency and against `anchors`, the heads that are stored elsewhere.
pub fn verify(lines: impl IntoIterator<Item = String>, anchors: &BTreeMap<String, Anchor>) -> Report {
    let mut report = Report::default();
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    // Every anchor must hold: a head in a record does not replace one that is stored elsewhere.
    let external = anchors;
    let mut anchors: Vec<(String, Anchor)> = anchors.iter().map(|(writer, anchor)| (writer.clone(), anchor.clone())).collect();
    // The writers that the first record of each writer names.
    let mut vouched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut kept = Records::new();
    for (i, line) in lines.into_iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        report.records += 1;
        let parsed = serde_json::from_str::<Value>(&line).ok().and_then(|record| Some((writer_and_sequence(&record)?, record)));
        let Some(((writer, sequence), record)) = parsed else {
            report.findings.push(Finding { line: i + 1, writer: String::new(), sequence: 0, what: Problem::Unreadable });
            continue;
        };
        for (other, anchor) in previous_heads(sequence, &record) {
            vouched.entry(writer.clone()).or_default().insert(other.clone());
            anchors.push((other, anchor));
        }
        let mut find = |what| report.findings.push(Finding { line: i + 1, writer: writer.clone(), sequence, what });
        let stated = record["hash"].as_str().unwrap_or_default().to_owned();
        if hash(&record) != stated {
            find(Problem::Edited);
        }
        let known = seen.entry(writer.clone()).or_default();
        let head = report.heads.get(&writer);
        let (last, last_hash) = head.map_or((0, GENESIS_HASH), |head| (head.sequence, head.hash.as_str()));
        // A sink can receive a record twice, if the first delivery was not confirmed.
        if kept.get(&(writer.clone(), sequence)).is_some_and(|earlier| earlier.hash == stated) {
            continue;
        }
        if !known.insert(sequence) || sequence <= last {
            find(Problem::OutOfOrder);
            continue;
        }
        if sequence > last + 1 {
            find(Problem::Dropped { from: last + 1 });
        } else if record["prevhash"].as_str() != Some(last_hash) {
            find(Problem::Unchained);
        }
        kept.insert((writer.clone(), sequence), Kept { line: i + 1, hash: stated.clone(), at: time(&record) });
        report.heads.insert(writer, Head { sequence, hash: stated });
    }
    if !external.is_empty() {
        let known = known_writers(external.keys(), &vouched);
        let unknown = report.heads.iter().filter(|(writer, _)| !known.contains(*writer)).map(|(writer, head)| Finding {
            line: 0,
            writer: writer.clone(),
            sequence: head.sequence,
            what: Problem::Unknown,
        });
        report.findings.extend(unknown);
    }
    // If several anchors have the same head, the earliest time counts: a later one does not show any newer record.
    anchors.sort_by(|(left_writer, left), (right_writer, right)| {
        let order = (left_writer, left.head.sequence, &left.head.hash, left.at);
        order.cmp(&(right_writer, right.head.sequence, &right.head.hash, right.at))
    });
    anchors.dedup_by(|(later_writer, later), (writer, earlier)| (later_writer, &later.head) == (writer, &earlier.head));
    for (writer, anchor) in anchors.iter().map(|(w, a)| (w, &a.head)).filter(|(_, a)| a.sequence > 0) {
        let ends = report.heads.get(writer).map_or(0, |h| h.sequence);
        let finding = |sequence, what| Finding { line: 0, writer: writer.clone(), sequence, what };
        if ends < anchor.sequence {
            report.findings.push(finding(ends, Problem::Truncated { anchored: anchor.sequence }));
        } else if kept.get(&(writer.clone(), anchor.sequence)).is_some_and(|k| k.hash != anchor.hash) {
            report.findings.push(finding(anchor.sequence, Problem::NotTheAnchored));
        }
    }
    // Without external anchors the log itself does not show how long its writers ran.
    if !external.is_empty() {
        check_after_last_anchor(&mut report, &anchors, &kept);
    }
    report
}

/// Checks the records after the last anchor of their writer. A killed writer leaves the records of its last interval without an
/// anchor, so these are only counted. It cannot have written later ones, or any without a time.
fn check_after_last_anchor(report: &mut Report, anchors: &[(String, Anchor)], kept: &Records) {
    for (writer, (last, at)) in last_anchors(anchors) {
        let until = at.plus_secs(SHIPPED.anchor.as_secs().cast_signed() + SLACK);
        let after = (Bound::Excluded((writer.clone(), last)), Bound::Included((writer.clone(), u64::MAX)));
        for ((_, sequence), record) in kept.range(after) {
            if record.at.is_some_and(|at| at <= until) {
                *report.unvouched.entry(writer.clone()).or_default() += 1;
            } else {
                let (writer, sequence) = (writer.clone(), *sequence);
                report.findings.push(Finding { line: record.line, writer, sequence, what: Problem::Unanchored });
            }
        }
    }
}

/// Returns the highest anchored sequence number of each writer, and when it was anchored. `anchors` must be sorted.
fn last_anchors(anchors: &[(String, Anchor)]) -> BTreeMap<&String, (u64, Time)> {
    let mut last = BTreeMap::new();
    for (writer, Anchor { head, at }) in anchors {
        let highest = last.entry(writer).or_insert((head.sequence, *at));
        if head.sequence > highest.0 {
            *highest = (head.sequence, *at);
        }
    }
    last
}

/// Returns the writers that external anchors name, and all writers that these name directly or indirectly.
fn known_writers<'a>(anchored: impl Iterator<Item = &'a String>, vouched: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<&String> = anchored.collect();
    while let Some(writer) = next.pop() {
        if known.insert(writer.clone()) {
            next.extend(vouched.get(writer).into_iter().flatten());
        }
    }
    known
}

fn writer_and_sequence(record: &Value) -> Option<(String, u64)> {
    let writer = record["source"].as_str()?.rsplit_once('/')?.1.to_owned();
    Some((writer, record["sequence"].as_str()?.parse().ok()?))
}

fn time(record: &Value) -> Option<Time> {
    record["time"].as_str().and_then(Time::parse)
}

/// Returns the heads of other writers that the first record of a writer contains. A later record of that type is ignored: the writer
/// does not write any, so someone appended it, possibly to make an invented writer known.
fn previous_heads(sequence: u64, record: &Value) -> Vec<(String, Anchor)> {
    let is_first = sequence == 1 && record["type"] == "dev.curfew.chain.started.v1";
    let text = record["data"]["unmapped"]["curfew"]["confirmed"].as_str().filter(|_| is_first);
    let heads: BTreeMap<String, (u64, String)> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    // Without a time, the head counts as anchored at the epoch and covers no later record.
    let at = time(record).unwrap_or_default();
    heads.into_iter().map(|(writer, (sequence, hash))| (writer, Anchor { head: Head { sequence, hash }, at })).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            chain::Chain,
            record::{EventData, EventKind},
        },
        *,
    };
    use curfew_core::time::Time;

    fn written() -> (Vec<String>, BTreeMap<String, Anchor>) {
        let (lines, a, b) = chains();
        (lines, [anchored(&a), anchored(&b)].into())
    }

    /// The same lines as `written`, with the chains, so that a test can append to them.
    fn chains() -> (Vec<String>, Chain, Chain) {
        let (mut a, mut b) = (Chain::start("0123abcd", "a"), Chain::start("0123abcd", "b"));
        let mut lines = Vec::new();
        for i in 0..6 {
            let facts = EventData { name: Some(format!("r{i}")), user: Some("alice".into()), ..EventData::default() };
            lines.push(a.append(EventKind::GrantIntended, &facts, Time::from_secs(i)));
            lines.push(b.append(EventKind::RevocationConfirmed, &facts, Time::from_secs(i)));
        }
        (lines, a, b)
    }

    /// An anchor of the last record of a chain, made at 5 s.
    fn anchored(chain: &Chain) -> (String, Anchor) {
        (chain.writer().to_owned(), Anchor { head: chain.head().clone(), at: Time::from_secs(5) })
    }

    /// Appends a `chain.started` record with the heads of other writers.
    fn append_heads(chain: &mut Chain, heads: &BTreeMap<String, Anchor>, at: i64) -> String {
        let heads: BTreeMap<&String, (u64, &String)> =
            heads.iter().map(|(writer, anchor)| (writer, (anchor.head.sequence, &anchor.head.hash))).collect();
        let facts = EventData { confirmed: serde_json::to_string(&heads).ok(), ..EventData::default() };
        chain.append(EventKind::ChainStarted, &facts, Time::from_secs(at))
    }

    /// Appends a record that is valid but not anchored.
    fn append_unanchored(chain: &mut Chain, at: i64) -> String {
        chain.append(EventKind::GrantIntended, &EventData { name: Some("more".into()), ..EventData::default() }, Time::from_secs(at))
    }

    fn findings(lines: Vec<String>, anchors: &BTreeMap<String, Anchor>) -> Vec<Problem> {
        verify(lines, anchors).findings.into_iter().map(|finding| finding.what).collect()
    }

    fn findings_after(change: impl FnOnce(&mut Vec<String>)) -> Vec<Problem> {
        let (mut lines, anchors) = written();
        change(&mut lines);
        findings(lines, &anchors)
    }

    #[test]
    fn an_unchanged_log_of_two_writers_is_sound() {
        let (lines, anchors) = written();
        let report = verify(lines, &anchors);
        assert!(report.is_sound(), "{report}");
        let heads = anchors.into_iter().map(|(w, a)| (w, a.head)).collect();
        assert_eq!((report.records, report.heads, report.unvouched), (12, heads, BTreeMap::new()));
    }

    #[test]
    fn every_kind_of_manipulation_is_found() {
        assert_eq!(findings_after(|l| l[4] = l[4].replace("alice", "bob")), [Problem::Edited]);
        assert_eq!(findings_after(|l| drop(l.remove(4))), [Problem::Dropped { from: 3 }]);
        assert!(findings_after(|l| l.swap(4, 6)).contains(&Problem::OutOfOrder));
        assert_eq!(findings_after(|l| l.insert(5, l[4].clone())), [], "a duplicate delivery is not a finding");
        assert_eq!(findings_after(|l| l.push(l[0].replace("alice", "bob"))), [Problem::Edited]);
        assert_eq!(findings_after(|l| l.truncate(10)), [Problem::Truncated { anchored: 6 }, Problem::Truncated { anchored: 6 }]);
        assert_eq!(findings_after(|l| l.retain(|r| !r.contains("\"b/"))), [Problem::Truncated { anchored: 6 }]);
        assert_eq!(findings_after(|l| l[3].truncate(20))[0], Problem::Unreadable);
        assert_eq!(findings_after(|l| drop(l.drain(..2)))[0], Problem::Dropped { from: 1 });
    }

    #[test]
    fn an_edit_with_a_recomputed_hash_breaks_the_chain_or_the_anchor() {
        let forge = |line: &str| {
            let mut record: Value = serde_json::from_str(&line.replace("alice", "bob")).unwrap();
            record["hash"] = Value::String(hash(&record));
            record.to_string()
        };
        assert_eq!(findings_after(|l| l[4] = forge(&l[4])), [Problem::Unchained]);
        assert_eq!(findings_after(|l| l[10] = forge(&l[10])), [Problem::NotTheAnchored]);
    }

    #[test]
    fn an_invented_writer_does_not_make_a_rewritten_chain_valid() {
        // All of `a` is rewritten with one more record, and an invented writer contains the new head.
        let mut a = Chain::start("0123abcd", "a");
        let forged = EventData { name: Some("forged".into()), ..EventData::default() };
        let (mut lines, anchors) = written();
        lines.retain(|l| !l.contains("\"a/"));
        lines.extend((0..7).map(|i| a.append(EventKind::GrantIntended, &forged, Time::from_secs(i))));
        lines.push(append_heads(&mut Chain::start("0123abcd", "z"), &[anchored(&a)].into(), 9));
        assert_eq!(findings(lines, &anchors), [Problem::Unknown, Problem::NotTheAnchored]);
    }

    #[test]
    fn the_heads_in_a_later_writer_reveal_a_missing_end() {
        let (mut lines, anchors) = written();
        lines.push(append_heads(&mut Chain::start("0123abcd", "c"), &anchors, 9));
        assert!(verify(lines.clone(), &BTreeMap::new()).is_sound());
        lines.remove(10);
        assert!(verify(lines, &BTreeMap::new()).findings.iter().any(|f| f.what == Problem::Truncated { anchored: 6 }));
    }

    #[test]
    fn records_appended_long_after_the_last_anchor_are_found() {
        let (mut lines, mut a, b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        lines.extend([20, 3_600].map(|at| append_unanchored(&mut a, at)));
        let report = verify(lines.clone(), &anchors);
        let late = Finding { line: 14, writer: "a".into(), sequence: 8, what: Problem::Unanchored };
        assert_eq!((&report.findings, &report.unvouched), (&vec![late], &[("a".to_owned(), 1)].into()));
        assert!(
            report.to_string().starts_with("line 14: a/8 is later than the last anchor of its writer allows: anyone could"),
            "{report}"
        );
        assert!(verify(lines, &BTreeMap::new()).is_sound(), "without anchors the end of a writer is unknown");
    }

    #[test]
    fn a_record_without_a_time_after_the_last_anchor_is_found() {
        let (mut lines, mut a, b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        let mut record: Value = serde_json::from_str(&append_unanchored(&mut a, 6)).unwrap();
        record["time"] = Value::Null;
        record["hash"] = Value::String(hash(&record));
        lines.push(record.to_string());
        assert_eq!(findings(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn records_within_one_interval_after_the_last_anchor_are_counted() {
        let (mut lines, mut a, b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        lines.extend([19, 35].map(|at| append_unanchored(&mut a, at)));
        let report = verify(lines.clone(), &anchors);
        assert!(report.is_sound(), "{report}");
        assert!(report.to_string().contains("\na: 2 records after its last anchor are not covered by any anchor\n"), "{report}");
        lines.push(append_unanchored(&mut a, 36));
        assert_eq!(findings(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn a_long_running_writer_is_valid_up_to_one_interval_after_its_last_anchor() {
        let (mut lines, mut a, b) = chains();
        lines.extend((1..100).map(|i| append_unanchored(&mut a, i * 15)));
        let at = Time::from_secs(1_485);
        let anchors = [("a".to_owned(), Anchor { head: a.head().clone(), at }), anchored(&b)].into();
        lines.push(append_unanchored(&mut a, 1_499));
        let report = verify(lines, &anchors);
        assert!(report.is_sound(), "{report}");
        assert_eq!(report.unvouched, [("a".to_owned(), 1)].into());
    }

    #[test]
    fn a_head_in_a_later_writer_is_an_anchor_at_the_start_of_that_writer() {
        let (mut lines, mut a, b) = chains();
        let mut c = Chain::start("0123abcd", "c");
        lines.push(append_heads(&mut c, &[anchored(&a)].into(), 9));
        let anchors: BTreeMap<String, Anchor> = [anchored(&b), anchored(&c)].into();
        lines.push(append_unanchored(&mut a, 39));
        assert_eq!(findings(lines.clone(), &anchors), []);
        lines.push(append_unanchored(&mut a, 40));
        assert_eq!(findings(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn a_later_anchor_with_the_same_head_does_not_extend_the_allowed_time() {
        let (mut lines, mut a, b) = chains();
        let mut c = Chain::start("0123abcd", "c");
        lines.push(append_heads(&mut c, &[anchored(&a)].into(), 7_200));
        let anchors = [anchored(&a), anchored(&b), anchored(&c)].into();
        lines.push(append_unanchored(&mut a, 3_600));
        assert_eq!(findings(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn only_the_first_record_of_a_writer_names_other_writers() {
        // A forged second `chain.started` record of the known writer `b` names `z`, within the time allowed after the last anchor.
        let (mut lines, a, mut b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        let mut z = Chain::start("0123abcd", "z");
        lines.push(append_unanchored(&mut z, 6));
        lines.push(append_heads(&mut b, &[anchored(&z)].into(), 7));
        assert_eq!(findings(lines, &anchors), [Problem::Unknown]);
    }
}
