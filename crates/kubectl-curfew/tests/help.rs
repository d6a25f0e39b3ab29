//! What `kubectl curfew` prints without a cluster: the help of every subcommand, and the errors of typical mistakes. The file
//! `golden/help.txt` holds all of it.
//!
//!     UPDATE=1 cargo test --package kubectl-curfew --test help
#[path = "../../core/tests/snapshot/mod.rs"]
mod snapshot;

use std::{
    path::Path,
    process::{Command, Output},
};

/// The plugin or a shell, without the caller's environment: neither width, colors nor kubeconfig change what it prints. The folder
/// takes what an example writes.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("KUBECONFIG", "/nowhere/config").current_dir(env!("CARGO_TARGET_TMPDIR"));
    command
}

fn run(arguments: &[&str]) -> Output {
    clean(env!("CARGO_BIN_EXE_kubectl-curfew")).args(arguments).output().expect("the plugin starts")
}

fn help(command: &[String]) -> String {
    let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    String::from_utf8(run(&arguments).stdout).expect("UTF-8")
}

/// The subcommands that the help of a command lists, each followed by its own, without `help` itself.
fn subcommands_of(command: &[String]) -> Vec<Vec<String>> {
    let help = help(command);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| line.starts_with("  "));
    let names = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let each = |name: &str| {
        let command = [command, &[name.to_owned()]].concat();
        let below = subcommands_of(&command);
        std::iter::once(command).chain(below).collect::<Vec<_>>()
    };
    names.flat_map(each).collect()
}

fn subcommands() -> Vec<Vec<String>> {
    let all = subcommands_of(&[]);
    assert!(all.iter().any(|command| command.len() == 1) && all.iter().any(|command| command.len() == 2), "{all:?}");
    all
}

/// Calls that a user gets wrong.
const MISTAKES: &[&[&str]] = &[
    &[],
    &["grant"],
    &["requst", "payments-admin"],
    &["request"],
    &["request", "payments-admin", "--duration", "4 hours"],
    &["request", "payments-admin", "--duration", "1d"],
    &["request", "payments-admin", "--duration", "1h0m0s"],
    &["request", "payments-admin", "--duration", "PT1H"],
    &["request", "payments-admin", "--duration", "60"],
    &["request", "payments-admin", "--duration"],
    &["request", "payments-admin", "--ticket", "INC-4711"],
    &["request", "payments-admin", "--until", "18:00"],
    &["request", "payments-admin", "--start", "tomorrow"],
    &["request", "payments-admin", "--scope", "{kubernets: {}}"],
    &["request", "payments-admin", "--for", "bob"],
    &["request", "payments-admin", "--ttl-after-finished", "2w"],
    &["request", "payments-admin", "-o", "csv"],
    &["approve"],
    &["approve", "payments-admin-x7k2p", "--digest", "7f3a9c21"],
    &["deny", "payments-admin-x7k2p", "--digest", "7f3a9c21"],
    &["list", "payments-admin"],
    &["list", "--eligible", "--active"],
    &["explain"],
    &["extend"],
    &["audit"],
    &["completion"],
    &["completion", "tcsh"],
    &["approve", "payments-admin-x7k2p", "--timeout", "30"],
    &["whoami", "carol"],
    &["init"],
    &["init", "--role", "payments/admin", "--eligible", "group:devs", "--approver", "group:leads"],
    &["init", "--role", "custom*", "--eligible", "group:devs", "--approver", "group:leads"],
    &["init", "-n", "Payments", "--role", "view", "--eligible", "group:devs", "--approver", "group:leads"],
    &["init", "--role", "view", "--eligible", "payments-devs", "--approver", "group:payments-leads"],
    &["init", "--role", "view", "--eligible", "group:system:masters", "--approver", "group:payments-leads"],
    &["init", "--role", "view", "--eligible", "group:devs", "--approver", "group:leads", "--max", "4"],
    // Without a usable kubeconfig.
    &["list"],
    &["list", "--kubeconfig", "/nowhere/other"],
    &["list", "--context", "prod"],
];

/// A command line, what it prints and, unless it is 0, its exit status. Spaces at the end of a line are left out.
fn transcript(arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(arguments);
    let quoted = arguments.iter().map(|a| if a.contains(' ') { format!(" '{a}'") } else { format!(" {a}") });
    let printed = String::from_utf8([stdout, stderr].concat()).expect("UTF-8");
    let lines: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
    let status = status.code().filter(|code| *code != 0).map_or_else(String::new, |code| format!("[exit status {code}]\n"));
    format!("$ kubectl curfew{}\n{}\n{status}", quoted.collect::<String>(), lines.join("\n"))
}

#[test]
fn help_and_errors_are_as_reviewed() {
    let mut all = vec![transcript(&["--help"])];
    all.extend(subcommands().iter().map(|command| {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        transcript(&arguments)
    }));
    all.extend(MISTAKES.iter().map(|arguments| transcript(arguments)));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help.txt");
    snapshot::assert_stored(&path, &all.join("\n"), "cargo test --package kubectl-curfew --test help");
}

#[test]
fn the_help_of_every_command_lists_its_exit_codes() {
    for command in subcommands() {
        let help = help(&command);
        let codes: Vec<&str> = help.lines().skip_while(|line| *line != "Exit codes:").skip(1).take_while(|line| !line.is_empty()).collect();
        let listed = |code: &str| codes.iter().any(|line| line.trim_start().starts_with(code));
        assert!(listed("0  ") && listed("1  ") && listed("2  "), "{command:?} lists {codes:?}:\n{help}");
    }
}

/// Runs each example of the help in a shell. Without a cluster it ends with status 1 or 0; a usage error is status 2.
#[test]
fn the_examples_in_the_help_are_accepted() {
    let mut refused = Vec::new();
    for name in subcommands() {
        let help = help(&name);
        let (_, example) = help.split_once("Example:\n").unwrap_or_else(|| panic!("{name:?} has no example:\n{help}"));
        // In a pipe with kubectl itself, only the plugin is run.
        let plugin = env!("CARGO_BIN_EXE_kubectl-curfew");
        let script = format!("kubectl() {{ [ \"$1\" = curfew ] || return 0; shift; '{plugin}' \"$@\"; }}\n{example}");
        let output = clean("/bin/bash").args(["-o", "pipefail", "-c", &script]).output().expect("a shell");
        if !matches!(output.status.code(), Some(0 | 1)) {
            eprintln!("{name:?}: {}", String::from_utf8_lossy(&output.stderr));
            refused.push(name);
        }
    }
    assert!(refused.is_empty(), "the plugin refuses the examples in its help on {refused:?}");
}

/// A reader such as `head` that closes the pipe early wants no more: that is neither a panic nor an error.
#[test]
fn a_reader_that_goes_away_is_not_an_error() {
    let init = ["init", "--role", "view", "--eligible", "group:devs", "--approver", "group:leads"];
    for arguments in [&["completion", "bash"][..], &["completion", "kubectl"], &init, &["__complete", "--", "list", "-o", ""]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = clean(env!("CARGO_BIN_EXE_kubectl-curfew")).args(arguments).stdout(writer).output().expect("the plugin starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("panicked"), "{arguments:?}: {}, {told}", output.status);
    }
}

/// Every command prints by `output::put`, which bears that.
#[test]
fn nothing_else_writes_to_standard_output() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("source");
            let prints =
                |line: &&str| ["print!(", "println!("].iter().any(|p| line.trim_start().starts_with(p) || line.contains(&format!(" {p}")));
            let found: Vec<&str> = text.lines().filter(prints).collect();
            assert!(found.is_empty(), "{} prints by itself: {found:?}", path.display());
        }
    }
}
