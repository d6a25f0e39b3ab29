//! The reference pages of `docs/reference/`: a page for each kind from its CRD, and the reasons and metrics from where they are declared.
use crate::{
    api,
    observe::{Metrics, StateLabel},
};
use curfew_core::reason::Reason;
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

const HEADER: &str = "<!-- Generated from code by `make generate`; edits are lost. -->\n";
/// The folder of these pages. It holds generated files alone.
pub const FOLDER: &str = "docs/reference/api";
/// Rules that every text or duration has are explained once, on the first page, and not in each row.
const COMMON_RULES: [&str; 4] = ["must be one line", "must be a text", "must match", "one value of a claim"];

/// Returns the reference pages, by path.
pub fn files() -> BTreeMap<PathBuf, String> {
    let root = PathBuf::from(FOLDER);
    let crds: Vec<Value> = api::crds().iter().map(|crd| serde_json::to_value(crd).expect("a CRD is JSON")).collect();
    let mut files: BTreeMap<PathBuf, String> = crds.iter().map(|crd| (root.join(file(crd)), kind_page(crd))).collect();
    files.insert(root.join("README.md"), index(&crds));
    files.insert(root.join("reasons.md"), reasons());
    files.insert(root.join("metrics.md"), metrics(&exposed()));
    files
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn file(crd: &Value) -> String {
    format!("{}.md", text(&crd["spec"]["names"]["singular"]))
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn index(crds: &[Value]) -> String {
    let mut page = format!(
        "{HEADER}# Kinds\n\nGroup `{}`. `kubectl explain` prints the same descriptions.\n\n| Kind | Short name | Scope | What it is |\n|---|---|---|---|\n",
        api::GROUP
    );
    for crd in crds {
        let names = &crd["spec"]["names"];
        let description = text(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"]);
        let first = description.split_once(". ").map_or(description.trim_end_matches('.'), |(first, _)| first);
        let short = names["shortNames"][0].as_str().map(|short| format!("`{short}`")).unwrap_or_default();
        let _ =
            writeln!(page, "| [{}]({}) | {short} | {} | {} |", text(&names["kind"]), file(crd), text(&crd["spec"]["scope"]), cell(first));
    }
    page.push_str(
        "\nIn the pages of the kinds, a field is optional unless it is marked as required; a member of a list is `[]` in a path.\n\
         \"One of\" means that exactly one of its members is set. Texts and names are of visible characters; a duration is such as\n\
         `45m` or `1h30m`, a period a number of days such as `90d`, a time RFC 3339 in UTC such as `2026-11-23T08:15:00Z`.\n\
         Unknown fields are refused by kubectl; a client that does not validate strictly loses them.\n",
    );
    page
}

fn kind_page(crd: &Value) -> String {
    let (names, version) = (&crd["spec"]["names"], &crd["spec"]["versions"][0]);
    let schema = &version["schema"]["openAPIV3Schema"];
    let mut page = format!("{HEADER}# {}\n\n{}\n\n", text(&names["kind"]), cell(text(&schema["description"])));
    let short = names["shortNames"][0].as_str().map(|short| format!(" or `{short}`")).unwrap_or_default();
    let _ = writeln!(
        page,
        "`{}/{}`, {}, `kubectl get {}`{short}.\n",
        text(&crd["spec"]["group"]),
        text(&version["name"]),
        if crd["spec"]["scope"] == "Cluster" { "of the cluster" } else { "of a namespace" },
        text(&names["plural"]),
    );
    list(&rules(schema), &mut page);
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        if schema["properties"].is_object() {
            let _ = writeln!(page, "## {part}\n\n{}\n", cell(text(&schema["description"])));
            list(&rules(schema), &mut page);
            page.push_str("| Field | Type | What it says |\n|---|---|---|\n");
            rows(schema, part, &mut page);
            page.push('\n');
        }
    }
    columns(version, &mut page);
    page
}

fn list(items: &[String], page: &mut String) {
    for item in items {
        let _ = writeln!(page, "- {item}");
    }
    if !items.is_empty() {
        page.push('\n');
    }
}

fn columns(version: &Value, page: &mut String) {
    page.push_str("## Columns\n\n| Column | From | Shown |\n|---|---|---|\n");
    for column in version["additionalPrinterColumns"].as_array().into_iter().flatten() {
        let shown = if column["priority"].as_i64().unwrap_or_default() > 0 { "with `-o wide`" } else { "always" };
        let _ = writeln!(page, "| {} | `{}` | {shown} |", text(&column["name"]), text(&column["jsonPath"]));
    }
    let selectable: Vec<String> =
        version["selectableFields"].as_array().into_iter().flatten().map(|f| format!("`{}`", text(&f["jsonPath"]))).collect();
    if !selectable.is_empty() {
        let _ = writeln!(page, "\nSelectable with `--field-selector`: {}.", selectable.join(", "));
    }
}

/// What is refused in words. A rule that compares with the stored object is about changes.
fn rules(schema: &Value) -> Vec<String> {
    let all = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    all.filter(|rule| !COMMON_RULES.iter().any(|common| text(&rule["message"]).starts_with(common)))
        .map(|rule| {
            let when = if text(&rule["rule"]).contains("oldSelf") { "**Changes**" } else { "Rule" };
            let missing = text(&rule["message"]);
            format!("{when}: {}.", cell(missing.trim_end()))
        })
        .collect()
}

/// A row for each field below `schema`, each after the field that contains it.
fn rows(schema: &Value, path: &str, page: &mut String) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let (kind, inner, suffix) = described(field);
        let required = if required.contains(&name.as_str()) { ", required" } else { "" };
        let path = format!("{path}.{name}");
        let mut said = vec![cell(text(&field["description"]))];
        if let Some(default) = field.get("default") {
            said.push(format!("Default: `{default}`."));
        }
        said.extend(rules(field));
        let _ = writeln!(page, "| `{path}` | {kind}{required} | {} |", said.join(" ").trim());
        // Lists of the API server's own types are explained there.
        rows(inner, &format!("{path}{suffix}"), page);
    }
}

/// The type of a field in words, the schema of its members, and how a path goes on to them.
fn described(field: &Value) -> (String, &Value, &'static str) {
    if field["items"].is_object() {
        let (kind, inner, suffix) = described(&field["items"]);
        return (format!("list of {kind}"), inner, if suffix.is_empty() { "[]" } else { "[][]" });
    }
    if field["additionalProperties"].is_object() {
        let (kind, inner, _) = described(&field["additionalProperties"]);
        return (format!("map of {kind}"), inner, "{}");
    }
    let kind = match (text(&field["type"]), field["enum"].as_array()) {
        (_, Some(values)) => values.iter().map(|v| format!("`{}`", text(v))).collect::<Vec<_>>().join(" or "),
        ("object", _) if field["maxProperties"] == 1 && field["properties"].as_object().is_some_and(|p| p.len() > 1) => "one of".to_owned(),
        ("", _) if field["x-kubernetes-int-or-string"] == true => "string".to_owned(),
        ("", _) => "any".to_owned(),
        (kind, _) => kind.to_owned(),
    };
    (kind, field, "")
}

/// Reasons that end no request: what is waited for, that all is well, of a system, and why a decision does not count.
const ENDS_NO_REQUEST: [Reason; 15] = [
    Reason::NotProvenYet,
    Reason::TargetUnreachable,
    Reason::Waiting,
    Reason::NotEscalatedYet,
    Reason::AsExpected,
    Reason::DuplicateTarget,
    Reason::SelfDecision,
    Reason::DigestMismatch,
    Reason::AlreadyCounted,
    Reason::NothingToApprove,
    Reason::NothingToReview,
    Reason::AlreadyReviewed,
    Reason::RequestExists,
    Reason::CommentRequired,
    Reason::AlreadyEnded,
];

fn reasons() -> String {
    let mut page = format!(
        "{HEADER}# Reasons\n\n`status.reason` of a request, and the reason of conditions. The message beside it names the object, the value and the\n\
         limit, and what to do. The last column says in which state a request ends for this reason if its access was not active, and in\n\
         which if it was; one state holds for both. A dash: it ends no request, because something is waited for, or because it is about\n\
         another object, such as a decision that does not count.\n\n\
         | Reason | What it means | A request ends as |\n|---|---|---|\n"
    );
    for reason in Reason::ALL {
        let (before, after) = (reason.terminal_state(false), reason.terminal_state(true));
        let ends = match () {
            () if ENDS_NO_REQUEST.contains(reason) => "–".to_owned(),
            () if before == after => format!("`{before:?}`"),
            () => format!("`{before:?}`; `{after:?}` if it was active"),
        };
        let _ = writeln!(page, "| `{reason}` | {} | {ends} |", cell(reason.description()));
    }
    page
}

/// All metrics in the text format. One with labels is there once it has a value.
fn exposed() -> String {
    let metrics = Metrics::default();
    drop(metrics.requests.get_or_create(&StateLabel { state: "Active".into() }));
    metrics.panics.count("request");
    metrics.text()
}

/// A row for each metric, from the descriptions in the text format.
fn metrics(exposed: &str) -> String {
    let mut page = format!(
        "{HEADER}# Metrics\n\nServed at `/metrics` of port 8080 by each replica of the operator and by the process that only revokes. Labels hold states, never\n\
         users or requests. `charts/curfew/alerts.yaml` has the alerts; the [runbooks](../../runbooks/README.md) say what to do. Those of\n\
         `curfew-analytics` are [on a page of their own](../analytics-metrics.md).\n\n\
         | Metric | Type | What it is |\n|---|---|---|\n"
    );
    let kinds: BTreeMap<&str, &str> = exposed.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    for (name, help) in exposed.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' ')) {
        let kind = kinds.get(name).copied().unwrap_or_default();
        let total = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(page, "| `{name}{total}` | {kind} | {} |", cell(help));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_kind_has_a_row_with_a_description() {
        for (path, page) in files() {
            for row in page.lines().filter(|line| line.starts_with("| `spec.")) {
                assert!(!row.ends_with("|  |"), "{}: {row}", path.display());
            }
        }
        let pages = files();
        let role = &pages[&PathBuf::from(FOLDER).join("roletemplate.md")];
        assert!(role.contains("| `spec.activation.approval` | one of, required |"), "{role}");
        assert!(role.contains("| `spec.activation.approval.stages[].quorum` | integer, required |"), "{role}");
        let request = &pages[&PathBuf::from(FOLDER).join("activationrequest.md")];
        assert!(request.contains("**Changes**: a request is immutable"), "{request}");
    }
}
