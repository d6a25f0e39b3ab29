//! Of the extra keys of a login only those are recorded that CurfewConfig names, each as it is, and no client writes another record.
use super::{Attempts, decision, denied, request, world};
use crate::attacks::unprotected;
use anyhow::{Result, ensure};
use curfew_testkit::{Output, User};
use serde_json::{Value, json};

const KEY: &str = "authentication.kubernetes.io/credential-id";

/// Mallory's login, as an admin impersonates it: with the configured key, and with one whose value differs in each request.
async fn create(admin: &User, extra: &[(&str, &str)], yaml: &str, dry_run: bool) -> Result<Output> {
    let mut args = vec!["--as=mallory@example.com".to_owned()];
    args.extend(extra.iter().map(|(key, value)| format!("--as-user-extra={key}={value}")));
    args.extend(["create", "--validate=false", "-f", "-"].map(str::to_owned));
    args.extend(dry_run.then(|| "--dry-run=server".to_owned()));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    admin.kubectl_stdin(&args, yaml).await
}

fn with_record(yaml: fn(&str) -> String, name: &str, field: &str, extra: Value) -> String {
    let record = json!({"username": "mallory@example.com", "groups": ["system:authenticated"], "extra": extra});
    yaml(&format!("{name}|, {field}: {record}"))
}

fn a_request(arguments: &str) -> String {
    let (name, more) = arguments.split_once('|').unwrap_or((arguments, ""));
    request(name, more)
}

fn a_decision(arguments: &str) -> String {
    let (name, more) = arguments.split_once('|').unwrap_or((arguments, ""));
    decision(name, "x", more)
}

/// A kind: how an object of it is written, its field, and its name for kubectl.
type Kind = (fn(&str) -> String, &'static str, &'static str);
const KINDS: [Kind; 2] = [(a_request, "requester", "areq"), (a_decision, "decider", "adec")];

#[tokio::test]
async fn only_configured_keys_are_recorded() -> Result<()> {
    let w = world().await?;
    let admin = w.admin()?;
    for (yaml, field, kind) in KINDS {
        for (name, extra, recorded) in [
            ("own-key", &[(KEY, "X"), ("example.com/trace", "secret-1")][..], json!({KEY: ["X"]})),
            ("other-key", &[("example.com/trace", "secret-2")], json!({KEY: []})),
            ("no-key", &[], json!({KEY: []})),
        ] {
            create(&admin, extra, &yaml(name), false).await?.success()?;
            let object = w.field(&[kind, "-n", "payments", name], "{}").await?;
            ensure!(!object.contains("secret-"), "{kind} {name}: {object}");
            let object: Value = serde_json::from_str(&object)?;
            ensure!(object["spec"][field]["extra"] == recorded, "{kind} {name}: {object}");
        }
        // The same record, by the client itself: as on Kubernetes before 1.36.
        let sent = with_record(yaml, "sent", field, json!({KEY: ["X"]}));
        create(&admin, &[(KEY, "X"), ("example.com/trace", "secret-3")], &sent, false).await?.success()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_with_another_value_is_refused() -> Result<()> {
    let w = world().await?;
    let (admin, mut all) = (w.admin()?, Attempts::default());
    for policy in ["curfew-requests", "curfew-decisions"] {
        unprotected(w, policy).await?;
    }
    let login = [(KEY, "X"), ("example.com/badge", "B")];
    for (yaml, field, _) in KINDS {
        for (what, extra) in
            [("another value", json!({KEY: ["Y"]})), ("a value more", json!({KEY: ["X", "Y"]})), ("no value", json!({KEY: []}))]
        {
            let attempt = create(&admin, &login, &with_record(yaml, "forged", field, extra), true).await?;
            all.denied(&format!("{what} of the {field}"), attempt, &format!("{field}.extra must be your own"))?;
        }
        let foreign = with_record(yaml, "forged", field, json!({KEY: ["X"]}));
        all.denied(
            &format!("a value that the {field} does not have"),
            create(&admin, &[], &foreign, true).await?,
            "extra must be your own",
        )?;
    }
    all.came_to_nothing()
}

#[tokio::test]
async fn a_record_with_other_keys_is_refused() -> Result<()> {
    let w = world().await?;
    let admin = w.admin()?;
    for policy in ["curfew-keys-of-requests", "curfew-keys-of-decisions"] {
        unprotected(w, policy).await?;
    }
    let login = [(KEY, "X"), ("example.com/badge", "B")];
    let mut all = Attempts::default();
    for (yaml, field, _) in KINDS {
        let more = with_record(yaml, "more", field, json!({KEY: ["X"], "example.com/badge": ["B"]}));
        let attempt = create(&admin, &login, &more, true).await?;
        all.denied(
            &format!("a key more of the {field}"),
            attempt,
            &format!("{field}.extra may have no keys but those that CurfewConfig names, and it has example.com/badge"),
        )?;
        let fewer = with_record(yaml, "fewer", field, json!({}));
        all.denied(
            &format!("no key of the {field}"),
            create(&admin, &login, &fewer, true).await?,
            &format!("(an empty list where your login has none): {KEY}"),
        )?;
    }
    all.came_to_nothing()
}

/// A forged name is refused by the policy that says so, and not the other one.
#[tokio::test]
async fn the_refusal_of_a_forged_record_names_what_is_forged() -> Result<()> {
    let w = world().await?;
    for extra in ["{}", "{example.com/badge: [B]}"] {
        let forged = request("forged", &format!(", requester: {{username: alice@example.com, groups: [], extra: {extra}}}"));
        denied(w.mallory()?.apply(&forged).await?, "requester.username must be your own")?;
    }
    Ok(())
}
