//! Dereferences a request: gathers every object that a decision about it rests on, from the stores or live.
use super::{
    Context, WaitingForProof,
    assignment_request::{
        object::Object,
        proof::{self, Claimed},
    },
    convert::{self, ClaimKind},
    live_reads,
    request::{extended, held},
};
use crate::{
    api::{
        AccessDecision, AccessPolicy, ActivationRequest, ActiveAssignment, AuthorizationSystem, CurfewConfig, EligibleAssignment, GROUP,
        Grant, RoleTemplate, conditions,
        request::{ExtendedBy, RequestState},
    },
    kube_writes,
    providers::ProviderError,
    runtime::{
        changes::{self, DecisionSubject},
        projection,
        stores::{Key, Stores},
    },
};
use curfew_core::{
    admission::{Provenance, Seen},
    approval::{DecisionFacts, Verb},
    assignment_request::proof::{Lack, Proof},
    extension::{Extension, Parent, Span},
    ids, messages,
    policy_inputs::{ActiveAssignment as StandingFacts, PolicyInputs, RequestFacts, Systems, Template},
    principal::{Recognition, UserInfo},
    reason::Reason,
    reconcile::View,
    resolved::Terms,
    target::{Inventory, Scope},
    terms,
};
use futures::future::join_all;
use k8s_openapi::{
    api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt, api::PostParams};
use std::{collections::BTreeMap, sync::Arc};

/// How many access reviews run at a time for one request.
const CONCURRENT_REVIEWS: usize = 16;

/// Where objects are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// From the stores: free of calls, and possibly stale.
    Stores,
    /// From the API server.
    Live,
}

/// A request with every object that a decision about it rests on.
#[derive(Default)]
pub struct Dereferenced {
    /// The request itself, if it exists.
    pub request: Option<ActivationRequest>,
    /// Its Grant.
    pub grant: Option<Arc<Grant>>,
    /// The decisions about it.
    pub decisions: Vec<Arc<AccessDecision>>,
    config: Option<Arc<CurfewConfig>>,
    template: Option<Arc<RoleTemplate>>,
    assignments: Arc<Vec<Arc<EligibleAssignment>>>,
    /// The ActiveAssignment that the request names.
    active_assignment: Option<Arc<ActiveAssignment>>,
    policies: Arc<Vec<Arc<AccessPolicy>>>,
    systems: Arc<Vec<Arc<AuthorizationSystem>>>,
    /// What the target holds of what the template names.
    inventory: Option<Inventory>,
    /// Why the target could not be read.
    unreachable: Option<String>,
    /// What assignments claim, by their uids, that is not proven to be approved: a wider window, or that they were asked for.
    unproven: BTreeMap<String, Vec<(ClaimKind, Proof)>>,
    /// Whether that is unknown of some, and what the next admission proof must cover before it is known.
    unknown: Option<Vec<Seen>>,
    /// What it extends, if it extends another request.
    extension: Option<Extension>,
    /// When its person holds its role, where the role has a ceiling per day.
    held: Option<Vec<Span>>,
    /// The request that extends it, as the stores show that.
    pub extended_by: Option<ExtendedBy>,
    /// Whether it was read from the API server.
    live: bool,
}

/// Dereferences a request.
///
/// # Errors
/// If the operator's own API server does not answer. An unreachable target is noted: then what it holds is unknown.
pub async fn dereference(ctx: &Context, key: &Key, source: Source) -> kube::Result<Dereferenced> {
    dereference_with(ctx, key, source, None).await
}

/// The same; `decisions` are taken for what a live read of the decisions would return.
///
/// # Errors
/// As [`dereference`].
pub async fn dereference_with(
    ctx: &Context,
    key: &Key,
    source: Source,
    decisions: Option<Vec<Arc<AccessDecision>>>,
) -> kube::Result<Dereferenced> {
    let (namespace, name) = key;
    let request = match (source, ctx.stores.request(key)) {
        (Source::Stores, None) => None,
        (Source::Stores, Some(request)) if !changes::has_ended(&request) => Some(request.as_ref().clone()),
        // Of an ended request the store has only a few fields.
        (Source::Stores | Source::Live, _) => kube_writes::requests(&ctx.client, namespace).get_opt(name).await?,
    };
    let Some(request) = request else { return Ok(Dereferenced::default()) };
    let grant = request.uid().map(|uid| ids::grant_id(&ctx.install, &uid)).unwrap_or_default();
    let mut dereferenced = match source {
        Source::Stores => stored(ctx, key, &changes::template_of(&request), &grant),
        Source::Live => {
            // Before a request is accepted no decision about it counts, and nothing is written for it.
            let pending = matches!(request.status.as_ref().and_then(|status| status.state), None | Some(RequestState::Pending));
            let decisions = decisions.or_else(|| pending.then(|| decisions_to_tally(&ctx.stores, key)));
            live(ctx, key, &request.spec.role_ref.name, Some(grant.as_str()).filter(|_| !pending), decisions).await?
        }
    };
    dereferenced.extended_by = extended::extended_by(&ctx.stores, key, &request.uid().unwrap_or_default());
    if !changes::has_ended(&request) {
        dereferenced.extension = extended::read(ctx, &request, source).await?;
        let people = dereferenced.recognition();
        dereferenced.held = held::read(ctx, &request, dereferenced.template.as_deref(), &people, source).await?;
    }
    // Nothing about a request that has ended rests on its assignment.
    if let Some(named) = request.spec.active_assignment.as_ref().filter(|_| !changes::has_ended(&request)) {
        let assignments: Api<ActiveAssignment> = Api::namespaced(ctx.client.clone(), namespace);
        dereferenced.active_assignment = match source {
            Source::Stores => ctx.stores.active_assignment(&(namespace.clone(), named.name.clone())),
            Source::Live => assignments.get_opt(&named.name).await?.map(Arc::new),
        };
    }
    if !changes::has_ended(&request) {
        dereferenced.read_target(ctx, &request, source).await;
    }
    if !changes::has_ended(&request) {
        dereferenced.prove_claims(ctx, &request, source).await?;
    }
    dereferenced.request = Some(request);
    Ok(dereferenced)
}

/// What a request for an ActiveAssignment, which does not exist yet, would be granted now, as the stores show it.
///
/// # Errors
/// The rule that refuses it.
pub async fn foresee(ctx: &Context, request: ActivationRequest, of: Arc<ActiveAssignment>) -> Result<Terms, terms::Refusal> {
    let mut dereferenced = stored(ctx, &changes::key(&request), &changes::template_of(&request), "");
    let key = changes::key(&*of);
    dereferenced.active_assignment = Some(of);
    dereferenced.read_target(ctx, &request, Source::Stores).await;
    let facts = convert::request_facts(&request, false);
    let concerning = proof::concerning(&facts, &[], dereferenced.active_assignment.as_ref());
    let found: Vec<_> = concerning.iter().flat_map(|assignment| proof::stored(ctx, assignment)).collect();
    dereferenced.judge_claims(ctx, &found);
    let terms = dereferenced.with_inputs(ctx, &dereferenced.people(), false, |inputs| terms::standing::foresee(&facts, inputs));
    match (&terms, &dereferenced.unknown) {
        (Err(_), Some(not_covered)) => {
            ctx.wait_for_proof(WaitingForProof::Standing(key), not_covered.iter().cloned());
            Err(terms::Refusal::new(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet)))
        }
        (Err(_) | Ok(_), _) => terms,
    }
}

/// An ActiveAssignment as the rules read it, with the window that is proven, as the stores show it, and what the proof of a wider one lacks.
/// While that is unknown the wider one: nothing ends, and what begins by it is judged by [`foresee`].
pub fn standing(ctx: &Context, of: &Arc<ActiveAssignment>) -> (StandingFacts, Option<Lack>) {
    let facts = convert::active_assignment(of, &ctx.admission());
    let object = Object::Active(of.clone());
    let found = proof::stored(ctx, &object);
    if found.is_empty() {
        return (facts, None);
    }
    let key = changes::key(&**of);
    let mut dereferenced = stored(ctx, &key, &changes::standing_template(of), "");
    dereferenced.judge_claims(ctx, &found);
    let judged: Vec<_> = dereferenced.unproven.remove(&object.uid()).unwrap_or_default();
    let lack = judged.iter().find_map(|(_, proof)| proof.lack());
    let assignment = if lack.is_some() { object.as_proven(&judged) } else { facts.assignment.clone() };
    (StandingFacts { assignment, ..facts }, lack)
}

fn stored(ctx: &Context, key: &Key, template: &Key, grant: &str) -> Dereferenced {
    let stores = &ctx.stores;
    Dereferenced {
        grant: stores.grant(grant),
        decisions: decisions_to_tally(stores, key),
        config: stores.config(),
        template: stores.template(template),
        assignments: Arc::new(stores.assignments_for(template)),
        policies: Arc::new(stores.policies.state()),
        systems: Arc::new(stores.systems.state()),
        ..Dereferenced::default()
    }
}

/// The decisions about a request, as the stores show them, that a rule may read: an approval that does not count is not tallied again.
pub fn decisions_to_tally(stores: &Stores, key: &Key) -> Vec<Arc<AccessDecision>> {
    let mut decisions = stores.decisions_about(&DecisionSubject::Request(key.clone()));
    decisions
        .retain(|decision| !changes::final_verdict(decision).is_some_and(|counts| projection::is_dropped(counts, decision.spec.decision)));
    decisions
}

async fn live(
    ctx: &Context,
    key: &Key,
    role: &str,
    grant: Option<&str>,
    decisions: Option<Vec<Arc<AccessDecision>>>,
) -> kube::Result<Dereferenced> {
    let (namespace, _) = key;
    let template = (namespace.clone(), role.to_owned());
    let grants: Api<Grant> = Api::all(ctx.client.clone());
    let (decisions, everywhere, template, assignments, grant) = futures::try_join!(
        async {
            match decisions {
                Some(known) => Ok(known),
                None => live_reads::decisions_about(&ctx.client, key).await,
            }
        },
        ctx.live.cluster_wide(&ctx.client),
        ctx.live.template(&ctx.client, &template),
        ctx.live.assignments(&ctx.client, namespace),
        async {
            match grant {
                Some(id) => grants.get_opt(id).await,
                None => Ok(None),
            }
        },
    )?;
    Ok(Dereferenced {
        grant: grant.map(Arc::new),
        decisions,
        config: everywhere.config,
        template,
        assignments,
        policies: everywhere.policies,
        systems: everywhere.systems,
        live: true,
        ..Dereferenced::default()
    })
}

/// The scopes to which a request or an assignment narrows a role at this system, the one that was approved, and that of what is extended.
/// They may name places that the role, which reaches everything, does not name.
fn narrower_scopes(
    request: &ActivationRequest,
    assignments: &[Arc<EligibleAssignment>],
    active: Option<&ActiveAssignment>,
    system: &AuthorizationSystem,
    extends: Option<&Extension>,
) -> Vec<Scope> {
    let provider = system.spec.provider.kind();
    let approved = request.status.as_ref().and_then(|status| status.resolved.as_ref()).map(|resolved| resolved.scope.named());
    let role = &request.spec.role_ref;
    let assigned = assignments.iter().filter(|assignment| assignment.spec.role_ref == *role);
    let assigned = assigned.filter_map(|assignment| assignment.spec.scope.narrowed());
    let standing = active.and_then(|assignment| assignment.spec.scope.narrowed());
    let asked = request.spec.scope.clone();
    let extended = extends.and_then(|extension| match &extension.parent {
        Parent::Active(parent) => Some(parent.scope.named()),
        Parent::Unknown | Parent::Absent | Parent::NotActive | Parent::Ended(_) => None,
    });
    asked.into_iter().chain(assigned).chain(standing).filter_map(|scope| scope.of(provider)).chain(approved).chain(extended).collect()
}

/// What a system holds of what a template names, and of the places that narrower scopes of it name: from a cache where the provider watches
/// the target, otherwise live. `None` if the template has nothing for systems of that provider.
///
/// # Errors
/// If the target cannot be read: then its content is unknown, and not absent.
pub async fn inventory(
    ctx: &Context,
    template: &Template,
    system: &AuthorizationSystem,
    narrower: &[Scope],
    source: Source,
) -> Result<Option<Inventory>, ProviderError> {
    let provider = system.spec.provider.kind();
    let (Some(permissions), Some(scope)) = (template.permissions.of(provider), template.scope.of(provider)) else { return Ok(None) };
    let scope = scope.naming(narrower);
    let target = ctx.registry.reach(&system.spec.provider).await?;
    let cached = if source == Source::Stores { target.cached_inventory(&permissions, &scope) } else { None };
    match cached {
        Some(cached) => Ok(Some(cached)),
        None => {
            // Where a copy could take its place, what is read there counts only if it is the target.
            if let Some(meant) = convert::recorded_target(system).filter(|meant| !meant.recorded.is_empty()) {
                target.confirm(&meant).await?;
            }
            target.inventory(&permissions, &scope).await.map(Some)
        }
    }
}

/// The system that a request will be resolved on, if there is exactly one.
pub fn system_of<'a>(selected: &Systems, named: Option<&str>, systems: &'a [Arc<AuthorizationSystem>]) -> Option<&'a AuthorizationSystem> {
    let is_meant = |system: &AuthorizationSystem| {
        let name = system.name_any();
        selected.include(&name, system.labels()) && named.is_none_or(|named| name == named)
    };
    let mut meant = systems.iter().filter(|system| is_meant(system));
    let first = meant.next()?;
    meant.next().is_none().then_some(&**first)
}

/// The name of the system that a request is about, as far as the stores show it.
pub fn system_name(stores: &Stores, request: &ActivationRequest) -> Option<String> {
    if let Some(resolved) = request.status.as_ref().and_then(|status| status.resolved.as_ref()) {
        return Some(resolved.system.name.clone());
    }
    let template = stores.template(&changes::template_of(request))?;
    system_of(&convert::systems(&template.spec.systems), request.spec.system.as_deref(), &stores.systems.state()).map(ResourceExt::name_any)
}

/// Whether RBAC gives a user a verb on an object, with the groups and extras of the login that was stamped.
///
/// # Errors
/// If the API server does not answer.
pub async fn is_allowed(
    ctx: &Context,
    user: &UserInfo,
    group: &str,
    resource: &str,
    verb: &str,
    namespace: Option<String>,
    name: &str,
) -> kube::Result<bool> {
    let attributes = ResourceAttributes {
        group: Some(group.into()),
        resource: Some(resource.into()),
        verb: Some(verb.into()),
        namespace,
        name: Some(name.into()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        user: Some(user.username.clone()),
        groups: Some((*user.groups).clone()),
        uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
        // An empty list stands for a key that the login does not have.
        extra: Some(user.extra.clone().into_iter().filter(|(_, values)| !values.is_empty()).collect()),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviewed = Api::<SubjectAccessReview>::all(ctx.client.clone()).create(&PostParams::default(), &review).await?;
    Ok(reviewed.status.is_some_and(|status| status.allowed))
}

/// The kinds by which a request is accepted.
const ACCEPTED_BY: [&str; 3] = ["roletemplates.curfew.dev", "eligibleassignments.curfew.dev", "accesspolicies.curfew.dev"];
/// The same of standing access.
const STANDING: &str = "activeassignments.curfew.dev";
/// For so long after a kind was created again its objects may be missing.
const OBJECTS_FOLLOW_SECS: i64 = 60;

/// Why nothing follows from the absence of objects: a kind is not served, or was created after this request, a moment ago.
async fn unserved(ctx: &Context, request: &ActivationRequest) -> Option<String> {
    let kinds: Api<CustomResourceDefinition> = Api::all(ctx.client.clone());
    let standing = request.spec.active_assignment.is_some().then_some(STANDING);
    let names: Vec<&str> = ACCEPTED_BY.into_iter().chain(standing).collect();
    let all = join_all(names.iter().map(|name| kinds.get_opt(name))).await;
    names.into_iter().zip(all).find_map(|(name, found)| match found {
        Err(error) => Some(format!("whether {name} are served cannot be read: {error}")),
        Ok(None) => Some(format!("{name} are not served; kubectl apply -f crds/ brings them back")),
        Ok(Some(kind)) if kind.metadata.deletion_timestamp.is_some() => Some(format!("{name} are being deleted")),
        Ok(Some(kind)) => {
            let created = convert::created(&kind);
            let young = created > convert::created(request) && ctx.now() < created.plus_secs(OBJECTS_FOLLOW_SECS);
            young.then(|| format!("{name} were created again at {created}, and their objects may follow"))
        }
    })
}

impl Dereferenced {
    /// The same as the rules read it. Asks the API server only who is a manager, and only where that decides.
    pub async fn view(&self, ctx: &Context) -> View {
        let admission = ctx.admission();
        let people = self.people();
        let request = self.request.as_ref().map(|request| convert::request(request, &admission));
        let decisions = self.decision_facts(ctx).await;
        // What was created after the last admission proof waits for the next one, which does not take long.
        if let Some(object) = self.request.as_ref() {
            // Of what has ended, only reviews still count.
            let over = changes::has_ended(object);
            let unproven = request.iter().any(|request| request.provenance == Provenance::Pending && !over).then(|| convert::seen(object));
            let is_pending = |facts: &DecisionFacts| facts.provenance == Provenance::Pending && (!over || facts.verb == Verb::Review);
            let pending = self.decisions.iter().zip(&decisions).filter(|(_, facts)| is_pending(facts));
            let all: Vec<_> = unproven.into_iter().chain(pending.map(|(decision, _)| convert::seen(&**decision))).collect();
            if !all.is_empty() {
                ctx.wait_for_proof(WaitingForProof::Request(changes::key(object)), all);
            }
        }
        let mut terms = match &self.request {
            Some(request) => {
                let is_name_used = ctx.stores.is_name_used(&changes::key(request), &request.uid().unwrap_or_default());
                let facts = convert::request_facts(request, self.granted());
                let facts = RequestFacts { is_name_used, extends: self.extension.clone(), held: self.held.clone(), ..facts };
                self.with_inputs(ctx, &people, facts.approved.is_some(), |inputs| terms::resolve(&facts, inputs))
            }
            None => Err(terms::Refusal::new(Reason::NotFound, "")),
        };
        let mut absent_since = None;
        if let Some(object) = &self.request {
            // What a request rested on that has ended is not read.
            let absent = matches!(&terms, Err(refusal) if refusal.absent) && !changes::has_ended(object);
            if absent
                && self.live
                && let Some(why) = unserved(ctx, object).await
            {
                terms = Err(terms::Refusal::new(Reason::NotProvenYet, why));
            }
            if let (Err(_), Some(not_covered)) = (&terms, &self.unknown) {
                terms = Err(terms::Refusal::new(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet)));
                ctx.wait_for_proof(WaitingForProof::Request(changes::key(object)), not_covered.iter().cloned());
            }
            absent_since = ctx.absent_since(&changes::key(object), absent);
        }
        View {
            request,
            decisions: Arc::new(decisions),
            terms: Arc::new(terms),
            grant: convert::grant_view(self.grant.as_deref()),
            people: Arc::new(people),
            absent_since,
        }
    }

    /// How one person is recognised behind two logins.
    fn recognition(&self) -> Recognition {
        self.config.as_ref().map_or_else(|| Recognition::STRICT.clone(), |config| config.spec.identity.recognition())
    }

    /// Whether the target has shown the access.
    fn granted(&self) -> bool {
        self.grant.as_ref().and_then(|grant| grant.status.as_ref()).is_some_and(|status| status.granted_at.is_some())
    }

    /// Reads what the target holds, if the system is known and was reached before.
    async fn read_target(&mut self, ctx: &Context, request: &ActivationRequest, source: Source) {
        let Some(template) = self.template.as_ref().map(|template| convert::template(template)) else { return };
        let systems = self.systems.clone();
        let system = system_of(&template.systems, convert::named_system(request), &systems);
        // A system that was never reached has no content yet, and the rules refuse it before they need any.
        if let Some(system) = system.filter(|system| system.status.as_ref().is_some_and(|status| status.target.is_some())) {
            let narrower = narrower_scopes(request, &self.assignments, self.active_assignment.as_deref(), system, self.extension.as_ref());
            match inventory(ctx, &template, system, &narrower, source).await {
                Ok(inventory) => self.inventory = inventory,
                // Decisions, Grant and deadline still count while the target cannot be read.
                Err(error) => self.unreachable = Some(error.to_string()),
            }
        }
    }

    /// Proves what the assignments claim by which the request may be allowed.
    async fn prove_claims(&mut self, ctx: &Context, request: &ActivationRequest, source: Source) -> kube::Result<()> {
        let facts = convert::request_facts(request, self.granted());
        let concerning = proof::concerning(&facts, &self.assignments, self.active_assignment.as_ref());
        if concerning.is_empty() {
            return Ok(());
        }
        let found = proof::read(ctx, source, &concerning).await?;
        self.judge_claims(ctx, &found);
        Ok(())
    }

    /// How one person is recognised behind two logins.
    fn people(&self) -> Recognition {
        self.config.as_ref().map_or_else(|| Recognition::STRICT.clone(), |config| config.spec.identity.recognition())
    }

    /// Notes which of these claims are not proven.
    fn judge_claims(&mut self, ctx: &Context, found: &[Claimed]) {
        let config = self.config.as_deref();
        let judged = self.with_inputs(ctx, &self.people(), false, |inputs| {
            found.iter().map(|found| (found.judge(config, inputs), found.not_covered(inputs))).collect::<Vec<_>>()
        });
        for (found, (proof, not_covered)) in found.iter().zip(judged) {
            match proof {
                Proof::Approved => continue,
                Proof::Pending => self.unknown.get_or_insert_default().extend(not_covered),
                Proof::Lacking(lack) => {
                    let (namespace, name) = found.assignment.key();
                    tracing::debug!(namespace, name, %lack, claim = ?found.kind, "what an assignment claims is not proven to be approved");
                }
            }
            self.unproven.entry(found.assignment.uid()).or_default().push((found.kind, proof));
        }
    }

    /// Judges by what was read. What is active rests on what was proven when it began: that a proof is gone ends nothing. A role, an assignment
    /// or a policy that is being deleted is absent.
    fn with_inputs<T>(&self, ctx: &Context, people: &Recognition, active: bool, judge: impl FnOnce(&PolicyInputs<'_>) -> T) -> T {
        let template =
            self.template.as_ref().filter(|template| convert::is_present(&***template)).map(|template| convert::template(template));
        let proven = |object: Object| object.as_proven(self.unproven.get(&object.uid()).into_iter().flatten().filter(|_| !active));
        let assignments: Vec<_> = self
            .assignments
            .iter()
            .filter(|found| convert::is_present(&***found))
            .map(|found| proven(Object::Eligible(found.clone())))
            .collect();
        let policies = self.policies.iter().filter(|policy| convert::is_present(&***policy));
        let policies: Vec<_> = policies.map(|policy| convert::policy(policy)).collect();
        let systems: Vec<_> = self.systems.iter().map(|system| convert::system(system, &self.systems)).collect();
        let admission = ctx.admission();
        let standing = self.active_assignment.as_ref().filter(|assignment| convert::is_present(&***assignment));
        let standing = standing.map(|found| StandingFacts {
            assignment: proven(Object::Active(found.clone())),
            ..convert::active_assignment(found, &admission)
        });
        let inputs = PolicyInputs {
            now: ctx.now(),
            admission: &admission,
            ceiling: self.config.as_ref().map(|config| &config.spec.ceilings.duration),
            alias_keys: &people.alias_keys,
            aliases_are_names: self.config.as_ref().is_some_and(|config| config.spec.identity.aliases.are_names()),
            uids: people.uids,
            login_keys: &people.login_keys,
            template: template.as_ref(),
            assignments: &assignments,
            active_assignment: standing.as_ref(),
            policies: &policies,
            systems: &systems,
            inventory: self.inventory.as_ref(),
            unreachable: self.unreachable.as_deref(),
            operator_namespace: ctx.operator_namespace(),
        };
        judge(&inputs)
    }

    /// The decisions as the rules read them. Without a configuration no login is proven, which stops approvals and nothing
    /// else (I8).
    async fn decision_facts(&self, ctx: &Context) -> Vec<DecisionFacts> {
        let admission = ctx.admission();
        let proof = self.config.as_ref().map(|config| config.spec.identity.decider_proof.list());
        let emergency = convert::emergency_accounts(&*self.systems);
        let aliases = self.config.as_ref().map(|config| config.spec.identity.aliases.list()).unwrap_or_default();
        let logins = convert::Logins { proof: proof.as_deref(), emergency: &emergency, alias_keys: &aliases };
        let mut facts = Vec::new();
        for chunk in self.decisions.chunks(CONCURRENT_REVIEWS) {
            let reviews = chunk
                .iter()
                .map(|decision| async { convert::decision(decision, self.may_manage(ctx, decision).await, logins, &admission) });
            facts.extend(join_all(reviews).await);
        }
        // What the request shows as counted goes before what was made in the same second.
        if let Some(status) = self.request.as_ref().and_then(|request| request.status.as_ref()) {
            facts.iter_mut().for_each(|decision| decision.counted_before |= convert::names(status, decision));
        }
        facts
    }

    /// Whether RBAC gives the decider `manage` on the request; `None` while the review fails. Only a Deny, Revoke or Review needs it.
    async fn may_manage(&self, ctx: &Context, decision: &AccessDecision) -> Option<bool> {
        let (Some(request), Some(decider)) = (&self.request, &decision.spec.decider) else { return Some(false) };
        let is_requester = request.spec.requester.as_ref().is_some_and(|requester| requester.username == decider.username);
        if !matches!(decision.spec.decision, Verb::Deny | Verb::Revoke | Verb::Review) || is_requester {
            return Some(false);
        }
        // A decider who was not a manager when the decision was judged is not reviewed again: many decisions must not cause
        // many reviews.
        let judged = decision.status.as_ref().and_then(|status| conditions::find(&status.conditions, "Counted"));
        if judged.is_some_and(|counted| counted.status == "False") {
            return Some(false);
        }
        match is_allowed(ctx, decider, GROUP, "activationrequests", "manage", request.namespace(), &request.name_any()).await {
            Ok(allowed) => Some(allowed),
            Err(error) => {
                tracing::warn!(%error, decision = decision.name_any(), "cannot review whether the decider is a manager; it is tried again");
                None
            }
        }
    }
}
