//! The kinds as their users meet them: examples that apply and are judged, schemas that refuse by name, `explain` that teaches.
use crate::shared::without_operator;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, eventually, path, root};

mod docs;
mod examples;
mod lengths;
mod organisation;

/// Applies `yaml` as admin, strictly, and gives back the refusal.
async fn refused(yaml: &str) -> Result<String> {
    without_operator().await?.admin()?.api_stdin(&["apply", "--validate=strict", "-f", "-"], yaml).await?.refused()
}

/// An example with one thing exchanged.
fn changed(file: &str, from: &str, to: &str) -> Result<String> {
    let text = std::fs::read_to_string(root().join("examples").join(file))?;
    let first = text.split("\n---\n").find(|d| d.contains(from)).with_context(|| format!("{file} has no {from:?}"))?;
    Ok(first.replacen(from, to, 1))
}

#[tokio::test]
async fn what_the_schema_refuses_it_refuses_by_name() -> Result<()> {
    let table = [
        ("api/roletemplate.yaml", "permissions:\n", "permisions: {}\n  permissions:\n", "permisions"),
        ("api/roletemplate.yaml", "quorum: 1", "quorum: one", "quorum"),
        ("api/roletemplate.yaml", "quorum: 1", "quorum: 0", "quorum"),
        ("api/roletemplate.yaml", "ticket: {none: {}}", "ticket: {none: {}, pattern: x}", "ticket"),
        ("api/roletemplate.yaml", "mfa: {none: {}}", "mfa: {}", "mfa"),
        ("api/roletemplate.yaml", "max: 4h", "max: 4 hours", "spec.activation.duration.max"),
        ("api/roletemplate.yaml", "max: 4h", "max: 0h", "spec.activation.duration.max"),
        ("api/roletemplate.yaml", "default: 1h", "default: 5h", "default must not be longer than max"),
        ("api/roletemplate.yaml", "[{group: payments-leads}, {user: carol@example.com}]", "[]", "approvers"),
        ("api/roletemplate.yaml", "{group: payments-leads}", "{group: 'system:masters'}", "reserved for Kubernetes"),
        ("api/accesspolicy.yaml", "  scope: # required", "  scop: # required", "scop"),
        ("api/accesspolicy.yaml", "{group: payments-devs}", "{user: 'system:admin'}", "reserved for Kubernetes"),
        ("api/accesspolicy.yaml", "eligibility: 365d", "eligibility: 365", "eligibility"),
        ("api/eligibleassignment.yaml", "{group: payments-devs}", "{group: a, user: b}", "subject"),
        ("api/eligibleassignment.yaml", "{group: payments-devs}", "{group: 'system:authenticated'}", "reserved for Kubernetes"),
        ("api/eligibleassignment.yaml", "end: \"2026-12-31T00:00:00Z\"", "end: \"2025-12-31T00:00:00Z\"", "start must be before end"),
        (
            "api/eligibleassignment.yaml",
            "end: \"2026-12-31T00:00:00Z\"",
            "end: \"2026-01-01T00:04:59Z\"",
            "an assignment lasts at least 5m",
        ),
        ("api/curfewconfig.yaml", "{name: curfew}", "{name: other}", "its name is curfew"),
        ("api/curfewconfig.yaml", "[mfa, otp", "['mfa,pwd', otp", "must be one value of a claim"),
        ("api/curfewconfig.yaml", "[mfa, otp", "['mfa pwd', otp", "must be one value of a claim"),
        ("api/curfewconfig.yaml", "[mfa, otp", "['m\\fa', otp", "must be one value of a claim"),
        ("api/roletemplate.yaml", "authenticationContext: c1", "authenticationContext: '[c1]'", "must be one value of a claim"),
        ("api/activationrequest.yaml", "  duration: 45m", "  recurrence: weekly\n  duration: 45m", "recurrence"),
    ];
    for (file, from, to, names) in table {
        let refusal = refused(&changed(file, from, to)?).await?;
        ensure!(refusal.contains(names), "{file} with {to:?}: expected {names:?} in: {refusal}");
    }
    Ok(())
}

/// One field of each kind and form; a unit test of the kinds enumerates all of them. YAML in double quotes, so that the character
/// arrives as it is.
#[tokio::test]
async fn texts_and_names_are_visible() -> Result<()> {
    let (admin, create) = (without_operator().await?.admin()?, ["create", "--dry-run=server", "-f", "-"]);
    let fields = [
        ("eligibleassignment", "{group: payments-devs}", "{group: \"@\"}", "spec.subject.group", false),
        ("eligibleassignment", "justification: on-call rotation", "justification: \"@\"", "spec.justification", true),
        ("accesspolicy", "{group: payments-devs}", "{user: \"@\"}", "spec.eligible[0].user", false),
        ("roletemplate", "{user: carol@example.com}", "{user: \"@\"}", "approvers[1].user", false),
        ("roletemplate", "name: owners", "name: \"@\"", "stages[0].name", false),
        ("authorizationsystem", "displayName: Production cluster", "displayName: \"@\"", "spec.displayName", false),
        ("curfewconfig", "aliases: {none: {}}", "aliases: {keys: [\"@\"]}", "spec.identity.aliases.keys[0]", false),
        ("curfewconfig", "[authentication.kubernetes.io/credential-id]", "[\"@\"]", "deciderProof.keys[0]", false),
        ("activationrequest", "number: INC-4711", "number: \"@\"", "spec.ticket.number", false),
        ("activationrequest", "justification: roll back release 2311", "justification: \"@\"", "spec.justification", true),
        ("accessdecision", "comment: go ahead", "comment: \"@\"", "spec.comment", true),
    ];
    let invisible = [r"devs\u0000", r"\u001b[2Jdevs", r"de\u200bvs", r"\u202edevs", r"devs\u2028", r"devs\r", r"\ufe0f"];
    let blank = [r"\u200b", "  ", r"\u3000", r"\u2800"];
    for (file, from, to, field, several_lines) in fields {
        let with = |text: &str| changed(&format!("api/{file}.yaml"), from, &to.replace('@', text));
        for text in invisible.iter().chain(&blank) {
            let refusal = admin.api_stdin(&create, &with(text)?).await?.refused()?;
            ensure!(refusal.contains(field) && refusal.contains("visible characters"), "{file} {field} {text:?}: {refusal}");
        }
        let lines = admin.api_stdin(&create, &with(r"one\ntwo")?).await?;
        let refused = lines.stderr.contains("must be one line");
        ensure!(refused != several_lines, "{file} {field}: several lines: {}", lines.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn what_a_decision_must_say() -> Result<()> {
    let carol = without_operator().await?.carol()?;
    for (from, to, names) in [
        ("digest: 7f3a9c21d0b4e6f1", "comment2: x", "comment2"),
        ("  digest: 7f3a9c21d0b4e6f1", "  #", "digest is required to Approve"),
        ("digest: 7f3a9c21d0b4e6f1", "digest: ABC", "digest"),
        ("decision: Approve", "decision: Maybe", "decision"),
        ("decision: Approve", "decision: Abandon", "Abandon is about a grant"),
        ("{activationRequest: {name: payments-viewer-x7k2p}}", "{}", "about"),
    ] {
        let yaml = changed("api/accessdecision.yaml", from, to)?;
        let refusal = carol.api_stdin(&["create", "--validate=strict", "-f", "-"], &yaml).await?.refused()?;
        ensure!(refusal.contains(names), "{to:?}: expected {names:?} in: {refusal}");
    }
    Ok(())
}

#[tokio::test]
async fn another_target_is_another_system() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    let other = r#"{"spec": {"provider": {"kubernetes": {"inCluster": null, "kubeconfigSecretRef": {"name": "a", "key": "b"}}}}}"#;
    let refusal = admin.api(&["patch", "authsys", "this-cluster", "--type=merge", "-p", other]).await?.refused()?;
    ensure!(refusal.contains("provider is immutable"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn a_raw_post_with_a_typo_opens_no_door() -> Result<()> {
    // A client that does not validate strictly: the unknown field is pruned, and what protects is missing then.
    let admin = without_operator().await?.admin()?;
    let yaml = changed("api/roletemplate.yaml", "  scope: # required", "  scpe: # required")?;
    let refusal = admin.api_stdin(&["apply", "--validate=ignore", "-f", "-"], &yaml).await?.refused()?;
    ensure!(refusal.contains("spec.scope"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn explain_teaches_every_kind() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    for (what, words) in [
        ("curfewconfig.spec.ceilings", "longest"),
        ("authorizationsystem.spec.mode", "never grants"),
        ("accesspolicy.spec.min.approval", "approv"),
        ("roletemplate.spec.activation.approval.stages.quorum", "distinct people"),
        ("eligibleassignment.spec.window", "permanent"),
        ("activationrequest.spec.requester", "leave it out"),
        ("accessdecision.spec.digest", "kubectl get areq -o wide"),
        ("grant.spec.expiresAt", "only move earlier"),
    ] {
        let text = eventually(&format!("explain {what}"), SOON, || async { Ok(Some(admin.kubectl(&["explain", what]).await?.success()?)) })
            .await?;
        ensure!(text.contains(words), "{what}: expected {words:?} in: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn the_plain_files_of_deploy_apply() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    for dir in ["crds", "deploy"] {
        admin.kubectl(&["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &path(dir)]).await?.success()?;
    }
    Ok(())
}
