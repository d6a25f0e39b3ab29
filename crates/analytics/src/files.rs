//! Files: reads texts, finds log files, and streams their lines, plain or gzip. The only I/O besides [`crate::cli`].
use crate::report::Problem;
use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// The longest line that is read; a longer one is a problem, and is skipped. The API server's largest events are 1.5 MiB.
const MAX_LINE: usize = 16 << 20;
/// The largest file that is read as a whole.
const MAX_TEXT: u64 = 1 << 30;
/// The deepest directory below a given one.
const MAX_DEPTH: usize = 32;
/// How many problems are kept; all are counted.
const MAX_PROBLEMS: usize = 100;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The problems of all files.
#[derive(Default, Debug)]
pub struct Problems {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Problem>,
}

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, file: &Path, line: Option<u64>, message: impl Into<String>) {
        self.count += 1;
        if self.first.len() < MAX_PROBLEMS {
            self.first.push(Problem { file: file.display().to_string(), line, message: message.into() });
        }
    }
}

/// Reads a whole file, plain or gzip.
///
/// # Errors
/// If it cannot be read, is larger than 1 GiB, or is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let name = || path.display().to_string();
    let mut text = String::new();
    let read = open(path, |_| {}).and_then(|file| file.take(MAX_TEXT + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {}", name()))?;
    if text.len() as u64 > MAX_TEXT {
        bail!("{} has more than 1 GiB: split it by namespace, and analyse one part at a time", name());
    }
    Ok(text)
}

/// A file and its size.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// The files at these paths, and in directories among them, each once and sorted. Links to directories inside a directory are not followed.
///
/// # Errors
/// If a path does not exist or a directory cannot be listed.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Found>> {
    find_logs(paths, "--audit-log", "the API server's audit logs")
}

/// Like [`find`], for an option that takes other logs.
///
/// # Errors
/// If a path does not exist or a directory cannot be listed.
pub fn find_logs(paths: &[PathBuf], option: &str, what: &str) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for path in paths {
        let metadata =
            fs::metadata(path).with_context(|| format!("cannot read {}; {option} takes files and directories", path.display()))?;
        if metadata.is_dir() {
            let before = found.len();
            list(path, MAX_DEPTH, &mut found)?;
            if found.len() == before {
                bail!("{} contains no files; give the directory with {what}", path.display());
            }
        } else {
            found.push(Found { path: path.clone(), size: metadata.len() });
        }
    }
    found.sort();
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

fn list(directory: &Path, depth: usize, found: &mut Vec<Found>) -> Result<()> {
    if depth == 0 {
        bail!("{} is more than {MAX_DEPTH} directories deep; give a path below it", directory.display());
    }
    let name = || format!("cannot list {}", directory.display());
    for entry in fs::read_dir(directory).with_context(name)? {
        let (path, kind) = {
            let entry = entry.with_context(name)?;
            (entry.path(), entry.file_type().with_context(name)?)
        };
        if kind.is_dir() {
            list(&path, depth - 1, found)?;
        } else if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
        {
            found.push(Found { size: metadata.len(), path });
        }
    }
    Ok(())
}

/// Counts the bytes that are read from the disk.
struct Counted<R, F> {
    inner: R,
    read: F,
}

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        (self.read)(n as u64);
        Ok(n)
    }
}

/// Opens a file. What begins as gzip is unpacked, regardless of its name. `read` is called with the number of bytes that were read from the disk.
///
/// # Errors
/// If it cannot be opened, or its first bytes cannot be read.
pub fn open<'a>(path: &Path, read: impl FnMut(u64) + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut file = BufReader::with_capacity(1 << 16, Counted { inner: File::open(path)?, read });
    let packed = file.fill_buf()?.starts_with(&GZIP);
    Ok(if packed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// Calls `each` with every line of a file and its number. A line that is too long, and a file that cannot be read to its end, are problems;
/// the lines before count. Returns the number of lines.
pub fn lines(path: &Path, problems: &mut Problems, read: impl FnMut(u64), mut each: impl FnMut(&mut Problems, u64, &[u8])) -> u64 {
    let mut file = match open(path, read) {
        Ok(file) => file,
        Err(error) => {
            problems.add(path, None, format!("cannot read the file: {error}"));
            return 0;
        }
    };
    let (mut number, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let got = file.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line);
        match got {
            Ok(0) => return number,
            Ok(_) if line.len() >= MAX_LINE && line.last() != Some(&b'\n') => {
                number += 1;
                problems.add(path, Some(number), format!("the line is longer than {} MiB and was skipped", MAX_LINE >> 20));
                if let Err(error) = file.skip_until(b'\n') {
                    problems.add(path, Some(number), cut(&error));
                    return number;
                }
            }
            Ok(_) => {
                number += 1;
                each(problems, number, &line);
            }
            Err(error) => {
                // What was read of the line is not the whole line.
                problems.add(path, Some(number + 1), cut(&error));
                return number;
            }
        }
    }
}

/// What to say of a file that could not be read to its end.
pub fn cut(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the gzip file ends too early: the lines before count; copy the file again".into(),
        _ => format!("cannot read on: {error}; the lines before count"),
    }
}
