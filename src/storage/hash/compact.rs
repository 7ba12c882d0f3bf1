//! A small hash as one run of bytes, in the order in which its fields were added.
//!
//! ```text
//! compact := count: varint | count * (field length: varint | field | value length: varint | value)
//! ```
//!
//! It reports the encoding `listpack`, whose thresholds it keeps. Look-ups walk it: with Redis's
//! defaults it has 512 fields of 64 bytes at most.

use crate::codec::{Reader, push_run, push_varint, read_varint, varint_bytes};
use crate::storage::StorageResult;
use crate::storage::object_codec::{corrupt, refuse_duplicates};

/// A field and its value.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8]);

/// Number of fields.
pub(super) fn len(compact: &[u8]) -> usize {
    header(compact).0
}

/// Number of fields and the length of that number.
fn header(compact: &[u8]) -> (usize, usize) {
    let (count, used) = read_varint(compact).expect("compact hashes are verified when they are made");
    (count as usize, used)
}

/// Its fields in order.
pub(super) fn iter(compact: &[u8]) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = &compact[header(compact).1..];
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = take(&mut rest);
        let value = take(&mut rest);
        Some((field, value))
    })
}

fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, used) = read_varint(rest).expect("compact hashes are verified when they are made");
    let (taken, left) = rest[used..].split_at(length as usize);
    *rest = left;
    taken
}

/// The value of a field.
pub(super) fn get<'a>(compact: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    iter(compact).find(|(name, _)| *name == field).map(|(_, value)| value)
}

/// Makes `out` an empty compact hash.
pub(super) fn clear(out: &mut Vec<u8>) {
    out.clear();
    out.push(0);
}

/// Sets a field; answers whether it is new.
pub(super) fn set(compact: &mut Vec<u8>, field: &[u8], value: &[u8]) -> bool {
    match find(compact, field) {
        Some(place) => {
            let start = place.value_start;
            let (old_length, used) = read_varint(&compact[start..]).expect("the field was found there");
            if old_length as usize == value.len() {
                compact[start + used..place.end].copy_from_slice(value);
            } else {
                let mut encoded = Vec::with_capacity(varint_bytes(value.len() as u64) + value.len());
                push_run(&mut encoded, value);
                compact.splice(start..place.end, encoded);
            }
            false
        }
        None => {
            set_len(compact, len(compact) + 1);
            push_run(compact, field);
            push_run(compact, value);
            true
        }
    }
}

/// Removes a field; answers whether it was there. The others keep their order.
pub(super) fn remove(compact: &mut Vec<u8>, field: &[u8]) -> bool {
    let Some(place) = find(compact, field) else { return false };
    compact.drain(place.start..place.end);
    set_len(compact, len(compact) - 1);
    true
}

fn set_len(compact: &mut Vec<u8>, count: usize) {
    let used = header(compact).1;
    if used == 1 && count < 0x80 {
        compact[0] = count as u8;
        return;
    }
    let mut encoded = Vec::with_capacity(used + 1);
    push_varint(&mut encoded, count as u64);
    compact.splice(..used, encoded);
}

/// Where a field is.
struct Place {
    /// Its beginning.
    start: usize,
    /// Where the length of its value begins.
    value_start: usize,
    /// The beginning of the next field.
    end: usize,
}

fn find(compact: &[u8], field: &[u8]) -> Option<Place> {
    let mut rest = &compact[header(compact).1..];
    while !rest.is_empty() {
        let start = compact.len() - rest.len();
        let found = take(&mut rest) == field;
        let value_start = compact.len() - rest.len();
        take(&mut rest);
        if found {
            return Some(Place { start, value_start, end: compact.len() - rest.len() });
        }
    }
    None
}

/// Verifies bytes from outside; afterwards every function above can read them.
pub(super) fn verify(compact: &[u8]) -> StorageResult<()> {
    let mut reader = Reader::new(compact, "compact hash");
    let count = reader.varint()?;
    let mut fields = Vec::with_capacity(count.min(compact.len() as u64) as usize);
    for _ in 0..count {
        fields.push(reader.run()?);
        reader.run()?;
    }
    if count == 0 {
        return Err(corrupt(&reader, "it has no fields"));
    }
    refuse_duplicates(&reader, &fields)?;
    Ok(reader.end()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_through_changes() {
        let mut hash = Vec::new();
        clear(&mut hash);
        for i in 0..200 {
            assert!(set(&mut hash, format!("f{i}").as_bytes(), b"value"));
        }
        assert!(!set(&mut hash, b"f7", b"longer than before"));
        assert!(!set(&mut hash, b"f8", b"other"));
        assert!(remove(&mut hash, b"f0"));
        assert!(!remove(&mut hash, b"f0"));
        for i in 100..200 {
            assert!(remove(&mut hash, format!("f{i}").as_bytes()));
        }
        verify(&hash).unwrap();
        assert_eq!(len(&hash), 99);
        let names: Vec<Vec<u8>> = iter(&hash).map(|(field, _)| field.to_vec()).collect();
        let expected: Vec<Vec<u8>> = (1..100).map(|i| format!("f{i}").into_bytes()).collect();
        assert_eq!(names, expected);
        assert_eq!(get(&hash, b"f7"), Some(&b"longer than before"[..]));
        assert_eq!(get(&hash, b"f8"), Some(&b"other"[..]));
        assert_eq!(get(&hash, b"f0"), None);
    }

    #[test]
    fn damage_is_found() {
        let mut hash = Vec::new();
        clear(&mut hash);
        assert!(verify(&hash).is_err(), "an empty hash does not exist");
        set(&mut hash, b"field", b"value");
        set(&mut hash, b"other", b"");
        for end in 0..hash.len() {
            assert!(verify(&hash[..end]).is_err());
        }
        hash.push(0);
        assert!(verify(&hash).is_err());
        assert!(verify(b"\x02\x01a\x00\x01a\x00").is_err(), "a field twice");
    }
}
