//! What the operator asks about its own rights.
use super::{ACCOUNT, connection, identity::caller, user_plan};
use crate::providers::{
    aws::replay::{Recorded, Replay, iam, xml_error},
    port::{Provider, ProviderError},
};
use curfew_core::target::Plan;

const SESSION: &str = "arn:aws:sts::111122223333:assumed-role/curfew-operator/curfew";

fn own_role() -> Recorded {
    iam(
        "GetRole",
        "<Role><Path>/ops/</Path><RoleName>curfew-operator</RoleName><RoleId>AROA</RoleId>\
         <Arn>arn:aws:iam::111122223333:role/ops/curfew-operator</Arn><CreateDate>2026-11-26T12:00:00Z</CreateDate></Role>",
    )
}

fn decided(decisions: &[(&str, &str)]) -> Recorded {
    let members: String = decisions
        .iter()
        .map(|(action, decision)| {
            format!("<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>")
        })
        .collect();
    iam("SimulatePrincipalPolicy", &format!("<EvaluationResults>{members}</EvaluationResults><IsTruncated>false</IsTruncated>"))
}

#[tokio::test]
async fn missing_rights_are_named_with_the_file_that_has_them() {
    let all = [("iam:DeletePolicy", "allowed")];
    let answers = [caller(ACCOUNT, SESSION), own_role(), decided(&[("iam:DeletePolicy", "implicitDeny")]), decided(&all), decided(&all)];
    let replay = Replay::of(answers).await;
    let aws = replay.aws(connection());
    let missing = aws.missing_rights().await.unwrap();
    assert_eq!(missing, ["iam:DeletePolicy on arn:aws:iam::111122223333:policy/curfew/any"]);
    assert!(aws.rights_file().contains("deploy/aws/iam.json"));
}

#[tokio::test]
async fn a_plan_that_cannot_be_written_is_told_before_it_is() {
    let (plan, _) = user_plan();
    let ok = decided(&[("iam:CreatePolicy", "allowed")]);
    let answers = [
        caller(ACCOUNT, SESSION),
        own_role(),
        ok,
        decided(&[("iam:AttachUserPolicy", "explicitDeny")]),
        decided(&[("iam:ListAttachedUserPolicies", "allowed")]),
    ];
    let replay = Replay::of(answers).await;
    let missing = replay.aws(connection()).missing_right(&Plan::Aws(plan)).await.unwrap().unwrap();
    assert!(
        missing.contains("iam:AttachUserPolicy on arn:aws:iam::111122223333:user/any; allow it in the policy of its role"),
        "{missing}"
    );
}

#[tokio::test]
async fn where_the_operator_may_not_ask_nothing_is_claimed() {
    let denied = || xml_error("SimulatePrincipalPolicy", 403, "AccessDenied", "User is not authorized");
    let replay = Replay::of([caller(ACCOUNT, SESSION), own_role(), denied(), own_role(), denied()]).await;
    let aws = replay.aws(connection());
    let e = aws.missing_rights().await.unwrap_err();
    assert!(
        matches!(&e, ProviderError::Denied(why) if why.contains("is not known; allow iam:GetRole and iam:SimulatePrincipalPolicy")),
        "{e:?}"
    );
    assert_eq!(aws.missing_right(&Plan::Aws(user_plan().0)).await, Ok(None));
}
