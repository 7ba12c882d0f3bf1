//! What all connections of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Notify;

use super::clients::Clients;
use super::cluster::ClusterNode;
use super::datadir::DataDir;
use super::memory;
use super::monitor::Monitors;
use super::router::Router;
use super::save::Saves;
use super::settings::Settings;
use super::stats::Stats;
use crate::command::{CommandError, CommandSpec, Flags, Handler, ServerCommand};
use crate::raft::SharedLog;
use crate::shard::{Counters, Shard, clock};
use crate::storage::KeyspaceRules;
use crate::types::{Db, ReadPolicy, UnixMs};

/// Settings that are looked at for every batch, copied out of [`Settings`] when they change.
#[derive(Default)]
pub struct HotLimits {
    /// `proto-max-bulk-len`
    pub bulk_max_bytes: AtomicI64,
    /// `client-query-buffer-limit`
    pub query_bytes: AtomicUsize,
    /// Hard limit of `client-output-buffer-limit normal`; 0 for none.
    pub output_hard_bytes: AtomicUsize,
    /// Soft limit of `client-output-buffer-limit normal`; 0 for none.
    pub output_soft_bytes: AtomicUsize,
    /// How long the soft limit may be exceeded.
    pub output_soft_ms: AtomicI64,
    /// `maxmemory`; 0 for none.
    pub memory_max_bytes: AtomicU64,
    /// `maxclients`
    pub clients_max: AtomicUsize,
    /// `timeout` in ms; 0 for none.
    pub idle_ms: AtomicI64,
    /// A password is set.
    pub password_required: AtomicBool,
    /// Commands for keys that another node leads are not executed: `cluster-routing redirect`.
    pub redirects: AtomicBool,
    /// The number of `read-policy`.
    pub read_policy: AtomicU8,
}

/// Which commands a pause holds up (`CLIENT PAUSE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseMode {
    /// Writes.
    Write,
    /// All.
    All,
}

/// A pause of clients.
#[derive(Default)]
struct Pause {
    /// In ms since the Unix epoch; 0 for no pause.
    until_ms: AtomicI64,
    all: AtomicBool,
    over: Notify,
}

/// The shards, and what they have in common.
pub struct Data {
    /// Which shard has which slots.
    pub router: Router,
    /// Which engine keeps which key, in all shards.
    pub rules: Arc<KeyspaceRules>,
    /// Where all shards count commands.
    pub counters: Arc<Counters>,
    /// This node's part in a cluster, if it has one.
    pub cluster: Option<Arc<ClusterNode>>,
}

/// The process.
pub struct Server {
    /// All settings.
    pub settings: Arc<Settings>,
    /// Those looked at often.
    pub limits: HotLimits,
    pub(super) router: RwLock<Arc<Router>>,
    /// The epoch of `router`.
    pub(super) router_epoch: AtomicU64,
    /// Which engine keeps which key, in all shards.
    pub rules: Arc<KeyspaceRules>,
    /// What is counted of commands.
    pub counters: Arc<Counters>,
    /// This node's part in a cluster, if it has one.
    pub cluster: Option<Arc<ClusterNode>>,
    /// The write-ahead log.
    pub log: Arc<SharedLog>,
    /// The data directory, locked.
    pub data_dir: DataDir,
    /// Connections.
    pub clients: Clients,
    /// Clients that are shown all commands.
    pub monitors: Monitors,
    /// Counters.
    pub stats: Stats,
    /// 40 hex digits that change with every start.
    pub run_id: String,
    /// When the process started, in ms since the Unix epoch.
    pub started_ms: i64,
    /// Bytes in use before any data was loaded.
    pub startup_memory: u64,
    /// Bytes in use, sampled ten times a second.
    pub used_memory: AtomicU64,
    /// The port that clients connect to.
    pub port: u16,
    over_memory: AtomicBool,
    /// All shards take snapshots, one after the other.
    pub(super) saving: AtomicBool,
    /// The RDB files that were written.
    pub saves: Saves,
    pause: Pause,
    shutdown: AtomicBool,
    shutdown_asked: Notify,
}

impl Server {
    /// Puts the parts together.
    pub fn new(
        settings: Arc<Settings>,
        Data { router, rules, counters, cluster }: Data,
        log: Arc<SharedLog>,
        data_dir: DataDir,
        port: u16,
        startup_memory: u64,
    ) -> Arc<Self> {
        let random = [clock::entropy(), clock::entropy(), clock::entropy()];
        let run_id = format!("{:016x}{:016x}{:08x}", random[0], random[1], random[2] as u32);
        // Those that were made again from the log.
        let changes = router.shards().map(|shard| shard.stats.dirty.load(Ordering::Relaxed)).sum();
        let server = Self {
            settings,
            limits: HotLimits::default(),
            router_epoch: AtomicU64::new(router.epoch()),
            router: RwLock::new(Arc::new(router)),
            rules,
            counters,
            cluster,
            log,
            data_dir,
            clients: Clients::default(),
            monitors: Monitors::default(),
            stats: Stats::default(),
            run_id,
            started_ms: clock::now().0,
            startup_memory,
            used_memory: AtomicU64::new(startup_memory),
            port,
            over_memory: AtomicBool::new(false),
            saving: AtomicBool::new(false),
            saves: Saves::new(clock::now().0, changes),
            pause: Pause::default(),
            shutdown: AtomicBool::new(false),
            shutdown_asked: Notify::new(),
        };
        server.apply_settings();
        Arc::new(server)
    }

    /// Why a write may not be executed on a shard now, if it may not.
    #[inline]
    pub fn write_refusal(&self, spec: &CommandSpec, shard: Option<&Arc<Shard>>) -> Option<CommandError> {
        if self.over_memory.load(Ordering::Relaxed) && spec.flags.has(Flags::DENYOOM) {
            return Some(CommandError::Static("OOM command not allowed when used memory > 'maxmemory'."));
        }
        if shard.is_some_and(|shard| shard.is_full()) {
            return Some(CommandError::Static(
                "MISCONF the disk is full: the write was not executed; writes are accepted again when there is room",
            ));
        }
        None
    }

    /// Whether a write reads one engine and changes another, so that it cannot be in the log as it is.
    #[inline]
    pub fn spans_engines(&self, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> bool {
        !self.rules.single_engine() && crate::shard::spans_engines(&self.rules, self.shared().databases, spec, db, args)
    }

    /// How reads make sure that they miss nothing, where neither the connection nor the keyspace says.
    #[inline]
    pub fn read_policy(&self) -> ReadPolicy {
        ReadPolicy::from_number(self.limits.read_policy.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Takes a sample of the memory in use and compares it with `maxmemory`.
    pub fn sample_memory(&self) {
        let used = memory::allocator().allocated;
        self.used_memory.store(used, Ordering::Relaxed);
        self.stats.peak_memory.fetch_max(used, Ordering::Relaxed);
        let max = self.limits.memory_max_bytes.load(Ordering::Relaxed);
        self.over_memory.store(max > 0 && used > max, Ordering::Relaxed);
    }

    /// Pauses clients until a time, in ms since the Unix epoch.
    pub fn pause(&self, until_ms: i64, mode: PauseMode) {
        // A pause under way is never made shorter or weaker (as in Redis).
        let active = self.pause.until_ms.load(Ordering::Relaxed) > clock::now().0;
        let all = mode == PauseMode::All || (active && self.pause.all.load(Ordering::Relaxed));
        self.pause.all.store(all, Ordering::Relaxed);
        let until_ms = self.pause.until_ms.fetch_max(until_ms, Ordering::Relaxed).max(until_ms);
        // Nothing is to change, so that a copy can catch up.
        self.router().shards().for_each(|shard| shard.pause_expiry(UnixMs(until_ms)));
    }

    /// Ends a pause.
    pub fn unpause(&self) {
        self.pause.until_ms.store(0, Ordering::Relaxed);
        self.pause.all.store(false, Ordering::Relaxed);
        self.router().shards().for_each(|shard| shard.pause_expiry(UnixMs(0)));
        self.pause.over.notify_waiters();
    }

    /// The pause in force: its mode and its end in ms since the Unix epoch.
    pub fn paused(&self) -> Option<(PauseMode, i64)> {
        let until = self.pause.until_ms.load(Ordering::Relaxed);
        if until == 0 {
            return None;
        }
        if until <= clock::now().0 {
            self.unpause();
            return None;
        }
        let mode = if self.pause.all.load(Ordering::Relaxed) { PauseMode::All } else { PauseMode::Write };
        Some((mode, until))
    }

    /// Whether a pause holds this command up.
    #[inline]
    pub fn pause_concerns(&self, spec: &CommandSpec) -> bool {
        if self.pause.until_ms.load(Ordering::Relaxed) == 0 {
            return false;
        }
        match self.paused() {
            None => false,
            // CLIENT must get through, or nobody could end the pause.
            Some(_) if matches!(spec.handler, Handler::Server(ServerCommand::Client)) => false,
            Some((PauseMode::All, _)) => true,
            Some((PauseMode::Write, _)) => spec.flags.has(Flags::WRITE),
        }
    }

    /// Waits until a pause may be over.
    pub async fn wait_unpaused(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(10), self.pause.over.notified()).await;
    }

    /// Asks the process to end.
    pub fn ask_shutdown(&self) {
        self.shutdown.store(true, Ordering::Relaxed);
        self.shutdown_asked.notify_one();
    }

    /// Takes back that the process should end; answers whether it was going to.
    pub fn abort_shutdown(&self) -> bool {
        self.shutdown.swap(false, Ordering::Relaxed)
    }

    /// Waits until the process is asked to end.
    pub async fn shutdown_asked(&self) {
        loop {
            self.shutdown_asked.notified().await;
            if self.shutdown.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Closes clients that were idle for longer than `timeout`.
    pub fn close_idle_clients(&self) {
        let idle_ms = self.limits.idle_ms.load(Ordering::Relaxed);
        if idle_ms == 0 {
            return;
        }
        let now = clock::now().0;
        for client in self.clients.all() {
            if now - client.active_ms.load(Ordering::Relaxed) > idle_ms {
                tracing::debug!(client = %client.peer, "closing an idle client");
                client.kill();
            }
        }
    }

    /// Zeroes the counters (`CONFIG RESETSTAT`).
    pub fn reset_stats(&self) {
        self.stats.reset();
        self.counters.reset();
        self.stats.peak_memory.store(self.used_memory.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}
