//! Whether a live object is as it was built. Operator and plugin compare the admission policies and CRDs in the same way. Pure.
use serde_json::{Value, json};

/// Returns the path of the first difference between the built and the live value. Unless `exact`, fields that the server added to
/// an object are ignored; additional list items never are.
pub fn difference(path: &str, built: &Value, live: &Value, exact: bool) -> Option<String> {
    match (built, live) {
        (Value::Object(built), Value::Object(live)) => {
            let different = built.iter().find_map(|(key, value)| match live.get(key) {
                // The server omits null and empty fields.
                None if value.is_null() || value == &json!([]) => None,
                None => Some(format!("{path}.{key}")),
                Some(other) => difference(&format!("{path}.{key}"), value, other, exact),
            });
            let added = || live.keys().find(|key| !built.contains_key(*key)).map(|key| format!("{path}.{key}"));
            different.or_else(|| exact.then(added).flatten())
        }
        (Value::Array(built), Value::Array(live)) if built.len() == live.len() => {
            built.iter().zip(live).enumerate().find_map(|(i, (item, other))| difference(&format!("{path}[{i}]"), item, other, exact))
        }
        (built, live) if built == live => None,
        // The server treats 1 and 1.0 as the same number.
        (Value::Number(built), Value::Number(live)) if built.as_f64() == live.as_f64() => None,
        _ => Some(path.to_owned()),
    }
}
