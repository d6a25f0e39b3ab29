//! The log files of a trail.
use super::reader::{Reader, Use};
use crate::{
    aws::catalogue::Actions,
    files::{self, Found, Problems},
};
use anyhow::Result;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// The files of a trail that have calls, and how many were left out.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Logs {
    /// Log files, by file name and then by path: copies of a file, and the files of one hour of all regions, are read one after another.
    pub files: Vec<Found>,
    /// Digest files and files of CloudTrail Insights.
    pub skipped: u64,
}

/// The logs at these paths: files, and directories such as `AWSLogs/` of a trail's bucket
/// (`AWSLogs/ACCOUNT/CloudTrail/REGION/YYYY/MM/DD/ACCOUNT_CloudTrail_REGION_YYYYMMDDTHHmmZ_ID.json.gz`).
///
/// # Errors
/// If a path does not exist, a directory cannot be listed, or it contains no files.
pub fn find(paths: &[PathBuf]) -> Result<Logs> {
    let mut logs = Logs { files: files::find_logs(paths, "--cloudtrail", "the log files of a trail")?, skipped: 0 };
    let all = logs.files.len();
    logs.files.retain(|file| file.size > 0 && !file.path.iter().any(is_other));
    logs.skipped = (all - logs.files.len()) as u64;
    logs.files.sort_by(|a, b| (a.path.file_name(), &a.path).cmp(&(b.path.file_name(), &b.path)));
    Ok(logs)
}

/// Directories of a trail's bucket without calls, and the files of the file system.
fn is_other(part: &OsStr) -> bool {
    let part = part.to_string_lossy();
    part == "CloudTrail-Digest" || part == "CloudTrail-Insight" || part == ".DS_Store"
}

/// Reads log files, one after another. Records after `until` do not count. `read` is called with the number of bytes that were read from the disk, and
/// `sink` with every use.
pub fn read<'a>(
    actions: &'a Actions,
    until: i64,
    files: &[Found],
    problems: &mut Problems,
    mut read: impl FnMut(u64),
    mut sink: impl FnMut(&Use<'_>),
) -> Reader<'a> {
    let mut reader = Reader::new(actions, until);
    for file in files {
        reader.file(&file.path, problems, &mut read, &mut sink);
    }
    reader
}

impl Reader<'_> {
    /// Reads a file, plain or gzip, like [`Self::stream`]. `read` is called with the number of bytes that were read from the disk.
    pub fn file(&mut self, path: &Path, problems: &mut Problems, read: impl FnMut(u64), sink: impl FnMut(&Use<'_>)) {
        match files::open(path, read) {
            Ok(file) => self.stream(file, path, problems, sink),
            Err(error) => problems.add(path, None, format!("cannot read the file: {error}")),
        }
    }
}
