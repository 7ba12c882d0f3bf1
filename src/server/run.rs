//! Start and end of the process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use super::banner::{BannerFacts, banner};
use super::clients::Client;
use super::datadir::DataDir;
use super::process::{Data, Server, ShutdownMode};
use super::router::{Router, Target, equal_ranges};
use super::settings::{Setting, Settings};
use super::{connection, memory};
use crate::cluster::metadata::Metadata;
use crate::command::Shared;
use crate::raft::{LogOptions, SharedLog};
use crate::shard::{Counters, Shard, ShardOptions, clock, fsync_policy};
use crate::storage::KeyspaceRules;
use crate::storage::rows::RowOptions;
use crate::types::{NodeId, ShardId};

/// How often memory, rates and idle clients are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// How long clients get to read their last replies when the process ends.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long one step of the end may take on a disk that does not answer.
const SHUTDOWN_STEP_MAX: Duration = Duration::from_secs(20);
/// Shards that are opened at the same time.
const OPENING_MAX: usize = 8;
/// Address space for the files of all B+ tree engines together: half of what a process has.
const BTREE_MAPS_MAX_BYTES: u64 = 1 << 46;
/// Smallest write buffer of an LSM engine.
const LSM_WRITE_BUFFER_MIN_BYTES: usize = 64 * 1024;

/// Starts the server and runs it until it is asked to end.
///
/// # Errors
/// When the data directory is in use or damaged, or an address cannot be listened on.
pub async fn run(settings: Arc<Settings>) -> anyhow::Result<()> {
    let listeners = listen(&settings)?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let port = addresses.first().map_or(0, SocketAddr::port);
    let startup_memory = memory::allocator().allocated;
    let data_dir = DataDir::open(&settings.dir())?;
    let clean = data_dir.take_clean_marker()?.is_some();
    data_dir.prepare(settings.bool(Setting::Appendonly))?;
    tracing::info!(dir = %settings.dir().display(), clean, "data directory is ours");

    let log = open_log(&settings)?;
    let node = NodeId(1);
    let metadata = Metadata::open(settings.dir().join("metadata"), node, Arc::clone(&log)).await?;
    let rules = Arc::new(settings.keyspace_rules());
    let shard_count = usize::try_from(settings.int(Setting::Shards)).expect("the table bounds it");
    metadata.reconcile_shards(shard_count).await?;
    metadata.reconcile_keyspaces(&rules).await?;
    let started = clock::instant();
    let counters = Arc::<Counters>::default();
    let shards = open_shards(&settings, node, &log, &rules, &counters, shard_count).await?;
    let applied: u64 = shards.iter().map(|shard| shard.applied_index().0).sum();
    tracing::info!(seconds = started.elapsed().as_secs_f64(), shards = shard_count, applied, "data is loaded");

    let targets = shards.into_iter().map(Target::Local).collect();
    let router = Router::new(1, targets, equal_ranges(shard_count));
    let data = Data { router, rules, counters };
    let server = Server::new(Arc::clone(&settings), data, log, data_dir, port, startup_memory);
    let facts =
        BannerFacts { addresses: &addresses, node_id: server.data_dir.node_id(), keys: Some(server.key_count()) };
    print!("{}", banner(&settings, &facts));
    for listener in listeners {
        tokio::spawn(accept_forever(Arc::clone(&server), listener));
    }
    tokio::spawn(keep_house(Arc::clone(&server)));
    let metadata = Arc::new(metadata);
    tokio::spawn(follow_snapshots(Arc::clone(&server), Arc::clone(&metadata)));
    let ShutdownMode::Graceful { save } = until_asked(&server).await?;
    shut_down(&server, &metadata, save).await;
    Ok(())
}

/// Opens all shards, a few at a time; each replays its part of the log.
async fn open_shards(
    settings: &Settings,
    node: NodeId,
    log: &Arc<SharedLog>,
    rules: &Arc<KeyspaceRules>,
    counters: &Arc<Counters>,
    count: usize,
) -> anyhow::Result<Vec<Arc<Shard>>> {
    let mut shards = Vec::with_capacity(count);
    let numbers: Vec<u32> = (1..).take(count).collect();
    for numbers in numbers.chunks(OPENING_MAX) {
        let opening: Vec<_> = numbers
            .iter()
            .map(|&number| {
                tokio::spawn(Shard::open(ShardOptions {
                    id: ShardId(number),
                    node,
                    dir: settings.dir().join(format!("shard-{number}")),
                    log: Arc::clone(log),
                    rules: Arc::clone(rules),
                    encoding: settings.encoding(),
                    rows: row_options(settings, count),
                    shared: shared(settings),
                    snapshot_log_bytes: settings.unsigned(Setting::SnapshotLogBytes),
                    snapshot_log_entries: settings.unsigned(Setting::SnapshotLogEntries),
                    counters: Arc::clone(counters),
                }))
            })
            .collect();
        for (number, opening) in numbers.iter().zip(opening) {
            shards.push(opening.await?.with_context(|| format!("shard {number}"))?);
        }
    }
    Ok(shards)
}

/// The settings that handlers of commands obey.
pub fn shared(settings: &Settings) -> Shared {
    Shared {
        databases: u16::try_from(settings.int(Setting::Databases)).unwrap_or(u16::MAX),
        bulk_max_bytes: settings.int(Setting::ProtoMaxBulkLen),
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

fn open_log(settings: &Settings) -> anyhow::Result<Arc<SharedLog>> {
    let policy = fsync_policy(settings.bool(Setting::Appendonly), settings.word(Setting::Appendfsync));
    let options = LogOptions { segment_bytes: settings.unsigned(Setting::LogSegmentBytes), ..LogOptions::new(policy) };
    let dir = settings.dir().join("log");
    SharedLog::open(&dir, options).with_context(|| format!("cannot open the log in {}", dir.display()))
}

fn listen(settings: &Settings) -> anyhow::Result<Vec<TcpListener>> {
    let port = u16::try_from(settings.int(Setting::Port)).expect("the table bounds it");
    let backlog = u32::try_from(settings.int(Setting::TcpBacklog)).unwrap_or(511);
    let mut hosts: Vec<(String, bool)> =
        settings.bind_addresses().into_iter().map(|address| (address.host, address.optional)).collect();
    if hosts.is_empty() {
        hosts = vec![("0.0.0.0".to_owned(), false), ("::".to_owned(), true)];
    }
    let mut listeners: Vec<TcpListener> = Vec::new();
    for (host, optional) in hosts {
        // With port 0 the first address chooses for all.
        let port = match listeners.first() {
            Some(first) => first.local_addr()?.port(),
            None => port,
        };
        match listen_on(&host, port, backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) if optional => tracing::debug!(host, %error, "not listening on an optional address"),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot listen on {host} port {port} (settings bind and port)"));
            }
        }
    }
    anyhow::ensure!(!listeners.is_empty(), "none of the addresses of setting bind can be listened on");
    Ok(listeners)
}

fn listen_on(host: &str, port: u16, backlog: u32) -> std::io::Result<TcpListener> {
    let address = std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?
        .next()
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::NotFound, "the host name has no address"))?;
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            socket2::SockRef::from(&socket).set_only_v6(true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

async fn accept_forever(server: Arc<Server>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => welcome(&server, stream, peer),
            Err(error) => {
                // Out of file descriptors, most likely: closing connections will mend it.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(HOUSEKEEPING).await;
            }
        }
    }
}

fn welcome(server: &Arc<Server>, stream: TcpStream, peer: SocketAddr) {
    server.stats.connections.fetch_add(1, Ordering::Relaxed);
    let password_required = server.limits.password_required.load(Ordering::Relaxed);
    let loopback = peer.ip().to_canonical().is_loopback();
    if server.settings.bool(Setting::ProtectedMode) && !password_required && !loopback {
        server.stats.rejected_connections.fetch_add(1, Ordering::Relaxed);
        connection::refuse(&stream, PROTECTED);
        return;
    }
    if let Err(error) = prepare_socket(&stream, server.settings.int(Setting::TcpKeepalive)) {
        tracing::debug!(%peer, %error, "setting socket options failed");
    }
    let Ok(local) = stream.local_addr() else { return };
    let fd = std::os::fd::AsRawFd::as_raw_fd(&stream);
    let client = Client::new(server.clients.next_id(), peer, local, fd, clock::now().0, !password_required);
    if !server.clients.insert(Arc::clone(&client), server.limits.clients_max.load(Ordering::Relaxed)) {
        server.stats.rejected_connections.fetch_add(1, Ordering::Relaxed);
        connection::refuse(&stream, "ERR max number of clients reached");
        return;
    }
    tokio::spawn(connection::serve(Arc::clone(server), stream, client));
}

const PROTECTED: &str = "DENIED kvorum is running in protected mode because protected mode is enabled and no password \
    is set. In this mode connections are only accepted from the loopback interface. To accept clients from other \
    machines, set a password with the setting requirepass, or turn protected mode off with 'CONFIG SET \
    protected-mode no' sent from the same machine, or start the server with '--protected-mode no'.";

fn prepare_socket(stream: &TcpStream, keepalive_seconds: i64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    if let Ok(seconds @ 1..) = u64::try_from(keepalive_seconds) {
        let third = Duration::from_secs((seconds / 3).max(1));
        let keepalive =
            socket2::TcpKeepalive::new().with_time(Duration::from_secs(seconds)).with_interval(third).with_retries(3);
        socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

async fn keep_house(server: Arc<Server>) {
    let mut interval = tokio::time::interval(HOUSEKEEPING);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        server.sample_memory();
        server.stats.sample_rates(clock::now().0);
        server.close_idle_clients();
    }
}

/// Lets groups that write little drop their part of the log when others have dropped theirs: what one group
/// keeps holds up the deletion of segments for all.
async fn follow_snapshots(server: Arc<Server>, metadata: Arc<Metadata>) {
    let newest = |server: &Server| server.sum(|shard| shard.status().snapshot_index.unwrap_or(0));
    let mut seen = newest(&server);
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        let now = newest(&server);
        if now == seen {
            continue;
        }
        seen = now;
        if let Err(error) = metadata.snapshot().await {
            tracing::warn!(%error, "snapshot of the metadata failed");
        }
        if let Some(shard) = straggler(&server)
            && let Err(error) = shard.snapshot().await
        {
            tracing::warn!(shard = shard.id().0, %error, "snapshot failed; the log is kept");
        }
    }
}

/// The shard that has gone longest without a snapshot, when the log has grown to more than what the shards may
/// keep of it for themselves.
fn straggler(server: &Server) -> Option<Arc<Shard>> {
    let router = server.router();
    let own = server.settings.unsigned(Setting::SnapshotLogBytes);
    let bound = server.sum(|shard| own.max(shard.stats.snapshot_bytes())) + 2 * server.log.stats().current_bytes;
    if router.len() == 1 || server.log.stats().bytes <= bound {
        return None;
    }
    router
        .shards()
        .filter(|shard| !shard.snapshot_running() && shard.status().snapshot_index < shard.status().applied)
        .min_by_key(|shard| shard.stats.snapshot_last())
        .map(Arc::clone)
}

/// Waits for a signal or the SHUTDOWN command.
async fn until_asked(server: &Server) -> anyhow::Result<ShutdownMode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mode = tokio::select! {
        mode = server.shutdown_asked() => mode,
        _ = terminate.recv() => { tracing::info!("SIGTERM"); ShutdownMode::Graceful { save: false } }
        _ = interrupt.recv() => { tracing::info!("SIGINT"); ShutdownMode::Graceful { save: false } }
    };
    Ok(mode)
}

/// The result, unless it takes too long.
async fn bounded<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(SHUTDOWN_STEP_MAX, work).await.ok()
}

async fn close_log(server: &Server) -> anyhow::Result<()> {
    let log = Arc::clone(&server.log);
    let closed = bounded(tokio::task::spawn_blocking(move || log.close())).await;
    Ok(closed.context("the disk does not answer")???)
}

async fn shut_down(server: &Arc<Server>, metadata: &Metadata, save: bool) {
    tracing::info!("shutting down");
    if save && let Err(error) = server.snapshot().await {
        tracing::warn!(%error, "the snapshot asked for with the shutdown failed; the log has everything");
    }
    // On a full disk the groups wait for the log, and could not end before it gives up.
    let closed_early = if server.log.is_stalled().is_some() { Some(close_log(server).await) } else { None };
    for group in [bounded(server.shut_down_shards()).await, bounded(metadata.shutdown()).await] {
        if group.is_none() {
            tracing::error!("a raft group did not end in time");
        }
    }
    tokio::time::sleep(FAREWELL.min(Duration::from_millis(if server.clients.is_empty() { 0 } else { 50 }))).await;
    let closed = match closed_early {
        Some(closed) => closed,
        None => close_log(server).await,
    };
    let marked = closed.and_then(|()| Ok(server.data_dir.write_clean_marker()?));
    match marked {
        Ok(()) => tracing::info!("everything is on disk; goodbye"),
        Err(error) => tracing::error!(%error, "the log could not be closed cleanly; the next start will check it"),
    }
}
