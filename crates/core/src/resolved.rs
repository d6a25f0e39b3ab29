//! What an approval is about: everything that would be granted, frozen, and a digest over it.
pub use crate::ids::Ref;
use crate::{
    approval::{ApprovalStage, StageOrder},
    digest::Digest,
    duration::Duration,
    limits::{Limit, Maxima},
    principal::Subject,
    target::{GrantedPermissions, GrantedScope, Plan, PlanNames, Principal},
    time::Time,
};
use serde::{Deserialize, Serialize};
use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

/// The schema of [`Resolved`], of request status and of Grants that this build writes. Digests of different schemas are never
/// compared, and a higher schema than this is only revoked when due.
pub const SCHEMA: u32 = 5;

/// Has no order of stages, comments and MFA of approvers; what uses none of them has the same form.
const BEFORE_RULES_OF_APPROVERS: u32 = 3;

/// Has no extension, break-glass and standing access; what is none of them has the same form.
const BEFORE_EXTENSIONS: u32 = 4;

/// The oldest schema whose digests this build computes, too. Schema 2 holds the digests of contents, and not the contents.
const OLDEST_COMPUTED: u32 = 2;

/// Whether this build computes digests of this schema.
pub fn computes(schema: u32) -> bool {
    (OLDEST_COMPUTED..=SCHEMA).contains(&schema)
}

/// Which build can judge an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Schema {
    /// Written in this build's form, or in an older one that it reads.
    Known,
    /// Written by a newer build. This one only revokes what is due; it concludes nothing from the rest (design §4, version skew).
    Newer,
}

impl Schema {
    /// Of an object that carries this number; objects of the first builds carry none.
    pub fn of(number: Option<u32>) -> Self {
        if number.is_some_and(|n| n > SCHEMA) { Schema::Newer } else { Schema::Known }
    }
}

/// A system and its real identity.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemRef {
    /// The AuthorizationSystem's name.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// The AuthorizationSystem's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub uid: String,
    /// The identity that the target itself reports; for a Kubernetes cluster the uid of its namespace kube-system.
    #[cfg_attr(feature = "schema", schemars(length(max = 512)))]
    pub target: String,
}

/// The request that another one extends.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Extended {
    /// The name of the ActivationRequest that is extended, in the same namespace.
    #[cfg_attr(feature = "schema", schemars(length(max = 253)))]
    pub name: String,
    /// Its uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub uid: String,
    /// When its own access ends. Nothing moves that; the extension lasts its duration longer.
    pub until: Time,
    /// When the first request of the chain became active.
    pub since: Time,
}

/// Everything that would be granted. An approval names its digest; a description or a limit is not part of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resolved {
    /// The schema of this form; digests of different schemas are never compared.
    pub schema: u32,
    /// The request's uid.
    #[cfg_attr(feature = "schema", schemars(length(max = 128)))]
    pub request: String,
    /// The user name of the requester.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub requester: String,
    /// Who will hold the access.
    pub beneficiary: Subject,
    /// The beneficiary in the target's terms.
    pub principal: Principal,
    /// Where the access will be.
    pub system: SystemRef,
    /// The RoleTemplate.
    pub role: Ref,
    /// The EligibleAssignment that makes the beneficiary eligible, or the ActiveAssignment.
    pub assignment: Ref,
    /// The AccessPolicy that allows it.
    pub policy: Ref,
    /// The permissions and their content.
    pub permissions: GrantedPermissions,
    /// How far it reaches.
    pub scope: GrantedScope,
    /// For how long: from its start, or from the end of what it extends; otherwise from the moment of activation.
    pub duration: Duration,
    /// When it starts, if not at once. It ends as long after that as it lasts, also if it is activated later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Time>,
    /// What it extends, if it extends another request. It begins once it is approved, and lasts its duration longer than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<Extended>,
    /// The stages that must approve; none means that no approval is needed.
    #[cfg_attr(feature = "schema", schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic")))]
    pub approval: Vec<ApprovalStage>,
    /// In which order the stages must pass. Left out where it is one after the other.
    #[serde(default, skip_serializing_if = "StageOrder::is_sequential")]
    pub order: StageOrder,
    /// Who created the ActiveAssignment, if this is standing access, of which nobody is asked. Left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub author: Option<String>,
    /// Break-glass: it waits for no approval, and is reviewed afterwards. The stages say who may deny, revoke and review.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

impl Resolved {
    /// Whether it is standing access, by an ActiveAssignment.
    pub const fn is_standing(&self) -> bool {
        self.author.is_some()
    }
    /// What differs from what was frozen, in words, for those who wait.
    pub fn changed_since(&self, frozen: &Resolved) -> String {
        let references = [
            ("RoleTemplate", &self.role, &frozen.role),
            (if frozen.is_standing() { "ActiveAssignment" } else { "EligibleAssignment" }, &self.assignment, &frozen.assignment),
            ("AccessPolicy", &self.policy, &frozen.policy),
        ];
        let reference = references.into_iter().find(|(_, now, then)| now != then).map(|(kind, now, then)| match now.name == then.name {
            true => format!("{kind} {} was deleted and created again", now.name),
            false => format!("{kind} {} now decides, and not {}", now.name, then.name),
        });
        let what = reference.or_else(|| self.permissions.changed_since(&frozen.permissions));
        let rest = || match () {
            () if !computes(frozen.schema) => "it was accepted by another version of Curfew",
            () if self.scope != frozen.scope => "what it reaches has changed",
            () if self.extends != frozen.extends => "the request that it extends has changed",
            () if self.duration != frozen.duration => "the duration has changed",
            () if self.approval != frozen.approval || self.order != frozen.order => "the approvers have changed",
            () => "what would be granted has changed",
        };
        what.unwrap_or_else(|| rest().to_owned())
    }
    /// The stages that must approve: none of a request for break-glass.
    pub fn required_stages(&self) -> &[ApprovalStage] {
        if self.break_glass { &[] } else { &self.approval }
    }
    /// Who may review a break-glass access, beside managers: whom any stage lists, each once.
    pub fn reviewers(&self) -> Vec<Subject> {
        let mut reviewers: Vec<Subject> = Vec::new();
        for subject in self.approval.iter().flat_map(ApprovalStage::all_approvers) {
            if !reviewers.contains(subject) {
                reviewers.push(subject.clone());
            }
        }
        reviewers
    }
    /// The limits that this access counts towards, however high they are: none of standing access, which nobody has requested.
    pub fn limits(&self, namespace: &str) -> Vec<Limit> {
        if self.is_standing() {
            return Vec::new();
        }
        let any = Some(Maxima::ANY);
        Limit::counted(namespace, (&self.role.name, any), (&self.policy.name, any), &self.beneficiary)
    }
    /// From when the duration counts where that does not depend on the activation: the start, or the end of what it extends.
    pub fn counts_from(&self) -> Option<Time> {
        self.start.or(self.extends.as_ref().map(|extended| extended.until))
    }
    /// When the access ends that lasts so long, in whole seconds, where that does not depend on the activation.
    pub fn fixed_end(&self, lasts: &Duration) -> Option<Time> {
        self.counts_from().map(|from| from.plus_secs(lasts.secs()).floor_secs())
    }
    /// When the access ends that is activated at this time, in whole seconds.
    pub fn end(&self, activated: Time) -> Time {
        self.fixed_end(&self.duration).unwrap_or_else(|| activated.plus_secs(self.duration.secs()).floor_secs())
    }
    /// From when on it is not activated any more, if its access lasts so long: the end of the window of a request with a start, or of what
    /// it extends, since an extension leaves no gap. `None` where it can be activated at any time.
    pub fn too_late_from(&self, lasts: &Duration) -> Option<Time> {
        match &self.extends {
            Some(extended) => Some(extended.until),
            None => self.fixed_end(lasts),
        }
    }
    /// The digest that an approval names.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }
    /// The digest of the effects alone, without the way to the decision. If it differs, an active grant is not the same access
    /// any more.
    pub fn effects(&self) -> Digest {
        Digest::of(&(&self.beneficiary, &self.principal, &self.system, &self.permissions, &self.scope))
    }
    /// What the Grant of this writes. `None` if the parts are of different providers.
    pub fn plan(&self, install: &str, grant: &str, deadline: Time) -> Option<Plan> {
        Plan::of(&self.permissions, &self.scope, &self.principal, PlanNames { install, grant, deadline })
    }
}

/// What would be granted if a request were resolved now, with its digests.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Everything that would be granted.
    pub resolved: Arc<Resolved>,
    /// Its digest.
    pub digest: Digest,
    /// The digest of its effects alone.
    pub effects: Digest,
    /// What of it no longer exists at the target and gives nothing, in words. Only of what is active.
    pub gone: Option<Arc<str>>,
    /// The limits that the role and the policy have now. What is approved does not include them.
    pub limits: Arc<[Limit]>,
}

impl Terms {
    /// With the digests of `resolved`.
    pub fn new(resolved: Resolved) -> Self {
        Terms { digest: resolved.digest(), effects: resolved.effects(), resolved: Arc::new(resolved), gone: None, limits: Arc::default() }
    }
    /// As another schema has stored them: the digest is taken as it is stored, since only the build that wrote it can compute it.
    pub fn as_stored(resolved: Resolved, digest: Digest) -> Self {
        Terms { digest, effects: resolved.effects(), resolved: Arc::new(resolved), gone: None, limits: Arc::default() }
    }
    /// Whether this build can compare their effects with what it resolves itself.
    pub fn is_comparable(&self) -> bool {
        computes(self.resolved.schema)
    }
    /// The digest of these terms in the form of this schema; `None` if this build does not know that form.
    pub fn digest_in(&self, schema: u32) -> Option<Digest> {
        match schema {
            _ if schema == self.resolved.schema => Some(self.digest),
            BEFORE_RULES_OF_APPROVERS | BEFORE_EXTENSIONS => Some(Resolved { schema, ..(*self.resolved).clone() }.digest()),
            OLDEST_COMPUTED => {
                let permissions = self.resolved.permissions.without_content();
                Some(Resolved { schema, permissions, ..(*self.resolved).clone() }.digest())
            }
            _ => None,
        }
    }
}
// Two terms are equal if their digests are: what is approved and what is granted are the same.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}
impl Eq for Terms {}
impl Hash for Terms {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}
