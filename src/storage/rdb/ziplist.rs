//! Ziplists: what small collections were kept in before Redis 7.0; only read.
//!
//! ```text
//! ziplist  := bytes: u32 | offset of the last entry: u32 | count: u16 | entry* | 255      all little-endian
//! entry    := length of the entry before it | encoding | data
//! length   := u8 below 254, or 254 and a u32
//! encoding := 00llllll                        a string of l bytes
//!             01llllll llllllll               the same, big-endian
//!             10...... and a u32              the same, big-endian
//!             11000000, 11010000, 11100000    an integer of two, four, eight bytes
//!             11110000, 11111110              an integer of three bytes, of one
//!             1111vvvv                        the integer v - 1, from 0 to 12
//! ```
//! A count of 65535 says nothing.

use super::listpack::Item;
use crate::codec::{DecodeError, Reader};

const COUNT_UNKNOWN: u16 = u16::MAX;
const LENGTH_LONG: u8 = 254;
const END: u8 = 255;

/// The entries of a ziplist.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Item<'_>>, DecodeError> {
    let mut reader = Reader::new(bytes, "ziplist");
    if reader.u32()? as usize != bytes.len() {
        return Err(reader.error("a length that is not its own"));
    }
    let last_at = reader.u32()? as usize;
    let count = reader.u16()?;
    let mut items = Vec::new();
    let mut last = (reader.offset(), 0);
    loop {
        let start = reader.offset();
        let first = reader.u8()?;
        if first == END {
            break;
        }
        let before = if first == LENGTH_LONG { reader.u32()? as usize } else { usize::from(first) };
        if before != last.1 {
            return Err(reader.error("a length that is not that of the entry before"));
        }
        items.push(item(&mut reader)?);
        last = (start, reader.offset() - start);
    }
    if last.0 != last_at {
        return Err(reader.error("an offset that is not that of the last entry"));
    }
    if count != COUNT_UNKNOWN && usize::from(count) != items.len() {
        return Err(reader.error("a count that is not that of its entries"));
    }
    reader.end()?;
    Ok(items)
}

fn item<'a>(reader: &mut Reader<'a>) -> Result<Item<'a>, DecodeError> {
    let encoding = reader.u8()?;
    let length = match encoding {
        0x00..=0x3f => usize::from(encoding),
        0x40..=0x7f => usize::from(encoding & 0x3f) << 8 | usize::from(reader.u8()?),
        0x80..=0xbf => u32::from_be_bytes(reader.array()?) as usize,
        0xc0 => return Ok(Item::Int(i64::from(i16::from_le_bytes(reader.array()?)))),
        0xd0 => return Ok(Item::Int(i64::from(i32::from_le_bytes(reader.array()?)))),
        0xe0 => return reader.i64().map(Item::Int),
        0xf0 => {
            let [a, b, c] = reader.array()?;
            return Ok(Item::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)));
        }
        0xfe => return Ok(Item::Int(i64::from(i8::from_le_bytes(reader.array()?)))),
        0xf1..=0xfd => return Ok(Item::Int(i64::from(encoding & 0x0f) - 1)),
        _ => return Err(reader.error("an encoding that there is not")),
    };
    reader.bytes(length).map(Item::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `["2", "5"]`, as Redis documents it.
    const DOCUMENTED: &[u8] = b"\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff";

    fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; 10];
        let (mut before, mut last) = (0usize, 10);
        for entry in entries {
            last = bytes.len();
            if before < 254 {
                bytes.push(before as u8);
            } else {
                bytes.push(254);
                bytes.extend_from_slice(&(before as u32).to_le_bytes());
            }
            bytes.extend_from_slice(entry);
            before = bytes.len() - last;
        }
        bytes.push(255);
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(entries.len() as u16).to_le_bytes());
        bytes
    }

    #[test]
    fn entries_of_all_encodings() {
        assert_eq!(decode(DOCUMENTED).expect("sound"), [Item::Int(2), Item::Int(5)]);
        let long = [&b"\x41\x2c"[..], &[b'x'; 300]].concat();
        let entries: [&[u8]; 10] = [
            b"\x02hi",
            &long,
            b"\x80\0\0\0\x01y",
            b"\xc0\xfe\xff",
            b"\xd0\0\0\0\x80",
            b"\xe0\x01\0\0\0\0\0\0\0",
            b"\xf0\0\0\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
        ];
        let bytes = ziplist(&entries);
        let expected = [
            Item::Bytes(b"hi"),
            Item::Bytes(&[b'x'; 300]),
            Item::Bytes(b"y"),
            Item::Int(-2),
            Item::Int(i64::from(i32::MIN)),
            Item::Int(1),
            Item::Int(-(1 << 23)),
            Item::Int(-128),
            Item::Int(0),
            Item::Int(12),
        ];
        assert_eq!(decode(&bytes).expect("sound"), expected);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err());
        }
        assert_eq!(decode(&ziplist(&[])).expect("sound"), []);
    }

    #[test]
    fn damage_is_seen() {
        for (at, what) in [(0, "length"), (4, "last"), (8, "count"), (10, "before"), (12, "before"), (11, "encoding")] {
            let mut bytes = DOCUMENTED.to_vec();
            bytes[at] = 0xff;
            assert!(decode(&bytes).is_err(), "{what}");
        }
        assert!(decode(&ziplist(&[b"\x80\xff\xff\xff\xffy"])).is_err(), "absurd");
    }
}
