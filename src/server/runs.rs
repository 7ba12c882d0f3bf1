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

use super::merge::{Part, merge};
use super::router::{Router, Split};
use crate::command::{CommandSpec, Handler};
use crate::resp::{Protocol, Reply};
use crate::shard::{Counters, Mailbox, Refusal, Run, wait_done};
use crate::types::Db;

/// Runs whose buffers a connection keeps between two batches.
const RUNS_KEPT_MAX: usize = 4;
/// Bytes of replies for which a buffer is kept.
const REPLIES_KEPT_MAX_BYTES: usize = 16 * 1024;

/// One shard's part.
#[derive(Default)]
struct Lane {
    /// Position of the shard.
    position: usize,
    run: Run,
    /// Where the replies arrive; the first lane uses the client's own mailbox.
    mailbox: Option<Arc<Mailbox>>,
    /// Number of commands, once the run is submitted.
    submitted: usize,
    /// Why the shard did not take the run.
    refused: Option<Refusal>,
    replies: Vec<u8>,
    /// Where each reply ends.
    ends: Vec<usize>,
    /// Replies that were taken.
    taken: usize,
}

impl Lane {
    /// The range of the next reply in the lane's replies.
    fn next(&mut self) -> std::ops::Range<usize> {
        let start = if self.taken == 0 { 0 } else { self.ends[self.taken - 1] };
        self.taken += 1;
        start..self.ends[self.taken - 1]
    }

    /// Fills in the replies to a run that was not taken.
    fn refuse(&mut self, refusal: Refusal, protocol: Protocol, counters: &Counters, out: &mut Vec<u8>) {
        let text = match refusal {
            Refusal::DiskFull => {
                "MISCONF the disk is full: the write was not executed; writes are accepted again when there is room"
            }
            Refusal::Stopped | Refusal::Full => "ERR the server is shutting down or the shard has stopped",
        };
        for _ in 0..self.submitted {
            counters.errors.count(text);
            Reply::new(out, protocol).error(text);
            self.ends.push(out.len());
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
    held: Vec<u8>,
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

    /// Number of reads among them.
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
    pub fn hold<T>(&mut self, read: impl FnOnce(&mut Vec<u8>) -> T) -> T {
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
        let before = run.bytes();
        if matches!(spec.handler, Handler::Write(_)) {
            run.push_write(spec, db, args);
        } else {
            run.push_read(spec, db, args);
            self.reads += 1;
        }
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
    pub async fn execute(
        &mut self,
        router: &Router,
        mailbox: &Arc<Mailbox>,
        (protocol, touch): (Protocol, bool),
        counters: &Counters,
        out: &mut Vec<u8>,
    ) {
        let ordered = !self.order.is_empty();
        for (index, lane) in self.lanes[..self.active].iter_mut().enumerate() {
            lane.submitted = lane.run.len();
            if ordered {
                lane.run.want_ends();
            }
            let mailbox = if index == 0 { mailbox } else { lane.mailbox.get_or_insert_with(|| mailbox.sibling()) };
            let shard = router.target(lane.position).local();
            lane.refused = loop {
                match shard.submit(&mut lane.run, mailbox, protocol, touch) {
                    Ok(()) => break None,
                    Err(Refusal::Full) => shard.room().await,
                    Err(refusal) => break Some(refusal),
                }
            };
            if lane.refused.is_some() {
                lane.run = Run::default();
            }
        }
        if !ordered {
            let lane = &mut self.lanes[0];
            match lane.refused {
                Some(refusal) => lane.refuse(refusal, protocol, counters, out),
                None => wait_done(mailbox, out).await,
            }
        } else {
            for (index, lane) in self.lanes[..self.active].iter_mut().enumerate() {
                let mailbox = if index == 0 { Some(mailbox) } else { lane.mailbox.as_ref() };
                let mailbox = Arc::clone(mailbox.expect("it was made when the run was submitted"));
                let mut replies = std::mem::take(&mut lane.replies);
                match lane.refused {
                    Some(refusal) => lane.refuse(refusal, protocol, counters, &mut replies),
                    None => {
                        wait_done(&mailbox, &mut replies).await;
                        lane.ends = mailbox.take_ends();
                    }
                }
                lane.replies = replies;
            }
            self.assemble(protocol, out);
        }
        self.clear();
    }

    fn assemble(&mut self, protocol: Protocol, out: &mut Vec<u8>) {
        let (mut held, mut routes) = (&self.held[..], &self.routes[..]);
        for item in &self.order {
            match *item {
                Item::Lane(index) => {
                    let range = self.lanes[index].next();
                    out.extend_from_slice(&self.lanes[index].replies[range]);
                }
                Item::Held(bytes) => {
                    let (reply, rest) = held.split_at(bytes);
                    out.extend_from_slice(reply);
                    held = rest;
                }
                Item::Merged { how, keys } => {
                    let (mine, rest) = routes.split_at(keys);
                    routes = rest;
                    let mut ranges: SmallVec<[(u16, std::ops::Range<usize>); 8]> = SmallVec::new();
                    for &route in mine {
                        if !ranges.iter().any(|(lane, _)| *lane == route) {
                            ranges.push((route, self.lanes[usize::from(route)].next()));
                        }
                    }
                    let parts: SmallVec<[Part<'_>; 8]> = ranges
                        .into_iter()
                        .map(|(lane, range)| (lane, &self.lanes[usize::from(lane)].replies[range]))
                        .collect();
                    merge(how, mine, &parts, protocol, out);
                }
            }
        }
    }

    fn clear(&mut self) {
        for lane in &mut self.lanes[..self.active] {
            lane.replies.clear();
            lane.replies.shrink_to(REPLIES_KEPT_MAX_BYTES);
            lane.ends.clear();
            lane.taken = 0;
        }
        self.lanes.truncate(RUNS_KEPT_MAX);
        self.held.clear();
        self.held.shrink_to(REPLIES_KEPT_MAX_BYTES);
        self.order.clear();
        self.routes.clear();
        (self.active, self.reads, self.bytes, self.commands) = (0, 0, 0, 0);
    }
}
