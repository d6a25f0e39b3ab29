//! Findings about Curfew's objects: what is not Ready, stuck, overdue or without a quota. Grouped, so that one cause is one finding. Pure.
use super::{Finding, observe::Observed};
use crate::output::span;
use curfew_api::{
    AccessPolicy, ActivationRequest, ActiveAssignment, AuthorizationSystem, EligibleAssignment, Grant, RoleTemplate, conditions,
    grant::GrantState, system::Mode,
};
use curfew_core::{reason::Reason, time::Time};
use k8s_openapi::{api::core::v1::ResourceQuota, apimachinery::pkg::apis::meta::v1::Condition};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// How many names a finding lists.
const NAMES: usize = 5;
/// Seconds after its deadline from which an access that is not gone is overdue: what ends it needs a moment.
const OVERDUE_SECS: i64 = 60;

/// Everything about objects.
pub(super) fn findings(observed: &Observed) -> Vec<Finding> {
    let mut all = Vec::new();
    if let Ok(systems) = &observed.systems {
        all.extend(not_ready("AuthorizationSystem", "authsys", systems.iter().map(|s| state(s, s.status.as_ref().map(|s| &s.conditions)))));
        all.extend(nothing_grants(systems));
    }
    if let Ok(policies) = &observed.policies {
        all.extend(not_ready(
            "AccessPolicy",
            "apol",
            policies.iter().map(|p: &AccessPolicy| state(p, p.status.as_ref().map(|s| &s.conditions))),
        ));
    }
    if let Ok(templates) = &observed.templates {
        all.extend(not_ready("RoleTemplate", "rtpl", templates.iter().map(|t| state(t, t.status.as_ref().map(|s| &s.conditions)))));
        if let Ok(quotas) = &observed.quotas {
            all.extend(without_quota(templates, quotas));
        }
    }
    if let Ok(assignments) = &observed.assignments {
        let states = assignments.iter().map(|a: &EligibleAssignment| state(a, a.status.as_ref().map(|s| &s.conditions)));
        all.extend(not_ready("EligibleAssignment", "eas", states));
    }
    if let Ok(standing) = &observed.standing {
        let states = standing.iter().map(|a: &ActiveAssignment| state(a, a.status.as_ref().map(|s| &s.conditions)));
        all.extend(not_ready("ActiveAssignment", "aas", states));
    }
    if let Ok(revoking) = &observed.revoking {
        all.extend(stalled(revoking));
    }
    all.extend(match (&observed.grants, &observed.systems) {
        (Ok(grants), _) => overdue(grants, observed.now),
        (Err(_), Ok(systems)) => overdue_by_count(systems),
        (Err(_), Err(_)) => None,
    });
    all
}

/// The first names, and how many more there are.
fn named(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES);
    let first = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

/// One object with its condition Ready.
struct State<'a> {
    namespace: Option<String>,
    name: String,
    ready: Option<&'a Condition>,
}

impl State<'_> {
    fn path(&self) -> String {
        self.namespace.as_ref().map_or_else(|| self.name.clone(), |ns| format!("{ns}/{}", self.name))
    }
}

fn state<'a, K: ResourceExt>(object: &K, list: Option<&'a Vec<Condition>>) -> State<'a> {
    let ready = list.and_then(|list| conditions::find(list, "Ready"));
    State { namespace: object.namespace(), name: object.name_any(), ready }
}

/// Reasons that a person has chosen, or that time brings.
const MEANT: [Reason; 2] = [Reason::Suspended, Reason::OutsideWindow];

/// The objects of a kind that are not Ready, one finding for each reason.
fn not_ready<'a>(kind: &str, short: &str, states: impl Iterator<Item = State<'a>>) -> Vec<Finding> {
    let mut groups: BTreeMap<String, Vec<State<'a>>> = BTreeMap::new();
    for state in states {
        match state.ready {
            Some(ready) if ready.status == "True" => {}
            Some(ready) => groups.entry(ready.reason.clone()).or_default().push(state),
            None => groups.entry("NotJudged".into()).or_default().push(state),
        }
    }
    let finding = |(reason, all): (&String, &Vec<State<'a>>)| {
        let first = all.first()?;
        let names: Vec<String> = all.iter().map(State::path).collect();
        let what = format!("{} of kind {kind} not Ready ({reason}): {}", names.len(), named(&names));
        let place = first.namespace.as_ref().map(|ns| format!(" -n {ns}")).unwrap_or_default();
        let command = format!("kubectl describe {short} {}{place}", first.name);
        let message = first.ready.map_or_else(|| "no operator has judged it yet".to_owned(), |ready| ready.message.clone());
        let meant = MEANT.iter().any(|meant| meant.as_str() == reason);
        Some(if meant { Finding::warning(what, message, command) } else { Finding::error(what, message, command) })
    };
    groups.iter().filter_map(finding).collect()
}

/// Where every system is in mode ReadOnly, nothing is ever granted.
fn nothing_grants(systems: &[AuthorizationSystem]) -> Option<Finding> {
    let none = systems.iter().all(|system| system.spec.mode == Mode::ReadOnly);
    let name = systems.first().map_or_else(|| "NAME".to_owned(), ResourceExt::name_any);
    none.then(|| {
        Finding::warning(
            "no AuthorizationSystem is in mode ReadWrite",
            "nothing can be granted anywhere",
            format!("kubectl patch authsys {name} --type merge -p '{{\"spec\":{{\"mode\":\"ReadWrite\"}}}}'"),
        )
    })
}

/// What people can create in any number where no quota counts it.
const COUNTED: [&str; 2] = ["count/activationrequests.curfew.dev", "count/assignmentrequests.curfew.dev"];

/// Namespaces with roles in which people can create requests of some kind without a limit.
fn without_quota(templates: &[RoleTemplate], quotas: &[ResourceQuota]) -> Option<Finding> {
    let counts = |quota: &ResourceQuota, what: &str| {
        quota.spec.as_ref().and_then(|spec| spec.hard.as_ref()).is_some_and(|hard| hard.contains_key(what))
    };
    let limited = |what| quotas.iter().filter(move |quota| counts(quota, what)).filter_map(ResourceExt::namespace).collect();
    // Several quotas of a namespace count together.
    let [access, assignments]: [BTreeSet<String>; 2] = COUNTED.map(limited);
    let limited: BTreeSet<String> = access.intersection(&assignments).cloned().collect();
    let used: BTreeSet<String> = templates.iter().filter_map(ResourceExt::namespace).collect();
    let without: Vec<String> = used.difference(&limited).cloned().collect();
    let first = without.first()?;
    Some(Finding::warning(
        format!("no ResourceQuota limits requests in {}", named(&without)),
        format!("a person who may create requests there can fill the API server's storage; a quota must have {}", COUNTED.join(" and ")),
        format!("kubectl apply -n {first} -f examples/quota/quota.yaml"),
    ))
}

/// Requests whose access cannot be removed.
fn stalled(revoking: &[ActivationRequest]) -> Option<Finding> {
    let is_stalled =
        |request: &&ActivationRequest| request.status.as_ref().is_some_and(|status| conditions::is_true(&status.conditions, "Stalled"));
    let all: Vec<&ActivationRequest> = revoking.iter().filter(is_stalled).collect();
    let first = all.first()?;
    let names: Vec<String> =
        all.iter().map(|request| format!("{}/{}", request.namespace().unwrap_or_default(), request.name_any())).collect();
    let status = first.status.as_ref();
    let found = status.and_then(|status| conditions::find(&status.conditions, "Stalled"));
    let why = found.map(|found| found.message.clone()).unwrap_or_default();
    let command = format!("kubectl curfew audit {} -n {}", first.name_any(), first.namespace().unwrap_or_default());
    Some(Finding::error(format!("{} revocations are stuck: {}", names.len(), named(&names)), why, command))
}

/// Grants past their deadline whose access was not seen to be gone.
fn overdue(grants: &[Grant], now: Time) -> Option<Finding> {
    let has_ended = |grant: &Grant| {
        let state = grant.status.as_ref().and_then(|status| status.state);
        matches!(state, Some(GrantState::Ended | GrantState::Abandoned))
    };
    let is_late = |grant: &&Grant| now > grant.spec.expires_at.plus_secs(OVERDUE_SECS) && !has_ended(grant);
    let mut all: Vec<&Grant> = grants.iter().filter(is_late).collect();
    all.sort_by_key(|grant| grant.spec.expires_at);
    let oldest = all.first()?;
    let names: Vec<String> = all.iter().map(|grant| grant.name_any()).collect();
    let error = oldest.status.as_ref().and_then(|status| status.last_error.clone()).unwrap_or_else(|| "no error is recorded".into());
    let since = span(now.millis_since(oldest.spec.expires_at));
    Some(Finding::error(
        format!("{} Grants are overdue: {}", names.len(), named(&names)),
        format!("the access may still be there, of the oldest for {since}: {error}"),
        format!("kubectl describe grt {}", oldest.name_any()),
    ))
}

/// The same, by the counts of the systems.
fn overdue_by_count(systems: &[AuthorizationSystem]) -> Option<Finding> {
    let count = |system: &AuthorizationSystem| system.status.as_ref().and_then(|status| status.grants).map_or(0, |grants| grants.overdue);
    let all: Vec<&AuthorizationSystem> = systems.iter().filter(|system| count(system) > 0).collect();
    let names: Vec<String> = all.iter().map(|system| format!("{} ({})", system.name_any(), count(system))).collect();
    (!names.is_empty())
        .then(|| Finding::error(format!("Grants are overdue in {}", named(&names)), "the access may still be there", "kubectl get grt"))
}
