//! What a user may read around a role, and how the rules judge it.
use super::{
    Explained, Line, Outcome,
    holding::{self, Requests, Told},
    stand_in,
    windows::{self, Claims, Counts},
};
use crate::{
    context::{CliContext, now, plain},
    read::{self, Gap, Known, rule},
    spec::{find, object, refuse_missing_role},
};
use anyhow::Context as _;
use curfew_api::{
    AccessPolicy, ActivationRequest, AuthorizationSystem, CONFIG_NAME, CurfewConfig, EligibleAssignment, GROUP, RoleTemplate, conditions,
    convert::{self, ClaimKind},
    request::ActivationRequestSpec,
    template::Approval,
};
use curfew_core::{
    admission::AdmissionHistory,
    approval::ApprovalStage,
    extension::{Extension, Parent},
    policy_inputs::{Assignment, Policy, PolicyInputs, RequestFacts, System, Template},
    principal::{LoginKeys, Subject, Uids, UserInfo},
    reason::{Reason, TerminalState},
    resolved::{Resolved, SystemRef},
    target::{Plan, ProviderKind, ScopeByProvider},
    terms::explain::{Judged, Rule, explain},
    time::Time,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time as KubeTime},
    jiff::Timestamp,
};
use kube::{Api, ResourceExt, api::ListParams};
use std::{collections::BTreeMap, sync::Arc};

/// Everything that a user could read, and what they could not.
pub(crate) struct Facts {
    pub(crate) now: Time,
    pub(crate) login: UserInfo,
    /// The request as it would be created.
    pub(crate) request: ActivationRequest,
    pub(crate) config: Known<Option<CurfewConfig>>,
    pub(crate) template: Known<RoleTemplate>,
    pub(crate) assignments: Known<Vec<EligibleAssignment>>,
    /// What should prove what the assignments claim that name the user.
    pub(crate) windows: Claims,
    pub(crate) policies: Known<Vec<AccessPolicy>>,
    pub(crate) systems: Known<Vec<AuthorizationSystem>>,
    /// The request that it extends, if it names one and that exists.
    pub(crate) extended: Option<ActivationRequest>,
    /// Who may hold slots and locks.
    pub(crate) requests: Requests,
}

/// Reads what a request for this role would rest on.
///
/// # Errors
/// If the API server does not answer, or the role or the namespace does not exist.
pub(crate) async fn gather(me: &CliContext, spec: ActivationRequestSpec) -> anyhow::Result<Facts> {
    let (role, ns) = (spec.role_ref.name.clone(), me.namespace.as_str());
    let all = ListParams::default();
    let (login, config, template, assignments, policies, systems) = futures::try_join!(
        me.who(),
        config(me),
        read::one::<RoleTemplate>(me, ns, &role),
        read::within::<EligibleAssignment>(me, ns, &all),
        read::everywhere::<AccessPolicy>(me),
        read::everywhere::<AuthorizationSystem>(me),
    )?;
    let template = match template {
        Ok(Some(found)) if convert::is_present(&found) => Ok(found),
        Err(gap) => Err(gap),
        Ok(_) => return refuse_missing_role(me, &role).await,
    };
    let requests = holding::read(me, template.as_ref().ok(), &policies).await?;
    let extended = match &spec.extends {
        Some(extends) => Some(find(me, &extends.name).await?),
        None => None,
    };
    let beneficiary: Option<Subject> = spec.beneficiary.clone().map(Into::into);
    let named = assignments.as_deref().unwrap_or_default();
    let windows = windows::read(me, &role, (&login, beneficiary.as_ref()), named).await?;
    let keys = config.as_ref().ok().and_then(Option::as_ref).map(|config| config.spec.identity.recorded_keys()).unwrap_or_default();
    let now = now();
    let request = as_created(spec, &login, &keys, ns, now);
    Ok(Facts { now, request, login, config, template, assignments, windows, policies, systems, extended, requests })
}

async fn config(me: &CliContext) -> anyhow::Result<Known<Option<CurfewConfig>>> {
    match Api::<CurfewConfig>::all(me.client.clone()).get_opt(CONFIG_NAME).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Ok(Err(Gap { what: format!("CurfewConfig {CONFIG_NAME}"), why: rule(GROUP, "curfewconfigs", "get", None) }))
        }
        found => Ok(Ok(found.map_err(plain).context("cannot read CurfewConfig")?)),
    }
}

/// A request as the API server would store it.
pub(crate) fn as_created(spec: ActivationRequestSpec, login: &UserInfo, keys: &[String], ns: &str, now: Time) -> ActivationRequest {
    let spec = ActivationRequestSpec { requester: Some(login.recorded(keys)), ..spec };
    let mut request = object(&spec, Some("not-created"));
    request.metadata.namespace = Some(ns.into());
    request.metadata.uid = Some("not-created".into());
    request.metadata.creation_timestamp = Some(kube_time(now));
    request
}

/// In the form of object metadata.
pub(crate) fn kube_time(time: Time) -> KubeTime {
    KubeTime(Timestamp::from_millisecond(time.floor_secs().as_millis()).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// A history in which admission is proven at this moment. Whether it is, the condition of CurfewConfig says.
pub(crate) fn proven(now: Time) -> AdmissionHistory {
    AdmissionHistory { since: Some(Time::from_millis(0)), confirmed: Some(now.plus_secs(60)), ..AdmissionHistory::default() }
}

/// The same as the rules read it, with stand-ins for what may not be read.
struct Inputs {
    asked: RequestFacts,
    template: Template,
    assignments: Vec<Assignment>,
    policies: Vec<Policy>,
    systems: Vec<System>,
    alias_keys: Vec<String>,
    aliases_are_names: bool,
    uids: Uids,
    login_keys: LoginKeys,
}

impl Inputs {
    fn of(facts: &Facts, role: &RoleTemplate) -> Self {
        let mut template = convert::template(role);
        if facts.config.is_err() {
            // Under which keys a login proves its authentication is not known, so nothing is refused for it.
            (template.mfa, template.authentication_context) = (None, None);
            template.approval.iter_mut().for_each(|stage| stage.mfa = None);
        }
        let assignments = facts.assignments.as_deref().unwrap_or_default();
        let policies = match &facts.policies {
            Ok(all) => all.iter().filter(|policy| convert::is_present(*policy)).map(convert::policy).collect(),
            Err(_) => stand_in::policy(role, assignments).iter().map(convert::policy).collect(),
        };
        let systems = match &facts.systems {
            Ok(all) => {
                let all: Vec<_> = all.iter().cloned().map(Arc::new).collect();
                all.iter().map(|system| convert::system(system, &all)).collect()
            }
            Err(_) => stand_in::systems(&template, facts.request.spec.system.as_deref()),
        };
        let config = facts.config.as_ref().ok().and_then(Option::as_ref);
        Inputs {
            asked: asked(facts, &systems),
            assignments: assignments.iter().filter(|assignment| convert::is_present(*assignment)).map(convert::assignment).collect(),
            policies,
            systems,
            alias_keys: config.map(|config| config.spec.identity.aliases.list()).unwrap_or_default(),
            login_keys: config.map(|config| config.spec.identity.login_keys()).unwrap_or_default(),
            aliases_are_names: config.is_some_and(|config| config.spec.identity.aliases.are_names()),
            // Where it is not known, a lock is looked for under the names alone: the operator decides.
            uids: config.map_or(Uids::Shared, |config| config.spec.identity.recognition().uids),
            template,
        }
    }
}

impl Inputs {
    fn rules<'a>(&'a self, now: Time, admission: &'a AdmissionHistory) -> PolicyInputs<'a> {
        PolicyInputs {
            now,
            admission,
            ceiling: None,
            alias_keys: &self.alias_keys,
            aliases_are_names: self.aliases_are_names,
            uids: self.uids,
            login_keys: &self.login_keys,
            template: Some(&self.template),
            assignments: &self.assignments,
            active_assignment: None,
            policies: &self.policies,
            systems: &self.systems,
            inventory: None,
            unreachable: Some("only the operator reads the target"),
            operator_namespace: curfew_api::OPERATOR_NAMESPACE,
        }
    }

    /// Leaves out what assignments claim and what does not count; returns whether it does, by the names of the assignments.
    fn correct_windows(&mut self, facts: &Facts, admission: &AdmissionHistory) -> BTreeMap<String, Vec<Counts>> {
        let assignments: Vec<_> = facts.assignments.iter().flatten().filter(|found| convert::is_present(*found)).collect();
        let rules = self.rules(facts.now, admission);
        let all: BTreeMap<_, _> = assignments.iter().map(|found| (found.name_any(), windows::counts(facts, found, &rules))).collect();
        self.assignments = assignments.iter().map(|found| windows::as_it_counts(found, &all[&found.name_any()])).collect();
        all
    }
}

/// What is asked for, with what it extends as its status shows that.
fn asked(facts: &Facts, systems: &[System]) -> RequestFacts {
    let asked = convert::request_facts(&facts.request, false);
    let mut extends = asked.extends.clone().map(|unread| convert::extension::shown(unread, facts.extended.as_ref()));
    if let Some(Extension { parent: Parent::Active(parent), .. }) = &mut extends
        && let Some(stands_in) = systems.iter().find(|system| facts.systems.is_err() && system.name == parent.system.name)
    {
        // Its uid is not known, so nothing is refused for it.
        let system = SystemRef { uid: stands_in.uid.clone(), ..parent.system.clone() };
        *parent = Arc::new(Resolved { system, ..(**parent).clone() });
    }
    RequestFacts { extends, ..asked }
}

/// Judges each rule.
pub(super) fn judge(facts: &Facts) -> Explained {
    let role = match &facts.template {
        Ok(role) => role,
        Err(gap) => return unknown(facts, gap),
    };
    let mut inputs = Inputs::of(facts, role);
    let admission = proven(facts.now);
    let counts = inputs.correct_windows(facts, &admission);
    // What is configured cannot be stricter than the role where it may not be read; a missing configuration refuses.
    let ceiling = match &facts.config {
        Ok(config) => config.as_ref().map(|config| &config.spec.ceilings.duration),
        Err(_) => Some(&inputs.template.max_duration),
    };
    let around = PolicyInputs { ceiling, ..inputs.rules(facts.now, &admission) };
    let explained = explain(&inputs.asked, &around);
    let mut rules = vec![admission_line(facts)];
    for judged in &explained.rules {
        let told = rules.last().is_some_and(|line: &Line| line.rule == "eligibility");
        match (&facts.assignments, judged.rule) {
            (Err(_), Rule::Eligibility) if told => {}
            (Err(gap), Rule::Eligibility) => rules.push(line(Rule::Eligibility, Outcome::Unknown, gap.to_string())),
            (Ok(_), _) | (Err(_), _) => {
                let counts = judged.assignment.as_ref().and_then(|name| counts.get(name));
                rules.push(with_window(told_line(facts, role, judged), counts));
            }
        }
    }
    let refusal = explained.refusal.map(|refusal| refusal.reason);
    let refused = rules.iter().any(|line| line.outcome == Outcome::NotOk && line.rule != Rule::Eligibility.as_str());
    let asks = facts.request.spec.break_glass == Some(true);
    let told = explained.beyond.as_ref().map(|beyond| Told::of(role, beyond, asks, (&facts.requests, &facts.policies))).unwrap_or_default();
    rules.extend(told.rules);
    let verdict = verdict(&rules);
    // What the rules refuse is not looked at further: the operator asks for limits and locks last, and then it is Denied.
    let refusal = refusal.or((!refused && told.reached).then_some(Reason::LimitReached));
    let effect = Effect::of(facts, role, &inputs);
    Explained {
        role: role.name_any(),
        namespace: role.namespace().unwrap_or_default(),
        user: facts.login.username.clone(),
        ends: (verdict == Outcome::NotOk).then(|| ends(refusal).to_owned()),
        verdict,
        rules,
        approval: approval(role, &facts.login),
        break_glass: told.break_glass,
        extension: told.extension,
        writes: effect.writes,
        until: effect.secs.map(|secs| counts_from(&inputs.asked, facts.now).plus_secs(secs).floor_secs().to_string()),
        duration: effect.duration,
        ended_by: effect.ended_by,
        session_tail: effect.session_tail,
    }
}

/// A line about an assignment, with what is to be said about what it claims.
fn with_window(line: Line, counts: Option<&Vec<Counts>>) -> Line {
    counts.into_iter().flatten().fold(line, |line, counts| match counts {
        // The rule tells of it.
        Counts::No(ClaimKind::Origin, ..) => line,
        Counts::No(ClaimKind::Window, _, why) => Line { detail: format!("{}; {why}", line.detail), ..line },
        Counts::Unknown(why) if line.outcome == Outcome::Ok => Line { outcome: Outcome::Unknown, detail: why.clone(), ..line },
        Counts::Yes | Counts::Unknown(_) => line,
    })
}

/// From when the duration would count, if the access began now.
fn counts_from(asked: &RequestFacts, now: Time) -> Time {
    let extends = || asked.extends.as_ref().and_then(Extension::until);
    asked.start.or_else(extends).unwrap_or(now)
}

fn line(rule: Rule, outcome: Outcome, detail: impl Into<String>) -> Line {
    Line { rule: rule.as_str(), outcome, detail: detail.into() }
}

/// The state in which a request would end for this reason; one that the rules do not refuse ends because the role is not Ready.
fn ends(refusal: Option<Reason>) -> &'static str {
    match refusal.map(|reason| reason.terminal_state(false)) {
        Some(TerminalState::Denied) => "Denied",
        _ => "Invalid",
    }
}

fn verdict(rules: &[Line]) -> Outcome {
    let is = |line: &&Line, outcome| line.outcome == outcome;
    let (mine, others): (Vec<&Line>, Vec<&Line>) = rules.iter().partition(|line| line.rule == Rule::Eligibility.as_str());
    let eligible = mine.iter().any(|line| is(line, Outcome::Ok));
    // Who may not read systems or policies is told by the condition of the role whether they are in the way.
    let decides = |line: &&&Line| [Rule::Role.as_str(), Rule::Target.as_str()].contains(&line.rule);
    match () {
        () if others.iter().any(|line| is(line, Outcome::NotOk)) => Outcome::NotOk,
        () if !eligible && mine.iter().any(|line| is(line, Outcome::Unknown)) => Outcome::Unknown,
        () if !eligible => Outcome::NotOk,
        () if others.iter().filter(decides).any(|line| is(line, Outcome::Unknown)) => Outcome::Unknown,
        () => Outcome::Ok,
    }
}

/// A rule as it was judged, corrected by what may not be read and by what the operator has found.
fn told_line(facts: &Facts, role: &RoleTemplate, judged: &Judged) -> Line {
    let ready = ready(role);
    let plain = match &judged.answer {
        Ok(words) => line(judged.rule, Outcome::Ok, words.clone()),
        Err(refusal) => line(judged.rule, Outcome::NotOk, format!("{} ({})", refusal.message, refusal.reason)),
    };
    match (judged.rule, &facts.systems, &facts.policies) {
        (Rule::System, Err(gap), _) if judged.answer.is_ok() => {
            line(Rule::System, Outcome::Unknown, format!("whether the system is in mode ReadWrite is not known: {gap}"))
        }
        (Rule::Policy, _, Err(gap)) => match ready {
            Some(found) if found.status == "True" => line(Rule::Policy, Outcome::Ok, format!("the operator says: {}", found.message)),
            _ => line(Rule::Policy, Outcome::Unknown, gap.to_string()),
        },
        (Rule::Target, _, _) if judged.answer.is_ok() => match ready {
            Some(found) if found.status == "True" => {
                line(Rule::Target, Outcome::Ok, format!("the operator says: the role is Ready, {}", found.message))
            }
            Some(found) if found.status == "False" => {
                line(Rule::Target, Outcome::NotOk, format!("the operator says: {} ({})", found.message, found.reason))
            }
            _ => line(
                Rule::Target,
                Outcome::Unknown,
                "only the operator reads the target, and it has not judged this version of the role yet",
            ),
        },
        _ => plain,
    }
}

/// The operator's verdict on this generation of a role.
fn ready(role: &RoleTemplate) -> Option<&Condition> {
    let found = conditions::find(&role.status.as_ref()?.conditions, "Ready")?;
    (found.observed_generation == role.metadata.generation).then_some(found)
}

fn admission_line(facts: &Facts) -> Line {
    let told = |outcome, detail: String| Line { rule: "admission", outcome, detail };
    match &facts.config {
        Err(gap) => told(Outcome::Unknown, gap.to_string()),
        Ok(None) => {
            told(Outcome::NotOk, format!("there is no CurfewConfig {CONFIG_NAME}, so nothing is granted; kubectl curfew doctor says more"))
        }
        Ok(Some(config)) => {
            let found = config.status.as_ref().and_then(|status| conditions::find(&status.conditions, "AdmissionEnforced"));
            match found {
                Some(found) if found.status == "True" => told(Outcome::Ok, found.message.clone()),
                Some(found) => told(Outcome::NotOk, format!("nothing is granted: {}; kubectl curfew doctor says more", found.message)),
                None => told(
                    Outcome::NotOk,
                    "no operator has proven yet that the admission policies are in force; kubectl curfew doctor says more".into(),
                ),
            }
        }
    }
}

/// Without the role nothing can be judged.
fn unknown(facts: &Facts, gap: &Gap) -> Explained {
    Explained {
        role: facts.request.spec.role_ref.name.clone(),
        namespace: facts.request.namespace().unwrap_or_default(),
        user: facts.login.username.clone(),
        verdict: Outcome::Unknown,
        ends: None,
        rules: vec![admission_line(facts), line(Rule::Role, Outcome::Unknown, gap.to_string())],
        approval: Vec::new(),
        break_glass: Vec::new(),
        extension: None,
        writes: Vec::new(),
        duration: None,
        until: None,
        ended_by: None,
        session_tail: None,
    }
}

/// Who would have to approve, one text for each stage.
fn approval(role: &RoleTemplate, login: &UserInfo) -> Vec<String> {
    let names = |all: &[Subject]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let stage = |stage: &ApprovalStage| {
        let timeout = stage.timeout.as_ref().map_or_else(|| "24h".to_owned(), ToString::to_string);
        let mut told = format!("{}: {} of {}, within {timeout}", stage.name, stage.quorum, names(&stage.approvers));
        if let Some(later) = &stage.escalation {
            told.push_str(&format!("; after {} also {}", later.after, names(&later.approvers)));
        }
        if stage.approvers.iter().any(|subject| subject.includes(login)) {
            told.push_str("; you are listed, and your own approval does not count");
        }
        told
    };
    match &role.spec.activation.approval {
        Approval::None(_) => vec!["none is required".into()],
        Approval::Stages(stages) => stages.iter().map(stage).collect(),
        Approval::Parallel(stages) => stages.iter().map(|each| format!("in any order: {}", stage(each))).collect(),
    }
}

/// What an access would be.
#[derive(Default)]
struct Effect {
    writes: Vec<String>,
    duration: Option<String>,
    secs: Option<i64>,
    ended_by: Option<String>,
    session_tail: Option<String>,
}

impl Effect {
    fn of(facts: &Facts, role: &RoleTemplate, inputs: &Inputs) -> Self {
        let template = &inputs.template;
        let is_meant = |system: &&System| {
            template.systems.include(&system.name, &system.labels) && inputs.asked.system.as_ref().is_none_or(|named| *named == system.name)
        };
        let duration = inputs.asked.duration.as_ref().or(template.default_duration.as_ref()).unwrap_or(&template.max_duration);
        let known = Effect { duration: Some(duration.to_string()), secs: Some(duration.secs()), ..Effect::default() };
        let Some(system) = inputs.systems.iter().find(is_meant) else { return known };
        let Some((plan, writes)) = planned(facts, role, inputs, system.provider) else { return known };
        let settings = facts.config.as_ref().ok().and_then(Option::as_ref).map(|config| config.spec.settings()).unwrap_or_default();
        let ended_by = match plan.configured(&settings).ended_without_operator() {
            Some(what) => format!("the operator, at the deadline; while none runs: {what} (enforcedBy: Target)"),
            None => "the operator and the sweep alone; while neither runs, it stays (enforcedBy: Curfew)".to_owned(),
        };
        Effect { writes, ended_by: Some(ended_by), session_tail: Some(system.provider.session_tail().into()), ..known }
    }
}

/// The widest plan under the first assignment that names the user, and what of it would be written, in words.
fn planned(facts: &Facts, role: &RoleTemplate, inputs: &Inputs, provider: ProviderKind) -> Option<(Plan, Vec<String>)> {
    let template = &inputs.template;
    let permissions = template.permissions.of(provider)?;
    let whole = template.scope.of(provider)?;
    let mine = inputs.assignments.iter().find(|e| e.role == template.reference.name && e.subject.includes(&facts.login));
    let narrower = |scope: &ScopeByProvider| scope.of(provider).and_then(|narrower| whole.intersection(&narrower));
    let scope = mine.and_then(|assignment| assignment.scope.as_ref()).and_then(narrower).unwrap_or_else(|| whole.clone());
    let fewer = mine.and_then(|assignment| assignment.permissions.as_ref()).and_then(|permissions| permissions.of(provider));
    // A request asks for less than that, or is refused.
    let asked = &inputs.asked;
    let permissions = asked.permissions.as_ref().and_then(|asked| asked.of(provider)).or(fewer).unwrap_or(permissions);
    let less = asked.scope.as_ref().and_then(|asked| asked.of(provider)).and_then(|asked| scope.intersection(&asked));
    let scope = less.unwrap_or(scope);
    let plan = permissions.probe(&scope)?;
    // Where people have other names, the objects are named only when the operator has looked at the target.
    let writes = match provider.maps_principals() {
        false => plan.privileges(),
        true => vec![serde_json::to_string(&role.spec.permissions).unwrap_or_default()],
    };
    Some((plan, writes))
}

#[cfg(test)]
mod tests;
