//! A scanner of JSON that reads what is asked for and skips the rest.
//!
//! Strings that are read must be UTF-8 with valid escapes. Of what is skipped, only the strings and brackets must be balanced: that is all it takes to
//! find its end. A test compares it with serde_json.
use std::borrow::Cow;

/// Why the scanner stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The text ends within a value: there may be more to read.
    End,
    /// It is not JSON here.
    Bad(&'static str),
    /// The list of records of a file begins here, after its `[`.
    List(usize),
}

/// A string between its quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// As it is written, with escapes.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }
    /// What it says. None if it is not UTF-8 or an escape is wrong.
    #[inline]
    pub fn get(self) -> Option<Cow<'a, str>> {
        if !self.escaped {
            return std::str::from_utf8(self.raw).ok().map(Cow::Borrowed);
        }
        let quoted = [b"\"", self.raw, b"\""].concat();
        serde_json::from_slice(&quoted).ok().map(Cow::Owned)
    }
    /// Whether it begins like this. The word must not need escapes.
    pub fn starts_with(self, word: &str) -> bool {
        if self.escaped { self.get().is_some_and(|text| text.starts_with(word)) } else { self.raw.starts_with(word.as_bytes()) }
    }
    /// Whether it says this. The word must not need escapes.
    pub fn is(self, word: &str) -> bool {
        if self.escaped { self.get().is_some_and(|text| text == word) } else { self.raw == word.as_bytes() }
    }
}

/// A value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value<'a> {
    /// A string.
    Text(Text<'a>),
    /// An object, with its braces.
    Object(&'a [u8]),
    /// An array, with its brackets.
    Array(&'a [u8]),
    /// A number, true or false.
    Scalar(&'a [u8]),
    /// Null.
    Null,
}

/// A place in a text.
pub struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of a text.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }
    /// The bytes before the place.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The bytes from a place on to this one.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    /// The next byte that is not white space.
    ///
    /// # Errors
    /// If the text ends.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<u8, Stop> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(byte) => return Ok(*byte),
                None => return Err(Stop::End),
            }
        }
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// If another one is next.
    #[inline(always)]
    pub fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), Stop> {
        if self.peek()? != byte {
            return Err(Stop::Bad(why));
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a string.
    ///
    /// # Errors
    /// If none is next.
    #[inline(always)]
    pub fn text(&mut self) -> Result<Text<'a>, Stop> {
        self.expect(b'"', "a string was expected")?;
        let start = self.at;
        let (end, escaped) = string_end(self.text, start)?;
        self.at = end + 1;
        Ok(Text { raw: &self.text[start..end], escaped })
    }

    /// Takes a string, or null for none. Another value is taken for none, too: it is not what it should be.
    ///
    /// # Errors
    /// If no value is next.
    #[inline(always)]
    pub fn text_or_null(&mut self) -> Result<Option<Text<'a>>, Stop> {
        if self.peek()? == b'"' {
            return self.text().map(Some);
        }
        self.skip().map(|()| None)
    }

    /// Takes a value.
    ///
    /// # Errors
    /// If none is next.
    pub fn value(&mut self) -> Result<Value<'a>, Stop> {
        let first = self.peek()?;
        let start = self.at;
        if first == b'"' {
            return self.text().map(Value::Text);
        }
        self.skip()?;
        let raw = &self.text[start..self.at];
        Ok(match first {
            b'{' => Value::Object(raw),
            b'[' => Value::Array(raw),
            _ if raw == b"null" => Value::Null,
            _ => Value::Scalar(raw),
        })
    }

    /// Skips a value.
    ///
    /// # Errors
    /// If none is next.
    #[inline(never)]
    pub fn skip(&mut self) -> Result<(), Stop> {
        match self.peek()? {
            b'"' => self.text().map(|_| ()),
            b'{' | b'[' => {
                self.at = container_end(self.text, self.at)?;
                Ok(())
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.scalar(),
            _ => Err(Stop::Bad("a value was expected")),
        }
    }

    /// Skips a number, true, false or null. Its end must be in the text, because more of it could follow.
    fn scalar(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let rest = &self.text[start..];
        let length =
            rest.iter().position(|byte| !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'E')).ok_or(Stop::End)?;
        let word = &rest[..length];
        self.at += length;
        match word[0] {
            b't' | b'f' | b'n' if !matches!(word, b"true" | b"false" | b"null") => Err(Stop::Bad("a value was expected")),
            _ => Ok(()),
        }
    }

    /// Takes an object: calls `each` with every key, which takes the value.
    ///
    /// # Errors
    /// If it is not one, and those of `each`.
    #[inline(always)]
    pub fn object(&mut self, mut each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Stop>) -> Result<(), Stop> {
        self.expect(b'{', "an object was expected")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':', "a colon was expected after a key")?;
            each(self, key.raw)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Stop::Bad("a comma or the end of the object was expected")),
            }
        }
    }

    /// Takes an array: calls `each` before every item, which takes it.
    ///
    /// # Errors
    /// If it is not one, and those of `each`.
    pub fn array(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.expect(b'[', "an array was expected")?;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Stop::Bad("a comma or the end of the array was expected")),
            }
        }
    }
}

/// The quote that ends a string, and whether it has escapes. It is called from many places, and would be large in each.
#[inline(never)]
fn string_end(text: &[u8], mut at: usize) -> Result<(usize, bool), Stop> {
    let mut escaped = false;
    loop {
        let rest = text.get(at..).ok_or(Stop::End)?;
        at += quote_or_backslash(rest).ok_or(Stop::End)?;
        if text[at] == b'"' {
            return Ok((at, escaped));
        }
        escaped = true;
        at += 2;
    }
}

/// The first quote or backslash. Strings are short: code that can be inlined is quicker than wider steps behind a call.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    use memchr::arch::x86_64::sse2::memchr::Two;
    match Two::new(b'"', b'\\') {
        Some(two) => two.find(text),
        None => memchr::memchr2(b'"', b'\\', text),
    }
}

/// The first quote or backslash.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    memchr::memchr2(b'"', b'\\', text)
}

/// The place after the object or array that begins here. Outside of strings nearly every byte is one of interest.
#[inline(never)]
fn container_end(text: &[u8], start: usize) -> Result<usize, Stop> {
    let (mut depth, mut at) = (0_usize, start);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = string_end(text, at)?.0 + 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(at);
                }
            }
            _ => {}
        }
    }
    Err(Stop::End)
}
