//! The break-glass accesses that a person can review, by the rule by which the operator counts reviews.
use super::{
    Place,
    queue::{Decider, REVIEW, Waiting},
};
use crate::{
    context::CliContext,
    explain::facts::proven,
    read::{self, Gap},
};
use curfew_api::{
    AccessDecision, ActivationRequest, Grant, conditions, convert,
    decision::{About, AccessDecisionSpec, RequestRef},
};
use curfew_core::{
    approval::{
        Verb,
        review::{ReviewState, ReviewedGrant, evaluate_about_grant},
    },
    request::{may_have_given_access, tally_decisions},
    text::printable,
};
use kube::ResourceExt;

/// The requests that a review of the decider would settle, the oldest first. Of managers this knows nothing: it is for whom a stage lists.
pub(super) fn waiting(all: &[ActivationRequest], decider: &Decider) -> Vec<Waiting> {
    let outstanding = |request: &&ActivationRequest| {
        let status = request.status.as_ref();
        status.is_some_and(|status| convert::review(status) == ReviewState::Required)
    };
    let mut mine: Vec<Waiting> = all
        .iter()
        .filter(outstanding)
        .filter(|request| would_count(request, decider))
        .map(|request| Waiting {
            request: request.clone(),
            stage: REVIEW.into(),
            since: request.status.as_ref().and_then(|status| status.activated_at).unwrap_or_else(|| convert::created(request)),
        })
        .collect();
    mine.sort_by_key(|entry| (entry.since, entry.request.namespace(), entry.request.name_any()));
    mine
}

fn would_count(object: &ActivationRequest, decider: &Decider) -> bool {
    let about = About::ActivationRequest(RequestRef { name: object.name_any(), uid: object.uid() });
    let facts = convert::decision(&decision(about, decider), Some(false), decider.logins(), &proven(decider.now));
    let request = convert::request(object, &proven(decider.now));
    tally_decisions(&request, std::slice::from_ref(&facts), &decider.people).review.is_some()
}

/// The review that the decider would create now.
fn decision(about: About, decider: &Decider) -> AccessDecision {
    let spec = AccessDecisionSpec {
        about,
        digest: None,
        decision: Verb::Review,
        duration: None,
        comment: Some("...".into()),
        decider: Some(decider.login.clone()),
    };
    let mut decision = AccessDecision::new("not-created", spec);
    decision.metadata.uid = Some("not-created".into());
    decision.metadata.creation_timestamp = Some(crate::explain::facts::kube_time(decider.now));
    decision
}

/// The command that reviews a request.
pub(super) fn command(request: &ActivationRequest) -> String {
    format!("kubectl curfew review {} -n {} --comment TEXT", request.name_any(), request.namespace().unwrap_or_default())
}

/// The Grants of break-glass accesses whose request is not among these. Grants are objects of the cluster: where the user may not list
/// them, standard error says by which right these accesses would be shown; the denial of the next request names the Grant. Any other
/// failure is a gap.
pub(super) async fn without_request(me: &CliContext, place: Place<'_>, requests: &[ActivationRequest], gaps: &mut Vec<Gap>) -> Vec<Grant> {
    let mut grants = match read::everywhere::<Grant>(me).await {
        Ok(Ok(grants)) => grants,
        Ok(Err(missing)) => {
            eprintln!("{}", printable(&format!("break-glass whose request was deleted is not shown: {missing}")));
            return Vec::new();
        }
        Err(error) => {
            gaps.push(read::failed::<Grant>(&error));
            return Vec::new();
        }
    };
    let exists = |grant: &Grant| requests.iter().any(|request| request.uid().as_deref() == Some(grant.spec.request.uid.as_str()));
    let here = |grant: &Grant| match place {
        Place::All => true,
        Place::Namespace(namespace) => grant.spec.request.namespace == namespace,
    };
    grants.retain(|grant| grant.spec.review.is_some() && here(grant) && !exists(grant));
    grants
}

/// For each of these accesses that the decider can review, what to do. Where decisions may not be read, also for those that are reviewed.
pub(super) fn deleted(grants: &[Grant], decisions: Option<&[AccessDecision]>, decider: &Decider) -> Vec<String> {
    let decisions = decisions.unwrap_or_default();
    let left = grants.iter().filter(|grant| can_review(grant, decider) && !is_reviewed(grant, decisions));
    left.map(|grant| {
        let of = &grant.spec.request;
        format!(
            "{} has used break-glass with request {}, which was deleted: kubectl curfew review --grant {} -n {} --comment TEXT",
            of.requester,
            of.name,
            grant.name_any(),
            of.namespace
        )
    })
    .collect()
}

fn can_review(grant: &Grant, decider: &Decider) -> bool {
    let Some(review) = &grant.spec.review else { return false };
    let of = &grant.spec.request;
    let about = About::Grant(curfew_api::assignment::NameRef { name: grant.name_any() });
    let facts = convert::decision(&decision(about, decider), Some(false), decider.logins(), &proven(decider.now));
    let reviewed = ReviewedGrant {
        namespace: &of.namespace,
        request: &of.uid,
        request_exists: false,
        created: convert::created(grant),
        requester: &review.requester,
        beneficiary: &of.beneficiary,
        reviewers: &review.reviewers,
        gave_access: may_have_given_access(convert::grant_view(Some(grant))),
        people: &decider.people,
    };
    evaluate_about_grant(&facts, &of.namespace, &reviewed) == curfew_core::approval::Counted::Yes
}

/// Whether a review counts that is about the Grant, or about its request before that was deleted.
fn is_reviewed(grant: &Grant, decisions: &[AccessDecision]) -> bool {
    let about = |decision: &&AccessDecision| match &decision.spec.about {
        About::Grant(named) => named.name == grant.name_any(),
        About::ActivationRequest(named) => {
            let since = convert::created(*decision) >= convert::created(grant);
            named.name == grant.spec.request.name && named.uid.as_ref().map_or(since, |uid| *uid == grant.spec.request.uid)
        }
        About::AssignmentRequest(_) => false,
    };
    let counts = |decision: &AccessDecision| {
        let counted = decision.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Counted"));
        decision.spec.decision == Verb::Review && counted.is_some_and(|counted| counted.status == "True")
    };
    decisions.iter().filter(about).any(counts)
}
