//! `curfew audit verify`: whether what a sink holds is what was written, all of it, in order. Pure.
//!
//! A chain shows by itself that a record was edited, dropped from the middle or moved. That the end was cut off, or a whole
//! writer, shows only against the heads that are anchored elsewhere: in CurfewConfig's status, and in the first record of
//! every later writer.
use super::chain::{Head, NOTHING, hash};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

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
    pub what: Wrong,
}

/// What can be wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrong {
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
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { line, writer, sequence, what } = self;
        match what {
            Wrong::Unreadable => write!(f, "line {line}: no record of evidence, or cut off"),
            Wrong::Edited => write!(f, "line {line}: {writer}/{sequence} was edited: its content is not what was hashed"),
            Wrong::Dropped { from } => write!(f, "line {line}: {writer}/{from} to {writer}/{} are missing", sequence.saturating_sub(1)),
            Wrong::OutOfOrder => write!(f, "line {line}: {writer}/{sequence} is out of order, or there twice"),
            Wrong::Unchained => write!(f, "line {line}: {writer}/{sequence} does not follow from the record before it"),
            Wrong::Truncated { anchored } => write!(f, "{writer}: ends with {sequence}, and {anchored} was anchored: the end is missing"),
            Wrong::Unknown => write!(f, "{writer}: no anchor knows this writer, whose chain could be anybody's invention"),
            Wrong::NotTheAnchored => write!(f, "{writer}/{sequence} is not the record that was anchored"),
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
        let verdict = if self.is_sound() { "sound".to_owned() } else { format!("{} findings", self.findings.len()) };
        write!(f, "{} records of {} writers: {verdict}", self.records, self.heads.len())
    }
}

/// Checks every chain in `lines` against itself and against `anchors`, which name the heads that were seen elsewhere.
pub fn verify(lines: impl IntoIterator<Item = String>, anchors: &BTreeMap<String, Head>) -> Report {
    let mut report = Report::default();
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    // Every anchor must hold: one that a record tells never stands for one that was kept elsewhere.
    let external = anchors;
    let mut anchors: Vec<(String, Head)> = anchors.iter().map(|(w, h)| (w.clone(), h.clone())).collect();
    // Who was told of by whom.
    let mut vouched: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut hashes: BTreeMap<(String, u64), String> = BTreeMap::new();
    for (i, line) in lines.into_iter().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        report.records += 1;
        let parsed = serde_json::from_str::<Value>(&line).ok().and_then(|v| Some((place(&v)?, v)));
        let Some(((writer, sequence), record)) = parsed else {
            report.findings.push(Finding { line: i + 1, writer: String::new(), sequence: 0, what: Wrong::Unreadable });
            continue;
        };
        for (w, h) in told(&record) {
            vouched.entry(writer.clone()).or_default().insert(w.clone());
            anchors.push((w, h));
        }
        let mut find = |what| report.findings.push(Finding { line: i + 1, writer: writer.clone(), sequence, what });
        let stated = record["hash"].as_str().unwrap_or_default().to_owned();
        if hash(&record) != stated {
            find(Wrong::Edited);
        }
        let known = seen.entry(writer.clone()).or_default();
        let head = report.heads.get(&writer);
        let (last, last_hash) = head.map_or((0, NOTHING), |h| (h.sequence, h.hash.as_str()));
        // A sink may be given a record again, whose first delivery was not confirmed.
        if hashes.get(&(writer.clone(), sequence)) == Some(&stated) {
            continue;
        }
        if !known.insert(sequence) || sequence <= last {
            find(Wrong::OutOfOrder);
            continue;
        }
        if sequence > last + 1 {
            find(Wrong::Dropped { from: last + 1 });
        } else if record["prevhash"].as_str() != Some(last_hash) {
            find(Wrong::Unchained);
        }
        hashes.insert((writer.clone(), sequence), stated.clone());
        report.heads.insert(writer, Head { sequence, hash: stated });
    }
    if !external.is_empty() {
        let known = known_writers(external.keys(), &vouched);
        let strangers = report.heads.iter().filter(|(w, _)| !known.contains(*w));
        report.findings.extend(strangers.map(|(w, h)| Finding { line: 0, writer: w.clone(), sequence: h.sequence, what: Wrong::Unknown }));
    }
    anchors.sort_by(|a, b| (&a.0, a.1.sequence, &a.1.hash).cmp(&(&b.0, b.1.sequence, &b.1.hash)));
    anchors.dedup();
    for (writer, anchor) in anchors.iter().filter(|(_, a)| a.sequence > 0) {
        let ends = report.heads.get(writer).map_or(0, |h| h.sequence);
        let finding = |sequence, what| Finding { line: 0, writer: writer.clone(), sequence, what };
        if ends < anchor.sequence {
            report.findings.push(finding(ends, Wrong::Truncated { anchored: anchor.sequence }));
        } else if hashes.get(&(writer.clone(), anchor.sequence)).is_some_and(|h| *h != anchor.hash) {
            report.findings.push(finding(anchor.sequence, Wrong::NotTheAnchored));
        }
    }
    report
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

/// The heads of others that a writer's first record tells.
fn told(v: &Value) -> Vec<(String, Head)> {
    let text = v["data"]["unmapped"]["curfew"]["confirmed"].as_str().filter(|_| v["type"] == "dev.curfew.chain.started.v1");
    let heads: BTreeMap<String, (u64, String)> = text.and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
    heads.into_iter().map(|(w, (sequence, hash))| (w, Head { sequence, hash })).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            chain::Chain,
            record::{Facts, What},
        },
        *,
    };
    use curfew_core::time::Time;

    fn written() -> (Vec<String>, BTreeMap<String, Head>) {
        let (mut a, mut b) = (Chain::start("0123abcd", "a"), Chain::start("0123abcd", "b"));
        let mut lines = Vec::new();
        for i in 0..6 {
            let facts = Facts { name: Some(format!("r{i}")), user: Some("alice".into()), ..Facts::default() };
            lines.push(a.append(What::GrantIntended, &facts, Time::from_secs(i)));
            lines.push(b.append(What::RevocationConfirmed, &facts, Time::from_secs(i)));
        }
        let anchors = [("a".to_owned(), a.head().clone()), ("b".to_owned(), b.head().clone())].into();
        (lines, anchors)
    }

    fn wrongs(change: impl FnOnce(&mut Vec<String>)) -> Vec<Wrong> {
        let (mut lines, anchors) = written();
        change(&mut lines);
        verify(lines, &anchors).findings.into_iter().map(|f| f.what).collect()
    }

    #[test]
    fn what_was_written_is_sound_though_two_writers_share_a_file() {
        let (lines, anchors) = written();
        let report = verify(lines, &anchors);
        assert!(report.is_sound(), "{report}");
        assert_eq!((report.records, report.heads), (12, anchors));
    }

    #[test]
    fn whatever_is_done_to_it_is_found() {
        assert_eq!(wrongs(|l| l[4] = l[4].replace("alice", "bob")), [Wrong::Edited]);
        assert_eq!(wrongs(|l| drop(l.remove(4))), [Wrong::Dropped { from: 3 }]);
        assert!(wrongs(|l| l.swap(4, 6)).contains(&Wrong::OutOfOrder));
        assert_eq!(wrongs(|l| l.insert(5, l[4].clone())), [], "delivered again, as it was");
        assert_eq!(wrongs(|l| l.push(l[0].replace("alice", "bob"))), [Wrong::Edited]);
        assert_eq!(wrongs(|l| l.truncate(10)), [Wrong::Truncated { anchored: 6 }, Wrong::Truncated { anchored: 6 }]);
        assert_eq!(wrongs(|l| l.retain(|r| !r.contains("\"b/"))), [Wrong::Truncated { anchored: 6 }]);
        assert_eq!(wrongs(|l| l[3].truncate(20))[0], Wrong::Unreadable);
        assert_eq!(wrongs(|l| drop(l.drain(..2)))[0], Wrong::Dropped { from: 1 });
    }

    #[test]
    fn an_edit_with_a_new_hash_breaks_the_chain_after_it_or_the_anchor() {
        let forge = |line: &str| {
            let mut v: Value = serde_json::from_str(&line.replace("alice", "bob")).unwrap();
            v["hash"] = Value::String(hash(&v));
            v.to_string()
        };
        assert_eq!(wrongs(|l| l[4] = forge(&l[4])), [Wrong::Unchained]);
        assert_eq!(wrongs(|l| l[10] = forge(&l[10])), [Wrong::NotTheAnchored]);
    }

    #[test]
    fn nobody_vouches_for_a_rewritten_chain() {
        // All of `a` is written anew with one record more, and an invented writer tells that head.
        let mut a = Chain::start("0123abcd", "a");
        let forged = Facts { name: Some("forged".into()), ..Facts::default() };
        let (mut lines, anchors) = written();
        lines.retain(|l| !l.contains("\"a/"));
        lines.extend((0..7).map(|i| a.append(What::GrantIntended, &forged, Time::from_secs(i))));
        let heads: BTreeMap<&str, (u64, &String)> = [("a", (a.head().sequence, &a.head().hash))].into();
        let facts = Facts { confirmed: serde_json::to_string(&heads).ok(), ..Facts::default() };
        lines.push(Chain::start("0123abcd", "z").append(What::ChainStarted, &facts, Time::from_secs(9)));
        let found: Vec<Wrong> = verify(lines, &anchors).findings.into_iter().map(|f| f.what).collect();
        assert_eq!(found, [Wrong::Unknown, Wrong::NotTheAnchored]);
    }

    #[test]
    fn a_later_writer_tells_the_heads_of_those_before() {
        let (mut lines, anchors) = written();
        let heads: BTreeMap<&String, (u64, &String)> = anchors.iter().map(|(w, h)| (w, (h.sequence, &h.hash))).collect();
        let facts = Facts { confirmed: serde_json::to_string(&heads).ok(), ..Facts::default() };
        lines.push(Chain::start("0123abcd", "c").append(What::ChainStarted, &facts, Time::from_secs(9)));
        assert!(verify(lines.clone(), &BTreeMap::new()).is_sound());
        lines.remove(10);
        assert!(verify(lines, &BTreeMap::new()).findings.iter().any(|f| f.what == Wrong::Truncated { anchored: 6 }));
    }
}
