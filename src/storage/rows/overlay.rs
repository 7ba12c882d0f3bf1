//! Rows that are not yet in the database files, and reads that see both.
//!
//! Writes go to the [`Overlay`] first. This gives a log entry its own writes before it is complete, keeps
//! an entry's rows together until its end, and turns many small LMDB commits, each of which
//! rewrites a path of pages, into one.

use std::cell::OnceCell;
use std::ops::Bound;

use super::format::RowRange;
use super::store::{OrderedStore, Rows, StoreView, VisitRow};
use crate::storage::StorageResult;

/// Bytes a row in the overlay takes besides its key and value: two vectors and its share of a node.
const ROW_OVERHEAD_BYTES: usize = 64;

/// Rows written or removed since the last flush.
#[derive(Default)]
pub(super) struct Overlay {
    rows: Rows,
    /// Ranges removed as a whole. Nothing in them is ever read or written again, so reads need not
    /// look at them.
    removed: Vec<RowRange>,
    bytes: usize,
}

impl Overlay {
    fn set(&mut self, row: Vec<u8>, value: Option<Vec<u8>>) {
        let key_bytes = row.len();
        self.bytes += value.as_ref().map_or(0, Vec::len);
        match self.rows.insert(row, value) {
            Some(old) => self.bytes -= old.map_or(0, |bytes| bytes.len()),
            None => self.bytes += key_bytes + ROW_OVERHEAD_BYTES,
        }
    }

    /// Writes a row.
    pub(super) fn put(&mut self, row: Vec<u8>, value: Vec<u8>) {
        self.set(row, Some(value));
    }

    /// Removes a row.
    pub(super) fn remove(&mut self, row: Vec<u8>) {
        self.set(row, None);
    }

    /// Removes rows of which none will be read or written again.
    pub(super) fn remove_range(&mut self, range: RowRange) {
        let bounds = (Bound::Included(&range.start[..]), Bound::Excluded(&range.end[..]));
        let rows: Vec<Vec<u8>> = self.rows.range::<[u8], _>(bounds).map(|(row, _)| row.clone()).collect();
        for row in rows {
            let value = self.rows.remove(&row).flatten();
            self.bytes -= row.len() + ROW_OVERHEAD_BYTES + value.map_or(0, |bytes| bytes.len());
        }
        self.removed.push(range);
    }

    /// The value of a row written here, `Some(None)` when it was removed here.
    pub(super) fn get(&self, row: &[u8]) -> Option<Option<&[u8]>> {
        self.rows.get(row).map(|value| value.as_deref())
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.removed.len()
    }

    /// Bytes of rows and values, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes everything to a store and, only if that succeeded, forgets it.
    pub(super) fn flush(&mut self, store: &dyn OrderedStore) -> StorageResult<()> {
        store.write(&self.rows, &self.removed)?;
        *self = Self::default();
        Ok(())
    }
}

/// The rows of the files with those of the overlay over them.
pub(super) struct Merged<'a> {
    overlay: &'a Overlay,
    store: &'a dyn OrderedStore,
    /// Opened by the first read that the overlay cannot answer, used by all after it.
    view: OnceCell<Box<dyn StoreView + 'a>>,
}

impl<'a> Merged<'a> {
    pub(super) fn new(overlay: &'a Overlay, store: &'a dyn OrderedStore) -> Self {
        Self { overlay, store, view: OnceCell::new() }
    }

    fn view(&self) -> StorageResult<&(dyn StoreView + 'a)> {
        let view = match self.view.get() {
            Some(view) => view,
            None => {
                let opened = self.store.view()?;
                self.view.get_or_init(|| opened)
            }
        };
        Ok(&**view)
    }

    /// What `read` makes of a row's value, `None` when there is no such row.
    pub(super) fn get_with<T>(
        &self,
        row: &[u8],
        read: impl FnOnce(&[u8]) -> StorageResult<T>,
    ) -> StorageResult<Option<T>> {
        if let Some(value) = self.overlay.get(row) {
            return value.map(read).transpose();
        }
        let mut read = Some(read);
        let mut result = None;
        self.view()?.get(row, &mut |value| {
            result = read.take().map(|read| read(value));
        })?;
        result.transpose()
    }

    /// Whether a row is there.
    pub(super) fn contains(&self, row: &[u8]) -> StorageResult<bool> {
        Ok(self.get_with(row, |_| Ok(()))?.is_some())
    }

    /// Visits the rows of a range in order.
    pub(super) fn walk(&self, range: &RowRange, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        self.walk_either_way(range, false, visit)
    }

    /// Visits the rows of a range in order, or in the opposite one.
    pub(super) fn walk_either_way(
        &self,
        range: &RowRange,
        reverse: bool,
        visit: &mut VisitRow<'_>,
    ) -> StorageResult<()> {
        if range.start >= range.end {
            return Ok(());
        }
        let bounds = (Bound::Included(&range.start[..]), Bound::Excluded(&range.end[..]));
        let mut ours = self.overlay.rows.range::<[u8], _>(bounds);
        let mut take = move || if reverse { ours.next_back() } else { ours.next() };
        let mut next = take();
        let mut going = true;
        self.view()?.walk(&range.start, &range.end, reverse, &mut |row, value| {
            while let Some((our_row, our_value)) = next {
                let order = if reverse { row.cmp(our_row) } else { our_row[..].cmp(row) };
                if order.is_gt() {
                    break;
                }
                next = take();
                if let Some(our_value) = our_value {
                    going = visit(our_row, our_value)?;
                }
                if order.is_eq() || !going {
                    return Ok(going);
                }
            }
            going = visit(row, value)?;
            Ok(going)
        })?;
        while let Some((row, value)) = next.filter(|_| going) {
            next = take();
            if let Some(value) = value {
                going = visit(row, value)?;
            }
        }
        Ok(())
    }
}
