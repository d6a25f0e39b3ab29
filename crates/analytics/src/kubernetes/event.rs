//! One event of a Kubernetes audit log (audit.k8s.io/v1).
use super::raw::or_default;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The version that is understood.
pub const VERSION: &str = "audit.k8s.io/v1";

/// A user as authenticated, or as impersonated.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(default)]
pub struct User {
    /// The user name.
    #[serde(deserialize_with = "or_default")]
    pub username: String,
    /// Its groups.
    #[serde(deserialize_with = "or_default")]
    pub groups: Vec<String>,
    /// Its UID.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// Its other fields, by key.
    #[serde(deserialize_with = "or_default")]
    pub extra: BTreeMap<String, serde::de::IgnoredAny>,
}

/// What a request is about.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectRef {
    /// The resource.
    #[serde(deserialize_with = "or_default")]
    pub resource: String,
    /// The namespace, also of a request for a Namespace.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// The API group.
    #[serde(deserialize_with = "or_default")]
    pub api_group: String,
    /// The subresource.
    #[serde(deserialize_with = "or_default")]
    pub subresource: String,
}

#[derive(Clone, Default, Debug, Deserialize)]
#[serde(default)]
struct Status {
    code: i64,
}

#[derive(Clone, Default, Debug, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision", deserialize_with = "or_default")]
    decision: String,
}

/// The fields of an event that the analysis reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    /// The identifier of the request; its stages have the same one. A client can choose it.
    #[serde(default, rename = "auditID", deserialize_with = "or_default")]
    pub audit_id: String,
    /// `ResponseStarted`, `ResponseComplete` and others.
    #[serde(default)]
    pub stage: String,
    /// The URL.
    #[serde(default, rename = "requestURI")]
    pub request_uri: String,
    /// The verb; for URLs that are not resources the HTTP method in lower case.
    #[serde(default)]
    pub verb: String,
    /// Who asked.
    #[serde(default, deserialize_with = "or_default")]
    pub user: User,
    /// As whom.
    pub impersonated_user: Option<User>,
    /// About what.
    pub object_ref: Option<ObjectRef>,
    response_status: Option<Status>,
    request_received_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: Annotations,
    #[serde(default, deserialize_with = "or_default")]
    items: Vec<Value>,
}

/// Items of an EventList that are not events.
#[derive(PartialEq, Eq, Debug)]
pub struct Broken {
    /// How many.
    pub count: u64,
    /// What is wrong with the first one.
    pub first: String,
}

/// What a line of a log is.
#[derive(Debug)]
pub enum Line {
    /// Nothing.
    Empty,
    /// One event, or those of an EventList.
    Events {
        /// The events.
        events: Vec<Event>,
        /// The items that are not events, if there are any.
        broken: Option<Broken>,
    },
    /// JSON of another version or kind.
    Unknown(String),
    /// Not an event; the reason.
    Broken(String),
}

impl Event {
    /// An event of this time without anything else.
    ///
    /// # Errors
    /// If the time, in Unix seconds, is out of range.
    pub(super) fn at_time(at: i64) -> Result<Self, jiff::Error> {
        Ok(Self {
            api_version: VERSION.into(),
            kind: "Event".into(),
            audit_id: String::new(),
            stage: String::new(),
            request_uri: String::new(),
            verb: String::new(),
            user: User::default(),
            impersonated_user: None,
            object_ref: None,
            response_status: None,
            request_received_timestamp: Some(Timestamp::from_second(at)?),
            annotations: Annotations::default(),
            items: Vec::new(),
        })
    }
    /// The same with this HTTP status.
    pub(super) fn answered(self, code: i64) -> Self {
        Self { response_status: Some(Status { code }), ..self }
    }
    /// Whether the request was answered with success. 101 is that of `exec` and its like.
    pub fn succeeded(&self) -> bool {
        self.code() == 101 || (200..300).contains(&self.code())
    }
    /// Whether the event says that the authorizer allowed the request. It may have failed afterwards.
    pub fn was_allowed(&self) -> bool {
        self.annotations.decision == "allow"
    }
    /// The HTTP status; 0 if the event has none.
    pub fn code(&self) -> i64 {
        self.response_status.as_ref().map_or(0, |status| status.code)
    }
    /// When the request arrived, in Unix seconds.
    pub fn at(&self) -> Option<i64> {
        self.request_received_timestamp.map(Timestamp::as_second)
    }
    /// When the request arrived, in microseconds since the Unix epoch.
    pub fn microsecond(&self) -> Option<i64> {
        self.request_received_timestamp.map(Timestamp::as_microsecond)
    }
    /// The path of the URL.
    pub fn path(&self) -> &str {
        self.request_uri.split(['?', '#']).next().unwrap_or_default()
    }
    /// The resource with its subresource.
    pub fn resource(&self) -> Option<String> {
        let object = self.object_ref.as_ref().filter(|object| !object.resource.is_empty())?;
        let slash = if object.subresource.is_empty() { "" } else { "/" };
        Some(format!("{}{slash}{}", object.resource, object.subresource))
    }

    /// What is missing in an event of this version, if something is.
    fn missing(&self) -> Option<&'static str> {
        match self {
            event if event.stage.is_empty() => Some("stage"),
            event if event.verb.is_empty() => Some("verb"),
            // A request that was not authenticated has no user.
            event if event.user.username.is_empty() && event.code() != 401 => Some("user.username"),
            event if event.request_received_timestamp.is_none() => Some("requestReceivedTimestamp"),
            _ => None,
        }
    }
}

/// Reads a line.
pub fn parse(line: &[u8]) -> Line {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Line::Empty;
    }
    let event: Event = match serde_json::from_slice(line) {
        Ok(event) => event,
        Err(error) => return unknown_version(line).map_or_else(|| Line::Broken(error.to_string()), Line::Unknown),
    };
    if event.api_version != VERSION {
        let named = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        return Line::Unknown(format!("apiVersion {}, kind {}", named(&event.api_version), named(&event.kind)));
    }
    match event.kind.as_str() {
        "Event" => match event.missing() {
            Some(field) => Line::Broken(lacks(field)),
            None => Line::Events { events: vec![event], broken: None },
        },
        "EventList" => list(event.items),
        other => Line::Unknown(format!("apiVersion {VERSION}, kind {}", if other.is_empty() { "none" } else { other })),
    }
}

fn lacks(field: &str) -> String {
    format!("the event has no {field}")
}

/// The events of a list, without the items that are not events.
fn list(items: Vec<Value>) -> Line {
    let (mut events, mut broken): (Vec<Event>, Option<Broken>) = (Vec::new(), None);
    for (item, number) in items.into_iter().zip(1..) {
        let read = serde_json::from_value(item).map_err(|error| error.to_string());
        match read.and_then(|event: Event| event.missing().map_or(Ok(()), |field| Err(lacks(field))).map(|()| event)) {
            Ok(event) => events.push(event),
            Err(why) => {
                let first = || Broken { count: 0, first: format!("item {number} of the list: {why}") };
                broken.get_or_insert_with(first).count += 1;
            }
        }
    }
    Line::Events { events, broken }
}

/// The version and kind of JSON that has another shape, if it has another version.
fn unknown_version(line: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let version = value.get("apiVersion")?.as_str().filter(|version| *version != VERSION)?;
    Some(format!("apiVersion {version}, kind {}", value.get("kind").and_then(serde_json::Value::as_str).unwrap_or("none")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseComplete","verb":"create",
        "user":{"username":"u","groups":["g"]},"requestURI":"/api/v1/x?y=z","objectRef":{"resource":"pods","subresource":"exec","apiVersion":"v1"},
        "responseStatus":{"code":101},"requestReceivedTimestamp":"2026-11-26T13:55:53.836353Z"}"#;

    #[test]
    fn an_event_a_list_and_other_versions() {
        let Line::Events { events, .. } = parse(EVENT.as_bytes()) else { panic!() };
        assert!(events[0].succeeded() && events[0].path() == "/api/v1/x" && events[0].resource().unwrap() == "pods/exec");
        assert_eq!(events[0].at(), Some(1_795_701_353));
        assert!(!events[0].was_allowed());
        let allowed = EVENT.replace("\"auditID\"", r#""annotations":{"authorization.k8s.io/decision":"allow","other":"x"},"auditID""#);
        assert!(matches!(parse(allowed.as_bytes()), Line::Events { events, .. } if events[0].was_allowed()));
        let list = format!(r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{EVENT},{EVENT}]}}"#);
        assert!(matches!(parse(list.as_bytes()), Line::Events { events, broken: None } if events.len() == 2));
        let Line::Unknown(name) = parse(EVENT.replace("k8s.io/v1", "k8s.io/v1beta1").as_bytes()) else { panic!() };
        assert_eq!(name, "apiVersion audit.k8s.io/v1beta1, kind Event");
        assert!(matches!(parse(b"{}"), Line::Unknown(name) if name == "apiVersion none, kind none"));
        assert!(matches!(parse(b"  \r"), Line::Empty));
    }

    #[test]
    fn broken_lines_say_why() {
        assert!(matches!(parse(&EVENT.as_bytes()[..90]), Line::Broken(why) if why.contains("EOF")));
        let no_time = EVENT.replace("requestReceivedTimestamp", "other");
        assert!(matches!(parse(no_time.as_bytes()), Line::Broken(why) if why == "the event has no requestReceivedTimestamp"));
        let bad_time = EVENT.replace("2026-11-26T", "yesterday ");
        assert!(matches!(parse(bad_time.as_bytes()), Line::Broken(_)));
    }
}
