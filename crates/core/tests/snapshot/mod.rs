//! Compares a rendered text with a file in the repository, so that a change of the text is a change of that file.
use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

/// Fails with the lines that differ unless the file holds exactly this text. With `UPDATE` in the environment it writes the file
/// instead. `command` runs the test.
pub fn assert_stored(path: &Path, rendered: &str, command: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, rendered).expect("the file can be written");
    }
    let stored = fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == rendered,
        "{} does not hold what is rendered now (- stored, + rendered):\n{}\nIf the new text is right, write the file with:\n\n    UPDATE=1 {command}\n",
        path.display(),
        difference(&stored, rendered)
    );
}

/// The lines that only one of the texts has, with their numbers.
fn difference(stored: &str, rendered: &str) -> String {
    let mut out = String::new();
    for (sign, text, other) in [('-', stored, rendered), ('+', rendered, stored)] {
        let known: BTreeSet<&str> = other.lines().collect();
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !known.contains(line)) {
            let _ = writeln!(out, "{sign}{number:>4}  {line}");
        }
    }
    if out.is_empty() { "  only the order or the number of equal lines differs".to_owned() } else { out }
}
