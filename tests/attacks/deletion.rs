//! Any object that a grant depends on is deleted or suspended, in any order: the access ends within seconds, and nothing hangs.
use super::{active, ends, resisted};
use crate::story::decide;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, World, path};
use std::time::Duration;

#[tokio::test]
async fn the_crds_go_and_the_access_with_them() -> Result<()> {
    let (w, _operator) = World::running("crds").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    active(&w, &alice, "payments-admin", "held", "1h").await?;
    // The ledger's own kind first: nobody else's deletion ends what it tells of.
    let ledger = ["delete", "crd", "grants.curfew.dev", "--timeout=90s"];
    admin.api(&ledger).await?.success().context("deleting the CRD of Grants hangs")?;
    ends(&w, &alice, SOON, "without its CRDs the access stays").await?;
    let all = ["delete", "-f", &path("crds"), "--ignore-not-found", "--timeout=90s"];
    admin.kubectl(&all).await?.success().context("deleting the CRDs hangs")?;
    let left = w.field(&["rolebinding", "-n", "payments", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

#[tokio::test]
async fn the_operators_own_namespace_goes_and_the_fuse_ends_the_access() -> Result<()> {
    let (w, _operator) = World::running("homeless").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    active(&w, &alice, "payments-admin", "held", "30s").await?;
    admin.api(&["delete", "namespace", "curfew-system", "--timeout=60s"]).await?.success()?;
    // Its service account is gone, and with it every right of the operator that still runs.
    ends(&w, &alice, Duration::from_secs(75), "with the operator's namespace deleted the access outlives its deadline").await
}

#[tokio::test]
async fn a_system_goes_only_after_its_grants_and_a_request_may_vanish_at_any_time() -> Result<()> {
    let (w, _operator) = World::running("order").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    active(&w, &alice, "payments-admin", "held", "1h").await?;
    let grant = w.field(&["areq", "-n", "payments", "held"], "{.status.grantRef.name}").await?;
    // Everything at once, the ledger's own object included; only the operator may delete that one for good.
    let refused = admin.api(&["delete", "grant", &grant, "--wait=false"]).await?.refused()?;
    ensure!(refused.contains("written by the operator alone"), "{refused}");
    let all: &[&[&str]] = &[
        &["delete", "authsys", "this-cluster", "--timeout=60s"],
        &["delete", "apol", "payments"],
        &["delete", "rtpl,eas", "-n", "payments", "--all"],
        &["delete", "areq", "-n", "payments", "--all"],
    ];
    for args in all {
        admin.api(args).await?.success().with_context(|| format!("{args:?} hangs"))?;
    }
    ends(&w, &alice, SOON, "everything it rests on is gone, and the access is there").await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
    for file in ["platform", "team"] {
        admin.api(&["apply", "-f", &path(&format!("examples/first/{file}.yaml"))]).await?.success()?;
    }
    w.granting().await?;
    // A request that vanishes between any two steps: it is deleted the moment it is approved, again and again.
    for i in 0..6u64 {
        let name = format!("gone-{i}");
        alice.apply(&super::asks("payments-admin", &name, "1h", "")).await?.success()?;
        w.state_is(&name, "AwaitingApproval").await?;
        let carol = w.carol()?;
        let vanish = async {
            // Each a little later than the one before: somewhere between approval and access, and the last one after it.
            tokio::time::sleep(Duration::from_millis(400 * i)).await;
            if i == 5 {
                w.state_is(&name, "Active").await?;
            }
            alice.api(&["delete", "areq", "-n", "payments", &name]).await?.success().map(drop)
        };
        let (said, gone) = tokio::join!(decide(&w, &carol, &name, "Approve"), vanish);
        drop(said);
        gone?;
        ends(&w, &alice, SOON, "a request that vanished has left its access").await?;
    }
    let ended = |states: &str| states.split(' ').all(|s| s == "Ended" || s.is_empty());
    w.field_fits(&["grt"], "{.items[*].status.state}", "to be all Ended", SOON, ended).await?;
    resisted(!alice.can_read_secret("payments", "db").await?, "a Grant whose request vanished gives access")
}
