//! Strings as rows of bits: counting, searching and combining them.
//!
//! Bit 0 is the most significant bit of the first byte, as in Redis. A string is an infinite row whose bits past its
//! end are clear. The work is done eight bytes at a time.

pub mod field;

/// Bits of a byte.
const BYTE: u64 = 8;

/// The bit at an offset.
pub fn get(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / BYTE).ok().and_then(|index| bytes.get(index));
    byte.is_some_and(|byte| byte & mask(offset) != 0)
}

/// Sets or clears the bit at an offset; zero bytes fill the gap if the string ends before it.
pub fn set(bytes: &mut Vec<u8>, offset: u64, on: bool) {
    let index = usize::try_from(offset / BYTE).expect("strings in memory are shorter than the address space");
    if bytes.len() <= index {
        bytes.resize(index + 1, 0);
    }
    if on {
        bytes[index] |= mask(offset);
    } else {
        bytes[index] &= !mask(offset);
    }
}

/// The bit of its byte that an offset stands for.
fn mask(offset: u64) -> u8 {
    0x80 >> (offset % BYTE)
}

/// A stretch of bits of a string, both ends included: whole bytes and what is before and after them.
struct Stretch<'a> {
    /// Clears the bits before the stretch from the first byte.
    head: u8,
    /// Clears the bits after it from the last byte.
    tail: u8,
    bytes: &'a [u8],
}

impl<'a> Stretch<'a> {
    /// # Panics
    /// When the bits are not bits of the string.
    fn new(bytes: &'a [u8], first: u64, last: u64) -> Self {
        assert!(first <= last && last / BYTE < bytes.len() as u64, "the stretch lies in the string");
        let bytes = &bytes[(first / BYTE) as usize..=(last / BYTE) as usize];
        Self { head: 0xff >> (first % BYTE), tail: 0xff << (BYTE - 1 - last % BYTE), bytes }
    }

    /// Its first byte, those between, and its last, if that is another, without what does not belong to it.
    fn parts(&self) -> (u8, &'a [u8], u8) {
        match self.bytes {
            [only] => (only & self.head & self.tail, &[], 0),
            [first, between @ .., last] => (first & self.head, between, last & self.tail),
            [] => unreachable!("a stretch has a bit"),
        }
    }
}

/// How many bits are set from bit `first` to bit `last`, both of them included.
///
/// # Panics
/// When they are not bits of the string.
pub fn count(bytes: &[u8], first: u64, last: u64) -> u64 {
    let (head, between, tail) = Stretch::new(bytes, first, last).parts();
    let ends = head.count_ones() + tail.count_ones();
    // Independent sums let the processor count several words at a time.
    let mut sums = [0u64; 4];
    let mut blocks = between.chunks_exact(32);
    for block in &mut blocks {
        for (sum, word) in sums.iter_mut().zip(block.chunks_exact(8)) {
            *sum += u64::from(word_of(word).count_ones());
        }
    }
    let rest: u64 = blocks.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum();
    u64::from(ends) + sums.iter().sum::<u64>() + rest
}

/// The first bit that is set, or clear, from bit `first` to bit `last`, both of them included.
///
/// # Panics
/// When they are not bits of the string.
pub fn position(bytes: &[u8], on: bool, first: u64, last: u64) -> Option<u64> {
    // A clear bit is a set bit of the complement.
    let flip = if on { 0 } else { 0xff };
    let stretch = Stretch::new(bytes, first, last);
    let start = first / BYTE * BYTE;
    let found = |index: usize, byte: u8| start + index as u64 * BYTE + u64::from(byte.leading_zeros());
    let (&first_byte, rest) = stretch.bytes.split_first()?;
    let mut byte = (first_byte ^ flip) & stretch.head;
    let Some((&last_byte, between)) = rest.split_last() else {
        byte &= stretch.tail;
        return (byte != 0).then(|| found(0, byte));
    };
    if byte != 0 {
        return Some(found(0, byte));
    }
    let skipped = word_of(&[flip; 8]);
    let words = between.chunks_exact(8).take_while(|word| word_of(word) == skipped).count();
    for (index, &byte) in between.iter().enumerate().skip(words * 8) {
        if byte != flip {
            return Some(found(index + 1, byte ^ flip));
        }
    }
    let byte = (last_byte ^ flip) & stretch.tail;
    (byte != 0).then(|| found(between.len() + 1, byte))
}

/// Eight bytes as a word; the order of bytes does not matter to those who ask.
fn word_of(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("a word has eight bytes"))
}

/// How strings are combined bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combination {
    /// Set where all are.
    And,
    /// Set where any is.
    Or,
    /// Set where an odd number of them are.
    Xor,
    /// Set where the only one is not.
    Not,
}

/// Combines strings bit by bit. The result is as long as the longest; shorter ones count as if zero bytes
/// followed.
///
/// # Panics
/// When there is not exactly one string for [`Combination::Not`].
pub fn combine(how: Combination, strings: &[&[u8]]) -> Vec<u8> {
    let len = strings.iter().map(|string| string.len()).max().unwrap_or(0);
    let Some((first, rest)) = strings.split_first() else { return Vec::new() };
    let mut result = Vec::with_capacity(len);
    result.extend_from_slice(first);
    result.resize(len, 0);
    if how == Combination::Not {
        assert!(rest.is_empty(), "NOT is of one string");
        result.iter_mut().for_each(|byte| *byte = !*byte);
    }
    for string in rest {
        // The compiler makes vectors of these loops.
        let (both, beyond) = result.split_at_mut(string.len());
        let pairs = both.iter_mut().zip(*string);
        match how {
            Combination::And => {
                pairs.for_each(|(byte, other)| *byte &= other);
                beyond.fill(0);
            }
            Combination::Or => pairs.for_each(|(byte, other)| *byte |= other),
            Combination::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
            Combination::Not => unreachable!("it has no second string"),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rng::Rng;

    /// Strings with long runs of equal bytes, as bitmaps have them.
    fn sample(rng: &mut Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + rng.below(4) {
            let byte = [0, 0xff, 0x10, 0xfe, rng.below(256) as u8][rng.below(5) as usize];
            bytes.extend(std::iter::repeat_n(byte, 1 + rng.below(40) as usize));
        }
        bytes
    }

    #[test]
    fn counting_and_searching_agree_with_bit_by_bit() {
        let mut rng = Rng::new(1);
        for _ in 0..20_000 {
            let bytes = sample(&mut rng);
            let first = rng.below(bytes.len() as u64 * 8);
            let last = first + rng.below(bytes.len() as u64 * 8 - first);
            let bits = || (first..=last).map(|offset| (offset, get(&bytes, offset)));
            assert_eq!(count(&bytes, first, last), bits().filter(|(_, bit)| *bit).count() as u64);
            for on in [false, true] {
                let expected = bits().find(|(_, bit)| *bit == on).map(|(offset, _)| offset);
                assert_eq!(position(&bytes, on, first, last), expected, "{bytes:?} {on} {first} {last}");
            }
        }
    }

    #[test]
    fn bits_beyond_the_end_are_clear_until_they_are_set() {
        let mut bytes = vec![0xff];
        assert!(get(&bytes, 7) && !get(&bytes, 8) && !get(&bytes, u64::MAX));
        set(&mut bytes, 17, true);
        assert_eq!(bytes, [0xff, 0, 0x40]);
        set(&mut bytes, 0, false);
        set(&mut bytes, 31, false);
        assert_eq!(bytes, [0x7f, 0, 0x40, 0]);
    }

    #[test]
    fn combinations_pad_with_zeros() {
        let strings: [&[u8]; 3] = [b"\xff\x0f\xff", b"\x3c", b"\xf0\xff"];
        assert_eq!(combine(Combination::And, &strings), b"\x30\x00\x00");
        assert_eq!(combine(Combination::Or, &strings), b"\xff\xff\xff");
        assert_eq!(combine(Combination::Xor, &strings), b"\x33\xf0\xff");
        assert_eq!(combine(Combination::Not, &strings[..1]), b"\x00\xf0\x00");
        assert_eq!(combine(Combination::And, &[b"", b"a"]), b"\x00");
        assert_eq!(combine(Combination::Or, &[]), b"");
    }
}
