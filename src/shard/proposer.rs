//! Drains the queue into log entries, one after the other, and proposes sweeps of expired keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::queue::Proposal;
use super::{Shard, clock};
use crate::limits::{
    EXPIRE_SWEEP_MAX_KEYS, GARBAGE_STEP_ROWS, GARBAGE_STEPS_PER_TICK, MEMORY_LOG_MAX_BYTES, PROPOSALS_IN_FLIGHT_MAX,
};
use crate::raft::{FsyncPolicy, ProposeError};
use crate::types::{LogIndex, UnixMs};

/// How often due keys, snapshots and background sweeps are looked after.
const TICK: Duration = Duration::from_millis(50);
/// A sync that takes this long, in microseconds, is worth waiting a little to share.
const SLOW_SYNC_US: u64 = 1000;
/// How long it is waited at most.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// How often an engine whose files cannot grow is tried again.
const ENGINE_RETRY: Duration = Duration::from_millis(500);
/// How long clients whose commands are under way wait for room on a full disk.
const STALL_PATIENCE: Duration = Duration::from_secs(1);

/// How long clients whose commands are under way wait for a majority of the replicas.
const QUORUM_PATIENCE: Duration = Duration::from_secs(2);
const OUTCOME_UNKNOWN: &str =
    "ERR outcome unknown: leadership was lost while the command was in flight; it may or may not be executed";

/// Turns what connections submit into log entries until the shard stops.
pub(super) async fn propose_forever(shard: Arc<Shard>) {
    let mut sequence = 0u64;
    let mut last_now = UnixMs(0);
    // How many runs the last entry had: so many connections have just been answered, or will be.
    let mut expected = 0;
    loop {
        shard.queue.changed.notified().await;
        // Let the connections that are ready now add their commands to the same entry.
        tokio::task::yield_now().await;
        gather(&shard, expected).await;
        while shard.queue.in_flight() < PROPOSALS_IN_FLIGHT_MAX {
            if shard.stopped.load(Ordering::Relaxed) {
                return;
            }
            sequence += 1;
            let now = shard.read_time(clock::now()).max(last_now);
            if shard.queue.has_conditional() {
                // What is under way may change what they depend on.
                if shard.queue.in_flight() > 0 {
                    break;
                }
                if let Some(payload) = shard.take_conditional(sequence, now, clock_seed(now, sequence)) {
                    last_now = now;
                    propose(&shard, sequence, payload).await;
                }
                // Those that have to wait must not hold up all others.
                sequence += 1;
            }
            expected = shard.queue.next_runs();
            let Some(payload) = shard.queue.take(sequence, now, clock_seed(now, sequence)) else { break };
            last_now = now;
            propose(&shard, sequence, payload).await;
        }
    }
}

/// Where a sync is slow, waits for those whose last commands were just answered, so that one sync does for all
/// of them. Without this the first few to come back get a sync for themselves, all others wait for it, and
/// half of the syncs are nearly empty.
async fn gather(shard: &Shard, expected: usize) {
    if shard.log.policy() != FsyncPolicy::Always || shard.log.stats().last_fsync_us < SLOW_SYNC_US {
        return;
    }
    while shard.queue.in_flight() > 0 && !shard.stopped.load(Ordering::Relaxed) {
        shard.queue.changed.notified().await;
    }
    let all_are_back = async {
        while shard.queue.next_runs() < expected {
            shard.queue.changed.notified().await;
        }
    };
    let _ = tokio::time::timeout(GATHER_MAX, all_are_back).await;
}

/// Seeds differ between entries; that they can be guessed does no harm.
pub(super) fn clock_seed(now: UnixMs, sequence: u64) -> u64 {
    now.0.unsigned_abs().rotate_left(32) ^ sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

async fn propose(shard: &Arc<Shard>, sequence: u64, payload: Vec<u8>) {
    let done = {
        let shard = Arc::clone(shard);
        move |result: Result<LogIndex, ProposeError>| {
            if let Err(error) = result {
                abandon(&shard, sequence, &error);
            }
            shard.queue.entry_done();
        }
    };
    // On an error `done` has run already.
    let _ = shard.group().propose(Bytes::from(payload), done).await;
}

fn abandon(shard: &Shard, sequence: u64, error: &ProposeError) {
    let Some(proposal) = shard.queue.abandon(sequence) else { return };
    let text = match error {
        ProposeError::NotLeader { .. } | ProposeError::Stopped if shard.replicated => return bounce(proposal),
        ProposeError::NotLeader { .. } => "CLUSTERDOWN this node does not lead the shard; the command was not executed",
        ProposeError::Unknown => OUTCOME_UNKNOWN,
        ProposeError::Stopped => "ERR the shard has stopped; the command was not executed",
        ProposeError::TooLarge => "ERR the commands are too large for one log entry; they were not executed",
    };
    refuse(proposal, text);
}

/// Gives every run of a proposal back: another replica may execute it.
pub(super) fn bounce(proposal: Proposal) {
    for run in proposal.runs {
        if let Some(waker) = run.mailbox.bounce() {
            waker.wake();
        }
    }
    for done in proposal.done {
        done(false);
    }
}

/// Answers every command of a proposal with the same error.
pub(super) fn refuse(proposal: Proposal, text: &str) {
    for run in proposal.runs {
        let mut replies = run.mailbox.take_buffer();
        let mut ends = Vec::new();
        for _ in 0..run.replies {
            replies.reply(run.protocol).error(text);
            ends.push(replies.len());
        }
        if run.wants_ends {
            run.mailbox.put_ends(ends);
        }
        if let Some(waker) = run.mailbox.deliver(replies) {
            waker.wake();
        }
    }
    for done in proposal.done {
        done(false);
    }
}

/// Looks after due keys, snapshots and the engines' own background work until the shard stops.
pub(super) async fn tick_forever(shard: Arc<Shard>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut stalled_since, mut cut_off_since) = (None, None);
    let mut retry_at = clock::instant();
    while !shard.stopped.load(Ordering::Relaxed) {
        interval.tick().await;
        if shard.engine_full.load(Ordering::Relaxed) && clock::instant() >= retry_at {
            retry_engines(&shard);
            retry_at = clock::instant() + ENGINE_RETRY;
        }
        answer_those_who_wait(&shard, &mut stalled_since);
        give_up_leading(&shard, &mut cut_off_since);
        sweep_expired(&shard);
        sweep_garbage(&shard);
        shard.watches.forget_overdue();
        shard.serve_again();
        start_snapshot_if_due(&shard);
    }
}

/// Tries again to write what an engine could not write for lack of room.
fn retry_engines(shard: &Shard) {
    let retried = shard.store.write().retry();
    match retried {
        Ok(()) => {
            shard.engine_full.store(false, Ordering::Relaxed);
            tracing::warn!(shard = shard.id.0, "the engine's files can grow again");
        }
        Err(error) if error.is_storage_full() => {}
        Err(error) => shard.fail("writing an engine's files failed", &error),
    }
}

/// On a full disk, answers those who have waited long enough for it.
fn answer_those_who_wait(shard: &Shard, stalled_since: &mut Option<Instant>) {
    if shard.log.is_stalled().is_none() {
        *stalled_since = None;
    } else if stalled_since.get_or_insert_with(clock::instant).elapsed() >= STALL_PATIENCE {
        give_up_waiting(shard);
    }
}

/// On a leader that has not heard from a majority for a while, answers those who wait: what raft has already may
/// still be executed, the rest goes to whoever leads now.
fn give_up_leading(shard: &Shard, cut_off_since: &mut Option<Instant>) {
    if !shard.replicated || shard.leads() {
        *cut_off_since = None;
    } else if cut_off_since.get_or_insert_with(clock::instant).elapsed() >= QUORUM_PATIENCE {
        shard.queue.refuse_waiting().into_iter().for_each(bounce);
        for proposal in shard.queue.abandon_all() {
            refuse(proposal, OUTCOME_UNKNOWN);
        }
    }
}

/// Answers everybody whose commands wait for a log that cannot grow. What raft has already may still be
/// executed, when there is room; the rest never is.
fn give_up_waiting(shard: &Shard) {
    for proposal in shard.queue.refuse_waiting() {
        refuse(proposal, DISK_FULL);
    }
    for proposal in shard.queue.abandon_all() {
        refuse(proposal, DISK_FULL_UNKNOWN);
    }
}

/// The answer to a write that was not executed.
pub(super) const DISK_FULL: &str =
    "MISCONF the disk is full: the write was not executed; writes are accepted again when there is room";
const DISK_FULL_UNKNOWN: &str = "MISCONF the disk is full and the outcome of this command is unknown: it is not durable, \
    and may be executed when there is room";

/// Removes rows of values that are gone already, a little at a time.
fn sweep_garbage(shard: &Shard) {
    for _ in 0..GARBAGE_STEPS_PER_TICK {
        if shard.is_full() || !shard.store.try_read().is_some_and(|store| store.has_garbage()) {
            return;
        }
        // Somebody is busy: the next tick will do.
        let Some(mut store) = shard.store.try_write() else { return };
        let swept = store.sweep(GARBAGE_STEP_ROWS);
        drop(store);
        if let Err(error) = shard.engine_result(swept) {
            shard.fail("removing old rows failed", &error);
            return;
        }
    }
}

fn sweep_expired(shard: &Arc<Shard>) {
    let off = !shard.active_expire.load(Ordering::Relaxed) || shard.expiry_is_paused() || !shard.leads();
    if off || shard.sweeping.load(Ordering::Relaxed) {
        return;
    }
    let now = shard.read_time(clock::now());
    let due = {
        // A writer is busy: the next tick will do.
        let Some(store) = shard.store.try_read() else { return };
        store.has_due(now)
    };
    if due && !shard.is_full() {
        propose_sweep(shard, now);
    }
}

fn propose_sweep(shard: &Arc<Shard>, until: UnixMs) {
    shard.sweeping.store(true, Ordering::Relaxed);
    let again = Arc::clone(shard);
    let done = Box::new(move |_applied| {
        again.sweeping.store(false, Ordering::Relaxed);
        // More may be due than one sweep takes.
        sweep_expired(&again);
    });
    shard.queue.submit_records(None, |encoder| encoder.expire(until, EXPIRE_SWEEP_MAX_KEYS), done);
}

fn start_snapshot_if_due(shard: &Arc<Shard>) {
    let bytes = shard.applied_bytes.load(Ordering::Relaxed);
    let entries = shard.applied_index().0.saturating_sub(shard.last_snapshot_index.load(Ordering::Relaxed));
    // A snapshot writes everything: it must not come round more often than the data is rewritten.
    let bytes_limit = shard.snapshot_bytes_limit.load(Ordering::Relaxed).max(shard.stats.snapshot_bytes());
    let bytes_limit = if shard.is_cache() { bytes_limit.min(MEMORY_LOG_MAX_BYTES) } else { bytes_limit };
    let due = bytes >= bytes_limit
        || (entries >= shard.snapshot_entries_limit.load(Ordering::Relaxed) && bytes >= bytes_limit / 4);
    if !due || shard.snapshot_running() || !shard.stats.snapshot_may_retry(clock::now()) {
        return;
    }
    let shard = Arc::clone(shard);
    tokio::spawn(async move {
        if let Err(error) = shard.snapshot().await {
            tracing::warn!(shard = shard.id.0, %error, "snapshot failed; the log is kept and it will be tried again");
        }
    });
}
