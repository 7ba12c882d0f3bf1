//! Small questions between nodes: how the replicas are, and what concerns whole shards.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::{ClusterNode, services};
use crate::cluster::metadata::{MetadataError, Transaction};
use crate::raft::{GroupStatus, Role};
use crate::shard::{REMOTE_WATCH_LASTS, Shard, WatchId, Watched, clock};
use crate::types::{Db, NodeId, ShardId};

/// What a node can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Question {
    /// How are your replicas?
    Replicas,
    /// How many keys has the shard in a database? To its leader.
    Keys {
        /// The shard.
        shard: u32,
        /// The database.
        db: u16,
    },
    /// What is the digest of your replica, applied up to where?
    Digest {
        /// The shard.
        shard: u32,
        /// Only if it leads, and with everything that was acknowledged.
        of_leader: bool,
    },
    /// Change a setting that all replicas must change at the same entry. To the shard's leader.
    Setting {
        /// The shard.
        shard: u32,
        /// The setting.
        name: String,
        /// Its value.
        value: String,
    },
    /// Change the metadata. To their leader.
    Transact(Transaction),
    /// Watch keys for a client of this node. To the shard's leader.
    Watch {
        /// The shard.
        shard: u32,
        /// The database.
        db: u16,
        /// The keys.
        keys: Vec<Vec<u8>>,
        /// The watch that they are to be added to: its origin and number.
        to: Option<(u64, u64)>,
    },
    /// End a watch. To the shard's leader.
    Unwatch {
        /// The shard.
        shard: u32,
        /// Its origin and number.
        watch: (u64, u64),
    },
    /// Hand the shard's leadership over to a node.
    Transfer {
        /// The shard.
        shard: u32,
        /// To whom.
        to: u64,
    },
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// By shard; 0 is the metadata group.
    Replicas(BTreeMap<u32, ReplicaStatus>),
    /// Keys, and those among them that expire.
    Keys(u64, u64),
    /// The last applied entry, and the digest.
    Digest(u64, [u8; 20]),
    /// The watch: its origin and number.
    Watch(u64, u64),
    /// The watch that keys should be added to is not known.
    WatchIsGone,
    /// It is done.
    Done,
    /// Ask the leader, which is this node if it is known (0 if not). Nothing was done.
    NotLeader(u64),
    /// The metadata were changed by somebody else before. Nothing was done.
    Conflict,
}

/// How a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ReplicaStatus {
    /// Its term.
    pub term: u64,
    /// Who leads, or 0.
    pub leader: u64,
    /// Whether it leads, and may answer reads.
    pub leads: bool,
    /// The last entry of its log.
    pub last_log: u64,
    /// The last entry it has applied.
    pub applied: u64,
    /// It may have lost entries and does not vote.
    pub untrusted: bool,
    /// It has ended after an error.
    pub stopped: bool,
    /// Keys of database 0 in it.
    pub keys: u64,
    /// If it leads: what the others have, by node.
    pub matched: BTreeMap<u64, u64>,
}

impl ReplicaStatus {
    fn of(status: &GroupStatus, leads: bool, keys: u64) -> Self {
        Self {
            term: status.term,
            leader: status.leader.map_or(0, |node| node.0),
            leads,
            last_log: status.last_log_index.unwrap_or(0),
            applied: status.applied.unwrap_or(0),
            untrusted: status.untrusted,
            stopped: status.state == Role::Stopped,
            keys,
            matched: status.matched.iter().map(|(node, index)| (node.0, index.unwrap_or(0))).collect(),
        }
    }
}

/// How this node's replicas are.
pub fn replicas(node: &ClusterNode) -> BTreeMap<u32, ReplicaStatus> {
    let mut all = BTreeMap::new();
    if let Some(metadata) = node.metadata() {
        let group = metadata.group();
        all.insert(0, ReplicaStatus::of(&group.status(), group.read_gate(), 0));
    }
    for (id, shard) in node.shards.read().iter() {
        let keys = shard.replica_keys(Db(0)).0;
        all.insert(id.0, ReplicaStatus::of(&shard.status(), shard.leads(), keys));
    }
    all
}

/// Answers the questions of other nodes.
pub(super) fn serve(node: &Arc<ClusterNode>) {
    let weak = Arc::downgrade(node);
    node.bus.serve(
        services::ASK,
        Arc::new(move |incoming| {
            let weak = weak.clone();
            Box::pin(async move {
                let node = weak.upgrade().ok_or("the node is going down")?;
                let question = crate::codec::decode(&incoming.payload).map_err(|error| error.to_string())?;
                let reply = answer(&node, question).await?;
                Ok(crate::codec::encode(&reply).map_err(|error| error.to_string())?.into())
            })
        }),
    );
}

/// Answers a question.
///
/// # Errors
/// In words, when it makes no sense here or fails.
pub async fn answer(node: &ClusterNode, question: Question) -> Result<Reply, String> {
    let number = match &question {
        Question::Replicas => return Ok(Reply::Replicas(replicas(node))),
        Question::Transact(transaction) => {
            let Some(metadata) = node.metadata() else { return Err("this node is in no cluster".to_owned()) };
            return match metadata.transact(transaction.clone()).await {
                Ok(()) => Ok(Reply::Done),
                Err(MetadataError::NotLeader { leader }) => not_leader(leader),
                Err(MetadataError::Conflict) => Ok(Reply::Conflict),
                Err(error) => Err(error.to_string()),
            };
        }
        Question::Keys { shard, .. }
        | Question::Digest { shard, .. }
        | Question::Setting { shard, .. }
        | Question::Watch { shard, .. }
        | Question::Unwatch { shard, .. }
        | Question::Transfer { shard, .. } => *shard,
    };
    let shard = node.shard(ShardId(number)).ok_or_else(|| format!("no replica of shard {number} here"))?;
    answer_for(&shard, &question).await
}

fn not_leader(leader: Option<NodeId>) -> Result<Reply, String> {
    Ok(Reply::NotLeader(leader.map_or(0, |node| node.0)))
}

/// Answers a question about a shard of which there is a replica here.
///
/// # Errors
/// In words.
pub async fn answer_for(shard: &Arc<Shard>, question: &Question) -> Result<Reply, String> {
    match question {
        Question::Keys { db, .. } => {
            if !shard.read_barrier().await {
                return not_leader(shard.leader());
            }
            let (keys, expires) = shard.replica_keys(Db(*db));
            Ok(Reply::Keys(keys, expires))
        }
        Question::Digest { of_leader, .. } => {
            if *of_leader && !shard.read_barrier().await {
                return not_leader(shard.leader());
            }
            let shard = Arc::clone(shard);
            let digest = tokio::task::spawn_blocking(move || {
                let (applied, digest) = shard.replica_digest(clock::now());
                digest.map(|digest| Reply::Digest(applied.0, digest))
            });
            digest.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
        }
        Question::Setting { name, value, .. } => {
            if shard.replicate_setting(name, value).await {
                Ok(Reply::Done)
            } else {
                not_leader(shard.leader())
            }
        }
        Question::Watch { db, keys, to, .. } => {
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let to = to.map(|(origin, number)| WatchId { origin, number });
            match shard.watch(Db(*db), &keys, to, Some(REMOTE_WATCH_LASTS)).await {
                Watched::Yes(watch) => Ok(Reply::Watch(watch.origin, watch.number)),
                Watched::Gone => Ok(Reply::WatchIsGone),
                Watched::NotLeader(leader) => not_leader(leader),
            }
        }
        Question::Unwatch { watch: (origin, number), .. } => {
            shard.unwatch(WatchId { origin: *origin, number: *number });
            Ok(Reply::Done)
        }
        Question::Transfer { to, .. } => match shard.transfer_leader(NodeId(*to)).await {
            Ok(()) => Ok(Reply::Done),
            Err(crate::raft::MembershipError::NotLeader { leader }) => not_leader(leader),
            Err(error) => Err(error.to_string()),
        },
        Question::Replicas | Question::Transact(_) => Err("the question is about no shard".to_owned()),
    }
}
