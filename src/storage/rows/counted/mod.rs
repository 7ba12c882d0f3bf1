//! A counted B+ tree whose nodes are rows: the elements of a list by position, or items in the order of their bytes.
//!
//! ```text
//! leaf   := item*                   item  := length: varint | length bytes
//! inner  := entry*                  entry := node: varint | items below it: varint | separator: a run
//! head   := root: u64 | next node: u64 | levels of inner nodes: u8          in the key's row, behind version and length
//! ```
//!
//! A node is the row `'N' version node`. Leafs are all at one depth. Every operation reads and writes the nodes on
//! one path and their neighbours, so the rows it touches grow with the logarithm of the length.
//!
//! # Rows are looked up, never iterated over
//! A list that serves as a queue removes a leaf at its head now and then. In an LSM tree each such row leaves a
//! tombstone, and an iterator from the front would step over all of them. Here every row is looked up by its
//! number, which the parent names and which is never used again, so no read meets a tombstone.
//!
//! # Order
//! A tree in the order of bytes keeps in its inner nodes *separators*: everything below an entry sorts at or behind
//! its separator, and everything below the entries before it sorts in front of it. It is the shortest string that
//! tells the two apart. The separator of a node's first entry says nothing, as nothing is before it in the node.
//! In a tree by position all separators are empty.
//!
//! # Limits
//! A node of more than one item has at most [`NODE_MAX_BYTES`]; a large item has a leaf of its own. Nodes that
//! became small are joined with a neighbour, except at the two ends, where the next removal empties them anyway.

mod node;
mod read;
mod remove;
mod write;

#[cfg(test)]
mod tests;

use std::cell::OnceCell;

pub(super) use read::scaled_bytes;
pub(super) use write::NodeWriter;

use super::format::{collection_body, node_row};
use super::overlay::Merged;
use crate::storage::{StorageError, StorageResult};

/// Most bytes of a node with several items: with its key a row takes less than half of an LMDB page, above which it
/// would get pages of its own.
const NODE_MAX_BYTES: usize = 1960;
/// Most items of a leaf. Finding one in it steps over those before it.
const LEAF_MAX_ITEMS: usize = 128;
/// A node of fewer bytes is joined with a neighbour, if that has room.
const NODE_SMALL_BYTES: usize = NODE_MAX_BYTES / 4;
/// What two nodes may have together to become one: some room stays for the next items.
const JOINED_MAX_BYTES: usize = NODE_MAX_BYTES / 4 * 3;
const JOINED_MAX_ITEMS: usize = LEAF_MAX_ITEMS / 4 * 3;
/// Deeper than any tree can be: every inner node below the root was made with two entries at least.
const HEIGHT_MAX: u8 = 64;
/// Bytes of a head.
pub(super) const HEAD_BYTES: usize = 17;

/// What orders the items of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Where they were put.
    Position,
    /// Their bytes. No two are equal.
    Bytes,
}

/// A counted tree, apart from its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    order: Order,
    version: u64,
    len: u64,
    /// Meaningless while the tree is empty: then there is no node.
    root: u64,
    next: u64,
    /// Levels of inner nodes.
    height: u8,
}

impl Counted {
    /// An empty tree under a version that no collection had.
    pub(super) fn new(version: u64, order: Order) -> Self {
        Self { order, version, len: 0, root: 0, next: 0, height: 0 }
    }

    /// The tree that a collection's row describes; `head` is what stands behind version and length.
    pub(super) fn decode((version, len): (u64, u64), head: &[u8], order: Order) -> StorageResult<Self> {
        let (Some((root, rest)), true) = (head.split_first_chunk(), head.len() >= HEAD_BYTES) else {
            return Err(corrupt("a head that is cut off"));
        };
        let (next, rest) = rest.split_first_chunk().ok_or_else(|| corrupt("a head that is cut off"))?;
        let tree = Self {
            order,
            version,
            len,
            root: u64::from_be_bytes(*root),
            next: u64::from_be_bytes(*next),
            height: rest[0],
        };
        if tree.root >= tree.next || tree.height > HEIGHT_MAX {
            return Err(corrupt("a head that names no tree"));
        }
        Ok(tree)
    }

    /// The body of the collection's row: version, length and head.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(16 + HEAD_BYTES);
        body.extend_from_slice(&collection_body(self.version, self.len));
        body.extend_from_slice(&self.root.to_be_bytes());
        body.extend_from_slice(&self.next.to_be_bytes());
        body.push(self.height);
        body
    }

    /// The version of its rows.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Number of items.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn new_node(&mut self) -> u64 {
        let node = self.next;
        self.next += 1;
        node
    }
}

/// Where the nodes of trees are read from.
pub(super) trait NodeRows {
    /// What `read` makes of a node.
    ///
    /// # Errors
    /// When it is not there, or what `read` answers.
    fn with_node<T>(&self, tree: &Counted, node: u64, read: impl FnOnce(&[u8]) -> StorageResult<T>)
    -> StorageResult<T>;
}

impl NodeRows for Merged<'_> {
    fn with_node<T>(
        &self,
        tree: &Counted,
        node: u64,
        read: impl FnOnce(&[u8]) -> StorageResult<T>,
    ) -> StorageResult<T> {
        self.get_with(&node_row(tree.version, node), read)?.ok_or_else(|| missing(tree, node))
    }
}

/// The view of an operation that has not read from the files yet.
type LazyView<'e> = OnceCell<Box<dyn super::store::StoreView + 'e>>;

fn missing(tree: &Counted, node: u64) -> StorageError {
    corrupt(&format!("node {node} of version {} is missing", tree.version))
}

fn corrupt(detail: &str) -> StorageError {
    StorageError::Corrupt { what: "counted tree", detail: detail.to_owned() }
}
