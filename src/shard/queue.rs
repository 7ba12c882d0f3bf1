//! Commands that wait for the shard's next log entry, and the entries that are under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::batch::{BULK_MAX_BYTES, Encoder, HEADER_BYTES, Header, settings_of};
use super::run::{Mailbox, Op, Run, Submitted};
use super::watch::WatchId;
use crate::limits::{BULK_MAX_BYTES_DEFAULT, ENTRY_TARGET_BYTES, PROPOSAL_QUEUE_MAX_BYTES};
use crate::resp::Protocol;
use crate::storage::{EncodingSettings, StorageResult};
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// What an entry does besides what its payload says: who waits for which replies.
#[derive(Default)]
pub(crate) struct Proposal {
    pub(crate) sequence: u64,
    pub(crate) runs: Vec<Submitted>,
    pub(crate) ops: Vec<Op>,
    /// Encoded reads that ride along.
    pub(crate) local: Vec<u8>,
    /// Called after the entry was applied or failed.
    pub(crate) done: Vec<Box<dyn FnOnce(bool) + Send>>,
}

/// A transaction on a condition.
pub(crate) struct Conditional {
    pub(crate) log: Vec<u8>,
    pub(crate) watch: WatchId,
    local: Vec<u8>,
    ops: Vec<Op>,
    pub(crate) submitted: Submitted,
}

/// What becomes of a transaction on a condition.
pub(crate) enum Verdict {
    /// It goes into the entry.
    Holds,
    /// It is decided next time.
    Later,
    /// It is not executed.
    Fails,
}

#[derive(Default)]
struct Waiting {
    /// Room for the header, then command records.
    log: Vec<u8>,
    proposal: Proposal,
    has_records: bool,
}

/// Settings that decide what commands do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The longest string that a command may build.
    pub(crate) bulk_max_bytes: i64,
    /// The thresholds of encodings.
    pub(crate) encoding: EncodingSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bulk_max_bytes: BULK_MAX_BYTES_DEFAULT, encoding: EncodingSettings::DEFAULT }
    }
}

impl Settings {
    /// The settings that an entry is executed with.
    pub(crate) fn of(entry: &[u8]) -> StorageResult<Self> {
        let mut settings = Self::default();
        settings_of(entry, |name, value| {
            if name == BULK_MAX_BYTES {
                settings.bulk_max_bytes = parse_i64(value).unwrap_or(settings.bulk_max_bytes);
            } else {
                settings.encoding.set(name, value);
            }
        })?;
        Ok(settings)
    }

    fn write(&self, encoder: &mut Encoder<'_>) {
        let bytes = Some(self.bulk_max_bytes).filter(|&bytes| bytes != BULK_MAX_BYTES_DEFAULT);
        if let Some(bytes) = bytes {
            encoder.setting(BULK_MAX_BYTES, bytes.to_string().as_bytes());
        }
        for (name, value) in self.encoding.changed() {
            encoder.setting(name.as_bytes(), value.to_string().as_bytes());
        }
    }
}

/// The queue of one shard.
pub(crate) struct Queue {
    /// Entries of other processes have another origin.
    origin: u64,
    /// What the entries gathered here are executed with. To be locked after `waiting`.
    settings: Mutex<Settings>,
    waiting: Mutex<VecDeque<Waiting>>,
    /// To be locked after `waiting`.
    conditional: Mutex<VecDeque<Conditional>>,
    under_way: Mutex<VecDeque<Proposal>>,
    /// Entries that were taken and are neither applied nor given up.
    in_flight: AtomicUsize,
    /// Signalled when something was added or an entry is done.
    pub(crate) changed: Notify,
    /// Signalled when the queue has room again.
    pub(crate) room: Notify,
    /// Held while the proposer must not take anything; see [`Queue::pause`].
    paused: AtomicBool,
    pause_turn: tokio::sync::Mutex<()>,
    idle: Notify,
}

/// While this lives the proposer takes no entry and none is under way.
pub(crate) struct Pause<'a> {
    queue: &'a Queue,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.queue.paused.store(false, Ordering::Release);
        self.queue.changed.notify_one();
    }
}

/// The queue is full.
pub(crate) struct Full;

impl Queue {
    pub(crate) fn new(origin: u64) -> Self {
        Self {
            origin,
            settings: Mutex::default(),
            waiting: Mutex::default(),
            conditional: Mutex::default(),
            under_way: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            changed: Notify::new(),
            room: Notify::new(),
            paused: AtomicBool::new(false),
            pause_turn: tokio::sync::Mutex::new(()),
            idle: Notify::new(),
        }
    }

    /// Changes the settings of entries that are begun from now on.
    pub(crate) fn change_settings(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock());
    }

    /// Changes the threshold of an encoding; `done` is called when an entry with it was applied or failed.
    pub(crate) fn submit_setting(&self, name: &str, value: &str, done: Box<dyn FnOnce(bool) + Send>) {
        {
            let mut waiting = self.waiting.lock();
            self.settings.lock().encoding.set(name.as_bytes(), value.as_bytes());
            let mut entry = self.new_entry(None);
            entry.proposal.done.push(done);
            entry.has_records = true;
            waiting.push_back(entry);
        }
        self.changed.notify_one();
    }

    /// Begins an entry.
    fn new_entry(&self, fence: Option<u64>) -> Waiting {
        let mut log = vec![0; HEADER_BYTES];
        let mut encoder = Encoder(&mut log);
        if let Some(term) = fence {
            encoder.fence(term);
        }
        self.settings.lock().write(&mut encoder);
        Waiting { log, ..Waiting::default() }
    }

    /// The entry being gathered.
    fn tail<'w>(&self, waiting: &'w mut VecDeque<Waiting>) -> &'w mut Waiting {
        if waiting.back().is_none_or(|entry| entry.log.len() >= ENTRY_TARGET_BYTES) {
            waiting.push_back(self.new_entry(None));
        }
        waiting.back_mut().expect("there is an entry, made above if need be")
    }

    /// Stops the proposer and waits until nothing is under way. What is put into the queue before
    /// the pause ends goes *before* everything that waited already. Gives up when `hopeless` says that
    /// what is under way will not end soon.
    pub(crate) async fn pause(&self, hopeless: impl Fn() -> bool) -> Option<Pause<'_>> {
        let turn = self.pause_turn.lock().await;
        {
            let _no_entry_is_taken_now = self.waiting.lock();
            self.paused.store(true, Ordering::Release);
        }
        // From here on dropping it ends the pause.
        let pause = Pause { queue: self, _turn: turn };
        loop {
            let idle = self.idle.notified();
            if self.in_flight() == 0 {
                return Some(pause);
            }
            if hopeless() {
                return None;
            }
            let _ = tokio::time::timeout(Duration::from_millis(5), idle).await;
        }
    }

    /// Copies a run into the entry being gathered.
    pub(crate) fn submit(
        &self,
        run: &Run,
        mailbox: &Arc<Mailbox>,
        protocol: Protocol,
        touch: bool,
    ) -> Result<(), Full> {
        let mut waiting = self.waiting.lock();
        let queued: usize = waiting.iter().map(|entry| entry.log.len() + entry.proposal.local.len()).sum();
        if queued > 0 && queued + run.bytes() > PROPOSAL_QUEUE_MAX_BYTES {
            return Err(Full);
        }
        let entry = self.tail(&mut waiting);
        entry.log.extend_from_slice(&run.log);
        entry.proposal.local.extend_from_slice(&run.local);
        entry.proposal.runs.push(Submitted {
            mailbox: Arc::clone(mailbox),
            protocol,
            touch,
            wants_ends: run.wants_ends,
            ops: run.ops.len(),
            replies: run.len(),
        });
        entry.proposal.ops.extend_from_slice(&run.ops);
        entry.has_records = true;
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Adds a transaction on a condition.
    pub(crate) fn submit_conditional(
        &self,
        (run, watch): (&Run, WatchId),
        mailbox: &Arc<Mailbox>,
        protocol: Protocol,
        touch: bool,
    ) {
        self.conditional.lock().push_back(Conditional {
            log: run.log.clone(),
            watch,
            local: run.local.clone(),
            ops: run.ops.clone(),
            submitted: Submitted {
                mailbox: Arc::clone(mailbox),
                protocol,
                touch,
                wants_ends: run.wants_ends,
                ops: run.ops.len(),
                replies: run.len(),
            },
        });
        self.changed.notify_one();
    }

    /// Whether a transaction on a condition waits.
    pub(crate) fn has_conditional(&self) -> bool {
        !self.conditional.lock().is_empty()
    }

    /// Decides all transactions on a condition, and closes an entry of those whose conditions hold; its payload is to be
    /// proposed. To be called when nothing is under way. The runs that failed are left in `failed`.
    pub(crate) fn take_conditional(
        &self,
        header: (u64, UnixMs, u64),
        term: u64,
        decide: &mut dyn FnMut(&Conditional) -> Verdict,
        failed: &mut Vec<Submitted>,
    ) -> Option<Vec<u8>> {
        let waiting = self.waiting.lock();
        if self.paused.load(Ordering::Acquire) {
            return None;
        }
        let mut entry = self.new_entry(Some(term));
        let mut conditional = self.conditional.lock();
        for transaction in std::mem::take(&mut *conditional) {
            let is_full = entry.log.len() >= ENTRY_TARGET_BYTES;
            match if is_full { Verdict::Later } else { decide(&transaction) } {
                Verdict::Later => conditional.push_back(transaction),
                Verdict::Fails => failed.push(transaction.submitted),
                Verdict::Holds => {
                    entry.log.extend_from_slice(&transaction.log);
                    entry.proposal.local.extend_from_slice(&transaction.local);
                    entry.proposal.ops.extend_from_slice(&transaction.ops);
                    entry.proposal.runs.push(transaction.submitted);
                }
            }
        }
        if entry.proposal.runs.is_empty() {
            return None;
        }
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        drop((conditional, waiting));
        Some(self.close(entry, header))
    }

    fn close(&self, entry: Waiting, (sequence, now, seed): (u64, UnixMs, u64)) -> Vec<u8> {
        let Waiting { mut log, mut proposal, .. } = entry;
        Header { now, seed, origin: self.origin, sequence }.write(&mut log);
        proposal.sequence = sequence;
        self.under_way.lock().push_back(proposal);
        log
    }

    /// Adds records that no client waits for. With a fence they are an entry of their own.
    pub(crate) fn submit_records(
        &self,
        fence: Option<u64>,
        encode: impl FnOnce(&mut Encoder<'_>),
        done: Box<dyn FnOnce(bool) + Send>,
    ) {
        {
            let mut waiting = self.waiting.lock();
            if fence.is_some() || self.paused.load(Ordering::Acquire) {
                // Effects computed during a pause come first: they follow what is applied.
                waiting.push_front(self.new_entry(fence));
            }
            let entry = match waiting.front_mut() {
                Some(front) if !front.has_records => front,
                _ => self.tail(&mut waiting),
            };
            encode(&mut Encoder(&mut entry.log));
            entry.proposal.done.push(done);
            entry.has_records = true;
        }
        self.changed.notify_one();
    }

    /// Closes the oldest gathered entry and notes it as under way; its payload is to be proposed.
    pub(crate) fn take(&self, sequence: u64, now: UnixMs, seed: u64) -> Option<Vec<u8>> {
        let entry = {
            let mut waiting = self.waiting.lock();
            if self.paused.load(Ordering::Acquire) {
                return None;
            }
            let entry = waiting.pop_front()?;
            // Counted before the lock is let go, so that a pause cannot miss it.
            self.in_flight.fetch_add(1, Ordering::AcqRel);
            entry
        };
        self.room.notify_waiters();
        debug_assert!(entry.has_records, "entries are made when something is put into them");
        Some(self.close(entry, (sequence, now, seed)))
    }

    /// Whether nothing waits to be proposed.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty() && !self.has_conditional()
    }

    /// Number of runs that the next entry will have as things are.
    pub(crate) fn next_runs(&self) -> usize {
        self.waiting.lock().front().map_or(0, |entry| entry.proposal.runs.len())
    }

    /// Bytes that wait to be proposed.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.waiting.lock().iter().map(|entry| entry.log.len()).sum()
    }

    /// Number of entries that were taken and are neither applied nor given up.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// An entry that was taken is applied or given up.
    pub(crate) fn entry_done(&self) {
        if self.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.idle.notify_waiters();
        }
        if !self.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Whether this process proposed an entry.
    pub(crate) fn is_own(&self, header: &Header) -> bool {
        header.origin == self.origin
    }

    /// The proposal of an entry that is being applied, if this process proposed it.
    pub(crate) fn claim(&self, header: &Header) -> Option<Proposal> {
        if !self.is_own(header) {
            return None;
        }
        let mut under_way = self.under_way.lock();
        let position = under_way.iter().position(|proposal| proposal.sequence == header.sequence)?;
        under_way.remove(position)
    }

    /// The proposal with this sequence, if it was never applied.
    pub(crate) fn abandon(&self, sequence: u64) -> Option<Proposal> {
        let mut under_way = self.under_way.lock();
        let position = under_way.iter().position(|proposal| proposal.sequence == sequence)?;
        under_way.remove(position)
    }

    /// Everything that was proposed and is not applied; its clients are to learn that the outcome is unknown.
    pub(crate) fn abandon_all(&self) -> Vec<Proposal> {
        self.under_way.lock().drain(..).collect()
    }

    /// Everything that waits to be proposed, to be refused.
    pub(crate) fn refuse_waiting(&self) -> Vec<Proposal> {
        let mut refused: Vec<Proposal> = self.waiting.lock().drain(..).map(|entry| entry.proposal).collect();
        let runs: Vec<Submitted> = std::mem::take(&mut *self.conditional.lock())
            .into_iter()
            .map(|transaction| transaction.submitted)
            .collect();
        if !runs.is_empty() {
            refused.push(Proposal { runs, ..Proposal::default() });
        }
        refused
    }
}
