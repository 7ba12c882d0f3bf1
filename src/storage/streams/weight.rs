//! How many bytes an entry takes in a node of Redis, which is a listpack. Nodes end by it, see [`super::NodeMark`].
//!
//! An element of a listpack is an integer of 1 to 9 bytes or a string with a header of 1, 2 or 5 bytes; behind it stands
//! its length, for walks backwards. A node begins with how many entries it has, how many were removed, and the
//! fields of its first entry. An entry whose fields are those has its values only.

use super::NodeMark;
use crate::storage::EncodingSettings;
use crate::types::StreamId;
use crate::types::number::parse_i64;

/// Header and end of a listpack.
const NODE_BYTES: u64 = 7;
/// Longest text that is looked at as a number.
const NUMBER_MAX_BYTES: usize = 20;
/// Most bytes of a node and of one entry, whatever the settings say.
pub const NODE_MAX_BYTES: u64 = 1 << 30;

/// Bytes of the length that stands behind an element.
fn trailer(bytes: u64) -> u64 {
    match bytes {
        0..=127 => 1,
        128..16383 => 2,
        16383..2_097_151 => 3,
        2_097_151..268_435_455 => 4,
        _ => 5,
    }
}

fn integer(value: i64) -> u64 {
    let bytes = match value {
        0..=127 => 1,
        -4096..=4095 => 2,
        -32768..=32767 => 3,
        -8_388_608..=8_388_607 => 4,
        -2_147_483_648..=2_147_483_647 => 5,
        _ => 9,
    };
    bytes + 1
}

fn text(bytes: &[u8]) -> u64 {
    if bytes.len() <= NUMBER_MAX_BYTES
        && let Some(number) = parse_i64(bytes)
    {
        return integer(number);
    }
    let body = bytes.len() as u64
        + match bytes.len() {
            0..64 => 1,
            64..4096 => 2,
            _ => 5,
        };
    body + trailer(body)
}

/// Bytes of a node without entries whose first entry has these fields.
pub fn empty_node<'f>(fields: impl ExactSizeIterator<Item = &'f [u8]>) -> u64 {
    NODE_BYTES + integer(fields.len() as i64) + fields.map(text).sum::<u64>() + integer(0)
}

/// Bytes of an entry, given fields and values in turn and whether the fields are those of the node.
pub fn entry(id: StreamId, master: StreamId, fields: &[&[u8]], same_fields: bool) -> u64 {
    let pairs = (fields.len() / 2) as i64;
    let delta = |to: u64, from: u64| integer(to.wrapping_sub(from).cast_signed());
    let fixed = integer(0) + delta(id.ms, master.ms) + delta(id.seq, master.seq);
    if same_fields {
        fixed + fields.iter().skip(1).step_by(2).map(|value| text(value)).sum::<u64>() + integer(pairs + 3)
    } else {
        fixed + integer(pairs) + fields.iter().map(|part| text(part)).sum::<u64>() + integer(2 * pairs + 4)
    }
}

/// Whether an entry whose fields and values are `bytes` long together begins a new node behind this one.
pub fn is_full(node: &NodeMark, bytes: u64, settings: &EncodingSettings) -> bool {
    let max_bytes = match settings.stream_node_max_bytes as u64 {
        0 => NODE_MAX_BYTES,
        max => max.min(NODE_MAX_BYTES),
    };
    let counts = integer(i64::from(node.live)) + integer(i64::from(node.total - node.live));
    let max_entries = settings.stream_node_max_entries;
    u64::from(node.weight) + counts + bytes >= max_bytes || (max_entries > 0 && node.total as usize >= max_entries)
}

/// A weight as it is kept.
pub fn kept(weight: u64) -> u32 {
    u32::try_from(weight).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_as_long_as_in_a_listpack() {
        assert_eq!(text(b""), 2);
        assert_eq!(text(b"abc"), 5);
        assert_eq!(text(b"127"), 2);
        assert_eq!(text(b"128"), 3);
        assert_eq!(text(b"-1"), 3);
        assert_eq!(text(b"4096"), 4);
        assert_eq!(text(b"9223372036854775807"), 10);
        assert_eq!(text(b"0127"), 6, "not a canonical number");
        assert_eq!(text(&[b'x'; 63]), 65);
        assert_eq!(text(&[b'x'; 64]), 67);
        assert_eq!(text(&[b'x'; 126]), 130);
        assert_eq!(text(&[b'x'; 4096]), 4103);
    }
}
