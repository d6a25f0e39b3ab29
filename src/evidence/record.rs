//! One line of evidence: a CloudEvents 1.0 envelope (structured JSON) around an OCSF 1.5 body. Pure.
//!
//! Grants and revocations are OCSF *User Access Management* (class 3005: 1 Assign Privileges, 2 Revoke Privileges); what
//! people and the gate do is *API Activity* (class 6003). What OCSF has no field for stands under `unmapped.curfew`.
use curfew_core::time::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
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
    GateClosed,
    /// They are not.
    GateOpened,
}

/// How OCSF sees it.
struct Class {
    uid: u32,
    activity: u32,
    severity: u32,
}

impl What {
    /// The last part of the event's type.
    pub const fn name(self) -> &'static str {
        match self {
            What::ChainStarted => "chain.started",
            What::RequestAccepted => "request.accepted",
            What::DecisionJudged => "decision.judged",
            What::RequestApproved => "request.approved",
            What::RequestEnded => "request.ended",
            What::GrantIntended => "grant.intended",
            What::GrantConfirmed => "grant.confirmed",
            What::RevocationBegun => "revocation.begun",
            What::RevocationConfirmed => "revocation.confirmed",
            What::GrantAbandoned => "grant.abandoned",
            What::SweepRemoved => "sweep.removed",
            What::GateClosed => "gate.closed",
            What::GateOpened => "gate.opened",
        }
    }

    /// The type of the CloudEvent.
    pub fn event_type(self) -> String {
        format!("dev.curfew.{}.v1", self.name())
    }

    const fn class(self) -> Class {
        match self {
            What::GrantIntended | What::GrantConfirmed => Class { uid: 3005, activity: 1, severity: 1 },
            What::RevocationBegun | What::RevocationConfirmed => Class { uid: 3005, activity: 2, severity: 1 },
            What::GrantAbandoned | What::SweepRemoved => Class { uid: 3005, activity: 2, severity: 4 },
            What::GateOpened => Class { uid: 6003, activity: 99, severity: 4 },
            What::RequestAccepted | What::DecisionJudged => Class { uid: 6003, activity: 1, severity: 1 },
            What::RequestApproved | What::RequestEnded | What::ChainStarted | What::GateClosed => {
                Class { uid: 6003, activity: 99, severity: 1 }
            }
        }
    }
}

/// One person's word, as it counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Said {
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
pub struct Facts {
    /// The namespace of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The request's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
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
    pub words: Vec<Said>,
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
pub fn record(place: Place<'_>, what: What, f: &Facts, at: Time) -> Value {
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
