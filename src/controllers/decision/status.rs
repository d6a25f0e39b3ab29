//! The status of an AccessDecision: whether it counts, and why not. Every verdict is written here.
use crate::{
    api::{
        AccessDecision,
        conditions::{self, Is},
        decision::{AccessDecisionStatus, DecisionDisplay},
    },
    audit::EventKind,
    controllers::{Context, audit_events, convert, emergency},
    kube_writes::{self, WriteOutcome},
    runtime::changes::{self, DecisionSubject, about_grant, final_verdict, subject},
};
use curfew_core::{
    admission::Provenance,
    approval::{Counted, Verb},
    conditions::evidence::{Evidence, evidence},
    messages::{self, Judged},
    reason::Reason,
    time::Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

/// The request behind what a decision is about, for the audit record.
#[derive(Clone, Copy, Debug)]
pub struct RequestRef<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// Whether a decision counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether it does.
    pub counted: Counted,
    /// Why not, in words; `None` where the reason says it.
    pub why: Option<String>,
}

impl From<Counted> for Verdict {
    fn from(counted: Counted) -> Self {
        Verdict { counted, why: None }
    }
}

fn counted_condition(decision: &AccessDecision) -> Option<&Condition> {
    conditions::find(&decision.status.as_ref()?.conditions, "Counted")
}

/// Whether a decision has its final verdict.
pub fn is_settled(decision: &AccessDecision) -> bool {
    final_verdict(decision).is_some()
}

/// Writes a verdict, if it differs from what the status says. A final verdict is appended to the audit log before it is written:
/// a crash in between records it twice rather than never; while the audit log has no room, it is not written. Only the leader
/// writes. Returns the version of the decision if it was stored.
///
/// # Errors
/// If the API server does not answer. A conflict is not an error: the changed decision is judged again.
pub async fn publish(
    ctx: &Context,
    decision: &AccessDecision,
    verdict: Verdict,
    request: Option<RequestRef<'_>>,
) -> kube::Result<Option<String>> {
    if !ctx.authority.leads() {
        return Ok(None);
    }
    let verdict = Verdict { why: verdict.why.or_else(|| unproven(ctx, decision, verdict.counted)), ..verdict };
    let (is, reason, next) = status(decision, &verdict, ctx.now());
    let (key, version) = (changes::key(decision), decision.resource_version().unwrap_or_default());
    // Of a decision with a final verdict the stores keep no words, so its status differs from what was written.
    let recorded = is_settled(decision) && counted_condition(decision).is_some_and(|condition| condition.reason == reason);
    if recorded || decision.status.as_ref() == Some(&next) || ctx.judged.is_stale(&key, &version) {
        return Ok(None);
    }
    let is_new = decision.status.is_none();
    if (is_new || is != Is::Unknown) && !ctx.audit.has_room() {
        return Ok(None);
    }
    // The decision has stopped what it stops by now: nothing that ends access waits for this.
    emergency::tell(ctx, decision, decision.spec.decider.as_ref(), is_new).await?;
    if is != Is::Unknown {
        let request = request.map(|request| (request.name, request.uid));
        ctx.audit.append_transition(
            &decision.uid().unwrap_or_default(),
            EventKind::DecisionJudged,
            audit_events::decision(decision, reason, request, decider(ctx, decision)),
        );
    }
    let api = kube_writes::decisions(&ctx.client, &decision.namespace().unwrap_or_default());
    match kube_writes::commit(&api, &decision.name_any(), &version, decision.status.as_ref(), &next).await {
        WriteOutcome::Failed(error) => Err(error),
        WriteOutcome::Stored(stored) => {
            ctx.judged.expect_after(&key, &version);
            Ok(stored.resource_version())
        }
        WriteOutcome::Conflict => Ok(None),
    }
}

/// Which key the login of the decider lacks, where that is why the decision does not count.
fn unproven(ctx: &Context, decision: &AccessDecision, counted: Counted) -> Option<String> {
    let decider = decision.spec.decider.as_ref().filter(|_| counted == Counted::No(Reason::UnprovenLogin))?;
    let identity = &ctx.stores.config()?.spec.identity;
    messages::unproven_login(decider, &identity.decider_proof.list(), &identity.aliases.list())
}

/// How the decider was authenticated, for the audit log, if admission was proven to be enforced when the decision was created.
fn decider(ctx: &Context, decision: &AccessDecision) -> Option<Evidence> {
    let (uid, created) = (decision.uid().unwrap_or_default(), convert::created(decision));
    let decider = decision.spec.decider.as_ref().filter(|_| ctx.admission().provenance_of(&uid, created) == Provenance::Verified)?;
    evidence(ctx.stores.config()?.spec.identity.login_keys().mfa.as_ref(), decider)
}

/// The status that says this verdict, with the value and the reason of its condition `Counted`. Pure.
fn status(decision: &AccessDecision, verdict: &Verdict, now: Time) -> (Is, &'static str, AccessDecisionStatus) {
    let (is, reason) = match verdict.counted {
        Counted::Yes => (Is::True, Reason::AsExpected),
        Counted::No(reason) => (Is::False, reason),
        Counted::Waiting => (Is::Unknown, Reason::Waiting),
    };
    let (reason, message) = match (is, decision.spec.decision) {
        (Is::True, Verb::Approve) => ("Counted", "counts as an approval"),
        (Is::True, Verb::Deny | Verb::Revoke) => ("Counted", "counts; the request ends"),
        (Is::True, Verb::Review) => ("Counted", "counts; the break-glass access is reviewed"),
        (Is::True, Verb::Abandon) => ("Counted", "counts; the Grant is released without proof"),
        (Is::Unknown, Verb::Abandon) => (reason.as_str(), "counts once the Grant is stuck past its end for a minute"),
        (Is::False | Is::Unknown, _) => (reason.as_str(), messages::not_counted(reason, judged(decision))),
    };
    let message = verdict.why.clone().unwrap_or_else(|| message.into());
    let generation = decision.metadata.generation;
    let about = match subject(decision) {
        DecisionSubject::Request((_, name)) => format!("areq/{name}"),
        DecisionSubject::AssignmentRequest((_, name)) => format!("asreq/{name}"),
        DecisionSubject::Grant(id) => format!("grt/{id}"),
    };
    let old = decision.status.clone().unwrap_or_default();
    let mut next = AccessDecisionStatus { observed_generation: generation, display: Some(DecisionDisplay { about }), ..old };
    conditions::set(&mut next.conditions, "Counted", is, reason, message, generation, now);
    (is, reason, next)
}

fn judged(decision: &AccessDecision) -> Judged {
    match (about_grant(decision), decision.spec.decision) {
        (None, _) => Judged::Request,
        (Some(_), Verb::Review) => Judged::GrantForReview,
        (Some(_), Verb::Approve | Verb::Deny | Verb::Revoke | Verb::Abandon) => Judged::Grant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decision(verb: &str, about: serde_json::Value) -> AccessDecision {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": "d", "namespace": "payments", "generation": 1},
            "spec": {"about": about, "digest": "0".repeat(64), "decision": verb},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_verdict_is_final_unless_it_waits() {
        let now = Time::from_secs(100);
        let mut decision = decision("Approve", json!({"activationRequest": {"name": "first"}}));
        let verdicts = [
            (Counted::Waiting, "Waiting", None),
            (Counted::Yes, "Counted", Some(true)),
            (Counted::No(Reason::SelfDecision), "SelfDecision", Some(false)),
        ];
        assert!(!is_settled(&decision));
        for (counted, expected_reason, expected) in verdicts {
            let (_, reason, next) = status(&decision, &counted.into(), now);
            decision.status = Some(next);
            assert_eq!((reason, final_verdict(&decision)), (expected_reason, expected));
            assert_eq!(status(&decision, &counted.into(), Time::from_secs(200)).2, decision.status.clone().unwrap(), "written once");
        }
        assert_eq!(decision.status.unwrap().display.unwrap().about, "areq/first");
    }

    #[test]
    fn an_abandon_that_waits_says_for_what() {
        let decision = decision("Abandon", json!({"grant": {"name": "00000000000000a1"}}));
        let (_, _, next) = status(&decision, &Counted::Waiting.into(), Time::from_secs(100));
        assert_eq!(next.conditions[0].message, "counts once the Grant is stuck past its end for a minute");
        assert_eq!(next.display.unwrap().about, "grt/00000000000000a1");
    }
}
