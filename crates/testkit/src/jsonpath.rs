//! The part of kubectl's JSONPath that the tests use: fields, indexes, `[*]`, `[?(@.a.b=="c")]`, `range` and `end`, text between.
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Evaluates a template as `kubectl -o jsonpath=` does. Missing fields are empty; several results are separated by a space.
///
/// # Errors
/// If the template cannot be parsed.
pub fn evaluate(template: &str, root: &Value) -> Result<String> {
    let mut out = String::new();
    print(&parse(template)?, root, &mut out)?;
    Ok(out)
}

enum Part {
    Text(String),
    Path(String),
    Range(String, Vec<Part>),
}

fn parse(template: &str) -> Result<Vec<Part>> {
    let (parts, rest) = parse_until_end(template)?;
    anyhow::ensure!(rest.is_empty(), "{{end}} without {{range}} in {template}");
    Ok(parts)
}

/// The parts up to `{end}` or the end of the text, and what follows.
fn parse_until_end(mut text: &str) -> Result<(Vec<Part>, &str)> {
    let mut parts = Vec::new();
    while let Some(open) = text.find('{') {
        if open > 0 {
            parts.push(Part::Text(text[..open].into()));
        }
        let close = closing(&text[open..]).with_context(|| format!("no closing brace in {text}"))? + open;
        let (inside, rest) = (&text[open + 1..close], &text[close + 1..]);
        text = rest;
        if inside == "end" {
            return Ok((parts, text));
        }
        if let Some(path) = inside.strip_prefix("range ") {
            let (body, rest) = parse_until_end(text)?;
            parts.push(Part::Range(path.trim().into(), body));
            text = rest;
        } else {
            parts.push(Part::Path(inside.into()));
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok((parts, ""))
}

/// Where the brace that opens `text` is closed; braces in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(i, c)| {
        quoted ^= c == '"';
        (c == '}' && !quoted).then_some(i)
    })
}

fn print(parts: &[Part], root: &Value, out: &mut String) -> Result<()> {
    for part in parts {
        match part {
            Part::Text(t) => out.push_str(t),
            Part::Path(p) => {
                let found: Vec<String> = select(p, root)?.into_iter().map(text).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(p, body) => {
                for each in select(p, root)? {
                    print(body, each, out)?;
                }
            }
        }
    }
    Ok(())
}

fn text(v: &Value) -> String {
    match v {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Everything that a path leads to.
fn select<'a>(path: &str, root: &'a Value) -> Result<Vec<&'a Value>> {
    let mut found = vec![root];
    let mut rest = path.trim_start_matches('@');
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let close = bracket(after).with_context(|| format!("no closing bracket in {path}"))?;
            found = index(&after[..close], found)?;
            rest = &after[close + 1..];
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            found = found.into_iter().filter_map(|v| v.get(&after[..end])).collect();
            rest = &after[end..];
        } else {
            bail!("{rest:?} in {path:?} is neither a field nor an index");
        }
    }
    Ok(found)
}

fn bracket(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(i, c)| {
        quoted ^= c == '"';
        (c == ']' && !quoted).then_some(i)
    })
}

fn index<'a>(inside: &str, found: Vec<&'a Value>) -> Result<Vec<&'a Value>> {
    let items = || found.iter().flat_map(|v| v.as_array().into_iter().flatten());
    if inside == "*" {
        return Ok(items().collect());
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        let (path, wanted) = filter.split_once("==").with_context(|| format!("{filter:?} is not an equality"))?;
        let wanted = wanted.trim().trim_matches('"');
        let mut all = Vec::new();
        for item in items() {
            if select(path.trim(), item)?.into_iter().any(|v| text(v) == wanted) {
                all.push(item);
            }
        }
        return Ok(all);
    }
    let n: usize = inside.parse().with_context(|| format!("{inside:?} is not an index"))?;
    Ok(found.iter().filter_map(|v| v.get(n)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_print_what_kubectl_prints() {
        let v = json!({"a": {"b": "x", "n": 3, "m": {"k": "v"}}, "items": [
            {"type": "Ready", "status": "True", "about": {"name": "one"}}, {"type": "Other", "status": "False"}]});
        for (template, expected) in [
            ("{.a.b}: {.a.n}", "x: 3"),
            ("{.a.m}", r#"{"k":"v"}"#),
            ("{.missing.field}", ""),
            ("{.items[*].status}", "True False"),
            ("{.items[1].status}", "False"),
            ("{.items[9].status}", ""),
            ("{.items[?(@.type==\"Ready\")].status}", "True"),
            ("{range .items[?(@.about.name==\"one\")]}{.type} {.status};{end}", "Ready True;"),
            ("{range .items[*]}<{.type}>{end}.", "<Ready><Other>."),
        ] {
            assert_eq!(evaluate(template, &v).unwrap(), expected, "{template}");
        }
        assert!(evaluate("{.a", &v).is_err());
    }
}
