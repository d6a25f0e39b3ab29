//! The elements of a document, one by one.
use super::{Conditions, Effect, Listed, MAX_ENTRIES, MAX_ENTRY, MAX_STATEMENTS, Rule, Statement, VERSION};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The operators of conditions (IAM User Guide, "IAM JSON policy elements: Condition operators").
const OPERATORS: [&str; 27] = [
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "BinaryEquals",
    "Bool",
    "DateEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateNotEquals",
    "IpAddress",
    "NotIpAddress",
    "Null",
    "NumericEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericNotEquals",
    "StringEquals",
    "StringEqualsIgnoreCase",
    "StringLike",
    "StringNotEquals",
    "StringNotEqualsIgnoreCase",
    "StringNotLike",
];
/// What may stand before an operator.
const SETS: [&str; 2] = ["ForAllValues:", "ForAnyValue:"];
/// What may stand after an operator, except after `Null`.
const IF_EXISTS: &str = "IfExists";

pub(super) fn document(value: &Value) -> Result<Vec<Statement>, String> {
    let document = value.as_object().ok_or("is not an object")?;
    known(document, &["Version", "Id", "Statement"], "the document")?;
    match document.get("Version") {
        Some(Value::String(version)) if version == VERSION => {}
        Some(other) => {
            return Err(format!("has Version {other}; Curfew reads {VERSION} alone, since policy variables have no meaning in others"));
        }
        None => return Err(format!("has no Version; write Version: {VERSION} into it")),
    }
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        Some(_) => return Err("has a Statement that is neither an object nor a list".into()),
        None => return Err("has no Statement".into()),
    };
    if statements.is_empty() {
        return Err("has no Statement".into());
    }
    if statements.len() > MAX_STATEMENTS {
        return Err(format!("has {} statements, and Curfew reads at most {MAX_STATEMENTS}", statements.len()));
    }
    let all: Vec<Statement> = statements.into_iter().enumerate().map(|(i, value)| statement(i, value)).collect::<Result<_, _>>()?;
    let entries: usize = all.iter().map(|s| entries(&s.rule)).sum();
    match entries > MAX_ENTRIES {
        true => Err(format!("has {entries} actions, resources and values of conditions, and Curfew reads at most {MAX_ENTRIES}")),
        false => Ok(all),
    }
}

fn entries(rule: &Rule) -> usize {
    let values = rule.conditions.values().flat_map(BTreeMap::values).map(Vec::len).sum::<usize>();
    rule.actions.patterns().len() + rule.resources.patterns().len() + values
}

fn statement(index: usize, value: &Value) -> Result<Statement, String> {
    let number = format!("statement {}", index + 1);
    let all = object(value, &number)?;
    let name = match all.get("Sid") {
        None => number,
        Some(Value::String(sid)) if sid.is_empty() => number,
        Some(Value::String(sid)) if sid.len() <= MAX_SID && sid.chars().all(|c| c.is_ascii_graphic() || c == ' ') => {
            format!("statement {sid}")
        }
        Some(_) => return Err(format!("has a Sid in {number} that is not a short text")),
    };
    if let Some(of_resources) = ["Principal", "NotPrincipal"].into_iter().find(|element| all.contains_key(*element)) {
        return Err(format!("has {of_resources} in {name}, which only policies of resources have"));
    }
    known(all, &["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"], &name)?;
    let effect = match all.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(format!("needs Effect Allow or Deny in {name}")),
    };
    let actions = one_of(all, "Action", "NotAction", &name)?;
    if let Some(wrong) = actions.patterns().iter().find(|a| !is_action(a)) {
        return Err(format!("has {wrong} in {name}, which is not an action such as s3:GetObject"));
    }
    let resources = one_of(all, "Resource", "NotResource", &name)?;
    if let Some(wrong) = resources.patterns().iter().find(|r| *r != "*" && !r.starts_with("arn:")) {
        return Err(format!("has {wrong} in {name}, which is neither an ARN nor *"));
    }
    let conditions = conditions(all.get("Condition"), &name)?;
    Ok(Statement { name, rule: Rule { effect, actions, resources, conditions } })
}

/// The longest `Sid` that is used as a name.
const MAX_SID: usize = 128;

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("has {what} that is not an object"))
}

fn known(all: &Map<String, Value>, elements: &[&str], place: &str) -> Result<(), String> {
    let unknown = all.keys().find(|key| !elements.contains(&key.as_str()));
    unknown.map_or(Ok(()), |key| Err(format!("has the unknown element {key} in {place}")))
}

/// Exactly one of two elements, as a list.
fn one_of(all: &Map<String, Value>, these: &str, all_but: &str, name: &str) -> Result<Listed, String> {
    let list = |value, element| match texts(value, element, name)? {
        list if list.is_empty() => Err(format!("has an empty {element} in {name}")),
        list => Ok(list),
    };
    match (all.get(these), all.get(all_but)) {
        (Some(value), None) => list(value, these).map(Listed::These),
        (None, Some(value)) => list(value, all_but).map(Listed::AllBut),
        _ => Err(format!("needs exactly one of {these} and {all_but} in {name}")),
    }
}

/// A text or a list of texts, sorted.
fn texts(value: &Value, element: &str, name: &str) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) if text.chars().count() > MAX_ENTRY => {
            Err(format!("has an entry of {} characters in {element} of {name}, and Curfew reads at most {MAX_ENTRY}", text.chars().count()))
        }
        Value::String(text) if text.chars().all(is_allowed) => Ok(text.clone()),
        Value::String(text) => Err(format!("has {text:?} in {name}, and IAM takes characters up to U+00FF alone")),
        Value::Bool(flag) if element == "Condition" => Ok(flag.to_string()),
        Value::Number(number) if element == "Condition" => Ok(number.to_string()),
        _ => Err(format!("has {element} in {name} that is neither a text nor a list of texts")),
    };
    match value {
        Value::Array(list) => list.iter().map(text).collect::<Result<Vec<_>, _>>().map(sorted),
        one => text(one).map(|one| vec![one]),
    }
}

/// The characters of a policy (IAM User Guide, "IAM and AWS STS quotas").
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}')
}

/// `*`, or a service, a colon and an action, with wildcards.
fn is_action(text: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_*?".contains(c));
    text == "*" || text.split_once(':').is_some_and(|(service, action)| word(service) && word(action))
}

/// Without order and repetition.
pub(super) fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}

fn conditions(value: Option<&Value>, name: &str) -> Result<Conditions, String> {
    let Some(value) = value else { return Ok(Conditions::new()) };
    let mut all = Conditions::new();
    for (operator, keys) in object(value, &format!("a Condition in {name}"))? {
        let spelled = spelled(operator).ok_or_else(|| format!("has the unknown condition operator {operator} in {name}"))?;
        let mut of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, values) in object(keys, &format!("a Condition {operator} in {name}"))? {
            let twice = of.keys().any(|other| other.eq_ignore_ascii_case(key));
            if twice || !is_allowed_key(key) {
                return Err(format!("has the condition key {key:?} in {name}, which is not a key or stands there twice"));
            }
            of.insert(key.clone(), texts(values, "Condition", name)?);
        }
        if all.contains_key(&spelled) {
            return Err(format!("has the condition operator {spelled} twice in {name}"));
        }
        if !of.is_empty() {
            all.insert(spelled, of);
        }
    }
    Ok(all)
}

fn is_allowed_key(key: &str) -> bool {
    key.contains(':') && key.chars().all(is_allowed)
}

/// An operator as AWS writes it.
fn spelled(operator: &str) -> Option<String> {
    let set = SETS.iter().find(|set| operator.get(..set.len()).is_some_and(|head| head.eq_ignore_ascii_case(set)));
    let rest = &operator[set.map_or(0, |set| set.len())..];
    let base = |text: &str| OPERATORS.iter().find(|known| known.eq_ignore_ascii_case(text));
    let (base, if_exists) = match base(rest) {
        Some(base) => (base, ""),
        None => {
            let head = rest.len().checked_sub(IF_EXISTS.len()).filter(|at| rest.is_char_boundary(*at))?;
            let known = base(&rest[..head]).filter(|base| **base != "Null" && rest[head..].eq_ignore_ascii_case(IF_EXISTS))?;
            (known, IF_EXISTS)
        }
    };
    Some(format!("{}{base}{if_exists}", set.copied().unwrap_or_default()))
}
