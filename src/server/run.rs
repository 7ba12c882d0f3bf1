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
use super::cluster::{ClusterNode, ClusterNodeOptions, controller};
use super::datadir::DataDir;
use super::process::{Data, Server};
use super::router::{Router, Target, equal_ranges};
use super::settings::{Setting, Settings};
use super::shards::ShardFactory;
use super::{connection, memory};
use crate::cluster::metadata::Metadata;
use crate::raft::bus::Tls;
use crate::raft::{LogOptions, SharedLog};
use crate::shard::{Counters, Shard, clock, fsync_policy};
use crate::types::{NodeId, ShardId};

/// How often memory, rates and idle clients are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(100);
/// How long clients get to read their last replies when the process ends.
const FAREWELL: Duration = Duration::from_millis(200);
/// How long one step of the end may take on a disk that does not answer.
const SHUTDOWN_STEP_MAX: Duration = Duration::from_secs(20);
/// How far the port of the bus is above that for clients, unless a setting says otherwise (as in Redis Cluster).
const BUS_PORT_OFFSET: i64 = 10_000;

/// Starts the server and runs it until it is asked to end.
///
/// # Errors
/// When the data directory is in use or damaged, or an address cannot be listened on.
pub async fn run(settings: Arc<Settings>) -> anyhow::Result<()> {
    let listeners = listen(&settings)?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let port = addresses.first().map_or(0, SocketAddr::port);
    let tls = bus_tls(&settings)?;
    let startup_memory = memory::allocator().allocated;
    let data_dir = DataDir::open(&settings.dir())?;
    let clean = data_dir.take_clean_marker()?.is_some();
    data_dir.prepare(settings.bool(Setting::Appendonly))?;
    tracing::info!(dir = %settings.dir().display(), clean, "data directory is ours");

    let clustered = settings.bool(Setting::ClusterEnabled);
    data_dir.check_cluster(clustered)?;
    anyhow::ensure!(
        !clustered || settings.bool(Setting::Appendonly),
        "a node of a cluster keeps its votes and its log on disk: 'cluster-enabled yes' needs 'appendonly yes'"
    );
    let may_have_lost = data_dir.note_boot(clean)? && settings.word(Setting::Appendfsync) != "always";

    let log = open_log(&settings)?;
    let rules = Arc::new(settings.keyspace_rules());
    let counters = Arc::<Counters>::default();
    let factory = ShardFactory {
        settings: Arc::clone(&settings),
        dir: settings.dir(),
        log: Arc::clone(&log),
        rules: Arc::clone(&rules),
        counters: Arc::clone(&counters),
    };
    let started = clock::instant();
    let (router, alone, cluster) = if clustered {
        let listener = listen_to_peers(&settings, port)?;
        let log = Arc::clone(&log);
        let options = ClusterNodeOptions { listener, port, tls, factory, log, may_have_lost };
        (Router::empty(), None, Some(ClusterNode::start(options, &data_dir).await?))
    } else {
        let (router, metadata) = open_alone(&settings, &factory).await?;
        (router, Some(metadata), None)
    };
    let applied: u64 = router.shards().map(|shard| shard.applied_index().0).sum();
    tracing::info!(seconds = started.elapsed().as_secs_f64(), shards = router.len(), applied, "data is loaded");

    let data = Data { router, rules, counters, cluster };
    let server = Server::new(Arc::clone(&settings), data, log, data_dir, port, startup_memory);
    let facts = BannerFacts {
        addresses: &addresses,
        node_id: server.data_dir.node_id(),
        keys: (!clustered).then(|| server.key_count()),
        cluster: server.cluster.as_deref(),
    };
    print!("{}", banner(&settings, &facts));
    for listener in listeners {
        tokio::spawn(accept_forever(Arc::clone(&server), listener));
    }
    tokio::spawn(keep_house(Arc::clone(&server)));
    if let Some(node) = &server.cluster {
        node.serve();
        tokio::spawn(controller::follow(Arc::downgrade(&server), Arc::clone(node)));
    }
    tokio::spawn(follow_snapshots(Arc::clone(&server), alone.clone()));
    until_asked(&server).await?;
    shut_down(&server, alone.as_deref()).await;
    Ok(())
}

/// Opens the metadata and all shards of a server that is in no cluster.
async fn open_alone(settings: &Settings, factory: &ShardFactory) -> anyhow::Result<(Router, Arc<Metadata>)> {
    let node = NodeId(1);
    let metadata =
        Metadata::open(factory.dir.join("metadata"), node, Arc::clone(&factory.log), clock::entropy()).await?;
    let count = usize::try_from(settings.int(Setting::Shards)).expect("the table bounds it");
    metadata.reconcile_shards(count).await?;
    metadata.reconcile_keyspaces(&factory.rules).await?;
    let numbers: Vec<ShardId> = (1..).map(ShardId).take(count).collect();
    let shards = factory.open(node, &numbers, count, None).await?;
    let targets = shards.into_iter().map(Target::single).collect();
    Ok((Router::new(1, targets, equal_ranges(count)), Arc::new(metadata)))
}

fn open_log(settings: &Settings) -> anyhow::Result<Arc<SharedLog>> {
    let policy = fsync_policy(settings.bool(Setting::Appendonly), settings.word(Setting::Appendfsync));
    let mut options =
        LogOptions { segment_bytes: settings.unsigned(Setting::LogSegmentBytes), ..LogOptions::new(policy) };
    if settings.bool(Setting::ClusterEnabled) {
        options.task_sync_max_us = 0;
    }
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

/// How nodes encrypt what they send each other; `None` when they do not.
fn bus_tls(settings: &Settings) -> anyhow::Result<Option<Tls>> {
    if !settings.bool(Setting::TlsCluster) {
        return Ok(None);
    }
    let file = |setting, name: &str| {
        let path = settings.string(setting);
        anyhow::ensure!(!path.is_empty(), "'tls-cluster yes' needs a file in setting {name}");
        Ok(std::path::PathBuf::from(&*path))
    };
    let certificate = file(Setting::TlsCertFile, "tls-cert-file")?;
    let key = file(Setting::TlsKeyFile, "tls-key-file")?;
    let authority = file(Setting::TlsCaCertFile, "tls-ca-cert-file")?;
    Ok(Some(Tls::load(&certificate, &key, &authority)?))
}

/// Listens for the other nodes of the cluster, on the first address for clients.
fn listen_to_peers(settings: &Settings, port: u16) -> anyhow::Result<TcpListener> {
    let bus_port = match settings.int(Setting::ClusterPort) {
        0 => i64::from(port) + BUS_PORT_OFFSET,
        port => port,
    };
    let bus_port = u16::try_from(bus_port).ok().with_context(|| {
        format!("port {port} leaves no port for the bus {BUS_PORT_OFFSET} above it: set cluster-port")
    })?;
    let host =
        settings.bind_addresses().into_iter().next().map_or_else(|| "0.0.0.0".to_owned(), |address| address.host);
    listen_on(&host, bus_port, 511)
        .with_context(|| format!("cannot listen on {host} port {bus_port} (settings bind and cluster-port)"))
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
        server.obey_save_points();
    }
}

/// Lets groups that write little drop their part of the log when others have dropped theirs: what one group
/// keeps holds up the deletion of segments for all.
async fn follow_snapshots(server: Arc<Server>, alone: Option<Arc<Metadata>>) {
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
        let metadata = alone.as_ref().or_else(|| server.cluster.as_ref()?.metadata());
        if let Some(metadata) = metadata
            && let Err(error) = metadata.snapshot().await
        {
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

/// Waits for a signal or the SHUTDOWN command, and writes the file that a signal asks for; SHUTDOWN has done so.
async fn until_asked(server: &Arc<Server>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        let (name, setting) = tokio::select! {
            () = server.shutdown_asked() => return Ok(()),
            _ = terminate.recv() => ("SIGTERM", Setting::ShutdownOnSigterm),
            _ = interrupt.recv() => ("SIGINT", Setting::ShutdownOnSigint),
        };
        tracing::info!("{name}");
        let flags = server.settings.string(setting);
        let has = |flag: &str| flags.split(' ').any(|word| word == flag);
        if !server.saves_at_end(has("save"), has("nosave")) {
            return Ok(());
        }
        match server.save_at_end().await {
            Ok(()) => return Ok(()),
            Err(error) if has("force") => {
                tracing::error!(%error, "the file could not be written");
                return Ok(());
            }
            Err(error) => {
                tracing::error!(%error, "{name}, but the file could not be written: the process does not end")
            }
        }
    }
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

async fn shut_down(server: &Arc<Server>, alone: Option<&Metadata>) {
    tracing::info!("shutting down");
    if let Some(node) = &server.cluster {
        controller::hand_everything_over(node).await;
    }
    // On a full disk the groups wait for the log, and could not end before it gives up.
    let closed_early = if server.log.is_stalled().is_some() { Some(close_log(server).await) } else { None };
    let metadata = async {
        if let Some(metadata) = alone {
            metadata.shutdown().await;
        }
        if let Some(node) = &server.cluster {
            node.shutdown().await;
        }
    };
    for group in [bounded(server.shut_down_shards()).await, bounded(metadata).await] {
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
