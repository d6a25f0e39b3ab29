//! Right-sized policies of AWS: on small accounts written out, and on random ones, with the evaluator for single requests as judge.
use curfew_analytics::{
    aws::{
        catalogue::Actions,
        details::Details,
        inventory::{Input, Inventory},
        policy::{Decision, Document, Request, context::OfIdentity, decide},
        spaces::Spaces,
        usage::{ActionUse, Activity, Usage},
    },
    history::{DAY, Window},
    rightsize::aws::{
        Options, Proposal,
        document::{MANAGED, Wildcards, characters},
        find,
        patterns::prefixes,
        propose,
    },
};
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UNTIL: i64 = 1_795_700_000;
const ACCOUNT: &str = "123456789012";
const USER: &str = "arn:aws:iam::123456789012:user/u";

struct Random(u64);

impl Random {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
    fn some(&mut self, list: &[&str], most: usize) -> Vec<String> {
        (0..=self.below(most)).map(|_| self.pick(list).to_owned()).collect()
    }
}

/// An account with one user in one group.
fn details(user: Value, group: Value, attached: Value) -> Details {
    let inline = |documents: &Value| -> Vec<Value> {
        let list = documents.as_array().unwrap().iter().enumerate();
        list.map(|(i, document)| json!({"PolicyName": format!("p{i}"), "PolicyDocument": document})).collect()
    };
    let page = json!({
        "UserDetailList": [{"UserName": "u", "Arn": USER, "Path": "/", "CreateDate": "2020-01-01T00:00:00Z", "GroupList": ["devs"],
            "UserPolicyList": inline(&user), "AttachedManagedPolicies": attached, "Tags": []}],
        "GroupDetailList": [{"GroupName": "devs", "Arn": format!("arn:aws:iam::{ACCOUNT}:group/devs"), "Path": "/", "CreateDate": "2020-01-01T00:00:00Z",
            "GroupPolicyList": inline(&group), "AttachedManagedPolicies": []}],
        "RoleDetailList": [], "Policies": []});
    Details::parse(&page.to_string()).unwrap()
}

fn allow(action: Value, resource: Value) -> Value {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]})
}

/// Calls of the user: action and resource; an empty one is a record without resources.
fn usage(calls: &[(String, String)]) -> Usage {
    let mut actions: BTreeMap<u32, ActionUse> = BTreeMap::new();
    for (action, resource) in calls {
        let uses = actions.entry(Actions::builtin().find(action).unwrap_or_else(|| panic!("{action}"))).or_default();
        if resource.is_empty() {
            uses.unnamed = Some(UNTIL - DAY);
        } else {
            uses.resources.insert(resource.clone(), UNTIL - DAY);
        }
    }
    let activity = Activity { last: Some(UNTIL - DAY), actions, ..Activity::default() };
    Usage { identities: [(USER.to_owned(), activity)].into(), ..Usage::default() }
}

fn proposal(input: &Input, usage: &Usage, arn: &str, options: &Options) -> Proposal {
    let window = Window::ending(UNTIL, 90 * DAY);
    let inventory = Inventory::build(Actions::builtin(), Spaces::builtin(), input, usage, window);
    propose(&inventory, usage, find(&inventory, arn).unwrap(), window, options).unwrap()
}

fn of_user(user: Value, calls: &[(&str, &str)], options: &Options) -> Proposal {
    let input = Input { details: details(user, json!([]), json!([])), ..Input::default() };
    let calls: Vec<(String, String)> = calls.iter().map(|(action, arn)| ((*action).to_owned(), (*arn).to_owned())).collect();
    proposal(&input, &usage(&calls), "u", options)
}

fn statements(proposal: &Proposal) -> Vec<Value> {
    proposal.policy.iter().flat_map(|policy| policy["Statement"].as_array().unwrap().clone()).collect()
}

fn known() -> OfIdentity {
    OfIdentity::new(USER, ACCOUNT, Some("u"), &BTreeMap::new(), UNTIL)
}

fn may(documents: &[Document], action: &str, resource: &str) -> Decision {
    let documents: Vec<&Document> = documents.iter().collect();
    decide(&documents, &[], &Request { action, resource, context: &known() })
}

fn read(documents: &[Value]) -> Vec<Document> {
    documents.iter().map(|document| Document::read(document).unwrap()).collect()
}

#[test]
fn an_administrator_gets_what_it_used_where_it_used_it() {
    let calls = [
        ("s3:GetObject", "arn:aws:s3:::data/2026/a.csv"),
        ("s3:PutObject", "arn:aws:s3:::data/2026/b.csv"),
        ("ec2:DescribeInstances", ""),
        ("iam:GetRole", "arn:aws:iam::123456789012:role/app"),
        ("iam:ListRoles", ""),
    ];
    let proposal = of_user(json!([allow(json!("*"), json!("*"))]), &calls, &Options::default());
    let list = statements(&proposal);
    let of =
        |action: &str| list.iter().find(|one| one["Action"].to_string().contains(action)).unwrap_or_else(|| panic!("{action}: {list:?}"));
    assert_eq!(of("ec2:DescribeInstances")["Resource"], "*");
    assert_eq!(of("iam:GetRole")["Resource"], "arn:aws:iam::123456789012:role/app");
    assert!(of("s3:GetObject")["Resource"].to_string().contains("arn:aws:s3:::data/2026/a.csv"));
    assert_eq!((proposal.before.score, proposal.after.score), (100, 0));
    assert!(proposal.removals[0].how == "aws iam delete-user-policy --user-name u --policy-name p0", "{:?}", proposal.removals);
    assert!(!proposal.wildcards && proposal.documents.len() == 1);
}

#[test]
fn conditions_denies_and_limits_of_the_standing_policies_stay() {
    let mfa = json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}});
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:*"], "Resource": "arn:aws:s3:::data/*", "Condition": mfa},
        {"Effect": "Allow", "Action": "sqs:*", "NotResource": "arn:aws:sqs:*:*:secret-*"},
        {"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::data/locked/*"},
        {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "sns:*", "Resource": "*", "Condition": {"StringEquals": {"aws:username": "another"}}}]});
    let calls = [
        ("s3:PutObject", "arn:aws:s3:::data/x"),
        ("sqs:GetQueueUrl", "arn:aws:sqs:eu-west-1:123456789012:jobs"),
        ("sqs:ListQueueTags", ""),
        ("sns:Subscribe", "arn:aws:sns:eu-west-1:123456789012:t"),
    ];
    let proposal = of_user(json!([policy]), &calls, &Options { held_only: true, ..Options::default() });
    let list = statements(&proposal);
    let of = |action: &str| list.iter().find(|one| one["Action"].to_string().contains(action));
    assert_eq!(of("s3:PutObject").unwrap()["Condition"], mfa);
    assert_eq!(of("sqs:GetQueueUrl").unwrap()["Resource"], "arn:aws:sqs:eu-west-1:123456789012:jobs");
    assert_eq!(of("sqs:ListQueueTags").unwrap()["NotResource"], "arn:aws:sqs:*:*:secret-*");
    // The Deny that concerns what is proposed stays, the other one goes; a condition that cannot hold gives nothing.
    assert!(list.iter().any(|one| one["Effect"] == "Deny" && one["Action"] == "s3:Put*"));
    assert!(of("dynamodb").is_none() && of("sns:Subscribe").is_none(), "{list:?}");
    let told = |words: &str| assert!(proposal.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", proposal.notes);
    told("do not give it, or not for these resources");
    told("under the conditions of the standing policies only, which are kept: s3:PutObject");
}

#[test]
fn many_resources_of_a_type_become_what_they_have_in_common() {
    let objects: Vec<(String, String)> =
        (0..30).map(|number| ("s3:GetObject".to_owned(), format!("arn:aws:s3:::data/2026/part-{number}"))).collect();
    let calls: Vec<(&str, &str)> = objects.iter().map(|(action, arn)| (action.as_str(), arn.as_str())).collect();
    let resources = |standing: &str| {
        statements(&of_user(json!([allow(json!("s3:Get*"), json!(standing))]), &calls, &Options::default()))[0]["Resource"].to_string()
    };
    assert!(resources("*").contains("\"arn:aws:s3:::data/2026/part-*\""), "{}", resources("*"));
    assert_eq!(resources("arn:aws:s3:::data/*/part-?*"), "\"arn:aws:s3:::data/*/part-?*\"", "no more than the standing policy");
}

#[test]
fn what_no_record_shows_is_kept_if_the_policy_names_it() {
    let policy = allow(json!(["iam:PassRole", "ec2:RunInstances", "lambda:*"]), json!("*"));
    let proposal = of_user(json!([policy]), &[("ec2:RunInstances", "")], &Options::default());
    let actions: Vec<&str> = proposal.evidence.iter().map(|evidence| evidence.action.as_str()).collect();
    assert_eq!(actions, ["ec2:RunInstances", "iam:PassRole"]);
    assert!(proposal.notes.iter().any(|note| note.contains("ask before you take it out: iam:PassRole")));
    let without = of_user(json!([allow(json!("*"), json!("*"))]), &[("ec2:RunInstances", "")], &Options::default());
    assert_eq!(without.evidence.len(), 1, "a wildcard over a service names nothing");
}

#[test]
fn a_group_gets_what_its_members_used_of_what_it_grants() {
    let group = json!([allow(json!("ec2:*"), json!("*"))]);
    let input = Input { details: details(json!([allow(json!("iam:List*"), json!("*"))]), group, json!([])), ..Input::default() };
    let usage = usage(&[("ec2:DescribeInstances".into(), String::new()), ("iam:ListRoles".into(), String::new())]);
    let names = |proposal: &Proposal| proposal.evidence.iter().map(|evidence| evidence.action.clone()).collect::<Vec<_>>();
    let devs = proposal(&input, &usage, "devs", &Options::default());
    assert_eq!(names(&devs), ["ec2:DescribeInstances"]);
    assert!(devs.notes.iter().all(|note| !note.contains("do not give it")), "{:?}", devs.notes);
    let own = proposal(&input, &usage, "u", &Options::default());
    assert_eq!(names(&own), ["ec2:DescribeInstances", "iam:ListRoles"]);
    assert!(
        own.removals[1].policy.ends_with("through group devs") && own.removals[1].how.contains("remove-user-from-group"),
        "{:?}",
        own.removals
    );
}

/// The prefixes of a need are exact, and none can be shorter or joined with another one.
#[test]
fn prefixes_match_what_is_needed_and_nothing_else() {
    let actions = Actions::builtin();
    let mut random = Random(0x51ed_270b_0000_0007);
    let mut shortened = 0;
    for _ in 0..300 {
        let mut needed = RoaringBitmap::new();
        for _ in 0..1 + random.below(6) {
            let service = &actions.services()[random.below(actions.services().len())];
            let whole = random.below(4) == 0;
            needed.extend(service.actions.clone().filter(|_| whole || random.below(3) > 0));
        }
        let patterns = prefixes(actions, &needed);
        let matched = patterns.iter().map(|pattern| actions.expand(pattern)).fold(RoaringBitmap::new(), |all, one| all | one);
        assert_eq!(matched, needed);
        for pattern in patterns.iter().filter(|pattern| pattern.ends_with('*')) {
            let prefix = &pattern[..pattern.len() - 1];
            // A prefix that ends with the colon is a whole service.
            let shorter = (!prefix.ends_with(':')).then(|| actions.expand(&format!("{}*", &prefix[..prefix.len() - 1])));
            assert!(shorter.is_none_or(|shorter| !shorter.is_subset(&needed)), "{pattern}");
        }
        shortened += usize::from((patterns.len() as u64) < needed.len());
    }
    assert!(shortened > 200, "{shortened}");
}

#[test]
fn a_policy_beyond_the_limit_is_shortened_then_split() {
    let services = ["ec2", "rds", "iam", "sagemaker", "glue", "ssm", "connect", "iot"];
    let actions = Actions::builtin();
    let all: Vec<&str> =
        services.iter().flat_map(|service| actions.expand(&format!("{service}:*")).into_iter().map(|id| actions.name(id))).collect();
    let calls: Vec<(&str, &str)> = all.iter().filter(|name| name.len() % 3 != 0).map(|name| (*name, "")).collect();
    let whole = |wildcards| of_user(json!([allow(json!("*"), json!("*"))]), &calls, &Options { wildcards, ..Options::default() });
    let (short, long) = (whole(Wildcards::WhenNeeded), whole(Wildcards::Never));
    assert!(short.wildcards && !long.wildcards && short.characters < long.characters);
    for proposal in [&short, &long] {
        assert!(proposal.documents.len() > 1 && proposal.documents.iter().all(|document| characters(document) <= MANAGED));
        let documents = read(&proposal.documents);
        for (action, _) in &calls {
            assert_eq!(may(&documents, action, "*"), Decision::Allowed, "{action}");
        }
        for name in all.iter().filter(|name| name.len() % 3 == 0) {
            assert_eq!(may(&documents, name, "*"), Decision::NotAllowed, "{name}");
        }
    }
}

#[test]
fn managed_policies_that_fit_best() {
    let calls = [("s3:ListAllMyBuckets", ""), ("s3:GetBucketLocation", ""), ("s3:GetObject", "")];
    let proposal = of_user(json!([allow(json!("*"), json!("*"))]), &calls, &Options::default());
    let existing = &proposal.existing;
    assert!(existing.exact && !existing.policies.is_empty() && existing.excess < 0.01, "{existing:?}");
    let odd = of_user(
        json!([allow(json!("*"), json!("*"))]),
        &[("iam:CreateServiceSpecificCredential", ""), ("organizations:LeaveOrganization", "")],
        &Options::default(),
    );
    assert!(odd.existing.policies.iter().all(|arn| !arn.ends_with("AdministratorAccess")), "{:?}", odd.existing);
}

const ACTIONS: [&str; 12] = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListBucket",
    "s3:ListAllMyBuckets",
    "iam:GetRole",
    "iam:PassRole",
    "iam:ListRoles",
    "sqs:SendMessage",
    "sqs:ReceiveMessage",
    "ec2:DescribeInstances",
    "ec2:StartInstances",
    "dynamodb:GetItem",
];
const RESOURCES: [&str; 12] = [
    "arn:aws:s3:::data",
    "arn:aws:s3:::data/a",
    "arn:aws:s3:::data/b/c",
    "arn:aws:s3:::other/x",
    "arn:aws:iam::123456789012:role/app",
    "arn:aws:iam::123456789012:role/team/db",
    "arn:aws:sqs:eu-west-1:123456789012:jobs",
    "arn:aws:sqs:eu-west-1:123456789012:secret-jobs",
    "arn:aws:ec2:eu-west-1:123456789012:instance/i-1",
    "arn:aws:dynamodb:eu-west-1:123456789012:table/t",
    "arn:aws:s3:::data/locked/z",
    "*",
];

fn random_statement(random: &mut Random) -> Value {
    let patterns = [
        "*",
        "s3:*",
        "s3:Get*",
        "s3:?etObject",
        "iam:*",
        "iam:List*",
        "sqs:*Message",
        "ec2:*",
        "s3:ListAllMyBuckets",
        "dynamodb:GetItem",
        "iam:PassRole",
    ];
    let resources = [
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::data/*",
        "arn:aws:s3:::data",
        "arn:aws:s3:::*/b/*",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:sqs:*:*:secret-*",
        "arn:aws:ec2:*:*:instance/*",
        "arn:aws:dynamodb:*:123456789012:table/*",
        "arn:aws:s3:::${aws:username}/*",
    ];
    let mut statement = json!({"Effect": if random.below(5) == 0 { "Deny" } else { "Allow" }});
    let key = if random.below(7) == 0 { "NotAction" } else { "Action" };
    statement[key] = json!(random.some(&patterns, 3));
    let key = if random.below(6) == 0 { "NotResource" } else { "Resource" };
    statement[key] = json!(random.some(&resources, 3));
    if random.below(4) == 0 {
        statement["Condition"] = random_condition(random);
    }
    statement
}

fn random_condition(random: &mut Random) -> Value {
    match random.below(3) {
        0 => json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
        1 => json!({"StringEquals": {"aws:username": "u"}}),
        _ => json!({"StringEquals": {"aws:username": "v"}}),
    }
}

/// Every observed call that the standing policies allow is allowed by the proposal, as surely as before; and nothing that they deny is.
#[test]
fn a_proposal_never_denies_an_observed_call_and_never_allows_more_than_the_standing_access() {
    let mut random = Random(0x0ddb_1a5e_5bad_5eed);
    let order = |decision: Decision| match decision {
        Decision::Allowed => 2,
        Decision::Undecided => 1,
        Decision::NotAllowed | Decision::Denied => 0,
    };
    let (mut allowed, mut probes, mut narrower) = (0, 0, 0);
    for case in 0..60 {
        let mut policy = |most: usize| -> Value {
            let list: Vec<Value> = (0..=random.below(most)).map(|_| random_statement(&mut random)).collect();
            json!({"Version": "2012-10-17", "Statement": list})
        };
        let (own, of_group) = (policy(3), policy(2));
        let standing = read(&[own.clone(), of_group.clone()]);
        let mut calls: Vec<(String, String)> = Vec::new();
        for _ in 0..random.below(30) {
            let (action, resource) = (random.pick(&ACTIONS), random.pick(&RESOURCES));
            let fits = match resource {
                "*" => true,
                arn => Spaces::builtin().shapes_of(arn).iter().any(|shape| {
                    let types = Actions::builtin().resource_types(Actions::builtin().find(action).unwrap());
                    types.iter().any(|id| Actions::builtin().resource_type(*id).arn_pattern == Spaces::builtin().shape(*shape).pattern)
                }),
            };
            let allows = order(may(&standing, action, resource)) > 0;
            if fits && allows {
                calls.push((action.to_owned(), if resource == "*" { String::new() } else { resource.to_owned() }));
            }
        }
        let input = Input { details: details(json!([own]), json!([of_group]), json!([])), ..Input::default() };
        let wildcards = [Wildcards::Never, Wildcards::Always][random.below(2)];
        let proposal = proposal(&input, &usage(&calls), "u", &Options { wildcards, held_only: true, ..Options::default() });
        let proposed = read(&proposal.documents);
        for (action, resource) in &calls {
            let resource = if resource.is_empty() { "*" } else { resource };
            let (before, now) = (may(&standing, action, resource), may(&proposed, action, resource));
            assert!(
                order(now) >= order(before),
                "case {case}: {action} {resource}: {before:?} {now:?}\n{standing:#?}\n{:#?}",
                proposal.documents
            );
            allowed += 1;
        }
        for _ in 0..300 {
            let (action, resource) = (random.pick(&ACTIONS), random.pick(&RESOURCES));
            let (before, now) = (may(&standing, action, resource), may(&proposed, action, resource));
            assert!(
                order(now) <= order(before),
                "case {case}: {action} {resource}: {before:?} {now:?}\n{standing:#?}\n{:#?}",
                proposal.documents
            );
            probes += usize::from(order(now) > 0);
            narrower += usize::from(order(now) < order(before));
        }
        assert!(proposal.after.share <= proposal.before.share + 1e-12);
    }
    assert!(allowed > 50 && probes > 500 && narrower > 1_000, "{allowed} {probes} {narrower}");
}
