//! Ids of traces and spans. They follow from the uid of the request, so that every replica, every restart and the process that only revokes
//! write into one trace, and nothing has to be stored. Pure.
use sha2::{Digest, Sha256};
use std::fmt;

/// The id of a trace, 16 bytes, not all zero (OTLP `trace_id`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TraceId([u8; 16]);

/// The id of a span, 8 bytes, not all zero (OTLP `span_id`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The trace of a request: the uid that Kubernetes gives is a random UUID of 16 bytes, and is used as it is, so that the trace is
    /// found by the uid. Any other uid is hashed.
    pub fn of(uid: &str) -> Self {
        let digits: String = uid.chars().filter(|c| *c != '-').collect();
        let uuid = u128::from_str_radix(&digits, 16).ok().filter(|id| digits.len() == 32 && *id != 0);
        TraceId(uuid.map_or_else(|| hashed(&["trace", uid]), u128::to_be_bytes))
    }
}

impl SpanId {
    /// The span of a part of a request's life. `part` is its name, and what distinguishes it from others of that name.
    pub fn of(uid: &str, part: &[&str]) -> Self {
        let parts: Vec<&str> = ["span", uid].into_iter().chain(part.iter().copied()).collect();
        SpanId(hashed(&parts))
    }
}

/// The first bytes of SHA-256 over the parts, each after its length; never zero.
fn hashed<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let full = hash.finalize();
    let mut id: [u8; N] = std::array::from_fn(|i| full[i]);
    if id.iter().all(|byte| *byte == 0) {
        id[N - 1] = 1;
    }
    id
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_a_request_is_its_uid() {
        let trace = |uid| TraceId::of(uid).to_string();
        assert_eq!(trace("0d9c5a1e-7f0b-4c55-9a1d-3f1d2b6c7e88"), "0d9c5a1e7f0b4c559a1d3f1d2b6c7e88");
        for odd in ["", "u1", "00000000-0000-0000-0000-000000000000", "+d9c5a1e-7f0b-4c55-9a1d-3f1d2b6c7e88x"] {
            let id = trace(odd);
            assert!(id.len() == 32 && id.bytes().any(|c| c != b'0'), "{odd}: {id}");
            assert_eq!(id, trace(odd));
        }
        assert_ne!(trace("u1"), trace("u2"));
    }

    #[test]
    fn parts_of_one_request_and_of_two_have_different_spans() {
        let span = |uid, part: &[&str]| SpanId::of(uid, part).to_string();
        assert_eq!(span("u1", &["access"]).len(), 16);
        assert_eq!(span("u1", &["access"]), span("u1", &["access"]));
        assert_ne!(span("u1", &["access"]), span("u1", &["revoke"]));
        assert_ne!(span("u1", &["access"]), span("u2", &["access"]));
        assert_ne!(span("u1", &["ab", "c"]), span("u1", &["a", "bc"]), "the parts do not run into each other");
    }
}
