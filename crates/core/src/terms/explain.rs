//! The rules of [`resolve`] one by one, for people who ask why they may or may not activate a role. Pure.
//!
//! [`resolve`] answers with the first rule that refuses. Here each rule is judged by itself with the same functions, so that all that is
//! in the way is told at once. The verdict is always that of [`resolve`]: a rule that has no line here still refuses.
mod beyond;

pub use beyond::{Beyond, Chain};

use super::{
    Offer, Refusal, check_accepted_by_target, check_approval, check_justification, check_login, check_system, check_usable, conditions,
    eligibility::{duration, naming},
    emergency, extension, narrowing, per_day, pick_system,
    policies::check_policy_offers,
    policies::first_allowing,
    refuse,
    requestors::resolve_beneficiary,
    resolve, schedule,
    windows::check_assignment_window,
};
use crate::{
    extension::Extension,
    policy_inputs::{Assignment, PolicyInputs, RequestFacts, System, Template, Window},
    reason::Reason,
};

/// A rule of activation. In this order they are judged and shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// The request uses only what this build supports.
    Request,
    /// The login has the extra keys that are configured, and is not an emergency account.
    Login,
    /// The RoleTemplate exists, is not suspended, and uses only what this build supports.
    Role,
    /// One AuthorizationSystem is meant, and grants.
    System,
    /// The request asks for nothing wider than the role, if it names a scope or permissions.
    Narrowing,
    /// What it extends is active and of the same access, and the ceilings of the role allow it, if it extends a request.
    Extension,
    /// The start is not too far ahead, if it names one.
    Start,
    /// The duration is within the maximum of the role and the ceiling.
    Duration,
    /// A policy lets the namespace offer the role.
    Policy,
    /// The target would accept what is written, and the listed approvers can reach the quorum.
    Target,
    /// There is a justification where the role requires one.
    Justification,
    /// Role and policy allow break-glass, if it asks for that.
    BreakGlass,
    /// An EligibleAssignment names the requester, and policy and window allow the whole access.
    Eligibility,
    /// Any other rule that refuses.
    Other,
}

impl Rule {
    /// The name that people see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::Request => "request",
            Rule::Login => "login",
            Rule::Role => "role",
            Rule::System => "system",
            Rule::Narrowing => "narrowing",
            Rule::Extension => "extension",
            Rule::Start => "start",
            Rule::Duration => "duration",
            Rule::Policy => "policy",
            Rule::Target => "target",
            Rule::Justification => "justification",
            Rule::BreakGlass => "break-glass",
            Rule::Eligibility => "eligibility",
            Rule::Other => "other",
        }
    }
}

/// One rule with its answer: what holds, in words, or why it refuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The rule.
    pub rule: Rule,
    /// The assignment, of [`Rule::Eligibility`] where there is one.
    pub assignment: Option<String>,
    /// The answer.
    pub answer: Result<String, Refusal>,
}

/// Every rule, and the verdict over all of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// The rules in order; of [`Rule::Eligibility`] one for each assignment that names the requester.
    pub rules: Vec<Judged>,
    /// The first refusal of [`resolve`]; `None` if nothing refuses, as far as that is known without the target.
    pub refusal: Option<Refusal>,
    /// What else people ask about the role; `None` where role, system or holder are not known.
    pub beyond: Option<Beyond>,
}

/// Judges every rule. The content of the target need not be known: with `unreachable` in the inputs all other rules are judged.
///
/// The order is that of [`Rule`]. What needs the role is left out where there is none, and what needs the system where that is not known.
pub fn explain(a: &RequestFacts, h: &PolicyInputs<'_>) -> Explanation {
    let refusal = resolve(a, h).err().filter(|refusal| refusal.reason != Reason::TargetUnreachable);
    let mut rules = vec![
        judged(
            Rule::Request,
            a.unsupported.first().map_or(Ok("uses what this build supports".into()), |what| {
                refuse(
                    Reason::Unsupported,
                    format!("the request uses {what}, which this build does not support; create a request without it"),
                )
            }),
        ),
        judged(
            Rule::Login,
            check_login(a, h).and_then(|()| emergency::check_requester(a, h)).map(|()| format!("{} is recognised", a.requester.username)),
        ),
    ];
    let beyond = match h.template {
        Some(template) => {
            with_template(a, h, template, refusal.as_ref(), &mut rules);
            beyond::of(a, h, template)
        }
        None => {
            let (role, ns) = (&a.role, &a.namespace);
            let missing = format!("there is no RoleTemplate {role} in namespace {ns}; kubectl get rtpl -n {ns} lists them");
            rules.push(judged(Rule::Role, refuse(Reason::NoSuchRole, missing)));
            None
        }
    };
    // Behind the reading of the target there are more rules, which are judged above without it.
    let others = || rules.iter().filter(|rule| rule.rule != Rule::Eligibility).find_map(|rule| rule.answer.as_ref().err().cloned());
    let refusal = refusal.or_else(others);
    if let Some(refusal) = &refusal
        && rules.iter().all(|rule| rule.answer.is_ok() || rule.rule == Rule::Eligibility)
        && !is_told(&rules, refusal)
    {
        rules.push(judged(Rule::Other, Err(refusal.clone())));
    }
    Explanation { rules, refusal, beyond }
}

fn judged(rule: Rule, answer: Result<String, Refusal>) -> Judged {
    Judged { rule, assignment: None, answer }
}

/// Whether a rule has refused in these words.
fn is_told(rules: &[Judged], refusal: &Refusal) -> bool {
    rules.iter().any(|rule| rule.answer.as_ref().is_err_and(|told| refusal.message.contains(&told.message)))
}

fn with_template(a: &RequestFacts, h: &PolicyInputs<'_>, t: &Template, refusal: Option<&Refusal>, rules: &mut Vec<Judged>) {
    let name = &t.reference.name;
    rules.push(judged(Rule::Role, check_usable(t).map(|()| format!("role {name} exists and is not suspended"))));
    let system = pick_system(a, t, h);
    let granting = system.clone().and_then(|system| {
        check_system(system, false)?;
        system.missing_rights.as_ref().map_or(Ok(()), |what| refuse(Reason::NotReady, format!("system {}: {what}", system.name)))?;
        Ok(format!("system {} grants", system.name))
    });
    rules.push(judged(Rule::System, granting));
    if let Ok(system) = system
        && (a.scope.is_some() || a.permissions.is_some())
    {
        let narrower = Offer::of(t, system.provider, h).and_then(|offer| narrowing::check_asked(a, system, &offer, t));
        rules.push(judged(Rule::Narrowing, narrower.map(|()| format!("within what role {name} gives"))));
    }
    if let Some(extended) = &a.extends {
        rules.push(judged(Rule::Extension, system.clone().and_then(|system| extendable(a, extended, t, system, h))));
    }
    if let Some(start) = a.start {
        let on_time =
            schedule::check_start(a).and_then(|()| schedule::check_login_age(t.requires_mfa(), name, (a.created, a.start), a.progress));
        rules.push(judged(Rule::Start, on_time.map(|()| format!("at {start}"))));
    }
    let asked = duration(a, t, h);
    rules.push(judged(Rule::Duration, asked.clone().map(|asked| format!("{asked}, of at most {}", longest(t, h)))));
    let offered = system.clone().and_then(|system| offered(t, system, h));
    if system.is_ok() {
        rules.push(judged(Rule::Policy, offered.clone()));
    }
    let reachable = check_approval(t, h);
    let accepted = check_accepted_by_target(t).and(reachable).map(|()| "the operator has found nothing in the way".into());
    rules.push(judged(Rule::Target, accepted));
    let justified = match t.justification {
        _ if a.break_glass => check_justification(a, || "break-glass".to_owned()).map(|()| "there is one".into()),
        true => check_justification(a, || format!("role {name}")).map(|()| "there is one".into()),
        false => Ok("the role requires none".into()),
    };
    rules.push(judged(Rule::Justification, justified));
    if a.break_glass {
        let allowed = system.and_then(|system| beyond::break_glass(a, t, system, h));
        rules.push(judged(Rule::BreakGlass, allowed.map(|by| format!("allowed by role {name} and policy {by}"))));
    }
    // What refuses everybody does not say whether this person is eligible.
    let only_eligibility = rules.iter().all(|rule| rule.answer.is_ok());
    let end = asked.as_ref().map_or(h.now, |asked| schedule::end(a, h.now, asked));
    let mine = named(a, h, t);
    for assignment in &mine {
        let alone = PolicyInputs { assignments: std::slice::from_ref(*assignment), ..*h };
        let whole = || resolve(a, &alone).map(drop).or_else(|e| if e.reason == Reason::TargetUnreachable { Ok(()) } else { Err(e) });
        let within = check_assignment_window(a, assignment, t, h.now, end);
        let answer = within.and_then(|()| if only_eligibility { whole() } else { Ok(()) });
        let name = Some(assignment.reference.name.clone());
        rules.push(Judged { assignment: name, ..judged(Rule::Eligibility, answer.map(|()| in_words(assignment))) });
    }
    if mine.is_empty() {
        let nobody = || Refusal::new(Reason::NotEligible, format!("no EligibleAssignment for role {name} names {}", a.requester.username));
        let why = refusal.filter(|refusal| refusal.reason == Reason::NotEligible).cloned().unwrap_or_else(nobody);
        rules.push(judged(Rule::Eligibility, Err(why)));
    }
}

/// The smallest maximum of those that are known before an assignment is.
fn longest(t: &Template, h: &PolicyInputs<'_>) -> String {
    [Some(&t.max_duration), h.ceiling].into_iter().flatten().min().map_or_else(String::new, ToString::to_string)
}

/// Whether a request may extend what it names, and until when, as far as that does not depend on a policy.
fn extendable(a: &RequestFacts, extended: &Extension, t: &Template, s: &System, h: &PolicyInputs<'_>) -> Result<String, Refusal> {
    extension::check_parent(a, h.now)?;
    let holder = resolve_beneficiary(a, h)?;
    let granted = extension::resolve(a, t, s, &holder, h.now)?;
    let lasts = duration(a, t, h)?;
    extension::check_ceilings(a, t, &lasts, h)?;
    per_day::check(a, t, &holder, &lasts, h)?;
    let until = granted.map_or(h.now, |granted| granted.until);
    Ok(format!("request {} lasts until {until}, and the extension until {}", extended.name, schedule::end(a, h.now, &lasts)))
}

fn offered(t: &Template, system: &System, h: &PolicyInputs<'_>) -> Result<String, Refusal> {
    let offer = Offer::of(t, system.provider, h)?;
    let policy = first_allowing(t, h, |p| {
        check_policy_offers(p, t, &t.approval, system, &offer, h).and_then(|()| conditions::check_mfa_floor(p, t, false))
    })?;
    Ok(format!("allowed by policy {}, for at most {}", policy.reference.name, policy.max_duration))
}

/// The assignments that name the requester, in name order.
fn named<'a>(a: &RequestFacts, h: &PolicyInputs<'a>, t: &Template) -> Vec<&'a Assignment> {
    resolve_beneficiary(a, h).map(|holder| naming(a, &holder, t, h)).unwrap_or_default()
}

fn in_words(e: &Assignment) -> String {
    let window = match e.window {
        Window::Permanent => "without an end".to_owned(),
        Window::Between(_, end) => format!("until {end}"),
    };
    format!("assignment {} names {}, {window}", e.reference.name, e.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        use Rule::*;
        let all = [
            Request,
            Login,
            Role,
            System,
            Narrowing,
            Extension,
            Start,
            Duration,
            Policy,
            Target,
            Justification,
            BreakGlass,
            Eligibility,
            Other,
        ];
        let names: std::collections::BTreeSet<_> = all.iter().map(|rule| rule.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }
}
