//! The small pieces that formats encoded by hand are made of, and a reader of bytes that may be damaged.
//!
//! ```text
//! varint := seven bits a byte, lowest first; the high bit says that another byte follows
//! run    := length: varint | length bytes
//! ```

/// Longest varint of 64 bits.
pub(crate) const VARINT_MAX_BYTES: usize = 10;

/// Bytes that a varint takes.
pub(crate) fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Writes a varint to the beginning of `out` and returns its length.
///
/// # Panics
/// When it does not fit.
#[inline]
pub(crate) fn write_varint(out: &mut [u8], mut value: u64) -> usize {
    let mut used = 0;
    while value >= 0x80 {
        out[used] = value as u8 | 0x80;
        value >>= 7;
        used += 1;
    }
    out[used] = value as u8;
    used + 1
}

/// Appends a varint.
#[inline]
pub(crate) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a run: its length and its bytes.
#[inline]
pub(crate) fn push_run(out: &mut Vec<u8>, bytes: &[u8]) {
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The varint at the beginning of `bytes` and its length; `None` when it is cut off or too long.
#[inline]
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Some((u64::from(byte), 1)),
        _ => read_long_varint(bytes),
    }
}

fn read_long_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(VARINT_MAX_BYTES).enumerate() {
        if index == VARINT_MAX_BYTES - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

/// The bytes are not what the format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}, before byte {offset}")]
pub struct DecodeError {
    /// What was read.
    pub what: &'static str,
    /// What is wrong, in words.
    pub reason: &'static str,
    /// How far reading came.
    pub offset: usize,
}

/// Reads bytes that may be damaged, from the front.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; `what` names them in errors.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { what, rest: bytes, total: bytes.len() }
    }

    /// What is read.
    pub(crate) fn what(&self) -> &'static str {
        self.what
    }

    /// An error at the place reached.
    #[cold]
    pub(crate) fn error(&self, reason: &'static str) -> DecodeError {
        DecodeError { what: self.what, reason, offset: self.offset() }
    }

    /// Bytes read.
    pub(crate) fn offset(&self) -> usize {
        self.total - self.rest.len()
    }

    /// Bytes left.
    #[inline]
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.error("it ends too early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// All bytes that are left.
    #[inline]
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            return Err(self.error("it ends too early"));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// The next byte.
    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    /// The next two bytes, a little-endian number.
    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes, a little-endian number.
    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes, a little-endian number.
    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next sixteen bytes, a little-endian number.
    #[inline]
    pub(crate) fn u128(&mut self) -> Result<u128, DecodeError> {
        self.array().map(u128::from_le_bytes)
    }

    /// The next eight bytes, a little-endian number with a sign.
    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    /// The next byte, 0 or 1.
    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error("a flag is neither 0 nor 1")),
        }
    }

    /// The next varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let Some((value, used)) = read_varint(self.rest) else { return Err(self.error("a damaged number")) };
        self.rest = &self.rest[used..];
        Ok(value)
    }

    /// The next run.
    #[inline]
    pub(crate) fn run(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.varint()?;
        // A length beyond the address space is beyond the bytes as well.
        self.bytes(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Refuses bytes that are left over.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("bytes are left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_bytes(value));
            assert_eq!(read_varint(&bytes), Some((value, bytes.len())));
            let mut written = [0; VARINT_MAX_BYTES];
            let used = write_varint(&mut written, value);
            assert_eq!(written[..used], bytes);
            for cut in 0..bytes.len() {
                assert_eq!(read_varint(&bytes[..cut]), None);
            }
        }
        assert_eq!(read_varint(&[0xff; 10]), None);
        assert_eq!(read_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None, "65 bits");
    }

    #[test]
    fn values_come_off_the_front() {
        let bytes =
            [&[7, 1, 2][..], &3u32.to_le_bytes(), &4u64.to_le_bytes(), &(-5i64).to_le_bytes(), b"\x01\x02hirest"];
        let bytes = bytes.concat();
        let mut reader = Reader::new(&bytes, "sample");
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u16(), Ok(0x0201));
        assert_eq!((reader.u32(), reader.u64(), reader.i64()), (Ok(3), Ok(4), Ok(-5)));
        assert_eq!((reader.flag(), reader.run()), (Ok(true), Ok(&b"hi"[..])));
        assert_eq!((reader.offset(), reader.remaining()), (bytes.len() - 4, 4));
        assert!(reader.end().is_err());
        assert_eq!(reader.take_rest(), b"rest");
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn what_is_not_there_is_an_error_and_takes_nothing() {
        let mut reader = Reader::new(b"\x02abc", "sample");
        assert_eq!(reader.u64(), Err(DecodeError { what: "sample", reason: "it ends too early", offset: 0 }));
        assert_eq!(
            reader.bytes(5).map_err(|error| error.to_string()),
            Err("sample: it ends too early, before byte 0".to_owned())
        );
        assert_eq!(reader.run(), Ok(&b"ab"[..]));
        assert_eq!(reader.flag(), Err(DecodeError { what: "sample", reason: "a flag is neither 0 nor 1", offset: 4 }));
        assert_eq!(
            Reader::new(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", "sample").run().map_err(|error| error.offset),
            Err(10)
        );
    }
}
