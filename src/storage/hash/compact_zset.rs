//! A small sorted set as one run of bytes, its members in order.
//!
//! ```text
//! compact := count: varint | count * (score | member length: varint | member)
//! score   := n: u8 | n bytes, 0 to 8 of them: a whole number, little-endian, its sign extended
//!            9: u8 | 8 bytes: any other score, as a little-endian f64
//! ```
//!
//! A negative zero is a whole number, so that it comes back as zero, as it does from Redis's listpacks.
//!
//! It reports the encoding `listpack`, whose thresholds it keeps. Everything walks it: with Redis's
//! defaults it has 128 members of 64 bytes at most.

use crate::codec::{Reader, push_run, push_varint, read_varint};
use crate::storage::StorageResult;
use crate::storage::object_codec::{corrupt, refuse_duplicates};
use crate::storage::zsets::compare;

/// The first byte of a score that is not a whole number.
const FRACTION: u8 = 9;

/// Number of members.
pub(super) fn len(compact: &[u8]) -> usize {
    header(compact).0
}

/// Number of members and the length of that number.
fn header(compact: &[u8]) -> (usize, usize) {
    let (count, used) = read_varint(compact).expect("compact sorted sets are verified when they are made");
    (count as usize, used)
}

/// Its scores and members in order.
pub(super) fn iter(compact: &[u8]) -> impl Iterator<Item = (f64, &[u8])> {
    let mut rest = &compact[header(compact).1..];
    std::iter::from_fn(move || if rest.is_empty() { None } else { Some(take(&mut rest)) })
}

fn take<'a>(rest: &mut &'a [u8]) -> (f64, &'a [u8]) {
    let (&kind, after) = rest.split_first().expect("compact sorted sets are verified when they are made");
    let mut bytes = [0; 8];
    let (score, after) = if kind == FRACTION {
        bytes.copy_from_slice(&after[..8]);
        (f64::from_le_bytes(bytes), &after[8..])
    } else {
        let (number, after) = after.split_at(usize::from(kind));
        bytes[..number.len()].copy_from_slice(number);
        // The sign is the highest bit that is there.
        let unused = 64 - 8 * u32::from(kind);
        let number = if kind == 0 { 0 } else { (i64::from_le_bytes(bytes) << unused) >> unused };
        (number as f64, after)
    };
    let (length, used) = read_varint(after).expect("compact sorted sets are verified when they are made");
    let (member, left) = after[used..].split_at(length as usize);
    *rest = left;
    (score, member)
}

fn push(out: &mut Vec<u8>, score: f64, member: &[u8]) {
    let number = score as i64;
    if number as f64 == score && number != i64::MAX {
        let magnitude = if number < 0 { !number } else { number };
        let bits = 65 - magnitude.leading_zeros();
        let bytes = if number == 0 { 0 } else { bits.div_ceil(8) as usize };
        out.push(bytes as u8);
        out.extend_from_slice(&number.to_le_bytes()[..bytes]);
    } else {
        out.push(FRACTION);
        out.extend_from_slice(&score.to_le_bytes());
    }
    push_run(out, member);
}

/// The score of a member.
pub(super) fn score(compact: &[u8], member: &[u8]) -> Option<f64> {
    iter(compact).find(|(_, other)| *other == member).map(|(score, _)| score)
}

/// Makes `out` an empty compact sorted set.
pub(super) fn clear(out: &mut Vec<u8>) {
    out.clear();
    out.push(0);
}

/// Adds a member that comes after all others.
pub(super) fn append(compact: &mut Vec<u8>, score: f64, member: &[u8]) {
    set_len(compact, len(compact) + 1);
    push(compact, score, member);
}

/// Gives a member a score, whether it is there or not.
pub(super) fn set(compact: &mut Vec<u8>, score: f64, member: &[u8]) {
    remove(compact, member);
    let count = len(compact);
    set_len(compact, count + 1);
    let mut rest = &compact[header(compact).1..];
    let mut place = compact.len();
    while !rest.is_empty() {
        let start = compact.len() - rest.len();
        if compare(take(&mut rest), (score, member)).is_gt() {
            place = start;
            break;
        }
    }
    let behind = compact.len();
    push(compact, score, member);
    let added = compact.len() - behind;
    compact[place..].rotate_right(added);
}

/// Removes a member; answers whether it was there.
pub(super) fn remove(compact: &mut Vec<u8>, member: &[u8]) -> bool {
    let mut rest = &compact[header(compact).1..];
    while !rest.is_empty() {
        let start = compact.len() - rest.len();
        if take(&mut rest).1 == member {
            let end = compact.len() - rest.len();
            compact.drain(start..end);
            set_len(compact, len(compact) - 1);
            return true;
        }
    }
    false
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

/// Verifies bytes from outside; afterwards every function above can read them.
pub(super) fn verify(compact: &[u8]) -> StorageResult<()> {
    let mut reader = Reader::new(compact, "compact sorted set");
    let count = reader.varint()?;
    let mut members: Vec<&[u8]> = Vec::with_capacity(count.min(compact.len() as u64) as usize);
    let mut before: Option<(f64, &[u8])> = None;
    for _ in 0..count {
        let kind = reader.u8()?;
        let mut bytes = vec![kind];
        match kind {
            FRACTION => bytes.extend_from_slice(&reader.array::<8>()?),
            0..FRACTION => {
                for _ in 0..kind {
                    bytes.push(reader.u8()?);
                }
            }
            _ => return Err(corrupt(&reader, format_args!("a score of kind {kind}"))),
        }
        // An empty member, so that `take` finds what it expects.
        bytes.push(0);
        let (score, _) = take(&mut &bytes[..]);
        let member = reader.run()?;
        if score.is_nan() {
            return Err(corrupt(&reader, "a score that is not a number"));
        }
        if before.is_some_and(|before| compare(before, (score, member)).is_ge()) {
            return Err(corrupt(&reader, "members that are out of order"));
        }
        before = Some((score, member));
        members.push(member);
    }
    if count == 0 {
        return Err(corrupt(&reader, "it has no members"));
    }
    refuse_duplicates(&reader, &members)?;
    Ok(reader.end()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rng::Rng;

    #[test]
    fn scores_come_back_to_the_bit() {
        let mut scores = vec![0.0, 1.0, -1.0, 127.0, 128.0, -128.0, -129.0, 0.1, f64::INFINITY, f64::NEG_INFINITY];
        scores.extend([f64::MAX, f64::MIN_POSITIVE, 9.007199254740993e15, i64::MAX as f64, i64::MIN as f64, 1e300]);
        scores.extend((0..63).flat_map(|bit| [(1i64 << bit) as f64, -((1i64 << bit) as f64)]));
        for score in scores {
            let mut zset = Vec::new();
            clear(&mut zset);
            set(&mut zset, score, b"m");
            verify(&zset).unwrap();
            assert_eq!(iter(&zset).next().unwrap().0.to_bits(), score.to_bits(), "{score}");
        }
    }

    #[test]
    fn small_numbers_are_small() {
        for (score, bytes) in [(0.0, 1), (5.0, 2), (-128.0, 2), (1000.0, 3), (0.5, 9)] {
            let mut zset = Vec::new();
            clear(&mut zset);
            set(&mut zset, score, b"");
            assert_eq!(zset.len(), 1 + bytes + 1, "{score}");
        }
    }

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut rng = Rng::new(5);
        let mut zset = Vec::new();
        clear(&mut zset);
        let mut list: Vec<(f64, Vec<u8>)> = Vec::new();
        for _ in 0..3000 {
            let member = format!("m{}", rng.below(200)).into_bytes();
            let there = list.iter().position(|(_, other)| *other == member);
            assert_eq!(score(&zset, &member), there.map(|index| list[index].0));
            if let Some(index) = there {
                list.remove(index);
            }
            if rng.below(3) == 0 {
                assert_eq!(remove(&mut zset, &member), there.is_some());
            } else {
                let score = rng.below(20) as f64 / 2.0;
                set(&mut zset, score, &member);
                list.push((score, member));
                list.sort_by(|a, b| compare((a.0, &a.1), (b.0, &b.1)));
            }
            assert_eq!(len(&zset), list.len());
            let found: Vec<(f64, Vec<u8>)> = iter(&zset).map(|(score, member)| (score, member.to_vec())).collect();
            assert_eq!(found, list);
        }
        verify(&zset).unwrap();
    }

    #[test]
    fn damage_is_found() {
        let mut zset = Vec::new();
        clear(&mut zset);
        assert!(verify(&zset).is_err(), "an empty set does not exist");
        set(&mut zset, 0.5, b"a");
        set(&mut zset, 300.0, b"b");
        for end in 0..zset.len() {
            assert!(verify(&zset[..end]).is_err());
        }
        zset.push(0);
        assert!(verify(&zset).is_err());
        assert!(verify(b"\x02\x00\x01a\x00\x01a").is_err(), "a member twice");
        assert!(verify(b"\x02\x01\x02\x01a\x01\x01\x01b").is_err(), "out of order");
        assert!(verify(b"\x01\x0a\x01a").is_err(), "no such kind of score");
        assert!(verify(b"\x01\x09\xff\xff\xff\xff\xff\xff\xff\xff\x01a").is_err(), "a NaN");
    }
}
