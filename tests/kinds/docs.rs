//! Every manifest of README.md and docs/ is accepted by a real API server, and every `kubectl` command is understood by kubectl and by that
//! API server. `crates/kubectl-curfew/tests/docs.rs` has the commands of the plugin, `tests/chart/docs.rs` those of helm.
#[path = "../docs/fences.rs"]
mod fences;

use super::examples::current;
use crate::shared::without_operator;
use anyhow::{Context, Result, ensure};
use curfew_testkit::{Output, path, root};
use fences::{Command, Fence};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path};

/// The schema of a kind's spec.
fn schema(kind: &str) -> Result<Value> {
    let crds = curfew::api::crds();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).with_context(|| format!("no kind {kind}"))?;
    Ok(serde_json::to_value(crd)?["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
}

/// Puts a part into a whole. A union has one member, so the part replaces it; so does a list.
fn put(whole: &mut Value, part: &Value, schema: &Value) {
    match (whole.as_object_mut(), part.as_object()) {
        (Some(fields), Some(parts)) if schema["maxProperties"] != 1 => {
            for (name, value) in parts {
                put(fields.entry(name.clone()).or_insert(Value::Null), value, &schema["properties"][name.as_str()]);
            }
        }
        _ => *whole = part.clone(),
    }
}

/// A fragment within the first example of its kind.
fn whole(fence: &Fence, kind: &str) -> Result<String> {
    let file = path(&format!("examples/api/{}.yaml", kind.to_lowercase()));
    let example = std::fs::read_to_string(&file).with_context(|| format!("{}: fragment of {kind}: {file}", fence.place))?;
    let mut object: Value = serde_saphyr::from_str(example.split("\n---\n").next().unwrap_or_default())?;
    let part: Value = serde_saphyr::from_str(&fence.text).with_context(|| format!("{}: not YAML", fence.place))?;
    let part = if part.get("spec").is_some() { part } else { json!({"spec": part}) };
    put(&mut object, &part, &schema(kind)?);
    Ok(serde_json::to_string(&object)?)
}

/// One kubectl creates them all, as a dry run with strict validation, and goes on after what is refused.
#[tokio::test]
async fn every_manifest_in_the_docs_is_accepted() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    let folder = tempfile::tempdir()?;
    let (mut wholes, mut parts) = (0, 0);
    for fence in fences::fences(root()).iter().filter(|f| f.language == "yaml") {
        let manifest = match fence.info.split_once('=').unwrap_or((&fence.info, "")) {
            ("", _) => {
                wholes += 1;
                fence.text.clone()
            }
            ("fragment", kind) => {
                parts += 1;
                whole(fence, kind)?
            }
            _ => continue,
        };
        let file = folder.path().join(format!("{}.yaml", fence.place.replace('/', "_")));
        std::fs::write(file, current(&manifest))?;
    }
    let files = folder.path().display().to_string();
    let made = admin.kubectl(&["create", "--dry-run=server", "--validate=strict", "-f", &files]).await?;
    // What is there already is judged before that is found.
    let refused: Vec<&str> = made.stderr.lines().filter(|line| !line.contains("already exists")).collect();
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    // Each line is about one object, and a file may have several.
    let judged = made.stdout.lines().count() + made.stderr.lines().count();
    ensure!(judged >= wholes + parts, "of {} manifests {judged} were judged:\n{}{}", wholes + parts, made.stdout, made.stderr);
    ensure!(wholes >= 10 && parts >= 15, "only {wholes} manifests and {parts} fragments in the docs");
    Ok(())
}

/// What kubectl says of a command that it does not understand, or that names a kind, a column or a file that does not exist.
const NOT_UNDERSTOOD: [&str; 15] = [
    "unknown",
    "the server doesn't have a resource type",
    "must specify",
    "needs an argument",
    "required",
    "does not exist",
    "error parsing",
    "invalid",
    "unable to parse",
    "strict decoding error",
    "error validating",
    "is not a valid",
    "unrecognized",
    "no matches for kind",
    "no such file",
];

/// `--from-file` of a file that is empty, in `scratch`.
fn stand_in(argument: &str, scratch: &Path) -> String {
    let named = argument.trim_start_matches("--from-file=");
    let (key, file) = named.split_once('=').unwrap_or((named, named));
    let file = scratch.join(file);
    std::fs::write(&file, "").unwrap();
    format!("--from-file={key}={}", file.display())
}

/// The command as a dry run. What only waits or streams does not, and files that it writes are in `scratch`.
fn harmless(command: &Command, scratch: &Path) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut rest = command.arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--context" => drop(rest.next()),
            "--watch" | "-w" => {}
            // Files of the source tree are named from its root.
            "-f" | "-k" | "--patch-file" => {
                arguments.push(argument.clone());
                let file = rest.next().cloned().unwrap_or_default();
                arguments.push(if file == "-" || file.starts_with('/') { file } else { path(&file) });
            }
            other if other.starts_with("--timeout") => {}
            // What another step, or a person, has written.
            other if other.starts_with("--from-file=") => arguments.push(stand_in(other, scratch)),
            other => arguments.push(other.to_owned()),
        }
    }
    // It has no dry run, and a token that nobody reads changes nothing.
    let is_token = arguments.iter().map(String::as_str).take(2).eq(["create", "token"]);
    let writes = ["apply", "create", "patch", "delete", "scale", "label", "annotate"];
    match arguments.iter().find(|a| !a.starts_with('-')).map(String::as_str) {
        Some(verb) if writes.contains(&verb) && !is_token => arguments.push("--dry-run=server".into()),
        Some("wait") => arguments.push("--timeout=1ms".into()),
        Some("config") => arguments.push(format!("--kubeconfig={}", scratch.join("people").display())),
        _ => {}
    }
    arguments
}

#[tokio::test]
async fn every_kubectl_command_in_the_docs_is_understood() -> Result<()> {
    let admin = without_operator().await?.admin()?;
    let scratch = tempfile::tempdir()?;
    let (mut seen, mut refused) = (BTreeSet::new(), Vec::new());
    for command in fences::commands(root(), scratch.path()) {
        let plugin = command.arguments.first().is_some_and(|first| first == "curfew");
        if command.program != "kubectl" || plugin || !seen.insert((command.arguments.clone(), command.stdin.clone())) {
            continue;
        }
        let arguments = harmless(&command, scratch.path());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let Output { ok, stderr, .. } = admin.kubectl_stdin(&arguments, &command.stdin).await?;
        let told = stderr.to_lowercase();
        // A patch with an unknown field succeeds, with a warning.
        if told.contains("unknown field") || !ok && NOT_UNDERSTOOD.iter().any(|words| told.contains(words)) {
            refused.push(format!("{}: {stderr}", command.line()));
        }
    }
    ensure!(refused.is_empty(), "{}", refused.join("\n"));
    ensure!(seen.len() >= 40, "only {} different commands of kubectl in the docs", seen.len());
    Ok(())
}
