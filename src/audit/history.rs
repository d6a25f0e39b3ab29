//! What evidence answers when every object is gone: who had what, when, why, on whose word, and what the target confirmed.
//! Pure.
use super::record::{CountedDecision, EventData};
use curfew_core::time::Time;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// One access, from its intent to its end.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The Grant.
    pub grant: String,
    /// Who had it.
    pub user: String,
    /// Who asked.
    pub requester: String,
    /// The request, as namespace/name.
    pub request: String,
    /// Its uid: names are used again.
    pub request_uid: String,
    /// Where.
    pub system: String,
    /// What.
    pub privileges: Vec<String>,
    /// Why.
    pub justification: String,
    /// For which ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// On whose word.
    pub words: Vec<CountedDecision>,
    /// The digest they approved.
    pub digest: String,
    /// When it was intended: before the first write.
    pub intended: Option<Time>,
    /// When the target had shown it.
    pub from: Option<Time>,
    /// When it was to end.
    pub expires_at: Option<Time>,
    /// When the target had shown that nothing is left.
    pub until: Option<Time>,
    /// What the target confirmed, in order.
    pub confirmed: Vec<String>,
    /// On whose word it was to end: who denied, revoked or released it, and when that was judged to count.
    pub ended_by: Vec<CountedDecision>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How much the record weighs that says so.
    #[serde(skip)]
    weight: u8,
}

impl Access {
    /// Whether it may have been there at a time: from its intent until the proof of its end.
    pub fn covers(&self, t: Time) -> bool {
        self.intended.or(self.from).is_some_and(|from| t >= from) && self.until.is_none_or(|until| t <= until)
    }
}

/// A person's word that counted against an access.
struct Against {
    grant: Option<String>,
    request: Option<String>,
    said: CountedDecision,
}

impl Against {
    /// Only what counted, and only what takes away: approvals stand in the intent.
    fn read(f: EventData, at: Time) -> Option<Self> {
        let (name, decision) = f.actor.zip(f.state)?;
        let counts = f.reason.as_deref() == Some("Counted") && matches!(decision.as_str(), "Deny" | "Revoke" | "Abandon");
        counts.then_some(Against { grant: f.grant, request: f.request, said: CountedDecision { name, decision, at } })
    }

    fn is_about(&self, a: &Access) -> bool {
        self.grant.as_ref() == Some(&a.grant) || self.request.as_ref().is_some_and(|uid| *uid == a.request_uid)
    }
}

/// Every access that evidence tells of, in the order of its intents.
pub fn history(lines: impl IntoIterator<Item = String>) -> Vec<Access> {
    let mut all: BTreeMap<String, Access> = BTreeMap::new();
    let mut against: Vec<Against> = Vec::new();
    for line in lines {
        let Ok(v) = serde_json::from_str::<Value>(&line) else { continue };
        let Ok(f) = serde_json::from_value::<EventData>(v["data"]["unmapped"]["curfew"].clone()) else { continue };
        let Some(at) = v["time"].as_str().and_then(Time::parse) else { continue };
        let kind = v["type"].as_str().unwrap_or_default().trim_start_matches("dev.curfew.").trim_end_matches(".v1").to_owned();
        // Anybody may decide about a Grant that never was, so a decision makes no access.
        if kind == "decision.judged" {
            against.extend(Against::read(f, at));
            continue;
        }
        let Some(grant) = f.grant.clone() else { continue };
        let a = all.entry(grant.clone()).or_insert_with(|| Access { grant, ..Access::default() });
        learn(a, &kind, f, at);
    }
    let mut all: Vec<Access> = all.into_values().collect();
    against.sort_by_key(|w| w.said.at);
    for a in &mut all {
        a.ended_by = against_it(a, &against);
    }
    all.sort_by_key(|a| (a.intended.or(a.from), a.grant.clone()));
    all
}

/// Each person's word once, though a crash tells it again.
fn against_it(a: &Access, words: &[Against]) -> Vec<CountedDecision> {
    let mut all: Vec<CountedDecision> = Vec::new();
    for w in words.iter().filter(|w| w.is_about(a)) {
        if !all.iter().any(|s| (&s.name, &s.decision) == (&w.said.name, &w.said.decision)) {
            all.push(w.said.clone());
        }
    }
    all
}

/// How it ended, as this record tells it, and how much that weighs. What nobody has proven gone is said above all, whatever
/// its request says; a request that was deleted never tells its end, and then the target's word is what there is.
fn ending(kind: &str, f: &EventData) -> Option<(u8, String)> {
    let (weight, state, why) = match kind {
        "grant.abandoned" => (4, "Abandoned", None),
        "request.ended" => (3, f.state.as_deref()?, f.reason.as_ref()),
        "revocation.confirmed" => (2, "Ended", f.reason.as_ref()),
        "sweep.removed" => (1, "Swept", f.message.as_ref()),
        _ => return None,
    };
    Some((weight, why.map_or_else(|| state.to_owned(), |w| format!("{state} ({w})"))))
}

fn learn(a: &mut Access, kind: &str, f: EventData, at: Time) {
    if let Some((weight, ended)) = ending(kind, &f).filter(|(w, _)| *w > a.weight) {
        (a.weight, a.ended) = (weight, Some(ended));
    }
    let keep = |old: &mut String, new: Option<String>| {
        if let Some(n) = new.filter(|_| old.is_empty()) {
            *old = n;
        }
    };
    keep(&mut a.user, f.user);
    keep(&mut a.requester, f.actor.filter(|_| kind == "grant.intended"));
    keep(&mut a.request, f.namespace.zip(f.name).map(|(ns, n)| format!("{ns}/{n}")).filter(|_| kind != "sweep.removed"));
    keep(&mut a.request_uid, f.request);
    keep(&mut a.system, f.system);
    keep(&mut a.justification, f.justification);
    keep(&mut a.digest, f.digest);
    a.ticket = a.ticket.take().or(f.ticket);
    // What was asked for names roles; what was intended says where, too.
    if a.privileges.is_empty() || (kind == "grant.intended" && a.intended.is_none()) {
        a.privileges = f.privileges;
    }
    if kind == "grant.intended" && a.intended.is_none() {
        a.words = f.decisions;
        a.intended = a.intended.or(Some(at));
    }
    a.expires_at = a.expires_at.into_iter().chain(f.expires_at).min();
    if kind == "grant.confirmed" {
        a.from = a.from.or(Some(at));
    }
    if matches!(kind, "revocation.confirmed" | "sweep.removed") {
        a.until = a.until.or(Some(at));
    }
    if let Some(c) = f.confirmed {
        a.confirmed.push(format!("{at} {kind}: {c}"));
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |t: Option<Time>| t.map_or_else(|| "never shown".to_owned(), |t| t.to_string());
        writeln!(f, "{} had {} on {}", self.user, self.privileges.join(", "), self.system)?;
        writeln!(f, "  from       {} (intended {})", time(self.from), time(self.intended))?;
        writeln!(f, "  until      {} (deadline {})", time(self.until), time(self.expires_at))?;
        // In the requester's own words: in quotes and escaped, so that no words of theirs look like words of ours.
        writeln!(f, "  why        {:?}{}", self.justification, self.ticket.as_ref().map_or_else(String::new, |t| format!(" ({t:?})")))?;
        writeln!(f, "  asked      {} by {} as {}", self.digest, self.requester, self.request)?;
        let said = |w: &[CountedDecision]| w.iter().map(|w| format!("{} {} {}", w.name, w.decision, w.at)).collect::<Vec<_>>().join(", ");
        let words = said(&self.words);
        writeln!(f, "  on word of {}", if words.is_empty() { "nobody: no approval was needed" } else { &words })?;
        for c in &self.confirmed {
            writeln!(f, "  confirmed  {c}")?;
        }
        if !self.ended_by.is_empty() {
            writeln!(f, "  ended by   {}", said(&self.ended_by))?;
        }
        write!(f, "  ended      {}", self.ended.as_deref().unwrap_or("not yet, or not told"))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{chain::Chain, record::EventKind},
        *,
    };

    fn at(s: i64) -> Time {
        Time::from_secs(s)
    }

    /// One grant from its intent to the target's word, whatever comes after that.
    fn held_then(after: impl IntoIterator<Item = (EventKind, EventData)>) -> Vec<Access> {
        let mut c = Chain::start("0123abcd", "a");
        let intended = EventData { actor: Some("alice".into()), ..about_grant() };
        let mut lines =
            vec![c.append(EventKind::GrantIntended, &intended, at(10)), c.append(EventKind::GrantConfirmed, &about_grant(), at(11))];
        lines.extend(after.into_iter().zip(20..).map(|((what, f), s)| c.append(what, &f, at(s))));
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

    /// A decision about a request or a Grant, as it was judged.
    fn judged(who: &str, verb: &str, verdict: &str, request: Option<&str>, grant: Option<&str>) -> (EventKind, EventData) {
        let f = EventData {
            namespace: Some("payments".into()),
            name: Some("d-1".into()),
            request: request.map(str::to_owned),
            grant: grant.map(str::to_owned),
            actor: Some(who.into()),
            state: Some(verb.into()),
            reason: Some(verdict.into()),
            ..EventData::default()
        };
        (EventKind::DecisionJudged, f)
    }

    fn ending(what: EventKind, state: &str, reason: Option<&str>) -> (EventKind, EventData) {
        (what, EventData { state: Some(state.into()), reason: reason.map(str::to_owned), ..about_grant() })
    }

    /// The one access of a story, as people read it.
    fn text(all: &[Access]) -> String {
        let [a] = all else { panic!("{all:?}") };
        a.to_string()
    }

    #[test]
    fn whoever_released_a_grant_is_told_and_it_has_not_ended() {
        let story = [
            judged("carol", "Abandon", "NotEntitled", None, Some("g1")),
            judged("olga", "Abandon", "Waiting", None, Some("g1")),
            judged("olga", "Abandon", "Counted", None, Some("g1")),
            // Told before the commit, a crash tells it again.
            judged("olga", "Abandon", "Counted", None, Some("g1")),
            ending(EventKind::GrantAbandoned, "Abandoned", Some("Abandoned")),
            // The request ends as if it were revoked; its Grant has not been.
            ending(EventKind::RequestEnded, "Revoked", Some("Abandoned")),
        ];
        let all = held_then(story);
        let told = text(&all);
        assert!(told.ends_with("\n  ended by   olga Abandon 1970-01-01T00:00:22Z\n  ended      Abandoned"), "{told}");
        assert!(told.contains("until      never shown") && !told.contains("carol"), "{told}");
        assert_eq!(all[0].request, "payments/first");
    }

    #[test]
    fn a_decision_about_nothing_is_no_access() {
        let all = held_then([judged("mallory", "Abandon", "NotFound", None, Some("g2"))]);
        assert!(!text(&all).contains("mallory"));
    }

    #[test]
    fn whoever_denied_or_revoked_it_is_told() {
        let story = [
            judged("dave", "Approve", "Counted", Some("u1"), None),
            judged("mallory", "Revoke", "NotEntitled", Some("u1"), None),
            judged("mallory", "Revoke", "Counted", Some("u2"), None),
            judged("carol", "Revoke", "Counted", Some("u1"), None),
            ending(EventKind::RevocationConfirmed, "Ended", Some("RevokedByApprover")),
            ending(EventKind::RequestEnded, "Revoked", Some("RevokedByApprover")),
            judged("dave", "Deny", "Counted", Some("u1"), None),
        ];
        let told = text(&held_then(story));
        let end =
            "\n  ended by   carol Revoke 1970-01-01T00:00:23Z, dave Deny 1970-01-01T00:00:26Z\n  ended      Revoked (RevokedByApprover)";
        assert!(told.ends_with(end) && !told.contains("mallory"), "{told}");
    }

    #[test]
    fn an_end_that_is_known_is_told_though_the_request_never_ended() {
        for (reason, words) in [(Some("RequestDeleted"), "Ended (RequestDeleted)"), (None, "Ended")] {
            let told = text(&held_then([ending(EventKind::RevocationConfirmed, "Ended", reason)]));
            assert!(told.ends_with(&format!("\n  ended      {words}")), "{told}");
            assert!(told.contains("until      1970-01-01T00:00:20Z"), "{told}");
        }
        let swept = EventData { message: Some("past the deadline in its name".into()), ..about_grant() };
        let told = text(&held_then([(EventKind::SweepRemoved, swept.clone())]));
        assert!(told.ends_with("\n  ended      Swept (past the deadline in its name)"), "{told}");
        let proven = ending(EventKind::RevocationConfirmed, "Ended", Some("RequestDeleted"));
        let told = text(&held_then([(EventKind::SweepRemoved, swept), proven]));
        assert!(told.ends_with("\n  ended      Ended (RequestDeleted)"), "{told}");
        let begun = text(&held_then([ending(EventKind::RevocationBegun, "Revoking", Some("RequestDeleted"))]));
        assert!(begun.ends_with("\n  ended      not yet, or not told"), "{begun}");
    }

    #[test]
    fn the_whole_story_is_told_when_nothing_else_is_left() {
        let mut c = Chain::start("0123abcd", "a");
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
            decisions: vec![CountedDecision { name: "carol".into(), decision: "Approve".into(), at: at(5) }],
            expires_at: Some(at(100)),
            ..base.clone()
        };
        let seen = |text: &str| EventData { confirmed: Some(text.into()), ..base.clone() };
        let ended = EventData { state: Some("Expired".into()), reason: Some("DeadlinePassed".into()), ..base.clone() };
        let approved = EventData { privileges: vec!["ClusterRole payments-admin (0123)".into()], ..base.clone() };
        let lines = vec![
            c.append(EventKind::RequestApproved, &approved, at(9)),
            c.append(EventKind::GrantIntended, &intent, at(10)),
            c.append(EventKind::GrantConfirmed, &seen("armed"), at(11)),
            c.append(EventKind::RevocationConfirmed, &seen("gone"), at(101)),
            c.append(EventKind::RequestEnded, &ended, at(102)),
        ];
        let all = history(lines);
        let [a] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((a.from, a.until, a.expires_at), (Some(at(11)), Some(at(101)), Some(at(100))));
        assert!(a.covers(at(50)) && !a.covers(at(5)) && !a.covers(at(200)));
        let text = a.to_string();
        for part in
            ["alice had ClusterRole payments-admin in payments", "carol Approve", "roll back", "confirmed", "Expired (DeadlinePassed)"]
        {
            assert!(text.contains(part), "{part} not in {text}");
        }
    }
}
