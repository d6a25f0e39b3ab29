//! Digests are over a canonical form that is injective: two different contents never have the same bytes, however their author chooses
//! names with separators and quotation marks. Then only a collision of SHA-256 itself makes an approval count for something else.
use curfew_core::{
    digest::{Digest, canonical_json},
    resolved::Resolved,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A generator with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).unwrap()
    }
    /// A short text of what separates and quotes in JSON, so that equal texts in different places are likely.
    fn text(&mut self) -> String {
        const PARTS: &[&str] = &[
            "a",
            "\"",
            "\\",
            ",",
            ":",
            "{",
            "}",
            "[",
            "]",
            "\",\"",
            "\":\"",
            "\n",
            "\u{1}",
            "\u{e9}",
            "e\u{301}",
            "\u{2028}",
            "\u{1f600}",
            "\\u00e9",
            " ",
        ];
        (0..self.below(4)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }
    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => (self.below(2) == 0).into(),
            2 => self.below(30).into(),
            3 | 4 => self.text().into(),
            5 => (0..self.below(3)).map(|_| self.value(depth - 1)).collect::<Vec<_>>().into(),
            _ => (0..self.below(3)).map(|_| (self.text(), self.value(depth - 1))).collect::<Map<_, _>>().into(),
        }
    }
}

/// Every text in a value.
fn texts<'a>(v: &'a mut Value, out: &mut Vec<&'a mut String>) {
    match v {
        Value::String(s) => out.push(s),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, out)),
        Value::Object(map) => map.values_mut().for_each(|item| texts(item, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn different_values_have_different_canonical_texts() {
    let (mut random, mut seen) = (Random(0x2545_f491_4f6c_dd1d), BTreeMap::new());
    for _ in 0..20_000 {
        let value = json!([random.value(3), random.value(2), random.text()]);
        let text = canonical_json(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value, "{text} does not give the value back");
        let other = seen.insert(text.clone(), value.clone());
        assert!(other.is_none_or(|other| other == value), "{text} stands for two values");
    }
    assert!(seen.len() > 5_000, "{} different values", seen.len());
}

#[test]
fn different_contents_have_different_canonical_texts() {
    let base: Value = serde_json::from_str(include_str!("golden/resolved-2.json")).unwrap();
    let (mut random, mut seen) = (Random(0x9e37_79b9_7f4a_7c15), BTreeMap::<String, Resolved>::new());
    for _ in 0..20_000 {
        let mut changed = base.clone();
        let mut all = Vec::new();
        texts(&mut changed, &mut all);
        for _ in 0..1 + random.below(3) {
            let i = random.below(all.len());
            *all[i] = if random.below(3) == 0 { all[random.below(all.len())].clone() } else { random.text() };
        }
        // A text that is not a digest, a duration or a time is not read at all.
        let Ok(resolved) = serde_json::from_value::<Resolved>(changed) else { continue };
        let text = canonical_json(&resolved);
        assert_eq!(serde_json::from_str::<Resolved>(&text).unwrap(), resolved, "{text} does not give the content back");
        assert_eq!(resolved.digest(), Digest::of_bytes(text.as_bytes()));
        let other = seen.insert(text.clone(), resolved.clone());
        assert!(other.is_none_or(|other| other == resolved), "{text} stands for two contents");
    }
    assert!(seen.len() > 5_000, "{} different contents", seen.len());
}

#[test]
fn a_separator_in_a_name_does_not_move_the_border_between_two() {
    let roles = |names: &[&str]| canonical_json(&json!({"roles": names}));
    assert_ne!(roles(&["a", "b"]), roles(&["a\",\"b"]));
    assert_ne!(roles(&["a", "b"]), roles(&["a,b"]));
    assert_ne!(canonical_json(&("ab", "c")), canonical_json(&("a", "bc")));
    assert_ne!(canonical_json(&json!({"a": {"b": 1}})), canonical_json(&json!({"a": "{\"b\":1}"})));
    // Normalization is a matter of comparing people, and not of contents.
    assert_ne!(roles(&["\u{e9}"]), roles(&["e\u{301}"]));
}

#[test]
fn part_of_a_digest_is_refused() {
    let whole = Digest::of(&json!({"a": 1})).to_string();
    assert!(whole.parse::<Digest>().is_ok());
    for wrong in [&whole[..16], &whole[..63], &format!("{whole}0"), &whole.to_uppercase(), &format!("0x{whole}"), &format!(" {whole}"), ""]
    {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong:?}");
        assert!(serde_json::from_value::<Digest>(json!(wrong)).is_err(), "{wrong:?}");
    }
    let same_beginning: Digest = format!("{}{}", &whole[..16], "0".repeat(48)).parse().unwrap();
    assert_ne!(same_beginning.to_string(), whole);
    assert_ne!(same_beginning, whole.parse().unwrap());
}
