//! The operator is killed or paused around every effect in Identity Center. A permission set of its own is fenced by its ARN; what stands
//! already by the time limit of each write and each removal.
use crate::{
    instance::{Center, Gives},
    kills::{NOWHERE, Succession, fails, plane, wakes_up_late},
    plane::{Plane, SLOWLY, emulators},
};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Operator, eventually};
use futures::future::try_join_all;

#[tokio::test]
async fn killed_before_and_after_every_effect_on_a_permission_set() -> Result<()> {
    let plane = plane(0).await?;
    let (c, first, second) = (Center::install(&plane, "sets", Gives::OwnSet).await?, "sets-first", "sets-second");
    let mut s = Succession::begin(&plane, "sets", "before:Reserve").await?;
    c.a.ready().await?;
    c.a.ask_anyway("sets", first).await?;
    for next in ["after:Reserve", "after:Recheck", "before:Arm", "before:Poll"] {
        s.stands().await.with_context(|| format!("the point before {next}"))?;
        ensure!(!c.has_access().await?, "there is access before it is assigned, at the point before {next}");
        s.killed(next).await?;
    }
    s.killed("after:Poll").await?;
    s.killed("after:Arm").await?;
    c.a.state_is(first, &["Active"]).await?;
    ensure!(c.has_access().await?);
    // The assignment of the second one is accepted, and that is not stored.
    c.a.ask_anyway("sets-too", second).await?;
    s.killed("before:Revoke").await?;
    c.a.state_is(second, &["Active"]).await?;
    ensure!(c.i.sets().await?.len() == 2 && c.a.calls("CreateAccountAssignment", 200).await? == 2, "assigned twice");
    c.a.decide(first, "Revoke").await?;
    s.killed("after:Revoke").await?;
    s.killed(NOWHERE).await?;
    ensure!(c.has_access().await?, "the end of the first has cut the second");
    c.a.decide(second, "Revoke").await?;
    for request in [first, second] {
        c.over(request, "Revoked").await?;
    }
    ensure!(c.i.sets().await?.is_empty(), "a permission set is left");
    s.end();
    Ok(())
}

#[tokio::test]
async fn a_leader_that_wakes_up_after_the_revocation_cannot_assign_the_permission_set() -> Result<()> {
    let plane = plane(0).await?;
    let c = Center::install(&plane, "paused-set", Gives::OwnSet).await?;
    wakes_up_late(&plane, &c.a, "Arm").await?;
    ensure!(c.a.calls("CreateAccountAssignment", 200).await? == 0, "a late write came through");
    ensure!(c.i.sets().await?.is_empty() && !c.has_access().await?);
    Ok(())
}

/// The assignment is held on its way, the operator is killed, another one brings the grant to its end, and only then it arrives.
#[tokio::test]
async fn an_assignment_that_arrives_after_the_end_is_refused() -> Result<()> {
    let plane = plane(1).await?;
    let c = Center::install(&plane, "late-set", Gives::OwnSet).await?;
    let mut s = Succession::begin(&plane, "late-set", NOWHERE).await?;
    c.a.ready().await?;
    let gate = emulators().await?.proxy().hold(1, c.a.of_operator("CreateAccountAssignment"));
    c.a.ask_anyway("late-set", "late-set").await?;
    gate.arrived(SLOWLY).await?;
    s.succeeded(NOWHERE).await?;
    c.a.state_is("late-set", &["Active"]).await?;
    c.access_is(true).await?;
    c.revoked("late-set").await?;
    gate.release();
    let answered = gate.answered(SLOWLY).await?;
    ensure!(answered.code.as_deref() == Some("ResourceNotFoundException"), "{answered:?}");
    ensure!(c.i.sets().await?.is_empty() && !c.has_access().await?);
    s.end();
    Ok(())
}

#[tokio::test]
async fn an_assignment_of_what_stands_survives_kills_and_pauses_at_every_effect() -> Result<()> {
    let plane = plane(2).await?;
    let names = ["standing-ends", "standing-held", "standing-one", "standing-two"];
    what_stands(&plane, names, Gives::StandingSet, ["CreateAccountAssignment", "DeleteAccountAssignment"]).await
}

#[tokio::test]
async fn a_membership_survives_kills_and_pauses_at_every_effect() -> Result<()> {
    let plane = plane(3).await?;
    let names = ["member-ends", "member-held", "member-one", "member-two"];
    what_stands(&plane, names, Gives::Membership, ["CreateGroupMembership", "DeleteGroupMembership"]).await
}

/// Four grants of one kind. Nothing is sent after the time limit of a write or a removal, and every grant comes to its end all the same.
async fn what_stands(plane: &Plane, names: [&'static str; 4], gives: Gives, [write, removal]: [&'static str; 2]) -> Result<()> {
    let all = try_join_all(names.map(|name| Center::install(plane, name, gives))).await?;
    let [ends, held, one, two] = all.as_slice() else { unreachable!() };
    let mut s = Succession::begin(plane, names[0], "before:Revoke").await?;
    try_join_all(all.iter().map(|c| c.a.ready())).await?;
    // The approvals come later, whether an operator lives or not.
    try_join_all(all.iter().map(|c| c.a.ask(c.a.name, c.a.name, "1h"))).await?;
    ends.a.decide(ends.a.name, "Approve").await?;
    ends.a.state_is(ends.a.name, &["Active"]).await?;
    ends.access_is(true).await?;
    // One operator is stopped before the removal, and stays so; the next one dies after it.
    ends.a.decide(ends.a.name, "Revoke").await?;
    let stopped = s.paused("after:Revoke").await?;
    s.killed("before:Apply").await?;
    the_limit_passes(&s, held, write).await?;
    // One dies before the write of one grant, and one after the write of one or the other: it is sent when the limit of the first is over.
    s.succeeded("before:Apply").await?;
    one.a.decide(one.a.name, "Approve").await?;
    s.stands().await?;
    ensure!(!one.has_access().await?, "there is access before it is written");
    s.killed("after:Apply").await?;
    two.a.decide(two.a.name, "Approve").await?;
    s.stands().await?;
    let sent = || async { Ok((one.has_access().await? || two.has_access().await?).then_some(())) };
    eventually("the write to be seen", SLOWLY, sent).await?;
    s.killed(NOWHERE).await?;
    for c in [one, two] {
        c.a.state_is(c.a.name, &["Active"]).await?;
        ensure!(c.has_access().await? && c.a.calls(write, 200).await? == 1, "{} is not written once", c.a.name);
    }
    held.over(held.a.name, "Denied").await?;
    ensure!(held.a.calls_of_operator(|k| k.action == write).await?.is_empty(), "{} was written after its end", held.a.name);
    ends.over(ends.a.name, "Revoked").await?;
    a_late_removal_takes_nothing(ends, &stopped, removal).await?;
    s.end();
    Ok(())
}

/// The operator lives, and AWS answers it only after the limit of the write that it is about to send: it is not sent. Then the grant is
/// revoked.
async fn the_limit_passes(s: &Succession<'_>, held: &Center<'_>, write: &'static str) -> Result<()> {
    held.a.decide(held.a.name, "Approve").await?;
    s.stands().await?;
    let until: jiff::Timestamp = held.a.of_grant(held.a.name, "{.status.inFlight.until}").await?.parse()?;
    let passes = async |time: jiff::Timestamp| {
        eventually("the time limit to pass", SLOWLY, || async { Ok((jiff::Timestamp::now() > time).then_some(())) }).await
    };
    // A call itself may take ten seconds, as long as the limit: it begins later, so the limit is what ends it.
    passes(until - jiff::SignedDuration::from_secs(7)).await?;
    let gate = emulators().await?.proxy().hold(usize::MAX, held.a.of_operator("GetUserId"));
    let operator = s.goes_on();
    gate.arrived(SLOWLY).await?;
    passes(until).await?;
    gate.release();
    fails(operator, "Apply").await?;
    ensure!(held.a.calls_of_operator(|k| k.action == write).await?.is_empty(), "a write was sent after its time limit");
    held.a.decide(held.a.name, "Revoke").await?;
    held.a.state_is(held.a.name, &["Revoking"]).await
}

/// The operator that was stopped before it removed the access of a grant wakes up when a later grant gives the same.
async fn a_late_removal_takes_nothing(ends: &Center<'_>, stopped: &Operator, removal: &str) -> Result<()> {
    let removed = ends.a.calls(removal, 200).await?;
    let request = format!("{}-again", ends.a.name);
    ends.a.active(ends.a.name, &request, "1h").await?;
    ends.access_is(true).await?;
    stopped.resume();
    fails(stopped, "Revoke").await?;
    ensure!(ends.has_access().await? && ends.a.calls(removal, 200).await? == removed, "a late removal has taken the next grant's access");
    ensure!(ends.a.of_request(&request, "{.status.state}").await? == "Active");
    Ok(())
}
