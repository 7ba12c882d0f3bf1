//! Removing the rows of dead collections and databases, a bounded number at a time.

use super::RowEngine;
use super::field_times::{field_due_prefix, field_due_row};
use super::format::{
    Garbage, KeyOrder, Meta, Physical, RowRange, after_row, decode_garbage_len, element_prefix, expiry_prefix,
    expiry_row, garbage_rows, key_part, key_prefix, node_prefix, slot_row,
};
use super::keys::Known;
use super::stream::group_prefix;
use crate::storage::StorageResult;
use crate::types::slot::slot_of;

/// Dead collections with more elements than this are removed as a range where that is cheap. Every
/// removed range makes later reads in an LSM tree a little dearer, so small ones are removed row by row.
const RANGE_MIN_ELEMENTS: u64 = 64;
/// The same for the nodes of a tree, which hold a few dozen items each.
const RANGE_MIN_ITEMS: u64 = 4096;

impl RowEngine {
    /// Removes up to about `limit` dead rows, and answers how many there were to remove; 0 when nothing dead
    /// is left. To be called between log entries, now and then. Replicas need not do it alike.
    ///
    /// # Errors
    /// When the files cannot be read or written.
    pub fn sweep(&mut self, limit: usize) -> StorageResult<usize> {
        let mut done = 0;
        while done < limit {
            let Some((garbage, value)) = self.first_garbage()? else { break };
            let left = limit - done;
            done += match garbage {
                Garbage::Collection(version) => self.sweep_collection(version, decode_garbage_len(&value)?, left)?,
                Garbage::Database(physical) => self.sweep_database(physical, value, left)?,
                Garbage::Group(version, group) => self.sweep_group(version, group, left)?,
            };
        }
        if done > 0 && !self.entry_open {
            self.flush_if_large()?;
        }
        Ok(done)
    }

    fn first_garbage(&mut self) -> StorageResult<Option<(Garbage, Vec<u8>)>> {
        let Some(start) = self.garbage_from.clone() else { return Ok(None) };
        let mut first = None;
        self.reads().walk(&RowRange { start, end: garbage_rows().end }, &mut |row, value| {
            first = Some((Garbage::decode(row)?, value.to_vec()));
            Ok(false)
        })?;
        self.garbage_from = first.as_ref().map(|(garbage, _)| garbage.row());
        Ok(first)
    }

    /// Up to `limit` rows of a range, each with what `keep` takes from its value.
    fn collect_rows<T>(
        &self,
        range: &RowRange,
        limit: usize,
        keep: impl Fn(&[u8], &[u8]) -> StorageResult<T>,
    ) -> StorageResult<Vec<(Vec<u8>, T)>> {
        let mut rows = Vec::new();
        self.reads().walk(range, &mut |row, value| {
            rows.push((row.to_vec(), keep(row, value)?));
            Ok(rows.len() < limit)
        })?;
        Ok(rows)
    }

    fn sweep_collection(&mut self, version: u64, len: u64, limit: usize) -> StorageResult<usize> {
        let elements = RowRange::with_prefix(element_prefix(version));
        let nodes = RowRange::with_prefix(node_prefix(version));
        let mut removed = self.sweep_rows(elements, len > RANGE_MIN_ELEMENTS, limit)?;
        if removed < limit {
            removed += self.sweep_rows(nodes, len > RANGE_MIN_ITEMS, limit - removed)?;
        }
        if removed < limit {
            self.overlay.remove(Garbage::Collection(version).row());
        }
        Ok(removed.max(1))
    }

    /// Removes up to `limit` rows of a range, or all of them at once where that is cheap and there are `many`.
    fn sweep_rows(&mut self, range: RowRange, many: bool, limit: usize) -> StorageResult<usize> {
        let at_once = many && self.files.removes_ranges_cheaply();
        let rows = self.collect_rows(&range, if at_once { 1 } else { limit }, |_, _| Ok(()))?;
        let removed = rows.len();
        if at_once && removed > 0 {
            self.overlay.remove_range(range);
        } else {
            rows.into_iter().for_each(|(row, ())| self.overlay.remove(row));
        }
        Ok(removed)
    }

    fn sweep_group(&mut self, version: u64, group: u64, limit: usize) -> StorageResult<usize> {
        let range = RowRange::with_prefix(group_prefix(version, group));
        let rows = self.collect_rows(&range, limit, |_, _| Ok(()))?;
        let removed = rows.len();
        for (row, ()) in rows {
            self.overlay.remove(row);
        }
        if removed < limit {
            self.overlay.remove(Garbage::Group(version, group).row());
        }
        Ok(removed.max(1))
    }

    /// Walks the keys of a dead database for the collections among them, and removes the keys as it goes
    /// (B+ tree) or all at its end (LSM). `resume` is where the walk has come to.
    fn sweep_database(&mut self, physical: Physical, resume: Vec<u8>, limit: usize) -> StorageResult<usize> {
        let mut range = RowRange::with_prefix(key_prefix(physical));
        let whole = range.clone();
        if !resume.is_empty() {
            range.start = resume;
        }
        let order = self.order;
        let in_ranges = self.files.removes_ranges_cheaply();
        let rows = self.collect_rows(&range, limit, |row, value| {
            let meta = Meta::decode(value)?;
            let key = meta.key(key_part(order, row)?).to_vec();
            Ok((key, Known::of(&meta)?))
        })?;
        let walked = rows.len();
        let mut last = Vec::new();
        for (row, (key, known)) in rows {
            if let Some((version, len)) = known.collection {
                self.note_garbage(Garbage::Collection(version), len.to_be_bytes().to_vec());
                self.note_field_garbage(known.times);
            }
            if !in_ranges {
                if let Some(at) = known.expires_at {
                    self.overlay.remove(expiry_row(physical, at, &key));
                }
                if let Some(due) = known.times.and_then(|times| times.due()) {
                    self.overlay.remove(field_due_row(physical, due, &key));
                }
                if order == KeyOrder::Bytes {
                    self.overlay.remove(slot_row(physical, slot_of(&key), &key));
                }
                self.overlay.remove(row);
            } else {
                last = row;
            }
        }
        let garbage = Garbage::Database(physical).row();
        if walked == limit {
            let resume = if in_ranges { after_row(&last) } else { Vec::new() };
            self.overlay.put(garbage, resume);
        } else {
            if in_ranges {
                self.overlay.remove_range(whole);
                self.overlay.remove_range(RowRange::with_prefix(expiry_prefix(physical)));
                self.overlay.remove_range(RowRange::with_prefix(field_due_prefix(physical)));
            }
            self.overlay.remove(garbage);
        }
        Ok(walked.max(1))
    }
}
