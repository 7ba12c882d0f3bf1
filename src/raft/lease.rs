//! What a group's handle knows of leadership without asking anybody: the gate of reads, and the lease.
//!
//! # The lease
//! A voter that hears a leader votes for nobody else for one longest election timeout (openraft calls
//! that the leader's lease). So when a quorum has acknowledged something that the leader *sent* at an instant,
//! no other node can lead before that instant plus the timeout. The lease ends a tenth earlier, which is for
//! clocks that do not run at the same rate.
//!
//! That is true only if
//! - a voter that restarts, and has forgotten what it heard, keeps quiet for as long (`votes`);
//! - nobody leads because it led before it restarted (openraft's `enable_leader_restore` is off);
//! - the leader stops to trust its lease *before* it asks another to take over, and for the rest of the term,
//!   because the request may arrive at any time later;
//! - the clock does not stop with the machine: the lease is measured on the clock that goes on while the
//!   machine sleeps, and an acknowledgement from before it slept does not count.
//!
//! The end of the lease follows openraft's metrics, which hold the instant that a quorum has
//! acknowledged: heartbeats and entries alike. Under load they change with every entry; they are looked at
//! a dozen times in a lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftServerMetrics;
use openraft::{Instant as _, RaftMetrics, ServerState};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};

use super::Role;
use super::clock::{boottime_ns as now_ns, slept_ns};
use super::types::TypeConfig;
use crate::types::{LogIndex, NodeId};

/// Part of the longest election timeout that is left for clocks that run at different rates.
const DRIFT_MARGIN_DIVISOR: u32 = 10;
/// Looks at the metrics in one lease, at most.
const LOOKS_PER_LEASE: u32 = 12;
/// Difference between the clocks that means that the machine has slept.
const SLEPT_NS: u64 = 1_000_000;

/// How long after an acknowledged instant a leader may trust that it leads.
pub(super) fn lease_of(election_max: Duration) -> Duration {
    election_max - election_max / DRIFT_MARGIN_DIVISOR
}

/// What a node is in a group, as of the last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The current term.
    pub term: u64,
    /// Who leads, if known.
    pub leader: Option<NodeId>,
    /// What this node is.
    pub role: Role,
    /// This node leads and may answer reads from its own state: [`super::Group::read_gate`] is open.
    pub lease: bool,
}

impl Leadership {
    pub(super) const UNKNOWN: Leadership = Leadership { term: 0, leader: None, role: Role::Learner, lease: false };
}

/// What the group's handle reads without asking anybody.
pub(super) struct Gate {
    /// The term this node leads, or 0.
    pub(super) leader_term: AtomicU64,
    /// The term of the last applied entry.
    pub(super) applied_term: AtomicU64,
    /// The index of the last applied entry, plus 1; 0 when there is none.
    pub(super) applied_next: AtomicU64,
    /// This node is the only voter, so that no other can lead: its lease never ends.
    pub(super) only_voter: AtomicBool,
    /// A defect that tests plant: this node behaves as if it were the only voter.
    ignores_lease: AtomicBool,
    /// When the lease of `leader_term` ends, on the clock of `now_ns`. Set to 0 before the term changes.
    lease_end_ns: AtomicU64,
    /// The term in which this node has asked another to lead, or 0.
    given_up_term: AtomicU64,
    /// The raft core has ended.
    pub(super) stopped: AtomicBool,
    /// Something of the above, other than the index and the lease, has changed.
    pub(super) changed: Notify,
    /// The lowest value of `applied_next` that somebody waits for; `u64::MAX` when nobody does.
    wanted_next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Vec<oneshot::Sender<()>>>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            leader_term: AtomicU64::new(0),
            applied_term: AtomicU64::new(0),
            applied_next: AtomicU64::new(0),
            only_voter: AtomicBool::new(false),
            ignores_lease: AtomicBool::new(false),
            lease_end_ns: AtomicU64::new(0),
            given_up_term: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            changed: Notify::new(),
            wanted_next: AtomicU64::new(u64::MAX),
            waiting: Mutex::default(),
        }
    }
}

impl Gate {
    /// See `Group::read_gate`.
    pub(super) fn is_open(&self) -> bool {
        let term = self.leader_term.load(Acquire);
        if term == 0 || self.applied_term.load(Acquire) != term {
            return false;
        }
        if self.only_voter.load(Acquire) {
            return true;
        }
        // The lease is of this term if the term is still the same after it was read: it is zero
        // while the term changes, and terms do not come back.
        let end = self.lease_end_ns.load(Acquire);
        now_ns() < end && self.given_up_term.load(SeqCst) != term && self.leader_term.load(Acquire) == term
    }

    /// The last applied entry.
    pub(super) fn last_applied(&self) -> Option<LogIndex> {
        self.applied_next.load(Acquire).checked_sub(1).map(LogIndex)
    }

    /// Leadership is about to be offered to another node: no read of this term trusts the lease any more.
    pub(super) fn give_up(&self, term: u64) {
        self.given_up_term.store(term, SeqCst);
    }

    /// Plants a defect: the gate is open for whoever takes itself for the leader.
    pub(super) fn ignore_lease(&self) {
        self.ignores_lease.store(true, SeqCst);
        self.only_voter.store(true, SeqCst);
    }

    /// A term in which this node leads has begun, or ended (0).
    fn set_leader_term(&self, term: u64) {
        if self.leader_term.load(Acquire) != term {
            self.lease_end_ns.store(0, Release);
            self.leader_term.store(term, Release);
        }
    }

    /// Notes an applied entry. Answers whether its term is new.
    pub(super) fn note_applied(&self, term: u64, index: u64) -> bool {
        let next = index + 1;
        self.applied_next.store(next, SeqCst);
        if self.wanted_next.load(SeqCst) <= next {
            self.wake(next);
        }
        self.applied_term.swap(term, Release) != term
    }

    fn wake(&self, next: u64) {
        let mut waiting = self.waiting.lock();
        let later = waiting.split_off(&(next + 1));
        for sender in std::mem::replace(&mut *waiting, later).into_values().flatten() {
            // Who waited may have given up.
            sender.send(()).ok();
        }
        self.wanted_next.store(waiting.first_key_value().map_or(u64::MAX, |(next, _)| *next), SeqCst);
    }

    /// Yields when the entry is applied, an error when the group ends first.
    pub(super) fn applied(&self, index: LogIndex) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let wanted = index.0 + 1;
        {
            let mut waiting = self.waiting.lock();
            waiting.entry(wanted).or_default().push(sender);
            let first = waiting.first_key_value().map_or(u64::MAX, |(next, _)| *next);
            self.wanted_next.store(first, SeqCst);
        }
        // Whoever applies has either seen what is wanted, or is seen here.
        let next = self.applied_next.load(SeqCst);
        if next >= wanted {
            self.wake(next);
        } else if self.stopped.load(SeqCst) {
            self.waiting.lock().clear();
        }
        receiver
    }

    fn stop(&self) {
        self.set_leader_term(0);
        self.stopped.store(true, SeqCst);
        self.changed.notify_waiters();
        self.waiting.lock().clear();
    }
}

/// Turns acknowledged instants into ends of leases.
struct LeaseClock {
    lease: Duration,
    /// How far the clock that goes on in sleep is ahead of the other.
    offset_ns: u64,
    /// When that was last seen to have changed: instants before do not count.
    distrusted: tokio::time::Instant,
}

impl LeaseClock {
    fn new(lease: Duration) -> Self {
        Self { lease, offset_ns: slept_ns(), distrusted: tokio::time::Instant::now() }
    }

    /// `acknowledged_ago` was measured before this is called, so the end errs towards too early.
    fn end_ns(&mut self, acknowledged_ago: Duration, now: u64) -> u64 {
        let offset = slept_ns();
        if offset.abs_diff(self.offset_ns) > SLEPT_NS {
            self.offset_ns = offset;
            self.distrusted = tokio::time::Instant::now();
        }
        if acknowledged_ago >= self.distrusted.elapsed() {
            return 0;
        }
        now.saturating_sub(acknowledged_ago.as_nanos() as u64) + self.lease.as_nanos() as u64
    }
}

/// Keeps the gate up to date until the core ends. Without a lease, the gate opens for an only voter.
pub(super) async fn watch_leadership(
    mut server: WatchReceiverOf<TypeConfig, RaftServerMetrics<TypeConfig>>,
    mut all: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    gate: Arc<Gate>,
    lease: Option<Duration>,
    state: watch::Sender<Leadership>,
) {
    let mut clock = LeaseClock::new(lease.unwrap_or_default());
    loop {
        let (mut now, only_voter) = {
            let metrics = server.borrow_watched();
            let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
            let now = Leadership {
                term: metrics.vote.leader_id.term,
                leader: metrics.current_leader.map(NodeId),
                role: Role::from_state(metrics.state),
                lease: false,
            };
            (now, voters == [metrics.id] || gate.ignores_lease.load(SeqCst))
        };
        let leads = now.role == Role::Leader;
        gate.only_voter.store(only_voter, Release);
        gate.set_leader_term(if leads { now.term } else { 0 });
        let watches_lease = leads && !only_voter && lease.is_some();
        if watches_lease {
            let before = now_ns();
            let acknowledged = {
                let metrics = all.borrow_and_update();
                let is_current = metrics.state == ServerState::Leader && metrics.vote.leader_id.term == now.term;
                let is_voter = metrics.membership_config.voter_ids().any(|voter| voter == metrics.id);
                metrics.last_quorum_acked.filter(|_| is_current && is_voter).map(|at| at.into_inner().elapsed())
            };
            let end = acknowledged.map_or(0, |ago| clock.end_ns(ago, before));
            gate.lease_end_ns.store(end, Release);
        }
        now.lease = gate.is_open();
        state.send_if_modified(|last| std::mem::replace(last, now) != now);
        gate.changed.notify_waiters();
        let lease_is_due = Duration::from_nanos(gate.lease_end_ns.load(Acquire).saturating_sub(now_ns()));
        let acknowledged = async {
            if !watches_lease {
                return std::future::pending().await;
            }
            if now.lease {
                tokio::time::sleep(clock.lease / LOOKS_PER_LEASE).await;
            }
            all.changed().await.is_ok()
        };
        let applied = async {
            // Leads without having applied an entry of the term: whoever applies it says so.
            let changed = gate.changed.notified();
            if !leads || gate.applied_term.load(Acquire) == now.term {
                std::future::pending().await
            } else {
                changed.await
            }
        };
        let expired = async {
            if watches_lease && now.lease {
                tokio::time::sleep(lease_is_due).await
            } else {
                std::future::pending().await
            }
        };
        let goes_on = tokio::select! {
            changed = server.changed() => changed.is_ok(),
            goes_on = acknowledged => goes_on,
            () = applied => true,
            () = expired => true,
        };
        if !goes_on {
            break;
        }
    }
    gate.stop();
    state.send_modify(|last| *last = Leadership { leader: None, role: Role::Stopped, lease: false, ..*last });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leading(gate: &Gate, term: u64) {
        gate.set_leader_term(term);
        gate.note_applied(term, 10);
    }

    #[test]
    fn the_gate_is_open_while_the_lease_lasts_and_until_it_is_given_up() {
        let gate = Gate::default();
        leading(&gate, 3);
        assert!(!gate.is_open(), "no lease");
        gate.lease_end_ns.store(now_ns() + 1_000_000_000, Release);
        assert!(gate.is_open());
        gate.give_up(3);
        assert!(!gate.is_open());
        // Another term of the same leader begins without a lease, and with the right to one.
        leading(&gate, 5);
        assert!(!gate.is_open());
        gate.lease_end_ns.store(now_ns() + 1_000_000_000, Release);
        assert!(gate.is_open());
        gate.lease_end_ns.store(now_ns() - 1, Release);
        assert!(!gate.is_open());
        gate.only_voter.store(true, Release);
        assert!(gate.is_open());
        gate.note_applied(4, 11);
        assert!(!gate.is_open(), "nothing of its term was applied");
    }

    #[test]
    fn acknowledgements_of_before_a_sleep_do_not_count() {
        let mut clock = LeaseClock::new(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(5));
        let now = now_ns();
        let end = clock.end_ns(Duration::from_millis(2), now);
        assert_eq!(end, now - 2_000_000 + 1_000_000_000);
        // As if the machine had slept for a minute.
        clock.offset_ns = clock.offset_ns.wrapping_sub(60_000_000_000);
        assert_eq!(clock.end_ns(Duration::from_millis(2), now_ns()), 0);
        std::thread::sleep(Duration::from_millis(5));
        assert!(clock.end_ns(Duration::from_millis(1), now_ns()) > now_ns());
    }

    #[tokio::test]
    async fn who_waits_for_an_entry_is_woken_when_it_is_applied_or_never_will_be() {
        let gate = Gate::default();
        let (mut early, mut late) = (gate.applied(LogIndex(5)), gate.applied(LogIndex(9)));
        gate.note_applied(1, 4);
        assert!(early.try_recv().is_err());
        gate.note_applied(1, 6);
        assert_eq!(early.try_recv(), Ok(()));
        assert!(late.try_recv().is_err());
        assert_eq!(gate.applied(LogIndex(6)).await, Ok(()));
        gate.stop();
        assert!(late.await.is_err());
        assert!(gate.applied(LogIndex(7)).await.is_err());
    }
}
