//! Answers that leave out what was asked for, and lists of several pages: neither is taken for absence.
use super::{
    ACCOUNT, connection,
    identity_center::{ALICE, INSTANCE, SET, answer, center, content, creating, described, set_plan, user},
    plan, user_plan,
};
use crate::providers::{
    aws::replay::{Recorded, Replay, iam},
    port::Provider,
};
use curfew_core::{
    grant::Observation,
    target::{
        Plan as AnyPlan, SlotSet,
        aws::{Access, plan::PlannedAssignment},
    },
};
use serde_json::{Value, json};

const ROLE: &str = "curfew-0123abcd-00000000000000a1-20261126T180000Z";

async fn seen(of: &AnyPlan, answers: Vec<Recorded>) -> Result<Observation, crate::providers::ProviderError> {
    let replay = Replay::of(answers).await;
    replay.aws(center()).observe(of, &[], SlotSet::NONE, None).await.map(|seen| seen.observation)
}

#[tokio::test]
async fn an_answer_of_identity_center_that_leaves_something_out_proves_nothing() {
    let (set_plan, set) = set_plan();
    let of = AnyPlan::Aws(set_plan);
    let listed = || answer("ListPermissionSets", json!({"PermissionSets": [SET]}));
    let unnamed = || answer("DescribePermissionSet", json!({"PermissionSet": {"PermissionSetArn": SET}}));
    for answers in [vec![answer("ListPermissionSets", json!({}))], vec![listed(), unnamed()], vec![listed(), described(&set), unnamed()]] {
        assert!(seen(&of, answers).await.is_err());
    }
    let assignment = PlannedAssignment { instance: INSTANCE.into(), permission_set: SET.into(), user: "alice".into() };
    let of = AnyPlan::Aws(plan(Access::Assignment(assignment)));
    let assignments = |body: Value| {
        let listed = || answer("ListAccountAssignments", body.clone());
        vec![user(), listed(), creating(&[]), listed()]
    };
    for body in [json!({}), json!({"AccountAssignments": [{"AccountId": ACCOUNT, "PrincipalType": "USER"}]})] {
        assert!(seen(&of, assignments(body.clone())).await.is_err(), "{body}");
    }
    assert!(seen(&of, vec![answer("GetUserId", json!({}))]).await.is_err());
    assert_eq!(seen(&of, assignments(json!({"AccountAssignments": []}))).await, Ok(Observation::Absent));
}

#[tokio::test]
async fn every_page_of_the_policies_of_a_set_counts() {
    let (set_plan, set) = set_plan();
    let listed = answer("ListPermissionSets", json!({"PermissionSets": [SET]}));
    let [inline, _, referenced] = content(&set.inline);
    let first = answer("ListManagedPoliciesInPermissionSet", json!({"AttachedManagedPolicies": [], "NextToken": "more"}));
    let more = json!({"AttachedManagedPolicies": [{"Name": "A", "Arn": "arn:aws:iam::aws:policy/AdministratorAccess"}]});
    let more = answer("ListManagedPoliciesInPermissionSet", more);
    let accounts = answer("ListAccountsForProvisionedPermissionSet", json!({"AccountIds": [ACCOUNT]}));
    let answers = vec![
        listed,
        described(&set),
        described(&set),
        super::identity_center::tagged(),
        user(),
        accounts,
        super::identity_center::assigned(&[ALICE]),
        inline,
        first,
        more,
        referenced,
    ];
    assert_eq!(seen(&AnyPlan::Aws(set_plan), answers).await, Ok(Observation::Drifted));
}

#[tokio::test]
async fn a_role_that_cannot_be_read_is_not_absent() {
    let unreadable = "<Role><Path>/curfew/</Path><RoleName>x</RoleName><Arn>arn:aws:iam::111122223333:role/curfew/x</Arn></Role>";
    let replay = Replay::of([iam("GetRole", unreadable)]).await;
    assert!(replay.aws(connection()).role("x").await.is_err());
    let listed = format!("<Roles><member>{}</member></Roles><IsTruncated>false</IsTruncated>", unreadable.replace("Role>", "X>"));
    let replay = Replay::of([iam("ListRoles", &listed)]).await;
    assert!(replay.aws(connection()).roles_below("/curfew/").await.is_err());
    let nameless = "<Policies><member><PolicyId>A</PolicyId></member></Policies><IsTruncated>false</IsTruncated>";
    let replay = Replay::of([iam("ListPolicies", nameless)]).await;
    assert!(replay.aws(connection()).policies_below("/curfew/").await.is_err());
}

#[tokio::test]
async fn every_page_of_the_policies_of_a_role_and_of_the_versions_of_a_policy_counts() {
    let member = |arn: &str| format!("<member><PolicyName>p</PolicyName><PolicyArn>{arn}</PolicyArn></member>");
    let page =
        |arn: &str, rest: &str| iam("ListAttachedRolePolicies", &format!("<AttachedPolicies>{}</AttachedPolicies>{rest}", member(arn)));
    let (truncated, last) = ("<IsTruncated>true</IsTruncated><Marker>m</Marker>", "<IsTruncated>false</IsTruncated>");
    let replay = Replay::of([page("arn:aws:iam::aws:policy/A", truncated), page("arn:aws:iam::aws:policy/B", last)]).await;
    let all = replay.aws(connection()).attached_to_role(ROLE).await.unwrap().unwrap();
    assert_eq!(all, ["arn:aws:iam::aws:policy/A", "arn:aws:iam::aws:policy/B"]);
    // A page that says that there are more, and not where they are.
    let replay = Replay::of([page("arn:aws:iam::aws:policy/A", "<IsTruncated>true</IsTruncated>")]).await;
    assert!(replay.aws(connection()).attached_to_role(ROLE).await.is_err());

    let version = |id: &str, default: bool| {
        format!("<Versions><member><VersionId>{id}</VersionId><IsDefaultVersion>{default}</IsDefaultVersion></member></Versions>")
    };
    let arn = super::arn(&user_plan().1.policies[0]);
    let replay = Replay::of([
        iam("ListPolicyVersions", &format!("{}{truncated}", version("v2", true))),
        iam("ListPolicyVersions", &format!("{}{last}", version("v1", false))),
        super::done("DeletePolicyVersion"),
    ])
    .await;
    replay.aws(connection()).delete_other_versions(&arn).await.unwrap();
    assert!(replay.sent("DeletePolicyVersion").contains("VersionId=v1"));
}
