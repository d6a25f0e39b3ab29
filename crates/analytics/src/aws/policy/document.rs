//! A policy document as IAM stores it.
//!
//! IAM has checked what it stores, so this reader accepts what IAM once accepted: both versions of the language, single values and lists, any
//! case of operators. What it does not know makes a statement undecided: as an Allow it grants, as a Deny it denies nothing.
use serde_json::{Map, Value};

/// The version of the language that has policy variables.
const WITH_VARIABLES: &str = "2012-10-17";
const ELEMENTS: [&str; 9] = ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"];

/// Whether a statement gives or takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, regardless of what else gives.
    Deny,
}

/// Actions or resources, as patterns.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Listed {
    /// These.
    These(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

impl Listed {
    /// The patterns, whether they are meant or excepted.
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::These(list) | Self::AllBut(list) => list,
        }
    }
}

/// One key of a condition: an operator, the key, and the values of which one must fit (none, for negated operators).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Condition {
    /// Such as `StringEquals` or `ForAnyValue:StringLike`.
    pub operator: String,
    /// Such as `aws:SourceIp`.
    pub key: String,
    /// The values of the policy.
    pub values: Vec<String>,
}

/// A statement.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Statement {
    /// `statement AllowRead`, or `statement 2` of those that have no `Sid`.
    pub name: String,
    /// Allow or Deny.
    pub effect: Effect,
    /// The principals, as they stand there. Only policies of resources and trust policies have them.
    pub principal: Option<Principal>,
    /// `Action` or `NotAction`.
    pub actions: Listed,
    /// `Resource` or `NotResource`; a trust policy has none, which is everything.
    pub resources: Listed,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// An element that is not known, if there is one.
    pub undecided: Option<String>,
}

/// The principals of a statement.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Principal {
    /// Whether all but these are meant (`NotPrincipal`).
    pub all_but: bool,
    /// Kind (`AWS`, `Service`, `Federated`, `CanonicalUser`) and value. `"Principal": "*"` is `AWS` and `*`.
    pub named: Vec<(String, String)>,
}

/// A policy document.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Document {
    /// Whether `${…}` is a policy variable in it.
    pub variables: bool,
    /// Its statements, in their order.
    pub statements: Vec<Statement>,
}

impl Document {
    /// Reads a document: JSON text, URL-encoded JSON text (as the API returns it), or an object (as the AWS CLI prints it).
    ///
    /// # Errors
    /// What is wrong with it, in words that follow the name of the policy.
    pub fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Self::parse(text),
            object => Self::from_object(object),
        }
    }

    /// Reads a text, plain or URL-encoded (RFC 3986).
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn parse(text: &str) -> Result<Self, String> {
        let decoded;
        let json = if text.trim_start().starts_with('%') {
            decoded = percent_decoded(text)?;
            decoded.as_str()
        } else {
            text
        };
        let value: Value = serde_json::from_str(json).map_err(|error| format!("is not JSON: {error}"))?;
        Self::from_object(&value)
    }

    fn from_object(value: &Value) -> Result<Self, String> {
        let object = value.as_object().ok_or("is not an object")?;
        let variables = object.get("Version").and_then(Value::as_str) == Some(WITH_VARIABLES);
        let statements = match object.get("Statement") {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err("has no Statement".into()),
        };
        let statements = statements.into_iter().enumerate().map(|(i, one)| statement(i + 1, one)).collect::<Result<_, _>>()?;
        Ok(Self { variables, statements })
    }
}

fn statement(number: usize, value: &Value) -> Result<Statement, String> {
    let object = value.as_object().ok_or_else(|| format!("has a statement {number} that is not an object"))?;
    let name = match object.get("Sid").and_then(Value::as_str) {
        Some(sid) if !sid.is_empty() => format!("statement {sid}"),
        _ => format!("statement {number}"),
    };
    let effect = match object.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(format!("has neither Effect Allow nor Deny in {name}")),
    };
    let actions = listed(object, "Action", "NotAction", &name)?.ok_or_else(|| format!("has neither Action nor NotAction in {name}"))?;
    let resources = listed(object, "Resource", "NotResource", &name)?.unwrap_or_else(|| Listed::These(vec!["*".into()]));
    let unknown = object.keys().find(|key| !ELEMENTS.contains(&key.as_str()));
    Ok(Statement {
        effect,
        principal: principal(object, &name)?,
        actions,
        resources,
        conditions: conditions(object.get("Condition"), &name)?,
        undecided: unknown.map(|key| format!("element {key}")),
        name,
    })
}

/// One of two elements as a list; `None` if neither is there.
fn listed(object: &Map<String, Value>, these: &str, all_but: &str, name: &str) -> Result<Option<Listed>, String> {
    match (object.get(these), object.get(all_but)) {
        (Some(value), None) => Ok(Some(Listed::These(texts(value, these, name)?))),
        (None, Some(value)) => Ok(Some(Listed::AllBut(texts(value, all_but, name)?))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(format!("has both {these} and {all_but} in {name}")),
    }
}

/// A text or a list of texts; numbers and truth values become texts, as IAM compares them.
fn texts(value: &Value, element: &str, name: &str) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("has {element} in {name} that is neither a text nor a list of texts")),
    };
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

fn principal(object: &Map<String, Value>, name: &str) -> Result<Option<Principal>, String> {
    let (value, all_but) = match (object.get("Principal"), object.get("NotPrincipal")) {
        (Some(value), _) => (value, false),
        (None, Some(value)) => (value, true),
        (None, None) => return Ok(None),
    };
    let named = match value {
        Value::String(text) => vec![("AWS".to_owned(), text.clone())],
        Value::Object(kinds) => {
            let lists = kinds.iter().map(|(kind, value)| Ok((kind, texts(value, "Principal", name)?)));
            let lists: Vec<_> = lists.collect::<Result<_, String>>()?;
            lists.into_iter().flat_map(|(kind, values)| values.into_iter().map(move |value| (kind.clone(), value))).collect()
        }
        _ => return Err(format!("has a Principal in {name} that is neither a text nor an object")),
    };
    Ok(Some(Principal { all_but, named }))
}

fn conditions(value: Option<&Value>, name: &str) -> Result<Vec<Condition>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let object = |value: &Value| value.as_object().cloned().ok_or_else(|| format!("has a Condition in {name} that is not an object"));
    let mut all = Vec::new();
    for (operator, keys) in object(value)? {
        for (key, values) in object(&keys)? {
            all.push(Condition { operator: operator.clone(), key, values: texts(&values, "Condition", name)? });
        }
    }
    Ok(all)
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let bytes = text.trim().as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let digits = (bytes[i] == b'%').then(|| bytes.get(i + 1..i + 3).and_then(|hex| std::str::from_utf8(hex).ok()));
        match digits {
            Some(hex) => {
                let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).ok_or("is URL-encoded and cut off, or not valid")?;
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8(out).map_err(|_| "is URL-encoded and not UTF-8".into())
}
