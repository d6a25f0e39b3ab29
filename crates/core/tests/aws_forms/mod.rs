//! An account of AWS as the operator reads it, and a template for each way of granting there.
use curfew_core::target::aws::{
    Group, IdentityCenter, Inventory, PermissionSetContent, Permissions, Policies, PolicyContent, PolicyObject, RolePolicies, Scope,
};
use serde_json::{Value, json};

const ACCOUNT: &str = "123456789012";
const READ: &str = "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess";
const OWN: &str = "arn:aws:iam::123456789012:policy/payments/deploy";
/// What only denies: of a role of the grant's own, not of a user.
const GUARD: &str = "arn:aws:iam::123456789012:policy/payments/guard";
const LARGE: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
const SET: &str = "arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef";
const GROUP: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn document(statements: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// What the account holds.
pub fn inventory() -> Inventory {
    let content = |arn: &str, statements: Value| PolicyContent { arn: arn.into(), document: document(statements).to_string() };
    let read = || json!({"Sid": "Read", "Effect": "Allow", "Action": ["sqs:ReceiveMessage", "sqs:Get*", "sqs:List*"], "Resource": "*"});
    let own = json!([
        {"Sid": "Deploy", "Effect": "Allow", "Action": "lambda:InvokeFunction",
         "Resource": ["arn:aws:lambda:eu-west-1:123456789012:function:pay-*", "arn:aws:lambda:us-east-1:123456789012:function:pay-*"],
         "Condition": {"DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"}, "Bool": {"aws:SecureTransport": true}}}
    ]);
    let guard = json!({"Effect": "Deny", "NotAction": "lambda:*", "NotResource": "arn:aws:s3:::pay/*"});
    let many: Vec<String> = (0..2_000).map(|i| format!("service{}:DescribeSomething{i:04}WithALongName", i % 9)).collect();
    Inventory {
        partition: "aws".into(),
        account: ACCOUNT.into(),
        instance: Some("arn:aws:sso:::instance/ssoins-0123456789abcdef".into()),
        policies: vec![
            content(READ, read()),
            content(OWN, own),
            content(LARGE, json!({"Effect": "Allow", "Action": many, "Resource": "*"})),
            content(GUARD, guard),
        ],
        permission_set: Some(PermissionSetContent {
            arn: SET.into(),
            name: "Support".into(),
            policies: vec![content(READ, read())],
            inline: Some(document(json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})).to_string()),
        }),
        group: Some(Group { id: GROUP.into(), name: "support".into() }),
        ..Inventory::default()
    }
}

fn managed(arns: &[&str]) -> Vec<String> {
    arns.iter().map(ToString::to_string).collect()
}

/// Each way by its name, with the scope and the principal.
pub fn ways() -> Vec<(&'static str, Permissions, Scope, &'static str)> {
    let inline = || Some(PolicyObject(document(json!({"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::pay/*"}))));
    let account = Scope::account;
    let narrow = Scope { regions: vec!["eu-west-1".into()], ..Scope::default() };
    let user = Policies { managed_policies: managed(&[READ, OWN]), inline_policy: inline() };
    let role = RolePolicies {
        managed_policies: managed(&[OWN, GUARD, LARGE]),
        inline_policy: None,
        max_session: Some("2h".parse().expect("a duration")),
    };
    let center = |center: IdentityCenter| Permissions { identity_center: Some(center), ..Permissions::default() };
    let own = IdentityCenter { managed_policies: managed(&[READ]), inline_policy: inline(), ..IdentityCenter::default() };
    let set = IdentityCenter { permission_set: Some(SET.into()), ..IdentityCenter::default() };
    let group = IdentityCenter { group: Some(GROUP.into()), ..IdentityCenter::default() };
    vec![
        ("user", Permissions { user: Some(user), ..Permissions::default() }, narrow.clone(), "alice"),
        ("role", Permissions { role: Some(role), ..Permissions::default() }, narrow, "arn:aws:iam::123456789012:user/team/alice"),
        ("permission set", center(own), account(), "alice@example.com"),
        ("standing permission set", center(set), account(), "alice@example.com"),
        ("standing group", center(group), account(), "alice@example.com"),
    ]
}
