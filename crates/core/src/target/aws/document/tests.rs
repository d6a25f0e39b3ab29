use super::*;
use serde_json::json;

fn document(statements: serde_json::Value) -> Document {
    Document::from_value(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap()
}

fn refused(statements: serde_json::Value) -> String {
    Document::from_value(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap_err()
}

#[test]
fn order_scalars_and_names_make_no_difference() {
    let base = document(json!([
        {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*",
         "Condition": {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "eu-central-1"]}, "Bool": {"aws:SecureTransport": true}}},
        {"Effect": "Deny", "NotAction": "s3:*", "NotResource": ["arn:aws:s3:::a", "arn:aws:s3:::b"]},
    ]));
    let other = document(json!([
        {"Effect": "Deny", "NotResource": ["arn:aws:s3:::b", "arn:aws:s3:::a"], "NotAction": ["s3:*", "s3:*"]},
        {"Effect": "Allow", "Resource": ["*"], "Action": ["s3:ListBucket", "s3:GetObject"],
         "Condition": {"bool": {"aws:SecureTransport": ["true"]}, "StringEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}},
    ]));
    assert_eq!((base.text(), base.digest()), (other.text(), other.digest()));
    assert_eq!(base, other);
    assert_eq!(Document::parse(&base.text()).unwrap(), base, "what is written is read back");
    let one = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    assert_eq!(document(json!([one.clone(), one.clone()])), document(one), "a statement alone, and one twice");
}

#[test]
fn the_case_of_actions_does_not_change_the_digest_and_that_of_resources_does() {
    let of = |action: &str, resource: &str| document(json!({"Effect": "Allow", "Action": action, "Resource": resource}));
    assert_eq!(of("S3:getObject", "*").digest(), of("s3:GetObject", "*").digest());
    assert_ne!(of("s3:GetObject", "arn:aws:s3:::a").digest(), of("s3:GetObject", "arn:aws:s3:::A").digest());
    assert_ne!(of("s3:GetObject", "*").digest(), of("s3:GetObjectAcl", "*").digest());
}

#[test]
fn the_canonical_text_is_compact_json_with_sorted_members() {
    let document = document(json!([{"Sid": "A", "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": ["*"]}]));
    let text = r#"{"Statement":[{"Action":["s3:GetObject","s3:ListBucket"],"Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}"#;
    assert_eq!((document.text().as_str(), document.chars()), (text, text.len()));
}

#[test]
fn what_is_unknown_is_refused_by_name() {
    let whole = |value| Document::from_value(&value).unwrap_err();
    let one = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let with = |name: &str, value: serde_json::Value| {
        let mut one = one.clone();
        one[name] = value;
        one
    };
    let without = |name: &str| {
        let mut one = one.clone();
        one.as_object_mut().unwrap().remove(name);
        one
    };
    for (value, expected) in [
        (json!([]), "is not an object"),
        (json!({"Version": "2008-10-17", "Statement": one}), "has Version \"2008-10-17\""),
        (json!({"Statement": one}), "has no Version"),
        (json!({"Version": "2012-10-17"}), "has no Statement"),
        (json!({"Version": "2012-10-17", "Statement": []}), "has no Statement"),
        (json!({"Version": "2012-10-17", "Statement": "x"}), "neither an object nor a list"),
        (json!({"Version": "2012-10-17", "Statement": one, "Statment": 1}), "has the unknown element Statment in the document"),
    ] {
        let said = whole(value);
        assert!(said.contains(expected), "{said}");
    }
    for (statement, expected) in [
        (with("Principal", json!("*")), "has Principal in statement 1, which only policies of resources have"),
        (with("Resources", json!("*")), "has the unknown element Resources in statement 1"),
        (with("Effect", json!("allow")), "needs Effect Allow or Deny in statement 1"),
        (without("Effect"), "needs Effect Allow or Deny in statement 1"),
        (without("Action"), "needs exactly one of Action and NotAction in statement 1"),
        (with("NotAction", json!("iam:*")), "needs exactly one of Action and NotAction in statement 1"),
        (without("Resource"), "needs exactly one of Resource and NotResource in statement 1"),
        (with("Action", json!([])), "has an empty Action in statement 1"),
        (with("Action", json!("GetObject")), "has GetObject in statement 1, which is not an action such as s3:GetObject"),
        (with("Action", json!([1])), "has Action in statement 1 that is neither a text nor a list of texts"),
        (with("Resource", json!("bucket")), "has bucket in statement 1, which is neither an ARN nor *"),
        (with("Resource", json!("arn:aws:s3:::\u{4e2d}")), "IAM takes characters up to U+00FF alone"),
        (with("Condition", json!({"StringSame": {"a:b": "c"}})), "has the unknown condition operator StringSame in statement 1"),
        (with("Condition", json!({"NullIfExists": {"a:b": "c"}})), "has the unknown condition operator NullIfExists in statement 1"),
        (
            with("Condition", json!({"Bool": {"a:b": "true"}, "bool": {"a:c": "true"}})),
            "has the condition operator Bool twice in statement 1",
        ),
        (with("Condition", json!({"Bool": {"a:b": "true", "A:b": "true"}})), "stands there twice"),
        (with("Condition", json!({"Bool": {"a:b": {}}})), "has Condition in statement 1 that is neither"),
        (with("Sid", json!(7)), "has a Sid in statement 1 that is not a short text"),
    ] {
        let said = refused(json!([statement]));
        assert!(said.contains(expected), "{said}");
    }
    let named = with("Sid", json!("ReadAll"));
    assert!(refused(json!([one, {"Sid": "Second", "Effect": "Allow", "Action": "*"}])).ends_with("in statement Second"));
    assert_eq!(document(json!(named)).statements()[0].name, "statement ReadAll");
}

#[test]
fn every_operator_of_the_documentation_is_known() {
    for operator in
        ["StringEquals", "ForAllValues:StringLike", "ForAnyValue:StringNotEqualsIfExists", "ArnLikeIfExists", "Null", "NotIpAddress"]
    {
        let one = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {operator: {"aws:TagKeys": "a"}}});
        let found = document(one);
        assert_eq!(found.statements()[0].rule.conditions.keys().collect::<Vec<_>>(), [operator]);
    }
}

#[test]
fn a_text_with_a_key_twice_is_refused() {
    let twice = |text: &str| Document::parse(text).unwrap_err();
    let said = twice(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}]}"#);
    assert!(said.starts_with("cannot be read: Effect stands there twice"), "{said}");
    assert!(twice("{").starts_with("cannot be read: "));
    assert!(twice(&" ".repeat(MAX_TEXT + 1)).contains("131073 bytes"));
}

#[test]
fn what_is_too_large_is_refused_with_the_numbers_before_anything_is_compared() {
    let actions = |count: usize| (0..count).map(|i| format!("s3:A{i}")).collect::<Vec<_>>();
    let one = |actions: Vec<String>, resource: String| json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": resource}});
    let large = one(vec!["s3:*".into(); 1], format!("arn:aws:s3:::{}", "a".repeat(2_048)));
    let said = Document::from_value(&large).unwrap_err();
    assert!(said.contains("2061 characters") && said.contains("at most 2048"), "{said}");
    let said = Document::from_value(&one(actions(4_000), "*".into())).unwrap_err();
    assert!(said.contains("bytes") && said.contains("at most 32768 in a template"), "{said}");
    // What AWS returns may be longer, since its own policies are.
    assert!(Document::parse(&one(actions(4_000), "*".into()).to_string()).is_ok());
    let said = Document::parse(&one(actions(9_000), "*".into()).to_string()).unwrap_err();
    assert!(said.contains("9001 actions, resources and values") && said.contains("at most 8192"), "{said}");
    let statements: Vec<_> = (0..1_025).map(|i| json!({"Effect": "Allow", "Action": format!("s3:A{i}"), "Resource": "*"})).collect();
    let said = Document::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string()).unwrap_err();
    assert!(said.contains("1025 statements") && said.contains("at most 1024"), "{said}");
    // Blanks and order are not counted: the canonical form is.
    let repeated = one(vec!["s3:GetObject".to_owned(); 4_000], "*".into());
    assert!(Document::from_value(&repeated).is_ok());
    let huge = one(vec!["s3:GetObject".to_owned(); 20_000], "*".into());
    assert!(Document::from_value(&huge).unwrap_err().contains("at most 131072"));
}
