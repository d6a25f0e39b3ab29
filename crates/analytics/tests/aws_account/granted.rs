//! What policies grant: each rule of evaluation alone.
use crate::account::{Account, allow, arn, document, pair, row, trusts};
use curfew_analytics::aws::{
    catalogue::Actions,
    effective::{Compiler, Evaluator},
    policy::{Document, context::OfIdentity},
    resources::{OTHERS, Resources},
    spaces::Spaces,
};
use serde_json::{Value, json};

const BUCKETS: [&str; 3] = ["arn:aws:s3:::a", "arn:aws:s3:::b", "arn:aws:s3:::c"];

fn deny(action: Value, resource: Value) -> Value {
    json!({"Effect": "Deny", "Action": action, "Resource": resource})
}

/// A user with statements in an account with three buckets.
fn with(statements: &[Value]) -> Account {
    let mut account = Account::new().user("u", statements);
    account.input.resources = BUCKETS.map(String::from).to_vec();
    account
}

fn granted(account: &Account, action: &str) -> String {
    account.places(&arn("user", "u"), action).0
}

#[test]
fn wildcards_reach_what_is_known_and_what_comes() {
    let all = with(&[allow(json!("s3:*"), json!("*"))]);
    assert_eq!(granted(&all, "s3:DeleteBucket"), "every bucket");
    // Without resources in the catalogue, only `*` grants.
    assert_eq!(granted(&all, "s3:ListAllMyBuckets"), "the whole account");
    let named = with(&[allow(json!(["s3:delete*", "s3:ListAllMyBuckets"]), json!(["arn:aws:s3:::a", "arn:aws:s3:::b"]))]);
    assert_eq!(granted(&named, "s3:DeleteBucket"), "arn:aws:s3:::a, arn:aws:s3:::b");
    assert_eq!(granted(&named, "s3:ListAllMyBuckets"), "nowhere");
    assert_eq!(granted(&named, "s3:CreateBucket"), "nowhere");
    // A bucket that nobody knows has a place as soon as a policy names it, and so has a pattern that nothing matches.
    let unknown = with(&[allow(json!("s3:DeleteBucket"), json!(["arn:aws:s3:::new", "arn:aws:s3:::logs-*"]))]);
    assert_eq!(granted(&unknown, "s3:DeleteBucket"), "arn:aws:s3:::logs-*, arn:aws:s3:::new");
}

#[test]
fn objects_are_counted_by_bucket() {
    let account = with(&[allow(json!(["s3:GetObject", "s3:DeleteBucket"]), json!(["arn:aws:s3:::a/home/*", "arn:aws:s3:::b/x"]))]);
    assert_eq!(granted(&account, "s3:GetObject"), "arn:aws:s3:::a/*, arn:aws:s3:::b/*");
    assert_eq!(granted(&account, "s3:DeleteBucket"), "nowhere");
    // What denies a part of a bucket leaves the rest.
    let part =
        with(&[allow(json!("s3:GetObject"), json!("arn:aws:s3:::a/*")), deny(json!("s3:GetObject"), json!("arn:aws:s3:::a/secret/*"))]);
    assert_eq!(granted(&part, "s3:GetObject"), "arn:aws:s3:::a/*");
    let whole =
        with(&[allow(json!("s3:GetObject"), json!("arn:aws:s3:::a/home/*")), deny(json!("s3:GetObject"), json!("arn:aws:s3:::a/*"))]);
    assert_eq!(granted(&whole, "s3:GetObject"), "nowhere");
    // A pattern of buckets reaches their objects.
    let pattern = with(&[allow(json!("s3:GetObject"), json!("arn:aws:s3:::log*"))]);
    assert_eq!(granted(&pattern, "s3:GetObject"), "arn:aws:s3:::log*");
}

#[test]
fn not_action_and_not_resource_are_complements() {
    let account = with(&[json!({"Effect": "Allow", "NotAction": ["s3:*", "IAM:*"], "Resource": "*"})]);
    assert_eq!((granted(&account, "s3:DeleteBucket"), granted(&account, "iam:CreateUser")), ("nowhere".into(), "nowhere".into()));
    assert_eq!(granted(&account, "ec2:DescribeInstances"), "the whole account");
    let account = with(&[json!({"Effect": "Allow", "Action": "s3:DeleteBucket", "NotResource": ["arn:aws:s3:::a", "arn:aws:s3:::b"]})]);
    assert_eq!(granted(&account, "s3:DeleteBucket"), "2 of 4 bucket places");
    let account =
        with(&[allow(json!("s3:DeleteBucket"), json!("*")), json!({"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::c"})]);
    assert_eq!(granted(&account, "s3:DeleteBucket"), "arn:aws:s3:::c");
}

#[test]
fn deny_boundary_and_service_control_policies_take_away() {
    let all = allow(json!("*"), json!("*"));
    let denied = with(&[all.clone(), deny(json!("s3:Delete*"), json!("arn:aws:s3:::a"))]);
    assert_eq!(granted(&denied, "s3:DeleteBucket"), "3 of 4 bucket places");
    let bounded = with(std::slice::from_ref(&all))
        .with("UserDetailList", "PermissionsBoundary", json!({"PermissionsBoundaryArn": arn("policy", "boundary")}))
        .policy(&arn("policy", "boundary"), &[allow(json!("s3:*"), json!("arn:aws:s3:::a*")), deny(json!("s3:DeleteBucket"), json!("*"))]);
    assert_eq!(granted(&bounded, "s3:PutBucketPolicy"), "arn:aws:s3:::a, arn:aws:s3:::a*");
    assert_eq!((granted(&bounded, "s3:DeleteBucket"), granted(&bounded, "iam:CreateUser")), ("nowhere".into(), "nowhere".into()));
    // A boundary grants nothing by itself.
    let only = with(&[])
        .with("UserDetailList", "PermissionsBoundary", json!({"PermissionsBoundaryArn": arn("policy", "boundary")}))
        .policy(&arn("policy", "boundary"), std::slice::from_ref(&all));
    assert_eq!(granted(&only, "s3:DeleteBucket"), "nowhere");
    // One whose document is not known limits nothing.
    let lost = with(std::slice::from_ref(&all)).with(
        "UserDetailList",
        "PermissionsBoundary",
        json!({"PermissionsBoundaryArn": arn("policy", "lost")}),
    );
    assert_eq!(granted(&lost, "s3:DeleteBucket"), "every bucket");
    assert!(lost.report().input.notes.iter().any(|note| note.contains("policy/lost")), "{:?}", lost.report().input.notes);
    // Each level must allow.
    let levels = with(std::slice::from_ref(&all))
        .level(std::slice::from_ref(&all))
        .level(&[allow(json!(["s3:*", "ec2:*"]), json!("*")), deny(json!("ec2:*"), json!("*"))]);
    assert_eq!(granted(&levels, "s3:DeleteBucket"), "every bucket");
    assert_eq!((granted(&levels, "ec2:DescribeInstances"), granted(&levels, "iam:CreateUser")), ("nowhere".into(), "nowhere".into()));
    // Service-linked roles are not restricted.
    let linked = Account::new().role("r", trusts(json!({"Service": "x.amazonaws.com"})), &[all]).with(
        "RoleDetailList",
        "Path",
        json!("/aws-service-role/x/"),
    );
    let linked = linked.level(&[deny(json!("*"), json!("*"))]);
    assert_eq!(linked.places(&arn("role", "r"), "s3:DeleteBucket").0, "every bucket");
}

#[test]
fn patterns_that_cross_a_limit_keep_a_place() {
    let account = with(&[allow(json!("sts:AssumeRole"), json!(arn("role", "app-*")))])
        .with("UserDetailList", "PermissionsBoundary", json!({"PermissionsBoundaryArn": arn("policy", "boundary")}))
        .policy(&arn("policy", "boundary"), &[allow(json!("sts:*"), json!(arn("role", "*-prod")))]);
    // A role app-x-prod may come: the user could assume it.
    assert_eq!(granted(&account, "sts:AssumeRole"), arn("role", "app-*"));
}

#[test]
fn a_condition_that_is_not_known_grants_and_does_not_deny() {
    let when =
        |effect: &str, condition: Value| json!({"Effect": effect, "Action": "s3:DeleteBucket", "Resource": "*", "Condition": condition});
    let mfa = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
    let account = with(&[when("Allow", mfa.clone())]);
    assert_eq!(granted(&account, "s3:DeleteBucket"), "every bucket");
    assert_eq!(row(&account.report(), &arn("user", "u")).permissions.undecided, 1);
    assert!(account.report().input.notes.iter().any(|note| note.contains("depend on conditions")));
    let account = with(&[allow(json!("s3:*"), json!("*")), when("Deny", json!({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}))]);
    assert_eq!(
        (granted(&account, "s3:DeleteBucket"), row(&account.report(), &arn("user", "u")).permissions.undecided),
        ("every bucket".into(), 1)
    );
    // What is known decides: the time, the identity itself, a user's tags.
    for (condition, holds) in [
        (json!({"DateLessThan": {"aws:CurrentTime": "2026-05-31T00:00:00Z"}}), false),
        (json!({"DateLessThan": {"aws:CurrentTime": "2026-06-02T00:00:00Z"}}), true),
        (json!({"StringEquals": {"aws:username": "u"}}), true),
        (json!({"StringNotEquals": {"aws:username": "u"}}), false),
        (json!({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/v"}}), false),
        (json!({"StringEquals": {"aws:PrincipalTag/team": "red"}}), false),
        (json!({"StringEquals": {"aws:PrincipalTag/Team": "blue"}}), true),
        (json!({"Null": {"aws:PrincipalTag/Team": "true"}}), false),
    ] {
        let account = with(&[when("Allow", condition.clone())]).with("UserDetailList", "Tags", json!([{"Key": "Team", "Value": "blue"}]));
        assert_eq!(granted(&account, "s3:DeleteBucket") == "every bucket", holds, "{condition}");
        assert_eq!(row(&account.report(), &arn("user", "u")).permissions.undecided, 0, "{condition}");
    }
    // An operator or element that is not known.
    let odd = with(&[when("Allow", json!({"StringRoughly": {"aws:username": "v"}}))]);
    assert_eq!(granted(&odd, "s3:DeleteBucket"), "every bucket");
    let mut element = when("Deny", json!({}));
    element["Until"] = json!("2030");
    let odd = with(&[allow(json!("s3:*"), json!("*")), element]);
    assert_eq!((granted(&odd, "s3:DeleteBucket"), row(&odd.report(), &arn("user", "u")).permissions.undecided), ("every bucket".into(), 1));
}

#[test]
fn policy_variables_are_those_of_the_identity() {
    let own = allow(json!("s3:GetObject"), json!("arn:aws:s3:::home-${aws:username}/*"));
    let account = with(std::slice::from_ref(&own));
    assert_eq!(granted(&account, "s3:GetObject"), "arn:aws:s3:::home-u/*");
    let mut known = account.clone();
    known.input.resources = ["u", "v"].map(|name| format!("arn:aws:s3:::home-{name}/x")).to_vec();
    assert_eq!(granted(&known, "s3:GetObject"), "arn:aws:s3:::home-u/*");
    // A session's name is not known: any may be.
    let role = Account {
        details: Account::new()
            .role("r", trusts(json!({"AWS": "*"})), &[allow(json!("s3:GetObject"), json!("arn:aws:s3:::home-${aws:userid}/*"))])
            .details,
        ..known
    };
    assert_eq!(role.places(&arn("role", "r"), "s3:GetObject").0, "3 of 4 accesspointobject/object places");
    // As a Deny it denies nothing, and is flagged.
    let statements = [allow(json!("s3:GetObject"), json!("*")), deny(json!("s3:GetObject"), json!("arn:aws:s3:::home-${aws:userid}/*"))];
    let role = Account { details: Account::new().role("r", trusts(json!({"AWS": "*"})), &statements).details, ..role };
    let report = role.report();
    assert_eq!(
        (role.places(&arn("role", "r"), "s3:GetObject").0.as_str(), row(&report, &arn("role", "r")).permissions.undecided),
        ("every accesspointobject/object", 1)
    );
}

#[test]
fn groups_and_managed_policies_reach_their_members() {
    let account = with(&[])
        .member_of("g")
        .attach("UserDetailList", &arn("policy", "p"))
        .group("g", &[allow(json!("ec2:DescribeInstances"), json!("*"))])
        .policy(&arn("policy", "p"), &[allow(json!("s3:DeleteBucket"), json!("arn:aws:s3:::a"))]);
    assert_eq!(account.places(&arn("user", "u"), "s3:DeleteBucket"), pair("arn:aws:s3:::a", "nowhere"));
    assert_eq!(account.places(&arn("user", "u"), "ec2:DescribeInstances"), pair("the whole account", "nowhere"));
    let report = account.report();
    let because = &row(&report, &arn("user", "u")).because;
    let by = |action: &str| because.iter().find(|part| part.permission == action).map(|part| part.by.clone()).unwrap_or_default();
    assert_eq!(by("ec2:DescribeInstances"), "inline policy own through group g");
    assert_eq!(by("s3:DeleteBucket"), "policy p");
    assert!(!row(&report, &arn("group", "g")).counted && row(&report, &arn("user", "u")).counted);
    // Actions that the catalogue does not have are named.
    let odd = with(&[allow(json!(["s3:NoSuchThing", "nothing:*"]), json!("*"))]).report();
    assert!(
        odd.input.notes.iter().any(|note| note.contains("2 actions in policies match nothing in the catalogue: nothing:*, s3:NoSuchThing")),
        "{:?}",
        odd.input.notes
    );
}

/// A policy that was not there when places were made, such as a proposed one: what it names may come.
#[test]
fn a_policy_from_outside_of_the_account_grants_on_resources_that_come() {
    let (actions, spaces) = (Actions::builtin(), Spaces::builtin());
    let resources = Resources::build(spaces, "aws", "111122223333", BUCKETS);
    let document = Document::read(&document(&[allow(json!("s3:DeleteBucket"), json!("arn:aws:s3:::new"))])).unwrap();
    let policy = Compiler::new(actions, spaces, &resources).compile(&document);
    let granted = Evaluator { spaces, resources: &resources }.granted(&[&policy], &[], &OfIdentity::default());
    let places = &granted.places[&actions.find("s3:DeleteBucket").unwrap()];
    assert!(places.contains(OTHERS) && places.len() == 1);
}
