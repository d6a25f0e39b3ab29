//! Every file in examples/ applies, and each object is judged as the comment before it expects: Ready, or Unsupported by name.
use anyhow::{Context, Result, ensure};
use curfew_testkit::{SOON, World, path, root};

/// An example as it would be written today: its window is around now, and a planned access begins tomorrow, whenever this runs.
pub(super) fn current(text: &str) -> String {
    let day = |days: i64| {
        jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24 * days)).map(|t| t.strftime("%Y-%m-%d").to_string())
    };
    let (start, end, tomorrow) = (day(-30).unwrap_or_default(), day(300).unwrap_or_default(), day(1).unwrap_or_default());
    let text = text.replace("2026-01-01T", &format!("{start}T")).replace("2026-12-31T", &format!("{end}T"));
    text.replace("2026-11-28T", &format!("{tomorrow}T"))
}

/// The documents of every example, with the file they are from.
fn documents() -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for dir in ["first", "api", "aws"] {
        for entry in std::fs::read_dir(root().join("examples").join(dir))? {
            let file = entry?.path();
            for document in current(&std::fs::read_to_string(&file)?).split("\n---\n") {
                all.push((file.display().to_string(), document.to_owned()));
            }
        }
    }
    Ok(all)
}

/// `key: value` of a document's first line that has it.
fn word<'a>(document: &'a str, after: &str) -> Option<&'a str> {
    let rest = &document[document.find(after)? + after.len()..];
    rest.split([',', '}', '\n', ' ']).find(|w| !w.is_empty())
}

#[tokio::test]
async fn every_example_is_judged_as_it_says() -> Result<()> {
    let w = World::first("examples").await?;
    let _operator = w.operator("operator").await?;
    w.granting().await?;
    let admin = w.admin()?;
    // The viewer template needs `bind` on the role view.
    let rights = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: bind-view}\nrules: [{apiGroups: [rbac.authorization.k8s.io], resources: [clusterroles], resourceNames: [view], verbs: [bind]}]";
    admin.apply(rights).await?.success()?;
    admin
        .api(&["create", "clusterrolebinding", "bind-view", "--clusterrole=bind-view", "--serviceaccount=curfew-system:curfew-operator"])
        .await?
        .success()?;
    let mut seen = 0;
    for (file, document) in documents()? {
        let made = admin.api_stdin(&["create", "--dry-run=server", "--validate=strict", "-f", "-"], &document).await?;
        ensure!(made.ok || made.stderr.contains("already exists"), "{file}: {}", made.stderr);
        seen += 1;
    }
    assert!(seen >= 22, "only {seen} documents in examples/");
    for file in ["curfewconfig", "authorizationsystem", "accesspolicy", "roletemplate", "eligibleassignment"] {
        let text = current(&std::fs::read_to_string(path(&format!("examples/api/{file}.yaml")))?);
        admin.kubectl_stdin(&["apply", "--validate=strict", "-f", "-"], &text).await?.success()?;
    }
    for (file, document) in documents()? {
        let Some(expect) = document.lines().find_map(|l| l.strip_prefix("# expect: ")) else { continue };
        let kind = word(&document, "kind: ").context("no kind")?.to_lowercase();
        let name = word(&document, "name: ").context("no name")?;
        judged(&w, &file, &[&kind, name, "-n", "payments"], expect).await?;
    }
    Ok(())
}

async fn judged(w: &World, file: &str, what: &[&str], expect: &str) -> Result<()> {
    let ready = "{range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason} {.message}{end}";
    w.field_fits(what, ready, &format!("to be {expect} ({file})"), SOON, |now| {
        let (reason, words) = expect.split_once(' ').unwrap_or((expect, ""));
        if reason == "Ready" { now.starts_with("True") } else { now.starts_with(&format!("False {reason}")) && now.contains(words) }
    })
    .await
}
