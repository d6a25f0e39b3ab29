//! What evidence answers when every object is gone: who had what, when, why, on whose word, and what the target confirmed.
//! Pure.
use super::record::{Facts, Said};
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
    pub words: Vec<Said>,
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
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

impl Access {
    /// Whether it may have been there at a time: from its intent until the proof of its end.
    pub fn covers(&self, t: Time) -> bool {
        self.intended.or(self.from).is_some_and(|from| t >= from) && self.until.is_none_or(|until| t <= until)
    }
}

/// Every access that evidence tells of, in the order of its intents.
pub fn history(lines: impl IntoIterator<Item = String>) -> Vec<Access> {
    let mut all: BTreeMap<String, Access> = BTreeMap::new();
    for line in lines {
        let Ok(v) = serde_json::from_str::<Value>(&line) else { continue };
        let Ok(f) = serde_json::from_value::<Facts>(v["data"]["unmapped"]["curfew"].clone()) else { continue };
        let (Some(grant), Some(at)) = (f.grant.clone(), v["time"].as_str().and_then(Time::parse)) else { continue };
        let kind = v["type"].as_str().unwrap_or_default().trim_start_matches("dev.curfew.").trim_end_matches(".v1").to_owned();
        let a = all.entry(grant.clone()).or_insert_with(|| Access { grant, ..Access::default() });
        learn(a, &kind, f, at);
    }
    let mut all: Vec<Access> = all.into_values().collect();
    all.sort_by_key(|a| (a.intended.or(a.from), a.grant.clone()));
    all
}

fn learn(a: &mut Access, kind: &str, f: Facts, at: Time) {
    let keep = |old: &mut String, new: Option<String>| {
        if let Some(n) = new.filter(|_| old.is_empty()) {
            *old = n;
        }
    };
    keep(&mut a.user, f.user);
    keep(&mut a.requester, f.actor.filter(|_| kind == "grant.intended"));
    keep(&mut a.request, f.namespace.zip(f.name).map(|(ns, n)| format!("{ns}/{n}")).filter(|_| kind != "sweep.removed"));
    keep(&mut a.system, f.system);
    keep(&mut a.justification, f.justification);
    keep(&mut a.digest, f.digest);
    a.ticket = a.ticket.take().or(f.ticket);
    // What was asked for names roles; what was intended says where, too.
    if a.privileges.is_empty() || (kind == "grant.intended" && a.intended.is_none()) {
        a.privileges = f.privileges;
    }
    if kind == "grant.intended" && a.intended.is_none() {
        a.words = f.words;
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
    if matches!(kind, "request.ended" | "grant.abandoned") {
        a.ended = f.state.zip(f.reason).map(|(s, r)| format!("{s} ({r})"));
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
        let words: Vec<String> = self.words.iter().map(|w| format!("{} {} {}", w.name, w.decision, w.at)).collect();
        writeln!(f, "  on word of {}", if words.is_empty() { "nobody: no approval was needed".into() } else { words.join(", ") })?;
        for c in &self.confirmed {
            writeln!(f, "  confirmed  {c}")?;
        }
        write!(f, "  ended      {}", self.ended.as_deref().unwrap_or("not yet, or not told"))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{chain::Chain, record::What},
        *,
    };

    #[test]
    fn the_whole_story_is_told_when_nothing_else_is_left() {
        let mut c = Chain::start("0123abcd", "a");
        let at = |s| Time::from_secs(s);
        let base = Facts {
            grant: Some("g1".into()),
            namespace: Some("payments".into()),
            name: Some("first".into()),
            user: Some("alice".into()),
            ..Facts::default()
        };
        let intent = Facts {
            actor: Some("alice".into()),
            system: Some("prod".into()),
            privileges: vec!["ClusterRole payments-admin in payments".into()],
            justification: Some("roll back".into()),
            words: vec![Said { name: "carol".into(), decision: "Approve".into(), at: at(5) }],
            expires_at: Some(at(100)),
            ..base.clone()
        };
        let seen = |text: &str| Facts { confirmed: Some(text.into()), ..base.clone() };
        let ended = Facts { state: Some("Expired".into()), reason: Some("DeadlinePassed".into()), ..base.clone() };
        let approved = Facts { privileges: vec!["ClusterRole payments-admin (0123)".into()], ..base.clone() };
        let lines = vec![
            c.append(What::RequestApproved, &approved, at(9)),
            c.append(What::GrantIntended, &intent, at(10)),
            c.append(What::GrantConfirmed, &seen("armed"), at(11)),
            c.append(What::RevocationConfirmed, &seen("gone"), at(101)),
            c.append(What::RequestEnded, &ended, at(102)),
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
