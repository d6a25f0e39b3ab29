//! The audit records of one writer. Each contains the hash of its predecessor, so that editing, dropping or reordering a record
//! is detectable. No I/O.
use super::record::{EventData, EventKind, Place, record};
use curfew_core::time::Time;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The `prevhash` of the first record of a chain.
pub const GENESIS_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The last record of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The sequence number of the last record; 0 while the chain is empty.
    pub sequence: u64,
    /// The SHA-256 of the last record, in hex.
    pub hash: String,
}

/// Numbers and hashes the records of one writer.
#[derive(Clone, Debug)]
pub struct Chain {
    install: String,
    writer: String,
    head: Head,
}

impl Chain {
    /// Starts an empty chain. `writer` names one process, so that two processes never write the same sequence number.
    pub fn start(install: &str, writer: &str) -> Self {
        Chain { install: install.into(), writer: writer.into(), head: Head { sequence: 0, hash: GENESIS_HASH.into() } }
    }

    /// The name of the writer, as in `source` and `id` of its records.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// The last record that was appended.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Appends a record and returns it as one line of JSON, without the newline.
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

/// Returns the SHA-256 (hex) of the canonical JSON of a record without its own `hash`.
pub fn hash(record: &Value) -> String {
    let mut unhashed = record.clone();
    if let Some(members) = unhashed.as_object_mut() {
        members.remove("hash");
    }
    Sha256::digest(canonical(&unhashed).as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns JSON with sorted keys and no spaces. The result does not depend on the key order that a parser keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            let members: Vec<String> =
                keys.into_iter().map(|key| format!("{}:{}", Value::String(key.clone()), canonical(&object[key]))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}
