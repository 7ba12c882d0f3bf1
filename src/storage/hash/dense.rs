//! Records one after the other, and a table of their positions by key.
//!
//! ```text
//! entries:   | record | record | record | ...      positions 0, 1, 2, ...
//! positions: XXH3-64 of the key -> position, in a hashbrown table; of up to 256 records, a piece of each one's hash
//! ```
//!
//! A new record goes to the end, a removed one is replaced by the last. So the order depends on
//! nothing but the history of writes, a random record costs O(1), and a walk that goes downwards
//! meets every record that stays, whatever is added and removed meanwhile: records only ever move
//! down to a place the walk has not reached, or between places it has passed.
//!
//! Most tables hold the keys of one slot and are small, so the entries grow by single size classes of the allocator, and
//! up to 256 records have no table: two bytes of each one's hash stand in a row, and a look-up
//! compares sixteen of them at once. With 61 records (a million keys over all slots) entries and positions together
//! take 11 bytes a record, where a `HashTable<u32>` and a doubling `Vec` would take 20; and to remove a record
//! costs no look at the one that takes its place.

use hashbrown::HashTable;
use twox_hash::XxHash3_64;

use super::blob::Blob;
use super::record::Record;

/// Seed of the key hashes. Fixed: the order of keys that expire in one millisecond follows from it
/// and is the same on all replicas.
const HASH_SEED: u64 = 0x6b76_6f72_756d_0001;

/// Fewest entries that room is made for.
const ENTRIES_MIN: usize = 4;
/// Fewest entries below which nothing is shrunk.
const SHRINK_MIN: usize = 32;
/// Most records of which one byte of each hash is kept, beside the entries.
const FEW_MAX: usize = 8;
/// Most records of which two bytes of each hash are kept. To compare 256 takes as long as a read of memory.
const TAGS_MAX: usize = 256;
/// Tags that are compared at once.
const TAGS_AT_ONCE: usize = 16;
/// Average bytes of the index that one record takes: its pointer, its position, and room to grow.
const INDEX_BYTES: usize = 12;

/// The hash of a key or a field.
#[inline]
pub(super) fn hash_of(key: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(HASH_SEED, key)
}

/// Bytes the allocator sets aside for a request, after jemalloc's size classes: steps of 16 up to
/// 128, then four classes to each doubling.
pub(super) fn allocated_bytes(bytes: usize) -> usize {
    if bytes <= 128 {
        return bytes.next_multiple_of(16);
    }
    bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2))
}

/// Approximate bytes that a record takes with its share of the index.
#[inline]
pub(super) fn record_bytes(blob: &Blob) -> usize {
    blob.taken_bytes() + INDEX_BYTES
}

/// Positions of the records by hash.
enum Positions {
    /// A byte of each record's hash, by position: with 6 records in each slot (100,000 keys) this saves an allocation, which
    /// is 5 bytes a key, and a look-up reads one line of memory less.
    Few([u8; FEW_MAX]),
    /// The [`tag`] of each record, by position.
    Tags(Vec<u16>),
    Medium(HashTable<u16>),
    Wide(HashTable<u32>),
}

/// What tells most records apart. hashbrown and the slots take other bits of the hash.
fn tag(hash: u64) -> u16 {
    (hash >> 32) as u16
}

/// Does one thing with the tags of a few records, one with the tags of some, and the same with a table of either width.
macro_rules! with_table {
    ($positions:expr, $few:ident => $with_few:expr, $tags:ident => $with_tags:expr, $table:ident => $body:expr) => {
        match $positions {
            Positions::Few($few) => $with_few,
            Positions::Tags($tags) => $with_tags,
            Positions::Medium($table) => $body,
            Positions::Wide($table) => $body,
        }
    };
}

/// Positions of `wanted` among tags for which `is` holds: the first.
#[inline]
fn find_tag(tags: &[u16], wanted: u16, mut is: impl FnMut(usize) -> bool) -> Option<usize> {
    let (groups, rest) = tags.as_chunks::<TAGS_AT_ONCE>();
    for (group, tags) in groups.iter().enumerate() {
        // All of a group are compared before any is looked at, so that the compiler compares them at once.
        if !tags.iter().fold(false, |any, &tag| any | (tag == wanted)) {
            continue;
        }
        for (at, &tag) in tags.iter().enumerate() {
            let position = group * TAGS_AT_ONCE + at;
            if tag == wanted && is(position) {
                return Some(position);
            }
        }
    }
    let start = tags.len() - rest.len();
    (start..tags.len()).find(|&position| tags[position] == wanted && is(position))
}

impl Positions {
    /// Positions that can name `records` records, with room for them.
    fn for_records(records: usize) -> Self {
        if records <= FEW_MAX {
            Self::Few([0; FEW_MAX])
        } else if records <= TAGS_MAX {
            Self::Tags(Vec::with_capacity(records))
        } else if records <= 1 << 16 {
            Self::Medium(HashTable::with_capacity(records))
        } else {
            Self::Wide(HashTable::with_capacity(records))
        }
    }

    /// Number of records that positions of this form can name.
    fn limit(&self) -> usize {
        match self {
            Self::Few(_) => FEW_MAX,
            Self::Tags(_) => TAGS_MAX,
            Self::Medium(_) => 1 << 16,
            Self::Wide(_) => 1 << 32,
        }
    }

    /// Records that there is room for, if they have an allocation.
    fn capacity(&self) -> usize {
        with_table!(self, _few => 0, tags => tags.capacity(), table => table.capacity())
    }

    #[inline]
    fn find(&self, hash: u64, entries: &[Blob], mut is: impl FnMut(usize) -> bool) -> Option<usize> {
        with_table!(
            self,
            few => (0..entries.len().min(FEW_MAX)).find(|&position| few[position] == tag(hash) as u8 && is(position)),
            tags => find_tag(tags, tag(hash), is),
            table => table.find(hash, |&position| is(position as usize)).map(|&position| position as usize)
        )
    }

    /// Adds the last position.
    #[inline]
    fn push(&mut self, hash: u64, position: usize, entries: &[Blob]) {
        with_table!(
            self,
            few => few[position] = tag(hash) as u8,
            tags => {
                if tags.len() == tags.capacity() {
                    tags.reserve_exact(grown::<u16>(tags.len()) - tags.len());
                }
                tags.push(tag(hash));
            },
            table => {
                table.insert_unique(hash, position as _, |&position| hash_at(entries, position as usize));
            }
        );
    }

    /// Forgets a position and gives it to the last record. Among a few, what is behind the last one is not looked at.
    fn swap_remove(&mut self, hash: u64, position: usize, entries: &[Blob]) {
        let last = entries.len() - 1;
        with_table!(
            self,
            few => few[position] = few[last],
            tags => {
                tags.swap_remove(position);
            },
            table => {
                table
                    .find_entry(hash, |&other| other as usize == position)
                    .expect("every record has a position")
                    .remove();
                if position != last {
                    let found = table.find_mut(hash_at(entries, last), |&other| other as usize == last);
                    *found.expect("every record has a position") = position as _;
                }
            }
        );
    }

    fn for_each_candidate(&self, hash: u64, entries: &[Blob], mut visit: impl FnMut(usize)) {
        with_table!(
            self,
            few => (0..entries.len().min(FEW_MAX))
                .filter(|&position| few[position] == tag(hash) as u8)
                .for_each(visit),
            tags => {
                find_tag(tags, tag(hash), |position| {
                    visit(position);
                    false
                });
            },
            table => table.iter_hash(hash).for_each(|&position| visit(position as usize))
        );
    }
}

fn hash_at(entries: &[Blob], position: usize) -> u64 {
    hash_of(Record::of(&entries[position]).key())
}

/// Records in order, found by key.
pub(super) struct DenseTable {
    entries: Vec<Blob>,
    positions: Positions,
}

impl DenseTable {
    /// An empty table with room for `records` records.
    pub(super) fn with_capacity(records: usize) -> Self {
        Self { entries: Vec::with_capacity(records), positions: Positions::for_records(records) }
    }

    /// Number of records.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The records in order.
    #[inline]
    pub(super) fn entries(&self) -> &[Blob] {
        &self.entries
    }

    /// The record at a position.
    #[inline]
    pub(super) fn record(&self, position: usize) -> Record<'_> {
        Record::of(&self.entries[position])
    }

    /// The blob at a position, to replace its value. Its key must stay.
    #[inline]
    pub(super) fn blob_mut(&mut self, position: usize) -> &mut Blob {
        &mut self.entries[position]
    }

    /// The position of a key whose hash is `hash`.
    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.positions.find(hash, &self.entries, |position| Record::of(&self.entries[position]).key() == key)
    }

    /// A position that a key with this hash may have, found without reading any record.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<&Blob> {
        let position = self.positions.find(hash, &self.entries, |_| true)?;
        self.entries.get(position)
    }

    /// The positions of all records with this hash, in no particular order. There is more than one
    /// only if keys were made to collide.
    pub(super) fn for_each_with_hash(&self, hash: u64, mut visit: impl FnMut(usize, Record<'_>)) {
        self.positions.for_each_candidate(hash, &self.entries, |position| {
            let record = self.record(position);
            if hash_of(record.key()) == hash {
                visit(position, record);
            }
        });
    }

    /// Adds a record whose key is not there yet.
    pub(super) fn push(&mut self, hash: u64, blob: Blob) {
        let position = self.entries.len();
        if position == self.positions.limit() {
            self.index_anew(position + 1);
        }
        if position == self.entries.capacity() {
            self.entries.reserve_exact(grown::<Blob>(position) - position);
        }
        self.entries.push(blob);
        self.positions.push(hash, position, &self.entries);
    }

    /// Removes a record; the last one takes its place.
    pub(super) fn swap_remove(&mut self, hash: u64, position: usize) -> Blob {
        self.positions.swap_remove(hash, position, &self.entries);
        let removed = self.entries.swap_remove(position);
        self.shrink();
        removed
    }

    /// Makes positions that suit so many records.
    #[cold]
    fn index_anew(&mut self, records: usize) {
        assert!(records <= u32::MAX as usize, "a table holds at most 2^32 records");
        self.positions = Positions::for_records(records);
        for position in 0..self.entries.len() {
            self.positions.push(hash_at(&self.entries, position), position, &self.entries);
        }
    }

    /// Gives memory back when three quarters of it have become free.
    fn shrink(&mut self) {
        let len = self.entries.len();
        if self.entries.capacity() > SHRINK_MIN && len < self.entries.capacity() / 4 {
            self.entries.shrink_to(grown::<Blob>(len));
        }
        if len <= FEW_MAX / 2 && self.positions.limit() > FEW_MAX {
            self.index_anew(len);
        } else if self.positions.capacity() > SHRINK_MIN && len < self.positions.capacity() / 4 {
            let entries = &self.entries;
            with_table!(&mut self.positions, _few => (), tags => tags.shrink_to(len * 2), table => {
                table.shrink_to(len * 2, |&position| hash_at(entries, position as usize));
            });
        }
    }

    /// Visits records downwards, starting below the position `below`, until `visit` wants no more.
    /// Answers the position to go on below, 0 when the walk is over.
    pub(super) fn walk_down(&self, below: usize, visit: &mut dyn FnMut(Record<'_>) -> bool) -> usize {
        let mut position = below.min(self.entries.len());
        while position > 0 {
            position -= 1;
            if !visit(self.record(position)) {
                break;
            }
        }
        position
    }
}

/// The capacity that a vector grows to from `len`: the next size class of the allocator, which is an
/// eighth to a quarter more.
pub(super) fn grown<T>(len: usize) -> usize {
    let wanted = (len + 1 + len / 8).max(ENTRIES_MIN);
    allocated_bytes(wanted * size_of::<T>()) / size_of::<T>()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::record::{Payload, create};
    use super::*;
    use crate::types::rng::Rng;

    fn blob(key: &[u8], value: i64) -> Blob {
        create(key, None, Payload::Int(value), 0)
    }

    #[test]
    fn agrees_with_a_naive_list() {
        let mut rng = Rng::new(11);
        let mut table = DenseTable::with_capacity(0);
        let mut list: Vec<Vec<u8>> = Vec::new();
        // Grows past both widths' limits, then shrinks to nothing.
        for (steps, growing) in [(70_000, 95), (200_000, 10)] {
            for _ in 0..steps {
                if rng.below(100) < growing {
                    let key = rng.next_u64().to_le_bytes().to_vec();
                    table.push(hash_of(&key), blob(&key, 1));
                    list.push(key);
                } else if !list.is_empty() {
                    let position = rng.below(list.len() as u64) as usize;
                    let key = list.swap_remove(position);
                    assert_eq!(table.find(hash_of(&key), &key), Some(position));
                    assert_eq!(Record::of(&table.swap_remove(hash_of(&key), position)).key(), key);
                    assert_eq!(table.find(hash_of(&key), &key), None);
                }
            }
            assert_eq!(table.len(), list.len());
            for (position, key) in list.iter().enumerate() {
                assert_eq!(table.find(hash_of(key), key), Some(position));
                assert_eq!(table.record(position).key(), key);
            }
        }
        assert!(table.entries.capacity() <= 4 * SHRINK_MIN.max(table.len()));
        assert!(table.positions.capacity() <= 8 * SHRINK_MIN.max(table.len()));
    }

    #[test]
    fn entries_grow_gently() {
        let mut capacity = 0;
        let mut table = DenseTable::with_capacity(0);
        for i in 0..5000u32 {
            let key = i.to_le_bytes();
            table.push(hash_of(&key), blob(&key, 0));
            assert!(table.entries.capacity() >= capacity, "growth is monotonic");
            capacity = table.entries.capacity();
            assert!(capacity <= 4 || capacity <= (table.len() + 1) * 3 / 2);
        }
    }

    #[test]
    fn downward_walk_meets_what_stays() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let mut table = DenseTable::with_capacity(0);
            let mut staying: HashMap<Vec<u8>, bool> = HashMap::new();
            for i in 0..200u32 {
                let key = i.to_le_bytes().to_vec();
                table.push(hash_of(&key), blob(&key, 0));
                if i % 3 == 0 {
                    staying.insert(key, false);
                }
            }
            let mut next = usize::MAX;
            let mut fresh = 1000u32;
            while next != 0 {
                let mut budget = 7;
                next = table.walk_down(next, &mut |record| {
                    if let Some(seen) = staying.get_mut(record.key()) {
                        *seen = true;
                    }
                    budget -= 1;
                    budget > 0
                });
                for _ in 0..rng.below(12) {
                    if rng.below(2) == 0 {
                        fresh += 1;
                        let key = fresh.to_le_bytes();
                        table.push(hash_of(&key), blob(&key, 0));
                    } else {
                        let position = rng.below(table.len() as u64) as usize;
                        let key = table.record(position).key().to_vec();
                        if !staying.contains_key(&key) {
                            table.swap_remove(hash_of(&key), position);
                        }
                    }
                }
            }
            assert!(staying.values().all(|&seen| seen), "seed {seed}");
        }
    }

    #[test]
    fn size_classes_are_jemallocs() {
        for (bytes, class) in [(1, 16), (90, 96), (128, 128), (129, 160), (257, 320), (4097, 5120)] {
            assert_eq!(allocated_bytes(bytes), class);
        }
    }
}
