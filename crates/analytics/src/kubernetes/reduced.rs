//! What the usage store keeps of an audit event: enough to count its use again, with a catalogue or rules that are built later.
//!
//! | Part | Holds | Example |
//! |---|---|---|
//! | identity | the authenticated user | `alice` |
//! | operation | verb, group, resource and subresource, or verb and path | `create core/pods/exec`, `get /healthz` |
//! | resource | the namespace | `payments` |
//! | context | groups, impersonation, whether an object came into being, as JSON | `{"groups":["devs"],"as":{"user":"bob"}}` |
//!
//! A request that was refused or failed is `!failed CODE`, without what it was about: a caller can invent any number of names that the API
//! server refuses. Another stage of a request is `!stage NAME`. Names of objects are not kept.
use super::{
    event::{Event, ObjectRef, User},
    usage::Usage,
};
use crate::{
    history::Day,
    store::{Result as Stored, Store, UsageEvent},
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet};

/// The parts of an event. `operation`, `resource` and `context` have few values in the log of a cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Reduced {
    /// One for each request: both events of a stream have the same one, so it counts once. Other stages have their own.
    pub id: String,
    /// The authenticated user; empty if there is none.
    pub identity: String,
    /// What.
    pub operation: String,
    /// The namespace; empty for requests across all of them, and outside of them.
    pub resource: String,
    /// What else decides about the use; empty if nothing does.
    pub context: String,
    /// When the request arrived, in Unix seconds.
    pub at: i64,
}

impl From<Reduced> for UsageEvent<'static> {
    fn from(reduced: Reduced) -> Self {
        let resources = if reduced.resource.is_empty() { Vec::new() } else { vec![reduced.resource.into()] };
        Self {
            id: reduced.id.into(),
            identity: reduced.identity.into(),
            operation: reduced.operation.into(),
            resources,
            context: reduced.context.into(),
            at: reduced.at,
        }
    }
}

/// Rows of the store that are not reduced audit events.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Unreadable {
    /// How many.
    pub count: u64,
    /// What is wrong with the first one.
    pub first: Option<String>,
}

/// Counts the events of these days, from the store, as [`Usage::record`] counted the originals.
///
/// A row has the last time of its events on a day only. So the result is exact for a window that ends with a day, or after the last event.
///
/// # Errors
/// As [`Store::fold`].
pub fn replay(store: &Store, system: &str, from: Day, to: Day, usage: &mut Usage) -> Stored<Unreadable> {
    let mut unreadable = Unreadable::default();
    store.fold(system, from, to, |row| match restore(row.identity, row.operation, row.resource, row.context, row.last) {
        Ok(event) => usage.replay(&event, row.count),
        Err(why) => {
            unreadable.count += 1;
            unreadable.first.get_or_insert(why);
        }
    })?;
    usage.hours.extend(store.hours(system, from, to)?);
    Ok(unreadable)
}

/// Someone as whom a request was made.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct As {
    user: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<String>,
    /// Whether a UID was given.
    #[serde(skip_serializing_if = "is_false")]
    uid: bool,
    /// The keys of extra fields.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    extra: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Context {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    groups: BTreeSet<String>,
    /// The answer 201 to another verb than `create`.
    #[serde(skip_serializing_if = "is_false")]
    created: bool,
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    other: Option<As>,
}

fn is_false(value: &bool) -> bool {
    !value
}

const FAILED: &str = "!failed ";
const STAGE: &str = "!stage ";
/// The stages of which the name is kept.
const STAGES: [&str; 2] = ["RequestReceived", "Panic"];
const CREATED: i64 = 201;

/// Reduces an event. `None` if it has no time, so that it can be no use.
pub fn reduce(event: &Event) -> Option<Reduced> {
    let at = event.at()?;
    let is_answer = matches!(event.stage.as_str(), "ResponseStarted" | "ResponseComplete");
    let reduced = |operation: String, resource: &str, context: String, stage: &str| Reduced {
        id: identifier(event, stage),
        identity: event.user.username.clone(),
        operation,
        resource: resource.to_owned(),
        context,
        at,
    };
    if !is_answer {
        let stage = if STAGES.contains(&event.stage.as_str()) { &event.stage } else { "other" };
        return Some(reduced(format!("{STAGE}{stage}"), "", String::new(), &event.stage));
    }
    if !event.succeeded() {
        // A stream that started and failed at its end is both.
        return Some(reduced(format!("{FAILED}{}", event.code()), "", String::new(), &event.stage));
    }
    let context = Context {
        groups: event.user.groups.iter().cloned().collect(),
        created: event.code() == CREATED && event.verb != "create",
        other: event.impersonated_user.as_ref().map(|user| As {
            user: user.username.clone(),
            groups: user.groups.iter().cloned().collect(),
            uid: !user.uid.is_empty(),
            extra: user.extra.keys().cloned().collect(),
        }),
    };
    let context = if context == Context::default() { String::new() } else { serde_json::to_string(&context).unwrap_or_default() };
    let namespace = event.object_ref.as_ref().filter(|object| !object.resource.is_empty()).map_or("", |object| &object.namespace);
    Some(reduced(operation(event), namespace, context, "answer"))
}

/// The identifier of an event. One without `auditID` is told apart by its time, to the microsecond, and its URL.
fn identifier(event: &Event, stage: &str) -> String {
    match event.audit_id.as_str() {
        "" => format!("{} {} {stage}", event.microsecond().unwrap_or_default(), event.request_uri),
        id => format!("{id} {stage}"),
    }
}

fn operation(event: &Event) -> String {
    let verb = escaped(&event.verb, &[' ', '!']);
    match event.object_ref.as_ref().filter(|object| !object.resource.is_empty()) {
        Some(object) => {
            let slash = if object.subresource.is_empty() { "" } else { "/" };
            let (resource, sub) = (escaped(&object.resource, &['/']), &object.subresource);
            format!("{verb} {}/{resource}{slash}{sub}", group(&object.api_group))
        }
        None => format!("{verb} {}", path(event.path())),
    }
}

/// The group as permissions name it.
fn group(group: &str) -> Cow<'_, str> {
    match group {
        "" => Cow::Borrowed("core"),
        "core" => Cow::Borrowed("%63ore"),
        other => escaped(other, &['/']),
    }
}

/// A path begins with a slash, which no group does. Two slashes stand before what is not such a path.
fn path(path: &str) -> Cow<'_, str> {
    if path.starts_with('/') && !path.starts_with("//") { Cow::Borrowed(path) } else { Cow::Owned(format!("//{path}")) }
}

/// The text with these characters, and the percent sign, written as `%` and two hexadecimal digits. Names of an API server have none of them.
fn escaped<'a>(text: &'a str, characters: &[char]) -> Cow<'a, str> {
    let is_special = |c: char| c == '%' || characters.contains(&c);
    if !text.contains(is_special) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if is_special(c) { format!("%{:02x}", u32::from(c)) } else { c.to_string() }).collect())
}

fn plain(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        out.push(char::from(u8::from_str_radix(code, 16).ok()?));
        out.push_str(rest);
    }
    Some(out)
}

/// The event of which these are the parts, as far as [`super::usage::Usage`] reads it.
///
/// # Errors
/// If it is not a reduced event; the reason.
pub fn restore(identity: &str, operation: &str, resource: &str, context: &str, at: i64) -> Result<Event, String> {
    let context: Context = match context {
        "" => Context::default(),
        text => serde_json::from_str(text).map_err(|error| format!("the context {text} cannot be read: {error}"))?,
    };
    let wrong = || format!("the operation {operation} is not one of a reduced audit event");
    let user = User { username: identity.to_owned(), groups: context.groups.into_iter().collect(), ..User::default() };
    let mut event = Event::at_time(at).map_err(|error| format!("the time {at} cannot be read: {error}"))?;
    (event.user, event.stage) = (user, "ResponseComplete".into());
    if let Some(stage) = operation.strip_prefix(STAGE) {
        event.stage = stage.to_owned();
        return Ok(event);
    }
    if let Some(code) = operation.strip_prefix(FAILED) {
        return Ok(event.answered(code.parse().map_err(|_| wrong())?));
    }
    let (verb, about) = operation.split_once(' ').ok_or_else(wrong)?;
    event.verb = plain(verb).ok_or_else(wrong)?;
    match about.strip_prefix("//") {
        Some(path) => event.request_uri = path.to_owned(),
        None if about.starts_with('/') => event.request_uri = about.to_owned(),
        None => event.object_ref = Some(object(about, resource).ok_or_else(wrong)?),
    }
    event.impersonated_user = context.other.map(|other| User {
        username: other.user,
        groups: other.groups.into_iter().collect(),
        uid: if other.uid { "given".into() } else { String::new() },
        extra: other.extra.into_iter().map(|key| (key, serde::de::IgnoredAny)).collect(),
    });
    Ok(event.answered(if context.created { CREATED } else { 200 }))
}

fn object(about: &str, namespace: &str) -> Option<ObjectRef> {
    let (group, rest) = about.split_once('/')?;
    let (resource, subresource) = rest.split_once('/').unwrap_or((rest, ""));
    let api_group = if group == "core" { String::new() } else { plain(group)? };
    let (resource, subresource) = (plain(resource)?, subresource.to_owned());
    Some(ObjectRef { resource, namespace: namespace.to_owned(), api_group, subresource, name: String::new() })
}
