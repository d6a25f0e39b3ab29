//! From the kinds to what evidence says about them. Pure.
use crate::{
    api::{
        AccessDecision, ActivationRequest, Grant,
        decision::About,
        grant::{GrantSpec, GrantStatus},
        request::ActivationRequestStatus,
    },
    evidence::{Facts, Said, What},
};
use curfew_core::{
    grant::Stage,
    request::State,
    resolved::{Plan, Resolved},
};
use kube::ResourceExt;

/// A request's transition, told before it is committed. Activation and its end are the Grant's to tell.
pub fn request(r: &ActivationRequest, next: &ActivationRequestStatus, state: State, words: &[Said]) -> Option<(What, Facts)> {
    let what = match state {
        State::AwaitingApproval => What::RequestAccepted,
        State::Activating => What::RequestApproved,
        State::Over(..) => What::RequestEnded,
        State::Pending | State::Active | State::Revoking(_) => return None,
    };
    let mut facts = about(r, next.resolved.as_ref());
    facts.grant = next.grant_ref.as_ref().map(|g| g.name.clone());
    facts.digest = next.digest.map(|d| d.to_string());
    facts.expires_at = next.expires_at;
    facts.state = next.state.map(|s| format!("{s:?}"));
    facts.reason.clone_from(&next.reason);
    facts.message.clone_from(&next.message);
    facts.words = words.to_vec();
    Some((what, facts))
}

fn about(r: &ActivationRequest, resolved: Option<&Resolved>) -> Facts {
    let mut facts = Facts {
        namespace: r.namespace(),
        name: Some(r.name_any()),
        request: r.uid(),
        actor: r.spec.requester.as_ref().map(|p| p.username.clone()),
        role: Some(r.spec.role_ref.name.clone()),
        justification: r.spec.justification.clone(),
        ticket: r.spec.ticket.as_ref().map(|t| format!("{} {}", t.system, t.number)),
        ..Facts::default()
    };
    if let Some(v) = resolved {
        facts.user = Some(v.principal.clone());
        facts.system = Some(v.system.name.clone());
        facts.target = Some(v.system.target.clone());
        facts.policy = Some(v.policy.name.clone());
        facts.assignment = Some(v.assignment.name.clone());
        facts.privileges = v.permissions.iter().map(|p| format!("{:?} {} ({})", p.kind, p.name, p.rules)).collect();
    }
    facts
}

/// What is about to be granted, told before the Grant is written.
pub fn intent(r: &ActivationRequest, spec: &GrantSpec, id: &str, words: &[Said]) -> Facts {
    let resolved = r.status.as_ref().and_then(|s| s.resolved.as_ref());
    Facts {
        grant: Some(id.to_owned()),
        digest: Some(spec.digest.to_string()),
        expires_at: Some(spec.expires_at),
        privileges: privileges(&spec.plan),
        words: words.to_vec(),
        ..about(r, resolved)
    }
}

fn privileges(plan: &Plan) -> Vec<String> {
    let Plan::Kubernetes(p) = plan;
    let at = |ns: &Option<String>| ns.as_ref().map_or_else(|| "in the whole cluster".to_owned(), |n| format!("in {n}"));
    p.bindings.iter().map(|b| format!("{:?} {} {}", b.role_kind, b.role, at(&b.namespace))).collect()
}

/// A Grant's transition, told before it is committed, with what the target showed.
pub fn grant(g: &Grant, next: &GrantStatus, stage: Stage) -> Option<(What, Facts)> {
    let names = || next.artifacts.iter().map(|a| format!("{} {} ({})", a.kind, a.id, a.uid)).collect::<Vec<_>>().join(", ");
    let (what, confirmed) = match stage {
        Stage::Granting => return None,
        Stage::Active => (What::GrantConfirmed, Some(format!("the target shows {}", names()))),
        Stage::Revoking => (What::RevocationBegun, None),
        Stage::Ended => (What::RevocationConfirmed, Some(format!("the target shows that nothing is left of {}", names()))),
        Stage::Abandoned => (What::GrantAbandoned, Some("nothing: the target is gone for good".into())),
    };
    let s = &g.spec;
    let facts = Facts {
        namespace: Some(s.request.namespace.clone()),
        name: Some(s.request.name.clone()),
        request: Some(s.request.uid.clone()),
        grant: Some(g.name_any()),
        user: Some(s.principal.name.clone()),
        system: Some(s.system.reference.name.clone()),
        target: Some(s.system.reference.target.clone()),
        privileges: privileges(&s.plan),
        digest: Some(s.digest.to_string()),
        expires_at: Some(s.expires_at),
        state: next.state.map(|s| format!("{s:?}")),
        reason: (stage == Stage::Abandoned).then(|| "Abandoned".to_owned()),
        confirmed,
        ..Facts::default()
    };
    Some((what, facts))
}

/// What became of a person's word.
pub fn decision(d: &AccessDecision, verdict: &str) -> Facts {
    let (name, grant) = match &d.spec.about {
        About::ActivationRequest(r) => (Some(r.name.clone()), None),
        About::Grant(g) => (None, Some(g.name.clone())),
    };
    Facts {
        namespace: d.namespace(),
        name: Some(d.name_any()),
        grant,
        actor: d.spec.decider.as_ref().map(|p| p.username.clone()),
        digest: d.spec.digest.map(|d| d.to_string()),
        state: Some(format!("{:?}", d.spec.decision)),
        reason: Some(verdict.to_owned()),
        message: Some(format!("about {}: {}", name.as_deref().unwrap_or("a grant"), d.spec.comment.as_deref().unwrap_or_default())),
        ..Facts::default()
    }
}
