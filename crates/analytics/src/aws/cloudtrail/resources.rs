//! Which resources a call named.
//!
//! A record names resources in `resources` (data events, KMS, STS) and as parameters of the request. They count only if each resource type that AWS
//! marks as required for the action has one; otherwise the call counts for every resource that is granted, so that a part of what was used is never
//! taken for all of it. ARNs of IAM users, groups and roles that come from a name have no path.
use super::{
    record::Record,
    scan::{Cursor, Text, Value},
};
use crate::aws::{
    catalogue::{Actions, matches},
    usage::ActionId,
};
use std::borrow::Cow;

/// The most resources of one call; with more, it counts for every resource.
const MAX_RESOURCES: usize = 100;

/// The names of parameters that are not those of the variable in the shape of an ARN.
const PARAMETERS: &[(&str, &str, &[&str])] = &[
    ("cloudtrail", "TrailName", &["name", "trailName"]),
    ("ecs", "ClusterName", &["cluster"]),
    ("ecs", "ServiceName", &["service"]),
    ("eks", "ClusterName", &["clusterName", "name"]),
    ("iam", "GroupNameWithPath", &["groupName"]),
    ("iam", "InstanceProfileNameWithPath", &["instanceProfileName"]),
    ("iam", "RoleNameWithPath", &["roleName"]),
    ("iam", "UserNameWithPath", &["userName"]),
    ("rds", "DbClusterInstanceName", &["dBClusterIdentifier"]),
    ("rds", "DbInstanceName", &["dBInstanceIdentifier"]),
    ("s3", "ObjectName", &["key"]),
    ("ssm", "DocumentName", &["documentName", "name"]),
];

/// What resources an action can have.
#[derive(Clone, Debug)]
pub struct Shape {
    types: Vec<Type>,
}

#[derive(Clone, Debug)]
struct Type {
    /// Its ARNs, as a pattern.
    glob: String,
    required: bool,
    /// Whether its ARNs are those of buckets, whose pattern matches objects, too.
    bucket: bool,
    /// How its ARN is made of parameters, if one variable alone says which resource it is, or all are parameters.
    parts: Option<Vec<Part>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(String),
    Partition,
    Region,
    Account,
    /// The parameters that can say it.
    Parameter(Vec<String>),
}

impl Shape {
    /// Of an action. None if only `*` can be granted.
    pub fn of(actions: &Actions, action: ActionId) -> Option<Self> {
        let required: Vec<_> = actions.required_types(action).collect();
        let types: Vec<Type> = actions
            .resource_types(action)
            .iter()
            .map(|id| {
                let of = actions.resource_type(*id);
                let parts = parts(&of.service, &of.arn_pattern);
                let glob = parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "*" }).collect();
                let bucket = of.service == "s3" && of.name == "bucket";
                let secret = of.service == "secretsmanager";
                // The ARN of a secret ends in characters that its name does not have.
                Type { glob, required: required.contains(id), bucket, parts: (!secret).then_some(parts) }
            })
            .collect();
        (!types.is_empty()).then_some(Self { types })
    }

    /// Puts the resources that a record names into `found`, which is empty afterwards if it does not name all of them.
    pub fn resources(&self, record: &Record<'_>, found: &mut Vec<String>) {
        found.clear();
        let mut arns = Vec::new();
        record.resources.into_iter().for_each(|list| arns_of_resources(list, &mut arns));
        let parameters = record.parameters.map(Parameters::of).unwrap_or_default();
        parameters.arns().for_each(|arn| arns.extend(arn.get()));
        let mut complete = true;
        for of in &self.types {
            let before = found.len();
            found.extend(arns.iter().filter(|arn| of.matches(arn)).map(|arn| arn.clone().into_owned()));
            if let (true, Some(parts)) = (found.len() == before, &of.parts) {
                build(parts, record, &parameters, found);
            }
            complete &= !of.required || found.len() > before;
        }
        if !complete || found.len() > MAX_RESOURCES {
            found.clear();
        }
        found.sort();
        found.dedup();
    }
}

impl Type {
    fn matches(&self, arn: &str) -> bool {
        matches(&self.glob, arn) && !(self.bucket && arn.contains('/'))
    }
}

/// The parts of the shape of an ARN, such as `arn:${Partition}:s3:::${BucketName}/${ObjectName}`.
fn parts(service: &str, shape: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = shape;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        parts.push(match name {
            "Partition" => Part::Partition,
            "Region" => Part::Region,
            "Account" => Part::Account,
            name => Part::Parameter(parameters(service, name)),
        });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    parts
}

/// The parameters that can give a variable: those of the table, or its own name as CloudTrail writes it.
fn parameters(service: &str, variable: &str) -> Vec<String> {
    let listed = PARAMETERS.iter().find(|(of, name, _)| *of == service && *name == variable);
    if let Some((.., names)) = listed {
        return names.iter().map(|name| (*name).to_owned()).collect();
    }
    let mut name = variable.to_owned();
    name[..1].make_ascii_lowercase();
    vec![name]
}

/// The parameters of a request: strings, and lists of strings under their name without its last letter, so that `instanceIds` gives `instanceId`.
/// Of `instancesSet`, the `items` count as if each was a parameter.
#[derive(Default)]
struct Parameters<'a> {
    values: Vec<(&'a [u8], Text<'a>)>,
}

impl<'a> Parameters<'a> {
    fn of(text: &'a [u8]) -> Self {
        let mut values = Vec::new();
        // What is broken names nothing.
        let _ = Cursor::new(text).object(|cursor, key| {
            match cursor.value()? {
                Value::Text(text) => values.push((key, text)),
                Value::Array(list) => {
                    let single = key.strip_suffix(b"s").unwrap_or(key);
                    let _ = Cursor::new(list).array(|cursor| {
                        if let Value::Text(text) = cursor.value()? {
                            values.push((single, text));
                        }
                        Ok(())
                    });
                }
                Value::Object(set) if key.ends_with(b"Set") => items(set, &mut values),
                Value::Object(_) | Value::Scalar(_) | Value::Null => {}
            }
            Ok(())
        });
        values.retain(|(_, text)| !text.raw().is_empty());
        Self { values }
    }
    fn arns(&self) -> impl Iterator<Item = Text<'a>> {
        self.values.iter().map(|(_, text)| *text).filter(|text| text.raw().starts_with(b"arn:"))
    }
    /// The values of the first of these parameters that there is.
    fn get<'b>(&'b self, names: &[String]) -> impl Iterator<Item = Text<'a>> + Clone + 'b {
        let name = names.iter().find_map(|name| self.values.iter().find(|(known, _)| *known == name.as_bytes())).map(|(name, _)| *name);
        self.values.iter().filter(move |(known, _)| Some(*known) == name).map(|(_, text)| *text)
    }
}

/// The parameters of the items of a set.
fn items<'a>(set: &'a [u8], values: &mut Vec<(&'a [u8], Text<'a>)>) {
    let _ = Cursor::new(set).object(|cursor, key| {
        let Value::Array(items) = cursor.value()? else { return Ok(()) };
        if key != b"items" {
            return Ok(());
        }
        Cursor::new(items).array(|cursor| {
            let Value::Object(item) = cursor.value()? else { return Ok(()) };
            Cursor::new(item).object(|cursor, key| {
                if let Value::Text(text) = cursor.value()? {
                    values.push((key, text));
                }
                Ok(())
            })
        })
    });
}

/// Adds the ARNs that parameters give. With two variables, each must have one value: which ones belong together is not known otherwise.
fn build(parts: &[Part], record: &Record<'_>, parameters: &Parameters<'_>, found: &mut Vec<String>) {
    let variables = || parts.iter().filter_map(|part| if let Part::Parameter(names) = part { Some(parameters.get(names)) } else { None });
    let most = variables().map(|values| values.count()).max().unwrap_or(0);
    // An ARN is not the name that belongs here.
    let fits = |text: Text<'_>| !text.raw().starts_with(b"arn:");
    if variables().any(|mut values| values.clone().next().is_none() || !values.all(fits)) || most > 1 && variables().count() > 1 {
        return;
    }
    for n in 0..most {
        found.extend(parts.iter().map(|part| part.text(record, parameters, n)).collect::<Option<String>>());
    }
}

impl Part {
    /// What it is in a record; of a parameter, value number n.
    fn text<'a>(&'a self, record: &Record<'a>, parameters: &Parameters<'a>, n: usize) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Partition => match record.region?.get()? {
                region if region.starts_with("cn-") => Some("aws-cn".into()),
                region if region.starts_with("us-gov-") => Some("aws-us-gov".into()),
                _ => Some("aws".into()),
            },
            Self::Region => record.region?.get(),
            Self::Account => record.recipient.or(record.user?.account)?.get(),
            Self::Parameter(names) => parameters.get(names).nth(n)?.get(),
        }
    }
}

/// The ARNs of `resources`.
fn arns_of_resources<'a>(list: &'a [u8], arns: &mut Vec<Cow<'a, str>>) {
    let _ = Cursor::new(list).array(|cursor| {
        if cursor.peek()? != b'{' {
            return cursor.skip();
        }
        cursor.object(|cursor, key| {
            if let (b"ARN" | b"arn", Value::Text(text)) = (key, cursor.value()?) {
                arns.extend(text.get());
            }
            Ok(())
        })
    });
}
