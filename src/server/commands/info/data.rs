//! Sections about the data and its log: persistence, replication, keyspace, raft, engines.

use std::sync::atomic::Ordering::Relaxed;

use super::Writer;
use crate::server::Server;
use crate::server::settings::Setting;
use crate::server::whole::KeyCount;
use crate::shard::clock;
use crate::types::ReadPolicy;

/// The raft log stands for Redis's append-only file, and snapshots for rewriting it.
pub(super) fn persistence(out: &mut Writer, server: &Server) {
    let router = server.router();
    let now = clock::now();
    let snapshot_running = u8::from(server.snapshot_running());
    let seconds = |ms: Option<i64>| ms.map_or(-1, |ms| ms / 1000);
    let saves = &server.saves;
    let saving_seconds = match saves.began_ms.load(Relaxed) {
        0 => -1,
        began_ms => (now.0 - began_ms).max(0) / 1000,
    };
    let took_ms = saves.took_ms.load(Relaxed);
    let current_seconds = seconds(router.shards().filter_map(|shard| shard.stats.snapshot_running_ms(now)).max());
    let last_seconds = seconds(router.shards().filter_map(|shard| shard.stats.snapshot_took_ms()).max());
    let snapshots = server.sum(|shard| shard.stats.snapshots.load(Relaxed));
    let snapshots_ok = router.shards().all(|shard| shard.stats.snapshot_ok());
    let status = |ok: bool| if ok { "ok" } else { "err" };
    out.title("Persistence");
    out.zeros(&["loading", "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    out.field("current_fork_perc", "0.00");
    out.zeros(&["current_save_keys_processed", "current_save_keys_total"]);
    out.field("rdb_changes_since_last_save", server.unsaved_changes());
    out.field("rdb_bgsave_in_progress", snapshot_running);
    out.field("rdb_last_save_time", saves.last_ms.load(Relaxed) / 1000);
    out.field("rdb_last_bgsave_status", status(!saves.failed.load(Relaxed)));
    out.field("rdb_last_bgsave_time_sec", if took_ms < 0 { -1 } else { took_ms / 1000 });
    out.field("rdb_current_bgsave_time_sec", saving_seconds);
    out.field("rdb_saves", saves.count.load(Relaxed));
    out.zeros(&["rdb_last_cow_size", "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded"]);
    let on_disk = server.settings.bool(Setting::Appendonly);
    out.field("aof_enabled", u8::from(on_disk));
    out.field("aof_rewrite_in_progress", snapshot_running);
    out.field("aof_rewrite_scheduled", 0);
    out.field("aof_last_rewrite_time_sec", last_seconds);
    out.field("aof_current_rewrite_time_sec", current_seconds);
    out.field("aof_last_bgrewrite_status", status(snapshots_ok));
    out.field("aof_rewrites", snapshots);
    out.zeros(&["aof_rewrites_consecutive_failures"]);
    let writable = server.log.is_stalled().is_none() && server.log.failure().is_none();
    out.field("aof_last_write_status", status(writable));
    out.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    if on_disk {
        let log = server.log.stats();
        out.field("aof_current_size", log.bytes);
        out.field("aof_base_size", server.sum(|shard| shard.stats.snapshot_bytes()));
        out.field("aof_pending_rewrite", 0);
        out.field("aof_buffer_length", server.waiting_bytes());
        out.field("aof_pending_bio_fsync", 0);
        out.field("aof_delayed_fsync", log.delayed_fsyncs);
    }
}

/// To Redis's eyes a master without replicas.
pub(super) fn replication(out: &mut Writer, server: &Server) {
    let offset = server.applied_total();
    out.title("Replication");
    out.field("role", "master");
    out.field("connected_slaves", 0);
    out.field("master_failover_state", "no-failover");
    out.field("master_replid", &server.run_id);
    out.field("master_replid2", "0".repeat(server.run_id.len()));
    out.field("master_repl_offset", offset);
    out.field("second_repl_offset", -1);
    out.field("repl_backlog_active", 0);
    out.field("repl_backlog_size", server.settings.int(Setting::ReplBacklogSize));
    out.zeros(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"]);
}

pub(super) fn keyspace(out: &mut Writer, server: &Server) {
    out.title("Keyspace");
    for db in server.databases() {
        let KeyCount { keys, expires } = server.count_keys(db).unwrap_or_default();
        if keys > 0 {
            out.field(format_args!("db{}", db.0), format_args!("keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}

/// A line for every shard.
pub(super) fn shards(out: &mut Writer, server: &Server) {
    out.title("Shards");
    let router = server.router();
    out.field("shards", router.len());
    for (position, target) in router.targets().iter().enumerate() {
        let Some(shard) = target.local() else { continue };
        let (_, slots) = router.extent(position);
        let (keys, bytes) = {
            let store = shard.replica();
            let keys: u64 = server.databases().map(|db| store.len(db)).sum();
            (keys, store.engines().map(|(_, engine)| engine.usage().memory_bytes).sum::<u64>())
        };
        let (applied, role) = (shard.applied_index().0, format!("{:?}", shard.status().state).to_ascii_lowercase());
        let term = shard.status().term;
        out.field(
            format_args!("shard{}", shard.id().0),
            format_args!("slots={slots},keys={keys},bytes={bytes},applied={applied},role={role},term={term}"),
        );
    }
}

/// Whether this is a node of a cluster, and what it has to do with the others.
pub(super) fn cluster(out: &mut Writer, server: &Server) {
    out.title("Cluster");
    out.field("cluster_enabled", u8::from(server.cluster.is_some()));
    let Some(node) = &server.cluster else { return };
    let state = node.state();
    out.field("cluster_epoch", state.as_ref().map_or(0, |state| state.epoch));
    out.field("cluster_nodes", state.as_ref().map_or(0, |state| state.nodes.len()));
    out.field("cluster_shards", state.as_ref().map_or(0, |state| state.shards.len()));
    out.field("cluster_shards_led", server.sum(|shard| u64::from(shard.leads())));
    out.field("cluster_forwarded_runs", node.forwarded.load(Relaxed));
    for policy in ReadPolicy::ALL {
        let name = policy.name().replace('-', "_");
        out.field(format_args!("cluster_reads_{name}"), server.counters.reads_of(policy).load(Relaxed));
    }
    let peers = node.bus.peers();
    out.field("cluster_bus_bytes_in", peers.iter().map(|peer| peer.bytes_in).sum::<u64>());
    out.field("cluster_bus_bytes_out", peers.iter().map(|peer| peer.bytes_out).sum::<u64>());
}

/// Sums over all shards, and the state of the first one's group.
pub(super) fn raft(out: &mut Writer, server: &Server) {
    let router = server.router();
    out.title("Raft");
    let Some(shard) = router.shards().next() else { return };
    let status = shard.status();
    let log = server.log.stats();
    // The first entry may have index 0: none yet is -1.
    let index = |index: Option<u64>| index.map_or(-1, |index| i64::try_from(index).unwrap_or(i64::MAX));
    out.field("raft_shard", shard.id().0);
    out.field("raft_role", format!("{:?}", status.state).to_ascii_lowercase());
    out.field("raft_leader", index(status.leader.map(|leader| leader.0)));
    out.field("raft_term", status.term);
    out.field("raft_last_log_index", index(status.last_log_index));
    out.field("raft_committed_index", index(status.committed));
    out.field("raft_applied_index", index(status.applied));
    out.field("raft_snapshot_index", index(status.snapshot_index));
    out.field("raft_purged_index", index(status.purged_index));
    out.field("raft_entries_applied", server.sum(|shard| shard.stats.entries.load(Relaxed)));
    out.field("raft_snapshot_bytes", server.sum(|shard| shard.stats.snapshot_bytes()));
    out.field("raft_log_policy", format!("{:?}", server.log.policy()).to_ascii_lowercase());
    out.field("raft_log_stalled", u8::from(server.log.is_stalled().is_some()));
    out.field("raft_log_segments", log.segments);
    out.field("raft_log_bytes", log.bytes);
    out.field("raft_log_spare_bytes", log.spare_bytes);
    out.field("raft_log_segments_reused", log.reused);
    out.field("raft_log_current_bytes", log.current_bytes);
    out.field("raft_log_appends", log.appends);
    out.field("raft_log_writes", log.writes);
    out.field("raft_log_fsyncs", log.fsyncs);
    out.field("raft_log_last_fsync_usec", log.last_fsync_us);
    out.field("raft_log_delayed_fsyncs", log.delayed_fsyncs);
}

pub(super) fn engines(out: &mut Writer, server: &Server) {
    out.title("Engines");
    for (kind, KeyCount { keys, expires }, usage) in server.engine_usage() {
        let value = format!("keys={keys},expires={expires},memory={},disk={}", usage.memory_bytes, usage.disk_bytes);
        out.field(format_args!("engine_{kind}"), value);
    }
}
