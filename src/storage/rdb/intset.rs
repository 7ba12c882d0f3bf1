//! Intsets: the members of a set of integers, in order.
//!
//! ```text
//! intset := width: u32 = 2, 4 or 8 | count: u32 | count * signed integer of so many bytes     all little-endian
//! ```

use crate::codec::{DecodeError, Reader};

/// The integers of an intset.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<i64>, DecodeError> {
    let mut reader = Reader::new(bytes, "intset");
    let width = reader.u32()?;
    if !matches!(width, 2 | 4 | 8) {
        return Err(reader.error("a width that there is not"));
    }
    let count = reader.u32()? as usize;
    if count == 0 || reader.remaining() / width as usize != count {
        return Err(reader.error("a count that is not that of its members"));
    }
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        let member = match width {
            2 => i64::from(i16::from_le_bytes(reader.array()?)),
            4 => i64::from(i32::from_le_bytes(reader.array()?)),
            _ => reader.i64()?,
        };
        if members.last().is_some_and(|&before| before >= member) {
            return Err(reader.error("members out of order"));
        }
        members.push(member);
    }
    reader.end()?;
    Ok(members)
}

/// Writes integers, which must be sorted and all different.
pub(super) fn encode(members: &[i64]) -> Vec<u8> {
    let fits = |width: u32| {
        let bound = 1i128 << (width * 8 - 1);
        members.iter().all(|&member| (-bound..bound).contains(&i128::from(member)))
    };
    let width: u32 = if fits(2) {
        2
    } else if fits(4) {
        4
    } else {
        8
    };
    let mut bytes = Vec::with_capacity(8 + members.len() * width as usize);
    bytes.extend_from_slice(&width.to_le_bytes());
    bytes.extend_from_slice(&(members.len() as u32).to_le_bytes());
    for member in members {
        bytes.extend_from_slice(&member.to_le_bytes()[..width as usize]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_in_the_narrowest_form() {
        for (members, width) in [
            (vec![1], 2),
            (vec![-32768, 0, 32767], 2),
            (vec![-32769], 4),
            (vec![0, 1 << 31], 8),
            (vec![i64::MIN, -1, i64::MAX], 8),
        ] {
            let bytes = encode(&members);
            assert_eq!(bytes.len(), 8 + width * members.len());
            assert_eq!(decode(&bytes).expect("sound"), members);
        }
    }

    #[test]
    fn damage_is_seen() {
        let bytes = encode(&[1, 2, 3]);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err());
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(decode(&encode(&[])).is_err(), "empty");
        assert!(decode(&encode(&[2, 1])).is_err(), "order");
        assert!(decode(&encode(&[1, 1])).is_err(), "twice");
        assert!(decode(b"\x03\0\0\0\x01\0\0\0abc").is_err(), "width");
        assert!(decode(b"\x08\0\0\0\xff\xff\xff\xff12345678").is_err(), "absurd");
    }
}
