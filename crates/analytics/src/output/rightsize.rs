//! A proposal for a smaller role, as text for a terminal.
use super::table::columns;
use crate::report::{IdentityKind, WindowSummary};
use crate::rightsize::{
    aws,
    kubernetes::{
        LookBack, Proposal, Size,
        existing::Existing,
        rules::{ProposedRole, Rule},
    },
    outline::Outline,
};
use curfew_core::text::{clip, printable};
use std::fmt::Write;

/// The widest list of places, in bytes.
const MAX_PLACES: usize = 96;

/// The proposal as text.
pub fn table(proposal: &Proposal, outline: &Outline) -> String {
    [head(proposal), permissions(outline), roles(proposal), existing(proposal), replaces(proposal.removable, outline), notes(outline)]
        .concat()
}

/// The same of an AWS identity.
pub fn aws_table(proposal: &aws::Proposal, outline: &Outline) -> String {
    let sizes = [("now", proposal.before), ("proposed", proposal.after)];
    let head = head_of(&proposal.identity, proposal.kind, &proposal.window, &sizes, &proposal.look_backs);
    let mut policy = String::from("\nPolicy\n");
    for document in &proposal.documents {
        let text = serde_json::to_string_pretty(document).unwrap_or_default();
        text.lines().for_each(|line| policy.push_str(&format!("  {}\n", printable(line))));
    }
    let existing = match proposal.existing.policies.as_slice() {
        [] if proposal.documents.is_empty() => "  none\n".to_owned(),
        [] => format!("  none; no three of them allow all of it, such as {}\n", proposal.existing.not_covered.join(", ")),
        list => format!("  {}, with {:.2} % of all power beyond the need\n", list.join(" + "), proposal.existing.excess * 100.0),
    };
    let existing = format!("\nManaged policies of AWS instead\n{existing}");
    [head, permissions(outline), policy, existing, replaces(proposal.removable, outline), notes(outline)].concat()
}

fn head(proposal: &Proposal) -> String {
    let sizes = [("now", proposal.before), ("proposed", proposal.after)];
    head_of(&proposal.identity, proposal.kind, &proposal.window, &sizes, &proposal.look_backs)
}

fn head_of(identity: &str, kind: IdentityKind, window: &WindowSummary, sizes: &[(&str, Size)], look_backs: &[LookBack]) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "The least role for {} ({kind}). Nothing was applied.", printable(identity));
    let _ = writeln!(out, "  window      {} days until {}", window.days, window.until);
    let _ =
        writeln!(out, "  confidence  {:.2}: the logs have events on {} of {} days", window.confidence, window.covered_days, window.days);
    for (what, size) in sizes {
        let _ =
            writeln!(out, "  {what:<11} {} permissions, {:.2} % of all power, score {}", size.permissions, size.share * 100.0, size.score);
    }
    let look_backs: Vec<String> = look_backs.iter().map(|one| format!("{} days: {}", one.days, one.permissions)).collect();
    let _ = writeln!(out, "  look-back   permissions used in {}", look_backs.join(", "));
    out
}

fn permissions(outline: &Outline) -> String {
    let mut rows = vec![["PERMISSION", "WHERE", "DAYS", "LAST USED", "WHY"].map(String::from).to_vec()];
    for one in &outline.permissions {
        let last = one.last_used.clone().unwrap_or_else(|| "-".into());
        rows.push(vec![
            printable(&one.permission),
            clip(printable(&one.places), MAX_PLACES),
            one.days.map_or_else(|| "-".into(), |days| days.to_string()),
            last,
            one.why.clone(),
        ]);
    }
    format!("\nPermissions, and the use that each rests on\n{}", columns(&rows))
}

fn roles(proposal: &Proposal) -> String {
    let mut out = String::from("\nRoles\n");
    for role in &proposal.roles {
        let _ = writeln!(out, "  {}", role_name(role));
        role.rules.iter().for_each(|rule| out.push_str(&format!("    {}\n", printable(&rule_in_words(rule)))));
    }
    if proposal.roles.is_empty() {
        out.push_str("  none\n");
    }
    out
}

fn role_name(role: &ProposedRole) -> String {
    match (&role.namespace, role.bound_in.as_slice()) {
        (Some(namespace), _) => format!("Role {namespace}/{}", role.name),
        (None, []) => format!("ClusterRole {}, in the whole cluster", role.name),
        (None, namespaces) => format!("ClusterRole {}, in {}", role.name, namespaces.join(", ")),
    }
}

fn rule_in_words(rule: &Rule) -> String {
    if !rule.non_resource_urls.is_empty() {
        return format!("{} {}", rule.verbs.join(", "), rule.non_resource_urls.join(", "));
    }
    let groups: Vec<&str> = rule.api_groups.iter().map(|group| if group.is_empty() { "core" } else { group }).collect();
    let names = if rule.resource_names.is_empty() { String::new() } else { format!(" named {}", rule.resource_names.join(", ")) };
    format!("{} {}/{}{names}", rule.verbs.join(", "), groups.join(", "), rule.resources.join(", "))
}

fn existing(proposal: &Proposal) -> String {
    let mut out = String::from("\nExisting ClusterRoles instead\n");
    for choice in &proposal.existing {
        let _ = writeln!(out, "  {}", in_words(choice));
    }
    if proposal.existing.is_empty() {
        out.push_str("  none\n");
    }
    out
}

fn in_words(choice: &Existing) -> String {
    let place = if choice.bound_in.is_empty() { "the whole cluster".to_owned() } else { choice.bound_in.join(", ") };
    if choice.roles.is_empty() {
        return format!("{place}: none; no three of them allow all of it, such as {}", choice.not_covered.join(", "));
    }
    let exact = if choice.exact { "the least possible" } else { "the least that was found" };
    format!("{place}: {}, with {:.2} % of all power beyond the need ({exact})", choice.roles.join(" + "), choice.excess * 100.0)
}

fn replaces(removable: bool, outline: &Outline) -> String {
    let when = if removable { "after the roles are in use" } else { "not before the logs show enough: see the notes" };
    let mut out = format!("\nStanding access that it replaces; take it away {when}\n");
    outline.replaces.iter().for_each(|line| out.push_str(&format!("  {}\n", printable(line))));
    if outline.replaces.is_empty() {
        out.push_str("  none\n");
    }
    out
}

fn notes(outline: &Outline) -> String {
    let lines: String = outline.notes.iter().map(|note| format!("  {}\n", printable(note))).collect();
    if lines.is_empty() { lines } else { format!("\nKnow before you apply it\n{lines}") }
}
