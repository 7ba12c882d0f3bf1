//! Reads that do not rest on the lease: an index that has to be applied first.
//!
//! A leader asks a quorum whether it still leads and answers its commit index: who has applied that sees
//! everything that was acknowledged before the question. A follower asks the leader, which answers at once while
//! its lease lasts, with what it has applied. Either way one round serves everybody who asked before it began,
//! and only one is under way at a time. The heartbeats of such a round are not held back for others.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::raft::ReadPolicy;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::bus::{BusError, Class, Target, services};
use super::peers::Member;
use super::{Group, wire};
use crate::types::{LogIndex, NodeId};

/// How long a follower waits for the leader's answer, and a leader for a quorum's.
const ROUND_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a read cannot be linearizable now. Nothing was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node does not lead.
    #[error("this node does not lead the shard")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// Too few voters answered in time.
    #[error("a majority of the shard's replicas cannot be reached")]
    NoQuorum,
    /// The leader gave no answer.
    #[error("the shard's leader cannot be asked: {0}")]
    Leader(BusError),
    /// The group has ended.
    #[error("the shard has stopped")]
    Stopped,
}

type Outcome = Result<LogIndex, ReadError>;

/// Who waits for the next round, of one kind of question.
#[derive(Default)]
struct Rounds(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    next: Vec<oneshot::Sender<Outcome>>,
    is_running: bool,
}

impl Rounds {
    /// Joins the next round; starts it when none is under way.
    async fn join<F>(&self, member: &Arc<Member>, rounds: fn(&Member) -> &Rounds, ask: fn(Arc<Member>) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.lock();
            waiting.next.push(sender);
            !std::mem::replace(&mut waiting.is_running, true)
        };
        if is_first {
            let member = Arc::clone(member);
            // A task of its own: whoever came first may go away.
            tokio::spawn(async move {
                loop {
                    let asking = {
                        let mut waiting = rounds(&member).0.lock();
                        if waiting.next.is_empty() {
                            waiting.is_running = false;
                            return;
                        }
                        std::mem::take(&mut waiting.next)
                    };
                    let outcome = ask(Arc::clone(&member)).await;
                    for sender in asking {
                        drop(sender.send(outcome.clone()));
                    }
                }
            });
        }
        receiver.await.unwrap_or(Err(ReadError::Stopped))
    }
}

/// The rounds of one replica.
#[derive(Default)]
pub(super) struct ReadIndex {
    own: Rounds,
    remote: Rounds,
    /// Questions to the quorum that are under way: the network sends heartbeats at once.
    pub(super) urgent: Arc<AtomicUsize>,
}

impl ReadIndex {
    /// As the leader.
    pub(super) async fn of_leader(&self, member: &Arc<Member>) -> Outcome {
        self.own.join(member, |member| &member.reads.own, ask_quorum).await
    }

    async fn of_any(&self, member: &Arc<Member>) -> Outcome {
        self.remote.join(member, |member| &member.reads.remote, ask_leader).await
    }
}

async fn ask_quorum(member: Arc<Member>) -> Outcome {
    member.reads.urgent.fetch_add(1, Relaxed);
    let asked = tokio::time::timeout(ROUND_TIMEOUT, member.raft.get_read_linearizer(ReadPolicy::ReadIndex)).await;
    member.reads.urgent.fetch_sub(1, Relaxed);
    // Whoever waits for the next round must not wait for one that nobody answers.
    let Ok(confirmed) = asked else { return Err(ReadError::NoQuorum) };
    match confirmed {
        Ok(linearizer) => Ok(LogIndex(linearizer.read_log_id().index())),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
            Err(ReadError::NotLeader { leader: forward.leader_id.map(NodeId) })
        }
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => Err(ReadError::NoQuorum),
        Err(RaftError::Fatal(_)) => Err(ReadError::Stopped),
    }
}

async fn ask_leader(member: Arc<Member>) -> Outcome {
    let leader = member.raft.server_metrics().borrow_watched().current_leader.map(NodeId);
    let Some(leader) = leader else { return Err(ReadError::NotLeader { leader: None }) };
    if leader == member.node {
        return member.leader_read_index().await;
    }
    let target = Target::Node(leader);
    let payload = bytes::Bytes::new();
    let asked = member.bus.call(&target, Class::Raft, services::READ_INDEX, member.id.0, payload, ROUND_TIMEOUT);
    let answer = asked.await.map_err(ReadError::Leader)?;
    let index = wire::read_read_index(&answer);
    index.map(LogIndex).map_err(|error| ReadError::Leader(BusError::Refused(error.to_string())))
}

impl Member {
    /// The lease tells, or a quorum.
    pub(super) async fn leader_read_index(self: &Arc<Self>) -> Outcome {
        if self.gate.is_open() {
            // Everything that was acknowledged was applied first.
            return Ok(self.gate.last_applied().unwrap_or_default());
        }
        self.reads.of_leader(self).await
    }
}

impl Group {
    /// Confirms with a quorum, now, that this node leads, and answers the index that has to be applied before
    /// a read is linearizable ([`Group::wait_applied`]). Calls at the same time share a round.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read_index(&self) -> Result<LogIndex, ReadError> {
        match self.member() {
            Some(member) => member.reads.of_leader(member).await,
            // The only voter there can be: what it has applied is all there is.
            None if self.read_gate() => Ok(self.applied().unwrap_or_default()),
            None => Err(ReadError::NotLeader { leader: None }),
        }
    }

    /// Asks the leader, whoever it is, for its read index, and waits until this node has applied it: a read of
    /// this node's state is linearizable then. Calls at the same time share a question.
    ///
    /// # Errors
    /// See [`ReadError`]; among others when no leader is known.
    pub async fn follower_read_index(&self) -> Result<LogIndex, ReadError> {
        let index = match self.member() {
            Some(_) if self.gate().stopped.load(SeqCst) => return Err(ReadError::Stopped),
            Some(member) => member.reads.of_any(member).await?,
            None => self.read_index().await?,
        };
        self.wait_applied(index).await?;
        Ok(index)
    }

    /// Waits until an entry is applied here.
    ///
    /// # Errors
    /// [`ReadError::Stopped`] when the group ends first.
    pub async fn wait_applied(&self, index: LogIndex) -> Result<(), ReadError> {
        self.gate().applied(index).await.map_err(|_| ReadError::Stopped)
    }
}
