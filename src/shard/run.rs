//! A connection's run of commands for a shard, and the mailbox its replies come back through.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::batch::Encoder;
use super::slowlog::Origin;
use crate::command::{Access, CommandSpec, Flags, KeySpec};
use crate::resp::{Protocol, ReplyBuffer};
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
}

impl Run {
    /// Number of commands whose replies may be long: reads, and writes that answer what was stored.
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
        self.reads += usize::from(answers_value(spec, args.len()));
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
        self.ops.shrink_to(KEPT_BYTES_MAX / size_of::<Op>());
    }
}

/// Whether a write answers what was stored. SET does so with an option only.
#[inline]
pub fn answers_value(spec: &CommandSpec, args: usize) -> bool {
    const PLAIN_SET_ARGS: usize = 3;
    match spec.keys {
        [KeySpec::Range { access: Access::Variable, .. }] => args > PLAIN_SET_ARGS,
        _ => spec.flags.has(Flags::ANSWERS_VALUE),
    }
}

/// What a connection is woken through: replies of its run, and orders from others.
#[derive(Default)]
pub struct Mailbox {
    state: Mutex<MailboxState>,
    origin: Mutex<Origin>,
}

#[derive(Default)]
struct MailboxState {
    waker: Option<Waker>,
    /// Replies of the run that is done.
    replies: ReplyBuffer,
    done: bool,
    /// Somebody wants the connection to look around (it was killed, unpaused…).
    poked: bool,
}

impl Mailbox {
    /// A new, empty mailbox.
    pub fn new() -> Arc<Self> {
        Arc::default()
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
    pub fn poll_done(&self, cx: &mut Context<'_>, out: &mut ReplyBuffer) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.done) {
            out.append(&mut state.replies);
            return Poll::Ready(());
        }
        register(&mut state.waker, cx);
        Poll::Pending
    }

    /// Lends an empty reply buffer to whoever executes the run.
    pub(crate) fn take_buffer(&self) -> ReplyBuffer {
        std::mem::take(&mut self.state.lock().replies)
    }

    /// Delivers the replies of the run; returns whom to wake, so that it can be done without locks.
    pub(crate) fn deliver(&self, replies: ReplyBuffer) -> Option<Waker> {
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
    /// Number of its operations in the proposal's list.
    pub(crate) ops: usize,
}
