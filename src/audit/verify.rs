//! `curfew audit verify`: whether what a sink holds is what was written, all of it, in order. Pure.
//!
//! A chain shows by itself that a record was edited, dropped from the middle or moved. That the end was cut off, or a whole
//! writer, shows only against the heads that are anchored elsewhere: in CurfewConfig's status, and in the first record of
//! every later writer. The hashes have no key: that records were added to the end shows only against these heads, and when
//! they were anchored.
use super::{
    chain::{GENESIS_HASH, Head, hash},
    writer::ANCHOR,
};
use curfew_core::time::Time;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
};

/// How much later than an interval after the last anchor a record may come, in seconds: an anchor that met a conflict is tried
/// again at the next tick.
const SLACK: i64 = 15;

/// A head that was seen elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// How far the chain had come.
    pub head: Head,
    /// When it was anchored; where another writer tells of it, when it told.
    pub at: Time,
}

/// What is wrong at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The line, from 1; 0 where it is about something that is not there.
    pub line: usize,
    /// Whose chain.
    pub writer: String,
    /// Which record.
    pub sequence: u64,
    /// What is wrong.
    pub what: Problem,
}

/// What can be wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// It is no record at all, or was cut off while it was written.
    Unreadable,
    /// Its content is not what was hashed.
    Edited,
    /// Records before it are missing.
    Dropped {
        /// The first that is missing.
        from: u64,
    },
    /// It comes after one that it should precede, or twice.
    OutOfOrder,
    /// It does not follow from the one before it.
    Unchained,
    /// The chain goes on to this number elsewhere, and ends here.
    Truncated {
        /// What was anchored.
        anchored: u64,
    },
    /// Another record was anchored under this number.
    NotTheAnchored,
    /// No anchor knows this writer: anybody could have invented it.
    Unknown,
    /// It is beyond the last anchor, and too late for a writer that anchors as long as it lives: anybody could have added it.
    Unanchored,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { line, writer, sequence, what } = self;
        match what {
            Problem::Unreadable => write!(f, "line {line}: no record of evidence, or cut off"),
            Problem::Edited => write!(f, "line {line}: {writer}/{sequence} was edited: its content is not what was hashed"),
            Problem::Dropped { from } => write!(f, "line {line}: {writer}/{from} to {writer}/{} are missing", sequence.saturating_sub(1)),
            Problem::OutOfOrder => write!(f, "line {line}: {writer}/{sequence} is out of order, or there twice"),
            Problem::Unchained => write!(f, "line {line}: {writer}/{sequence} does not follow from the record before it"),
            Problem::Truncated { anchored } => write!(f, "{writer}: ends with {sequence}, and {anchored} was anchored: the end is missing"),
            Problem::Unknown => write!(f, "{writer}: no anchor knows this writer, whose chain could be anybody's invention"),
            Problem::Unanchored => write!(
                f,
                "line {line}: {writer}/{sequence} comes later than its writer was last anchored: nothing outside of this file vouches for it"
            ),
            Problem::NotTheAnchored => write!(f, "{writer}/{sequence} is not the record that was anchored"),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many records were read.
    pub records: u64,
    /// How far each writer's chain goes.
    pub heads: BTreeMap<String, Head>,
    /// How many records a writer may have written after its last anchor, where there are any: they are not known to be its own.
    pub unvouched: BTreeMap<String, u64>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing is wrong.
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
        for (writer, n) in &self.unvouched {
            writeln!(f, "{writer}: {n} records after its last anchor are vouched for by nothing else")?;
        }
        let verdict = if self.is_sound() { "sound".to_owned() } else { format!("{} findings", self.findings.len()) };
        write!(f, "{} records of {} writers: {verdict}", self.records, self.heads.len())
    }
}

/// What is kept of a record until all of them were read.
struct Kept {
    line: usize,
    hash: String,
    at: Option<Time>,
}

/// Records by writer and number.
type Records = BTreeMap<(String, u64), Kept>;

/// Checks every chain in `lines` against itself and against `anchors`, which name the heads that were seen elsewhere.
pub fn verify(lines: impl IntoIterator<Item = String>, anchors: &BTreeMap<String, Anchor>) -> Report {
    let mut report = Report::default();
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    // Every anchor must hold: one that a record tells never stands for one that was kept elsewhere.
    let external = anchors;
    let mut anchors: Vec<(String, Anchor)> = anchors.iter().map(|(w, a)| (w.clone(), a.clone())).collect();
    // Who was told of by whom.
    let mut vouched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut kept = Records::new();
    for (i, line) in lines.into_iter().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        report.records += 1;
        let parsed = serde_json::from_str::<Value>(&line).ok().and_then(|v| Some((place(&v)?, v)));
        let Some(((writer, sequence), record)) = parsed else {
            report.findings.push(Finding { line: i + 1, writer: String::new(), sequence: 0, what: Problem::Unreadable });
            continue;
        };
        for (w, a) in told(sequence, &record) {
            vouched.entry(writer.clone()).or_default().insert(w.clone());
            anchors.push((w, a));
        }
        let mut find = |what| report.findings.push(Finding { line: i + 1, writer: writer.clone(), sequence, what });
        let stated = record["hash"].as_str().unwrap_or_default().to_owned();
        if hash(&record) != stated {
            find(Problem::Edited);
        }
        let known = seen.entry(writer.clone()).or_default();
        let head = report.heads.get(&writer);
        let (last, last_hash) = head.map_or((0, GENESIS_HASH), |h| (h.sequence, h.hash.as_str()));
        // A sink may be given a record again, whose first delivery was not confirmed.
        if kept.get(&(writer.clone(), sequence)).is_some_and(|k| k.hash == stated) {
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
        let strangers = report.heads.iter().filter(|(w, _)| !known.contains(*w));
        report.findings.extend(strangers.map(|(w, h)| Finding {
            line: 0,
            writer: w.clone(),
            sequence: h.sequence,
            what: Problem::Unknown,
        }));
    }
    // Of one head that many tell, the earliest time counts: whoever tells of it later has seen nothing newer.
    anchors.sort_by(|(w, a), (v, b)| (w, a.head.sequence, &a.head.hash, a.at).cmp(&(v, b.head.sequence, &b.head.hash, b.at)));
    anchors.dedup_by(|(w, a), (v, b)| (w, &a.head) == (v, &b.head));
    for (writer, anchor) in anchors.iter().map(|(w, a)| (w, &a.head)).filter(|(_, a)| a.sequence > 0) {
        let ends = report.heads.get(writer).map_or(0, |h| h.sequence);
        let finding = |sequence, what| Finding { line: 0, writer: writer.clone(), sequence, what };
        if ends < anchor.sequence {
            report.findings.push(finding(ends, Problem::Truncated { anchored: anchor.sequence }));
        } else if kept.get(&(writer.clone(), anchor.sequence)).is_some_and(|k| k.hash != anchor.hash) {
            report.findings.push(finding(anchor.sequence, Problem::NotTheAnchored));
        }
    }
    // Without anchors from elsewhere, what a file tells of its writers says nothing about how long they lived.
    if !external.is_empty() {
        beyond(&mut report, &anchors, &kept);
    }
    report
}

/// Judges the records beyond their writer's last anchor. One that is killed leaves those of its last interval, so these are only
/// counted; it cannot have written any later ones, nor any without a time.
fn beyond(report: &mut Report, anchors: &[(String, Anchor)], kept: &Records) {
    for (writer, (last, at)) in last_anchors(anchors) {
        let until = at.plus_secs(ANCHOR.as_secs().cast_signed() + SLACK);
        let after = (Bound::Excluded((writer.clone(), last)), Bound::Included((writer.clone(), u64::MAX)));
        for ((_, sequence), k) in kept.range(after) {
            if k.at.is_some_and(|t| t <= until) {
                *report.unvouched.entry(writer.clone()).or_default() += 1;
            } else {
                let (writer, sequence) = (writer.clone(), *sequence);
                report.findings.push(Finding { line: k.line, writer, sequence, what: Problem::Unanchored });
            }
        }
    }
}

/// The highest number that is anchored of each writer, and when it was. `anchors` are sorted.
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

/// The writers that are anchored elsewhere, and all whom these tell of.
fn known_writers<'a>(anchored: impl Iterator<Item = &'a String>, vouched: &'a BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut next: Vec<&String> = anchored.collect();
    while let Some(w) = next.pop() {
        if known.insert(w.clone()) {
            next.extend(vouched.get(w).into_iter().flatten());
        }
    }
    known
}

/// The writer and number of a record.
fn place(v: &Value) -> Option<(String, u64)> {
    let writer = v["source"].as_str()?.rsplit_once('/')?.1.to_owned();
    Some((writer, v["sequence"].as_str()?.parse().ok()?))
}

/// When a record was written.
fn time(v: &Value) -> Option<Time> {
    v["time"].as_str().and_then(Time::parse)
}

/// The heads of others that a writer's first record tells. A later one of that type was added by somebody who has writers to invent.
fn told(sequence: u64, v: &Value) -> Vec<(String, Anchor)> {
    let begins = sequence == 1 && v["type"] == "dev.curfew.chain.started.v1";
    let text = v["data"]["unmapped"]["curfew"]["confirmed"].as_str().filter(|_| begins);
    let heads: BTreeMap<String, (u64, String)> = text.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
    // What was told at no time vouches for nothing that comes after it.
    let at = time(v).unwrap_or_default();
    heads.into_iter().map(|(w, (sequence, hash))| (w, Anchor { head: Head { sequence, hash }, at })).collect()
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

    /// As `written`, and the chains, which may go on.
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

    /// That a chain was anchored with its last record, at 5 s.
    fn anchored(c: &Chain) -> (String, Anchor) {
        (c.writer().to_owned(), Anchor { head: c.head().clone(), at: Time::from_secs(5) })
    }

    /// Tells the heads of others, at a time.
    fn tells(c: &mut Chain, heads: &BTreeMap<String, Anchor>, at: i64) -> String {
        let heads: BTreeMap<&String, (u64, &String)> = heads.iter().map(|(w, a)| (w, (a.head.sequence, &a.head.hash))).collect();
        let facts = EventData { confirmed: serde_json::to_string(&heads).ok(), ..EventData::default() };
        c.append(EventKind::ChainStarted, &facts, Time::from_secs(at))
    }

    /// A record that anybody can add, at a time.
    fn goes_on(c: &mut Chain, at: i64) -> String {
        c.append(EventKind::GrantIntended, &EventData { name: Some("more".into()), ..EventData::default() }, Time::from_secs(at))
    }

    fn found(lines: Vec<String>, anchors: &BTreeMap<String, Anchor>) -> Vec<Problem> {
        verify(lines, anchors).findings.into_iter().map(|f| f.what).collect()
    }

    fn wrongs(change: impl FnOnce(&mut Vec<String>)) -> Vec<Problem> {
        let (mut lines, anchors) = written();
        change(&mut lines);
        found(lines, &anchors)
    }

    #[test]
    fn what_was_written_is_sound_though_two_writers_share_a_file() {
        let (lines, anchors) = written();
        let report = verify(lines, &anchors);
        assert!(report.is_sound(), "{report}");
        let heads = anchors.into_iter().map(|(w, a)| (w, a.head)).collect();
        assert_eq!((report.records, report.heads, report.unvouched), (12, heads, BTreeMap::new()));
    }

    #[test]
    fn whatever_is_done_to_it_is_found() {
        assert_eq!(wrongs(|l| l[4] = l[4].replace("alice", "bob")), [Problem::Edited]);
        assert_eq!(wrongs(|l| drop(l.remove(4))), [Problem::Dropped { from: 3 }]);
        assert!(wrongs(|l| l.swap(4, 6)).contains(&Problem::OutOfOrder));
        assert_eq!(wrongs(|l| l.insert(5, l[4].clone())), [], "delivered again, as it was");
        assert_eq!(wrongs(|l| l.push(l[0].replace("alice", "bob"))), [Problem::Edited]);
        assert_eq!(wrongs(|l| l.truncate(10)), [Problem::Truncated { anchored: 6 }, Problem::Truncated { anchored: 6 }]);
        assert_eq!(wrongs(|l| l.retain(|r| !r.contains("\"b/"))), [Problem::Truncated { anchored: 6 }]);
        assert_eq!(wrongs(|l| l[3].truncate(20))[0], Problem::Unreadable);
        assert_eq!(wrongs(|l| drop(l.drain(..2)))[0], Problem::Dropped { from: 1 });
    }

    #[test]
    fn an_edit_with_a_new_hash_breaks_the_chain_after_it_or_the_anchor() {
        let forge = |line: &str| {
            let mut v: Value = serde_json::from_str(&line.replace("alice", "bob")).unwrap();
            v["hash"] = Value::String(hash(&v));
            v.to_string()
        };
        assert_eq!(wrongs(|l| l[4] = forge(&l[4])), [Problem::Unchained]);
        assert_eq!(wrongs(|l| l[10] = forge(&l[10])), [Problem::NotTheAnchored]);
    }

    #[test]
    fn nobody_vouches_for_a_rewritten_chain() {
        // All of `a` is written anew with one record more, and an invented writer tells that head.
        let mut a = Chain::start("0123abcd", "a");
        let forged = EventData { name: Some("forged".into()), ..EventData::default() };
        let (mut lines, anchors) = written();
        lines.retain(|l| !l.contains("\"a/"));
        lines.extend((0..7).map(|i| a.append(EventKind::GrantIntended, &forged, Time::from_secs(i))));
        lines.push(tells(&mut Chain::start("0123abcd", "z"), &[anchored(&a)].into(), 9));
        assert_eq!(found(lines, &anchors), [Problem::Unknown, Problem::NotTheAnchored]);
    }

    #[test]
    fn a_later_writer_tells_the_heads_of_those_before() {
        let (mut lines, anchors) = written();
        lines.push(tells(&mut Chain::start("0123abcd", "c"), &anchors, 9));
        assert!(verify(lines.clone(), &BTreeMap::new()).is_sound());
        lines.remove(10);
        assert!(verify(lines, &BTreeMap::new()).findings.iter().any(|f| f.what == Problem::Truncated { anchored: 6 }));
    }

    #[test]
    fn what_a_dead_writer_is_said_to_have_written_later_is_found() {
        let (mut lines, mut a, b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        lines.extend([20, 3_600].map(|at| goes_on(&mut a, at)));
        let report = verify(lines.clone(), &anchors);
        let late = Finding { line: 14, writer: "a".into(), sequence: 8, what: Problem::Unanchored };
        assert_eq!((&report.findings, &report.unvouched), (&vec![late], &[("a".to_owned(), 1)].into()));
        assert!(report.to_string().starts_with("line 14: a/8 comes later than its writer was last anchored: nothing outside"), "{report}");
        assert!(verify(lines, &BTreeMap::new()).is_sound(), "without anchors nobody says how long a writer lived");
    }

    #[test]
    fn what_has_no_time_may_be_as_late_as_anything() {
        let (mut lines, mut a, b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        let mut v: Value = serde_json::from_str(&goes_on(&mut a, 6)).unwrap();
        v["time"] = Value::Null;
        v["hash"] = Value::String(hash(&v));
        lines.push(v.to_string());
        assert_eq!(found(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn a_writer_that_was_killed_may_have_written_for_an_interval_and_that_is_counted() {
        let (mut lines, mut a, b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        lines.extend([19, 35].map(|at| goes_on(&mut a, at)));
        let report = verify(lines.clone(), &anchors);
        assert!(report.is_sound(), "{report}");
        assert!(report.to_string().contains("\na: 2 records after its last anchor are vouched for by nothing else\n"), "{report}");
        lines.push(goes_on(&mut a, 36));
        assert_eq!(found(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn a_writer_that_lives_is_anchored_again_and_again() {
        let (mut lines, mut a, b) = chains();
        lines.extend((1..100).map(|i| goes_on(&mut a, i * 15)));
        let at = Time::from_secs(1_485);
        let anchors = [("a".to_owned(), Anchor { head: a.head().clone(), at }), anchored(&b)].into();
        lines.push(goes_on(&mut a, 1_499));
        let report = verify(lines, &anchors);
        assert!(report.is_sound(), "{report}");
        assert_eq!(report.unvouched, [("a".to_owned(), 1)].into());
    }

    #[test]
    fn whom_only_a_later_writer_tells_of_was_anchored_when_that_one_began() {
        let (mut lines, mut a, b) = chains();
        let mut c = Chain::start("0123abcd", "c");
        lines.push(tells(&mut c, &[anchored(&a)].into(), 9));
        let anchors: BTreeMap<String, Anchor> = [anchored(&b), anchored(&c)].into();
        lines.push(goes_on(&mut a, 39));
        assert_eq!(found(lines.clone(), &anchors), []);
        lines.push(goes_on(&mut a, 40));
        assert_eq!(found(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn who_tells_of_a_dead_writer_later_prolongs_no_life() {
        let (mut lines, mut a, b) = chains();
        let mut c = Chain::start("0123abcd", "c");
        lines.push(tells(&mut c, &[anchored(&a)].into(), 7_200));
        let anchors = [anchored(&a), anchored(&b), anchored(&c)].into();
        lines.push(goes_on(&mut a, 3_600));
        assert_eq!(found(lines, &anchors), [Problem::Unanchored]);
    }

    #[test]
    fn only_its_first_record_vouches_for_others() {
        // The known writer `b` is said to have told of `z`, within the time in which it may have gone on.
        let (mut lines, a, mut b) = chains();
        let anchors = [anchored(&a), anchored(&b)].into();
        let mut z = Chain::start("0123abcd", "z");
        lines.push(goes_on(&mut z, 6));
        lines.push(tells(&mut b, &[anchored(&z)].into(), 7));
        assert_eq!(found(lines, &anchors), [Problem::Unknown]);
    }
}
