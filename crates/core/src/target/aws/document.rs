//! Policy documents: read, checked, and written in one canonical form (IAM User Guide, "IAM JSON policy element reference" and "Grammar of
//! the IAM JSON policy language").
//!
//! The canonical form does not depend on the order of statements and lists, on scalars or lists of one, or on `Sid` and `Id`, which have no
//! effect. A `Sid` stays the name of its statement in messages; what Curfew writes has none, so that no two can be equal. An element that is
//! not known is refused: it might take away what the rest seems to say.
use crate::digest::{Digest, canonical_json};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

mod elements;
mod strict;

/// The only version in which policy variables are variables.
const VERSION: &str = "2012-10-17";

/// The longest document that is read, in bytes (IAM API Reference, CreatePolicy).
const MAX_TEXT: usize = 131_072;
/// The longest document in a template, in bytes of its canonical form. More does not fit on a user, a role or a permission set: 20 policies
/// of 6,144 characters at most, shared with the managed policies that a template names.
const MAX_INLINE: usize = 32_768;
/// The most statements of a document.
const MAX_STATEMENTS: usize = 1_024;
/// The most actions, resources and values of conditions in a document: the policies of AWS have up to about 3,000.
const MAX_ENTRIES: usize = 8_192;
/// The longest of these, in characters: as long as an ARN (IAM API Reference, CreatePolicy).
const MAX_ENTRY: usize = 2_048;

/// A policy document in canonical order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document {
    statements: Vec<Statement>,
}

/// A statement, with the name by which messages call it.
#[derive(Clone, Debug)]
pub struct Statement {
    /// `statement AllowRead`, or `statement 2` of those that have no `Sid`.
    pub name: String,
    /// What it says.
    pub rule: Rule,
}

// The name says nothing about the access.
impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        self.rule == other.rule
    }
}
impl Eq for Statement {}

/// What a statement says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Rule {
    /// Allow or Deny.
    pub effect: Effect,
    /// `Action` or `NotAction`.
    pub actions: Listed,
    /// `Resource` or `NotResource`.
    pub resources: Listed,
    /// `Condition`.
    pub conditions: Conditions,
}

/// Whether a statement gives or takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, regardless of what else gives.
    Deny,
}

/// Actions or resources, as patterns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Listed {
    /// These.
    These(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

/// Operator, key and values. All operators and keys must hold; of the values of one key, one must.
pub type Conditions = BTreeMap<String, BTreeMap<String, Vec<String>>>;

impl Document {
    /// Of a text, as AWS returns it.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of the policy.
    pub fn parse(text: &str) -> Result<Self, String> {
        readable(text.len())?;
        elements::document(&strict::parse(text)?).map(Document::of)
    }

    /// Of a value, as it stands in a template.
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of the policy.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        readable(value.to_string().len())?;
        let document = elements::document(value).map(Document::of)?;
        match document.text().len() {
            bytes if bytes > MAX_INLINE => Err(format!(
                "has {bytes} bytes in its shortest form, and Curfew reads at most {MAX_INLINE} in a template; write fewer statements, or name managed policies"
            )),
            _ => Ok(document),
        }
    }

    /// Of statements in any order.
    pub fn of(mut statements: Vec<Statement>) -> Self {
        statements.sort_by(|a, b| a.rule.cmp(&b.rule));
        statements.dedup();
        Document { statements }
    }

    /// Its statements, in canonical order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// Without statements.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// As canonical JSON without white space, ready to be written.
    pub fn text(&self) -> String {
        text_of(self.statements.iter().map(|s| s.rule.to_json()))
    }

    /// The digest of what it says. The case of actions does not change it: AWS ignores it.
    pub fn digest(&self) -> Digest {
        let mut rules: Vec<Rule> = self.statements.iter().map(|s| s.rule.folded()).collect();
        rules.sort();
        rules.dedup();
        Digest::of_bytes(text_of(rules.iter().map(Rule::to_json)).as_bytes())
    }

    /// Its size in characters as AWS counts it against quotas, or more: blanks inside of values are counted, too.
    pub fn chars(&self) -> usize {
        self.text().chars().count()
    }
}

fn readable(bytes: usize) -> Result<(), String> {
    if bytes > MAX_TEXT { Err(format!("has {bytes} bytes, and Curfew reads at most {MAX_TEXT}")) } else { Ok(()) }
}

/// The document of these statements in canonical JSON.
fn text_of(statements: impl Iterator<Item = Value>) -> String {
    canonical_json(&json!({"Version": VERSION, "Statement": statements.collect::<Vec<_>>()}))
}

impl Rule {
    /// As IAM writes it.
    pub fn to_json(&self) -> Value {
        let mut all = Map::new();
        all.insert("Effect".into(), json!(if self.effect == Effect::Allow { "Allow" } else { "Deny" }));
        let (name, list) = self.actions.element("Action", "NotAction");
        all.insert(name.into(), scalar_or_list(list));
        let (name, list) = self.resources.element("Resource", "NotResource");
        all.insert(name.into(), scalar_or_list(list));
        if !self.conditions.is_empty() {
            let keys = |keys: &BTreeMap<String, Vec<String>>| -> Map<String, Value> {
                keys.iter().map(|(key, values)| (key.clone(), scalar_or_list(values))).collect()
            };
            let operators: Map<String, Value> = self.conditions.iter().map(|(op, of)| (op.clone(), keys(of).into())).collect();
            all.insert("Condition".into(), operators.into());
        }
        all.into()
    }

    /// With its actions in lower case.
    fn folded(&self) -> Rule {
        let fold = |list: &[String]| elements::sorted(list.iter().map(|a| a.to_ascii_lowercase()).collect());
        let actions = match &self.actions {
            Listed::These(list) => Listed::These(fold(list)),
            Listed::AllBut(list) => Listed::AllBut(fold(list)),
        };
        Rule { actions, ..self.clone() }
    }
}

impl Listed {
    /// The patterns, whether they are meant or excepted.
    pub fn patterns(&self) -> &[String] {
        match self {
            Listed::These(list) | Listed::AllBut(list) => list,
        }
    }

    fn element<'a>(&'a self, these: &'static str, all_but: &'static str) -> (&'static str, &'a [String]) {
        match self {
            Listed::These(list) => (these, list),
            Listed::AllBut(list) => (all_but, list),
        }
    }
}

fn scalar_or_list(list: &[String]) -> Value {
    match list {
        [one] => json!(one),
        several => json!(several),
    }
}

#[cfg(test)]
mod tests;
