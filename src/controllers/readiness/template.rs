//! RoleTemplates and EligibleAssignments: whether they can be used, and if not, what to change.
use super::{
    Asks, Content, Context, Shown, Snapshot, TargetAnswers, UNKNOWN, Written, if_present, set_ready, system::rights_cache_secs, write,
};
use crate::{
    api::{
        AuthorizationSystem, EligibleAssignment, RoleTemplate,
        assignment::{AssignmentDisplay, EligibleAssignmentStatus},
        conditions::{HAS_HOLDER, Is, set},
        request::RequestState,
        template::{LoginConditions, RoleTemplateStatus, TemplateDisplay},
    },
    controllers::{
        assignment_request::{
            object::Object,
            proof::{self, Claimed},
        },
        convert::{self, ClaimKind},
        dereference::{self, Source},
        milestones,
    },
    notify,
    providers::ProviderError,
    runtime::changes::{self, RequestGroup},
};
use curfew_core::{
    approval::StageOrder,
    assignment_request::proof::Proof,
    policy_inputs::{Assignment, Policy, PolicyInputs, Systems, Template, Window},
    readiness,
    reason::Reason,
    terms,
    text::{MAX_MESSAGE, clip},
    time::Time,
};
use kube::{Api, ResourceExt};
use std::sync::Arc;

/// How long it is cached that the target refuses nothing. What it refuses later is said on the Grant.
const ACCEPTED_SECS: i64 = 300;

/// Publishes whether a template can be used.
pub async fn reconcile(ctx: &Context, asks: &Asks<'_>, snapshot: &Snapshot, template: &RoleTemplate) -> kube::Result<Shown> {
    let mut facts = convert::template(template);
    let system = first_system(snapshot, &facts);
    let unreached = system.and_then(|system| asks.unreached.lock().get(&system.name_any()).cloned());
    let (asked, content) = match (system, unreached) {
        // It is not asked again: each call would wait until its time limit, and the next run with it.
        (_, Some(why)) => (Err(why.clone()), Content { inventory: None, unreachable: Some(why) }),
        (Some(system), None) => tokio::join!(ask_target(ctx, asks.answers, system, &facts, template), content(ctx, &facts, system)),
        (None, None) => (Ok((None, None)), Content::default()),
    };
    // What cannot be asked at the moment is unknown: what was found for this generation stands.
    let unknown = match asked {
        Ok(found) => {
            (facts.not_bindable, facts.refused_by_target) = found;
            None
        }
        Err(why) => Some(why),
    };
    let key = changes::key(template);
    let assignments = ctx.stores.assignments_for(&key);
    let assignments = assignments.iter().filter(|assignment| convert::is_present(&***assignment));
    let objects = assignments.map(|found| Object::Eligible(found.clone()));
    let assignments: Vec<Assignment> = objects.map(|found| in_force(&found, &proofs(ctx, snapshot, &found, Some(&facts)))).collect();
    let inputs = snapshot.policy_inputs(ctx, &content, &assignments);
    let verdict = if_present(template, readiness::template(&facts, &inputs));
    let usable = assignments.iter().filter(|assignment| terms::assignment_ready(assignment, Some(&facts), &inputs).is_ok()).count();
    let requests = ctx.stores.live_request_summaries(&RequestGroup::Template(key));
    let active = requests.iter().filter(|request| request.state == Some(RequestState::Active)).count();
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let old = template.status.clone().unwrap_or_default();
    let mut next = RoleTemplateStatus {
        observed_generation: template.metadata.generation,
        eligible: number(usable),
        active: number(active),
        login: login_conditions(ctx, &facts),
        display: Some(display(ctx, &facts, verdict.as_ref().ok().map(|(policy, _)| *policy))),
        ..old
    };
    let unknown_channels = unknown_channels(ctx, template).map(|told| format!("; {told}")).unwrap_or_default();
    let verdict = verdict.map(|(_, message)| message + &unknown_channels);
    match unknown.filter(|_| verdict.is_ok()) {
        Some(why) => {
            set(&mut next.conditions, "Ready", Is::Unknown, UNKNOWN, why, template.metadata.generation, ctx.now());
        }
        None => set_ready(&mut next.conditions, &verdict, template.metadata.generation, ctx.now()),
    }
    set_has_holder(&mut next, &facts, &assignments, &inputs, (template.metadata.generation, ctx.now()));
    let counts = |status: &RoleTemplateStatus| (status.eligible, status.active);
    let uncounted = |status: &RoleTemplateStatus| RoleTemplateStatus { eligible: 0, active: 0, ..status.clone() };
    let only_counts = template.status.as_ref().is_some_and(|old| uncounted(old) == uncounted(&next) && counts(old) != counts(&next));
    if only_counts && !asks.counts.may_write(&facts.reference.uid, ctx.now()) {
        return Ok(Shown::Yes);
    }
    write(&Api::namespaced(ctx.client.clone(), &facts.namespace), template, template.status.as_ref(), &next)
        .await
        .map(|written| written.shown())
}

/// Shows who is left that makes a role usable, where it protects its last holder. An end, or an edit in Git, cannot be refused.
fn set_has_holder(
    next: &mut RoleTemplateStatus,
    facts: &Template,
    assignments: &[Assignment],
    inputs: &PolicyInputs<'_>,
    (generation, now): (Option<i64>, Time),
) {
    if !facts.protects_last_holder {
        next.conditions.retain(|condition| condition.type_ != HAS_HOLDER);
        return;
    }
    let (is, reason, message) = readiness::has_holder(facts, assignments, inputs);
    set(&mut next.conditions, HAS_HOLDER, Is::from(is), reason, message, generation, now);
}

fn first_system<'a>(snapshot: &'a Snapshot, template: &Template) -> Option<&'a AuthorizationSystem> {
    let mut systems = snapshot.systems.iter();
    systems.find(|system| template.systems.include(&system.name_any(), system.labels())).map(|system| &**system)
}

/// What the target holds of what the template names.
async fn content(ctx: &Context, facts: &Template, system: &AuthorizationSystem) -> Content {
    match dereference::inventory(ctx, facts, system, &[], Source::Stores).await {
        Ok(inventory) => Content { inventory, unreachable: None },
        Err(error) => Content { inventory: None, unreachable: Some(error.to_string()) },
    }
}

/// Asks the target whether the operator may bind every role of the template, and what it would refuse of a grant; returns both.
///
/// # Errors
/// Why that cannot be asked now.
async fn ask_target(
    ctx: &Context,
    answers: &TargetAnswers,
    system: &AuthorizationSystem,
    facts: &Template,
    template: &RoleTemplate,
) -> Result<(Option<String>, Option<String>), String> {
    let provider = system.spec.provider.kind();
    let named = facts.permissions.of(provider).zip(facts.scope.of(provider));
    let Some(probe) = named.and_then(|(permissions, scope)| permissions.probe(&scope)) else { return Ok((None, None)) };
    let settings = ctx.stores.config().map(|config| config.spec.settings()).unwrap_or_default();
    let probe = &probe.configured(&settings);
    let of = format!("{} {:?}", facts.reference.uid, template.metadata.generation);
    let may_bind = cached(ctx, answers, format!("bind {of}"), rights_cache_secs(system), async {
        ctx.registry.reach(&system.spec.provider).await?.missing_right(probe).await
    });
    let missing = may_bind.await.map_err(|e| format!("whether the operator may bind the roles is unknown: {e}; it is asked again"))?;
    let accepts = cached(ctx, answers, format!("refusal {of} {settings:?}"), ACCEPTED_SECS, async {
        ctx.registry.reach(&system.spec.provider).await?.refusal(probe).await
    });
    let refused = accepts.await.map_err(|e| format!("what the target would refuse is unknown: {e}; it is asked again"))?;
    Ok((missing, refused))
}

/// The answer to a question; what the target accepts is asked again after `secs`, what it refuses sooner.
async fn cached(
    ctx: &Context,
    answers: &TargetAnswers,
    question: String,
    secs: i64,
    ask: impl Future<Output = Result<Option<String>, ProviderError>>,
) -> Result<Option<String>, ProviderError> {
    if let Some(answer) = answers.objection(&question, ctx.now(), secs) {
        return Ok(answer);
    }
    let answer = ask.await?;
    answers.insert(question, ctx.now(), answer.clone());
    Ok(answer)
}

fn display(ctx: &Context, template: &Template, policy: Option<&Policy>) -> TemplateDisplay {
    let ceiling = ctx.stores.config().map(|config| config.spec.ceilings.duration.clone());
    let max = [Some(&template.max_duration), policy.map(|policy| &policy.max_duration), ceiling.as_ref()].into_iter().flatten().min();
    let stages: Vec<String> = template.approval.iter().map(|stage| format!("{} {}", stage.quorum, stage.name)).collect();
    let separator = if template.order == StageOrder::Parallel { " + " } else { ", " };
    let systems = match &template.systems {
        Systems::Names(names) => names.join(","),
        Systems::Labels(labels) => labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
    };
    TemplateDisplay {
        systems: clip(systems, MAX_MESSAGE),
        max: max.map_or_else(String::new, ToString::to_string),
        approval: if stages.is_empty() { "none".into() } else { clip(stages.join(separator), MAX_MESSAGE) },
        requires: clip(readiness::requires(template), MAX_MESSAGE),
    }
}

/// The extra keys that the conditions of a template are looked up under. The admission policy that answers at apply time knows no other
/// object than the template.
fn login_conditions(ctx: &Context, template: &Template) -> Option<LoginConditions> {
    let identity = ctx.stores.config()?.spec.identity.clone();
    let login = LoginConditions {
        mfa: identity.mfa.filter(|_| template.mfa.is_some()),
        authentication_context: identity.authentication_context.filter(|_| template.authentication_context.is_some()),
    };
    (login != LoginConditions::default()).then_some(login)
}

/// Whether what an assignment claims was approved, as the stores show that; nothing where it claims nothing.
fn proofs(ctx: &Context, snapshot: &Snapshot, assignment: &Object, template: Option<&Template>) -> Vec<(ClaimKind, Proof)> {
    proof::stored(ctx, assignment).iter().map(|claimed| (claimed.kind, judge(ctx, snapshot, claimed, template))).collect()
}

fn judge(ctx: &Context, snapshot: &Snapshot, claimed: &Claimed, template: Option<&Template>) -> Proof {
    let content = Content::default();
    claimed.judge(snapshot.config.as_deref(), &PolicyInputs { template, ..snapshot.policy_inputs(ctx, &content, &[]) })
}

/// An assignment without what is not proven. What is unknown counts as long as that lasts.
fn in_force(assignment: &Object, proofs: &[(ClaimKind, Proof)]) -> Assignment {
    assignment.as_proven(proofs.iter().filter(|(_, proof)| matches!(proof, Proof::Lacking(_))))
}

/// Publishes whether an assignment makes its subject eligible. While it is unknown whether its window was approved, nothing changes of what
/// is shown.
pub async fn reconcile_assignment(ctx: &Context, snapshot: &Snapshot, assignment: &Arc<EligibleAssignment>) -> kube::Result<Shown> {
    let template = ctx.stores.template(&changes::assigned_template(assignment)).filter(|template| convert::is_present(&**template));
    let template = template.map(|template| convert::template(&template));
    let object = Object::Eligible(assignment.clone());
    let proofs = proofs(ctx, snapshot, &object, template.as_ref());
    if proofs.iter().any(|(_, proof)| *proof == Proof::Pending) {
        return Ok(Shown::NotYet);
    }
    let facts = in_force(&object, &proofs);
    let lacks = |kind: ClaimKind| proofs.iter().find_map(|(of, proof)| proof.lack().filter(|_| *of == kind));
    // What is left out of the role's permissions may be what denies.
    let system = template.as_ref().filter(|_| facts.permissions.is_some()).and_then(|template| first_system(snapshot, template));
    let content = match (&template, system) {
        (Some(template), Some(system)) => content(ctx, template, system).await,
        (None, _) | (_, None) => Content::default(),
    };
    let inputs = snapshot.policy_inputs(ctx, &content, &[]);
    let verdict = match object.change().zip(lacks(ClaimKind::Window)) {
        None => readiness::assignment(&facts, template.as_ref(), &inputs),
        Some(without) => readiness::assignment_without_proof(&facts, without, template.as_ref(), &inputs),
    };
    let verdict = if_present(&**assignment, verdict);
    let old = assignment.status.clone().unwrap_or_default();
    let ends = match facts.window {
        Window::Permanent => "never".to_owned(),
        Window::Between(_, end) => end.to_string(),
    };
    let mut next = EligibleAssignmentStatus {
        observed_generation: assignment.metadata.generation,
        display: Some(AssignmentDisplay { subject: clip(facts.subject.to_string(), MAX_MESSAGE), ends }),
        ..old
    };
    let generation = assignment.metadata.generation;
    set_ready(&mut next.conditions, &verdict, generation, ctx.now());
    let expired = matches!(facts.window, Window::Between(_, end) if ctx.now() >= end);
    let (reason, message) = if expired { (Reason::WindowPassed, "the window has passed") } else { (Reason::AsExpected, "") };
    set(&mut next.conditions, "Expired", Is::from(expired), reason.as_str(), message, generation, ctx.now());
    let end = match facts.window {
        Window::Permanent => None,
        Window::Between(_, end) => Some(end),
    };
    let due = milestones::due(&milestones::life(&next.conditions, end, ctx.now()), &mut next.told);
    // A store that lags may lack what proves the window, and what people were told cannot be taken back.
    if due.is_some() && proofs.iter().any(|(_, proof)| proof.lack().is_some()) {
        let found = proof::read(ctx, Source::Live, std::slice::from_ref(&object)).await?;
        let live: Vec<_> = found.iter().map(|claimed| (claimed.kind, judge(ctx, snapshot, claimed, template.as_ref()))).collect();
        if live != proofs {
            return Ok(Shown::NotYet);
        }
    }
    let api = Api::namespaced(ctx.client.clone(), &assignment.namespace().unwrap_or_default());
    let written = write(&api, &**assignment, assignment.status.as_ref(), &next).await?;
    if let (Written::Stored(stored), Some(milestone)) = (&written, due) {
        let approvers = template.iter().flat_map(|template| template.approval.iter().flat_map(|stage| stage.approvers.clone()));
        ctx.tell(&**stored, &[notify::of_assignment(stored, milestone, end, approvers.collect())]);
    }
    Ok(written.shown())
}

/// The channels that the role names for break-glass and CurfewConfig does not have, in words.
fn unknown_channels(ctx: &Context, template: &RoleTemplate) -> Option<String> {
    let named = &template.spec.activation.break_glass.as_ref()?.notify;
    let config = ctx.stores.config();
    let channels = config.iter().filter_map(|config| config.spec.notifications.as_ref()).flat_map(|settings| &settings.channels);
    let known: Vec<&str> = channels.map(|channel| channel.name.as_str()).collect();
    let unknown: Vec<&str> = named.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    (!unknown.is_empty()).then(|| {
        let names = unknown.join(", ");
        format!("breakGlass.notify names {names}, which spec.notifications of CurfewConfig does not have as a channel")
    })
}
