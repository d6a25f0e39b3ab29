//! Whether systems, policies, templates and assignments are `Ready`, and the message that says why not. Pure.
//!
//! Templates and assignments are judged by the rules of [`crate::terms`] that also resolve a request, so that a `Ready`
//! template and a refused request cannot contradict each other.
use crate::{
    assignment_request::{Change, last_holder, proof::Lack},
    conditions::ticket,
    policy_inputs::{ActiveAssignment, Assignment, Policy, PolicyInputs, System, Template, Window},
    quorum,
    reason::Reason,
    terms::{self, Refusal},
    time::Time,
};

/// `Ready` with a message, or the refusal that explains `Ready=False`.
pub type Readiness = Result<String, Refusal>;

fn not_ready(reason: Reason, message: impl Into<String>) -> Readiness {
    Err(Refusal::new(reason, message))
}

/// Whether a system is ready. `connected` is the provider's error if the target did not answer. The order of the rules:
///
/// 1. suspended; 2. a setting that this build does not support; 3. an older system for the same target; 4. no answer; 5. a right that the
///    operator lacks there. Rights are asked for only if the target answers; if they are unknown, none counts as missing.
pub fn system(system: &System, connected: Result<(), &str>) -> Readiness {
    match (&system.duplicate_of, connected) {
        _ if system.suspended => not_ready(Reason::Suspended, "suspended; nothing new is granted and what is active ends"),
        _ if !system.unsupported.is_empty() => {
            not_ready(Reason::Unsupported, format!("{} is not supported by this build", system.unsupported.join(", ")))
        }
        (Some(older), _) => not_ready(
            Reason::DuplicateTarget,
            format!("the older AuthorizationSystem {older} has the same target; use that one and delete this one"),
        ),
        (None, Err(error)) => not_ready(Reason::NotReady, format!("not connected: {error}")),
        (None, Ok(())) => match &system.missing_rights {
            Some(what) => not_ready(Reason::NotReady, what.as_str()),
            None => Ok("connected".into()),
        },
    }
}

/// Whether a policy is in force. Suspension is named first, then the first setting that this build does not support, then a floor
/// that nobody can meet. A pattern that stands for nothing is said beside it: admission refuses it, and an older object may have it.
pub fn policy(policy: &Policy) -> Readiness {
    match policy.unsupported.first() {
        _ if policy.suspended => not_ready(Reason::Suspended, "suspended; it allows nothing while it is"),
        Some(setting) => not_ready(Reason::Unsupported, format!("{setting} is not supported by this build, so this policy allows nothing")),
        None => match (policy.approval.as_ref().and_then(quorum::floor_unreachable), policy.permissions.not_a_pattern()) {
            (Some(why), _) => not_ready(Reason::NobodyCanApprove, why),
            (None, Some(name)) => {
                Ok(format!("in force, but {name} allows nothing: * stands for everything, or for the whole last segment after :, . or /"))
            }
            (None, None) => Ok("in force".into()),
        },
    }
}

/// Whether a template can be used, the policy that allows it, and a message, which warns of what of the template gives nothing.
///
/// # Errors
/// The first rule of [`terms::ready`] that refuses it.
pub fn template<'a>(template: &Template, inputs: &PolicyInputs<'a>) -> Result<(&'a Policy, String), Refusal> {
    let policy = terms::ready(template, inputs)?;
    let warning = terms::ineffective(template, inputs).map_or_else(String::new, |what| format!("; {what}"));
    Ok((policy, format!("allowed by policy {}{warning}", policy.reference.name)))
}

/// What a request for a template needs beside approval, as one line for people; `none` if it needs nothing.
pub fn requires(t: &Template) -> String {
    let justification = t.justification.then(|| "justification".to_owned());
    let ticket = t.ticket.as_ref().map(ticket::Rule::in_words);
    let mfa = t.mfa.as_ref().map(|max_age| format!("MFA not older than {max_age}"));
    let context = t.authentication_context.as_ref().map(|context| format!("authentication context {context}"));
    let all: Vec<String> = [justification, ticket, mfa, context].into_iter().flatten().collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// Whether anybody is eligible for a role that protects its last holder, with the reason and a message.
pub fn has_holder(t: &Template, assignments: &[Assignment], inputs: &PolicyInputs<'_>) -> (bool, &'static str, String) {
    let holders: Vec<&Assignment> = assignments.iter().filter(|e| last_holder::holds(e, t, inputs)).collect();
    match holders.as_slice() {
        [] => (false, "NoHolder", "no assignment makes a user or a group eligible for this role now; make one eligible in Git".into()),
        [last] => {
            let (name, subject) = (&last.reference.name, &last.subject);
            (true, "LastHolder", format!("assignment {name} of {subject} is the last one; an AssignmentRequest does not remove it"))
        }
        several => (true, "SeveralHolders", format!("{} assignments make users or groups eligible", several.len())),
    }
}

/// Whether an ActiveAssignment gives its access, or will; `found` is what its present or next activation would be granted, if there is one. A
/// window that has passed is refused.
pub fn active_assignment(active: &ActiveAssignment, found: Option<Result<(), Refusal>>, now: Time) -> Readiness {
    let next = active.schedule().first_ending_after(now);
    match (found, next) {
        (Some(Err(refusal)), _) => Err(refusal),
        (None, _) | (_, None) => not_ready(Reason::OutsideWindow, "the window has passed; create a new ActiveAssignment"),
        (Some(Ok(())), Some(next)) if now < next.start => Ok(format!("begins {}", next.start)),
        (Some(Ok(())), Some(_)) => Ok("gives access".into()),
    }
}

/// Whether an assignment makes its subject eligible now. A window that has ended is refused; one that has not begun is ready.
pub fn assignment(assignment: &Assignment, template: Option<&Template>, inputs: &PolicyInputs<'_>) -> Readiness {
    terms::assignment_ready(assignment, template, inputs)?;
    match assignment.window {
        Window::Between(_, end) if inputs.now >= end => not_ready(
            Reason::OutsideWindow,
            format!("the window ended {end}; renew it within 30 days with an AssignmentRequest, or create a new EligibleAssignment"),
        ),
        Window::Between(start, _) if inputs.now < start => Ok(format!("begins {start}")),
        Window::Between(..) | Window::Permanent => Ok("makes eligible".into()),
    }
}

/// The same of an assignment to which an AssignmentRequest has given a wider window, without a proof that this was approved: the window of
/// the spec holds, which `assignment` has.
pub fn assignment_without_proof(
    assignment: &Assignment,
    (change, lack): (&Change, Lack),
    template: Option<&Template>,
    inputs: &PolicyInputs<'_>,
) -> Readiness {
    without_proof(self::assignment(assignment, template, inputs), Some((change, lack)))
}

/// Adds that a wider window does not count, if there is one whose proof lacks something.
///
/// # Errors
/// What `found` is refused for.
pub fn without_proof(found: Readiness, unproven: Option<(&Change, Lack)>) -> Readiness {
    let Some((change, lack)) = unproven else { return found };
    let told = format!("the window until {} does not count, because AssignmentRequest {} {lack}", change.window.end, change.by.name);
    match found {
        Ok(words) => Ok(format!("{words}; {told}")),
        Err(refusal) => Err(Refusal { message: format!("{told}; {}", refusal.message), ..refusal }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy_inputs::Systems,
        resolved::Ref,
        target::{PermissionsByProvider, ProviderKind, ScopeByProvider},
    };

    fn a_system() -> System {
        System {
            name: "staging".into(),
            uid: "s1".into(),
            provider: ProviderKind::Kubernetes,
            principals: None,
            emergency_accounts: Vec::new(),
            labels: [].into(),
            target: None,
            grants_allowed: true,
            deleting: false,
            suspended: false,
            duplicate_of: None,
            missing_rights: None,
            unsupported: Vec::new(),
        }
    }

    fn a_policy() -> Policy {
        Policy {
            break_glass: false,
            reference: Ref { name: "payments".into(), uid: "p1".into() },
            namespaces: vec!["payments".into()],
            systems: Systems::Names(vec!["staging".into()]),
            permissions: PermissionsByProvider::default(),
            scope: ScopeByProvider::default(),
            eligible: Vec::new(),
            max_duration: "8h".parse().unwrap(),
            max_eligibility: "365d".parse().unwrap(),
            approval: None,
            justification: false,
            ticket: false,
            mfa: None,
            limits: None,
            permanent_eligibility: false,
            standing: false,
            delegated: false,
            requestor_admins: Vec::new(),
            persistence: false,
            suspended: false,
            unsupported: Vec::new(),
        }
    }

    fn reason(readiness: Readiness) -> Option<Reason> {
        readiness.err().map(|refusal| refusal.reason)
    }

    #[test]
    fn a_system_names_the_first_rule_that_keeps_it_from_being_ready() {
        let connected = System { ..a_system() };
        assert_eq!(system(&connected, Ok(())), Ok("connected".into()));
        assert_eq!(reason(system(&connected, Err("no route to host"))), Some(Reason::NotReady));
        let reader = System { missing_rights: Some("it may only read".into()), ..a_system() };
        assert_eq!(system(&reader, Ok(())).unwrap_err().message, "it may only read");
        assert!(system(&reader, Err("no route to host")).unwrap_err().message.starts_with("not connected"));
        let duplicate = System { duplicate_of: Some("older".into()), ..a_system() };
        assert_eq!(reason(system(&duplicate, Err("no route to host"))), Some(Reason::DuplicateTarget));
        let unsupported = System { unsupported: vec!["principals".into()], ..duplicate };
        assert_eq!(reason(system(&unsupported, Ok(()))), Some(Reason::Unsupported));
        let suspended = System { suspended: true, ..unsupported };
        assert_eq!(reason(system(&suspended, Ok(()))), Some(Reason::Suspended));
    }

    #[test]
    fn a_policy_with_a_setting_that_is_not_supported_is_not_in_force() {
        assert_eq!(policy(&a_policy()), Ok("in force".into()));
        let unsupported = Policy { unsupported: vec!["min.mfa".into()], ..a_policy() };
        let refusal = policy(&unsupported).unwrap_err();
        assert_eq!(refusal.reason, Reason::Unsupported);
        assert!(refusal.message.starts_with("min.mfa is not supported by this build"), "{}", refusal.message);
        assert_eq!(reason(policy(&Policy { suspended: true, ..unsupported })), Some(Reason::Suspended));
    }
}
