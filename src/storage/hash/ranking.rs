//! Positions in the order of what they stand for: a counted B+ tree.
//!
//! ```text
//! inner:  | lowest item, its score, number of items, node | ...        up to 32 children
//! leaf:   | position | position | ...                                  up to 126 positions
//! ```
//!
//! The items are the members of a sorted set: records in a dense table and scores beside it. The tree holds
//! their positions alone, four bytes each, and asks [`Items`] for the rest when it compares. Each inner node
//! knows how many items are below each child, so the rank of an item, the item of a rank and the number
//! of items before a place cost a walk from the root to a leaf. Scores of the lowest items are repeated
//! in the inner nodes, so that above the leaves nothing else is read.
//!
//! A node that is left with few entries is joined with a neighbour if both fit one node with room to spare. So
//! of two neighbours at least one is more than a third full, and the tree stays as low as it should.
//!
//! # Invariants
//! - All leaves are at the same depth. No node but a lone root leaf is empty.
//! - The shape depends on the history and is not kept by snapshots; no answer depends on the shape.

use std::ops::Range;

use super::dense::{DenseTable, allocated_bytes};
use crate::storage::zsets::compare;

/// Positions in a leaf: with its length a leaf fills an allocation of 512 bytes.
const LEAF_MAX: usize = 126;
/// Children of an inner node.
const INNER_MAX: usize = 32;

/// What the positions stand for.
#[derive(Clone, Copy)]
pub(super) struct Items<'a> {
    /// The members, as keys of records.
    pub(super) table: &'a DenseTable,
    /// The score of each position.
    pub(super) scores: &'a [f64],
}

impl<'a> Items<'a> {
    /// The member at a position.
    #[inline]
    pub(super) fn member(self, position: u32) -> &'a [u8] {
        self.table.record(position as usize).key()
    }

    /// The score at a position.
    #[inline]
    pub(super) fn score(self, position: u32) -> f64 {
        self.scores[position as usize]
    }

    /// Whether the item at `position`, whose score is `score`, comes before the item `key`.
    #[inline]
    fn is_before(self, score: f64, position: u32, key: (f64, &[u8])) -> bool {
        score < key.0 || (score == key.0 && self.member(position) < key.1)
    }

    fn key(self, position: u32) -> (f64, &'a [u8]) {
        (self.score(position), self.member(position))
    }
}

struct Leaf {
    len: u32,
    items: [u32; LEAF_MAX],
}

impl Leaf {
    fn of(items: &[u32]) -> Box<Self> {
        let mut leaf = Box::new(Self { len: items.len() as u32, items: [0; LEAF_MAX] });
        leaf.items[..items.len()].copy_from_slice(items);
        leaf
    }

    #[inline]
    fn items(&self) -> &[u32] {
        &self.items[..self.len as usize]
    }

    fn insert(&mut self, index: usize, position: u32) {
        let len = self.len as usize;
        self.items.copy_within(index..len, index + 1);
        self.items[index] = position;
        self.len += 1;
    }

    fn remove(&mut self, index: usize) {
        self.items.copy_within(index + 1..self.len as usize, index);
        self.len -= 1;
    }
}

enum Node {
    Leaf(Box<Leaf>),
    Inner(Vec<Child>),
}

struct Child {
    /// Score of the lowest item.
    score: f64,
    /// Position of the lowest item.
    low: u32,
    /// Number of items below.
    count: u32,
    node: Node,
}

impl Child {
    fn of(node: Node, items: Items<'_>) -> Self {
        let (low, count) = match &node {
            Node::Leaf(leaf) => (leaf.items[0], leaf.len),
            Node::Inner(children) => (children[0].low, children.iter().map(|child| child.count).sum()),
        };
        Self { score: items.score(low), low, count, node }
    }

    fn refresh_low(&mut self, items: Items<'_>) {
        self.low = match &self.node {
            Node::Leaf(leaf) => leaf.items[0],
            Node::Inner(children) => children[0].low,
        };
        self.score = items.score(self.low);
    }
}

/// Whether a node is at the left and at the right edge of the tree.
#[derive(Clone, Copy)]
struct Edges {
    left: bool,
    right: bool,
}

/// The positions of a sorted set's members in order.
pub(super) struct Ranking {
    root: Node,
}

impl Ranking {
    /// Of no items.
    pub(super) fn new() -> Self {
        Self { root: Node::Leaf(Leaf::of(&[])) }
    }

    /// Of positions that are in order already.
    pub(super) fn from_ordered(positions: &[u32], items: Items<'_>) -> Self {
        /// A little room for what comes later.
        const LEAF_FILL: usize = LEAF_MAX - LEAF_MAX / 8;
        const INNER_FILL: usize = INNER_MAX - INNER_MAX / 8;
        let leaf = |chunk: &[u32]| Child::of(Node::Leaf(Leaf::of(chunk)), items);
        let mut level: Vec<Child> = positions.chunks(LEAF_FILL).map(leaf).collect();
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len() / INNER_FILL + 1);
            let mut rest = level.into_iter().peekable();
            while rest.peek().is_some() {
                let mut children = Vec::with_capacity(INNER_MAX + 1);
                children.extend(rest.by_ref().take(INNER_FILL));
                above.push(Child::of(Node::Inner(children), items));
            }
            level = above;
        }
        level.pop().map_or_else(Self::new, |child| Self { root: child.node })
    }

    /// Approximate bytes for so many items.
    pub(super) fn bytes(items: usize) -> usize {
        // Leaves are about two thirds full.
        allocated_bytes(size_of::<Leaf>()) * (items * 3 / (LEAF_MAX * 2) + 1)
    }

    /// Adds the item at a position.
    pub(super) fn insert(&mut self, items: Items<'_>, position: u32) {
        let edges = Edges { left: true, right: true };
        if let Some(right) = insert_into(&mut self.root, items, position, edges) {
            let left = std::mem::replace(&mut self.root, Node::Inner(Vec::with_capacity(INNER_MAX + 1)));
            if let Node::Inner(children) = &mut self.root {
                children.push(Child::of(left, items));
                children.push(right);
            }
        }
    }

    /// Removes the item at a position, which is there, with the score that `items` says.
    pub(super) fn remove(&mut self, items: Items<'_>, position: u32) {
        remove_from(&mut self.root, items, position);
        while let Node::Inner(children) = &mut self.root {
            match children.len() {
                0 => *self = Self::new(),
                1 => {
                    let only = children.pop().expect("there is one");
                    self.root = only.node;
                }
                _ => break,
            }
        }
    }

    /// Tells that the item at `from`, which is there, will be at `to`.
    pub(super) fn rename(&mut self, items: Items<'_>, from: u32, to: u32) {
        let key = items.key(from);
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let index = leaf.items().partition_point(|&other| items.is_before(items.score(other), other, key));
                    assert_eq!(leaf.items[index], from, "the tree has every position in its place");
                    leaf.items[index] = to;
                    return;
                }
                Node::Inner(children) => {
                    let index = child_of(children, items, key);
                    let child = &mut children[index];
                    if child.low == from {
                        child.low = to;
                    }
                    node = &mut child.node;
                }
            }
        }
    }

    /// The number of items for which `is_before` holds, which must be those at the beginning. It is given a score
    /// and a position.
    #[inline]
    pub(super) fn count_before(&self, items: Items<'_>, is_before: impl Fn(f64, u32) -> bool) -> usize {
        let mut before = 0;
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => {
                    return before + leaf.items().partition_point(|&item| is_before(items.score(item), item));
                }
                Node::Inner(children) => {
                    let index = children.partition_point(|child| is_before(child.score, child.low));
                    let Some(index) = index.checked_sub(1) else { return before };
                    before += children[..index].iter().map(|child| child.count as usize).sum::<usize>();
                    node = &children[index].node;
                }
            }
        }
    }

    /// The number of items before that of a position.
    pub(super) fn rank(&self, items: Items<'_>, position: u32) -> usize {
        let key = items.key(position);
        self.count_before(items, |score, other| items.is_before(score, other, key))
    }

    /// The position of the item with a rank.
    pub(super) fn nth(&self, mut rank: usize) -> Option<u32> {
        let mut node = &self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.items().get(rank).copied(),
                Node::Inner(children) => {
                    let mut children = children.iter();
                    node = loop {
                        let child = children.next()?;
                        if rank < child.count as usize {
                            break &child.node;
                        }
                        rank -= child.count as usize;
                    };
                }
            }
        }
    }

    /// Visits the positions with the ranks of a range, upwards or downwards, until `visit` wants no more.
    pub(super) fn walk(&self, ranks: Range<usize>, reverse: bool, visit: &mut dyn FnMut(u32) -> bool) {
        walk_node(&self.root, ranks, reverse, visit);
    }
}

/// The index of the child that has, or would have, the item `key`.
fn child_of(children: &[Child], items: Items<'_>, key: (f64, &[u8])) -> usize {
    let behind = children.partition_point(|child| {
        child.score < key.0 || (child.score == key.0 && compare((child.score, items.member(child.low)), key).is_le())
    });
    behind.saturating_sub(1)
}

/// Inserts, and answers the node to the right of this one if it had to be split.
fn insert_into(node: &mut Node, items: Items<'_>, position: u32, edges: Edges) -> Option<Child> {
    let key = items.key(position);
    match node {
        Node::Leaf(leaf) => {
            let index = leaf.items().partition_point(|&other| items.is_before(items.score(other), other, key));
            let len = leaf.len as usize;
            if len < LEAF_MAX {
                leaf.insert(index, position);
                return None;
            }
            // Items that come in order, as times do, leave full leaves behind them.
            let right = if edges.right && index == len {
                Leaf::of(&[position])
            } else if edges.left && index == 0 {
                std::mem::replace(leaf, Leaf::of(&[position]))
            } else {
                let middle = len / 2;
                let mut right = Leaf::of(&leaf.items()[middle..]);
                leaf.len = middle as u32;
                if index <= middle {
                    leaf.insert(index, position);
                } else {
                    right.insert(index - middle, position);
                }
                right
            };
            Some(Child::of(Node::Leaf(right), items))
        }
        Node::Inner(children) => {
            let index = child_of(children, items, key);
            let last = children.len() - 1;
            let child = &mut children[index];
            let edges = Edges { left: edges.left && index == 0, right: edges.right && index == last };
            let split = insert_into(&mut child.node, items, position, edges);
            child.count += 1;
            if index == 0 && items.is_before(key.0, position, items.key(child.low)) {
                (child.low, child.score) = (position, key.0);
            }
            let right = split?;
            child.count -= right.count;
            children.insert(index + 1, right);
            if children.len() <= INNER_MAX {
                return None;
            }
            let at = if edges.right && index == last {
                INNER_MAX
            } else if edges.left && index == 0 {
                1
            } else {
                INNER_MAX / 2
            };
            let mut right = Vec::with_capacity(INNER_MAX + 1);
            right.extend(children.drain(at..));
            Some(Child::of(Node::Inner(right), items))
        }
    }
}

fn remove_from(node: &mut Node, items: Items<'_>, position: u32) {
    let key = items.key(position);
    match node {
        Node::Leaf(leaf) => {
            let index = leaf.items().partition_point(|&other| items.is_before(items.score(other), other, key));
            assert_eq!(leaf.items().get(index), Some(&position), "the tree has every position in its place");
            leaf.remove(index);
        }
        Node::Inner(children) => {
            let index = child_of(children, items, key);
            let child = &mut children[index];
            remove_from(&mut child.node, items, position);
            child.count -= 1;
            if child.count == 0 {
                children.remove(index);
                return;
            }
            if child.low == position {
                child.refresh_low(items);
            }
            join(children, index);
        }
    }
}

/// Joins a child that has become small with a neighbour, if one is small enough.
fn join(children: &mut Vec<Child>, index: usize) {
    let (entries, max) = entries(&children[index].node);
    if entries > max / 4 {
        return;
    }
    let fits =
        |other: usize| children.get(other).is_some_and(|child| self::entries(&child.node).0 + entries <= max * 2 / 3);
    let left = if index > 0 && fits(index - 1) {
        index - 1
    } else if fits(index + 1) {
        index
    } else {
        return;
    };
    let right = children.remove(left + 1);
    let child = &mut children[left];
    child.count += right.count;
    match (&mut child.node, right.node) {
        (Node::Leaf(leaf), Node::Leaf(right)) => {
            let len = leaf.len as usize;
            leaf.items[len..len + right.len as usize].copy_from_slice(right.items());
            leaf.len += right.len;
        }
        (Node::Inner(children), Node::Inner(right)) => children.extend(right),
        _ => unreachable!("all leaves are at the same depth"),
    }
}

/// How many entries a node has, and how many it may have.
fn entries(node: &Node) -> (usize, usize) {
    match node {
        Node::Leaf(leaf) => (leaf.len as usize, LEAF_MAX),
        Node::Inner(children) => (children.len(), INNER_MAX),
    }
}

fn walk_node(node: &Node, ranks: Range<usize>, reverse: bool, visit: &mut dyn FnMut(u32) -> bool) -> bool {
    match node {
        Node::Leaf(leaf) => {
            let items = leaf.items();
            let mut wanted = items[ranks.start.min(items.len())..ranks.end.min(items.len())].iter();
            if reverse { wanted.rev().all(|&item| visit(item)) } else { wanted.all(|&item| visit(item)) }
        }
        Node::Inner(children) => {
            let mut walk_child = |child: &Child, first: usize| {
                let (count, behind) = (child.count as usize, ranks.end.saturating_sub(first));
                let ranks = ranks.start.saturating_sub(first)..behind.min(count);
                ranks.is_empty() || walk_node(&child.node, ranks, reverse, visit)
            };
            if reverse {
                let mut first: usize = children.iter().map(|child| child.count as usize).sum();
                children.iter().rev().all(|child| {
                    first -= child.count as usize;
                    walk_child(child, first)
                })
            } else {
                let mut first = 0;
                children.iter().all(|child| {
                    let before = first;
                    first += child.count as usize;
                    walk_child(child, before)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dense::hash_of;
    use super::super::record::{Payload, create};
    use super::*;
    use crate::types::rng::Rng;

    /// Checks counts, lowest items, order, depth and fill, and answers the number of items and the depth.
    fn verify(node: &Node, items: Items<'_>) -> (usize, usize) {
        match node {
            Node::Leaf(leaf) => {
                let keys: Vec<_> = leaf.items().iter().map(|&item| items.key(item)).collect();
                assert!(keys.windows(2).all(|pair| compare(pair[0], pair[1]).is_lt()));
                (leaf.len as usize, 0)
            }
            Node::Inner(children) => {
                let mut total = 0;
                let mut depths = Vec::new();
                for child in children {
                    let (count, depth) = verify(&child.node, items);
                    assert_eq!(count, child.count as usize);
                    assert!(count > 0);
                    let mut low = child.low;
                    walk_node(&child.node, 0..1, false, &mut |item| {
                        low = item;
                        true
                    });
                    assert_eq!((low, items.score(low)), (child.low, child.score));
                    total += count;
                    depths.push(depth);
                }
                assert!(depths.windows(2).all(|pair| pair[0] == pair[1]));
                assert!(children.len() <= INNER_MAX);
                (total, depths[0] + 1)
            }
        }
    }

    fn all(ranking: &Ranking, len: usize) -> Vec<u32> {
        let mut found = Vec::new();
        ranking.walk(0..len, false, &mut |item| {
            found.push(item);
            true
        });
        found
    }

    #[test]
    fn agrees_with_sorted_positions() {
        for seed in 0..6 {
            let mut rng = Rng::new(seed);
            let mut table = DenseTable::with_capacity(0);
            let mut scores: Vec<f64> = Vec::new();
            let mut ranking = Ranking::new();
            let scores_differ = [1, 4, 1 << 40][seed as usize % 3];
            for step in 0..30_000u32 {
                let growing = step < 15_000;
                if scores.is_empty() || rng.below(10) < if growing { 8 } else { 2 } {
                    let member = rng.next_u64().to_le_bytes();
                    let position = scores.len() as u32;
                    let blob = create(&member, None, Payload::Bytes { bytes: b"", edited: false }, 0);
                    table.push(hash_of(&member), blob);
                    // Some seeds add in order.
                    scores.push(if seed >= 3 { f64::from(step) } else { rng.below(scores_differ) as f64 });
                    ranking.insert(Items { table: &table, scores: &scores }, position);
                } else {
                    let position = rng.below(scores.len() as u64) as u32;
                    let last = scores.len() as u32 - 1;
                    let items = Items { table: &table, scores: &scores };
                    ranking.remove(items, position);
                    if position != last {
                        ranking.rename(items, last, position);
                    }
                    let hash = hash_of(items.member(position));
                    table.swap_remove(hash, position as usize);
                    scores.swap_remove(position as usize);
                }
                if step % 1000 == 999 {
                    let items = Items { table: &table, scores: &scores };
                    assert_eq!(verify(&ranking.root, items).0, scores.len());
                    let mut expected: Vec<u32> = (0..scores.len() as u32).collect();
                    expected.sort_by(|&a, &b| compare(items.key(a), items.key(b)));
                    assert_eq!(all(&ranking, scores.len()), expected, "seed {seed}, step {step}");
                    for _ in 0..20.min(scores.len()) {
                        let rank = rng.below(scores.len() as u64) as usize;
                        assert_eq!(ranking.nth(rank), Some(expected[rank]));
                        assert_eq!(ranking.rank(items, expected[rank]), rank);
                        let end = rank + rng.below(300) as usize;
                        let mut back = Vec::new();
                        ranking.walk(rank..end, true, &mut |item| {
                            back.push(item);
                            true
                        });
                        back.reverse();
                        assert_eq!(back, expected[rank..end.min(expected.len())]);
                    }
                    let rebuilt = Ranking::from_ordered(&expected, items);
                    assert_eq!(verify(&rebuilt.root, items).0, scores.len());
                    assert_eq!(all(&rebuilt, scores.len()), expected);
                }
            }
        }
    }

    #[test]
    fn a_leaf_is_512_bytes() {
        assert_eq!(allocated_bytes(size_of::<Leaf>()), 512);
    }
}
