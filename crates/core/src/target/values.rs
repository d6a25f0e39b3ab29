//! The enums with one variant for each provider, and the methods that call the functions of its module.
#[cfg(feature = "simulated")]
use super::simulated;
use super::{Content, Guarantees, Held, PlanNames, ProviderKind, SettingsByProvider, Unresolvable, aws, kubernetes, sources};
use crate::{
    principal::{Mapped, Subject},
    time::Time,
};
use serde::{Deserialize, Serialize};

/// What a role holds at targets of one provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Permissions {
    /// ClusterRoles and Roles of a Kubernetes cluster.
    Kubernetes(kubernetes::Permissions),
    /// Policies of an AWS account, or what IAM Identity Center gives there.
    Aws(aws::Permissions),
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Permissions),
}

/// How far a role reaches at targets of one provider.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Namespaces of a Kubernetes cluster, or all of it.
    Kubernetes(kubernetes::Scope),
    /// An AWS account, or regions and resources of it.
    Aws(aws::Scope),
    /// The simulated directory.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Scope),
}

/// What a target holds now of what a template names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inventory {
    /// Roles and namespaces of a Kubernetes cluster.
    Kubernetes(kubernetes::Inventory),
    /// Policies and quotas of an AWS account.
    Aws(aws::Inventory),
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    Simulated(simulated::Inventory),
}

/// The permissions with their content, as frozen for an approval.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum GrantedPermissions {
    /// Roles of a Kubernetes cluster.
    Kubernetes(kubernetes::GrantedPermissions),
    /// Policies of an AWS account, or what IAM Identity Center gives there.
    Aws(aws::GrantedPermissions),
    /// Groups of the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::GrantedPermissions),
}

/// The scope with the uids of what it names, as frozen for an approval.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum GrantedScope {
    /// Namespaces of a Kubernetes cluster, or all of it.
    Kubernetes(kubernetes::GrantedScope),
    /// An AWS account, or regions and resources of it.
    Aws(aws::GrantedScope),
    /// The simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::Scope),
}

/// Who holds the access, in the target's terms.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Principal {
    /// The user, group or service account itself.
    Kubernetes(Subject),
    /// An IAM user, or a user of IAM Identity Center.
    Aws(aws::Principal),
    /// A member of the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::Principal),
}

/// What a Grant writes into its target.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1, "maxProperties" = 1)))]
#[serde(rename_all = "camelCase")]
pub enum Plan {
    /// Bindings in a Kubernetes cluster.
    Kubernetes(kubernetes::Plan),
    /// Policies, a role or an assignment in an AWS account.
    Aws(aws::Plan),
    /// Memberships in the simulated directory.
    #[cfg(feature = "simulated")]
    #[cfg_attr(feature = "schema", schemars(skip))]
    Simulated(simulated::Plan),
}

impl Scope {
    /// The provider that this concerns.
    pub const fn provider(&self) -> ProviderKind {
        match self {
            Scope::Kubernetes(_) => ProviderKind::Kubernetes,
            Scope::Aws(_) => ProviderKind::Aws,
            #[cfg(feature = "simulated")]
            Scope::Simulated(_) => ProviderKind::Simulated,
        }
    }
    /// The first thing that reaches beyond `outer`, in words; `None` if all of it is inside.
    pub fn beyond(&self, outer: &Scope) -> Option<String> {
        dispatch_matching!(self, Scope(a); outer, Scope(b) => p::beyond(a, b), else Some(format!("systems of provider {}", self.provider().as_str())))
    }
    /// What both reach; `None` if they share nothing.
    pub fn intersection(&self, other: &Scope) -> Option<Scope> {
        match (self, other) {
            (Scope::Kubernetes(a), Scope::Kubernetes(b)) => kubernetes::intersection(a, b).map(Scope::Kubernetes),
            (Scope::Aws(a), Scope::Aws(b)) => aws::intersection(a, b).map(Scope::Aws),
            #[cfg(feature = "simulated")]
            (Scope::Simulated(a), Scope::Simulated(b)) => simulated::intersection(a, b).map(Scope::Simulated),
            _ => None,
        }
    }
}

impl Inventory {
    /// Of a target that holds nothing of it.
    pub fn empty(provider: ProviderKind) -> Self {
        match provider {
            ProviderKind::Kubernetes => Inventory::Kubernetes(kubernetes::Inventory::default()),
            ProviderKind::Aws => Inventory::Aws(aws::Inventory::default()),
            #[cfg(feature = "simulated")]
            ProviderKind::Simulated => Inventory::Simulated(simulated::Inventory::default()),
        }
    }
}

impl Permissions {
    /// The first permission that a policy's patterns do not allow, in words.
    pub fn not_allowed(&self, patterns: &Permissions) -> Option<String> {
        dispatch_matching!(self, Permissions(a); patterns, Permissions(b) => p::not_allowed(a, b), else Some("permissions of another provider".into()))
    }
    /// The first permission of `held` that these do not name, in words.
    pub fn lacks(&self, held: &Permissions) -> Option<String> {
        dispatch_matching!(self, Permissions(a); held, Permissions(b) => p::lacks(a, b), else Some("permissions of another provider".into()))
    }
    /// Whether every permission and every place in the scope exists.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn check(&self, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::check(a, b, c), else Err(MIXED.into()))
    }
    /// Whether every permission that is named exists and can be granted in the scope.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn check_permissions(&self, scope: &Scope, inventory: &Inventory) -> Result<(), String> {
        dispatch_matching!(
            self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::check_permissions(a, b, c), else Err(MIXED.into())
        )
    }
    /// Why every grant would fail although all that is named exists, in words.
    pub fn obstacle(&self, scope: &Scope, inventory: &Inventory) -> Option<String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::obstacle(a, b, c), else Some(MIXED.into()))
    }
    /// What is named and gives nothing in the scope, in words.
    pub fn ineffective(&self, scope: &Scope, inventory: &Inventory) -> Option<String> {
        dispatch_matching!(self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::ineffective(a, b, c), else None)
    }
    /// What would be granted in the scope, with the content as it is now.
    ///
    /// # Errors
    /// What is missing, or that the scope reaches none of the permissions.
    pub fn resolve(&self, scope: &Scope, inventory: &Inventory) -> Result<(GrantedPermissions, GrantedScope), Unresolvable> {
        match (self, scope, inventory) {
            (Permissions::Kubernetes(a), Scope::Kubernetes(b), Inventory::Kubernetes(c)) => {
                kubernetes::resolve(a, b, c).map(|(p, s)| (GrantedPermissions::Kubernetes(p), GrantedScope::Kubernetes(s)))
            }
            (Permissions::Aws(a), Scope::Aws(b), Inventory::Aws(c)) => {
                aws::resolve(a, b, c).map(|(p, s)| (GrantedPermissions::Aws(p), GrantedScope::Aws(s)))
            }
            #[cfg(feature = "simulated")]
            (Permissions::Simulated(a), Scope::Simulated(b), Inventory::Simulated(c)) => {
                simulated::resolve(a, b, c).map(|(p, s)| (GrantedPermissions::Simulated(p), GrantedScope::Simulated(s)))
            }
            _ => Err(Unresolvable::NotReady(MIXED.into())),
        }
    }
    /// What the holder could create that outlives the grant, in words; `None` if everything ends with it. Permissions of
    /// another provider than the scope and the inventory outlive nothing: they resolve to nothing either.
    pub fn persistence(&self, scope: &Scope, inventory: &Inventory, operator_namespace: &str) -> Option<String> {
        dispatch_matching!(
            self, Permissions(a); scope, Scope(b); inventory, Inventory(c) => p::persistence(a, b, c, operator_namespace), else Some(MIXED.into())
        )
    }
    /// The widest plan of a template, without names and principal, only to ask which rights the operator lacks.
    pub fn probe(&self, scope: &Scope) -> Option<Plan> {
        match (self, scope) {
            (Permissions::Kubernetes(a), Scope::Kubernetes(b)) => Some(Plan::Kubernetes(kubernetes::probe(a, b))),
            (Permissions::Aws(a), Scope::Aws(b)) => Some(Plan::Aws(aws::probe(a, b))),
            #[cfg(feature = "simulated")]
            (Permissions::Simulated(a), Scope::Simulated(_)) => Some(Plan::Simulated(simulated::probe(a))),
            _ => None,
        }
    }
}

impl GrantedPermissions {
    /// The provider that these concern.
    pub const fn provider(&self) -> ProviderKind {
        match self {
            GrantedPermissions::Kubernetes(_) => ProviderKind::Kubernetes,
            GrantedPermissions::Aws(_) => ProviderKind::Aws,
            #[cfg(feature = "simulated")]
            GrantedPermissions::Simulated(_) => ProviderKind::Simulated,
        }
    }
    /// Each permission with the digest of its content, in words, for the audit log.
    pub fn privileges(&self) -> Vec<String> {
        dispatch!(self, GrantedPermissions(a) => p::granted_privileges(a))
    }
    /// The names of what is held.
    pub fn named(&self) -> Permissions {
        match self {
            GrantedPermissions::Kubernetes(a) => Permissions::Kubernetes(kubernetes::named_permissions(a)),
            GrantedPermissions::Aws(a) => Permissions::Aws(aws::named_permissions(a)),
            #[cfg(feature = "simulated")]
            GrantedPermissions::Simulated(a) => Permissions::Simulated(simulated::named_permissions(a)),
        }
    }
    /// What the target holds for these. What was copied is as it was frozen, also where its origin has changed since.
    #[must_use]
    pub fn as_granted(&self, now: Inventory) -> Inventory {
        match (self, now) {
            (GrantedPermissions::Aws(a), Inventory::Aws(now)) => Inventory::Aws(aws::as_granted(a, now)),
            (_, now) => now,
        }
    }
    /// With the digests of contents alone, as schema 2 has them.
    #[must_use]
    pub fn without_content(&self) -> Self {
        let mut all = self.clone();
        match &mut all {
            GrantedPermissions::Kubernetes(a) => a.roles.iter_mut().for_each(|role| role.content.clear()),
            // There were none in schema 2.
            GrantedPermissions::Aws(_) => {}
            #[cfg(feature = "simulated")]
            GrantedPermissions::Simulated(_) => {}
        }
        all
    }
    /// What is left at the target of what an active grant holds.
    ///
    /// # Errors
    /// What allows more than what was frozen, or that nothing is left.
    pub fn held(&self, scope: &GrantedScope, inventory: &Inventory) -> Result<Held, Unresolvable> {
        dispatch_matching!(
            self, GrantedPermissions(a); scope, GrantedScope(b); inventory, Inventory(c) => p::held(a, b, c), else Err(Unresolvable::NotReady(MIXED.into()))
        )
    }
    /// The first permission that differs from these, in words.
    pub fn changed_since(&self, frozen: &GrantedPermissions) -> Option<String> {
        dispatch_matching!(self, GrantedPermissions(a); frozen, GrantedPermissions(b) => p::changed_since(a, b), else None)
    }
    /// How the content of what a plan gives stands now, compared with these.
    pub fn content(&self, plan: &Plan, inventory: &Inventory) -> Content {
        dispatch_matching!(self, GrantedPermissions(a); plan, Plan(b); inventory, Inventory(c) => p::content(a, b, c), else Content::Unknown)
    }
}

impl GrantedScope {
    /// The scope by names.
    pub fn named(&self) -> Scope {
        match self {
            GrantedScope::Kubernetes(a) => Scope::Kubernetes(kubernetes::named_scope(a)),
            GrantedScope::Aws(a) => Scope::Aws(aws::named_scope(a)),
            #[cfg(feature = "simulated")]
            GrantedScope::Simulated(a) => Scope::Simulated(a.clone()),
        }
    }
    /// The scope of these permissions in words, for people.
    pub fn in_words(&self, permissions: &GrantedPermissions) -> String {
        match (self, permissions) {
            (GrantedScope::Kubernetes(a), _) => kubernetes::scope_in_words(a),
            (GrantedScope::Aws(a), GrantedPermissions::Aws(b)) => aws::scope_in_words(a, b),
            (GrantedScope::Aws(_), _) => MIXED.into(),
            #[cfg(feature = "simulated")]
            (GrantedScope::Simulated(a), _) => simulated::scope_in_words(a),
        }
    }
}

impl Principal {
    /// Of this holder at a target of this provider. `login` is the holder's own, if it is known.
    ///
    /// # Errors
    /// Why the holder has no name there, in words.
    pub fn of(holder: &Subject, mapped: &Mapped<'_>, permissions: &GrantedPermissions, scope: &GrantedScope) -> Result<Self, String> {
        match (permissions, scope) {
            (GrantedPermissions::Kubernetes(_), _) => Ok(Principal::Kubernetes(holder.clone())),
            (GrantedPermissions::Aws(a), GrantedScope::Aws(b)) => aws::principal(&mapped.name(holder)?, a, b).map(Principal::Aws),
            #[cfg(feature = "simulated")]
            (GrantedPermissions::Simulated(_), _) => Ok(Principal::Simulated(simulated::principal(holder))),
            _ => Err(MIXED.into()),
        }
    }
    /// The principal's name, for people and for the audit log.
    pub fn name(&self) -> String {
        match self {
            Principal::Kubernetes(subject) => subject.principal(),
            Principal::Aws(principal) => principal.name.clone(),
            #[cfg(feature = "simulated")]
            Principal::Simulated(principal) => principal.member.clone(),
        }
    }
}

impl Plan {
    /// The plan of a grant. `None` if permissions, scope and principal are of different providers.
    pub fn of(permissions: &GrantedPermissions, scope: &GrantedScope, principal: &Principal, names: PlanNames<'_>) -> Option<Plan> {
        match (permissions, scope, principal) {
            (GrantedPermissions::Kubernetes(a), GrantedScope::Kubernetes(b), Principal::Kubernetes(c)) => {
                Some(Plan::Kubernetes(kubernetes::plan(a, b, c, names)))
            }
            (GrantedPermissions::Aws(a), GrantedScope::Aws(b), Principal::Aws(c)) => aws::plan(a, b, c, names).map(Plan::Aws),
            #[cfg(feature = "simulated")]
            (GrantedPermissions::Simulated(a), GrantedScope::Simulated(_), Principal::Simulated(c)) => {
                Some(Plan::Simulated(simulated::plan(a, c, names)))
            }
            _ => None,
        }
    }
    /// The plan as it is written under these settings. It keeps them: a later change concerns new plans alone.
    #[must_use]
    pub fn configured(self, settings: &SettingsByProvider) -> Plan {
        match self {
            Plan::Kubernetes(plan) => Plan::Kubernetes(kubernetes::configured(plan, settings)),
            Plan::Aws(plan) => Plan::Aws(plan),
            #[cfg(feature = "simulated")]
            Plan::Simulated(plan) => Plan::Simulated(plan),
        }
    }
    /// Whether two plans give the same access, however they were configured.
    pub fn gives_the_same(&self, other: &Plan) -> bool {
        match (self, other) {
            (Plan::Kubernetes(a), Plan::Kubernetes(b)) => kubernetes::gives_the_same(a, b),
            _ => self == other,
        }
    }
    /// What the plan needs from the protocol.
    pub fn guarantees(&self) -> Guarantees {
        dispatch!(self, Plan(a) => p::guarantees(a))
    }
    /// The key of each slot, in order. Two plans of one domain fill the same slot if the keys are equal.
    pub fn slots(&self) -> Vec<String> {
        dispatch!(self, Plan(a) => p::slots(a))
    }
    /// Where its slots are counted: `target`, or what several targets share.
    pub fn slot_domain<'a>(&'a self, target: &'a str) -> &'a str {
        match self {
            Plan::Aws(a) => aws::slot_domain(a).unwrap_or(target),
            Plan::Kubernetes(_) => target,
            #[cfg(feature = "simulated")]
            Plan::Simulated(_) => target,
        }
    }
    /// The parts of the plan whose content is compared while it is active, in words.
    pub fn parts(&self) -> Vec<String> {
        dispatch!(self, Plan(a) => p::parts_in_words(a))
    }
    /// The objects of the operator's own cluster from which the content of the plan is read, if it is of that cluster.
    pub fn content_sources(&self) -> Vec<sources::ContentSource> {
        match self {
            Plan::Kubernetes(a) => sources::plan_sources(a),
            Plan::Aws(_) => Vec::new(),
            #[cfg(feature = "simulated")]
            Plan::Simulated(_) => Vec::new(),
        }
    }
    /// What ends the access while no operator runs, in words, as far as the plan shows it; `None` if nothing does. What the target shows
    /// stands in `enforcedBy` of the Grant.
    pub fn ended_without_operator(&self) -> Option<&'static str> {
        dispatch!(self, Plan(a) => p::ended_without_operator(a))
    }
    /// The deadline that the plan was made with. It does not move when the Grant's end is brought forward.
    pub fn planned_deadline(&self) -> Option<Time> {
        dispatch!(self, Plan(a) => p::planned_deadline(a))
    }
    /// Each permission in words, for the audit log.
    pub fn privileges(&self) -> Vec<String> {
        dispatch!(self, Plan(a) => p::privileges(a))
    }
}

/// Said of permissions, scope and inventory that do not belong together.
pub(super) const MIXED: &str = "permissions and scope are of different providers";
