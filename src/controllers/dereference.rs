//! Gathers everything that a decision about a request rests on: from the stores, or live where it must be.
use super::{Context, convert};
use crate::{
    api::{
        AccessDecision, AccessPolicy, ActivationRequest, AuthorizationSystem, CONFIG_NAME, CurfewConfig, EligibleAssignment, GROUP, Grant,
        RoleTemplate, conditions, request::RequestState,
    },
    providers::ProviderError,
    runtime::stores::{Key, Stores, about},
};
use curfew_core::{
    admission::Provenance,
    approval::{DecisionFacts, Verb},
    ids,
    policy_inputs::{PolicyInputs, RequestFacts, Template},
    principal::UserInfo,
    reconcile::View,
    resolved::Terms,
    target::Inventory,
    terms,
};
use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
    runtime::reflector::ObjectRef,
};
use std::sync::Arc;

/// How many access reviews run at a time for one request.
const AT_ONCE: usize = 16;

/// Where to look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// At what the watches have brought: free, and possibly old.
    Stores,
    /// At the API server.
    Live,
}

/// Everything around one request.
pub struct Dereferenced {
    /// The request itself, if it is there.
    pub request: Option<ActivationRequest>,
    /// Its Grant.
    pub grant: Option<Grant>,
    /// The decisions about it.
    pub decisions: Vec<AccessDecision>,
    config: Option<CurfewConfig>,
    template: Option<RoleTemplate>,
    assignments: Vec<EligibleAssignment>,
    policies: Vec<AccessPolicy>,
    systems: Vec<AuthorizationSystem>,
    /// What the target holds of what the template names.
    inventory: Option<Inventory>,
    /// Why the target could not be asked.
    unreachable: Option<String>,
}

/// Gathers what is around a request.
///
/// # Errors
/// If our own API server cannot be asked. A target that cannot be is noted, and what it holds is unknown.
pub async fn dereference(ctx: &Context, key: &Key, from: Source) -> kube::Result<Dereferenced> {
    let (ns, name) = key;
    let request = match from {
        Source::Stores => ctx.stores.requests.get(&ObjectRef::new(name).within(ns)).map(|r| (*r).clone()),
        Source::Live => Api::<ActivationRequest>::namespaced(ctx.client.clone(), ns).get_opt(name).await?,
    };
    let role = request.as_ref().map(|r| r.spec.role_ref.name.clone()).unwrap_or_default();
    let grant = request.as_ref().and_then(ResourceExt::uid).map(|uid| ids::grant_id(&ctx.install, &uid)).unwrap_or_default();
    let mut s = match from {
        Source::Stores => stored(ctx, key, &role, &grant),
        Source::Live => live(ctx, key, &role, &grant).await?,
    };
    s.request = request;
    if let Some(t) = s.template.as_ref().map(convert::template) {
        let named = s.request.as_ref().and_then(|r| r.spec.system.as_deref());
        let at = system_of(&t, named, &s.systems);
        // A system that was never reached has no content yet, and the rules say so before they need it. An ended request needs none.
        if let Some(at) = at.filter(|a| !s.is_over() && a.status.as_ref().is_some_and(|s| s.target.is_some())) {
            match inventory(ctx, &t, at, from).await {
                Ok(found) => s.inventory = found,
                // Decisions, Grant and deadline still count while the target cannot be read.
                Err(e) => s.unreachable = Some(e.to_string()),
            }
        }
    }
    Ok(s)
}

fn stored(ctx: &Context, (ns, name): &Key, role: &str, grant: &str) -> Dereferenced {
    let st = &ctx.stores;
    let here = |o: Option<String>| o.as_deref() == Some(ns.as_str());
    Dereferenced {
        request: None,
        grant: st.grants.get(&ObjectRef::new(grant)).map(|g| (*g).clone()),
        decisions: own(st.decisions.state_filter(|d| here(d.namespace()) && about(d) == Some(name))),
        config: st.config(),
        template: st.templates.get(&ObjectRef::new(role).within(ns)).map(|t| (*t).clone()),
        assignments: own(st.assignments.state_filter(|a| here(a.namespace()))),
        policies: own(st.policies.state()),
        systems: own(st.systems.state()),
        inventory: None,
        unreachable: None,
    }
}

async fn live(ctx: &Context, (ns, name): &Key, role: &str, grant: &str) -> kube::Result<Dereferenced> {
    let c = || ctx.client.clone();
    let everything = ListParams::default();
    let mine = ListParams::default().fields(&format!("spec.about.activationRequest.name={name}"));
    let (decisions, configs, templates, assignments, policies, systems, grants) = (
        Api::namespaced(c(), ns),
        Api::all(c()),
        Api::namespaced(c(), ns),
        Api::namespaced(c(), ns),
        Api::all(c()),
        Api::all(c()),
        Api::all(c()),
    );
    let (decisions, config, template, assignments, policies, systems, grant) = futures::try_join!(
        decisions.list(&mine),
        configs.get_opt(CONFIG_NAME),
        templates.get_opt(role),
        assignments.list(&everything),
        policies.list(&everything),
        systems.list(&everything),
        grants.get_opt(grant),
    )?;
    Ok(Dereferenced {
        request: None,
        grant,
        decisions: decisions.items,
        config,
        template,
        assignments: assignments.items,
        policies: policies.items,
        systems: systems.items,
        inventory: None,
        unreachable: None,
    })
}

fn own<K: Clone>(list: Vec<Arc<K>>) -> Vec<K> {
    list.iter().map(|o| (**o).clone()).collect()
}

/// What this system holds of what a template names. From a cache where the provider watches the target, otherwise live.
/// `None` if the template says nothing for systems of that provider.
///
/// # Errors
/// If the target cannot be read: what cannot be seen is unknown, and not gone.
pub async fn inventory(ctx: &Context, t: &Template, at: &AuthorizationSystem, from: Source) -> Result<Option<Inventory>, ProviderError> {
    let provider = at.spec.provider.kind();
    let (Some(permissions), Some(scope)) = (t.permissions.of(provider), t.scope.of(provider)) else { return Ok(None) };
    let target = ctx.registry.reach(&at.spec.provider).await?;
    let cached = if from == Source::Stores { target.cached_inventory(&permissions, &scope) } else { None };
    match cached {
        Some(cached) => Ok(Some(cached)),
        None => target.inventory(&permissions, &scope).await.map(Some),
    }
}

/// The system that a request will be resolved on, if there is exactly one.
pub fn system_of<'a>(t: &Template, named: Option<&str>, systems: &'a [AuthorizationSystem]) -> Option<&'a AuthorizationSystem> {
    let mut meant = systems.iter().filter(|s| t.systems.include(&convert::system(s, systems)) && named.is_none_or(|n| s.name_any() == n));
    let first = meant.next()?;
    meant.next().is_none().then_some(first)
}

/// The name of the system that a request is about, as far as the stores show it.
pub fn system_name(stores: &Stores, r: &ActivationRequest) -> Option<String> {
    if let Some(frozen) = r.status.as_ref().and_then(|s| s.resolved.as_ref()) {
        return Some(frozen.system.name.clone());
    }
    let namespace = r.namespace().unwrap_or_default();
    let template = stores.templates.get(&ObjectRef::new(&r.spec.role_ref.name).within(&namespace))?;
    system_of(&convert::template(&template), r.spec.system.as_deref(), &own(stores.systems.state())).map(ResourceExt::name_any)
}

/// Whether RBAC gives somebody a verb on an object, as they were when they logged in.
///
/// # Errors
/// If the API server cannot be asked.
pub async fn is_allowed(
    ctx: &Context,
    by: &UserInfo,
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
        user: Some(by.username.clone()),
        groups: Some((*by.groups).clone()),
        uid: Some(by.uid.clone()).filter(|u| !u.is_empty()),
        extra: Some(by.extra.clone()),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = Api::<SubjectAccessReview>::all(ctx.client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|s| s.allowed))
}

impl Dereferenced {
    fn is_over(&self) -> bool {
        self.request.as_ref().and_then(|r| r.status.as_ref()?.state).and_then(RequestState::outcome).is_some()
    }

    /// What a pass is given. Asks the API server only who is a manager, and only where that decides.
    pub async fn view(&self, ctx: &Context) -> View {
        let aliases = self.config.as_ref().map(|c| c.spec.identity.aliases.list()).unwrap_or_default();
        let request = self.request.as_ref().map(|r| convert::request(r, &ctx.admission()));
        let words = self.decisions(ctx).await;
        // What was made since the last proof of the gate waits for the next, and not for long.
        let unproven = self
            .request
            .as_ref()
            .is_some_and(|r| ctx.admission().provenance_of(convert::created(r)) == Provenance::Pending && !self.is_over());
        if unproven || words.iter().any(|w| w.provenance == Provenance::Pending && !self.is_over()) {
            ctx.proof_wanted.notify_one();
        }
        let terms = match &self.request {
            Some(r) => self.resolve(ctx, &convert::request_facts(r), &aliases),
            None => Err(terms::Refusal { reason: curfew_core::reason::Reason::NotFound, message: String::new() }),
        };
        View {
            request,
            decisions: Arc::new(words),
            terms: Arc::new(terms),
            grant: convert::grant_view(self.grant.as_ref()),
            alias_keys: Arc::new(aliases),
        }
    }

    fn resolve(&self, ctx: &Context, asked: &RequestFacts, aliases: &[String]) -> Result<Terms, terms::Refusal> {
        let template = self.template.as_ref().map(convert::template);
        let assignments: Vec<_> = self.assignments.iter().map(convert::assignment).collect();
        let policies: Vec<_> = self.policies.iter().map(convert::policy).collect();
        let systems: Vec<_> = self.systems.iter().map(|s| convert::system(s, &self.systems)).collect();
        let gate = ctx.admission();
        let house = PolicyInputs {
            now: ctx.now(),
            admission: &gate,
            ceiling: self.config.as_ref().map(|c| &c.spec.ceilings.duration),
            alias_keys: aliases,
            template: template.as_ref(),
            assignments: &assignments,
            policies: &policies,
            systems: &systems,
            inventory: self.inventory.as_ref(),
            unreachable: self.unreachable.as_deref(),
            operator_namespace: ctx.operator_namespace(),
        };
        terms::resolve(asked, &house)
    }

    /// The decisions as words. Without a configuration nobody's login is proven, which stops approvals and nothing else (I8).
    async fn decisions(&self, ctx: &Context) -> Vec<DecisionFacts> {
        let gate = ctx.admission();
        let proof = self.config.as_ref().map(|c| c.spec.identity.decider_proof.list());
        let mut words = Vec::new();
        for some in self.decisions.chunks(AT_ONCE) {
            let asked = some.iter().map(|d| async { convert::decision(d, self.may_manage(ctx, d).await, proof.as_deref(), &gate) });
            words.extend(join_all(asked).await);
        }
        words
    }

    /// Whether RBAC gives the decider `manage` on the request; nothing while it does not say. Only a Deny or Revoke needs to know.
    async fn may_manage(&self, ctx: &Context, d: &AccessDecision) -> Option<bool> {
        let (Some(r), Some(by)) = (&self.request, &d.spec.decider) else { return Some(false) };
        if !matches!(d.spec.decision, Verb::Deny | Verb::Revoke) || r.spec.requester.as_ref().is_some_and(|p| p.username == by.username) {
            return Some(false);
        }
        // Who was no manager when it was judged is not asked about again: nobody makes us ask by deciding a thousand times.
        let judged = d.status.as_ref().and_then(|s| conditions::find(&s.conditions, "Counted"));
        if judged.is_some_and(|c| c.status == "False") {
            return Some(false);
        }
        match is_allowed(ctx, by, GROUP, "activationrequests", "manage", r.namespace(), &r.name_any()).await {
            Ok(allowed) => Some(allowed),
            Err(e) => {
                tracing::warn!(error = %e, decision = d.name_any(), "cannot ask whether the decider is a manager; asked again");
                None
            }
        }
    }
}
