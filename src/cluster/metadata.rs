//! The metadata group: a small replicated map of names to values.
//!
//! It keeps the keyspaces that were ever configured with the engine that holds their keys, so that a
//! changed configuration cannot silently look for data in the wrong engine.
//!
//! ```text
//! payload = version u8 | name length u16 | name | value
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::raft::{Group, GroupOptions, SharedLog, SnapshotJob, StateMachine};
use crate::storage::{EngineKind, KeyspaceRules};
use crate::types::{LogIndex, NodeId, ShardId};

const PAYLOAD_VERSION: u8 = 1;
/// The raft group of the metadata; shards are numbered from 1.
pub const METADATA_GROUP: ShardId = ShardId(0);
/// Names of keyspace entries begin with this.
const KEYSPACE: &str = "keyspace/";
/// Name of the number of shards.
const SHARDS: &str = "shards";

type Map = BTreeMap<String, Vec<u8>>;

/// What the metadata cannot do.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The group cannot be opened or written.
    #[error("metadata group: {0}")]
    Raft(String),
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

/// The metadata of the cluster.
pub struct Metadata {
    map: Arc<RwLock<Map>>,
    group: Group,
}

impl Metadata {
    /// Opens the group in `dir`.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub async fn open(dir: PathBuf, node: NodeId, log: Arc<SharedLog>) -> Result<Self, MetadataError> {
        let map = Arc::new(RwLock::new(Map::new()));
        let machine = Machine { map: Arc::clone(&map) };
        let raft_error = |error: &dyn std::fmt::Display| MetadataError::Raft(error.to_string());
        let options = GroupOptions { id: METADATA_GROUP, node, dir, log };
        let group = Group::open(options, machine).await.map_err(|error| raft_error(&error))?;
        group.wait_ready().await.map_err(|error| raft_error(&error))?;
        Ok(Self { map, group })
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.map.read().get(name).cloned()
    }

    /// Sets a value on all nodes.
    ///
    /// # Errors
    /// When the group has no leader, or the outcome is unknown.
    pub async fn set(&self, name: &str, value: &[u8]) -> Result<(), MetadataError> {
        let mut payload = vec![PAYLOAD_VERSION];
        let length = u16::try_from(name.len()).map_err(|_| MetadataError::Raft("a name is too long".to_owned()))?;
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(name.as_bytes());
        payload.extend_from_slice(value);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = move |result| {
            let _ = sender.send(result);
        };
        let unknown = || MetadataError::Raft("the group stopped".to_owned());
        let as_error = |error: crate::raft::ProposeError| MetadataError::Raft(error.to_string());
        self.group.propose(Bytes::from(payload), done).await.map_err(as_error)?;
        receiver.await.map_err(|_| unknown())?.map_err(as_error).map(|_index| ())
    }

    /// Compares the configured keyspaces with those the data was written under, and notes new ones.
    ///
    /// # Errors
    /// When a keyspace's engine has changed.
    pub async fn reconcile_keyspaces(&self, rules: &KeyspaceRules) -> Result<(), MetadataError> {
        let default = [("default".to_owned(), rules.default_engine())];
        let named = rules.rules().iter().map(|rule| {
            let prefix = String::from_utf8_lossy(&rule.prefix).into_owned();
            (format!("db{}/{prefix}", rule.db.0), rule.engine)
        });
        for (name, configured) in default.into_iter().chain(named) {
            let key = format!("{KEYSPACE}{name}");
            match self.get(&key) {
                None => self.set(&key, configured.name().as_bytes()).await?,
                Some(existing) if existing == configured.name().as_bytes() => {}
                Some(existing) => {
                    let existing = String::from_utf8_lossy(&existing).into_owned();
                    return Err(MetadataError::EngineChanged { name, configured, existing });
                }
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
        let is_old = || self.map.read().keys().any(|name| name.starts_with(KEYSPACE));
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
        self.group.snapshot().await.map(|_index| ()).map_err(|error| MetadataError::Raft(error.to_string()))
    }

    /// Stops the group.
    pub async fn shutdown(&self) {
        self.group.shutdown().await;
    }
}

struct Machine {
    map: Arc<RwLock<Map>>,
}

impl StateMachine for Machine {
    fn apply(&mut self, _: LogIndex, payload: &Bytes) -> io::Result<()> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "damaged metadata entry");
        let [PAYLOAD_VERSION, low, high, rest @ ..] = &payload[..] else { return Err(damaged()) };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (name, value) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let name = std::str::from_utf8(name).map_err(|_| damaged())?;
        self.map.write().insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    fn skip(&mut self, _: LogIndex) -> io::Result<()> {
        Ok(())
    }

    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>> {
        Ok(Box::new(Job(self.map.read().clone())))
    }

    fn restore(&mut self, _: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
        let bytes = std::fs::read(body)?;
        let bytes = bytes.get(usize::try_from(body_offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        *self.map.write() = crate::codec::decode(bytes)?;
        Ok(())
    }
}

struct Job(Map);

impl SnapshotJob for Job {
    fn write(self: Box<Self>, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&crate::codec::encode(&self.0)?)
    }
}
