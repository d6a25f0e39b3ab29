//! Every duration and period that people write, in other notations: the refusal says how to write it. A unit test of the kinds enumerates
//! the fields.
use crate::shared::without_operator;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{User, root};
use serde_json::{Value, json};

/// What is written, and what the refusal says. The words are tested in `core/duration.rs`.
const DURATIONS: &[(&str, &str)] = &[
    ("1h0m0s", "\"1h0m0s\" is not a duration; write it as 1h"),
    ("PT1H30M", "\"PT1H30M\" is not a duration; write it as 1h30m"),
    ("P1D", "\"P1D\" is not a duration; write it as 24h"),
    ("60", "\"60\" is not a duration: a number needs a unit; write it as 60s, 60m or 60h"),
    ("4 hours", "\"4 hours\" is not a duration; write it as 1h30m"),
    ("0s", "\"0s\" is not a duration; write it as 1h30m"),
    ("999999h", "\"999999h\" is not a duration; write it as 1h30m"),
];
const PERIODS: &[(&str, &str)] = &[
    ("P30D", "\"P30D\" is not a period; write it as 30d"),
    ("365", "\"365\" is not a period: a number needs a unit; write it as 365d"),
    ("4w", "\"4w\" is not a period; write it as 28d"),
    ("48h", "\"48h\" is not a period; write it as 2d"),
    ("36h", "\"36h\" is not a period; write it as 90d"),
    ("1y", "\"1y\" is not a period; write it as 90d"),
];

/// An example, the place in it that is replaced, and what by: `@` is the text.
struct Field(&'static str, &'static str, Value);

fn durations() -> Vec<Field> {
    let stage = |more: Value| {
        let mut stage = json!({"name": "a", "approvers": [{"user": "carol@example.com"}], "quorum": 1});
        stage.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!([stage])
    };
    let session = || json!({"aws": {"role": {"managedPolicies": ["arn:aws:iam::aws:policy/ReadOnlyAccess"], "maxSession": "@"}}});
    let mut new = json!({"name": "dana", "roleRef": {"name": "admin"}, "subject": {"user": "dana"}, "scope": {"all": {}},
        "until": "2027-03-01T00:00:00Z"});
    new["permissions"] = session();
    let mfa = json!({"mfa": {"maxAge": "@"}});
    let (timeout, after) = (json!({"timeout": "@"}), json!({"escalation": {"after": "@", "approvers": [{"user": "dave@example.com"}]}}));
    vec![
        Field("activeassignment", "/spec/window/recurring/duration", json!("@")),
        Field("activeassignment", "/spec/permissions", session()),
        Field("accessdecision", "/spec/duration", json!("@")),
        Field("accesspolicy", "/spec/max/duration", json!("@")),
        Field("accesspolicy", "/spec/min/mfa", json!({"maxAge": "@"})),
        Field("activationrequest", "/spec/duration", json!("@")),
        Field("curfewconfig", "/spec/ceilings/duration", json!("@")),
        Field("accesspolicy", "/spec/permissions", session()),
        Field("activationrequest", "/spec/permissions", session()),
        Field("eligibleassignment", "/spec/permissions", session()),
        Field("assignmentrequest", "/spec/action", json!({"new": new})),
        Field("roletemplate", "/spec/permissions", session()),
        Field("roletemplate", "/spec/activation/duration", json!({"max": "@"})),
        Field("roletemplate", "/spec/activation/duration", json!({"default": "@", "max": "4h"})),
        Field("roletemplate", "/spec/activation/mfa", json!({"maxAge": "@"})),
        Field("roletemplate", "/spec/activation/extension", json!({"atMost": {"chain": "@", "perDay": "12h"}})),
        Field("roletemplate", "/spec/activation/extension", json!({"atMost": {"chain": "8h", "perDay": "@"}})),
        Field("roletemplate", "/spec/activation/approval", json!({"stages": stage(timeout.clone())})),
        Field("roletemplate", "/spec/activation/approval", json!({"stages": stage(after.clone())})),
        Field("roletemplate", "/spec/activation/approval", json!({"stages": stage(mfa.clone())})),
        Field("roletemplate", "/spec/assignment/approval", json!({"stages": stage(timeout.clone())})),
        Field("roletemplate", "/spec/assignment/approval", json!({"stages": stage(after.clone())})),
        Field("roletemplate", "/spec/assignment/approval", json!({"stages": stage(mfa.clone())})),
        Field("roletemplate", "/spec/assignment/approval", json!({"parallel": stage(mfa.clone())})),
        Field("roletemplate", "/spec/assignment/approval", json!({"parallel": stage(timeout.clone())})),
        Field("roletemplate", "/spec/assignment/approval", json!({"parallel": stage(after.clone())})),
        Field("roletemplate", "/spec/activation/approval", json!({"parallel": stage(mfa)})),
        Field("roletemplate", "/spec/activation/approval", json!({"parallel": stage(timeout)})),
        Field("roletemplate", "/spec/activation/approval", json!({"parallel": stage(after)})),
    ]
}

fn periods() -> Vec<Field> {
    vec![
        Field("accesspolicy", "/spec/max/eligibility", json!("@")),
        Field("activationrequest", "/spec/ttlAfterFinished", json!("@")),
        Field("assignmentrequest", "/spec/ttlAfterFinished", json!("@")),
        Field("authorizationsystem", "/spec/analytics", json!({"window": "@"})),
        Field("curfewconfig", "/spec/retention", json!("@")),
        Field("roletemplate", "/spec/assignment/eligible/max", json!("@")),
        Field("roletemplate", "/spec/assignment/active/max", json!("@")),
    ]
}

/// The example with this text in the field.
fn with(field: &Field, text: &str) -> Result<String> {
    let Field(file, place, value) = field;
    let yaml = std::fs::read_to_string(root().join(format!("examples/api/{file}.yaml")))?;
    let first = yaml.split("\n---\n").next().context("no document")?;
    let mut object: Value = serde_saphyr::from_str(first)?;
    let (parent, member) = place.rsplit_once('/').context("a place below the root")?;
    let value: Value = serde_json::from_str(&value.to_string().replace("\"@\"", text))?;
    object.pointer_mut(parent).with_context(|| format!("{file} has no {parent}"))?[member] = value;
    Ok(object.to_string())
}

async fn refusal(admin: &User, field: &Field, text: &str) -> Result<String> {
    admin.api_stdin(&["create", "--dry-run=server", "-f", "-"], &with(field, text)?).await?.refused()
}

#[tokio::test]
async fn a_length_in_another_notation_is_answered_with_how_to_write_it() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    for (fields, texts, good) in [(durations(), DURATIONS, "\"1h1m1s\""), (periods(), PERIODS, "\"30d\"")] {
        for field in &fields {
            let Field(file, place, value) = field;
            let bare = ["rule evaluation error", "no such overload", "should match", "failed rule", "must match"];
            for (text, told) in texts {
                let refusal = refusal(&admin, field, &json!(text).to_string()).await?;
                ensure!(refusal.contains(told), "{file} {place} {value} with {text:?}: {refusal}");
                ensure!(!bare.iter().any(|words| refusal.contains(words)), "{file} {place} {value} with {text:?}: {refusal}");
            }
            // Without quotes it is a number.
            let number = refusal(&admin, field, "60").await?;
            let told = if good == "\"30d\"" {
                "60 is not a period: a number needs a unit; write it as 60d"
            } else {
                "60 is not a duration: a number needs a unit; write it as 60s, 60m or 60h"
            };
            ensure!(number.contains(told) && !bare.iter().any(|words| number.contains(words)), "{file} {place}: {number}");
            let longest = refusal(&admin, field, &json!("x".repeat(65)).to_string()).await?;
            ensure!(longest.contains("64"), "{file} {place}: {longest}");
            admin.api_stdin(&["create", "--dry-run=server", "-f", "-"], &with(field, good)?).await?.success().or_else(exists)?;
        }
    }
    Ok(())
}

/// What the schema accepts may be there already, by the name of the example.
fn exists(error: anyhow::Error) -> Result<String> {
    if format!("{error:#}").contains("already exists") { Ok(String::new()) } else { Err(error) }
}

#[tokio::test]
async fn an_identity_that_is_null_is_told_so() -> Result<()> {
    let w = without_operator().await?;
    let request = "{apiVersion: curfew.dev/v1alpha1, kind: ActivationRequest, metadata: {name: nobody, namespace: payments}, \
                   spec: {roleRef: {name: payments-admin}, justification: x, requester: null}}";
    let decision = "{apiVersion: curfew.dev/v1alpha1, kind: AccessDecision, metadata: {name: nobody, namespace: payments}, \
                    spec: {about: {activationRequest: {name: x}}, decision: Deny, decider: null}}";
    for (who, yaml, field) in [(w.alice()?, request, "requester"), (w.carol()?, decision, "decider")] {
        let refusal = who.api_stdin(&["create", "-f", "-"], yaml).await?.refused()?;
        ensure!(refusal.contains(&format!("{field} is missing or null: leave the field out")), "{refusal}");
        ensure!(!refusal.contains("1.36"), "{refusal}");
    }
    Ok(())
}
