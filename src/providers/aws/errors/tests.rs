//! Answers of AWS as its documentation prints them and its users report them, read by the SDK.
use super::*;
use crate::providers::aws::{
    replay::{Recorded, Replay, json_error, xml_error},
    tests::connection,
};

const ARN: &str = "arn:aws:iam::111122223333:policy/curfew/x";

async fn of_iam(recorded: Recorded) -> ProviderError {
    let replay = Replay::of([recorded]).await;
    let call = Call { action: "iam:CreatePolicy", on: ARN };
    let sent = replay.aws(connection()).clients().await.iam.create_policy().policy_name("x").policy_document("{}").send().await;
    call.failed(sent.unwrap_err())
}

async fn iam(status: u16, code: &str, message: &str) -> ProviderError {
    of_iam(xml_error("CreatePolicy", status, code, message)).await
}

async fn sso(status: u16, code: &str, message: &str) -> ProviderError {
    let replay = Replay::of([json_error("DeleteAccountAssignment", status, code, message)]).await;
    let aws = replay.aws(connection());
    let asked = aws
        .clients()
        .await
        .sso
        .delete_account_assignment()
        .instance_arn("arn:aws:sso:::instance/ssoins-0123456789abcdef")
        .target_id("111122223333");
    let asked = asked.permission_set_arn("arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef").principal_id("p");
    let asked = asked.target_type("AWS_ACCOUNT".into()).principal_type("USER".into());
    Call { action: "sso:DeleteAccountAssignment", on: "p" }.failed(asked.send().await.unwrap_err())
}

fn text(e: &ProviderError) -> String {
    e.to_string()
}

#[tokio::test]
async fn throttling_is_told_to_the_lane() {
    for (status, code) in
        [(400, "Throttling"), (400, "ThrottlingException"), (503, "RequestLimitExceeded"), (429, "TooManyRequestsException")]
    {
        for e in [iam(status, code, "Rate exceeded").await, sso(status, code, "Rate exceeded").await] {
            assert_eq!(e.retry_after(), Some(THROTTLED), "{code}: {e:?}");
        }
    }
    let asked = |name, value| Recorded { headers: vec![(name, value)], ..xml_error("CreatePolicy", 400, "Throttling", "Rate exceeded") };
    assert_eq!(of_iam(asked("retry-after", "7")).await.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(of_iam(asked("x-amz-retry-after", "1500")).await.retry_after(), Some(Duration::from_millis(1_500)));
    assert_eq!(of_iam(asked("retry-after", "86400")).await.retry_after(), Some(LONGEST_WAIT), "no answer stops a lane for a day");
    // Without a body: of a load balancer.
    let empty = |status| Recorded { action: "CreatePolicy", status, headers: Vec::new(), body: String::new() };
    for status in [429, 503] {
        assert_eq!(of_iam(empty(status)).await.retry_after(), Some(THROTTLED));
    }
    assert!(matches!(of_iam(empty(502)).await, ProviderError::Transient { retry_after: None, .. }));
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_action_and_its_object() {
    let said = "User: arn:aws:sts::111122223333:assumed-role/curfew-operator/curfew is not authorized to perform: iam:CreatePolicy on \
                resource: policy x because no identity-based policy allows the iam:CreatePolicy action";
    for code in ["AccessDenied", "UnauthorizedOperation"] {
        let e = iam(403, code, said).await;
        assert!(matches!(&e, ProviderError::Denied(_)), "{e:?}");
        assert!(text(&e).contains("may not call iam:CreatePolicy on arn:aws:iam::111122223333:policy/curfew/x; allow it"), "{e}");
    }
    assert!(matches!(sso(400, "AccessDeniedException", said).await, ProviderError::Denied(_)));
}

#[tokio::test]
async fn credentials_that_are_refused_need_a_person_and_expired_ones_do_not() {
    let e = iam(403, "InvalidClientTokenId", "The security token included in the request is invalid").await;
    assert!(matches!(&e, ProviderError::Denied(why) if why.contains("assumeRole")), "{e:?}");
    assert!(matches!(sso(400, "UnrecognizedClientException", "The security token is invalid.").await, ProviderError::Denied(_)));
    for code in ["ExpiredToken", "ExpiredTokenException", "RequestExpired"] {
        let e = iam(403, code, "The security token included in the request is expired").await;
        assert!(matches!(e, ProviderError::Transient { .. }), "{e:?}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_gone() {
    assert_eq!(iam(404, "NoSuchEntity", "Policy x does not exist or is not attachable.").await, ProviderError::Gone);
    assert_eq!(sso(400, "ResourceNotFoundException", "PermissionSet not found").await, ProviderError::Gone);
    assert_eq!(if_there(Err::<(), _>(ProviderError::Gone)), Ok(None));
}

#[tokio::test]
async fn a_full_quota_says_what_to_do_and_a_long_document_never_fits() {
    let e = iam(409, "LimitExceeded", "Cannot exceed quota for PoliciesPerUser: 10").await;
    assert!(matches!(&e, ProviderError::Denied(why) if why.contains("PoliciesPerUser: 10") && why.contains("Service Quotas")), "{e:?}");
    let e = iam(409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144").await;
    assert!(matches!(&e, ProviderError::Invalid(why) if why.contains("PolicySize: 6144")), "{e:?}");
    let e = sso(400, "ServiceQuotaExceededException", "You have exceeded the maximum number of permission sets").await;
    assert!(matches!(e, ProviderError::Denied(_)), "{e:?}");
}

#[tokio::test]
async fn conflicts_and_unknown_codes_are_tried_again_and_bad_documents_are_not() {
    let conflicts = [
        ("DeleteConflict", "Cannot delete a policy attached to entities."),
        ("EntityTemporarilyUnmodifiable", "Role cannot be modified now"),
        ("ConcurrentModification", "The request was rejected because multiple requests to change this object were submitted"),
        ("SomethingThatIsNew", "unknown"),
    ];
    for (code, message) in conflicts {
        assert!(matches!(iam(409, code, message).await, ProviderError::Transient { retry_after: None, .. }), "{code}");
    }
    assert!(matches!(iam(500, "ServiceFailure", "").await, ProviderError::Transient { .. }));
    assert!(matches!(sso(400, "ConflictException", "a previous write is not known everywhere yet").await, ProviderError::Transient { .. }));
    for code in ["MalformedPolicyDocument", "InvalidInput", "ValidationError"] {
        let e = iam(400, code, "Syntax errors in policy.").await;
        assert!(matches!(&e, ProviderError::Invalid(why) if why.contains("Syntax errors")), "{e:?}");
    }
    assert!(matches!(sso(400, "ValidationException", "1 validation error detected").await, ProviderError::Invalid(_)));
}

#[tokio::test]
async fn a_connection_that_fails_is_tried_again_and_says_why() {
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let aws = Replay::at(&format!("http://{dead}"), connection());
    let e = aws.policy(ARN).await.unwrap_err();
    assert!(matches!(&e, ProviderError::Transient { retry_after: None, .. }) && text(&e).contains("refused"), "{e:?}");
}
