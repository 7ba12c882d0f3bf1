//! A shard as one replica of several: who leads, what this replica has, and runs that come from elsewhere.
//!
//! Commands of this node's connections take the short way while this replica leads: [`Shard::read`] and
//! [`Shard::submit`]. Here is the long way, which waits for what the short way takes for granted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLockReadGuard;
use tokio::sync::watch;

use super::batch::Records;
use super::run::{Op, Step};
use super::stats::Tally;
use super::{Mailbox, Refusal, Run, Shard, apply, clock, proposer, wait_done};
use crate::raft::{Leadership, MembershipError, ReadError, Role};
use crate::resp::{Protocol, ReplyBuffer};
use crate::storage::store::Store;
use crate::storage::{StorageError, digest};
use crate::types::{Db, LogIndex, NodeId, ReadPolicy, UnixMs};

/// How the replies to a run are made.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// RESP version.
    pub protocol: Protocol,
    /// Whether look-ups leave a trace.
    pub touch: bool,
    /// How reads make sure that they miss nothing.
    pub policy: ReadPolicy,
    /// Whether the commands are counted: parts of a command are not.
    pub count: bool,
}

/// What became of a run.
#[derive(Debug)]
pub enum Executed {
    /// The replies, and where each ends.
    Done(ReplyBuffer, Vec<usize>),
    /// Nothing was executed and nothing will be: this replica does not lead. Who does, if known.
    NotLeader(Option<NodeId>),
    /// Nothing was executed: the answer to every command.
    Refused(&'static str),
}

impl Shard {
    /// Whether there are, or may be, other replicas.
    pub fn is_replicated(&self) -> bool {
        self.replicated
    }

    /// Whether this replica leads and may answer reads at once.
    #[inline]
    pub fn leads(&self) -> bool {
        self.group().read_gate() && !self.stopped.load(Ordering::Relaxed)
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<NodeId> {
        self.group().leadership().borrow().leader
    }

    /// Who leads, now and at each change.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.group().leadership()
    }

    /// Whether this replica is the leader by the last it heard; [`Shard::leads`] also asks whether it may read.
    pub fn is_leader(&self) -> bool {
        self.group().leadership().borrow().role == Role::Leader
    }

    /// Makes the first members of a new group: nodes, with the addresses of their buses.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn initialize(&self, members: &BTreeMap<NodeId, String>) -> Result<(), MembershipError> {
        self.group().initialize(members).await
    }

    /// Hands leadership to another replica.
    ///
    /// # Errors
    /// See [`MembershipError`].
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), MembershipError> {
        self.group().transfer_leader(to).await
    }

    /// Accepts that acknowledged entries are lost; see [`crate::raft::Group::trust_log`].
    ///
    /// # Errors
    /// In words.
    pub async fn trust_log(&self) -> Result<(), String> {
        self.group().trust_log().await.map_err(|error| error.to_string())
    }

    /// What this replica has, up to date or not.
    pub fn replica(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read()
    }

    /// Keys of a database that this replica has, and those among them that expire.
    pub fn replica_keys(&self, db: Db) -> (u64, u64) {
        let store = self.store.read();
        store
            .engines_of(db)
            .map(|(_, engine)| (engine.len(db), engine.expires(db)))
            .fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }

    /// The digest of what this replica has, and up to which entry it has applied.
    pub fn replica_digest(&self, now: UnixMs) -> (LogIndex, Result<[u8; 20], StorageError>) {
        let store = self.store.read();
        (self.applied_index(), digest::digest_store(&store, self.read_time(now)))
    }

    /// Waits until this replica, if it leads, has everything that was acknowledged before; answers whether it
    /// leads.
    pub async fn read_barrier(&self) -> bool {
        self.barrier(ReadPolicy::Lease).await.is_ok()
    }

    /// Waits until a read of this replica is what the policy promises.
    async fn barrier(&self, policy: ReadPolicy) -> Result<(), ReadError> {
        match policy {
            ReadPolicy::Stale => Ok(()),
            ReadPolicy::Lease if self.leads() => Ok(()),
            ReadPolicy::Lease | ReadPolicy::ReadIndex => {
                let index = self.group().read_index().await?;
                self.group().wait_applied(index).await
            }
            ReadPolicy::Follower => self.group().follower_read_index().await.map(|_index| ()),
        }
    }

    /// Whether a run is one write, or one transaction, that reads one engine and changes another: it cannot be in the
    /// log as it is.
    pub fn executes_alone(&self, run: &Run) -> bool {
        !self.rules.single_engine() && run.alone().is_some_and(|steps| self.spans(&steps))
    }

    fn spans(&self, steps: &[Step]) -> bool {
        steps.iter().any(|step| self.spans_engines(step.spec, step.db, &step.borrowed()))
    }

    /// Executes a run, on whatever replica this is, and waits for its replies.
    pub async fn execute(self: &Arc<Self>, run: &mut Run, mailbox: &Arc<Mailbox>, manner: Manner) -> Executed {
        if self.stopped.load(Ordering::Relaxed) {
            return Executed::NotLeader(None);
        }
        let term = self.leadership().borrow().term;
        if run.is_read_only() {
            let policy = if run.condition.is_some() { ReadPolicy::Lease } else { manner.policy };
            return match self.barrier(policy).await {
                Ok(()) => self.read_run(run, term, mailbox, manner).await,
                Err(ReadError::NotLeader { leader }) => Executed::NotLeader(leader),
                Err(ReadError::Leader(_) | ReadError::NoQuorum | ReadError::Stopped) => Executed::NotLeader(None),
            };
        }
        if !self.is_leader() {
            return Executed::NotLeader(self.leader());
        }
        if let Some(steps) = run.alone().filter(|steps| !self.rules.single_engine() && self.spans(steps)) {
            // What it reads must be what all replicas will have.
            if self.barrier(ReadPolicy::Lease).await.is_err() {
                return Executed::NotLeader(self.leader().filter(|_| !self.is_leader()));
            }
            let mut replies = ReplyBuffer::default();
            let transaction = run.is_transaction().then_some(run.condition);
            replies.push(self.execute_across_engines(&steps, transaction, manner.protocol).await);
            let ends = vec![replies.len()];
            return Executed::Done(replies, ends);
        }
        run.want_ends();
        if let Some(watch) = run.condition {
            if self.is_full() {
                return Executed::Refused(proposer::DISK_FULL);
            }
            self.queue.submit_conditional((run, watch), mailbox, manner.protocol, manner.touch);
        }
        while run.condition.is_none() {
            match self.submit(run, mailbox, manner.protocol, manner.touch) {
                Ok(()) => break,
                Err(Refusal::Full) => self.room().await,
                Err(Refusal::DiskFull) => return Executed::Refused(proposer::DISK_FULL),
                Err(Refusal::Stopped) => return Executed::NotLeader(None),
            }
        }
        let mut replies = ReplyBuffer::default();
        if !wait_done(mailbox, &mut replies).await {
            return Executed::NotLeader(self.leader().filter(|_| !self.is_leader()));
        }
        Executed::Done(replies, mailbox.take_ends())
    }

    /// Executes a run of reads on what this replica has.
    async fn read_run(self: &Arc<Self>, run: &Run, term: u64, mailbox: &Arc<Mailbox>, manner: Manner) -> Executed {
        let mut replies = ReplyBuffer::default();
        let mut ends = Vec::with_capacity(run.len());
        let has_due = {
            let shared = self.shared();
            let store = self.store.read();
            if run.condition.is_some_and(|watch| !self.watch_holds(watch, &store, clock::now(), term)) {
                replies.reply(manner.protocol).null_array();
                let ends = vec![replies.len()];
                return Executed::Done(replies, ends);
            }
            let mut records = Records::over(&run.local);
            let mut args = Vec::new();
            let mut tally = Tally::default();
            let mut missed = false;
            let mut inner = 0;
            for op in &run.ops {
                if let Op::Transaction { commands } = *op {
                    replies.reply(manner.protocol).array(commands as usize);
                    inner = commands;
                    if inner == 0 {
                        ends.push(replies.len());
                    }
                }
                let Op::Read { spec, db } = *op else { continue };
                if records.next(&mut args).is_err() {
                    return Executed::Refused("ERR a forwarded command was damaged");
                }
                let started = clock::instant();
                let start = replies.len();
                let mut context = self.read_context(&store, &shared, db, clock::now());
                context.touch = manner.touch;
                let result = apply::execute_read(spec, &context, &args, &mut replies.reply(manner.protocol));
                let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                tally.hits += context.hits.get();
                tally.misses += context.misses.get();
                missed |= context.misses.get() > 0;
                match result {
                    Ok(succeeded) if manner.count => {
                        tally.add(&self.counters, spec, nanos, !succeeded);
                        if !succeeded {
                            self.counters.errors.count_reply(replies.since(start));
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, command = spec.name, "a read failed");
                        replies.truncate(start);
                        replies.reply(manner.protocol).error(&format!("ERR {error}"));
                    }
                }
                if manner.count {
                    self.counters.slowlog.observe(spec, nanos, &args, || mailbox.origin());
                }
                inner = inner.saturating_sub(1);
                if inner == 0 {
                    ends.push(replies.len());
                }
            }
            tally.flush(&self.counters);
            self.counters.reads_of(manner.policy).fetch_add(run.len() as u64, Ordering::Relaxed);
            missed && self.is_leader() && self.has_due_keys(&store, clock::now())
        };
        if has_due {
            self.sweep_due().await;
        }
        Executed::Done(replies, ends)
    }
}
