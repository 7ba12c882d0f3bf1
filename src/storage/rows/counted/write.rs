//! Adding and replacing items.

use std::borrow::Cow;

use super::node::{self, Entry, Growth, INNER_PART, Items, LEAF_PART};
use super::{Counted, LazyView, NODE_MAX_BYTES, NodeRows, Order, corrupt, missing};
use crate::storage::StorageResult;
use crate::storage::rows::RowEngine;
use crate::storage::rows::format::node_row;
use crate::storage::rows::overlay::Overlay;
use crate::storage::rows::store::OrderedStore;

/// Bytes of items that [`Counted::fill`] gathers before it writes them.
const FILL_BYTES: usize = 256 * 1024;

/// The nodes of trees, to be changed.
pub(in crate::storage::rows) struct NodeWriter<'e> {
    overlay: &'e mut Overlay,
    files: &'e dyn OrderedStore,
    /// Of the files alone, so the overlay can be written while it is open.
    view: LazyView<'e>,
}

impl<'e> NodeWriter<'e> {
    pub(super) fn new(overlay: &'e mut Overlay, files: &'e dyn OrderedStore) -> Self {
        Self { overlay, files, view: LazyView::new() }
    }

    /// Writes a node.
    pub(super) fn put(&mut self, tree: &Counted, node: u64, bytes: Vec<u8>) {
        self.overlay.put(node_row(tree.version, node), bytes);
    }

    /// Removes a node.
    pub(super) fn remove(&mut self, tree: &Counted, node: u64) {
        self.overlay.remove(node_row(tree.version, node));
    }

    /// A copy of a node, to be changed.
    pub(super) fn load(&self, tree: &Counted, node: u64) -> StorageResult<Vec<u8>> {
        self.with_node(tree, node, |bytes| Ok(bytes.to_vec()))
    }
}

impl RowEngine {
    /// The nodes of trees, to be changed; afterwards the key's row has to be replaced.
    pub(in crate::storage::rows) fn nodes_mut(&mut self) -> NodeWriter<'_> {
        NodeWriter::new(&mut self.overlay, &*self.files)
    }
}

impl NodeRows for NodeWriter<'_> {
    fn with_node<T>(
        &self,
        tree: &Counted,
        node: u64,
        read: impl FnOnce(&[u8]) -> StorageResult<T>,
    ) -> StorageResult<T> {
        let row = node_row(tree.version, node);
        if let Some(value) = self.overlay.get(&row) {
            return read(value.ok_or_else(|| missing(tree, node))?);
        }
        let view = match self.view.get() {
            Some(view) => view,
            None => {
                let opened = self.files.view()?;
                self.view.get_or_init(|| opened)
            }
        };
        let mut read = Some(read);
        let mut result = None;
        view.get(&row, &mut |value| result = read.take().map(|read| read(value)))?;
        result.ok_or_else(|| missing(tree, node))?
    }
}

/// Where items are put.
#[derive(Clone, Copy)]
enum Place<'p> {
    /// Before the item at this index.
    Index(u64),
    /// Before the first item that is not before this one.
    Item(&'p [u8]),
}

/// A change within one leaf.
#[derive(Clone, Copy)]
struct Splice<'s> {
    place: Place<'s>,
    /// Items that are removed there: none or one.
    removed: u64,
    /// Items that are put there, and their number.
    items: &'s [u8],
    added: u64,
    growth: Growth,
}

impl Counted {
    /// Puts items before the one at `index`, in their order. Of a tree by position.
    pub(in crate::storage::rows) fn insert_at(
        &mut self,
        rows: &mut NodeWriter<'_>,
        index: u64,
        items: &[&[u8]],
    ) -> StorageResult<()> {
        assert!(index <= self.len && self.order == Order::Position, "an index of a tree by position");
        let bytes = node::encode_items(items);
        self.splice(rows, Place::Index(index), 0, (&bytes, items.len() as u64)).map(|_| ())
    }

    /// Replaces the item at `index`. Of a tree by position.
    pub(in crate::storage::rows) fn set(
        &mut self,
        rows: &mut NodeWriter<'_>,
        index: u64,
        item: &[u8],
    ) -> StorageResult<()> {
        assert!(index < self.len && self.order == Order::Position, "an index of a tree by position");
        let bytes = node::encode_items(&[item]);
        self.splice(rows, Place::Index(index), 1, (&bytes, 1)).map(|_| ())
    }

    /// Adds an item that is not there and answers its index. Of a tree in the order of bytes.
    pub(in crate::storage::rows) fn insert(&mut self, rows: &mut NodeWriter<'_>, item: &[u8]) -> StorageResult<u64> {
        assert_eq!(self.order, Order::Bytes, "an item has no place of its own in a tree by position");
        let bytes = node::encode_items(&[item]);
        self.splice(rows, Place::Item(item), 0, (&bytes, 1))
    }

    /// Puts items behind all others: in a tree in the order of bytes they must sort behind them, in their order.
    pub(in crate::storage::rows) fn fill<'i>(
        &mut self,
        rows: &mut NodeWriter<'_>,
        items: impl Iterator<Item = &'i [u8]>,
    ) -> StorageResult<()> {
        let mut bytes = Vec::new();
        let mut added = 0;
        let mut items = items.peekable();
        while let Some(item) = items.next() {
            crate::codec::push_run(&mut bytes, item);
            added += 1;
            if bytes.len() >= FILL_BYTES || items.peek().is_none() {
                // The last leaf takes what sorts behind all else, whatever the order.
                self.splice(rows, Place::Index(self.len), 0, (&bytes, added))?;
                bytes.clear();
                added = 0;
            }
        }
        Ok(())
    }

    /// Changes one place and answers its index.
    fn splice(
        &mut self,
        rows: &mut NodeWriter<'_>,
        place: Place<'_>,
        removed: u64,
        (items, added): (&[u8], u64),
    ) -> StorageResult<u64> {
        if added == 0 {
            return Ok(0);
        }
        let growth = match place {
            Place::Index(index) if index == self.len => Growth::Back,
            Place::Index(0) if removed == 0 => Growth::Front,
            _ => Growth::Middle,
        };
        let splice = Splice { place, removed, items, added, growth };
        let (mut entries, index) = if self.len == 0 {
            self.height = 0;
            self.root = self.new_node();
            (self.write_leafs(rows, self.root, items.to_vec(), added, growth)?, 0)
        } else {
            self.splice_node(rows, (self.root, self.height), self.len, splice)?
        };
        while entries.len() > 1 {
            let node = self.new_node();
            entries = self.write_inners(rows, node, entries, growth);
            self.height += 1;
        }
        self.root = entries[0].node;
        self.len = self.len + added - removed;
        Ok(index)
    }

    /// Changes a place below a node; answers what takes the place of its entry, and the index of the place. The
    /// first of the entries has no separator: it keeps the one it had.
    fn splice_node(
        &mut self,
        rows: &mut NodeWriter<'_>,
        (node, height): (u64, u8),
        count: u64,
        splice: Splice<'_>,
    ) -> StorageResult<(Vec<Entry<'static>>, u64)> {
        let old = rows.load(self, node)?;
        let Some(below) = height.checked_sub(1) else {
            let (start, index) = match splice.place {
                Place::Index(index) if index == count => (old.len(), index),
                Place::Index(index) => (node::offset_of(&old, index)?, index),
                Place::Item(item) => {
                    let (start, index, found) = node::search(&old, item)?;
                    debug_assert!(!found, "the item is not there");
                    (start, index)
                }
            };
            let mut items = Items::of(&old[start..]);
            if !items.skip(splice.removed)? {
                return Err(corrupt("a leaf with too few items"));
            }
            let new = [&old[..start], splice.items, &old[old.len() - items.remaining()..]].concat();
            let count = count + splice.added - splice.removed;
            return Ok((self.write_leafs(rows, node, new, count, splice.growth)?, index));
        };
        let mut entries = node::entries(&old)?;
        let (at, before) = choose(&entries, splice.place);
        let place = match splice.place {
            Place::Index(index) => Place::Index(index - before),
            by_item @ Place::Item(_) => by_item,
        };
        let child = (entries[at].node, below);
        let (mut new, index) = self.splice_node(rows, child, entries[at].count, Splice { place, ..splice })?;
        new[0].separator = std::mem::take(&mut entries[at].separator).into_owned().into();
        entries.splice(at..=at, new);
        Ok((self.write_inners(rows, node, entries, splice.growth), before + index))
    }

    /// Writes a leaf, in parts where it is too large; the first part keeps its number.
    fn write_leafs(
        &mut self,
        rows: &mut NodeWriter<'_>,
        node: u64,
        bytes: Vec<u8>,
        count: u64,
        growth: Growth,
    ) -> StorageResult<Vec<Entry<'static>>> {
        if node::leaf_fits(bytes.len(), count) {
            rows.put(self, node, bytes);
            return Ok(vec![Entry { node, count, separator: Cow::default() }]);
        }
        let sizes = node::item_sizes(&bytes)?;
        let mut entries = Vec::new();
        let (mut first, mut start) = (0, 0);
        let mut last_item: &[u8] = b"";
        for items in node::partition(&sizes, LEAF_PART, growth) {
            let part_bytes: usize = sizes[first..first + items].iter().sum();
            let part = &bytes[start..start + part_bytes];
            let separator = match entries.is_empty() {
                true => Vec::new(),
                false => node::separator(self.order, last_item, Items::of(part).next()?.unwrap_or_default()),
            };
            let node = if entries.is_empty() { node } else { self.new_node() };
            rows.put(self, node, part.to_vec());
            entries.push(Entry { node, count: items as u64, separator: separator.into() });
            first += items;
            start += part_bytes;
            last_item = Items::of(&part[part_bytes - sizes[first - 1]..]).next()?.unwrap_or_default();
        }
        Ok(entries)
    }

    /// Writes an inner node, in parts where it is too large; the first part keeps its number.
    fn write_inners(
        &mut self,
        rows: &mut NodeWriter<'_>,
        node: u64,
        mut entries: Vec<Entry<'_>>,
        growth: Growth,
    ) -> Vec<Entry<'static>> {
        let sizes: Vec<usize> = entries.iter().map(Entry::bytes).collect();
        let parts = if sizes.iter().sum::<usize>() <= NODE_MAX_BYTES {
            vec![entries.len()]
        } else {
            node::partition(&sizes, INNER_PART, growth)
        };
        let mut written: Vec<Entry<'static>> = Vec::with_capacity(parts.len());
        for items in parts {
            let mut part: Vec<Entry<'_>> = entries.drain(..items).collect();
            let count = part.iter().map(|entry| entry.count).sum();
            // What tells a part from the one before it is told by the level above.
            let separator = match written.is_empty() {
                true => Cow::default(),
                false => std::mem::take(&mut part[0].separator).into_owned().into(),
            };
            let node = if written.is_empty() { node } else { self.new_node() };
            rows.put(self, node, node::encode_entries(&part));
            written.push(Entry { node, count, separator });
        }
        written
    }
}

/// The entry below which a place is, and how many items are before it.
fn choose(entries: &[Entry<'_>], place: Place<'_>) -> (usize, u64) {
    let (mut at, mut before) = (0, 0);
    while let Some(next) = entries.get(at + 1) {
        let passed = match place {
            Place::Index(index) => index >= before + entries[at].count,
            Place::Item(item) => *next.separator <= *item,
        };
        if !passed {
            break;
        }
        before += entries[at].count;
        at += 1;
    }
    (at, before)
}
