//! The main job, end to end: the built operator as a process, people with kubectl, the access used.
use anyhow::Result;
use curfew_core::time::Time;
use curfew_testkit::{SHIPPED_TIMING, SOON, User, World};
use std::time::{Duration, SystemTime};

mod approval;
mod assignment_new;
mod assignment_requests;
mod bad_input;
mod behalf;
mod break_glass;
mod conditions;
mod crashes;
mod emergency;
mod endings;
mod extension;
mod foundations;
mod fuse;
mod git;
mod isolation;
mod last_holder;
mod limits;
mod looking_on;
mod many_ends;
mod narrowed;
mod notifications;
mod paused;
mod plugin;
pub mod refusals;
mod restart;
mod rightsize;
mod scheduled;
mod seen;
mod silent;
pub mod standing;
mod traces;
mod wide;

/// A request by kubectl.
pub fn request(name: &str, duration: &str) -> String {
    format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {{name: {name}, namespace: payments}}, \
         spec: {{roleRef: {{name: payments-admin}}, duration: {duration}, justification: roll back release 2311}}}}"
    )
}

/// A decision by kubectl, on what the status shows.
pub async fn decide(w: &World, who: &User, request: &str, decision: &str) -> Result<()> {
    let digest = w.field(&["areq", "-n", "payments", request], "{.status.digest}").await?;
    let yaml = format!(
        "{{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {{generateName: d-, namespace: payments}}, \
         spec: {{about: {{activationRequest: {{name: {request}}}}}, digest: '{digest}', decision: {decision}}}}}"
    );
    who.create(&yaml).await?.success().map(drop)
}

/// A time of a status as the machine's clock shows it.
fn until(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(time.as_millis().try_into().unwrap_or_default())
}

#[tokio::test]
async fn ask_approve_hold_lose() -> Result<()> {
    let w = World::first("story").await?;
    // With the pauses that are shipped: nothing here hangs on the shorter ones of the other tests.
    let operator = w.operator_with("op-a", &[SHIPPED_TIMING]).await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    assert!(!alice.can_read_secret("payments", "db").await?);
    w.granting().await?;

    alice.apply(&request("first", "20s")).await?.success()?;
    w.state_is("first", "AwaitingApproval").await?;
    assert!(!alice.can_read_secret("payments", "db").await?, "asking is not getting");
    decide(&w, &carol, "first", "Approve").await?;
    w.access_is(&alice, true, SOON).await?;
    w.state_is("first", "Active").await?;
    operator.kill();
    assert!(alice.can_read_secret("payments", "db").await?, "the access does not hang on the operator's life");
    let _back = w.operator_with("op-a2", &[SHIPPED_TIMING]).await?;
    w.access_is(&alice, false, Duration::from_secs(40)).await?;
    w.state_is("first", "Expired").await?;
    let left = w.field(&["rolebindings", "-n", "payments", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
    assert_eq!(left, "");
    w.field_is(&["grt"], "{.items[0].status.state}", "Ended").await
}
