//! The roll-up as a file that other engines read.
use super::{Row, Store, error::Result};
use crate::history::Day;
use jiff::Timestamp;
use serde::Serialize;
use std::{io::Write, ops::ControlFlow};

/// The form of an export. Texts are as the logs have them. A spreadsheet may take a text that begins with `=` for a formula: import the
/// columns as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Form {
    /// Comma-separated values with a header (RFC 4180), lines ending with CR LF.
    Csv,
    /// One JSON object on each line.
    JsonLines,
}

/// The columns of a row of `usage_daily`.
#[derive(Serialize)]
struct Record<'a> {
    system: &'a str,
    day: Day,
    identity: &'a str,
    operation: &'a str,
    resource: &'a str,
    context: &'a str,
    count: u64,
    last: Timestamp,
}

const HEADER: &str = "system,day,identity,operation,resource,context,count,last\r\n";

impl Store {
    /// Writes the rows of these systems and days. Returns how many there are.
    ///
    /// # Errors
    /// If a value is damaged, or the output cannot be written, and of the disk.
    pub fn export(&self, systems: &[String], from: Day, to: Day, form: Form, out: &mut impl Write) -> Result<u64> {
        if form == Form::Csv {
            out.write_all(HEADER.as_bytes())?;
        }
        let mut rows = 0;
        for system in systems {
            let failed = self.try_fold(system, from, to, |row| {
                rows += 1;
                match write(system, row, form, out) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => ControlFlow::Break(error),
                }
            })?;
            if let Some(error) = failed {
                return Err(error.into());
            }
        }
        out.flush()?;
        Ok(rows)
    }
}

fn write(system: &str, row: &Row, form: Form, out: &mut impl Write) -> std::io::Result<()> {
    let Row { day, identity, operation, resource, context, count, last } = *row;
    let last = Timestamp::from_second(last).map_err(std::io::Error::other)?;
    match form {
        Form::Csv => {
            let texts = [system, identity, operation, resource, context].map(quoted);
            let [system, identity, operation, resource, context] = &texts;
            write!(out, "{system},{day},{identity},{operation},{resource},{context},{count},{last}\r\n")
        }
        Form::JsonLines => {
            serde_json::to_writer(&mut *out, &Record { system, day, identity, operation, resource, context, count, last })?;
            out.write_all(b"\n")
        }
    }
}

/// A field of CSV. An empty text is quoted, since some engines read an empty field as null.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
