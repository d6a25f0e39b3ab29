//! `curfew audit show`: reconstructs from the audit log who had which access, when, why, who approved it and what the target
//! system confirmed. It works when all objects are deleted. No I/O.
use super::record::{CountedDecision, EventData};
use curfew_core::time::Time;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// One access, from the intent to its end.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The name of the Grant.
    pub grant: String,
    /// The user who had the access.
    pub user: String,
    /// The user who created the request.
    pub requester: String,
    /// The request, as namespace/name.
    pub request: String,
    /// The uid of the request, since a name can be reused.
    pub request_uid: String,
    /// The name of the AuthorizationSystem.
    pub system: String,
    /// The permissions: each role with the scope in which it was bound.
    pub privileges: Vec<String>,
    /// The justification from the request.
    pub justification: String,
    /// The ticket from the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The decisions that approved the request.
    pub words: Vec<CountedDecision>,
    /// The digest of the approved terms.
    pub digest: String,
    /// When the intent was recorded, which is before the first write to the target.
    pub intended: Option<Time>,
    /// When the target system showed the access.
    pub from: Option<Time>,
    /// The deadline.
    pub expires_at: Option<Time>,
    /// When the target system showed that no part of the access is left.
    pub until: Option<Time>,
    /// What the target system confirmed, in the order of the records.
    pub confirmed: Vec<String>,
    /// The decisions that ended the access (Deny, Revoke, Abandon), and when each counted.
    pub ended_by: Vec<CountedDecision>,
    /// The final state, with its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The weight of the record that `ended` comes from; a record with more weight replaces it.
    #[serde(skip)]
    weight: u8,
}

impl Access {
    /// Whether the access may have existed at a time: from its intent until the proof that it is gone.
    pub fn covers(&self, time: Time) -> bool {
        self.intended.or(self.from).is_some_and(|from| time >= from) && self.until.is_none_or(|until| time <= until)
    }
}

/// A decision that counted and that ends access.
struct EndingDecision {
    grant: Option<String>,
    request: Option<String>,
    decision: CountedDecision,
}

impl EndingDecision {
    /// Returns `None` for decisions that did not count, and for approvals, which the intent lists.
    fn read(facts: EventData, at: Time) -> Option<Self> {
        let (name, verb) = facts.actor.zip(facts.state)?;
        let counts = facts.reason.as_deref() == Some("Counted") && matches!(verb.as_str(), "Deny" | "Revoke" | "Abandon");
        counts.then_some(EndingDecision {
            grant: facts.grant,
            request: facts.request,
            decision: CountedDecision { name, decision: verb, at, duration: None, authentication: facts.authentication },
        })
    }

    fn is_about(&self, access: &Access) -> bool {
        self.grant.as_ref() == Some(&access.grant) || self.request.as_ref().is_some_and(|uid| *uid == access.request_uid)
    }
}

/// Returns every access in the audit log, ordered by the time of the intent. Lines that are not audit records are skipped.
pub fn history(lines: impl IntoIterator<Item = String>) -> Vec<Access> {
    let mut by_grant: BTreeMap<String, Access> = BTreeMap::new();
    let mut decisions: Vec<EndingDecision> = Vec::new();
    for line in lines {
        let Ok(record) = serde_json::from_str::<Value>(&line) else { continue };
        let Ok(facts) = serde_json::from_value::<EventData>(record["data"]["unmapped"]["curfew"].clone()) else { continue };
        let Some(at) = record["time"].as_str().and_then(Time::parse) else { continue };
        let kind = record["type"].as_str().unwrap_or_default().trim_start_matches("dev.curfew.").trim_end_matches(".v1").to_owned();
        // A decision can name a Grant that never existed, so a decision does not create an access.
        if kind == "decision.judged" {
            decisions.extend(EndingDecision::read(facts, at));
            continue;
        }
        let Some(grant) = facts.grant.clone() else { continue };
        let access = by_grant.entry(grant.clone()).or_insert_with(|| Access { grant, ..Access::default() });
        apply_record(access, &kind, facts, at);
    }
    let mut accesses: Vec<Access> = by_grant.into_values().collect();
    decisions.sort_by_key(|ending| ending.decision.at);
    for access in &mut accesses {
        access.ended_by = decisions_about(access, &decisions);
    }
    accesses.sort_by_key(|access| (access.intended.or(access.from), access.grant.clone()));
    accesses
}

/// Returns the decisions about an access, each person and verb once: a crash can record the same decision twice.
fn decisions_about(access: &Access, decisions: &[EndingDecision]) -> Vec<CountedDecision> {
    let mut unique: Vec<CountedDecision> = Vec::new();
    for EndingDecision { decision, .. } in decisions.iter().filter(|ending| ending.is_about(access)) {
        if !unique.iter().any(|known| (&known.name, &known.decision) == (&decision.name, &decision.decision)) {
            unique.push(decision.clone());
        }
    }
    unique
}

/// Returns the end that a record describes, and the weight of that record. Abandonment has the most weight, since the access is
/// not proven gone, even if the request says that it was revoked. A deleted request never records its end; then the confirmation
/// by the target system counts.
fn ending(kind: &str, facts: &EventData) -> Option<(u8, String)> {
    let (weight, state, reason) = match kind {
        "grant.abandoned" => (4, "Abandoned", None),
        "request.ended" => (3, facts.state.as_deref()?, facts.reason.as_ref()),
        "revocation.confirmed" => (2, "Ended", facts.reason.as_ref()),
        "sweep.removed" => (1, "Swept", facts.message.as_ref()),
        _ => return None,
    };
    Some((weight, reason.map_or_else(|| state.to_owned(), |reason| format!("{state} ({reason})"))))
}

/// Adds the content of one record to its access. Fields that are set already keep their value.
fn apply_record(access: &mut Access, kind: &str, facts: EventData, at: Time) {
    if let Some((weight, ended)) = ending(kind, &facts).filter(|(weight, _)| *weight > access.weight) {
        (access.weight, access.ended) = (weight, Some(ended));
    }
    let set_if_empty = |field: &mut String, value: Option<String>| {
        if let Some(value) = value.filter(|_| field.is_empty()) {
            *field = value;
        }
    };
    let request = facts.namespace.zip(facts.name).map(|(namespace, name)| format!("{namespace}/{name}"));
    set_if_empty(&mut access.user, facts.user);
    set_if_empty(&mut access.requester, facts.actor.filter(|_| kind == "grant.intended"));
    set_if_empty(&mut access.request, request.filter(|_| kind != "sweep.removed"));
    set_if_empty(&mut access.request_uid, facts.request);
    set_if_empty(&mut access.system, facts.system);
    set_if_empty(&mut access.justification, facts.justification);
    set_if_empty(&mut access.digest, facts.digest);
    access.ticket = access.ticket.take().or(facts.ticket);
    // The records of a request list roles only; the intent also lists the scope of each role.
    if access.privileges.is_empty() || (kind == "grant.intended" && access.intended.is_none()) {
        access.privileges = facts.privileges;
    }
    if kind == "grant.intended" && access.intended.is_none() {
        access.words = facts.decisions;
        access.intended = access.intended.or(Some(at));
    }
    access.expires_at = access.expires_at.into_iter().chain(facts.expires_at).min();
    if kind == "grant.confirmed" {
        access.from = access.from.or(Some(at));
    }
    if matches!(kind, "revocation.confirmed" | "sweep.removed") {
        access.until = access.until.or(Some(at));
    }
    if let Some(confirmed) = facts.confirmed {
        access.confirmed.push(format!("{at} {kind}: {confirmed}"));
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Option<Time>| time.map_or_else(|| "not confirmed".to_owned(), |time| time.to_string());
        writeln!(f, "{} had {} on {}", self.user, self.privileges.join(", "), self.system)?;
        writeln!(f, "  from       {} (intended {})", time(self.from), time(self.intended))?;
        writeln!(f, "  until      {} (deadline {})", time(self.until), time(self.expires_at))?;
        // The requester chooses this text: it is quoted and escaped, so that it cannot imitate a line of this output.
        let ticket = self.ticket.as_ref().map_or_else(String::new, |ticket| format!(" ({ticket:?})"));
        writeln!(f, "  why        {:?}{ticket}", self.justification)?;
        writeln!(f, "  requested  {} by {} as {}", self.digest, self.requester, self.request)?;
        let list = |decisions: &[CountedDecision]| {
            decisions
                .iter()
                .map(|CountedDecision { name, decision, at, duration, authentication }| {
                    let shortened = duration.as_ref().map(|duration| format!(" for at most {duration}")).unwrap_or_default();
                    let mfa = authentication.as_ref().filter(|shown| shown.mfa).map(|shown| format!(" (MFA {})", shown.methods.join(", ")));
                    format!("{name} {decision} {at}{shortened}{}", mfa.unwrap_or_default())
                })
                .collect::<Vec<_>>()
                .join(", ")
        };
        let approvals = list(&self.words);
        writeln!(f, "  approvals  {}", if approvals.is_empty() { "none: no approval was required" } else { &approvals })?;
        for confirmed in &self.confirmed {
            writeln!(f, "  confirmed  {confirmed}")?;
        }
        if !self.ended_by.is_empty() {
            writeln!(f, "  ended by   {}", list(&self.ended_by))?;
        }
        write!(f, "  ended      {}", self.ended.as_deref().unwrap_or("not yet, or not recorded"))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{chain::Chain, record::EventKind},
        *,
    };

    fn at(seconds: i64) -> Time {
        Time::from_secs(seconds)
    }

    /// The history of one Grant: intent, confirmation by the target, then the given records.
    fn history_with(after: impl IntoIterator<Item = (EventKind, EventData)>) -> Vec<Access> {
        let mut chain = Chain::start("0123abcd", "a");
        let intended = EventData { actor: Some("alice".into()), ..about_grant() };
        let mut lines = vec![
            chain.append(EventKind::GrantIntended, &intended, at(10)),
            chain.append(EventKind::GrantConfirmed, &about_grant(), at(11)),
        ];
        lines.extend(after.into_iter().zip(20..).map(|((what, facts), seconds)| chain.append(what, &facts, at(seconds))));
        history(lines)
    }

    fn about_grant() -> EventData {
        EventData {
            grant: Some("g1".into()),
            namespace: Some("payments".into()),
            name: Some("first".into()),
            request: Some("u1".into()),
            user: Some("alice".into()),
            ..EventData::default()
        }
    }

    /// The record of an evaluated decision about a request or a Grant.
    fn judged(who: &str, verb: &str, result: &str, request: Option<&str>, grant: Option<&str>) -> (EventKind, EventData) {
        let facts = EventData {
            namespace: Some("payments".into()),
            name: Some("d-1".into()),
            request: request.map(str::to_owned),
            grant: grant.map(str::to_owned),
            actor: Some(who.into()),
            state: Some(verb.into()),
            reason: Some(result.into()),
            ..EventData::default()
        };
        (EventKind::DecisionJudged, facts)
    }

    fn ending(what: EventKind, state: &str, reason: Option<&str>) -> (EventKind, EventData) {
        (what, EventData { state: Some(state.into()), reason: reason.map(str::to_owned), ..about_grant() })
    }

    /// The text output for the only access of a history.
    fn text(accesses: &[Access]) -> String {
        let [access] = accesses else { panic!("{accesses:?}") };
        access.to_string()
    }

    #[test]
    fn an_abandoned_grant_names_who_released_it_and_is_not_reported_as_ended() {
        let records = [
            judged("carol", "Abandon", "NotEntitled", None, Some("g1")),
            judged("olga", "Abandon", "Waiting", None, Some("g1")),
            judged("olga", "Abandon", "Counted", None, Some("g1")),
            // The record is sent before the commit, so a crash duplicates it.
            judged("olga", "Abandon", "Counted", None, Some("g1")),
            ending(EventKind::GrantAbandoned, "Abandoned", Some("Abandoned")),
            // The request ends as Revoked, although its Grant was not revoked.
            ending(EventKind::RequestEnded, "Revoked", Some("Abandoned")),
        ];
        let accesses = history_with(records);
        let output = text(&accesses);
        assert!(output.ends_with("\n  ended by   olga Abandon 1970-01-01T00:00:22Z\n  ended      Abandoned"), "{output}");
        assert!(output.contains("until      not confirmed") && !output.contains("carol"), "{output}");
        assert_eq!(accesses[0].request, "payments/first");
    }

    #[test]
    fn a_decision_about_an_unknown_grant_creates_no_access() {
        let accesses = history_with([judged("mallory", "Abandon", "NotFound", None, Some("g2"))]);
        assert!(!text(&accesses).contains("mallory"));
    }

    #[test]
    fn the_output_names_who_denied_or_revoked_the_access() {
        let records = [
            judged("dave", "Approve", "Counted", Some("u1"), None),
            judged("mallory", "Revoke", "NotEntitled", Some("u1"), None),
            judged("mallory", "Revoke", "Counted", Some("u2"), None),
            judged("carol", "Revoke", "Counted", Some("u1"), None),
            ending(EventKind::RevocationConfirmed, "Ended", Some("RevokedByApprover")),
            ending(EventKind::RequestEnded, "Revoked", Some("RevokedByApprover")),
            judged("dave", "Deny", "Counted", Some("u1"), None),
        ];
        let output = text(&history_with(records));
        let end =
            "\n  ended by   carol Revoke 1970-01-01T00:00:23Z, dave Deny 1970-01-01T00:00:26Z\n  ended      Revoked (RevokedByApprover)";
        assert!(output.ends_with(end) && !output.contains("mallory"), "{output}");
    }

    #[test]
    fn the_end_is_reported_without_a_request_ended_record() {
        for (reason, expected) in [(Some("RequestDeleted"), "Ended (RequestDeleted)"), (None, "Ended")] {
            let output = text(&history_with([ending(EventKind::RevocationConfirmed, "Ended", reason)]));
            assert!(output.ends_with(&format!("\n  ended      {expected}")), "{output}");
            assert!(output.contains("until      1970-01-01T00:00:20Z"), "{output}");
        }
        let swept = EventData { message: Some("past the deadline in its name".into()), ..about_grant() };
        let output = text(&history_with([(EventKind::SweepRemoved, swept.clone())]));
        assert!(output.ends_with("\n  ended      Swept (past the deadline in its name)"), "{output}");
        let proven = ending(EventKind::RevocationConfirmed, "Ended", Some("RequestDeleted"));
        let output = text(&history_with([(EventKind::SweepRemoved, swept), proven]));
        assert!(output.ends_with("\n  ended      Ended (RequestDeleted)"), "{output}");
        let begun = text(&history_with([ending(EventKind::RevocationBegun, "Revoking", Some("RequestDeleted"))]));
        assert!(begun.ends_with("\n  ended      not yet, or not recorded"), "{begun}");
    }

    #[test]
    fn the_history_of_an_access_is_complete_without_any_object() {
        let mut chain = Chain::start("0123abcd", "a");
        let base = EventData {
            grant: Some("g1".into()),
            namespace: Some("payments".into()),
            name: Some("first".into()),
            user: Some("alice".into()),
            ..EventData::default()
        };
        let intent = EventData {
            actor: Some("alice".into()),
            system: Some("prod".into()),
            privileges: vec!["ClusterRole payments-admin in payments".into()],
            justification: Some("roll back".into()),
            decisions: vec![CountedDecision {
                name: "carol".into(),
                decision: "Approve".into(),
                at: at(5),
                duration: None,
                authentication: None,
            }],
            expires_at: Some(at(100)),
            ..base.clone()
        };
        let confirmed = |text: &str| EventData { confirmed: Some(text.into()), ..base.clone() };
        let ended = EventData { state: Some("Expired".into()), reason: Some("DeadlinePassed".into()), ..base.clone() };
        let approved = EventData { privileges: vec!["ClusterRole payments-admin (0123)".into()], ..base.clone() };
        let lines = vec![
            chain.append(EventKind::RequestApproved, &approved, at(9)),
            chain.append(EventKind::GrantIntended, &intent, at(10)),
            chain.append(EventKind::GrantConfirmed, &confirmed("armed"), at(11)),
            chain.append(EventKind::RevocationConfirmed, &confirmed("gone"), at(101)),
            chain.append(EventKind::RequestEnded, &ended, at(102)),
        ];
        let accesses = history(lines);
        let [access] = accesses.as_slice() else { panic!("{accesses:?}") };
        assert_eq!((access.from, access.until, access.expires_at), (Some(at(11)), Some(at(101)), Some(at(100))));
        assert!(access.covers(at(50)) && !access.covers(at(5)) && !access.covers(at(200)));
        let text = access.to_string();
        for part in
            ["alice had ClusterRole payments-admin in payments", "carol Approve", "roll back", "confirmed", "Expired (DeadlinePassed)"]
        {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }
}
