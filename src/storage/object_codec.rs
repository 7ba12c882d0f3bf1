//! Objects as bytes.
//!
//! ```text
//! object := version: u8 = 1 | kind: u8 | body
//! body   := kind 0, string: run
//!           kind 1, hash:   count: varint | count * (field: run | value: run)
//!           kind 2, list:   count: varint | count * element: run
//!           kind 3, set:    count: varint | count * member: run
//!           kind 9, hash with fields that expire:
//!                           count: varint | count * (field: run | value: run | expires: u8 | [expires at: i64])
//!           kind 4, zset:   count: varint | count * (member: run | score: f64, little-endian)
//!           kind 5, stream: see [`super::streams::object`]
//! ```
//! Runs and varints are those of [`crate::codec`].
//!
//! The version is for readers of later programs: bytes with an unknown one are refused.

use super::streams::StreamObject;
use super::{ExpiringField, Object, StorageError, StorageResult};
use crate::codec::{Reader, push_run, push_varint};
use crate::types::UnixMs;

/// The version that [`Object::encode`] writes.
const VERSION: u8 = 1;
const KIND_STRING: u8 = 0;
const KIND_HASH: u8 = 1;
const KIND_LIST: u8 = 2;
const KIND_SET: u8 = 3;
const KIND_ZSET: u8 = 4;
const KIND_STREAM: u8 = 5;
const KIND_EXPIRING_HASH: u8 = 9;

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
            Self::ExpiringHash(fields) => {
                out.push(KIND_EXPIRING_HASH);
                push_varint(out, fields.len() as u64);
                for ExpiringField { field, value, expires_at } in fields {
                    push_run(out, field);
                    push_run(out, value);
                    out.push(u8::from(expires_at.is_some()));
                    if let Some(UnixMs(at)) = expires_at {
                        out.extend_from_slice(&at.to_le_bytes());
                    }
                }
            }
            Self::List(elements) => encode_runs(out, KIND_LIST, elements),
            Self::Set(members) => encode_runs(out, KIND_SET, members),
            Self::Zset(members) => {
                out.push(KIND_ZSET);
                push_varint(out, members.len() as u64);
                for (member, score) in members {
                    push_run(out, member);
                    out.extend_from_slice(&score.to_le_bytes());
                }
            }
            Self::Stream(stream) => {
                out.push(KIND_STREAM);
                stream.encode(out);
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
            KIND_EXPIRING_HASH => decode_expiring_hash(&mut reader)?,
            KIND_LIST => Self::List(decode_runs(&mut reader)?.into_iter().map(<[u8]>::to_vec).collect()),
            KIND_SET => {
                let members = decode_runs(&mut reader)?;
                refuse_duplicates(&reader, &members)?;
                Self::Set(members.into_iter().map(<[u8]>::to_vec).collect())
            }
            KIND_ZSET => decode_zset(&mut reader)?,
            KIND_STREAM => Self::Stream(Box::new(StreamObject::decode(&mut reader)?)),
            kind => return Err(corrupt(&reader, format_args!("kind {kind}"))),
        };
        reader.end()?;
        Ok(object)
    }
}

fn encode_runs(out: &mut Vec<u8>, kind: u8, runs: &[Vec<u8>]) {
    out.push(kind);
    push_varint(out, runs.len() as u64);
    runs.iter().for_each(|run| push_run(out, run));
}

/// The number of items of at least `item_bytes` each that follow; more than fit are not believed.
fn decode_count(reader: &mut Reader<'_>, item_bytes: usize) -> StorageResult<usize> {
    let count = reader.varint()?;
    if count == 0 || count > (reader.remaining() / item_bytes) as u64 {
        return Err(corrupt(reader, format_args!("{count} items")));
    }
    Ok(count as usize)
}

fn decode_runs<'a>(reader: &mut Reader<'a>) -> StorageResult<Vec<&'a [u8]>> {
    let count = decode_count(reader, 1)?;
    let mut runs = Vec::with_capacity(count);
    for _ in 0..count {
        runs.push(reader.run()?);
    }
    Ok(runs)
}

fn decode_zset(reader: &mut Reader<'_>) -> StorageResult<Object> {
    let count = decode_count(reader, 1 + size_of::<f64>())?;
    let mut members: Vec<(&[u8], f64)> = Vec::with_capacity(count);
    for _ in 0..count {
        let member = reader.run()?;
        let score = f64::from_le_bytes(reader.array()?);
        if score.is_nan() {
            return Err(corrupt(reader, "a score that is not a number"));
        }
        let in_order = members.last().is_none_or(|&(before, low)| (low, before) < (score, member));
        if !in_order {
            return Err(corrupt(reader, "members that are out of order"));
        }
        members.push((member, score));
    }
    let names: Vec<&[u8]> = members.iter().map(|&(member, _)| member).collect();
    refuse_duplicates(reader, &names)?;
    Ok(Object::Zset(members.into_iter().map(|(member, score)| (member.to_vec(), score)).collect()))
}

fn decode_expiring_hash(reader: &mut Reader<'_>) -> StorageResult<Object> {
    let count = decode_count(reader, 3)?;
    let mut fields = Vec::with_capacity(count);
    let mut names = Vec::with_capacity(count);
    for _ in 0..count {
        let (field, value) = (reader.run()?, reader.run()?);
        let expires_at = if reader.flag()? { Some(UnixMs(reader.i64()?)) } else { None };
        names.push(field);
        fields.push(ExpiringField { field: field.to_vec(), value: value.to_vec(), expires_at });
    }
    refuse_duplicates(reader, &names)?;
    Ok(Object::ExpiringHash(fields))
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
            Object::ExpiringHash(vec![
                ExpiringField { field: b"f".to_vec(), value: b"v".to_vec(), expires_at: Some(UnixMs(-1)) },
                ExpiringField { field: b"g".to_vec(), value: Vec::new(), expires_at: None },
            ]),
            Object::List(vec![b"twice".to_vec(), b"twice".to_vec(), Vec::new()]),
            Object::Set(vec![b"b".to_vec(), b"a".to_vec()]),
            Object::Zset(vec![
                (b"z".to_vec(), f64::NEG_INFINITY),
                (b"a".to_vec(), 1.5),
                (b"b".to_vec(), 1.5),
                (b"c".to_vec(), f64::INFINITY),
            ]),
            Object::Stream(Box::new(crate::storage::streams::object::tests::sample())),
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
        for kind in 1..=4 {
            assert!(Object::decode(&[1, kind, 0]).is_err(), "an empty collection");
        }
        assert!(Object::decode(b"\x01\x03\x02\x01a\x01a").is_err(), "member twice");
        let mut unordered = Vec::new();
        Object::Zset(vec![(b"b".to_vec(), 1.0), (b"a".to_vec(), 1.0)]).encode(&mut unordered);
        assert!(Object::decode(&unordered).is_err(), "members out of order");
        assert!(Object::decode(b"\x01\x01\x02\x01a\x00\x01a\x00").is_err(), "field twice");
        assert!(Object::decode(b"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err(), "absurd count");
    }
}
