//! What was used, and where it counts.
use crate::account::{Account, NOW, allow, arn, pair, row, trusts};
use curfew_analytics::{history::DAY, report::IdentityKind};
use serde_json::json;

fn user() -> String {
    arn("user", "u")
}

#[test]
fn a_use_counts_at_its_resource_and_one_without_counts_everywhere() {
    let (delete, get) = ("s3:DeleteBucket", "s3:GetObject");
    let account = Account::new().user("u", &[allow(json!([delete, get]), json!("*"))]).user("v", &[]);
    let used = account.clone().used(&user(), delete, "arn:aws:s3:::a", 1).used(&arn("user", "v"), delete, "arn:aws:s3:::b", 1);
    // N is 3: two buckets that the logs name, and those that come and go.
    assert_eq!(used.places(&user(), delete), pair("every bucket", "arn:aws:s3:::a"));
    let x = row(&used.report(), &user()).x;
    // Everything that is known was used: more cannot be.
    let all = used.clone().used(&user(), delete, "arn:aws:s3:::b", 1);
    assert_eq!(all.places(&user(), delete), pair("every bucket", "every bucket"));
    assert!(row(&all.report(), &user()).x < x);
    // A record that names no resource, and one that names something else.
    assert_eq!(used.clone().used(&user(), delete, "", 1).places(&user(), delete).1, "every bucket");
    assert_eq!(used.clone().used(&user(), delete, "arn:aws:iam::111122223333:user/x", 1).places(&user(), delete).1, "every bucket");
    // Before the window nothing counts, and a name that only an old record has makes no place.
    let old = account.used(&user(), delete, "arn:aws:s3:::a", 91);
    assert_eq!(old.places(&user(), delete), pair("every bucket", "nowhere"));
    // Objects count by bucket.
    let objects = used.used(&user(), get, "arn:aws:s3:::a/x/y", 1).used(&user(), get, "arn:aws:s3:::a/z", 2);
    assert_eq!(objects.places(&user(), get).1, "every accesspointobject/object");
}

#[test]
fn what_was_used_and_taken_away_is_counted_apart() {
    let account = Account::new().user("u", &[allow(json!("s3:GetObject"), json!("*"))]).used(&user(), "iam:CreateUser", "", 3);
    let report = account.report();
    let counts = row(&report, &user()).permissions;
    assert_eq!((counts.granted, counts.used, counts.used_without_grant, counts.not_shown), (1, 0, 1, 1));
    // Another user is seen with data events of S3: so they are logged.
    let seen = account.user("v", &[]).used(&arn("user", "v"), "s3:PutObject", "arn:aws:s3:::a/x", 1).report();
    assert_eq!(row(&seen, &user()).permissions.not_shown, 0);
    assert_eq!(row(&seen, &user()).permissions.not_fully_used, 1);
}

#[test]
fn kinds_come_from_trust_and_credentials() {
    let everything = allow(json!("s3:*"), json!("*"));
    let account = Account::new()
        .user("human", &[])
        .user("robot", &[])
        .role("function", trusts(json!({"Service": "lambda.amazonaws.com"})), &[])
        .role("machine", trusts(json!({"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]})), &[])
        .role("people", trusts(json!({"AWS": "arn:aws:iam::111122223333:root"})), &[])
        .role("linked", trusts(json!({"Service": "support.amazonaws.com"})), std::slice::from_ref(&everything))
        .with("RoleDetailList", "Path", json!("/aws-service-role/support.amazonaws.com/"))
        .group("g", &[everything]);
    let credentials = [
        "human,arn:aws:iam::111122223333:user/human,x,true,2026-05-30T00:00:00+00:00,2026-05-01T00:00:00+00:00,true,false,N/A,N/A,N/A",
        "robot,arn:aws:iam::111122223333:user/robot,x,false,N/A,N/A,false,true,2026-05-01T00:00:00+00:00,2026-05-30T00:00:00+00:00,s3",
    ];
    let report = account.clone().credentials(&credentials).report();
    let kind = |name: &str| row(&report, name).kind;
    assert_eq!((kind(&arn("user", "human")), kind(&arn("user", "robot"))), (IdentityKind::Human, IdentityKind::Workload));
    assert_eq!((kind(&arn("role", "function")), kind(&arn("role", "machine"))), (IdentityKind::Function, IdentityKind::Workload));
    assert_eq!((kind(&arn("role", "people")), kind(&arn("group", "g"))), (IdentityKind::Role, IdentityKind::Group));
    let linked = row(&report, &arn("role", "linked"));
    assert!(linked.built_in && !linked.counted && report.findings.iter().all(|finding| finding.subject != linked.name));
    // A key has its user's score, and the user counts for it.
    let key = row(&report, &format!("{} key 1", arn("user", "robot")));
    assert_eq!((key.kind, key.counted, key.score), (IdentityKind::AccessKey, false, row(&report, &arn("user", "robot")).score));
    assert_eq!(row(&report, &arn("user", "robot")).last_used.as_deref(), Some("2026-05-30T00:00:00Z"));
    // Without the report, users are people, and it is said.
    let without = account.report();
    assert_eq!(row(&without, &arn("user", "robot")).kind, IdentityKind::Human);
    assert!(without.input.notes.iter().any(|note| note.starts_with("no credential report")));
}

#[test]
fn tags_exclude_from_scores_and_from_findings_apart() {
    let tagged = |key: &str, value: &str| {
        let account = Account::new().user("u", &[allow(json!("*"), json!("*"))]);
        account.with("UserDetailList", "Tags", json!([{"Key": key, "Value": value}])).report()
    };
    let report = tagged("ck_exclude_from_pci", "true");
    assert_eq!((row(&report, &user()).score, report.system.score, report.findings.is_empty()), (None, 0, false));
    let report = tagged("ck_exclude_from_reports", "");
    // The policy that everybody should know of stays a finding of the policy.
    assert!(row(&report, &user()).score == Some(100) && report.findings.iter().all(|finding| finding.subject != user()));
    assert_eq!(row(&tagged("ck_exclude_from_pci", "false"), &user()).score, Some(100));
}

#[test]
fn groups_count_if_no_member_counts() {
    let account = Account::new().group("g", &[allow(json!("*"), json!("*"))]);
    assert!(row(&account.report(), &arn("group", "g")).counted);
    let member = account.user("u", &[]).member_of("g").used(&user(), "s3:DeleteBucket", "", 1);
    let report = member.report();
    assert_eq!((row(&report, &arn("group", "g")).counted, row(&report, &arn("group", "g")).members), (false, 1));
    assert_eq!(row(&report, &arn("group", "g")).permissions.used, 1);
    let report = member.exclude(&user()).report();
    // What an excluded member did does not count for its group's score.
    assert_eq!((row(&report, &arn("group", "g")).counted, row(&report, &arn("group", "g")).x), (true, Some(1.0)));
}

#[test]
fn live_grants_of_curfew_count_and_are_told_apart() {
    let name = "curfew-0123abcd-00000000000000a1-20260601T081500Z";
    let live = format!("arn:aws:iam::111122223333:policy/curfew/{name}");
    let other = "arn:aws:iam::111122223333:policy/curfew-0123abcd-00000000000000a1-20260601T081500Z";
    let base = Account::new().user("u", &[allow(json!("s3:GetObject"), json!("*"))]);
    let of = |arn: &str| base.clone().attach("UserDetailList", arn).policy(arn, &[allow(json!("*"), json!("*"))]).report();
    let report = of(&live);
    let with = row(&report, &user());
    assert_eq!((with.score, with.live_grants.as_slice()), (Some(100), ["00000000000000a1".to_owned()].as_slice()));
    assert_eq!(with.standing_score, row(&base.report(), &user()).score);
    // What the grant wrote is not a finding of its own.
    assert!(report.findings.iter().all(|finding| finding.subject != live));
    // The same name without the path was given by others.
    let report = of(other);
    assert!(row(&report, &user()).live_grants.is_empty() && row(&report, &user()).standing_score.is_none());
    // A role that Curfew created for a grant is live as a whole.
    let role = Account::new().role(name, trusts(json!({"AWS": "111122223333"})), &[allow(json!("*"), json!("*"))]).with(
        "RoleDetailList",
        "Path",
        json!("/curfew/"),
    );
    let report = role.report();
    assert_eq!((row(&report, &arn("role", name)).score, row(&report, &arn("role", name)).standing_score), (Some(100), Some(0)));
}

#[test]
fn what_iam_itself_recorded_is_activity() {
    let role = |days: i64| {
        let at = jiff::Timestamp::from_second(NOW - days * DAY).unwrap().to_string();
        let account = Account::new().role("r", trusts(json!({"AWS": "111122223333"})), &[allow(json!("s3:*"), json!("*"))]);
        account.with("RoleDetailList", "RoleLastUsed", json!({"LastUsedDate": at, "Region": "eu-west-1"}))
    };
    let inactive =
        |account: &Account| account.report().findings.iter().any(|finding| finding.kind == curfew_analytics::report::FindingType::Inactive);
    assert!(!inactive(&role(5)) && inactive(&role(100)));
    // Also that a service assumed it.
    let mut assumed = role(100);
    assumed.usage.assumed.entry(arn("role", "r")).or_default().insert("AWSService ec2.amazonaws.com".into(), NOW - DAY);
    assert!(!inactive(&assumed));
}

#[test]
fn other_accounts_of_an_organisation_trail_count_for_nothing() {
    let account = Account::new().user("u", &[allow(json!(["s3:GetObject", "s3:DeleteBucket"]), json!("*"))]);
    let other = "arn:aws:iam::999988887777:user/u";
    let with =
        account.clone().used(other, "s3:PutObject", "arn:aws:s3:::other/x", 1).used(other, "s3:DeleteBucket", "arn:aws:s3:::other", 1);
    let (alone, with) = (account.report(), with.report());
    assert_eq!((row(&with, &user()), &with.catalogue, &with.input.notes), (row(&alone, &user()), &alone.catalogue, &alone.input.notes));
}
