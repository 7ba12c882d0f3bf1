//! How this process opens shards.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::settings::{Setting, Settings};
use crate::command::Shared;
use crate::raft::{ClusterOptions, SharedLog};
use crate::shard::{Counters, Shard, ShardOptions};
use crate::storage::KeyspaceRules;
use crate::storage::rows::RowOptions;
use crate::types::{NodeId, ShardId};

/// Shards that are opened at the same time.
const OPENING_MAX: usize = 8;
/// Address space for the files of all B+ tree engines together: half of what a process has.
const BTREE_MAPS_MAX_BYTES: u64 = 1 << 46;
/// Smallest write buffer of an LSM engine.
const LSM_WRITE_BUFFER_MIN_BYTES: usize = 64 * 1024;

/// What all shards of the process have in common.
#[derive(Clone)]
pub struct ShardFactory {
    /// All settings.
    pub settings: Arc<Settings>,
    /// The data directory.
    pub dir: PathBuf,
    /// The write-ahead log.
    pub log: Arc<SharedLog>,
    /// Which engine keeps which key.
    pub rules: Arc<KeyspaceRules>,
    /// Where commands are counted.
    pub counters: Arc<Counters>,
}

impl ShardFactory {
    /// Opens shards, a few at a time; each replays its part of the log. The budgets of engines are divided by
    /// `count`, which is how many there will be.
    ///
    /// # Errors
    /// When files cannot be read or are damaged; the error names the shard.
    pub async fn open(
        &self,
        node: NodeId,
        shards: &[ShardId],
        count: usize,
        cluster: Option<ClusterOptions>,
    ) -> anyhow::Result<Vec<Arc<Shard>>> {
        let mut opened = Vec::with_capacity(shards.len());
        for some in shards.chunks(OPENING_MAX) {
            let opening: Vec<_> = some
                .iter()
                .map(|&id| tokio::spawn(Shard::open(self.options(node, id, count, cluster.clone()))))
                .collect();
            for (id, opening) in some.iter().zip(opening) {
                opened.push(opening.await?.with_context(|| format!("shard {}", id.0))?);
            }
        }
        Ok(opened)
    }

    fn options(&self, node: NodeId, id: ShardId, count: usize, cluster: Option<ClusterOptions>) -> ShardOptions {
        ShardOptions {
            id,
            node,
            dir: self.dir.join(format!("shard-{}", id.0)),
            log: Arc::clone(&self.log),
            rules: Arc::clone(&self.rules),
            encoding: self.settings.encoding(),
            rows: RowOptions { rebuild: cluster.is_some(), ..row_options(&self.settings, count.max(1)) },
            shared: shared(&self.settings),
            snapshot_log_bytes: self.settings.unsigned(Setting::SnapshotLogBytes),
            snapshot_log_entries: self.settings.unsigned(Setting::SnapshotLogEntries),
            counters: Arc::clone(&self.counters),
            cluster,
        }
    }
}

/// The settings that handlers of commands obey.
pub fn shared(settings: &Settings) -> Shared {
    Shared {
        databases: u16::try_from(settings.int(Setting::Databases)).unwrap_or(u16::MAX),
        bulk_max_bytes: settings.int(Setting::ProtoMaxBulkLen),
        one_shard: !settings.bool(Setting::ClusterEnabled) && settings.int(Setting::Shards) == 1,
    }
}

/// The budgets of one shard's engines: the settings are about those of all shards together.
fn row_options(settings: &Settings, shards: usize) -> RowOptions {
    let bytes = |setting| usize::try_from(settings.unsigned(setting)).unwrap_or(usize::MAX);
    let map_bytes_max = BTREE_MAPS_MAX_BYTES / shards as u64;
    RowOptions {
        lsm_block_cache_bytes: bytes(Setting::LsmBlockCacheBytes) / shards,
        lsm_write_buffer_bytes: (bytes(Setting::LsmWriteBufferBytes) / shards).max(LSM_WRITE_BUFFER_MIN_BYTES),
        btree_map_bytes: usize::try_from(settings.unsigned(Setting::BtreeMapBytes).min(map_bytes_max))
            .unwrap_or(usize::MAX),
        durable: settings.bool(Setting::Appendonly),
        ..RowOptions::default()
    }
}
