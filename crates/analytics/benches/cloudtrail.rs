//! How quickly CloudTrail records become the table of (identity, operation, calls), beside DuckDB's JSON reader and plain Python, each on one thread.
//!
//! `cargo bench -p curfew-analytics --no-default-features --bench cloudtrail`; with `-- own`, ours alone, for a profiler. All read the same files in turn, and must give the same table before
//! any time counts. Times are of the processor, so that other work on the machine counts little. Ours also reads times, identifiers (to count nothing twice), access keys and resources.
use curfew_analytics::{
    aws::{catalogue::Actions, cloudtrail, usage::Fold},
    files::Problems,
};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

const RECORDS: usize = 100_000;
/// The records of one file: 5 MB, as a busy trail writes them.
const PER_FILE: usize = 5_000;
const ROUNDS: usize = 5;

fn main() {
    let directory = tempfile::tempdir().expect("a directory for the records");
    let own = std::env::args().any(|argument| argument == "own");
    let python = if own { PathBuf::new() } else { peers().join("bin/python") };
    let texts: Vec<String> = (0..RECORDS).map(record).collect();
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{RECORDS} records of {} bytes on average; {ROUNDS} rounds, each tool in turn; the median", bytes / RECORDS);
    for (form, packed) in [("lines", false), ("trail", false), ("lines", true), ("trail", true)] {
        let name = format!("{form}{}", if packed { "-gzip" } else { "" });
        let files = directory.path().join(&name);
        fs::create_dir(&files).expect("a directory for the records");
        for (n, part) in texts.chunks(PER_FILE).enumerate() {
            let text = if form == "lines" { part.join("\n") + "\n" } else { format!("{{\"Records\":[{}]}}", part.join(",")) };
            let (end, content) = if packed { (".gz", gzip(text.as_bytes())) } else { ("", text.into_bytes()) };
            fs::write(files.join(format!("{n:03}.json{end}")), content).expect("space for the records");
        }
        if own { profile(&files) } else { compare(&python, &files) }
    }
}

/// Reads the files of one form often, with ours alone.
fn profile(files: &Path) {
    let times = (0..ROUNDS * 4).map(|_| read(files).0).collect();
    println!("{:<20} {:.0} records/s", files.file_name().expect("it was made here").to_string_lossy(), RECORDS as f64 / median(times));
}

/// Reads the files of one form with every tool.
fn compare(python: &Path, files: &Path) {
    let peers = ["duckdb", "orjson", "python"];
    let (mut own, mut others) = (Vec::new(), [const { Vec::new() }; 3]);
    for _ in 0..ROUNDS {
        let (seconds, table) = read(files);
        own.push(seconds);
        for (peer, times) in peers.iter().zip(&mut others) {
            let (seconds, other) = peer_reads(python, peer, files);
            assert_eq!(table, other, "{peer} gives another table of {}", files.display());
            times.push(seconds);
        }
    }
    let name = files.file_name().expect("it was made here").to_string_lossy();
    let own = median(own);
    print!("{name:<20} curfew {:>9.0} records/s", RECORDS as f64 / own);
    for (peer, times) in peers.iter().zip(others) {
        let seconds = median(times);
        print!("; {peer} {:>9.0}, ratio {:.2}", RECORDS as f64 / seconds, seconds / own);
    }
    println!();
}

fn read(files: &Path) -> (f64, String) {
    let actions = Actions::builtin();
    let (mut fold, mut problems) = (Fold::default(), Problems::default());
    let started = processor_time();
    let logs = cloudtrail::find(&[files.to_owned()]).expect("the files are there");
    let reader = cloudtrail::read(actions, i64::MAX, &logs.files, &mut problems, |_| {}, |used| fold.record(used));
    let mut table: Vec<(&str, &str, u64)> = fold.table().collect();
    let seconds = processor_time() - started;
    assert_eq!((problems.count, reader.counts.records), (0, RECORDS as u64));
    table.sort_unstable();
    let mut hash = Sha256::new();
    table.iter().for_each(|(identity, operation, count)| hash.update(format!("{identity} {operation} {count}\n")));
    (seconds, hex(&hash.finalize()))
}

/// The seconds for which this thread ran, as Linux counts them.
fn processor_time() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
    let nanoseconds: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number");
    nanoseconds / 1e9
}

fn peer_reads(python: &Path, peer: &str, files: &Path) -> (f64, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cloudtrail.py");
    let output = Command::new(python).args([script, peer]).arg(files).output().expect("Python runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{peer}: {}", String::from_utf8_lossy(&output.stderr));
    let (seconds, hash) = text.trim().split_once(' ').expect("seconds and a hash");
    (seconds.parse().expect("seconds"), hash.to_owned())
}

/// The environment with the peers: DuckDB and orjson.
fn peers() -> PathBuf {
    let build = concat!(env!("CARGO_MANIFEST_DIR"), "/../../hack/peers/build");
    let output = Command::new(build).output().expect("hack/peers/build runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().into()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("memory");
    encoder.finish().expect("memory")
}

/// The calls of the synthetic account: event source, event name, parameters.
const CALLS: &[(&str, &str, &str)] = &[
    (
        "ec2",
        "DescribeInstances",
        r#"{"instancesSet":{},"filterSet":{"items":[{"name":"tag:Name","valueSet":{"items":[{"value":"web"}]}}]}}"#,
    ),
    ("ec2", "DescribeVolumes", r#"{"maxResults":1000,"volumeSet":{},"filterSet":{}}"#),
    ("ec2", "StartInstances", r#"{"instancesSet":{"items":[{"instanceId":"i-0abcdef1234567890"}]}}"#),
    ("s3", "GetBucketAcl", r#"{"bucketName":"BUCKET","Host":"s3.eu-central-1.amazonaws.com","acl":""}"#),
    ("s3", "ListBuckets", r#"{"Host":"s3.amazonaws.com"}"#),
    ("kms", "Decrypt", r#"{"encryptionContext":{"aws:s3:arn":"arn:aws:s3:::BUCKET"},"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}"#),
    ("sts", "GetCallerIdentity", "null"),
    ("iam", "GetUser", r#"{"userName":"USER"}"#),
    ("iam", "ListRoles", "null"),
    ("logs", "CreateLogStream", r#"{"logGroupName":"/aws/lambda/BUCKET","logStreamName":"2026/11/26/[$LATEST]0123456789abcdef"}"#),
    ("dynamodb", "DescribeTable", r#"{"tableName":"BUCKET"}"#),
    ("lambda", "GetFunction20150331v2", r#"{"functionName":"arn:aws:lambda:eu-central-1:123456789012:function:BUCKET"}"#),
    ("secretsmanager", "GetSecretValue", r#"{"secretId":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:BUCKET-AbCdEf"}"#),
    ("monitoring", "PutMetricAlarm", r#"{"alarmName":"a \"quoted\" name","threshold":1.5,"dimensions":[{"name":"x","value":"y"}]}"#),
];

/// Record number n, as CloudTrail writes it: the same in each run.
fn record(n: usize) -> String {
    let random = |salt: u64| {
        let mut z = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let (source, name, parameters) = CALLS[(random(1) % CALLS.len() as u64) as usize];
    let who = random(2) % 300;
    let parameters = parameters.replace("BUCKET", &format!("bucket-{}", random(3) % 50)).replace("USER", &format!("user-{who}"));
    let id = format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        random(4) >> 32,
        random(5) >> 48,
        random(6) >> 52,
        random(7) >> 52,
        random(8) >> 16
    );
    let seconds = random(9) % 86_400;
    let time = format!("2026-11-{:02}T{:02}:{:02}:{:02}Z", 1 + random(10) % 28, seconds / 3600, seconds / 60 % 60, seconds % 60);
    let user = if who < 250 {
        format!(
            r#"{{"type":"AssumedRole","principalId":"AROAEXAMPLEEXAMPLE{who:03}:session-{0}","arn":"arn:aws:sts::123456789012:assumed-role/role-{who}/session-{0}","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE{who:03}","sessionContext":{{"sessionIssuer":{{"type":"Role","principalId":"AROAEXAMPLEEXAMPLE{who:03}","arn":"arn:aws:iam::123456789012:role/role-{who}","accountId":"123456789012","userName":"role-{who}"}},"attributes":{{"creationDate":"{time}","mfaAuthenticated":"false"}}}}}}"#,
            random(11) % 1000
        )
    } else {
        format!(
            r#"{{"type":"IAMUser","principalId":"AIDAEXAMPLEEXAMPLE{who:03}","arn":"arn:aws:iam::123456789012:user/user-{who}","accountId":"123456789012","accessKeyId":"AKIAEXAMPLE{who:03}","userName":"user-{who}"}}"#
        )
    };
    let error = if random(12).is_multiple_of(20) {
        r#""errorCode":"AccessDenied","errorMessage":"User is not authorized to perform: an action on resource: * because no identity-based policy allows it","#
    } else {
        ""
    };
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{user},"eventTime":"{time}","eventSource":"{source}.amazonaws.com","eventName":"{name}","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.{}","userAgent":"aws-cli/2.31.0 md/awscrt#0.27.2 ua/2.1 os/linux#6.8 md/arch#x86_64 lang/python#3.13 cfg/retry-mode#standard",{error}"requestParameters":{parameters},"responseElements":null,"requestID":"{id}","eventID":"{id}","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012","eventCategory":"Management","tlsDetails":{{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"{source}.eu-central-1.amazonaws.com"}}}}"#,
        random(13) % 256
    )
}
