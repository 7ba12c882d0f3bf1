//! The bus: how the nodes of a cluster talk to each other.
//!
//! One TCP connection for each peer and [`Class`], made by the side that has something to ask; the other
//! side answers on it. Requests of all groups and services share it: each carries an id, many are under
//! way at a time, and answers come back in any order. `frame` draws the bytes.
//!
//! | part | what it is |
//! |---|---|
//! | `frame` | the bytes of frames and of the greeting |
//! | `stream` | frames out of a stream, with TLS or without |
//! | `socket` | where connections come from |
//! | `tls` | who may connect, by certificate |
//! | `outbox` | the bounded queue before a connection's writer, which writes all there is at once |
//! | `link` | the side that dials |
//! | `inbound` | the side that is dialled |
//!
//! # Who may talk
//! With TLS, whoever has a certificate of the cluster's authority; without it, whoever reaches the port. Both sides greet with the id of their cluster. Different clusters refuse each other. A node that is in
//! no cluster yet greets with 0: such a connection reaches only services that were registered with
//! [`Bus::serve_strangers`], which is how nodes join. When a node joins a cluster ([`Bus::set_identity`]),
//! all its connections are made anew.
//!
//! # What is not promised
//! A frame may be lost with its connection, before or after it was handled: [`BusError::Disconnected`] and
//! [`BusError::Timeout`] mean that nobody knows. Nothing is sent twice. Requests of one connection *begin*
//! in the order in which they were sent: the first step of their handling is taken one after the other.

mod frame;
mod inbound;
mod link;
mod outbox;
mod socket;
mod stream;
mod tls;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

pub use frame::Body;
pub use link::PendingCall;
pub use outbox::Urgency;
pub use socket::Listener;
pub use tls::{Tls, TlsError};

use crate::limits::{BUS_STRANGERS_LOGGED_MAX, SNAPSHOT_DEFAULT_BYTES_PER_SECOND};
use crate::types::NodeId;
use frame::Hello;
use inbound::Inbound;
use link::Link;

/// The services of raft; see `raft::peers`. Other layers number theirs from [`SERVICE_FIRST_FREE`].
pub(crate) mod services {
    pub(crate) const APPEND: u8 = 1;
    pub(crate) const HEARTBEAT: u8 = 2;
    pub(crate) const VOTE: u8 = 3;
    pub(crate) const PRE_VOTE: u8 = 4;
    pub(crate) const TRANSFER_LEADER: u8 = 5;
    pub(crate) const SNAPSHOT: u8 = 6;
    pub(crate) const READ_INDEX: u8 = 7;
}

/// The lowest service number that raft leaves to other layers.
pub const SERVICE_FIRST_FREE: u8 = 32;

/// What a connection is for. Each has its own, so that a snapshot does not hold up a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Raft's own messages, and what is as small and as urgent.
    Raft = 0,
    /// Commands of clients.
    Forward = 1,
    /// Snapshots, and whatever is long.
    Bulk = 2,
}

impl Class {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Class::Raft,
            1 => Class::Forward,
            2 => Class::Bulk,
            _ => return None,
        })
    }

    /// Its name in INFO.
    pub fn name(self) -> &'static str {
        match self {
            Class::Raft => "raft",
            Class::Forward => "forward",
            Class::Bulk => "bulk",
        }
    }
}

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A node, wherever [`Bus::set_address`] says that it is. Another node that answers there is refused.
    Node(NodeId),
    /// Whoever listens at `host:port`.
    Address(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Node(node) => write!(f, "node {}", node.0),
            Target::Address(address) => f.write_str(address),
        }
    }
}

impl From<NodeId> for Target {
    fn from(node: NodeId) -> Self {
        Target::Node(node)
    }
}

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The peer cannot be connected to. The request was not sent.
    #[error("cannot connect to {0}")]
    Unreachable(String),
    /// Nobody said where the node is. The request was not sent.
    #[error("the address of node {0} is not known")]
    NoAddress(u64),
    /// Who answers there is not who was meant. The request was not sent.
    #[error("the peer is a stranger: {0}")]
    Stranger(String),
    /// The connection broke. Whether the request was handled is unknown.
    #[error("the connection broke")]
    Disconnected,
    /// There was no answer in time. Whether the request was handled is unknown.
    #[error("no answer in time")]
    Timeout,
    /// The peer's service, or the lack of it, said no.
    #[error("refused: {0}")]
    Refused(String),
    /// The request is longer than a frame may be. It was not sent.
    #[error("the request is too large")]
    TooLarge,
    /// This bus has been shut down.
    #[error("the bus is closed")]
    Closed,
}

impl BusError {
    /// The request certainly was not handled.
    pub fn is_unsent(&self) -> bool {
        match self {
            BusError::Unreachable(_) | BusError::NoAddress(_) | BusError::Stranger(_) | BusError::TooLarge => true,
            BusError::Disconnected | BusError::Timeout | BusError::Refused(_) | BusError::Closed => false,
        }
    }
}

/// A request as a service sees it.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Who asks, by its own words.
    pub node: NodeId,
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The group, or whatever the service takes it for.
    pub group: u32,
    /// The payload, a slice of a larger buffer: copy what is kept for long.
    pub payload: Bytes,
}

/// What a service answers: bytes, or why not.
pub type Answer = Result<Body, String>;
/// A future in a box, as services return it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
/// A service. It is called on the connection's reader, one request after the other, and so is the first
/// poll of the future it returns: neither may block or take long. The rest runs on a task of its own.
pub type Handler = Arc<dyn Fn(Incoming) -> BoxFuture<Answer> + Send + Sync>;

#[derive(Clone)]
struct Service {
    handler: Handler,
    urgency: Urgency,
    is_for_strangers: bool,
}

/// What the ids of two clusters mean for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The same cluster.
    Member,
    /// One of the two is in no cluster yet.
    Guest,
    /// Another cluster.
    Stranger,
}

fn trust(ours: u128, theirs: u128) -> Trust {
    match (ours, theirs) {
        (0, _) | (_, 0) => Trust::Guest,
        (ours, theirs) if ours == theirs => Trust::Member,
        _ => Trust::Stranger,
    }
}

/// What a bus is started with.
pub struct BusOptions {
    /// This node.
    pub node: NodeId,
    /// Where peers connect to.
    pub listener: Listener,
    /// The cluster; 0 when the node is in none yet.
    pub cluster: u128,
    /// How connections are encrypted, and who may make them; `None` for neither.
    pub tls: Option<Tls>,
}

/// One connection, for INFO and CLUSTER LINKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStats {
    /// Who is at the other end; `None` while not connected to an address.
    pub node: Option<NodeId>,
    /// Where.
    pub address: String,
    /// What the connection is for.
    pub class: Class,
    /// The peer dialled it.
    pub is_inbound: bool,
    /// How long it has been connected; `None` when it is not.
    pub connected_for: Option<Duration>,
    /// Bytes received, over all connections of this link.
    pub bytes_in: u64,
    /// Bytes sent, over all connections of this link.
    pub bytes_out: u64,
    /// Frames received, or parts of large ones, over all connections of this link.
    pub frames_in: u64,
    /// Frames sent, over all connections of this link.
    pub frames_out: u64,
    /// Bytes that wait to be sent.
    pub queued_bytes: u64,
}

/// Who this node is to others.
#[derive(Clone, Copy)]
struct Identity {
    cluster: u128,
    node: NodeId,
}

struct Shared {
    identity: RwLock<Identity>,
    /// Counts the changes of identity. All connections end at a change.
    changes: watch::Sender<u64>,
    closed: std::sync::atomic::AtomicBool,
    services: RwLock<HashMap<u8, Service>>,
    addresses: RwLock<HashMap<NodeId, String>>,
    overrides: RwLock<HashMap<NodeId, String>>,
    links: RwLock<HashMap<(Target, Class), Arc<Link>>>,
    inbound: Mutex<Vec<Arc<Inbound>>>,
    strangers: Mutex<HashSet<(String, String)>>,
    tls: Option<Tls>,
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn hello(&self, class: Class) -> Hello {
        let Identity { cluster, node } = *self.identity.read();
        Hello { cluster, node, class }
    }

    fn address_of(&self, target: &Target) -> Result<String, BusError> {
        match target {
            Target::Address(address) => Ok(address.clone()),
            Target::Node(node) => {
                let overridden = self.overrides.read().get(node).cloned();
                let known = overridden.or_else(|| self.addresses.read().get(node).cloned());
                known.ok_or(BusError::NoAddress(node.0))
            }
        }
    }

    fn service(&self, number: u8, trust: Trust) -> Option<Service> {
        let services = self.services.read();
        services.get(&number).filter(|service| trust == Trust::Member || service.is_for_strangers).cloned()
    }

    /// Says once who was refused and why.
    fn log_stranger(&self, address: &str, why: &str) {
        let mut strangers = self.strangers.lock();
        if strangers.len() < BUS_STRANGERS_LOGGED_MAX && strangers.insert((address.to_owned(), why.to_owned())) {
            tracing::warn!(%address, %why, "a bus connection was refused; said once");
        }
    }

    fn add_inbound(&self, inbound: &Arc<Inbound>) {
        self.inbound.lock().push(Arc::clone(inbound));
    }

    /// A node has connected to this one: it need not be waited for any longer.
    fn is_back(&self, node: NodeId) {
        for (_, link) in self.links.read().iter().filter(|((target, _), _)| *target == Target::Node(node)) {
            link.retry_now();
        }
    }

    fn remove_inbound(&self, inbound: &Arc<Inbound>) {
        self.inbound.lock().retain(|other| !Arc::ptr_eq(other, inbound));
    }
}

/// A node's end of the bus. Dropped, it is shut down.
pub struct Bus {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    /// Bytes per second that snapshots may take.
    snapshot_rate: AtomicU64,
    /// When the next bytes of a snapshot may be sent.
    snapshot_free_at: Mutex<Instant>,
    /// Raft's part, made by the first group.
    pub(super) raft: OnceLock<Arc<super::peers::Registry>>,
}

impl Bus {
    /// Starts to accept connections. Must be called on a tokio runtime.
    pub fn start(options: BusOptions) -> std::io::Result<Arc<Self>> {
        let BusOptions { node, listener, cluster, tls } = options;
        let local_address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            identity: RwLock::new(Identity { cluster, node }),
            changes: watch::Sender::new(0),
            closed: Default::default(),
            services: RwLock::default(),
            addresses: RwLock::default(),
            overrides: RwLock::default(),
            links: RwLock::default(),
            inbound: Mutex::default(),
            strangers: Mutex::default(),
            tls,
        });
        tokio::spawn(inbound::accept(Arc::clone(&shared), listener));
        let snapshot_rate = AtomicU64::new(SNAPSHOT_DEFAULT_BYTES_PER_SECOND);
        let snapshot_free_at = Mutex::new(Instant::now());
        Ok(Arc::new(Self { shared, local_address, snapshot_rate, snapshot_free_at, raft: OnceLock::new() }))
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.shared.identity.read().node
    }

    /// The cluster this node is in; 0 when in none.
    pub fn cluster(&self) -> u128 {
        self.shared.identity.read().cluster
    }

    /// The node has joined a cluster, or left it (0). All connections are made anew; what was unanswered
    /// on them fails.
    pub fn set_identity(&self, cluster: u128, node: NodeId) {
        *self.shared.identity.write() = Identity { cluster, node };
        self.shared.changes.send_modify(|count| *count += 1);
    }

    /// Says where a node is, `host:port`. A connection to another address is given up.
    pub fn set_address(&self, node: NodeId, address: &str) {
        let before = self.shared.addresses.write().insert(node, address.to_owned());
        if before.is_some_and(|before| before != address) && !self.shared.overrides.read().contains_key(&node) {
            self.reset(node);
        }
    }

    /// The same, but only of a node that nobody has placed yet: a group's membership may be older than what the
    /// cluster knows.
    pub(super) fn suggest_address(&self, node: NodeId, address: &str) {
        if !address.is_empty() {
            self.shared.addresses.write().entry(node).or_insert_with(|| address.to_owned());
        }
    }

    /// Where [`Bus::set_address`] said that a node is.
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.shared.addresses.read().get(&node).cloned()
    }

    /// Reaches a node by another address than the cluster knows, through a proxy or another network. `None`
    /// takes that back. Connections to the node are given up.
    pub fn override_address(&self, node: NodeId, address: Option<String>) {
        match address {
            Some(address) => self.shared.overrides.write().insert(node, address),
            None => self.shared.overrides.write().remove(&node),
        };
        self.reset(node);
    }

    fn reset(&self, node: NodeId) {
        for (_, link) in self.shared.links.read().iter().filter(|((target, _), _)| *target == Target::Node(node)) {
            link.reset();
        }
    }

    /// Registers a service for members of the cluster. The later of two with a number counts.
    pub fn serve(&self, service: u8, handler: Handler) {
        self.register(service, Service { handler, urgency: Urgency::Now, is_for_strangers: false });
    }

    /// Registers a service that also nodes in no cluster may ask, and that a node in no cluster offers.
    pub fn serve_strangers(&self, service: u8, handler: Handler) {
        self.register(service, Service { handler, urgency: Urgency::Now, is_for_strangers: true });
    }

    /// Registers a service whose answers can wait a little, to travel with others.
    pub(crate) fn serve_gathering(&self, service: u8, handler: Handler) {
        self.register(service, Service { handler, urgency: Urgency::Gather, is_for_strangers: false });
    }

    fn register(&self, number: u8, service: Service) {
        self.shared.services.write().insert(number, service);
    }

    fn link(&self, target: &Target, class: Class) -> Arc<Link> {
        let key = (target.clone(), class);
        if let Some(link) = self.shared.links.read().get(&key) {
            return Arc::clone(link);
        }
        let mut links = self.shared.links.write();
        Arc::clone(links.entry(key).or_insert_with(|| Link::new(target.clone(), class)))
    }

    /// Asks, and waits for the answer. Waits too while the queue to the peer is full.
    ///
    /// # Errors
    /// See [`BusError`]; only some kinds mean that nothing was done.
    pub async fn call(
        &self,
        target: &Target,
        class: Class,
        service: u8,
        group: u32,
        payload: impl Into<Body>,
        timeout: Duration,
    ) -> Result<Bytes, BusError> {
        let asking = async {
            std::future::poll_fn(|context| self.poll_room(target, class, context)).await;
            self.start_call(target, class, service, group, payload.into(), Urgency::Now)?.await
        };
        tokio::time::timeout(timeout, asking).await.unwrap_or(Err(BusError::Timeout))
    }

    /// Asks without waiting: many calls can be under way, and each future yields its own answer. It has no
    /// time-out, but fails when the connection breaks. The queue's bound is not enforced here: see
    /// [`Bus::poll_room`].
    ///
    /// # Errors
    /// When the peer was unreachable a moment ago. Otherwise the future tells.
    pub fn start_call(
        &self,
        target: &Target,
        class: Class,
        service: u8,
        group: u32,
        payload: Body,
        urgency: Urgency,
    ) -> Result<PendingCall, BusError> {
        self.link(target, class).start(&self.shared, service, group, payload, urgency)
    }

    /// Sends what nobody answers: it may be lost.
    ///
    /// # Errors
    /// When the peer was unreachable a moment ago.
    pub fn send(
        &self,
        target: &Target,
        class: Class,
        service: u8,
        group: u32,
        payload: Body,
        urgency: Urgency,
    ) -> Result<(), BusError> {
        self.link(target, class).send(&self.shared, service, group, payload, urgency)
    }

    /// Ready when the queue to a peer is below its bound.
    pub fn poll_room(&self, target: &Target, class: Class, context: &mut Context<'_>) -> Poll<()> {
        self.link(target, class).poll_room(context)
    }

    /// All connections, and those that were.
    pub fn peers(&self) -> Vec<PeerStats> {
        let mut stats = BTreeMap::new();
        for ((target, class), link) in self.shared.links.read().iter() {
            let connected = link.connected();
            let node = match target {
                Target::Node(node) => Some(*node),
                Target::Address(_) => connected.map(|(_, node)| node),
            };
            let peer = PeerStats {
                node,
                address: self.shared.address_of(target).unwrap_or_default(),
                class: *class,
                is_inbound: false,
                connected_for: connected.map(|(since, _)| since),
                bytes_in: link.counters.bytes_in.load(Relaxed),
                bytes_out: link.counters.bytes_out.load(Relaxed),
                frames_in: link.counters.frames_in.load(Relaxed),
                frames_out: link.counters.frames_out.load(Relaxed),
                queued_bytes: link.queued_bytes() as u64,
            };
            stats.insert((target.clone(), *class), peer);
        }
        let inbound = self.shared.inbound.lock();
        let inbound = inbound.iter().map(|inbound| PeerStats {
            node: Some(inbound.node),
            address: inbound.address.to_string(),
            class: inbound.class,
            is_inbound: true,
            connected_for: Some(inbound.since.elapsed()),
            bytes_in: inbound.counters.bytes_in.load(Relaxed),
            bytes_out: inbound.counters.bytes_out.load(Relaxed),
            frames_in: inbound.counters.frames_in.load(Relaxed),
            frames_out: inbound.counters.frames_out.load(Relaxed),
            queued_bytes: inbound.queued_bytes() as u64,
        });
        stats.into_values().chain(inbound).collect()
    }

    /// Bytes per second at which this node sends snapshots, all together.
    pub fn snapshot_rate(&self) -> u64 {
        self.snapshot_rate.load(Relaxed)
    }

    /// Changes the rate at which this node sends snapshots, in bytes per second.
    pub fn set_snapshot_rate(&self, bytes_per_second: u64) {
        self.snapshot_rate.store(bytes_per_second.max(1), Relaxed);
    }

    /// Waits until as many bytes of a snapshot may be sent.
    pub(super) async fn take_snapshot_turn(&self, bytes: u64) {
        let duration = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.snapshot_rate());
        let turn = {
            let mut free_at = self.snapshot_free_at.lock();
            let turn = (*free_at).max(Instant::now());
            *free_at = turn + duration;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }

    /// Closes all connections, and the listener. Calls fail from now on.
    pub fn shutdown(&self) {
        self.shared.closed.store(true, Relaxed);
        self.shared.changes.send_modify(|count| *count += 1);
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.shutdown();
    }
}

#[cfg(test)]
mod tests;
