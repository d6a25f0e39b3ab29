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
    }
    ensure!(seen >= 4, "only {seen} calls of helm in the docs");
    Ok(())
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
