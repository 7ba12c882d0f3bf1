//! Trees against vectors, over a store in memory that counts what is read.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Range;

use super::*;
use crate::storage::rows::format::{RowRange, node_prefix};
use crate::storage::rows::frozen::FrozenRows;
use crate::storage::rows::overlay::Overlay;
use crate::storage::rows::store::{OrderedStore, Rows, StoreView, VisitRow};
use crate::storage::value::EngineUsage;
use crate::storage::{StorageResult, SyncJob};
use crate::types::rng::Rng;

/// A store without rows: a test's rows stay in its overlay.
struct Nothing;

impl OrderedStore for Nothing {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        Ok(Box::new(Self))
    }

    fn write(&self, _: &Rows, _: &[RowRange]) -> StorageResult<()> {
        unreachable!("nothing is flushed")
    }

    fn sync_job(&self) -> SyncJob {
        unreachable!("nothing is synced")
    }

    fn removes_ranges_cheaply(&self) -> bool {
        false
    }

    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>> {
        unreachable!("nothing is frozen")
    }

    fn usage(&self) -> EngineUsage {
        EngineUsage::default()
    }
}

impl StoreView for Nothing {
    fn get(&self, _: &[u8], _: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        Ok(())
    }

    fn walk(&self, _: &[u8], _: &[u8], _: bool, _: &mut VisitRow<'_>) -> StorageResult<()> {
        Ok(())
    }
}

/// Nodes that count how many were read.
struct CountedReads<'a> {
    rows: Merged<'a>,
    read: Cell<usize>,
}

impl NodeRows for CountedReads<'_> {
    fn with_node<T>(
        &self,
        tree: &Counted,
        node: u64,
        read: impl FnOnce(&[u8]) -> StorageResult<T>,
    ) -> StorageResult<T> {
        self.read.set(self.read.get() + 1);
        self.rows.with_node(tree, node, read)
    }
}

/// A tree with its rows.
struct Fixture {
    overlay: Overlay,
    tree: Counted,
}

impl Fixture {
    fn new(order: Order) -> Self {
        Self { overlay: Overlay::default(), tree: Counted::new(7, order) }
    }

    fn reads(&self) -> CountedReads<'_> {
        CountedReads { rows: Merged::new(&self.overlay, &Nothing), read: Cell::new(0) }
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut Counted, &mut NodeWriter<'_>) -> StorageResult<T>) -> T {
        let result = change(&mut self.tree, &mut NodeWriter::new(&mut self.overlay, &Nothing)).unwrap();
        if self.tree.len > 0 {
            let body = self.tree.body();
            let back = Counted::decode((self.tree.version, self.tree.len), &body[16..], self.tree.order).unwrap();
            assert_eq!(back, self.tree);
        }
        result
    }

    fn items(&self, from: u64, reverse: bool) -> Vec<Vec<u8>> {
        let mut items = Vec::new();
        self.tree
            .walk(&self.reads(), from, reverse, &mut |item| {
                items.push(item.to_vec());
                Ok(true)
            })
            .unwrap();
        items
    }

    fn get(&self, index: u64) -> Option<Vec<u8>> {
        self.tree.get(&self.reads(), index, <[u8]>::to_vec).unwrap()
    }

    fn node_count(&self) -> usize {
        let mut count = 0;
        Merged::new(&self.overlay, &Nothing)
            .walk(&RowRange::with_prefix(node_prefix(7)), &mut |_, _| {
                count += 1;
                Ok(true)
            })
            .unwrap();
        count
    }

    /// Checks counts, limits and separators below a node and answers its number of nodes and its items.
    fn check(&self, node: u64, height: u8, is_root: bool) -> (usize, Vec<Vec<u8>>) {
        let bytes = self.reads().with_node(&self.tree, node, |bytes| Ok(bytes.to_vec())).unwrap();
        if height == 0 {
            let mut items = Vec::new();
            let mut all = node::Items::of(&bytes);
            while let Some(item) = all.next().unwrap() {
                items.push(item.to_vec());
            }
            assert!(node::leaf_fits(bytes.len(), items.len() as u64), "{} items, {} bytes", items.len(), bytes.len());
            return (1, items);
        }
        let entries = node::entries(&bytes).unwrap();
        assert!(entries.len() > 1 || !is_root, "a root with one child");
        assert!(bytes.len() <= NODE_MAX_BYTES || entries.len() <= 3);
        let (mut nodes, mut items) = (1, Vec::<Vec<u8>>::new());
        for (index, entry) in entries.iter().enumerate() {
            let (below, more) = self.check(entry.node, height - 1, false);
            assert_eq!(more.len() as u64, entry.count);
            if index > 0 && self.tree.order == Order::Bytes {
                assert!(items.last().unwrap()[..] < *entry.separator && *entry.separator <= more[0][..]);
            }
            nodes += below;
            items.extend(more);
        }
        (nodes, items)
    }

    fn check_against(&self, model: &[Vec<u8>]) {
        assert_eq!(self.tree.len(), model.len() as u64);
        if model.is_empty() {
            assert_eq!(self.node_count(), 0, "an empty tree has no rows");
            return;
        }
        let (nodes, items) = self.check(self.tree.root, self.tree.height, true);
        assert!(items == model, "the items are those of the model");
        assert_eq!(nodes, self.node_count(), "no row is left over");
    }
}

/// Mostly short items, now and then one that fills a node or more.
fn item(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.below(200) {
        0 => 5000,
        1..=3 => 1500,
        4..=60 => rng.below(300),
        _ => rng.below(12),
    };
    (0..length).map(|_| b'a' + rng.below(3) as u8).collect()
}

fn ranges(rng: &mut Rng, len: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut from = 0;
    let width = 1 + rng.below(1 + len / 4);
    while from < len && ranges.len() < 6 {
        let start = from + rng.below(len - from);
        let end = (start + 1 + rng.below(width)).min(len);
        ranges.push(start..end);
        from = end;
    }
    ranges
}

#[test]
fn by_position_it_is_a_vector() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let mut fixture = Fixture::new(Order::Position);
        let mut model: Vec<Vec<u8>> = Vec::new();
        for step in 0..3_000 {
            let len = model.len() as u64;
            // Times of growth and of decline.
            let growing = (step / 500) % 2 == 0;
            match rng.below(if growing { 8 } else { 12 }) {
                0..=5 => {
                    let index = match rng.below(4) {
                        0 => 0,
                        1 => len,
                        _ => rng.below(len + 1),
                    };
                    let count = if rng.below(20) == 0 { 300 } else { 1 + rng.below(3) };
                    let items: Vec<Vec<u8>> = (0..count).map(|_| item(&mut rng)).collect();
                    let refs: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
                    fixture.change(|tree, rows| tree.insert_at(rows, index, &refs));
                    model.splice(index as usize..index as usize, items);
                }
                6 if len > 0 => {
                    let index = rng.below(len);
                    let item = item(&mut rng);
                    fixture.change(|tree, rows| tree.set(rows, index, &item));
                    model[index as usize] = item;
                }
                _ if len > 0 => {
                    let ranges = match rng.below(4) {
                        0 => vec![0..1],
                        1 => vec![len - 1..len],
                        2 => std::iter::once(rng.below(len)).map(|at| at..at + 1).collect(),
                        _ => ranges(&mut rng, len),
                    };
                    fixture.change(|tree, rows| tree.remove(rows, &ranges));
                    for range in ranges.iter().rev() {
                        model.drain(range.start as usize..range.end as usize);
                    }
                }
                _ => {}
            }
            if step % 50 == 0 {
                fixture.check_against(&model);
                let from = rng.below(model.len() as u64 + 1);
                assert_eq!(fixture.get(from).as_ref(), model.get(from as usize));
                assert!(fixture.items(from, false) == model[from as usize..]);
                if (from as usize) < model.len() {
                    let before: Vec<Vec<u8>> = model[..=from as usize].iter().rev().cloned().collect();
                    assert!(fixture.items(from, true) == before);
                }
            }
        }
        let len = model.len() as u64;
        if len > 0 {
            fixture.change(|tree, rows| tree.remove(rows, std::slice::from_ref(&(0..len))));
        }
        fixture.check_against(&[]);
    }
}

#[test]
fn in_order_of_bytes_it_is_a_sorted_set() {
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let mut fixture = Fixture::new(Order::Bytes);
        let mut model = BTreeSet::new();
        for _ in 0..200 {
            model.insert(item(&mut rng));
        }
        fixture.change(|tree, rows| tree.fill(rows, model.iter().map(Vec::as_slice)));
        for step in 0..5_000 {
            let growing = (step / 1000) % 2 == 0;
            if rng.below(3) > 0 || growing {
                let item = item(&mut rng);
                let rank = model.range(..item.clone()).count() as u64;
                assert_eq!(fixture.tree.rank(&fixture.reads(), &item).unwrap(), (rank, model.contains(&item)));
                if model.insert(item.clone()) {
                    assert_eq!(fixture.change(|tree, rows| tree.insert(rows, &item)), rank);
                }
            } else if !model.is_empty() {
                let ranges = match rng.below(3) {
                    0 => ranges(&mut rng, model.len() as u64),
                    _ => std::iter::once(rng.below(model.len() as u64)).map(|at| at..at + 1).collect(),
                };
                fixture.change(|tree, rows| tree.remove(rows, &ranges));
                let mut index = 0;
                model.retain(|_| {
                    index += 1;
                    !ranges.iter().any(|range| range.contains(&(index - 1)))
                });
            }
            if step % 100 == 0 {
                fixture.check_against(&model.iter().cloned().collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn a_million_items_are_a_few_rows_away() {
    let mut fixture = Fixture::new(Order::Position);
    let items: Vec<Vec<u8>> = (0..1_000_000).map(|i| format!("element:{i:08}").into_bytes()).collect();
    fixture.change(|tree, rows| tree.fill(rows, items.iter().map(Vec::as_slice)));
    assert!(fixture.node_count() < 1_000_000 / 100, "{} nodes", fixture.node_count());
    let reads = fixture.reads();
    assert_eq!(fixture.tree.get(&reads, 600_000, <[u8]>::to_vec).unwrap().as_ref(), Some(&items[600_000]));
    assert!(reads.read.get() <= 3, "{} nodes read", reads.read.get());
    drop(reads);
    let old = std::mem::take(&mut fixture.overlay);
    // What is written is seen by putting the old rows below.
    let written = {
        let files = Frozen(old);
        let mut overlay = Overlay::default();
        fixture.tree.insert_at(&mut NodeWriter::new(&mut overlay, &files), 500_000, &[b"new"]).unwrap();
        overlay.len()
    };
    assert!(written <= 4, "{written} rows written");
}

/// An overlay as files.
struct Frozen(Overlay);

impl OrderedStore for Frozen {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        Ok(Box::new(FrozenView(&self.0)))
    }

    fn write(&self, _: &Rows, _: &[RowRange]) -> StorageResult<()> {
        unreachable!("nothing is flushed")
    }

    fn sync_job(&self) -> SyncJob {
        unreachable!("nothing is synced")
    }

    fn removes_ranges_cheaply(&self) -> bool {
        false
    }

    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>> {
        unreachable!("nothing is frozen")
    }

    fn usage(&self) -> EngineUsage {
        EngineUsage::default()
    }
}

struct FrozenView<'a>(&'a Overlay);

impl StoreView for FrozenView<'_> {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        self.0.get(row).flatten().into_iter().for_each(found);
        Ok(())
    }

    fn walk(&self, _: &[u8], _: &[u8], _: bool, _: &mut VisitRow<'_>) -> StorageResult<()> {
        unreachable!("nodes are looked up")
    }
}

#[test]
fn a_queue_keeps_few_rows() {
    let mut fixture = Fixture::new(Order::Position);
    let push = |fixture: &mut Fixture, i: u64| {
        let item = i.to_be_bytes();
        fixture.change(|tree, rows| {
            let len = tree.len();
            tree.insert_at(rows, len, &[&item])
        });
    };
    (0..1_000).for_each(|i| push(&mut fixture, i));
    for i in 1_000..50_000u64 {
        push(&mut fixture, i);
        assert_eq!(fixture.get(0).unwrap(), (i - 1_000).to_be_bytes());
        fixture.change(|tree, rows| tree.remove(rows, std::slice::from_ref(&(0..1))));
    }
    assert!(fixture.node_count() <= 12, "{} nodes", fixture.node_count());
}

#[test]
fn damaged_rows_are_errors() {
    assert!(Counted::decode((1, 1), &[0; 5], Order::Position).is_err());
    assert!(Counted::decode((1, 1), &[0; 17], Order::Position).is_err(), "no node was made");
    let mut fixture = Fixture::new(Order::Position);
    fixture.change(|tree, rows| tree.insert_at(rows, 0, &[b"a", b"b"]));
    let root = node_row(7, fixture.tree.root);
    for damage in [&b""[..], b"\x05a", b"\x01a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
        fixture.overlay.put(root.clone(), damage.to_vec());
        assert!(fixture.tree.get(&fixture.reads(), 1, |_| ()).is_err());
    }
    fixture.overlay.remove(root);
    assert!(fixture.tree.get(&fixture.reads(), 0, |_| ()).is_err());
}
