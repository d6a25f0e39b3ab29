//! The records of a file, one after another, in bounded memory.
//!
//! A file is a list of records in an object (what a trail writes), an array, or records one after another (JSON lines). If a record is broken, reading
//! goes on at the next one that can be found.
use super::{
    buffer::{Buffer, Place},
    record::{Kind, Record, object},
    scan::{Cursor, Stop},
};
use memchr::memmem;
use std::io::{self, Read};

/// The largest record that is read, in bytes. CloudTrail's own limit is 1 MiB.
const MAX_RECORD: usize = 16 << 20;
/// How every record begins that CloudTrail writes. In a string, its quotes would be escaped.
const BEGINNING: &[u8] = b"{\"eventVersion\"";
/// The deepest lists in lists.
const MAX_OUTER: usize = 64;

/// A part of a file.
#[derive(Debug)]
pub enum Frame<'a> {
    /// An object, and what of a record it has.
    Object(Kind<'a>, &'a Record<'a>),
    /// Something that is left out, why, and whether reading goes on after it.
    Broken(Place, &'static str, bool),
    /// The file ends too early, maybe for an error.
    Cut(Place, Option<io::Error>),
}

/// Calls `visit` with every part of a file. `memory` is used for the window; it grows to 17 MiB at most.
pub fn frames<R: Read>(input: R, memory: &mut Vec<u8>, mut visit: impl FnMut(Frame<'_>)) {
    let mut file = File { buffer: Buffer::new(input, memory, MAX_RECORD), outer: Vec::new() };
    if file.buffer.rest().starts_with(b"\xef\xbb\xbf") {
        file.buffer.at = 3;
    }
    while let Some(result) = file.next(&mut visit) {
        let Err(problem) = result else { continue };
        let place = file.buffer.place();
        let found = file.recover();
        match problem {
            Problem::Broken(why) => visit(Frame::Broken(place, why, found)),
            Problem::Cut if found => visit(Frame::Broken(place, "the record has no end", true)),
            Problem::Cut => visit(Frame::Cut(place, file.buffer.error.take())),
        }
        if !found {
            break;
        }
    }
    if let Some(error) = file.buffer.error.take() {
        visit(Frame::Cut(file.buffer.place(), Some(error)));
    }
}

/// What encloses the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outer {
    /// An object, after its list.
    Object,
    Array,
}

enum Problem {
    Broken(&'static str),
    /// The file has ended.
    Cut,
}

struct File<'a, R> {
    buffer: Buffer<'a, R>,
    outer: Vec<Outer>,
}

impl<R: Read> File<'_, R> {
    /// Moves on by an object, or by a part of what encloses objects. None at the end.
    #[inline(always)]
    fn next(&mut self, visit: &mut impl FnMut(Frame<'_>)) -> Option<Result<(), Problem>> {
        loop {
            let white = self.buffer.rest().iter().position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b','));
            self.buffer.at += white.unwrap_or(self.buffer.rest().len());
            if white.is_some() {
                break;
            }
            if !self.buffer.more() {
                return if self.outer.is_empty() { None } else { Some(Err(Problem::Cut)) };
            }
        }
        Some(match (self.outer.last(), self.buffer.rest()[0]) {
            (Some(Outer::Object), b'"') => self.member(),
            (Some(Outer::Object), b'}') | (Some(Outer::Array), b']') => {
                self.outer.pop();
                self.buffer.at += 1;
                Ok(())
            }
            (None | Some(Outer::Array), b'{') => self.object(visit),
            (None | Some(Outer::Array), b'[') if self.outer.len() < MAX_OUTER => {
                self.outer.push(Outer::Array);
                self.buffer.at += 1;
                Ok(())
            }
            (None, _) => Err(Problem::Broken("this is not JSON of CloudTrail")),
            (Some(Outer::Array), _) => Err(Problem::Broken("an item of the list is not an object")),
            (Some(Outer::Object), _) => Err(Problem::Broken("a key or the end of the object was expected")),
        })
    }

    #[inline(always)]
    fn object(&mut self, visit: &mut impl FnMut(Frame<'_>)) -> Result<(), Problem> {
        loop {
            let mut cursor = Cursor::new(self.buffer.rest());
            let mut record = Record::default();
            match object(&mut cursor, &mut record) {
                Ok(kind) => {
                    let length = cursor.at();
                    visit(Frame::Object(kind, &record));
                    self.buffer.at += length;
                    return Ok(());
                }
                Err(Stop::List(list)) => {
                    self.outer.extend([Outer::Object, Outer::Array]);
                    self.buffer.at += list;
                    return Ok(());
                }
                Err(Stop::Bad(why)) => return Err(Problem::Broken(why)),
                Err(Stop::End) => self.more()?,
            }
        }
    }

    /// Skips a member of an object after its list.
    fn member(&mut self) -> Result<(), Problem> {
        loop {
            let mut cursor = Cursor::new(self.buffer.rest());
            let member = cursor.text().and_then(|_| cursor.expect(b':', "a colon was expected after a key")).and_then(|()| cursor.skip());
            match member {
                Ok(()) | Err(Stop::List(_)) => {
                    self.buffer.at += cursor.at();
                    return Ok(());
                }
                Err(Stop::Bad(why)) => return Err(Problem::Broken(why)),
                Err(Stop::End) => self.more()?,
            }
        }
    }

    /// Reads more of an object.
    #[cold]
    fn more(&mut self) -> Result<(), Problem> {
        let rest = self.buffer.rest();
        if rest.starts_with(BEGINNING) && memmem::find(&rest[1..], BEGINNING).is_some() {
            return Err(Problem::Broken("the record has no end"));
        }
        if self.buffer.more() {
            return Ok(());
        }
        Err(if self.buffer.ended() { Problem::Cut } else { Problem::Broken("the record is longer than 16 MiB, or has no end") })
    }

    /// Moves to the next object after a problem: the next beginning of a record, or line that begins with an object; otherwise to the end of
    /// the value or bracket that is here, if it has one. False if there is none.
    #[cold]
    fn recover(&mut self) -> bool {
        let start = self.buffer.at;
        let mut value = Cursor::new(self.buffer.rest());
        let end = match self.buffer.rest().first() {
            None => return false,
            Some(b'}' | b']') => start + 1,
            Some(_) => value.skip().map_or(usize::MAX, |()| start + value.at()),
        };
        self.buffer.at += 1;
        loop {
            let rest = self.buffer.rest();
            let record = memmem::find(rest, BEGINNING);
            let line = if self.outer.is_empty() { memmem::find(rest, b"\n{").map(|at| at + 1) } else { None };
            let found = record.into_iter().chain(line).min();
            if let Some(found) = found
                && self.buffer.at + found < end
            {
                self.buffer.at += found;
                return true;
            }
            if end != usize::MAX {
                self.buffer.at = end;
                return true;
            }
            self.buffer.at += rest.len().saturating_sub(BEGINNING.len());
            if !self.buffer.more() {
                self.buffer.at = self.buffer.data().len();
                return false;
            }
        }
    }
}
