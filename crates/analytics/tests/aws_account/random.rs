//! A generator with a fixed seed (xorshift), and random policies.
use serde_json::{Value, json};

/// The generator.
pub struct Random(pub u64);

/// Actions of policies and requests.
pub const ACTIONS: [&str; 10] = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListBucket",
    "iam:PassRole",
    "iam:CreateUser",
    "ec2:DescribeInstances",
    "ec2:TerminateInstances",
    "lambda:InvokeFunction",
    "sts:AssumeRole",
    "secretsmanager:GetSecretValue",
];
/// Patterns of actions, some in another case, and some that match nothing.
const PATTERNS: [&str; 14] = [
    "*",
    "s3:*",
    "S3:Get*",
    "s3:?utObject",
    "s3:*Object",
    "iam:*",
    "iam:pass*",
    "ec2:Describe*",
    "*:Get*",
    "lambda:Invoke*",
    "s3:ListBucket",
    "sts:AssumeRole",
    "nothing:At*",
    "secretsmanager:*",
];
/// Resources of policies.
const RESOURCES: [&str; 14] = [
    "*",
    "arn:aws:s3:::data",
    "arn:aws:s3:::data/*",
    "arn:aws:s3:::d*",
    "arn:aws:s3:::*/a?c",
    "arn:aws:s3:::logs/2026/*",
    "arn:aws:iam::111122223333:role/app-*",
    "arn:aws:iam::111122223333:role/app-one",
    "arn:aws:iam::*:user/*",
    "arn:aws:ec2:*:*:instance/*",
    "arn:aws:ec2:eu-west-1:111122223333:instance/i-1",
    "arn:aws:lambda:eu-west-1:111122223333:function:*",
    "arn:aws:secretsmanager:*:111122223333:secret:prod-*",
    "arn:*",
];
/// Resources of requests.
pub const ARNS: [&str; 12] = [
    "*",
    "arn:aws:s3:::data",
    "arn:aws:s3:::data/abc",
    "arn:aws:s3:::logs/2026/x",
    "arn:aws:s3:::dump/abc",
    "arn:aws:iam::111122223333:role/app-one",
    "arn:aws:iam::111122223333:role/other",
    "arn:aws:iam::111122223333:user/alice",
    "arn:aws:ec2:eu-west-1:111122223333:instance/i-1",
    "arn:aws:ec2:us-east-1:111122223333:instance/i-2",
    "arn:aws:lambda:eu-west-1:111122223333:function:f",
    "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod-db-AbCdEf",
];
/// Condition keys with the values that requests and policies have.
pub const KEYS: [(&str, &[&str]); 8] = [
    ("aws:SourceIp", &["10.1.2.3", "10.0.0.0/8", "192.0.2.1", "2001:db8::1", "2001:db8::/32"]),
    ("aws:MultiFactorAuthPresent", &["true", "false"]),
    ("aws:RequestedRegion", &["eu-west-1", "us-east-1", "eu-*"]),
    ("aws:ResourceTag/team", &["red", "Red", "blue", "r*"]),
    ("s3:prefix", &["home/", "home/*", "?ome/x", ""]),
    ("ec2:Count", &["1", "5", "10", "x"]),
    ("aws:TokenIssueTime", &["2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "1767225600", "later"]),
    ("aws:TagKeys", &["team", "owner", "Team"]),
];
const OPERATORS: [&str; 26] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnNotEquals",
    "ArnLike",
    "ArnNotLike",
    "BinaryEquals",
];

impl Random {
    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % n as u64) as usize
    }
    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    /// One of a list.
    pub fn one<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
    fn some(&mut self, list: &[&str]) -> Value {
        let list: Vec<&str> = (0..=self.below(3)).map(|_| self.one(list)).collect();
        if list.len() == 1 && self.once_in(2) { json!(list[0]) } else { json!(list) }
    }
    fn condition(&mut self) -> Value {
        let mut all = serde_json::Map::new();
        for _ in 0..=self.below(2) {
            let (key, values) = KEYS[self.below(KEYS.len())];
            let many = key == "aws:TagKeys";
            let operator = if self.once_in(8) {
                json!({"Null": {(key): self.one(&["true", "false"])}})
            } else {
                // A key with many values has a result without a set operator in no documentation.
                let set = if many { self.one(&["ForAllValues:", "ForAnyValue:"]) } else { "" };
                let end = if self.once_in(4) { "IfExists" } else { "" };
                let name = self.one(&OPERATORS);
                json!({(format!("{set}{name}{end}")): {(key): self.some(values)}})
            };
            operator.as_object().unwrap().iter().for_each(|(name, keys)| drop(all.insert(name.clone(), keys.clone())));
        }
        Value::Object(all)
    }
    /// A statement.
    pub fn statement(&mut self) -> Value {
        let effect = if self.once_in(3) { "Deny" } else { "Allow" };
        let patterns: Vec<&str> = PATTERNS.iter().chain(&ACTIONS).copied().collect();
        let mut statement = json!({"Effect": effect});
        statement[if self.once_in(5) { "NotAction" } else { "Action" }] = self.some(&patterns);
        statement[if self.once_in(5) { "NotResource" } else { "Resource" }] = self.some(&RESOURCES);
        if self.once_in(3) {
            statement["Condition"] = self.condition();
        }
        statement
    }
    /// A policy document.
    pub fn document(&mut self) -> Value {
        let statements: Vec<Value> = (0..=self.below(3)).map(|_| self.statement()).collect();
        json!({"Version": "2012-10-17", "Statement": statements})
    }
    /// The values of condition keys of a request: text or list.
    pub fn context(&mut self) -> Value {
        let mut all = serde_json::Map::new();
        for (key, values) in KEYS {
            if self.once_in(2) {
                let value = if key == "aws:TagKeys" {
                    let list: Vec<&str> = (0..=self.below(2)).map(|_| self.one(values)).collect();
                    json!(list)
                } else {
                    json!(self.one(values))
                };
                all.insert(key.to_lowercase(), value);
            }
        }
        Value::Object(all)
    }
}
