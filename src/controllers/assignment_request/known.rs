//! What one reconcile of an AssignmentRequest knows: everything that a decision about it rests on, from the stores or live.
use super::{
    object::Object,
    proof::{self, Claimed},
};
use crate::{
    api::{
        AccessDecision, AccessPolicy, ActiveAssignment, AssignmentRequest, AuthorizationSystem, CurfewConfig, EligibleAssignment, GROUP,
        RoleTemplate, assignment_request::Action,
    },
    controllers::{
        Context, WaitingForProof,
        convert::{self, ClaimKind},
        decision,
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
        ActionKind, AssignmentKind, Facts, Outcome, Request, State, Terms,
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
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// The knowledge of one reconcile.
pub(super) struct Known {
    /// The request as it was read or stored last.
    pub object: AssignmentRequest,
    /// The same as the rules read it.
    pub request: Request,
    /// The assignment of the name that it gives, also with another uid.
    pub assignment: Option<Object>,
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
    /// Why the API server refuses what is to be written, in words.
    pub obstacle: Option<String>,
    /// Whether all of it was read from the API server after the last commit.
    pub live: bool,
}

/// What a request is resolved from.
struct Around {
    config: Option<Arc<CurfewConfig>>,
    template: Option<Arc<RoleTemplate>>,
    /// The assignment of the name that it gives, also of a new one, for which that name must be free.
    assignment: Option<Object>,
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
        let manager = may_manage_assignment(ctx, &object, around.assignment.as_ref(), source).await;
        let asked = convert::assignment_request_facts(&object, manager);
        let own = match &around.assignment {
            Some(assignment) if rests_on_claims(&object) => proof::read(ctx, source, std::slice::from_ref(assignment)).await?,
            Some(_) | None => Vec::new(),
        };
        let holders: Vec<Object> = around.holders.iter().cloned().map(Object::Eligible).collect();
        let of_holders = if protects(&object, &around) { proof::read(ctx, source, &holders).await? } else { Vec::new() };
        let (terms, left) = terms_of(ctx, &object, &asked, &around, &Claims { own: &own, of_holders: &of_holders }, &people);
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
            obstacle: None,
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

fn role_of(object: &AssignmentRequest, assignment: Option<&Object>) -> Option<Key> {
    let role = match &object.spec.action {
        Action::New(new) => Some(new.role_ref.name.as_str()),
        Action::Extend(_) | Action::Renew(_) | Action::Remove(_) => assignment.map(Object::role),
    };
    Some((object.namespace().unwrap_or_default(), role?.to_owned()))
}

fn stored_around(ctx: &Context, key: &Key, object: &AssignmentRequest) -> Around {
    let stores = &ctx.stores;
    let about = changes::assignment_of(object);
    let named = (about.0.clone(), about.1.clone());
    let assignment = match object.spec.action.of() {
        AssignmentKind::Eligible => stores.assignment(&named).map(Object::Eligible),
        AssignmentKind::Active => stores.active_assignment(&named).map(Object::Active),
    };
    let others = stores.live_assignment_requests(&AssignmentRequestGroup::Assignment(about));
    let role = role_of(object, assignment.as_ref());
    Around {
        config: stores.config(),
        holders: role.as_ref().filter(|_| is_removal(object)).map(|role| stores.assignments_for(role)).unwrap_or_default(),
        template: role.and_then(|role| stores.template(&role)),
        assignment,
        policies: Arc::new(stores.policies.state()),
        systems: Arc::new(stores.systems.state()),
        decisions: to_tally(stores.decisions_about(&DecisionSubject::AssignmentRequest(key.clone()))),
        others: others.iter().filter_map(|key| stores.assignment_request(key)).map(|other| (*other).clone()).collect(),
    }
}

async fn live_around(ctx: &Context, key: &Key, object: &AssignmentRequest) -> kube::Result<Around> {
    let (everywhere, assignments, standing, decisions, others) = futures::try_join!(
        ctx.live.cluster_wide(&ctx.client),
        ctx.live.assignments(&ctx.client, &key.0),
        live_standing(ctx, &key.0, object),
        live_reads::decisions_about_assignment_request(&ctx.client, key),
        live_reads::live_assignment_requests(&ctx.client, &key.0),
    )?;
    let name = object.spec.action.assignment_name();
    let assignment = match object.spec.action.of() {
        AssignmentKind::Eligible => assignments.iter().find(|assignment| assignment.name_any() == name).cloned().map(Object::Eligible),
        AssignmentKind::Active => standing.map(|standing| Object::Active(Arc::new(standing))),
    };
    let role = role_of(object, assignment.as_ref());
    let template = match &role {
        Some(role) => ctx.live.template(&ctx.client, role).await?,
        None => None,
    };
    let of_role = |other: &&Arc<EligibleAssignment>| role.as_ref().is_some_and(|(_, role)| other.spec.role_ref.name == *role);
    let holders = assignments.iter().filter(|_| is_removal(object)).filter(of_role).cloned().collect();
    let (policies, systems) = (everywhere.policies, everywhere.systems);
    Ok(Around { config: everywhere.config, template, assignment, holders, policies, systems, decisions: to_tally(decisions), others })
}

/// The ActiveAssignment that a request is about.
async fn live_standing(ctx: &Context, namespace: &str, object: &AssignmentRequest) -> kube::Result<Option<ActiveAssignment>> {
    match object.spec.action.of() {
        AssignmentKind::Eligible => Ok(None),
        AssignmentKind::Active => Api::namespaced(ctx.client.clone(), namespace).get_opt(object.spec.action.assignment_name()).await,
    }
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

fn management(request: &AssignmentRequest, assignment: Option<&Object>, source: Source) -> Management {
    let over = changes::assignment_request_has_ended(request);
    let subject = match &request.spec.action {
        Action::New(new) => Some(&new.subject),
        Action::Extend(_) | Action::Renew(_) | Action::Remove(_) => assignment.map(Object::subject),
    };
    let (Some(subject), Some(requester)) = (subject.filter(|_| !over), &request.spec.requester) else {
        return Management::NotNeeded;
    };
    let directly = matches!(subject, Subject::User(_)) && subject.includes(requester);
    let accepted = convert::assignment_request(request).state == State::AwaitingApproval;
    match (directly, source, accepted) {
        (true, _, _) => Management::NotNeeded,
        (false, Source::Stores, true) => Management::Found,
        (false, Source::Stores, false) | (false, Source::Live, _) => Management::Unknown,
    }
}

/// Whether RBAC gives the requester `manage` on the assignment, or, for a new one, on all EligibleAssignments of the namespace, so that no
/// choice of a name decides; `None` while the review fails. Asked only where it decides: a request that waits is looked at with each heartbeat.
async fn may_manage_assignment(ctx: &Context, request: &AssignmentRequest, assignment: Option<&Object>, source: Source) -> Option<bool> {
    match (management(request, assignment, source), &request.spec.requester) {
        (Management::Unknown, Some(requester)) => {
            let name = request.spec.action.assignment().map(|assignment| assignment.name.as_str()).unwrap_or_default();
            review(ctx, requester, request.spec.action.of().plural(), request.namespace(), name).await
        }
        (known, _) => Some(known == Management::Found),
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

/// Whether what is asked for depends on what the assignment claims, and so on a proof of it. A removal takes away any window that there is:
/// that the proof is gone must not keep what is active by it. A new assignment does not exist yet.
fn rests_on_claims(request: &AssignmentRequest) -> bool {
    match request.spec.action {
        Action::Extend(_) | Action::Renew(_) => !changes::assignment_request_has_ended(request),
        Action::New(_) | Action::Remove(_) => false,
    }
}

fn is_removal(request: &AssignmentRequest) -> bool {
    matches!(request.spec.action, Action::Remove(_))
}

/// Whether a removal must leave a holder of the role.
fn protects(object: &AssignmentRequest, around: &Around) -> bool {
    let protected = around.template.as_ref().is_some_and(|template| template.spec.assignment.protect_last_holder);
    let of_eligibility = object.spec.action.of() == AssignmentKind::Eligible;
    protected && of_eligibility && is_removal(object) && !changes::assignment_request_has_ended(object)
}

/// What assignments claim, with what should prove it.
struct Claims<'a> {
    /// Of the assignment itself.
    own: &'a [Claimed],
    /// Of the assignments of which one must be left.
    of_holders: &'a [Claimed],
}

/// What the request would be now, and the holder of the role that is left, where a removal rests on one.
fn terms_of(
    ctx: &Context,
    object: &AssignmentRequest,
    asked: &Facts,
    around: &Around,
    claims: &Claims<'_>,
    people: &Recognition,
) -> (Result<Terms, Refusal>, Option<Arc<EligibleAssignment>>) {
    let template = around.template.as_ref().filter(|template| convert::is_present(&***template));
    let template = template.map(|template| convert::template(template));
    // What is being deleted gives nothing, and its name is not free yet.
    let is_new = matches!(object.spec.action, Action::New(_));
    let assignment = around.assignment.as_ref().filter(|assignment| is_new || assignment.is_present());
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
    let judge = |found: &Claimed| found.judge(around.config.as_deref(), &inputs);
    let own: Vec<(ClaimKind, Proof)> = claims.own.iter().map(|found| (found.kind, judge(found))).collect();
    if own.iter().any(|(_, proof)| *proof == Proof::Pending) {
        let not_covered = claims.own.iter().flat_map(|found| found.not_covered(&inputs));
        ctx.wait_for_proof(WaitingForProof::AssignmentRequest(changes::key(object)), not_covered);
        return (Err(Refusal::new(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet))), None);
    }
    // A window that is not proven to be approved is none: more time is asked for from where the spec ends.
    let assignment = assignment.map(|assignment| (assignment.as_proven(&own), assignment.spec_window()));
    let judged: Vec<(String, (ClaimKind, Proof))> =
        claims.of_holders.iter().map(|found| (found.assignment.uid(), (found.kind, judge(found)))).collect();
    let removed = around.assignment.as_ref().map(Object::uid).unwrap_or_default();
    let others_unknown = judged.iter().any(|(uid, (_, proof))| *proof == Proof::Pending && *uid != removed);
    let of_holder = |uid: &str| judged.iter().filter(move |(of, _)| of == uid).map(|(_, found)| *found).collect::<Vec<_>>();
    let present = around.holders.iter().filter(|holder| convert::is_present(&***holder)).cloned().map(Object::Eligible);
    let holders: Vec<Assignment> = present.map(|holder| holder.as_proven(&of_holder(&holder.uid()))).collect();
    let inputs = PolicyInputs { assignments: &holders, ..inputs };
    let current = assignment.as_ref().map(|(assignment, spec)| Current { assignment, spec: *spec, others_unknown });
    let terms = resolve(asked, current, &inputs);
    let left = match (&terms, current, &template) {
        (Ok(terms), Some(current), Some(template)) if terms.action == ActionKind::Remove && terms.kind == AssignmentKind::Eligible => {
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
        assert!(rests_on_claims(&other("extend")) && rests_on_claims(&other("renew")));
        assert!(!rests_on_claims(&other("remove")), "a lacking or unreadable proof keeps no access");
    }

    /// A request that waits is looked at with each heartbeat, which must not be a call each time.
    #[test]
    fn who_is_a_manager_is_asked_only_where_that_decides() {
        let object = json!({
            "apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment", "metadata": {"name": "alice", "namespace": "payments", "uid": "a1"},
            "spec": {"roleRef": {"name": "edit"}, "subject": {"user": "alice"}, "scope": {"all": {}}, "window": {"permanent": {}}},
        });
        let assignment = Object::Eligible(serde_json::from_value(object).unwrap());
        let known = |name: &str, state: &str, source| management(&by(name, state), Some(&assignment), source);
        assert_eq!(known("max", "Pending", Source::Stores), Management::Unknown);
        assert_eq!(known("max", "AwaitingApproval", Source::Stores), Management::Found);
        assert_eq!(known("max", "AwaitingApproval", Source::Live), Management::Unknown, "before anything is written or ends");
        assert_eq!(known("max", "Denied", Source::Live), Management::NotNeeded);
        assert_eq!(known("alice", "Pending", Source::Live), Management::NotNeeded);
        assert_eq!(management(&by("max", "Pending"), None, Source::Live), Management::NotNeeded);
        // A new one names whom it is for itself.
        let new = |name: &str| {
            let body = json!({"name": "alice", "roleRef": {"name": "edit"}, "subject": {"user": "alice"}, "scope": {"all": {}},
                "until": "2026-11-23T12:00:00Z"});
            let mut request = by(name, "Pending");
            request.spec.action = serde_json::from_value(json!({"new": body})).unwrap();
            management(&request, None, Source::Stores)
        };
        assert_eq!((new("alice"), new("max")), (Management::NotNeeded, Management::Unknown));
    }
}
