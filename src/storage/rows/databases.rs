//! Numbers and counters of the databases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::field_times::{field_due_prefix, field_due_start};
use super::format::{
    Physical, RowRange, after_prefix, database_row, database_rows, database_value, decode_database, expiry_prefix,
    expiry_start, split_expiry,
};
use super::overlay::{Merged, Overlay};
use crate::storage::StorageResult;
use crate::types::{Db, UnixMs};

/// What is known of the earliest expiry of a database.
///
/// Removing the earliest leaves a bound behind, from which the next reader who asks looks on. That saves
/// each sweep from walking over the places of everything swept before, which an LSM tree still has for
/// a while. Readers may run side by side; they all find the same.
#[derive(Debug)]
struct Earliest {
    at_or_after: AtomicI64,
    exact: AtomicBool,
}

impl Earliest {
    fn bound(at: i64, exact: bool) -> Self {
        Self { at_or_after: AtomicI64::new(at), exact: AtomicBool::new(exact) }
    }

    fn at_or_after(&self) -> UnixMs {
        UnixMs(self.at_or_after.load(Ordering::Acquire))
    }

    fn is_exact(&self) -> bool {
        self.exact.load(Ordering::Acquire)
    }

    fn set(&self, UnixMs(at): UnixMs, exact: bool) {
        self.at_or_after.store(at, Ordering::Release);
        self.exact.store(exact, Ordering::Release);
    }
}

/// One logical database.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) physical: Physical,
    pub(super) len: u64,
    pub(super) expires: u64,
    earliest: Earliest,
    /// The same of the fields of hashes. Exact and at the end of time when no field expires.
    earliest_field: Earliest,
    dirty: bool,
}

impl Database {
    fn new(physical: Physical) -> Self {
        let never = || Earliest::bound(i64::MAX, true);
        Self { physical, len: 0, expires: 0, earliest: never(), earliest_field: never(), dirty: true }
    }

    /// Counts a key.
    pub(super) fn key_added(&mut self) {
        self.len += 1;
        self.dirty = true;
    }

    /// Counts a key off.
    pub(super) fn key_removed(&mut self) {
        assert!(self.len > 0, "the count of keys covers every key");
        self.len -= 1;
        self.dirty = true;
    }

    /// Counts an expiry.
    pub(super) fn expiry_added(&mut self, at: UnixMs) {
        if self.expires == 0 || at <= self.earliest.at_or_after() {
            self.earliest.set(at, true);
        }
        self.expires += 1;
        self.dirty = true;
    }

    /// Counts an expiry off.
    pub(super) fn expiry_removed(&mut self, at: UnixMs) {
        assert!(self.expires > 0, "the count of expiries covers every expiry");
        if at == self.earliest.at_or_after() {
            self.earliest.set(at, false);
        }
        self.expires -= 1;
        self.dirty = true;
    }

    /// The expiry rows that may be there up to and including a time.
    pub(super) fn expiries_until(&self, last: UnixMs) -> RowRange {
        let start = expiry_start(self.physical, self.earliest.at_or_after());
        let end = match last.0.checked_add(1) {
            Some(next) => expiry_start(self.physical, UnixMs(next)),
            None => after_prefix(&expiry_prefix(self.physical)),
        };
        RowRange { start, end }
    }

    /// Notes a hash whose earliest field expires then.
    pub(super) fn field_due_added(&mut self, at: UnixMs) {
        if at <= self.earliest_field.at_or_after() {
            self.earliest_field.set(at, true);
        }
    }

    /// Notes that a hash no longer has such a field.
    pub(super) fn field_due_removed(&mut self, at: UnixMs) {
        if at == self.earliest_field.at_or_after() {
            self.earliest_field.set(at, false);
        }
    }

    /// The rows of hashes with fields that may be due up to and including a time.
    pub(super) fn field_dues_until(&self, last: UnixMs) -> RowRange {
        let start = field_due_start(self.physical, self.earliest_field.at_or_after());
        let end = match last.0.checked_add(1) {
            Some(next) => field_due_start(self.physical, UnixMs(next)),
            None => after_prefix(&field_due_prefix(self.physical)),
        };
        RowRange { start, end }
    }

    /// The earliest expiry of a field, or what is nearest to it without reading when reading fails.
    pub(super) fn next_field_expiry(&self, reads: &Merged<'_>) -> Option<UnixMs> {
        if !self.earliest_field.is_exact() {
            let mut first = UnixMs(i64::MAX);
            let looked = reads.walk(&self.field_dues_until(UnixMs(i64::MAX)), &mut |row, _| {
                first = split_expiry(row)?.0;
                Ok(false)
            });
            if looked.is_ok() {
                self.earliest_field.set(first, true);
            }
        }
        Some(self.earliest_field.at_or_after()).filter(|&at| at < UnixMs(i64::MAX))
    }

    /// The earliest expiry, or what is nearest to it without reading when reading fails.
    pub(super) fn next_expiry(&self, reads: &Merged<'_>) -> Option<UnixMs> {
        if self.expires == 0 {
            return None;
        }
        if !self.earliest.is_exact() {
            let mut first = None;
            let looked = reads.walk(&self.expiries_until(UnixMs(i64::MAX)), &mut |row, _| {
                first = Some(split_expiry(row)?.0);
                Ok(false)
            });
            if let (Ok(()), Some(first)) = (looked, first) {
                self.earliest.set(first, true);
            }
        }
        Some(self.earliest.at_or_after())
    }
}

/// All logical databases that were ever written to.
#[derive(Debug)]
pub(super) struct Databases {
    by_number: BTreeMap<Db, Database>,
    next_physical: u32,
}

impl Databases {
    /// Reads what the files say.
    pub(super) fn load(reads: &Merged<'_>, next_physical: u32) -> StorageResult<Self> {
        let mut by_number = BTreeMap::new();
        reads.walk(&database_rows(), &mut |row, value| {
            let (db, physical, len, expires) = decode_database(row, value)?;
            let earliest = Earliest::bound(i64::MIN, false);
            let earliest_field = Earliest::bound(i64::MIN, false);
            by_number.insert(db, Database { physical, len, expires, earliest, earliest_field, dirty: false });
            Ok(true)
        })?;
        Ok(Self { by_number, next_physical })
    }

    /// The physical number that the next new database gets.
    pub(super) fn next_physical(&self) -> u32 {
        self.next_physical
    }

    fn new_physical(&mut self) -> Physical {
        let physical = Physical(self.next_physical);
        self.next_physical = self.next_physical.checked_add(1).expect("databases are emptied less than 2^32 times");
        physical
    }

    /// A database, if it was ever written to.
    pub(super) fn get(&self, db: Db) -> Option<&Database> {
        self.by_number.get(&db)
    }

    /// A database to write to.
    pub(super) fn get_mut(&mut self, db: Db) -> &mut Database {
        if !self.by_number.contains_key(&db) {
            let physical = self.new_physical();
            self.by_number.insert(db, Database::new(physical));
        }
        self.by_number.get_mut(&db).expect("it was just inserted")
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Db, &Database)> {
        self.by_number.iter().map(|(&db, database)| (db, database))
    }

    /// Gives a database a new physical number, and answers the old one; `None` when it has no key.
    pub(super) fn empty(&mut self, db: Db) -> Option<Physical> {
        let old = self.get(db).filter(|database| database.len > 0)?.physical;
        let fresh = Database::new(self.new_physical());
        self.by_number.insert(db, fresh);
        Some(old)
    }

    /// Exchanges two databases.
    pub(super) fn swap(&mut self, a: Db, b: Db) {
        if a == b {
            return;
        }
        // Both must be there, or the row of the one that is not would stay in the files.
        for db in [a, b] {
            self.get_mut(db).dirty = true;
        }
        let of_a = self.by_number.remove(&a).expect("both are there");
        let of_b = self.by_number.insert(b, of_a).expect("both are there");
        self.by_number.insert(a, of_b);
    }

    /// Writes the rows of all that changed.
    pub(super) fn write(&self, overlay: &mut Overlay) {
        for (db, database) in self.iter().filter(|(_, database)| database.dirty) {
            overlay.put(database_row(db), database_value(database.physical, database.len, database.expires));
        }
    }

    /// What [`write`](Self::write) wrote is in the files.
    pub(super) fn written(&mut self) {
        for database in self.by_number.values_mut() {
            database.dirty = false;
        }
    }
}
