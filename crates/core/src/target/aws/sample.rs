//! What a policy simulator can be asked about a grant: single actions on one resource that its documents allow.
//!
//! The simulator takes whole names of actions, so a statement of patterns gives no sample, and neither does one whose conditions
//! ask for more than date and region: what they hold for is not known here.
use super::{
    dating::{BEFORE, CURRENT_TIME},
    document::{Conditions, Document, Effect, Listed, Rule},
    narrowing::REGION,
    plan::PlannedPolicy,
};

/// How many questions one grant is worth.
const MOST: usize = 3;
/// How many actions one question has, at most.
const ACTIONS: usize = 20;
/// What stands for a wildcard in the ARN of a resource.
const ANY: &str = "any";

/// One question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The actions.
    pub actions: Vec<String>,
    /// An ARN without wildcards, or `*`.
    pub resource: String,
    /// The region to which the request goes, where the grant is for certain regions.
    pub region: Option<String>,
}

/// The first questions about what these policies allow.
pub fn samples(policies: &[PlannedPolicy]) -> Vec<Sample> {
    let documents = policies.iter().filter_map(|policy| Document::parse(&policy.document).ok());
    let statements = documents.flat_map(|document| document.statements().to_vec());
    statements.filter_map(|statement| sample(&statement.rule)).take(MOST).collect()
}

fn sample(rule: &Rule) -> Option<Sample> {
    let (Effect::Allow, Listed::These(actions), Listed::These(resources)) = (rule.effect, &rule.actions, &rule.resources) else {
        return None;
    };
    let actions: Vec<String> = actions.iter().filter(|action| !is_pattern(action)).take(ACTIONS).cloned().collect();
    let resource = resources.iter().find(|resource| !resource.contains("${")).filter(|_| !actions.is_empty())?;
    let resource = if resource == "*" { resource.clone() } else { resource.replace('*', ANY).replace('?', "a") };
    Some(Sample { actions, resource, region: region(&rule.conditions)? })
}

/// The region that the conditions ask for, if any; nothing where they ask for more.
fn region(conditions: &Conditions) -> Option<Option<String>> {
    let mut region = None;
    for (operator, key, values) in
        conditions.iter().flat_map(|(operator, keys)| keys.iter().map(move |(key, values)| (operator, key, values)))
    {
        match operator.as_str() {
            BEFORE if key == CURRENT_TIME => {}
            "StringEquals" if key == REGION => region = Some(values.iter().find(|value| !is_pattern(value))?.clone()),
            _ => return None,
        }
    }
    Some(region)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?']) || text.contains("${")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(statements: Value) -> Vec<Sample> {
        let document = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        samples(&[PlannedPolicy { name: "p".into(), document }])
    }

    #[test]
    fn whole_actions_are_asked_for_with_one_resource_and_region() {
        let dated =
            json!({"DateLessThan": {"aws:CurrentTime": "2026-11-26T18:00:00Z"}, "StringEquals": {"aws:RequestedRegion": "eu-west-1"}});
        let statement = json!({"Effect": "Allow", "Action": ["ec2:StartInstances", "ec2:Stop*"],
            "Resource": "arn:aws:ec2:eu-west-1:111122223333:instance/*", "Condition": dated});
        let resource = "arn:aws:ec2:eu-west-1:111122223333:instance/any".to_owned();
        let expected = Sample { actions: vec!["ec2:StartInstances".into()], resource, region: Some("eu-west-1".into()) };
        assert_eq!(of(json!([statement])), [expected]);
    }

    #[test]
    fn what_cannot_be_asked_gives_no_question() {
        for (key, value) in [
            ("Action", json!("s3:*")),
            ("Effect", json!("Deny")),
            ("Resource", json!("arn:aws:s3:::home/${aws:username}")),
            ("Condition", json!({"Bool": {"aws:MultiFactorAuthPresent": "true"}})),
        ] {
            let mut statement = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
            assert_eq!(of(json!([statement])).len(), 1);
            statement[key] = value;
            assert_eq!(of(json!([statement])), [], "{statement}");
        }
        let mut statement = json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"});
        assert_eq!(of(json!([statement])), []);
        statement = json!({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::secret"});
        assert_eq!(of(json!([statement])), []);
    }
}
