//! From bytes to requests.
//!
//! A client sends either an array of bulk strings ("multibulk") or a line of words ("inline"):
//!
//! ```text
//! *2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n          SET greeting "hello\tworld"\r\n
//! ```
//!
//! The parser does what Redis 7.0 does, down to the errors' texts and to its oddities: the byte
//! after a header's `\r` and the two bytes after a bulk are skipped unseen; a NUL hides the end of the line
//! that it stands in; empty lines and empty arrays are no requests. The one difference is that Redis lets an
//! inline request exceed its bound if the line's end happens to arrive with the excess, while here
//! the result never depends on how the bytes were split.
//!
//! Arguments are not copied. A request's arguments are ranges of the caller's buffer, relative to
//! the request's first byte, so they stay right when the caller discards what precedes it. Only inline
//! arguments, which quoting may have changed, are in a small buffer of the parser.
//!
//! A request that arrives in pieces is resumed where it stopped: no byte of a header is looked at twice and
//! no bulk is scanned at all, so parsing is linear in the bytes received. Memory grows with what was
//! received, never with what was announced. Nothing recurses.

mod inline;

use std::ops::Range;

use smallvec::SmallVec;

use crate::limits::{INLINE_MAX_BYTES, UNAUTHENTICATED_MAX_ARGS, UNAUTHENTICATED_MAX_BULK_BYTES};
use crate::types::number::parse_i64;

/// Arguments and inline bytes for which a parser keeps memory between requests.
const RETAINED_MAX: usize = 1024;

/// What a request may contain. The limits may change from one call to the next: `AUTH` lifts some for the
/// requests after it, which may be in the buffer already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// Most arguments of a request.
    pub max_args: i64,
    /// Longest argument in bytes (`proto-max-bulk-len`).
    pub max_bulk_bytes: i64,
    /// Whether the client has authenticated, or need not; if not, tighter bounds hold as well.
    pub authenticated: bool,
}

/// What [`RequestParser::parse`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A request; its arguments, at least one, can be had from the parser.
    Request,
    /// The buffer ends before a request does.
    Incomplete,
}

/// Bytes that are no request. The connection cannot be understood any further: Redis answers `-ERR Protocol
/// error: ` and this error's text, and closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A line without an end.
    #[error("too big inline request")]
    InlineTooBig,
    /// A quote that is not closed, or text right after one that is.
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    /// An array header without an end.
    #[error("too big mbulk count string")]
    CountLineTooBig,
    /// An array header that is no number, or too large a one.
    #[error("invalid multibulk length")]
    InvalidCount,
    /// An array too long for a client that has not authenticated.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedCount,
    /// A bulk header without an end.
    #[error("too big bulk count string")]
    LengthLineTooBig,
    /// Something else where an argument of an array should begin.
    #[error("expected '$', got '{}'", printable(*.0))]
    ExpectedBulk(u8),
    /// A bulk header that is no number, negative, or too large.
    #[error("invalid bulk length")]
    InvalidLength,
    /// A bulk too long for a client that has not authenticated.
    #[error("unauthenticated bulk length")]
    UnauthenticatedLength,
}

/// A byte as it can stand in an error's line.
fn printable(byte: u8) -> char {
    match byte {
        b'\r' | b'\n' => ' ',
        0..=0x7f => char::from(byte),
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// Where an argument is: from its first byte to after its last, relative to the request's first byte or, if
/// the request was inline, in the unescaped bytes.
#[derive(Clone, Copy, Debug)]
struct ArgRange {
    start: usize,
    end: usize,
}

/// Finds requests in a buffer that the caller fills at its end and empties at its front.
///
/// ```
/// use kvorum::resp::{ParseLimits, Parsed, RequestParser};
///
/// let limits = ParseLimits { max_args: 1024 * 1024, max_bulk_bytes: 512 << 20, authenticated: true };
/// let mut buffer = b"*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\nPING\r\n*1\r\n".to_vec();
/// let mut parser = RequestParser::new();
/// assert_eq!(parser.parse(&buffer, &limits), Ok(Parsed::Request));
/// assert!(parser.args(&buffer).eq([b"GET", b"foo"]));
/// assert_eq!(parser.parse(&buffer, &limits), Ok(Parsed::Request));
/// assert!(parser.args(&buffer).eq([b"PING"]));
/// assert_eq!(parser.parse(&buffer, &limits), Ok(Parsed::Incomplete));
///
/// let consumed = parser.consumed();
/// buffer.drain(..consumed);
/// parser.discard(consumed);
/// assert_eq!(buffer, b"*1\r\n");
/// ```
#[derive(Debug, Default)]
pub struct RequestParser {
    /// Where the last complete request ends; where the next one, complete or not, begins.
    consumed: usize,
    /// What `args` is relative to: where the last complete or the begun request begins.
    base: usize,
    /// The first byte of a begun multibulk that is not parsed. Meaningful while `args_left > 0`.
    cursor: usize,
    /// Bytes of the current line known not to end it.
    scanned: usize,
    /// Arguments of a begun multibulk that are still to come.
    args_left: usize,
    /// Length of the next argument, if its header is parsed.
    bulk_bytes: Option<usize>,
    /// Bytes of the next argument and its line end that have not arrived.
    wanted: Option<usize>,
    args: Vec<ArgRange>,
    /// Whether `args` are in `unescaped` and not in the buffer.
    is_inline: bool,
    unescaped: Vec<u8>,
}

impl RequestParser {
    /// A parser at the start of an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for one request after those already found. `buffer` is what it was at the last call, less
    /// what was discarded, plus what has arrived since.
    ///
    /// An error stays: the same call gives it again.
    ///
    /// # Panics
    /// When the buffer is shorter than what was consumed.
    pub fn parse(&mut self, buffer: &[u8], limits: &ParseLimits) -> Result<Parsed, ProtocolError> {
        self.wanted = None;
        if self.args_left == 0 {
            self.forget_args();
            loop {
                match buffer.get(self.consumed) {
                    None => {
                        assert!(buffer.len() == self.consumed, "the buffer lost bytes that were not discarded");
                        return Ok(Parsed::Incomplete);
                    }
                    Some(b'*') => {
                        if !self.parse_count(buffer, limits)? {
                            return Ok(Parsed::Incomplete);
                        }
                        if self.args_left > 0 {
                            break;
                        }
                    }
                    Some(_) => {
                        if !self.parse_inline(buffer)? {
                            return Ok(Parsed::Incomplete);
                        }
                        if !self.args.is_empty() {
                            return Ok(Parsed::Request);
                        }
                    }
                }
            }
        }
        self.parse_bulks(buffer, limits)
    }

    /// Number of arguments of the request found last, the command's name included.
    pub fn arg_count(&self) -> usize {
        if self.args_left > 0 { 0 } else { self.args.len() }
    }

    /// An argument of the request that the last call of [`parse`](Self::parse) found in the same
    /// `buffer`.
    ///
    /// # Panics
    /// When there is no argument of that index.
    pub fn arg<'a>(&'a self, buffer: &'a [u8], index: usize) -> &'a [u8] {
        assert!(self.args_left == 0, "no request is complete");
        let ArgRange { start, end } = self.args[index];
        &self.args_source(buffer)[start..end]
    }

    /// The arguments of the request that the last call of [`parse`](Self::parse) found in the same `buffer`.
    pub fn args<'a>(&'a self, buffer: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> {
        let source = self.args_source(buffer);
        self.args[..self.arg_count()].iter().map(|range| &source[range.start..range.end])
    }

    /// Replaces what is in `out` by the request's arguments.
    pub fn args_into<'a>(&'a self, buffer: &'a [u8], out: &mut SmallVec<[&'a [u8]; 8]>) {
        out.clear();
        out.extend(self.args(buffer));
    }

    /// Appends where in the buffer the request's arguments are. Not for inline requests, whose
    /// arguments need not be in the buffer.
    pub fn ranges_into(&self, out: &mut Vec<Range<usize>>) {
        debug_assert!(!self.is_inline, "inline arguments are in the parser");
        let base = self.base;
        out.extend(self.args[..self.arg_count()].iter().map(|range| base + range.start..base + range.end));
    }

    /// Whether the request was a line of words; its arguments are then in the parser, and valid only
    /// until the next call of [`parse`](Self::parse).
    pub fn is_inline(&self) -> bool {
        self.is_inline
    }

    /// How many bytes at the front of the buffer belong to requests that were found, and may be
    /// discarded once their arguments are no longer needed.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Tells that the caller has removed this many bytes from the front of the buffer.
    ///
    /// # Panics
    /// When that is more than what was [`consumed`](Self::consumed).
    pub fn discard(&mut self, bytes: usize) {
        assert!(bytes <= self.consumed, "bytes were discarded that were not parsed");
        self.consumed -= bytes;
        if self.args_left > 0 {
            self.cursor -= bytes;
        }
        match self.base.checked_sub(bytes) {
            Some(base) => self.base = base,
            None => {
                // Only a complete request can begin among the discarded bytes.
                self.base = self.consumed;
                self.args.clear();
            }
        }
    }

    /// How many bytes are missing of the argument that the buffer ends in, its line end included, if
    /// the last call of [`parse`](Self::parse) stopped inside one. It is what the client announced:
    /// a size for reads, not one to reserve memory for.
    pub fn wanted(&self) -> Option<usize> {
        self.wanted
    }

    /// Whether a part of a request has been parsed.
    pub fn is_inside_request(&self) -> bool {
        self.args_left > 0
    }

    fn args_source<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        if self.is_inline { &self.unescaped } else { buffer.get(self.base..).unwrap_or_default() }
    }

    /// Makes room for the next request's arguments. Memory that only a giant needed is given back.
    fn forget_args(&mut self) {
        self.args.clear();
        if self.args.capacity() > RETAINED_MAX {
            self.args = Vec::new();
        }
        if self.is_inline {
            self.is_inline = false;
            self.unescaped.clear();
            if self.unescaped.capacity() > RETAINED_MAX {
                self.unescaped = Vec::new();
            }
        }
    }

    /// Parses the header of an array. Answers false if it is incomplete.
    fn parse_count(&mut self, buffer: &[u8], limits: &ParseLimits) -> Result<bool, ProtocolError> {
        let (count, after) = match short_number(buffer, self.consumed) {
            Some((count, after)) => (count as i64, after),
            None => {
                let Some(end) = self.line_end(buffer, self.consumed, b'\r', ProtocolError::CountLineTooBig)? else {
                    return Ok(false);
                };
                let count = parse_i64(&buffer[self.consumed + 1..end]).ok_or(ProtocolError::InvalidCount)?;
                (count, end + 2)
            }
        };
        if count > limits.max_args {
            return Err(ProtocolError::InvalidCount);
        }
        if count > UNAUTHENTICATED_MAX_ARGS && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        self.scanned = 0;
        self.base = self.consumed;
        match usize::try_from(count) {
            Ok(count) if count > 0 => {
                self.args_left = count;
                self.cursor = after;
            }
            _ => self.consumed = after,
        }
        Ok(true)
    }

    /// Parses the rest of an array.
    fn parse_bulks(&mut self, buffer: &[u8], limits: &ParseLimits) -> Result<Parsed, ProtocolError> {
        let mut cursor = self.cursor;
        while self.args_left > 0 {
            let length = match self.bulk_bytes.take() {
                Some(length) => length,
                None => match self.parse_length(buffer, cursor, limits)? {
                    Some((length, after)) => {
                        cursor = after;
                        self.cursor = after;
                        length
                    }
                    None => return Ok(Parsed::Incomplete),
                },
            };
            let arrived = buffer.len() - cursor;
            if arrived < length + 2 {
                self.bulk_bytes = Some(length);
                self.wanted = Some(length + 2 - arrived);
                return Ok(Parsed::Incomplete);
            }
            let start = cursor - self.base;
            self.args.push(ArgRange { start, end: start + length });
            self.args_left -= 1;
            cursor += length + 2;
            self.cursor = cursor;
        }
        self.consumed = cursor;
        Ok(Parsed::Request)
    }

    /// Parses the header of a bulk string at `at`. Answers its length and where its bytes begin, or
    /// nothing if the header is incomplete.
    fn parse_length(
        &mut self,
        buffer: &[u8],
        at: usize,
        limits: &ParseLimits,
    ) -> Result<Option<(usize, usize)>, ProtocolError> {
        if buffer.get(at) == Some(&b'$')
            && let Some((length, after)) = short_number(buffer, at)
        {
            const { assert!(SHORT_MAX <= UNAUTHENTICATED_MAX_BULK_BYTES) };
            if length as i64 > limits.max_bulk_bytes {
                return Err(ProtocolError::InvalidLength);
            }
            self.scanned = 0;
            return Ok(Some((length, after)));
        }
        let Some(end) = self.line_end(buffer, at, b'\r', ProtocolError::LengthLineTooBig)? else {
            return Ok(None);
        };
        if buffer[at] != b'$' {
            return Err(ProtocolError::ExpectedBulk(buffer[at]));
        }
        let length = parse_i64(&buffer[at + 1..end]).filter(|length| *length <= limits.max_bulk_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok()).ok_or(ProtocolError::InvalidLength)?;
        if length as i64 > UNAUTHENTICATED_MAX_BULK_BYTES && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedLength);
        }
        self.scanned = 0;
        Ok(Some((length, end + 2)))
    }

    /// Where the line that begins at `line` ends, or nothing if its end (with the byte after a `\r`)
    /// has not arrived. What was searched is remembered, until the caller has taken the line.
    fn line_end(
        &mut self,
        buffer: &[u8],
        line: usize,
        end: u8,
        too_big: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let arrived = &buffer[line..];
        let window = &arrived[..arrived.len().min(INLINE_MAX_BYTES + 1)];
        let unseen = &window[self.scanned..];
        // Redis looks for the end with `strchr`, which stops at a NUL.
        let found = unseen.iter().position(|byte| *byte == end || *byte == 0);
        self.scanned += found.unwrap_or(unseen.len());
        match window.get(self.scanned) {
            Some(byte) if *byte == end => {
                let is_whole = end == b'\n' || self.scanned + 1 < arrived.len();
                Ok(is_whole.then_some(line + self.scanned))
            }
            _ if arrived.len() > INLINE_MAX_BYTES => Err(too_big),
            _ => Ok(None),
        }
    }

    /// Parses a line of words. Answers false if it is incomplete.
    fn parse_inline(&mut self, buffer: &[u8]) -> Result<bool, ProtocolError> {
        let Some(end) = self.line_end(buffer, self.consumed, b'\n', ProtocolError::InlineTooBig)? else {
            return Ok(false);
        };
        let line = &buffer[self.consumed..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.is_inline = true;
        self.unescaped.clear();
        let split =
            inline::split_words(line, &mut self.unescaped, |start, end| self.args.push(ArgRange { start, end }));
        if let Err(error) = split {
            self.args.clear();
            return Err(error);
        }
        self.is_inline = !self.args.is_empty();
        self.scanned = 0;
        self.base = self.consumed;
        self.consumed = end + 1;
        Ok(true)
    }
}

/// The largest number that [`short_number`] reads.
const SHORT_MAX: i64 = 999;

/// Reads a header of up to three digits that has arrived with its line end: nearly all headers.
/// Answers the number and where the next line begins. Everything else, right or wrong, is left to
/// the longer way.
#[inline]
fn short_number(buffer: &[u8], at: usize) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    match *buffer.get(at + 1..)? {
        [a @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a), at + 4)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a) * 10 + digit(b), at + 5)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ..] => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), at + 6))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
