//! A new assignment: a person asks for eligibility that does not exist yet.
use super::{check_allowed, check_entitled, check_policy_allows, new_window, role};
use crate::{
    assignment_request::{ActionKind, Facts, Gives, SCHEMA, Terms},
    policy_inputs::{Assignment, Policy, PolicyInputs},
    reason::Reason,
    terms::{Refusal, assignment_ready, check_floor, check_names_role, first_allowing, refuse},
    text::brief,
};

/// Resolves a request for a new assignment; `taken` is the assignment that has its name. The order of the rules, after 1 and 2 of
/// [`super::resolve`]:
///
/// 3. the name is not taken: nothing is overwritten, and nothing that exists is taken over; 4. who asks: a person for themselves, or who may
///    `manage` every EligibleAssignment of the namespace; a manager asks for a person only where that person's other logins would be
///    recognised; 5. the window begins when the request was made, or later, and lasts at least 5 minutes; 6. the role can be used, and says
///    who approves (`assignment.approval`), and they can; 7. the role allows the window as a whole, and has the scope and the permissions;
///    8. the subject is not an emergency account; 9. some policy allows role, subject and window, and the approval meets its floor.
///
/// All of it is judged again until the assignment is created. From then on the assignment is judged like every other one.
pub(super) fn resolve(a: &Facts, wanted: &Assignment, taken: Option<&Assignment>, h: &PolicyInputs<'_>) -> Result<Terms, Refusal> {
    if let Some(taken) = taken {
        return refuse(
            Reason::AlreadyExists,
            format!(
                "there is an EligibleAssignment {} already, for {} and role {}; choose another name, or ask for that one to be extended or renewed",
                brief(&taken.reference.name),
                brief(&taken.subject.to_string()),
                taken.role
            ),
        );
    }
    check_entitled(a, wanted, h)?;
    let window = new_window(a, wanted).and_then(|window| super::check_length(&wanted.reference.name, a.created, window))?;
    let t = role(a, wanted, h)?;
    let (stages, order) = check_allowed((a.of, wanted), t, h)?;
    assignment_ready(wanted, Some(t), h)?;
    let allows = |p: &Policy| {
        check_policy_allows(a.of, p, wanted)?;
        check_names_role(p, t, h)?;
        check_floor(p, t, stages)
    };
    let policy = first_allowing(t, h, allows)?;
    Ok(Terms {
        schema: SCHEMA,
        request: a.uid.clone(),
        requester: a.requester.username.clone(),
        action: ActionKind::New,
        kind: a.of,
        assignment: wanted.reference.clone(),
        subject: wanted.subject.clone(),
        role: t.reference.clone(),
        policy: Some(policy.reference.clone()),
        replaces: None,
        before: None,
        window,
        gives: Some(Gives::of(wanted)),
        approval: stages.to_vec(),
        order,
    })
}
