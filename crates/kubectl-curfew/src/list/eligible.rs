//! What a user may request, as a table: the rules of each role, and how long eligibility lasts.
use crate::output::{Cell, Colour, is_colourful, span, table};
use curfew_api::{
    EligibleAssignment, RoleTemplate, conditions, convert,
    policy::{MfaRule, SystemsRef},
    template::{Approval, Justification, TicketRule},
};
use curfew_core::{
    assignment_request::resolve::{EXTENDABLE_SECS, RENEWABLE_SECS},
    policy_inputs::Window,
    principal::Subject,
    time::Time,
};
use kube::ResourceExt;

/// One row for each assignment.
pub(super) fn table_of(mine: &[EligibleAssignment], templates: &[RoleTemplate], now: Time, wide: bool) -> String {
    let mut header = vec!["NAMESPACE", "ROLE", "SYSTEMS", "MAX", "APPROVAL", "ASKS-FOR", "ENDS", "READY"];
    if wide {
        header.extend(["ASSIGNMENT", "SUBJECT", "WHY-NOT", "DESCRIPTION"]);
    }
    let mut rows: Vec<Vec<Cell>> = vec![header.into_iter().map(Cell::from).collect()];
    for assignment in mine {
        let same = |template: &&RoleTemplate| {
            template.namespace() == assignment.namespace() && template.name_any() == assignment.spec.role_ref.name
        };
        rows.push(row(assignment, templates.iter().find(same), now, wide));
    }
    table(&rows, is_colourful())
}

fn row(assignment: &EligibleAssignment, template: Option<&RoleTemplate>, now: Time, wide: bool) -> Vec<Cell> {
    let unknown = || Cell::from("?");
    let of = |f: fn(&RoleTemplate) -> String| template.map_or_else(unknown, |template| f(template).into());
    let why = why_not(assignment, template, now);
    let ready = match &why {
        None => Cell::coloured("True", Colour::Green),
        Some(_) => Cell::coloured("False", Colour::Yellow),
    };
    let mut cells = vec![
        assignment.namespace().unwrap_or_default().into(),
        assignment.spec.role_ref.name.clone().into(),
        of(systems),
        of(longest),
        of(approval),
        of(asks_for),
        ends(assignment, now).into(),
        ready,
    ];
    if wide {
        cells.extend([
            assignment.name_any().into(),
            assignment.spec.subject.to_string().into(),
            why.unwrap_or_default().into(),
            of(|template| template.spec.description.clone().unwrap_or_default()),
        ]);
    }
    cells
}

fn systems(template: &RoleTemplate) -> String {
    match &template.spec.systems {
        SystemsRef::Names(names) => names.join(","),
        SystemsRef::Selector(selector) => {
            selector.match_labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        }
    }
}

/// What template, policy and CurfewConfig allow together, as the operator has found it; otherwise what the template allows.
fn longest(template: &RoleTemplate) -> String {
    let shown = template.status.as_ref().and_then(|status| status.display.as_ref()).map(|display| display.max.clone());
    shown.filter(|max| !max.is_empty()).unwrap_or_else(|| template.spec.activation.duration.max.to_string())
}

fn approval(template: &RoleTemplate) -> String {
    match &template.spec.activation.approval {
        Approval::None(_) => "none".into(),
        Approval::Stages(stages) | Approval::Parallel(stages) => {
            let separator = if matches!(template.spec.activation.approval, Approval::Parallel(_)) { " + " } else { ", " };
            stages.iter().map(|stage| format!("{} {}", stage.quorum, stage.name)).collect::<Vec<_>>().join(separator)
        }
    }
}

/// What a request must have, beside the role.
fn asks_for(template: &RoleTemplate) -> String {
    let activation = &template.spec.activation;
    let justification = (activation.justification == Justification::Required).then(|| "justification".to_owned());
    let ticket = match &activation.ticket {
        TicketRule::None(_) => None,
        TicketRule::Pattern(pattern) => Some(format!("ticket {pattern}")),
        TicketRule::Required(ticket) => Some(format!("ticket {} in {}", ticket.pattern, ticket.systems.join(" or "))),
    };
    let mfa = match &activation.mfa {
        MfaRule::None(_) => None,
        MfaRule::MaxAge(age) => Some(format!("MFA of the last {age}")),
    };
    let context = activation.authentication_context.as_ref().map(|context| format!("authentication context {context}"));
    let all: Vec<String> = [justification, ticket, mfa, context].into_iter().flatten().collect();
    if all.is_empty() { "nothing".into() } else { all.join(", ") }
}

/// When eligibility ends, and how long that is from now.
fn ends(assignment: &EligibleAssignment, now: Time) -> String {
    match convert::shown_window(assignment) {
        Window::Permanent => "never".into(),
        Window::Between(start, end) if now < start => format!("{end} (begins in {})", span(start.millis_since(now))),
        Window::Between(_, end) if now >= end => format!("{end} (over)"),
        Window::Between(_, end) => format!("{end} ({} left)", span(end.millis_since(now))),
    }
}

/// The command that asks for more time, where it may be asked for: by the user whom the assignment names, near its end.
pub(super) fn more_time(assignment: &EligibleAssignment, template: Option<&RoleTemplate>, now: Time) -> Option<String> {
    template.is_none_or(|template| template.spec.assignment.approval.is_some()).then_some(())?;
    let (Subject::User(_), Window::Between(_, end)) = (&assignment.spec.subject, convert::shown_window(assignment)) else { return None };
    let verb = match () {
        () if now >= end && now <= end.plus_secs(RENEWABLE_SECS) => "renew",
        () if now < end && now >= end.plus_secs(-EXTENDABLE_SECS) => "extend",
        () => return None,
    };
    let (name, namespace) = (assignment.name_any(), assignment.namespace().unwrap_or_default());
    Some(format!("{name} ends {end}: kubectl curfew assignment {verb} {name} -n {namespace} --until TIME -j REASON"))
}

/// Why the role cannot be requested under this assignment now, as the operator has found it.
fn why_not(assignment: &EligibleAssignment, template: Option<&RoleTemplate>, now: Time) -> Option<String> {
    let of = |list: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]| match conditions::find(list, "Ready") {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(ready.message.clone()),
        None => Some("the operator has not looked at it yet".to_owned()),
    };
    let window = match convert::shown_window(assignment) {
        Window::Between(start, _) if now < start => Some(format!("begins {start}")),
        Window::Between(_, end) if now >= end => Some(format!("ended {end}")),
        Window::Between(..) | Window::Permanent => None,
    };
    let assigned = || of(assignment.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default());
    let role = || template.and_then(|template| of(template.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()));
    window.or_else(assigned).or_else(role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-23T08:00:00Z";

    fn ready(status: &str) -> serde_json::Value {
        json!([{"type": "Ready", "status": status, "reason": "X", "message": "suspended by its owner", "lastTransitionTime": NOW}])
    }

    fn assignment(window: serde_json::Value) -> EligibleAssignment {
        serde_json::from_value(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "EligibleAssignment",
            "metadata": {"name": "devs", "namespace": "payments"},
            "spec": {"roleRef": {"name": "admin"}, "subject": {"group": "devs"}, "scope": {"all": {}}, "window": window},
            "status": {"conditions": ready("True")}}))
        .unwrap()
    }

    fn template(is_ready: &str) -> RoleTemplate {
        serde_json::from_value(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "RoleTemplate",
            "metadata": {"name": "admin", "namespace": "payments"},
            "spec": {"systems": {"names": ["prod"]}, "permissions": {"kubernetes": {"clusterRoles": ["admin"]}},
                "scope": {"kubernetes": {"namespaces": ["payments"]}},
                "activation": {"duration": {"max": "8h"}, "ticket": {"pattern": "^INC"}, "mfa": {"maxAge": "15m"},
                    "approval": {"stages": [{"name": "owners", "approvers": [{"group": "leads"}], "quorum": 2}]}, "limits": {"none": {}}},
                "assignment": {"eligible": {"permanent": true}}},
            "status": {"conditions": ready(is_ready), "display": {"systems": "prod", "max": "4h", "approval": "2 owners"}}}))
        .unwrap()
    }

    fn between(start: &str, end: &str) -> serde_json::Value {
        json!({"between": {"start": start, "end": end}})
    }

    #[test]
    fn each_role_is_told_with_its_rules_and_the_end_of_eligibility() {
        let now = Time::parse(NOW).unwrap();
        let mine = [assignment(between("2026-11-01T00:00:00Z", "2026-11-25T10:00:00Z")), assignment(json!({"permanent": {}}))];
        let told = table_of(&mine, &[template("True")], now, false);
        let lines: Vec<&str> = told.lines().collect();
        let row = |i: usize| lines[i].split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>();
        let rules = "justification, ticket ^INC, MFA of the last 15m";
        assert_eq!(row(1), ["payments", "admin", "prod", "4h", "2 owners", rules, "2026-11-25T10:00:00Z (2d2h left)", "True"]);
        assert_eq!(row(2)[6], "never");
    }

    #[test]
    fn what_cannot_be_requested_now_says_why() {
        let now = Time::parse(NOW).unwrap();
        let permanent = || assignment(json!({"permanent": {}}));
        let wide = |assignment, template: Option<RoleTemplate>| table_of(&[assignment], template.as_slice(), now, true);
        assert!(wide(permanent(), Some(template("False"))).contains("suspended by its owner"));
        assert!(wide(assignment(between("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")), None).contains("(begins in 16h)"));
        assert!(wide(assignment(between("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")), None).contains("ended 2026-11-02T00:00:00Z"));
        let unread = table_of(&[permanent()], &[], now, false);
        assert!(unread.contains("payments    admin   ?"), "what may not be read is not shown as empty: {unread}");
    }
}
