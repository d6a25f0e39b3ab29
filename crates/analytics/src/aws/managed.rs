//! What managed policies of AWS grant, as sets of actions.
use super::catalogue::Actions;
use roaring::RoaringBitmap;
use serde_json::Value;

/// The actions of a policy, without regard to resources.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Granted {
    /// Actions that it allows on some resource and does not deny on all.
    pub actions: RoaringBitmap,
    /// Those of them that it allows on every resource and without a condition, and denies nowhere.
    pub everywhere: RoaringBitmap,
}

/// One value or a list of them.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The actions that a statement names.
fn actions_of(actions: &Actions, statement: &Value) -> RoaringBitmap {
    let expand = |patterns: &Value| texts(patterns).into_iter().fold(RoaringBitmap::new(), |all, pattern| all | actions.expand(pattern));
    match (&statement["Action"], &statement["NotAction"]) {
        (Value::Null, Value::Null) => RoaringBitmap::new(),
        (Value::Null, excluded) => actions.expand("*") - expand(excluded),
        (named, _) => expand(named),
    }
}

/// What a policy document grants.
///
/// # Errors
/// The document is not JSON, or has no statements.
pub fn granted(actions: &Actions, document: &str) -> Result<Granted, String> {
    let document: Value = serde_json::from_str(document).map_err(|error| format!("the policy document is not valid JSON: {error}"))?;
    let statements = match &document["Statement"] {
        Value::Array(list) => list.iter().collect(),
        one @ Value::Object(_) => vec![one],
        _ => return Err("the policy document has no Statement".into()),
    };
    let (mut all, mut denied, mut denied_all) = (Granted::default(), RoaringBitmap::new(), RoaringBitmap::new());
    for statement in statements {
        let (named, whole) =
            (actions_of(actions, statement), texts(&statement["Resource"]).contains(&"*") && statement["Condition"].is_null());
        match (statement["Effect"].as_str(), whole) {
            (Some("Allow"), true) => {
                all.everywhere |= &named;
                all.actions |= named;
            }
            (Some("Allow"), false) => all.actions |= named,
            (Some("Deny"), true) => denied_all |= named,
            (Some("Deny"), false) => denied |= named,
            _ => return Err("a statement of the policy document has no Effect of Allow or Deny".into()),
        }
    }
    all.actions -= &denied_all;
    all.everywhere -= denied_all | denied;
    Ok(all)
}
