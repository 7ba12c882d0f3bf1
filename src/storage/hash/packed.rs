//! Elements of a list as one run of bytes that can be read from both ends.
//!
//! ```text
//! packed  := element*
//! element := length: varint | length bytes | size: varint, reversed
//! ```
//!
//! `size` is of what stands before it in the element. It is written with its bytes in opposite order, so that reading
//! backwards from the end of an element gives the varint from its first byte on. The number of elements is kept elsewhere.

use std::ops::Range;

use crate::codec::{Reader, VARINT_MAX_BYTES, push_varint, read_varint, varint_bytes, write_varint};
use crate::storage::StorageResult;
use crate::storage::object_codec::corrupt;

/// Bytes an element of `length` bytes takes.
pub(super) fn element_bytes(length: usize) -> usize {
    let size = varint_bytes(length as u64) + length;
    size + varint_bytes(size as u64)
}

/// Appends an element.
pub(super) fn push(out: &mut Vec<u8>, element: &[u8]) {
    push_varint(out, element.len() as u64);
    out.extend_from_slice(element);
    push_size(out, varint_bytes(element.len() as u64) + element.len());
}

fn push_size(out: &mut Vec<u8>, size: usize) {
    let mut reversed = [0; VARINT_MAX_BYTES];
    let used = write_varint(&mut reversed, size as u64);
    reversed[..used].reverse();
    out.extend_from_slice(&reversed[..used]);
}

/// Writes elements over `out`, which is as long as they are together.
pub(super) fn write(mut out: &mut [u8], element: &[u8]) {
    let used = write_varint(out, element.len() as u64);
    out = &mut out[used..];
    let (body, tail) = out.split_at_mut(element.len());
    body.copy_from_slice(element);
    write_varint(tail, (used + element.len()) as u64);
    tail.reverse();
}

/// The elements of a run, from both ends.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(super) fn of(packed: &'a [u8]) -> Self {
        Self { rest: packed }
    }

    /// Bytes of the elements that are left.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }
}

const VERIFIED: &str = "packed elements are verified when they are made";

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (length, used) = read_varint(self.rest).expect(VERIFIED);
        let size = used + length as usize;
        let element = &self.rest[used..size];
        self.rest = &self.rest[size + varint_bytes(size as u64)..];
        Some(element)
    }
}

impl<'a> DoubleEndedIterator for Elements<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut size, mut used) = (0, 0);
        loop {
            let byte = self.rest[self.rest.len() - 1 - used];
            size |= usize::from(byte & 0x7f) << (7 * used);
            used += 1;
            if byte < 0x80 {
                break;
            }
        }
        let end = self.rest.len() - used;
        let start = end - size;
        let (_, length_bytes) = read_varint(&self.rest[start..]).expect(VERIFIED);
        let element = &self.rest[start + length_bytes..end];
        self.rest = &self.rest[..start];
        Some(element)
    }
}

/// Where the element at `index` of `count` begins; the end for the index behind the last.
pub(super) fn offset_of(packed: &[u8], index: usize, count: usize) -> usize {
    let mut elements = Elements::of(packed);
    if index <= count / 2 {
        elements.by_ref().take(index).for_each(drop);
        packed.len() - elements.remaining()
    } else {
        elements.by_ref().rev().take(count - index).for_each(drop);
        elements.remaining()
    }
}

/// Where the elements of a range are.
pub(super) fn offsets_of(packed: &[u8], range: &Range<usize>, count: usize) -> Range<usize> {
    let start = offset_of(packed, range.start, count);
    let end = start + offset_of(&packed[start..], range.len(), count - range.start);
    start..end
}

/// Verifies bytes from outside and answers how many elements they are; afterwards every function above can
/// read them.
pub(super) fn verify(packed: &[u8]) -> StorageResult<u64> {
    let mut reader = Reader::new(packed, "packed list");
    let mut count = 0;
    while reader.remaining() > 0 {
        let before = reader.remaining();
        let element = reader.run()?;
        let size = before - reader.remaining();
        if size != varint_bytes(element.len() as u64) + element.len() {
            return Err(corrupt(&reader, "a length that is longer than it need be"));
        }
        let mut expected = Vec::with_capacity(VARINT_MAX_BYTES);
        push_size(&mut expected, size);
        for byte in expected {
            if reader.u8()? != byte {
                return Err(corrupt(&reader, "an element with another size at its end"));
            }
        }
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(elements: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        elements.iter().for_each(|element| push(&mut bytes, element));
        bytes
    }

    fn elements() -> Vec<Vec<u8>> {
        [0, 1, 5, 125, 126, 127, 128, 129, 16_380, 16_381, 16_382, 16_383, 16_384, 3]
            .map(|length| vec![7; length])
            .into()
    }

    #[test]
    fn reads_alike_from_both_ends() {
        let elements = elements();
        let bytes = packed(&elements);
        assert_eq!(bytes.len(), elements.iter().map(|element| element_bytes(element.len())).sum::<usize>());
        assert!(Elements::of(&bytes).eq(elements.iter().map(Vec::as_slice)));
        assert!(Elements::of(&bytes).rev().eq(elements.iter().rev().map(Vec::as_slice)));
        assert_eq!(verify(&bytes).unwrap(), elements.len() as u64);
        let mut start = 0;
        for (index, element) in elements.iter().enumerate() {
            assert_eq!(offset_of(&bytes, index, elements.len()), start);
            start += element_bytes(element.len());
        }
        assert_eq!(offset_of(&bytes, elements.len(), elements.len()), start);
        for element in &elements {
            let mut written = vec![0; element_bytes(element.len())];
            write(&mut written, element);
            assert_eq!(written, packed(std::slice::from_ref(element)));
        }
    }

    #[test]
    fn damage_is_found() {
        let bytes = packed(&[b"abc".to_vec(), vec![1; 200], b"".to_vec()]);
        for end in 1..bytes.len() {
            if let Ok(count) = verify(&bytes[..end]) {
                assert!(count < 3);
            }
        }
        for index in [0, 4] {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1;
            assert!(verify(&damaged).is_err());
        }
        assert!(verify(b"\x81\x00a\x03").is_err(), "a length that is not the shortest");
    }
}
