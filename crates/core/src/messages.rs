//! Reason → what it means and what to do next, for people who read a status.
use crate::reason::Reason;

/// What it means that a decision is not counted. What is said about requests does not always fit.
pub const fn not_counted(reason: Reason, about_grant: bool) -> &'static str {
    match (reason, about_grant) {
        (Reason::AdmissionNotEnforced, _) => "it was made while Curfew's admission policies were not proven to be in force; decide again",
        (Reason::Unsupported, true) => "about a Grant only Abandon counts; decide about its request",
        (Reason::NotEntitled, true) => "RBAC does not give you the verb abandon on this Grant",
        (Reason::DigestMismatch, true) => {
            "it names another digest than the Grant's; kubectl get grt NAME -o jsonpath={.spec.digest} shows that"
        }
        (Reason::NotFound, true) => "there is no such Grant whose request is in this namespace",
        _ => hint(reason),
    }
}

/// One sentence or two. Where a rule knew the value and the limit, its own message is better than this.
pub const fn hint(reason: Reason) -> &'static str {
    use Reason::*;
    match reason {
        NotEligible => "no EligibleAssignment makes you eligible for this role; ask the team that owns it",
        OutsideWindow => "the access would not fit into the assignment's window; ask for less time, or for a longer window",
        OverMaximum => "longer than the role, its policy or the cluster allows; ask for less time",
        LimitReached => "too many are active already; wait until one ends",
        Suspended => "role, assignment, policy or system is suspended; ask whoever suspended it",
        ReadOnly => "the system is ReadOnly and grants nothing; its platform team can set mode: ReadWrite",
        JustificationRequired => "say why in spec.justification of a new request",
        NoSuchRole => "there is no such RoleTemplate in this namespace; kubectl get rtpl lists them",
        AmbiguousSystem => "the role spans several systems; name one in spec.system of a new request",
        NotReady => "the role is not Ready; kubectl describe rtpl says why",
        WiderScope => "wider than the role; ask for less",
        TemplateChanged => "what was asked for is no longer what would be granted; create a new request and have that approved",
        AdmissionNotEnforced => "it was made while Curfew's admission policies were not proven to be in force; create a new request",
        NotProvenYet => "it was made a moment ago; within seconds it is proven that the admission policies were in force",
        NotApproved => "no approval that counts stands behind it any more; create a new request",
        Unsupported => "it needs a rule that this build does not have",
        TargetUnreachable => "the target cannot be asked now; it is tried again",
        TargetRefused => "the target refused the grant for good; the Grant's status says why; create a new request once that is mended",
        AlreadyConsumed => "this request was used before; create a new one under a fresh name",
        DeniedByApprover => "an approver or manager said no; their AccessDecision says why",
        Withdrawn => "it was taken back",
        RevokedByApprover => "an approver or manager ended it; their AccessDecision says why",
        RevokedByHolder => "it was given back by its holder",
        RequestDeleted => "its request was deleted, and the access went with it",
        Drifted => "what was granted was changed or removed at the target, so all of it was taken away; ask again if you still need it",
        DeadlinePassed => "its time is over; ask again if you still need it",
        ApprovalTimedOut => "nobody approved in time; create a new request and tell the approvers",
        NotBindable => "the operator may not bind one of the roles; the platform team must give it the verb bind on that role",
        BelowFloor => "weaker than the policy's floor; raise the role's approval",
        OutsidePolicy => "no AccessPolicy allows this; ask the security team",
        NobodyCanApprove => "the approvers listed can never fill the quorum; list more, or ask for fewer",
        DuplicateTarget => "an older AuthorizationSystem stands for the same target; use that and delete this",
        SelfDecision => "requester and beneficiary do not decide in their own matter, under any of their logins",
        NotEntitled => "neither an approver of a stage nor a manager of the request",
        DigestMismatch => {
            "it names another digest than what would be granted; look again with kubectl get areq -o wide, and decide on that"
        }
        UnprovenLogin => {
            "the login carries none of what identity.deciderProof or identity.aliases in CurfewConfig ask for; an impersonated login does not count"
        }
        NotFound => "it is about nothing that existed when it was made",
        AlreadyCounted => "this person's word counts already, or nobody's is needed any more",
        Waiting => "an earlier stage is still open; it counts when that has passed",
        Abandoned => "its target is gone for good and a person has released it; nobody has proven that the access is gone",
        AlreadyEnded => "what it is about has ended",
        AsExpected => "all is well",
    }
}
