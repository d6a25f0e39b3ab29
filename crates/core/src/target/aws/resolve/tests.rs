use super::*;
use crate::target::{
    PlanNames,
    aws::{
        Access, Group, IdentityCenter, Plan, Policies, PolicyObject, Principal, Quotas, RolePolicies, dating,
        plan::{build, plan},
    },
};
use serde_json::{Value, json};

const READ: &str = "arn:aws:iam::aws:policy/Read";
const OWN: &str = "arn:aws:iam::123456789012:policy/team/Own";
/// What only denies.
const GUARD: &str = "arn:aws:iam::123456789012:policy/team/Guard";
const LARGE: &str = "arn:aws:iam::aws:policy/Large";
const INSTANCE: &str = "arn:aws:sso:::instance/ssoins-0123456789abcdef";
const SET: &str = "arn:aws:sso:::permissionSet/ssoins-0123456789abcdef/ps-0123456789abcdef";
const GROUP: &str = "01234567-89ab-cdef-0123-456789abcdef";

fn document(statements: &Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

fn content(arn: &str, statements: &Value) -> PolicyContent {
    PolicyContent { arn: arn.into(), document: document(statements).to_string() }
}

/// A statement of so many actions.
fn many(count: usize) -> Value {
    let actions: Vec<String> = (0..count).map(|i| format!("service{}:ActionWithALongName{i:04}", i % 7)).collect();
    json!({"Effect": "Allow", "Action": actions, "Resource": "*"})
}

fn inventory() -> Inventory {
    let read = json!([{"Sid": "Read", "Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]);
    let own = json!([{"Effect": "Allow", "Action": "sqs:*", "Resource": "arn:aws:sqs:eu-west-1:123456789012:a"}]);
    let guard = json!([{"Effect": "Deny", "Action": "sqs:Purge*", "Resource": "*"}]);
    Inventory {
        partition: "aws".into(),
        account: "123456789012".into(),
        instance: Some(INSTANCE.into()),
        policies: vec![content(READ, &read), content(OWN, &own), content(LARGE, &many(2_500)), content(GUARD, &guard)],
        permission_set: Some(PermissionSetContent {
            arn: SET.into(),
            name: "ReadAll".into(),
            policies: vec![content(READ, &read)],
            inline: Some(document(&own).to_string()),
        }),
        group: Some(Group { id: GROUP.into(), name: "devs".into() }),
        quotas: Quotas::default(),
    }
}

fn policies(managed: &[&str], inline: Option<Value>) -> Policies {
    Policies { managed_policies: managed.iter().map(ToString::to_string).collect(), inline_policy: inline.map(PolicyObject) }
}

fn user(managed: &[&str], inline: Option<Value>) -> Permissions {
    Permissions { user: Some(policies(managed, inline)), ..Permissions::default() }
}

fn role(managed: &[&str], session: Option<&str>) -> Permissions {
    let managed_policies = managed.iter().map(ToString::to_string).collect();
    let max_session = session.map(|s| s.parse().unwrap());
    Permissions { role: Some(RolePolicies { managed_policies, inline_policy: None, max_session }), ..Permissions::default() }
}

fn center(change: impl FnOnce(&mut IdentityCenter)) -> Permissions {
    let mut center = IdentityCenter::default();
    change(&mut center);
    Permissions { identity_center: Some(center), ..Permissions::default() }
}

fn regions(list: &[&str]) -> Scope {
    Scope { regions: list.iter().map(ToString::to_string).collect(), ..Scope::default() }
}

fn planned(permissions: &Permissions, scope: &Scope) -> Plan {
    let (granted, scope) = resolve(permissions, scope, &inventory()).unwrap();
    let names = PlanNames { install: "0123abcd", grant: "00000000000000a1", deadline: Time::parse("2026-11-23T08:15:00Z").unwrap() };
    plan(&granted, &scope, &Principal { name: "alice".into() }, names).unwrap()
}

#[test]
fn the_order_of_a_template_and_of_a_document_changes_nothing_that_is_frozen() {
    let inline = |first: &str, second: &str| document(&json!({"Effect": "Allow", "Action": [first, second], "Resource": "*"}));
    let one = user(&[READ, OWN], Some(inline("ec2:StartInstances", "ec2:StopInstances")));
    let other = user(&[OWN, READ], Some(inline("ec2:StopInstances", "ec2:StartInstances")));
    let (a, b) = (regions(&["eu-west-1", "us-east-1"]), regions(&["us-east-1", "eu-west-1"]));
    assert_eq!(resolve(&one, &a, &inventory()), resolve(&other, &b, &inventory()));
    let mut reordered = inventory();
    reordered.policies.reverse();
    reordered.policies[3].document = reordered.policies[3].document.replace(r#"["s3:Get*","s3:List*"]"#, r#"["s3:List*","s3:Get*"]"#);
    assert_eq!(resolve(&one, &a, &inventory()), resolve(&one, &a, &reordered));
    let mut changed = inventory();
    changed.policies[0].document = changed.policies[0].document.replace("s3:Get*", "s3:*");
    assert_ne!(resolve(&one, &a, &inventory()), resolve(&one, &a, &changed));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let all = Scope::account();
    let said = |permissions: &Permissions, scope: &Scope, inventory: &Inventory| check(permissions, scope, inventory).unwrap_err();
    let other = "arn:aws:iam::aws:policy/Other";
    assert_eq!(said(&user(&[READ, other], None), &all, &inventory()), format!("managed policy {other} does not exist in the target"));
    let mut broken = inventory();
    broken.policies[0].document = "{".into();
    assert!(said(&user(&[READ], None), &all, &broken).starts_with(&format!("managed policy {READ} cannot be read")));
    let wrong = user(&[], Some(json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*"}]})));
    assert_eq!(said(&wrong, &all, &inventory()), "inlinePolicy has Principal in statement 1, which only policies of resources have");
    assert!(said(&user(&[], None), &all, &inventory()).contains("names no policy"));
    assert!(said(&Permissions::default(), &all, &inventory()).contains("must give access in one way"));
    let both = Permissions { role: role(&[READ], None).role, ..user(&[READ], None) };
    assert!(said(&both, &all, &inventory()).contains("must give access in one way"));
    for session in ["59m", "13h"] {
        assert!(said(&role(&[READ], Some(session)), &all, &inventory()).starts_with(&format!("maxSession {session} is not possible")));
    }
    let set = center(|c| c.permission_set = Some(SET.into()));
    assert!(said(&set, &regions(&["eu-west-1"]), &inventory()).contains("stands already and cannot be narrowed"));
    let without = Inventory { instance: None, ..inventory() };
    assert!(said(&set, &all, &without).contains("set provider.aws.identityCenter"));
    let absent = Inventory { permission_set: None, group: None, ..inventory() };
    assert!(said(&set, &all, &absent).contains(&format!("permission set {SET} does not exist")));
    assert!(said(&center(|c| c.group = Some(GROUP.into())), &all, &absent).contains(&format!("group {GROUP} does not exist")));
    let narrow = Scope { resources: vec!["arn:aws:s3:::a*".into()], ..Scope::default() };
    let partly = user(&[], Some(document(&json!({"Sid": "Logs", "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::*logs"}))));
    assert!(said(&partly, &narrow, &inventory()).starts_with("in inlinePolicy, statement Logs cannot be narrowed"));
}

/// A denial on an IAM user holds for all that the user does, also by standing access and other grants.
#[test]
fn a_denial_is_refused_on_an_iam_user_and_copied_where_the_identity_is_the_grants_own() {
    let all = Scope::account();
    let deny = document(&json!([{"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
                                {"Sid": "KeepLogs", "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}]));
    let said = check(&user(&[], Some(deny.clone())), &all, &inventory()).unwrap_err();
    assert!(said.contains("statement KeepLogs of inlinePolicy denies") && said.contains("permissions.aws.role"), "{said}");
    let said = check(&user(&[READ, GUARD], None), &all, &inventory()).unwrap_err();
    assert!(said.contains(&format!("statement 1 of managed policy {GUARD} denies")), "{said}");
    assert!(matches!(resolve(&user(&[OWN, GUARD], None), &all, &inventory()), Err(Unresolvable::NotReady(_))));
    for own in [role(&[OWN, GUARD], None), center(|c| c.inline_policy = Some(PolicyObject(deny)))] {
        assert_eq!(check(&own, &all, &inventory()), Ok(()));
    }
}

#[test]
fn every_statement_that_is_written_ends_at_the_deadline() {
    let scope = regions(&["eu-west-1"]);
    let managed = |c: &mut IdentityCenter| c.managed_policies = vec![READ.into(), OWN.into(), GUARD.into()];
    for permissions in [user(&[READ, OWN], None), role(&[READ, OWN, GUARD, LARGE], Some("2h")), center(managed)] {
        let plan = planned(&permissions, &scope);
        let texts: Vec<&String> = match &plan.access {
            Access::User(user) => user.policies.iter().map(|p| &p.document).collect(),
            Access::Role(role) => role.policies.iter().map(|p| &p.document).collect(),
            Access::PermissionSet(set) => vec![&set.inline],
            Access::Assignment(_) | Access::Membership(_) => Vec::new(),
        };
        assert!(!texts.is_empty());
        for text in texts {
            let document = Document::parse(text).unwrap();
            for statement in document.statements() {
                let alone = Document::of(vec![statement.clone()]);
                let conditions = &statement.rule.conditions;
                let ends = dating::end(&alone) == Some(plan.deadline);
                // What denies after the deadline, or outside of the scope, is what ends that which is attached.
                let denies = statement.name != "x" && statement.rule.effect == super::super::document::Effect::Deny;
                assert!(ends || denies && (conditions.contains_key("DateGreaterThanEquals") || conditions.contains_key("StringNotEquals")));
            }
        }
    }
}

#[test]
fn a_policy_of_aws_that_is_too_large_is_attached_where_a_denial_can_end_it() {
    let all = Scope::account();
    let plan = planned(&role(&[READ, LARGE], None), &all);
    let Access::Role(planned) = &plan.access else { panic!("{plan:?}") };
    assert_eq!(planned.attached, [LARGE]);
    assert_eq!(planned.policies.len(), 1);
    let ending =
        r#"{"Action":"*","Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-11-23T08:15:00Z"}},"Effect":"Deny","Resource":"*"}"#;
    assert!(planned.policies[0].document.contains(ending), "{}", planned.policies[0].document);
    // Narrowed by denials, since it cannot be changed itself.
    let narrow = Scope { resources: vec!["arn:aws:s3:::a/*".into()], ..regions(&["eu-west-1"]) };
    let (granted, _) = resolve(&role(&[LARGE], None), &narrow, &inventory()).unwrap();
    let GrantedPermissions::Role(granted) = granted else { panic!() };
    let copied = build::copied(&granted.policies).unwrap();
    let documents = documents(&copied, attached(&granted.policies), (&narrow.regions, &narrow.resources), ANY_TIME).unwrap();
    let text = documents.written.text();
    assert!(text.contains(r#""StringNotEquals":{"aws:RequestedRegion":"eu-west-1"}"#), "{text}");
    assert!(text.contains(r#"{"Action":"*","Effect":"Deny","NotResource":"arn:aws:s3:::a/*"}"#), "{text}");
    // A user lasts, and so would the denial.
    let said = obstacle(&user(&[READ, LARGE], None), &all, &inventory()).unwrap();
    assert!(said.contains("and need 16 managed policies of 6144, and this account attaches at most 10 to a user"), "{said}");
    // A policy of the account may change at any time, so it is copied.
    let mut own = inventory();
    own.policies[1] = content(OWN, &many(2_500));
    assert!(obstacle(&role(&[OWN], None), &all, &own).unwrap().contains("at most 10 to a role"));
}

#[test]
fn what_needs_more_policies_than_the_account_attaches_is_an_obstacle_with_the_numbers() {
    let all = Scope::account();
    let several = user(&[], Some(document(&many(600))));
    assert_eq!((check(&several, &all, &inventory()), obstacle(&several, &all, &inventory())), (Ok(()), None));
    let Access::User(planned) = planned(&several, &all).access else { panic!() };
    assert!(planned.policies.len() > 1 && planned.policies.iter().all(|p| p.document.chars().count() <= MAX_POLICY_CHARS));
    assert!(planned.policies[1].name.ends_with("-1"), "{}", planned.policies[1].name);
    let mut few = inventory();
    few.quotas.attached_per_user = 2;
    assert!(obstacle(&several, &all, &few).unwrap().contains("attaches at most 2 to a user"));
    let set = center(|c| c.inline_policy = Some(PolicyObject(document(&many(600)))));
    assert!(obstacle(&set, &all, &inventory()).unwrap().ends_with("a permission set has room for 10240; name fewer or smaller policies"));
}

#[test]
fn what_gives_nothing_in_the_scope_is_named() {
    let narrow = Scope { resources: vec!["arn:aws:sqs:eu-west-1:123456789012:b".into()], ..Scope::default() };
    let own = user(&[OWN], None);
    assert_eq!(resolve(&own, &narrow, &inventory()), Err(Unresolvable::NothingReached));
    let said = ineffective(&user(&[OWN, READ], None), &narrow, &inventory()).unwrap();
    assert_eq!(said, format!("in this scope nothing is given by statement 1 of managed policy {OWN}"));
    assert_eq!(ineffective(&own, &Scope::account(), &inventory()), None);
}

#[test]
fn a_standing_set_and_a_group_are_slots_with_a_time_limit() {
    let all = Scope::account();
    let set = planned(&center(|c| c.permission_set = Some(SET.into())), &all);
    let group = planned(&center(|c| c.group = Some(GROUP.into())), &all);
    let words = |plan: &Plan| (super::super::slots(plan), super::super::guarantees(plan));
    let ((set_slots, set), (group_slots, group)) = (words(&set), words(&group));
    assert_eq!(set_slots, [format!("{SET}/123456789012/alice")]);
    assert_eq!(group_slots, [format!("{INSTANCE}/{GROUP}/alice")]);
    assert_eq!((set.slots, group.slots), (1, 1));
    // User names of IAM Identity Center differ by more than case, so two spellings are one assignment and one membership.
    let spelled = |permissions: &Permissions| {
        let (granted, scope) = resolve(permissions, &all, &inventory()).unwrap();
        let names = PlanNames { install: "0123abcd", grant: "00000000000000a2", deadline: ANY_TIME };
        super::super::slots(&plan(&granted, &scope, &Principal { name: "Alice".into() }, names).unwrap())
    };
    assert_eq!(spelled(&center(|c| c.permission_set = Some(SET.into()))), set_slots);
    assert_eq!(spelled(&center(|c| c.group = Some(GROUP.into()))), group_slots);
    assert!(matches!(set.fence, crate::target::Fence::TimeLimit { .. }));
    // A group is one in all accounts of its instance: what is granted through one of them is seen through the others.
    let other_account = Inventory { account: "210987654321".into(), ..inventory() };
    let (granted, scope) = resolve(&center(|c| c.group = Some(GROUP.into())), &all, &other_account).unwrap();
    let names = PlanNames { install: "0123abcd", grant: "00000000000000a3", deadline: ANY_TIME };
    let elsewhere = plan(&granted, &scope, &Principal { name: "alice".into() }, names).unwrap();
    assert_eq!((super::super::slots(&elsewhere), super::super::slot_domain(&elsewhere)), (group_slots, Some(INSTANCE)));
    let in_words = crate::target::aws::scope_in_words(&scope, &granted);
    assert_eq!(in_words, "every account in which group devs has access, also beyond account 210987654321");
    let in_one_account = planned(&center(|c| c.permission_set = Some(SET.into())), &all);
    let domain = |plan: Plan| crate::target::Plan::Aws(plan).slot_domain("aws:123456789012").to_owned();
    assert_eq!(domain(elsewhere), INSTANCE);
    assert_eq!(domain(in_one_account), "aws:123456789012", "an assignment is of one account");
    let own = planned(&role(&[READ], None), &all);
    let (slots, own) = words(&own);
    assert!(slots.is_empty() && own.slots == 0 && own.fence == crate::target::Fence::Reservation && own.settle_secs > 0);
}
