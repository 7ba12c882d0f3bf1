//! The commands of a connection that are on their way to shards, and the order of their replies.
//!
//! Each shard that a batch of requests writes to gets one [`Run`]. All are submitted together, and when all have
//! answered the replies are put in the order of the requests. As long as there is one run only, which with one
//! shard is always so, nothing of this is noted and the shard's replies are the connection's.
//!
//! A read of a shard that has no run of this connection does not wait: it is executed at once, and its reply is
//! held until its turn comes.

use std::sync::Arc;

use smallvec::SmallVec;

use super::cluster::{ClusterNode, forward};
use super::dispatch::CANNOT_SERVE_TEXT;
use super::merge::{Part, merge};
use super::router::{Router, Split};
use crate::command::{CommandSpec, Handler};
use crate::limits::OUTPUT_CHUNK_BYTES;
use crate::resp::{Protocol, ReplyBuffer};
use crate::shard::{Counters, Mailbox, Manner, Refusal, Run, wait_done};
use crate::types::{Db, ReadPolicy};

/// Runs whose buffers a connection keeps between two batches.
const RUNS_KEPT_MAX: usize = 4;
/// The answer to writes on a full disk.
const DISK_FULL: &str =
    "MISCONF the disk is full: the write was not executed; writes are accepted again when there is room";

/// What the execution of runs needs.
pub struct How<'a> {
    /// Where the shards are.
    pub router: &'a Router,
    /// This node's part in a cluster, if it has one.
    pub cluster: Option<&'a ClusterNode>,
    /// The client's.
    pub mailbox: &'a Arc<Mailbox>,
    /// How replies are made.
    pub manner: Manner,
    /// Where errors are counted.
    pub counters: &'a Counters,
}

/// Where a lane's commands are.
#[derive(Clone, Copy, Default)]
enum State {
    /// In the queue of the shard's replica here.
    Submitted,
    /// The shard's replica here cannot execute them now; another may.
    #[default]
    Elsewhere,
    /// Nowhere: the answer to each.
    Refused(&'static str),
}

/// One shard's part.
struct Lane {
    /// Position of the shard.
    position: usize,
    run: Run,
    /// What its reads need: the strictest of what they asked for.
    policy: ReadPolicy,
    /// Where the replies arrive; the first lane uses the client's own mailbox.
    mailbox: Option<Arc<Mailbox>>,
    state: State,
    replies: ReplyBuffer,
    /// Where each reply ends.
    ends: Vec<usize>,
    /// Replies that were taken.
    taken: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            position: 0,
            run: Run::default(),
            policy: ReadPolicy::Stale,
            mailbox: None,
            state: State::default(),
            replies: ReplyBuffer::default(),
            ends: Vec::new(),
            taken: 0,
        }
    }
}

impl Lane {
    /// The range of the next reply in the lane's replies.
    fn next(&mut self) -> std::ops::Range<usize> {
        let start = if self.taken == 0 { 0 } else { self.ends[self.taken - 1] };
        self.taken += 1;
        start..self.ends[self.taken - 1]
    }

    /// Brings about the replies to commands that the replica here did not take.
    async fn finish(&mut self, how: &How<'_>, mailbox: &Arc<Mailbox>) {
        let refusal = match (self.state, how.cluster) {
            (State::Refused(text), _) => text,
            (State::Submitted | State::Elsewhere, Some(cluster)) => {
                let target = how.router.target(self.position);
                let manner = Manner { policy: self.policy, ..how.manner };
                let delivered = forward::execute(cluster, target, &mut self.run, mailbox, manner).await;
                (self.replies, self.ends) = (delivered.replies, delivered.ends);
                return;
            }
            (State::Submitted | State::Elsewhere, None) => CANNOT_SERVE_TEXT,
        };
        for _ in 0..self.run.len() {
            how.counters.errors.count(refusal);
            self.replies.reply(how.manner.protocol).error(refusal);
            self.ends.push(self.replies.len());
        }
    }
}

/// Gives a run to the shard's replica here, if it leads.
async fn submit(run: &mut Run, how: &How<'_>, position: usize, mailbox: &Arc<Mailbox>, want_ends: bool) -> State {
    let Some(shard) = how.router.target(position).serving() else { return State::Elsewhere };
    // Reads alone would make an empty log entry.
    if run.is_read_only() || shard.executes_alone(run) {
        return State::Elsewhere;
    }
    if want_ends {
        run.want_ends();
    }
    loop {
        match shard.submit(run, mailbox, how.manner.protocol, how.manner.touch) {
            Ok(()) => return State::Submitted,
            Err(Refusal::Full) => shard.room().await,
            Err(Refusal::DiskFull) => return State::Refused(DISK_FULL),
            Err(Refusal::Stopped) if how.cluster.is_some() => return State::Elsewhere,
            Err(Refusal::Stopped) => {
                return State::Refused("ERR the server is shutting down or the shard has stopped");
            }
        }
    }
}

/// Where the next reply comes from.
enum Item {
    /// From a lane.
    Lane(usize),
    /// It is held, and so many bytes long.
    Held(usize),
    /// From several lanes.
    Merged { how: super::merge::Merge, keys: usize },
}

/// The runs of one connection.
#[derive(Default)]
pub struct Runs {
    lanes: SmallVec<[Lane; 1]>,
    /// Lanes that are in use; the others are kept for their buffers.
    active: usize,
    /// Where the replies come from, in order; empty as long as all come from one lane.
    order: Vec<Item>,
    /// The lanes of the keys of merged replies, one command behind the other.
    routes: Vec<u16>,
    held: ReplyBuffer,
    reads: usize,
    bytes: usize,
    commands: usize,
}

impl Runs {
    /// Whether there is nothing to submit.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.active == 0
    }

    /// Number of commands on their way to shards.
    #[inline]
    pub fn len(&self) -> usize {
        self.commands
    }

    /// Number of commands among them whose replies may be long.
    #[inline]
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Bytes of the commands.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of replies that are held.
    #[inline]
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Whether commands are on their way to the shard at a position.
    #[inline]
    pub fn concern(&self, position: usize) -> bool {
        self.find(position).is_some()
    }

    /// Adds a command.
    #[inline]
    pub fn push(&mut self, position: usize, spec: &'static CommandSpec, db: Db, args: &[&[u8]]) {
        let index = match self.find(position) {
            Some(index) => index,
            None => {
                self.begin_order();
                self.open(position)
            }
        };
        self.add(index, spec, db, args);
        if self.active > 1 || !self.order.is_empty() {
            self.order.push(Item::Lane(index));
        }
    }

    /// Adds a transaction.
    pub fn push_transaction(&mut self, position: usize, commands: &[(&'static CommandSpec, Db, Vec<&[u8]>)]) {
        let index = match self.find(position) {
            Some(index) => index,
            None => {
                self.begin_order();
                self.open(position)
            }
        };
        self.lanes[index].run.push_transaction(commands.len());
        for (spec, db, args) in commands {
            self.add(index, spec, *db, args);
        }
        if self.active > 1 || !self.order.is_empty() {
            self.order.push(Item::Lane(index));
        }
    }

    /// Says what the read that was added to a shard's run needs.
    #[inline]
    pub fn demand(&mut self, position: usize, policy: ReadPolicy) {
        if let Some(index) = self.find(position) {
            self.lanes[index].policy = self.lanes[index].policy.stricter(policy);
        }
    }

    /// Adds a command to several runs; its reply is merged.
    pub fn push_split(&mut self, split: &Split<'_>, spec: &'static CommandSpec, db: Db) {
        self.begin_order();
        let mut lanes: SmallVec<[(usize, u16); 8]> = SmallVec::new();
        for (position, args) in &split.parts {
            let index = self.find(*position).unwrap_or_else(|| self.open(*position));
            self.add(index, spec, db, args);
            lanes.push((*position, index as u16));
        }
        let lane_of = |route: &u16| lanes.iter().find(|(position, _)| *position == usize::from(*route));
        self.routes.extend(split.routes.iter().map(|route| lane_of(route).expect("every key is in a part").1));
        self.order.push(Item::Merged { how: split.how, keys: split.routes.len() });
    }

    /// Executes a read whose reply has to wait for those before it. `read` appends the reply.
    pub fn hold<T>(&mut self, read: impl FnOnce(&mut ReplyBuffer) -> T) -> T {
        self.begin_order();
        let before = self.held.len();
        let result = read(&mut self.held);
        self.order.push(Item::Held(self.held.len() - before));
        result
    }

    /// From here on it is noted where replies come from.
    fn begin_order(&mut self) {
        if self.order.is_empty()
            && let Some(lane) = self.lanes[..self.active].first()
        {
            self.order.extend((0..lane.run.len()).map(|_| Item::Lane(0)));
        }
    }

    #[inline]
    fn find(&self, position: usize) -> Option<usize> {
        self.lanes[..self.active].iter().position(|lane| lane.position == position)
    }

    #[inline]
    fn add(&mut self, index: usize, spec: &'static CommandSpec, db: Db, args: &[&[u8]]) {
        let run = &mut self.lanes[index].run;
        let (before, reads_before) = (run.bytes(), run.reads());
        if matches!(spec.handler, Handler::Write(_)) {
            run.push_write(spec, db, args);
        } else {
            run.push_read(spec, db, args);
        }
        self.reads += run.reads() - reads_before;
        self.bytes += run.bytes() - before;
        self.commands += 1;
    }

    fn open(&mut self, position: usize) -> usize {
        if self.active == self.lanes.len() {
            self.lanes.push(Lane::default());
        }
        self.lanes[self.active].position = position;
        self.active += 1;
        self.active - 1
    }

    /// Submits all runs and appends their replies, in the order of the requests, to `out`.
    pub async fn execute(&mut self, how: &How<'_>, out: &mut ReplyBuffer) {
        let ordered = !self.order.is_empty();
        let lanes = &mut self.lanes[..self.active];
        for (index, lane) in lanes.iter_mut().enumerate() {
            let own = || how.mailbox.sibling();
            let mailbox = if index == 0 { how.mailbox } else { lane.mailbox.get_or_insert_with(own) };
            lane.state = submit(&mut lane.run, how, lane.position, mailbox, ordered).await;
        }
        if !ordered {
            let lane = &mut lanes[0];
            if matches!(lane.state, State::Submitted) && wait_done(how.mailbox, out).await {
                return self.clear();
            }
            lane.finish(how, how.mailbox).await;
            out.append(&mut lane.replies);
            return self.clear();
        }
        // Those on other nodes are under way at the same time.
        let finishing = lanes.iter_mut().enumerate().map(|(index, lane)| async move {
            let mailbox = if index == 0 { Some(how.mailbox) } else { lane.mailbox.as_ref() };
            let mailbox = Arc::clone(mailbox.expect("it was made when the run was submitted"));
            if let State::Submitted = lane.state {
                let mut replies = ReplyBuffer::default();
                if wait_done(&mailbox, &mut replies).await {
                    lane.ends = mailbox.take_ends();
                    lane.replies = replies;
                    return;
                }
            }
            lane.finish(how, &mailbox).await;
        });
        futures_util::future::join_all(finishing).await;
        self.assemble(how.manner.protocol, out);
        self.clear();
    }

    fn assemble(&mut self, protocol: Protocol, out: &mut ReplyBuffer) {
        let held = self.held.to_vec();
        let replies: SmallVec<[Vec<u8>; 4]> =
            self.lanes[..self.active].iter().map(|lane| lane.replies.to_vec()).collect();
        let (mut held, mut routes) = (&held[..], &self.routes[..]);
        for item in &self.order {
            match *item {
                Item::Lane(index) => {
                    let range = self.lanes[index].next();
                    push(out, &replies[index][range]);
                }
                Item::Held(bytes) => {
                    let (reply, rest) = held.split_at(bytes);
                    push(out, reply);
                    held = rest;
                }
                Item::Merged { how, keys } => {
                    let (mine, rest) = routes.split_at(keys);
                    routes = rest;
                    let mut parts: SmallVec<[Part<'_>; 8]> = SmallVec::new();
                    for &route in mine {
                        if !parts.iter().any(|(lane, _)| *lane == route) {
                            let range = self.lanes[usize::from(route)].next();
                            parts.push((route, &replies[usize::from(route)][range]));
                        }
                    }
                    let mut merged = Vec::new();
                    merge(how, mine, &parts, protocol, &mut merged);
                    out.push(merged);
                }
            }
        }
    }

    fn clear(&mut self) {
        for lane in &mut self.lanes[..self.active] {
            lane.run.clear();
            lane.replies = ReplyBuffer::default();
            lane.ends.clear();
            lane.taken = 0;
            lane.policy = ReadPolicy::Stale;
            lane.state = State::default();
        }
        self.lanes.truncate(RUNS_KEPT_MAX);
        self.held = ReplyBuffer::default();
        self.order.clear();
        self.routes.clear();
        (self.active, self.reads, self.bytes, self.commands) = (0, 0, 0, 0);
    }
}

/// Appends a reply; a long one as a chunk of its own.
fn push(out: &mut ReplyBuffer, reply: &[u8]) {
    if reply.len() >= OUTPUT_CHUNK_BYTES {
        out.push(reply.to_vec());
    } else {
        out.reply(Protocol::Resp2).raw(reply);
        out.close_large();
    }
}
