use super::*;
use serde_json::{Value, json};

fn narrowed_to(statement: &Value, regions: &[&str], resources: &[&str]) -> Result<Option<Value>, String> {
    let document = Document::from_value(&json!({"Version": "2012-10-17", "Statement": statement})).unwrap();
    let list = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let found = narrowed(&document, &list(regions), &list(resources))?;
    assert_eq!(found.document.is_empty(), !found.dropped.is_empty());
    Ok(found.document.statements().first().map(|s| s.rule.to_json()))
}

fn allow(resource: &Value) -> Value {
    json!({"Effect": "Allow", "Action": "s3:*", "Resource": resource})
}

const REGIONS: &[&str] = &["eu-west-1", "eu-central-1"];

#[test]
fn regions_become_a_condition_of_every_allow_statement() {
    let condition = |before: Value| {
        let mut one = allow(&json!("*"));
        one["Condition"] = before;
        narrowed_to(&one, REGIONS, &[]).map(|rule| rule.map(|rule| rule["Condition"].clone()))
    };
    assert_eq!(condition(json!({})), Ok(Some(json!({"StringEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}}))));
    // Conditions on the same key: what both allow.
    assert_eq!(
        condition(json!({"StringEquals": {"aws:requestedregion": ["eu-west-1", "us-east-1"]}})),
        Ok(Some(json!({"StringEquals": {"aws:requestedregion": "eu-west-1"}})))
    );
    assert_eq!(condition(json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}})), Ok(None), "nothing is left");
    let like = json!({"StringLike": {"aws:RequestedRegion": "eu-*"}});
    let both =
        json!({"StringLike": {"aws:RequestedRegion": "eu-*"}, "StringEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}});
    assert_eq!(condition(like), Ok(Some(both)));
    let variable = json!({"StringEquals": {"aws:RequestedRegion": "${aws:PrincipalTag/region}"}});
    let beside = json!({"StringEquals": {"aws:RequestedRegion": "${aws:PrincipalTag/region}"}, "StringLike": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]}});
    assert_eq!(condition(variable.clone()), Ok(Some(beside)));
    let mut full = variable;
    full["StringLike"] = json!({"aws:RequestedRegion": "eu-*"});
    let said = condition(full).unwrap_err();
    assert!(said.starts_with("statement 1 cannot be narrowed to regions"), "{said}");
}

#[test]
fn denials_stay_as_they_are() {
    let deny = json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"});
    assert_eq!(narrowed_to(&deny, REGIONS, &["arn:aws:s3:::a"]), Ok(Some(deny)));
}

#[test]
fn resources_become_what_both_name() {
    let of =
        |resource: Value, scope: &[&str]| narrowed_to(&allow(&resource), &[], scope).map(|rule| rule.map(|rule| rule["Resource"].clone()));
    assert_eq!(of(json!("*"), &["arn:aws:s3:::a/*", "arn:aws:s3:::a"]), Ok(Some(json!(["arn:aws:s3:::a", "arn:aws:s3:::a/*"]))));
    assert_eq!(of(json!("arn:aws:s3:::a/b/*"), &["arn:aws:s3:::a/*"]), Ok(Some(json!("arn:aws:s3:::a/b/*"))));
    assert_eq!(of(json!(["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"]), &["arn:aws:s3:::b/x"]), Ok(Some(json!("arn:aws:s3:::b/x"))));
    assert_eq!(of(json!("arn:aws:s3:::a"), &["arn:aws:sqs:*:*:*"]), Ok(None));
    let said = of(json!("arn:aws:s3:::*-logs"), &["arn:aws:s3:::payments-*"]).unwrap_err();
    assert!(said.starts_with("statement 1 cannot be narrowed to arn:aws:s3:::payments-*"), "{said}");
    let all_but = |except: Value, scope: &[&str]| {
        let one = json!({"Sid": "Most", "Effect": "Allow", "Action": "s3:*", "NotResource": except});
        narrowed_to(&one, &[], scope).map(|rule| rule.map(|rule| rule["Resource"].clone()))
    };
    let secret = || json!("arn:aws:s3:::secret*");
    assert_eq!(all_but(secret(), &["arn:aws:s3:::a/*", "arn:aws:s3:::secret/*"]), Ok(Some(json!("arn:aws:s3:::a/*"))));
    let said = all_but(secret(), &["arn:aws:s3:::s*"]).unwrap_err();
    assert!(said.starts_with("statement Most cannot be narrowed to arn:aws:s3:::s*, since its NotResource"), "{said}");
}

/// What is left allows nothing that the document or the scope does not, and all that both do.
#[test]
fn what_is_left_is_what_document_and_scope_both_allow() {
    let fits = |pattern: &str, text: &str| crate::target::aws::wildcard::resource_covers(pattern, text);
    let parts = ["a", "a*", "a?", "*", "b/*", "ab"];
    let texts = ["a", "ab", "ac", "b/a", "b/c", "c"].map(|t| format!("arn:aws:s3:::{t}"));
    let arn = |part: &str| format!("arn:aws:s3:::{part}");
    for (x, y, s, t) in choices(&parts) {
        let resources = [arn(x), arn(y)];
        let scope = [arn(s), arn(t)];
        let document = Document::from_value(&json!({"Version": "2012-10-17", "Statement": allow(&json!(resources))})).unwrap();
        let Ok(found) = narrowed(&document, &[], &scope) else { continue };
        let left: Vec<&String> = found.document.statements().iter().flat_map(|s| s.rule.resources.patterns()).collect();
        for text in &texts {
            let both = resources.iter().any(|r| fits(r, text)) && scope.iter().any(|s| fits(s, text));
            assert_eq!(left.iter().any(|l| fits(l, text)), both, "{text} of {resources:?} in {scope:?}");
        }
    }
}

/// Every choice of four.
fn choices<'a>(parts: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str, &'a str, &'a str)> {
    let n = parts.len();
    (0..n.pow(4)).map(move |i| (parts[i % n], parts[i / n % n], parts[i / n / n % n], parts[i / n / n / n % n]))
}
