//! A connection's run of commands for a shard, and the mailbox its replies come back through.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::batch::{Encoder, Record, Records};
use super::slowlog::Origin;
use crate::codec::{DecodeError, Reader, push_run, push_varint};
use crate::command::{Access, CommandSpec, Flags, Handler, KeySpec, find};
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
    /// Whether the submitter must know where each command's reply ends.
    pub(crate) wants_ends: bool,
}

impl Run {
    /// Asks for where each command's reply ends; see [`Mailbox::take_ends`]. Holds until the run is submitted.
    pub fn want_ends(&mut self) {
        self.wants_ends = true;
    }

    /// Number of commands whose replies may be long: reads, and writes that answer what was stored.
    pub fn reads(&self) -> usize {
        self.reads
    }

    /// Whether no command is a write.
    pub fn is_read_only(&self) -> bool {
        self.log.is_empty()
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

    /// Appends the commands, to be sent to another node; `server::cluster::forward` says how.
    pub fn encode(&self, out: &mut Vec<u8>) {
        push_varint(out, self.ops.len() as u64);
        for op in &self.ops {
            match op {
                Op::Write { .. } => out.push(0),
                Op::Read { db, .. } => {
                    out.push(1);
                    push_varint(out, u64::from(db.0));
                }
            }
        }
        push_run(out, &self.log);
        push_run(out, &self.local);
    }

    /// Reads what [`encode`](Self::encode) wrote, and checks that every command is one, of its kind, and has as
    /// many arguments as it must.
    ///
    /// # Errors
    /// When it is not so.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let commands = reader.varint()?;
        let mut databases = Vec::new();
        for _ in 0..commands {
            databases.push(match reader.u8()? {
                0 => None,
                1 => {
                    let db = u16::try_from(reader.varint()?).map_err(|_| reader.error("a database beyond any"))?;
                    Some(Db(db))
                }
                _ => return Err(reader.error("a command of an unknown kind")),
            });
        }
        let (log, local) = (reader.run()?.to_vec(), reader.run()?.to_vec());
        let mut run = Run::default();
        {
            let (mut writes, mut reads) = (Records::over(&log), Records::over(&local));
            let mut args = Vec::new();
            for db in databases {
                let records = if db.is_some() { &mut reads } else { &mut writes };
                let record = records.next(&mut args).map_err(|_| reader.error("a damaged command"))?;
                let (Some(Record::Command { .. }), Some(name)) = (record, args.first()) else {
                    return Err(reader.error("fewer commands than announced"));
                };
                let spec = find(name).ok_or_else(|| reader.error("an unknown command"))?;
                if !spec.arity.accepts(args.len()) {
                    return Err(reader.error("a command with a wrong number of arguments"));
                }
                run.ops.push(match (db, spec.handler) {
                    (None, Handler::Write(_)) => Op::Write { spec },
                    (Some(db), Handler::Read(_)) => Op::Read { spec, db },
                    _ => return Err(reader.error("a command that is not of its kind")),
                });
                run.reads += usize::from(db.is_some() || answers_value(spec, args.len()));
            }
            let left = |records: &mut Records<'_>| !matches!(records.next(&mut Vec::new()), Ok(None));
            if left(&mut writes) || left(&mut reads) {
                return Err(reader.error("more commands than announced"));
            }
        }
        (run.log, run.local) = (log, local);
        Ok(run)
    }

    /// The only command, if there is one only and it is a write: what it is, its database and arguments.
    pub(crate) fn single_write(&self) -> Option<(&'static CommandSpec, Db, Vec<Vec<u8>>)> {
        let [Op::Write { spec }] = self.ops[..] else { return None };
        let mut args = Vec::new();
        match Records::over(&self.log).next(&mut args) {
            Ok(Some(Record::Command { db })) => Some((spec, db, args.iter().map(|arg| arg.to_vec()).collect())),
            _ => None,
        }
    }

    /// Empties the run and keeps its buffers, unless they have grown large.
    pub fn clear(&mut self) {
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
    origin: Arc<Mutex<Origin>>,
}

#[derive(Default)]
struct MailboxState {
    waker: Option<Waker>,
    /// Replies of the run that is done.
    replies: ReplyBuffer,
    /// Where each command's reply ends, if that was asked for.
    ends: Vec<usize>,
    done: bool,
    /// The run that is done was not executed and never will be: this replica does not lead.
    bounced: bool,
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

    /// Ready when the submitted run is done: true when its replies are appended to `out`, false when it was not
    /// executed and never will be, because this replica does not lead.
    pub fn poll_done(&self, cx: &mut Context<'_>, out: &mut ReplyBuffer) -> Poll<bool> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.done) {
            out.append(&mut state.replies);
            return Poll::Ready(!std::mem::take(&mut state.bounced));
        }
        register(&mut state.waker, cx);
        Poll::Pending
    }

    /// Where each command's reply ends in the replies of the run that was done last, if the run asked for it.
    pub fn take_ends(&self) -> Vec<usize> {
        std::mem::take(&mut self.state.lock().ends)
    }

    /// Says that the run was not executed and never will be; returns whom to wake.
    pub(crate) fn bounce(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.bounced = true;
        state.done = true;
        state.waker.take()
    }

    /// Puts down where the replies end; to be called before they are delivered.
    pub(crate) fn put_ends(&self, ends: Vec<usize>) {
        self.state.lock().ends = ends;
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
    /// Whether the submitter must know where each reply ends.
    pub(crate) wants_ends: bool,
    /// Number of its operations in the proposal's list.
    pub(crate) ops: usize,
}
