//! IAM Identity Center: a permission set of the grant's own, an assignment of a standing one, and a membership in a standing group.
use crate::{
    instance::{Center, Gives},
    plane::{LIST, SLOWLY, emulators, shared},
};
use anyhow::{Context, Result, ensure};
use curfew_testkit::{aws::Fault, eventually};
use serde_json::json;

async fn center(name: &'static str, gives: Gives) -> Result<Center<'static>> {
    let c = Center::install(shared().await?, name, gives).await?;
    c.a.ready().await?;
    Ok(c)
}

#[tokio::test]
async fn a_permission_set_of_its_own_ends_at_the_deadline_with_open_sessions() -> Result<()> {
    let c = center("center", Gives::OwnSet).await?;
    let proxy = emulators().await?.proxy();
    // The write before has not arrived everywhere.
    proxy.fault(2, Fault::Refuse(400, "ConflictException"), c.a.of_operator("CreateAccountAssignment"));
    c.a.active("center", "center", "30s").await?;
    c.access_is(true).await?;
    let session = c.i.signs_in(&c.only_set().await?, &c.user).await?.context("may not sign in")?;
    ensure!(session.can_list_buckets().await?, "{LIST} is refused");
    ensure!(c.a.of_grant("center", "{.status.enforcedBy}").await? == "Target");
    eventually("the session to end", SLOWLY, || async { Ok((!session.can_list_buckets().await?).then_some(())) }).await?;
    c.over("center", "Expired").await?;
    ensure!(c.i.sets().await?.is_empty(), "a permission set is left");
    ensure!(c.a.calls("CreateAccountAssignment", 200).await? == 1, "assigned twice");
    Ok(())
}

#[tokio::test]
async fn an_early_revocation_takes_the_permission_set() -> Result<()> {
    let c = center("center-early", Gives::OwnSet).await?;
    c.a.active("center-early", "center-early", "1h").await?;
    let set = c.only_set().await?;
    c.access_is(true).await?;
    c.revoked("center-early").await?;
    ensure!(c.i.sets().await?.is_empty() && c.i.signs_in(&set, &c.user).await?.is_none());
    Ok(())
}

/// Two grants of what stands share it: the first to end leaves it, and the last one takes it at its deadline, of which AWS knows nothing.
async fn overlap(name: &'static str, gives: Gives, write: &'static str, removal: &'static str) -> Result<()> {
    let c = center(name, gives).await?;
    let (first, second, too) = (format!("{name}-first"), format!("{name}-second"), format!("{name}-too"));
    ensure!(!c.has_access().await?);
    c.a.active(name, &first, "1h").await?;
    c.a.active(&too, &second, "30s").await?;
    c.access_is(true).await?;
    for request in [&first, &second] {
        ensure!(c.a.of_grant(request, "{.status.enforcedBy}").await? == "Curfew");
    }
    c.a.decide(&first, "Revoke").await?;
    c.a.state_is(&first, &["Revoked"]).await?;
    c.a.ended(&first).await?;
    ensure!(c.has_access().await? && c.a.calls(removal, 200).await? == 0, "the first to end has cut the second");
    ensure!(c.a.of_request(&second, "{.status.state}").await? == "Active", "the second was over before the first");
    c.access_is(false).await?;
    c.over(&second, "Expired").await?;
    ensure!(c.a.calls(write, 200).await? == 1 && c.a.calls(removal, 200).await? == 1, "one access is written once and removed once");
    c.only_set().await.map(drop)
}

#[tokio::test]
async fn two_assignments_of_a_standing_permission_set_are_one_and_curfew_ends_it() -> Result<()> {
    overlap("center-set", Gives::StandingSet, "CreateAccountAssignment", "DeleteAccountAssignment").await
}

#[tokio::test]
async fn two_memberships_in_a_standing_group_are_one_and_curfew_ends_it() -> Result<()> {
    overlap("center-group", Gives::Membership, "CreateGroupMembership", "DeleteGroupMembership").await
}

/// What the person had before is neither written nor removed by a grant of the same.
async fn stands(name: &'static str, gives: Gives) -> Result<()> {
    let c = center(name, gives).await?;
    match &c.group {
        None => c.i.assign(&c.only_set().await?, "USER", &c.user, true).await?,
        Some(group) => c.i.join(group, &c.user, true).await?,
    }
    ensure!(c.has_access().await?);
    c.a.active(name, name, "1h").await?;
    c.a.decide(name, "Revoke").await?;
    c.a.state_is(name, &["Revoked"]).await?;
    c.a.ended(name).await?;
    ensure!(c.has_access().await?, "the grant has taken what was there before");
    let about = |action: &str| action.ends_with("AccountAssignment") || action.ends_with("GroupMembership");
    let writes = c.a.calls_of_operator(|k| about(&k.action) && !k.is_read()).await?;
    ensure!(writes.is_empty(), "{writes:?}");
    Ok(())
}

#[tokio::test]
async fn a_standing_assignment_is_neither_written_nor_removed() -> Result<()> {
    stands("center-standing", Gives::StandingSet).await
}

#[tokio::test]
async fn a_standing_membership_is_neither_written_nor_removed() -> Result<()> {
    stands("center-member", Gives::Membership).await
}

/// Nothing can be written for a person whom Identity Center does not have: the request says so at once, and does not try again and again.
#[tokio::test]
async fn a_person_without_a_user_in_identity_center_is_refused() -> Result<()> {
    let c = Center::install(shared().await?, "center-nobody", Gives::StandingSet).await?;
    c.a.ready().await?;
    c.i.people("DeleteUser", json!({"UserId": c.user})).await?;
    c.a.ask_anyway("center-nobody", "center-nobody").await?;
    c.a.state_is("center-nobody", &["Failed"]).await?;
    let message = c.a.of_request("center-nobody", "{.status.message}").await?;
    ensure!(message.contains("no user center-nobody"), "{message}");
    ensure!(c.a.calls("CreateAccountAssignment", 200).await? == 0);
    Ok(())
}
