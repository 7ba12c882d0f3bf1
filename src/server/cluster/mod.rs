//! This node's part in a cluster: its end of the bus, its replica of the metadata, its replicas of shards.
//!
//! | part | what it is |
//! |---|---|
//! | [`join`] | how nodes become a cluster |
//! | [`controller`] | makes this node what the metadata say: opens shards, sets the table of routes, spreads leaders |
//! | [`forward`] | commands for shards that another node leads |
//! | `lend` | clients that wait at a shard's leader on another node |
//! | [`settings`] | settings that all nodes share |
//! | [`ask`] | small questions between nodes |
//! | [`status`] | what an operator is shown |
//!
//! # Invariants
//! - What a node has to do follows from the metadata alone; what it has done is repeated without harm.
//! - A node is in one cluster for the life of its data directory.

pub mod ask;
pub mod controller;
pub mod forward;
pub mod join;
pub(super) mod lend;
pub mod settings;
pub mod status;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::datadir::DataDir;
use super::shards::ShardFactory;
use crate::cluster::metadata::{METADATA_GROUP, Metadata, MetadataError};
use crate::cluster::state::{ClusterState, node_number};
use crate::raft::bus::{Class, Target, Tls};
use crate::raft::{Bus, BusOptions, ClusterOptions, GroupOptions, SharedLog};
use crate::shard::Shard;
use crate::types::{NodeId, ShardId};

/// Services of this layer on the bus.
pub(super) mod services {
    use crate::raft::bus::SERVICE_FIRST_FREE;

    /// Commands of a client for one shard.
    pub(crate) const FORWARD: u8 = SERVICE_FIRST_FREE;
    /// A question, see `ask`.
    pub(crate) const ASK: u8 = SERVICE_FIRST_FREE + 1;
    /// Come into this cluster.
    pub(crate) const JOIN: u8 = SERVICE_FIRST_FREE + 2;
    /// A client's request that waits.
    pub(crate) const LEND: u8 = SERVICE_FIRST_FREE + 3;
    /// Such a client waits no more.
    pub(crate) const CALL_OFF: u8 = SERVICE_FIRST_FREE + 4;
}

/// What a node needs to be one of a cluster.
pub struct ClusterNode {
    /// Its name: 40 hexadecimal digits.
    pub name: String,
    /// Its number, which is the beginning of its name.
    pub number: NodeId,
    /// The port for clients.
    pub port: u16,
    /// The port of the bus.
    pub bus_port: u16,
    /// Its end of the bus.
    pub bus: Arc<Bus>,
    /// How it opens shards.
    pub(super) factory: ShardFactory,
    log: Arc<SharedLog>,
    /// Acknowledged entries may be missing from its log.
    may_have_lost: bool,
    metadata: OnceLock<Arc<Metadata>>,
    /// Signalled when there are metadata.
    pub(super) joined: Notify,
    /// One attempt to join or to create at a time.
    joining: tokio::sync::Mutex<()>,
    /// The replicas this node has open.
    pub(super) shards: RwLock<BTreeMap<ShardId, Arc<Shard>>>,
    /// Clients of other nodes that wait at shards led here.
    pub(super) loans: lend::Loans,
    /// The cluster's settings that this node has taken over.
    obeyed: Mutex<BTreeMap<String, String>>,
    /// Runs that were sent to other nodes.
    pub forwarded: AtomicU64,
    /// What became of the controller's last round, if something is wrong.
    pub(super) trouble: Mutex<Option<String>>,
}

/// What a node is started with.
pub struct ClusterNodeOptions {
    /// Where peers connect to.
    pub listener: TcpListener,
    /// The port for clients.
    pub port: u16,
    /// How nodes encrypt what they send each other, if they do.
    pub tls: Option<Tls>,
    /// How it opens shards.
    pub factory: ShardFactory,
    /// The write-ahead log.
    pub log: Arc<SharedLog>,
    /// Acknowledged entries may be missing from the log.
    pub may_have_lost: bool,
}

impl ClusterNode {
    /// Starts the bus, and opens the metadata if the node is in a cluster already.
    ///
    /// # Errors
    /// When files cannot be read.
    pub async fn start(options: ClusterNodeOptions, data_dir: &DataDir) -> anyhow::Result<Arc<Self>> {
        let ClusterNodeOptions { listener, port, tls, factory, log, may_have_lost } = options;
        let name = data_dir.node_id().to_owned();
        let number = node_number(&name).ok_or_else(|| anyhow::anyhow!("the node's name {name} has no number"))?;
        let cluster = data_dir.cluster_id()?;
        let bus =
            Bus::start(BusOptions { node: number, listener: listener.into(), cluster: cluster.unwrap_or(0), tls })?;
        let node = Arc::new(Self {
            name,
            number,
            port,
            bus_port: bus.local_address().port(),
            bus,
            factory,
            log,
            may_have_lost,
            metadata: OnceLock::new(),
            joined: Notify::new(),
            joining: tokio::sync::Mutex::default(),
            shards: RwLock::default(),
            loans: lend::Loans::default(),
            obeyed: Mutex::default(),
            forwarded: AtomicU64::new(0),
            trouble: Mutex::default(),
        });
        if cluster.is_some() {
            node.open_metadata().await?;
        }
        Ok(node)
    }

    /// Begins to answer other nodes.
    pub fn serve(self: &Arc<Self>) {
        join::serve(self);
        forward::serve(self);
        lend::serve(self);
        ask::serve(self);
    }

    /// Opens this node's replica of the metadata, unless it is open.
    async fn open_metadata(&self) -> Result<(), MetadataError> {
        if self.metadata.get().is_some() {
            return Ok(());
        }
        let options = GroupOptions {
            id: METADATA_GROUP,
            node: self.number,
            dir: self.factory.dir.join("metadata"),
            log: Arc::clone(&self.log),
            cluster: Some(self.raft_options()),
        };
        let metadata = Arc::new(Metadata::open_group(options, crate::shard::clock::entropy()).await?);
        let _ = self.metadata.set(metadata);
        self.joined.notify_waiters();
        Ok(())
    }

    /// How this node's groups take part.
    pub(super) fn raft_options(&self) -> ClusterOptions {
        ClusterOptions { may_have_lost: self.may_have_lost, ..ClusterOptions::new(Arc::clone(&self.bus)) }
    }

    /// The metadata, if the node is in a cluster.
    pub fn metadata(&self) -> Option<&Arc<Metadata>> {
        self.metadata.get()
    }

    /// What the cluster looks like to this node; `None` before it was created.
    pub fn state(&self) -> Option<Arc<ClusterState>> {
        self.metadata().map(|metadata| metadata.state()).filter(|state| state.id.is_some())
    }

    /// A replica that this node has open.
    pub fn shard(&self, shard: ShardId) -> Option<Arc<Shard>> {
        self.shards.read().get(&shard).cloned()
    }

    /// Whether there is a connection to a node, or it is this one.
    pub fn is_connected(&self, node: NodeId) -> bool {
        node == self.number
            || self.bus.peers().iter().any(|peer| peer.node == Some(node) && peer.connected_for.is_some())
    }

    /// Tells the bus where the nodes are.
    fn place(&self, nodes: impl Iterator<Item = (NodeId, String)>) {
        for (node, address) in nodes.filter(|&(node, _)| node != self.number) {
            self.bus.set_address(node, &address);
        }
    }

    /// Asks another node, or this one.
    ///
    /// # Errors
    /// In words.
    pub async fn ask(&self, node: NodeId, question: &ask::Question) -> Result<ask::Reply, String> {
        if node == self.number {
            return ask::answer(self, question.clone()).await;
        }
        const PATIENCE: Duration = Duration::from_secs(5);
        let payload = crate::codec::encode(question).map_err(|error| error.to_string())?;
        let peer = Target::Node(node);
        let asked = self.bus.call(&peer, Class::Forward, services::ASK, 0, payload, PATIENCE);
        let answer = asked.await.map_err(|error| error.to_string())?;
        crate::codec::decode(&answer).map_err(|error| error.to_string())
    }

    /// Stops the bus and the metadata; the shards are stopped before.
    pub async fn shutdown(&self) {
        if let Some(metadata) = self.metadata() {
            metadata.shutdown().await;
        }
        self.bus.shutdown();
    }
}
