use super::*;
use serde_json::{Value, json};

fn document(statements: &Value) -> Document {
    Document::from_value(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap()
}

fn allow(more: Value) -> Value {
    let mut one = json!({"Effect": "Allow"});
    one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    one
}

#[test]
fn a_document_that_allows_no_more_is_within() {
    let read = allow(json!({"Action": ["s3:Get*", "s3:List*"], "Resource": "arn:aws:s3:::a/*"}));
    let dated =
        |values: Value| allow(json!({"Action": "s3:*", "Resource": "*", "Condition": {"StringEquals": {"aws:RequestedRegion": values}}}));
    let unlike =
        |values: Value| allow(json!({"Action": "s3:*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:PrincipalTag/a": values}}}));
    let deny = json!({"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"});
    for (now, then) in [
        (json!([read]), json!([read])),
        (json!([allow(json!({"Action": "S3:GETOBJECT", "Resource": "arn:aws:s3:::a/b"}))]), json!([read])),
        // Each action may be covered by another statement.
        (
            json!([allow(json!({"Action": ["s3:GetObject", "ec2:RunInstances"], "Resource": "*"}))]),
            json!([allow(json!({"Action": "s3:*", "Resource": "*"})), allow(json!({"Action": "ec2:*", "Resource": "*"}))]),
        ),
        (json!([dated(json!("a"))]), json!([dated(json!(["b", "a"]))])),
        (json!([dated(json!("a"))]), json!([allow(json!({"Action": "*", "Resource": "*"}))])),
        (json!([unlike(json!(["x", "y"]))]), json!([unlike(json!("x"))])),
        (
            json!([allow(json!({"NotAction": ["iam:*", "sts:*"], "Resource": "*"}))]),
            json!([allow(json!({"NotAction": "iam:*", "Resource": "*"}))]),
        ),
        (json!([allow(json!({"NotAction": "iam:*", "Resource": "*"}))]), json!([allow(json!({"Action": "*", "Resource": "*"}))])),
        (json!([allow(json!({"Action": "s3:*", "Resource": "*"}))]), json!([allow(json!({"NotAction": "iam:*", "Resource": "*"}))])),
        (
            json!([allow(json!({"Action": "s3:*", "NotResource": ["arn:aws:s3:::a", "arn:aws:s3:::b"]}))]),
            json!([allow(json!({"Action": "s3:*", "NotResource": "arn:aws:s3:::a"}))]),
        ),
        // A denial that is wider, or new.
        (json!([read, {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]), json!([read, deny])),
        (json!([read, deny]), json!([read])),
        (json!([deny]), json!([read, deny])),
    ] {
        assert_eq!(beyond(&document(&now), &document(&then), "it"), None, "{now} and {then}");
    }
}

#[test]
fn a_document_that_allows_more_is_named_by_its_statement() {
    let read = allow(json!({"Sid": "Read", "Action": "s3:Get*", "Resource": "arn:aws:s3:::a/*"}));
    let when = |operator: &str, values: Value| {
        allow(json!({"Action": "s3:*", "Resource": "*", "Condition": {operator: {"aws:SourceIp": values}}}))
    };
    let deny = json!({"Sid": "Keep", "Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"});
    for (now, then, expected) in [
        (json!([allow(json!({"Action": "s3:*", "Resource": "arn:aws:s3:::a/*"}))]), json!([read]), "statement 1 of it"),
        (json!([allow(json!({"Action": "s3:GetObject", "Resource": "*"}))]), json!([read]), "statement 1 of it"),
        (json!([read, allow(json!({"Sid": "More", "Action": "iam:GetUser", "Resource": "*"}))]), json!([read]), "statement More of it"),
        (
            json!([when("IpAddress", json!(["10.0.0.0/8", "11.0.0.0/8"]))]),
            json!([when("IpAddress", json!("10.0.0.0/8"))]),
            "statement 1 of it",
        ),
        (
            json!([when("NotIpAddress", json!("10.0.0.0/8"))]),
            json!([when("NotIpAddress", json!(["10.0.0.0/8", "11.0.0.0/8"]))]),
            "statement 1 of it",
        ),
        (json!([when("IpAddressIfExists", json!("10.0.0.0/8"))]), json!([when("IpAddress", json!("10.0.0.0/8"))]), "statement 1 of it"),
        (json!([allow(json!({"Action": "s3:*", "Resource": "*"}))]), json!([when("IpAddress", json!("10.0.0.0/8"))]), "statement 1 of it"),
        (
            json!([allow(json!({"NotAction": "iam:*", "Resource": "*"}))]),
            json!([allow(json!({"NotAction": ["iam:*", "sts:*"], "Resource": "*"}))]),
            "statement 1 of it",
        ),
        (
            json!([allow(json!({"Action": "*", "Resource": "*"}))]),
            json!([allow(json!({"NotAction": "iam:*", "Resource": "*"}))]),
            "statement 1 of it",
        ),
        (json!([read]), json!([read, deny]), "it without statement Keep, which denies"),
        (
            json!([read, {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}]),
            json!([read, deny]),
            "it without statement Keep, which denies",
        ),
    ] {
        assert_eq!(beyond(&document(&now), &document(&then), "it").as_deref(), Some(expected), "{now} and {then}");
    }
}

/// The most that a document may hold, in the form that takes the most work: many actions on many resources.
#[test]
fn the_largest_documents_are_compared_in_bounded_time() {
    let names = |prefix: &str, count: usize| (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let of = |resources: Vec<String>| document(&allow(json!({"Action": names("s3:A", 1_300), "Resource": resources})));
    let (then, now) = (of(names("arn:aws:s3:::", 900)), of(names("arn:aws:s3:::", 901)));
    assert_eq!(beyond(&now, &then, "it").as_deref(), Some("statement 1 of it"));
    let dup = |list: Vec<String>| {
        list.iter().map(|action| allow(json!({"Action": action, "Resource": names("arn:aws:s3:::", 10)}))).collect::<Vec<_>>()
    };
    let many = document(&json!(dup(names("s3:A", 80))));
    let whole = document(&allow(json!({"Action": names("s3:A", 80), "Resource": names("arn:aws:s3:::", 10)})));
    assert_eq!(beyond(&whole, &many, "it"), None, "each action is covered by another statement");
}
