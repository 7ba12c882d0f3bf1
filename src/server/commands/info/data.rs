//! Sections about the data and its log: persistence, replication, keyspace, raft, engines.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::Writer;
use crate::server::Server;
use crate::server::settings::Setting;
use crate::shard::clock;
use crate::types::Db;

/// Snapshots stand for Redis's dumps, and the raft log for its append-only file.
pub(super) fn persistence(out: &mut Writer, server: &Server) {
    let stats = &server.shard.stats;
    let snapshot_running = u8::from(server.shard.snapshot_running());
    let seconds = |ms: Option<i64>| ms.map_or(-1, |ms| ms / 1000);
    let current_seconds = seconds(stats.snapshot_running_ms(clock::now()));
    let last_seconds = seconds(stats.snapshot_took_ms());
    let snapshots = stats.snapshots.load(Relaxed);
    let last_ms = stats.snapshot_last().map_or(server.started_ms, |at| at.0);
    let status = |ok: bool| if ok { "ok" } else { "err" };
    out.title("Persistence");
    out.zeros(&["loading", "async_loading", "current_cow_peak", "current_cow_size", "current_cow_size_age"]);
    out.field("current_fork_perc", "0.00");
    out.zeros(&["current_save_keys_processed", "current_save_keys_total"]);
    out.field("rdb_changes_since_last_save", stats.dirty.load(Relaxed));
    out.field("rdb_bgsave_in_progress", snapshot_running);
    out.field("rdb_last_save_time", last_ms / 1000);
    out.field("rdb_last_bgsave_status", status(stats.snapshot_ok()));
    out.field("rdb_last_bgsave_time_sec", last_seconds);
    out.field("rdb_current_bgsave_time_sec", current_seconds);
    out.field("rdb_saves", snapshots);
    out.zeros(&["rdb_last_cow_size", "rdb_last_load_keys_expired", "rdb_last_load_keys_loaded"]);
    let on_disk = server.settings.bool(Setting::Appendonly);
    out.field("aof_enabled", u8::from(on_disk));
    out.field("aof_rewrite_in_progress", snapshot_running);
    out.field("aof_rewrite_scheduled", 0);
    out.field("aof_last_rewrite_time_sec", last_seconds);
    out.field("aof_current_rewrite_time_sec", current_seconds);
    out.field("aof_last_bgrewrite_status", status(stats.snapshot_ok()));
    out.field("aof_rewrites", snapshots);
    out.zeros(&["aof_rewrites_consecutive_failures"]);
    let writable = server.log.is_stalled().is_none() && server.log.failure().is_none();
    out.field("aof_last_write_status", status(writable));
    out.zeros(&["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    if on_disk {
        let log = server.log.stats();
        out.field("aof_current_size", log.bytes);
        out.field("aof_base_size", stats.snapshot_bytes());
        out.field("aof_pending_rewrite", 0);
        out.field("aof_buffer_length", server.shard.waiting_bytes());
        out.field("aof_pending_bio_fsync", 0);
        out.field("aof_delayed_fsync", log.delayed_fsyncs);
    }
}

/// To Redis's eyes a master without replicas.
pub(super) fn replication(out: &mut Writer, server: &Server) {
    let offset = server.shard.applied_index().0;
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
    let Some(store) = server.shard.read() else { return };
    for number in 0..server.shard.shared().databases {
        let db = Db(number);
        let (keys, expires) = store
            .engines_of(db)
            .map(|(_, engine)| (engine.len(db), engine.expires(db)))
            .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        if keys > 0 {
            out.field(format_args!("db{number}"), format_args!("keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}

pub(super) fn raft(out: &mut Writer, server: &Server) {
    let status = server.shard.status();
    let log = server.log.stats();
    // The first entry may have index 0: none yet is -1.
    let index = |index: Option<u64>| index.map_or(-1, |index| i64::try_from(index).unwrap_or(i64::MAX));
    out.title("Raft");
    out.field("raft_shard", server.shard.id().0);
    out.field("raft_role", format!("{:?}", status.state).to_ascii_lowercase());
    out.field("raft_leader", index(status.leader.map(|leader| leader.0)));
    out.field("raft_term", status.term);
    out.field("raft_last_log_index", index(status.last_log_index));
    out.field("raft_committed_index", index(status.committed));
    out.field("raft_applied_index", index(status.applied));
    out.field("raft_snapshot_index", index(status.snapshot_index));
    out.field("raft_purged_index", index(status.purged_index));
    out.field("raft_entries_applied", server.shard.stats.entries.load(Relaxed));
    out.field("raft_snapshot_bytes", server.shard.stats.snapshot_bytes());
    out.field("raft_log_policy", format!("{:?}", server.log.policy()).to_ascii_lowercase());
    out.field("raft_log_stalled", u8::from(server.log.is_stalled().is_some()));
    out.field("raft_log_segments", log.segments);
    out.field("raft_log_bytes", log.bytes);
    out.field("raft_log_current_bytes", log.current_bytes);
    out.field("raft_log_appends", log.appends);
    out.field("raft_log_writes", log.writes);
    out.field("raft_log_fsyncs", log.fsyncs);
    out.field("raft_log_last_fsync_usec", log.last_fsync_us);
    out.field("raft_log_delayed_fsyncs", log.delayed_fsyncs);
}

pub(super) fn engines(out: &mut Writer, server: &Server) {
    out.title("Engines");
    let Some(store) = server.shard.read() else { return };
    let databases = server.shard.shared().databases;
    for (kind, engine) in store.engines() {
        let sum = |count: &dyn Fn(Db) -> u64| (0..databases).map(|number| count(Db(number))).sum::<u64>();
        let usage = engine.usage();
        let mut value = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            value,
            "keys={},expires={},memory={},disk={}",
            sum(&|db| engine.len(db)),
            sum(&|db| engine.expires(db)),
            usage.memory_bytes,
            usage.disk_bytes
        );
        out.field(format_args!("engine_{kind}"), value);
    }
}
