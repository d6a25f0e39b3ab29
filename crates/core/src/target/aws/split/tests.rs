use super::*;
use serde_json::{Value, json};

fn document(statements: &Value) -> Document {
    Document::from_value(&json!({"Version": "2012-10-17", "Statement": statements})).unwrap()
}

/// What a document says, action by action and resource by resource.
fn single(documents: &[Document]) -> Vec<Rule> {
    let rules = documents.iter().flat_map(Document::statements).map(|s| &s.rule);
    let one = |rule: &Rule| match (&rule.actions, &rule.resources) {
        (Listed::These(actions), Listed::These(resources)) => {
            let pairs = actions.iter().flat_map(|a| resources.iter().map(move |r| (a.clone(), r.clone())));
            pairs
                .map(|(a, r)| Rule { actions: Listed::These(vec![a]), resources: Listed::These(vec![r]), ..rule.clone() })
                .collect::<Vec<_>>()
        }
        _ => vec![rule.clone()],
    };
    let mut all: Vec<Rule> = rules.flat_map(one).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn a_document_that_fits_is_one_policy() {
    let document = document(&json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    assert_eq!(split(&document, MAX_POLICY_CHARS).unwrap(), std::slice::from_ref(&document));
    assert_eq!(split(&document, document.chars()).unwrap(), [document]);
    assert!(split(&Document::default(), MAX_POLICY_CHARS).unwrap().is_empty());
}

#[test]
fn every_policy_fits_and_together_they_say_the_same() {
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..200 {
        let statements: Vec<Value> = (0..=random(5))
            .map(|s| {
                let actions: Vec<String> =
                    (0..=random(30)).map(|a| format!("s{s}:Action{a}With{}", "X".repeat(random(20) as usize))).collect();
                let resources: Vec<String> = (0..=random(8)).map(|r| format!("arn:aws:s3:::bucket{r}")).collect();
                let effect = if random(4) == 0 { "Deny" } else { "Allow" };
                json!({"Effect": effect, "Action": actions, "Resource": resources, "Condition": {"Bool": {"aws:SecureTransport": "true"}}})
            })
            .collect();
        let document = document(&json!(statements));
        let max = 250 + random(1_500) as usize;
        let parts = split(&document, max).unwrap();
        assert!(parts.iter().all(|part| part.chars() <= max), "{max}");
        assert_eq!(single(&parts), single(std::slice::from_ref(&document)));
        assert_eq!(split(&document, max).unwrap(), parts, "the same again");
    }
}

#[test]
fn a_statement_that_cannot_be_divided_is_refused_with_the_numbers() {
    let actions: Vec<String> = (0..400).map(|i| format!("iam:Action{i}WithALongName")).collect();
    let document = document(&json!([{"Sid": "Most", "Effect": "Allow", "NotAction": actions, "Resource": "*"}]));
    let said = split(&document, MAX_POLICY_CHARS).unwrap_err();
    assert!(said.starts_with("statement Most has ") && said.ends_with("a policy has room for 6105"), "{said}");
}
