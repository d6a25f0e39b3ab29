//! Reads the tables that `hack/catalogue/build` makes and that are embedded in the program: gzip, one record a line, fields by tabs, and a first
//! line with the name and version of the format.
use flate2::read::GzDecoder;
use std::io::Read;

/// Why a text is not such a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{format}, line {line}: {reason}: build the data with hack/catalogue/build of this version")]
pub struct Error {
    /// The name of the format.
    pub format: &'static str,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// The text of an embedded table.
///
/// # Panics
/// If the data is not gzip of UTF-8: tests read every table.
pub fn unpack(data: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(data).read_to_string(&mut text).expect("embedded tables are gzip of UTF-8");
    text
}

/// Reads each record after the first line, which must be the name of the format, a tab and `1`.
///
/// # Errors
/// Another first line, or what `read` returns, with the number of the line.
pub fn records<'a>(
    format: &'static str,
    text: &'a str,
    mut read: impl FnMut(usize, &[&'a str]) -> Result<(), String>,
) -> Result<(), Error> {
    let mut lines = text.lines();
    if lines.next().and_then(|first| first.split_once('\t')) != Some((format, "1")) {
        return Err(Error { format, line: 1, reason: format!("the first line is not `{format}` and version 1") });
    }
    let mut fields = Vec::new();
    for (at, line) in lines.enumerate() {
        fields.clear();
        fields.extend(line.split('\t'));
        read(at + 2, &fields).map_err(|reason| Error { format, line: at + 2, reason })?;
    }
    Ok(())
}
