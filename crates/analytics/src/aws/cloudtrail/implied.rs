//! What AWS checks besides the action of a call, and records nowhere else: `iam:PassRole` for a role that is given to a service, tags at creation, the
//! source of a copy, and versions of objects. A parameter that may have needed such a permission counts as its use.
use super::{
    record::Record,
    scan::{Cursor, Text, Value},
};
use crate::aws::catalogue::Actions;

const PASS_ROLE: &str = "iam:PassRole";
/// How deep in the parameters of a request roles are looked for.
const MAX_DEPTH: u32 = 4;
/// The most uses that follow from one call; with more, no resource is named.
const MAX_IMPLIED: usize = 20;

/// A use that follows from a call: the operation, and the resource if the call names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Implied {
    /// Such as `iam:PassRole`.
    pub operation: String,
    /// Its ARN.
    pub resource: Option<String>,
}

/// What is looked for in the calls of one operation.
#[derive(Clone, Default, Debug)]
pub struct Watch {
    /// It may pass roles to a service.
    roles: bool,
    /// The action that tags what it creates, if it can.
    tags: Option<String>,
    /// Parameters, and what each of them needs.
    parameters: &'static [(&'static str, &'static str)],
    /// It copies an object.
    copies: bool,
}

impl Watch {
    /// For an operation of IAM's prefix and its name. None if nothing can follow.
    pub fn of(actions: &Actions, prefix: &str, name: &str) -> Option<Self> {
        let reads = ["Get", "List", "Describe", "Head"].iter().any(|start| name.starts_with(start));
        let parameters: &[_] = match (prefix, name) {
            ("s3", "GetObject" | "HeadObject") => &[("versionId", "s3:GetObjectVersion")],
            ("s3", "DeleteObject") => &[("versionId", "s3:DeleteObjectVersion")],
            ("s3", "PutObject" | "CreateMultipartUpload" | "CopyObject") => {
                &[("x-amz-acl", "s3:PutObjectAcl"), ("x-amz-tagging", "s3:PutObjectTagging")]
            }
            ("sts", "AssumeRole" | "AssumeRoleWithSAML" | "AssumeRoleWithWebIdentity") => {
                &[("sourceIdentity", "sts:SetSourceIdentity"), ("tags", "sts:TagSession")]
            }
            _ => &[],
        };
        let creates = name.strip_prefix("Create").or_else(|| name.strip_prefix("Run"));
        let tags = creates.and_then(|kind| {
            let names = [format!("{prefix}:Tag{kind}"), format!("{prefix}:CreateTags"), format!("{prefix}:TagResource")];
            names.into_iter().find(|name| actions.find(name).is_some())
        });
        let copies = prefix == "s3" && matches!(name, "CopyObject" | "UploadPartCopy");
        let roles = !reads && !matches!(prefix, "iam" | "sts" | "s3");
        (roles || tags.is_some() || copies || !parameters.is_empty()).then_some(Self { roles, tags, parameters, copies })
    }

    /// Puts what follows from a record into `found`.
    pub fn implied(&self, record: &Record<'_>, found: &mut Vec<Implied>) {
        found.clear();
        let Some(parameters) = record.parameters else { return };
        if self.roles {
            roles(parameters, 0, found);
        }
        let mut copied = false;
        let _ = Cursor::new(parameters).object(|cursor, key| {
            let value = cursor.value()?;
            if let Some((_, operation)) = self.parameters.iter().find(|(name, _)| name.as_bytes() == key)
                && !is_empty(value)
            {
                found.push(Implied { operation: (*operation).into(), resource: None });
            }
            if let Some(tags) = &self.tags
                && matches!(key, b"tags" | b"Tags" | b"tagSpecificationSet" | b"tagSet")
                && !is_empty(value)
            {
                found.push(Implied { operation: tags.clone(), resource: None });
            }
            if self.copies && key == b"x-amz-copy-source" {
                copied = true;
                found.push(Implied { operation: "s3:GetObject".into(), resource: source(value) });
            }
            Ok(())
        });
        if self.copies && !copied {
            found.push(Implied { operation: "s3:GetObject".into(), resource: None });
        }
        found.sort();
        found.dedup();
        if found.len() > MAX_IMPLIED {
            found.iter_mut().for_each(|implied| implied.resource = None);
            found.dedup();
        }
    }
}

fn is_empty(value: Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.raw().is_empty(),
        Value::Object(text) | Value::Array(text) => text.iter().filter(|byte| !byte.is_ascii_whitespace()).count() <= 2,
        Value::Scalar(_) => false,
    }
}

/// The object that is copied, such as `/bucket/key?versionId=1`. None if its name is encoded: the key is not known exactly.
fn source(value: Value<'_>) -> Option<String> {
    let Value::Text(text) = value else { return None };
    let text = text.get()?;
    let path = text.strip_prefix('/').unwrap_or(&text).split('?').next()?;
    (path.contains('/') && !path.contains('%') && !path.starts_with("arn:")).then(|| format!("arn:aws:s3:::{path}"))
}

/// Finds the roles under parameters whose names contain "role". An instance profile stands for a role that the record does not name.
fn roles(object: &[u8], depth: u32, found: &mut Vec<Implied>) {
    let mut inner = Vec::new();
    let _ = Cursor::new(object).object(|cursor, key| {
        match cursor.value()? {
            Value::Text(text) => pass(key, text, found),
            Value::Object(profile) if key == b"iamInstanceProfile" && !is_empty(Value::Object(profile)) => {
                found.push(Implied { operation: PASS_ROLE.into(), resource: None });
            }
            Value::Object(object) => inner.push(object),
            Value::Array(list) => {
                let _ = Cursor::new(list).array(|cursor| {
                    match cursor.value()? {
                        Value::Object(object) => inner.push(object),
                        Value::Text(text) => pass(key, text, found),
                        Value::Array(_) | Value::Scalar(_) | Value::Null => {}
                    }
                    Ok(())
                });
            }
            Value::Scalar(_) | Value::Null => {}
        }
        Ok(())
    });
    if depth < MAX_DEPTH {
        inner.into_iter().for_each(|object| roles(object, depth + 1, found));
    }
}

/// Notes a parameter that is a role.
fn pass(key: &[u8], value: Text<'_>, found: &mut Vec<Implied>) {
    if !value.raw().starts_with(b"arn:") || !key.to_ascii_lowercase().windows(4).any(|word| word == b"role") {
        return;
    }
    let arn = value.get().filter(|arn| arn.contains(":iam::") && arn.contains(":role/"));
    found.extend(arn.map(|arn| Implied { operation: PASS_ROLE.into(), resource: Some(arn.into_owned()) }));
}
