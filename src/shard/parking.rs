//! Clients that wait for a key to have something to pop or to read.
//!
//! They wait at the leader, outside of the log. Nothing of them is replicated: what they wait for is served by an
//! ordinary write, proposed for them when a key they wait for has been changed by an applied entry. So a client that
//! waits costs a few hundred bytes here, and one log entry when it is served.
//!
//! # Order
//! The clients of a key are served in the order in which they came, whichever of its keys a client is served from. A
//! client that is being served has its write in the shard's queue; for each key there are never more of these than the
//! key has elements. If another client took the element meanwhile the write answers nil, and the client waits on *in its
//! place*. Keys that become ready within one log entry, by a transaction for instance, are looked at after it.
//!
//! As in Redis, who pushes finds what waiting clients took gone from the moment on in which he has his answer: when a
//! command of lists or sorted sets goes into the queue that adds to keys which clients wait for, the writes of as many
//! clients as may get something go in right behind it, and so do those of clients that wait for where these move it.
//! Whether there will be anything is seen when they are executed; if not, they wait on in their places.
//!
//! # Where this differs from Redis
//! Redis serves a waiting client right behind the command that made the key ready, so that no other command can come
//! between. Here others can: those that were sent in one pipeline with it, those of other connections that come into the
//! queue in the same moment; and, behind commands such as RENAME and SORT that make a key ready without adding to it, all
//! that are in the queue already, and reads. Each of them is executed whole, so nothing is lost or given out twice.
//!
//! # No wake-up is lost
//! A client is entered under the store's read lock, after the store was seen to have nothing for it; the machine notes a
//! change under the write lock. A change that happens while a client is being served is seen when the client goes back to
//! waiting: then its keys are looked at once more.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::run::{Mailbox, Push, Run, Step};
use super::{Executed, Manner, Shard, apply, clock, wait_done};
use crate::command::streams::{has_news, stream_wait};
use crate::command::{Handler, ReadContext, Waiting, find};
use crate::raft::Role;
use crate::resp::{Reply, ReplyBuffer};
use crate::storage::store::Store;
use crate::storage::{EncodingSettings, Kind};
use crate::types::ReadPolicy;
use crate::types::number::parse_u64;
use crate::types::{Db, NodeId};

/// Why a client stops waiting without having been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Its time is over.
    TimedOut,
    /// Somebody called it off.
    Cancelled,
    /// This replica does not lead any more, or never did. Who does, if known.
    NotLeader(Option<NodeId>),
}

/// What became of a request that may wait.
#[derive(Debug)]
pub enum Blocked {
    /// The reply.
    Served(ReplyBuffer),
    /// The answer is this error.
    Refused(&'static str),
    /// It stopped waiting.
    Unserved(Unserved),
}

/// Calls a waiting client off.
#[derive(Default)]
pub struct CallOff {
    done: AtomicBool,
    changed: Notify,
}

impl CallOff {
    /// Calls it off.
    pub fn call_off(&self) {
        self.done.store(true, Ordering::Release);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// Whether it was called off.
    pub fn is_off(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Waits until it is called off.
    pub async fn wait(&self) {
        while !self.is_off() {
            self.changed.notified().await;
        }
    }
}

/// A reply that says that there is nothing is not longer.
const NIL_BYTES_MAX: usize = 5;
/// A reply that is an error of a pop is not longer.
const ERROR_BYTES_MAX: usize = 1024;

/// Where a client stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It came just now, and has not tried.
    New,
    /// It waits.
    Idle,
    /// Its command is on its way.
    Served,
}

struct Parked {
    run: Run,
    /// What a reader of streams asks for.
    reads: Option<Step>,
    /// What it runs from the second time on.
    later: Option<Run>,
    keys: Vec<(Db, Vec<u8>)>,
    kind: Kind,
    stage: Stage,
    manner: Manner,
    mailbox: Arc<Mailbox>,
    /// Its task runs the command by itself: it is a read, or reads one engine and changes another.
    by_itself: Option<Arc<Notify>>,
    /// A key was changed while it was being served.
    again: bool,
    /// It is being served although nobody knows yet whether there is something for it.
    at_a_venture: bool,
    /// Clients with the same name cannot be served at the same time: they read a stream in the same group.
    group: Option<Vec<u8>>,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<u64, Parked>,
    /// Those of them that are not idle: few, however many wait.
    restless: BTreeSet<u64>,
    keys: BTreeMap<Db, BTreeMap<Vec<u8>, BTreeSet<u64>>>,
    /// Keys that were changed by the entry being applied.
    changed: Vec<(Db, Vec<u8>)>,
    last_order: u64,
    /// How many of the clients read streams.
    readers: usize,
}

/// The waiting clients of a shard.
#[derive(Default)]
pub(super) struct Parking {
    count: AtomicUsize,
    state: Mutex<State>,
    /// The queue was full when somebody should have been served.
    retry: AtomicBool,
}

impl Parking {
    /// Whether anybody waits.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody waits for a key.
    pub(super) fn has(&self, db: Db, key: &[u8]) -> bool {
        self.state.lock().keys.get(&db).is_some_and(|of_db| of_db.contains_key(key))
    }

    /// The keys that are waited for, of some databases.
    pub(super) fn keys_of(&self, wanted: impl Fn(Db) -> bool) -> Vec<(Db, Vec<u8>)> {
        let state = self.state.lock();
        let databases = state.keys.iter().filter(|(db, _)| wanted(**db));
        databases.flat_map(|(&db, of_db)| of_db.keys().map(move |key| (db, key.clone()))).collect()
    }

    /// A key was changed; see [`Shard::serve_changed`].
    pub(super) fn note_change(&self, db: Db, key: &[u8]) {
        let mut state = self.state.lock();
        if state.keys.get(&db).is_some_and(|of_db| of_db.contains_key(key)) {
            state.changed.push((db, key.to_vec()));
        }
    }

    /// Enters a client, behind all who wait, or in the place that it had before.
    fn enter(&self, parked: Parked, order: Option<u64>) -> u64 {
        let mut state = self.state.lock();
        let time = clock::now().0.unsigned_abs() << 20;
        let fresh = time.max(state.last_order + 1);
        let order = order.filter(|order| !state.clients.contains_key(order)).unwrap_or(fresh);
        state.last_order = state.last_order.max(order);
        for (db, key) in &parked.keys {
            state.keys.entry(*db).or_default().entry(key.clone()).or_default().insert(order);
        }
        if parked.stage != Stage::Idle {
            state.restless.insert(order);
        }
        state.readers += usize::from(parked.reads.is_some());
        state.clients.insert(order, parked);
        self.count.store(state.clients.len(), Ordering::Relaxed);
        order
    }

    fn leave(&self, order: u64) -> Option<Parked> {
        let mut state = self.state.lock();
        let parked = state.clients.remove(&order)?;
        state.restless.remove(&order);
        state.readers -= usize::from(parked.reads.is_some());
        self.count.store(state.clients.len(), Ordering::Relaxed);
        for (db, key) in &parked.keys {
            let Some(of_db) = state.keys.get_mut(db) else { continue };
            if let Some(orders) = of_db.get_mut(key) {
                orders.remove(&order);
                if orders.is_empty() {
                    of_db.remove(key);
                }
            }
        }
        Some(parked)
    }

    /// Whether a client is not being served.
    fn is_at_rest(&self, order: u64) -> bool {
        self.state.lock().clients.get(&order).is_none_or(|parked| parked.stage != Stage::Served)
    }

    /// A client goes on waiting; answers whether its keys are to be looked at again.
    fn set_idle(&self, order: u64) -> bool {
        let mut state = self.state.lock();
        state.restless.remove(&order);
        let Some(parked) = state.clients.get_mut(&order) else { return false };
        parked.stage = Stage::Idle;
        if let Some(run) = parked.later.take() {
            parked.run = run;
        }
        std::mem::take(&mut parked.again)
    }

    /// Whether a client that has been served was so on the mere chance of it.
    fn was_venture(&self, order: u64) -> bool {
        self.state.lock().clients.get_mut(&order).is_some_and(|parked| std::mem::take(&mut parked.at_a_venture))
    }

    /// A client that came just now has nothing to try.
    fn settle(&self, order: u64) {
        let mut state = self.state.lock();
        if let Some(parked) = state.clients.get_mut(&order)
            && parked.stage == Stage::New
        {
            parked.stage = Stage::Idle;
            state.restless.remove(&order);
        }
    }
}

/// A client that waits; dropped, it waits no more.
struct Place<'a> {
    shard: &'a Arc<Shard>,
    order: u64,
    keys: Vec<(Db, Vec<u8>)>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shard.parking.leave(self.order);
        // What it was to be served, or has left, is for the next.
        self.shard.serve_keys(&self.keys);
    }
}

impl Shard {
    /// Number of keys that clients wait for here.
    pub fn waited_keys(&self) -> usize {
        self.parking.state.lock().keys.values().map(BTreeMap::len).sum()
    }

    /// Serves who waits for keys that the last applied entry has changed.
    pub(super) fn serve_changed(self: &Arc<Self>) {
        if self.parking.any() {
            let changed = std::mem::take(&mut self.parking.state.lock().changed);
            self.serve_keys(&changed);
        }
    }

    /// Serves who could not be served for lack of room in the queue.
    pub(super) fn serve_again(self: &Arc<Self>) {
        if self.parking.any() && self.parking.retry.swap(false, Ordering::Relaxed) {
            self.serve_keys(&self.parking.keys_of(|_| true));
        }
    }

    /// Serves who waits for keys, as far as they have something.
    fn serve_keys(self: &Arc<Self>, keys: &[(Db, Vec<u8>)]) {
        if keys.is_empty() || !self.parking.any() {
            return;
        }
        let shared = self.shared();
        let store = self.store.read();
        let now = self.read_time(clock::now());
        let mut state = self.parking.state.lock();
        let State { clients, keys: waiting, restless, readers, .. } = &mut *state;
        for (db, key) in keys {
            let Some(orders) = waiting.get(db).and_then(|of_db| of_db.get(key)) else { continue };
            let context = self.read_context(&store, &shared, *db, now);
            let (kind, mut left) = available(&context, key);
            if kind.is_none() && *readers == 0 {
                left = 0;
            }
            let restless_here: Vec<&Parked> = restless
                .iter()
                .filter(|&order| orders.contains(order))
                .filter_map(|order| clients.get(order))
                .collect();
            let mut restless_left = restless_here.len();
            let served = restless_here.into_iter().filter(|parked| parked.stage == Stage::Served);
            left = left.saturating_sub(served.clone().count());
            let mut groups: BTreeSet<Vec<u8>> = served.filter_map(|parked| parked.group.clone()).collect();
            for order in orders {
                if left == 0 && restless_left == 0 {
                    break;
                }
                let Some(parked) = clients.get_mut(order) else { continue };
                restless_left -= usize::from(parked.stage != Stage::Idle);
                // At first a value of another kind is an answer too; so is, for a group's reader, a stream that is gone.
                let is_ready = match &parked.reads {
                    // A reader without a group waits on when the stream has become something else.
                    Some(step) => {
                        (kind == Some(Kind::Stream) || matches!(step.spec.handler, Handler::Write(_)))
                            && has_news(&context, &step.borrowed()).unwrap_or(true)
                    }
                    None => left > 0 && kind == Some(parked.kind),
                };
                match parked.stage {
                    Stage::Served => {
                        parked.again = true;
                        continue;
                    }
                    Stage::New => {}
                    Stage::Idle if !is_ready => continue,
                    Stage::Idle => {}
                }
                if parked.stage == Stage::New && kind.is_none() && parked.kind != Kind::Stream {
                    continue;
                }
                // The next of a group is looked at when the one before it is done.
                if parked
                    .group
                    .as_ref()
                    .is_some_and(|group| parked.stage == Stage::Idle && !groups.insert(group.clone()))
                {
                    continue;
                }
                if !self.serve(parked) {
                    self.parking.retry.store(true, Ordering::Relaxed);
                    return;
                }
                restless.insert(*order);
                left = left.saturating_sub(1);
            }
        }
    }

    /// Serves who waits for keys that a run, which has just gone into the queue, pushes to.
    pub(super) fn serve_behind(&self, run: &Run) {
        let mut pushes: VecDeque<Push> = run.pushes().into();
        if pushes.is_empty() {
            return;
        }
        let mut state = self.parking.state.lock();
        let State { clients, keys, restless, .. } = &mut *state;
        while let Some(push) = pushes.pop_front() {
            let Some(orders) = keys.get(&push.db).and_then(|of_db| of_db.get(&push.key)) else { continue };
            let mut left = push.elements_max;
            for order in orders {
                if left == 0 {
                    break;
                }
                let Some(parked) = clients.get_mut(order) else { continue };
                if parked.stage != Stage::Idle || parked.kind != push.kind || parked.by_itself.is_some() {
                    continue;
                }
                if !self.serve(parked) {
                    self.parking.retry.store(true, Ordering::Relaxed);
                    return;
                }
                restless.insert(*order);
                parked.at_a_venture = true;
                left -= 1;
                // Every client is served once at the most, so circles end.
                pushes.extend(parked.run.pushes());
            }
        }
    }

    /// Lets a client's command run; answers whether there was room for it.
    fn serve(&self, parked: &mut Parked) -> bool {
        match &parked.by_itself {
            Some(wake) => wake.notify_one(),
            None => {
                let manner = parked.manner;
                if self.queue.submit(&parked.run, &parked.mailbox, manner.protocol, manner.touch).is_err() {
                    return false;
                }
            }
        }
        parked.stage = Stage::Served;
        true
    }

    /// Executes a request that may wait, at the leader, and waits. `order` is the place that it had before, at this
    /// leader or the one before it.
    pub async fn execute_blocking(
        self: &Arc<Self>,
        run: &mut Run,
        manner: Manner,
        deadline: Option<Instant>,
        order: &mut Option<u64>,
        call_off: &CallOff,
    ) -> Blocked {
        loop {
            if let Some(blocked) = self.wait_once(run, manner, deadline, order, call_off).await {
                return blocked;
            }
        }
    }

    /// `None` when it is to be tried again from the beginning.
    async fn wait_once(
        self: &Arc<Self>,
        run: &mut Run,
        manner: Manner,
        deadline: Option<Instant>,
        order: &mut Option<u64>,
        call_off: &CallOff,
    ) -> Option<Blocked> {
        let not_leader = || Blocked::Unserved(Unserved::NotLeader(self.leader().filter(|_| !self.is_leader())));
        if self.stopped.load(Ordering::Relaxed) || !self.is_leader() || !self.read_barrier().await {
            return Some(not_leader());
        }
        if self.is_full() {
            return Some(Blocked::Refused(super::proposer::DISK_FULL));
        }
        let Some(step) = run.single() else { return Some(Blocked::Refused("ERR this command cannot wait")) };
        let Some(waiting) = Waiting::of(step.spec, &step.borrowed()) else {
            return Some(Blocked::Refused("ERR this command cannot wait"));
        };
        if waiting.kind != Kind::Stream {
            // Where nothing is there, only the arguments can be wrong.
            let (mut nothing, now) = (Store::scratch(&EncodingSettings::DEFAULT), self.read_time(clock::now()));
            let tried = self.run_steps(&mut nothing, now, 0, std::slice::from_ref(&step), false, manner.protocol);
            if let Ok((reply, _)) = tried
                && reply.starts_with(b"-")
            {
                let mut replies = ReplyBuffer::default();
                replies.push(reply);
                return Some(Blocked::Served(replies));
            }
        }
        let mut leadership = self.leadership();
        let mailbox = Mailbox::new();
        let by_itself = run.is_read_only() || self.executes_alone(run);
        let wake = Arc::new(Notify::new());
        let group = group_of(&step);
        let mut is_prepared = true;
        let keys: Vec<(Db, Vec<u8>)> =
            waiting.keys(step.spec, &step.borrowed()).into_iter().map(|key| (step.db, key.to_vec())).collect();
        let place = {
            // No entry is applied between the look at the keys and the entering.
            let store = self.store.read();
            let (mut stage, mut later, mut reads) = (Stage::New, None, None);
            if waiting.kind == Kind::Stream {
                let shared = self.shared();
                let context = self.read_context(&store, &shared, step.db, clock::now());
                let wait = stream_wait(&context, &step.borrowed()).ok().flatten();
                is_prepared = wait.is_some();
                reads = Some(Step { args: wait.map_or(step.args.clone(), |wait| wait.args), ..step });
                if let Some(step) = reads.as_ref().filter(|_| is_prepared) {
                    if run.is_read_only() {
                        *run = run_of(step);
                        stage = Stage::Idle;
                    } else {
                        // The consumer is made whether or not there is anything to read.
                        later = Some(run_of(step));
                    }
                }
            }
            let parked = Parked {
                run: run.clone(),
                reads,
                later,
                keys: keys.clone(),
                kind: waiting.kind,
                stage,
                manner,
                mailbox: Arc::clone(&mailbox),
                by_itself: by_itself.then(|| Arc::clone(&wake)),
                again: false,
                at_a_venture: false,
                group,
            };
            let order = *order.insert(self.parking.enter(parked, *order));
            Place { shard: self, order, keys: keys.clone() }
        };
        self.serve_keys(&keys);
        self.parking.settle(place.order);
        let mut replies = ReplyBuffer::default();
        let mut end: Option<Unserved> = None;
        loop {
            if let Some(end) = end.filter(|_| self.parking.is_at_rest(place.order)) {
                return Some(Blocked::Unserved(end));
            }
            let due = async {
                match deadline {
                    Some(at) if end.is_none() => tokio::time::sleep_until(at.into()).await,
                    _ => std::future::pending().await,
                }
            };
            let called_off = async {
                if end.is_some() {
                    std::future::pending::<()>().await;
                }
                call_off.wait().await;
            };
            let other_leads = async {
                if end.is_some() || !self.is_replicated() {
                    std::future::pending::<()>().await;
                }
                let _ = leadership.wait_for(|now| now.role != Role::Leader).await;
            };
            let was_executed = tokio::select! {
                biased;
                executed = wait_done(&mailbox, &mut replies) => executed,
                () = wake.notified() => match self.execute(run, &mailbox, Manner { policy: ReadPolicy::Lease, ..manner }).await {
                    Executed::Done(done, _) => {
                        replies = done;
                        true
                    }
                    Executed::Refused(text) => return Some(Blocked::Refused(text)),
                    Executed::NotLeader(_) => false,
                },
                () = due => {
                    end = Some(Unserved::TimedOut);
                    continue;
                }
                () = called_off => {
                    end = Some(Unserved::Cancelled);
                    continue;
                }
                () = other_leads => {
                    end = Some(Unserved::NotLeader(self.leader()));
                    continue;
                }
            };
            if !was_executed {
                self.parking.set_idle(place.order);
                return Some(not_leader());
            }
            // A value of another kind is no answer then, unless it still is one when it is looked at.
            let is_refused = self.parking.was_venture(place.order)
                && replies.len() <= ERROR_BYTES_MAX
                && replies.to_vec().starts_with(b"-");
            if !is_refused && (replies.len() > NIL_BYTES_MAX || !apply::is_nil(&replies.to_vec())) {
                return Some(Blocked::Served(replies));
            }
            replies = ReplyBuffer::default();
            if !is_prepared {
                // What there was is gone again. What `$` stands for is still to be found out.
                return None;
            }
            if self.parking.set_idle(place.order) || is_refused {
                self.serve_keys(&keys);
            }
        }
    }
}

/// A run of one command.
fn run_of(step: &Step) -> Run {
    let mut run = Run::default();
    match step.spec.handler {
        Handler::Read(_) => run.push_read(step.spec, step.db, &step.borrowed()),
        _ => run.push_write(step.spec, step.db, &step.borrowed()),
    }
    run
}

/// The group of an XREADGROUP.
fn group_of(step: &Step) -> Option<Vec<u8>> {
    let at = step.args.iter().position(|arg| arg.eq_ignore_ascii_case(b"group"));
    at.filter(|_| step.spec.name == "XREADGROUP").and_then(|at| step.args.get(at + 1)).cloned()
}

/// The kind of a key's value, and how many clients it has something for.
fn available(context: &ReadContext<'_>, key: &[u8]) -> (Option<Kind>, usize) {
    let kind = context.meta(key).ok().flatten().map(|meta| meta.kind);
    let counter: &[u8] = match kind {
        Some(Kind::List) => b"LLEN",
        Some(Kind::Zset) => b"ZCARD",
        _ => return (kind, usize::MAX),
    };
    let Some(Handler::Read(count)) = find(counter).map(|spec| spec.handler) else { return (kind, usize::MAX) };
    let mut reply = Vec::new();
    let counted = count(context, &[counter, key], &mut Reply::new(&mut reply, crate::resp::Protocol::Resp2));
    let number = reply.strip_prefix(b":").and_then(|line| parse_u64(line.trim_ascii_end()));
    (kind, counted.ok().and(number).map_or(usize::MAX, |number| usize::try_from(number).unwrap_or(usize::MAX)))
}
