//! Input that is not what it should be.
use crate::log::{call, gzip, id, lines, read, read_all, read_records, trail, with, written};
use curfew_analytics::aws::cloudtrail;
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

fn records(count: usize) -> Vec<Value> {
    (0..count).map(|n| with(call("s3", "ListBuckets"), "/eventID", json!(id(&n.to_string())))).collect()
}

/// The records before the end count, and the problem says what to do.
#[test]
fn a_file_that_is_cut_anywhere_keeps_what_is_before() {
    let records = records(3);
    for whole in [trail(&records), lines(&records)] {
        let ends: Vec<usize> = (0..records.len()).map(|n| whole.len() - tail(&whole, n)).collect();
        for length in (0..whole.len()).step_by(7) {
            let got = read(&whole[..length]);
            let before = ends.iter().filter(|end| **end <= length).count() as u64;
            assert_eq!(got.counts.records, before, "cut at {length}: {:?}", got.problems);
            let between_lines =
                whole.starts_with(b"{\"eventV") && (length == 0 || ends.iter().any(|end| *end == length || *end + 1 == length));
            assert_eq!(got.problems.len(), usize::from(!between_lines && length > 0), "cut at {length}: {:?}", got.problems);
            assert!(
                got.problems.iter().all(|why| why.contains("ends too early") && why.contains("copy the file again")),
                "{:?}",
                got.problems
            );
        }
    }
}

/// The bytes after record n.
fn tail(whole: &[u8], n: usize) -> usize {
    let text = std::str::from_utf8(whole).unwrap();
    let ends: Vec<usize> = text
        .match_indices(r#""userIdentity""#)
        .map(|(at, _)| {
            let mut depth = 1;
            let mut quoted = false;
            let mut escaped = false;
            for (i, byte) in text.bytes().enumerate().skip(at) {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => quoted = !quoted,
                    b'{' | b'[' if !quoted => depth += 1,
                    b'}' | b']' if !quoted => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    return i + 1;
                }
            }
            text.len()
        })
        .collect();
    whole.len() - ends[n]
}

#[test]
fn a_gzip_file_that_is_cut_is_named() {
    let whole = gzip(&trail(&records(500)));
    let got = read(&whole[..whole.len() / 2]);
    assert_eq!(got.problems.len(), 1, "{:?}", got.problems);
    assert!(got.problems[0].contains("log.json:1: the gzip file ends too early"), "{:?}", got.problems);
    assert!(got.counts.records > 0 && got.counts.records < 500);
}

/// A record that is damaged is one problem, and those after it count.
#[test]
fn a_damaged_record_is_left_out_alone() {
    let good = records(3);
    let texts: Vec<String> = good.iter().map(written).collect();
    type Damage = fn(&str) -> String;
    let damages: [(&str, Damage); 8] = [
        ("cut in the middle", |text| text[..text.len() / 2].to_owned()),
        ("cut in a string", |text| text[..text.find("alice").unwrap()].to_owned()),
        ("a quote is missing", |text| text.replacen("\"IAMUser\"", "\"IAMUser", 1)),
        ("a colon is missing", |text| text.replacen("\"eventTime\":", "\"eventTime\" ", 1)),
        ("a value is missing", |text| text.replacen("\"readOnly\":true", "\"readOnly\":", 1)),
        ("a word is not JSON", |text| text.replacen("\"readOnly\":true", "\"readOnly\":True", 1)),
        ("a brace is too many", |text| format!("{text}}}")),
        ("its end is missing", |text| text[..text.len() - 1].to_owned()),
    ];
    for (name, damage) in damages {
        let middle = damage(&texts[1]);
        let list = format!(r#"{{"Records":[{},{middle},{}]}}"#, texts[0], texts[2]);
        let lines = format!("{}\n{middle}\n{}\n", texts[0], texts[2]);
        for file in [list, lines] {
            let got = read(file.as_bytes());
            let lost = u64::from(name != "a brace is too many");
            assert_eq!(got.counts.records, 3 - lost, "{name}: {:?}", got.problems);
            assert!(!got.problems.is_empty() && got.problems.len() <= 2, "{name}: {:?}", got.problems);
        }
    }
}

#[test]
fn a_line_is_named() {
    let texts: Vec<String> = records(3).iter().map(written).collect();
    let got = read(format!("{}\n{}\nnonsense\n{}\n", texts[0], texts[1], texts[2]).as_bytes());
    assert_eq!(got.counts.records, 3);
    assert!(got.problems[0].starts_with("log.json:3: ") && got.problems[0].contains("not JSON of CloudTrail"), "{:?}", got.problems);
}

/// What is balanced and odd is left out by itself, also if the records do not begin with their version.
#[test]
fn odd_items_of_a_list_are_left_out() {
    let record = serde_json::to_string(&json!({"a": 1, "eventName": "ListBuckets"})).unwrap();
    let sorted = records(1)[0].to_string();
    assert!(!sorted.starts_with(r#"{"eventVersion""#));
    let got = read(
        format!(
            r#"[3, null, "x", [{sorted}], {record}, {{"eventVersion":"1.08"}}, {{"detail": {{"eventVersion": "1.08", 5}}}}, {sorted}]"#
        )
        .as_bytes(),
    );
    assert_eq!((got.counts.records, got.counts.uses), (2, 1), "{:?}", got.problems);
    assert_eq!(got.counts.unknown_versions.0, [("eventVersion none".to_owned(), 1)].into());
    assert_eq!(got.problems.len(), 7, "{:#?}", got.problems);
}

#[test]
fn records_of_unknown_versions_are_counted_by_name() {
    let version = |version: &str| with(call("s3", "ListBuckets"), "/eventVersion", json!(version));
    let got = read_records(&[version("2.0"), version("2.0"), version("1.99"), version("x")]);
    let names: Vec<(&str, u64)> = got.counts.unknown_versions.0.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(names, [("eventVersion 2.0", 2), ("eventVersion x", 1)]);
    assert_eq!((got.counts.records, got.uses.len()), (1, 1), "a minor version is compatible");
}

#[test]
fn a_record_that_lacks_what_is_needed_is_a_problem() {
    for (pointer, value, why) in [
        ("/eventTime", Value::Null, "it has no eventTime"),
        ("/eventTime", json!("yesterday"), "its eventTime is not a time"),
        ("/eventName", Value::Null, "it has no eventSource or no eventName"),
        ("/eventSource", json!(7), "it has no eventSource or no eventName"),
    ] {
        let got = read_records(&[with(call("s3", "ListBuckets"), pointer, value), with(call("s3", "ListBuckets"), "/eventID", json!("2"))]);
        assert_eq!((got.counts.records, got.problems.len()), (1, 1), "{pointer}");
        assert!(got.problems[0].contains("record 1: ") && got.problems[0].contains(why), "{:?}", got.problems);
    }
}

#[test]
fn names_are_bounded() {
    let many: Vec<Value> = (0..1500)
        .map(|n| {
            with(
                with(call("new", &format!("Operation{n}{}", "x".repeat(300))), "/eventID", json!(id(&n.to_string()))),
                "/errorCode",
                Value::Null,
            )
        })
        .collect();
    let got = read_records(&many);
    assert_eq!((got.counts.unmapped.0.len(), got.counts.unmapped.total()), (1001, 1500));
    assert!(got.counts.unmapped.0.keys().all(|name| name.len() <= 210) && got.counts.unmapped.0.contains_key("others"));
}

/// Uses of more resources than are kept count for every resource.
#[test]
fn resources_are_bounded() {
    let many: Vec<Value> = (0..1100)
        .map(|n| {
            with(
                with(call("s3", "GetBucketPolicy"), "/requestParameters", json!({"bucketName": format!("b{n}")})),
                "/eventID",
                json!(id(&n.to_string())),
            )
        })
        .collect();
    let got = read_records(&many);
    let action = got.usage.identities.values().next().unwrap().actions.values().next().unwrap();
    assert_eq!((action.resources.len(), action.unnamed), (curfew_analytics::aws::usage::MAX_RESOURCES, Some(crate::log::NOON)));
}

#[test]
fn other_files_of_a_trails_bucket_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &[u8]| {
        let path = directory.path().join("AWSLogs/123456789012").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let digest = br#"{"awsAccountId":"123456789012","digestStartTime":"2026-11-26T12:00:00Z","logFiles":[]}"#;
    write("CloudTrail/eu-central-1/2026/11/26/123456789012_CloudTrail_eu-central-1_20261126T1300Z_abc.json.gz", &gzip(&trail(&records(2))));
    write("CloudTrail/us-east-1/2026/11/26/123456789012_CloudTrail_eu-central-1_20261126T1300Z_abc.json.gz", &gzip(&trail(&records(2))));
    write("CloudTrail/us-east-1/2026/11/25/empty.json", b"");
    write("CloudTrail-Digest/eu-central-1/2026/11/26/d.json.gz", &gzip(digest));
    write("CloudTrail-Insight/eu-central-1/2026/11/26/i.json.gz", b"not read");
    let logs = cloudtrail::find(&[directory.path().to_owned()]).unwrap();
    assert_eq!((logs.files.len(), logs.skipped), (2, 3));
    let mut problems = Default::default();
    let (mut bytes, mut told) = (0, 0);
    let actions = curfew_analytics::aws::catalogue::Actions::builtin();
    let reader = cloudtrail::read(actions, i64::MAX, &logs.files, &mut problems, |n| bytes += n, |_| told += 1);
    assert_eq!((reader.counts.records, reader.counts.duplicates, told, problems.count), (4, 2, 2, 0));
    assert_eq!(bytes, logs.files.iter().map(|file| file.size).sum::<u64>());
    // A digest file that was moved is told by its content.
    let got = read_all(&[digest]);
    assert_eq!((got.counts.skipped_files, got.counts.records, got.problems.len()), (1, 0, 0));
    let missing = cloudtrail::find(&[PathBuf::from("/does/not/exist")]).unwrap_err().to_string();
    assert!(missing.contains("--cloudtrail takes files and directories"), "{missing}");
}
