//! What one reconcile of an AssignmentRequest knows: everything that a decision about it rests on, from the stores or live.
use super::proof::{self, Widened};
use crate::{
    api::{
        AccessDecision, AccessPolicy, AssignmentRequest, AuthorizationSystem, CurfewConfig, EligibleAssignment, GROUP, RoleTemplate,
        assignment_request::Action,
    },
    controllers::{
        Context, WaitingForProof, convert, decision,
        dereference::{Source, is_allowed},
        live_reads,
    },
    kube_writes,
    runtime::{
        changes::{self, AssignmentRequestGroup, DecisionSubject},
        projection,
        stores::Key,
    },
};
use curfew_core::{
    admission::Provenance,
    approval::{Counted, DecisionFacts, Tally, Verb},
    assignment_request::{
        ActionKind, Facts, Outcome, Request, State, Terms,
        decide::{Place, is_earlier},
        explain_decision, last_holder,
        proof::Proof,
        resolve::{Current, resolve},
        tally_decisions,
    },
    messages,
    policy_inputs::{Assignment, PolicyInputs},
    principal::{Recognition, Subject, UserInfo},
    reason::Reason,
    terms::Refusal,
    verdict::{self, RequestProgress, VerdictFacts},
};
use kube::ResourceExt;
use std::sync::Arc;

/// The knowledge of one reconcile.
pub(super) struct Known {
    /// The request as it was read or stored last.
    pub object: AssignmentRequest,
    /// The same as the rules read it.
    pub request: Request,
    /// The assignment of the name that it gives, also with another uid.
    pub assignment: Option<Arc<EligibleAssignment>>,
    /// The decisions about it.
    pub decisions: Vec<Arc<AccessDecision>>,
    /// The same as the rules read them.
    pub facts: Vec<DecisionFacts>,
    /// How one person is recognised behind two logins.
    pub people: Recognition,
    /// What it would be if it were resolved now.
    pub terms: Result<Terms, Refusal>,
    /// The holder of the role that is left, on which a removal rests where the role protects its last one.
    pub left: Option<Arc<EligibleAssignment>>,
    /// Another request about the same assignment that comes before this one.
    pub earlier: Option<String>,
    /// Whether all of it was read from the API server after the last commit.
    pub live: bool,
}

/// What a request is resolved from.
struct Around {
    config: Option<Arc<CurfewConfig>>,
    template: Option<Arc<RoleTemplate>>,
    assignment: Option<Arc<EligibleAssignment>>,
    /// The assignments of the role, of which one must be left after a removal.
    holders: Vec<Arc<EligibleAssignment>>,
    policies: Arc<Vec<Arc<AccessPolicy>>>,
    systems: Arc<Vec<Arc<AuthorizationSystem>>>,
    decisions: Vec<Arc<AccessDecision>>,
    /// The other requests that have not ended.
    others: Vec<AssignmentRequest>,
}

impl Known {
    /// Gathers; `None` if the request does not exist.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn read(ctx: &Context, key: &Key, source: Source) -> kube::Result<Option<Known>> {
        let stored = ctx.stores.assignment_request(key).filter(|request| !changes::assignment_request_has_ended(request));
        let object = match (source, stored) {
            (Source::Stores, Some(stored)) => Some(stored.as_ref().clone()),
            // Of an ended request the store may have only a few fields.
            (Source::Stores | Source::Live, _) => kube_writes::assignment_requests(&ctx.client, &key.0).get_opt(&key.1).await?,
        };
        let Some(object) = object else { return Ok(None) };
        let around = match source {
            Source::Stores => stored_around(ctx, key, &object),
            Source::Live => live_around(ctx, key, &object).await?,
        };
        let people = around.config.as_ref().map_or_else(|| Recognition::STRICT.clone(), |config| config.spec.identity.recognition());
        let request = convert::assignment_request(&object);
        let facts = decision_facts(ctx, &object, &around).await;
        wait_for_proofs(ctx, &object, &around.decisions, &facts);
        let manager = may_manage_assignment(ctx, &object, around.assignment.as_deref(), source).await;
        let asked = convert::assignment_request_facts(&object, manager);
        let widened = match &around.assignment {
            Some(assignment) if rests_on_window(&object) => proof::read(ctx, source, std::slice::from_ref(assignment)).await?.pop(),
            Some(_) | None => None,
        };
        let holders = if protects(&object, &around) { proof::read(ctx, source, &around.holders).await? } else { Vec::new() };
        let (terms, left) = terms_of(ctx, &object, &asked, &around, &Windows { widened: widened.as_ref(), holders: &holders }, &people);
        let earlier = earlier(&object, &around.others);
        let live = source == Source::Live;
        Ok(Some(Known {
            request,
            assignment: around.assignment,
            decisions: around.decisions,
            facts,
            people,
            terms,
            left,
            earlier,
            live,
            object,
        }))
    }

    /// Takes note of a status that was stored: what was read before it may be older.
    pub fn stored(&mut self, object: AssignmentRequest) {
        (self.request, self.object, self.live) = (convert::assignment_request(&object), object, false);
    }

    /// The tally of the decisions against what was frozen.
    pub fn tally(&self) -> Tally {
        tally_decisions(&self.request, &self.facts, &self.people)
    }

    /// The decisions that have a verdict now, each with why it does not count, where the reason alone does not say it.
    pub fn verdicts(&self) -> Vec<(&AccessDecision, Counted, Option<String>)> {
        let (tally, status) = (self.tally(), self.object.status.as_ref());
        let progress = match (self.request.state, status.and_then(|status| status.ended_at)) {
            (State::Pending, _) => RequestProgress::NotAccepted,
            (State::Ended(_), Some(end)) => RequestProgress::Ended(end),
            (State::AwaitingApproval | State::Ended(_), _) => RequestProgress::Open,
        };
        let all = self.decisions.iter().zip(&self.facts).zip(&tally.counted).enumerate();
        let verdict = |(i, ((object, facts), counted)): (usize, ((&Arc<AccessDecision>, &DecisionFacts), &Counted))| {
            let recorded = status.is_some_and(|status| convert::assignment_request_names(status, facts));
            let settled = decision::is_settled(object);
            let verdict =
                verdict::about_request(&VerdictFacts { decision: facts, counted: *counted, request: progress, recorded, settled })?;
            // A denial that came while the window was being written stops nothing any more, and `verdict` knows only requests that it could.
            let too_late = self.request.state == State::Ended(Outcome::Applied) && facts.verb != Verb::Approve && verdict == Counted::Yes;
            let verdict = if too_late { Counted::No(Reason::AlreadyEnded) } else { verdict };
            let why = (verdict == *counted).then(|| explain_decision(&self.request, &self.facts, &tally, i, &self.people)).flatten();
            Some((i, verdict, why))
        };
        all.filter_map(verdict).map(|(i, verdict, why)| (&*self.decisions[i], verdict, why)).collect()
    }
}

fn role_of(object: &AssignmentRequest, assignment: Option<&EligibleAssignment>) -> Option<Key> {
    Some((object.namespace().unwrap_or_default(), assignment?.spec.role_ref.name.clone()))
}

fn stored_around(ctx: &Context, key: &Key, object: &AssignmentRequest) -> Around {
    let stores = &ctx.stores;
    let about = changes::assignment_of(object);
    let assignment = stores.assignment(&(about.0.clone(), about.1.clone()));
    let others = stores.live_assignment_requests(&AssignmentRequestGroup::Assignment(about));
    Around {
        config: stores.config(),
        holders: role_of(object, assignment.as_deref()).map(|role| stores.assignments_for(&role)).unwrap_or_default(),
        template: role_of(object, assignment.as_deref()).and_then(|role| stores.template(&role)),
        assignment,
        policies: Arc::new(stores.policies.state()),
        systems: Arc::new(stores.systems.state()),
        decisions: to_tally(stores.decisions_about(&DecisionSubject::AssignmentRequest(key.clone()))),
        others: others.iter().filter_map(|key| stores.assignment_request(key)).map(|other| (*other).clone()).collect(),
    }
}

async fn live_around(ctx: &Context, key: &Key, object: &AssignmentRequest) -> kube::Result<Around> {
    let (everywhere, assignments, decisions, others) = futures::try_join!(
        ctx.live.cluster_wide(&ctx.client),
        ctx.live.assignments(&ctx.client, &key.0),
        live_reads::decisions_about_assignment_request(&ctx.client, key),
        live_reads::live_assignment_requests(&ctx.client, &key.0),
    )?;
    let name = &object.spec.action.assignment().name;
    let assignment = assignments.iter().find(|assignment| assignment.name_any() == *name).cloned();
    let template = match role_of(object, assignment.as_deref()) {
        Some(role) => ctx.live.template(&ctx.client, &role).await?,
        None => None,
    };
    let role = assignment.as_ref().map(|assignment| &assignment.spec.role_ref);
    let holders = assignments.iter().filter(|other| Some(&other.spec.role_ref) == role).cloned().collect();
    let (policies, systems) = (everywhere.policies, everywhere.systems);
    Ok(Around { config: everywhere.config, template, assignment, holders, policies, systems, decisions: to_tally(decisions), others })
}

/// An approval that does not count is not tallied again.
fn to_tally(mut decisions: Vec<Arc<AccessDecision>>) -> Vec<Arc<AccessDecision>> {
    decisions
        .retain(|decision| !changes::final_verdict(decision).is_some_and(|counts| projection::is_dropped(counts, decision.spec.decision)));
    decisions
}

/// The decisions as the rules read them. Without a configuration no login is proven, which stops approvals and nothing else (I8).
async fn decision_facts(ctx: &Context, object: &AssignmentRequest, around: &Around) -> Vec<DecisionFacts> {
    let admission = ctx.admission();
    let proof = around.config.as_ref().map(|config| config.spec.identity.decider_proof.list());
    let aliases = around.config.as_ref().map(|config| config.spec.identity.aliases.list()).unwrap_or_default();
    let emergency = convert::emergency_accounts(&*around.systems);
    let logins = convert::Logins { proof: proof.as_deref(), emergency: &emergency, alias_keys: &aliases };
    let mut all = Vec::new();
    for decision in &around.decisions {
        let manager = may_manage(ctx, object, decision).await;
        let mut facts = convert::decision(decision, manager, logins, &admission);
        facts.counted_before |= object.status.as_ref().is_some_and(|status| convert::assignment_request_names(status, &facts));
        all.push(facts);
    }
    all
}

/// Whether RBAC gives the decider `manage` on the request; `None` while the review fails. Only a Deny or Revoke needs it, and one that was
/// judged is not reviewed again.
async fn may_manage(ctx: &Context, request: &AssignmentRequest, decision: &AccessDecision) -> Option<bool> {
    let asks = matches!(decision.spec.decision, Verb::Deny | Verb::Revoke) && changes::final_verdict(decision).is_none();
    match decision.spec.decider.as_ref().filter(|_| asks) {
        Some(decider) => review(ctx, decider, "assignmentrequests", request.namespace(), &request.name_any()).await,
        None => Some(false),
    }
}

/// What is known of the requester's right `manage` on the assignment without an access review.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Management {
    /// It makes no difference.
    NotNeeded,
    /// The request was accepted because of it. It is asked again on live facts, before anything is written or ends.
    Found,
    /// Only a review tells.
    Unknown,
}

fn management(request: &AssignmentRequest, assignment: Option<&EligibleAssignment>, source: Source) -> Management {
    let over = changes::assignment_request_has_ended(request);
    let (Some(assignment), Some(requester)) = (assignment.filter(|_| !over), &request.spec.requester) else {
        return Management::NotNeeded;
    };
    let directly = matches!(assignment.spec.subject, Subject::User(_)) && assignment.spec.subject.includes(requester);
    let accepted = convert::assignment_request(request).state == State::AwaitingApproval;
    match (directly, source, accepted) {
        (true, _, _) => Management::NotNeeded,
        (false, Source::Stores, true) => Management::Found,
        (false, Source::Stores, false) | (false, Source::Live, _) => Management::Unknown,
    }
}

/// Whether RBAC gives the requester `manage` on the assignment; `None` while the review fails. Asked only where it decides: a request that
/// waits is looked at with each heartbeat.
async fn may_manage_assignment(
    ctx: &Context,
    request: &AssignmentRequest,
    assignment: Option<&EligibleAssignment>,
    source: Source,
) -> Option<bool> {
    match (management(request, assignment, source), &request.spec.requester, assignment) {
        (Management::Unknown, Some(requester), Some(assignment)) => {
            review(ctx, requester, "eligibleassignments", request.namespace(), &assignment.name_any()).await
        }
        (known, _, _) => Some(known == Management::Found),
    }
}

async fn review(ctx: &Context, who: &UserInfo, resource: &str, namespace: Option<String>, name: &str) -> Option<bool> {
    match is_allowed(ctx, who, GROUP, resource, "manage", namespace, name).await {
        Ok(allowed) => Some(allowed),
        Err(error) => {
            tracing::warn!(%error, resource, name, "cannot review who is a manager; it is tried again");
            None
        }
    }
}

/// What was created after the last admission proof waits for the next one.
fn wait_for_proofs(ctx: &Context, object: &AssignmentRequest, decisions: &[Arc<AccessDecision>], facts: &[DecisionFacts]) {
    if changes::assignment_request_has_ended(object) {
        return;
    }
    let seen = convert::seen(object);
    let unproven = (ctx.admission().provenance_of(&seen.uid, seen.created) == Provenance::Pending).then_some(seen);
    let pending = decisions.iter().zip(facts).filter(|(_, facts)| facts.provenance == Provenance::Pending);
    let all: Vec<_> = unproven.into_iter().chain(pending.map(|(decision, _)| convert::seen(&**decision))).collect();
    if !all.is_empty() {
        ctx.wait_for_proof(WaitingForProof::AssignmentRequest(changes::key(object)), all);
    }
}

/// Whether what is asked for depends on the window that the assignment has, and so on a proof of it. A removal takes away any window that
/// there is: that the proof is gone must not keep what is active by it.
fn rests_on_window(request: &AssignmentRequest) -> bool {
    !changes::assignment_request_has_ended(request) && !is_removal(request)
}

fn is_removal(request: &AssignmentRequest) -> bool {
    matches!(request.spec.action, Action::Remove(_))
}

/// Whether a removal must leave a holder of the role.
fn protects(object: &AssignmentRequest, around: &Around) -> bool {
    let protected = around.template.as_ref().is_some_and(|template| template.spec.assignment.protect_last_holder);
    protected && is_removal(object) && !changes::assignment_request_has_ended(object)
}

/// Wider windows with what should prove them.
struct Windows<'a> {
    /// That of the assignment itself.
    widened: Option<&'a Widened>,
    /// Those of the assignments of which one must be left.
    holders: &'a [Widened],
}

/// What the request would be now, and the holder of the role that is left, where a removal rests on one.
fn terms_of(
    ctx: &Context,
    object: &AssignmentRequest,
    asked: &Facts,
    around: &Around,
    windows: &Windows<'_>,
    people: &Recognition,
) -> (Result<Terms, Refusal>, Option<Arc<EligibleAssignment>>) {
    let template = around.template.as_ref().filter(|template| convert::is_present(&***template));
    let template = template.map(|template| convert::template(template));
    let assignment = around.assignment.as_ref().filter(|assignment| convert::is_present(&***assignment));
    let assignment = assignment.map(|assignment| (convert::assignment(assignment), convert::spec_window(assignment)));
    let policies = around.policies.iter().filter(|policy| convert::is_present(&***policy));
    let policies: Vec<_> = policies.map(|policy| convert::policy(policy)).collect();
    let systems: Vec<_> = around.systems.iter().map(|system| convert::system(system, &around.systems)).collect();
    let admission = ctx.admission();
    let inputs = PolicyInputs {
        now: ctx.now(),
        admission: &admission,
        ceiling: None,
        alias_keys: &people.alias_keys,
        aliases_are_names: around.config.as_ref().is_some_and(|config| config.spec.identity.aliases.are_names()),
        uids: people.uids,
        login_keys: &people.login_keys,
        active_assignment: None,
        template: template.as_ref(),
        assignments: &[],
        policies: &policies,
        systems: &systems,
        inventory: None,
        unreachable: None,
        operator_namespace: ctx.operator_namespace(),
    };
    if around.config.is_none() {
        let why = "there is no CurfewConfig named curfew, so nothing is granted and this request waits";
        return (Err(Refusal::new(Reason::NotProvenYet, why)), None);
    }
    let judge = |found: &Widened| found.judge(around.config.as_deref(), &inputs);
    // A window that is not proven to be approved is none: more time is asked for from where the spec ends.
    let lacking = match windows.widened.map(|found| (judge(found), found.not_covered(&inputs))) {
        None | Some((Proof::Approved, _)) => false,
        Some((Proof::Lacking(_), _)) => true,
        Some((Proof::Pending, not_covered)) => {
            ctx.wait_for_proof(WaitingForProof::AssignmentRequest(changes::key(object)), not_covered);
            return (Err(Refusal::new(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet))), None);
        }
    };
    let assignment =
        assignment.map(|(assignment, window)| (if lacking { Assignment { window, ..assignment } } else { assignment }, window));
    let judged: Vec<(String, Proof)> =
        windows.holders.iter().map(|found| (found.assignment.uid().unwrap_or_default(), judge(found))).collect();
    let removed = around.assignment.as_ref().and_then(|assignment| assignment.uid()).unwrap_or_default();
    let others_unknown = judged.iter().any(|(uid, proof)| *proof == Proof::Pending && *uid != removed);
    let present = around.holders.iter().filter(|holder| convert::is_present(&***holder));
    let holders: Vec<Assignment> = present
        .map(|holder| match convert::assignment(holder) {
            facts if judged.iter().any(|(uid, proof)| *uid == facts.reference.uid && *proof != Proof::Approved) => {
                convert::without_unproven_change(holder, facts)
            }
            facts => facts,
        })
        .collect();
    let inputs = PolicyInputs { assignments: &holders, ..inputs };
    let current = assignment.as_ref().map(|(assignment, spec)| Current { assignment, spec: *spec, others_unknown });
    let terms = resolve(asked, current, &inputs);
    let left = match (&terms, current, &template) {
        (Ok(terms), Some(current), Some(template)) if terms.action == ActionKind::Remove => {
            last_holder::check(current.assignment, template, &inputs, others_unknown).ok().flatten()
        }
        (_, _, _) => None,
    };
    let left = left.and_then(|left| around.holders.iter().find(|holder| holder.uid().as_deref() == Some(left.uid.as_str()))).cloned();
    (terms, left)
}

fn place_of(request: &AssignmentRequest) -> Place<'_> {
    let accepted = convert::assignment_request(request).state != State::Pending;
    Place { accepted, created: convert::created(request), uid: request.metadata.uid.as_deref().unwrap_or_default() }
}

/// One of the other requests about the same assignment that comes before this one. A removal waits for no other, and no other for it: it
/// leaves another window, by which the others are judged.
fn earlier(object: &AssignmentRequest, others: &[AssignmentRequest]) -> Option<String> {
    let about = changes::assignment_of(object);
    let before = |other: &&AssignmentRequest| {
        changes::assignment_of(other) == about && !is_removal(other) && is_earlier(&place_of(other), &place_of(object))
    };
    others.iter().find(before).map(ResourceExt::name_any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn by(name: &str, state: &str) -> AssignmentRequest {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "AssignmentRequest", "metadata": {"name": "longer", "namespace": "payments", "uid": "r1"},
            "spec": {"justification": "x", "requester": {"username": name, "groups": []},
                "action": {"extend": {"assignment": {"name": "alice", "uid": "a1"}, "until": "2026-11-23T12:00:00Z"}}},
            "status": {"state": state, "conditions": []},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn no_request_waits_for_a_removal_and_it_needs_no_proof() {
        let other = |action: &str| {
            let mut other = by("alice", "AwaitingApproval");
            (other.metadata.name, other.metadata.uid) = (Some("other".into()), Some("r0".into()));
            let body = json!({"assignment": {"name": "alice", "uid": "a1"}, "until": "2026-11-23T12:00:00Z"});
            other.spec.action = serde_json::from_value(json!({action: body})).unwrap();
            other
        };
        assert_eq!(earlier(&by("alice", "AwaitingApproval"), &[other("extend")]), Some("other".into()));
        assert_eq!(earlier(&by("alice", "AwaitingApproval"), &[other("remove")]), None);
        assert!(rests_on_window(&other("extend")) && rests_on_window(&other("renew")));
        assert!(!rests_on_window(&other("remove")), "a lacking or unreadable proof keeps no access");
    }

    /// A request that waits is looked at with each heartbeat, which must not be a call each time.
    #[test]
    fn who_is_a_manager_is_asked_only_where_that_decides() {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": "alice", "namespace": "payments", "uid": "a1"},
            "spec": {"roleRef": {"name": "edit"}, "subject": {"user": "alice"}, "scope": {"all": {}}, "window": {"permanent": {}}},
        });
        let assignment: EligibleAssignment = serde_json::from_value(object).unwrap();
        let known = |name: &str, state: &str, source| management(&by(name, state), Some(&assignment), source);
        assert_eq!(known("max", "Pending", Source::Stores), Management::Unknown);
        assert_eq!(known("max", "AwaitingApproval", Source::Stores), Management::Found);
        assert_eq!(known("max", "AwaitingApproval", Source::Live), Management::Unknown, "before anything is written or ends");
        assert_eq!(known("max", "Denied", Source::Live), Management::NotNeeded);
        assert_eq!(known("alice", "Pending", Source::Live), Management::NotNeeded);
        assert_eq!(management(&by("max", "Pending"), None, Source::Live), Management::NotNeeded);
    }
}
