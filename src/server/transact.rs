//! MULTI, EXEC, DISCARD, WATCH, UNWATCH, and what happens to commands between MULTI and EXEC.
//!
//! The reads and writes of a transaction are one *block*: one run, one log entry, executed under one hold of the
//! shard's lock. A block of reads alone runs under one hold of the read lock and is not in the log. If there is nothing
//! else in the transaction and nothing is watched, the block joins the connection's run, so that transactions
//! are pipelined like any write.
//!
//! Commands about the session or the process (PING, SELECT, CONFIG, INFO …) are executed here, one after the other, those
//! before the first read or write of the transaction before the block, all others after it. When keys are watched the
//! block is first, for it decides whether anything is executed. SELECT decides the database of what follows it, as if all
//! were executed in order.
//!
//! All keys of a transaction, watched ones included, are in one slot, unless the server has one shard only. The commands
//! about all keys (FLUSHALL, KEYS …) can be in transactions then only.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::cluster::ask;
use super::dispatch::{Batch, CANNOT_SERVE_TEXT, Outcome, Timed, full};
use super::gather::execute_run;
use super::merge::{header, next};
use super::router::{CROSS_SLOT, NO_SHARDS, Place};
use super::runs::Runs;
use super::session::{ReplyMode, Session};
use super::transaction::{Block, Executing, OfShard, Queued, Transaction, WatchList, selected};
use crate::command::{CommandError, CommandSpec, Flags, Handler, ServerCommand, find_subcommand, keys_of};
use crate::limits::TRANSACTION_MAX_BYTES;
use crate::resp::{Reply, ReplyBuffer};
use crate::shard::{Manner, Run, WatchId, Watched, clock};
use crate::types::ReadPolicy;
use crate::types::slot::slot_of;
use crate::types::{Db, Slot};

const NO_MULTI: CommandError = CommandError::Static("ERR Command not allowed inside a transaction");
const NESTED: CommandError = CommandError::Static("ERR MULTI calls can not be nested");
const LATE_WATCH: CommandError = CommandError::Static("ERR WATCH inside MULTI is not allowed");
const EXEC_ALONE: CommandError = CommandError::Static("ERR EXEC without MULTI");
const DISCARD_ALONE: CommandError = CommandError::Static("ERR DISCARD without MULTI");
const ABORTED: CommandError = CommandError::Static("EXECABORT Transaction discarded because of previous errors.");
const TOO_LARGE: CommandError = CommandError::Static("ERR the transaction is too large");
const WATCHED_ELSEWHERE: CommandError =
    CommandError::Static("CROSSSLOT the watched keys don't hash to the same slot as the keys of the transaction");

/// What EXEC is about to do.
struct Plan {
    /// The shard of the block.
    position: usize,
    /// Database of each read or write.
    databases: Vec<Db>,
    /// Whether there are other commands than those.
    mixed: bool,
    writes: bool,
    /// What is watched on that shard.
    watch: Option<WatchId>,
    watches: bool,
    lost: bool,
}

/// Whether a command is executed although a transaction is open.
pub(super) fn is_executed_at_once(spec: &CommandSpec) -> bool {
    use ServerCommand::{Discard, Exec, Multi, Quit, Reset, Watch};
    matches!(spec.handler, Handler::Server(Exec | Discard | Multi | Watch | Quit | Reset))
}

/// An error that ends a transaction at EXEC, as Redis words it.
fn abort_because(error: &CommandError) -> CommandError {
    CommandError::Text(format!("EXECABORT Transaction discarded because of: {error}"))
}

impl Batch<'_> {
    /// Answers in the turn of the command, without waiting for those before it.
    fn answer(
        session: &Session,
        runs: &mut Runs,
        out: &mut ReplyBuffer,
        write: impl FnOnce(&mut Reply<'_>),
    ) -> Outcome {
        if runs.is_empty() {
            write(&mut out.reply(session.protocol));
            return Outcome::Done;
        }
        runs.hold(|held| write(&mut held.reply(session.protocol)));
        full(runs)
    }

    /// Answers with an error, after the replies to what came before.
    fn refuse_in_turn(
        &self,
        session: &Session,
        runs: &Runs,
        args: &[&[u8]],
        error: &CommandError,
        out: &mut ReplyBuffer,
    ) -> Outcome {
        if !runs.is_empty() {
            return Outcome::AfterRun;
        }
        self.note_rejection(args);
        self.refuse(session, error, out);
        Outcome::Done
    }

    /// A command between MULTI and EXEC.
    pub(super) fn queue(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        if self.server.pause_concerns(spec) {
            return if runs.is_empty() { Outcome::Paused } else { Outcome::AfterRun };
        }
        let error = self.refusal_in_transaction(session, spec, args);
        let Some(transaction) = &mut session.transaction else { return Outcome::Done };
        let bytes: usize = args.iter().map(|arg| arg.len() + size_of::<Vec<u8>>()).sum();
        let error = error.or_else(|| (transaction.bytes + bytes > TRANSACTION_MAX_BYTES).then_some(TOO_LARGE));
        if let Some(error) = error {
            if runs.is_empty() {
                session.abort_transaction();
            }
            return self.refuse_in_turn(session, runs, args, &error, out);
        }
        if !transaction.aborted {
            transaction.bytes += bytes;
            transaction.commands.push(Queued { spec, args: args.iter().map(|arg| arg.to_vec()).collect() });
            session.note_transaction();
        }
        Self::answer(session, runs, out, |reply| reply.simple("QUEUED"))
    }

    /// Why a command cannot be in a transaction, if it cannot.
    fn refusal_in_transaction(
        &self,
        session: &Session,
        spec: &'static CommandSpec,
        args: &[&[u8]],
    ) -> Option<CommandError> {
        let subcommand = args.get(1).and_then(|name| find_subcommand(spec, name));
        if subcommand.map_or(spec.flags, |subcommand| subcommand.flags).has(Flags::NO_MULTI) {
            return Some(NO_MULTI);
        }
        if matches!(spec.handler, Handler::Server(_)) {
            return None;
        }
        if let Some(error) = self.server.write_refusal(spec, None) {
            return Some(error);
        }
        if self.server.limits.redirects.load(Ordering::Relaxed)
            && let Some(error) = self.redirection(self.policy(session, spec, args), spec, args, false)
        {
            return Some(error);
        }
        match self.router.place(spec, args) {
            Place::One(_) => None,
            Place::Nowhere => Some(CommandError::Static(NO_SHARDS)),
            Place::Split(_) | Place::Apart if !spec.keys.is_empty() => Some(CommandError::Static(CROSS_SLOT)),
            Place::Split(_) | Place::Apart | Place::Walk | Place::Chance => Some(CommandError::Text(format!(
                "ERR {} concerns all shards and cannot be part of a transaction here: a transaction has one shard",
                spec.name
            ))),
        }
    }

    /// MULTI, EXEC, DISCARD, WATCH and UNWATCH.
    pub(super) fn transact(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        (spec, command): (&'static CommandSpec, ServerCommand),
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        let is_open = session.transaction.is_some();
        let refusal = match command {
            ServerCommand::Multi if is_open => Some(NESTED),
            ServerCommand::Watch if is_open => Some(LATE_WATCH),
            ServerCommand::Exec if !is_open => Some(EXEC_ALONE),
            ServerCommand::Discard if !is_open => Some(DISCARD_ALONE),
            _ => None,
        };
        if let Some(error) = refusal {
            return self.refuse_in_turn(session, runs, args, &error, out);
        }
        match command {
            ServerCommand::Exec => return self.exec(session, runs, spec, args, out),
            ServerCommand::Watch if !runs.is_empty() => return Outcome::AfterRun,
            ServerCommand::Watch => return self.watch(session, runs, spec, args, out),
            _ => {}
        }
        self.begin(session, spec, args);
        let started = clock::instant();
        if command == ServerCommand::Multi {
            session.begin_transaction();
        } else {
            session.take_transaction();
            session.unwatch(self.server);
        }
        let outcome = Self::answer(session, runs, out, |reply| reply.ok());
        Timed { spec, started, server: self.server, client: &session.client }.over(args, false);
        outcome
    }

    /// `WATCH key …`
    fn watch(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        let slot = slot_of(args[1]);
        let error = if self.router.is_empty() {
            Some(CommandError::Static(NO_SHARDS))
        } else if self.router.len() > 1 && args[2..].iter().any(|key| slot_of(key) != slot) {
            Some(CommandError::Static(CROSS_SLOT))
        } else if self.server.limits.redirects.load(Ordering::Relaxed) {
            // Only the leader knows what changes a key.
            self.redirection(ReadPolicy::Lease, spec, args, false)
        } else {
            None
        };
        if let Some(error) = error {
            return self.refuse_in_turn(session, runs, args, &error, out);
        }
        self.begin(session, spec, args);
        self.release();
        let timed = Timed { spec, started: clock::instant(), server: self.server, client: &session.client };
        let position = if self.router.len() == 1 { 0 } else { self.router.position_of(slot) };
        let target = self.router.target(position);
        let known = session.watches.lock().shards.iter().find(|of| of.shard == target.id()).map(|of| of.watch);
        let (shard, keys) = (target.id(), args.len() - 1);
        let note = move |list: &mut WatchList, watched| {
            list.keys += keys;
            match watched {
                None => list.lost = true,
                Some(_) if known.is_some() => {}
                Some(watch) => list.shards.push(OfShard { shard, slot, watch }),
            }
            list.keys
        };
        let serving = target.serving().cloned();
        match serving.and_then(|shard| shard.watch_now(session.db, &args[1..], known, None)) {
            Some(watched @ (Watched::Yes(_) | Watched::Gone)) => {
                let watch = if let Watched::Yes(watch) = watched { Some(watch) } else { None };
                let keys = note(&mut session.watches.lock(), watch);
                session.client.watched_keys.store(keys, Ordering::Relaxed);
                timed.over(args, false);
                out.reply(session.protocol).ok();
                Outcome::Done
            }
            Some(Watched::NotLeader(_)) | None => {
                let question = ask::Question::Watch {
                    shard: shard.0,
                    db: session.db.0,
                    keys: args[1..].iter().map(|key| key.to_vec()).collect(),
                    to: known.map(|watch| (watch.origin, watch.number)),
                };
                let (server, router) = (Arc::clone(self.server), Arc::clone(self.router));
                let (watches, client) = (Arc::clone(&session.watches), Arc::clone(&session.client));
                let asked = Box::pin(async move {
                    let watch = match server.ask_leader(router.target(position), &question).await {
                        Ok(ask::Reply::Watch(origin, number)) => Some(WatchId { origin, number }),
                        Ok(ask::Reply::WatchIsGone) => None,
                        Ok(_) | Err(_) => {
                            server.counters.errors.count(CANNOT_SERVE_TEXT);
                            return format!("-{CANNOT_SERVE_TEXT}\r\n").into_bytes();
                        }
                    };
                    let keys = note(&mut watches.lock(), watch);
                    client.watched_keys.store(keys, Ordering::Relaxed);
                    b"+OK\r\n".to_vec()
                });
                timed.until_the_end(args, asked)
            }
        }
    }

    fn plan(&self, session: &Session, transaction: &Transaction) -> Result<Plan, CommandError> {
        let shared_databases = self.server.shared().databases;
        let (mut db, mut slot): (Db, Option<Slot>) = (session.db, None);
        let (mut databases, mut mixed, mut writes) = (Vec::new(), false, false);
        for Queued { spec, args } in &transaction.commands {
            match spec.handler {
                Handler::Server(command) => {
                    mixed = true;
                    if command == ServerCommand::Select {
                        db = selected(args, shared_databases).unwrap_or(db);
                    }
                    continue;
                }
                Handler::Write(_) => writes = true,
                Handler::Read(_) => {}
            }
            databases.push(db);
            if self.router.len() > 1 {
                let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
                for (index, _) in keys_of(spec, &args).unwrap_or_default() {
                    if *slot.get_or_insert_with(|| slot_of(args[index])) != slot_of(args[index]) {
                        return Err(CommandError::Static(CROSS_SLOT));
                    }
                }
            }
        }
        let list = session.watches.lock();
        let mut watch = None;
        for of in &list.shards {
            if self.router.len() > 1 && *slot.get_or_insert(of.slot) != of.slot {
                return Err(WATCHED_ELSEWHERE);
            }
            watch = Some(of.watch);
        }
        if self.router.is_empty() && !databases.is_empty() {
            return Err(CommandError::Static(NO_SHARDS));
        }
        let position = match slot {
            Some(slot) if self.router.len() > 1 => self.router.position_of(slot),
            _ => 0,
        };
        Ok(Plan { position, databases, mixed, writes, watch, watches: !list.is_empty(), lost: list.lost })
    }

    /// Why a transaction cannot be executed, if it cannot.
    fn refusal_of_exec(&self, session: &Session, transaction: &Transaction, plan: &Plan) -> Option<CommandError> {
        let writes = transaction.commands.iter().filter(|queued| matches!(queued.spec.handler, Handler::Write(_)));
        let shard = self.router.targets().get(plan.position).and_then(|target| target.serving());
        for queued in writes {
            if let Some(error) = self.server.write_refusal(queued.spec, shard) {
                return Some(abort_because(&error));
            }
        }
        if self.server.limits.redirects.load(Ordering::Relaxed) {
            let mut keyed = transaction.commands.iter().filter(|queued| !queued.spec.keys.is_empty());
            return keyed.find_map(|queued| {
                let args = queued.borrowed();
                self.redirection(self.policy(session, queued.spec, &args), queued.spec, &args, false)
            });
        }
        None
    }

    /// `EXEC`
    fn exec(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        let Some(transaction) = &session.transaction else { return Outcome::Done };
        if transaction.commands.iter().any(|queued| self.server.pause_concerns(queued.spec)) {
            return if runs.is_empty() { Outcome::Paused } else { Outcome::AfterRun };
        }
        let planned = if transaction.aborted { Err(ABORTED) } else { self.plan(session, transaction) };
        let planned = planned.and_then(|plan| {
            let refusal = self.refusal_of_exec(session, transaction, &plan);
            refusal.map_or(Ok(plan), Err)
        });
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => {
                if runs.is_empty() {
                    self.begin(session, spec, args);
                    session.take_transaction();
                    session.unwatch(self.server);
                }
                return self.refuse_in_turn(session, runs, args, &error, out);
            }
        };
        let joins = !plan.mixed && plan.writes && !plan.watches && !self.spans(session, &plan);
        if !joins && !runs.is_empty() {
            return Outcome::AfterRun;
        }
        let started = clock::instant();
        let Some(transaction) = session.take_transaction() else { return Outcome::Done };
        self.release();
        if joins {
            let mut databases = plan.databases.iter();
            let commands: Vec<(&'static CommandSpec, Db, Vec<&[u8]>)> = transaction
                .commands
                .iter()
                .zip(&mut databases)
                .map(|(queued, &db)| (queued.spec, db, queued.borrowed()))
                .collect();
            for (spec, _, args) in &commands {
                self.begin(session, spec, args);
            }
            self.begin(session, spec, args);
            runs.push_transaction(plan.position, &commands);
            let policies = commands.iter().map(|(spec, _, args)| self.policy(session, spec, args));
            runs.demand(plan.position, policies.reduce(ReadPolicy::stricter).unwrap_or_default());
            Timed { spec, started, server: self.server, client: &session.client }.over(args, false);
            return full(runs);
        }
        let block = if plan.lost { Block::None } else { self.block(session, &transaction, &plan) };
        self.begin(session, spec, args);
        Timed { spec, started, server: self.server, client: &session.client }.over(args, false);
        if plan.lost {
            session.unwatch(self.server);
            out.reply(session.protocol).null_array();
            return Outcome::Done;
        }
        session.executing = Some(Box::new(Executing {
            total: transaction.commands.len(),
            commands: transaction.commands.into(),
            block,
            block_first: plan.watches,
            header_written: false,
            silent: session.reply_mode != ReplyMode::On,
        }));
        self.go_on(session, out)
    }

    fn spans(&self, session: &Session, plan: &Plan) -> bool {
        let Some(transaction) = &session.transaction else { return false };
        let commands = transaction.commands.iter().filter(|queued| !matches!(queued.spec.handler, Handler::Server(_)));
        let mut commands = commands.zip(&plan.databases);
        commands.any(|(queued, &db)| self.server.spans_engines(queued.spec, db, &queued.borrowed()))
    }

    fn block(&self, session: &Session, transaction: &Transaction, plan: &Plan) -> Block {
        if plan.databases.is_empty() && plan.watch.is_none() {
            return Block::None;
        }
        let mut run = Run::default();
        run.push_transaction(plan.databases.len());
        if plan.databases.len() < transaction.commands.len() {
            run.be_part();
        }
        let mut databases = plan.databases.iter();
        for queued in &transaction.commands {
            let args = queued.borrowed();
            match queued.spec.handler {
                Handler::Server(_) => continue,
                Handler::Write(_) => run.push_write(queued.spec, *databases.next().unwrap_or(&session.db), &args),
                Handler::Read(_) => run.push_read(queued.spec, *databases.next().unwrap_or(&session.db), &args),
            }
            self.begin(session, queued.spec, &args);
        }
        if let Some(watch) = plan.watch {
            run.require(watch);
        }
        Block::Ready(plan.position, Box::new(run))
    }

    /// Goes on with EXEC.
    pub(super) fn go_on(&mut self, session: &mut Session, out: &mut ReplyBuffer) -> Outcome {
        let start = out.len();
        let outcome = self.steps(session, out);
        if session.executing.as_ref().is_some_and(|executing| executing.silent) {
            out.truncate(start);
        }
        if matches!(outcome, Outcome::Done) {
            session.unwatch(self.server);
            session.finish_executing();
        }
        outcome
    }

    fn steps(&mut self, session: &mut Session, out: &mut ReplyBuffer) -> Outcome {
        loop {
            let Some(executing) = &mut session.executing else { return Outcome::Done };
            if let Block::UnderWay(slot) = &executing.block {
                let reply = slot.lock().take().unwrap_or_else(|| format!("-{CANNOT_SERVE_TEXT}\r\n").into_bytes());
                executing.block = Block::Done(reply, 0);
            }
            let is_next = executing.block_first
                || executing.commands.front().is_some_and(|queued| !matches!(queued.spec.handler, Handler::Server(_)));
            if matches!(executing.block, Block::Ready(..)) && is_next {
                return self.start_block(session);
            }
            if !executing.header_written {
                if let Block::Done(reply, taken) = &mut executing.block {
                    if !reply.starts_with(b"*") || reply.starts_with(b"*-") {
                        if reply.starts_with(b"-") {
                            self.server.counters.errors.count_reply(reply);
                        }
                        out.reply(session.protocol).raw(reply);
                        return Outcome::Done;
                    }
                    *taken = reply.len() - header(reply).1.len();
                }
                out.reply(session.protocol).array(executing.total);
                executing.header_written = true;
            }
            let Some(queued) = executing.commands.pop_front() else { return Outcome::Done };
            let Handler::Server(command) = queued.spec.handler else {
                if let Block::Done(reply, taken) = &mut executing.block {
                    if *taken == 0 && reply.starts_with(b"*") {
                        *taken = reply.len() - header(reply).1.len();
                    }
                    let mut rest = &reply[*taken..];
                    let own = if reply.starts_with(b"*") { next(&mut rest) } else { reply.as_slice() };
                    out.reply(session.protocol).raw(own);
                    out.close_large();
                    *taken = reply.len() - rest.len();
                }
                continue;
            };
            let args = queued.borrowed();
            if let Outcome::Wait(pending) = self.serve(session, queued.spec, command, &args, out) {
                return Outcome::Wait(pending);
            }
        }
    }

    fn start_block(&mut self, session: &mut Session) -> Outcome {
        let manner = session.manner();
        let Some(executing) = &mut session.executing else { return Outcome::Done };
        let slot = Arc::new(Mutex::new(None));
        let block = std::mem::replace(&mut executing.block, Block::UnderWay(Arc::clone(&slot)));
        let Block::Ready(position, mut run) = block else { return Outcome::Done };
        // What depends on watched keys only the leader knows.
        let policy = if executing.block_first { ReadPolicy::Lease } else { manner.policy };
        let (server, router) = (Arc::clone(self.server), Arc::clone(self.router));
        let mailbox = session.client.mailbox.sibling();
        self.release();
        Outcome::Wait(Box::pin(async move {
            let manner = Manner { policy, ..manner };
            let reply = execute_run(&server, router.target(position), &mut run, &mailbox, manner).await;
            *slot.lock() = Some(reply);
            Vec::new()
        }))
    }
}
