//! RoleTemplates and EligibleAssignments: whether anybody can use them, and if not, what to change.
use crate::timing::timing;
use super::{Answers, AtTarget, Context, Snapshot, ready, write};
use crate::{
    api::{
        EligibleAssignment, RoleTemplate,
        assignment::{AssignmentDisplay, EligibleAssignmentStatus},
        request::RequestState,
        template::{RoleTemplateStatus, TemplateDisplay},
    },
    controllers::{
        convert,
        dereference::{self, Source},
    },
};
use curfew_core::{
    policy_inputs::{Assignment, Policy, Systems, Template, Window},
    reason::Reason,
    terms::{self, Refusal},
};
use kube::{Api, ResourceExt};

/// Shows whether a role can be used.
pub async fn reconcile(ctx: &Context, answers: &Answers, s: &Snapshot, o: &RoleTemplate) -> kube::Result<()> {
    let mut core = convert::template(o);
    core.not_bindable = not_bindable(ctx, answers, s, &core, o).await;
    let at = s.systems.iter().find(|x| core.systems.include(&convert::system(x, &s.systems)));
    let at = match at {
        Some(at) => match dereference::inventory(ctx, &core, at, Source::Stores).await {
            Ok(inventory) => AtTarget { inventory, unreachable: None },
            Err(e) => AtTarget { inventory: None, unreachable: Some(e.to_string()) },
        },
        None => AtTarget::default(),
    };
    let assignments: Vec<Assignment> = s.assignments_of(&core).collect();
    let verdict = judge(ctx, s, &core, &at);
    let active = ctx.stores.requests.state_filter(|r| {
        r.namespace() == o.namespace()
            && r.spec.role_ref.name == core.reference.name
            && r.status.as_ref().and_then(|s| s.state) == Some(RequestState::Active)
    });
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let usable = |a: &&Assignment| {
        let house = s.policy_inputs(ctx, &at, &assignments);
        terms::assignment_ready(a, Some(&core), &house).is_ok()
    };
    let old = o.status.clone().unwrap_or_default();
    let mut next = RoleTemplateStatus {
        observed_generation: o.metadata.generation,
        eligible: number(assignments.iter().filter(usable).count()),
        active: number(active.len()),
        display: Some(display(ctx, &core, verdict.as_ref().ok().map(|(p, _)| p))),
        ..old
    };
    let verdict = verdict.map(|(_, message)| message);
    ready(&mut next.conditions, &verdict, o.metadata.generation, ctx.now());
    write(&Api::namespaced(ctx.client.clone(), &core.namespace), o, o.status.as_ref(), &next).await
}

fn judge(ctx: &Context, s: &Snapshot, t: &Template, at: &AtTarget) -> Result<(Policy, String), Refusal> {
    let house = s.policy_inputs(ctx, at, &[]);
    let policy = terms::ready(t, &house)?;
    Ok((policy.clone(), format!("allowed by policy {}", policy.reference.name)))
}

/// Asks whether the operator may bind every role of the template: a yes holds for a minute, a no for a few seconds, since
/// whoever adds the rule waits for it.
async fn not_bindable(ctx: &Context, answers: &Answers, s: &Snapshot, t: &Template, o: &RoleTemplate) -> Option<String> {
    let question = format!("bind {} {:?}", t.reference.uid, o.metadata.generation);
    let (yes, no) = (answers.get(&question, ctx.now(), timing().answer_cache_secs), answers.get(&question, ctx.now(), 3));
    if let Some(answer) = yes.filter(Option::is_none).or(no) {
        return answer;
    }
    let system = s.systems.iter().find(|x| t.systems.include(&convert::system(x, &s.systems)))?;
    let target = ctx.registry.reach(&system.spec.provider).await.ok()?;
    let provider = system.spec.provider.kind();
    let probe = t.permissions.of(provider)?.probe(&t.scope.of(provider)?)?;
    let answer =
        target.missing_right(&probe).await.unwrap_or_else(|e| Some(format!("cannot ask whether the operator may bind the roles: {e}")));
    answers.insert(question, ctx.now(), answer.clone());
    answer
}

fn display(ctx: &Context, t: &Template, p: Option<&Policy>) -> TemplateDisplay {
    let ceiling = ctx.stores.config().map(|c| c.spec.ceilings.duration);
    let max = [Some(&t.max_duration), p.map(|p| &p.max_duration), ceiling.as_ref()].into_iter().flatten().min();
    let stages: Vec<String> = t.approval.iter().map(|s| format!("{} {}", s.quorum, s.name)).collect();
    let systems = match &t.systems {
        Systems::Names(n) => n.join(","),
        Systems::Labels(l) => l.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(","),
    };
    TemplateDisplay {
        systems: systems.chars().take(1024).collect(),
        max: max.map_or_else(String::new, ToString::to_string),
        approval: if stages.is_empty() { "none".into() } else { stages.join(", ").chars().take(1024).collect() },
    }
}

/// Shows whether an assignment makes anybody eligible.
pub async fn reconcile_assignment(ctx: &Context, s: &Snapshot, o: &EligibleAssignment) -> kube::Result<()> {
    let core = convert::assignment(o);
    let template = s.templates.iter().find(|t| t.namespace() == o.namespace() && t.name_any() == core.role).map(convert::template);
    let nowhere = AtTarget::default();
    let house = s.policy_inputs(ctx, &nowhere, &[]);
    let verdict = terms::assignment_ready(&core, template.as_ref(), &house).and_then(|()| match core.window {
        Window::Between(_, end) if ctx.now() >= end => Err(Refusal { reason: Reason::OutsideWindow, message: format!("ended {end}") }),
        Window::Between(start, _) if ctx.now() < start => Ok(format!("begins {start}")),
        Window::Between(..) | Window::Permanent => Ok("makes eligible".into()),
    });
    let old = o.status.clone().unwrap_or_default();
    let ends = match core.window {
        Window::Permanent => "never".to_owned(),
        Window::Between(_, end) => end.to_string(),
    };
    let mut next = EligibleAssignmentStatus {
        observed_generation: o.metadata.generation,
        display: Some(AssignmentDisplay { subject: core.subject.to_string(), ends }),
        ..old
    };
    ready(&mut next.conditions, &verdict, o.metadata.generation, ctx.now());
    write(&Api::namespaced(ctx.client.clone(), &o.namespace().unwrap_or_default()), o, o.status.as_ref(), &next).await
}
