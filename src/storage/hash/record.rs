//! The bytes of a key with its value, and of a field with its value.
//!
//! ```text
//! record  := tag: u8 | [expires at: i64, if EXPIRES] | key length: varint | key | payload
//! tag     := form (bits 0-2) | EDITED (bit 6) | EXPIRES (bit 7)
//! payload := BYTES    the string
//!            INT      i64: a string that is the decimal form of this number
//!            COMPACT  a small hash, see `compact`
//!            LARGE    u32: where the value is among the large ones of its slot
//!            LIST     a small list, SET a small set, ZSET a small sorted set
//! ```
//!
//! Numbers are little-endian. EDITED marks a string that APPEND or SETRANGE has changed, which
//! reports the encoding `raw` however short it is. A field of a large hash is a record of the form
//! BYTES, whose key is the field.

use super::blob::Blob;
use crate::codec::{VARINT_MAX_BYTES, read_varint, write_varint};
use crate::types::UnixMs;

/// The bits of a tag that tell the form.
pub(super) const FORM_MASK: u8 = 0b111;
/// The payload is a string.
pub(super) const FORM_BYTES: u8 = 0;
/// The payload is a number.
pub(super) const FORM_INT: u8 = 1;
/// The payload is a small hash.
pub(super) const FORM_COMPACT: u8 = 2;
/// The value stands beside the record.
pub(super) const FORM_LARGE: u8 = 3;
/// The payload is a small list.
pub(super) const FORM_LIST: u8 = 4;
/// The payload is a small set.
pub(super) const FORM_SET: u8 = 5;
/// The payload is a small sorted set.
pub(super) const FORM_ZSET: u8 = 6;
/// The string was edited in place.
pub(super) const EDITED: u8 = 1 << 6;
/// An expiry follows the tag.
pub(super) const EXPIRES: u8 = 1 << 7;

/// Longest part of a record before its key: tag, expiry, key length.
const HEAD_MAX_BYTES: usize = 1 + 8 + VARINT_MAX_BYTES;

/// The value in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    /// A string.
    Bytes {
        /// The string itself.
        bytes: &'a [u8],
        /// It was edited in place.
        edited: bool,
    },
    /// A string that is a number.
    Int(i64),
    /// A small hash.
    Compact(&'a [u8]),
    /// Where the value is among the large values of the slot.
    Large(u32),
    /// A small list.
    List(&'a [u8]),
    /// A small set.
    Set(&'a [u8]),
    /// A small sorted set.
    Zset(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The payload of a string that was not edited, short enough to stand in its record.
    #[inline]
    pub(super) fn of_string(bytes: &'a [u8]) -> Self {
        match parse_canonical(bytes) {
            Some(number) => Self::Int(number),
            None => Self::Bytes { bytes, edited: false },
        }
    }
}

/// The number that has exactly this decimal form.
#[inline]
fn parse_canonical(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if bytes.len() > 20 || !(first == b'-' || first.is_ascii_digit()) {
        return None;
    }
    crate::types::number::parse_i64(bytes)
}

/// Calls `with` with the parts of a record.
#[inline]
fn with_parts<T>(key: &[u8], expires_at: Option<UnixMs>, payload: Payload<'_>, with: impl FnOnce(&[&[u8]]) -> T) -> T {
    let number: [u8; 8];
    let index: [u8; 4];
    let (tag, payload) = match payload {
        Payload::Bytes { bytes, edited } => (if edited { FORM_BYTES | EDITED } else { FORM_BYTES }, bytes),
        Payload::Int(value) => {
            number = value.to_le_bytes();
            (FORM_INT, &number[..])
        }
        Payload::Compact(bytes) => (FORM_COMPACT, bytes),
        Payload::List(bytes) => (FORM_LIST, bytes),
        Payload::Set(bytes) => (FORM_SET, bytes),
        Payload::Zset(bytes) => (FORM_ZSET, bytes),
        Payload::Large(value) => {
            index = value.to_le_bytes();
            (FORM_LARGE, &index[..])
        }
    };
    let mut head = [0; HEAD_MAX_BYTES];
    let length = write_head(&mut head, tag, expires_at, key.len());
    with(&[&head[..length], key, payload])
}

/// Writes what stands before the key and returns its length.
#[inline]
fn write_head(head: &mut [u8; HEAD_MAX_BYTES], tag: u8, expires_at: Option<UnixMs>, key_bytes: usize) -> usize {
    head[0] = tag;
    let mut length = 1;
    if let Some(UnixMs(at)) = expires_at {
        head[0] |= EXPIRES;
        head[1..9].copy_from_slice(&at.to_le_bytes());
        length = 9;
    }
    length + write_varint(&mut head[length..], key_bytes as u64)
}

/// A new record.
#[inline]
pub(super) fn create(key: &[u8], expires_at: Option<UnixMs>, payload: Payload<'_>, clock: u32) -> Blob {
    with_parts(key, expires_at, payload, |parts| Blob::concat(parts, clock))
}

/// Replaces a record, in place where the new one is as long.
#[inline]
pub(super) fn replace(blob: &mut Blob, key: &[u8], expires_at: Option<UnixMs>, payload: Payload<'_>, clock: u32) {
    with_parts(key, expires_at, payload, |parts| {
        if blob.overwrite(parts) {
            blob.set_clock(clock);
        } else {
            *blob = Blob::concat(parts, clock);
        }
    });
}

/// A read view of a record. Records were made by [`create`] or verified on loading, so reading
/// one does not fail.
#[derive(Clone, Copy)]
pub(super) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// Views the record in a blob.
    #[inline]
    pub(super) fn of(blob: &'a Blob) -> Self {
        Self(blob.bytes())
    }

    #[inline]
    fn tag(self) -> u8 {
        self.0[0]
    }

    /// When the key expires.
    #[inline]
    pub(super) fn expires_at(self) -> Option<UnixMs> {
        if self.tag() & EXPIRES == 0 {
            return None;
        }
        Some(UnixMs(i64::from_le_bytes(self.0[1..9].try_into().expect("eight bytes"))))
    }

    /// Whether the key counts as absent at `now`. Redis keeps a key through the millisecond it
    /// expires at.
    #[inline]
    pub(super) fn is_expired(self, now: UnixMs) -> bool {
        self.expires_at().is_some_and(|at| now > at)
    }

    /// Key and payload.
    #[inline]
    fn split(self) -> (&'a [u8], &'a [u8]) {
        let start = if self.tag() & EXPIRES == 0 { 1 } else { 9 };
        let rest = &self.0[start..];
        let first = rest[0];
        let (length, used) = if first < 0x80 {
            (usize::from(first), 1)
        } else {
            let (length, used) = read_varint(rest).expect("records are verified when they are made");
            (length as usize, used)
        };
        rest[used..].split_at(length)
    }

    /// The key.
    #[inline]
    pub(super) fn key(self) -> &'a [u8] {
        self.split().0
    }

    /// The bytes of the payload: of a field, its value.
    #[inline]
    pub(super) fn payload_bytes(self) -> &'a [u8] {
        self.split().1
    }

    /// The value.
    #[inline]
    pub(super) fn payload(self) -> Payload<'a> {
        let bytes = self.payload_bytes();
        match self.tag() & FORM_MASK {
            FORM_BYTES => Payload::Bytes { bytes, edited: self.tag() & EDITED != 0 },
            FORM_INT => Payload::Int(i64::from_le_bytes(bytes.try_into().expect("eight bytes"))),
            FORM_COMPACT => Payload::Compact(bytes),
            FORM_LIST => Payload::List(bytes),
            FORM_SET => Payload::Set(bytes),
            FORM_ZSET => Payload::Zset(bytes),
            _ => Payload::Large(u32::from_le_bytes(bytes.try_into().expect("four bytes"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let long_key = vec![b'k'; 300];
        for key in [&b""[..], b"key", &long_key] {
            for expires_at in [None, Some(UnixMs(-1)), Some(UnixMs(i64::MAX))] {
                for payload in [
                    Payload::Bytes { bytes: b"value", edited: false },
                    Payload::Bytes { bytes: b"", edited: true },
                    Payload::Int(i64::MIN),
                    Payload::Compact(b"compact"),
                    Payload::Large(u32::MAX),
                ] {
                    let blob = create(key, expires_at, payload, 3);
                    let record = Record::of(&blob);
                    assert_eq!(record.key(), key);
                    assert_eq!(record.expires_at(), expires_at);
                    assert_eq!(record.payload(), payload);
                }
            }
        }
    }

    #[test]
    fn expires_after_its_millisecond() {
        let blob = create(b"key", Some(UnixMs(10)), Payload::Int(1), 0);
        assert!(!Record::of(&blob).is_expired(UnixMs(10)));
        assert!(Record::of(&blob).is_expired(UnixMs(11)));
    }

    #[test]
    fn only_canonical_numbers_are_ints() {
        assert_eq!(Payload::of_string(b"-12"), Payload::Int(-12));
        assert_eq!(Payload::of_string(b"9223372036854775807"), Payload::Int(i64::MAX));
        for text in [&b""[..], b"-", b"+1", b"01", b"-0", b" 1", b"9223372036854775808", b"1x"] {
            assert_eq!(Payload::of_string(text), Payload::Bytes { bytes: text, edited: false });
        }
    }
}
