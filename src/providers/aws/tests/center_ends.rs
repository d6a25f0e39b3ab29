//! The end of permission sets of their own: whose they are, and what keeps one from being removed.
use super::identity_center::{
    ALICE, SET, answer, assigned, center, content, creating, deletion, described, found, provisioned, set_plan, tagged, user,
};
use crate::{
    api::grant::Artifact,
    providers::{
        aws::{
            identity_center::KIND,
            replay::{Recorded, Replay, json_error},
        },
        port::{Provider, ReserveOutcome, RevokeOutcome},
    },
};
use curfew_core::{
    grant::Observation,
    target::{Plan as AnyPlan, SlotSet},
};
use serde_json::{Value, json};

/// What the end of a permission set of its own answers.
async fn ended(replay: &Replay) -> Result<RevokeOutcome, crate::providers::ProviderError> {
    let (plan, _) = set_plan();
    replay.aws(center()).revoke("g", &AnyPlan::Aws(plan), &[], SlotSet::NONE).await
}

fn of_set(more: impl IntoIterator<Item = Recorded>) -> Vec<Recorded> {
    let (_, set) = set_plan();
    found(&set).into_iter().chain([tagged(), provisioned()]).chain(more).collect()
}

fn denied() -> Recorded {
    json_error("DeleteAccountAssignment", 403, "AccessDeniedException", "not authorized")
}

#[tokio::test]
async fn a_set_that_aws_is_assigning_is_not_removed() {
    let status = json!({"Status": "IN_PROGRESS", "RequestId": "r-7", "TargetId": "999988887777", "PermissionSetArn": SET,
        "PrincipalType": "USER", "PrincipalId": ALICE});
    let running = answer("DescribeAccountAssignmentCreationStatus", json!({"AccountAssignmentCreationStatus": status}));
    let replay = Replay::of(of_set([assigned(&[]), creating(&["r-7"]), running, answer("DeletePermissionSet", json!({}))])).await;
    let outcome = ended(&replay).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Remains(why)) if why.contains("is still being created")), "{outcome:?}");
    assert!(!replay.calls().contains(&"DeletePermissionSet".to_owned()));
}

#[tokio::test]
async fn an_assignment_that_cannot_be_removed_keeps_no_other() {
    let replay = Replay::of(of_set([assigned(&["another", ALICE]), denied(), deletion("DeleteAccountAssignment", "IN_PROGRESS")])).await;
    let outcome = ended(&replay).await;
    assert!(matches!(&outcome, Ok(RevokeOutcome::Started(operation)) if &*operation.id == "r-2"), "{outcome:?}");
    let sent = replay.all_sent("DeleteAccountAssignment");
    assert!(sent.len() == 2 && sent[1].contains(ALICE), "{sent:?}");

    let replay = Replay::of(of_set([assigned(&["another", ALICE]), denied(), deletion("DeleteAccountAssignment", "FAILED")])).await;
    let outcome = ended(&replay).await;
    assert!(outcome.is_err() || matches!(outcome, Ok(RevokeOutcome::Remains(_))), "{outcome:?}");
    assert_eq!(replay.all_sent("DeleteAccountAssignment").len(), 2);
}

/// The Grant stores their ids in one field with a bound.
#[tokio::test]
async fn so_many_removals_are_begun_as_the_grant_can_follow() {
    let all: Vec<String> = (0..60).map(|n| format!("user-{n}")).collect();
    let users: Vec<&str> = all.iter().map(String::as_str).collect();
    let id = "0b0d2c1e-5a2f-4c0e-9d3a-1a2b3c4d5e6f";
    let running = json!({"AccountAssignmentDeletionStatus": {"Status": "IN_PROGRESS", "RequestId": id}});
    let removals = (0..60).map(|_| answer("DeleteAccountAssignment", running.clone()));
    let replay = Replay::of(of_set(std::iter::once(assigned(&users)).chain(removals))).await;
    let outcome = ended(&replay).await;
    let Ok(RevokeOutcome::Started(operation)) = outcome else { panic!("{outcome:?}") };
    let begun = replay.all_sent("DeleteAccountAssignment").len();
    assert!(operation.id.len() <= 1_024 && operation.id.split(',').count() == begun && begun > 20, "{begun}: {}", operation.id.len());
}

#[tokio::test]
async fn a_set_of_our_name_without_our_tag_is_not_taken_up() {
    let (plan, set) = set_plan();
    let reserve = async |tags: Value| {
        let tags = answer("ListTagsForResource", json!({"Tags": tags}));
        let put = answer("PutInlinePolicyToPermissionSet", json!({}));
        let (_, set) = set_plan();
        let answers = found(&set).into_iter().chain([provisioned(), assigned(&[]), tags, put]);
        let replay = Replay::of([user()].into_iter().chain(answers)).await;
        let outcome = replay.aws(center()).reserve_set(&plan, &set).await.unwrap();
        (outcome, replay.calls().contains(&"PutInlinePolicyToPermissionSet".to_owned()))
    };
    let (outcome, written) = reserve(json!([{"Key": "owner", "Value": "payments"}])).await;
    assert!(matches!(&outcome, ReserveOutcome::Occupied(why) if why.contains(&set.name)) && !written, "{outcome:?}");
    let (outcome, written) = reserve(json!([{"Key": "curfew.dev/grant", "Value": super::GRANT}])).await;
    assert!(matches!(outcome, ReserveOutcome::Reserved(_)) && written);
}

#[tokio::test]
async fn longer_sessions_are_drift() {
    let (plan, set) = set_plan();
    for (duration, expected) in [("PT1H", Observation::Present), ("PT3600S", Observation::Present), ("PT12H", Observation::Drifted)] {
        let shown = || {
            let set = json!({"Name": set.name, "PermissionSetArn": SET, "CreatedDate": 1.7961e9, "SessionDuration": duration});
            answer("DescribePermissionSet", json!({"PermissionSet": set}))
        };
        let listed = answer("ListPermissionSets", json!({"PermissionSets": [SET]}));
        let answers =
            [listed, shown(), shown(), tagged(), user(), provisioned(), assigned(&[ALICE])].into_iter().chain(content(&set.inline));
        let replay = Replay::of(answers).await;
        assert_eq!(replay.aws(center()).observe_set(&plan, &set, &[]).await.unwrap(), expected, "{duration}");
    }
}

/// The list of all permission sets of an instance is long, and a grant knows its own.
#[tokio::test]
async fn a_set_that_is_known_is_found_without_the_list() {
    let (plan, set) = set_plan();
    let known = [Artifact { kind: KIND.into(), id: SET.into(), uid: SET.into() }];
    let replay = Replay::of([described(&set), provisioned(), assigned(&[ALICE]), deletion("DeleteAccountAssignment", "IN_PROGRESS")]).await;
    let outcome = replay.aws(center()).revoke("g", &AnyPlan::Aws(plan), &known, SlotSet::NONE).await;
    assert!(matches!(outcome, Ok(RevokeOutcome::Started(_))), "{outcome:?}");
    assert!(!replay.calls().contains(&"ListPermissionSets".to_owned()));
}

/// An identity that may change a permission set may remove its tag, too. What the Grant has stored is its own.
#[tokio::test]
async fn a_set_without_its_tag_is_known_by_what_the_grant_has_stored() {
    let (plan, set) = set_plan();
    let untagged = || answer("ListTagsForResource", json!({"Tags": []}));
    let seen = async |known: &[Artifact]| {
        let mut answers: Vec<Recorded> = found(&set).into();
        answers.extend([user(), provisioned(), assigned(&[ALICE, "another"]), untagged()]);
        Replay::of(answers).await.aws(center()).observe_set(&plan, &set, known).await.unwrap().observation
    };
    assert_eq!(seen(&[]).await, Observation::Absent);
    assert_eq!(seen(&[Artifact { kind: KIND.into(), id: SET.into(), uid: SET.into() }]).await, Observation::Drifted);
}

/// AWS may work on it, and nobody can ask how far it is.
#[tokio::test]
async fn an_operation_without_state_or_request_is_neither_done_nor_failed() {
    let whole = |status: Value| json!({"AccountAssignmentDeletionStatus": status});
    for odd in [whole(json!({"Status": "IN_PROGRESS"})), whole(json!({"RequestId": "r-2"})), json!({})] {
        let replay = Replay::of(of_set([assigned(&[ALICE]), answer("DeleteAccountAssignment", odd), creating(&[])])).await;
        let e = ended(&replay).await.unwrap_err().to_string();
        assert!(e.contains("leaves out what was asked for"), "{e}");
    }
}
