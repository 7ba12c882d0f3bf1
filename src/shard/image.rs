//! A shard's values as of one moment, read beside service: what SAVE and BGSAVE write.
//!
//! The hash engine's slots are serialised as for a snapshot, and each chunk is loaded into an engine of its own, which
//! knows how to give out values. The row engines are read through a snapshot of their files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shard;
use crate::storage::hash::{HashEngine, HashSnapshot, SlotCursor};
use crate::storage::rows::RowEngine;
use crate::storage::{Address, EncodingSettings, Engine, Object, ScanCursor, StorageResult};
use crate::types::{Db, UnixMs};

/// Keys of a row engine that are looked up before their values are read.
const STEP_KEYS: usize = 256;

/// Called with the database, the key, its expiry and its value.
pub type VisitValue<'v> = dyn FnMut(Db, &[u8], Option<UnixMs>, &Object) -> io::Result<()> + 'v;

/// All values of a shard as of one moment.
pub struct ShardImage {
    shard: Arc<Shard>,
    hash: HashSnapshot,
    rows: Vec<RowEngine>,
    encoding: EncodingSettings,
    databases: u16,
    now: UnixMs,
}

impl Shard {
    /// Holds on to the values as they are now.
    ///
    /// # Errors
    /// When an engine's files cannot be written or read.
    pub fn image(self: &Arc<Self>) -> StorageResult<ShardImage> {
        let databases = self.shared().databases;
        let mut store = self.store.write();
        Ok(ShardImage {
            shard: Arc::clone(self),
            rows: store.pin_rows()?,
            encoding: store.encoding().clone(),
            hash: store.hash_engine_mut().begin_snapshot(),
            databases,
            now: UnixMs(self.applied_now.load(Ordering::Relaxed)),
        })
    }
}

impl ShardImage {
    /// The thresholds of the compact encodings.
    pub fn encoding(&self) -> &EncodingSettings {
        &self.encoding
    }

    /// Visits every value, each once. Slow; not to be called on a thread that serves.
    ///
    /// # Errors
    /// Those of `visit`, and when an engine's files cannot be read.
    pub fn for_each(self, visit: &mut VisitValue<'_>) -> io::Result<()> {
        let Self { shard, hash, rows, encoding, databases, now } = self;
        let mut engine = HashEngine::new(encoding.clone());
        let mut loaded = |chunk: Vec<u8>| -> io::Result<()> {
            engine.load_chunk(&chunk).map_err(io::Error::other)?;
            if HashSnapshot::is_unfinished(&chunk) {
                return Ok(());
            }
            drop(chunk);
            for_each_of(&engine, databases, now, visit)?;
            engine = HashEngine::new(encoding.clone());
            Ok(())
        };
        let mut next = Some(SlotCursor::default());
        while let Some(cursor) = next {
            next = {
                let store = shard.store.read();
                hash.serialise_slot(store.hash_engine(), cursor)
            };
            hash.drain().try_for_each(&mut loaded)?;
        }
        hash.finish().try_for_each(&mut loaded)?;
        // One engine at a time is let go, so that its files may shrink again.
        rows.into_iter().try_for_each(|engine| for_each_of(&engine, databases, now, visit))
    }
}

/// Visits every value of an engine that nobody changes.
fn for_each_of(engine: &dyn Engine, databases: u16, now: UnixMs, visit: &mut VisitValue<'_>) -> io::Result<()> {
    for db in (0..databases).map(Db).filter(|&db| engine.len(db) > 0) {
        let mut cursor = ScanCursor::START;
        loop {
            let mut keys = Vec::new();
            let mut note = |key: &[u8], _kind| {
                keys.push(key.to_vec());
                true
            };
            cursor = engine.scan(db, cursor, STEP_KEYS, now, &mut note).map_err(io::Error::other)?;
            for key in keys {
                let found = engine.object(Address::new(db, &key), now).map_err(io::Error::other)?;
                if let Some((object, expires_at)) = found {
                    visit(db, &key, expires_at, &object)?;
                }
            }
            if cursor == ScanCursor::START {
                break;
            }
        }
    }
    Ok(())
}
