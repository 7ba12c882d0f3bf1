//! The types that openraft is instantiated with.

use std::fmt;

use bytes::Bytes;
use openraft::RaftTypeConfig;
use openraft::raft::responder::Responder;

/// A log id: the leader that made the entry, and its index.
pub type LogId = openraft::alias::LogIdOf<TypeConfig>;
/// The leader of a term.
pub type LeaderId = openraft::alias::LeaderIdOf<TypeConfig>;
/// A vote.
pub type Vote = openraft::alias::VoteOf<TypeConfig>;
/// A log entry.
pub type Entry = openraft::alias::EntryOf<TypeConfig>;
/// What an entry carries.
pub type EntryPayload = openraft::alias::PayloadOf<TypeConfig>;
/// Voters and learners of a group.
pub type Membership = openraft::Membership<u64, PeerNode>;
/// A membership and the entry that made it.
pub type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot contains up to which entry.
pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
/// Called when entries are as durable as the policy asks.
pub type Flushed = openraft::storage::IOFlushed<TypeConfig>;

/// A proposal: bytes that only the state machine understands.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What a membership remembers of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerNode {
    /// Where the node's bus listens, `host:port`; empty for a standalone server.
    pub bus_address: String,
}

/// Binds all type parameters of openraft.
///
/// Leader ids carry the node beside the term (openraft's default, the one its own tests exercise
/// most): two candidates of one term do not block each other.
#[derive(Debug, Clone, Copy, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Payload;
    type R = ();
    type NodeId = u64;
    type Node = PeerNode;
    type Term = u64;
    type LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Payload, u64, PeerNode>;
    type Entry = openraft::Entry<Self::LeaderId, Self::Payload>;
    #[cfg(not(test))]
    type AsyncRuntime = openraft_rt_tokio::TokioRuntime;
    #[cfg(test)]
    type AsyncRuntime = super::tests::simulation::SeededRuntime;
    type Responder<T>
        = ProposalResponder<T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = openraft::impls::BoxedErrorSource;
}

/// Runs a callback with the outcome of a proposal, on the task that applied it: no channel and
/// no extra wake-up. Dropped without an outcome, it drops the callback.
pub struct ProposalResponder<T>(Box<dyn FnOnce(T) + Send>);

impl<T> ProposalResponder<T> {
    /// Wraps a callback.
    pub fn new(callback: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(callback))
    }
}

impl<T> Responder<TypeConfig, T> for ProposalResponder<T>
where
    T: openraft::OptionalSend + 'static,
{
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}
