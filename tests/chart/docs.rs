//! The calls of helm in README.md and docs/ have options that helm knows, and the chart renders the values.
#[path = "../docs/fences.rs"]
mod fences;

use super::objects::{helm, template};
use anyhow::{Result, ensure};
use curfew_testkit::root;

#[test]
fn helm_knows_its_options_in_the_docs() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut seen = 0;
    for command in fences::commands(root(), scratch.path()).iter().filter(|c| c.program == "helm") {
        seen += 1;
        let verb = command.arguments.first().map(String::as_str).unwrap_or_default();
        let help = helm(&[verb, "--help"])?.success()?;
        for option in command.arguments.iter().filter(|a| a.starts_with("--")) {
            let name = option.split('=').next().unwrap_or_default();
            ensure!(
                help.contains(&format!("{name} ")) || help.contains(&format!("{name}\n")),
                "{}: helm {verb} has no {name}",
                command.line()
            );
        }
        // The schema of the values refuses what the chart does not have.
        if ["install", "upgrade", "template"].contains(&verb) {
            let rendered = template(&values_of(&command.arguments))?;
            ensure!(rendered.ok, "{}: {}", command.line(), rendered.stderr);
        }
    }
    ensure!(seen >= 4, "only {seen} calls of helm in the docs");
    Ok(())
}

/// Without the files of a cluster nothing can be signed with its key (`-CA`).
#[test]
fn openssl_takes_its_commands_in_the_docs() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut seen = 0;
    for command in fences::commands(root(), scratch.path()).iter().filter(|c| c.program == "openssl") {
        if command.arguments.iter().any(|argument| argument == "-CA") {
            continue;
        }
        seen += 1;
        let out = std::process::Command::new("openssl").args(&command.arguments).current_dir(scratch.path()).output()?;
        ensure!(out.status.success(), "{}: {}", command.line(), String::from_utf8_lossy(&out.stderr));
        let written = command.arguments.windows(2).find(|pair| pair[0] == "-out").map(|pair| scratch.path().join(&pair[1]));
        ensure!(
            written.is_some_and(|file| std::fs::metadata(file).is_ok_and(|file| file.len() >= 32)),
            "{}: nothing written",
            command.line()
        );
    }
    ensure!(seen >= 3, "only {seen} calls of openssl in the docs");
    Ok(())
}

/// The values that a call sets.
fn values_of(arguments: &[String]) -> Vec<&str> {
    let pairs = arguments.windows(2).filter(|pair| pair[0] == "--set").flat_map(|pair| [pair[0].as_str(), pair[1].as_str()]);
    pairs.chain(arguments.iter().map(String::as_str).filter(|argument| argument.starts_with("--set="))).collect()
}

#[test]
fn the_chart_renders_the_values_in_the_docs() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (file, mut seen) = (scratch.path().join("values.yaml"), 0);
    for fence in fences::fences(root()).iter().filter(|f| f.language == "yaml" && f.info == "values") {
        seen += 1;
        std::fs::write(&file, &fence.text)?;
        let rendered = template(&[&format!("--values={}", file.display())])?;
        ensure!(rendered.ok, "{}: {}", fence.place, rendered.stderr);
    }
    ensure!(seen >= 2, "only {seen} blocks of values in the docs");
    Ok(())
}
