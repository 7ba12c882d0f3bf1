//! `CONFIG`, and making the server obey its settings.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Call, DONE, Executed, late_error, late_ok};
use crate::command::CommandError;
use crate::command::error::SYNTAX;
use crate::server::cluster::ask;
use crate::server::dispatch::lossy;
use crate::server::settings::{Setting, SettingError};
use crate::server::{Server, logging};
use crate::shard::fsync_policy;
use crate::types::ReadPolicy;

/// Settings that all replicas must change at the same log entry, because values are encoded by them.
const REPLICATED: [Setting; 11] = [
    Setting::HashMaxListpackEntries,
    Setting::HashMaxListpackValue,
    Setting::ListMaxListpackSize,
    Setting::SetMaxIntsetEntries,
    Setting::SetMaxListpackEntries,
    Setting::SetMaxListpackValue,
    Setting::ZsetMaxListpackEntries,
    Setting::ZsetMaxListpackValue,
    Setting::HllSparseMaxBytes,
    Setting::StreamNodeMaxBytes,
    Setting::StreamNodeMaxEntries,
];

/// `CONFIG subcommand …`
pub(super) fn config(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "GET" => get(call),
        "HELP" => call.help("CONFIG"),
        "RESETSTAT" => {
            call.server.reset_stats();
            call.ok()
        }
        "REWRITE" => rewrite(call),
        "SET" => set(call),
        _ => Err(call.wrong_subcommand()),
    }
}

fn get(call: &mut Call<'_>) -> Executed {
    let found = call.server.settings.get_matching(&call.args[2..]);
    let mut reply = call.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    DONE
}

fn set(call: &mut Call<'_>) -> Executed {
    let (pairs, rest) = call.args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SYNTAX);
    }
    let mut texts = Vec::with_capacity(pairs.len());
    for &[name, value] in pairs {
        let Ok(name) = std::str::from_utf8(name) else {
            return Err(CommandError::Text(SettingError::Unknown(lossy(name).into_owned()).to_string()));
        };
        let Ok(value) = std::str::from_utf8(value) else {
            let error = SettingError::Failed { name: name.to_owned(), reason: "the value is not UTF-8".to_owned() };
            return Err(CommandError::Text(error.to_string()));
        };
        texts.push((name, value));
    }
    let server = call.server;
    let changed = server
        .settings
        .set_many(&texts, call.origin(), |_changed| {
            server.apply_settings();
            Ok(())
        })
        .map_err(|error| CommandError::Text(error.to_string()))?;
    // Also those that have the value here: other nodes may have another.
    let in_cluster = server.cluster.as_ref().is_some_and(|node| node.state().is_some());
    let cluster_wide: Vec<Setting> = texts
        .iter()
        .filter_map(|(name, _)| Setting::named(name))
        .filter(|setting| in_cluster && setting.spec().cluster_wide)
        .collect();
    let replicated: Vec<Setting> = changed.into_iter().filter(|setting| REPLICATED.contains(setting)).collect();
    if replicated.is_empty() && cluster_wide.is_empty() {
        return call.ok();
    }
    let (server, protocol) = (Arc::clone(server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        if let Some(node) = server.cluster.as_ref().filter(|_| !cluster_wide.is_empty()) {
            let value = |setting: &Setting| (setting.spec().name, server.settings.get(*setting));
            let values: Vec<_> = cluster_wide.iter().map(value).collect();
            if let Err(problem) = node.set_cluster_wide(&values).await {
                let text = format!("ERR outcome unknown: this node obeys, but perhaps no other will: {problem}");
                return late_error(&server, protocol, &text);
            }
        }
        for setting in replicated {
            let (name, value) = (setting.spec().name, server.settings.get(setting));
            let router = server.router();
            for target in router.targets() {
                let question =
                    ask::Question::Setting { shard: target.id().0, name: name.to_owned(), value: value.clone() };
                if server.ask_leader(target, &question).await.is_err() {
                    let text = format!(
                        "ERR outcome unknown: a shard stopped before it could apply '{name}'; it may or may not be in force"
                    );
                    return late_error(&server, protocol, &text);
                }
            }
        }
        late_ok()
    })))
}

fn rewrite(call: &mut Call<'_>) -> Executed {
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move { rewritten(server, protocol).await })))
}

/// Rewrites the configuration file, off the runtime's workers.
pub(super) async fn rewritten(server: Arc<Server>, protocol: crate::resp::Protocol) -> Vec<u8> {
    let settings = Arc::clone(&server.settings);
    match tokio::task::spawn_blocking(move || settings.rewrite_config_file()).await {
        Ok(Ok(())) => {
            tracing::info!("CONFIG REWRITE wrote the configuration file");
            late_ok()
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "CONFIG REWRITE failed");
            late_error(&server, protocol, &error.to_string())
        }
        Err(error) => late_error(&server, protocol, &format!("ERR Rewriting config file: {error}")),
    }
}

impl Server {
    /// Makes the process obey its settings: called at the start and after every change. What must
    /// change on all replicas together (the thresholds of encodings) goes through the log instead.
    pub fn apply_settings(&self) {
        let settings = &*self.settings;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limits = &self.limits;
        let bulk_max_bytes = settings.int(Setting::ProtoMaxBulkLen);
        limits.bulk_max_bytes.store(bulk_max_bytes, Ordering::Relaxed);
        limits.query_bytes.store(size(settings.unsigned(Setting::ClientQueryBufferLimit)), Ordering::Relaxed);
        let output = settings.output_buffer_limits().normal;
        limits.output_hard_bytes.store(size(output.hard_bytes), Ordering::Relaxed);
        limits.output_soft_bytes.store(size(output.soft_bytes), Ordering::Relaxed);
        let soft_ms = i64::try_from(output.soft_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        limits.output_soft_ms.store(soft_ms, Ordering::Relaxed);
        limits.memory_max_bytes.store(settings.unsigned(Setting::Maxmemory), Ordering::Relaxed);
        limits.clients_max.store(size(settings.unsigned(Setting::Maxclients)), Ordering::Relaxed);
        limits.idle_ms.store(settings.int(Setting::Timeout).saturating_mul(1000), Ordering::Relaxed);
        let password_required = !settings.string(Setting::Requirepass).is_empty();
        limits.password_required.store(password_required, Ordering::Relaxed);
        let redirects = self.cluster.is_some() && settings.word(Setting::ClusterRouting) == "redirect";
        limits.redirects.store(redirects, Ordering::Relaxed);
        let policy = ReadPolicy::from_name(settings.word(Setting::ReadPolicy)).unwrap_or_default();
        limits.read_policy.store(policy as u8, Ordering::Relaxed);
        if let Some(node) = &self.cluster {
            node.bus.set_snapshot_rate(settings.unsigned(Setting::SnapshotBytesPerSecond));
        }

        self.counters.slowlog.configure(
            settings.int(Setting::SlowlogLogSlowerThan),
            settings.unsigned(Setting::SlowlogMaxLen),
            settings.unsigned(Setting::LatencyMonitorThreshold),
        );
        self.counters.set_latency_tracking(settings.bool(Setting::LatencyTracking));
        let entries = match settings.unsigned(Setting::SnapshotLogEntries) {
            0 => u64::MAX,
            entries => entries,
        };
        for shard in self.router().shards() {
            shard.set_shared(self.shared());
            shard.set_snapshot_limits(settings.unsigned(Setting::SnapshotLogBytes), entries);
        }
        self.log.set_policy(fsync_policy(settings.bool(Setting::Appendonly), settings.word(Setting::Appendfsync)));
        logging::apply_level(settings);
        // Whether a new `maxmemory` is exceeded shows at the next write, not at the next sample.
        self.sample_memory();
    }
}
