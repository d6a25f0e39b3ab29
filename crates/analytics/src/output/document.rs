//! A result with facts and lists, in any form: text for a terminal, CSV, a page.
use super::{
    csv,
    html::{escape, page},
    table::columns,
};
use curfew_core::text::{clip, printable};
use std::fmt::Write;

/// The widest cell of text, in bytes.
const MAX_CELL: usize = 80;

/// The same of the last column, after which nothing is aligned: a note or a recommendation that ends in the middle is of no use.
const MAX_LAST_CELL: usize = 400;

/// The longest cell of a column that is kept on one line of a page.
const SHORT: usize = 24;

/// A column of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name in CSV.
    pub name: &'static str,
    /// Its heading for people; without one it is in CSV only.
    pub heading: Option<&'static str>,
    /// Whether it has numbers.
    pub is_number: bool,
}

impl Column {
    /// A column of texts.
    pub const fn text(name: &'static str, heading: &'static str) -> Self {
        Self { name, heading: Some(heading), is_number: false }
    }
    /// A column of numbers.
    pub const fn number(name: &'static str, heading: &'static str) -> Self {
        Self { name, heading: Some(heading), is_number: true }
    }
    /// A column that only CSV has.
    pub const fn csv(name: &'static str) -> Self {
        Self { name, heading: None, is_number: false }
    }
}

/// A list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct List {
    /// Its heading.
    pub heading: String,
    /// A chart of it: SVG that is part of a page.
    pub chart: Option<String>,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: a cell for each column.
    pub rows: Vec<Vec<String>>,
    /// How many rows were left out.
    pub more: usize,
    /// The text if there is no row.
    pub empty: &'static str,
}

/// The result.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Document {
    /// What it is about.
    pub title: String,
    /// Label and value.
    pub facts: Vec<(&'static str, String)>,
    /// The lists.
    pub lists: Vec<List>,
    /// Which of them is the CSV.
    pub main: usize,
    /// A text that is printed as it is, such as YAML to apply, under its heading.
    pub verbatim: Option<(&'static str, String)>,
}

impl List {
    fn shown(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|i| self.columns[*i].heading.is_some()).collect()
    }

    /// The class of the cells of each column: numbers to the right, short texts on one line, room for the first long one.
    fn classes(&self) -> Vec<&'static str> {
        let mut is_first = true;
        let class = |i: usize| {
            let is_short = || self.rows.iter().all(|row| row[i].chars().count() <= SHORT);
            match self.columns[i].is_number {
                true => " class=\"n\"",
                false if is_short() => " class=\"t\"",
                false if std::mem::take(&mut is_first) => " class=\"name\"",
                false => "",
            }
        };
        (0..self.columns.len()).map(class).collect()
    }

    fn text(&self) -> String {
        let shown = self.shown();
        let mut out = format!("\n{}\n", printable(&self.heading));
        if self.rows.is_empty() {
            let _ = writeln!(out, "  {}", self.empty);
            return out;
        }
        let mut rows = vec![shown.iter().filter_map(|i| self.columns[*i].heading).map(str::to_uppercase).collect::<Vec<_>>()];
        let limit = |i: &usize| if shown.last() == Some(i) { MAX_LAST_CELL } else { MAX_CELL };
        rows.extend(self.rows.iter().map(|row| shown.iter().map(|i| clip(printable(&row[*i]), limit(i))).collect()));
        out += &columns(&rows);
        if self.more > 0 {
            let _ = writeln!(out, "  and {} more: a filter, -o csv or -o json shows them", self.more);
        }
        out
    }

    fn html(&self) -> String {
        let shown = self.shown();
        let classes = self.classes();
        let mut out = format!("<h2>{}</h2>{}", escape(&self.heading), self.chart.as_deref().unwrap_or_default());
        if self.rows.is_empty() {
            return out + &format!("<p>{}</p>", escape(self.empty));
        }
        out += "<div class=\"wide\"><table><thead><tr>";
        for i in &shown {
            let class = if self.columns[*i].is_number { " class=\"n\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(self.columns[*i].heading.unwrap_or_default()));
        }
        out += "</tr></thead><tbody>";
        for row in &self.rows {
            out += "<tr>";
            for i in &shown {
                let _ = write!(out, "<td{}>{}</td>", classes[*i], escape(&row[*i]));
            }
            out += "</tr>";
        }
        out += "</tbody></table></div>";
        if self.more > 0 {
            let _ = write!(out, "<p>{} more: -o csv and -o json list all.</p>", self.more);
        }
        out
    }
}

impl Document {
    /// For a terminal. Names cannot imitate other output.
    pub fn text(&self) -> String {
        let mut out = printable(&self.title) + "\n";
        let width = self.facts.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, value) in &self.facts {
            let _ = writeln!(out, "  {label:<width$}  {}", printable(value));
        }
        self.lists.iter().for_each(|list| out += &list.text());
        if let Some((heading, text)) = &self.verbatim {
            let _ = write!(out, "\n{heading}\n{}", lines(text));
        }
        out
    }

    /// The main list as CSV (RFC 4180).
    pub fn csv(&self) -> String {
        let Some(list) = self.lists.get(self.main) else { return String::new() };
        let mut out = list.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(",") + "\r\n";
        for row in &list.rows {
            let fields = row.iter().zip(&list.columns).map(|(text, column)| if column.is_number { number(text) } else { csv::field(text) });
            out += &(fields.collect::<Vec<_>>().join(",") + "\r\n");
        }
        out
    }

    /// As a page of its own.
    pub fn html(&self) -> String {
        let mut body = String::new();
        if !self.facts.is_empty() {
            body += "<dl class=\"facts\">";
            for (label, value) in &self.facts {
                let _ = write!(body, "<dt>{}</dt><dd>{}</dd>", escape(label), escape(value));
            }
            body += "</dl>";
        }
        self.lists.iter().for_each(|list| body += &list.html());
        if let Some((heading, text)) = &self.verbatim {
            let shown: Vec<String> = text.lines().map(escape).collect();
            let _ = write!(body, "<h2>{}</h2><pre>{}</pre>", escape(heading), shown.join("\n"));
        }
        page(&self.title, &body)
    }
}

/// Text of several lines for a terminal.
fn lines(text: &str) -> String {
    text.lines().map(|line| printable(line) + "\n").collect()
}

/// A number as it is: a minus sign begins no formula if nothing but a number follows.
fn number(text: &str) -> String {
    if text.parse::<f64>().is_ok_and(f64::is_finite) { text.to_owned() } else { csv::field(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let list = List {
            heading: "Things".into(),
            columns: vec![Column::text("name", "name"), Column::number("change", "change"), Column::csv("more")],
            rows: vec![vec!["=1+2\n<b>".into(), "-3".into(), "x;@y".into()], vec!["b".into(), "-1+cmd".into(), String::new()]],
            more: 2,
            ..List::default()
        };
        Document {
            title: "All\u{1b}[2J".into(),
            facts: vec![("score", "5".into())],
            lists: vec![list],
            main: 0,
            verbatim: Some(("YAML", "a: 1\n\u{1b}b\n".into())),
        }
    }

    #[test]
    fn the_last_column_is_not_cut_in_the_middle_of_a_sentence() {
        let long = "word ".repeat(30);
        let list = List {
            heading: "Things".into(),
            columns: vec![Column::text("name", "name"), Column::text("note", "note")],
            rows: vec![vec![long.clone(), long.clone()]],
            ..List::default()
        };
        let text = list.text();
        assert_eq!(text.matches("word").count(), 30 + (MAX_CELL - 3) / 5, "{text}");
    }

    #[test]
    fn each_form_has_the_same_cells_and_none_can_imitate_another() {
        let document = document();
        let text = document.text();
        assert!(text.starts_with("All\\u{1b}[2J\n  score  5\n") && text.contains("  NAME") && text.contains("and 2 more"), "{text}");
        assert!(text.contains("=1+2\\n<b>") && !text.contains('\u{1b}') && !text.contains("x;@y"), "{text}");
        assert_eq!(document.csv(), "name,change,more\r\n'=1+2\\n<b>,-3,\"x;'@y\"\r\nb,'-1+cmd,\r\n");
        let html = document.html();
        assert!(
            html.contains("<td class=\"t\">=1+2\\n&lt;b&gt;</td><td class=\"n\">-3</td>") && html.contains("<pre>a: 1\n\\u{1b}b</pre>"),
            "{html}"
        );
    }
}
