//! Hashes: the large form, and the read view of both forms.

use super::blob::Blob;
use super::compact;
use super::dense::{DenseTable, hash_of, record_bytes};
use super::field_expiry::FieldExpiries;
use super::prefetch;
use super::record::{self, Payload, Record};
use crate::storage::value::VisitField;
use crate::storage::{EncodingSettings, ScanCursor};
use crate::types::UnixMs;
use crate::types::rng::Rng;

/// How often a field is drawn before any that has not expired is taken.
const RANDOM_TRIES: usize = 100;

/// What setting a field does to its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldExpiry {
    /// The field has none afterwards.
    Clear,
    /// A field that is there keeps what it has.
    Keep,
}

/// A hash with a table of its own. It reports the encoding `hashtable`, or `listpackex` while it is small and has
/// this form only because of its fields' expiries.
pub(super) struct LargeHash {
    table: DenseTable,
    /// Approximate bytes of all fields.
    bytes: usize,
    /// `None` when no field ever expired.
    expiries: Option<Box<FieldExpiries>>,
}

impl LargeHash {
    /// An empty hash with room for `fields` fields.
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self { table: DenseTable::with_capacity(fields), bytes: 0, expiries: None }
    }

    /// The large form of a compact hash, in the same order.
    pub(super) fn from_compact(bytes: &[u8]) -> Self {
        let mut hash = Self::with_capacity(compact::len(bytes) + 1);
        for (field, value) in compact::iter(bytes) {
            hash.add(hash_of(field), create(field, value, None));
        }
        hash
    }

    /// Number of fields, expired ones included.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Approximate bytes of all fields and expiries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.expiries.as_ref().map_or(0, |expiries| expiries.bytes())
    }

    /// The records by field.
    pub(super) fn table(&self) -> &DenseTable {
        &self.table
    }

    /// The records of the fields, in order.
    pub(super) fn records(&self) -> &[Blob] {
        self.table.entries()
    }

    /// Whether it reports `listpackex`.
    pub(super) fn is_small(&self) -> bool {
        self.expiries.as_ref().is_some_and(|expiries| expiries.small)
    }

    /// Makes it report `listpackex` until it crosses a threshold.
    pub(super) fn make_small(&mut self) {
        self.expiries.get_or_insert_default().small = true;
    }

    /// Notes that pairs were set: a small hash that breaks a threshold is so no longer.
    pub(super) fn check_small(&mut self, settings: &EncodingSettings, pairs: &[(&[u8], &[u8])]) {
        let len = self.table.len();
        if let Some(expiries) = self.expiries.as_mut().filter(|expiries| expiries.small) {
            let longest = pairs.iter().map(|(field, value)| field.len().max(value.len())).max().unwrap_or(0);
            expiries.small = len <= settings.hash_max_listpack_entries && longest <= settings.hash_max_listpack_value;
        }
    }

    /// The record of a field, expired or not.
    pub(super) fn record(&self, field: &[u8]) -> Option<Record<'_>> {
        Some(self.table.record(self.table.find(hash_of(field), field)?))
    }

    /// Sets a field; answers whether it is new.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8], expiry: FieldExpiry, now: UnixMs) -> bool {
        let hash = hash_of(field);
        let Some(position) = self.table.find(hash, field) else {
            self.add(hash, create(field, value, None));
            return true;
        };
        let blob = self.table.blob_mut(position);
        let old = Record::of(blob).expires_at();
        let is_new = Record::of(blob).is_expired(now);
        let new = old.filter(|_| expiry == FieldExpiry::Keep && !is_new);
        self.bytes -= record_bytes(blob);
        record::replace(blob, field, new, Payload::Bytes { bytes: value, edited: false }, 0);
        self.bytes += record_bytes(blob);
        self.change_expiry(hash, old, new);
        is_new
    }

    /// Sets or clears the expiry of a field; answers whether the field is there.
    pub(super) fn set_expiry(&mut self, field: &[u8], expires_at: Option<UnixMs>, now: UnixMs) -> bool {
        let hash = hash_of(field);
        let Some(position) = self.table.find(hash, field) else { return false };
        let blob = self.table.blob_mut(position);
        let record = Record::of(blob);
        if record.is_expired(now) {
            return false;
        }
        let old = record.expires_at();
        let new = create(field, record.payload_bytes(), expires_at);
        self.bytes = self.bytes - record_bytes(blob) + record_bytes(&new);
        *blob = new;
        self.change_expiry(hash, old, expires_at);
        true
    }

    /// Adds the record of a field, unless the field is there; answers whether it was not.
    pub(super) fn load(&mut self, blob: Blob) -> bool {
        let record = Record::of(&blob);
        let (hash, expires_at) = (hash_of(record.key()), record.expires_at());
        let is_new = self.table.find(hash, record.key()).is_none();
        if is_new {
            self.add(hash, blob);
            self.change_expiry(hash, None, expires_at);
        }
        is_new
    }

    /// Adds a field with an expiry to those that are there.
    pub(super) fn load_field(&mut self, field: &[u8], value: &[u8], expires_at: Option<UnixMs>) -> bool {
        self.load(create(field, value, expires_at))
    }

    fn add(&mut self, hash: u64, blob: Blob) {
        self.bytes += record_bytes(&blob);
        self.table.push(hash, blob);
    }

    /// Removes a field; answers whether it was there and had not expired.
    pub(super) fn remove(&mut self, field: &[u8], now: UnixMs) -> bool {
        let hash = hash_of(field);
        let Some(position) = self.table.find(hash, field) else { return false };
        let blob = self.table.swap_remove(hash, position);
        self.bytes -= record_bytes(&blob);
        let record = Record::of(&blob);
        self.change_expiry(hash, record.expires_at(), None);
        !record.is_expired(now)
    }

    /// Brings the index up to date after the record of a field has changed.
    fn change_expiry(&mut self, hash: u64, old: Option<UnixMs>, new: Option<UnixMs>) {
        if old == new {
            return;
        }
        if let (Some(at), Some(expiries)) = (old, &mut self.expiries) {
            // Fields that collide and expire together share an entry.
            let mut shared = false;
            self.table.for_each_with_hash(hash, |_, record| shared |= record.expires_at() == Some(at));
            if !shared {
                expiries.remove(at, hash);
            }
        }
        if let Some(at) = new {
            self.expiries.get_or_insert_default().insert(at, hash);
        }
    }

    /// The earliest expiry of its fields.
    pub(super) fn first_expiry(&self) -> Option<UnixMs> {
        self.expiries.as_ref()?.first().map(|(at, _)| at)
    }

    /// Removes the field with the earliest expiry, if that is before `now`, and answers it.
    pub(super) fn remove_first_due(&mut self, now: UnixMs) -> Option<Vec<u8>> {
        let (at, hash) = self.expiries.as_ref()?.first().filter(|&(at, _)| at < now)?;
        let mut first: Option<&[u8]> = None;
        self.table.for_each_with_hash(hash, |position, _| {
            let record = self.table.record(position);
            if record.expires_at() == Some(at) && first.is_none_or(|other| record.key() < other) {
                first = Some(record.key());
            }
        });
        let field = first.expect("a field has every expiry of the index").to_vec();
        self.remove(&field, now);
        Some(field)
    }
}

/// The record of a field.
fn create(field: &[u8], value: &[u8], expires_at: Option<UnixMs>) -> Blob {
    record::create(field, expires_at, Payload::Bytes { bytes: value, edited: false }, 0)
}

/// A read view of a hash in this engine, as of a time: fields that have expired by then are not seen.
#[derive(Clone, Copy)]
pub struct HashFields<'a> {
    form: Form<'a>,
    now: UnixMs,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    Compact(&'a [u8]),
    Large(&'a LargeHash),
}

impl<'a> HashFields<'a> {
    pub(super) fn compact(bytes: &'a [u8], now: UnixMs) -> Self {
        Self { form: Form::Compact(bytes), now }
    }

    pub(super) fn large(hash: &'a LargeHash, now: UnixMs) -> Self {
        Self { form: Form::Large(hash), now }
    }

    /// Number of fields, those included that have expired and were not yet removed.
    pub fn len(&self) -> u64 {
        match self.form {
            Form::Compact(bytes) => compact::len(bytes) as u64,
            Form::Large(hash) => hash.len() as u64,
        }
    }

    /// Never true: empty hashes do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of fields that have not expired.
    pub fn live_len(&self) -> u64 {
        match self.form {
            Form::Large(hash) if hash.first_expiry().is_some_and(|at| self.now > at) => {
                hash.records().iter().filter(|blob| !Record::of(blob).is_expired(self.now)).count() as u64
            }
            _ => self.len(),
        }
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Option<&'a [u8]> {
        match self.form {
            Form::Compact(bytes) => compact::get(bytes, field),
            Form::Large(hash) => {
                hash.record(field).filter(|record| !record.is_expired(self.now)).map(Record::payload_bytes)
            }
        }
    }

    /// The expiry of a field, if the field is there.
    pub fn field_expiry(&self, field: &[u8]) -> Option<Option<UnixMs>> {
        match self.form {
            Form::Compact(bytes) => compact::get(bytes, field).map(|_| None),
            Form::Large(hash) => {
                hash.record(field).filter(|record| !record.is_expired(self.now)).map(Record::expires_at)
            }
        }
    }

    /// Whether any field has an expiry.
    pub fn has_expiries(&self) -> bool {
        matches!(self.form, Form::Large(hash) if hash.first_expiry().is_some())
    }

    /// Visits the fields in order until `visit` wants no more.
    pub fn for_each(&self, visit: &mut VisitField<'_>) {
        match self.form {
            Form::Compact(bytes) => {
                compact::iter(bytes).all(|(field, value)| visit(field, value));
            }
            Form::Large(hash) => {
                let records =
                    prefetch::walk(hash.records()).map(Record::of).filter(|record| !record.is_expired(self.now));
                records.into_iter().all(|record| visit(record.key(), record.payload_bytes()));
            }
        }
    }

    /// One step of `HSCAN`. A large hash is walked downwards, and the cursor is the position to
    /// go on below; a compact or small one is visited whole.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitField<'_>) -> ScanCursor {
        let hash = match self.form {
            Form::Large(hash) if !hash.is_small() => hash,
            _ => {
                self.for_each(visit);
                return ScanCursor::START;
            }
        };
        let below = if cursor == ScanCursor::START { usize::MAX } else { cursor.0 as usize };
        let mut left = count.max(1);
        let next = hash.table.walk_down(below, &mut |record| {
            left -= 1;
            (record.is_expired(self.now) || visit(record.key(), record.payload_bytes())) && left > 0
        });
        ScanCursor(next as u64)
    }

    /// Visits one field chosen at random, each with the same chance; none if all have expired.
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitField<'_>) {
        match self.form {
            Form::Compact(bytes) => {
                if let Some((field, value)) = compact::iter(bytes).nth(rng.below(self.len()) as usize) {
                    visit(field, value);
                }
            }
            Form::Large(hash) => {
                let mut draws = (0..RANDOM_TRIES).map(|_| hash.table.record(rng.below(self.len()) as usize));
                match draws.find(|record| !record.is_expired(self.now)) {
                    Some(record) => {
                        visit(record.key(), record.payload_bytes());
                    }
                    None => self.for_each(&mut |field, value| {
                        visit(field, value);
                        false
                    }),
                }
            }
        }
    }
}
