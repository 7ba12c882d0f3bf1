//! A raft group: opening, proposing, the read gate, snapshots, the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, ForwardToLeader};
use openraft::raft::ClientWriteResult;
use openraft::{Config, Raft, ServerState, SnapshotPolicy, StepDownPolicy};
use tokio::sync::watch;

use super::StateMachine;
use super::blocking::blocking;
use super::bus::Bus;
use super::lease::{Gate, Leadership, lease_of, watch_leadership};
use super::log::{GroupLog, SharedLog};
use super::network::{BusPeers, NoPeers};
use super::peers::{Member, Registry};
use super::reads::ReadIndex;
use super::snapshot::{self, SnapshotFileError};
use super::state_machine::Adapter;
use super::types::{Payload, PeerNode, ProposalResponder, TypeConfig};
use super::votes::Votes;
use crate::limits::{LOG_PAYLOAD_MAX_BYTES, LOG_TAIL_KEPT_ENTRIES, PROPOSAL_QUEUE_MAX};
use crate::types::{LogIndex, NodeId, ShardId};

/// What an only voter's timers are: it has nobody to hear from.
const ALONE: Timing = Timing { heartbeat_ms: 500, election_min_ms: 1500, election_max_ms: 3000 };

/// How fast a group notices that its leader is gone.
///
/// A follower that has heard its leader waits for `election_max_ms`, in which it votes for nobody else, and then
/// for a random time between `election_min_ms` and `election_max_ms`, before it wants to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Time between two heartbeats; raft's clock ticks five times as often.
    pub heartbeat_ms: u64,
    /// Shortest time before a follower wants to lead.
    pub election_min_ms: u64,
    /// Longest; also the time for which a voter is true to a leader it has heard.
    pub election_max_ms: u64,
}

impl Default for Timing {
    /// Service is back about a second after a leader was killed: 600 ms of faith in it, less the 75 that have
    /// passed on average since its last heartbeat, 400 until the first of two followers wants to lead, and two
    /// rounds of votes. Four heartbeats may be lost before that, and a lease of 540 ms spans three.
    fn default() -> Self {
        Timing { heartbeat_ms: 150, election_min_ms: 300, election_max_ms: 600 }
    }
}

impl Timing {
    fn election_max(&self) -> Duration {
        Duration::from_millis(self.election_max_ms)
    }
}

/// What a group needs to have peers.
#[derive(Clone)]
pub struct ClusterOptions {
    /// The node's bus.
    pub bus: Arc<Bus>,
    /// The timers. The same on all nodes: leases rest on it.
    pub timing: Timing,
    /// Ask whether an election could be won before beginning it, so that a node that was cut off does not
    /// unseat a leader when it returns.
    pub pre_vote: bool,
    /// Keep quiet after a start for as long as another's lease may rest on what was said before. Off only to
    /// show in a test why it is needed.
    pub quiet_after_start: bool,
    /// Entries that this node has confirmed may be missing: the machine went down before they were synced. It
    /// does not vote until it has caught up with a leader.
    pub may_have_lost: bool,
    /// Entries that stay in the log behind a snapshot, for replicas that are a little behind.
    pub log_tail_entries: u64,
}

impl ClusterOptions {
    /// The defaults.
    pub fn new(bus: Arc<Bus>) -> Self {
        Self {
            bus,
            timing: Timing::default(),
            pre_vote: true,
            quiet_after_start: true,
            may_have_lost: false,
            log_tail_entries: LOG_TAIL_KEPT_ENTRIES,
        }
    }
}

/// What a group is opened with.
pub struct GroupOptions {
    /// The shard that the group replicates; its number in the log.
    pub id: ShardId,
    /// This node.
    pub node: NodeId,
    /// The directory of the group's snapshots; made if need be.
    pub dir: PathBuf,
    /// The node's log.
    pub log: Arc<SharedLog>,
    /// `None`: this node is the only voter there will ever be.
    pub cluster: Option<ClusterOptions>,
}

/// A group cannot be opened, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// The directory cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The group's snapshot is damaged.
    #[error(transparent)]
    Snapshot(#[from] SnapshotFileError),
    /// The log begins behind what the newest snapshot contains.
    #[error("{dir} has no snapshot up to entry {purged}, and the log before that entry is gone")]
    MissingSnapshot {
        /// The directory of the group's snapshots.
        dir: PathBuf,
        /// The entry up to which the log was purged.
        purged: u64,
    },
    /// Raft has ended: the reason.
    #[error("raft group {group} has stopped: {reason}")]
    Stopped {
        /// The group.
        group: u32,
        /// openraft's words.
        reason: String,
    },
}

/// What became of a proposal that was not applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not executed and never will be: another node leads.
    #[error("this node does not lead the shard")]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// It may or may not be executed: leadership was lost or the node stopped meanwhile.
    #[error("the outcome of the command is unknown")]
    Unknown,
    /// Not executed: the group has ended.
    #[error("the shard has stopped")]
    Stopped,
    /// Not executed: the payload is longer than a log entry may be.
    #[error("the command is too large")]
    TooLarge,
}

/// Why there is no new snapshot. The group goes on.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// One is being made.
    #[error("a snapshot is in progress")]
    InProgress,
    /// The state machine could not freeze its state.
    #[error("the snapshot could not begin: {0}")]
    Begin(io::Error),
    /// The file could not be written.
    #[error("writing a snapshot in {dir} failed: {source}")]
    Write {
        /// Where.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The group has ended.
    #[error("the shard has stopped")]
    Stopped,
}

/// What a node is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Leads.
    Leader,
    /// Follows.
    Follower,
    /// Wants to lead.
    Candidate,
    /// Follows without a vote.
    Learner,
    /// Has ended.
    Stopped,
}

impl Role {
    pub(super) fn from_state(state: ServerState) -> Self {
        match state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        }
    }
}

/// A group's state, for INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The current term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// What this node is.
    pub state: Role,
    /// The last entry in the log.
    pub last_log_index: Option<u64>,
    /// The last entry known to be committed.
    pub committed: Option<u64>,
    /// The last entry applied to the state machine.
    pub applied: Option<u64>,
    /// The last entry the snapshot contains.
    pub snapshot_index: Option<u64>,
    /// The last entry purged from the log.
    pub purged_index: Option<u64>,
    /// The voters, those of both sides while they change.
    pub voters: BTreeSet<NodeId>,
    /// The replicas without a vote.
    pub learners: BTreeSet<NodeId>,
    /// The voters are being changed.
    pub is_changing: bool,
    /// What each replica other than this is known to have, when this node leads: the last entry that matches.
    pub matched: BTreeMap<NodeId, Option<u64>>,
    /// This voter may have lost entries and has not caught up: it does not vote.
    pub untrusted: bool,
}

/// One replica of a raft group. Drop it only after [`Group::shutdown`], or to imitate a crash.
pub struct Group {
    id: ShardId,
    dir: PathBuf,
    log: GroupLog,
    raft: Raft<TypeConfig, Adapter>,
    gate: Arc<Gate>,
    /// Held while a snapshot is made.
    snapshotting: tokio::sync::Mutex<()>,
    /// What the bus reaches; there is none without a bus.
    member: Option<Arc<Member>>,
    timing: Timing,
    /// Entries that stay in the log behind a snapshot, unless this is the only replica.
    log_tail_entries: u64,
    leadership: watch::Receiver<Leadership>,
    /// Closed when the state machine is dropped.
    machine_gone: tokio::sync::Mutex<tokio::sync::mpsc::Receiver<()>>,
}

impl Group {
    /// Opens a group. The snapshot is restored into `machine` and the committed log replayed.
    ///
    /// Without a cluster, a new group has this node as its only voter; use [`Group::wait_ready`] before
    /// serving. In a cluster, a new group waits until somebody makes it a member ([`Group::initialize`] on one
    /// node of a new group, [`Group::add_learner`] on the leader of an old one), and an old one takes part in
    /// elections.
    ///
    /// # Errors
    /// See [`GroupError`]; damaged files are left as they are.
    pub async fn open(options: GroupOptions, machine: impl StateMachine) -> Result<Self, GroupError> {
        let GroupOptions { id, node, dir, log, cluster } = options;
        let log = log.group(id);
        let timing = cluster.as_ref().map_or(ALONE, |cluster| cluster.timing);
        let log_tail_entries = cluster.as_ref().map_or(0, |cluster| cluster.log_tail_entries);
        // A voter of before may have promised something.
        let was_here = log.has_state();
        let opened = blocking({
            let (dir, log, cluster) = (dir.clone(), log.clone(), cluster.clone());
            move || {
                let current = load_snapshot(&dir, &log)?;
                let votes = cluster.map(|cluster| {
                    let quiet = (was_here && cluster.quiet_after_start).then(|| cluster.timing.election_max());
                    Votes::open(&dir, quiet, cluster.may_have_lost)
                });
                let votes = votes.transpose().map_err(|source| GroupError::Io { path: dir, source })?;
                Ok::<_, GroupError>((current, votes))
            }
        });
        let (current, votes) = opened.await.map_err(|error| stopped(id, &error))??;
        let (alive, machine_gone) = tokio::sync::mpsc::channel(1);
        let adapter = Adapter::new(Box::new(machine), dir.clone(), current, Some(alive));
        let gate = Arc::clone(&adapter.gate);
        let may_elect = votes.as_ref().is_none_or(|votes| votes.refusal().is_none());
        let config = config(id, timing, cluster.as_ref(), may_elect).validate();
        let config = Arc::new(config.map_err(|error| stopped(id, &error))?);
        let reads = ReadIndex::default();
        let raft = match &cluster {
            None => Raft::new(node.0, config, NoPeers, log.clone(), adapter).await,
            Some(cluster) => {
                let urgent = Arc::clone(&reads.urgent);
                let peers = BusPeers { bus: Arc::clone(&cluster.bus), group: id, urgent };
                Raft::new(node.0, config, peers, log.clone(), adapter).await
            }
        };
        let raft = raft.map_err(|error| stopped(id, &error))?;
        let (state, leadership) = watch::channel(Leadership::UNKNOWN);
        let lease = cluster.as_ref().map(|cluster| lease_of(cluster.timing.election_max()));
        tokio::spawn(watch_leadership(raft.server_metrics(), raft.metrics(), Arc::clone(&gate), lease, state));
        let member = cluster.zip(votes).map(|(cluster, votes)| {
            Arc::new(Member {
                id,
                node,
                dir: dir.clone(),
                bus: cluster.bus,
                raft: raft.clone(),
                gate: Arc::clone(&gate),
                votes,
                reads,
                receiver: Arc::default(),
            })
        });
        let group = Self {
            id,
            dir,
            log,
            raft,
            gate,
            snapshotting: Default::default(),
            member,
            timing,
            log_tail_entries,
            leadership,
            machine_gone: machine_gone.into(),
        };
        group.begin(node).await?;
        Ok(group)
    }

    /// Without a cluster, makes a new group's first entry, or has an old one elect a leader at once: the only
    /// voter has nobody to wait for. In a cluster, lets the others in.
    async fn begin(&self, node: NodeId) -> Result<(), GroupError> {
        let Some(member) = &self.member else {
            let initialized = self.raft.is_initialized().await.map_err(|error| stopped(self.id, &error))?;
            return if initialized {
                self.raft.trigger().elect(false).await.map_err(|error| stopped(self.id, &error))
            } else {
                let members = BTreeMap::from([(node.0, PeerNode::default())]);
                self.raft.initialize(members).await.map_err(|error| stopped(self.id, &error))
            };
        };
        let is_only_voter = self.raft.voter_ids().eq([node.0]);
        if is_only_voter {
            // Nobody's lease rests on its word, and there is nobody to catch up with. That it is alone is
            // certain: memberships are always synced.
            member.only_voter_trusts_itself().await.map_err(|source| self.io_error(source))?;
        } else if let Some(until) = member.votes.quiet_until() {
            let member = Arc::downgrade(member);
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(member) = member.upgrade() {
                    member.allow_elections();
                }
            });
        }
        Registry::of(&member.bus).add(member);
        Ok(())
    }

    fn io_error(&self, source: io::Error) -> GroupError {
        GroupError::Io { path: self.dir.clone(), source }
    }

    pub(super) fn member(&self) -> Option<&Arc<Member>> {
        self.member.as_ref()
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn raft(&self) -> &Raft<TypeConfig, Adapter> {
        &self.raft
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// Term, leader, role and lease, now and at each change.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Waits until a leader is known and answers who it is.
    ///
    /// # Errors
    /// When the group ends first.
    pub async fn wait_leader(&self) -> Result<NodeId, GroupError> {
        let mut leadership = self.leadership();
        let known = leadership.wait_for(|now| now.leader.is_some() || now.role == Role::Stopped).await;
        known.ok().and_then(|now| now.leader).ok_or_else(|| self.stop_reason())
    }

    /// The shard.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Queues a payload to be replicated and applied. Waits only while raft's queue is full, not
    /// for the outcome: `done` is called exactly once, with the index after the entry was applied here,
    /// or with an error. It runs on a task of raft's and must be short.
    ///
    /// # Errors
    /// When the payload was not queued; `done` has then been called with the same error.
    pub async fn propose(
        &self,
        payload: bytes::Bytes,
        done: impl FnOnce(Result<LogIndex, ProposeError>) + Send + 'static,
    ) -> Result<(), ProposeError> {
        let refusal = if payload.len() > LOG_PAYLOAD_MAX_BYTES {
            Some(ProposeError::TooLarge)
        } else if self.gate.stopped.load(Acquire) {
            Some(ProposeError::Stopped)
        } else {
            None
        };
        if let Some(error) = refusal {
            done(Err(error));
            return Err(error);
        }
        let pending = Pending(Some(done));
        let responder = ProposalResponder::new(move |result: ClientWriteResult<TypeConfig>| {
            pending.complete(result.map(|response| LogIndex(response.log_id.index)).map_err(|error| outcome(&error)));
        });
        // A responder that is dropped on the way reports `Unknown`.
        self.raft.client_write_ff(Payload(payload), Some(responder)).await.map_err(|_| ProposeError::Unknown)
    }

    /// Whether a read of the state machine is linearizable now: this node leads, has applied the
    /// first entry of its term, so that it has seen everything that was ever committed, and no
    /// other can lead.
    ///
    /// That no other can lead an only voter knows: three loads of atomics. With more voters it is a matter of
    /// the lease (see `lease`): three more, and the clock.
    pub fn read_gate(&self) -> bool {
        self.gate.is_open()
    }

    /// Plants a defect, so that a test can show that it would find it: reads need no lease any more.
    pub fn plant_reads_without_lease(&self) {
        self.gate.ignore_lease();
    }

    /// The index of the last applied entry.
    pub fn applied(&self) -> Option<LogIndex> {
        self.gate.last_applied()
    }

    /// Waits until this node leads and has applied everything that was committed before.
    ///
    /// # Errors
    /// When the group ends instead.
    pub async fn wait_ready(&self) -> Result<(), GroupError> {
        loop {
            let changed = self.gate.changed.notified();
            tokio::pin!(changed);
            // From here on a change is not missed.
            changed.as_mut().enable();
            if self.gate.is_open() {
                return Ok(());
            }
            if self.gate.stopped.load(Acquire) {
                return Err(self.stop_reason());
            }
            changed.await;
        }
    }

    /// Waits until the group ends by itself, and tells why: an error of the log or of the state
    /// machine.
    pub async fn wait_stopped(&self) -> GroupError {
        loop {
            let changed = self.gate.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.gate.stopped.load(Acquire) {
                return self.stop_reason();
            }
            changed.await;
        }
    }

    fn stop_reason(&self) -> GroupError {
        let reason = match &self.raft.metrics().borrow_watched().running_state {
            Ok(()) => "its task is gone".to_owned(),
            Err(fatal) => fatal.to_string(),
        };
        GroupError::Stopped { group: self.id.0, reason }
    }

    /// The group's state.
    pub fn status(&self) -> GroupStatus {
        let metrics = self.raft.metrics();
        let now = metrics.borrow_watched();
        let membership = now.membership_config.membership();
        let matched = now.replication.iter().flatten().filter(|(node, _)| **node != now.id);
        GroupStatus {
            term: now.current_term,
            leader: now.current_leader.map(NodeId),
            state: Role::from_state(now.state),
            last_log_index: now.last_log_index,
            committed: now.local_committed.map(|id| id.index),
            applied: self.applied().map(|index| index.0),
            snapshot_index: now.snapshot.map(|id| id.index),
            purged_index: self.log.purged().map(|id| id.index),
            voters: membership.voter_ids().map(NodeId).collect(),
            learners: membership.learner_ids().map(NodeId).collect(),
            is_changing: membership.get_joint_config().len() > 1,
            matched: matched.map(|(node, id)| (NodeId(*node), id.as_ref().map(|id| id.index))).collect(),
            untrusted: self.member.as_ref().is_some_and(|member| member.votes.is_untrusted()),
        }
    }

    /// Writes a snapshot of the state as of the last applied entry, and purges the log up to a
    /// small tail. Answers which entry the snapshot contains up to; at once if there already is
    /// one of this state.
    ///
    /// The state is frozen between two entries; the writing goes on beside the applying.
    ///
    /// # Errors
    /// See [`SnapshotError`]. A failure leaves the older snapshot and the log as they were.
    pub async fn snapshot(&self) -> Result<LogIndex, SnapshotError> {
        let _alone = self.snapshotting.try_lock().map_err(|_| SnapshotError::InProgress)?;
        let begun = self.raft.with_state_machine(|machine| {
            let begun = machine.begin_snapshot();
            Box::pin(std::future::ready(begun))
        });
        let begun = begun.await.map_err(|_| SnapshotError::Stopped)?.map_err(SnapshotError::Begin)?;
        let Some((meta, job)) = begun else {
            let index = self.raft.metrics().borrow_watched().snapshot.map_or(0, |id| id.index);
            return Ok(LogIndex(index));
        };
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let dir = self.dir.clone();
        let written = blocking(move || snapshot::write(&dir, &meta, job).map(|file| (meta, file)));
        let write_error = |source| SnapshotError::Write { dir: self.dir.clone(), source };
        let (meta, file) = written.await.map_err(write_error)?.map_err(write_error)?;
        let path = file.path.clone();
        let offered = self.raft.with_state_machine(move |machine| {
            machine.offer_snapshot(meta, file);
            Box::pin(std::future::ready(()))
        });
        offered.await.map_err(|_| SnapshotError::Stopped)?;
        self.raft.trigger().snapshot().await.map_err(|_| SnapshotError::Stopped)?;
        let wait = self.raft.wait(None);
        let taken = wait.metrics(
            |now| now.running_state.is_err() || now.snapshot.is_some_and(|id| id.index >= index),
            "the snapshot is taken over",
        );
        if taken.await.map_err(|_| SnapshotError::Stopped)?.running_state.is_err() {
            return Err(SnapshotError::Stopped);
        }
        // Nobody can be a little behind in a group of one, and what one group keeps holds up the
        // deletion of segments for all.
        let alone = self.raft.voter_ids().count() == 1 && self.raft.learner_ids().next().is_none();
        let kept = if alone { 0 } else { self.log_tail_entries };
        if let Some(upto) = index.checked_sub(kept) {
            self.raft.trigger().purge_log(upto).await.map_err(|_| SnapshotError::Stopped)?;
        }
        let dir = self.dir.clone();
        let removed = blocking(move || snapshot::remove_others(&dir, &path)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(dir = %self.dir.display(), %error, "older snapshots cannot be deleted");
        }
        Ok(LogIndex(index))
    }

    /// Ends the group; what was proposed and not applied has an unknown outcome. The state machine
    /// is dropped before this returns. The log stays open.
    pub async fn shutdown(&self) {
        if let Some(member) = &self.member {
            Registry::of(&member.bus).remove(member);
        }
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(group = self.id.0, %error, "the raft core panicked");
        }
        self.gate.stopped.store(true, Release);
        self.gate.changed.notify_waiters();
        // `None`: the sender, which the adapter holds, is gone.
        let gone = self.machine_gone.lock().await.recv().await;
        debug_assert!(gone.is_none(), "nothing is ever sent");
    }
}

pub(super) fn stopped(id: ShardId, error: &dyn std::fmt::Display) -> GroupError {
    GroupError::Stopped { group: id.0, reason: error.to_string() }
}

fn config(id: ShardId, timing: Timing, cluster: Option<&ClusterOptions>, may_elect: bool) -> Config {
    Config {
        cluster_name: format!("shard-{}", id.0),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_min_ms,
        election_timeout_max: timing.election_max_ms,
        enable_elect: may_elect,
        // `Group::snapshot` decides, so that a full disk is no error of openraft's.
        snapshot_policy: SnapshotPolicy::Never,
        // `Group::snapshot` purges too, and knows whether anybody can be a little behind.
        max_in_snapshot_log_to_keep: cluster.map_or(0, |cluster| cluster.log_tail_entries),
        enable_pre_vote: Some(cluster.is_none_or(|cluster| cluster.pre_vote)),
        // A follower that lost what was not synced is sent it again; that it does not vote meanwhile is what
        // makes that sound (`votes`).
        allow_log_reversion: Some(cluster.is_some()),
        // openraft would hand over without giving the lease up first: `members` does not remove a leader.
        removed_leader_step_down: StepDownPolicy::Never,
        // A follower that comes back is to be found soon.
        backoff: "50ms 100ms 200ms ..500ms".to_owned(),
        // A leader that restarts has to win an election: its lease is not to be trusted.
        enable_leader_restore: Some(false),
        api_channel_size: Some(PROPOSAL_QUEUE_MAX),
        ..Config::default()
    }
}

/// Finds and verifies the group's snapshot. Blocking.
fn load_snapshot(
    dir: &std::path::Path,
    log: &GroupLog,
) -> Result<Option<openraft::alias::SnapshotOf<TypeConfig, snapshot::SnapshotFile>>, GroupError> {
    let io_error = |source| GroupError::Io { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(io_error)?;
    let loaded = match snapshot::newest(dir).map_err(io_error)? {
        Some(path) => {
            let described = snapshot::verify(&path)?;
            let (file, _) = snapshot::open(&path)?;
            Some(openraft::alias::SnapshotOf::<TypeConfig, _> { meta: described.meta, snapshot: file })
        }
        None => None,
    };
    let contained = loaded.as_ref().and_then(|loaded| loaded.meta.last_log_id);
    match log.purged() {
        Some(purged) if contained.is_none_or(|id| id.index < purged.index) => {
            Err(GroupError::MissingSnapshot { dir: dir.to_owned(), purged: purged.index })
        }
        _ => Ok(loaded),
    }
}

/// Calls back exactly once: with the outcome, or with `Unknown` when raft drops it.
struct Pending<F: FnOnce(Result<LogIndex, ProposeError>)>(Option<F>);

impl<F: FnOnce(Result<LogIndex, ProposeError>)> Pending<F> {
    fn complete(mut self, result: Result<LogIndex, ProposeError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl<F: FnOnce(Result<LogIndex, ProposeError>)> Drop for Pending<F> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(ProposeError::Unknown));
        }
    }
}

fn outcome(error: &ClientWriteError<TypeConfig>) -> ProposeError {
    match error {
        ClientWriteError::ForwardToLeader(ForwardToLeader { leader_id, .. }) => {
            ProposeError::NotLeader { leader: leader_id.map(NodeId) }
        }
        // The latter two cannot happen to a plain proposal.
        ClientWriteError::LogEntryDiscarded(_)
        | ClientWriteError::ChangeMembershipError(_)
        | ClientWriteError::PreconditionFailed(_) => ProposeError::Unknown,
    }
}
