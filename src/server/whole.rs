//! What concerns all shards of the process at once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Server;
use super::cluster::ask;
use super::router::{Router, Target};
use crate::command::Shared;
use crate::limits::{FORWARD_PATIENCE, FORWARD_RETRY};
use crate::raft::SnapshotError;
use crate::shard::{Shard, clock};
use crate::storage::EngineKind;
use crate::types::{Db, NodeId};

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

/// Something is being saved.
pub(super) struct Saving<'a>(&'a Server);

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        self.0.saving.store(false, Relaxed);
    }
}

/// A shard cannot be read now.
#[derive(Debug, thiserror::Error)]
#[error("a shard cannot be read now")]
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
        super::shards::shared(&self.settings)
    }

    /// Numbers of all databases.
    pub fn databases(&self) -> impl Iterator<Item = Db> {
        (0..self.shared().databases).map(Db)
    }

    /// Asks the leader of a shard, whoever that is.
    ///
    /// # Errors
    /// When there is none for too long, or the leader fails.
    pub(super) async fn ask_leader(&self, target: &Target, question: &ask::Question) -> Result<ask::Reply, CannotRead> {
        let Some(node) = self.cluster.as_ref() else {
            let shard = target.local().ok_or(CannotRead)?;
            return ask::answer_for(shard, question).await.map_err(|_| CannotRead);
        };
        let deadline = clock::instant() + FORWARD_PATIENCE;
        loop {
            if let Some(leader) = target.known_leader().or_else(|| target.replicas().first().copied()) {
                match node.ask(leader, question).await {
                    Ok(ask::Reply::NotLeader(other)) => target.note_leader(Some(NodeId(other))),
                    Ok(reply) => return Ok(reply),
                    Err(error) => tracing::debug!(%error, "a shard's leader cannot be asked"),
                }
            }
            if clock::instant() >= deadline {
                return Err(CannotRead);
            }
            tokio::time::sleep(FORWARD_RETRY).await;
        }
    }

    /// Number of keys of a database in the shard at a position, wherever that is.
    pub(super) async fn keys_of_shard(&self, router: &Router, position: usize, db: Db) -> Result<KeyCount, CannotRead> {
        let target = router.target(position);
        if let Some(shard) = target.serving() {
            let (keys, expires) = shard.replica_keys(db);
            return Ok(KeyCount { keys, expires });
        }
        match self.ask_leader(target, &ask::Question::Keys { shard: target.id().0, db: db.0 }).await? {
            ask::Reply::Keys(keys, expires) => Ok(KeyCount { keys, expires }),
            _ => Err(CannotRead),
        }
    }

    /// Number of keys of a database, in all shards.
    ///
    /// # Errors
    /// When a shard cannot be read.
    pub async fn count_all_keys(&self, db: Db) -> Result<KeyCount, CannotRead> {
        let router = self.router();
        let counting = (0..router.len()).map(|position| self.keys_of_shard(&router, position, db));
        let mut count = KeyCount::default();
        for one in futures_util::future::join_all(counting).await {
            let one = one?;
            count.keys += one.keys;
            count.expires += one.expires;
        }
        Ok(count)
    }

    /// Number of keys of a database, in the replicas of this process.
    ///
    /// # Errors
    /// When a standalone server's shard cannot be read.
    pub fn count_keys(&self, db: Db) -> Result<KeyCount, CannotRead> {
        let mut count = KeyCount::default();
        for shard in self.router().shards() {
            if !shard.is_replicated() && shard.read().is_none() {
                return Err(CannotRead);
            }
            let (keys, expires) = shard.replica_keys(db);
            count.keys += keys;
            count.expires += expires;
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
            let store = shard.replica();
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

    /// Whether a snapshot of any shard is being taken.
    pub fn snapshot_running(&self) -> bool {
        self.saving.load(Relaxed) || self.router().shards().any(|shard| shard.snapshot_running())
    }

    /// Takes a snapshot of every shard, one after the other.
    ///
    /// # Errors
    /// When one is being taken already, or a file cannot be written.
    pub async fn snapshot(&self) -> Result<(), SnapshotError> {
        self.snapshot_shards(self.begin_saving()?).await
    }

    /// Notes that something is being saved, until what is answered is dropped.
    ///
    /// # Errors
    /// When something is being saved already.
    pub(super) fn begin_saving(&self) -> Result<Saving<'_>, SnapshotError> {
        if self.snapshot_running() || self.saving.swap(true, Relaxed) {
            return Err(SnapshotError::InProgress);
        }
        Ok(Saving(self))
    }

    pub(super) async fn snapshot_shards(&self, _saving: Saving<'_>) -> Result<(), SnapshotError> {
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
    /// When an engine or a shard cannot be read.
    pub async fn digest(&self) -> Result<[u8; 20], CannotRead> {
        let mut all = [0; 20];
        for target in self.router().targets() {
            let question = ask::Question::Digest { shard: target.id().0, of_leader: true };
            let ask::Reply::Digest(_, digest) = self.ask_leader(target, &question).await? else {
                return Err(CannotRead);
            };
            all.iter_mut().zip(digest).for_each(|(byte, other)| *byte ^= other);
        }
        Ok(all)
    }

    /// Ends all shards at the same time.
    pub async fn shut_down_shards(&self) {
        let shards: Vec<Arc<Shard>> = match &self.cluster {
            Some(node) => node.shards.read().values().cloned().collect(),
            None => self.router().shards().cloned().collect(),
        };
        let ends: Vec<_> =
            shards.into_iter().map(|shard| tokio::spawn(async move { shard.shutdown().await })).collect();
        for end in ends {
            if let Err(error) = end.await {
                tracing::error!(%error, "a shard did not end");
            }
        }
    }
}
