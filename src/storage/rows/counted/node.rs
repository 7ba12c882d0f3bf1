//! The bytes of nodes.

use std::borrow::Cow;

use super::{LEAF_MAX_ITEMS, NODE_MAX_BYTES, Order, corrupt};
use crate::codec::{push_run, push_varint, read_varint, varint_bytes};
use crate::storage::StorageResult;

fn take_varint(rest: &mut &[u8]) -> StorageResult<u64> {
    let (value, used) = read_varint(rest).ok_or_else(|| corrupt("a number that is cut off"))?;
    *rest = &rest[used..];
    Ok(value)
}

fn take_run<'n>(rest: &mut &'n [u8]) -> StorageResult<&'n [u8]> {
    let length = usize::try_from(take_varint(rest)?).unwrap_or(usize::MAX);
    let (run, after) = rest.split_at_checked(length).ok_or_else(|| corrupt("an item that is cut off"))?;
    *rest = after;
    Ok(run)
}

// ---- leafs ----

/// The items of a leaf, in order.
pub(super) struct Items<'n> {
    rest: &'n [u8],
}

impl<'n> Items<'n> {
    pub(super) fn of(leaf: &'n [u8]) -> Self {
        Self { rest: leaf }
    }

    /// The next item.
    pub(super) fn next(&mut self) -> StorageResult<Option<&'n [u8]>> {
        if self.rest.is_empty() { Ok(None) } else { take_run(&mut self.rest).map(Some) }
    }

    /// Steps over items and answers whether there were as many.
    pub(super) fn skip(&mut self, count: u64) -> StorageResult<bool> {
        for _ in 0..count {
            if self.next()?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Bytes that are left.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// Where the item at an index of a leaf begins; the end for the index behind the last.
pub(super) fn offset_of(leaf: &[u8], index: u64) -> StorageResult<usize> {
    let mut items = Items::of(leaf);
    if items.skip(index)? { Ok(leaf.len() - items.remaining()) } else { Err(corrupt("a leaf with too few items")) }
}

/// Where items begin that are not before `bound`, how many are before it, and whether the first of them equals it.
pub(super) fn search(leaf: &[u8], bound: &[u8]) -> StorageResult<(usize, u64, bool)> {
    let mut items = Items::of(leaf);
    let (mut offset, mut before) = (0, 0);
    while let Some(item) = items.next()? {
        if item >= bound {
            return Ok((offset, before, item == bound));
        }
        before += 1;
        offset = leaf.len() - items.remaining();
    }
    Ok((offset, before, false))
}

/// Items as they stand in a leaf.
pub(super) fn encode_items(items: &[&[u8]]) -> Vec<u8> {
    let room = items.iter().map(|item| varint_bytes(item.len() as u64) + item.len()).sum();
    let mut bytes = Vec::with_capacity(room);
    items.iter().for_each(|item| push_run(&mut bytes, item));
    bytes
}

/// Whether a leaf may stay as it is.
pub(super) fn leaf_fits(bytes: usize, items: u64) -> bool {
    items <= 1 || (bytes <= NODE_MAX_BYTES && items <= LEAF_MAX_ITEMS as u64)
}

/// Bytes of each item of a leaf, its length included.
pub(super) fn item_sizes(leaf: &[u8]) -> StorageResult<Vec<usize>> {
    let mut items = Items::of(leaf);
    let mut sizes = Vec::new();
    let mut left = leaf.len();
    while items.next()?.is_some() {
        sizes.push(left - items.remaining());
        left = items.remaining();
    }
    Ok(sizes)
}

/// The shortest beginning of `right`, the first item of a leaf, that sorts behind `left`, the last one before it.
pub(super) fn separator(order: Order, left: &[u8], right: &[u8]) -> Vec<u8> {
    match order {
        Order::Position => Vec::new(),
        Order::Bytes => {
            debug_assert!(left < right, "items are in order");
            let shared = left.iter().zip(right).take_while(|(a, b)| a == b).count();
            right[..right.len().min(shared + 1)].to_vec()
        }
    }
}

// ---- inner nodes ----

/// What an inner node says of a node below it.
#[derive(Clone, Debug)]
pub(super) struct Entry<'n> {
    pub(super) node: u64,
    pub(super) count: u64,
    pub(super) separator: Cow<'n, [u8]>,
}

impl Entry<'_> {
    /// Bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        let separator = self.separator.len();
        varint_bytes(self.node) + varint_bytes(self.count) + varint_bytes(separator as u64) + separator
    }
}

/// The entries of an inner node, in order.
pub(super) struct Entries<'n> {
    rest: &'n [u8],
}

impl<'n> Entries<'n> {
    pub(super) fn of(inner: &'n [u8]) -> Self {
        Self { rest: inner }
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> StorageResult<Option<Entry<'n>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let node = take_varint(&mut self.rest)?;
        let count = take_varint(&mut self.rest)?;
        Ok(Some(Entry { node, count, separator: Cow::Borrowed(take_run(&mut self.rest)?) }))
    }
}

/// All entries of an inner node.
pub(super) fn entries(inner: &[u8]) -> StorageResult<Vec<Entry<'_>>> {
    let mut all = Vec::new();
    let mut entries = Entries::of(inner);
    while let Some(entry) = entries.next()? {
        all.push(entry);
    }
    if all.is_empty() { Err(corrupt("an inner node without entries")) } else { Ok(all) }
}

/// An inner node.
pub(super) fn encode_entries(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.iter().map(Entry::bytes).sum());
    for entry in entries {
        push_varint(&mut bytes, entry.node);
        push_varint(&mut bytes, entry.count);
        push_run(&mut bytes, &entry.separator);
    }
    bytes
}

// ---- splitting ----

/// Where items come to a node, which says how it had better be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// At the front of the tree: the last part is filled.
    Front,
    /// At its end: the first part is filled.
    Back,
    /// Anywhere: both halves get room.
    Middle,
}

/// What a part of a node may hold.
#[derive(Clone, Copy)]
pub(super) struct PartLimits {
    pub(super) items_max: usize,
    /// However large they are.
    pub(super) items_min: usize,
}

/// A leaf may have a single item, however large.
pub(super) const LEAF_PART: PartLimits = PartLimits { items_max: LEAF_MAX_ITEMS, items_min: 1 };
/// With fewer than two entries a level would not be smaller than the one below it.
pub(super) const INNER_PART: PartLimits = PartLimits { items_max: usize::MAX, items_min: 2 };

/// How many of items with these sizes go to each part of a node.
pub(super) fn partition(sizes: &[usize], limits: PartLimits, growth: Growth) -> Vec<usize> {
    if growth == Growth::Middle {
        let total: usize = sizes.iter().sum();
        let (mut first, mut count) = (0, 0);
        while first < total / 2 {
            first += sizes[count];
            count += 1;
        }
        let fits = |items: usize, bytes: usize| {
            items >= limits.items_min
                && items <= limits.items_max
                && (bytes <= NODE_MAX_BYTES || items == limits.items_min)
        };
        if fits(count, first) && fits(sizes.len() - count, total - first) {
            return vec![count, sizes.len() - count];
        }
    }
    let mut parts = Vec::new();
    let (mut items, mut bytes) = (0, 0);
    let mut add = |size: usize| {
        let full = items >= limits.items_max || bytes + size > NODE_MAX_BYTES;
        if full && items >= limits.items_min {
            parts.push(items);
            (items, bytes) = (0, 0);
        }
        items += 1;
        bytes += size;
    };
    if growth == Growth::Front {
        sizes.iter().rev().for_each(|&size| add(size));
    } else {
        sizes.iter().for_each(|&size| add(size));
    }
    parts.push(items);
    complete_last(&mut parts, limits);
    if growth == Growth::Front {
        parts.reverse();
    }
    parts
}

/// Gives the last part as many items as it must have, from the one before.
fn complete_last(parts: &mut Vec<usize>, limits: PartLimits) {
    let [.., before, last] = &mut parts[..] else { return };
    let lacking = limits.items_min.saturating_sub(*last);
    if *before >= limits.items_min + lacking {
        *before -= lacking;
        *last += lacking;
    } else {
        *before += *last;
        parts.pop();
    }
}
