//! Drains the queue into log entries, one after the other, and proposes sweeps of expired keys.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use super::queue::Proposal;
use super::{Shard, clock};
use crate::limits::{EXPIRE_SWEEP_MAX_KEYS, PROPOSALS_IN_FLIGHT_MAX};
use crate::raft::ProposeError;
use crate::types::{LogIndex, UnixMs};

/// How often due keys, snapshots and background sweeps are looked after.
const TICK: Duration = Duration::from_millis(50);

/// Turns what connections submit into log entries until the shard stops.
pub(super) async fn propose_forever(shard: Arc<Shard>) {
    let mut sequence = 0u64;
    let mut last_now = UnixMs(0);
    loop {
        shard.queue.changed.notified().await;
        // Let the connections that are ready now add their commands to the same entry.
        tokio::task::yield_now().await;
        while shard.queue.in_flight() < PROPOSALS_IN_FLIGHT_MAX {
            if shard.stopped.load(Ordering::Relaxed) {
                return;
            }
            sequence += 1;
            let now = shard.read_time(clock::now()).max(last_now);
            let Some(payload) = shard.queue.take(sequence, now, clock_seed(now, sequence)) else { break };
            last_now = now;
            propose(&shard, sequence, payload).await;
        }
    }
}

/// Seeds differ between entries; that they can be guessed does no harm.
fn clock_seed(now: UnixMs, sequence: u64) -> u64 {
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
    if let Err(error) = shard.group().propose(Bytes::from(payload), done).await {
        abandon(shard, sequence, &error);
        shard.queue.entry_done();
    }
}

fn abandon(shard: &Shard, sequence: u64, error: &ProposeError) {
    let Some(proposal) = shard.queue.abandon(sequence) else { return };
    let text = match error {
        ProposeError::NotLeader { .. } => "CLUSTERDOWN this node does not lead the shard; the command was not executed",
        ProposeError::Unknown => {
            "ERR outcome unknown: leadership was lost while the command was in flight; it may or may not be executed"
        }
        ProposeError::Stopped => "ERR the shard has stopped; the command was not executed",
        ProposeError::TooLarge => "ERR the commands are too large for one log entry; they were not executed",
    };
    refuse(proposal, text);
}

/// Answers every command of a proposal with the same error.
pub(super) fn refuse(proposal: Proposal, text: &str) {
    for run in proposal.runs {
        let mut replies = run.mailbox.take_buffer();
        for _ in 0..run.ops {
            crate::resp::Reply::new(&mut replies, run.protocol).error(text);
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
    while !shard.stopped.load(Ordering::Relaxed) {
        interval.tick().await;
        sweep_expired(&shard);
        start_snapshot_if_due(&shard);
    }
}

fn sweep_expired(shard: &Arc<Shard>) {
    if !shard.active_expire.load(Ordering::Relaxed) || shard.sweeping.load(Ordering::Relaxed) {
        return;
    }
    let now = shard.read_time(clock::now());
    let due = {
        // A writer is busy: the next tick will do.
        let Some(store) = shard.store.try_read() else { return };
        store.engines().any(|(_, engine)| engine.next_expiry().is_some_and(|at| at < now))
    };
    if due && shard.log.is_stalled().is_none() {
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
    shard.queue.submit_records(|encoder| encoder.expire(until, EXPIRE_SWEEP_MAX_KEYS), done);
}

fn start_snapshot_if_due(shard: &Arc<Shard>) {
    let bytes = shard.applied_bytes.load(Ordering::Relaxed);
    let entries = shard.applied_index().0.saturating_sub(shard.last_snapshot_index.load(Ordering::Relaxed));
    // A snapshot writes everything: it must not come round more often than the data is rewritten.
    let bytes_limit = shard.snapshot_bytes_limit.load(Ordering::Relaxed).max(shard.stats.snapshot_bytes());
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
