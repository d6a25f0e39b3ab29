//! Findings: each type with what it takes, and without.
use crate::account::{Account, NOW, allow, arn, found, row, trusts};
use curfew_analytics::{history::DAY, report::FindingType};
use serde_json::{Value, json};

fn user() -> String {
    arn("user", "u")
}

fn with(statements: &[Value]) -> Account {
    Account::new().user("u", statements)
}

fn subjects(account: &Account, kind: FindingType) -> Vec<String> {
    found(&account.report(), kind).into_iter().map(|finding| finding.subject.clone()).collect()
}

#[test]
fn escalation_shows_its_path() {
    let account = with(&[allow(json!(["iam:PassRole", "lambda:CreateFunction", "lambda:InvokeFunction"]), json!("*"))]).role(
        "admin",
        trusts(json!({"Service": "lambda.amazonaws.com"})),
        &[allow(json!("*"), json!("*"))],
    );
    let report = account.report();
    let finding = found(&report, FindingType::Escalation).into_iter().find(|finding| finding.subject == user()).unwrap();
    let path = finding.evidence.join("\n");
    assert!(
        path.contains("iam:PassRole on every role by inline policy own + lambda:CreateFunction on every function by inline policy own"),
        "{path}"
    );
    assert!(path.contains("-> runs code as a role that it passes to a new resource"), "{path}");
    assert!(
        path.contains(&format!("the most powerful role among them: {}, which holds 100.0 % of all power", arn("role", "admin"))),
        "{path}"
    );
    assert!(row(&report, &user()).escalation.is_some());
    // One step is missing.
    assert!(
        subjects(&with(&[allow(json!(["lambda:CreateFunction", "lambda:InvokeFunction"]), json!("*"))]), FindingType::Escalation)
            .is_empty()
    );
    // One permission that suffices.
    assert_eq!(subjects(&with(&[allow(json!("iam:CreatePolicyVersion"), json!("*"))]), FindingType::Escalation), [user()]);
}

#[test]
fn secrets_and_security_tools() {
    let account = with(&[allow(
        json!(["secretsmanager:GetSecretValue", "secretsmanager:ListSecrets"]),
        json!("arn:aws:secretsmanager:*:111122223333:secret:prod-*"),
    )]);
    let report = account.report();
    let finding = found(&report, FindingType::SecretAccess)[0];
    assert_eq!((finding.subject.as_str(), finding.summary.as_str()), (user().as_str(), "reads secrets or credentials of secretsmanager"));
    assert!(finding.evidence[0].ends_with("by inline policy own; not used"), "{:?}", finding.evidence);
    assert!(subjects(&with(&[allow(json!("secretsmanager:ListSecrets"), json!("*"))]), FindingType::SecretAccess).is_empty());
    let tools =
        with(&[allow(json!(["guardduty:DeleteDetector", "cloudtrail:StopLogging", "cloudtrail:LookupEvents"]), json!("*"))]).report();
    assert_eq!(found(&tools, FindingType::SecurityTools)[0].summary, "can change security tools: cloudtrail, guardduty");
    assert!(
        subjects(&with(&[allow(json!(["cloudtrail:LookupEvents", "guardduty:Get*"]), json!("*"))]), FindingType::SecurityTools).is_empty()
    );
}

#[test]
fn super_inactive_and_overprovisioned() {
    let all = allow(json!("*"), json!("*"));
    let idle = with(std::slice::from_ref(&all));
    assert_eq!(subjects(&idle, FindingType::Super), [user()]);
    assert_eq!((subjects(&idle, FindingType::Inactive), subjects(&idle, FindingType::OverprovisionedActive)), (vec![user()], vec![]));
    assert!(found(&idle.report(), FindingType::Super)[0].summary.ends_with("and is not in use"));
    let active = idle.clone().used(&user(), "ec2:DescribeInstances", "", 2);
    assert_eq!((subjects(&active, FindingType::Inactive), subjects(&active, FindingType::OverprovisionedActive)), (vec![], vec![user()]));
    // New identities are exempt from what needs history.
    let new = idle.clone().with("UserDetailList", "CreateDate", json!("2026-05-01T00:00:00Z"));
    assert!(subjects(&new, FindingType::Inactive).is_empty() && row(&new.report(), &user()).new);
    // A boundary makes an administrator of nothing much.
    let bounded = idle
        .clone()
        .with("UserDetailList", "PermissionsBoundary", json!({"PermissionsBoundaryArn": arn("policy", "b")}))
        .policy(&arn("policy", "b"), &[allow(json!("s3:Get*"), json!("*"))]);
    assert!(subjects(&bounded, FindingType::Super).is_empty());
    // With fewer days in the logs nothing is recommended to be removed.
    let mut short = active;
    short.usage.hours = [NOW / 3600].into();
    let report = short.report();
    assert!(found(&report, FindingType::OverprovisionedActive)[0].recommendation.starts_with("The logs cover 1 % of the window"));
    // What is not logged is asked first.
    let hidden = with(&[allow(json!("s3:GetObject"), json!("*"))]).report();
    assert!(found(&hidden, FindingType::Inactive)[0].recommendation.contains("Ask first whether `s3:GetObject` is in use"));
    // Groups: without members, and with members that use nothing of it.
    let group = Account::new().group("g", &[allow(json!("s3:*"), json!("*"))]);
    assert_eq!(found(&group.report(), FindingType::Inactive)[0].summary.split(',').next(), Some("has no members"));
    let member = group.user("u", &[]).member_of("g").used(&user(), "ec2:DescribeInstances", "", 1);
    assert_eq!(subjects(&member, FindingType::Inactive), [arn("group", "g")]);
    assert!(subjects(&member.used(&user(), "s3:ListAllMyBuckets", "", 1), FindingType::Inactive).is_empty());
}

#[test]
fn trust_of_everybody_and_of_others() {
    let trusted = |trust: Value| Account::new().role("r", trust, &[allow(json!("s3:*"), json!("*"))]);
    let kinds = |trust: Value| {
        let report = trusted(trust).report();
        (found(&report, FindingType::TrustsEveryone).len(), found(&report, FindingType::ExternalAccess).len())
    };
    let when = |mut trust: Value, condition: Value| {
        trust["Statement"][0]["Condition"] = condition;
        trust["Statement"][0]["Action"] = json!("sts:*");
        trust
    };
    assert_eq!(kinds(trusts(json!({"AWS": "*"}))), (1, 0));
    assert_eq!(kinds(trusts(json!("*"))), (1, 0));
    assert_eq!(kinds(when(trusts(json!("*")), json!({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}))), (0, 1));
    assert_eq!(kinds(when(trusts(json!("*")), json!({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}))), (1, 0));
    assert_eq!(kinds(when(trusts(json!("*")), json!({"StringLike": {"aws:PrincipalOrgID": "*"}}))), (1, 0));
    assert_eq!(kinds(trusts(json!({"AWS": ["111122223333", "arn:aws:iam::111122223333:user/u", "AIDAGONE"]}))), (0, 0));
    assert_eq!(kinds(trusts(json!({"AWS": ["999988887777", "arn:aws:iam::123456789012:root"]}))), (0, 1));
    let github = json!({"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"});
    assert_eq!(
        kinds(when(trusts(github.clone()), json!({"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}))),
        (1, 1)
    );
    assert_eq!(kinds(when(trusts(github), json!({"StringLike": {"token.actions.githubusercontent.com:sub": "repo:company/*"}}))), (0, 1));
    assert_eq!(
        kinds(when(trusts(json!({"Federated": "arn:aws:iam::111122223333:saml-provider/AWSSSO_x_DO_NOT_DELETE"})), json!({}))),
        (0, 0)
    );
    assert_eq!(
        kinds(
            json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotPrincipal": {"AWS": "999988887777"}, "Action": "sts:AssumeRole"}]})
        ),
        (1, 0)
    );
    assert_eq!(
        kinds(json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]})),
        (0, 0)
    );
    // Who came from outside is named.
    let mut account = trusted(trusts(json!({"AWS": "999988887777"})));
    account.usage.assumed.entry(arn("role", "r")).or_default().insert("AWSAccount 999988887777".into(), NOW - DAY);
    let report = account.report();
    assert!(
        found(&report, FindingType::ExternalAccess)[0]
            .evidence
            .iter()
            .any(|line| line.starts_with("assumed by AWSAccount 999988887777, last 2026-05-31"))
    );
}

#[test]
fn credentials_by_the_report() {
    let line = |user: &str, rest: &str| {
        format!(
            "{user},arn:aws:iam::111122223333:{},x,{rest}",
            if user == "<root_account>" { "root".into() } else { format!("user/{user}") }
        )
    };
    let lines = [
        line("<root_account>", "not_supported,2026-05-30T00:00:00+00:00,not_supported,false,true,2026-05-01T00:00:00+00:00,N/A,N/A"),
        line(
            "good",
            "true,2026-05-30T00:00:00+00:00,2026-04-01T00:00:00+00:00,true,true,2026-05-01T00:00:00+00:00,2026-05-30T00:00:00+00:00,s3",
        ),
        line(
            "old",
            "true,2026-01-01T00:00:00+00:00,2020-04-01T00:00:00+00:00,false,true,2025-05-01T00:00:00+00:00,2026-05-30T00:00:00+00:00,s3",
        ),
        line("idle", "true,no_information,2020-04-01T00:00:00+00:00,true,true,2026-01-01T00:00:00+00:00,N/A,N/A"),
        line("young", "true,no_information,2026-05-20T00:00:00+00:00,true,true,2026-05-20T00:00:00+00:00,N/A,N/A"),
        line("off", "false,N/A,N/A,false,false,2020-01-01T00:00:00+00:00,N/A,N/A"),
    ];
    let account = ["good", "old", "idle", "young", "off"].iter().fold(Account::new(), |account, name| account.user(name, &[]));
    let account = account.credentials(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let root = "arn:aws:iam::111122223333:root".to_owned();
    let key = |name: &str| format!("{} key 1", arn("user", name));
    assert_eq!(subjects(&account, FindingType::NoMfa), [root.clone(), arn("user", "old")]);
    assert_eq!(subjects(&account, FindingType::RootKey), [format!("{root} key 1")]);
    assert_eq!(subjects(&account, FindingType::KeyAge), [key("idle"), key("old")]);
    assert_eq!(subjects(&account, FindingType::UnusedKey), [key("idle")]);
    assert_eq!(subjects(&account, FindingType::UnusedPassword), [arn("user", "idle"), arn("user", "old")]);
    assert!(Account::new().user("u", &[]).report().findings.is_empty());
}

#[test]
fn policies_of_administrators_and_of_nobody() {
    let (admin, idle, loose, new) = (arn("policy", "admin"), arn("policy", "idle"), arn("policy", "loose"), arn("policy", "new"));
    let account = with(&[])
        .with(
            "UserDetailList",
            "AttachedManagedPolicies",
            json!([{"PolicyName": "a", "PolicyArn": admin}, {"PolicyName": "i", "PolicyArn": idle}]),
        )
        .policy(&admin, &[allow(json!("*:*"), json!("*"))])
        .policy(&idle, &[allow(json!("ec2:DescribeInstances"), json!("*"))])
        .policy(&loose, &[allow(json!("s3:*"), json!("*"))])
        .policy(&new, &[allow(json!("s3:*"), json!("*"))])
        .with("Policies", "CreateDate", json!("2026-05-30T00:00:00Z"))
        .used(&user(), "iam:ListUsers", "", 1);
    assert_eq!(subjects(&account, FindingType::FullAdminPolicy), std::slice::from_ref(&admin));
    assert_eq!(subjects(&account, FindingType::UnusedPolicy), [idle.clone(), loose]);
    let used = account.clone().used(&user(), "ec2:DescribeInstances", "", 1);
    assert!(!subjects(&used, FindingType::UnusedPolicy).contains(&idle));
    // A boundary is in force, and an admin policy with a condition is not full administration.
    let bounded = with(&[])
        .with("UserDetailList", "PermissionsBoundary", json!({"PermissionsBoundaryArn": idle}))
        .policy(&idle, &[allow(json!("*"), json!("*"))]);
    assert!(subjects(&bounded, FindingType::UnusedPolicy).is_empty() && subjects(&bounded, FindingType::FullAdminPolicy).is_empty());
    let mut mfa = allow(json!("*"), json!("*"));
    mfa["Condition"] = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
    assert!(subjects(&with(&[mfa]), FindingType::FullAdminPolicy).is_empty());
    // Without the lists of holders, nothing is known about attachments.
    let mut part = account;
    part.details.as_object_mut().unwrap().remove("RoleDetailList");
    assert_eq!(subjects(&part, FindingType::UnusedPolicy), [idle]);
}
