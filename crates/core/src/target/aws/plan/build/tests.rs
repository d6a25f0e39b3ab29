//! What is written, judged request by request as IAM judges it (IAM User Guide, "Policy evaluation logic"): it allows what the policies
//! allow, in the scope, until the deadline, and nothing else.
use super::*;
use crate::{
    digest::Digest,
    target::aws::{
        granted::GrantedPolicy,
        wildcard::{Actions, covers, resource_covers},
    },
};
use serde_json::{Value, json};

/// A request, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
struct Request {
    action: &'static str,
    resource: &'static str,
    region: &'static str,
    time: i64,
}

const ACTIONS: [&str; 4] = ["s3:GetObject", "s3:PutObject", "sqs:SendMessage", "iam:GetUser"];
const RESOURCES: [&str; 4] = ["arn:aws:s3:::a/1", "arn:aws:s3:::a/2", "arn:aws:s3:::b/1", "arn:aws:sqs:eu-west-1:123456789012:q"];
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-south-1"];
const DEADLINE: i64 = 1_000;
const TIMES: [i64; 4] = [0, 499, DEADLINE - 1, DEADLINE];

fn requests() -> impl Iterator<Item = Request> {
    let pairs = ACTIONS.into_iter().flat_map(|action| RESOURCES.map(|resource| (action, resource)));
    let places = pairs.flat_map(|(action, resource)| REGIONS.map(|region| (action, resource, region)));
    places.flat_map(|(action, resource, region)| TIMES.map(|time| Request { action, resource, region, time }))
}

fn meets(rule: &Rule, r: Request) -> bool {
    let action = Actions::of(rule.actions.patterns()).cover(r.action) == matches!(rule.actions, Listed::These(_));
    let named = rule.resources.patterns().iter().any(|pattern| resource_covers(pattern, r.resource));
    let resource = named == matches!(rule.resources, Listed::These(_));
    let one = |operator: &str, key: &str, value: &String| {
        let date = || Time::parse(value).or_else(|| value.parse().ok().map(Time::from_secs)).unwrap();
        match (operator, key.to_ascii_lowercase().as_str()) {
            ("StringEquals" | "StringNotEquals", "aws:requestedregion") => value == r.region,
            ("StringLike", "aws:requestedregion") => covers(value, r.region),
            ("DateLessThan", "aws:currenttime" | "aws:epochtime") => Time::from_secs(r.time) < date(),
            ("DateGreaterThanEquals", "aws:currenttime") => Time::from_secs(r.time) >= date(),
            other => panic!("{other:?}"),
        }
    };
    let mut conditions = rule.conditions.iter().flat_map(|(operator, keys)| keys.iter().map(move |(key, values)| (operator, key, values)));
    action && resource && conditions.all(|(op, key, values)| values.iter().any(|v| one(op, key, v)) != op.contains("NotEquals"))
}

fn allows<'a>(documents: impl Iterator<Item = &'a Document> + Clone, r: Request) -> bool {
    let any = |effect| documents.clone().flat_map(Document::statements).any(|s| s.rule.effect == effect && meets(&s.rule, r));
    any(Effect::Allow) && !any(Effect::Deny)
}

/// A generator with a seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % u64::try_from(n).unwrap()).unwrap()
    }
    fn some<'a>(&mut self, of: &[&'a str]) -> Vec<&'a str> {
        (0..=self.below(2)).map(|_| of[self.below(of.len())]).collect()
    }
    fn statement(&mut self) -> Value {
        let actions = self.some(&["s3:*", "S3:getobject", "sqs:Send*", "*", "iam:Get?ser"]);
        let resources = self.some(&["*", "arn:aws:s3:::a/*", "arn:aws:s3:::?/1", "arn:aws:s3:::a/1", "arn:aws:sqs", "arn:aws:s3:::b*"]);
        let mut one = json!({"Effect": if self.below(4) == 0 { "Deny" } else { "Allow" }});
        one[if self.below(5) == 0 { "NotAction" } else { "Action" }] = json!(actions);
        one[if self.below(5) == 0 { "NotResource" } else { "Resource" }] = json!(resources);
        if self.below(3) == 0 {
            one["Condition"]["StringEquals"] = json!({"aws:requestedRegion": self.some(&["eu-west-1", "us-east-1"])});
        }
        if self.below(3) == 0 {
            let times = self.some(&["1970-01-01T00:05:00Z", "500", "1970-01-02T00:00:00Z"]);
            one["Condition"]["DateLessThan"] = json!({"aws:CurrentTime": times});
        }
        one
    }
}

#[test]
fn what_is_written_allows_what_policy_scope_and_deadline_allow_together() {
    let mut random = Random(17);
    let (mut exact, mut refused, mut allowed) = (0, 0, 0);
    for _ in 0..800 {
        let statements: Vec<Value> = (0..=random.below(3)).map(|_| random.statement()).collect();
        let value = json!({"Version": "2012-10-17", "Statement": statements});
        let original = Document::from_value(&value).unwrap();
        let strings = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let regions = if random.below(2) == 0 { Vec::new() } else { strings(random.some(&REGIONS[..2])) };
        let scope = ["arn:aws:s3:::a/*", "arn:aws:s3:::a/1", "arn:aws:sqs:*:123456789012:*", "arn:aws:s3:::*"];
        let resources = if random.below(2) == 0 { Vec::new() } else { strings(random.some(&scope)) };
        let by = if random.below(2) == 0 { GrantedBy::Copy } else { GrantedBy::Reference };
        let policy =
            GrantedPolicy { arn: "arn:aws:iam::aws:policy/A".into(), by, digest: Digest::of_bytes(b""), document: original.text() };
        let policies = GrantedPolicies { managed: vec![policy], inline: None };
        let places = (regions.as_slice(), resources.as_slice());
        let Ok(written) = documents(&copied(&policies).unwrap(), attached(&policies), places, Time::from_secs(DEADLINE)) else {
            refused += 1;
            continue;
        };
        exact += 1;
        let mut parts = split(&written.written, 600).unwrap();
        parts.extend((by == GrantedBy::Reference).then(|| original.clone()));
        for r in requests() {
            let in_scope = (regions.is_empty() || regions.iter().any(|region| region == r.region))
                && (resources.is_empty() || resources.iter().any(|pattern| resource_covers(pattern, r.resource)));
            let expected = allows([&original].into_iter(), r) && in_scope && r.time < DEADLINE;
            assert_eq!(allows(parts.iter(), r), expected, "{r:?} of {value} in {regions:?} {resources:?} by {by:?}");
            allowed += usize::from(expected);
        }
    }
    // Enough of each, so that the comparison says something.
    assert!(exact > 500 && refused > 12 && allowed > 5_000, "{exact} exact, {refused} refused, {allowed} allowed");
}

/// A denial on an identity that lasts would go on after the deadline, and take what its holder has besides.
#[test]
fn nothing_is_attached_to_a_user_by_reference() {
    let names = PlanNames { install: "0123abcd", grant: "00000000000000a1", deadline: Time::from_secs(DEADLINE) };
    let scope = GrantedScope { partition: "aws".into(), account: "123456789012".into(), regions: Vec::new(), resources: Vec::new() };
    let planned = |by| {
        let document = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#.to_owned();
        let policy = GrantedPolicy { arn: "arn:aws:iam::aws:policy/A".into(), by, digest: Digest::of_bytes(b""), document };
        let policies = GrantedPolicies { managed: vec![policy], inline: None };
        plan(&GrantedPermissions::User(policies), &scope, &Principal { name: "alice".into() }, names)
    };
    assert!(planned(GrantedBy::Copy).is_some() && planned(GrantedBy::Reference).is_none());
}
