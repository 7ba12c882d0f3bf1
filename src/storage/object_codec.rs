//! Objects as bytes.
//!
//! ```text
//! object := version: u8 = 1 | kind: u8 | body
//! body   := kind 0, string: run
//!           kind 1, hash:   count: varint | count * (field: run | value: run)
//! ```
//! Runs and varints are those of [`crate::codec`].
//!
//! The version is for readers of later programs: bytes with an unknown one are refused.

use super::{Object, StorageError, StorageResult};
use crate::codec::{Reader, push_run, push_varint};

/// The version that [`Object::encode`] writes.
const VERSION: u8 = 1;
const KIND_STRING: u8 = 0;
const KIND_HASH: u8 = 1;

/// Fields up to which duplicates are looked for pair by pair.
const PAIRWISE_MAX_FIELDS: usize = 16;

/// The error for something `found` that should not be where the reader is.
pub(crate) fn corrupt(reader: &Reader<'_>, found: impl std::fmt::Display) -> StorageError {
    StorageError::Corrupt { what: reader.what(), detail: format!("{found}, before byte {}", reader.offset()) }
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
    if unique { Ok(()) } else { Err(corrupt(reader, "a field that stands twice")) }
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
        let version = reader.u8()?;
        if version != VERSION {
            return Err(corrupt(&reader, format_args!("version {version}")));
        }
        let object = match reader.u8()? {
            KIND_STRING => Self::String(reader.run()?.to_vec()),
            KIND_HASH => decode_hash(&mut reader)?,
            kind => return Err(corrupt(&reader, format_args!("kind {kind}"))),
        };
        reader.end()?;
        Ok(object)
    }
}

fn decode_hash(reader: &mut Reader<'_>) -> StorageResult<Object> {
    let count = reader.varint()?;
    // A field and a value take a byte each at least: more are not believed.
    if count == 0 || count > reader.remaining() as u64 / 2 {
        return Err(corrupt(reader, format_args!("a hash of {count} fields")));
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
}
