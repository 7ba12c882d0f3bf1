//! The typed operations.

use std::borrow::Cow;
use std::ops::Bound;

use super::counted::scaled_bytes;
use super::field_times::FieldTimes;
use super::fields::RowHash;
use super::format::{Garbage, KeyOrder, Meta, Shape, canonical_int, elements_from, is_digested};
use super::{RowEngine, SWEEP_ROWS_PER_COMMIT};
use crate::storage::field_expiry::FieldExpiryEngine;
use crate::storage::lists::ListEngine;
use crate::storage::sets::SetEngine;
use crate::storage::settings::EMBSTR_MAX_BYTES;
use crate::storage::streams::{StreamEngine, StreamObject};
use crate::storage::value::EngineUsage;
use crate::storage::zsets::ZsetEngine;
use crate::storage::{
    Address, EncodingSettings, Engine, Expiry, HashRead, KeyMeta, Kind, Object, ScanCursor, StorageError,
    StorageResult, StringValue, SyncJob, VisitKey,
};
use crate::types::rng::Rng;
use crate::types::{Db, UnixMs};

/// Bytes of the fixed parts of a key's rows, and of what a file adds to each.
const KEY_OVERHEAD_BYTES: usize = 48;
/// Bytes that a file adds to a row of an element.
const ROW_OVERHEAD_BYTES: usize = 12;

/// Shape and body of a string: canonical numbers are kept as such.
fn string_body(value: &[u8], number: &mut [u8; 8]) -> Shape {
    match canonical_int(value) {
        Some(int) => {
            *number = int.to_be_bytes();
            Shape::Int
        }
        None => Shape::Bytes,
    }
}

/// The expiry of a key that is written.
fn expires_at(old: Option<super::keys::Known>, expiry: Expiry, now: UnixMs) -> Option<UnixMs> {
    match expiry {
        Expiry::Clear => None,
        Expiry::Keep => old.filter(|known| known.is_live(now)).and_then(|known| known.expires_at),
        Expiry::At(at) => Some(at),
    }
}

impl RowEngine {
    /// Puts a string in the place of whatever was there.
    fn put_string(
        &mut self,
        at: Address<'_>,
        old: Option<super::keys::Known>,
        value: &[u8],
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let mut number = [0; 8];
        let shape = string_body(value, &mut number);
        let body = if shape == Shape::Int { &number[..] } else { value };
        let meta = Meta { expires_at, ..Meta::new(shape, at.key, body) };
        self.replace(at, old, Some(&meta))
    }

    /// Makes a collection report the encoding of large ones, as one does that once was large.
    fn make_big(&mut self, at: Address<'_>) -> StorageResult<()> {
        let old = self.known(at)?;
        let read =
            self.read_key(&self.reads(), at, |meta| Ok((meta.shape, meta.expires_at, meta.big, meta.body.to_vec())));
        let Some((shape, expires_at, false, body)) = read? else { return Ok(()) };
        let meta = Meta { expires_at, big: true, ..Meta::new(shape, at.key, &body) };
        self.replace(at, old, Some(&meta))
    }

    /// About how many bytes the rows of a collection's elements take, by the first `samples`; 0 is all.
    fn sampled_element_bytes(&self, version: u64, len: u64, samples: usize) -> StorageResult<usize> {
        let (mut bytes, mut rows) = (0, 0);
        self.reads().walk(&elements_from(version, 0), &mut |row, value| {
            bytes += row.len() + value.len() + ROW_OVERHEAD_BYTES;
            rows += 1;
            Ok(rows != samples)
        })?;
        Ok(scaled_bytes(bytes, rows as u64, len))
    }
}

impl Engine for RowEngine {
    fn meta(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<KeyMeta>> {
        self.read_live(&self.reads(), at, now, |meta| {
            Ok(KeyMeta { kind: meta.shape.kind(), expires_at: meta.expires_at })
        })
    }

    fn encoding(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<&'static str>> {
        self.read_live(&self.reads(), at, now, |meta| {
            Ok(match meta.shape {
                Shape::Int => "int",
                Shape::Bytes if !meta.edited && meta.body.len() <= EMBSTR_MAX_BYTES => "embstr",
                Shape::Bytes => "raw",
                Shape::Set => meta.set_encoding().name(),
                Shape::Hash if !meta.big && FieldTimes::of(meta)?.is_some() => "listpackex",
                Shape::Hash | Shape::List | Shape::Zset if !meta.big => "listpack",
                Shape::Hash => "hashtable",
                Shape::List => "quicklist",
                Shape::Zset => "skiplist",
                Shape::Stream => "stream",
            })
        })
    }

    fn memory_usage(&self, at: Address<'_>, samples: usize, now: UnixMs) -> StorageResult<Option<usize>> {
        let found = self.read_live(&self.reads(), at, now, |meta| {
            let collection = if meta.shape.is_collection() { Some(meta.collection()?) } else { None };
            Ok((meta.shape, meta.body.len(), meta.expires_at.is_some(), collection))
        })?;
        let Some((shape, body_bytes, expires, collection)) = found else { return Ok(None) };
        // The key is in its own row, in the slot index of the B+ tree, and in the expiry index.
        let copies = 1 + usize::from(self.order == KeyOrder::Bytes) + usize::from(expires);
        let key_bytes = (at.key.len() + KEY_OVERHEAD_BYTES) * copies + usize::from(is_digested(at.key)) * 32;
        let elements = match collection {
            Some(_) if shape == Shape::List => self.sampled_list_bytes(at, samples, now)?,
            Some((version, len)) => {
                let order = if shape == Shape::Zset { self.sampled_order_bytes(at, samples, now)? } else { 0 };
                order + self.sampled_element_bytes(version, len, samples)?
            }
            None => 0,
        };
        Ok(Some(key_bytes + body_bytes + elements))
    }

    fn idle_seconds(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<u64>> {
        self.read_live(&self.reads(), at, now, |_| Ok(0))
    }

    fn touch(&self, _at: Address<'_>, _now: UnixMs) {}

    fn len(&self, db: Db) -> u64 {
        self.databases.get(db).map_or(0, |database| database.len)
    }

    fn expires(&self, db: Db) -> u64 {
        self.databases.get(db).map_or(0, |database| database.expires)
    }

    fn random_key(&self, db: Db, now: UnixMs, rng: &mut Rng) -> StorageResult<Option<Vec<u8>>> {
        self.draw_key(db, now, rng)
    }

    fn scan(
        &self,
        db: Db,
        cursor: ScanCursor,
        count: usize,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<ScanCursor> {
        self.scan_keys(db, cursor, count, now, visit)
    }

    fn for_each_key(&self, db: Db, prefix: &[u8], now: UnixMs, visit: &mut VisitKey<'_>) -> StorageResult<()> {
        self.walk_prefix(db, prefix, now, visit)
    }

    fn range(
        &self,
        db: Db,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
        reverse: bool,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<Option<()>> {
        match self.order {
            KeyOrder::Slot => Ok(None),
            KeyOrder::Bytes => self.walk_range(db, (start, end), reverse, now, visit).map(Some),
        }
    }

    fn object(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<(Object, Option<UnixMs>)>> {
        let Some(KeyMeta { kind, expires_at }) = self.meta(at, now)? else { return Ok(None) };
        let object = match kind {
            Kind::String => self.string(at, now)?.map(|value| Object::String(value.into_bytes().into_owned())),
            Kind::Hash => match self.hash(at, now)? {
                Some(hash) => hash.object()?,
                None => None,
            },
            Kind::List => self.list_object(at, now)?,
            Kind::Set => self.set_object(at, now)?,
            Kind::Zset => self.zset_object(at, now)?,
            Kind::Stream => match self.stream(at, now)? {
                Some(stream) => Some(Object::Stream(Box::new(StreamObject::of(&*stream)?))),
                None => None,
            },
        };
        Ok(object.map(|object| (object, expires_at)))
    }

    fn next_expiry(&self) -> Option<UnixMs> {
        let reads = self.reads();
        self.databases.iter().filter_map(|(_, database)| database.next_expiry(&reads)).min()
    }

    fn usage(&self) -> EngineUsage {
        let files = self.files.usage();
        EngineUsage { memory_bytes: files.memory_bytes + self.overlay.bytes() as u64, ..files }
    }

    fn remove(&mut self, at: Address<'_>, now: UnixMs) -> StorageResult<bool> {
        let Some(old) = self.known(at)? else { return Ok(false) };
        self.replace(at, Some(old), None)?;
        Ok(old.is_live(now))
    }

    fn set_expiry(&mut self, at: Address<'_>, expires_at: Option<UnixMs>, now: UnixMs) -> StorageResult<bool> {
        let Some(old) = self.known(at)? else { return Ok(false) };
        if !old.is_live(now) {
            self.replace(at, Some(old), None)?;
            return Ok(false);
        }
        if old.expires_at == expires_at {
            return Ok(true);
        }
        let read =
            self.read_key(&self.reads(), at, |meta| Ok((meta.shape, meta.edited, meta.big, meta.body.to_vec())))?;
        let (shape, edited, big, body) = read.expect("the key was just there");
        let meta = Meta { expires_at, edited, big, ..Meta::new(shape, at.key, &body) };
        self.replace(at, Some(old), Some(&meta))?;
        Ok(true)
    }

    fn put_object(&mut self, at: Address<'_>, object: Object, expires_at: Option<UnixMs>) -> StorageResult<()> {
        match object {
            Object::String(value) => {
                let old = self.known(at)?;
                self.put_string(at, old, &value, expires_at)
            }
            Object::Hash(pairs) => {
                let old = self.known(at)?;
                if old.is_some() {
                    self.replace(at, old, None)?;
                }
                let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(field, value)| (&field[..], &value[..])).collect();
                self.new_hash(at, &pairs, expires_at)
            }
            Object::ExpiringHash(fields) => self.put_expiring_hash(at, &fields, expires_at),
            Object::List(elements) => self.put_list(at, elements, expires_at),
            Object::Set(members) => self.put_set(at, members, expires_at),
            Object::Zset(members) => self.put_zset(at, members, expires_at),
            Object::Stream(stream) => self.put_stream(at, &stream, expires_at),
        }
    }

    fn transfer(&mut self, from: Address<'_>, to: Address<'_>, take: bool, now: UnixMs) -> StorageResult<bool> {
        let found = self.read_live(&self.reads(), from, now, |meta| {
            let body = if meta.shape.is_collection() { Vec::new() } else { meta.body.to_vec() };
            Ok((meta.shape, meta.edited, meta.big, meta.expires_at, body))
        })?;
        let Some((shape, edited, big, expires_at, body)) = found else { return Ok(false) };
        if !shape.is_collection() {
            if take {
                self.remove(from, now)?;
            }
            let old = self.known(to)?;
            let meta = Meta { expires_at, edited, ..Meta::new(shape, to.key, &body) };
            self.replace(to, old, Some(&meta))?;
            return Ok(true);
        }
        let Some((object, expires_at)) = self.object(from, now)? else { return Ok(false) };
        if take {
            self.remove(from, now)?;
        }
        self.put_object(to, object, expires_at)?;
        if big {
            self.make_big(to)?;
        }
        Ok(true)
    }

    fn expire_due(&mut self, now: UnixMs, limit: usize, removed: &mut dyn FnMut(Db, &[u8])) -> StorageResult<usize> {
        self.remove_expired(now, limit, removed)
    }

    fn flush_db(&mut self, db: Db) -> StorageResult<()> {
        let Some(physical) = self.databases.empty(db) else { return Ok(()) };
        self.note_garbage(Garbage::Database(physical), Vec::new());
        self.wrote()
    }

    fn swap_db(&mut self, a: Db, b: Db) -> StorageResult<()> {
        self.databases.swap(a, b);
        self.wrote()
    }

    fn set_encoding(&mut self, settings: &EncodingSettings) {
        self.encoding = settings.clone();
    }

    fn encoding_settings(&self) -> &EncodingSettings {
        &self.encoding
    }

    fn string(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<StringValue<'_>>> {
        self.read_live(&self.reads(), at, now, |meta| match meta.shape {
            Shape::Bytes => Ok(StringValue::Bytes(Cow::Owned(meta.body.to_vec()))),
            Shape::Int => Ok(StringValue::Int(meta.int()?)),
            _ => Err(StorageError::WrongType),
        })
    }

    fn set_string(&mut self, at: Address<'_>, value: &[u8], expiry: Expiry, now: UnixMs) -> StorageResult<()> {
        let old = self.known(at)?;
        self.put_string(at, old, value, expires_at(old, expiry, now))
    }

    fn set_text(&mut self, at: Address<'_>, value: &[u8], expiry: Expiry, now: UnixMs) -> StorageResult<()> {
        let old = self.known(at)?;
        let expires_at = expires_at(old, expiry, now);
        let meta = Meta { expires_at, ..Meta::new(Shape::Bytes, at.key, value) };
        self.replace(at, old, Some(&meta))
    }

    fn edit_string(&mut self, at: Address<'_>, now: UnixMs, edit: &mut dyn FnMut(&mut Vec<u8>)) -> StorageResult<()> {
        let old = self.known(at)?;
        let mut value = match self.string(at, now)? {
            Some(value) => value.into_bytes().into_owned(),
            None => Vec::new(),
        };
        edit(&mut value);
        let expires_at = old.filter(|known| known.is_live(now)).and_then(|known| known.expires_at);
        let meta = Meta { expires_at, edited: true, ..Meta::new(Shape::Bytes, at.key, &value) };
        self.replace(at, old, Some(&meta))
    }

    fn hash(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<HashRead<'_>>> {
        let reads = self.reads();
        let found = self.read_live(&reads, at, now, |meta| match meta.shape {
            Shape::Hash => Ok((meta.collection()?, meta.big, FieldTimes::of(meta)?)),
            _ => Err(StorageError::WrongType),
        })?;
        Ok(found.map(|(collection, big, times)| HashRead::Rows(RowHash::new(reads, collection, big).at(times, now))))
    }

    fn hash_set(&mut self, at: Address<'_>, pairs: &[(&[u8], &[u8])], now: UnixMs) -> StorageResult<usize> {
        self.set_fields(at, pairs, false, now)
    }

    fn hash_remove(&mut self, at: Address<'_>, fields: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        self.remove_fields(at, fields, now)
    }

    fn commit(&mut self, index: u64) -> StorageResult<()> {
        self.committed = self.committed.max(index);
        self.entry_open = false;
        if self.garbage_from.is_some() {
            self.sweep(SWEEP_ROWS_PER_COMMIT)?;
        }
        self.flush_if_large()
    }

    fn applied(&self) -> Option<u64> {
        Some(self.opened_at)
    }

    fn prepare_sync(&mut self) -> StorageResult<Option<SyncJob>> {
        assert!(!self.entry_open, "a sync is prepared between log entries");
        if self.overlay.len() > 0 || self.flushed != self.committed {
            self.write_out()?;
        }
        Ok(Some(self.files.sync_job()))
    }
}
