//! Grants by Identity Center: permission sets of their own, and what stands there already.
use super::{ACCOUNT, connection, plan, policy};
use crate::{
    api::system::{AwsConnection, IdentityCenterInstance},
    providers::{
        aws::replay::{Recorded, Replay, json_error, ok},
        port::{ApplyOutcome, EnforcedBy, OperationState, Provider, ProviderError, ReserveOutcome, RevokeOutcome},
    },
};
use curfew_core::{
    grant::{Observation, Operation, OperationKind},
    reconcile::Reservation,
    target::{
        Plan as AnyPlan, PlanNames, SlotSet,
        aws::{
            Access, Plan, names,
            plan::{PlannedAssignment, PlannedMembership, PlannedPermissionSet},
        },
    },
};
use serde_json::{Value, json};
use std::sync::Arc;

pub const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-0123456789abcdef";
pub const SET: &str = "arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef";
pub const ALICE: &str = "94482488-3041-7098-8b9b-000000000001";

pub fn center() -> AwsConnection {
    let instance =
        IdentityCenterInstance { instance_arn: INSTANCE.into(), identity_store_id: "d-0123456789".into(), region: None, assume_role: None };
    AwsConnection { identity_center: Some(instance), ..connection() }
}

pub fn set_plan() -> (Plan, PlannedPermissionSet) {
    let names = PlanNames { install: "0123abcd", grant: super::GRANT, deadline: super::deadline() };
    let set = PlannedPermissionSet {
        instance: INSTANCE.into(),
        name: names::permission_set_name(names).unwrap(),
        user: "alice".into(),
        inline: policy(0, "ec2:*").document,
        attached: Vec::new(),
        session_secs: 3_600,
    };
    (plan(Access::PermissionSet(set.clone())), set)
}

pub fn answer(action: &'static str, body: Value) -> Recorded {
    ok(action, body.to_string())
}

pub fn user() -> Recorded {
    answer("GetUserId", json!({"UserId": ALICE, "IdentityStoreId": "d-0123456789"}))
}

pub fn described(set: &PlannedPermissionSet) -> Recorded {
    let set = json!({"Name": set.name, "PermissionSetArn": SET, "CreatedDate": 1.7961e9, "SessionDuration": "PT1H"});
    answer("DescribePermissionSet", json!({"PermissionSet": set}))
}

pub fn content(inline: &str) -> [Recorded; 3] {
    [
        answer("GetInlinePolicyForPermissionSet", json!({"InlinePolicy": inline})),
        answer("ListManagedPoliciesInPermissionSet", json!({"AttachedManagedPolicies": []})),
        answer("ListCustomerManagedPolicyReferencesInPermissionSet", json!({"CustomerManagedPolicyReferences": []})),
    ]
}

pub fn assigned(to: &[&str]) -> Recorded {
    let all: Vec<Value> =
        to.iter().map(|id| json!({"AccountId": ACCOUNT, "PermissionSetArn": SET, "PrincipalType": "USER", "PrincipalId": id})).collect();
    answer("ListAccountAssignments", json!({"AccountAssignments": all}))
}

fn creation(action: &'static str, status: &str) -> Recorded {
    let status = json!({"Status": status, "RequestId": "r-1", "FailureReason": if status == "FAILED" { "Received a 404" } else { "" }});
    answer(action, json!({"AccountAssignmentCreationStatus": status}))
}

pub fn deletion(action: &'static str, status: &str) -> Recorded {
    answer(action, json!({"AccountAssignmentDeletionStatus": {"Status": status, "RequestId": "r-2"}}))
}

/// The calls that find the permission set by its name.
pub fn found(set: &PlannedPermissionSet) -> [Recorded; 3] {
    [answer("ListPermissionSets", json!({"PermissionSets": [SET]})), described(set), described(set)]
}

/// The tags of a permission set that is this grant's.
pub fn tagged() -> Recorded {
    answer("ListTagsForResource", json!({"Tags": [{"Key": "curfew.dev/grant", "Value": super::GRANT}]}))
}

pub fn provisioned() -> Recorded {
    answer("ListAccountsForProvisionedPermissionSet", json!({"AccountIds": [ACCOUNT]}))
}

/// The assignments that AWS is creating, by request.
pub fn creating(requests: &[&str]) -> Recorded {
    let all: Vec<Value> = requests.iter().map(|id| json!({"Status": "IN_PROGRESS", "RequestId": id})).collect();
    answer("ListAccountAssignmentCreationStatus", json!({"AccountAssignmentsCreationStatus": all}))
}

fn reserved() -> Reservation {
    Reservation(Arc::new(vec![Some((SET.into(), "".into()))]))
}

#[tokio::test]
async fn a_permission_set_is_reserved_with_its_dated_policy_and_assigned_to_nobody() {
    let (plan, set) = set_plan();
    let created = json!({"PermissionSet": {"Name": set.name, "PermissionSetArn": SET, "CreatedDate": 1.7961e9}});
    let none = answer("ListPermissionSets", json!({"PermissionSets": []}));
    let replay =
        Replay::of([user(), none, answer("CreatePermissionSet", created), answer("PutInlinePolicyToPermissionSet", json!({}))]).await;
    assert_eq!(replay.aws(center()).reserve_set(&plan, &set).await, Ok(ReserveOutcome::Reserved(reserved())));
    assert!(replay.sent("PutInlinePolicyToPermissionSet").contains("2026-11-26T18:00:00Z"));
    assert!(replay.sent("CreatePermissionSet").contains("\"SessionDuration\":\"PT3600S\""));

    let missing = json_error("GetUserId", 400, "ResourceNotFoundException", "USER not found.");
    let replay = Replay::of([missing]).await;
    let e = replay.aws(center()).reserve_set(&plan, &set).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Invalid(why) if why.contains("no user alice; create it")), "{e:?}");
}

#[tokio::test]
async fn what_a_run_before_has_left_is_taken_up_unless_others_have_it() {
    let (plan, set) = set_plan();
    let answers = |to: &[&str]| {
        let mut all = vec![user()];
        all.extend(found(&set));
        all.extend([provisioned(), assigned(to), tagged(), answer("PutInlinePolicyToPermissionSet", json!({}))]);
        all
    };
    let replay = Replay::of(answers(&[ALICE])).await;
    assert_eq!(replay.aws(center()).reserve_set(&plan, &set).await, Ok(ReserveOutcome::Reserved(reserved())));
    let replay = Replay::of(answers(&["another"])).await;
    assert!(matches!(replay.aws(center()).reserve_set(&plan, &set).await, Ok(ReserveOutcome::Occupied(_))));
    // Created a moment ago by another replica: the list lags.
    let taken = json_error("CreatePermissionSet", 400, "ConflictException", "PermissionSet already exists");
    let replay = Replay::of([user(), answer("ListPermissionSets", json!({"PermissionSets": []})), taken]).await;
    assert!(matches!(replay.aws(center()).reserve_set(&plan, &set).await, Err(ProviderError::Transient { .. })));
}

#[tokio::test]
async fn it_is_assigned_once_and_the_operation_is_followed() {
    let (plan, set) = set_plan();
    let before = |to: &[&str]| content(&set.inline).into_iter().chain([described(&set), user(), assigned(to)]).collect::<Vec<_>>();
    let mut answers = before(&[]);
    answers.push(creation("CreateAccountAssignment", "IN_PROGRESS"));
    let replay = Replay::of(answers).await;
    let aws = replay.aws(center());
    let Ok(ApplyOutcome::Started(operation, artifacts)) = aws.arm_set(&plan, &set, &reserved()).await else { panic!("it is asynchronous") };
    assert_eq!((&*operation.id, operation.kind), ("r-1", OperationKind::Apply));
    assert!(artifacts[0].id == SET, "what will be there is known before it is: {artifacts:?}");
    let asked = "DescribeAccountAssignmentCreationStatus";
    replay.then([creation(asked, "IN_PROGRESS"), creation(asked, "SUCCEEDED"), creation(asked, "FAILED")]);
    assert!(matches!(aws.poll(&operation).await, Ok(OperationState::Running(_))));
    assert_eq!(aws.poll(&operation).await, Ok(OperationState::Succeeded));
    assert!(matches!(aws.poll(&operation).await, Ok(OperationState::Failed(why)) if why.contains("Received a 404")));
    replay.then([json_error(asked, 400, "ResourceNotFoundException", "unknown")]);
    assert!(matches!(aws.poll(&operation).await, Ok(OperationState::Failed(_))), "what AWS does not know any more has failed");

    // AWS would accept it twice, and an emulator stores it twice.
    let replay = Replay::of(before(&[ALICE])).await;
    assert!(matches!(replay.aws(center()).arm_set(&plan, &set, &reserved()).await, Ok(ApplyOutcome::Done(_))));
    assert!(!replay.calls().contains(&"CreateAccountAssignment".to_owned()));
}

#[tokio::test]
async fn an_assignment_that_is_sent_late_or_of_a_changed_set_fails() {
    let (plan, set) = set_plan();
    let mut late: Vec<Recorded> = content(&set.inline).into_iter().chain([described(&set), user(), assigned(&[])]).collect();
    late.push(json_error("CreateAccountAssignment", 400, "ResourceNotFoundException", "PermissionSet not found"));
    let replay = Replay::of(late).await;
    let e = replay.aws(center()).arm_set(&plan, &set, &reserved()).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Transient { message, .. } if message.contains("does not exist")), "{e:?}");
    let replay = Replay::of(content(&policy(0, "*").document).into_iter().chain([described(&set)])).await;
    assert!(replay.aws(center()).arm_set(&plan, &set, &reserved()).await.is_err());
    assert!(!replay.calls().contains(&"CreateAccountAssignment".to_owned()));
}

#[tokio::test]
async fn an_end_removes_every_assignment_and_then_the_set() {
    let (plan, set) = set_plan();
    let mut answers: Vec<Recorded> = found(&set).into();
    answers.extend([tagged(), provisioned(), assigned(&[ALICE, "another"])]);
    answers.extend([deletion("DeleteAccountAssignment", "IN_PROGRESS"), deletion("DeleteAccountAssignment", "IN_PROGRESS")]);
    let replay = Replay::of(answers).await;
    let aws = replay.aws(center());
    let Ok(RevokeOutcome::Started(operation)) = aws.revoke_set(&plan, &set, &[]).await else { panic!("it is asynchronous") };
    assert_eq!(&*operation.id, "r-2,r-2");
    let asked = "DescribeAccountAssignmentDeletionStatus";
    replay.then([deletion(asked, "SUCCEEDED"), deletion(asked, "SUCCEEDED")]);
    assert_eq!(aws.poll(&operation).await, Ok(OperationState::Succeeded));

    let listed = || [described(&set), tagged(), provisioned(), assigned(&[]), creating(&[])];
    replay.then(listed());
    replay.then([json_error("DeletePermissionSet", 400, "ConflictException", "in use")]);
    assert!(matches!(aws.revoke_set(&plan, &set, &[]).await, Ok(RevokeOutcome::Remains(_))));
    replay.then(listed());
    replay.then([answer("DeletePermissionSet", json!({}))]);
    assert_eq!(aws.revoke_set(&plan, &set, &[]).await, Ok(RevokeOutcome::Gone));
    let gone = json_error("DescribePermissionSet", 400, "ResourceNotFoundException", "PermissionSet not found");
    replay.then([gone, answer("ListPermissionSets", json!({"PermissionSets": []}))]);
    assert_eq!(aws.observe_set(&plan, &set, &[]).await.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn changes_by_others_are_drift() {
    let (plan, set) = set_plan();
    let observe = async |inline: &str, to: &[&str]| {
        let mut answers: Vec<Recorded> = found(&set).into();
        answers.extend([tagged(), user(), provisioned(), assigned(to)]);
        answers.extend(content(inline));
        Replay::of(answers).await.aws(center()).observe_set(&plan, &set, &[]).await.unwrap().observation
    };
    assert_eq!(observe(&set.inline, &[ALICE]).await, Observation::Present);
    assert_eq!(observe(&set.inline, &[]).await, Observation::Drifted);
    assert_eq!(observe(&set.inline, &[ALICE, "another"]).await, Observation::Drifted);
    assert_eq!(observe(&policy(0, "*").document, &[ALICE]).await, Observation::Drifted);
}

#[tokio::test]
async fn what_stands_already_is_one_slot_and_ended_by_curfew_alone() {
    let assignment = PlannedAssignment { instance: INSTANCE.into(), permission_set: SET.into(), user: "alice".into() };
    let of = AnyPlan::Aws(plan(Access::Assignment(assignment)));
    let replay = Replay::of([user(), assigned(&[ALICE])]).await;
    let aws = replay.aws(center());
    assert_eq!(aws.survey(&of).await, Ok(SlotSet::NONE.with(0)));
    assert_eq!(aws.revoke("g", &of, &[], SlotSet::NONE.with(0)).await, Ok(RevokeOutcome::Gone), "it was there before");
    assert_eq!(aws.enforced_by(&of).await, Ok(EnforcedBy::Curfew));
    assert_eq!(replay.calls(), ["GetUserId", "ListAccountAssignments"]);

    let membership = PlannedMembership { instance: INSTANCE.into(), group: "g-1".into(), user: "alice".into() };
    let of = AnyPlan::Aws(plan(Access::Membership(membership)));
    let member = || answer("GetGroupMembershipId", json!({"MembershipId": "m-1", "IdentityStoreId": "d-0123456789"}));
    let replay = Replay::of([user(), member(), answer("DeleteGroupMembership", json!({}))]).await;
    let aws = replay.aws(center());
    assert_eq!(aws.revoke("g", &of, &[], SlotSet::NONE).await, Ok(RevokeOutcome::Gone));
    replay.then([user(), json_error("GetGroupMembershipId", 400, "ResourceNotFoundException", "MEMBERSHIP not found.")]);
    assert_eq!(aws.observe(&of, &[], SlotSet::NONE, None).await.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn an_operation_is_asked_about_by_any_replica() {
    let replay = Replay::of([deletion("DescribeAccountAssignmentDeletionStatus", "SUCCEEDED")]).await;
    let stored = Operation { id: "r-9".into(), kind: OperationKind::Revoke, poll_at: super::deadline() };
    assert_eq!(replay.aws(center()).poll(&stored).await, Ok(OperationState::Succeeded));
    assert!(replay.sent("DescribeAccountAssignmentDeletionStatus").contains("r-9"));
}

#[tokio::test]
async fn an_operation_that_aws_does_not_finish_has_failed() {
    let status = |created: i64| {
        let status = json!({"Status": "IN_PROGRESS", "RequestId": "r-9", "CreatedDate": created});
        answer("DescribeAccountAssignmentDeletionStatus", json!({"AccountAssignmentDeletionStatus": status}))
    };
    let now = jiff::Timestamp::now().as_second();
    let replay = Replay::of([status(now - 60), status(now - 901)]).await;
    let (aws, stored) = (replay.aws(center()), Operation { id: "r-9".into(), kind: OperationKind::Revoke, poll_at: super::deadline() });
    assert!(matches!(aws.poll(&stored).await, Ok(OperationState::Running(_))));
    let failed = aws.poll(&stored).await;
    assert!(matches!(&failed, Ok(OperationState::Failed(why)) if why.contains("has not finished it for 15 minutes")), "{failed:?}");
}
