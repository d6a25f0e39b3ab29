//! Records and log files written out, and what is read from them.
use curfew_analytics::{
    aws::{
        catalogue::Actions,
        cloudtrail::{Implied, Reader, Use},
        usage::{Fold, Usage},
    },
    files::Problems,
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use std::{io::Write, path::Path};

pub const ACCOUNT: &str = "123456789012";
/// 2026-11-26T13:00:00Z.
pub const NOON: i64 = 1_795_698_000;

/// A successful call of a user, as CloudTrail writes it.
pub fn call(source: &str, name: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDAEXAMPLE", "arn": format!("arn:aws:iam::{ACCOUNT}:user/alice"), "accountId": ACCOUNT,
            "accessKeyId": "AKIAEXAMPLE", "userName": "alice"
        },
        "eventTime": "2026-11-26T13:00:00Z",
        "eventSource": format!("{source}.amazonaws.com"),
        "eventName": name,
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.31 \"quoted\" \\ {[",
        "requestParameters": null,
        "responseElements": null,
        "requestID": "r",
        "eventID": id(&format!("{source} {name}")),
        "readOnly": true,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management"
    })
}

/// A UUID made of a text.
pub fn id(text: &str) -> String {
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u128, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_01b3_0000_0193));
    let digits = format!("{hash:032x}");
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// What was read.
pub struct Read {
    pub uses: Vec<Told>,
    pub usage: Usage,
    pub counts: curfew_analytics::aws::cloudtrail::Counts,
    pub problems: Vec<String>,
    pub table: Vec<(String, String, u64)>,
}

/// A use, owned.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Told {
    pub identity: String,
    pub operation: String,
    pub at: i64,
    pub key: Option<String>,
    pub resources: Vec<String>,
    pub implied: Vec<Implied>,
}

impl From<&Use<'_>> for Told {
    fn from(of: &Use<'_>) -> Self {
        Self {
            identity: of.identity.into(),
            operation: of.operation.into(),
            at: of.at,
            key: of.key.map(Into::into),
            resources: of.resources.to_vec(),
            implied: of.implied.to_vec(),
        }
    }
}

/// Reads files, given by their content.
pub fn read_all(files: &[&[u8]]) -> Read {
    let actions = Actions::builtin();
    let (mut reader, mut fold, mut problems, mut uses) = (Reader::new(actions, i64::MAX), Fold::default(), Problems::default(), Vec::new());
    for file in files {
        let unpacked: Box<dyn std::io::Read> =
            if file.starts_with(&[0x1f, 0x8b]) { Box::new(flate2::read::MultiGzDecoder::new(*file)) } else { Box::new(*file) };
        reader.stream(unpacked, Path::new("log.json"), &mut problems, |used| {
            fold.record(used);
            uses.push(Told::from(used));
        });
    }
    let usage = fold.usage(actions, reader.hours, reader.newest);
    let mut table: Vec<_> = fold.table().map(|(identity, operation, count)| (identity.into(), operation.into(), count)).collect();
    table.sort();
    let problems =
        problems.first.iter().map(|problem| format!("{}:{}: {}", problem.file, problem.line.unwrap_or(0), problem.message)).collect();
    Read { uses, usage, counts: reader.counts, problems, table }
}

/// Reads one file.
pub fn read(file: &[u8]) -> Read {
    read_all(&[file])
}

/// Reads records as a trail writes them.
pub fn read_records(records: &[Value]) -> Read {
    read(&trail(records))
}

/// A file of a trail. Records begin with their version, as CloudTrail writes them.
pub fn trail(records: &[Value]) -> Vec<u8> {
    format!(r#"{{"Records":[{}]}}"#, records.iter().map(written).collect::<Vec<_>>().join(",")).into_bytes()
}

/// JSON lines.
pub fn lines(records: &[Value]) -> Vec<u8> {
    records.iter().map(|record| written(record) + "\n").collect::<String>().into_bytes()
}

/// A record with its version in front.
pub fn written(record: &Value) -> String {
    let Value::Object(fields) = record else { return record.to_string() };
    let version = fields.get("eventVersion").into_iter().map(|version| format!(r#""eventVersion":{version}"#));
    let others = fields.iter().filter(|(key, _)| *key != "eventVersion").map(|(key, value)| format!("{}:{value}", json!(key)));
    format!("{{{}}}", version.chain(others).collect::<Vec<_>>().join(","))
}

pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Changes one field, given as a JSON pointer; missing objects are made.
pub fn with(mut record: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut record;
    for key in pointer.trim_start_matches('/').split('/') {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
    record
}

/// Numbers that look random, the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
