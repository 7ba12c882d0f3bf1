//! A connection's run of commands for a shard, and the mailbox its replies come back through.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::batch::Encoder;
use super::slowlog::Origin;
use crate::command::CommandSpec;
use crate::resp::Protocol;
use crate::types::Db;

/// One command of a run.
#[derive(Clone, Copy)]
pub(crate) enum Op {
    /// A write: its arguments are the next command record of the entry.
    Write {
        /// What to run.
        spec: &'static CommandSpec,
    },
    /// A read that must see the writes before it; it rides along locally and is not in the log.
    Read {
        /// What to run.
        spec: &'static CommandSpec,
        /// Its selected database.
        db: Db,
    },
}

/// Commands of one connection, in order, on their way to a shard.
///
/// A run is filled by the connection, copied into the shard's queue when it is submitted, and
/// reused.
#[derive(Default)]
pub struct Run {
    /// Encoded command records for the log.
    pub(crate) log: Vec<u8>,
    /// Encoded command records of the reads.
    pub(crate) local: Vec<u8>,
    pub(crate) ops: Vec<Op>,
    reads: usize,
    /// Whether the submitter must know where each command's reply ends.
    pub(crate) wants_ends: bool,
}

impl Run {
    /// Asks for where each command's reply ends; see [`Mailbox::take_ends`]. Holds until the run is submitted.
    pub fn want_ends(&mut self) {
        self.wants_ends = true;
    }

    /// Number of reads among the commands.
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Whether there is nothing to submit.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Number of commands.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Bytes of the commands.
    pub fn bytes(&self) -> usize {
        self.log.len() + self.local.len()
    }

    /// Adds a write.
    pub fn push_write(&mut self, spec: &'static CommandSpec, db: Db, args: &[&[u8]]) {
        Encoder(&mut self.log).command(db, args);
        self.ops.push(Op::Write { spec });
    }

    /// Adds a read.
    pub fn push_read(&mut self, spec: &'static CommandSpec, db: Db, args: &[&[u8]]) {
        Encoder(&mut self.local).command(db, args);
        self.ops.push(Op::Read { spec, db });
        self.reads += 1;
    }

    /// Empties the run and keeps its buffers, unless they have grown large.
    pub(crate) fn clear(&mut self) {
        const KEPT_BYTES_MAX: usize = 16 * 1024;
        for buffer in [&mut self.log, &mut self.local] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES_MAX);
        }
        self.ops.clear();
        self.reads = 0;
        self.wants_ends = false;
        self.ops.shrink_to(KEPT_BYTES_MAX / size_of::<Op>());
    }
}

/// What a connection is woken through: replies of its run, and orders from others.
#[derive(Default)]
pub struct Mailbox {
    state: Mutex<MailboxState>,
    origin: Arc<Mutex<Origin>>,
}

#[derive(Default)]
struct MailboxState {
    waker: Option<Waker>,
    /// Replies of the run that is done.
    replies: Vec<u8>,
    /// Where each command's reply ends, if that was asked for.
    ends: Vec<usize>,
    done: bool,
    /// Somebody wants the connection to look around (it was killed, unpaused…).
    poked: bool,
}

impl Mailbox {
    /// A new, empty mailbox.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Another mailbox of the same client, for a run on another shard.
    pub fn sibling(&self) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), origin: Arc::clone(&self.origin) })
    }

    /// Says who is behind this mailbox, for the slow log.
    pub fn set_origin(&self, origin: Origin) {
        *self.origin.lock() = origin;
    }

    /// Who is behind this mailbox.
    pub fn origin(&self) -> Origin {
        self.origin.lock().clone()
    }

    /// Wakes the connection so that it looks around.
    pub fn poke(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.poked = true;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready when the connection was poked; registers the task otherwise.
    pub fn poll_poked(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.poked) {
            return Poll::Ready(());
        }
        register(&mut state.waker, cx);
        Poll::Pending
    }

    /// Ready when the submitted run is done: its replies are appended to `out`.
    pub fn poll_done(&self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.done) {
            if out.is_empty() {
                std::mem::swap(out, &mut state.replies);
            } else {
                out.append(&mut state.replies);
            }
            return Poll::Ready(());
        }
        register(&mut state.waker, cx);
        Poll::Pending
    }

    /// Where each command's reply ends in the replies of the run that was done last, if the run asked for it.
    pub fn take_ends(&self) -> Vec<usize> {
        std::mem::take(&mut self.state.lock().ends)
    }

    /// Puts down where the replies end; to be called before they are delivered.
    pub(crate) fn put_ends(&self, ends: Vec<usize>) {
        self.state.lock().ends = ends;
    }

    /// Lends an empty reply buffer to whoever executes the run.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        std::mem::take(&mut self.state.lock().replies)
    }

    /// Delivers the replies of the run; returns whom to wake, so that it can be done without locks.
    pub(crate) fn deliver(&self, replies: Vec<u8>) -> Option<Waker> {
        let mut state = self.state.lock();
        state.replies = replies;
        state.done = true;
        state.waker.take()
    }
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        _ => *slot = Some(cx.waker().clone()),
    }
}

/// A submitted run: where its replies go and how it is shaped.
pub(crate) struct Submitted {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) protocol: Protocol,
    pub(crate) touch: bool,
    /// Whether the submitter must know where each reply ends.
    pub(crate) wants_ends: bool,
    /// Number of its operations in the proposal's list.
    pub(crate) ops: usize,
}
