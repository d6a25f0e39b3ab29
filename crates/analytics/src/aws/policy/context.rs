//! What is known of a request when conditions are evaluated.
use std::collections::BTreeMap;

/// The value of a condition key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// The request does not have the key.
    Absent,
    /// The request may have it with any value.
    Unknown,
    /// Its value.
    One(String),
    /// Its values, of a key that can have many.
    Many(Vec<String>),
}

/// The values of condition keys.
pub trait Context {
    /// The value of a key, given in lower case: keys are compared regardless of case (IAM User Guide, "Condition").
    fn get(&self, key: &str) -> Known;
}

/// A request of which everything is known: what is not in the map is absent.
#[derive(Clone, Default, Debug)]
pub struct Complete {
    /// By key in lower case.
    pub values: BTreeMap<String, Known>,
}

impl Context for Complete {
    fn get(&self, key: &str) -> Known {
        self.values.get(key).cloned().unwrap_or(Known::Absent)
    }
}

/// What is known of every request of one identity: itself, and the time. The rest is unknown.
#[derive(Clone, Default, Debug)]
pub struct OfIdentity {
    /// By key in lower case.
    pub values: BTreeMap<String, Known>,
}

impl OfIdentity {
    /// Of a user or role with its tags, at a moment in Unix seconds.
    ///
    /// A role's sessions can have tags of their own, which take the place of the role's, so the absence of a tag is known for users only.
    pub fn new(arn: &str, account: &str, user_name: Option<&str>, tags: &BTreeMap<String, String>, at: i64) -> Self {
        let one = |value: &str| Known::One(value.to_owned());
        let mut values: BTreeMap<String, Known> = BTreeMap::new();
        values.insert("aws:principalarn".into(), one(arn));
        values.insert("aws:principalaccount".into(), one(account));
        values.insert("aws:principalisawsservice".into(), one("false"));
        values.insert("aws:principaltype".into(), one(if user_name.is_some() { "User" } else { "AssumedRole" }));
        values.insert("aws:epochtime".into(), one(&at.to_string()));
        if let Ok(time) = jiff::Timestamp::from_second(at) {
            values.insert("aws:currenttime".into(), one(&time.to_string()));
        }
        if let Some(name) = user_name {
            values.insert("aws:username".into(), one(name));
            tags.iter().for_each(|(key, value)| {
                values.insert(format!("aws:principaltag/{}", key.to_lowercase()), one(value));
            });
        }
        Self { values }
    }
}

impl Context for OfIdentity {
    fn get(&self, key: &str) -> Known {
        match self.values.get(key) {
            Some(known) => known.clone(),
            // A user's tags are those of the account details; it has a name, and no role and no federation.
            None if key.starts_with("aws:principaltag/") && self.values.contains_key("aws:username") => Known::Absent,
            None => Known::Unknown,
        }
    }
}
