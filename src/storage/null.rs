//! The engine that holds nothing and takes nothing.

use std::ops::{Bound, Range};

use super::field_expiry::{ExpiringField, FieldExpiryEngine, FieldRemoved};
use super::hash::MemoryStream;
use super::streams::{EditStream, StreamObject, StreamView};
use super::value::EngineUsage;
use super::zsets::{ScoreRule, ZaddOutcome, ZsetRead};
use super::{
    Address, EncodingSettings, Engine, Expiry, HashRead, KeyMeta, Object, ScanCursor, StorageResult, StringValue,
    SyncJob, VisitKey,
};
use crate::types::rng::Rng;
use crate::types::{Db, UnixMs};

/// Stands in for an engine whose files are ahead of the log that is replayed: what it is told has
/// happened already.
pub(super) struct NullEngine;

impl Engine for NullEngine {
    fn meta(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<KeyMeta>> {
        Ok(None)
    }

    fn encoding(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<&'static str>> {
        Ok(None)
    }

    fn memory_usage(&self, _: Address<'_>, _: usize, _: UnixMs) -> StorageResult<Option<usize>> {
        Ok(None)
    }

    fn idle_seconds(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<u64>> {
        Ok(None)
    }

    fn touch(&self, _: Address<'_>, _: UnixMs) {}

    fn len(&self, _: Db) -> u64 {
        0
    }

    fn expires(&self, _: Db) -> u64 {
        0
    }

    fn random_key(&self, _: Db, _: UnixMs, _: &mut Rng) -> StorageResult<Option<Vec<u8>>> {
        Ok(None)
    }

    fn scan(&self, _: Db, _: ScanCursor, _: usize, _: UnixMs, _: &mut VisitKey<'_>) -> StorageResult<ScanCursor> {
        Ok(ScanCursor::START)
    }

    fn for_each_key(&self, _: Db, _: &[u8], _: UnixMs, _: &mut VisitKey<'_>) -> StorageResult<()> {
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
        Ok(Some(()))
    }

    fn object(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<(Object, Option<UnixMs>)>> {
        Ok(None)
    }

    fn next_expiry(&self) -> Option<UnixMs> {
        None
    }

    fn usage(&self) -> EngineUsage {
        EngineUsage::default()
    }

    fn remove(&mut self, _: Address<'_>, _: UnixMs) -> StorageResult<bool> {
        Ok(false)
    }

    fn set_expiry(&mut self, _: Address<'_>, _: Option<UnixMs>, _: UnixMs) -> StorageResult<bool> {
        Ok(false)
    }

    fn put_object(&mut self, _: Address<'_>, _: Object, _: Option<UnixMs>) -> StorageResult<()> {
        Ok(())
    }

    fn transfer(&mut self, _: Address<'_>, _: Address<'_>, _: bool, _: UnixMs) -> StorageResult<bool> {
        Ok(false)
    }

    fn expire_due(&mut self, _: UnixMs, _: usize, _: &mut dyn FnMut(Db, &[u8])) -> StorageResult<usize> {
        Ok(0)
    }

    fn flush_db(&mut self, _: Db) -> StorageResult<()> {
        Ok(())
    }

    fn swap_db(&mut self, _: Db, _: Db) -> StorageResult<()> {
        Ok(())
    }

    fn set_encoding(&mut self, _: &EncodingSettings) {}

    fn encoding_settings(&self) -> &EncodingSettings {
        &EncodingSettings::DEFAULT
    }

    fn string(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<StringValue<'_>>> {
        Ok(None)
    }

    fn set_string(&mut self, _: Address<'_>, _: &[u8], _: Expiry, _: UnixMs) -> StorageResult<()> {
        Ok(())
    }

    fn set_text(&mut self, _: Address<'_>, _: &[u8], _: Expiry, _: UnixMs) -> StorageResult<()> {
        Ok(())
    }

    fn edit_string(&mut self, _: Address<'_>, _: UnixMs, edit: &mut dyn FnMut(&mut Vec<u8>)) -> StorageResult<()> {
        // Callers may take results out of the edit, so it must run.
        edit(&mut Vec::new());
        Ok(())
    }

    fn hash(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<HashRead<'_>>> {
        Ok(None)
    }

    fn hash_set(&mut self, _: Address<'_>, _: &[(&[u8], &[u8])], _: UnixMs) -> StorageResult<usize> {
        Ok(0)
    }

    fn hash_remove(&mut self, _: Address<'_>, _: &[&[u8]], _: UnixMs) -> StorageResult<usize> {
        Ok(0)
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

impl super::lists::ListEngine for NullEngine {
    fn put_list(&mut self, _: Address<'_>, _: Vec<Vec<u8>>, _: Option<UnixMs>) -> StorageResult<()> {
        Ok(())
    }

    fn list(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<super::ListRead<'_>>> {
        Ok(None)
    }

    fn list_push(&mut self, _: Address<'_>, _: super::ListEnd, _: &[&[u8]], _: UnixMs) -> StorageResult<u64> {
        Ok(0)
    }

    fn list_pop(
        &mut self,
        _: Address<'_>,
        _: super::ListEnd,
        _: u64,
        _: UnixMs,
        _: &mut dyn FnMut(&[u8]),
    ) -> StorageResult<u64> {
        Ok(0)
    }

    fn list_insert(&mut self, _: Address<'_>, _: u64, _: &[u8], _: UnixMs) -> StorageResult<()> {
        Ok(())
    }

    fn list_set(&mut self, _: Address<'_>, _: u64, _: &[u8], _: UnixMs) -> StorageResult<()> {
        Ok(())
    }

    fn list_remove(&mut self, _: Address<'_>, _: &[std::ops::Range<u64>], _: UnixMs) -> StorageResult<()> {
        Ok(())
    }
}

impl FieldExpiryEngine for NullEngine {
    fn hash_update(&mut self, _: Address<'_>, _: &[(&[u8], &[u8])], _: UnixMs) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_field_expiry(&mut self, _: Address<'_>, _: &[u8], _: Option<UnixMs>, _: UnixMs) -> StorageResult<bool> {
        Ok(false)
    }

    fn put_expiring_hash(&mut self, _: Address<'_>, _: &[ExpiringField], _: Option<UnixMs>) -> StorageResult<()> {
        Ok(())
    }

    fn next_field_expiry(&self) -> Option<UnixMs> {
        None
    }

    fn expire_fields_due(&mut self, _: UnixMs, _: usize, _: &mut FieldRemoved<'_>) -> StorageResult<usize> {
        Ok(0)
    }
}

impl super::sets::SetEngine for NullEngine {
    fn members(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<super::sets::SetRead<'_>>> {
        Ok(None)
    }

    fn set_add(&mut self, _: Address<'_>, _: &[&[u8]], _: UnixMs) -> StorageResult<usize> {
        Ok(0)
    }

    fn set_remove(&mut self, _: Address<'_>, _: &[&[u8]], _: UnixMs) -> StorageResult<usize> {
        Ok(0)
    }

    fn put_set(&mut self, _: Address<'_>, _: Vec<Vec<u8>>, _: Option<UnixMs>) -> StorageResult<()> {
        Ok(())
    }
}

impl super::zsets::ZsetEngine for NullEngine {
    fn zset(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<ZsetRead<'_>>> {
        Ok(None)
    }

    fn zset_add(&mut self, _: Address<'_>, _: &[(&[u8], f64)], _: ScoreRule, _: UnixMs) -> StorageResult<ZaddOutcome> {
        Ok(ZaddOutcome::default())
    }

    fn zset_remove(&mut self, _: Address<'_>, _: &[&[u8]], _: UnixMs) -> StorageResult<u64> {
        Ok(0)
    }

    fn zset_remove_range(
        &mut self,
        _: Address<'_>,
        _: Range<u64>,
        _: bool,
        _: UnixMs,
        _: &mut dyn FnMut(&[u8], f64),
    ) -> StorageResult<u64> {
        Ok(0)
    }

    fn put_zset(&mut self, _: Address<'_>, _: Vec<(Vec<u8>, f64)>, _: Option<UnixMs>) -> StorageResult<()> {
        Ok(())
    }
}

impl super::streams::StreamEngine for NullEngine {
    fn stream(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<Box<dyn StreamView + '_>>> {
        Ok(None)
    }

    fn edit_stream(
        &mut self,
        _: Address<'_>,
        _: UnixMs,
        create: bool,
        edit: &mut EditStream<'_>,
    ) -> StorageResult<bool> {
        // Callers may take results out of the edit, so it must run where it would have.
        if create {
            edit(&mut MemoryStream::default().edit(&EncodingSettings::default()))?;
        }
        Ok(create)
    }

    fn put_stream(&mut self, _: Address<'_>, _: &StreamObject, _: Option<UnixMs>) -> StorageResult<()> {
        Ok(())
    }
}
