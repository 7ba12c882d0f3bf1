//! Sets: the large form, and the read view of both forms.

use super::blob::Blob;
use super::dense::{DenseTable, hash_of, record_bytes};
use super::prefetch;
use super::record::{self, Payload, Record};
use super::small_set;
use crate::storage::ScanCursor;
use crate::storage::sets::{SetEncoding, VisitMember};
use crate::types::rng::Rng;

/// A set with a table of its own. It reports the encoding `hashtable`. A member is a record without a value.
pub(super) struct LargeSet {
    table: DenseTable,
    /// Approximate bytes of all members.
    bytes: usize,
}

impl LargeSet {
    /// An empty set with room for `members` members.
    pub(super) fn with_capacity(members: usize) -> Self {
        Self { table: DenseTable::with_capacity(members), bytes: 0 }
    }

    /// The large form of a small set, in the same order, with room for some more members.
    pub(super) fn from_small(bytes: &[u8], more: usize) -> Self {
        let mut set = Self::with_capacity(small_set::len(bytes) + more);
        small_set::for_each(bytes, &mut |member| set.add(member));
        set
    }

    /// Number of members.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Approximate bytes of all members.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records by member.
    pub(super) fn table(&self) -> &DenseTable {
        &self.table
    }

    /// The records of the members, in order.
    pub(super) fn records(&self) -> &[Blob] {
        self.table.entries()
    }

    /// Whether it has a member.
    pub(super) fn contains(&self, member: &[u8]) -> bool {
        self.table.find(hash_of(member), member).is_some()
    }

    /// Adds a member; answers whether it is new.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let hash = hash_of(member);
        if self.table.find(hash, member).is_some() {
            return false;
        }
        let blob = record::create(member, None, Payload::Bytes { bytes: b"", edited: false }, 0);
        self.bytes += record_bytes(&blob);
        self.table.push(hash, blob);
        true
    }

    /// Adds the record of a member, unless the member is there; answers whether it was not.
    pub(super) fn load(&mut self, blob: Blob) -> bool {
        let member = Record::of(&blob).key();
        let hash = hash_of(member);
        let is_new = self.table.find(hash, member).is_none();
        if is_new {
            self.bytes += record_bytes(&blob);
            self.table.push(hash, blob);
        }
        is_new
    }

    /// Removes a member; answers whether it was there. The last one takes its place.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let hash = hash_of(member);
        let Some(position) = self.table.find(hash, member) else { return false };
        self.bytes -= record_bytes(&self.table.swap_remove(hash, position));
        true
    }
}

/// A read view of a set in this engine.
#[derive(Clone, Copy)]
pub struct SetMembers<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Small(&'a [u8]),
    Large(&'a LargeSet),
}

impl<'a> SetMembers<'a> {
    pub(super) fn small(bytes: &'a [u8]) -> Self {
        Self(Form::Small(bytes))
    }

    pub(super) fn large(set: &'a LargeSet) -> Self {
        Self(Form::Large(set))
    }

    /// How the set is kept.
    pub fn encoding(&self) -> SetEncoding {
        match self.0 {
            Form::Small(bytes) => small_set::encoding(bytes),
            Form::Large(_) => SetEncoding::Hashtable,
        }
    }

    /// Number of members.
    pub fn len(&self) -> u64 {
        match self.0 {
            Form::Small(bytes) => small_set::len(bytes) as u64,
            Form::Large(set) => set.len() as u64,
        }
    }

    /// Never true: empty sets do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has a member.
    pub fn contains(&self, member: &[u8]) -> bool {
        match self.0 {
            Form::Small(bytes) => small_set::contains(bytes, member),
            Form::Large(set) => set.contains(member),
        }
    }

    /// Visits the members in order until `visit` wants no more.
    pub fn for_each(&self, visit: &mut VisitMember<'_>) {
        match self.0 {
            Form::Small(bytes) => small_set::for_each(bytes, visit),
            Form::Large(set) => {
                prefetch::walk(set.records()).all(|blob| visit(Record::of(blob).key()));
            }
        }
    }

    /// One step of `SSCAN`. A large set is walked downwards, and the cursor is the position to go on below; a small
    /// one is visited whole.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitMember<'_>) -> ScanCursor {
        let Form::Large(set) = self.0 else {
            self.for_each(visit);
            return ScanCursor::START;
        };
        let below = if cursor == ScanCursor::START { usize::MAX } else { cursor.0 as usize };
        let mut left = count.max(1);
        let next = set.table.walk_down(below, &mut |record| {
            left -= 1;
            visit(record.key()) && left > 0
        });
        ScanCursor(next as u64)
    }

    /// Visits one member chosen at random, each with the same chance.
    pub fn random(&self, rng: &mut Rng, visit: &mut dyn FnMut(&[u8])) {
        let chosen = rng.below(self.len()) as usize;
        match self.0 {
            Form::Small(bytes) => small_set::nth(bytes, chosen, visit),
            Form::Large(set) => visit(set.table.record(chosen).key()),
        }
    }
}
