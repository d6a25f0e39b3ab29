//! The code blocks of README.md and docs/, for the tests that run or validate them: no example that is not checked.
//!
//! - `sh`: a script. [`commands`] says what a shell would run, with quoting, continued lines, pipes and here-documents as it reads them.
//! - `yaml`: whole objects. `yaml fragment=KIND`: a part of an object of that kind, at its root or in `spec`. `yaml values`: values of the
//!   chart. `yaml other=WORDS`: not an object of Kubernetes; WORDS says of what.
//! - `text`: what a program prints, or a drawing.
#![allow(dead_code)] // Each test uses a part.
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
};

/// A code block.
#[derive(Debug)]
pub struct Fence {
    /// `FILE:LINE`, from the root of the repository.
    pub place: String,
    /// The first word after the fence.
    pub language: String,
    /// What follows it.
    pub info: String,
    /// The content, without the indentation of the fence.
    pub text: String,
}

/// What a block runs.
#[derive(Debug)]
pub struct Command {
    /// Where the block is.
    pub place: String,
    /// The program, as written.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it reads where an argument is `-`.
    pub stdin: String,
}

impl Command {
    /// The line, for messages.
    pub fn line(&self) -> String {
        format!("{}: {} {}", self.place, self.program, self.arguments.join(" "))
    }
}

/// Programs that a test runs or whose arguments it parses, and those that none can run here, with the reason.
pub const PROGRAMS: [(&str, &str); 21] = [
    ("kubectl", "tested"),
    ("curfew", "tested"),
    ("curfew-analytics", "tested"),
    ("make", "tested"),
    ("helm", "tested"),
    ("cargo", "builds from source; CI does so with other options"),
    ("cd", "changes the directory"),
    ("aws", "needs an account of AWS"),
    ("terraform", "needs an account of AWS"),
    ("kind", "needs a container runtime"),
    ("docker", "needs a container runtime"),
    ("hack/image/build", "make image calls it, and takes half an hour"),
    ("hack/image/push", "hack/image/check calls it, with a registry on loopback"),
    ("hack/release/chart", "needs the digest of an image"),
    ("crane", "needs a registry with logins"),
    ("cosign", "needs a published release"),
    ("gh", "needs a published release"),
    ("openssl", "tested, except what signs with the key of a cluster that needs a container runtime"),
    ("chmod", "changes a file that another program has written"),
    ("grep", "filters what another program prints"),
    ("jq", "filters what another program prints"),
];

/// The pages, from the root of the repository. Generated ones have no examples.
pub fn pages(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.join("README.md"), root.join("charts/curfew/README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every code block of every page.
///
/// # Panics
/// If a block is not closed, or has no language.
pub fn fences(root: &Path) -> Vec<Fence> {
    let mut all = Vec::new();
    for page in pages(root) {
        let name = page.strip_prefix(root).expect("below the root").display().to_string();
        let text = fs::read_to_string(&page).expect("a page");
        let mut open: Option<(usize, Fence)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let Some((_, after)) = line.split_once("```").filter(|(before, _)| before.trim().is_empty()) else {
                if let Some((indent, fence)) = &mut open {
                    let start = line.len().min(*indent).min(line.len() - line.trim_start().len());
                    fence.text.push_str(&line[start..]);
                    fence.text.push('\n');
                }
                continue;
            };
            if let Some((_, fence)) = open.take() {
                all.push(fence);
            } else {
                let (language, info) = after.split_once(' ').unwrap_or((after, ""));
                let place = format!("{name}:{number}");
                assert!(!language.is_empty(), "{place}: say what language the block is in: sh, yaml, text, ...");
                let indent = line.len() - line.trim_start().len();
                open = Some((indent, Fence { place, language: language.into(), info: info.into(), text: String::new() }));
            }
        }
        assert!(open.is_none(), "{name}: a block is not closed");
    }
    assert!(all.len() > 60, "only {} blocks were found", all.len());
    all
}

/// What each program does in place of itself: it writes down its arguments and what `-` stands for, at once, and after what it reads has
/// ended, so that the programs of a pipe are noted one after another.
const NOTE: &str = r#"note() {
  local input=
  if [[ -p /dev/stdin || " $* " == *' - '* ]]; then input=$(/bin/cat; printf x); input=${input%x}; fi
  [[ " $* " == *' - '* ]] || input=
  printf '%s\0' "$@" $'\1'"$input"$'\2' >>"$out"
}"#;

/// Reads a block as a shell would, and says which programs it would run. None is run: each is a function that notes its arguments.
fn in_shell(fence: &Fence, out: &Path) -> Vec<Command> {
    let functions: Vec<String> = PROGRAMS.iter().map(|(name, _)| format!("{name}() {{ note {name} \"$@\"; }}")).collect();
    let script = format!("{NOTE}\n{}\n{}", functions.join("\n"), fence.text);
    let _ = fs::remove_file(out);
    let run = Process::new("/bin/bash")
        .args(["-eu", "-c", &script])
        .env_clear()
        .env("PATH", "/nowhere")
        .env("out", out)
        .current_dir(out.parent().expect("a folder"))
        .output()
        .expect("a shell");
    assert!(run.status.success(), "{}: a shell does not read this: {}", fence.place, String::from_utf8_lossy(&run.stderr));
    let noted = fs::read_to_string(out).unwrap_or_default();
    noted
        .split('\u{2}')
        // The end of the last word of the call before.
        .map(|call| call.trim_start_matches('\0'))
        .filter(|call| !call.is_empty())
        .map(|call| {
            let (words, stdin) = call.split_once('\u{1}').unwrap_or((call, ""));
            let mut words = words.split_terminator('\0').map(str::to_owned);
            let program = words.next().unwrap_or_default();
            Command { place: fence.place.clone(), program, arguments: words.collect(), stdin: stdin.to_owned() }
        })
        .collect()
}

/// Every command of every `sh` block. `scratch`: a folder for what the examples would write.
///
/// # Panics
/// If a shell cannot read a block, or it runs a program that is not in [`PROGRAMS`].
pub fn commands(root: &Path, scratch: &Path) -> Vec<Command> {
    // Tests of one process run beside one another.
    let out = scratch.join(format!("commands-{:?}.noted", std::thread::current().id()));
    let blocks = fences(root);
    let all: Vec<Command> = blocks.iter().filter(|f| f.language == "sh").flat_map(|f| in_shell(f, &out)).collect();
    let _ = fs::remove_file(&out);
    assert!(all.len() > 60, "only {} commands were found", all.len());
    all
}
