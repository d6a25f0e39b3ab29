//! The Kubernetes provider against a real API server: what it writes is used, what it takes away is refused, and a write
//! that comes too late comes to nothing. No operator runs: the provider is called by hand, under the operator's own rights.
use crate::contract::artifacts;
use crate::shared::without_operator;
use anyhow::{Context, Result, ensure};
use curfew::{
    authority::{Authority, Clock, Permit},
    providers::{
        Provider, ReserveOutcome, RevokeOutcome,
        kubernetes::{Guard, Kubernetes},
    },
};
use curfew_core::{
    grant::Observation,
    principal::Subject,
    reconcile::Reservation,
    target::{
        Plan, SlotSet,
        kubernetes::{Plan as KubernetesPlan, PlannedBinding, RoleKind},
    },
};
use curfew_testkit::{SOON, World, eventually};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const ALICE: &str = "alice@example.com";

/// A provider without watches, so that it looks live.
async fn provider(w: &World) -> Result<Kubernetes> {
    let client = w.cp.service_account("curfew-system", "curfew-operator").await?.client().await?;
    Ok(Kubernetes::new(client, Arc::new(Clock::default()), None, Guard::probe()))
}

fn permit() -> Result<Permit> {
    let authority = Authority::new(Arc::new(Clock::default()));
    authority.set_lease(Some(Instant::now() + Duration::from_secs(60)));
    authority.set_admission_enforced(true);
    authority.set_synced();
    authority.permit().context("no permit")
}

/// The bindings of a plan of a cluster.
fn bindings(plan: &Plan) -> &KubernetesPlan {
    let Plan::Kubernetes(plan) = plan else { unreachable!("a plan of a cluster") };
    plan
}

/// One binding of the example's role for a user of this test alone.
fn plan(grant: &str, user: &str) -> Plan {
    let binding = PlannedBinding {
        name: format!("curfew:test:{grant}:20300101T000000Z:0"),
        namespace: Some("payments".into()),
        role_kind: RoleKind::ClusterRole,
        role: "payments-admin".into(),
    };
    Plan::Kubernetes(KubernetesPlan { subject: Subject::User(user.into()), bindings: vec![binding], fuse: Default::default() })
}

fn name(plan: &Plan) -> &str {
    let p = bindings(plan);
    &p.bindings[0].name
}

async fn reserved(p: &Kubernetes, grant: &str, plan: &Plan) -> Result<Reservation> {
    match p.reserve(grant, plan, &permit()?).await? {
        ReserveOutcome::Reserved(r) => Ok(r),
        ReserveOutcome::Occupied(what) => anyhow::bail!("occupied: {what}"),
    }
}

async fn can_read(w: &World, user: &str, allowed: bool) -> Result<()> {
    let who = w.cp.user(user, &[])?;
    w.access_is(&who, allowed, SOON).await
}

#[tokio::test]
async fn a_place_gives_nothing_until_it_is_armed_and_nothing_after_it_is_taken_away() -> Result<()> {
    let (w, grant, user) = (without_operator().await?, "00000000000000a1", "a1@example.com");
    let (p, plan) = (provider(w).await?, plan(grant, user));
    let held = reserved(&p, grant, &plan).await?;
    can_read(w, user, false).await?;
    assert_eq!(p.observe(&plan, &[], SlotSet::NONE, None).await?, disarmed(), "a place is not the access");
    let artifacts = artifacts(p.arm(grant, &plan, &held, &permit()?).await?)?;
    can_read(w, user, true).await?;
    assert_eq!(p.observe(&plan, &[], SlotSet::NONE, None).await?, Observation::Present);
    assert_eq!(p.revoke(grant, &plan, &artifacts, SlotSet::NONE).await?, RevokeOutcome::Gone);
    can_read(w, user, false).await?;
    assert_eq!(p.observe(&plan, &[], SlotSet::NONE, None).await?, Observation::Absent);
    assert_eq!(p.revoke(grant, &plan, &artifacts, SlotSet::NONE).await?, RevokeOutcome::Gone, "taking away what is gone is success");
    Ok(())
}

/// Refuses the deletion of the bindings of one grant.
fn keeps(grant: &str) -> String {
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: keeps-one}}
spec:
  matchConstraints: {{resourceRules: [{{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], resources: [rolebindings], operations: [DELETE]}}]}}
  matchConditions: [{{name: one, expression: "oldObject.metadata.name.contains('{grant}')"}}]
  validations: [{{expression: "false", message: keeps it}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: keeps-one}}
spec: {{policyName: keeps-one, validationActions: [Deny]}}
"#
    )
}

fn disarmed() -> Observation {
    let part = SlotSet::NONE.with(0);
    Observation::Disarmed { any: part, all: part }
}

#[tokio::test]
async fn what_is_withheld_is_armed_again_only_if_it_is_untouched() -> Result<()> {
    let (w, grant, user) = (without_operator().await?, "00000000000000a7", "a7@example.com");
    let (p, plan, part) = (provider(w).await?, plan(grant, user), SlotSet::NONE.with(0));
    let held = reserved(&p, grant, &plan).await?;
    let artifacts = artifacts(p.arm(grant, &plan, &held, &permit()?).await?)?;
    let before = p.read_withheld(grant, &plan, part, None).await?.context("nothing is there")?;
    p.withhold(grant, &plan, &artifacts, part).await?;
    can_read(w, user, false).await?;
    assert_eq!(p.observe(&plan, &[], SlotSet::NONE, None).await?, disarmed());
    assert!(p.arm(grant, &plan, &before, &permit()?).await.is_err(), "it was read before it was withheld");
    let withheld = p.read_withheld(grant, &plan, part, None).await?.context("nothing is there")?;
    p.arm(grant, &plan, &withheld, &permit()?).await?;
    can_read(w, user, true).await?;
    // Where a policy refuses deletions, the end takes the subjects of what has none, and a late arm must not bring them back.
    p.withhold(grant, &plan, &artifacts, part).await?;
    let late = p.read_withheld(grant, &plan, part, None).await?.context("nothing is there")?;
    w.admin()?.apply(&keeps(grant)).await?.success()?;
    let ended = eventually("the deletion to be refused", SOON, || async {
        let probe = ["delete", "rolebinding", "-n", "payments", name(&plan), "--dry-run=server"];
        let told = w.cp.service_account("curfew-system", "curfew-operator").await?.kubectl(&probe).await?;
        if told.stderr.contains("keeps it") { Ok(Some(p.revoke(grant, &plan, &artifacts, SlotSet::NONE).await?)) } else { Ok(None) }
    })
    .await?;
    ensure!(matches!(ended, RevokeOutcome::Disarmed(_)), "{ended:?}");
    assert!(p.arm(grant, &plan, &late, &permit()?).await.is_err(), "it has ended since it was read");
    can_read(w, user, false).await?;
    w.admin()?.api(&["delete", "validatingadmissionpolicybinding", "keeps-one"]).await?.success()?;
    eventually("the binding to be gone", SOON, || async {
        Ok((p.revoke(grant, &plan, &artifacts, SlotSet::NONE).await? == RevokeOutcome::Gone).then_some(()))
    })
    .await?;
    assert_eq!(p.read_withheld(grant, &plan, part, None).await?, None, "what is gone is not made again");
    Ok(())
}

#[tokio::test]
async fn a_late_arm_comes_to_nothing() -> Result<()> {
    let (w, grant, user) = (without_operator().await?, "00000000000000a2", "a2@example.com");
    let (p, plan) = (provider(w).await?, plan(grant, user));
    // A leader reserves and is paused; another replica revokes; the leader wakes up and arms.
    let held = reserved(&p, grant, &plan).await?;
    assert_eq!(p.revoke(grant, &plan, &[], SlotSet::NONE).await?, RevokeOutcome::Gone);
    assert!(p.arm(grant, &plan, &held, &permit()?).await.is_err(), "the place is gone");
    assert_eq!(p.observe(&plan, &[], SlotSet::NONE, None).await?, Observation::Absent, "and the arm did not bring it back");
    // Also if a new place of that name stands there by now.
    let _other = reserved(&p, grant, &plan).await?;
    assert!(p.arm(grant, &plan, &held, &permit()?).await.is_err(), "it is another place");
    can_read(w, user, false).await?;
    assert_eq!(p.revoke(grant, &plan, &[], SlotSet::NONE).await?, RevokeOutcome::Gone);
    Ok(())
}

#[tokio::test]
async fn a_late_arm_comes_to_nothing_where_the_place_may_not_be_deleted() -> Result<()> {
    let (w, grant, user) = (without_operator().await?, "00000000000000a8", "a8@example.com");
    let (p, plan, admin) = (provider(w).await?, plan(grant, user), w.admin()?);
    // Refused to everybody, so that the garbage collector does not help.
    let refuses = format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: keeps-a7}}
spec:
  matchConstraints: {{resourceRules: [{{apiGroups: [rbac.authorization.k8s.io], apiVersions: [v1], resources: [rolebindings], operations: [DELETE]}}]}}
  matchConditions: [{{name: one, expression: "oldObject.metadata.name.contains('{grant}')"}}]
  validations: [{{expression: "false", message: change freeze}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: keeps-a7}}
spec: {{policyName: keeps-a7, validationActions: [Deny]}}
"#
    );
    admin.apply(&refuses).await?.success()?;
    let held = reserved(&p, grant, &plan).await?;
    eventually("deletions to be refused", SOON, || async {
        let dry_run = ["delete", "rolebinding", "-n", "payments", name(&plan), "--dry-run=server"];
        Ok(admin.kubectl(&dry_run).await?.stderr.contains("change freeze").then_some(()))
    })
    .await?;
    let outcome = p.revoke(grant, &plan, &[], SlotSet::NONE).await?;
    ensure!(matches!(&outcome, RevokeOutcome::Disarmed(what) if what.contains("change freeze")), "{outcome:?}");
    assert!(p.arm(grant, &plan, &held, &permit()?).await.is_err(), "the place is another one since it was revoked");
    can_read(w, user, false).await?;
    admin.api(&["delete", "validatingadmissionpolicybinding", "keeps-a7"]).await?.success()?;
    eventually("the place to be deleted", SOON, || async {
        Ok((p.revoke(grant, &plan, &[], SlotSet::NONE).await? == RevokeOutcome::Gone).then_some(()))
    })
    .await
}

#[tokio::test]
async fn reserving_twice_is_reserving_once() -> Result<()> {
    let (w, grant) = (without_operator().await?, "00000000000000a3");
    let (p, plan) = (provider(w).await?, plan(grant, ALICE));
    assert_eq!(reserved(&p, grant, &plan).await?, reserved(&p, grant, &plan).await?);
    assert_eq!(p.revoke(grant, &plan, &[], SlotSet::NONE).await?, RevokeOutcome::Gone);
    Ok(())
}

#[tokio::test]
async fn a_strangers_object_is_reported_and_not_touched() -> Result<()> {
    let (w, grant) = (without_operator().await?, "00000000000000a4");
    let (p, plan) = (provider(w).await?, plan(grant, ALICE));
    let admin = w.admin()?;
    // Only the operator gets past the guard over our names, so it plays the stranger.
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let stranger = format!(
        "{{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {{name: '{}', namespace: payments}}, \
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: payments-admin}}, subjects: [{{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve@example.com}}]}}",
        name(&plan)
    );
    operator.create(&stranger).await?.success()?;
    let held = p.reserve(grant, &plan, &permit()?).await?;
    ensure!(matches!(&held, ReserveOutcome::Occupied(what) if what.contains(name(&plan))), "{held:?}");
    let there = w.field(&["rolebinding", "-n", "payments", name(&plan)], "{.subjects[0].name}").await?;
    assert_eq!(there, "eve@example.com");
    admin.api(&["delete", "rolebinding", "-n", "payments", name(&plan)]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn terminating_is_not_gone_and_a_foreign_finalizer_keeps_nothing() -> Result<()> {
    let (w, grant, user) = (without_operator().await?, "00000000000000a5", "a5@example.com");
    let (p, plan) = (provider(w).await?, plan(grant, user));
    let held = reserved(&p, grant, &plan).await?;
    let artifacts = artifacts(p.arm(grant, &plan, &held, &permit()?).await?)?;
    can_read(w, user, true).await?;
    // A user has added a finalizer, before the admission policy was in force: now only the operator could.
    let operator = w.cp.service_account("curfew-system", "curfew-operator").await?;
    let held_by = r#"{"metadata": {"finalizers": ["example.com/mine"]}}"#;
    operator.api(&["patch", "rolebinding", "-n", "payments", name(&plan), "--type=merge", "-p", held_by]).await?.success()?;
    w.admin()?.api(&["delete", "rolebinding", "-n", "payments", name(&plan), "--wait=false"]).await?.success()?;
    can_read(w, user, true).await.context("a terminating binding still authorises: that is why it is not gone")?;
    assert_eq!(p.observe(&plan, &[], SlotSet::NONE, None).await?, Observation::Drifted);
    assert_eq!(p.revoke(grant, &plan, &artifacts, SlotSet::NONE).await?, RevokeOutcome::Gone);
    can_read(w, user, false).await
}

#[tokio::test]
async fn what_may_not_be_bound_says_which_right_is_missing() -> Result<()> {
    let p = provider(without_operator().await?).await?;
    let mut wide = bindings(&plan("00000000000000a6", ALICE)).clone();
    wide.bindings[0].role = "cluster-admin".into();
    let plan = Plan::Kubernetes(wide);
    let message = p.missing_right(&plan).await?.context("the operator may bind cluster-admin")?;
    ensure!(message.contains("resourceNames: [cluster-admin]") && message.contains("verbs: [bind]"), "{message}");
    let refused =
        eventually("reserving to be refused", SOON, || async { Ok(p.reserve("00000000000000a6", &plan, &permit()?).await.err()) }).await?;
    ensure!(refused.to_string().contains("the target refuses"), "{refused}");
    Ok(())
}
