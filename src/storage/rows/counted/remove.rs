//! Removing items, and joining what becomes small.

use std::borrow::Cow;
use std::ops::Range;

use super::node::{self, Entry, Items};
use super::{Counted, JOINED_MAX_BYTES, JOINED_MAX_ITEMS, NODE_SMALL_BYTES, NodeRows, NodeWriter};
use crate::storage::StorageResult;

impl Counted {
    /// Removes the items of ranges, which are in order, do not overlap and are not empty.
    pub(in crate::storage::rows) fn remove(
        &mut self,
        rows: &mut NodeWriter<'_>,
        ranges: &[Range<u64>],
    ) -> StorageResult<()> {
        assert!(ranges.iter().all(|range| range.start < range.end && range.end <= self.len), "ranges of items");
        assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "ranges in order");
        if ranges.is_empty() {
            return Ok(());
        }
        let at_ends = ranges.iter().all(|range| range.start == 0 || range.end == self.len);
        let root = Entry { node: self.root, count: self.len, separator: Cow::default() };
        match self.remove_below(rows, &root, self.height, 0, ranges, !at_ends)? {
            None => self.len = 0,
            Some(left) => {
                self.len = left.count;
                self.lower_root(rows)?;
            }
        }
        Ok(())
    }

    /// Makes the only node below the root the root.
    fn lower_root(&mut self, rows: &mut NodeWriter<'_>) -> StorageResult<()> {
        while self.height > 0 {
            let only = rows.with_node(self, self.root, |bytes| {
                let entries = node::entries(bytes)?;
                Ok((entries.len() == 1).then_some(entries[0].node))
            })?;
            let Some(only) = only else { break };
            rows.remove(self, self.root);
            self.root = only;
            self.height -= 1;
        }
        Ok(())
    }

    /// Removes what ranges cover below a node whose first item has the index `base`; answers what is left.
    fn remove_below(
        &self,
        rows: &mut NodeWriter<'_>,
        entry: &Entry<'_>,
        height: u8,
        base: u64,
        ranges: &[Range<u64>],
        join: bool,
    ) -> StorageResult<Option<Left>> {
        let span = base..base + entry.count;
        if ranges.first().is_some_and(|range| range.start <= span.start && range.end >= span.end) {
            self.drop_below(rows, entry.node, height)?;
            return Ok(None);
        }
        let old = rows.load(self, entry.node)?;
        let Some(below) = height.checked_sub(1) else {
            let left = remove_from_leaf(&old, base, ranges)?;
            return Ok(self.put_or_drop(rows, entry.node, left.1, left.0));
        };
        let mut kept: Vec<(Entry<'_>, Option<usize>)> = Vec::new();
        let mut start = base;
        for mut child in node::entries(&old)? {
            let end = start + child.count;
            let first = ranges.partition_point(|range| range.end <= start);
            let behind = ranges.partition_point(|range| range.start < end);
            if first >= behind {
                kept.push((child, None));
            } else if let Some(left) = self.remove_below(rows, &child, below, start, &ranges[first..behind], join)? {
                child.count = left.count;
                kept.push((child, Some(left.bytes)));
            }
            start = end;
        }
        if join {
            self.join_small(rows, &mut kept, below)?;
        }
        let entries: Vec<Entry<'_>> = kept.into_iter().map(|(entry, _)| entry).collect();
        let count = entries.iter().map(|entry| entry.count).sum();
        Ok(self.put_or_drop(rows, entry.node, node::encode_entries(&entries), count))
    }

    /// Writes what is left of a node, or removes it when nothing is.
    fn put_or_drop(&self, rows: &mut NodeWriter<'_>, node: u64, bytes: Vec<u8>, count: u64) -> Option<Left> {
        if count == 0 {
            rows.remove(self, node);
            return None;
        }
        let left = Left { count, bytes: bytes.len() };
        rows.put(self, node, bytes);
        Some(left)
    }

    /// Removes a node and all below it.
    fn drop_below(&self, rows: &mut NodeWriter<'_>, node: u64, height: u8) -> StorageResult<()> {
        if let Some(below) = height.checked_sub(1) {
            for child in node::entries(&rows.load(self, node)?)? {
                self.drop_below(rows, child.node, below)?;
            }
        }
        rows.remove(self, node);
        Ok(())
    }

    /// Joins nodes that were changed and are small with a neighbour that has room.
    fn join_small(
        &self,
        rows: &mut NodeWriter<'_>,
        entries: &mut Vec<(Entry<'_>, Option<usize>)>,
        height: u8,
    ) -> StorageResult<()> {
        let mut at = 0;
        while at < entries.len() {
            let small = entries[at].1.is_some_and(|bytes| bytes < NODE_SMALL_BYTES);
            let joined = small
                && ((at > 0 && self.join(rows, entries, at - 1, height)?)
                    || (at + 1 < entries.len() && self.join(rows, entries, at, height)?));
            // What was joined may still be small, and is one entry further back at most.
            at = if joined { at.saturating_sub(1) } else { at + 1 };
        }
        Ok(())
    }

    /// Joins the nodes of two entries, if they are small enough.
    fn join(
        &self,
        rows: &mut NodeWriter<'_>,
        entries: &mut Vec<(Entry<'_>, Option<usize>)>,
        left: usize,
        height: u8,
    ) -> StorageResult<bool> {
        let count = entries[left].0.count + entries[left + 1].0.count;
        if height == 0 && count > JOINED_MAX_ITEMS as u64 {
            return Ok(false);
        }
        let (left_node, right_node) = (entries[left].0.node, entries[left + 1].0.node);
        let mut bytes = rows.load(self, left_node)?;
        let other = rows.load(self, right_node)?;
        if height == 0 {
            bytes.extend_from_slice(&other);
        } else {
            let mut moved = node::entries(&other)?;
            moved[0].separator = Cow::Borrowed(&entries[left + 1].0.separator);
            bytes.extend_from_slice(&node::encode_entries(&moved));
        }
        if bytes.len() > JOINED_MAX_BYTES {
            return Ok(false);
        }
        entries.remove(left + 1);
        entries[left].0.count = count;
        entries[left].1 = Some(bytes.len());
        rows.remove(self, right_node);
        rows.put(self, left_node, bytes);
        Ok(true)
    }
}

/// What is left of a node.
struct Left {
    count: u64,
    bytes: usize,
}

/// Number and bytes of the items of a leaf that no range covers.
fn remove_from_leaf(leaf: &[u8], base: u64, ranges: &[Range<u64>]) -> StorageResult<(u64, Vec<u8>)> {
    let mut kept = Vec::with_capacity(leaf.len());
    let mut items = Items::of(leaf);
    let (mut index, mut offset, mut count) = (base, 0, 0);
    let mut ranges = ranges.iter().peekable();
    while items.next()?.is_some() {
        let end = leaf.len() - items.remaining();
        while ranges.next_if(|range| range.end <= index).is_some() {}
        if ranges.peek().is_none_or(|range| index < range.start) {
            kept.extend_from_slice(&leaf[offset..end]);
            count += 1;
        }
        index += 1;
        offset = end;
    }
    Ok((count, kept))
}
