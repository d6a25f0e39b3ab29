//! Log directories.
use super::{counted, line, shared, system};
use curfew_analytics::{
    live::logs::{Files, read_source},
    store::Batch,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::{fs, io::Write};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_log_is_read_on_while_it_is_written_renamed_and_packed() {
    let directory = tempfile::tempdir().unwrap();
    let (shared, system) = (shared(directory.path()), system("s", json!({"usage": [{"auditLogs": {"directory": "audit"}}]})));
    let (source, logs) = (&system.usage_sources()[0], directory.path().join("logs/audit"));
    fs::create_dir(&logs).unwrap();
    let mut files = Files::default();
    let round = |files: &mut Files| {
        files.turn();
        read_source(&shared, &system, source, files);
        counted(&shared, "s").into_iter().map(|(_, count)| count).sum::<u64>()
    };
    let lines: Vec<String> = (0..9).map(|id| line(id, "u")).collect();
    let write = |name: &str, text: &str| fs::write(logs.join(name), text).unwrap();
    assert_eq!(round(&mut files), 0, "an empty directory");
    // The last line is not whole yet.
    write("audit.log", &(lines[..3].concat() + &lines[3][..40]));
    assert_eq!(round(&mut files), 3);
    write("audit.log", &lines[..5].concat());
    assert_eq!(round(&mut files), 5);
    // Rotated, and a new file in its place.
    fs::rename(logs.join("audit.log"), logs.join("audit-2026.log")).unwrap();
    write("audit.log", &lines[5..7].concat());
    assert_eq!(round(&mut files), 7);
    // Packed by something else, with a line that was not read before it was renamed.
    fs::write(logs.join("audit-2026.log.gz"), gzip(&(lines[..5].concat() + &lines[7]).into_bytes())).unwrap();
    fs::remove_file(logs.join("audit-2026.log")).unwrap();
    assert_eq!(round(&mut files), 8);
    // A process that begins again reads on where the store says.
    assert_eq!(round(&mut Files::default()), 8);
    // Emptied and begun again under its name.
    write("audit.log", &lines[8]);
    assert_eq!(round(&mut files), 9);
    assert!(system.sources.read().is_empty(), "{:?}", system.sources.read());
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (shared, system) = (shared(directory.path()), system("s", json!({"usage": [{"auditLogs": {"directory": "audit"}}]})));
    let (source, logs) = (&system.usage_sources()[0], directory.path().join("logs/audit"));
    let mut files = Files::default();
    let told = |files: &mut Files| {
        files.turn();
        read_source(&shared, &system, source, files);
        system.sources.read().values().cloned().collect::<String>()
    };
    assert!(told(&mut files).contains("cannot list"), "no directory");
    fs::create_dir(&logs).unwrap();
    let packed = gzip(&(0..200).map(|id| line(id, "cut")).collect::<String>().into_bytes());
    fs::write(logs.join("cut.gz"), &packed[..packed.len() * 2 / 3]).unwrap();
    fs::write(logs.join("odd.log"), format!("{}not JSON\n{}", line(1000, "a"), line(1001, "a"))).unwrap();
    let problems = told(&mut files);
    assert!(problems.contains("the gzip file ends too early") && problems.contains("and 1 more"), "{problems}");
    let all = counted(&shared, "s");
    assert_eq!(all[0], ("a".into(), 2));
    assert!(all[1].0 == "cut" && (1..200).contains(&all[1].1), "{all:?}");
    // Copied again, whole.
    fs::write(logs.join("cut.gz"), &packed).unwrap();
    told(&mut files);
    assert_eq!(counted(&shared, "s")[1].1, 200);
}

#[test]
fn a_file_of_a_trail_is_read_once_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (shared, system) = (shared(directory.path()), system("s", json!({"usage": [{"cloudTrail": {"directory": "trail"}}]})));
    let (source, logs) = (&system.usage_sources()[0], directory.path().join("logs/trail"));
    fs::create_dir(&logs).unwrap();
    let at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let record = |id: u32| {
        json!({"eventVersion": "1.08", "eventID": format!("00000000-0000-4000-8000-{id:012}"), "eventTime": at,
            "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets", "awsRegion": "us-east-1", "eventType": "AwsApiCall",
            "recipientAccountId": "111122223333", "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/dana",
            "accountId": "111122223333", "userName": "dana", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}})
    };
    let write = |name: &str, ids: &[u32]| {
        let text = json!({"Records": ids.iter().map(|id| record(*id)).collect::<Vec<_>>()}).to_string();
        fs::write(logs.join(name), gzip(text.as_bytes())).unwrap();
    };
    let mut files = Files::default();
    let round = |files: &mut Files| {
        files.turn();
        read_source(&shared, &system, source, files);
        assert!(system.sources.read().is_empty(), "{:?}", system.sources.read());
        counted(&shared, "s").into_iter().map(|(_, count)| count).sum::<u64>()
    };
    write("111122223333_CloudTrail_us-east-1_20261127T1200Z_a.json.gz", &[1, 2]);
    assert_eq!(round(&mut files), 2);
    write("111122223333_CloudTrail_us-east-1_20261127T1205Z_b.json.gz", &[2, 3]);
    assert_eq!(round(&mut files), 3);
    assert_eq!(round(&mut Files::default()), 3);
    assert_eq!(counted(&shared, "s")[0].0, "arn:aws:iam::111122223333:user/dana");
}

/// Directories of two trails may have the same last name. How far one was read says nothing about the other.
#[test]
fn directories_with_the_same_last_name_are_read_apart() {
    let directory = tempfile::tempdir().unwrap();
    let shared = shared(directory.path());
    let system = system("s", json!({"usage": [{"cloudTrail": {"directory": "x/trail"}}, {"cloudTrail": {"directory": "y/trail"}}]}));
    let at = jiff::Timestamp::now();
    for (id, parent) in [(1, "x"), (2, "y")] {
        let logs = directory.path().join("logs").join(parent).join("trail");
        fs::create_dir_all(&logs).unwrap();
        let record = json!({"eventVersion": "1.08", "eventID": format!("00000000-0000-4000-8000-{id:012}"),
            "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets",
            "awsRegion": "us-east-1", "eventType": "AwsApiCall", "recipientAccountId": "111122223333",
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/dana", "accountId": "111122223333", "userName": "dana"}});
        fs::write(logs.join("111122223333_CloudTrail_us-east-1_a.json"), json!({"Records": [record]}).to_string()).unwrap();
    }
    let mut files = Files::default();
    files.turn();
    read_source(&shared, &system, &system.usage_sources()[0], &mut files);
    // As if the first directory had files that came two hours later.
    let later = (at.as_second() + 7_200).to_string();
    for (source, _) in shared.store.watermarks("s").unwrap() {
        let batch = Batch { system: "s", source: &source, watermark: Some(&later), now: at.as_second() };
        shared.store.ingest(&batch, []).unwrap();
    }
    read_source(&shared, &system, &system.usage_sources()[1], &mut Files::default());
    assert_eq!(counted(&shared, "s").into_iter().map(|(_, count)| count).sum::<u64>(), 2);
}
