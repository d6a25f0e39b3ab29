//! Where credentials come from: as in a pod, so each case is a process with an environment of its own.
use super::{ACCOUNT, connection, identity::caller};
use crate::{
    api::system::{AssumeRole, AwsConnection},
    providers::{
        aws::{
            Aws, Connections,
            replay::{Recorded, Replay, ok, xml_error},
        },
        port::Provider,
    },
};
use std::sync::Arc;
use tokio::process::Command;

const CONNECTION: &str = "CURFEW_TEST_CONNECTION";
const OPERATOR: &str = "arn:aws:sts::111122223333:assumed-role/curfew-operator/curfew";

/// The process: it says which account it reaches.
#[tokio::test]
#[ignore = "the tests of this file run it, each with an environment"]
async fn child() {
    let connection: AwsConnection = serde_json::from_str(&std::env::var(CONNECTION).unwrap()).unwrap();
    println!("{:?}", Aws::new(connection, Connections::default(), Arc::default()).identity().await);
}

/// What the process says that has this environment.
async fn said(connection: &AwsConnection, replay: &Replay, environment: &[(&str, &str)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "providers::aws::tests::credentials::child", "--include-ignored", "--nocapture"]).env_clear();
    let always = [("AWS_ENDPOINT_URL_STS", replay.endpoint.as_str()), ("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")];
    child.envs(always).envs(environment.iter().copied()).env(CONNECTION, serde_json::to_string(connection).unwrap());
    let output = child.output().await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn credentials(element: &str, key: &str) -> String {
    format!(
        "<{element}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{element}Result><Credentials>\
         <AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>{OPERATOR}</Arn>\
         <AssumedRoleId>AROA:curfew</AssumedRoleId></AssumedRoleUser></{element}Result></{element}Response>"
    )
}

fn assumed(action: &'static str, key: &str) -> Recorded {
    ok(action, credentials(action, key))
}

#[tokio::test]
async fn a_service_account_of_eks_gets_credentials_for_its_token_and_then_assumes_the_role_of_the_account() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "the-token-of-the-service-account").unwrap();
    let environment =
        [("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()), ("AWS_ROLE_ARN", "arn:aws:iam::777788889999:role/curfew-operator")];
    let web = || assumed("AssumeRoleWithWebIdentity", "ASIAWEB");
    let replay = Replay::of([web(), caller(ACCOUNT, OPERATOR)]).await;
    let text = said(&connection(), &replay, &environment).await;
    assert!(text.contains("Ok(\"aws:111122223333\")"), "{text}");
    assert_eq!(replay.calls(), ["AssumeRoleWithWebIdentity", "GetCallerIdentity"]);
    assert!(replay.sent("AssumeRoleWithWebIdentity").contains("the-token-of-the-service-account"));

    let role = AssumeRole { role_arn: "arn:aws:iam::111122223333:role/curfew-operator".into(), external_id: Some("7b1f".into()) };
    let spoke = AwsConnection { assume_role: Some(role), ..connection() };
    let replay = Replay::of([web(), assumed("AssumeRole", "ASIASPOKE"), caller(ACCOUNT, OPERATOR)]).await;
    let text = said(&spoke, &replay, &environment).await;
    assert!(text.contains("Ok(\"aws:111122223333\")"), "{text}");
    assert_eq!(replay.calls(), ["AssumeRoleWithWebIdentity", "AssumeRole", "GetCallerIdentity"]);
    let sent = replay.sent("AssumeRole");
    assert!(sent.contains("ExternalId=7b1f") && sent.contains("RoleSessionName=curfew"), "{sent}");

    let refused = xml_error("AssumeRole", 403, "AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: x");
    let replay = Replay::of([web(), refused]).await;
    let text = said(&spoke, &replay, &environment).await;
    assert!(text.contains("Err(") && text.contains("not authorized to perform: sts:AssumeRole"), "{text}");
}

#[tokio::test]
async fn a_pod_gets_credentials_from_the_agent_of_eks_pod_identity() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "the-token-of-the-pod").unwrap();
    let keys = serde_json::json!({
        "AccessKeyId": "ASIAPOD", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2099-01-01T00:00:00Z", "AccountId": ACCOUNT,
    });
    let replay = Replay::of([ok("/v1/credentials", keys.to_string()), caller(ACCOUNT, OPERATOR)]).await;
    let agent = format!("{}/v1/credentials", replay.endpoint);
    let environment =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap())];
    let text = said(&connection(), &replay, &environment).await;
    assert!(text.contains("Ok(\"aws:111122223333\")"), "{text}");
    assert_eq!(replay.calls(), ["/v1/credentials", "GetCallerIdentity"]);
}

#[tokio::test]
async fn keys_of_the_environment_and_of_a_profile_are_used_and_without_any_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("credentials");
    std::fs::write(&file, "[ops]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n").unwrap();
    let keys: &[(&str, &str)] = &[("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    let profile: &[(&str, &str)] = &[("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "ops")];
    for environment in [keys, profile] {
        let replay = Replay::of([caller(ACCOUNT, OPERATOR)]).await;
        let text = said(&connection(), &replay, environment).await;
        assert!(text.contains("Ok(\"aws:111122223333\")"), "{text}");
    }
    let replay = Replay::of([]).await;
    let text = said(&connection(), &replay, &[]).await;
    assert!(text.contains("Transient") && text.contains("has no credentials"), "{text}");
}
