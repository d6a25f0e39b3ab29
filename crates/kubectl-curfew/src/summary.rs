//! Prints everything that a request would grant, for the approver.
use anyhow::Context as _;
use curfew_api::{ActivationRequest, AssignmentRequest};
use curfew_core::{
    assignment_request::{ActionKind, AssignmentKind, Span},
    duration::Duration,
    text::printable,
    time::Time,
};
use kube::ResourceExt;

/// Prints the resolved terms on standard error, where the confirmation prompt follows.
pub fn print(request: &ActivationRequest) -> anyhow::Result<()> {
    eprint!("{}", summary(request)?);
    Ok(())
}

/// One line for each term. Every value is escaped, so that no text or name can imitate a line of this output.
fn summary(request: &ActivationRequest) -> anyhow::Result<String> {
    let status = request.status.as_ref().context("the request is not resolved yet")?;
    let resolved = status.resolved.as_ref().context("the request is not resolved yet")?;
    let ticket = request.spec.ticket.as_ref().map_or_else(|| "none".into(), |t| format!("{} {}", quoted(&t.system), quoted(&t.number)));
    let extends = resolved.extends.as_ref().map(|extended| {
        let end = resolved.end(extended.until);
        format!("{}, which lasts until {}; the access would end {end}, {}", extended.name, extended.until, in_all(extended.since, end))
    });
    let rows = [
        ("request", request.name_any()),
        ("requester", resolved.requester.clone()),
        ("beneficiary", resolved.beneficiary.to_string()),
        ("role", resolved.role.name.clone()),
        ("system", resolved.system.name.clone()),
        ("permissions", resolved.permissions.privileges().join(", ")),
        ("scope", resolved.scope.in_words(&resolved.permissions)),
        ("duration", resolved.duration.to_string()),
        ("extends", extends.unwrap_or_else(|| "none".into())),
        // The requester chooses these texts: the quotation marks show where they end.
        ("justification", quoted(request.spec.justification.as_deref().unwrap_or_default())),
        ("ticket", ticket),
        ("waiting for", status.waiting_for.clone().unwrap_or_default()),
        ("digest", resolved.digest().to_string()),
    ];
    Ok(rows.iter().map(|(label, value)| format!("{label:>14}  {}\n", printable(value))).collect())
}

/// How long a chain of extensions lasts.
fn in_all(since: Time, end: Time) -> String {
    let secs = u32::try_from(end.millis_since(since) / 1000).unwrap_or_default();
    format!("{} after the first request of its chain began", Duration::from_secs(secs.max(1)))
}

/// Prints what an AssignmentRequest would change on standard error.
pub fn print_assignment(request: &AssignmentRequest) -> anyhow::Result<()> {
    eprint!("{}", assignment_summary(request)?);
    Ok(())
}

fn assignment_summary(request: &AssignmentRequest) -> anyhow::Result<String> {
    let status = request.status.as_ref().context("the request is not resolved yet")?;
    let terms = status.resolved.as_ref().context("the request is not resolved yet")?;
    let unchanged = || "as it is".to_owned();
    let span = |span: &Span| format!("from {} until {}", span.start, span.end);
    let before = match terms.action {
        ActionKind::New => "not".into(),
        ActionKind::Extend | ActionKind::Renew | ActionKind::Remove => terms.before.as_ref().map_or_else(|| "without an end".into(), span),
    };
    let rows = [
        ("request", request.name_any()),
        ("requester", terms.requester.clone()),
        ("action", terms.action.as_str().to_owned()),
        ("kind", terms.kind.as_str().to_owned()),
        ("assignment", terms.assignment.name.clone()),
        ("subject", terms.subject.to_string()),
        ("role", terms.role.name.clone()),
        ("scope", terms.gives.as_ref().map_or_else(unchanged, |gives| part(gives.scope.as_ref()))),
        ("permissions", terms.gives.as_ref().map_or_else(unchanged, |gives| part(gives.permissions.as_ref()))),
        (if terms.kind == AssignmentKind::Active { "access now" } else { "eligible now" }, before),
        ("will be", span(&terms.window)),
        ("justification", quoted(&request.spec.justification)),
        ("waiting for", status.waiting_for.clone().unwrap_or_default()),
        ("digest", terms.digest().to_string()),
    ];
    Ok(rows.iter().map(|(label, value)| format!("{label:>14}  {}\n", printable(value))).collect())
}

/// A part of what the role gives, as YAML in one line would say it; otherwise all of it.
fn part<T: serde::Serialize>(of: Option<&T>) -> String {
    of.and_then(|of| serde_json::to_string(of).ok()).unwrap_or_else(|| "all of the role".into())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A request from before the character rule, with this in every text.
    fn request(hostile: &str) -> ActivationRequest {
        let subject = json!({"user": format!("alice{hostile}")});
        let resolved = json!({"schema": 3, "request": "r1", "requester": format!("alice{hostile}"), "beneficiary": subject,
            "principal": {"kubernetes": subject}, "system": {"name": format!("prod{hostile}"), "uid": "s", "target": "t"},
            "role": {"name": format!("admin{hostile}"), "uid": "r"}, "assignment": {"name": "a", "uid": "a"},
            "policy": {"name": "p", "uid": "p"},
            "permissions": {"kubernetes": {"roles": [{"kind": "ClusterRole", "name": format!("admin{hostile}"), "uid": "c", "rules": "0".repeat(64)}]}},
            "scope": {"kubernetes": {"namespaces": [{"name": format!("payments{hostile}"), "uid": "n"}]}}, "duration": "1h", "approval": []});
        serde_json::from_value(json!({"apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest",
            "metadata": {"name": "asked", "namespace": "payments"},
            "spec": {"roleRef": {"name": "admin"}, "justification": format!("roll back{hostile}"),
                "ticket": {"system": format!("jira{hostile}"), "number": format!("INC-1{hostile}")}},
            "status": {"resolved": resolved, "waitingFor": format!("owners{hostile} 0/1")}}))
        .unwrap()
    }

    #[test]
    fn the_approver_sees_every_term_and_the_ticket() {
        let shown = summary(&request("")).unwrap();
        let at = |label: &str| shown.lines().find_map(|l| l.trim_start().strip_prefix(label)).map(str::trim);
        assert_eq!((at("ticket"), at("justification")), (Some("\"jira\" \"INC-1\""), Some("\"roll back\"")));
        let without =
            ActivationRequest { spec: curfew_api::request::ActivationRequestSpec { ticket: None, ..request("").spec }, ..request("") };
        assert!(summary(&without).unwrap().contains("        ticket  none\n"));
    }

    #[test]
    fn no_text_imitates_a_line_or_controls_the_terminal() {
        let lines = summary(&request("")).unwrap().lines().count();
        for hostile in ["\n        digest  0", "\u{1b}[2J", "\0", "\u{200b}", "\u{202e}", "\r", "\u{2028}", "\u{9b}2J"] {
            let shown = summary(&request(hostile)).unwrap();
            assert_eq!(shown.lines().count(), lines, "{hostile:?}");
            let raw: Vec<char> = shown.chars().filter(|c| *c != '\n' && curfew_core::text::is_invisible(*c)).collect();
            assert!(raw.is_empty(), "{hostile:?} is printed raw: {raw:?}");
        }
        assert!(summary(&request("\" \"x")).unwrap().contains(r#""roll back\" \"x""#), "a quotation mark does not end the text");
    }
}
