//! AssignmentRequest × assignment × template × policy → the new window of the assignment, or a [`Refusal`].
//!
//! PIM-059 to PIM-064: in the last 14 days before its end an assignment may be extended, for 30 days after its end renewed, at any time
//! given up. A new one may be asked for at any time ([`new`]). Nothing is clamped: a window that template or policy do not allow as a whole
//! is refused.
mod new;

use super::{Action, AssignmentKind, Facts, SCHEMA, Span, Terms, last_holder};
use crate::{
    admission::Provenance,
    approval::{ApprovalStage, StageOrder},
    duration::Duration,
    emergency, messages,
    policy_inputs::{Assignment, Policy, PolicyInputs, Template, Window},
    principal::Subject,
    reason::Reason,
    terms::{
        Refusal, check_floor, check_origin, check_policy_eligible, check_recognised, check_shortest_window, check_stages, check_usable,
        check_within_role, first_allowing, refuse, standing,
    },
    text::brief,
    time::Time,
};

/// How long before its end an assignment may be extended: 14 days (PIM-059).
pub const EXTENDABLE_SECS: i64 = 14 * 86_400;
/// How long after its end an assignment may be renewed: 30 days (PIM-060).
pub const RENEWABLE_SECS: i64 = 30 * 86_400;
/// How long after a removal was asked for a role that does not exist may be one that is being replaced.
const MAY_BE_REPLACED_SECS: i64 = 60;
/// The shortest window that is left of what is asked for (PIM-024).
const MIN_SECS: i64 = 300;

/// The assignment of a request, as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// The assignment with its effective window.
    pub assignment: &'a Assignment,
    /// The window of its spec.
    pub spec: Window,
    /// Whether the windows of some other assignments of the role are not known to be approved at the moment.
    pub others_unknown: bool,
}

/// Resolves an AssignmentRequest. The order of the rules:
///
/// 1. made while admission was not enforced; 2. by a person, whose other logins can be recognised, and with a login of their own; of a new
///    assignment [`new`] judges the rest; 3. the assignment exists with the uid that the request names; 4. who asks: the person whom it names directly, or, for `extend` and `renew`, a manager of it; members of a
///    group that it names may not (PIM-063); a manager asks for a person only where that person's other logins would be recognised;
///    5. when it is asked, by the creation of the request; 6. the new window itself.
///
/// `Remove` takes away, so no more is asked of it than that, where the role says so, a holder is left ([`last_holder`]). For the others:
///
/// 7. an assignment that a request has asked for is proven; assignment and role can be used; 8. the role says who approves (`assignment.approval`), and they can; 9. the role allows the window
///    as a whole; 10. some policy allows it, and the approval meets its floor.
///
/// All of it is judged again until the change is written, so that no stricter role or policy is evaded by waiting; afterwards the present
/// role and policy are compared with the new window whenever access begins or goes on by it.
pub fn resolve(a: &Facts, current: Option<Current<'_>>, h: &PolicyInputs<'_>) -> Result<Terms, Refusal> {
    match h.admission.provenance_of(&a.uid, a.created) {
        Provenance::Verified => {}
        Provenance::Pending => return refuse(Reason::NotProvenYet, messages::hint(Reason::NotProvenYet)),
        Provenance::Unverified => return refuse(Reason::AdmissionNotEnforced, messages::hint(Reason::AdmissionNotEnforced)),
    }
    check_person(a, h)?;
    if let Action::New(asked) = &a.action {
        return new::resolve(a, asked, current.map(|current| current.assignment), h);
    }
    let (wanted, kind) = (a.action.assignment(), a.of.as_str());
    let Some(current) = current.filter(|current| current.assignment.reference.uid == wanted.uid) else {
        let found = if current.is_some() { format!("the {kind} of that name has another uid") } else { "it does not exist".into() };
        return refuse(
            Reason::NotFound,
            format!("{kind} {} with uid {}: {found}; kubectl get {} lists them", wanted.name, wanted.uid, a.of.short()),
        );
    };
    let e = current.assignment;
    check_entitled(a, e, h)?;
    let window = new_window(a, e)?;
    let replaces = Span::of(current.spec);
    let terms = |policy: Option<&Policy>, role| Terms {
        schema: SCHEMA,
        request: a.uid.clone(),
        requester: a.requester.username.clone(),
        action: a.action.kind(),
        kind: a.of,
        assignment: e.reference.clone(),
        subject: e.subject.clone(),
        role,
        policy: policy.map(|policy| policy.reference.clone()),
        replaces,
        before: Span::of(e.window),
        window,
        gives: None,
        approval: Vec::new(),
        order: Default::default(),
    };
    if let Action::Remove { .. } = a.action {
        match (h.template, a.of) {
            (Some(t), AssignmentKind::Eligible) => {
                last_holder::check(e, t, h, current.others_unknown)?;
            }
            (None, AssignmentKind::Eligible) => wait_for_role(a, e, h)?,
            (_, AssignmentKind::Active) => {}
        }
        // A role that does not exist keeps nobody from giving it up.
        let role = h.template.map_or_else(|| crate::ids::Ref { name: e.role.clone(), uid: String::new() }, |t| t.reference.clone());
        return Ok(terms(None, role));
    }
    let t = role(a, e, h)?;
    let longer = Assignment { window: Window::Between(window.start, window.end), ..e.clone() };
    check_origin(&longer)?;
    let (stages, order) = check_allowed((a.of, &longer), t, h)?;
    let policy = first_allowing(t, h, |p| check_policy_allows(a.of, p, &longer).and_then(|()| check_floor(p, t, stages)))?;
    Ok(Terms { approval: stages.to_vec(), order, ..terms(Some(policy), t.reference.clone()) })
}

/// A role that is replaced is away for a moment, and may protect its last holder.
fn wait_for_role(a: &Facts, e: &Assignment, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let until = a.created.plus_secs(MAY_BE_REPLACED_SECS);
    if h.now >= until {
        return Ok(());
    }
    refuse(
        Reason::NotProvenYet,
        format!(
            "there is no RoleTemplate {} in namespace {} at the moment; the assignment is removed after {until} if it stays away",
            e.role, a.namespace
        ),
    )
}

/// The role of an assignment.
fn role<'a>(a: &Facts, e: &Assignment, h: &PolicyInputs<'a>) -> Result<&'a Template, Refusal> {
    match h.template {
        Some(t) => Ok(t),
        None => refuse(
            Reason::NoSuchRole,
            format!("there is no RoleTemplate {} in namespace {}; kubectl get rtpl lists them", e.role, a.namespace),
        ),
    }
}

/// Whether a policy lets the subject of an assignment be eligible, or have standing access, in its window.
pub(super) fn check_policy_allows(kind: AssignmentKind, p: &Policy, e: &Assignment) -> Result<(), Refusal> {
    match kind {
        AssignmentKind::Eligible => check_policy_eligible(p, e),
        AssignmentKind::Active => standing::check_policy(p, e),
    }
}

/// Service accounts ask for no assignment, and of a person the other logins must be recognised: one of them could approve. So could the person who
/// has used an emergency account.
fn check_person(a: &Facts, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let (who, alias_keys) = (&a.requester, h.alias_keys);
    if who.is_system_identity() {
        let message = format!("{} is not a person; people ask for assignments, and Git can change them", brief(&who.username));
        return refuse(Reason::NotEligible, message);
    }
    let takes_away = matches!(a.action, Action::Remove { .. });
    if let Some(system) = h.systems.iter().find(|s| !takes_away && emergency::account_of(&s.emergency_accounts, who, alias_keys).is_some())
    {
        let message = format!(
            "{} is an emergency account of system {} (spec.emergencyAccounts), which several people may use; ask with your own login",
            brief(&who.username),
            system.name
        );
        return refuse(Reason::EmergencyAccount, message);
    }
    match () {
        () if !who.is_recorded_with(alias_keys) => refuse(Reason::UnprovenLogin, messages::recorded_without(alias_keys)),
        () if !who.has_required_alias(alias_keys) => {
            let keys = alias_keys.join(", ");
            let message = format!(
                "your login carries none of the extra keys {keys} that identity.aliases in CurfewConfig requires; log in directly, not by impersonation"
            );
            refuse(Reason::UnprovenLogin, message)
        }
        () => Ok(()),
    }
}

fn check_entitled(a: &Facts, e: &Assignment, h: &PolicyInputs<'_>) -> Result<(), Refusal> {
    let (name, verb, who) = (&e.reference.name, a.action.kind().verb(), brief(&a.requester.username));
    let directly = matches!(e.subject, Subject::User(_)) && e.subject.includes(&a.requester);
    match (directly, &a.action, a.manager) {
        (true, _, _) => Ok(()),
        (false, Action::New(_), Some(false)) => refuse(
            Reason::NotEntitled,
            format!(
                "{who} cannot ask for assignment {name} of {}: a user asks for themselves, and for others who may manage all EligibleAssignments of the namespace (RBAC verb manage)",
                e.subject
            ),
        ),
        (false, Action::New(_) | Action::Extend { .. } | Action::Renew { .. }, Some(true)) => check_recognised(&e.subject, h),
        (false, Action::New(_) | Action::Extend { .. } | Action::Renew { .. }, None) => {
            refuse(Reason::NotProvenYet, format!("whether {who} may manage assignment {name} cannot be read; it is tried again"))
        }
        (false, Action::Remove { .. }, _) => {
            refuse(Reason::NotEntitled, format!("{who} cannot give up assignment {name}: it names {}, and only that person may", e.subject))
        }
        (false, _, Some(false)) if e.subject.includes(&a.requester) => refuse(
            Reason::NotEntitled,
            format!(
                "{who} cannot {verb} assignment {name}: it names {}, and its members cannot; ask a manager of it (RBAC verb manage)",
                e.subject
            ),
        ),
        (false, _, Some(false)) => refuse(
            Reason::NotEntitled,
            format!(
                "{who} cannot {verb} assignment {name}: it names {}; that person may, or a manager of it (RBAC verb manage)",
                e.subject
            ),
        ),
    }
}

/// The new window, if it may be asked for at the time at which the request was created.
fn new_window(a: &Facts, e: &Assignment) -> Result<Span, Refusal> {
    let (name, asked, flag) = (&e.reference.name, a.created, a.of.flag());
    let outside = |message: String| refuse(Reason::OutsideWindow, message);
    let window = match (&a.action, e.window) {
        (Action::New(_), Window::Permanent) => return outside(format!("assignment {name} would have no end")),
        (Action::New(_), Window::Between(start, _)) if start < asked => {
            return outside(format!("the window of assignment {name} would begin {start}, before the request was made"));
        }
        (Action::New(_), Window::Between(start, end)) => Span { start, end },
        (Action::Remove { .. }, Window::Permanent) => return Ok(Span { start: asked.plus_secs(-MIN_SECS), end: asked }),
        (Action::Remove { .. }, Window::Between(_, over)) if asked >= over => {
            return outside(format!("assignment {name} ended {over} already"));
        }
        (Action::Remove { .. }, Window::Between(start, _)) => return Ok(Span { start: start.min(asked), end: asked }),
        (_, Window::Permanent) => return outside(format!("assignment {name} has no end, so there is nothing to extend")),
        (Action::Extend { .. }, Window::Between(_, over)) if asked >= over => {
            return outside(format!(
                "assignment {name} ended {over}; it cannot be extended, but renewed: kubectl curfew assignment renew {name}{flag}"
            ));
        }
        (Action::Extend { .. }, Window::Between(_, over)) if asked < over.plus_secs(-EXTENDABLE_SECS) => {
            return outside(format!(
                "assignment {name} ends {over}, and may be extended in its last 14 days: from {} on",
                over.plus_secs(-EXTENDABLE_SECS)
            ));
        }
        (Action::Extend { until, .. }, Window::Between(_, over)) if *until <= over => {
            return outside(format!("assignment {name} lasts until {over}, and an extension until {until} is not longer"));
        }
        (Action::Extend { until, .. }, Window::Between(start, _)) => Span { start, end: *until },
        (Action::Renew { .. }, Window::Between(_, over)) if asked < over => {
            return outside(format!(
                "assignment {name} ends {over} and has not ended; extend it: kubectl curfew assignment extend {name}{flag}"
            ));
        }
        (Action::Renew { .. }, Window::Between(_, over)) if asked > over.plus_secs(RENEWABLE_SECS) => {
            return outside(format!(
                "assignment {name} ended {over}, and may be renewed for 30 days, until {}; ask its owner for a new one",
                over.plus_secs(RENEWABLE_SECS)
            ));
        }
        (Action::Renew { start: Some(start), .. }, _) if *start < asked => {
            return outside(format!("the new window would begin {start}, before the request was made"));
        }
        (Action::Renew { start, until, .. }, _) => Span { start: start.unwrap_or(asked), end: *until },
    };
    check_length(name, asked, window)
}

fn check_length(name: &str, asked: Time, window: Span) -> Result<Span, Refusal> {
    let left = window.end.millis_since(window.start.max(asked));
    if left < MIN_SECS * 1000 {
        let min = Duration::from_secs(300);
        return refuse(
            Reason::OutsideWindow,
            format!("assignment {name} would last until {}: at least {min} must be left of it", window.end),
        );
    }
    Ok(window)
}

/// Whether assignment and role can be used, and allow this window; returns who must approve.
fn check_allowed<'a>(
    (kind, longer): (AssignmentKind, &Assignment),
    t: &'a Template,
    h: &PolicyInputs<'_>,
) -> Result<(&'a [ApprovalStage], StageOrder), Refusal> {
    let (name, role) = (&longer.reference.name, &t.reference.name);
    if longer.suspended {
        return refuse(Reason::Suspended, format!("assignment {name} is suspended; ask its owner"));
    }
    check_usable(t)?;
    let Some((stages, order)) = &t.assignment_approval else {
        return refuse(
            Reason::NobodyCanApprove,
            format!(
                "role {role} does not say who approves that its assignments are made, extended or renewed; its owner can set spec.assignment.approval"
            ),
        );
    };
    if stages.is_empty() {
        return refuse(Reason::NobodyCanApprove, format!("spec.assignment.approval of role {role} has no stage"));
    }
    check_stages(t, stages, h)?;
    check_shortest_window(longer)?;
    match kind {
        AssignmentKind::Eligible => check_within_role(longer, t)?,
        AssignmentKind::Active => standing::check_role(longer, t)?,
    }
    Ok((stages, *order))
}
