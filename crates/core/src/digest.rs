//! Digests over versioned canonical JSON: what an approval names, so that it can count for nothing else.
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// The first 64 bits of a SHA-256, written as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Digest(u64);

impl Digest {
    /// Of these bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let full: [u8; 32] = Sha256::digest(bytes).into();
        let mut head = [0; 8];
        head.copy_from_slice(&full[..8]);
        Digest(u64::from_be_bytes(head))
    }
    /// Of a value as canonical JSON: no spaces, keys of every object in byte order, absent members left out by the value itself.
    pub fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_value(value).expect("the core's own values are JSON");
        let mut text = String::new();
        canonical(&json, &mut text);
        Self::of_bytes(text.as_bytes())
    }
    /// For tests that need one of a known value.
    pub const fn from_bits(bits: u64) -> Self {
        Digest(bits)
    }
}

/// Writes `v` so that equal values give equal texts, whatever order a map was built in.
fn canonical(v: &serde_json::Value, out: &mut String) {
    use serde_json::Value;
    match v {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            out.push('{');
            for (i, k) in keys.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                out.push_str(&Value::String(k.clone()).to_string());
                out.push(':');
                canonical(&map[k], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let hex = s.len() == 16 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| u64::from_str_radix(s, 16).ok())
            .flatten()
            .map(Digest)
            .ok_or_else(|| format!("{s:?} is no digest: 16 hex digits in lower case, as in kubectl get areq -o wide"))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
#[cfg(feature = "schema")]
impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{16}$", "maxLength": 16})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_keys_does_not_matter_and_values_do() {
        assert_eq!(Digest::of(&json!({"a": 1, "b": [{"c": "x", "d": 2}]})), Digest::of(&json!({"b": [{"d": 2, "c": "x"}], "a": 1})));
        assert_ne!(Digest::of(&json!({"a": [1, 2]})), Digest::of(&json!({"a": [2, 1]})));
    }

    #[test]
    fn is_the_head_of_sha_256_over_canonical_json() {
        // printf '{"a":1,"b":"\\u00e9"}' would differ: strings stand as UTF-8. Vector: sha256 of {"a":1}
        assert_eq!(Digest::of(&json!({"a": 1})).to_string(), "015abd7f5cc57a2d");
        let d = Digest::of(&json!({"a": 1}));
        assert_eq!(d.to_string().parse::<Digest>(), Ok(d));
        assert!("015ABD7F5CC57A2D".parse::<Digest>().is_err());
    }
}
