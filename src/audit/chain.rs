//! Records of one writer, each with the hash of the one before: none can be edited, dropped or moved unseen. Pure.
use super::record::{EventData, EventKind, Place, record};
use curfew_core::time::Time;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What stands before the first record.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How far a chain has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number of the last record.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

/// The chain of one writer.
#[derive(Clone, Debug)]
pub struct Chain {
    install: String,
    writer: String,
    head: Head,
}

impl Chain {
    /// An empty chain. A writer is one process, so that no two ever write the same number.
    pub fn start(install: &str, writer: &str) -> Self {
        Chain { install: install.into(), writer: writer.into(), head: Head { sequence: 0, hash: GENESIS_HASH.into() } }
    }

    /// Who writes.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// How far it has come.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next record, as one line without its end.
    pub fn append(&mut self, what: EventKind, facts: &EventData, at: Time) -> String {
        let sequence = self.head.sequence + 1;
        let place = Place { install: &self.install, writer: &self.writer, sequence, previous: &self.head.hash };
        let mut value = record(place, what, facts, at);
        let hash = hash(&value);
        value["hash"] = Value::String(hash.clone());
        self.head = Head { sequence, hash };
        value.to_string()
    }
}

/// SHA-256 over the record without its own hash, keys sorted.
pub fn hash(record: &Value) -> String {
    let mut bare = record.clone();
    if let Some(o) = bare.as_object_mut() {
        o.remove("hash");
    }
    Sha256::digest(canonical(&bare).as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// JSON with sorted keys and no spaces, whatever order a parser keeps.
fn canonical(v: &Value) -> String {
    match v {
        Value::Object(o) => {
            let mut keys: Vec<&String> = o.keys().collect();
            keys.sort();
            let members: Vec<String> = keys.into_iter().map(|k| format!("{}:{}", Value::String(k.clone()), canonical(&o[k]))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(a) => format!("[{}]", a.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
