//! The engine that holds nothing and takes nothing.

use std::ops::Bound;

use super::value::EngineUsage;
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

    fn memory_usage(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<usize>> {
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

    fn string(&self, _: Address<'_>, _: UnixMs) -> StorageResult<Option<StringValue<'_>>> {
        Ok(None)
    }

    fn set_string(&mut self, _: Address<'_>, _: &[u8], _: Expiry, _: UnixMs) -> StorageResult<()> {
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
