//! The metadata group: a small replicated map of names to values, changed by transactions.
//!
//! A standalone server keeps there the keyspaces that were ever configured with the engine that holds
//! their keys, so that a changed configuration cannot silently look for data in the wrong engine. In a
//! cluster it also holds nodes, shards and the ring (`state`).
//!
//! Every transaction that is accepted raises the epoch by one. It may name the epoch that it was made for, and
//! is then refused when another came first.
//!
//! ```text
//! payload = version u8 = 1 | name length u16 | name | value                    one value, any epoch
//!         | version u8 = 2 | transaction, encoded by `codec`
//! ```

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincode::{Decode, Encode};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::state::{ClusterState, Map};
use crate::raft::{Group, GroupOptions, ProposeError, SharedLog, SnapshotJob, StateMachine};
use crate::storage::{EngineKind, KeyspaceRules};
use crate::types::{LogIndex, NodeId, ShardId};

const SINGLE_VERSION: u8 = 1;
const TRANSACTION_VERSION: u8 = 2;
/// The raft group of the metadata; shards are numbered from 1.
pub const METADATA_GROUP: ShardId = ShardId(0);
/// Names of keyspace entries begin with this.
const KEYSPACE: &str = "keyspace/";
/// Under which name the map itself keeps its epoch.
const EPOCH: &str = "epoch";
/// Name of the number of shards of a standalone server.
const SHARDS: &str = "shards";

/// What the metadata cannot do.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The group cannot be opened or written.
    #[error("metadata group: {0}")]
    Raft(String),
    /// Another node leads the group; nothing was changed.
    #[error("another node leads the metadata group")]
    NotLeader {
        /// Who, if known.
        leader: Option<NodeId>,
    },
    /// Another transaction came first; nothing was changed.
    #[error("the metadata were changed by somebody else meanwhile")]
    Conflict,
    /// The configuration contradicts the data.
    #[error(
        "keyspace {name} is configured with engine '{configured}', but its data is in engine '{existing}'; \
         restore the setting, or start with an empty data directory and import the data"
    )]
    EngineChanged {
        /// Which keyspace.
        name: String,
        /// What the configuration says.
        configured: EngineKind,
        /// What holds the data.
        existing: String,
    },
    /// The keys are divided otherwise.
    #[error(
        "setting shards is {configured}, but the keys in this data directory are divided over {existing} shards; \
         restore the setting, or start with an empty data directory and import the data"
    )]
    ShardsChanged {
        /// What the configuration says.
        configured: usize,
        /// How many there are.
        existing: String,
    },
}

/// Values to set (`Some`) and names to remove (`None`), all or none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Transaction {
    /// Only if this still is the epoch.
    pub epoch: Option<u64>,
    /// Names, and their new values.
    pub changes: Vec<(String, Option<Vec<u8>>)>,
    /// Made by the proposer, so that it recognises its own.
    ticket: u64,
}

impl Transaction {
    /// A transaction for one epoch, or for any.
    pub fn new(epoch: Option<u64>, changes: Vec<(String, Option<Vec<u8>>)>) -> Self {
        Self { epoch, changes, ticket: 0 }
    }
}

/// The metadata of the cluster, as this node has them.
pub struct Metadata {
    inner: Arc<Inner>,
    group: Group,
}

/// What the group's machine shares with the handle.
struct Inner {
    map: RwLock<Map>,
    state: watch::Sender<Arc<ClusterState>>,
    /// Transactions proposed here, by ticket; whether they were accepted, once they are applied.
    outcomes: Mutex<HashMap<u64, Option<bool>>>,
    tickets: std::sync::atomic::AtomicU64,
}

impl Inner {
    fn new(first_ticket: u64) -> Arc<Self> {
        Arc::new(Self {
            map: RwLock::default(),
            state: watch::Sender::new(Arc::default()),
            outcomes: Mutex::default(),
            tickets: std::sync::atomic::AtomicU64::new(first_ticket),
        })
    }

    fn epoch(map: &Map) -> u64 {
        map.get(EPOCH).and_then(|bytes| bytes.as_slice().try_into().ok()).map_or(0, u64::from_le_bytes)
    }

    /// Changes the map, if the transaction is for this epoch; answers whether it was.
    fn commit(&self, transaction: &Transaction) -> bool {
        let mut map = self.map.write();
        let epoch = Self::epoch(&map);
        if transaction.epoch.is_some_and(|expected| expected != epoch) {
            return false;
        }
        for (name, value) in &transaction.changes {
            match value {
                Some(value) => map.insert(name.clone(), value.clone()),
                None => map.remove(name),
            };
        }
        map.insert(EPOCH.to_owned(), (epoch + 1).to_le_bytes().to_vec());
        true
    }

    /// Tells those who watch what the map says now.
    fn publish(&self) -> io::Result<()> {
        let state = {
            let map = self.map.read();
            ClusterState::read(&map, Self::epoch(&map))?
        };
        self.state.send_replace(Arc::new(state));
        Ok(())
    }
}

impl Metadata {
    /// Opens the group of a standalone server in `dir`, and waits until it can be used; `seed` as for
    /// [`open_group`](Self::open_group).
    ///
    /// # Errors
    /// When its files cannot be read.
    pub async fn open(dir: PathBuf, node: NodeId, log: Arc<SharedLog>, seed: u64) -> Result<Self, MetadataError> {
        let metadata =
            Self::open_group(GroupOptions { id: METADATA_GROUP, node, dir, log, cluster: None }, seed).await?;
        metadata.group.wait_ready().await.map_err(|error| raft_error(&error))?;
        Ok(metadata)
    }

    /// Opens this node's replica of the group. `seed` is a random number: transactions of other processes begin elsewhere.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub async fn open_group(options: GroupOptions, seed: u64) -> Result<Self, MetadataError> {
        let inner = Inner::new(seed);
        let machine = Machine { inner: Arc::clone(&inner) };
        let group = Group::open(options, machine).await.map_err(|error| raft_error(&error))?;
        Ok(Self { inner, group })
    }

    /// The raft group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// What the cluster looks like, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.inner.state.subscribe()
    }

    /// What the cluster looks like to this node.
    pub fn state(&self) -> Arc<ClusterState> {
        Arc::clone(&self.inner.state.borrow())
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.inner.map.read().get(name).cloned()
    }

    /// Sets a value on all nodes.
    ///
    /// # Errors
    /// When this node does not lead the group, or the outcome is unknown.
    pub async fn set(&self, name: &str, value: &[u8]) -> Result<(), MetadataError> {
        self.transact(Transaction::new(None, vec![(name.to_owned(), Some(value.to_vec()))])).await
    }

    /// Changes values on all nodes; returns when this node has the change.
    ///
    /// # Errors
    /// When this node does not lead the group, the epoch is another, or the outcome is unknown.
    pub async fn transact(&self, mut transaction: Transaction) -> Result<(), MetadataError> {
        transaction.ticket = self.inner.tickets.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let ticket = transaction.ticket;
        let mut payload = vec![TRANSACTION_VERSION];
        payload.extend(crate::codec::encode(&transaction).map_err(|error| raft_error(&error))?);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let inner = Arc::clone(&self.inner);
        let done = move |result: Result<LogIndex, ProposeError>| {
            let accepted = inner.outcomes.lock().remove(&ticket).flatten();
            let _ = sender.send(result.map(|_| accepted));
        };
        self.inner.outcomes.lock().insert(ticket, None);
        // On an error `done` was called with it.
        let _ = self.group.propose(Bytes::from(payload), done).await;
        let unknown = || MetadataError::Raft("the group stopped; the outcome is unknown".to_owned());
        match receiver.await.map_err(|_| unknown())? {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(MetadataError::Conflict),
            Ok(None) => Err(unknown()),
            Err(ProposeError::NotLeader { leader }) => Err(MetadataError::NotLeader { leader }),
            Err(error) => Err(raft_error(&error)),
        }
    }

    /// Compares the configured keyspaces with those the data was written under, and notes new ones.
    ///
    /// # Errors
    /// When a keyspace's engine has changed.
    pub async fn reconcile_keyspaces(&self, rules: &KeyspaceRules) -> Result<(), MetadataError> {
        self.check_keyspaces(rules)?;
        for (name, engine) in keyspace_values(rules) {
            if self.get(&name).is_none() {
                self.set(&name, &engine).await?;
            }
        }
        Ok(())
    }

    /// Compares the configured keyspaces with those the data was written under.
    ///
    /// # Errors
    /// When a keyspace's engine has changed.
    pub fn check_keyspaces(&self, rules: &KeyspaceRules) -> Result<(), MetadataError> {
        for (name, configured) in keyspaces(rules) {
            match self.get(&format!("{KEYSPACE}{name}")) {
                Some(existing) if existing != configured.name().as_bytes() => {
                    let existing = String::from_utf8_lossy(&existing).into_owned();
                    return Err(MetadataError::EngineChanged { name, configured, existing });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Compares the configured number of shards with that of the data, and notes it at the first start. To be
    /// called before [`Self::reconcile_keyspaces`].
    ///
    /// # Errors
    /// When the number has changed.
    pub async fn reconcile_shards(&self, configured: usize) -> Result<(), MetadataError> {
        // Directories of versions that had one shard only do not say so.
        let is_old = || self.inner.map.read().keys().any(|name| name.starts_with(KEYSPACE));
        let existing = match self.get(SHARDS) {
            Some(existing) => String::from_utf8_lossy(&existing).into_owned(),
            None => if is_old() { 1 } else { configured }.to_string(),
        };
        if existing != configured.to_string() {
            return Err(MetadataError::ShardsChanged { configured, existing });
        }
        if self.get(SHARDS).is_none() {
            self.set(SHARDS, existing.as_bytes()).await?;
        }
        Ok(())
    }

    /// Takes a snapshot and drops the log before it.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub async fn snapshot(&self) -> Result<(), MetadataError> {
        self.group.snapshot().await.map(|_index| ()).map_err(|error| raft_error(&error))
    }

    /// Stops the group.
    pub async fn shutdown(&self) {
        self.group.shutdown().await;
    }
}

fn keyspaces(rules: &KeyspaceRules) -> impl Iterator<Item = (String, EngineKind)> + '_ {
    let default = [("default".to_owned(), rules.default_engine())];
    let named = rules.rules().iter().map(|rule| {
        let prefix = String::from_utf8_lossy(&rule.prefix).into_owned();
        (format!("db{}/{prefix}", rule.db.0), rule.engine)
    });
    default.into_iter().chain(named)
}

/// The values that say which engine keeps which keys.
pub fn keyspace_values(rules: &KeyspaceRules) -> impl Iterator<Item = (String, Vec<u8>)> + '_ {
    keyspaces(rules).map(|(name, engine)| (format!("{KEYSPACE}{name}"), engine.name().as_bytes().to_vec()))
}

fn raft_error(error: &dyn std::fmt::Display) -> MetadataError {
    MetadataError::Raft(error.to_string())
}

struct Machine {
    inner: Arc<Inner>,
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "damaged metadata entry")
}

/// Reads a payload of either version.
fn read_payload(payload: &[u8]) -> io::Result<Transaction> {
    match payload {
        [SINGLE_VERSION, low, high, rest @ ..] => {
            let length = usize::from(u16::from_le_bytes([*low, *high]));
            let (name, value) = rest.split_at_checked(length).ok_or_else(damaged)?;
            let name = std::str::from_utf8(name).map_err(|_| damaged())?;
            Ok(Transaction::new(None, vec![(name.to_owned(), Some(value.to_vec()))]))
        }
        [TRANSACTION_VERSION, rest @ ..] => crate::codec::decode(rest),
        _ => Err(damaged()),
    }
}

impl StateMachine for Machine {
    fn apply(&mut self, _: LogIndex, _: u64, payload: &Bytes) -> io::Result<()> {
        let transaction = read_payload(payload)?;
        let accepted = self.inner.commit(&transaction);
        if let Some(outcome) = self.inner.outcomes.lock().get_mut(&transaction.ticket) {
            *outcome = Some(accepted);
        }
        if accepted { self.inner.publish() } else { Ok(()) }
    }

    fn skip(&mut self, _: LogIndex) -> io::Result<()> {
        Ok(())
    }

    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>> {
        Ok(Box::new(Job(self.inner.map.read().clone())))
    }

    fn restore(&mut self, _: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
        let bytes = std::fs::read(body)?;
        let bytes = bytes.get(usize::try_from(body_offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        *self.inner.map.write() = crate::codec::decode(bytes)?;
        self.inner.publish()
    }
}

struct Job(Map);

impl SnapshotJob for Job {
    fn write(self: Box<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&crate::codec::encode(&self.0)?)
    }
}
