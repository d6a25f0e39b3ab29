//! How many slots of each limit are in use, and whether break-glass of a user is locked, as far as the requests show it that the user may
//! read. The slots themselves are seen by the operator alone.
use super::{Line, Outcome};
use crate::{
    context::CliContext,
    read::{self, Gap, Known, Place},
};
use curfew_api::{AccessPolicy, ActivationRequest, RoleTemplate, convert, policy::Limits};
use curfew_core::{
    admission::AdmissionHistory,
    approval::review::ReviewState,
    limits::{self, Granted, Holder, Limit, LimitOf, Slot, Slots},
    reason::Reason,
    request::{GrantView, has_access, holds_slot},
    terms::explain::Beyond,
};
use kube::{ResourceExt, api::ListParams};
use std::{collections::BTreeMap, sync::Arc};

/// How many holders a line names.
const MAX_NAMED: usize = 3;

/// What is told beyond the rules, and the lines of limits and of the lock on break-glass among these.
#[derive(Default)]
pub(super) struct Told {
    pub(super) rules: Vec<Line>,
    /// Whether one of these lines refuses.
    pub(super) reached: bool,
    pub(super) break_glass: Vec<String>,
    pub(super) extension: Option<String>,
}

impl Told {
    /// Of a role, as far as `requests` and `policies` show it. The lock is a rule of a request that asks for break-glass.
    pub(super) fn of(
        role: &RoleTemplate,
        beyond: &Beyond,
        asks_for_break_glass: bool,
        (requests, policies): (&Requests, &Known<Vec<AccessPolicy>>),
    ) -> Self {
        let name = role.name_any();
        let (break_glass, lock) = break_glass(role, beyond, requests, policies);
        let lock = lock.filter(|_| asks_for_break_glass);
        let rules: Vec<Line> = limits(&name, beyond, requests, policies).into_iter().chain(lock).collect();
        let reached = rules.iter().any(|line| line.outcome == Outcome::NotOk);
        Told { rules, reached, break_glass, extension: Some(extension(&name, beyond, policies)) }
    }
}

/// The requests that a user may read.
pub(crate) struct Requests {
    /// Those of the namespace of the role.
    pub(crate) here: Known<Vec<ActivationRequest>>,
    /// Those of all other namespaces that were read, and what is missing of them.
    pub(crate) elsewhere: (Vec<ActivationRequest>, Option<Gap>),
}

/// Reads what limits and locks may rest on: nothing where there is neither, and other namespaces only where a policy has limits, or where the
/// role allows break-glass.
///
/// # Errors
/// If the API server does not answer.
pub(crate) async fn read(me: &CliContext, role: Option<&RoleTemplate>, policies: &Known<Vec<AccessPolicy>>) -> anyhow::Result<Requests> {
    let activation = role.map(|role| &role.spec.activation);
    let covers = |policy: &AccessPolicy| policy.spec.limits.is_some() && policy.spec.namespaces.names.contains(&me.namespace);
    let beyond = activation.is_some_and(|activation| activation.break_glass.is_some()) || policies.iter().flatten().any(covers);
    let limited = activation.is_some_and(|activation| matches!(activation.limits, Limits::AtMost(_)));
    if !beyond && !limited {
        return Ok(Requests { here: Ok(Vec::new()), elsewhere: (Vec::new(), None) });
    }
    let here = read::within::<ActivationRequest>(me, &me.namespace, &ListParams::default()).await?;
    let mut gaps = Vec::new();
    let all = if beyond { read::list::<ActivationRequest>(me, Place::All, &mut gaps).await? } else { Vec::new() };
    let others = all.into_iter().filter(|request| request.namespace().as_deref() != Some(&*me.namespace));
    Ok(Requests { here, elsewhere: (others.collect(), gaps.into_iter().next()) })
}

impl Requests {
    fn all(&self) -> impl Iterator<Item = &ActivationRequest> {
        self.here.iter().flatten().chain(&self.elsewhere.0)
    }

    /// What is missing of the requests that may count towards a limit: of a role those of its namespace.
    fn gap(&self, of: &LimitOf) -> Option<&Gap> {
        let here = self.here.as_ref().err();
        match of {
            LimitOf::Role => here,
            LimitOf::Policy(_) | LimitOf::BreakGlass | LimitOf::Extension => here.or(self.elsewhere.1.as_ref()),
        }
    }

    /// The slots of these limits that the requests show, and those that have access without one.
    fn slots(&self, limits: &[Limit]) -> Slots {
        let mut taken: BTreeMap<Arc<str>, Slot> = BTreeMap::new();
        let mut granted = Vec::new();
        for request in self.all() {
            let Some(holder) = holder(request) else { continue };
            let facts = convert::request(request, &AdmissionHistory::unknown());
            for name in convert::slots(request) {
                let slot = slot(name, request, holder.clone());
                // What an extension has taken over is shown by both; it is one slot.
                if holds_slot(&slot, Some(&facts), GrantView::None) && (slot.taken_over_from.is_some() || !taken.contains_key(&slot.name)) {
                    taken.insert(slot.name.clone(), slot);
                }
            }
            let resolved = request.status.as_ref().and_then(|status| status.resolved.as_ref());
            if let (true, Some(resolved)) = (has_access(&facts.status, GrantView::None), resolved) {
                let limits = resolved.limits(&holder.namespace);
                granted.push(Granted { holder, limits });
            }
        }
        let taken: Vec<Slot> = taken.into_values().collect();
        let uncounted = limits::without_slot(limits, &taken, &granted);
        let uncounted = uncounted.iter().map(|of| u16::try_from(of.len()).unwrap_or(u16::MAX)).collect();
        Slots { taken, uncounted }
    }
}

fn holder(request: &ActivationRequest) -> Option<Holder> {
    Some(Holder { namespace: request.namespace()?.into(), name: request.name_any().into(), uid: request.uid()?.into() })
}

fn slot(name: Arc<str>, request: &ActivationRequest, holder: Holder) -> Slot {
    let taken_over_from = request.spec.extends.as_ref().map(|extends| Holder {
        namespace: holder.namespace.clone(),
        name: extends.name.as_str().into(),
        uid: extends.uid.as_str().into(),
    });
    let unseen = Arc::<str>::from("");
    Slot { name, uid: unseen.clone(), version: unseen, holder, taken_over_from, suspect: false }
}

/// One line for each limit. The operator refuses at once what a limit keeps out.
fn limits(role: &str, beyond: &Beyond, requests: &Requests, policies: &Known<Vec<AccessPolicy>>) -> Vec<Line> {
    let slots = requests.slots(&beyond.limits);
    let mut lines: Vec<Line> = beyond.limits.iter().enumerate().map(|(n, limit)| of_limit(n, limit, &slots, requests)).collect();
    if !beyond.limits.iter().any(|limit| limit.of == LimitOf::Role) {
        lines.push(line(Outcome::Ok, format!("role {role} has none (activation.limits)")));
    }
    match (policies, &beyond.policy) {
        (Err(gap), _) => lines.push(line(Outcome::Unknown, format!("whether the policy has limits is not known: {gap}"))),
        (Ok(_), Some(policy)) if !beyond.limits.iter().any(|limit| matches!(limit.of, LimitOf::Policy(_))) => {
            lines.push(line(Outcome::Ok, format!("policy {policy} has none (spec.limits)")));
        }
        (Ok(_), _) => {}
    }
    lines
}

fn line(outcome: Outcome, detail: String) -> Line {
    Line { rule: "limits", outcome, detail }
}

fn of_limit(n: usize, limit: &Limit, slots: &Slots, requests: &Requests) -> Line {
    let of = |slot: &&Slot| limit.is_held_by(std::slice::from_ref(&slot.name));
    let held: Vec<&Slot> = slots.taken.iter().filter(of).collect();
    let uncounted = slots.uncounted.get(n).copied().map_or(0, usize::from);
    let (used, most) = (held.len() + uncounted, usize::from(limit.at_most));
    let mut names: Vec<String> = held.iter().map(|slot| name(&slot.holder)).collect();
    names.sort_unstable();
    let more = used - names.len().min(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let holders = match (names.is_empty(), more) {
        (true, 0) => String::new(),
        (true, more) => format!(", by {more} that were active before the limit"),
        (false, 0) => format!(", by {}", names.join(", ")),
        (false, more) => format!(", by {} and {more} more", names.join(", ")),
    };
    // The one that it extends gives its slot to the request.
    let own = held.iter().any(|slot| limit.takes_over_from.as_ref().is_some_and(|uid| *uid == slot.holder.uid));
    let taken_over = if own { "; the request takes over the slot of what it extends" } else { "" };
    match requests.gap(&limit.of) {
        _ if used >= most && !own => {
            let until = "a request is refused until one ends";
            line(Outcome::NotOk, format!("{}: {used} of {most} in use{holders}; {until} ({})", limit.counted, Reason::LimitReached))
        }
        Some(gap) => line(Outcome::Unknown, format!("{}: at least {used} of {most} in use{holders}; {gap}", limit.counted)),
        None => line(
            Outcome::Ok,
            format!("{}: {used} of {most} in use, {} free{holders}{taken_over}", limit.counted, most.saturating_sub(used)),
        ),
    }
}

fn name(holder: &Holder) -> String {
    format!("{}/{}", holder.namespace, holder.name)
}

/// What a user is told of break-glass: whether it is allowed, what follows, and what locks it. The second value is the line of the lock among
/// the rules, for a request that asks for break-glass; `None` where that is not allowed.
fn break_glass(
    role: &RoleTemplate,
    beyond: &Beyond,
    requests: &Requests,
    policies: &Known<Vec<AccessPolicy>>,
) -> (Vec<String>, Option<Line>) {
    let line = |outcome, detail: String| Line { rule: "lock", outcome, detail };
    let lock = match (&beyond.break_glass, &beyond.locks) {
        // Where it is not allowed at all, a lock is not the question.
        (Err(refusal), _) | (Ok(_), Err(refusal)) => {
            return (vec![format!("no: {}", refusal.message)], None);
        }
        (Ok(_), Ok(locks)) => locked_by(requests, locks),
    };
    let allowed = match policies {
        Ok(_) => "yes, with --break-glass: it waits for no approval".to_owned(),
        Err(gap) => format!("role {} allows it; whether the policy does is not known: {gap}", role.name_any()),
    };
    let follows = format!(
        "everybody concerned is told at once; another person must review it ({}, or a manager), and until then you cannot use break-glass again, for any role",
        reviewers(role)
    );
    let told = match (lock, requests.gap(&LimitOf::BreakGlass)) {
        (Some(request), _) => {
            let (name, ns) = (request.name_any(), request.namespace().unwrap_or_default());
            let review = format!("kubectl curfew review {name} -n {ns} --comment TEXT");
            line(
                Outcome::NotOk,
                format!(
                    "you are locked: you used break-glass with request {name} in namespace {ns}; another person must review that first: {review}"
                ),
            )
        }
        (None, Some(gap)) => line(Outcome::Unknown, format!("whether you are locked is not known: {gap}")),
        (None, None) => line(Outcome::Ok, "no request locks you; of one that was deleted without a review the operator alone knows".into()),
    };
    (vec![allowed, follows, told.detail.clone()], Some(told))
}

/// The request that locks break-glass: one that is not reviewed, and has one of these locks.
fn locked_by<'a>(requests: &'a Requests, locks: &[Limit]) -> Option<&'a ActivationRequest> {
    requests.all().find(|request| {
        let outstanding = request.status.as_ref().is_some_and(|status| convert::review(status) == ReviewState::Required);
        outstanding && locks.iter().any(|lock| lock.is_held_by(&convert::slots(request)))
    })
}

fn reviewers(role: &RoleTemplate) -> String {
    let mut all: Vec<String> = Vec::new();
    let template = convert::template(role);
    for subject in template.approval.iter().flat_map(|stage| stage.all_approvers()) {
        if !all.contains(&subject.to_string()) {
            all.push(subject.to_string());
        }
    }
    all.join(", ")
}

/// What a user is told of extensions.
fn extension(role: &str, beyond: &Beyond, policies: &Known<Vec<AccessPolicy>>) -> String {
    let Some(chain) = &beyond.chain else { return format!("role {role} cannot be extended: it has no activation.extension.atMost") };
    let unknown = if policies.is_err() { "; whether the policy allows less is not known" } else { "" };
    format!(
        "at most {} from the first activation to the last end ({}), and {} of any 24 hours (role {role}); one extension at a time, with its own approval{unknown}",
        chain.longest, chain.by, chain.per_day
    )
}
