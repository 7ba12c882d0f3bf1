//! From replies to bytes.

use std::fmt::{self, Display, Write as _};

use super::ReplyBuffer;
use super::buffer::Closed;
use crate::limits::OUTPUT_CHUNK_BYTES;
use crate::types::number::format_f64;

/// The version of the protocol that a client speaks; `HELLO` changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What every client understands.
    #[default]
    Resp2,
    /// With maps, sets, doubles, nulls, pushes of their own.
    Resp3,
}

/// Appends replies to a buffer, in the client's version of the protocol.
///
/// A reply is written as one value, or as the header of an aggregate and then its elements, as many as were
/// announced. What RESP2 has no type for becomes what Redis makes of it. Nothing is allocated but the
/// buffer's growth.
///
/// ```
/// use kvorum::resp::{Protocol, Reply};
///
/// let mut out = Vec::new();
/// let mut reply = Reply::new(&mut out, Protocol::Resp2);
/// reply.map(1);
/// reply.bulk(b"proto");
/// reply.integer(2);
/// assert_eq!(out, b"*2\r\n$5\r\nproto\r\n:2\r\n");
/// ```
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    /// Where `out` goes when it is full, if it is the open chunk of a [`ReplyBuffer`].
    closed: Option<&'a mut Closed>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// Writes to the end of `out`.
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Self {
        Self { out, closed: None, protocol }
    }

    /// Writes to the end of a [`ReplyBuffer`].
    #[inline]
    pub(super) fn chunked(out: &'a mut Vec<u8>, closed: &'a mut Closed, protocol: Protocol) -> Self {
        Self { out, closed: Some(closed), protocol }
    }

    /// The client's version of the protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// `+OK`
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A status. It is one line: line breaks become spaces.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text);
    }

    /// An error; `text` begins with its code. It is one line: line breaks around it are dropped, those in it become
    /// spaces.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.trim_matches(['\r', '\n']));
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        match u8::try_from(value) {
            Ok(digit @ 0..=9) => self.raw(&[b':', b'0' + digit, b'\r', b'\n']),
            _ => self.number_line(b':', value),
        }
    }

    /// A string of any bytes.
    pub fn bulk(&mut self, bytes: &[u8]) {
        let room = bytes.len() + 16;
        if self.out.capacity() - self.out.len() < room {
            self.make_room(room);
        }
        self.length_line(b'$', bytes.len());
        self.raw(bytes);
        self.raw(b"\r\n");
        if bytes.len() >= OUTPUT_CHUNK_BYTES {
            self.close();
        }
    }

    #[cold]
    fn make_room(&mut self, bytes: usize) {
        match &mut self.closed {
            Some(closed) => closed.make_room(self.out, bytes),
            None => self.out.reserve(bytes),
        }
    }

    /// Closes the chunk after a large string, which would have to be copied for it to grow.
    #[cold]
    fn close(&mut self) {
        if let Some(closed) = &mut self.closed {
            closed.close(self.out);
        }
    }

    /// A string of what `value` displays, formatted in place.
    pub fn bulk_display(&mut self, value: impl Display) {
        /// What the header is for the lengths that are most common here, ten to ninety-nine.
        const USUAL_HEADER: usize = b"$10\r\n".len();
        let start = self.out.len();
        self.raw(&[0; USUAL_HEADER]);
        write!(Appender(self.out), "{value}").expect("appending to a vector does not fail");
        let length = self.out.len() - start - USUAL_HEADER;
        let mut number = itoa::Buffer::new();
        let number = number.format(length).as_bytes();
        let header = number.len() + 3;
        let body = start + USUAL_HEADER..start + USUAL_HEADER + length;
        if header > USUAL_HEADER {
            self.out.resize(start + header + length, 0);
        }
        if header != USUAL_HEADER {
            self.out.copy_within(body, start + header);
            self.out.truncate(start + header + length);
        }
        let place = &mut self.out[start..start + header];
        place[0] = b'$';
        place[1..header - 2].copy_from_slice(number);
        place[header - 2..].copy_from_slice(b"\r\n");
        self.raw(b"\r\n");
    }

    /// The absence of a value.
    pub fn null(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"$-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// The absence of an array.
    pub fn null_array(&mut self) {
        match self.protocol {
            Protocol::Resp2 => self.raw(b"*-1\r\n"),
            Protocol::Resp3 => self.raw(b"_\r\n"),
        }
    }

    /// The header of an array; as many elements must follow.
    pub fn array(&mut self, elements: usize) {
        self.length_line(b'*', elements);
    }

    /// The header of a map; a key and a value must follow for each pair. In RESP2 a flat array.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length_line(b'*', pairs * 2),
            Protocol::Resp3 => self.length_line(b'%', pairs),
        }
    }

    /// The header of a set; as many elements must follow. In RESP2 an array.
    pub fn set(&mut self, elements: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length_line(b'*', elements),
            Protocol::Resp3 => self.length_line(b'~', elements),
        }
    }

    /// The header of a message that answers no request; as many elements must follow. In RESP2 an
    /// array.
    pub fn push(&mut self, elements: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length_line(b'*', elements),
            Protocol::Resp3 => self.length_line(b'>', elements),
        }
    }

    /// The header of attributes of the reply that comes after them; a key and a value must follow for each pair.
    /// RESP2 has no attributes: there nothing is written, the answer is false, and the pairs must not follow.
    #[must_use]
    pub fn attribute(&mut self, pairs: usize) -> bool {
        match self.protocol {
            Protocol::Resp2 => false,
            Protocol::Resp3 => {
                self.length_line(b'|', pairs);
                true
            }
        }
    }

    /// A double with 17 significant digits, as Redis 7.0 writes it. In RESP2 a string.
    pub fn double(&mut self, value: f64) {
        self.double_text(format_f64(value).as_bytes());
    }

    /// A double whose text was made elsewhere, such as the coordinates of GEOPOS. In RESP2 a string.
    ///
    /// The results of INCRBYFLOAT and HINCRBYFLOAT are strings in both versions: they take
    /// [`bulk`](Self::bulk).
    pub fn human_long_double(&mut self, text: &str) {
        self.double_text(text.as_bytes());
    }

    /// A truth value. In RESP2 the integer 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        self.raw(match (self.protocol, value) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// Text for people, in a format such as `txt` or `mkd`. In RESP2 a string without the format.
    ///
    /// # Panics
    /// When the format's name has not three bytes.
    pub fn verbatim(&mut self, extension: &str, text: &[u8]) {
        assert_eq!(extension.len(), 3, "a verbatim string's format has a name of three bytes");
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.length_line(b'=', text.len() + 4);
                self.raw(extension.as_bytes());
                self.raw(b":");
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    /// An integer of any size, by its decimal digits. In RESP2 a string.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits),
        }
    }

    /// Bytes that are protocol already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends replies that were gathered elsewhere, and empties `replies`.
    pub fn append(&mut self, replies: &mut ReplyBuffer) {
        match &mut self.closed {
            Some(closed) => replies.move_behind(closed, self.out),
            None => self.out.append(&mut replies.to_vec()),
        }
    }

    /// How many bytes are in the buffer, for [`truncate`](Self::truncate).
    #[inline]
    pub fn len(&self) -> usize {
        self.closed.as_ref().map_or(0, |closed| closed.bytes()) + self.out.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes back everything after the first `len` bytes of the buffer.
    pub fn truncate(&mut self, len: usize) {
        let before = self.closed.as_ref().map_or(0, |closed| closed.bytes());
        match (len.checked_sub(before), &mut self.closed) {
            (Some(len), _) => self.out.truncate(len),
            (None, Some(closed)) => closed.reopen(self.out, len),
            (None, None) => unreachable!("without closed chunks nothing is before the open one"),
        }
    }

    fn double_text(&mut self, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                self.raw(b",");
                self.raw(text);
                self.raw(b"\r\n");
            }
        }
    }

    fn line(&mut self, marker: u8, text: &str) {
        self.out.push(marker);
        let start = self.out.len();
        self.raw(text.as_bytes());
        for byte in &mut self.out[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.raw(b"\r\n");
    }

    #[inline]
    fn length_line(&mut self, marker: u8, length: usize) {
        // Below a hundred the division is by a constant, and the line is appended at once.
        match u8::try_from(length) {
            Ok(digit @ 0..=9) => self.raw(&[marker, b'0' + digit, b'\r', b'\n']),
            Ok(two @ 10..=99) => self.raw(&[marker, b'0' + two / 10, b'0' + two % 10, b'\r', b'\n']),
            _ => self.number_line(marker, length),
        }
    }

    fn number_line(&mut self, marker: u8, value: impl itoa::Integer) {
        let mut number = itoa::Buffer::new();
        self.out.push(marker);
        self.raw(number.format(value).as_bytes());
        self.raw(b"\r\n");
    }
}

struct Appender<'a>(&'a mut Vec<u8>);

impl fmt::Write for Appender<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
