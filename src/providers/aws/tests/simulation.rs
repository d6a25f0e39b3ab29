//! What denies an access that is written, by IAM's simulator.
use super::{connection, policy, user_plan};
use crate::providers::{
    aws::replay::{Recorded, Replay, iam, xml_error},
    port::Provider,
};
use curfew_core::target::{Plan, aws::Access};

const ALLOWED: &str = "<EvalDecision>allowed</EvalDecision>";

fn plan(action: &str) -> Plan {
    let (mut plan, mut user) = user_plan();
    user.policies = vec![policy(0, action)];
    plan.access = Access::User(user);
    Plan::Aws(plan)
}

fn user() -> Recorded {
    iam(
        "GetUser",
        "<User><Path>/people/</Path><UserName>alice</UserName><UserId>AIDA</UserId><Arn>arn:aws:iam::111122223333:user/people/alice</Arn>\
         <CreateDate>2026-11-26T12:00:00Z</CreateDate></User>",
    )
}

fn decided(decision: &str) -> Recorded {
    let member = format!("<member><EvalActionName>s3:GetObject</EvalActionName><EvalResourceName>*</EvalResourceName>{decision}</member>");
    iam("SimulatePrincipalPolicy", &format!("<EvaluationResults>{member}</EvaluationResults><IsTruncated>false</IsTruncated>"))
}

#[tokio::test]
async fn a_denial_is_told_in_words_and_asked_for_once() {
    let by = |id: &str| format!("<MatchedStatements><member><SourcePolicyId>{id}</SourcePolicyId></member></MatchedStatements>");
    let implicit = "<EvalDecision>implicitDeny</EvalDecision>".to_owned();
    let explicit = "<EvalDecision>explicitDeny</EvalDecision>".to_owned();
    let boundary = "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>";
    let organisation = "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations></OrganizationsDecisionDetail>";
    for (decision, expected) in [
        (ALLOWED.to_owned(), None),
        // What was attached a moment ago may not be known yet, and neither is every condition.
        (implicit.clone(), None),
        (format!("{explicit}{}", by("no-s3")), Some("policy no-s3 denies it")),
        (explicit, Some("another policy denies it")),
        (format!("{implicit}{boundary}"), Some("the permissions boundary does not")),
        (format!("{implicit}{organisation}"), Some("a policy of the organisation does not")),
    ] {
        let replay = Replay::of([user(), decided(&decision)]).await;
        let aws = replay.aws(connection());
        for _ in 0..2 {
            let said = aws.denial(&plan("s3:GetObject")).await.unwrap();
            let said =
                said.as_ref().map(|said| said.strip_prefix("alice may not call s3:GetObject on *, which this grant allows: ").unwrap());
            assert_eq!(said, expected, "{decision}");
        }
        assert_eq!(replay.calls(), ["GetUser", "SimulatePrincipalPolicy"]);
        let sent = replay.sent("SimulatePrincipalPolicy");
        assert!(sent.contains("user/people/alice") && sent.contains("aws:CurrentTime"), "{sent}");
    }
}

#[tokio::test]
async fn where_the_simulator_cannot_be_asked_nothing_is_claimed() {
    let denied = |action| xml_error(action, 403, "AccessDenied", "User is not authorized");
    for answers in [vec![denied("GetUser")], vec![user(), denied("SimulatePrincipalPolicy")]] {
        let replay = Replay::of(answers).await;
        assert_eq!(replay.aws(connection()).denial(&plan("s3:GetObject")).await, Ok(None));
    }
    let replay = Replay::of([user(), xml_error("SimulatePrincipalPolicy", 400, "Throttling", "Rate exceeded")]).await;
    assert!(replay.aws(connection()).denial(&plan("s3:GetObject")).await.is_err(), "asked again later");
    // Whole names of actions alone can be asked for.
    let replay = Replay::of([]).await;
    assert_eq!(replay.aws(connection()).denial(&plan("s3:*")).await, Ok(None));
}
