//! One audit record: a CloudEvents 1.0 envelope (structured JSON) around an OCSF 1.5 body. No I/O.
//!
//! Grants and revocations are OCSF *User Access Management* (class 3005: 1 Assign Privileges, 2 Revoke Privileges). Requests,
//! decisions and the admission check are *API Activity* (class 6003). Data without an OCSF field is under `unmapped.curfew`.
use curfew_core::{assignment_request::Gives, conditions::evidence::Evidence, duration::Duration, time::Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind of event that an audit record describes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A writer started; this is the first record of its chain.
    ChainStarted,
    /// A request was resolved and its terms were frozen.
    RequestAccepted,
    /// An AccessDecision was evaluated.
    DecisionJudged,
    /// Every approval stage has passed; the access begins at the start that was asked for, unless something ends the request before.
    RequestScheduled,
    /// Every approval stage has passed, and the start, if there is one, has come; the deadline is stored.
    RequestApproved,
    /// A request has reached a final state, which `state` names.
    RequestEnded,
    /// A Grant is about to be written. This record is stored before the Grant.
    GrantIntended,
    /// The target system shows the access.
    GrantConfirmed,
    /// Part of the access is being taken, because its role does not exist.
    AccessWithheld,
    /// What was withheld is there again.
    AccessRestored,
    /// The revocation of the access has started.
    RevocationBegun,
    /// The target system shows that no part of the access is left.
    RevocationConfirmed,
    /// A person has released a Grant without proof that the access is gone.
    GrantAbandoned,
    /// The sweep has removed an object that no Grant justifies.
    SweepRemoved,
    /// The admission policies were proven to be in force.
    AdmissionEnforced,
    /// The proof that the admission policies are in force failed.
    AdmissionNotEnforced,
    /// An AssignmentRequest was resolved and its terms were frozen.
    AssignmentRequestAccepted,
    /// An assignment is about to get the window of an AssignmentRequest, or to be created for one. This record is queued before the write.
    AssignmentChanged,
    /// An AssignmentRequest has reached a final state, which `state` names.
    AssignmentRequestEnded,
    /// An emergency account has created an object. This record is queued before the object gets a status.
    EmergencyAccountUsed,
}

/// The OCSF class (`class_uid`), `activity_id` and `severity_id` of an event.
struct Class {
    uid: u32,
    activity: u32,
    severity: u32,
}

impl EventKind {
    /// The part of the CloudEvents type between `dev.curfew.` and the version.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::ChainStarted => "chain.started",
            EventKind::RequestAccepted => "request.accepted",
            EventKind::DecisionJudged => "decision.judged",
            EventKind::RequestScheduled => "request.scheduled",
            EventKind::RequestApproved => "request.approved",
            EventKind::RequestEnded => "request.ended",
            EventKind::GrantIntended => "grant.intended",
            EventKind::GrantConfirmed => "grant.confirmed",
            EventKind::AccessWithheld => "access.withheld",
            EventKind::AccessRestored => "access.restored",
            EventKind::RevocationBegun => "revocation.begun",
            EventKind::RevocationConfirmed => "revocation.confirmed",
            EventKind::GrantAbandoned => "grant.abandoned",
            EventKind::SweepRemoved => "sweep.removed",
            EventKind::AdmissionEnforced => "admission.enforced",
            EventKind::AdmissionNotEnforced => "admission.not-enforced",
            EventKind::AssignmentRequestAccepted => "assignment-request.accepted",
            EventKind::AssignmentChanged => "assignment.changed",
            EventKind::AssignmentRequestEnded => "assignment-request.ended",
            EventKind::EmergencyAccountUsed => "emergency-account.used",
        }
    }

    /// The CloudEvents `type`.
    pub fn event_type(self) -> String {
        format!("dev.curfew.{}.v1", self.name())
    }

    const fn class(self) -> Class {
        match self {
            EventKind::GrantIntended | EventKind::GrantConfirmed | EventKind::AccessRestored => {
                Class { uid: 3005, activity: 1, severity: 1 }
            }
            EventKind::AccessWithheld | EventKind::RevocationBegun | EventKind::RevocationConfirmed => {
                Class { uid: 3005, activity: 2, severity: 1 }
            }
            EventKind::GrantAbandoned | EventKind::SweepRemoved => Class { uid: 3005, activity: 2, severity: 4 },
            EventKind::EmergencyAccountUsed => Class { uid: 6003, activity: 1, severity: 5 },
            EventKind::AdmissionNotEnforced => Class { uid: 6003, activity: 99, severity: 4 },
            EventKind::RequestAccepted | EventKind::AssignmentRequestAccepted | EventKind::DecisionJudged => {
                Class { uid: 6003, activity: 1, severity: 1 }
            }
            EventKind::RequestScheduled
            | EventKind::RequestApproved
            | EventKind::RequestEnded
            | EventKind::AssignmentChanged
            | EventKind::AssignmentRequestEnded
            | EventKind::ChainStarted
            | EventKind::AdmissionEnforced => Class { uid: 6003, activity: 99, severity: 1 },
        }
    }
}

/// One decision that counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CountedDecision {
    /// The username of the person who decided.
    pub name: String,
    /// The verb: Approve, Deny, Revoke or Abandon.
    pub decision: String,
    /// When the decision counted.
    pub at: Time,
    /// The longest duration that an approval allows, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// How and when this person was authenticated, as far as the login proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Evidence>,
}

/// The payload of an audit record (`unmapped.curfew`). Unknown fields are left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventData {
    /// The namespace of the object that the record is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name of the object that the record is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The uid of the ActivationRequest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The name of the request, if `name` is the name of a decision about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_name: Option<String>,
    /// The name of the Grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// The username that caused the event: the requester or the decider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// How and when the actor was authenticated, as far as the login proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Evidence>,
    /// The beneficiary: the user who holds the access or would hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name of the AuthorizationSystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The identity of the target system itself, which does not depend on the name in `system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// `true` of a request for break-glass, in each of its records, and of its reviews.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// The name of the RoleTemplate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The request that it extends, with its uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// The permissions: each role with the scope in which it is bound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// The digest of the resolved terms that were approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The AccessPolicy that allows the access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The EligibleAssignment that makes the beneficiary eligible, or the ActiveAssignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// Who created the ActiveAssignment, if it is standing access. The actor is the operator then, which requests it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// How and when the author was authenticated, as far as the login proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_authentication: Option<Evidence>,
    /// The justification from the request, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// The ticket from the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The decisions that approved the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<CountedDecision>,
    /// The deadline of the access.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Of an approval: the longest duration that it allows, if it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Of a new assignment: the scope and the permissions that it gives of its role; of what is left out, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gives: Option<Gives>,
    /// What the target system showed, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// The state that the object reached; for a decision its verb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The reason in CamelCase, as in a condition; for a decision the result of its evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// An explanation for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The position of a record in its chain.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The install id of this Curfew installation.
    pub install: &'a str,
    /// The name of the writer.
    pub writer: &'a str,
    /// The sequence number of the record, starting at 1.
    pub sequence: u64,
    /// The hash of the preceding record.
    pub previous: &'a str,
}

/// Builds the record without its hash.
pub fn record(place: Place<'_>, what: EventKind, facts: &EventData, at: Time) -> Value {
    let Class { uid, activity, severity } = what.class();
    // High: access that nobody approved.
    let severity = if facts.break_glass { severity.max(4) } else { severity };
    let subject = match (&facts.namespace, &facts.name, &facts.grant) {
        (Some(namespace), Some(name), _) => format!("{namespace}/{name}"),
        (None, Some(name), _) => name.clone(),
        (_, None, Some(grant)) => format!("grants/{grant}"),
        (_, None, None) => place.writer.to_owned(),
    };
    let mut data = json!({
        "activity_id": activity, "category_uid": uid / 1000, "class_uid": uid, "type_uid": uid * 100 + activity,
        "severity_id": severity, "status_id": 1, "time": at.as_millis(),
        "metadata": {"version": "1.5.0", "product": {"name": "Curfew", "vendor_name": "Curfew", "version": env!("CARGO_PKG_VERSION")}},
        "unmapped": {"curfew": facts},
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            data[key] = value;
        }
    };
    set("actor", facts.actor.as_ref().map(|name| actor(name, facts.authentication.as_ref())));
    set("user", facts.user.as_ref().map(|user| json!({"name": user})));
    set("privileges", (!facts.privileges.is_empty()).then(|| json!(facts.privileges)));
    set("resource", facts.system.as_ref().map(|system| json!({"name": system, "uid": facts.target})));
    set("message", facts.message.as_ref().map(|message| json!(message)));
    if uid == 6003 {
        set("api", Some(json!({"operation": what.name()})));
    }
    json!({
        "specversion": "1.0", "type": what.event_type(), "source": format!("curfew/{}/{}", place.install, place.writer),
        "id": format!("{}/{}", place.writer, place.sequence), "subject": subject, "time": at.to_string(),
        "datacontenttype": "application/json",
        // Extension attributes: the CloudEvents `sequence` extension, and the hash of the preceding record.
        "sequence": format!("{:020}", place.sequence), "prevhash": place.previous,
        "data": data,
    })
}

/// The OCSF actor. Of an authentication OCSF says here whether it was MFA (`session.is_mfa`); methods are told by its class Authentication
/// alone, so they are under `unmapped.curfew`.
fn actor(name: &str, authentication: Option<&Evidence>) -> Value {
    let user = json!({"name": name});
    match authentication {
        Some(authentication) => json!({"user": user, "session": {"is_mfa": authentication.mfa}}),
        None => json!({"user": user}),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::chain::{Chain, GENESIS_HASH, hash},
        *,
    };
    use std::collections::BTreeSet;

    const ALL: [EventKind; 20] = [
        EventKind::ChainStarted,
        EventKind::RequestAccepted,
        EventKind::DecisionJudged,
        EventKind::RequestScheduled,
        EventKind::RequestApproved,
        EventKind::RequestEnded,
        EventKind::GrantIntended,
        EventKind::GrantConfirmed,
        EventKind::AccessWithheld,
        EventKind::AccessRestored,
        EventKind::RevocationBegun,
        EventKind::RevocationConfirmed,
        EventKind::GrantAbandoned,
        EventKind::SweepRemoved,
        EventKind::AdmissionEnforced,
        EventKind::AdmissionNotEnforced,
        EventKind::AssignmentRequestAccepted,
        EventKind::AssignmentChanged,
        EventKind::AssignmentRequestEnded,
        EventKind::EmergencyAccountUsed,
    ];

    /// Name, OCSF class, activity and severity. Consumers of the audit log depend on these values: changing one changes the format.
    const fn row(what: EventKind) -> (&'static str, u32, u32, u32) {
        match what {
            EventKind::ChainStarted => ("chain.started", 6003, 99, 1),
            EventKind::RequestAccepted => ("request.accepted", 6003, 1, 1),
            EventKind::DecisionJudged => ("decision.judged", 6003, 1, 1),
            EventKind::RequestScheduled => ("request.scheduled", 6003, 99, 1),
            EventKind::RequestApproved => ("request.approved", 6003, 99, 1),
            EventKind::RequestEnded => ("request.ended", 6003, 99, 1),
            EventKind::GrantIntended => ("grant.intended", 3005, 1, 1),
            EventKind::GrantConfirmed => ("grant.confirmed", 3005, 1, 1),
            EventKind::AccessWithheld => ("access.withheld", 3005, 2, 1),
            EventKind::AccessRestored => ("access.restored", 3005, 1, 1),
            EventKind::RevocationBegun => ("revocation.begun", 3005, 2, 1),
            EventKind::RevocationConfirmed => ("revocation.confirmed", 3005, 2, 1),
            EventKind::GrantAbandoned => ("grant.abandoned", 3005, 2, 4),
            EventKind::SweepRemoved => ("sweep.removed", 3005, 2, 4),
            EventKind::AdmissionEnforced => ("admission.enforced", 6003, 99, 1),
            EventKind::AdmissionNotEnforced => ("admission.not-enforced", 6003, 99, 4),
            EventKind::AssignmentRequestAccepted => ("assignment-request.accepted", 6003, 1, 1),
            EventKind::AssignmentChanged => ("assignment.changed", 6003, 99, 1),
            EventKind::AssignmentRequestEnded => ("assignment-request.ended", 6003, 99, 1),
            EventKind::EmergencyAccountUsed => ("emergency-account.used", 6003, 1, 5),
        }
    }

    #[test]
    fn each_event_kind_has_its_ocsf_class_and_a_complete_envelope() {
        let facts = EventData {
            namespace: Some("payments".into()),
            name: Some("first".into()),
            actor: Some("alice".into()),
            user: Some("bob".into()),
            system: Some("prod".into()),
            target: Some("7d1c".into()),
            privileges: vec!["ClusterRole view in payments".into()],
            message: Some("for people".into()),
            ..EventData::default()
        };
        let mut chain = Chain::start("0123abcd", "op-a");
        let mut previous = GENESIS_HASH.to_owned();
        for (i, what) in ALL.into_iter().enumerate() {
            assert_eq!(what as usize, i, "every event kind is listed once, in order");
            let (name, class, activity, severity) = row(what);
            let event: Value = serde_json::from_str(&chain.append(what, &facts, Time::from_millis(1_500))).unwrap();

            let keys: BTreeSet<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
            let attributes = ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "sequence", "hash", "prevhash"];
            assert_eq!(keys, attributes.into_iter().chain(["data"]).collect(), "{name}");
            let id = format!("op-a/{}", i + 1);
            for (key, is) in [
                ("specversion", "1.0"),
                ("id", &id),
                ("source", "curfew/0123abcd/op-a"),
                ("type", &format!("dev.curfew.{name}.v1")),
                ("time", "1970-01-01T00:00:01.5Z"),
                ("subject", "payments/first"),
                ("datacontenttype", "application/json"),
                ("sequence", &format!("{:020}", i + 1)),
                ("prevhash", &previous),
                ("hash", &hash(&event)),
            ] {
                assert_eq!(event[key], is, "{key} of {name}");
            }
            event["hash"].as_str().unwrap().clone_into(&mut previous);

            let data = &event["data"];
            for (key, is) in [
                ("class_uid", class),
                ("category_uid", if class == 3005 { 3 } else { 6 }),
                ("activity_id", activity),
                ("type_uid", class * 100 + activity),
                ("severity_id", severity),
                ("status_id", 1),
                ("time", 1_500),
            ] {
                assert_eq!(data[key], is, "{key} of {name}");
            }
            assert_eq!(data["metadata"]["version"], "1.5.0", "{name}");
            assert_eq!(data["api"]["operation"].as_str(), (class == 6003).then_some(name), "only API Activity has an operation");
            assert_eq!((&data["actor"]["user"]["name"], &data["user"]["name"]), (&json!("alice"), &json!("bob")), "{name}");
            assert_eq!(data["resource"], json!({"name": "prod", "uid": "7d1c"}), "{name}");
            assert_eq!((&data["privileges"], &data["message"]), (&json!(["ClusterRole view in payments"]), &json!("for people")), "{name}");
            assert_eq!(serde_json::from_value::<EventData>(data["unmapped"]["curfew"].clone()).unwrap(), facts, "{name}");
        }
    }

    #[test]
    fn the_subject_uses_the_known_fields_and_unknown_fields_are_omitted() {
        let some = |s: &str| Some(s.to_owned());
        let cases = [
            (some("payments"), some("first"), some("g1"), "payments/first"),
            (None, some("first"), some("g1"), "first"),
            (some("payments"), None, some("g1"), "grants/g1"),
            (None, None, None, "op-a"),
        ];
        for (namespace, name, grant, subject) in cases {
            let facts = EventData { namespace, name, grant, ..EventData::default() };
            let place = Place { install: "0123abcd", writer: "op-a", sequence: 1, previous: GENESIS_HASH };
            let event = record(place, EventKind::GrantConfirmed, &facts, Time::from_secs(1));
            assert_eq!(event["subject"], subject);
            for key in ["actor", "user", "privileges", "resource", "message", "api"] {
                assert!(event["data"].get(key).is_none(), "{key} of {subject}");
            }
        }
    }
}
