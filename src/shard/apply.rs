//! The state machine: executes committed entries on the store.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::batch::{Header, Record, Records, fence_of};
use super::commands::Commands;
use super::queue::{Proposal, Settings};
use super::run::{Op, Submitted};
use super::stats::Tally;
use super::touched::{Touched, touched};
use super::{Shard, clock, snapshot};
use crate::command::{CommandError, CommandSpec, Flags, Handler, ReadContext, Shared, WriteContext, table};
use crate::raft::{SnapshotJob, StateMachine};
use crate::resp::{Protocol, Reply, ReplyBuffer};
use crate::storage::store::Store;
use crate::storage::{Address, Object, StorageError, StorageResult};
use crate::types::rng::Rng;
use crate::types::{Db, LogIndex, UnixMs};

/// Room made for the reply of each command; most writes answer less.
const TYPICAL_REPLY_BYTES: usize = 8;

/// What a log entry takes in memory besides its payload, about.
const MEMORY_ENTRY_OVERHEAD_BYTES: u64 = 192;

/// The raft group's view of the shard.
pub(super) struct Machine {
    shard: Arc<Shard>,
}

impl Machine {
    pub(super) fn new(shard: Arc<Shard>) -> Self {
        Self { shard }
    }

    fn finish(&self, index: LogIndex) {
        self.shard.applied_index.store(index.0, Ordering::Relaxed);
    }
}

impl StateMachine for Machine {
    fn apply(&mut self, index: LogIndex, term: u64, payload: &Bytes) -> io::Result<()> {
        let shard = Arc::clone(&self.shard);
        let (header, records) = Header::read(payload).map_err(io::Error::other)?;
        let is_own = shard.queue.is_own(&header);
        let proposal = shard.queue.claim(&header);
        if fence_of(payload).is_some_and(|fence| fence != term) {
            if let Some(proposal) = proposal {
                super::proposer::bounce(proposal);
            }
            return self.skip(index);
        }
        let settings = Settings::of(payload).map_err(io::Error::other)?;
        let shared = Shared { bulk_max_bytes: settings.bulk_max_bytes, ..*shard.shared() };
        if !is_own {
            // Should this replica lead, it goes on with them.
            shard.queue.change_settings(|own| own.encoding.clone_from(&settings.encoding));
        }
        shard.applied_now.fetch_max(header.now.0, Ordering::Relaxed);
        let mut wakers = Vec::new();
        let mut done = Vec::new();
        let result = {
            let mut store = shard.store.write();
            store.begin_entry(index.0);
            store.set_encoding(&settings.encoding);
            let mut execution = Execution {
                shard: &shard,
                store: &mut store,
                shared,
                header,
                commands: Commands::new(records),
                ordinal: 0,
                begun: clock::instant(),
                tally: Tally::default(),
            };
            let result = match proposal {
                Some(proposal) => execution.run_proposal(proposal, &mut wakers, &mut done),
                None => execution.replay(),
            };
            execution.tally.flush(&shard.counters);
            result.and_then(|()| shard.engine_result(store.commit(index.0)))
        };
        self.finish(index);
        shard.stats.entries.fetch_add(1, Ordering::Relaxed);
        let overhead = if shard.is_cache() { MEMORY_ENTRY_OVERHEAD_BYTES } else { 0 };
        shard.applied_bytes.fetch_add(payload.len() as u64 + overhead, Ordering::Relaxed);
        shard.serve_changed();
        for waker in wakers {
            waker.wake();
        }
        for call in done {
            call(result.is_ok());
        }
        result.map_err(|error| {
            shard.fail("applying a log entry failed", &error);
            io::Error::other(error)
        })
    }

    fn skip(&mut self, index: LogIndex) -> io::Result<()> {
        self.finish(index);
        let mut store = self.shard.store.write();
        store.begin_entry(index.0);
        self.shard.engine_result(store.commit(index.0)).map_err(io::Error::other)
    }

    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>> {
        snapshot::begin(&self.shard).map(|job| Box::new(job) as Box<dyn SnapshotJob>).map_err(io::Error::other)
    }

    fn begin_whole_snapshot(&mut self) -> io::Result<Option<Box<dyn SnapshotJob>>> {
        if self.shard.store.read().row_engine_bits() == 0 {
            return Ok(None);
        }
        snapshot::begin_whole(&self.shard)
            .map(|job| Some(Box::new(job) as Box<dyn SnapshotJob>))
            .map_err(io::Error::other)
    }

    fn restore(&mut self, index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
        snapshot::restore(&self.shard, index, body, body_offset)?;
        self.shard.watches.touch_all();
        self.finish(index);
        Ok(())
    }
}

/// One entry being executed.
struct Execution<'a, 'p> {
    shard: &'a Shard,
    store: &'a mut Store,
    shared: Shared,
    header: Header,
    commands: Commands<'p>,
    /// Counts the commands of the entry: each has its own random numbers, so that skipping one
    /// (whose engine is ahead, when the log is replayed) does not change the others.
    ordinal: u64,
    /// When the command now executed began: when the one before it ended, so that the clock is read once for each.
    begun: Instant,
    tally: Tally,
}

impl<'p> Execution<'_, 'p> {
    /// Executes an entry whose clients wait on this node.
    fn run_proposal(
        &mut self,
        proposal: Proposal,
        wakers: &mut Vec<std::task::Waker>,
        done: &mut Vec<Box<dyn FnOnce(bool) + Send>>,
    ) -> StorageResult<()> {
        let Proposal { runs, ops, local, done: calls, .. } = proposal;
        *done = calls;
        let mut local = Records::over(&local);
        let (mut args, mut local_args) = (Vec::new(), Vec::new());
        let mut ops = ops.iter();
        let mut failure = None;
        for run in &runs {
            let mut replies = run.mailbox.take_buffer();
            replies.open().reserve(run.ops * TYPICAL_REPLY_BYTES);
            let mut ends = Vec::new();
            let mut own = ops.by_ref().take(run.ops);
            while let Some(op) = own.next() {
                let start = replies.len();
                let mut commands = 1;
                let mut next = Some(op);
                if let Op::Transaction { commands: inner } = *op {
                    commands = inner;
                    replies.reply(run.protocol).array(inner as usize);
                    next = None;
                }
                for _ in 0..commands {
                    let op = next.take().or_else(|| own.next());
                    if let (None, Some(op)) = (&failure, op) {
                        let result = self.run_op(*op, run, &mut local, &mut args, &mut local_args, &mut replies);
                        failure = result.err();
                    }
                }
                if failure.is_some() {
                    replies.truncate(start);
                    let text = "ERR outcome unknown: the shard stopped after a storage error";
                    replies.reply(run.protocol).error(text);
                }
                if run.wants_ends {
                    ends.push(replies.len());
                }
            }
            if run.wants_ends {
                run.mailbox.put_ends(ends);
            }
            wakers.extend(run.mailbox.deliver(replies));
        }
        match failure {
            Some(error) => Err(error),
            // Records that no client waits for may stand after the last command.
            None => self.replay(),
        }
    }

    fn run_op<'l>(
        &mut self,
        op: Op,
        run: &Submitted,
        local: &mut Records<'l>,
        args: &mut Vec<&'p [u8]>,
        local_args: &mut Vec<&'l [u8]>,
        replies: &mut ReplyBuffer,
    ) -> StorageResult<()> {
        let start = replies.len();
        let (spec, result, args): (_, _, &[&[u8]]) = match op {
            Op::Write { spec } => {
                let db = self.next_command(args)?;
                (spec, self.write(spec, db, args, &mut replies.reply(run.protocol)), args)
            }
            Op::Read { spec, db } => {
                local.next(local_args)?;
                let reply = &mut replies.reply(run.protocol);
                (spec, self.read(spec, db, local_args, run.touch, reply), local_args)
            }
            Op::Transaction { .. } => return Ok(()),
        };
        let ended = clock::instant();
        let nanos = ended.duration_since(std::mem::replace(&mut self.begun, ended)).as_nanos() as u64;
        if spec.flags.has(Flags::BLOCKING) && matches!(result, Ok(true)) && is_nil(replies.since(start)) {
            // Its client goes on waiting.
            return Ok(());
        }
        self.tally.add(&self.shard.counters, spec, nanos, matches!(result, Ok(false)));
        if matches!(result, Ok(false)) {
            self.shard.counters.errors.count_reply(replies.since(start));
        }
        self.shard.counters.slowlog.observe(spec, nanos, args, || run.mailbox.origin());
        result.map(|_succeeded| ())
    }

    /// Executes records up to the next command, whose arguments it leaves in `args`.
    #[inline]
    fn next_command(&mut self, args: &mut Vec<&'p [u8]>) -> StorageResult<Db> {
        loop {
            match self.commands.next(self.store, args)? {
                Some(Record::Command { db }) => return Ok(db),
                Some(other) => self.internal(other)?,
                None => {
                    let detail = "it holds fewer commands than were put into it".to_owned();
                    return Err(StorageError::Corrupt { what: "log entry", detail });
                }
            }
        }
    }

    /// Executes the records that are left, with nobody to answer to.
    fn replay(&mut self) -> StorageResult<()> {
        let mut args = Vec::new();
        let mut replies = Vec::new();
        while let Some(record) = self.commands.next(self.store, &mut args)? {
            match record {
                Record::Command { db } => {
                    let spec = args.first().and_then(|name| table::find(name)).ok_or_else(|| {
                        let name = args.first().map(|name| String::from_utf8_lossy(name).into_owned());
                        StorageError::Corrupt { what: "log entry", detail: format!("unknown command {name:?}") }
                    })?;
                    replies.clear();
                    self.write(spec, db, &args, &mut Reply::new(&mut replies, Protocol::Resp2))?;
                }
                other => self.internal(other)?,
            }
        }
        Ok(())
    }

    /// Runs a write; answers whether it succeeded. Errors of the command go into the reply.
    #[inline]
    fn write(
        &mut self,
        spec: &'static CommandSpec,
        db: Db,
        args: &[&[u8]],
        reply: &mut Reply<'_>,
    ) -> StorageResult<bool> {
        let Handler::Write(handler) = spec.handler else {
            let detail = format!("{} is not a write", spec.name);
            return Err(StorageError::Corrupt { what: "log entry", detail });
        };
        self.ordinal += 1;
        let mut rng = Rng::new(self.header.seed.wrapping_add(self.ordinal));
        let concerned = if self.shard.is_observed() { self.concerned(spec, db, args) } else { Vec::new() };
        let mut context = WriteContext {
            store: self.store,
            db,
            now: self.header.now,
            shared: &self.shared,
            first_argument: self.commands.first_argument(),
            rng: &mut rng,
            only_changed: None,
            dirty: 0,
            hits: 0,
            misses: 0,
        };
        let start = reply.len();
        let result = handler(&mut context, args, reply);
        let (dirty, hits, misses) = (context.dirty, context.hits, context.misses);
        let only = context.only_changed.take();
        self.tally.hits += hits;
        self.tally.misses += misses;
        if dirty > 0 {
            self.shard.stats.dirty.fetch_add(dirty, Ordering::Relaxed);
            if !concerned.is_empty() {
                self.tell(&concerned, only.as_deref());
            }
        }
        conclude(result, reply, start)
    }

    /// The keys that a write may change and somebody waits for a change of, and whether each is there.
    #[cold]
    fn concerned(&self, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> Vec<(Db, Vec<u8>, bool)> {
        let shard = self.shard;
        let keys = match touched(spec, db, self.shared.databases, args) {
            Touched::Keys(keys) => {
                let observed = keys.into_iter().filter(|&(db, key)| shard.observes(db, key));
                observed.map(|(db, key)| (db, key.to_vec())).collect()
            }
            Touched::Databases(databases) => shard.observed_keys(|db| databases.contains(&db)),
            Touched::All => shard.observed_keys(|_| true),
        };
        let is_there = |db, key: &[u8]| self.is_there(db, key);
        keys.into_iter()
            .map(|(db, key)| (db, is_there(db, &key), key))
            .map(|(db, there, key)| (db, key, there))
            .collect()
    }

    fn is_there(&self, db: Db, key: &[u8]) -> bool {
        matches!(self.store.engine(db, key).meta(Address::new(db, key), self.header.now), Ok(Some(_)))
    }

    /// Says that keys were changed, all or only one, unless they were not there and are not there.
    #[cold]
    fn tell(&self, concerned: &[(Db, Vec<u8>, bool)], only: Option<&[u8]>) {
        for (db, key, was_there) in concerned {
            let is_meant = only.is_none_or(|only| only == key);
            if is_meant && (*was_there || self.is_there(*db, key)) {
                self.shard.observe_change(*db, key);
            }
        }
    }

    fn read(
        &mut self,
        spec: &'static CommandSpec,
        db: Db,
        args: &[&[u8]],
        touch: bool,
        reply: &mut Reply<'_>,
    ) -> StorageResult<bool> {
        let context = ReadContext {
            touch,
            now: self.header.now,
            ..self.shard.read_context(self.store, &self.shared, db, self.header.now)
        };
        let result = execute_read(spec, &context, args, reply);
        self.tally.hits += context.hits.get();
        self.tally.misses += context.misses.get();
        result
    }

    /// Executes a record that is not a client's command.
    fn internal(&mut self, record: Record<'_>) -> StorageResult<()> {
        match record {
            Record::Command { .. } => unreachable!("commands are executed where their arguments are"),
            Record::Expire { until, limit } => self.expire(until, limit as usize),
            Record::Put { db, key, expires_at, object } => {
                let at = Address::new(db, key);
                if self.shard.is_observed() {
                    self.shard.observe_change(db, key);
                }
                self.store.engine_mut(db, key).put_object(at, Object::decode(object)?, expires_at)
            }
            Record::Remove { db, key } => {
                let at = Address::new(db, key);
                if self.shard.is_observed() {
                    self.shard.observe_change(db, key);
                }
                self.store.engine_mut(db, key).remove(at, UnixMs(i64::MIN)).map(|_removed| ())
            }
            // They were looked at before anything else.
            Record::Setting { .. } | Record::Fence { .. } => Ok(()),
        }
    }

    fn expire(&mut self, until: UnixMs, limit: usize) -> StorageResult<()> {
        let (mut expired, mut expired_fields) = (0, 0);
        let shard = self.shard;
        self.store.for_each_engine(|_, engine| {
            // Watches see for themselves that a key is gone; a reader of a group that is gone does not.
            expired += engine.expire_due(until, limit, &mut |db, key| {
                if shard.parking.any() {
                    shard.parking.note_change(db, key);
                }
            })?;
            expired_fields += engine.expire_fields_due(until, limit, &mut |db, key, _| {
                if shard.is_observed() {
                    shard.observe_change(db, key);
                }
            })?;
            Ok(())
        })?;
        self.shard.counters.expired.fetch_add(expired as u64, Ordering::Relaxed);
        self.shard.counters.expired_fields.fetch_add(expired_fields as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Runs a read; answers whether it succeeded. Errors of the command go into the reply.
#[inline]
pub(super) fn execute_read(
    spec: &'static CommandSpec,
    context: &ReadContext<'_>,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
) -> StorageResult<bool> {
    let Handler::Read(handler) = spec.handler else {
        let detail = format!("{} is not a read", spec.name);
        return Err(StorageError::Corrupt { what: "run", detail });
    };
    let start = reply.len();
    let result = handler(context, args, reply);
    conclude(result, reply, start)
}

/// Whether a reply is that there is nothing.
pub(super) fn is_nil(reply: &[u8]) -> bool {
    matches!(reply, b"*-1\r\n" | b"$-1\r\n" | b"_\r\n")
}

#[inline]
pub(super) fn conclude(result: Result<(), CommandError>, reply: &mut Reply<'_>, start: usize) -> StorageResult<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(CommandError::Storage(error)) if !error.is_deterministic() => Err(error),
        Err(error) => {
            reply.truncate(start);
            reply.error(&error.to_string());
            Ok(false)
        }
    }
}
