//! Access lives on while the next version is served, becomes the stored one, and goes again.
use super::{
    BESIDE, NEXT, STORED, apply, crds, create, enforced_since, migrate, next, not_enforced, read, since, stored_versions, with_next,
};
use crate::story::{decide, request};
use anyhow::{Context, Result, ensure};
use curfew::{api::VERSION, authority::Clock};
use curfew_core::time::Time;
use curfew_testkit::{SOON, User, World};
use serde_json::json;
use std::time::Duration;

/// What must not change about a live access.
async fn identity(admin: &User, version: &str, name: &str) -> Result<String> {
    let request = "{.metadata.uid} {.status.digest} {.status.expiresAt} {.status.state} {.status.grantRef.name}";
    let request = read(admin, version, "activationrequests", &["-n", "payments", name], request).await?;
    let grant = request.rsplit(' ').next().context("no Grant")?.to_owned();
    let shown =
        read(admin, version, "grants", &[&grant], "{.metadata.uid} {.spec.digest} {.spec.expiresAt} {.status.state} {.spec.plan}").await?;
    Ok(format!("{request} {shown}"))
}

/// Uses the access until its deadline: it must be there, and must be gone soon afterwards.
async fn held_until(who: User, deadline: Time) -> Result<()> {
    let clock = Clock::default();
    loop {
        let sent = clock.now();
        let allowed = who.can_read_secret("payments", "db").await?;
        ensure!(
            allowed || clock.now() >= deadline,
            "{}: no access {} ms before its deadline",
            who.name,
            deadline.millis_since(clock.now())
        );
        ensure!(
            !allowed || sent.millis_since(deadline) < 8_000,
            "{}: access {} ms after its deadline",
            who.name,
            sent.millis_since(deadline)
        );
        if !allowed {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn active(w: &World, who: &User, name: &str, duration: &str) -> Result<Time> {
    who.apply(&request(name, duration)).await?.success()?;
    w.state_is(name, "AwaitingApproval").await?;
    decide(w, &w.carol()?, name, "Approve").await?;
    w.state_is(name, "Active").await?;
    w.access_is(who, true, SOON).await?;
    let ends = w.field(&["areq", "-n", "payments", name], "{.status.expiresAt}").await?;
    Time::parse(&ends).with_context(|| format!("{ends} is not a time"))
}

#[tokio::test(flavor = "multi_thread")]
async fn access_lives_on_while_the_stored_version_changes_both_ways() -> Result<()> {
    let (w, _operator) = World::running("versions-live").await?;
    let (admin, alice, bob) = (w.admin()?, w.alice()?, w.cp.user("bob@example.com", &["payments-devs"])?);
    let deadline = active(&w, &alice, "lives", "1h").await?;
    let held = tokio::spawn(held_until(alice.clone(), deadline));
    let before = identity(&admin, VERSION, "lives").await?;

    // Another version without the rules of this one: what is written through it is not bound by them, so nothing is granted.
    let loose = crds(|crd| {
        let mut loose = crd["spec"]["versions"][0].clone();
        (loose["name"], loose["storage"]) = (json!(NEXT), json!(false));
        // They need a schema.
        drop(loose.as_object_mut().map(|loose| loose.remove("selectableFields")));
        loose["schema"] = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        crd["spec"]["versions"] = json!([crd["spec"]["versions"][0], loose]);
    })?;
    apply(&admin, &loose, &[VERSION, NEXT]).await?;
    not_enforced(&w, "spec.versions[1].schema").await?;

    // The next version beside this one: this build proves admission, and grants what is asked through either.
    let proof = since(&w).await?;
    apply(&admin, &with_next(BESIDE)?, &[VERSION, NEXT]).await?;
    enforced_since(&w, &proof).await?;
    ensure!(identity(&admin, NEXT, "lives").await? == before, "another object through {NEXT}");
    create(&bob, &next(&request("asked-next", "25s"))).await?.success()?;
    w.state_is("asked-next", "AwaitingApproval").await?;
    let digest = read(&admin, NEXT, "activationrequests", &["-n", "payments", "asked-next"], "{.status.digest}").await?;
    let approval = format!(
        "{{apiVersion: curfew.dev/{NEXT}, kind: AccessDecision, metadata: {{name: next, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: asked-next}}}}, digest: '{digest}', decision: Approve}}}}"
    );
    create(&w.carol()?, &approval).await?.success()?;
    w.access_is(&bob, true, SOON).await?;
    let ends = w.field(&["areq", "-n", "payments", "asked-next"], "{.status.expiresAt}").await?;
    let short = tokio::spawn(held_until(bob, Time::parse(&ends).with_context(|| format!("{ends} is not a time"))?));

    // The next version becomes the stored one, and everything is written again.
    let proof = since(&w).await?;
    apply(&admin, &with_next(STORED)?, &[VERSION, NEXT]).await?;
    migrate(&admin, NEXT).await?;
    for kind in ["grants", "activationrequests"] {
        let stored = stored_versions(&w, kind).await?;
        ensure!(!stored.is_empty() && stored.iter().all(|v| *v == format!("curfew.dev/{NEXT}")), "{kind}: {stored:?}");
    }
    ensure!(identity(&admin, VERSION, "lives").await? == before, "the migration has changed an access");
    enforced_since(&w, &proof).await?;

    // And back, to the CRDs of this build.
    let proof = since(&w).await?;
    let own = crds(|_| ())?;
    let refusal = admin.kubectl_stdin(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &own[0].to_string()).await?.refused()?;
    ensure!(refusal.contains("must remain in spec.versions"), "a stored version can be taken away: {refusal}");
    apply(&admin, &with_next(BESIDE)?, &[VERSION, NEXT]).await?;
    migrate(&admin, VERSION).await?;
    apply(&admin, &own, &[VERSION]).await?;
    for kind in ["grants", "activationrequests"] {
        let stored = stored_versions(&w, kind).await?;
        ensure!(!stored.is_empty() && stored.iter().all(|v| *v == format!("curfew.dev/{VERSION}")), "{kind}: {stored:?}");
    }
    ensure!(identity(&admin, VERSION, "lives").await? == before, "the way back has changed an access");
    short.await??;
    w.state_is("asked-next", "Expired").await?;
    enforced_since(&w, &proof).await?;
    // It ends by a Revoke, as any other; until then each read was allowed.
    ensure!(!held.is_finished(), "{:?}", held.await);
    held.abort();
    decide(&w, &w.carol()?, "lives", "Revoke").await?;
    w.access_is(&alice, false, SOON).await
}
