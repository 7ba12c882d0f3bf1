//! Lengths and strings, read from bytes that may be damaged.
//!
//! ```text
//! length := 00llllll | 01llllll llllllll | 10000000 and a u32 | 10000001 and a u64        big-endian
//! string := length | bytes
//!           11000000, 11000001, 11000010 | an integer of one, two, four bytes, little-endian
//!           11000011 | length compressed | length | LZF
//! ```

use std::borrow::Cow;

use super::lzf;
use crate::codec::{DecodeError, Reader};
use crate::limits::RDB_EXPANDED_MAX_BYTES;

/// Strings whose room is made before they are there; more comes as they are read.
const RESERVED_MAX_ITEMS: usize = 1 << 16;

/// What stands where a length is expected.
pub(super) enum Length {
    /// A length.
    Plain(u64),
    /// A string of this special form.
    Special(u8),
}

/// Reads the body of a value.
pub(super) struct Input<'a> {
    reader: Reader<'a>,
    /// Bytes that compressed strings may still become.
    expandable: usize,
}

impl<'a> Input<'a> {
    /// Reads `bytes`; `what` names them in errors.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { reader: Reader::new(bytes, what), expandable: RDB_EXPANDED_MAX_BYTES }
    }

    /// An error at the place reached.
    pub(super) fn error(&self, reason: &'static str) -> DecodeError {
        self.reader.error(reason)
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        self.reader.bytes(count)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.reader.array()
    }

    /// The next byte.
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.reader.u8()
    }

    /// Refuses bytes that are left over.
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        self.reader.end()
    }

    fn any_length(&mut self) -> Result<Length, DecodeError> {
        let first = self.reader.u8()?;
        Ok(Length::Plain(match first {
            0x00..=0x3f => u64::from(first),
            0x40..=0x7f => u64::from(first & 0x3f) << 8 | u64::from(self.reader.u8()?),
            0x80 => u64::from(u32::from_be_bytes(self.reader.array()?)),
            0x81 => u64::from_be_bytes(self.reader.array()?),
            0xc0.. => return Ok(Length::Special(first & 0x3f)),
            _ => return Err(self.error("a length of a form that there is not")),
        }))
    }

    /// A number in the form of a length.
    pub(super) fn length(&mut self) -> Result<u64, DecodeError> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(self.error("a string where a number is expected")),
        }
    }

    fn size(&mut self) -> Result<usize, DecodeError> {
        let length = self.length()?;
        // A length beyond the address space is beyond the bytes as well.
        Ok(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// The number of items of at least `item_bytes` each that follow: not more than fit.
    pub(super) fn count(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        let count = self.size()?;
        if count > self.reader.remaining() / item_bytes {
            return Err(self.error("more items than there are bytes for"));
        }
        Ok(count)
    }

    /// The number of items of a value, which cannot be empty.
    pub(super) fn count_of_value(&mut self, item_bytes: usize) -> Result<usize, DecodeError> {
        match self.count(item_bytes)? {
            0 => Err(self.error("a value without items")),
            count => Ok(count),
        }
    }

    /// The next string.
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        let special = match self.any_length()? {
            Length::Plain(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                return self.reader.bytes(length).map(Cow::Borrowed);
            }
            Length::Special(special) => special,
        };
        let number = match special {
            0 => i32::from(i8::from_le_bytes(self.reader.array()?)),
            1 => i32::from(i16::from_le_bytes(self.reader.array()?)),
            2 => i32::from_le_bytes(self.reader.array()?),
            3 => return self.compressed().map(Cow::Owned),
            _ => return Err(self.error("a string of a form that there is not")),
        };
        Ok(Cow::Owned(number.to_string().into_bytes()))
    }

    fn compressed(&mut self) -> Result<Vec<u8>, DecodeError> {
        let compressed = self.size()?;
        let length = self.size()?;
        let bytes = self.reader.bytes(compressed)?;
        let Some(expandable) = self.expandable.checked_sub(length) else {
            return Err(self.error("compressed strings that are too long together"));
        };
        let string = lzf::decompress(bytes, length).ok_or_else(|| self.error("a damaged compressed string"))?;
        self.expandable = expandable;
        Ok(string)
    }

    /// So many strings.
    pub(super) fn strings(&mut self, count: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
        let mut strings = Vec::with_capacity(count.min(RESERVED_MAX_ITEMS));
        for _ in 0..count {
            strings.push(self.string()?.into_owned());
        }
        Ok(strings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut input = Input::new(bytes, "sample");
        let string = input.string().ok()?.into_owned();
        input.end().ok().map(|()| string)
    }

    #[test]
    fn strings_of_all_forms() {
        assert_eq!(string(b"\x02hi"), Some(b"hi".to_vec()));
        assert_eq!(string(&[&b"\x41\x00"[..], &[b'x'; 256]].concat()), Some(vec![b'x'; 256]));
        assert_eq!(string(b"\x80\0\0\0\x01y"), Some(b"y".to_vec()));
        assert_eq!(string(b"\x81\0\0\0\0\0\0\0\x01y"), Some(b"y".to_vec()));
        assert_eq!(string(b"\xc0\xff"), Some(b"-1".to_vec()));
        assert_eq!(string(b"\xc1\x00\x80"), Some(b"-32768".to_vec()));
        assert_eq!(string(b"\xc2\xff\xff\xff\x7f"), Some(b"2147483647".to_vec()));
        assert_eq!(string(b"\xc3\x05\x14\x00a\xe0\x0a\x00"), Some(vec![b'a'; 20]));
    }

    #[test]
    fn damage_is_seen() {
        for bad in [
            &b""[..],
            b"\x05hi",
            b"\x82",
            b"\xc4\x00",
            b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xc3\x05\x15\x00a\xe0\x0a\x00",
            b"\xc3\x05\x81\xff\xff\xff\xff\xff\xff\xff\xff\x00a\xe0\x0a\x00",
            b"\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x14\x00a\xe0\x0a\x00",
        ] {
            assert_eq!(string(bad), None, "{bad:?}");
        }
        assert!(Input::new(b"\xc0\x01", "sample").length().is_err());
        assert!(Input::new(b"\x03ab", "sample").count(1).is_err());
    }
}
