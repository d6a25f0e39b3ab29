//! Terminating is not gone: if anything holds a binding, a Job or a namespace, the access still ends, and by no right beyond the
//! operator's own.
use super::{active, ends};
use anyhow::Result;
use curfew_testkit::{SOON, World};

const HELD: &str = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;

/// One cluster for each, because the namespace goes.
#[tokio::test]
async fn a_foreign_finalizer_keeps_nothing_alive() -> Result<()> {
    let (w, _operator) = World::running("held").await?;
    let (alice, admin) = (w.alice()?, w.admin()?);
    // Only an identity that the admission policy exempts can add one, as a user could before it was in force.
    let beyond = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let mut marks = Vec::new();
    for (kind, name) in [("job", "on-job"), ("rolebinding", "on-binding")] {
        active(&w, &alice, "payments-admin", name, "1h").await?;
        let grant = w.field(&["areq", "-n", "payments", name], "{.status.grantRef.name}").await?;
        let mark = format!("curfew.dev/grant={grant}");
        let object = w.field(&[kind, "-n", "payments", "-l", &mark], "{.items[0].metadata.name}").await?;
        beyond.api(&["patch", kind, "-n", "payments", &object, "--type=merge", "-p", HELD]).await?.success()?;
        alice.api(&["delete", "areq", "-n", "payments", name]).await?.success()?;
        ends(&w, &alice, SOON, &format!("a finalizer {name} keeps the access")).await?;
        w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
        marks.push(mark);
    }
    for mark in marks {
        for kind in ["rolebinding", "job"] {
            let all = [kind, "-n", "payments", "-l", &mark];
            w.field_fits(&all, "{.items[*].metadata.name}", "to be nothing", SOON, str::is_empty).await?;
        }
    }
    // A namespace that cannot go.
    active(&w, &alice, "payments-admin", "in-namespace", "1h").await?;
    let grant = w.field(&["areq", "-n", "payments", "in-namespace"], "{.status.grantRef.name}").await?;
    admin.api(&["create", "configmap", "-n", "payments", "held"]).await?.success()?;
    admin.api(&["patch", "configmap", "-n", "payments", "held", "--type=merge", "-p", HELD]).await?.success()?;
    admin.api(&["delete", "namespace", "payments", "--wait=false"]).await?.success()?;
    ends(&w, &alice, SOON, "a namespace that cannot go keeps the access").await?;
    w.field_is(&["grt", &grant], "{.status.state}", "Ended").await?;
    let phase = w.field(&["namespace", "payments"], "{.status.phase}").await?;
    assert_eq!(phase, "Terminating", "it is there all the while");
    admin
        .api(&["patch", "configmap", "-n", "payments", "held", "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#])
        .await?
        .success()?;
    Ok(())
}
