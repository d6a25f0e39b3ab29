//! Whether the windows that AssignmentRequests have given to assignments were really approved: read before access begins by them.
use crate::{
    api::{CurfewConfig, EligibleAssignment},
    controllers::{Context, convert, dereference::Source, live_reads},
    kube_writes,
    runtime::{changes::DecisionSubject, stores::Key},
};
use curfew_core::{
    assignment_request::{
        proof::{Evidence, is_approved},
        widens,
    },
    ids::Ref,
    principal::{Recognition, Subject, UserInfo},
};
use kube::ResourceExt;
use std::{collections::BTreeSet, sync::Arc};

/// The uids of those of these assignments whose wider window was not proven to be approved. Only those are looked at that may make the
/// requester or the beneficiary eligible.
///
/// # Errors
/// If the API server does not answer.
pub async fn unproven(
    ctx: &Context,
    source: Source,
    (requester, beneficiary): (&UserInfo, Option<&Subject>),
    assignments: &[Arc<EligibleAssignment>],
    config: Option<&CurfewConfig>,
) -> kube::Result<BTreeSet<String>> {
    let mut unproven = BTreeSet::new();
    for assignment in assignments {
        let Some(change) = convert::change(assignment).filter(|change| widens(convert::spec_window(assignment), change)) else { continue };
        let subject = &assignment.spec.subject;
        if !subject.includes(requester) && beneficiary != Some(subject) {
            continue;
        }
        let key = (assignment.namespace().unwrap_or_default(), change.by.name.clone());
        let (request, decisions) = evidence(ctx, source, &key).await?;
        let people = config.map_or_else(|| Recognition::STRICT.clone(), |config| config.spec.identity.recognition());
        let proof = config.map(|config| config.spec.identity.decider_proof.list());
        let admission = ctx.admission();
        let facts: Vec<_> = decisions.iter().map(|d| convert::decision(d, Some(false), proof.as_deref(), &admission)).collect();
        let evidence = request.as_ref().map(|request| Evidence { request, decisions: &facts, people: &people, admission: &admission });
        let reference = Ref { name: assignment.name_any(), uid: assignment.uid().unwrap_or_default() };
        if !is_approved(change, &reference, evidence) {
            let (namespace, name, by) = (&key.0, &reference.name, &key.1);
            tracing::warn!(
                namespace,
                name,
                by,
                "the window of an assignment names an AssignmentRequest that does not prove it; its spec holds"
            );
            unproven.insert(reference.uid);
        }
    }
    Ok(unproven)
}

type Found = (Option<curfew_core::assignment_request::Request>, Vec<Arc<crate::api::AccessDecision>>);

async fn evidence(ctx: &Context, source: Source, key: &Key) -> kube::Result<Found> {
    match source {
        Source::Stores => {
            let request = ctx.stores.assignment_request(key).map(|request| convert::assignment_request(&request));
            Ok((request, ctx.stores.decisions_about(&DecisionSubject::AssignmentRequest(key.clone()))))
        }
        Source::Live => {
            let requests = kube_writes::assignment_requests(&ctx.client, &key.0);
            let (request, decisions) =
                futures::try_join!(requests.get_opt(&key.1), live_reads::decisions_about_assignment_request(&ctx.client, key))?;
            Ok((request.map(|request| convert::assignment_request(&request)), decisions))
        }
    }
}
