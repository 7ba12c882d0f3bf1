//! Zipmaps: small hashes of Redis before 2.6; only read.
//!
//! ```text
//! zipmap := count: u8 | (length | field | length | free: u8 | value | free * any)* | 255
//! length := u8 below 254, or 254 and a u32, little-endian
//! ```
//! A count of 254 says nothing.

use crate::codec::{DecodeError, Reader};

const COUNT_UNKNOWN: u8 = 254;
const LENGTH_LONG: u8 = 254;
const END: u8 = 255;

/// Fields and values in turn.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DecodeError> {
    let mut reader = Reader::new(bytes, "zipmap");
    let count = reader.u8()?;
    let mut items = Vec::new();
    loop {
        let first = reader.u8()?;
        if first == END {
            break;
        }
        let length = length(&mut reader, first)?;
        items.push(reader.bytes(length)?.to_vec());
        let first = reader.u8()?;
        let length = self::length(&mut reader, first)?;
        let free = reader.u8()?;
        items.push(reader.bytes(length)?.to_vec());
        reader.bytes(usize::from(free))?;
    }
    if count < COUNT_UNKNOWN && usize::from(count) != items.len() / 2 {
        return Err(reader.error("a count that is not that of its fields"));
    }
    reader.end()?;
    Ok(items)
}

fn length(reader: &mut Reader<'_>, first: u8) -> Result<usize, DecodeError> {
    match first {
        END => Err(reader.error("an end in the middle of a field")),
        LENGTH_LONG => Ok(reader.u32()? as usize),
        short => Ok(usize::from(short)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_values_are_read() {
        let bytes = b"\x02\x01a\x02\x00v1\x02bb\x02\x03v2xyz\xff";
        assert_eq!(decode(bytes).expect("sound"), [&b"a"[..], b"v1", b"bb", b"v2"]);
        assert_eq!(decode(b"\xfe\x01a\xfe\x02\0\0\0\x00v1\xff").expect("sound"), [&b"a"[..], b"v1"]);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(b"\x03\x01a\x02\x00v1\xff").is_err(), "count");
        assert!(decode(b"\x01\x01a\xff").is_err(), "no value");
        assert!(decode(b"\x01\x01a\xfe\xff\xff\xff\xff\x00v1\xff").is_err(), "absurd");
    }
}
