//! The scanner against serde_json, on texts that are written in many ways.
use crate::log::{Random, Read, call, id, read, with};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CASES: u64 = 600;

type Table = BTreeMap<(String, String), (u64, i64)>;

/// What serde_json and plain code find in a file: calls by identity and operation, with their number and the newest time. None if a field is not what
/// this code knows, which only changed bytes do.
fn expected(file: &Value) -> Option<Table> {
    let mut found = Table::new();
    for record in file["Records"].as_array()? {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        match (text("/eventVersion")?, text("/eventType")?, text("/eventCategory")?) {
            ("3.0", ..) => continue,
            ("1.11", "AwsApiCall", "Management") => {}
            _ => return None,
        }
        if text("/errorCode").is_some() {
            continue;
        }
        let identity = match text("/userIdentity/type")? {
            "IAMUser" => text("/userIdentity/arn")?,
            "AssumedRole" => text("/userIdentity/sessionContext/sessionIssuer/arn")?,
            _ => return None,
        };
        let operation = format!("{}:{}", text("/eventSource")?.strip_suffix(".amazonaws.com")?, text("/eventName")?);
        let at: jiff::Timestamp = text("/eventTime")?.parse().ok()?;
        if !identity.starts_with("arn:") {
            return None;
        }
        let (count, last) = found.entry((identity.to_owned(), operation)).or_insert((0, i64::MIN));
        *count += 1;
        *last = at.as_second().max(*last);
    }
    Some(found)
}

fn got(read: &Read) -> Table {
    let mut found = Table::new();
    for used in &read.uses {
        let (count, last) = found.entry((used.identity.clone(), used.operation.clone())).or_insert((0, i64::MIN));
        *count += 1;
        *last = used.at.max(*last);
    }
    let table: Vec<_> = found.iter().map(|((identity, operation), (count, _))| (identity.clone(), operation.clone(), *count)).collect();
    assert_eq!(table, read.table);
    found
}

/// A text with what is special in JSON.
fn text(random: &mut Random) -> String {
    let parts = [
        "a",
        "\"",
        "\\",
        "\\\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "é",
        "\u{1f512}",
        "\n",
        "\t",
        "\u{1}",
        "{\"eventVersion\"",
        "eventName",
        " ",
    ];
    (0..random.below(12)).map(|_| *random.pick(&parts)).collect()
}

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 6 } else { 9 }) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.next() as i32),
        3 => json!(-1.5e-7),
        4 | 5 => json!(text(random)),
        6 => Value::Array((0..random.below(4)).map(|_| value(random, depth - 1)).collect()),
        _ => Value::Object((0..random.below(4)).map(|n| (format!("{}{n}", text(random)), value(random, depth - 1))).collect()),
    }
}

fn record(random: &mut Random, n: usize) -> Value {
    let (source, name) = *random.pick(&[("s3", "GetObject"), ("ec2", "RunInstances"), ("lambda", "Invoke"), ("x", "Ünknown")]);
    let mut record = with(call(source, name), "/eventID", json!(id(&n.to_string())));
    record = with(record, "/eventTime", json!(format!("2026-0{}-1{}T0{}:59:07Z", 1 + random.below(9), random.below(9), random.below(9))));
    let user = if random.below(2) == 0 {
        json!({"type": "IAMUser", "arn": format!("arn:aws:iam::1:user/{}", text(random).replace(':', ""))})
    } else {
        json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/r/s", "webIdFederationData": {}, "sessionContext": {
            "attributes": value(random, 1), "sessionIssuer": {"arn": format!("arn:aws:iam::1:role/{}", random.below(3)), "type": "Role"}}})
    };
    record = with(record, "/userIdentity", user);
    record = with(record, "/userIdentity/x", value(random, 2));
    for key in ["requestParameters", "responseElements", "additionalEventData", "tlsDetails", "resources", "userAgent"] {
        if random.below(2) == 0 {
            record[key] = value(random, 3);
        }
    }
    if random.below(8) == 0 {
        record["errorCode"] = json!("AccessDenied");
    }
    if random.below(8) == 0 {
        record["eventVersion"] = json!("3.0");
    }
    record
}

/// Writes a value with white space and escapes as they come, and keys in any order.
fn write(random: &mut Random, value: &Value, text: &mut String) {
    let space =
        |random: &mut Random, text: &mut String| (0..random.below(3)).for_each(|_| text.push(*random.pick(&[' ', '\n', '\t', '\r'])));
    space(random, text);
    match value {
        Value::String(string) => write_text(random, string, text),
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                text.push_str(if i == 0 { "" } else { "," });
                write(random, item, text);
            }
            space(random, text);
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            for i in (1..fields.len()).rev() {
                fields.swap(i, random.below(i + 1));
            }
            text.push('{');
            for (i, (key, value)) in fields.into_iter().enumerate() {
                text.push_str(if i == 0 { "" } else { "," });
                space(random, text);
                text.push_str(&json!(key).to_string());
                space(random, text);
                text.push(':');
                write(random, value, text);
            }
            space(random, text);
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
    space(random, text);
}

fn write_text(random: &mut Random, string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            c if u32::from(c) < 0x20 || c.is_ascii() && random.below(40) == 0 => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text.push('"');
}

fn file(random: &mut Random) -> (Value, String) {
    let records: Vec<Value> = (0..random.below(5)).map(|n| record(random, n)).collect();
    let file = json!({"Records": records, "z": value(random, 2)});
    let mut text = String::new();
    // The list first: before it, other members of the file would have to fit into the window.
    text.push_str("{\"Records\":");
    write(random, &file["Records"], &mut text);
    text.push_str(",\"z\":");
    write(random, &file["z"], &mut text);
    text.push('}');
    (file, text)
}

#[test]
fn the_scanner_finds_what_serde_json_finds() {
    let mut calls = 0;
    for seed in 0..CASES {
        let mut random = Random(seed);
        let (file, text) = file(&mut random);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), file, "seed {seed}: the text is the file");
        let read = read(text.as_bytes());
        assert!(read.problems.is_empty(), "seed {seed}: {:?}\n{text}", read.problems);
        let expected = expected(&file).unwrap();
        assert_eq!(got(&read), expected, "seed {seed}\n{text}");
        calls += expected.len();
    }
    assert!(calls > 600, "{calls}");
}

/// A changed byte is a problem, or changes only what it is a part of; nothing panics, and the records before it count.
#[test]
fn changed_bytes_do_no_harm_elsewhere() {
    let mut compared = 0;
    for seed in 0..CASES {
        let mut random = Random(seed);
        let (_, text) = file(&mut random);
        let mut bytes = text.clone().into_bytes();
        let at = random.below(bytes.len());
        bytes[at] = *random.pick(&[b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', b'0', b'x', 0, 0xff]);
        let got = read(&bytes);
        if let Ok(changed) = serde_json::from_slice::<Value>(&bytes)
            && got.problems.is_empty()
            && let Some(expected) = expected(&changed)
        {
            assert_eq!(self::got(&got), expected, "seed {seed}, byte {at}");
            compared += 1;
        }
        let cut = read(&bytes[..at]);
        assert!(cut.uses.len() <= got.uses.len(), "seed {seed}, byte {at}: {:?}", got.problems);
    }
    assert!(compared > 80, "{compared}");
}
