//! The engine interface over the databases.

use std::borrow::Cow;
use std::ops::Bound;

use super::database::{Database, NewValue};
use super::dense::hash_of;
use super::expiry::DUE_BYTES;
use super::fields::FieldExpiry;
use super::lists::ListElements;
use super::prefetch;
use super::record::{Payload, Record};
use super::slot_table::{Large, SlotTable};
use super::sorted::SortedSet;
use super::{
    HashEngine, HashFields, INLINE_EDITED_MAX_BYTES, INLINE_MAX_BYTES, clock_of, database_mut, hashes, small_set,
};
use crate::storage::field_expiry::FieldExpiryEngine;
use crate::storage::lists::ListEngine;
use crate::storage::sets::SetEngine;
use crate::storage::settings::EMBSTR_MAX_BYTES;
use crate::storage::streams::{StreamEngine, StreamObject};
use crate::storage::value::EngineUsage;
use crate::storage::zsets::ZsetEngine;
use crate::storage::{
    Address, EncodingSettings, Engine, Expiry, HashRead, KeyMeta, Kind, LookUp, Object, ScanCursor, StorageError,
    StorageResult, StringValue, SyncJob, VisitKey,
};
use crate::types::rng::Rng;
use crate::types::{Db, SLOT_COUNT, UnixMs};

/// Bits of a `SCAN` cursor that hold the slot; those above hold the position to go on below, and 0
/// there stands for the top of the slot, whatever its length is then.
const CURSOR_SLOT_BITS: u32 = SLOT_COUNT.trailing_zeros();

/// A record that was found, with the table it is in.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) table: &'a SlotTable,
    position: usize,
    pub(super) record: Record<'a>,
}

/// A value as its kind sees it.
enum View<'a> {
    String(StringValue<'a>),
    Hash(HashFields<'a>),
    Zset(SortedSet<'a>),
    /// A kind whose own module reads it.
    Other(Kind),
}

impl<'a> Found<'a> {
    #[inline]
    fn view(self, now: UnixMs) -> View<'a> {
        match self.record.payload() {
            Payload::Bytes { bytes, .. } => View::String(StringValue::Bytes(Cow::Borrowed(bytes))),
            Payload::Int(number) => View::String(StringValue::Int(number)),
            Payload::Compact(bytes) => View::Hash(HashFields::compact(bytes, now)),
            Payload::List(_) => View::Other(Kind::List),
            Payload::Set(_) => View::Other(Kind::Set),
            Payload::Zset(bytes) => View::Zset(SortedSet::compact(bytes)),
            Payload::Large(index) => match self.table.large(index) {
                Large::String(bytes) => View::String(StringValue::Bytes(Cow::Borrowed(bytes))),
                Large::Hash(hash) => View::Hash(HashFields::large(hash, now)),
                Large::List(_) => View::Other(Kind::List),
                Large::Set(_) => View::Other(Kind::Set),
                Large::Zset(zset) => View::Zset(SortedSet::large(zset)),
                Large::Stream(_) => View::Other(Kind::Stream),
            },
        }
    }

    /// The list, if it is one.
    fn list(self) -> Option<ListElements<'a>> {
        match self.record.payload() {
            Payload::List(payload) => Some(ListElements::small(payload)),
            Payload::Large(index) => match self.table.large(index) {
                Large::List(list) => Some(ListElements::large(list)),
                _ => None,
            },
            _ => None,
        }
    }

    fn encoding(self) -> &'static str {
        match self.record.payload() {
            Payload::Bytes { bytes, edited: false } if bytes.len() <= EMBSTR_MAX_BYTES => "embstr",
            Payload::Bytes { .. } => "raw",
            Payload::Int(_) => "int",
            Payload::Compact(_) | Payload::Zset(_) => "listpack",
            Payload::List(_) => "quicklist",
            Payload::Set(bytes) => small_set::encoding(bytes).name(),
            Payload::Large(index) => match self.table.large(index) {
                Large::String(_) => "raw",
                Large::Hash(hash) if hash.is_small() => "listpackex",
                Large::Hash(_) | Large::Set(_) => "hashtable",
                Large::List(_) => "quicklist",
                Large::Zset(_) => "skiplist",
                Large::Stream(_) => "stream",
            },
        }
    }
}

#[inline]
fn kind_of(table: &SlotTable, record: Record<'_>) -> Kind {
    match record.payload() {
        Payload::Bytes { .. } | Payload::Int(_) => Kind::String,
        Payload::Compact(_) => Kind::Hash,
        Payload::List(_) => Kind::List,
        Payload::Set(_) => Kind::Set,
        Payload::Zset(_) => Kind::Zset,
        Payload::Large(index) => match table.large(index) {
            Large::String(_) => Kind::String,
            Large::Hash(_) => Kind::Hash,
            Large::List(_) => Kind::List,
            Large::Set(_) => Kind::Set,
            Large::Zset(_) => Kind::Zset,
            Large::Stream(_) => Kind::Stream,
        },
    }
}

/// A string that was not edited, as it is stored.
#[inline]
fn string_value(bytes: &[u8]) -> NewValue<'_> {
    if bytes.len() <= INLINE_MAX_BYTES {
        NewValue::Inline(Payload::of_string(bytes))
    } else {
        NewValue::Large(Large::String(bytes.to_vec()))
    }
}

impl HashEngine {
    /// A key, expired or not.
    #[inline]
    fn found(&self, at: Address<'_>) -> Option<Found<'_>> {
        let table = self.database(at.db)?.slot(at.slot)?;
        let position = table.table.find(hash_of(at.key), at.key)?;
        Some(Found { table, position, record: table.table.record(position) })
    }

    /// A key that has not expired.
    #[inline]
    pub(super) fn live(&self, at: Address<'_>, now: UnixMs) -> Option<Found<'_>> {
        self.found(at).filter(|found| !found.record.is_expired(now))
    }

    /// A key that has not expired, with the trace that the address asks for.
    #[inline]
    pub(super) fn looked_up(&self, at: Address<'_>, now: UnixMs) -> Option<Found<'_>> {
        let found = self.live(at, now)?;
        if at.touch {
            found.table.table.entries()[found.position].set_clock(clock_of(now));
        }
        Some(found)
    }

    /// A read view of the list at a key.
    pub(super) fn list_elements(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ListElements<'_>>> {
        let found = self.looked_up(at, now);
        found.map(|found| found.list().ok_or(StorageError::WrongType)).transpose()
    }

    /// The sorted set at a key; `WrongType` when it holds another kind.
    pub(super) fn sorted_set(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<SortedSet<'_>>> {
        match self.looked_up(at, now).map(|found| found.view(now)) {
            None => Ok(None),
            Some(View::Zset(zset)) => Ok(Some(zset)),
            Some(_) => Err(StorageError::WrongType),
        }
    }

    /// The table and the record of a key that has not expired, with the trace that the address asks for.
    #[inline]
    pub(super) fn looked_up_record(&self, at: Address<'_>, now: UnixMs) -> Option<(&SlotTable, Record<'_>)> {
        self.looked_up(at, now).map(|found| (found.table, found.record))
    }

    /// The position of a key that has not expired; one that has is removed.
    pub(super) fn live_position(&mut self, at: Address<'_>, hash: u64, now: UnixMs) -> Option<usize> {
        let database = self.databases.get_mut(usize::from(at.db.0))?.as_mut()?;
        let position = database.find(at.slot, hash, at.key)?;
        if database.record(at.slot, position).is_expired(now) {
            database.remove(at.slot, hash, position);
            return None;
        }
        Some(position)
    }

    /// Creates or replaces a key.
    #[inline]
    pub(super) fn put_value(&mut self, at: Address<'_>, expiry: Expiry, value: NewValue<'_>, now: UnixMs) {
        let hash = hash_of(at.key);
        let clock = clock_of(now);
        self.clock = clock;
        let database = database_mut(&mut self.databases, at.db);
        let position = database.find(at.slot, hash, at.key);
        let expires_at = match (expiry, position) {
            (Expiry::At(time), _) => Some(time),
            (Expiry::Clear, _) | (Expiry::Keep, None) => None,
            // What has expired is replaced like any other value, but leaves no expiry behind.
            (Expiry::Keep, Some(position)) => {
                database.record(at.slot, position).expires_at().filter(|&time| now <= time)
            }
        };
        database.put((at.slot, hash, at.key), position, expires_at, value, clock);
    }

    /// Visits live keys from a cursor on until `visit` wants no more.
    fn walk(database: &Database, cursor: ScanCursor, now: UnixMs, visit: &mut VisitKey<'_>) -> ScanCursor {
        let mut from = (cursor.0 & ((1 << CURSOR_SLOT_BITS) - 1)) as usize;
        let mut below = match (cursor.0 >> CURSOR_SLOT_BITS) as usize {
            0 => usize::MAX,
            below => below,
        };
        let mut stopped = false;
        while let Some(slot) = database.next_occupied(from) {
            if stopped {
                return ScanCursor(u64::from(slot.0));
            }
            if usize::from(slot.0) != from {
                below = usize::MAX;
            }
            let table = database.slot(slot).expect("its bit is set");
            let next = table.table.walk_down(below, &mut |record| {
                if !record.is_expired(now) {
                    stopped = !visit(record.key(), kind_of(table, record));
                }
                !stopped
            });
            if next > 0 {
                return ScanCursor((next as u64) << CURSOR_SLOT_BITS | u64::from(slot.0));
            }
            from = usize::from(slot.0) + 1;
            below = usize::MAX;
        }
        ScanCursor::START
    }
}

impl Engine for HashEngine {
    fn meta(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<KeyMeta>> {
        Ok(self.live(at, now).map(|Found { table, record, .. }| KeyMeta {
            kind: kind_of(table, record),
            expires_at: record.expires_at(),
        }))
    }

    fn encoding(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<&'static str>> {
        Ok(self.live(at, now).map(Found::encoding))
    }

    fn memory_usage(&self, at: Address<'_>, _samples: usize, now: UnixMs) -> StorageResult<Option<usize>> {
        Ok(self.live(at, now).map(|found| {
            let expiry = found.record.expires_at().map_or(0, |_| DUE_BYTES);
            found.table.key_bytes(&found.table.table.entries()[found.position]) + expiry
        }))
    }

    fn idle_seconds(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<u64>> {
        Ok(self.live(at, now).map(|found| match found.table.table.entries()[found.position].clock() {
            // Never accessed at a known time.
            0 => 0,
            clock => u64::from(clock_of(now).saturating_sub(clock)),
        }))
    }

    #[inline]
    fn touch(&self, at: Address<'_>, now: UnixMs) {
        if let Some(found) = self.found(at) {
            found.table.table.entries()[found.position].set_clock(clock_of(now));
        }
    }

    fn prefetch(&self, look_ups: &[LookUp<'_>]) {
        prefetch::read(self, look_ups);
    }

    fn len(&self, db: Db) -> u64 {
        self.database(db).map_or(0, Database::len)
    }

    fn expires(&self, db: Db) -> u64 {
        self.database(db).map_or(0, Database::with_expiry)
    }

    fn random_key(&self, db: Db, now: UnixMs, rng: &mut Rng) -> StorageResult<Option<Vec<u8>>> {
        Ok(self.database(db).and_then(|database| database.random(now, rng)).map(<[u8]>::to_vec))
    }

    fn scan(
        &self,
        db: Db,
        cursor: ScanCursor,
        count: usize,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<ScanCursor> {
        let Some(database) = self.database(db) else { return Ok(ScanCursor::START) };
        let mut left = count.max(1);
        Ok(Self::walk(database, cursor, now, &mut |key, kind| {
            left -= 1;
            visit(key, kind) && left > 0
        }))
    }

    fn for_each_key(&self, db: Db, prefix: &[u8], now: UnixMs, visit: &mut VisitKey<'_>) -> StorageResult<()> {
        if let Some(database) = self.database(db) {
            Self::walk(database, ScanCursor::START, now, &mut |key, kind| !key.starts_with(prefix) || visit(key, kind));
        }
        Ok(())
    }

    fn range(
        &self,
        _: Db,
        _: Bound<&[u8]>,
        _: Bound<&[u8]>,
        _: bool,
        _: UnixMs,
        _: &mut VisitKey<'_>,
    ) -> StorageResult<Option<()>> {
        Ok(None)
    }

    fn object(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<(Object, Option<UnixMs>)>> {
        let Some(found) = self.live(at, now) else { return Ok(None) };
        let object = match found.view(now) {
            View::String(value) => Some(Object::String(value.into_bytes().into_owned())),
            View::Hash(hash) => HashRead::Native(hash).object()?,
            View::Other(Kind::List) => self.list_object(at, now)?,
            View::Other(Kind::Set) => self.set_object(at, now)?,
            View::Zset(_) => self.zset_object(at, now)?,
            View::Other(Kind::Zset) => self.zset_object(at, now)?,
            View::Other(Kind::Stream) => match self.stream(at, now)? {
                Some(stream) => Some(Object::Stream(Box::new(StreamObject::of(&*stream)?))),
                None => None,
            },
            View::Other(_) => return Err(StorageError::WrongType),
        };
        Ok(object.map(|object| (object, found.record.expires_at())))
    }

    fn next_expiry(&self) -> Option<UnixMs> {
        self.databases.iter().flatten().filter_map(|database| database.first_due()).map(|due| due.at).min()
    }

    fn usage(&self) -> EngineUsage {
        let memory: usize = self.databases.iter().flatten().map(|database| database.bytes()).sum();
        EngineUsage { memory_bytes: memory as u64, disk_bytes: 0 }
    }

    fn remove(&mut self, at: Address<'_>, now: UnixMs) -> StorageResult<bool> {
        let hash = hash_of(at.key);
        let Some(position) = self.live_position(at, hash, now) else { return Ok(false) };
        database_mut(&mut self.databases, at.db).remove(at.slot, hash, position);
        Ok(true)
    }

    fn set_expiry(&mut self, at: Address<'_>, expires_at: Option<UnixMs>, now: UnixMs) -> StorageResult<bool> {
        let hash = hash_of(at.key);
        let Some(position) = self.live_position(at, hash, now) else { return Ok(false) };
        let database = database_mut(&mut self.databases, at.db);
        if database.record(at.slot, position).expires_at() != expires_at {
            database.set_expiry((at.slot, hash, at.key), position, expires_at);
        }
        Ok(true)
    }

    fn put_object(&mut self, at: Address<'_>, object: Object, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let clock = self.clock;
        let database = database_mut(&mut self.databases, at.db);
        let position = database.find(at.slot, hash, at.key);
        match object {
            Object::String(bytes) => {
                let value = if bytes.len() <= INLINE_MAX_BYTES {
                    NewValue::Inline(Payload::of_string(&bytes))
                } else {
                    NewValue::Large(Large::String(bytes))
                };
                database.put((at.slot, hash, at.key), position, expires_at, value, clock);
            }
            Object::Hash(fields) => {
                if let Some(position) = position {
                    database.remove(at.slot, hash, position);
                }
                let pairs: Vec<(&[u8], &[u8])> =
                    fields.iter().map(|(field, value)| (field.as_slice(), value.as_slice())).collect();
                // Nothing is at the key, so the time only sets its clock.
                hashes::set(self, at, hash, &pairs, FieldExpiry::Clear, UnixMs(i64::from(clock) * 1000))?;
                let database = database_mut(&mut self.databases, at.db);
                if let (Some(position), Some(_)) = (database.find(at.slot, hash, at.key), expires_at) {
                    database.set_expiry((at.slot, hash, at.key), position, expires_at);
                }
            }
            Object::ExpiringHash(fields) => self.put_expiring_hash(at, &fields, expires_at)?,
            Object::List(elements) => self.put_list(at, elements, expires_at)?,
            Object::Set(members) => self.put_set(at, members, expires_at)?,
            Object::Zset(members) => self.put_zset(at, members, expires_at)?,
            Object::Stream(stream) => self.put_stream(at, &stream, expires_at)?,
        }
        Ok(())
    }

    fn transfer(&mut self, from: Address<'_>, to: Address<'_>, take: bool, now: UnixMs) -> StorageResult<bool> {
        if take { Ok(self.move_value(from, to, now)) } else { self.copy_value(from, to, now) }
    }

    fn expire_due(&mut self, now: UnixMs, limit: usize, removed: &mut dyn FnMut(Db, &[u8])) -> StorageResult<usize> {
        for count in 0..limit {
            let first = self.databases.iter_mut().enumerate().filter_map(|(number, database)| {
                let database = database.as_mut()?;
                Some((database.first_due()?, Db(number as u16), database))
            });
            let Some((due, db, database)) = first.min_by_key(|(due, db, _)| (due.at, *db)) else { return Ok(count) };
            if due.at >= now {
                return Ok(count);
            }
            let position = database.find_due(due).expect("a key has every expiry of the index");
            removed(db, database.record(due.slot, position).key());
            database.remove(due.slot, due.hash, position);
        }
        Ok(limit)
    }

    fn flush_db(&mut self, db: Db) -> StorageResult<()> {
        if let Some(database) = self.databases.get_mut(usize::from(db.0)).and_then(Option::take) {
            database.retire();
        }
        Ok(())
    }

    fn swap_db(&mut self, a: Db, b: Db) -> StorageResult<()> {
        let (a, b) = (usize::from(a.0), usize::from(b.0));
        if self.databases.len() <= a.max(b) {
            self.databases.resize_with(a.max(b) + 1, || None);
        }
        self.databases.swap(a, b);
        Ok(())
    }

    fn set_encoding(&mut self, settings: &EncodingSettings) {
        self.encoding = settings.clone();
    }

    fn encoding_settings(&self) -> &EncodingSettings {
        &self.encoding
    }

    #[inline]
    fn string(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<StringValue<'_>>> {
        match self.looked_up(at, now).map(|found| found.view(now)) {
            None => Ok(None),
            Some(View::String(value)) => Ok(Some(value)),
            Some(_) => Err(StorageError::WrongType),
        }
    }

    #[inline]
    fn set_string(&mut self, at: Address<'_>, value: &[u8], expiry: Expiry, now: UnixMs) -> StorageResult<()> {
        self.put_value(at, expiry, string_value(value), now);
        Ok(())
    }

    fn set_text(&mut self, at: Address<'_>, value: &[u8], expiry: Expiry, now: UnixMs) -> StorageResult<()> {
        let value = match string_value(value) {
            NewValue::Inline(_) => NewValue::Inline(Payload::Bytes { bytes: value, edited: false }),
            large => large,
        };
        self.put_value(at, expiry, value, now);
        Ok(())
    }

    fn edit_string(&mut self, at: Address<'_>, now: UnixMs, edit: &mut dyn FnMut(&mut Vec<u8>)) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let clock = clock_of(now);
        self.clock = clock;
        let position = self.live_position(at, hash, now);
        let database = database_mut(&mut self.databases, at.db);
        let mut expires_at = None;
        let mut bytes = Vec::new();
        if let Some(position) = position {
            let table = database.slot(at.slot).expect("the position was found");
            let record = table.table.record(position);
            expires_at = record.expires_at();
            match record.payload() {
                Payload::Bytes { bytes: old, .. } => bytes.extend_from_slice(old),
                Payload::Int(number) => bytes = number.to_string().into_bytes(),
                Payload::Large(index) if matches!(table.large(index), Large::String(_)) => {
                    database.change_large(at.slot, position, index, clock, |large| match large {
                        Large::String(bytes) => edit(bytes),
                        _ => unreachable!("it was a string"),
                    });
                    return Ok(());
                }
                _ => return Err(StorageError::WrongType),
            }
        }
        edit(&mut bytes);
        let value = if bytes.len() <= INLINE_EDITED_MAX_BYTES {
            NewValue::Inline(Payload::Bytes { bytes: &bytes, edited: true })
        } else {
            NewValue::Large(Large::String(bytes))
        };
        database.put((at.slot, hash, at.key), position, expires_at, value, clock);
        Ok(())
    }

    fn hash(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<HashRead<'_>>> {
        match self.looked_up(at, now).map(|found| found.view(now)) {
            None => Ok(None),
            Some(View::Hash(hash)) => Ok(Some(HashRead::Native(hash))),
            Some(_) => Err(StorageError::WrongType),
        }
    }

    fn hash_set(&mut self, at: Address<'_>, pairs: &[(&[u8], &[u8])], now: UnixMs) -> StorageResult<usize> {
        hashes::set(self, at, hash_of(at.key), pairs, FieldExpiry::Clear, now)
    }

    fn hash_remove(&mut self, at: Address<'_>, fields: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        hashes::remove(self, at, hash_of(at.key), fields, now)
    }

    fn commit(&mut self, _: u64) -> StorageResult<()> {
        Ok(())
    }

    fn applied(&self) -> Option<u64> {
        None
    }

    fn prepare_sync(&mut self) -> StorageResult<Option<SyncJob>> {
        Ok(None)
    }
}
