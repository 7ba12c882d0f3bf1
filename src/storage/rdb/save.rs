//! Values as Redis 7.0 writes them, in the encodings that it would keep them in.

use super::expiring_hash;
use super::intset;
use super::kinds::*;
use super::listpack::Writer;
use super::output::Output;
use super::stream;
use crate::storage::{EncodingSettings, Object};
use crate::types::number::{format_f64, parse_i64};

/// Bytes beyond which nothing is kept as a listpack, nor as an element of one.
const LISTPACK_MAX_BYTES: usize = 1 << 30;
/// Bytes of a listpack of which the settings limit the entries.
const COUNTED_NODE_MAX_BYTES: usize = 8 * 1024;
/// Bytes of a node of a list, by the size classes -1 to -5 of `list-max-listpack-size`.
const NODE_CLASS_BYTES: [usize; 5] = [4 * 1024, 8 * 1024, 16 * 1024, 32 * 1024, 64 * 1024];
/// The most that an entry takes in a listpack besides its bytes.
const ENTRY_OVERHEAD_BYTES: usize = 10;
/// Most members of an intset, whatever the settings say.
const INTSET_MAX_ENTRIES: usize = 1 << 30;

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions<'s> {
    /// The thresholds of the compact encodings.
    pub encoding: &'s EncodingSettings,
    /// Whether long strings are compressed.
    pub compress: bool,
}

/// The number of the form that an object is written in, and the writer of its body.
pub(super) fn save(object: &Object, options: SaveOptions<'_>, bytes: &mut Vec<u8>) -> u8 {
    let mut out = Output::new(bytes, options.compress);
    let encoding = options.encoding;
    match object {
        Object::String(string) => {
            out.string(string);
            STRING
        }
        Object::List(elements) => {
            save_list(elements, encoding.list_max_listpack_size, &mut out);
            LIST_QUICKLIST_2
        }
        Object::Set(members) => save_set(members, encoding, &mut out),
        Object::Hash(pairs) => save_hash(pairs, encoding, &mut out),
        Object::ExpiringHash(fields) => expiring_hash::save(fields, &mut out),
        Object::Zset(members) => save_zset(members, encoding, &mut out),
        Object::Stream(stream) => {
            stream::save(stream, &mut out);
            STREAM_2
        }
    }
}

/// Entries and bytes that a node of a list may have.
fn node_limits(setting: i64) -> (usize, usize) {
    match usize::try_from(setting) {
        Ok(entries) => (entries.max(1), COUNTED_NODE_MAX_BYTES),
        Err(_) => {
            let class = usize::try_from(-1 - setting).unwrap_or(usize::MAX);
            (usize::MAX, NODE_CLASS_BYTES[class.min(NODE_CLASS_BYTES.len() - 1)])
        }
    }
}

fn save_list(elements: &[Vec<u8>], setting: i64, out: &mut Output<'_>) {
    let (entries_max, bytes_max) = node_limits(setting);
    let mut nodes: Vec<(u64, std::borrow::Cow<'_, [u8]>)> = Vec::new();
    let mut open = Writer::new();
    let close = |open: &mut Writer, nodes: &mut Vec<_>| {
        if !open.is_empty() {
            nodes.push((NODE_PACKED, std::mem::replace(open, Writer::new()).finish().into()));
        }
    };
    for element in elements {
        let is_full = open.len() >= entries_max || open.size() + element.len() + ENTRY_OVERHEAD_BYTES > bytes_max;
        if is_full {
            close(&mut open, &mut nodes);
        }
        if element.len() >= LISTPACK_MAX_BYTES {
            nodes.push((NODE_PLAIN, element.as_slice().into()));
        } else {
            open.push(element);
        }
    }
    close(&mut open, &mut nodes);
    out.count(nodes.len());
    for (form, node) in nodes {
        out.length(form);
        out.string(&node);
    }
}

fn save_set(members: &[Vec<u8>], encoding: &EncodingSettings, out: &mut Output<'_>) -> u8 {
    if members.len() <= encoding.set_max_intset_entries.min(INTSET_MAX_ENTRIES) {
        let integers: Option<Vec<i64>> = members.iter().map(|member| parse_i64(member)).collect();
        if let Some(mut integers) = integers {
            integers.sort_unstable();
            out.string(&intset::encode(&integers));
            return SET_INTSET;
        }
    }
    out.count(members.len());
    members.iter().for_each(|member| out.string(member));
    SET
}

/// Whether items of these lengths may be kept as a listpack.
fn is_packed(items: usize, mut lengths: impl Iterator<Item = usize>, (entries_max, value_max): (usize, usize)) -> bool {
    let mut total = 0;
    items <= entries_max
        && lengths.all(|length| {
            total += length + ENTRY_OVERHEAD_BYTES;
            length <= value_max && total < LISTPACK_MAX_BYTES
        })
}

fn save_hash(pairs: &[(Vec<u8>, Vec<u8>)], encoding: &EncodingSettings, out: &mut Output<'_>) -> u8 {
    let lengths = pairs.iter().flat_map(|(field, value)| [field.len(), value.len()]);
    if is_packed(pairs.len(), lengths, (encoding.hash_max_listpack_entries, encoding.hash_max_listpack_value)) {
        let mut packed = Writer::new();
        for (field, value) in pairs {
            packed.push(field);
            packed.push(value);
        }
        out.string(&packed.finish());
        return HASH_LISTPACK;
    }
    out.count(pairs.len());
    for (field, value) in pairs {
        out.string(field);
        out.string(value);
    }
    HASH
}

/// A score as an integer, if nothing of it is lost.
fn whole(score: f64) -> Option<i64> {
    /// Below this every whole number of type f64 is one of type i64 as well.
    const BOUND: f64 = (1u64 << 62) as f64;
    let is_whole = score.abs() < BOUND && score.fract() == 0.0 && !(score == 0.0 && score.is_sign_negative());
    is_whole.then_some(score as i64)
}

fn save_zset(members: &[(Vec<u8>, f64)], encoding: &EncodingSettings, out: &mut Output<'_>) -> u8 {
    let lengths = members.iter().map(|(member, _)| member.len());
    if is_packed(members.len(), lengths, (encoding.zset_max_listpack_entries, encoding.zset_max_listpack_value)) {
        let mut packed = Writer::new();
        for (member, score) in members {
            packed.push(member);
            match whole(*score) {
                Some(number) => packed.push_int(number),
                None => packed.push(format_f64(*score).as_bytes()),
            }
        }
        out.string(&packed.finish());
        return ZSET_LISTPACK;
    }
    out.count(members.len());
    // From the last to the first, so that whoever loads it adds each in front.
    for (member, score) in members.iter().rev() {
        out.string(member);
        out.raw(&score.to_le_bytes());
    }
    ZSET_2
}
