//! Texts for status messages: what a [`Reason`] means and what to do next.
//!
//! A rule that knows the value and the limit writes its own message instead.
use crate::{
    duration::Duration,
    principal::{Party, SameBy, UserInfo},
    reason::Reason,
    text::brief,
    time::Time,
};

/// What is equal, and what to change where that does not mean the same person.
fn equal(by: SameBy<'_>, login: &UserInfo) -> String {
    let other = "another approver must decide";
    match by {
        SameBy::Username => format!("the user name is the same, without regard to case and invisible characters; {other}"),
        SameBy::Uid => {
            let remedy = "where a uid is a role of many people, as on EKS, set spec.identity.uids of CurfewConfig to shared";
            format!("uid {} is the same; {remedy}; otherwise {other}", login.uid)
        }
        SameBy::Alias(key) => format!("extra key {key}, an alias by spec.identity.aliases of CurfewConfig, has the same value; {other}"),
    }
}

/// Why a decision by the requester or the beneficiary does not count: which value is equal, and how to change that.
pub fn self_decision(decider: &UserInfo, party: Party<'_>) -> String {
    let Party { role, by } = party;
    let equal = match (role, by) {
        ("beneficiary", SameBy::Username) => "the user name is the principal that gets the access; another approver must decide".into(),
        ("beneficiary", SameBy::Alias(key)) => {
            format!("the value of extra key {key} is the name of the principal that gets the access; another approver must decide")
        }
        _ => equal(by, decider),
    };
    format!("{} counts as the {role}, who may not decide about the request: {equal}", decider.username)
}

/// Why a second approval does not count: which value it shares with the first one, and how to change that.
pub fn same_approver(decider: &UserInfo, counted: &UserInfo, by: SameBy<'_>) -> String {
    format!("an approval of the same person counts already, as {}: {}", counted.username, equal(by, decider))
}

/// Why an approval with a duration does not count.
pub fn longer_than_requested(named: &Duration, requested: &Duration) -> String {
    format!("the approval names {named}, and {requested} was asked for; name a shorter duration, or none, in a new decision")
}

/// Why an approval without a comment does not count.
pub fn comment_required(stage: &str) -> String {
    format!("stage {stage} asks its approvers for a comment; say why in spec.comment of a new decision")
}

/// Why an approval for an escalation came too early; `at` is not known while the stage is not open.
pub fn not_escalated_yet(stage: &str, at: Option<Time>, after: &Duration) -> String {
    let from = at.map_or_else(|| format!("once it has been open for {after}"), |at| format!("from {at} on"));
    format!("the decider may approve stage {stage} {from}; create a new decision then")
}

/// What an approval for a later stage waits for.
pub fn waits_for_stage(stage: &str) -> String {
    format!("another stage is pending; the decision counts for stage {stage} once that is open")
}

/// Why a login cannot be judged: it was recorded while CurfewConfig did not name a key that it names now.
pub fn recorded_without(keys: &[String]) -> String {
    let when = "the API server did not record it when this was created; create it again";
    format!("CurfewConfig names extra key {} in spec.identity, and {when}", keys.join(", "))
}

/// Which proof the login of a decider lacks; `None` if it lacks none. `proof` are the keys of `identity.deciderProof`, `aliases` those of
/// `identity.aliases`. The order of the rules: 1. a service account or a part of Kubernetes; 2. a key of the proof without a value; 3. one that
/// was not recorded; 4. an alias that was not recorded; 5. no alias at all.
pub fn unproven_login(decider: &UserInfo, proof: &[String], aliases: &[String]) -> Option<String> {
    let of_proof = |lacks: &dyn Fn(&String) -> bool| -> Vec<String> { proof.iter().filter(|key| lacks(key)).cloned().collect() };
    let unrecorded = of_proof(&|key| !decider.extra.contains_key(key));
    let empty = of_proof(&|key| decider.extra.contains_key(key) && decider.extra_values(key).next().is_none());
    let directly = "log in directly, not by impersonation";
    match () {
        () if decider.is_system_identity() => {
            Some(format!("{} is not a person, and a person must decide; log in as one", brief(&decider.username)))
        }
        () if !empty.is_empty() => {
            let keys = empty.join(", ");
            Some(format!("the login has no value under extra key {keys}, which identity.deciderProof of CurfewConfig requires; {directly}"))
        }
        () if !unrecorded.is_empty() => Some(recorded_without(&unrecorded)),
        () if !decider.is_recorded_with(aliases) => Some(recorded_without(aliases)),
        () if !decider.has_required_alias(aliases) => {
            let keys = aliases.join(", ");
            Some(format!(
                "the login has no value under any of the extra keys {keys} that identity.aliases of CurfewConfig requires; {directly}"
            ))
        }
        () => None,
    }
}

/// What a decision is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// A request.
    Request,
    /// A Grant, which it releases without proof.
    Grant,
    /// A Grant whose access it reviews.
    GrantForReview,
}

/// Why a decision is not counted.
pub const fn not_counted(reason: Reason, about: Judged) -> &'static str {
    match (reason, about) {
        (Reason::AdmissionNotEnforced, _) => {
            "the decision was created while Curfew's admission policies were not proven to be in force; create it again"
        }
        (Reason::Unsupported, Judged::Grant | Judged::GrantForReview) => {
            "only Abandon and Review count for a Grant; create a decision about its request instead"
        }
        (Reason::NotEntitled, Judged::GrantForReview) => {
            "the decider is neither an approver of a stage that was frozen for the access nor a manager of the request"
        }
        (Reason::NotEntitled, Judged::Grant) => "RBAC does not allow the decider the verb abandon on this Grant; ask the platform team",
        (Reason::DigestMismatch, Judged::Grant) => {
            "spec.digest differs from the Grant's digest; kubectl get grt NAME -o jsonpath={.spec.digest} shows it"
        }
        (Reason::NotFound, Judged::Grant | Judged::GrantForReview) => {
            "there is no such Grant for a request in this namespace; kubectl get grt lists all Grants"
        }
        _ => hint(reason),
    }
}

/// What the reason means and what to do next.
pub const fn hint(reason: Reason) -> &'static str {
    use Reason::*;
    match reason {
        NotEligible => "no EligibleAssignment makes you eligible for this role; ask the team that owns the role",
        EmergencyAccount => {
            "the login is an emergency account (spec.emergencyAccounts of an AuthorizationSystem), which several people may use; a person must decide with their own login"
        }
        LastHolder => "the assignment is the last one that makes anybody eligible for its role; make another user or group eligible first",
        OutsideWindow => {
            "the access would exceed the window of the EligibleAssignment; request less time, or ask the team for a longer window"
        }
        OverMaximum => "the duration exceeds the limit of the RoleTemplate, the AccessPolicy or CurfewConfig; request less time",
        LimitReached => "the maximum number of active requests is reached; wait until one ends",
        ReviewOutstanding => "an earlier break-glass access of this person is not reviewed; another person must review it first",
        NotExtendable => "the role cannot be extended; request it again when the access has ended",
        ParentEnded => "the request that this one extends ended before its deadline, which ends the extension, too; create a new request",
        Suspended => "the RoleTemplate, EligibleAssignment, AccessPolicy or AuthorizationSystem is suspended; ask its owner",
        ReadOnly => "the AuthorizationSystem is ReadOnly and grants nothing; the platform team can set spec.mode: ReadWrite",
        JustificationRequired => "say why in spec.justification of a new request",
        TicketRequired => "name an accepted ticket in spec.ticket of a new request; the RoleTemplate says which",
        MfaRequired => "log in again with MFA and create it again; the RoleTemplate says how old MFA may be",
        AuthenticationContextRequired => {
            "log in again for the authentication context that the RoleTemplate names; then create a new request"
        }
        NoSuchRole => "there is no such RoleTemplate in this namespace; kubectl get rtpl lists them",
        AmbiguousSystem => "the role spans several AuthorizationSystems; name one in spec.system of a new request",
        NotReady => "the RoleTemplate is not Ready; kubectl describe rtpl says why",
        WiderScope => "the scope is wider than the role's; request a narrower one",
        WiderPermissions => "the permissions are more than the role's; request fewer of them",
        NothingToExtend => "only an active request of the same access can be extended; create a request without extends",
        TemplateChanged => "what would be granted has changed since the request was accepted; create a new request and have it approved",
        AdmissionNotEnforced => {
            "the request was created while Curfew's admission policies were not proven to be in force; create a new request"
        }
        NotProvenYet => "waiting for the next proof that the admission policies are in force, which follows within seconds",
        NotApproved => "the approvals no longer suffice; create a new request",
        Unsupported => "it uses a feature that this build does not implement; create it without that feature",
        TargetUnreachable => "the target cannot be read; the operator tries again",
        TargetRefused => {
            "the target refused the access for good; lastError of the Grant says why; create a new request when it is resolved"
        }
        AlreadyExists => "there is an assignment of that name already; create a new request with another name",
        AlreadyConsumed => "a request with this name was used before; create a new request with another name",
        DeniedByApprover => "an approver or manager denied the request; the comment of the AccessDecision says why",
        Withdrawn => "the requester or beneficiary withdrew the request",
        RevokedByApprover => "an approver or manager ended the access; the comment of the AccessDecision says why",
        RevokedByHolder => "the requester or beneficiary ended the access",
        RequestDeleted => "the request was deleted, which ends the access",
        Drifted => "the access was changed or removed at the target, so all of it was revoked; create a new request if you still need it",
        WindowPassed => {
            "the time in which the access could begin has passed before it was activated; create a new request if you still need it"
        }
        DeadlinePassed => "the deadline has passed; create a new request if you still need it",
        ApprovalTimedOut => "the approvals were not complete in time; create a new request and notify the approvers",
        NotBindable => "the operator may not bind one of the roles; the platform team must grant it the verb bind on that role",
        BelowFloor => "the template is weaker than spec.min of the AccessPolicy; require more approval in the RoleTemplate",
        OutsidePolicy => "no AccessPolicy for this namespace allows this; ask the security team",
        NobodyCanApprove => "the listed approvers cannot reach the quorum; list more approvers or lower the quorum",
        DuplicateTarget => "an older AuthorizationSystem has the same target; use that one and delete this one",
        SelfDecision => {
            "the requester and the beneficiary may not decide about their own request, with any of their logins; another approver must decide"
        }
        NotEntitled => {
            "the decider is neither an approver of a stage nor a manager of the request; the request's status lists the stages that are waiting"
        }
        DigestMismatch => {
            "spec.digest differs from the digest of what would be granted; review it with kubectl get areq -o wide and create a new decision"
        }
        UnprovenLogin => {
            "the login lacks the extra keys that identity.deciderProof or identity.aliases in CurfewConfig require, as an impersonated login does; log in directly"
        }
        NotFound => "the request did not exist when the decision was created; kubectl get areq lists the requests",
        AlreadyCounted => "an approval of this person counts already, or no further approval is needed",
        NothingToApprove => {
            "break-glass waits for no approval; review the access with kubectl curfew review, or end it with kubectl curfew revoke"
        }
        NothingToReview => {
            "nothing was to be reviewed when the decision was created; kubectl describe areq shows the condition ReviewRequired"
        }
        AlreadyReviewed => "the break-glass access is reviewed; nothing is left to do",
        RequestExists => "the request of this Grant exists; create a review about the request",
        CommentRequired => "a comment is asked for; say why in spec.comment of a new decision",
        NotEscalatedYet => {
            "the stage has not been open for long enough that the people of its escalation may approve; create a new decision later"
        }
        Waiting => "an earlier stage is pending; the decision counts once that stage has passed",
        Abandoned => "the target no longer exists and a person has released the Grant; the removal of the access is not proven",
        AlreadyEnded => "the request or Grant has ended",
        AsExpected => "in the expected state",
    }
}
