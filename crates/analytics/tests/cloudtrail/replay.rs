//! What does not matter: how often a record is read, in which order, and in which form of file.
use crate::log::{Random, Read, call, gzip, id, lines, read, read_all, trail, with, written};
use curfew_analytics::aws::{catalogue::Actions, cloudtrail, usage::Fold};
use serde_json::{Value, json};

/// Calls of some users at different times.
fn records(count: usize) -> Vec<Value> {
    let mut random = Random(7);
    (0..count)
        .map(|n| {
            let (source, name) =
                *random.pick(&[("s3", "GetBucketPolicy"), ("ec2", "DescribeInstances"), ("iam", "CreateRole"), ("kms", "New")]);
            let record =
                with(call(source, name), "/userIdentity/arn", json!(format!("arn:aws:iam::123456789012:user/u{}", random.below(4))));
            let record = with(record, "/eventTime", json!(format!("2026-11-2{}T1{}:00:00Z", random.below(6), random.below(9))));
            let record = with(record, "/requestParameters", json!({"bucketName": format!("b{}", random.below(3)), "tags": [{}]}));
            with(record, "/eventID", json!(id(&n.to_string())))
        })
        .collect()
}

/// Everything but how records were counted.
fn same(a: &Read, b: &Read) -> bool {
    a.usage == b.usage && a.table == b.table
}

#[test]
fn a_record_that_is_read_twice_is_counted_once() {
    let records = records(200);
    let file = trail(&records);
    let (once, twice) = (read(&file), read_all(&[&file, &gzip(&file), &lines(&records)]));
    assert!(same(&once, &twice));
    assert_eq!((once.counts.records, twice.counts.records, twice.counts.duplicates), (200, 600, 400));
    assert_eq!(once.counts.uses, twice.counts.uses);
    assert_eq!(once.counts.unmapped, twice.counts.unmapped);
    assert!(once.counts.unmapped.total() > 0 && twice.problems.is_empty());
}

#[test]
fn the_order_of_records_and_files_does_not_matter() {
    let mut records = records(200);
    let all = read(&trail(&records));
    let mut random = Random(3);
    for _ in 0..10 {
        for i in (1..records.len()).rev() {
            records.swap(i, random.below(i + 1));
        }
        let (first, second) = records.split_at(random.below(200));
        let other = read_all(&[&trail(second), &lines(first)]);
        assert!(same(&all, &other));
        assert_eq!(all.counts, other.counts);
    }
}

/// A record without an identifier cannot be told from its copy: the usage is the same, and only its number differs.
#[test]
fn without_identifiers_the_usage_is_the_same() {
    let records: Vec<Value> = records(20).into_iter().map(|record| with(record, "/eventID", Value::Null)).collect();
    let file = trail(&records);
    let (once, twice) = (read(&file), read_all(&[&file, &file]));
    assert!(once.usage == twice.usage);
    assert_eq!((once.counts.uses * 2, twice.counts.duplicates), (twice.counts.uses, 0));
}

#[test]
fn every_form_of_a_file_is_read() {
    let records = records(40);
    let expected = read(&trail(&records));
    let pretty = serde_json::to_string_pretty(&json!({"Records": records})).unwrap();
    let array = serde_json::to_string_pretty(&records).unwrap();
    let texts: Vec<Value> =
        records.iter().map(|record| json!({"EventId": "x", "Username": "y", "CloudTrailEvent": written(record)})).collect();
    let lookup = json!({"Events": texts, "NextToken": "t"}).to_string();
    let messages: Vec<Value> = records.iter().map(|record| json!({"id": "1", "timestamp": 1, "message": written(record)})).collect();
    let logs = json!({"messageType": "DATA_MESSAGE", "logEvents": messages}).to_string();
    let filtered = json!({"events": messages, "searchedLogStreams": []}).to_string();
    let bridge: String =
        records.iter().map(|record| json!({"version": "0", "id": "i", "detail": record, "resources": []}).to_string() + "\n").collect();
    let marked = [b"\xef\xbb\xbf".as_slice(), &trail(&records)].concat();
    let members = [gzip(&lines(&records[..20])), gzip(&lines(&records[20..]))].concat();
    let forms: [(&str, &[u8]); 10] = [
        ("JSON lines", &lines(&records)),
        ("pretty", pretty.as_bytes()),
        ("an array", array.as_bytes()),
        ("LookupEvents", lookup.as_bytes()),
        ("a subscription of CloudWatch Logs", logs.as_bytes()),
        ("FilterLogEvents", filtered.as_bytes()),
        ("EventBridge", bridge.as_bytes()),
        ("a byte order mark", &marked),
        ("gzip", &gzip(&trail(&records))),
        ("gzip of two parts", &members),
    ];
    for (name, form) in forms {
        let got = read(form);
        assert!(got.problems.is_empty(), "{name}: {:?}", got.problems);
        assert_eq!(got.counts, expected.counts, "{name}");
        assert!(same(&got, &expected), "{name}");
    }
}

#[test]
fn a_file_is_read_in_parts_that_end_anywhere() {
    /// Gives a few bytes at a time.
    struct Slow<'a>(&'a [u8], Random);
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = (1 + self.1.below(700)).min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    // More than one window of 1 MiB.
    let records = records(4000);
    let file = trail(&records);
    assert!(file.len() > 2_200_000);
    let actions = Actions::builtin();
    let (mut reader, mut fold, mut problems) = (cloudtrail::Reader::new(actions, i64::MAX), Fold::default(), Default::default());
    reader.stream(Slow(&file, Random(1)), std::path::Path::new("x"), &mut problems, |used| fold.record(used));
    assert_eq!((reader.counts.records, problems.count), (4000, 0));
    assert!(fold.usage(actions, reader.hours, reader.newest) == read(&lines(&records)).usage);
}

#[test]
fn rows_of_a_store_give_the_same_usage() {
    let all = read(&trail(&records(300)));
    let mut fold = Fold::default();
    for used in &all.uses {
        let resources = used.resources.iter().map(|resource| (used.operation.as_str(), Some(resource.as_str())));
        let resources: Vec<_> = if used.resources.is_empty() { vec![(used.operation.as_str(), None)] } else { resources.collect() };
        let implied = used.implied.iter().map(|implied| (implied.operation.as_str(), implied.resource.as_deref()));
        for (operation, resource) in resources.into_iter().chain(implied) {
            fold.add(&used.identity, operation, resource, used.at, 0);
        }
        used.key.iter().for_each(|key| fold.key(&used.identity, key, used.at));
    }
    assert!(fold.usage(Actions::builtin(), all.usage.hours.clone(), all.usage.newest) == all.usage);
}

#[test]
fn records_after_the_end_do_not_count() {
    let actions = Actions::builtin();
    let mut reader = cloudtrail::Reader::new(actions, crate::log::NOON);
    let late = with(call("ec2", "DescribeVpcs"), "/eventTime", json!("2026-11-26T13:00:01Z"));
    let mut told = 0;
    reader.stream(&trail(&[late, call("ec2", "DescribeInstances")])[..], std::path::Path::new("x"), &mut Default::default(), |_| told += 1);
    assert_eq!((told, reader.counts.after_window, reader.newest), (1, 1, Some(crate::log::NOON)));
}
