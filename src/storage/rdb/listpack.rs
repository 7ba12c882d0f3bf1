//! Listpacks: what small collections are kept in since Redis 7.0, and the entries of streams since 5.0.
//!
//! ```text
//! listpack := bytes: u32 | count: u16 | entry* | 255                         little-endian
//! entry    := encoding | data | length of both, so that it can be read from behind
//! encoding := 0vvvvvvv                        the integer v
//!             10llllll                        a string of l bytes
//!             110vvvvv vvvvvvvv               an integer of 13 bits with a sign
//!             1110llll llllllll               a string of l bytes
//!             11110000 and a u32              the same
//!             11110001 .. 11110100            an integer of two, three, four, eight bytes
//! length   := seven bits a byte, highest first; the high bit is set in all but the first
//! ```
//! A count of 65535 says nothing.

use std::borrow::Cow;

use crate::codec::{DecodeError, Reader};
use crate::types::number::parse_i64;

const COUNT_UNKNOWN: u16 = u16::MAX;
const HEADER_BYTES: usize = 6;
const END: u8 = 255;

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// A string.
    Bytes(&'a [u8]),
    /// The decimal form of an integer.
    Int(i64),
}

impl<'a> Item<'a> {
    /// The string that it is.
    pub(super) fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Int(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }

    /// Its integer, if it is one.
    pub(super) fn int(self) -> Option<i64> {
        match self {
            Self::Bytes(bytes) => parse_i64(bytes),
            Self::Int(number) => Some(number),
        }
    }
}

/// Bytes that the length of an entry takes behind it. The bounds are one below what seven bits each can hold,
/// as other programs write them.
fn back_length_bytes(length: usize) -> usize {
    match length {
        0..=127 => 1,
        128..16_383 => 2,
        16_383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

fn back_length(length: usize) -> ([u8; 5], usize) {
    let used = back_length_bytes(length);
    let mut bytes = [0; 5];
    for (index, byte) in bytes[..used].iter_mut().enumerate() {
        let bits = (length >> (7 * (used - 1 - index))) as u8 & 0x7f;
        *byte = if index == 0 { bits } else { bits | 0x80 };
    }
    (bytes, used)
}

/// The entries of a listpack.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Item<'_>>, DecodeError> {
    let mut reader = Reader::new(bytes, "listpack");
    if reader.u32()? as usize != bytes.len() {
        return Err(reader.error("a length that is not its own"));
    }
    let count = reader.u16()?;
    let mut items = Vec::new();
    loop {
        let start = reader.offset();
        let encoding = reader.u8()?;
        if encoding == END {
            break;
        }
        items.push(item(&mut reader, encoding)?);
        let (expected, used) = back_length(reader.offset() - start);
        if reader.bytes(used)? != &expected[..used] {
            return Err(reader.error("a length that is not that of its entry"));
        }
    }
    if count != COUNT_UNKNOWN && usize::from(count) != items.len() {
        return Err(reader.error("a count that is not that of its entries"));
    }
    reader.end()?;
    Ok(items)
}

fn item<'a>(reader: &mut Reader<'a>, encoding: u8) -> Result<Item<'a>, DecodeError> {
    let length = match encoding {
        0x00..=0x7f => return Ok(Item::Int(i64::from(encoding))),
        0x80..=0xbf => usize::from(encoding & 0x3f),
        0xc0..=0xdf => {
            let bits = u16::from(encoding & 0x1f) << 8 | u16::from(reader.u8()?);
            // The sign is the highest of thirteen bits.
            return Ok(Item::Int(i64::from((bits << 3) as i16 >> 3)));
        }
        0xe0..=0xef => usize::from(encoding & 0x0f) << 8 | usize::from(reader.u8()?),
        0xf0 => reader.u32()? as usize,
        0xf1 => return Ok(Item::Int(i64::from(i16::from_le_bytes(reader.array()?)))),
        0xf2 => {
            let [a, b, c] = reader.array()?;
            return Ok(Item::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)));
        }
        0xf3 => return Ok(Item::Int(i64::from(i32::from_le_bytes(reader.array()?)))),
        0xf4 => return reader.i64().map(Item::Int),
        _ => return Err(reader.error("an encoding that there is not")),
    };
    reader.bytes(length).map(Item::Bytes)
}

/// Bytes that an integer takes as an entry.
pub(super) fn int_bytes(number: i64) -> usize {
    let mut writer = Writer::new();
    let before = writer.size();
    writer.push_int(number);
    writer.size() - before
}

/// Writes a listpack.
pub(super) struct Writer {
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes so far, and that of the end.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Appends a string; decimal integers are kept as such.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match parse_i64(bytes) {
            Some(number) => self.push_int(number),
            None => self.push_string(bytes),
        }
    }

    fn push_string(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        match bytes.len() {
            length @ 0..64 => self.bytes.push(0x80 | length as u8),
            length @ 64..4096 => self.bytes.extend_from_slice(&[0xe0 | (length >> 8) as u8, length as u8]),
            length => {
                self.bytes.push(0xf0);
                self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(bytes);
        self.end_entry(start);
    }

    /// Appends an integer.
    pub(super) fn push_int(&mut self, number: i64) {
        let start = self.bytes.len();
        let bytes = number.to_le_bytes();
        let mut push = |encoding, width| {
            self.bytes.push(encoding);
            self.bytes.extend_from_slice(&bytes[..width]);
        };
        match number {
            0..128 => self.bytes.push(bytes[0]),
            -4096..4096 => self.bytes.extend_from_slice(&[0xc0 | (number >> 8) as u8 & 0x1f, bytes[0]]),
            -0x8000..0x8000 => push(0xf1, 2),
            -0x80_0000..0x80_0000 => push(0xf2, 3),
            -0x8000_0000..0x8000_0000 => push(0xf3, 4),
            _ => push(0xf4, 8),
        }
        self.end_entry(start);
    }

    fn end_entry(&mut self, start: usize) {
        let (bytes, used) = back_length(self.bytes.len() - start);
        self.bytes.extend_from_slice(&bytes[..used]);
        self.count += 1;
    }

    /// The listpack.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(END);
        let length = u32::try_from(self.bytes.len()).expect("writers stop far below 4 GiB");
        self.bytes[..4].copy_from_slice(&length.to_le_bytes());
        let count = u16::try_from(self.count).unwrap_or(COUNT_UNKNOWN);
        self.bytes[4..HEADER_BYTES].copy_from_slice(&count.to_le_bytes());
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listpack(items: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::new();
        items.iter().for_each(|item| writer.push(item));
        let size = writer.size();
        let bytes = writer.finish();
        assert_eq!(bytes.len(), size);
        bytes
    }

    #[test]
    fn entries_of_all_lengths_come_back() {
        for length in [0, 1, 63, 64, 125, 126, 127, 128, 4095, 4096, 16_380, 16_384, 70_000, 2_097_145, 2_097_151] {
            let text = vec![b'x'; length];
            let bytes = listpack(&[b"a", &text, b"b"]);
            let items = decode(&bytes).expect("sound");
            assert_eq!(items, [Item::Bytes(b"a"), Item::Bytes(&text), Item::Bytes(b"b")], "{length}");
        }
        let many: Vec<&[u8]> = vec![b"x"; 70_000];
        assert_eq!(decode(&listpack(&many)).expect("sound").len(), 70_000);
    }

    #[test]
    fn integers_of_all_widths_come_back() {
        let mut numbers = vec![0, 1, 127, 128, i64::MIN, i64::MAX];
        for bits in [7, 12, 15, 23, 31, 47, 62] {
            let bound = 1i64 << bits;
            numbers.extend([bound - 1, bound, bound + 1, -bound - 1, -bound, 1 - bound]);
        }
        for number in numbers {
            let text = number.to_string();
            let bytes = listpack(&[text.as_bytes()]);
            assert_eq!(decode(&bytes).expect("sound"), [Item::Int(number)]);
        }
        assert_eq!(decode(&listpack(&[b"-0", b"01", b"+1", b""])).expect("sound").len(), 4);
    }

    #[test]
    fn the_format_is_that_of_others() {
        // RPUSH l a 5 -1 300 of redis-server 7.0.15.
        assert_eq!(
            listpack(&[b"a", b"5", b"-1", b"300"]),
            b"\x12\0\0\0\x04\0\x81a\x02\x05\x01\xdf\xff\x02\xc1\x2c\x02\xff"
        );
    }

    #[test]
    fn damage_is_seen() {
        let bytes = listpack(&[b"hello", b"-1", b"70000"]);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            if let Ok(items) = decode(&damaged) {
                assert_eq!(items.len(), 3, "at most a value has changed");
            }
        }
        assert!(decode(b"\x0c\0\0\0\x01\0\xf0\xff\xff\xff\xff\xff").is_err(), "absurd");
    }
}
