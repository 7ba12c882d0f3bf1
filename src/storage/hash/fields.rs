//! Hashes: the large form, and the read view of both forms.

use super::blob::Blob;
use super::compact;
use super::dense::{DenseTable, hash_of, record_bytes};
use super::record::{self, Payload, Record};
use crate::storage::ScanCursor;
use crate::storage::value::VisitField;
use crate::types::rng::Rng;

/// A hash with a table of its own. It reports the encoding `hashtable`.
pub(super) struct LargeHash {
    table: DenseTable,
    /// Approximate bytes of all fields.
    bytes: usize,
}

impl LargeHash {
    /// An empty hash with room for `fields` fields.
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self { table: DenseTable::with_capacity(fields), bytes: 0 }
    }

    /// The large form of a compact hash, in the same order.
    pub(super) fn from_compact(bytes: &[u8]) -> Self {
        let mut hash = Self::with_capacity(compact::len(bytes) + 1);
        for (field, value) in compact::iter(bytes) {
            hash.set(field, value);
        }
        hash
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Approximate bytes of all fields.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records of the fields, in order.
    pub(super) fn records(&self) -> &[Blob] {
        self.table.entries()
    }

    /// The value of a field.
    pub(super) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        let position = self.table.find(hash_of(field), field)?;
        Some(self.table.record(position).payload_bytes())
    }

    /// Sets a field; answers whether it is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let hash = hash_of(field);
        let payload = Payload::Bytes { bytes: value, edited: false };
        match self.table.find(hash, field) {
            Some(position) => {
                let blob = self.table.blob_mut(position);
                self.bytes -= record_bytes(blob);
                record::replace(blob, field, None, payload, 0);
                self.bytes += record_bytes(blob);
                false
            }
            None => {
                self.add(hash, record::create(field, None, payload, 0));
                true
            }
        }
    }

    /// Adds the record of a field, unless the field is there; answers whether it was not.
    pub(super) fn load(&mut self, blob: Blob) -> bool {
        let field = Record::of(&blob).key();
        let hash = hash_of(field);
        let is_new = self.table.find(hash, field).is_none();
        if is_new {
            self.add(hash, blob);
        }
        is_new
    }

    fn add(&mut self, hash: u64, blob: Blob) {
        self.bytes += record_bytes(&blob);
        self.table.push(hash, blob);
    }

    /// Removes a field; answers whether it was there.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let hash = hash_of(field);
        let Some(position) = self.table.find(hash, field) else { return false };
        self.bytes -= record_bytes(&self.table.swap_remove(hash, position));
        true
    }
}

/// A read view of a hash in this engine.
#[derive(Clone, Copy)]
pub struct HashFields<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Compact(&'a [u8]),
    Large(&'a LargeHash),
}

impl<'a> HashFields<'a> {
    pub(super) fn compact(bytes: &'a [u8]) -> Self {
        Self(Form::Compact(bytes))
    }

    pub(super) fn large(hash: &'a LargeHash) -> Self {
        Self(Form::Large(hash))
    }

    /// Number of fields.
    pub fn len(&self) -> u64 {
        match self.0 {
            Form::Compact(bytes) => compact::len(bytes) as u64,
            Form::Large(hash) => hash.len() as u64,
        }
    }

    /// Never true: empty hashes do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&'a [u8]> {
        match self.0 {
            Form::Compact(bytes) => compact::get(bytes, field),
            Form::Large(hash) => hash.get(field),
        }
    }

    /// Visits the fields in order until `visit` wants no more.
    pub fn for_each(&self, visit: &mut VisitField<'_>) {
        match self.0 {
            Form::Compact(bytes) => {
                compact::iter(bytes).all(|(field, value)| visit(field, value));
            }
            Form::Large(hash) => {
                hash.records().iter().map(Record::of).all(|record| visit(record.key(), record.payload_bytes()));
            }
        }
    }

    /// One step of `HSCAN`. A large hash is walked downwards, and the cursor is the position to
    /// go on below; a compact one is visited whole.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitField<'_>) -> ScanCursor {
        let Form::Large(hash) = self.0 else {
            self.for_each(visit);
            return ScanCursor::START;
        };
        let below = if cursor == ScanCursor::START { usize::MAX } else { cursor.0 as usize };
        let mut left = count.max(1);
        let next = hash.table.walk_down(below, &mut |record| {
            left -= 1;
            visit(record.key(), record.payload_bytes()) && left > 0
        });
        ScanCursor(next as u64)
    }

    /// Visits one field chosen at random, each with the same chance.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitField<'_>) {
        let chosen = rng.below(self.len()) as usize;
        match self.0 {
            Form::Compact(bytes) => {
                if let Some((field, value)) = compact::iter(bytes).nth(chosen) {
                    visit(field, value);
                }
            }
            Form::Large(hash) => {
                let record = hash.table.record(chosen);
                visit(record.key(), record.payload_bytes());
            }
        }
    }
}
