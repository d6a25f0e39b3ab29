//! What objects of Curfew say about the life of a request. Names of people, justifications and messages stay behind. Pure.
use super::life::{About, Life, Outcome};
use crate::api::{
    ActivationRequest, AssignmentRequest, Grant, conditions, convert,
    grant::GrantState,
    request::{ApprovalStatus, RequestState},
};
use curfew_core::{approval::Verb, time::Time};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

/// What a request says.
pub fn request(request: &ActivationRequest) -> Life {
    let status = request.status.clone().unwrap_or_default();
    let approval = status.approval.unwrap_or_default();
    let ended = status.state.filter(|state| state.outcome().is_some());
    let resolved = status.resolved.as_ref();
    Life {
        about: About::Activation,
        uid: request.uid().unwrap_or_default(),
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        role: Some(request.spec.role_ref.name.clone()),
        system: resolved.map(|resolved| resolved.system.name.clone()).or_else(|| request.spec.system.clone()),
        provider: resolved.map(|resolved| resolved.permissions.provider().as_str()),
        grant: status.grant_ref.map(|grant| grant.name),
        break_glass: request.spec.break_glass == Some(true),
        extends: request.spec.extends.as_ref().map(|extended| extended.uid.clone()),
        has_stages: !approval.stages.is_empty() && request.spec.break_glass != Some(true),
        approvals: approvals(&approval),
        granting: status.expires_at.is_some(),
        created: Some(convert::created(request)),
        accepted: approval.accepted_at,
        approved: since(&status.conditions, "Approved", "True"),
        starts: request.spec.start_time,
        granted: status.activated_at,
        deadline: status.expires_at,
        ended: ended.and(status.ended_at),
        outcome: ended.map(|state| Outcome {
            state: format!("{state:?}"),
            reason: status.reason.clone(),
            failed: state == RequestState::Failed,
        }),
        ..Life::default()
    }
}

/// What a Grant says about the request behind it, without reading that.
pub fn grant(grant: &Grant) -> Life {
    let (spec, status) = (&grant.spec, grant.status.clone().unwrap_or_default());
    let of = &spec.request;
    let (revoking, abandoned) = (status.state == Some(GrantState::Revoking), status.state == Some(GrantState::Abandoned));
    Life {
        about: About::Activation,
        uid: of.uid.clone(),
        namespace: of.namespace.clone(),
        name: of.name.clone(),
        role: of.role.clone(),
        system: Some(spec.system.reference.name.clone()),
        provider: Some(spec.system.connection.kind().as_str()),
        grant: Some(grant.name_any()),
        break_glass: spec.review.is_some(),
        extends: of.extends.as_ref().map(|extended| extended.uid.clone()),
        granting: true,
        intent: Some(convert::created(grant)),
        granted: status.granted_at,
        revoking: since(&status.conditions, "Active", "Unknown").filter(|_| revoking),
        // Who has released it without proof is not told by a time of its own.
        gone: status.revoked_at.or_else(|| since(&status.conditions, "Active", "Unknown").filter(|_| abandoned)),
        deadline: Some(spec.expires_at),
        abandoned,
        ..Life::default()
    }
}

/// What an AssignmentRequest says.
pub fn assignment_request(request: &AssignmentRequest) -> Life {
    let status = request.status.clone().unwrap_or_default();
    let approval = status.approval.unwrap_or_default();
    let ended = status.state.filter(|state| state.has_ended());
    Life {
        about: About::Assignment,
        uid: request.uid().unwrap_or_default(),
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        role: status.resolved.map(|resolved| resolved.role.name),
        has_stages: !approval.stages.is_empty(),
        approvals: approvals(&approval),
        created: Some(convert::created(request)),
        accepted: approval.accepted_at,
        approved: since(&status.conditions, "Approved", "True"),
        ended: ended.and(status.ended_at),
        outcome: ended.map(|state| Outcome { state: format!("{state:?}"), reason: status.reason.clone(), failed: false }),
        ..Life::default()
    }
}

fn approvals(approval: &ApprovalStatus) -> Vec<(Time, String)> {
    let stages = approval.stages.iter();
    let counted = stages.flat_map(|stage| stage.decisions.iter().map(|decision| (decision, stage.name.clone())));
    counted.filter(|(decision, _)| decision.decision == Verb::Approve).map(|(decision, stage)| (decision.at, stage)).collect()
}

/// Since when a condition has this status.
fn since(all: &[Condition], type_: &str, status: &str) -> Option<Time> {
    let found = conditions::find(all, type_).filter(|condition| condition.status == status);
    found.map(|condition| Time::from_millis(condition.last_transition_time.0.as_millisecond()))
}
