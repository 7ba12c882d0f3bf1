//! Objects as bytes, and the small pieces such formats are made of.
//!
//! ```text
//! object := version: u8 = 1 | kind: u8 | body
//! body   := kind 0, string: run
//!           kind 1, hash:   count: varint | count * (field: run | value: run)
//! run    := length: varint | length bytes
//! varint := seven bits a byte, lowest first; the high bit says that another byte follows
//! ```
//!
//! The version is for readers of later programs: bytes with an unknown one are refused.

use super::{Object, StorageError, StorageResult};

/// The version that [`Object::encode`] writes.
const VERSION: u8 = 1;
const KIND_STRING: u8 = 0;
const KIND_HASH: u8 = 1;

/// Longest varint of 64 bits.
pub(crate) const VARINT_MAX_BYTES: usize = 10;

/// Fields up to which duplicates are looked for pair by pair.
const PAIRWISE_MAX_FIELDS: usize = 16;

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
pub(crate) fn push_varint(out: &mut Vec<u8>, value: u64) {
    let mut bytes = [0; VARINT_MAX_BYTES];
    let used = write_varint(&mut bytes, value);
    out.extend_from_slice(&bytes[..used]);
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

/// Reads bytes that may be damaged. Its errors say what was read and where.
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`; `what` names them in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { what, rest: bytes, total: bytes.len() }
    }

    /// An error at the place reached.
    pub(crate) fn corrupt(&self, found: impl std::fmt::Display) -> StorageError {
        StorageError::Corrupt {
            what: self.what,
            detail: format!("{found}, before byte {}", self.total - self.rest.len()),
        }
    }

    /// Bytes left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `length` bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, length: u64) -> StorageResult<&'a [u8]> {
        if length > self.rest.len() as u64 {
            return Err(self.corrupt(format_args!("{length} bytes wanted, {} left", self.rest.len())));
        }
        let (taken, rest) = self.rest.split_at(length as usize);
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> StorageResult<[u8; N]> {
        Ok(self.bytes(N as u64)?.try_into().expect("as many bytes as asked for"))
    }

    /// The next byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> StorageResult<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The next varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> StorageResult<u64> {
        let Some((value, used)) = read_varint(self.rest) else { return Err(self.corrupt("a damaged number")) };
        self.rest = &self.rest[used..];
        Ok(value)
    }

    /// The next run.
    #[inline]
    pub(crate) fn run(&mut self) -> StorageResult<&'a [u8]> {
        let length = self.varint()?;
        self.bytes(length)
    }

    /// Refuses bytes that are left over.
    pub(crate) fn end(&self) -> StorageResult<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.corrupt(format_args!("{} bytes left over", self.rest.len())))
        }
    }
}

/// Refuses a field that stands twice.
pub(crate) fn refuse_duplicates(reader: &Reader<'_>, fields: &[&[u8]]) -> StorageResult<()> {
    let unique = if fields.len() <= PAIRWISE_MAX_FIELDS {
        fields.iter().enumerate().all(|(index, field)| !fields[..index].contains(field))
    } else {
        let mut sorted = fields.to_vec();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    };
    if unique { Ok(()) } else { Err(reader.corrupt("a field that stands twice")) }
}

impl Object {
    /// Appends the object in the format of this module.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Self::String(bytes) => {
                out.push(KIND_STRING);
                push_run(out, bytes);
            }
            Self::Hash(fields) => {
                out.push(KIND_HASH);
                push_varint(out, fields.len() as u64);
                for (field, value) in fields {
                    push_run(out, field);
                    push_run(out, value);
                }
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] when the bytes are not exactly one object.
    pub fn decode(bytes: &[u8]) -> StorageResult<Self> {
        let mut reader = Reader::new(bytes, "object");
        let version = reader.byte()?;
        if version != VERSION {
            return Err(reader.corrupt(format_args!("version {version}")));
        }
        let object = match reader.byte()? {
            KIND_STRING => Self::String(reader.run()?.to_vec()),
            KIND_HASH => decode_hash(&mut reader)?,
            kind => return Err(reader.corrupt(format_args!("kind {kind}"))),
        };
        reader.end()?;
        Ok(object)
    }
}

fn decode_hash(reader: &mut Reader<'_>) -> StorageResult<Object> {
    let count = reader.varint()?;
    // A field and a value take a byte each at least: more are not believed.
    if count == 0 || count > reader.remaining() as u64 / 2 {
        return Err(reader.corrupt(format_args!("a hash of {count} fields")));
    }
    let mut pairs = Vec::with_capacity(count as usize);
    for _ in 0..count {
        pairs.push((reader.run()?, reader.run()?));
    }
    let fields: Vec<&[u8]> = pairs.iter().map(|(field, _)| *field).collect();
    refuse_duplicates(reader, &fields)?;
    Ok(Object::Hash(pairs.into_iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Object> {
        let many = (0..1000).map(|i| (format!("field{i}").into_bytes(), vec![b'v'; i])).collect();
        vec![
            Object::String(Vec::new()),
            Object::String(b"\0bytes\xff".to_vec()),
            Object::Hash(vec![(b"b".to_vec(), b"1".to_vec()), (b"a".to_vec(), Vec::new())]),
            Object::Hash(many),
        ]
    }

    #[test]
    fn round_trips() {
        for object in samples() {
            let mut bytes = Vec::new();
            object.encode(&mut bytes);
            assert_eq!(Object::decode(&bytes).unwrap(), object);
        }
    }

    #[test]
    fn format_is_fixed() {
        let mut bytes = Vec::new();
        samples()[2].encode(&mut bytes);
        assert_eq!(bytes, b"\x01\x01\x02\x01b\x011\x01a\x00");
    }

    #[test]
    fn damage_is_an_error() {
        let mut bytes = Vec::new();
        samples()[2].encode(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Object::decode(&bytes[..end]).is_err());
        }
        bytes.push(0);
        assert!(Object::decode(&bytes).is_err(), "left over");
        assert!(Object::decode(b"\x02\x00\x00").is_err(), "version");
        assert!(Object::decode(b"\x01\x07\x00").is_err(), "kind");
        assert!(Object::decode(b"\x01\x01\x00").is_err(), "empty hash");
        assert!(Object::decode(b"\x01\x01\x02\x01a\x00\x01a\x00").is_err(), "field twice");
        assert!(Object::decode(b"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err(), "absurd count");
    }

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            push_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_bytes(value));
            assert_eq!(read_varint(&bytes), Some((value, bytes.len())));
        }
        assert_eq!(read_varint(&[0xff; 10]), None);
        assert_eq!(read_varint(&[]), None);
    }
}
