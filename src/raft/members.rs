//! Who belongs to a group: its first voters, learners, changes of voters, and handing leadership over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, InitializeError, RaftError};

use super::Role;
use super::group::{Group, GroupError, stopped};
use super::types::{PeerNode, TypeConfig};
use crate::types::NodeId;

/// How often the progress of a learner is looked at.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(20);
/// Entries that a learner may lack and count as caught up: it gets them while the voters are changed.
const CATCH_UP_ENTRIES: u64 = 64;
/// Longest election timeouts that handing leadership over may take.
const TRANSFER_TIMEOUTS: u32 = 4;

/// Why the members of a group were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Only the leader changes members.
    #[error("this node does not lead the shard")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// The group has members already.
    #[error("the group has members already")]
    Initialized,
    /// The change before this one is not finished.
    #[error("another change of the members is in progress")]
    InProgress,
    /// This leader is not among the new voters: hand leadership over first.
    #[error("node {0} leads the group and cannot be removed; hand leadership over first")]
    Leads(u64),
    /// It takes longer than was allowed for. It goes on.
    #[error("it was not done in time, and goes on")]
    Timeout,
    /// The change was begun, and this node lost leadership or stopped meanwhile.
    #[error("the outcome of the change is unknown")]
    Unknown,
    /// The change makes no sense; openraft's words.
    #[error("{0}")]
    Invalid(String),
    /// The group has ended.
    #[error("the shard has stopped")]
    Stopped,
}

fn write_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> MembershipError {
    use openraft::errors::ChangeMembershipError;
    match error {
        RaftError::Fatal(_) => MembershipError::Stopped,
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            MembershipError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_))) => {
            MembershipError::InProgress
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            MembershipError::Invalid(error.to_string())
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_)) => {
            MembershipError::Unknown
        }
    }
}

fn invalid(error: impl Display) -> MembershipError {
    MembershipError::Invalid(error.to_string())
}

impl Group {
    /// Makes the first members of a new group: voters, with the addresses of their buses. To be called on one
    /// of them, or on several with the same members.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn initialize(&self, members: &BTreeMap<NodeId, String>) -> Result<(), MembershipError> {
        let members: BTreeMap<u64, PeerNode> =
            members.iter().map(|(node, address)| (node.0, PeerNode { bus_address: address.clone() })).collect();
        match self.raft().initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Err(MembershipError::Initialized),
            Err(RaftError::APIError(error @ InitializeError::NotInMembers(_))) => Err(invalid(error)),
            Err(RaftError::Fatal(_)) => Err(MembershipError::Stopped),
        }
    }

    /// Adds a replica without a vote, and waits until it has nearly everything, at most for `catch_up`. To add
    /// one that is there is no error, and changes nothing but its address.
    ///
    /// # Errors
    /// See [`MembershipError`]; after [`MembershipError::Timeout`] it is a learner and goes on catching up.
    pub async fn add_learner(&self, node: NodeId, address: &str, catch_up: Duration) -> Result<(), MembershipError> {
        let is_member = {
            let metrics = self.raft().metrics();
            let now = metrics.borrow_watched();
            let known = now.membership_config.membership().get_node(&node.0);
            known.is_some_and(|known| known.bus_address == address)
        };
        if !is_member {
            let changes = BTreeMap::from([(node.0, PeerNode { bus_address: address.to_owned() })]);
            let changes = ChangeMembers::SetNodes(changes);
            self.raft().change_membership(changes, true).await.map_err(write_error)?;
        }
        tokio::time::timeout(catch_up, self.caught_up(node)).await.unwrap_or(Err(MembershipError::Timeout))
    }

    async fn caught_up(&self, node: NodeId) -> Result<(), MembershipError> {
        loop {
            let status = self.status();
            match status.state {
                Role::Leader => {}
                Role::Stopped => return Err(MembershipError::Stopped),
                Role::Follower | Role::Candidate | Role::Learner => {
                    return Err(MembershipError::NotLeader { leader: status.leader });
                }
            }
            let matched = status.matched.get(&node).copied().flatten();
            if matched.is_some_and(|matched| matched + CATCH_UP_ENTRIES >= status.last_log_index.unwrap_or(0)) {
                return Ok(());
            }
            tokio::time::sleep(CATCH_UP_INTERVAL).await;
        }
    }

    /// Makes these nodes, all of them members, the voters, in two steps (joint consensus). Voters that are left
    /// out become learners, or leave with `retain` false. Called again after an error, it completes what was
    /// begun.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn change_voters(&self, voters: &BTreeSet<NodeId>, retain: bool) -> Result<(), MembershipError> {
        let own = self.raft().node_id();
        if !voters.contains(&NodeId(*own)) && self.status().state == Role::Leader {
            return Err(MembershipError::Leads(*own));
        }
        let voters: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
        let changes = ChangeMembers::ReplaceAllVoters(voters);
        self.raft().change_membership(changes, retain).await.map_err(write_error)?;
        Ok(())
    }

    /// Removes a replica, voter or learner. To remove one that is not there is no error.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn remove(&self, node: NodeId) -> Result<(), MembershipError> {
        let status = self.status();
        if status.voters.contains(&node) {
            let voters = status.voters.iter().copied().filter(|voter| *voter != node).collect();
            return self.change_voters(&voters, false).await;
        }
        if status.learners.contains(&node) {
            let changes = ChangeMembers::RemoveNodes(BTreeSet::from([node.0]));
            self.raft().change_membership(changes, true).await.map_err(write_error)?;
        }
        Ok(())
    }

    /// Hands leadership to another voter. The lease is given up first, and for the rest of the term; new
    /// proposals are refused meanwhile. If the other does not take over, the voters elect somebody, as after a
    /// failure.
    ///
    /// # Errors
    /// [`MembershipError::Timeout`] when nobody else leads after a few election timeouts; see
    /// [`MembershipError`].
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), MembershipError> {
        let mut leadership = self.leadership();
        let before = *leadership.borrow();
        if before.role != Role::Leader {
            return Err(MembershipError::NotLeader { leader: before.leader });
        }
        if to.0 == *self.raft().node_id() {
            return Ok(());
        }
        if !self.status().voters.contains(&to) {
            return Err(invalid(format!("node {} is no voter of the group", to.0)));
        }
        // Before anybody hears of it.
        self.gate().give_up(before.term);
        self.raft().trigger().transfer_leader(to.0).await.map_err(|_| MembershipError::Stopped)?;
        let patience = Duration::from_millis(self.timing().election_max_ms) * TRANSFER_TIMEOUTS;
        let done =
            |now: &super::Leadership| now.role == Role::Stopped || (now.term > before.term && now.leader.is_some());
        let outcome = tokio::time::timeout(patience, leadership.wait_for(done)).await;
        match outcome.map(|changed| changed.map(|now| *now)) {
            Ok(Ok(now)) if now.leader == Some(to) => Ok(()),
            Ok(Ok(now)) if now.role != Role::Stopped => Err(MembershipError::NotLeader { leader: now.leader }),
            Ok(Ok(_) | Err(_)) => Err(MembershipError::Stopped),
            Err(_) => Err(MembershipError::Timeout),
        }
    }

    /// Accepts that acknowledged entries are lost: this voter votes again although it has not caught up with a
    /// leader. For an operator, when so many voters have lost entries that no leader can be elected.
    ///
    /// # Errors
    /// When the mark in the group's directory cannot be removed.
    pub async fn trust_log(&self) -> Result<(), GroupError> {
        match self.member() {
            Some(member) => member.trust().await.map_err(|error| stopped(self.id(), &error)),
            None => Ok(()),
        }
    }
}
