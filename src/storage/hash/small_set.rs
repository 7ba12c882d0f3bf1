//! A small set as one run of bytes.
//!
//! ```text
//! small set := 0 | count: varint | count * (length: varint | member)      in the order of adding
//!            | width: u8 = 2, 4 or 8 | numbers of so many bytes each      an intset, in order of size
//! ```
//!
//! Numbers are little-endian, and as wide as the widest of them once needed. The first form reports the encoding
//! `listpack`, the second `intset`. Look-ups walk the one and bisect the other.

use crate::codec::{Reader, push_run, push_varint, read_varint};
use crate::storage::StorageResult;
use crate::storage::object_codec::{corrupt, refuse_duplicates};
use crate::storage::sets::{SetEncoding, VisitMember};
use crate::types::number::parse_i64;

/// First byte of the form for any members.
const LISTPACK: u8 = 0;

/// Makes `out` an empty set of an encoding.
pub(super) fn clear(out: &mut Vec<u8>, encoding: SetEncoding) {
    out.clear();
    match encoding {
        SetEncoding::Intset => out.push(2),
        _ => out.extend_from_slice(&[LISTPACK, 0]),
    }
}

/// Its encoding.
pub(super) fn encoding(set: &[u8]) -> SetEncoding {
    if set[0] == LISTPACK { SetEncoding::Listpack } else { SetEncoding::Intset }
}

/// Number of members.
pub(super) fn len(set: &[u8]) -> usize {
    match set[0] {
        LISTPACK => listpack_header(set).0,
        width => (set.len() - 1) / usize::from(width),
    }
}

/// Number of members of a listpack, and where the first one is.
fn listpack_header(set: &[u8]) -> (usize, usize) {
    let (count, used) = read_varint(&set[1..]).expect("small sets are verified when they are made");
    (count as usize, 1 + used)
}

/// The members of a listpack, each with the place where it begins.
fn listpack_members(set: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut next = listpack_header(set).1;
    std::iter::from_fn(move || {
        if next == set.len() {
            return None;
        }
        let start = next;
        let (length, used) = read_varint(&set[start..]).expect("small sets are verified when they are made");
        next = start + used + length as usize;
        Some((start, &set[start + used..next]))
    })
}

/// The number at a position of an intset.
fn number(set: &[u8], position: usize) -> i64 {
    let width = usize::from(set[0]);
    let bytes = &set[1 + position * width..1 + (position + 1) * width];
    match width {
        2 => i64::from(i16::from_le_bytes(bytes.try_into().expect("two bytes"))),
        4 => i64::from(i32::from_le_bytes(bytes.try_into().expect("four bytes"))),
        _ => i64::from_le_bytes(bytes.try_into().expect("eight bytes")),
    }
}

/// Where a number is in an intset, or would be.
fn search(set: &[u8], wanted: i64) -> Result<usize, usize> {
    let (mut low, mut high) = (0, len(set));
    while low < high {
        let middle = usize::midpoint(low, high);
        match number(set, middle).cmp(&wanted) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Equal => return Ok(middle),
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

/// Bytes that a number needs in an intset.
fn width_of(number: i64) -> u8 {
    if i16::try_from(number).is_ok() {
        2
    } else if i32::try_from(number).is_ok() {
        4
    } else {
        8
    }
}

/// Whether it has a member.
pub(super) fn contains(set: &[u8], member: &[u8]) -> bool {
    match encoding(set) {
        SetEncoding::Intset => parse_i64(member).is_some_and(|wanted| search(set, wanted).is_ok()),
        _ => listpack_members(set).any(|(_, other)| other == member),
    }
}

/// Visits its members in order until `visit` wants no more.
pub(super) fn for_each(set: &[u8], visit: &mut VisitMember<'_>) {
    match encoding(set) {
        SetEncoding::Intset => {
            let mut text = itoa::Buffer::new();
            (0..len(set)).all(|position| visit(text.format(number(set, position)).as_bytes()));
        }
        _ => {
            listpack_members(set).all(|(_, member)| visit(member));
        }
    }
}

/// Visits the member at a position.
pub(super) fn nth(set: &[u8], position: usize, visit: &mut dyn FnMut(&[u8])) {
    match encoding(set) {
        SetEncoding::Intset => visit(itoa::Buffer::new().format(number(set, position)).as_bytes()),
        _ => {
            let (_, member) = listpack_members(set).nth(position).expect("the position is one of a member");
            visit(member);
        }
    }
}

/// Length of the longest number of an intset as text.
pub(super) fn longest_number(set: &[u8]) -> usize {
    let digits = |position| itoa::Buffer::new().format(number(set, position)).len();
    match len(set) {
        0 => 0,
        len => digits(0).max(digits(len - 1)),
    }
}

/// Adds a member that is not there and fits the encoding: to an intset, a number.
pub(super) fn add(set: &mut Vec<u8>, member: &[u8]) {
    if encoding(set) == SetEncoding::Listpack {
        set_listpack_len(set, listpack_header(set).0 + 1);
        push_run(set, member);
        return;
    }
    let added = parse_i64(member).expect("an intset takes numbers");
    let width = width_of(added);
    if width > set[0] {
        let numbers: Vec<i64> = (0..len(set)).map(|position| number(set, position)).collect();
        set.clear();
        set.push(width);
        for number in numbers {
            set.extend_from_slice(&number.to_le_bytes()[..usize::from(width)]);
        }
    }
    let width = usize::from(set[0]);
    let position = search(set, added).expect_err("the member is not there");
    let place = 1 + position * width;
    set.splice(place..place, added.to_le_bytes()[..width].iter().copied());
}

/// Removes a member; answers whether it was there. The others keep their order.
pub(super) fn remove(set: &mut Vec<u8>, member: &[u8]) -> bool {
    if encoding(set) == SetEncoding::Listpack {
        let found = listpack_members(set).find(|(_, other)| *other == member);
        let Some(range) = found.map(|(start, other)| start..end_of(set, other)) else { return false };
        set.drain(range);
        set_listpack_len(set, listpack_header(set).0 - 1);
        return true;
    }
    let Some(Ok(position)) = parse_i64(member).map(|number| search(set, number)) else { return false };
    let width = usize::from(set[0]);
    set.drain(1 + position * width..1 + (position + 1) * width);
    true
}

/// Where a member that stands in the set ends in it.
fn end_of(set: &[u8], member: &[u8]) -> usize {
    member.as_ptr().addr() - set.as_ptr().addr() + member.len()
}

fn set_listpack_len(set: &mut Vec<u8>, count: usize) {
    let end = listpack_header(set).1;
    if end == 2 && count < 0x80 {
        set[1] = count as u8;
        return;
    }
    let mut encoded = Vec::with_capacity(end);
    push_varint(&mut encoded, count as u64);
    set.splice(1..end, encoded);
}

/// Makes an intset a listpack of the same members in the same order.
pub(super) fn make_listpack(set: &mut Vec<u8>) {
    let mut listpack = vec![LISTPACK];
    push_varint(&mut listpack, len(set) as u64);
    for_each(set, &mut |member| {
        push_run(&mut listpack, member);
        true
    });
    *set = listpack;
}

/// Verifies bytes from outside; afterwards every function above can read them.
pub(super) fn verify(set: &[u8]) -> StorageResult<()> {
    let mut reader = Reader::new(set, "small set");
    match reader.u8()? {
        LISTPACK => {
            let count = reader.varint()?;
            let mut members = Vec::with_capacity(count.min(set.len() as u64) as usize);
            for _ in 0..count {
                members.push(reader.run()?);
            }
            if count == 0 {
                return Err(corrupt(&reader, "it has no members"));
            }
            refuse_duplicates(&reader, &members)?;
            Ok(reader.end()?)
        }
        width @ (2 | 4 | 8) => {
            if reader.remaining() == 0 || !reader.remaining().is_multiple_of(usize::from(width)) {
                return Err(corrupt(&reader, format_args!("an intset of {} bytes", set.len())));
            }
            if !(1..len(set)).all(|position| number(set, position - 1) < number(set, position)) {
                return Err(corrupt(&reader, "numbers that are out of order"));
            }
            Ok(())
        }
        width => Err(corrupt(&reader, format_args!("width {width}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::types::rng::Rng;

    fn members(set: &[u8]) -> Vec<Vec<u8>> {
        let mut members = Vec::new();
        for_each(set, &mut |member| {
            members.push(member.to_vec());
            true
        });
        members
    }

    #[test]
    fn intsets_are_sorted_and_widen() {
        let mut set = Vec::new();
        clear(&mut set, SetEncoding::Intset);
        for (number, bytes) in [("5", 3), ("-3", 5), ("40000", 13), ("9223372036854775807", 33), ("0", 41)] {
            assert!(!contains(&set, number.as_bytes()));
            add(&mut set, number.as_bytes());
            assert_eq!(set.len(), bytes);
            verify(&set).unwrap();
        }
        assert_eq!(members(&set), [&b"-3"[..], b"0", b"5", b"40000", b"9223372036854775807"]);
        assert_eq!(longest_number(&set), 19);
        assert!(!contains(&set, b"05") && !contains(&set, b"x"));
        assert!(remove(&mut set, b"5") && !remove(&mut set, b"5") && !remove(&mut set, b"x"));
        make_listpack(&mut set);
        verify(&set).unwrap();
        assert_eq!(members(&set), [&b"-3"[..], b"0", b"40000", b"9223372036854775807"]);
        assert_eq!(encoding(&set), SetEncoding::Listpack);
    }

    #[test]
    fn both_forms_agree_with_a_model() {
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let start = if seed % 2 == 0 { SetEncoding::Intset } else { SetEncoding::Listpack };
            let mut set = Vec::new();
            clear(&mut set, start);
            let mut model = BTreeSet::new();
            for _ in 0..600 {
                let shift = rng.below(63) as u32;
                let member = ((rng.below(400) as i64 - 200) << (shift / 8)).to_string().into_bytes();
                assert_eq!(contains(&set, &member), model.contains(&member), "seed {seed}");
                if rng.below(5) < 3 {
                    if model.insert(member.clone()) {
                        add(&mut set, &member);
                    }
                } else {
                    assert_eq!(remove(&mut set, &member), model.remove(&member));
                }
                assert_eq!(len(&set), model.len());
                assert_eq!(members(&set).into_iter().collect::<BTreeSet<_>>(), model);
                assert_eq!(verify(&set).is_ok(), !model.is_empty(), "seed {seed}");
            }
            for position in 0..len(&set) {
                nth(&set, position, &mut |member| assert_eq!(member, members(&set)[position]));
            }
        }
    }

    #[test]
    fn damage_is_found() {
        for bad in [
            &b""[..],
            b"\x00\x00",
            b"\x02",
            b"\x02\x01",
            b"\x03\x01\x00\x00",
            b"\x02\x01\x00\x01\x00",
            b"\x02\x02\x00\x01\x00",
            b"\x00\x02\x01a\x01a",
            b"\x00\x02\x01a",
            b"\x00\x01\x01ab",
        ] {
            assert!(verify(bad).is_err(), "{bad:?}");
        }
    }
}
