//! Sections of counters: stats, command statistics, error statistics.

use std::sync::atomic::Ordering::Relaxed;

use super::Writer;
use crate::server::Server;
use crate::server::settings::Setting;
use crate::shard::stats::{BUCKETS, bucket_bound};

pub(super) fn stats(out: &mut Writer, server: &Server) {
    let stats = &server.stats;
    let shard = &server.counters;
    let [commands_rate, in_rate, out_rate] = stats.rates();
    let kilobytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    out.title("Stats");
    out.field("total_connections_received", stats.connections.load(Relaxed));
    out.field("total_commands_processed", stats.commands.load(Relaxed));
    out.field("instantaneous_ops_per_sec", commands_rate);
    out.field("total_net_input_bytes", stats.bytes_in.load(Relaxed));
    out.field("total_net_output_bytes", stats.bytes_out.load(Relaxed));
    out.zeros(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"]);
    out.field("instantaneous_input_kbps", kilobytes(in_rate));
    out.field("instantaneous_output_kbps", kilobytes(out_rate));
    out.field("instantaneous_input_repl_kbps", kilobytes(0));
    out.field("instantaneous_output_repl_kbps", kilobytes(0));
    out.field("rejected_connections", stats.rejected_connections.load(Relaxed));
    out.zeros(&["sync_full", "sync_partial_ok", "sync_partial_err"]);
    out.field("expired_subkeys", shard.expired_fields.load(Relaxed));
    out.field("expired_keys", shard.expired.load(Relaxed));
    out.field("expired_stale_perc", "0.00");
    out.zeros(&[
        "expired_time_cap_reached_count",
        "expire_cycle_cpu_milliseconds",
        "evicted_keys",
        "evicted_clients",
        "total_eviction_exceeded_time",
        "current_eviction_exceeded_time",
    ]);
    out.field("keyspace_hits", shard.hits.load(Relaxed));
    out.field("keyspace_misses", shard.misses.load(Relaxed));
    out.zeros(&[
        "pubsub_channels",
        "pubsub_patterns",
        "pubsubshard_channels",
        "latest_fork_usec",
        "total_forks",
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
        "total_active_defrag_time",
        "current_active_defrag_time",
        "tracking_total_keys",
        "tracking_total_items",
        "tracking_total_prefixes",
        "unexpected_error_replies",
    ]);
    out.field("total_error_replies", shard.errors.total());
    out.zeros(&["dump_payload_sanitizations"]);
    out.field("total_reads_processed", stats.reads.load(Relaxed));
    out.field("total_writes_processed", stats.writes.load(Relaxed));
    out.zeros(&["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    out.field("client_query_buffer_limit_disconnections", stats.query_limit_disconnections.load(Relaxed));
    out.field("client_output_buffer_limit_disconnections", stats.output_limit_disconnections.load(Relaxed));
    out.zeros(&[
        "reply_buffer_shrinks",
        "reply_buffer_expands",
        "eventloop_cycles",
        "eventloop_duration_sum",
        "eventloop_duration_cmd_sum",
        "instantaneous_eventloop_cycles_per_sec",
        "instantaneous_eventloop_duration_usec",
    ]);
    out.field("acl_access_denied_auth", stats.auth_failures.load(Relaxed));
    out.zeros(&["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"]);
}

pub(super) fn commandstats(out: &mut Writer, server: &Server) {
    out.title("Commandstats");
    for (name, counters) in server.counters.named() {
        let (calls, rejected, failed) =
            (counters.calls.load(Relaxed), counters.rejected.load(Relaxed), counters.failed.load(Relaxed));
        if calls == 0 && rejected == 0 && failed == 0 {
            continue;
        }
        let micros = counters.nanos.load(Relaxed) / 1000;
        let per_call = if calls == 0 { 0.0 } else { micros as f64 / calls as f64 };
        out.field(
            format_args!("cmdstat_{name}"),
            format_args!(
                "calls={calls},usec={micros},usec_per_call={per_call:.2},rejected_calls={rejected},failed_calls={failed}"
            ),
        );
    }
}

pub(super) fn errorstats(out: &mut Writer, server: &Server) {
    out.title("Errorstats");
    for (code, count) in server.counters.errors.by_code() {
        // These characters separate names, values and lines here.
        let code = code.replace(['#', ':', '\n', '\r'], "_");
        out.field(format_args!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latencystats(out: &mut Writer, server: &Server) {
    out.title("Latencystats");
    if !server.counters.tracks_latency() {
        return;
    }
    let asked = server.settings.get(Setting::LatencyTrackingInfoPercentiles);
    let percentiles: Vec<f64> = asked.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    for (name, counters) in server.counters.named() {
        let histogram = counters.histogram();
        if histogram.iter().all(|&count| count == 0) {
            continue;
        }
        let values: Vec<String> = percentiles
            .iter()
            .map(|&percentile| format!("p{percentile}={:.3}", percentile_nanos(&histogram, percentile) / 1000.0))
            .collect();
        out.field(format_args!("latency_percentiles_usec_{name}"), values.join(","));
    }
}

/// The duration that `percentile` percent of the executions did not exceed, read off their bucket as
/// if they were spread evenly over it.
fn percentile_nanos(histogram: &[u64; BUCKETS], percentile: f64) -> f64 {
    let total: u64 = histogram.iter().sum();
    let wanted = (percentile / 100.0 * total as f64).max(1.0);
    let mut below = 0.0;
    for (bucket, &count) in histogram.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let count = count as f64;
        if below + count >= wanted {
            let bound = bucket_bound(bucket) as f64;
            let floor = if bucket == 0 { 0.0 } else { bound / 2.0 };
            return floor + (bound - floor) * (wanted - below) / count;
        }
        below += count;
    }
    bucket_bound(BUCKETS - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_off_the_buckets() {
        let mut histogram = [0; BUCKETS];
        histogram[3] = 90;
        histogram[5] = 10;
        assert_eq!(percentile_nanos(&histogram, 90.0), 1024.0);
        assert_eq!(percentile_nanos(&histogram, 45.0), 768.0);
        assert_eq!(percentile_nanos(&histogram, 100.0), 4096.0);
        assert!(percentile_nanos(&histogram, 0.0) > 512.0);
    }
}
