//! The leader is stopped between recheck and arm, the deadline passes, the other replica takes over, the leader wakes up.
//! A kill never finds this; only a pause does.
use super::{decide, request};
use anyhow::Result;
use curfew_testkit::{SOON, World, eventually};
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn a_leader_that_wakes_up_after_the_deadline_grants_nothing() -> Result<()> {
    let w = World::first("paused").await?;
    let leader = w.operator_with("leader", &[("CURFEW_PARK_AT", "after:Recheck")]).await?;
    w.granting().await?;
    let _other = w.operator("other").await?;
    let (alice, carol) = (w.alice()?, w.carol()?);
    alice.apply(&request("late", "6s")).await?.success()?;
    w.state_is("late", "AwaitingApproval").await?;
    decide(&w, &carol, "late", "Approve").await?;
    eventually("the leader to be parked between recheck and arm", SOON, || async { Ok(leader.is_stopped().then_some(())) }).await?;
    assert!(!alice.can_read_secret("payments", "db").await?, "a place gives nothing");

    w.state_is("late", "Failed").await?;
    let grant = w.field(&["areq", "-n", "payments", "late"], "{.status.grantRef.name}").await?;
    assert_eq!(w.field(&["grt", &grant], "{.status.state}").await?, "Ended");
    leader.resume();
    eventually("the leader to be awake", SOON, || async { Ok((!leader.is_stopped()).then_some(())) }).await?;
    // It has had its chance once it has looked at the Grant again; meanwhile it must never work, not for a moment.
    w.access_stays(&alice, &alice.name, false, SystemTime::now() + Duration::from_secs(5)).await?;
    assert!(leader.is_running());
    let left = w.field(&["rolebindings", "-n", "payments", "-l", "curfew.dev/grant"], "{.items[*].metadata.name}").await?;
    assert_eq!(left, "");
    Ok(())
}
