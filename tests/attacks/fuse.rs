//! The operator is dead, the deadline comes, and the grantee has used the access to keep the access: seven ways that worked
//! while nothing guarded the fuse.
use super::{active, ends, offer, resisted, unprotected};
use anyhow::Result;
use curfew_testkit::{Operator, Output, SOON, User, World, eventually};
use futures::future::{join_all, try_join_all};
use std::time::Duration;

/// What the holder of a role does to keep it.
struct Attack {
    who: &'static str,
    role: &'static str,
    name: &'static str,
}

const ATTACKS: &[Attack] = &[
    Attack { who: "raises", role: "edit", name: "raises the Job's deadline" },
    Attack { who: "suspends", role: "edit", name: "suspends the Job" },
    Attack { who: "orphans", role: "edit", name: "deletes the Job and orphans the binding" },
    Attack { who: "adopts", role: "edit", name: "gives the Job a Pod that it cannot take" },
    Attack { who: "finalizes", role: "admin", name: "puts a finalizer on the binding" },
    Attack { who: "coowns", role: "admin", name: "adds a second owner to the binding" },
    Attack { who: "depends", role: "admin", name: "makes both own what cannot go" },
];

async fn strike(w: &World, who: &User, attack: &Attack) -> Result<Output> {
    let grant = w.field(&["areq", "-n", "payments", attack.who], "{.status.grantRef.name}").await?;
    let job = format!("curfew-{grant}-0");
    let mark = format!("curfew.dev/grant={grant}");
    let binding = w.field(&["rolebinding", "-n", "payments", "-l", &mark], "{.items[0].metadata.name}").await?;
    let patch = |kind: &'static str, name: String, patch: String| async move {
        who.api(&["patch", kind, "-n", "payments", &name, "--type=merge", "-p", &patch]).await
    };
    match attack.who {
        "raises" => patch("job", job, r#"{"spec": {"activeDeadlineSeconds": 31536000}}"#.into()).await,
        "suspends" => patch("job", job, r#"{"spec": {"suspend": true}}"#.into()).await,
        "orphans" => who.api(&["delete", "job", "-n", "payments", &job, "--cascade=orphan"]).await,
        "finalizes" => patch("rolebinding", binding, r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#.into()).await,
        "depends" => depend(w, who, &binding, &job).await,
        "adopts" => orphan(w, who, &job).await,
        _ => {
            who.api(&["create", "configmap", "-n", "payments", "anchor"]).await?.success()?;
            let uid = w.field(&["configmap", "-n", "payments", "anchor"], "{.metadata.uid}").await?;
            let job_uid = w.field(&["job", "-n", "payments", &job], "{.metadata.uid}").await?;
            let owners = format!(
                r#"{{"metadata": {{"ownerReferences": [{{"apiVersion": "batch/v1", "kind": "Job", "name": "{job}", "uid": "{job_uid}"}}, {{"apiVersion": "v1", "kind": "ConfigMap", "name": "anchor", "uid": "{uid}"}}]}}}}"#
            );
            patch("rolebinding", binding, owners).await
        }
    }
}

/// The Job's controller adopts what its selector finds before it looks at any deadline. What it may not adopt stops it there, and
/// what it adopts and cannot delete is waited for.
async fn orphan(w: &World, who: &User, job: &str) -> Result<Output> {
    let selector = w.field(&["job", "-n", "payments", job], "{.spec.selector.matchLabels}").await?;
    let pod = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: orphan, namespace: payments, labels: {selector}, finalizers: [example.com/mine]}}, \
         spec: {{schedulingGates: [{{name: example.com/never}}], containers: [{{name: a, image: a}}]}}}}"
    );
    who.create(&pod).await
}

/// The Job is deleted in the foreground when it has ended, and so what it owns: each waits for what names it as its owner.
async fn depend(w: &World, who: &User, binding: &str, job: &str) -> Result<Output> {
    let mut last = None;
    for (i, (group, kind, name)) in [("rbac.authorization.k8s.io", "RoleBinding", binding), ("batch", "Job", job)].iter().enumerate() {
        let uid = w.field(&[kind, "-n", "payments", name], "{.metadata.uid}").await?;
        let held = format!(
            "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: held-{i}, namespace: payments, finalizers: [example.com/mine], ownerReferences: \
             [{{apiVersion: {group}/v1, kind: {kind}, name: '{name}', uid: {uid}, blockOwnerDeletion: true}}]}}}}"
        );
        last = Some(who.create(&held).await?);
    }
    last.ok_or_else(|| anyhow::anyhow!("nothing was tried"))
}

/// Waits until half a minute past this grant's own deadline for its end.
async fn in_time(w: &World, a: &Attack, user: &User) -> Result<()> {
    let deadline: jiff::Timestamp = w.field(&["areq", "-n", "payments", a.who], "{.status.expiresAt}").await?.parse()?;
    let left = deadline.duration_since(jiff::Timestamp::now()) + jiff::SignedDuration::from_secs(30);
    w.access_is(user, false, left.try_into()?).await
}

#[tokio::test]
async fn the_fuse_ends_what_its_holder_tries_to_keep() -> Result<()> {
    let (w, operator) = World::running("fuse").await?;
    for role in ["edit", "admin"] {
        offer(&w, role, ", persistence: true").await?;
    }
    let people: Vec<User> =
        ATTACKS.iter().map(|a| w.cp.user(&format!("{}@example.com", a.who), &["payments-devs"])).collect::<Result<_>>()?;
    // All at once: the first attacker must still hold it when the last one strikes.
    let hold = |(a, user)| {
        let (w, a, user): (&World, &Attack, &User) = (&w, a, user);
        async move {
            active(w, user, a.role, a.who, "75s").await?;
            w.field_is(&["areq", "-n", "payments", a.who], "{.status.enforcedBy}", "Target").await
        }
    };
    try_join_all(ATTACKS.iter().zip(&people).map(hold)).await?;
    operator.kill();
    unprotected(&w, "curfew-marks").await?;
    unprotected(&w, "curfew-owners").await?;
    // Without a protection all of them strike, and what counts is who keeps the access.
    let unguarded = ["CURFEW_WITHOUT", "CURFEW_BIN"].iter().any(|v| std::env::var_os(v).is_some());
    for (a, user) in ATTACKS.iter().zip(&people) {
        let outcome = strike(&w, user, a).await?;
        resisted(
            !outcome.ok && outcome.stderr.contains("only Curfew may change objects that it created"),
            &format!("{} {}: {}{}", a.who, a.name, outcome.stdout, outcome.stderr),
        )
        .or_else(|e| if unguarded { Ok(()) } else { Err(e) })?;
    }
    // No operator runs: half a minute after the deadline the fuse has burned.
    let ended = join_all(ATTACKS.iter().zip(&people).map(|(a, user)| in_time(&w, a, user))).await;
    let kept: Vec<&str> = ATTACKS.iter().zip(ended).filter(|(_, ended)| ended.is_err()).map(|(a, _)| a.name).collect();
    resisted(kept.is_empty(), &format!("the access is kept by who {}", kept.join(", and who ")))?;
    // Nothing is left over, and the operator's return finds that out.
    let _back = w.operator("back").await?;
    for a in ATTACKS {
        w.state_is(a.who, "Expired").await?;
    }
    let left = w.field(&["jobs", "-n", "payments"], "{.items[*].metadata.name}").await?;
    assert_eq!(left, "", "no Job is left");
    Ok(())
}

#[tokio::test]
async fn a_label_is_not_taken_off_and_a_fuse_that_does_not_burn_is_not_claimed() -> Result<()> {
    let (w, _operator) = World::running("marks").await?;
    offer(&w, "admin", ", persistence: true").await?;
    let user = w.cp.user("unmarks@example.com", &["payments-devs"])?;
    active(&w, &user, "admin", "unmarks", "1h").await?;
    w.field_is(&["areq", "-n", "payments", "unmarks"], "{.status.enforcedBy}", "Target").await?;
    let grant = w.field(&["areq", "-n", "payments", "unmarks"], "{.status.grantRef.name}").await?;
    let job = format!("curfew-{grant}-0");
    unprotected(&w, "curfew-marks").await?;
    unprotected(&w, "curfew-owners").await?;
    for (kind, name) in [("rolebinding", binding_of(&w, &grant).await?), ("job", job.clone())] {
        let out = user.api(&["label", kind, "-n", "payments", &name, "curfew.dev/grant-"]).await?;
        resisted(!out.ok, &format!("the label of a {kind} was taken off"))?;
    }
    // An identity that the admission policy exempts (the operator's own account) stretches the fuse: it is not claimed any more.
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let stretch = r#"{"spec": {"activeDeadlineSeconds": 31536000}}"#;
    operator.api(&["patch", "job", "-n", "payments", &job, "--type=merge", "-p", stretch]).await?.success()?;
    let told = w.field_is(&["areq", "-n", "payments", "unmarks"], "{.status.enforcedBy}", "Curfew").await;
    resisted(told.is_ok(), "a fuse that was stretched is claimed")?;
    // Deleting a binding is open to whom RBAC allows it: it only takes access away, and the grant ends.
    user.api(&["delete", "rolebinding", "-n", "payments", &binding_of(&w, &grant).await?]).await?.success()?;
    w.state_is("unmarks", "Revoked").await?;
    w.field_fits(&["jobs", "-n", "payments"], "{.items[*].metadata.name}", "to be nothing", SOON, str::is_empty).await
}

async fn binding_of(w: &World, grant: &str) -> Result<String> {
    w.field(&["rolebinding", "-n", "payments", "-l", &format!("curfew.dev/grant={grant}")], "{.items[0].metadata.name}").await
}

/// An end that comes before the deadline is stored, and the operator is killed before it has deleted the binding. Nobody has to
/// wait for the deadline that the fuse was made for.
#[tokio::test]
async fn an_end_that_comes_early_needs_no_operator() -> Result<()> {
    let w = World::first("early").await?;
    let alice = w.alice()?;
    for (name, point) in [("revoked", "after:BringForward"), ("deleted", "after:BringForward"), ("widened", "after:CommitGrant")] {
        let first = stands_alone(&w, &format!("{name}-0"), if name == "widened" { "" } else { point }).await?;
        active(&w, &alice, "payments-admin", name, "1h").await?;
        let grant = w.field(&["areq", "-n", "payments", name], "{.status.grantRef.name}").await?;
        let mut victim = first;
        match name {
            "revoked" => crate::story::decide(&w, &alice, name, "Revoke").await?,
            "deleted" => alice.api(&["delete", "areq", "-n", "payments", name, "--wait=false"]).await?.success().map(drop)?,
            _ => {
                victim.kill();
                victim = stands_alone(&w, "widened-1", point).await?;
                let more = r#"{"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice@example.com"},
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory@example.com"}]}"#;
                let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
                let binding = binding_of(&w, &grant).await?;
                operator.api(&["patch", "rolebinding", "-n", "payments", &binding, "--type=merge", "-p", more]).await?.success()?;
            }
        }
        eventually(&format!("the operator to be parked {point}"), SOON, || async { Ok(victim.is_stopped().then_some(())) }).await?;
        victim.kill();
        ends(&w, &alice, Duration::from_secs(10), &format!("access that was {name} lasts until the fuse's old deadline")).await?;
        // The end is told as it was meant, and nothing is left for the next case.
        let back = stands_alone(&w, &format!("{name}-back"), "").await?;
        w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
        back.kill();
    }
    Ok(())
}

/// An operator that leads at once: those before it were killed and still hold the lease.
async fn stands_alone(w: &World, name: &str, park_at: &str) -> Result<Operator> {
    w.admin()?.api(&["delete", "lease", "-n", "curfew-system", "--all"]).await?.success()?;
    let operator = w.operator_with(name, &[("CURFEW_PARK_AT", park_at)]).await?;
    w.granting().await?;
    Ok(operator)
}
