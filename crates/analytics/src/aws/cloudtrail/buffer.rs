//! A window over a file that moves on.
use memchr::memchr_iter;
use std::io::{self, Read};

/// How much there is room for at once.
const CHUNK: usize = 1 << 20;
/// How much is read at least, if there is so much: a record that is not complete is looked at again only after that.
const AT_LEAST: usize = 1 << 18;

/// Where something is in a file.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The byte after unpacking, from 0.
    pub byte: u64,
}

/// A window over a file. What is before the place is dropped when more is read.
pub struct Buffer<'a, R> {
    input: R,
    /// Room; what was read is before `end`.
    data: &'a mut Vec<u8>,
    end: usize,
    /// The place in the data.
    pub at: usize,
    /// The bytes and lines before the data.
    bytes: u64,
    lines: u64,
    /// Whether the file has more than one line: others need no counting.
    multiline: bool,
    limit: usize,
    ended: bool,
    /// What ended it, if not its end.
    pub error: Option<io::Error>,
}

impl<'a, R: Read> Buffer<'a, R> {
    /// At the beginning of a file. It grows to `limit` and one chunk of 1 MiB; `data` is memory to use, such as that of an earlier file.
    pub fn new(input: R, data: &'a mut Vec<u8>, limit: usize) -> Self {
        let mut buffer = Self { input, data, end: 0, at: 0, bytes: 0, lines: 0, multiline: false, limit, ended: false, error: None };
        buffer.more();
        buffer.multiline = memchr::memchr(b'\n', buffer.data()).is_some();
        buffer
    }
    /// What was read and not dropped.
    pub fn data(&self) -> &[u8] {
        &self.data[..self.end]
    }
    /// What was read from the place on.
    pub fn rest(&self) -> &[u8] {
        &self.data[self.at..self.end]
    }
    /// Whether there is nothing more to read.
    pub fn ended(&self) -> bool {
        self.ended
    }
    /// The place in the file.
    pub fn place(&self) -> Place {
        let lines = if self.multiline { memchr_iter(b'\n', &self.data[..self.at]).count() as u64 } else { 0 };
        Place { line: self.lines + lines + 1, byte: self.bytes + self.at as u64 }
    }

    /// Reads more. False if the file has ended, or the rest is as large as the limit.
    pub fn more(&mut self) -> bool {
        if self.ended || self.rest().len() >= self.limit {
            return false;
        }
        if self.multiline {
            self.lines += memchr_iter(b'\n', &self.data[..self.at]).count() as u64;
        }
        self.bytes += self.at as u64;
        self.data.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        if self.data.len() < self.end + CHUNK {
            self.data.resize(self.end + CHUNK, 0);
        }
        let before = self.end;
        while !self.ended && self.end - before < AT_LEAST {
            match self.input.read(&mut self.data[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(length) => self.end += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    self.ended = true;
                }
            }
        }
        self.end > before
    }
}
