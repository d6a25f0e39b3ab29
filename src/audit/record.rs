//! One line of evidence: a CloudEvents 1.0 envelope (structured JSON) around an OCSF 1.5 body. Pure.
//!
//! Grants and revocations are OCSF *User Access Management* (class 3005: 1 Assign Privileges, 2 Revoke Privileges); what
//! people and the gate do is *API Activity* (class 6003). What OCSF has no field for stands under `unmapped.curfew`.
use curfew_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// A writer has begun; its chain starts here.
    ChainStarted,
    /// A request was resolved and frozen.
    RequestAccepted,
    /// A decision of a person was judged.
    DecisionJudged,
    /// Every stage has passed; the deadline is stored.
    RequestApproved,
    /// A request has ended, however.
    RequestEnded,
    /// A Grant is about to be written. Recorded before it is.
    GrantIntended,
    /// The target has shown the access.
    GrantConfirmed,
    /// The access is being taken away.
    RevocationBegun,
    /// The target has shown that nothing is left.
    RevocationConfirmed,
    /// A person has released a Grant without proof.
    GrantAbandoned,
    /// The sweep has removed what nothing justified.
    SweepRemoved,
    /// The admission policies are proven to be in force.
    AdmissionEnforced,
    /// They are not.
    AdmissionNotEnforced,
}

/// How OCSF sees it.
struct Class {
    uid: u32,
    activity: u32,
    severity: u32,
}

impl EventKind {
    /// The last part of the event's type.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::ChainStarted => "chain.started",
            EventKind::RequestAccepted => "request.accepted",
            EventKind::DecisionJudged => "decision.judged",
            EventKind::RequestApproved => "request.approved",
            EventKind::RequestEnded => "request.ended",
            EventKind::GrantIntended => "grant.intended",
            EventKind::GrantConfirmed => "grant.confirmed",
            EventKind::RevocationBegun => "revocation.begun",
            EventKind::RevocationConfirmed => "revocation.confirmed",
            EventKind::GrantAbandoned => "grant.abandoned",
            EventKind::SweepRemoved => "sweep.removed",
            EventKind::AdmissionEnforced => "admission.enforced",
            EventKind::AdmissionNotEnforced => "admission.not-enforced",
        }
    }

    /// The type of the CloudEvent.
    pub fn event_type(self) -> String {
        format!("dev.curfew.{}.v1", self.name())
    }

    const fn class(self) -> Class {
        match self {
            EventKind::GrantIntended | EventKind::GrantConfirmed => Class { uid: 3005, activity: 1, severity: 1 },
            EventKind::RevocationBegun | EventKind::RevocationConfirmed => Class { uid: 3005, activity: 2, severity: 1 },
            EventKind::GrantAbandoned | EventKind::SweepRemoved => Class { uid: 3005, activity: 2, severity: 4 },
            EventKind::AdmissionNotEnforced => Class { uid: 6003, activity: 99, severity: 4 },
            EventKind::RequestAccepted | EventKind::DecisionJudged => Class { uid: 6003, activity: 1, severity: 1 },
            EventKind::RequestApproved | EventKind::RequestEnded | EventKind::ChainStarted | EventKind::AdmissionEnforced => {
                Class { uid: 6003, activity: 99, severity: 1 }
            }
        }
    }
}

/// One person's word, as it counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CountedDecision {
    /// Who.
    pub name: String,
    /// What.
    pub decision: String,
    /// When.
    pub at: Time,
}

/// What is known about it. What is not known is left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventData {
    /// The namespace of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The request's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The request's name, where `name` is that of a decision about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_name: Option<String>,
    /// The Grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Who did it: the requester, the decider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Who holds the access, or would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The AuthorizationSystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What that really is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The RoleTemplate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What is held: roles and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub privileges: Vec<String>,
    /// The digest that was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The policy that allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The assignment that makes eligible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// Why, in the requester's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// The ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// On whose word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<CountedDecision>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// What the target showed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<String>,
    /// The state that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a record stands in its chain.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The install id.
    pub install: &'a str,
    /// Who writes.
    pub writer: &'a str,
    /// The record's number, from 1.
    pub sequence: u64,
    /// The hash of the record before it.
    pub previous: &'a str,
}

/// The record, without its hash.
pub fn record(place: Place<'_>, what: EventKind, f: &EventData, at: Time) -> Value {
    let Class { uid, activity, severity } = what.class();
    let subject = match (&f.namespace, &f.name, &f.grant) {
        (Some(ns), Some(name), _) => format!("{ns}/{name}"),
        (None, Some(name), _) => name.clone(),
        (_, None, Some(grant)) => format!("grants/{grant}"),
        (_, None, None) => place.writer.to_owned(),
    };
    let mut data = json!({
        "activity_id": activity, "category_uid": uid / 1000, "class_uid": uid, "type_uid": uid * 100 + activity,
        "severity_id": severity, "status_id": 1, "time": at.as_millis(),
        "metadata": {"version": "1.5.0", "product": {"name": "Curfew", "vendor_name": "Curfew", "version": env!("CARGO_PKG_VERSION")}},
        "unmapped": {"curfew": f},
    });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(v) = value {
            data[key] = v;
        }
    };
    set("actor", f.actor.as_ref().map(|a| json!({"user": {"name": a}})));
    set("user", f.user.as_ref().map(|u| json!({"name": u})));
    set("privileges", (!f.privileges.is_empty()).then(|| json!(f.privileges)));
    set("resource", f.system.as_ref().map(|s| json!({"name": s, "uid": f.target})));
    set("message", f.message.as_ref().map(|m| json!(m)));
    if uid == 6003 {
        set("api", Some(json!({"operation": what.name()})));
    }
    json!({
        "specversion": "1.0", "type": what.event_type(), "source": format!("curfew/{}/{}", place.install, place.writer),
        "id": format!("{}/{}", place.writer, place.sequence), "subject": subject, "time": at.to_string(),
        "datacontenttype": "application/json",
        // Extension attributes: the CloudEvents `sequence` extension, and the chain.
        "sequence": format!("{:020}", place.sequence), "prevhash": place.previous,
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::chain::{Chain, GENESIS_HASH, hash},
        *,
    };
    use std::collections::BTreeSet;

    const ALL: [EventKind; 13] = [
        EventKind::ChainStarted,
        EventKind::RequestAccepted,
        EventKind::DecisionJudged,
        EventKind::RequestApproved,
        EventKind::RequestEnded,
        EventKind::GrantIntended,
        EventKind::GrantConfirmed,
        EventKind::RevocationBegun,
        EventKind::RevocationConfirmed,
        EventKind::GrantAbandoned,
        EventKind::SweepRemoved,
        EventKind::AdmissionEnforced,
        EventKind::AdmissionNotEnforced,
    ];

    /// Name, OCSF class, activity and severity. Who consumes evidence rests on these: a change here is a change of the format.
    const fn row(what: EventKind) -> (&'static str, u32, u32, u32) {
        match what {
            EventKind::ChainStarted => ("chain.started", 6003, 99, 1),
            EventKind::RequestAccepted => ("request.accepted", 6003, 1, 1),
            EventKind::DecisionJudged => ("decision.judged", 6003, 1, 1),
            EventKind::RequestApproved => ("request.approved", 6003, 99, 1),
            EventKind::RequestEnded => ("request.ended", 6003, 99, 1),
            EventKind::GrantIntended => ("grant.intended", 3005, 1, 1),
            EventKind::GrantConfirmed => ("grant.confirmed", 3005, 1, 1),
            EventKind::RevocationBegun => ("revocation.begun", 3005, 2, 1),
            EventKind::RevocationConfirmed => ("revocation.confirmed", 3005, 2, 1),
            EventKind::GrantAbandoned => ("grant.abandoned", 3005, 2, 4),
            EventKind::SweepRemoved => ("sweep.removed", 3005, 2, 4),
            EventKind::AdmissionEnforced => ("admission.enforced", 6003, 99, 1),
            EventKind::AdmissionNotEnforced => ("admission.not-enforced", 6003, 99, 4),
        }
    }

    #[test]
    fn each_thing_that_happens_has_its_class_and_a_whole_envelope() {
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
            assert_eq!(what as usize, i, "every What is in the list, once");
            let (name, class, activity, severity) = row(what);
            let v: Value = serde_json::from_str(&chain.append(what, &facts, Time::from_millis(1_500))).unwrap();

            let keys: BTreeSet<&str> = v.as_object().unwrap().keys().map(String::as_str).collect();
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
                ("hash", &hash(&v)),
            ] {
                assert_eq!(v[key], is, "{key} of {name}");
            }
            v["hash"].as_str().unwrap().clone_into(&mut previous);

            let d = &v["data"];
            for (key, is) in [
                ("class_uid", class),
                ("category_uid", if class == 3005 { 3 } else { 6 }),
                ("activity_id", activity),
                ("type_uid", class * 100 + activity),
                ("severity_id", severity),
                ("status_id", 1),
                ("time", 1_500),
            ] {
                assert_eq!(d[key], is, "{key} of {name}");
            }
            assert_eq!(d["metadata"]["version"], "1.5.0", "{name}");
            assert_eq!(d["api"]["operation"].as_str(), (class == 6003).then_some(name), "only API Activity names an operation");
            assert_eq!((&d["actor"]["user"]["name"], &d["user"]["name"]), (&json!("alice"), &json!("bob")), "{name}");
            assert_eq!(d["resource"], json!({"name": "prod", "uid": "7d1c"}), "{name}");
            assert_eq!((&d["privileges"], &d["message"]), (&json!(["ClusterRole view in payments"]), &json!("for people")), "{name}");
            assert_eq!(serde_json::from_value::<EventData>(d["unmapped"]["curfew"].clone()).unwrap(), facts, "{name}");
        }
    }

    #[test]
    fn a_record_is_about_what_is_known_and_says_nothing_of_what_is_not() {
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
            let v = record(place, EventKind::GrantConfirmed, &facts, Time::from_secs(1));
            assert_eq!(v["subject"], subject);
            for key in ["actor", "user", "privileges", "resource", "message", "api"] {
                assert!(v["data"].get(key).is_none(), "{key} of {subject}");
            }
        }
    }
}
