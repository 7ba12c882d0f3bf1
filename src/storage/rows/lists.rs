//! Lists: elements in a counted tree by position.

use std::ops::Range;

use smallvec::SmallVec;

use super::RowEngine;
use super::counted::{Counted, Order};
use super::format::{Meta, Shape};
use super::keys::Known;
use super::overlay::Merged;
use crate::storage::lists::{ListEnd, ListEngine, ListRead, VisitElement};
use crate::storage::{Address, Kind, StorageError, StorageResult};
use crate::types::UnixMs;

/// Bytes of a collection's body before the head of its tree.
const COLLECTION_BYTES: usize = 16;

/// A read view of a list kept as rows.
pub struct RowList<'a> {
    reads: Merged<'a>,
    tree: Counted,
}

impl RowList<'_> {
    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.tree.len()
    }

    /// Never true: empty lists do not exist.
    pub fn is_empty(&self) -> bool {
        self.tree.len() == 0
    }

    /// The element at an index.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn get(&self, index: u64) -> StorageResult<Option<Vec<u8>>> {
        self.tree.get(&self.reads, index, <[u8]>::to_vec)
    }

    /// Visits the elements from the one at index `from` on, either way.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn walk(&self, from: u64, reverse: bool, visit: &mut VisitElement<'_>) -> StorageResult<()> {
        self.tree.walk(&self.reads, from, reverse, &mut |element| Ok(visit(element)))
    }
}

impl RowEngine {
    /// What is at a key, and its list, if it holds one that has not expired.
    fn open_list(&self, at: Address<'_>, now: UnixMs) -> StorageResult<(Option<Known>, Option<Counted>)> {
        let reads = self.reads();
        let found = self.read_key(&reads, at, |meta| {
            let known = Known::of(meta)?;
            if !known.is_live(now) {
                return Ok((known, None));
            }
            known.expect_kind(Kind::List)?;
            Ok((known, Some(tree_of(meta)?)))
        })?;
        Ok(found.map_or((None, None), |(known, tree)| (Some(known), tree)))
    }

    /// About how many bytes the elements of a list take; see [`Counted::sampled_bytes`].
    pub(super) fn sampled_list_bytes(&self, at: Address<'_>, samples: usize, now: UnixMs) -> StorageResult<usize> {
        match self.list(at, now)? {
            Some(ListRead::Rows(list)) => list.tree.sampled_bytes(&list.reads, samples),
            _ => Ok(0),
        }
    }

    /// Writes a list's row after its elements were changed, or removes it with the last element.
    fn close_list(
        &mut self,
        at: Address<'_>,
        old: Option<Known>,
        tree: &Counted,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        if tree.len() == 0 {
            // Its rows are gone already.
            let emptied = old.map(|known| Known { collection: Some((tree.version(), 0)), ..known });
            return self.replace(at, emptied, None);
        }
        let body = tree.body();
        // As in Redis 7.0, a list is a quicklist however short it is.
        let meta = Meta { expires_at, big: true, ..Meta::new(Shape::List, at.key, &body) };
        self.replace(at, old, Some(&meta))
    }

    /// Changes the list at a key, if it has one.
    fn change_list(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        change: impl FnOnce(&mut Self, &mut Counted) -> StorageResult<()>,
    ) -> StorageResult<()> {
        let (Some(old), Some(mut tree)) = self.open_list(at, now)? else { return Ok(()) };
        change(self, &mut tree)?;
        self.close_list(at, Some(old), &tree, old.expires_at)
    }
}

fn tree_of(meta: &Meta<'_>) -> StorageResult<Counted> {
    Counted::decode(meta.collection()?, &meta.body[COLLECTION_BYTES..], Order::Position)
}

impl ListEngine for RowEngine {
    fn put_list(&mut self, at: Address<'_>, elements: Vec<Vec<u8>>, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let old = self.known(at)?;
        if elements.is_empty() {
            return if old.is_some() { self.replace(at, old, None) } else { Ok(()) };
        }
        let mut tree = Counted::new(self.new_version(), Order::Position);
        tree.fill(&mut self.nodes_mut(), elements.iter().map(Vec::as_slice))?;
        self.close_list(at, old, &tree, expires_at)
    }

    fn list(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ListRead<'_>>> {
        let reads = self.reads();
        let tree = self.read_live(&reads, at, now, |meta| match meta.shape {
            Shape::List => tree_of(meta),
            _ => Err(StorageError::WrongType),
        })?;
        Ok(tree.map(|tree| ListRead::Rows(RowList { reads, tree })))
    }

    fn list_push(&mut self, at: Address<'_>, end: ListEnd, elements: &[&[u8]], now: UnixMs) -> StorageResult<u64> {
        let (old, live) = self.open_list(at, now)?;
        let expires_at = live.and(old).and_then(|known| known.expires_at);
        let mut tree = live.unwrap_or_else(|| Counted::new(self.new_version(), Order::Position));
        match end {
            ListEnd::Tail => tree.insert_at(&mut self.nodes_mut(), tree.len(), elements)?,
            ListEnd::Head => {
                let reversed: SmallVec<[&[u8]; 8]> = elements.iter().rev().copied().collect();
                tree.insert_at(&mut self.nodes_mut(), 0, &reversed)?;
            }
        }
        self.close_list(at, old, &tree, expires_at)?;
        Ok(tree.len())
    }

    fn list_pop(
        &mut self,
        at: Address<'_>,
        end: ListEnd,
        count: u64,
        now: UnixMs,
        popped: &mut dyn FnMut(&[u8]),
    ) -> StorageResult<u64> {
        let (Some(old), Some(mut tree)) = self.open_list(at, now)? else { return Ok(0) };
        let len = tree.len();
        let taken = count.min(len);
        if taken == 0 {
            return Ok(0);
        }
        let (from, reverse, range) = match end {
            ListEnd::Head => (0, false, 0..taken),
            ListEnd::Tail => (len - 1, true, len - taken..len),
        };
        let mut left = taken;
        tree.walk(&self.reads(), from, reverse, &mut |element| {
            popped(element);
            left -= 1;
            Ok(left > 0)
        })?;
        tree.remove(&mut self.nodes_mut(), std::slice::from_ref(&range))?;
        self.close_list(at, Some(old), &tree, old.expires_at)?;
        Ok(taken)
    }

    fn list_insert(&mut self, at: Address<'_>, index: u64, element: &[u8], now: UnixMs) -> StorageResult<()> {
        self.change_list(at, now, |engine, tree| tree.insert_at(&mut engine.nodes_mut(), index, &[element]))
    }

    fn list_set(&mut self, at: Address<'_>, index: u64, element: &[u8], now: UnixMs) -> StorageResult<()> {
        self.change_list(at, now, |engine, tree| tree.set(&mut engine.nodes_mut(), index, element))
    }

    fn list_remove(&mut self, at: Address<'_>, ranges: &[Range<u64>], now: UnixMs) -> StorageResult<()> {
        self.change_list(at, now, |engine, tree| tree.remove(&mut engine.nodes_mut(), ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, at, open_watched, rows_tagged, sync};
    use super::*;
    use crate::storage::Engine;

    const ENGINES: [&str; 2] = ["lsm", "btree"];

    fn written_out(engine: &mut RowEngine, index: u64) {
        engine.commit(index).unwrap();
        sync(engine);
    }

    /// A list with a million elements, in the files.
    fn million(name: &str, path: &std::path::Path) -> (RowEngine, std::sync::Arc<super::super::tests::Watch>) {
        let (mut engine, watch) = open_watched(name, path);
        let elements: Vec<Vec<u8>> = (0..1_000_000).map(|n| format!("element:{n:07}").into_bytes()).collect();
        engine.put_list(at(b"list"), elements, None).unwrap();
        written_out(&mut engine, 1);
        watch.take();
        (engine, watch)
    }

    #[test]
    fn the_middle_of_a_million_is_a_few_rows_away() {
        for name in ENGINES {
            let dir = tempfile::tempdir().unwrap();
            let (mut engine, watch) = million(name, dir.path());
            let list = engine.list(at(b"list"), NOW).unwrap().unwrap();
            assert_eq!(list.get(500_000).unwrap().unwrap(), &b"element:0500000"[..]);
            drop(list);
            // The key's row and the nodes on the path.
            let (read, _) = watch.take();
            assert!(read <= 5, "{name}: LINDEX read {read} rows");

            engine.list_insert(at(b"list"), 500_000, b"new", NOW).unwrap();
            let (read, touched) = (watch.take().0, engine.overlay.len());
            assert!(read <= 5 && touched <= 6, "{name}: LINSERT read {read} rows and wrote {touched}");
            written_out(&mut engine, 2);
            watch.take();

            engine.list_set(at(b"list"), 250_000, b"set", NOW).unwrap();
            engine.list_remove(at(b"list"), &[750_000..750_001], NOW).unwrap();
            let (read, touched) = (watch.take().0, engine.overlay.len());
            assert!(read <= 12 && touched <= 10, "{name}: LSET and LREM read {read} rows and wrote {touched}");
            let list = engine.list(at(b"list"), NOW).unwrap().unwrap();
            assert_eq!(list.len(), 1_000_000);
            for (index, element) in [(250_000, &b"set"[..]), (500_000, b"new"), (500_001, b"element:0500000")] {
                assert_eq!(list.get(index).unwrap().unwrap(), element);
            }
            drop(list);

            watch.take();
            assert!(engine.remove(at(b"list"), NOW).unwrap());
            assert_eq!(watch.take(), (0, 0), "{name}: DEL reads nothing of the list");
            let mut index = 3;
            while engine.has_garbage() {
                engine.sweep(1_000).unwrap();
                engine.commit(index).unwrap();
                index += 1;
            }
            sync(&mut engine);
            assert_eq!((rows_tagged(&engine, b'N'), rows_tagged(&engine, b'G')), (0, 0), "{name}");
        }
    }

    #[test]
    fn a_queue_does_not_meet_what_it_left_behind() {
        for name in ENGINES {
            let dir = tempfile::tempdir().unwrap();
            let (mut engine, watch) = open_watched(name, dir.path());
            let mut most = 0;
            for n in 0..60_000u32 {
                engine.list_push(at(b"queue"), ListEnd::Tail, &[&n.to_be_bytes()], NOW).unwrap();
                if n >= 500 {
                    watch.take();
                    let popped = &mut |element: &[u8]| assert_eq!(element, (n - 500).to_be_bytes());
                    assert_eq!(engine.list_pop(at(b"queue"), ListEnd::Head, 1, NOW, popped).unwrap(), 1);
                    most = most.max(watch.take().0);
                }
                engine.commit(u64::from(n) + 1).unwrap();
            }
            assert!(most <= 8, "{name}: a pop read {most} rows");
            let nodes = rows_tagged(&engine, b'N');
            assert!(nodes <= 10, "{name}: {nodes} nodes are left");
        }
    }

    #[test]
    fn usage_is_judged_by_as_many_elements_as_are_asked_for() {
        for name in ENGINES {
            let dir = tempfile::tempdir().unwrap();
            let (mut engine, watch) = open_watched(name, dir.path());
            let elements = (0..10_000).map(|n| vec![b'x'; if n < 500 { 1 } else { 200 }]).collect();
            engine.put_list(at(b"list"), elements, None).unwrap();
            written_out(&mut engine, 1);
            let usage = |samples| engine.memory_usage(at(b"list"), samples, NOW).unwrap().unwrap();
            watch.take();
            let few = usage(5);
            assert!(watch.take().0 <= 6, "{name}");
            let (some, all) = (usage(1_000), usage(0));
            assert!(few < 100_000 && few < some && some < all, "{name}: {few} {some} {all}");
            assert!((9_500 * 200..9_500 * 250).contains(&all), "{name}: {all}");
        }
    }

    #[test]
    fn an_emptied_list_leaves_no_row_behind() {
        for name in ENGINES {
            let dir = tempfile::tempdir().unwrap();
            let (mut engine, _) = open_watched(name, dir.path());
            for n in 0..500u32 {
                engine.list_push(at(b"list"), ListEnd::Head, &[&n.to_be_bytes()], NOW).unwrap();
            }
            assert_eq!(engine.list_pop(at(b"list"), ListEnd::Tail, 1_000, NOW, &mut |_| ()).unwrap(), 500);
            written_out(&mut engine, 1);
            assert_eq!(engine.len(crate::types::Db(0)), 0);
            assert_eq!((rows_tagged(&engine, b'N'), rows_tagged(&engine, b'G')), (0, 0), "{name}");
        }
    }
}
