//! What stands in Identity Center: who is meant by a name, and when it is proven that nobody has it.
use super::{
    ACCOUNT,
    identity_center::{ALICE, INSTANCE, SET, answer, assigned, center, creating, deletion, user},
    plan,
};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::replay::{Recorded, Replay, json_error},
        port::{Provider, ProviderError, RevokeOutcome},
    },
};
use curfew_core::{
    grant::Observation,
    target::{
        Plan as AnyPlan, SlotSet,
        aws::{
            Access,
            plan::{PlannedAssignment, PlannedMembership},
        },
    },
    time::Time,
};
use serde_json::json;

fn assignment() -> AnyPlan {
    let assignment = PlannedAssignment { instance: INSTANCE.into(), permission_set: SET.into(), user: "alice".into() };
    AnyPlan::Aws(plan(Access::Assignment(assignment)))
}

fn membership() -> AnyPlan {
    let membership = PlannedMembership { instance: INSTANCE.into(), group: "g-1".into(), user: "alice".into() };
    AnyPlan::Aws(plan(Access::Membership(membership)))
}

/// A request of which AWS says that it runs.
fn creation_of(user: &str) -> Recorded {
    let status = json!({"Status": "IN_PROGRESS", "RequestId": "r-7", "TargetId": ACCOUNT, "TargetType": "AWS_ACCOUNT",
        "PermissionSetArn": SET, "PrincipalType": "USER", "PrincipalId": user});
    answer("DescribeAccountAssignmentCreationStatus", json!({"AccountAssignmentCreationStatus": status}))
}

fn no_user() -> Recorded {
    json_error("GetUserId", 400, "ResourceNotFoundException", "USER not found.")
}

fn no_member() -> Recorded {
    json_error("GetGroupMembershipId", 400, "ResourceNotFoundException", "MEMBERSHIP not found.")
}

fn member() -> Recorded {
    answer("GetGroupMembershipId", json!({"MembershipId": "m-1", "IdentityStoreId": "d-0123456789"}))
}

/// The process that began it has died before it stored the operation: the list shows nobody yet.
#[tokio::test]
async fn an_assignment_that_aws_is_creating_is_not_absent() {
    let replay = Replay::of([user(), assigned(&[]), creating(&["r-7"]), creation_of(ALICE)]).await;
    let outcome = replay.aws(center()).revoke("g", &assignment(), &[], SlotSet::NONE).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Remains(why)) if why.contains("is still being created")), "{outcome:?}");

    let replay = Replay::of([user(), assigned(&[]), creating(&["r-7"]), creation_of(ALICE)]).await;
    let seen = replay.aws(center()).observe(&assignment(), &[], SlotSet::NONE, None).await;
    assert!(matches!(&seen, Err(ProviderError::Transient { message, .. }) if message.contains("is still being created")), "{seen:?}");

    let replay = Replay::of([user(), assigned(&[]), creating(&["r-7"]), creation_of("another"), assigned(&[])]).await;
    assert_eq!(replay.aws(center()).revoke("g", &assignment(), &[], SlotSet::NONE).await, Ok(RevokeOutcome::Gone));

    // A request that ends between the list and the look may have made the assignment.
    let gone = json_error("DescribeAccountAssignmentCreationStatus", 400, "ResourceNotFoundException", "unknown");
    let replay = Replay::of([user(), assigned(&[]), creating(&["r-7"]), gone]).await;
    assert!(replay.aws(center()).observe(&assignment(), &[], SlotSet::NONE, None).await.is_err());
}

#[tokio::test]
async fn the_assignment_of_a_user_who_was_renamed_is_ended_by_the_id() {
    let known = [Artifact { kind: "AccountAssignment".into(), id: SET.into(), uid: ALICE.into() }];
    let replay = Replay::of([no_user(), assigned(&[ALICE, "another"]), deletion("DeleteAccountAssignment", "IN_PROGRESS")]).await;
    let aws = replay.aws(center());
    let outcome = aws.revoke("g", &assignment(), &known, SlotSet::NONE).await;
    assert!(matches!(outcome, Ok(RevokeOutcome::Started(_))), "{outcome:?}");
    assert!(replay.sent("DeleteAccountAssignment").contains(ALICE));
    // Another process proves it, by the id in status: it does not ask for the name.
    let later = Replay::of([assigned(&["another"]), creating(&[]), assigned(&["another"])]).await;
    let seen = later.aws(center()).observe(&assignment(), &known, SlotSet::NONE, None).await;
    assert_eq!(seen.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn a_name_that_is_not_found_is_absence_only_where_no_user_has_it() {
    let replay = Replay::of([no_user(), assigned(&["another"])]).await;
    let outcome = replay.aws(center()).revoke("g", &assignment(), &[], SlotSet::NONE).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Remains(why)) if why.contains("no user alice") && why.contains("another")), "{outcome:?}");
    let replay = Replay::of([no_user(), assigned(&["another"])]).await;
    assert!(replay.aws(center()).observe(&assignment(), &[], SlotSet::NONE, None).await.is_err());

    let nobody = || [no_user(), assigned(&[]), creating(&[]), assigned(&[])];
    assert_eq!(Replay::of(nobody()).await.aws(center()).revoke("g", &assignment(), &[], SlotSet::NONE).await, Ok(RevokeOutcome::Gone));
    let seen = Replay::of(nobody()).await.aws(center()).observe(&assignment(), &[], SlotSet::NONE, None).await;
    assert_eq!(seen.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn nothing_is_begun_for_a_user_who_does_not_exist() {
    for of in [assignment(), membership()] {
        let e = Replay::of([no_user()]).await.aws(center()).survey(&of).await.unwrap_err();
        assert!(matches!(&e, ProviderError::Invalid(why) if why.contains("no user alice; create it")), "{e:?}");
    }
}

#[tokio::test]
async fn the_membership_of_a_user_who_was_renamed_is_ended_by_the_id() {
    let known = [Artifact { kind: "GroupMembership".into(), id: "g-1".into(), uid: ALICE.into() }];
    let replay = Replay::of([no_user(), member(), answer("DeleteGroupMembership", json!({}))]).await;
    let aws = replay.aws(center());
    assert_eq!(aws.revoke("g", &membership(), &known, SlotSet::NONE).await, Ok(RevokeOutcome::Gone));
    assert!(replay.sent("GetGroupMembershipId").contains(ALICE) && replay.sent("DeleteGroupMembership").contains("m-1"));
    let later = Replay::of([no_member()]).await;
    assert_eq!(later.aws(center()).observe(&membership(), &known, SlotSet::NONE, None).await.unwrap(), Observation::Absent);

    let replay = Replay::of([no_user()]).await;
    let outcome = replay.aws(center()).revoke("g", &membership(), &[], SlotSet::NONE).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Remains(why)) if why.contains("no user alice")), "{outcome:?}");
    let replay = Replay::of([no_user()]).await;
    assert!(replay.aws(center()).observe(&membership(), &[], SlotSet::NONE, None).await.is_err());
}

/// The process stood still between the last answer and the write.
#[tokio::test]
async fn nothing_is_sent_after_the_time_limit() {
    let late = |e: &ProviderError| matches!(e, ProviderError::Transient { message, .. } if message.contains("time limit of this write has passed"));
    let (passed, to_come) = (Time::from_secs(1), Time::from_secs(4_000_000_000));
    let AnyPlan::Aws(of) = assignment() else { unreachable!() };
    let Access::Assignment(a) = &of.access else { unreachable!() };
    let made = json!({"AccountAssignmentCreationStatus": {"Status": "SUCCEEDED", "RequestId": "r-1"}});
    let replay = Replay::of([user(), assigned(&[]), answer("CreateAccountAssignment", made.clone())]).await;
    let e = replay.aws(center()).apply_assignment(&of, a, passed).await.unwrap_err();
    assert!(late(&e) && replay.calls() == ["GetUserId", "ListAccountAssignments"], "{e:?}");
    let replay = Replay::of([user(), assigned(&[]), answer("CreateAccountAssignment", made)]).await;
    assert!(replay.aws(center()).apply_assignment(&of, a, to_come).await.is_ok());

    let AnyPlan::Aws(of) = membership() else { unreachable!() };
    let Access::Membership(m) = &of.access else { unreachable!() };
    let replay = Replay::of([user(), answer("CreateGroupMembership", json!({"MembershipId": "m-1"}))]).await;
    let e = replay.aws(center()).apply_membership(m, passed).await.unwrap_err();
    assert!(late(&e) && replay.calls() == ["GetUserId"], "{e:?}");
}

/// A slot has the name of a user. Another one has the name now, and that person's grant holds the slot.
#[tokio::test]
async fn what_others_hold_of_a_name_that_has_moved_on_keeps_nothing() {
    let known = [Artifact { kind: "GroupMembership".into(), id: "g-1".into(), uid: ALICE.into() }];
    let keep = SlotSet::NONE.with(0);
    let member = || answer("GetGroupMembershipId", json!({"MembershipId": "m-1", "IdentityStoreId": "d-0123456789"}));
    let another = || answer("GetUserId", json!({"UserId": "another", "IdentityStoreId": "d-0123456789"}));
    let replay = Replay::of([another(), member(), answer("DeleteGroupMembership", json!({}))]).await;
    assert_eq!(replay.aws(center()).revoke("g", &membership(), &known, keep).await, Ok(RevokeOutcome::Gone));
    assert!(replay.calls().contains(&"DeleteGroupMembership".to_owned()));
    // It is there until it is removed, although another grant holds the slot of that name.
    let replay = Replay::of([another(), member()]).await;
    let seen = replay.aws(center()).observe(&membership(), &known, keep, None).await.unwrap();
    assert!(seen == Observation::Present && replay.calls().contains(&"GetGroupMembershipId".to_owned()), "{seen:?}");
    // As long as it is hers, what others hold stays.
    let replay = Replay::of([user()]).await;
    assert_eq!(replay.aws(center()).revoke("g", &membership(), &known, keep).await, Ok(RevokeOutcome::Gone));
    assert_eq!(replay.calls(), ["GetUserId"]);
    // And what stood before this grant was never written by it.
    let replay = Replay::of([]).await;
    assert_eq!(replay.aws(center()).revoke("g", &membership(), &[], keep).await, Ok(RevokeOutcome::Gone));
    let failed = json_error("GetUserId", 500, "InternalServerException", "try again");
    let replay = Replay::of([failed]).await;
    assert!(replay.aws(center()).revoke("g", &membership(), &known, keep).await.is_err(), "unknown is not a verdict");
}
