//! What is configured: systems, policies, roles and assignments as the rules read them.
//!
//! The kinds of `api/` are made for people and for Git; these are the same facts, stripped to what a rule can ask.
//! The shell translates; a setting that this build does not obey arrives in `unsupported` and refuses by name.
use crate::{
    admission::{AdmissionHistory, Provenance},
    approval::{ApprovalStage, StageOrder},
    conditions::{LoginKeys, ticket},
    duration::{Duration, Period},
    extension::{Extension, ExtensionLimits, Span},
    limits::Maxima,
    occurrences::{Recurrence, Schedule},
    principal::{Mapping, Subject, Uids, UserInfo},
    resolved::{Ref, SystemRef},
    target::{GrantedPermissions, GrantedScope, Inventory, PermissionsByProvider, ProviderKind, ScopeByProvider},
    time::Time,
};
use std::collections::BTreeMap;

/// The service account of the operator, in its namespace.
pub const OPERATOR_ACCOUNT: &str = "curfew-operator";

/// Which systems are meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Systems {
    /// These, by name.
    Names(Vec<String>),
    /// Those that carry all of these labels.
    Labels(BTreeMap<String, String>),
}

impl Systems {
    /// Whether a system with this name and these labels is meant.
    pub fn include(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Systems::Names(names) => names.iter().any(|included| included == name),
            Systems::Labels(required) => required.iter().all(|(key, value)| labels.get(key) == Some(value)),
        }
    }
}

/// An AuthorizationSystem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct System {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The provider of its target.
    pub provider: ProviderKind,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What the target said it is; nothing while it was never reached.
    pub target: Option<String>,
    /// `mode: ReadWrite`.
    pub grants_allowed: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// `suspend: true`.
    pub suspended: bool,
    /// An older system stands for the same target: its name.
    pub duplicate_of: Option<String>,
    /// What the operator lacks there to grant or revoke, as the target says, with the rules to add. Nothing while that is unknown.
    pub missing_rights: Option<String>,
    /// How a login maps to a principal there.
    pub principals: Option<Mapping>,
    /// Its emergency accounts: watched, and never touched.
    pub emergency_accounts: Vec<Subject>,
    /// Settings that this build does not obey.
    pub unsupported: Vec<String>,
}

/// A RoleTemplate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// Name and uid.
    pub reference: Ref,
    /// Its namespace.
    pub namespace: String,
    /// The systems it spans.
    pub systems: Systems,
    /// What it holds.
    pub permissions: PermissionsByProvider,
    /// Its widest reach.
    pub scope: ScopeByProvider,
    /// How long, where a request does not say.
    pub default_duration: Option<Duration>,
    /// How long at most.
    pub max_duration: Duration,
    /// Whether a justification must be given.
    pub justification: bool,
    /// The ticket that a request must name, if any.
    pub ticket: Option<ticket::Rule>,
    /// How old the requester's MFA may be when the request is created; nothing asks for none.
    pub mfa: Option<Duration>,
    /// The authentication context that the requester's login must carry, if any.
    pub authentication_context: Option<String>,
    /// Who must approve.
    pub approval: Vec<ApprovalStage>,
    /// In which order.
    pub order: StageOrder,
    /// How many requests may be active at a time.
    pub limits: Option<Maxima>,
    /// Whether it allows break-glass.
    pub break_glass: bool,
    /// How far requests may be extended; nothing means not at all.
    pub extension: Option<ExtensionLimits>,
    /// Whether eligibility without end is allowed.
    pub permanent_eligibility: bool,
    /// How long a window of eligibility may be.
    pub max_eligibility: Option<Period>,
    /// How long standing access may be; nothing allows none.
    pub standing: Option<StandingRule>,
    /// Who must approve that an assignment of the role is extended or renewed, and in which order; nothing refuses both.
    pub assignment_approval: Option<(Vec<ApprovalStage>, StageOrder)>,
    /// Whether the last assignment that makes anybody eligible for it is kept from removal.
    pub protects_last_holder: bool,
    /// `suspend: true`.
    pub suspended: bool,
    /// What the template's own controller found last, for this generation: roles that cannot be bound.
    pub not_bindable: Option<String>,
    /// The same: what the target would refuse of every grant of it.
    pub refused_by_target: Option<String>,
    /// Settings that this build does not obey.
    pub unsupported: Vec<String>,
}

impl Template {
    /// Whether a request needs MFA.
    pub const fn requires_mfa(&self) -> bool {
        self.mfa.is_some()
    }
}

/// Standing access that a role allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StandingRule {
    /// Whether it may have no end.
    pub permanent: bool,
    /// How long its window may be.
    pub max: Option<Period>,
}

/// When an assignment holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// Always.
    Permanent,
    /// From the first until the second.
    Between(Time, Time),
}

/// An EligibleAssignment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assignment {
    /// Name and uid.
    pub reference: Ref,
    /// The role it makes eligible for.
    pub role: String,
    /// Who is eligible.
    pub subject: Subject,
    /// How far; nothing means as far as the role. A provider that is left out is out of reach.
    pub scope: Option<ScopeByProvider>,
    /// Which of the role's permissions; nothing means all of them. Of a provider that is left out it gives none.
    pub permissions: Option<PermissionsByProvider>,
    /// When.
    pub window: Window,
    /// `delegation: Allowed`: a service account may ask for the subject.
    pub delegated: bool,
    /// `suspend: true`.
    pub suspended: bool,
    /// It was asked for by an AssignmentRequest that does not prove it: it makes nobody eligible.
    pub unproven: Option<Unproven>,
    /// Settings that this build does not obey.
    pub unsupported: Vec<String>,
}

/// An AssignmentRequest that does not prove the assignment that it has asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unproven {
    /// Its name.
    pub by: String,
    /// What the proof lacks, as words that continue the name.
    pub why: String,
}

/// An ActiveAssignment: standing access, which the operator gives by activations of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActiveAssignment {
    /// Role, holder, scope and bounds, as of an EligibleAssignment.
    pub assignment: Assignment,
    /// The system, if the role spans several.
    pub system: Option<String>,
    /// The occurrences within its bounds; nothing means all of the time.
    pub recurrence: Option<Recurrence>,
    /// Why.
    pub justification: String,
    /// Who created it.
    pub author: UserInfo,
    /// When it was created.
    pub created: Time,
    /// Whether admission was proven to be enforced then, so that the author is who the API server authenticated.
    pub provenance: Provenance,
}

impl ActiveAssignment {
    /// Its window.
    pub fn schedule(&self) -> Schedule<'_> {
        let (from, until) = match self.assignment.window {
            Window::Permanent => (self.created, None),
            Window::Between(start, end) => (start, Some(end)),
        };
        Schedule { from, until, recurrence: self.recurrence.as_ref() }
    }
}

/// People who may request access for others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestorAdmin {
    /// Who may request: a person, by name or by group.
    pub subject: Subject,
    /// For whom, literally.
    pub beneficiaries: Vec<Subject>,
}

/// The floor under the approval of every template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalFloor {
    /// At least so many.
    pub quorum: u8,
    /// All of them out of these.
    pub from: Vec<Subject>,
}

/// An AccessPolicy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Name and uid.
    pub reference: Ref,
    /// The namespaces it covers.
    pub namespaces: Vec<String>,
    /// The systems that may be reached.
    pub systems: Systems,
    /// The roles that may be handed out; names, or `*` as a whole last segment.
    pub permissions: PermissionsByProvider,
    /// How far.
    pub scope: ScopeByProvider,
    /// Who may be made eligible, literally.
    pub eligible: Vec<Subject>,
    /// How long at most.
    pub max_duration: Duration,
    /// How long a window of eligibility may be.
    pub max_eligibility: Period,
    /// Who must approve at least; nothing allows unapproved activation.
    pub approval: Option<ApprovalFloor>,
    /// Whether a justification is needed.
    pub justification: bool,
    /// Whether a ticket is needed.
    pub ticket: bool,
    /// How old the MFA may be at most that a template asks for; nothing allows templates without MFA.
    pub mfa: Option<Duration>,
    /// How many requests that the policy allows may be active at a time.
    pub limits: Option<Maxima>,
    /// Whether eligibility without end is allowed.
    pub permanent_eligibility: bool,
    /// Whether standing access is allowed.
    pub standing: bool,
    /// Whether assignments may allow delegation.
    pub delegated: bool,
    /// Who may request access for whom.
    pub requestor_admins: Vec<RequestorAdmin>,
    /// Whether roles are allowed that let their holder make access which outlives the grant.
    pub persistence: bool,
    /// Whether it allows break-glass.
    pub break_glass: bool,
    /// `suspend: true`.
    pub suspended: bool,
    /// Settings that this build does not obey.
    pub unsupported: Vec<String>,
}

/// How far a request has come: what is active is not held to what only concerns the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Not accepted yet.
    New,
    /// Accepted, not active.
    Accepted,
    /// Approved or active, until this time.
    Granted(Time),
}

/// What a person asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestFacts {
    /// The request's namespace.
    pub namespace: String,
    /// The request's uid.
    pub uid: String,
    /// When it was created.
    pub created: Time,
    /// Who asked.
    pub requester: UserInfo,
    /// The ActiveAssignment whose access the operator gives by it.
    pub active_assignment: Option<Ref>,
    /// The beneficiary, if the request names one.
    pub beneficiary: Option<Subject>,
    /// How far, if that is less than the assignment gives.
    pub scope: Option<ScopeByProvider>,
    /// Which permissions, if these are fewer than the assignment gives.
    pub permissions: Option<PermissionsByProvider>,
    /// When all of it must be over at the latest.
    pub not_after: Option<Time>,
    /// The RoleTemplate.
    pub role: String,
    /// How long.
    pub duration: Option<Duration>,
    /// When it starts, if not at once.
    pub start: Option<Time>,
    /// Whether it is for break-glass.
    pub break_glass: bool,
    /// What it extends, if it extends another request.
    pub extends: Option<Extension>,
    /// When the same person has held the role, or will hold it, by all other Grants that are kept, where the role has a ceiling per day.
    /// Nothing while that is not known.
    pub held: Option<Vec<Span>>,
    /// Why.
    pub justification: Option<String>,
    /// The ticket that explains it.
    pub ticket: Option<ticket::Ticket>,
    /// Where, if the role spans several systems.
    pub system: Option<String>,
    /// Another request of this name has had a Grant, which is still kept: a name grants once.
    pub is_name_used: bool,
    /// Settings that this build does not obey.
    pub unsupported: Vec<String>,
    /// How far it has come.
    pub progress: Progress,
    /// By what it was accepted, if it was.
    pub accepted_by: Option<AcceptedBy>,
    /// What was approved, if it is active.
    pub approved: Option<ApprovedTerms>,
}

/// The names of what a request was accepted by, beside its role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceptedBy {
    /// The EligibleAssignment.
    pub assignment: String,
    /// The AccessPolicy.
    pub policy: String,
}

/// What was approved of an active request, as far as rules still bound it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovedTerms {
    /// For how long.
    pub duration: Duration,
    /// Who had to approve.
    pub approval: Vec<ApprovalStage>,
    /// The permissions with their content.
    pub permissions: GrantedPermissions,
    /// How far they reach.
    pub scope: GrantedScope,
}

/// Everything around a request, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct PolicyInputs<'a> {
    /// The time.
    pub now: Time,
    /// When admission was proven to be enforced: an object created at another time and not accepted is not trusted.
    pub admission: &'a AdmissionHistory,
    /// The longest duration of any grant.
    pub ceiling: Option<&'a Duration>,
    /// Extra keys that name one person behind several logins.
    pub alias_keys: &'a [String],
    /// Whether the values under these keys are the user names by which policies and assignments name people.
    pub aliases_are_names: bool,
    /// Whether one uid is one person.
    pub uids: Uids,
    /// Extra keys that say how a login was authenticated.
    pub login_keys: &'a LoginKeys,
    /// The role that was asked for, if it exists.
    pub template: Option<&'a Template>,
    /// The assignments in the namespace.
    pub assignments: &'a [Assignment],
    /// The ActiveAssignment that the request names, if it exists.
    pub active_assignment: Option<&'a ActiveAssignment>,
    /// Every policy.
    pub policies: &'a [Policy],
    /// Every system.
    pub systems: &'a [System],
    /// What the target holds of what the template names; `None` where the system was never reached.
    pub inventory: Option<&'a Inventory>,
    /// Why the target could not be read, if it could not: then what is missing above is unknown, and not gone.
    pub unreachable: Option<&'a str>,
    /// Where the operator lives.
    pub operator_namespace: &'a str,
}

/// What tells whether two AuthorizationSystems stand for the same target.
#[derive(Clone, Copy, Debug)]
pub struct TargetClaim<'a, Connection> {
    /// The system's name.
    pub name: &'a str,
    /// The system's uid.
    pub uid: &'a str,
    /// When the system was created.
    pub created: Time,
    /// How the target is reached.
    pub connection: &'a Connection,
    /// The target's own identity; `None` while it was never reached.
    pub target: Option<&'a str>,
}

/// The name of an older system for the same target: the same connection, or a target of the same identity. Of systems that
/// were created in the same second the first by name counts as older.
pub fn duplicate_of<'a, Connection: PartialEq + 'a>(
    claim: &TargetClaim<'a, Connection>,
    others: impl Iterator<Item = TargetClaim<'a, Connection>>,
) -> Option<&'a str> {
    let same_target = |other: &TargetClaim<'a, Connection>| {
        other.uid != claim.uid && (other.connection == claim.connection || (claim.target.is_some() && other.target == claim.target))
    };
    let is_older = |other: &TargetClaim<'a, Connection>| (other.created, other.name) < (claim.created, claim.name);
    others.filter(|other| same_target(other) && is_older(other)).map(|other| other.name).min()
}

impl System {
    /// How the system stands in what was resolved.
    pub fn to_ref(&self, target: &str) -> SystemRef {
        SystemRef { name: self.name.clone(), uid: self.uid.clone(), target: target.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_system_of_a_target_keeps_it() {
        let claim = |name: &'static str, created, connection, target| TargetClaim {
            name,
            uid: name,
            created: Time::from_secs(created),
            connection,
            target,
        };
        let all = [claim("b", 1, &1, Some("t1")), claim("a", 2, &2, Some("t1")), claim("c", 3, &2, None), claim("d", 3, &3, None)];
        let older = |i: usize| duplicate_of(&all[i], all.iter().copied());
        assert_eq!(older(0), None);
        assert_eq!(older(1), Some("b"), "the same target by another connection");
        assert_eq!(older(2), Some("a"), "the same connection, never reached");
        assert_eq!(older(3), None, "two targets that were never reached are not the same");
    }
}
