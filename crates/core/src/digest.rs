//! Digests over versioned canonical JSON. An approval names the digest of what it approves, so that it cannot count for anything else.
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// A SHA-256 digest, written as 64 hex digits. A shorter one could be collided by an attacker who writes both contents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }
    /// The digest of a value as canonical JSON: no spaces, the keys of every object in byte order. The value's `Serialize` omits absent
    /// members.
    pub fn of(value: &impl Serialize) -> Self {
        Self::of_bytes(canonical_json(value).as_bytes())
    }
    /// A digest of a known value, for tests.
    pub const fn from_bits(bits: u64) -> Self {
        let (low, mut all) = (bits.to_be_bytes(), [0; 32]);
        let mut i = 0;
        while i < 8 {
            all[24 + i] = low[i];
            i += 1;
        }
        Digest(all)
    }
}

/// A value as canonical JSON. It is JSON, so different values have different texts: `crates/core/tests/canonical.rs`.
pub fn canonical_json(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).expect("the core's own values are JSON");
    let mut text = String::new();
    canonical(&json, &mut text);
    text
}

/// Appends `v` to `out` so that equal values give equal texts, regardless of the order in which a map was built.
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
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || format!("{s:?} is not a digest: write all 64 hex digits in lower case, as kubectl get areq -o wide shows them");
        if s.len() != 64 || !s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Digest(bytes))
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
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digest_ignores_key_order_but_not_array_order() {
        assert_eq!(Digest::of(&json!({"a": 1, "b": [{"c": "x", "d": 2}]})), Digest::of(&json!({"b": [{"d": 2, "c": "x"}], "a": 1})));
        assert_ne!(Digest::of(&json!({"a": [1, 2]})), Digest::of(&json!({"a": [2, 1]})));
    }

    #[test]
    fn is_sha_256_over_canonical_json() {
        // printf '{"a":1,"b":"\\u00e9"}' would differ: strings stand as UTF-8. Vector: sha256 of {"a":1}
        assert_eq!(Digest::of(&json!({"a": 1})).to_string(), "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862");
        let d = Digest::of(&json!({"a": 1}));
        assert_eq!(d.to_string().parse::<Digest>(), Ok(d));
        assert!("015ABD7F5CC57A2DD94B7590F04AD8084273905EE33EC5CEBEAE62276A97F862".parse::<Digest>().is_err());
    }
}
