//! What concerns all shards of the process at once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Server;
use super::router::Router;
use crate::command::Shared;
use crate::raft::SnapshotError;
use crate::shard::{Shard, clock};
use crate::storage::{EngineKind, StorageError};
use crate::types::{Db, UnixMs};

/// How often a snapshot under way is looked after by who waits to take the next.
const SNAPSHOT_POLL: Duration = Duration::from_millis(5);

/// Keys, and those among them that expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCount {
    /// All keys.
    pub keys: u64,
    /// Those with an expiry.
    pub expires: u64,
}

/// A node cannot read one of its shards now.
#[derive(Debug)]
pub struct CannotRead;

impl Server {
    /// The shards as they are now.
    pub fn router(&self) -> Arc<Router> {
        Arc::clone(&self.router.read())
    }

    /// Puts another table of shards in force. Requests that are being executed keep the one they began with.
    pub fn set_router(&self, router: Router) {
        let mut current = self.router.write();
        assert!(router.epoch() > current.epoch(), "epochs grow");
        self.router_epoch.store(router.epoch(), Relaxed);
        *current = Arc::new(router);
    }

    /// Replaces a connection's table of shards if there is a newer one.
    #[inline]
    pub fn refresh(&self, router: &mut Arc<Router>) {
        if router.epoch() != self.router_epoch.load(Relaxed) {
            *router = self.router();
        }
    }

    /// The settings that handlers of commands obey.
    pub fn shared(&self) -> Shared {
        super::run::shared(&self.settings)
    }

    /// Numbers of all databases.
    pub fn databases(&self) -> impl Iterator<Item = Db> {
        (0..self.shared().databases).map(Db)
    }

    /// Number of keys of a database.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub fn count_keys(&self, db: Db) -> Result<KeyCount, CannotRead> {
        let mut count = KeyCount::default();
        for shard in self.router().shards() {
            let store = shard.read().ok_or(CannotRead)?;
            for (_, engine) in store.engines_of(db) {
                count.keys += engine.len(db);
                count.expires += engine.expires(db);
            }
        }
        Ok(count)
    }

    /// Number of keys in all databases.
    pub fn key_count(&self) -> u64 {
        self.databases().map(|db| self.count_keys(db).unwrap_or_default().keys).sum()
    }

    /// By engine that is in use: keys of all databases, bytes of memory and of disk.
    pub fn engine_usage(&self) -> Vec<(EngineKind, KeyCount, crate::storage::value::EngineUsage)> {
        let mut all: Vec<(EngineKind, KeyCount, crate::storage::value::EngineUsage)> = Vec::new();
        for shard in self.router().shards() {
            let Some(store) = shard.read() else { continue };
            for (kind, engine) in store.engines() {
                let index = all.iter().position(|&(other, ..)| other == kind).unwrap_or_else(|| {
                    all.push((kind, KeyCount::default(), Default::default()));
                    all.len() - 1
                });
                let (_, count, usage) = &mut all[index];
                for db in self.databases() {
                    count.keys += engine.len(db);
                    count.expires += engine.expires(db);
                }
                let more = engine.usage();
                usage.memory_bytes += more.memory_bytes;
                usage.disk_bytes += more.disk_bytes;
            }
        }
        all
    }

    /// Adds up something over all shards.
    pub fn sum(&self, of: impl Fn(&Shard) -> u64) -> u64 {
        self.router().shards().map(|shard| of(shard)).sum()
    }

    /// Log entries that all shards have applied together; grows with every write.
    pub fn applied_total(&self) -> u64 {
        self.sum(|shard| shard.applied_index().0)
    }

    /// Bytes of commands that wait for the next log entries.
    pub fn waiting_bytes(&self) -> u64 {
        self.sum(|shard| shard.waiting_bytes() as u64)
    }

    /// When the oldest of the shards' last snapshots was finished: what was written before is in all of them.
    pub fn snapshot_last(&self) -> Option<UnixMs> {
        self.router().shards().map(|shard| shard.stats.snapshot_last()).min().flatten()
    }

    /// Whether a snapshot of any shard is being taken.
    pub fn snapshot_running(&self) -> bool {
        self.saving.load(Relaxed) || self.router().shards().any(|shard| shard.snapshot_running())
    }

    /// Takes a snapshot of every shard, one after the other.
    ///
    /// # Errors
    /// When one is being taken already, or a file cannot be written.
    pub async fn snapshot(&self) -> Result<(), SnapshotError> {
        struct Saving<'a>(&'a Server);
        impl Drop for Saving<'_> {
            fn drop(&mut self) {
                self.0.saving.store(false, Relaxed);
            }
        }
        if self.snapshot_running() || self.saving.swap(true, Relaxed) {
            return Err(SnapshotError::InProgress);
        }
        let _saving = Saving(self);
        for shard in self.router().shards() {
            // The shard may have begun one by itself, which need not hold what was written since.
            loop {
                match shard.snapshot().await {
                    Ok(_) => break,
                    Err(SnapshotError::InProgress) => tokio::time::sleep(SNAPSHOT_POLL).await,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The digest of all data; it does not depend on how the keys are divided over shards.
    ///
    /// # Errors
    /// When an engine cannot be read.
    pub fn digest(&self) -> Result<[u8; 20], StorageError> {
        let now = clock::now();
        let mut all = [0; 20];
        for shard in self.router().shards() {
            let digest = shard.digest(now)?;
            all.iter_mut().zip(digest).for_each(|(byte, other)| *byte ^= other);
        }
        Ok(all)
    }

    /// Ends all shards at the same time.
    pub async fn shut_down_shards(&self) {
        let router = self.router();
        let ends: Vec<_> = router
            .shards()
            .map(|shard| {
                let shard = Arc::clone(shard);
                tokio::spawn(async move { shard.shutdown().await })
            })
            .collect();
        for end in ends {
            if let Err(error) = end.await {
                tracing::error!(%error, "a shard did not end");
            }
        }
    }
}
