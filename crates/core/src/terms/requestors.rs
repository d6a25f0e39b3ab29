//! Who asks for whom. A person asks for themselves, or, as a requestor admin, for those whom a policy lists; a service account asks for
//! itself, or for those whose assignment allows delegation.
//!
//! Of a beneficiary who is only named the name alone is known: no groups, no aliases, no uid. So an assignment must name them literally,
//! and where aliases tell people apart, their name must be one of these.
use super::{Refusal, refuse};
use crate::{
    policy_inputs::{Policy, PolicyInputs, Progress, RequestFacts},
    principal::Subject,
    reason::Reason,
    text::brief,
};

/// Who will hold the access. The order of the rules:
///
/// 1. a person who names nobody, or themselves, asks for themselves; 2. a requester that is neither a person nor a service account;
/// 3. for a group; 4. for an identity that Kubernetes reserves; 5. for a person whose other logins could not be recognised.
///
/// The last one only concerns the beginning: what is granted already goes on under another configuration.
pub(super) fn resolve_beneficiary(a: &RequestFacts, h: &PolicyInputs<'_>) -> Result<Subject, Refusal> {
    let machine = a.requester.is_system_identity();
    let own = if machine { a.requester.service_account() } else { Some(Subject::User(a.requester.username.clone())) };
    let begun = matches!(a.progress, Progress::Granted(_));
    match (&a.beneficiary, own) {
        (_, None) => refuse(Reason::NotEligible, format!("{} is neither a person nor a service account", brief(&a.requester.username))),
        (None, Some(own)) => Ok(own),
        (Some(named), Some(own)) if *named == own => Ok(own),
        (Some(Subject::Group(g)), _) => refuse(
            Reason::NotEligible,
            format!("a request for group {} is not possible; name a user or a service account in spec.beneficiary", brief(g)),
        ),
        (Some(b), _) if b.is_reserved() => {
            refuse(Reason::NotEligible, format!("{} is an identity that Kubernetes reserves", brief(&b.to_string())))
        }
        (Some(b), _) if begun => Ok(b.clone()),
        (Some(b), _) => check_recognised(b, h).map(|()| b.clone()),
    }
}

/// Whether a person who is only named would be recognised behind any login that approves what another one asks for them: where people have
/// aliases, only if these are user names. Their second login could not be told from an approver otherwise.
pub(crate) fn check_recognised(named: &Subject, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    match named {
        Subject::User(n) if !h.alias_keys.is_empty() && !h.aliases_are_names => refuse(
            Reason::NotEligible,
            format!(
                "the other logins of {0} are not known, so one of them could approve; {0} must create the request, or, where aliases are user names, the platform team names their keys in identity.aliases.userNameKeys of CurfewConfig",
                brief(n)
            ),
        ),
        Subject::User(_) | Subject::ServiceAccount(_) | Subject::Group(_) => Ok(()),
    }
}

/// Whether the holder is only named: another one asks.
pub(super) fn is_for_another(a: &RequestFacts, holder: &Subject) -> bool {
    match holder {
        Subject::User(name) => *name != a.requester.username,
        Subject::ServiceAccount(_) | Subject::Group(_) => a.requester.service_account().as_ref() != Some(holder),
    }
}

/// Whether a policy lets this person ask for the holder. A service account asks by delegation instead, which needs two approvers and an
/// end: a policy that lists it changes nothing about that.
pub(super) fn check_may_ask(p: &Policy, a: &RequestFacts, holder: &Subject) -> Result<(), Refusal> {
    if a.requester.is_system_identity() || !is_for_another(a, holder) {
        return Ok(());
    }
    let lists = p.requestor_admins.iter().any(|admin| admin.subject.includes(&a.requester) && admin.beneficiaries.contains(holder));
    match lists {
        true => Ok(()),
        false => refuse(
            Reason::NotEligible,
            format!(
                "policy {} does not let {} request access for {}: none of its requestorAdmins with this user, or one of the user's groups, lists exactly that beneficiary; ask the security team",
                p.reference.name,
                brief(&a.requester.username),
                brief(&holder.to_string())
            ),
        ),
    }
}
