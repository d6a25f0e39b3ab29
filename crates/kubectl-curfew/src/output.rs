//! How results are printed: tables as kubectl's, JSON and YAML, and colour only on a terminal.
use anyhow::Context as _;
use clap::ValueEnum;
use curfew_core::text::printable;
use serde::Serialize;
use std::{
    fmt,
    io::{self, IsTerminal, Write},
};

/// How a result is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
    /// Kind and name of each object, one a line.
    Name,
}

/// The option `-o`.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct Printed {
    /// How the result is printed: table, wide, json, yaml or name.
    #[arg(short, long = "output", value_enum, default_value_t, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) output: Format,
}

/// Writes to standard output. A reader that has closed the pipe, such as `head`, wants no more: that is not an error.
///
/// # Errors
/// If it cannot be written for another reason, such as a full disk.
pub(crate) fn put(text: impl fmt::Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("cannot write to standard output"),
        _ => Ok(()),
    }
}

/// A value in a format for programs.
///
/// # Errors
/// If it cannot be serialised.
pub(crate) fn document(value: &impl Serialize, format: Format) -> anyhow::Result<String> {
    match format {
        Format::Yaml => serde_saphyr::to_string(value).context("cannot write this as YAML"),
        _ => Ok(serde_json::to_string_pretty(value).context("cannot write this as JSON")? + "\n"),
    }
}

/// Objects as one document of kind List, as kubectl prints them.
///
/// # Errors
/// If one cannot be serialised.
pub(crate) fn objects(items: &[impl Serialize], format: Format) -> anyhow::Result<String> {
    document(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}), format)
}

/// The colour of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Colour {
    /// Something is as it should be.
    Green,
    /// Something needs attention.
    Yellow,
    /// Something is wrong.
    Red,
}

/// Whether standard output takes colour: it is a terminal, and neither `NO_COLOR` nor `TERM=dumb` says otherwise.
pub(crate) fn is_colourful() -> bool {
    let refused =
        std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    io::stdout().is_terminal() && !refused
}

/// One cell of a table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    /// A word in this colour.
    pub(crate) fn coloured(text: impl Into<String>, colour: Colour) -> Self {
        Cell { text: text.into(), colour: Some(colour) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: text.into(), colour: None }
    }
}

/// Rows of cells in columns as kubectl writes them, three spaces apart. Every cell is escaped, so that no name or text imitates another row
/// or controls the terminal. The last column is not padded.
pub(crate) fn table(rows: &[Vec<Cell>], colourful: bool) -> String {
    let texts: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(&cell.text)).collect()).collect();
    let columns = texts.iter().map(Vec::len).max().unwrap_or(0);
    let width = |i: usize| texts.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (row, texts) in rows.iter().zip(&texts) {
        let mut line = String::new();
        for (i, text) in texts.iter().enumerate() {
            let last = texts[i + 1..].iter().all(String::is_empty);
            let padding = if last { 0 } else { widths[i] - text.chars().count() + 3 };
            line.push_str(&in_colour(text, row[i].colour.filter(|_| colourful)));
            line.extend(std::iter::repeat_n(' ', padding));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn in_colour(text: &str, colour: Option<Colour>) -> String {
    let code = match colour {
        None => return text.to_owned(),
        Some(Colour::Green) => 32,
        Some(Colour::Yellow) => 33,
        Some(Colour::Red) => 31,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// A time span for people, in the two largest units, such as `2d5h` or `45m`; `0s` for none.
pub(crate) fn span(millis: i64) -> String {
    let secs = millis.max(0) / 1000;
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let first = units.iter().position(|(unit, _)| secs >= *unit).unwrap_or(units.len() - 1);
    let mut rest = secs;
    let mut out = String::new();
    for (unit, name) in units.iter().skip(first).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count > 0 || out.is_empty() {
            out.push_str(&format!("{count}{name}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(all: &[&[&str]]) -> Vec<Vec<Cell>> {
        all.iter().map(|row| row.iter().map(|cell| Cell::from(*cell)).collect()).collect()
    }

    #[test]
    fn columns_are_aligned_and_cells_are_escaped() {
        assert_eq!(table(&rows(&[&["A", "LONGER"], &["wide", ""]]), true), "A      LONGER\nwide\n");
        assert_eq!(table(&rows(&[&["A", "B"], &["a\u{1b}[2J", "b\nc"]]), true), "A            B\na\\u{1b}[2J   b\\nc\n");
        assert_eq!(table(&rows(&[&["A", "B", "C"], &["", "", "x"]]), false), "A   B   C\n        x\n");
    }

    #[test]
    fn colour_changes_no_width_and_is_left_out_where_it_is_not_taken() {
        let rows = vec![vec![Cell::coloured("ok", Colour::Green), Cell::from("x")], vec![Cell::from("error"), Cell::from("y")]];
        assert_eq!(table(&rows, false), "ok      x\nerror   y\n");
        assert_eq!(table(&rows, true), "\u{1b}[32mok\u{1b}[0m      x\nerror   y\n");
    }

    #[test]
    fn spans_have_the_two_largest_units() {
        for (secs, words) in [(0, "0s"), (59, "59s"), (60, "1m"), (3_661, "1h1m"), (86_400, "1d"), (190_000, "2d4h"), (-5, "0s")] {
            assert_eq!(span(secs * 1000), words);
        }
    }

    #[test]
    fn lists_are_documents_for_programs() {
        let items = [serde_json::json!({"a": 1})];
        assert!(objects(&items, Format::Json).unwrap().contains("\"kind\": \"List\""));
        assert!(objects(&items, Format::Yaml).unwrap().contains("kind: List"));
    }
}
