//! LZF, the compression of strings in RDB.
//!
//! ```text
//! literal := 000lllll, then l + 1 bytes                        as they are
//! short   := lllddddd dddddddd            1 <= l <= 6          l + 2 bytes from d + 1 bytes back
//! long    := 111ddddd llllllll dddddddd                        l + 9 bytes from d + 1 bytes back
//! ```
//! A copy may reach into what it writes itself, which is how runs are kept short.

/// Most bytes of one literal.
const LITERAL_MAX_BYTES: usize = 32;
/// Fewest bytes worth a copy.
const COPY_MIN_BYTES: usize = 3;
/// Most bytes of one copy.
const COPY_MAX_BYTES: usize = 264;
/// Length of a copy from which it has a byte of its own.
const LONG_COPY_BYTES: usize = 9;
/// How far back a copy reaches.
const DISTANCE_MAX: usize = 1 << 13;
/// Bits of the table of places where three bytes were seen.
const TABLE_BITS: u32 = 13;
/// The best that three bytes can stand for.
const EXPANSION_MAX: usize = COPY_MAX_BYTES / 3;

/// Whether so many compressed bytes can stand for so many.
pub(super) fn can_expand(compressed: usize, length: usize) -> bool {
    length / EXPANSION_MAX <= compressed
}

fn place(bytes: &[u8]) -> usize {
    let three = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    // Knuth's multiplier; the upper bits of the product are the mixed ones.
    (three.wrapping_mul(0x9e37_79b1) >> (u32::BITS - TABLE_BITS)) as usize
}

/// Bytes that are equal from two places on, up to `limit`.
fn common(input: &[u8], earlier: usize, later: usize, limit: usize) -> usize {
    input[earlier..].iter().zip(&input[later..later + limit]).take_while(|(a, b)| a == b).count()
}

fn push_literals(out: &mut Vec<u8>, literals: &[u8]) {
    for chunk in literals.chunks(LITERAL_MAX_BYTES) {
        out.push((chunk.len() - 1) as u8);
        out.extend_from_slice(chunk);
    }
}

fn push_copy(out: &mut Vec<u8>, distance: usize, length: usize) {
    let back = distance - 1;
    if length < LONG_COPY_BYTES {
        out.push(((length - 2) << 5 | back >> 8) as u8);
    } else {
        out.push((7 << 5 | back >> 8) as u8);
        out.push((length - LONG_COPY_BYTES) as u8);
    }
    out.push(back as u8);
}

/// Compresses; `None` when that would not save at least `saved_min` bytes.
pub(super) fn compress(input: &[u8], saved_min: usize) -> Option<Vec<u8>> {
    let budget = input.len().checked_sub(saved_min)?;
    let mut out = Vec::with_capacity(budget.min(input.len() / 2 + 16));
    // One more than the place, so that 0 is none. Places beyond 32 bits are not remembered.
    let mut seen = vec![0u32; 1 << TABLE_BITS];
    let (mut at, mut literals_from) = (0, 0);
    while at + COPY_MIN_BYTES <= input.len() {
        let slot = &mut seen[place(&input[at..])];
        let earlier = std::mem::replace(slot, u32::try_from(at + 1).unwrap_or(0)) as usize;
        let limit = COPY_MAX_BYTES.min(input.len() - at);
        let length = match earlier.checked_sub(1) {
            Some(earlier) if at - earlier <= DISTANCE_MAX => common(input, earlier, at, limit),
            _ => 0,
        };
        if length < COPY_MIN_BYTES {
            at += 1;
            // What is still to be written takes at least so much.
            if out.len() + (at - literals_from) > budget {
                return None;
            }
            continue;
        }
        push_literals(&mut out, &input[literals_from..at]);
        push_copy(&mut out, at + 1 - earlier, length);
        let end = at + length;
        // Its last places are the ones that what follows is most likely to repeat.
        for inside in (end - 2).max(at + 1)..end {
            if inside + COPY_MIN_BYTES <= input.len() {
                seen[place(&input[inside..])] = u32::try_from(inside + 1).unwrap_or(0);
            }
        }
        (at, literals_from) = (end, end);
    }
    push_literals(&mut out, &input[literals_from..]);
    (out.len() <= budget).then_some(out)
}

/// Decompresses to exactly `length` bytes; `None` when the input is damaged. Memory grows with what was read.
pub(super) fn decompress(input: &[u8], length: usize) -> Option<Vec<u8>> {
    if !can_expand(input.len(), length) {
        return None;
    }
    let mut out = Vec::with_capacity(length);
    let mut rest = input;
    while let Some((&control, after)) = rest.split_first() {
        let high = usize::from(control >> 5);
        if high == 0 {
            let (literals, after) = after.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literals);
            rest = after;
        } else {
            let (copied, after) = match high {
                7 => after.split_first().map(|(&more, after)| (usize::from(more) + LONG_COPY_BYTES, after))?,
                short => (short + 2, after),
            };
            let (&low, after) = after.split_first()?;
            let distance = (usize::from(control & 0x1f) << 8 | usize::from(low)) + 1;
            let from = out.len().checked_sub(distance)?;
            if copied > length.checked_sub(out.len())? {
                return None;
            }
            if distance >= copied {
                out.extend_from_within(from..from + copied);
            } else {
                for index in from..from + copied {
                    out.push(out[index]);
                }
            }
            rest = after;
        }
        if out.len() > length {
            return None;
        }
    }
    (out.len() == length).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::rng::Rng;

    fn sample(rng: &mut Rng, length: usize, alphabet: u64) -> Vec<u8> {
        (0..length).map(|_| b'a' + rng.below(alphabet) as u8).collect()
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let mut rng = Rng::new(7);
        let mut compressed = 0;
        for round in 0..2000 {
            let length = rng.below(if round % 50 == 0 { 40_000 } else { 600 }) as usize;
            let mut input = sample(&mut rng, length, 1 + round % 26);
            if round % 3 == 0 {
                let again = input.clone();
                input.extend_from_slice(&again);
            }
            let Some(short) = compress(&input, 4) else { continue };
            compressed += 1;
            assert!(short.len() + 4 <= input.len());
            assert_eq!(decompress(&short, input.len()).expect("sound"), input);
        }
        assert!(compressed > 1000);
    }

    #[test]
    fn runs_become_short() {
        let short = compress(&[b'x'; 10_000], 4).expect("it repeats");
        assert!(short.len() < 10_000 / EXPANSION_MAX + 8, "{}", short.len());
        assert_eq!(decompress(&short, 10_000).expect("sound"), [b'x'; 10_000]);
    }

    #[test]
    fn noise_is_left_alone() {
        let mut rng = Rng::new(3);
        let noise: Vec<u8> = (0..1000).map(|_| rng.below(256) as u8).collect();
        assert_eq!(compress(&noise, 4), None);
        assert_eq!(compress(b"", 4), None);
        assert_eq!(compress(b"abc", 4), None);
    }

    #[test]
    fn damage_is_seen() {
        let input = [&b"some text, some more text, "[..], &[b'-'; 500]].concat();
        let short = compress(&input, 4).expect("it repeats");
        for cut in 0..short.len() {
            assert_eq!(decompress(&short[..cut], input.len()), None, "cut at {cut}");
        }
        assert_eq!(decompress(&short, input.len() + 1), None);
        assert_eq!(decompress(&short, input.len() - 1), None);
        assert_eq!(decompress(b"\x20\x00", 3), None, "before the beginning");
        assert_eq!(decompress(b"\x00a\xe0", 10), None, "no length");
        assert_eq!(decompress(b"\x00a\x20", 4), None, "no distance");
        assert_eq!(decompress(b"\x00a", 1 << 40), None, "absurd");
    }

    #[test]
    fn the_format_is_that_of_others() {
        // "aaaaaaaaaaaaaaaaaaaa": one literal, then a long copy from one byte back.
        assert_eq!(decompress(b"\x00a\xe0\x0a\x00", 20).expect("sound"), [b'a'; 20]);
    }
}
