//! A connection's run of commands for a shard, and the mailbox its replies come back through.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::batch::{Encoder, Record, Records};
use super::slowlog::Origin;
use super::watch::WatchId;
use crate::codec::{DecodeError, Reader, push_run, push_varint};
use crate::command::{Access, CommandSpec, Flags, Group, Handler, KeySpec, find, keys_of};
use crate::resp::{Protocol, ReplyBuffer};
use crate::storage::Kind;
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
    /// The next operations are a transaction: their replies are the elements of one.
    Transaction {
        /// How many; none of them is a transaction.
        commands: u32,
    },
}

/// Commands of one connection, in order, on their way to a shard.
///
/// A run is filled by the connection, copied into the shard's queue when it is submitted, and
/// reused.
#[derive(Clone, Default)]
pub struct Run {
    /// Encoded command records for the log.
    pub(crate) log: Vec<u8>,
    /// Encoded command records of the reads.
    pub(crate) local: Vec<u8>,
    pub(crate) ops: Vec<Op>,
    /// Commands of transactions, which have no replies of their own.
    inner: usize,
    reads: usize,
    /// The run is one transaction, to be executed only if nothing that was watched has changed.
    pub(crate) condition: Option<WatchId>,
    /// Whether the submitter must know where each command's reply ends.
    pub(crate) wants_ends: bool,
    /// It is not all of its transaction: what is executed elsewhere comes behind it.
    pub(super) is_part: bool,
}

impl Run {
    /// Asks for where each command's reply ends; see [`Mailbox::take_ends`]. Holds until the run is submitted.
    pub fn want_ends(&mut self) {
        self.wants_ends = true;
    }

    /// Says that commands of the same transaction that are not the shard's affair come behind the run. Clients that wait for
    /// what it pushes are served when it is applied, not with it.
    pub fn be_part(&mut self) {
        self.is_part = true;
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

    /// Number of replies: a transaction has one.
    pub fn len(&self) -> usize {
        self.ops.len() - self.inner
    }

    /// Says that the next `commands` writes and reads are a transaction.
    pub fn push_transaction(&mut self, commands: usize) {
        self.ops.push(Op::Transaction { commands: u32::try_from(commands).expect("requests are fewer") });
        self.inner += commands;
    }

    /// Makes the run, which is one transaction, depend on what was watched.
    pub fn require(&mut self, watch: WatchId) {
        self.condition = Some(watch);
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
                Op::Transaction { commands } => {
                    let kind = if self.condition.is_some() { 3 } else { 2 };
                    out.push(kind);
                    push_varint(out, u64::from(*commands));
                    if let Some(watch) = self.condition {
                        out.extend_from_slice(&watch.origin.to_le_bytes());
                        out.extend_from_slice(&watch.number.to_le_bytes());
                    }
                }
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
        let mut run = Run::default();
        let mut databases = Vec::new();
        // Commands that the transaction lacks, and where each begins.
        let (mut lacking, mut transactions) = (0, Vec::new());
        for _ in 0..commands {
            let kind = reader.u8()?;
            if kind < 2 {
                lacking -= i64::from(lacking > 0);
            }
            match kind {
                0 => databases.push(None),
                1 => {
                    let db = u16::try_from(reader.varint()?).map_err(|_| reader.error("a database beyond any"))?;
                    databases.push(Some(Db(db)));
                }
                2 | 3 if lacking > 0 => return Err(reader.error("a transaction in a transaction")),
                2 | 3 => {
                    let length = reader.varint()?;
                    if length >= commands {
                        return Err(reader.error("a transaction of more commands than there are"));
                    }
                    lacking = i64::try_from(length).map_err(|_| reader.error("a transaction beyond any"))?;
                    transactions.push((databases.len(), length as usize));
                    if kind == 3 {
                        if commands != length + 1 {
                            return Err(reader.error("a transaction on a condition that is not alone"));
                        }
                        run.condition = Some(WatchId { origin: reader.u64()?, number: reader.u64()? });
                    }
                }
                _ => return Err(reader.error("a command of an unknown kind")),
            }
        }
        if lacking > 0 {
            return Err(reader.error("a transaction of fewer commands than announced"));
        }
        let (log, local) = (reader.run()?.to_vec(), reader.run()?.to_vec());
        let mut transactions = transactions.into_iter().peekable();
        {
            let (mut writes, mut reads) = (Records::over(&log), Records::over(&local));
            let mut args = Vec::new();
            for (index, db) in databases.into_iter().enumerate() {
                while let Some((_, length)) = transactions.next_if(|&(begin, _)| begin == index) {
                    run.push_transaction(length);
                }
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
            transactions.for_each(|(_, length)| run.push_transaction(length));
            let left = |records: &mut Records<'_>| !matches!(records.next(&mut Vec::new()), Ok(None));
            if left(&mut writes) || left(&mut reads) {
                return Err(reader.error("more commands than announced"));
            }
        }
        (run.log, run.local) = (log, local);
        Ok(run)
    }

    /// The commands, if the run is one write or one transaction.
    pub(crate) fn alone(&self) -> Option<Vec<Step>> {
        match self.ops[..] {
            [Op::Write { .. }] => {}
            [Op::Transaction { commands }, ..] if commands as usize + 1 == self.ops.len() => {}
            _ => return None,
        }
        let (mut log, mut local) = (Records::over(&self.log), Records::over(&self.local));
        let mut steps = Vec::with_capacity(self.ops.len());
        let mut args = Vec::new();
        for op in &self.ops {
            let (spec, records) = match *op {
                Op::Transaction { .. } => continue,
                Op::Write { spec } => (spec, &mut log),
                Op::Read { spec, .. } => (spec, &mut local),
            };
            let Ok(Some(Record::Command { db })) = records.next(&mut args) else { return None };
            steps.push(Step { spec, db, args: args.iter().map(|arg| arg.to_vec()).collect() });
        }
        Some(steps)
    }

    /// The command, if there is one only and no transaction.
    pub(crate) fn single(&self) -> Option<Step> {
        let [op] = self.ops[..] else { return None };
        let (spec, records) = match op {
            Op::Write { spec } => (spec, &self.log),
            Op::Read { spec, .. } => (spec, &self.local),
            Op::Transaction { .. } => return None,
        };
        let mut args = Vec::new();
        match Records::over(records).next(&mut args) {
            Ok(Some(Record::Command { db })) => {
                Some(Step { spec, db, args: args.iter().map(|arg| arg.to_vec()).collect() })
            }
            _ => None,
        }
    }

    /// What its commands of lists and sorted sets add to, in their order.
    pub(super) fn pushes(&self) -> Vec<Push> {
        let (mut records, mut args, mut pushes) = (Records::over(&self.log), Vec::new(), Vec::new());
        for op in &self.ops {
            let Op::Write { spec } = op else { continue };
            let Ok(Some(Record::Command { db })) = records.next(&mut args) else { break };
            let kind = match spec.group {
                Group::List => Kind::List,
                Group::SortedSet | Group::Geo => Kind::Zset,
                _ => continue,
            };
            for (at, access) in keys_of(spec, &args).unwrap_or_default() {
                if matches!(access, Access::Take | Access::Remove | Access::Delete | Access::Read | Access::ReadMeta) {
                    continue;
                }
                let behind = args.len() - at - 1;
                let elements_max = match kind {
                    Kind::Zset => behind / 2,
                    _ if spec.name.contains("PUSH") => behind,
                    _ => 1,
                };
                let elements_max = if spec.flags.has(Flags::BLOCKING) { 1 } else { elements_max.max(1) };
                pushes.push(Push { db, key: args[at].to_vec(), kind, elements_max });
            }
        }
        pushes
    }

    /// Whether the run is one transaction.
    pub(crate) fn is_transaction(&self) -> bool {
        self.len() == 1 && matches!(self.ops[0], Op::Transaction { .. })
    }

    /// Empties the run and keeps its buffers, unless they have grown large.
    pub fn clear(&mut self) {
        const KEPT_BYTES_MAX: usize = 16 * 1024;
        for buffer in [&mut self.log, &mut self.local] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES_MAX);
        }
        self.ops.clear();
        (self.inner, self.reads) = (0, 0);
        self.condition = None;
        self.wants_ends = false;
        self.is_part = false;
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
    /// Number of its replies.
    pub(crate) replies: usize,
}

/// A key that a command adds to.
pub(super) struct Push {
    pub(super) db: Db,
    pub(super) key: Vec<u8>,
    /// Of what kind its value will be.
    pub(super) kind: Kind,
    /// So many waiting clients are served right behind it; it may add more, for others when it is applied.
    pub(super) elements_max: usize,
}

/// A command with its arguments.
pub(crate) struct Step {
    pub(crate) spec: &'static CommandSpec,
    pub(crate) db: Db,
    pub(crate) args: Vec<Vec<u8>>,
}

impl Step {
    pub(crate) fn borrowed(&self) -> Vec<&[u8]> {
        self.args.iter().map(Vec::as_slice).collect()
    }
}
