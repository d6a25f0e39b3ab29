//! Who made a call.
use crate::log::{ACCOUNT, NOON, call, read_records, with};
use curfew_analytics::aws::catalogue::Actions;
use serde_json::{Value, json};

/// A call by this `userIdentity`.
fn by(user: Value) -> Value {
    with(call("ec2", "DescribeInstances"), "/userIdentity", user)
}

/// Whose use a call by this `userIdentity` is.
fn identity(user: Value) -> Option<String> {
    read_records(&[by(user)]).uses.first().map(|used| used.identity.clone())
}

#[test]
fn the_permissions_of_a_session_are_those_of_its_issuer() {
    let role = "arn:aws:iam::123456789012:role/teams/a/deploy";
    let issuer = |kind: &str, arn: &str| json!({"sessionIssuer": {"type": kind, "principalId": "AROA", "arn": arn}, "attributes": {"mfaAuthenticated": "false"}});
    let session = "arn:aws:sts::123456789012:assumed-role/deploy/me@example.com";
    for (user, expected) in [
        (json!({"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/x/bob"}), Some("arn:aws:iam::123456789012:user/x/bob")),
        (json!({"type": "Root", "arn": "arn:aws:iam::123456789012:root"}), Some("arn:aws:iam::123456789012:root")),
        (json!({"type": "Root", "accountId": "123456789012"}), Some("arn:aws:iam::123456789012:root")),
        (json!({"type": "AssumedRole", "arn": session, "sessionContext": issuer("Role", role)}), Some(role)),
        // Without its issuer, the path of the role is not known.
        (json!({"type": "AssumedRole", "arn": session}), Some("arn:aws:iam::123456789012:role/deploy")),
        (
            json!({"type": "FederatedUser", "arn": "arn:aws:sts::123456789012:federated-user/f",
                "sessionContext": issuer("IAMUser", "arn:aws:iam::123456789012:user/bob")}),
            Some("arn:aws:iam::123456789012:user/bob"),
        ),
        (
            json!({"type": "IdentityCenterUser", "accountId": ACCOUNT, "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::1:identitystore/d-1"}}),
            Some("arn:aws:identitystore:::user/u-1"),
        ),
        (json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}), None),
        (json!({"invokedBy": "ec2.amazonaws.com"}), None),
        (json!({"type": "AWSAccount", "principalId": "AIDA:x", "accountId": "210987654321"}), None),
        (json!({"type": "Unknown"}), None),
    ] {
        assert_eq!(identity(user.clone()).as_deref(), expected, "{user}");
    }
}

/// A service that acts with the permissions of its caller tells the caller.
#[test]
fn a_call_that_a_service_makes_for_a_user_is_the_users() {
    let user = json!({"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/bob", "invokedBy": "cloudformation.amazonaws.com"});
    assert_eq!(identity(user).as_deref(), Some("arn:aws:iam::123456789012:user/bob"));
}

#[test]
fn who_assumes_a_role_is_told_also_if_it_has_no_permissions_here() {
    let role = "arn:aws:iam::123456789012:role/x/deploy";
    let assume = |name: &str, id: &str, user: Value| {
        let record = with(call("sts", name), "/userIdentity", user);
        with(with(record, "/resources", json!([{"ARN": role, "accountId": ACCOUNT, "type": "AWS::IAM::Role"}])), "/eventID", json!(id))
    };
    let read = read_records(&[
        assume("AssumeRole", "1", json!({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"})),
        assume("AssumeRole", "2", json!({"type": "AWSAccount", "principalId": "AROA:x", "accountId": "210987654321"})),
        assume(
            "AssumeRoleWithWebIdentity",
            "3",
            json!({"type": "WebIdentityUser", "userName": "repo:a/b", "identityProvider": "token.actions.githubusercontent.com"}),
        ),
        assume("AssumeRole", "4", json!({"type": "IAMUser", "arn": "arn:aws:iam::123456789012:user/bob"})),
    ]);
    let callers: Vec<&str> = read.usage.assumed[role].keys().map(String::as_str).collect();
    assert_eq!(
        callers,
        [
            "AWSAccount 210987654321",
            "AWSService lambda.amazonaws.com",
            "WebIdentityUser token.actions.githubusercontent.com",
            "arn:aws:iam::123456789012:user/bob"
        ]
    );
    assert_eq!(read.usage.identities.keys().collect::<Vec<_>>(), ["arn:aws:iam::123456789012:user/bob"]);
    assert_eq!((read.counts.uses, read.counts.other_callers.total()), (1, 3));
}

#[test]
fn a_use_has_its_time_and_the_lasting_key() {
    let read = read_records(&[
        call("ec2", "DescribeInstances"),
        with(
            with(call("ec2", "DescribeVpcs"), "/userIdentity/accessKeyId", json!("ASIAEXAMPLE")),
            "/eventTime",
            json!("2026-11-26T14:00:00Z"),
        ),
    ]);
    let alice = &read.usage.identities["arn:aws:iam::123456789012:user/alice"];
    assert_eq!(alice.last, Some(NOON + 3600));
    assert_eq!(alice.keys, [("AKIAEXAMPLE".to_owned(), NOON)].into());
    let describe = Actions::builtin().find("ec2:DescribeInstances").unwrap();
    assert_eq!(alice.actions[&describe].unnamed, Some(NOON));
    assert_eq!(read.usage.hours, [NOON / 3600, NOON / 3600 + 1].into());
    assert_eq!(read.usage.newest, Some(NOON + 3600));
}

#[test]
fn only_success_is_a_use() {
    let failed = |code: &str| with(with(call("ec2", "RunInstances"), "/errorCode", json!(code)), "/eventID", json!(code));
    let signed_in = with(call("signin", "ConsoleLogin"), "/eventType", json!("AwsConsoleSignIn"));
    let read = read_records(&[
        failed("Client.UnauthorizedOperation"),
        failed("AccessDenied"),
        // A dry run asks for the permission.
        failed("Client.DryRunOperation"),
        signed_in.clone(),
        with(with(signed_in, "/errorMessage", json!("Failed authentication")), "/eventID", json!("x")),
    ]);
    let told: Vec<&str> = read.uses.iter().map(|used| used.operation.as_str()).collect();
    assert_eq!(told, ["ec2:RunInstances", "signin:ConsoleLogin"]);
    let failed: Vec<(&str, u64)> = read.counts.failed.0.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(failed, [("AccessDenied", 1), ("Client.UnauthorizedOperation", 1), ("sign-in failed", 1)]);
    // Signing in needs no permission: it does not count as a call without an action.
    let alice = &read.usage.identities["arn:aws:iam::123456789012:user/alice"];
    assert_eq!((alice.unmapped, alice.last), (None, Some(NOON)));
    assert_eq!(read.counts.unmapped.total(), 0);
}

#[test]
fn events_that_are_not_calls_are_counted_by_name() {
    let event = |pointer: &str, value: &str| with(with(call("kms", "RotateKey"), pointer, json!(value)), "/eventID", json!(value));
    let insight = json!({"eventVersion": "1.11", "eventTime": "2026-11-26T13:00:00Z", "eventCategory": "Insight", "eventType": "AwsCloudTrailInsight", "eventID": "i"});
    let read = read_records(&[
        event("/eventType", "AwsServiceEvent"),
        event("/eventCategory", "NetworkActivity"),
        insight,
        with(call("kms", "Decrypt"), "/userIdentity", Value::Null),
        call("kms", "NewOperation"),
    ]);
    let names: Vec<&str> = read.counts.not_calls.0.keys().map(String::as_str).collect();
    assert_eq!(names, ["AwsServiceEvent", "Insight", "NetworkActivity", "a call without userIdentity"]);
    assert_eq!(read.counts.unmapped.0, [("kms:NewOperation".to_owned(), 1)].into());
    let alice = &read.usage.identities["arn:aws:iam::123456789012:user/alice"];
    assert_eq!((alice.unmapped, alice.actions.len()), (Some(NOON), 0));
    assert!(read.problems.is_empty(), "{:?}", read.problems);
}
