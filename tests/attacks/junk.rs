//! Objects without sense in any number: they hold up nobody else, and what is due ends even when the operator cannot run.
use super::{at_full_size, ends, resisted};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, World, eventually};
use serde_json::{Value, json};

/// How many grants end while the operator is dead.
fn held() -> usize {
    at_full_size(12, 50)
}
/// Long enough for all of them to begin before the first one ends.
fn duration() -> &'static str {
    at_full_size("40s", "90s")
}
/// How many decisions and requests without sense there are of each.
fn junk() -> usize {
    at_full_size(100, 300)
}

#[tokio::test]
async fn the_process_that_only_revokes_ends_what_is_due_while_the_operator_is_dead() -> Result<()> {
    let (w, operator) = World::running("revoker").await?;
    let revoker = w.revoker("revoker").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    eventually("the revoker to be ready", SOON, || async {
        Ok(revoker.get("/readyz").await?.contains("ok, not granting: this process only revokes").then_some(()))
    })
    .await?;
    w.unapproved_role().await?;
    let asked = (0..held()).map(|i| request("unapproved", &format!("held-{i}"), duration()));
    alice.flood("payments", asked, 8).await?;
    let grants = ["grt"];
    let active = |v: &str| v.split(' ').filter(|state| *state == "Active").count() == held();
    w.field_fits(&grants, "{.items[*].status.state}", "all to be Active", SOON + SOON, active).await?;
    ensure!(alice.can_read_secret("payments", "db").await?);

    // As the kernel does for lack of memory.
    operator.kill();
    cannot_grant(&w).await?;
    let all_ended = |v: &str| v.split(' ').filter(|state| *state == "Ended").count() == held();
    let over = w.field_fits(&grants, "{.items[*].status.state}", "all to be Ended", SOON * 4, all_ended).await;
    resisted(over.is_ok(), "with the operator dead nothing ends")?;
    ends(&w, &alice, SOON, "with the operator dead the access outlives its deadline").await?;
    let times = admin.field(&grants, "{range .items[*]}{.spec.expiresAt} {.status.revokedAt};{end}").await?;
    for one in times.split(';').filter(|one| !one.is_empty()) {
        let (due, ended) = one.split_once(' ').with_context(|| format!("not two times: {one}"))?;
        let late = seconds(ended)? - seconds(due)?;
        // It begins two seconds after the deadline, as a replica without the lease does.
        ensure!((0..=8).contains(&late), "ended {late} s after its deadline: {one}");
    }
    // What it may not read it does not try to read.
    ensure!(!revoker.log().contains("cannot read"), "{}", revoker.log());
    deleted_while_the_operator_is_dead(&w).await
}

/// A Grant that is deleted, which only the operator may do, ends at once and is let go.
async fn deleted_while_the_operator_is_dead(w: &World) -> Result<()> {
    let (alice, operator) = (w.alice()?, w.operator("again").await?);
    let asked = [request("unapproved", "deleted", "1h")];
    alice.flood("payments", asked.into_iter(), 1).await?;
    w.state_is("deleted", "Active").await?;
    let grant = w.field(&["areq", "-n", "payments", "deleted"], "{.status.grantRef.name}").await?;
    operator.kill();
    let account = w.cp.service_account("curfew-system", "curfew-operator").await?;
    account.api(&["delete", "grt", &grant, "--wait=false"]).await?.success()?;
    ends(w, &alice, SOON, "with the operator dead a deleted Grant leaves its access").await?;
    let gone = |names: &str| !names.split(' ').any(|name| name == grant);
    w.field_fits(&["grt"], "{.items[*].metadata.name}", "not to have the Grant", SOON, gone).await
}

/// Its credentials, in other hands: the API server refuses all that would give access.
async fn cannot_grant(w: &World) -> Result<()> {
    let revoker = w.cp.service_account("curfew-system", "curfew-revoker").await?;
    let grant = w.field(&["grt"], "{.items[0].metadata.name}").await?;
    let binding = w.field(&["rolebinding", "-n", "payments", "-l", "curfew.dev/grant"], "{.items[0].metadata.name}").await?;
    let role = "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}";
    let mallory = "[{kind: User, apiGroup: rbac.authorization.k8s.io, name: mallory@example.com}]";
    let new = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: 'curfew:a:b:20300101T000000Z:0', namespace: payments}}, {role}, subjects: {mallory}}}"
    );
    let subjects = r#"{"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory@example.com"}]}"#;
    let merge = "--type=merge";
    let tries: [(&str, &[&str]); 5] = [
        ("arms a binding", &["patch", "rolebinding", "-n", "payments", &binding, merge, "-p", subjects]),
        ("calls a Grant active", &["patch", "grt", &grant, "--subresource=status", merge, "-p", r#"{"status": {"state": "Granting"}}"#]),
        ("moves an end", &["patch", "grt", &grant, merge, "-p", r#"{"spec": {"expiresAt": "2099-01-01T00:00:00Z"}}"#]),
        (
            "proves admission",
            &[
                "patch",
                "curfewconfig",
                "curfew",
                "--subresource=status",
                merge,
                "-p",
                r#"{"status": {"admission": {"since": "2020-01-01T00:00:00Z"}}}"#,
            ],
        ),
        (
            "writes a request's status",
            &["patch", "areq", "-n", "payments", "held-0", "--subresource=status", merge, "-p", r#"{"status": {"state": "Active"}}"#],
        ),
    ];
    for (what, words) in tries {
        let answer = revoker.api(words).await?;
        resisted(!answer.ok, &format!("the account of the process that only revokes {what}"))?;
        let refusal = answer.stderr;
        ensure!(["orbidden", "may only move earlier"].iter().any(|word| refusal.contains(word)), "{what}: {refusal}");
    }
    resisted(!revoker.create(&new).await?.ok, "the account of the process that only revokes creates a binding")
}

#[tokio::test]
async fn a_flood_of_junk_holds_up_nobody_else_and_is_cleared_away() -> Result<()> {
    let (w, operator) = World::running("junk").await?;
    let (alice, bob) = (w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    // What was sent meanwhile arrives at once, bob's request last.
    operator.pause();
    // They are for the same system as bob's, and the operator refuses them: alice may ask for nobody else. Admission does not know that.
    let requests = (0..junk()).map(|i| {
        let mut for_another = request("payments-admin", &format!("junk-{i}"), "1h");
        for_another["spec"]["beneficiary"] = json!({"user": "nobody@example.com"});
        for_another
    });
    let decisions = (0..junk()).map(|i| decision(&format!("junk-{i}"), &format!("nothing-{i}")));
    tokio::try_join!(alice.flood("payments", requests, 8), alice.flood("payments", decisions, 8))?;
    bob.apply(&super::asks("payments-admin", "honest", "1h", "")).await?.success()?;
    operator.resume();
    let all = ["areq", "-n", "payments"];
    let state = |item: &Value| item["status"]["state"].as_str().unwrap_or("Pending").to_owned();
    let waiting = w
        .until(&all, "bob's request to be accepted", SOON * 2, |v| {
            let items = v["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let of = |name: &'static str| {
                items.iter().filter(move |item| item["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(name)))
            };
            let accepted = of("honest").any(|item| state(item) == "AwaitingApproval");
            Ok(accepted.then(|| of("junk-").filter(|item| state(item) == "Pending").count()))
        })
        .await?;
    resisted(waiting > junk() / 2, &format!("{} requests without sense go before another person's", junk() - waiting))?;
    // All are judged, and what was about nothing is deleted after a while.
    let judged = |v: &str| v.split(' ').filter(|state| *state == "Denied").count() == junk();
    w.field_fits(&all, "{.items[*].status.state}", "all to be Denied", SOON * 2, judged).await?;
    w.field_fits(&["adec", "-n", "payments"], "{.items[*].metadata.name}", "to be nothing", SOON * 4, str::is_empty).await?;
    // Bob is a person like any other still.
    crate::story::decide(&w, &w.carol()?, "honest", "Approve").await?;
    w.state_is("honest", "Active").await?;
    w.access_is(&bob, true, SOON).await
}

fn request(role: &str, name: &str, duration: &str) -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "ActivationRequest", "metadata": {"name": name, "namespace": "payments"},
        "spec": {"roleRef": {"name": role}, "duration": duration, "justification": "x".repeat(1024), "ttlAfterFinished": "3650d"},
    })
}

fn decision(name: &str, about: &str) -> Value {
    json!({
        "apiVersion": "curfew.dev/v1alpha1", "kind": "AccessDecision", "metadata": {"name": name, "namespace": "payments"},
        "spec": {"about": {"activationRequest": {"name": about}}, "digest": "0".repeat(64), "decision": "Approve", "comment": "x".repeat(1024)},
    })
}

/// Seconds since the epoch.
fn seconds(time: &str) -> Result<i64> {
    Ok(time.parse::<jiff::Timestamp>()?.as_second())
}
