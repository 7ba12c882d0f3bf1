//! Finding and visiting items.

use super::node::{self, Entries, Items};
use super::{Counted, NodeRows, corrupt};
use crate::storage::StorageResult;

/// Bytes of the key of a node's row, of its entry in its parent, and of what a file adds.
const NODE_OVERHEAD_BYTES: usize = 32;

/// Called with an item; answers whether to go on.
pub(in crate::storage::rows) type VisitItem<'v> = dyn FnMut(&[u8]) -> StorageResult<bool> + 'v;

/// What the leafs that were looked at take.
struct Sampled {
    bytes: usize,
    items: u64,
    items_max: u64,
}

/// Bytes of so many items, if `sampled` of them take `bytes`.
pub(in crate::storage::rows) fn scaled_bytes(bytes: usize, sampled: u64, items: u64) -> usize {
    let scaled = bytes as u128 * u128::from(items) / u128::from(sampled.max(1));
    usize::try_from(scaled).unwrap_or(usize::MAX)
}

impl Counted {
    /// What `read` makes of the item at an index, `None` behind the end.
    pub(in crate::storage::rows) fn get<T>(
        &self,
        rows: &impl NodeRows,
        index: u64,
        read: impl FnOnce(&[u8]) -> T,
    ) -> StorageResult<Option<T>> {
        if index >= self.len {
            return Ok(None);
        }
        let (mut node, mut index) = (self.root, index);
        for _ in 0..self.height {
            (node, index) = rows.with_node(self, node, |bytes| {
                let mut entries = Entries::of(bytes);
                let mut left = index;
                while let Some(entry) = entries.next()? {
                    if left < entry.count {
                        return Ok((entry.node, left));
                    }
                    left -= entry.count;
                }
                Err(corrupt("an inner node that counts too few items"))
            })?;
        }
        rows.with_node(self, node, |bytes| {
            let mut items = Items::of(bytes);
            items.skip(index)?;
            let item = items.next()?.ok_or_else(|| corrupt("a leaf with too few items"))?;
            Ok(Some(read(item)))
        })
    }

    /// About how many bytes the nodes take: as many for each item as in the first leafs, which have `samples` items or
    /// more; 0 is all.
    pub(in crate::storage::rows) fn sampled_bytes(&self, rows: &impl NodeRows, samples: usize) -> StorageResult<usize> {
        if self.len == 0 {
            return Ok(0);
        }
        let mut sampled =
            Sampled { bytes: 0, items: 0, items_max: if samples == 0 { u64::MAX } else { samples as u64 } };
        self.sample(rows, (self.root, self.height, self.len), &mut sampled)?;
        Ok(scaled_bytes(sampled.bytes, sampled.items, self.len))
    }

    fn sample(
        &self,
        rows: &impl NodeRows,
        (node, height, count): (u64, u8, u64),
        sampled: &mut Sampled,
    ) -> StorageResult<()> {
        let Some(below) = height.checked_sub(1) else {
            sampled.bytes += rows.with_node(self, node, |bytes| Ok(bytes.len()))? + NODE_OVERHEAD_BYTES;
            sampled.items += count;
            return Ok(());
        };
        let children = rows.with_node(self, node, |bytes| {
            Ok(node::entries(bytes)?.iter().map(|entry| (entry.node, entry.count)).collect::<Vec<_>>())
        })?;
        for (child, count) in children {
            if sampled.items >= sampled.items_max {
                break;
            }
            self.sample(rows, (child, below, count), sampled)?;
        }
        Ok(())
    }

    /// How many items sort before `bound`, and whether the next one equals it. Of a tree in the order of bytes.
    pub(in crate::storage::rows) fn rank(&self, rows: &impl NodeRows, bound: &[u8]) -> StorageResult<(u64, bool)> {
        if self.len == 0 {
            return Ok((0, false));
        }
        let (mut node, mut before) = (self.root, 0);
        for _ in 0..self.height {
            let (child, skipped) = rows.with_node(self, node, |bytes| {
                let mut entries = Entries::of(bytes);
                let mut last = entries.next()?.ok_or_else(|| corrupt("an inner node without entries"))?;
                let mut skipped = 0;
                while let Some(entry) = entries.next()? {
                    if *entry.separator > *bound {
                        break;
                    }
                    skipped += last.count;
                    last = entry;
                }
                Ok((last.node, skipped))
            })?;
            node = child;
            before += skipped;
        }
        let (_, in_leaf, found) = rows.with_node(self, node, |bytes| node::search(bytes, bound))?;
        Ok((before + in_leaf, found))
    }

    /// Visits items in order from the one at index `from` on, or backwards from it, until `visit` wants no more.
    pub(in crate::storage::rows) fn walk(
        &self,
        rows: &impl NodeRows,
        from: u64,
        reverse: bool,
        visit: &mut VisitItem<'_>,
    ) -> StorageResult<()> {
        if from < self.len {
            let mut skip = if reverse { self.len - 1 - from } else { from };
            self.walk_node(rows, (self.root, self.height), &mut skip, reverse, visit)?;
        }
        Ok(())
    }

    /// Visits what is below a node, after the first `skip` items; answers whether to go on.
    fn walk_node(
        &self,
        rows: &impl NodeRows,
        (node, height): (u64, u8),
        skip: &mut u64,
        reverse: bool,
        visit: &mut VisitItem<'_>,
    ) -> StorageResult<bool> {
        let Some(below) = height.checked_sub(1) else {
            let skip = std::mem::take(skip);
            return rows.with_node(self, node, |bytes| walk_leaf(bytes, skip, reverse, visit));
        };
        let mut children = rows.with_node(self, node, |bytes| {
            Ok(node::entries(bytes)?.iter().map(|entry| (entry.node, entry.count)).collect::<Vec<_>>())
        })?;
        if reverse {
            children.reverse();
        }
        for (child, count) in children {
            if *skip >= count {
                *skip -= count;
            } else if !self.walk_node(rows, (child, below), skip, reverse, visit)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn walk_leaf(leaf: &[u8], skip: u64, reverse: bool, visit: &mut VisitItem<'_>) -> StorageResult<bool> {
    let mut items = Items::of(leaf);
    if !reverse {
        items.skip(skip)?;
        while let Some(item) = items.next()? {
            if !visit(item)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    let mut all = Vec::new();
    while let Some(item) = items.next()? {
        all.push(item);
    }
    for item in all.into_iter().rev().skip(skip as usize) {
        if !visit(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}
