//! What `curfew-analytics` prints about itself: the help of every command. The file `golden/help.txt` holds all of it, and the reference in
//! docs/ shows it.
//!
//!     UPDATE=1 cargo test --package curfew-analytics --test help
#[path = "../../core/tests/snapshot/mod.rs"]
mod snapshot;

use std::{path::Path, process::Command};

fn help(command: &[String]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_curfew-analytics")).env_clear().args(command).arg("--help").output();
    let output = output.expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The commands below a command, each followed by its own, without `help` itself.
fn commands_of(command: &[String]) -> Vec<Vec<String>> {
    let help = help(command);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let each = |name: &str| {
        let command = [command, &[name.to_owned()]].concat();
        let below = commands_of(&command);
        std::iter::once(command).chain(below).collect::<Vec<_>>()
    };
    names.flat_map(each).collect()
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let all = std::iter::once(Vec::new()).chain(commands_of(&[]));
    let text = |command: Vec<String>| {
        let printed = help(&command);
        let lines: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        let words: Vec<&str> = std::iter::once("curfew-analytics").chain(command.iter().map(String::as_str)).collect();
        format!("$ {} --help\n{}\n", words.join(" "), lines.join("\n"))
    };
    let all: Vec<String> = all.map(text).collect();
    assert!(all.len() >= 6, "{}", all.len());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    snapshot::assert_stored(&path, &all.join("\n"), "cargo test --package curfew-analytics --test help");
}
