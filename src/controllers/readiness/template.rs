//! RoleTemplates and EligibleAssignments: whether they can be used, and if not, what to change.
use super::{Content, Context, Snapshot, TargetAnswers, set_ready, write};
use crate::timing::timing;
use crate::{
    api::{
        AuthorizationSystem, EligibleAssignment, RoleTemplate,
        assignment::{AssignmentDisplay, EligibleAssignmentStatus},
        request::RequestState,
        template::{RoleTemplateStatus, TemplateDisplay},
    },
    controllers::{
        convert,
        dereference::{self, Source},
    },
    runtime::changes::{self, RequestGroup},
};
use curfew_core::{
    policy_inputs::{Assignment, Policy, Systems, Template, Window},
    readiness, terms,
};
use kube::{Api, ResourceExt};

/// How long the answer "a right is missing" is cached. Short, since the user who adds the missing rule waits for the result.
const NOT_BINDABLE_SECS: i64 = 3;

/// Publishes whether a template can be used.
pub async fn reconcile(ctx: &Context, answers: &TargetAnswers, snapshot: &Snapshot, template: &RoleTemplate) -> kube::Result<()> {
    let mut facts = convert::template(template);
    facts.not_bindable = not_bindable(ctx, answers, snapshot, &facts, template).await;
    let content = match first_system(snapshot, &facts) {
        Some(system) => match dereference::inventory(ctx, &facts, system, Source::Stores).await {
            Ok(inventory) => Content { inventory, unreachable: None },
            Err(error) => Content { inventory: None, unreachable: Some(error.to_string()) },
        },
        None => Content::default(),
    };
    let key = changes::key(template);
    let assignments: Vec<Assignment> = ctx.stores.assignments_for(&key).iter().map(|assignment| convert::assignment(assignment)).collect();
    let inputs = snapshot.policy_inputs(ctx, &content, &assignments);
    let verdict = readiness::template(&facts, &inputs);
    let usable = assignments.iter().filter(|assignment| terms::assignment_ready(assignment, Some(&facts), &inputs).is_ok()).count();
    let requests = ctx.stores.live_requests(&RequestGroup::Template(key));
    let is_active = |state: Option<RequestState>| state == Some(RequestState::Active);
    let active = requests.iter().filter(|request| is_active(request.status.as_ref().and_then(|status| status.state))).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let old = template.status.clone().unwrap_or_default();
    let mut next = RoleTemplateStatus {
        observed_generation: template.metadata.generation,
        eligible: number(usable),
        active: number(active),
        display: Some(display(ctx, &facts, verdict.as_ref().ok().map(|(policy, _)| *policy))),
        ..old
    };
    let verdict = verdict.map(|(_, message)| message);
    set_ready(&mut next.conditions, &verdict, template.metadata.generation, ctx.now());
    write(&Api::namespaced(ctx.client.clone(), &facts.namespace), template, template.status.as_ref(), &next).await
}

fn first_system<'a>(snapshot: &'a Snapshot, template: &Template) -> Option<&'a AuthorizationSystem> {
    let mut systems = snapshot.systems.iter();
    systems.find(|system| template.systems.include(&system.name_any(), system.labels())).map(|system| &**system)
}

/// Asks whether the operator may bind every role of the template; returns what is missing.
async fn not_bindable(
    ctx: &Context,
    answers: &TargetAnswers,
    snapshot: &Snapshot,
    facts: &Template,
    template: &RoleTemplate,
) -> Option<String> {
    let question = format!("bind {} {:?}", facts.reference.uid, template.metadata.generation);
    let yes = answers.get(&question, ctx.now(), timing().answer_cache_secs).filter(Option::is_none);
    if let Some(answer) = yes.or(answers.get(&question, ctx.now(), NOT_BINDABLE_SECS)) {
        return answer;
    }
    let system = first_system(snapshot, facts)?;
    let target = ctx.registry.reach(&system.spec.provider).await.ok()?;
    let provider = system.spec.provider.kind();
    let probe = facts.permissions.of(provider)?.probe(&facts.scope.of(provider)?)?;
    let missing = target.missing_right(&probe).await;
    let answer = missing.unwrap_or_else(|error| Some(format!("cannot ask whether the operator may bind the roles: {error}")));
    answers.insert(question, ctx.now(), answer.clone());
    answer
}

fn display(ctx: &Context, template: &Template, policy: Option<&Policy>) -> TemplateDisplay {
    let ceiling = ctx.stores.config().map(|config| config.spec.ceilings.duration);
    let max = [Some(&template.max_duration), policy.map(|policy| &policy.max_duration), ceiling.as_ref()].into_iter().flatten().min();
    let stages: Vec<String> = template.approval.iter().map(|stage| format!("{} {}", stage.quorum, stage.name)).collect();
    let systems = match &template.systems {
        Systems::Names(names) => names.join(","),
        Systems::Labels(labels) => labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
    };
    TemplateDisplay {
        systems: systems.chars().take(1024).collect(),
        max: max.map_or_else(String::new, ToString::to_string),
        approval: if stages.is_empty() { "none".into() } else { stages.join(", ").chars().take(1024).collect() },
    }
}

/// Publishes whether an assignment makes its subject eligible.
pub async fn reconcile_assignment(ctx: &Context, snapshot: &Snapshot, assignment: &EligibleAssignment) -> kube::Result<()> {
    let facts = convert::assignment(assignment);
    let template = ctx.stores.template(&changes::assigned_template(assignment)).map(|template| convert::template(&template));
    let content = Content::default();
    let verdict = readiness::assignment(&facts, template.as_ref(), &snapshot.policy_inputs(ctx, &content, &[]));
    let old = assignment.status.clone().unwrap_or_default();
    let ends = match facts.window {
        Window::Permanent => "never".to_owned(),
        Window::Between(_, end) => end.to_string(),
    };
    let mut next = EligibleAssignmentStatus {
        observed_generation: assignment.metadata.generation,
        display: Some(AssignmentDisplay { subject: facts.subject.to_string(), ends }),
        ..old
    };
    set_ready(&mut next.conditions, &verdict, assignment.metadata.generation, ctx.now());
    let api = Api::namespaced(ctx.client.clone(), &assignment.namespace().unwrap_or_default());
    write(&api, assignment, assignment.status.as_ref(), &next).await
}
