//! Decides where each command of a connection is executed.
//!
//! [`super::router`] says which shard a command belongs to. Reads run at once under the shard's read lock, unless a
//! write of the same connection is waiting in a run for that shard: then they join the run, so that they see
//! it. Writes join the run of their shard. Everything else waits for all runs and is executed by
//! [`super::commands`], or here if several shards are to be read.

use std::borrow::Cow;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::RwLockReadGuard;
use smallvec::SmallVec;

use super::Server;
use super::clients::Client;
use super::commands;
use super::gather::{Parts, Whole, execute_run};
use super::router::{CROSS_SLOT, NO_SHARDS, Place, Router, Split};
use super::runs::Runs;
use super::session::{ReplyMode, Session};
use super::transact::is_executed_at_once;
use crate::command::table::{arity_error, unknown_command, unknown_subcommand};
use crate::command::{
    CommandError, CommandSpec, Flags, Handler, ReadContext, ServerCommand, Shared, Waiting, find, find_subcommand,
    keys_of,
};
use crate::limits::{LOOK_AHEAD_COMMANDS_MAX, OUTPUT_TURN_BYTES};
use crate::resp::ReplyBuffer;
use crate::shard::stats::Tally;
use crate::shard::{Manner, Run, answers_value, clock};
use crate::storage::store::Store;
use crate::storage::{Address, LookUp};
use crate::types::rng::Rng;
use crate::types::slot::slot_of;
use crate::types::{Db, ReadPolicy, UnixMs};

/// Bytes of commands at which a run is submitted although more could join.
const RUN_TARGET_BYTES: usize = 256 * 1024;

/// Replies that are still to come.
pub type Pending = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

/// What became of a command.
pub enum Outcome {
    /// It is executed, or it is in the run.
    Done,
    /// It is in a run, and the runs are to be submitted now.
    Submit,
    /// It must wait for the runs, which are to be submitted first; then it is to be dispatched again.
    AfterRun,
    /// Clients are paused: it is to be dispatched again when they are not.
    Paused,
    /// It is under way.
    Wait(Pending),
}

/// Everything a batch of commands of one connection needs. Lives between two awaits.
pub struct Batch<'s> {
    pub(super) server: &'s Arc<Server>,
    pub(super) router: &'s Arc<Router>,
    pub(super) shared: Option<Arc<Shared>>,
    /// The store that is locked, with the position of its shard.
    pub(super) store: Option<(usize, RwLockReadGuard<'s, Store>)>,
    pub(super) now: UnixMs,
    pub(super) rng: Rng,
    pub(super) tally: Tally,
}

/// Whether a request that is no command is a line of HTTP. A web page can make a browser send such lines to a port of
/// its machine, with commands in the body; as in Redis, the connection ends before they are read.
#[cold]
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

impl<'s> Batch<'s> {
    /// Starts a batch.
    pub fn new(server: &'s Arc<Server>, router: &'s Arc<Router>, now: UnixMs) -> Self {
        let rng = Rng::new(server.counters.next_read_seed());
        Self { server, router, shared: None, store: None, now, rng, tally: Tally::default() }
    }

    /// If the requests begin with a read, reads the memory of their keys, and of the fields or members they name, into
    /// the caches.
    pub fn prefetch<'k>(
        &mut self,
        db: Db,
        name: Option<&[u8]>,
        look_ups: impl Iterator<Item = (&'k [u8], Option<&'k [u8]>)>,
    ) {
        let reads = name.and_then(find).is_some_and(|spec| matches!(spec.handler, Handler::Read(_)));
        if !reads || self.router.is_empty() {
            return;
        }
        let mut look_ups: SmallVec<[LookUp<'_>; LOOK_AHEAD_COMMANDS_MAX]> =
            look_ups.map(|(key, member)| LookUp { at: Address::new(db, key), member }).collect();
        // Shard by shard: its keys go to the front, and out.
        while let Some(first) = look_ups.first() {
            let position = self.router.position_of(first.at.slot);
            let count = if self.router.len() == 1 {
                look_ups.len()
            } else {
                let mut count = 0;
                for index in 0..look_ups.len() {
                    if self.router.position_of(look_ups[index].at.slot) == position {
                        look_ups.swap(count, index);
                        count += 1;
                    }
                }
                count
            };
            self.lock(position);
            if let Some((_, store)) = &self.store {
                store.prefetch(&look_ups[..count]);
            }
            look_ups.drain(..count);
        }
    }

    /// Takes the lock of a shard's store, if this node may serve its reads. One lock is held at a time.
    #[inline]
    pub(super) fn lock(&mut self, position: usize) {
        if self.store.as_ref().is_none_or(|&(locked, _)| locked != position) {
            self.store = None;
            let Some(shard) = self.router.target(position).local() else { return };
            self.store = shard.read().map(|store| (position, store));
            if self.shared.is_none() {
                self.shared = Some(shard.shared());
            }
        }
    }

    /// Dispatches one request; replies, if there are any yet, go to `out`.
    pub fn dispatch(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        let start = out.len();
        let outcome = match self.checked(session, args) {
            Ok(spec) if session.transaction.is_some() && !is_executed_at_once(spec) => {
                self.queue(session, runs, spec, args, out)
            }
            Ok(spec) => self.route(session, runs, spec, args, out),
            Err(_) if !runs.is_empty() => return Outcome::AfterRun,
            Err(_) if is_http(args[0]) => {
                let client = &session.client;
                tracing::warn!(address = %client.peer, "closing a connection that speaks HTTP: somebody may be using a browser to reach this server");
                session.closing = true;
                Outcome::Done
            }
            Err(error) => {
                session.abort_transaction();
                self.note_rejection(args);
                self.refuse(session, &error, out);
                Outcome::Done
            }
        };
        if session.reply_mode != ReplyMode::On {
            suppress(session, args, start, out, &outcome);
        }
        outcome
    }

    /// The command, if the client may run it with so many arguments.
    #[inline]
    fn checked(&self, session: &Session, args: &[&[u8]]) -> Result<&'static CommandSpec, CommandError> {
        let Some(spec) = find(args[0]) else {
            return Err(unknown_command(args));
        };
        if !spec.subcommands.is_empty() && args.len() > 1 {
            let Some(subcommand) = find_subcommand(spec, args[1]) else {
                return Err(unknown_subcommand(spec, args[1]));
            };
            if !subcommand.arity.accepts(args.len()) {
                let name = format!("{}|{}", spec.name, subcommand.name).to_ascii_lowercase();
                return Err(arity_error(&name));
            }
        } else if !spec.arity.accepts(args.len()) {
            return Err(arity_error(&spec.name.to_ascii_lowercase()));
        }
        // Whoever waits for AUTH gets in when the password is taken away.
        if !session.authenticated
            && !spec.flags.has(Flags::NO_AUTH)
            && self.server.limits.password_required.load(Ordering::Relaxed)
        {
            return Err(NO_AUTH);
        }
        Ok(spec)
    }

    /// Counts a command that was refused before it began, if there is such a command.
    #[cold]
    pub(super) fn note_rejection(&self, args: &[&[u8]]) {
        let Some(spec) = find(args[0]) else { return };
        if spec.subcommands.is_empty() || args.len() < 2 || find_subcommand(spec, args[1]).is_some() {
            self.server.counters.of_request(spec, args).rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a command begins, where others can see it.
    #[inline]
    pub(super) fn begin(&self, session: &Session, spec: &'static CommandSpec, args: &[&[u8]]) {
        session.client.note_command(spec);
        if self.server.monitors.any() {
            self.server.monitors.show(&session.client, session.db, spec, args);
        }
    }

    fn route(
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
        if let Handler::Server(command) = spec.handler {
            if matches!(
                command,
                ServerCommand::Multi
                    | ServerCommand::Exec
                    | ServerCommand::Discard
                    | ServerCommand::Watch
                    | ServerCommand::Unwatch
            ) {
                return self.transact(session, runs, (spec, command), args, out);
            }
            if !runs.is_empty() {
                return Outcome::AfterRun;
            }
            return self.serve(session, spec, command, args, out);
        }
        let writes = matches!(spec.handler, Handler::Write(_));
        let policy = if writes { ReadPolicy::Lease } else { self.policy(session, spec, args) };
        if self.server.limits.redirects.load(Ordering::Relaxed) {
            let asking = std::mem::take(&mut session.asking);
            if let Some(error) = self.redirection(policy, spec, args, asking) {
                if !runs.is_empty() {
                    return Outcome::AfterRun;
                }
                self.note_rejection(args);
                self.refuse(session, &error, out);
                return Outcome::Done;
            }
        }
        let place = self.router.place(spec, args);
        if let (Place::One(position), Some(waiting)) = (&place, Waiting::of(spec, args)) {
            let shard = self.router.target(*position).serving();
            if let Some(error) = self.server.write_refusal(spec, shard) {
                return self.reject_write(session, runs, spec, &error, out);
            }
            if !runs.is_empty() {
                return Outcome::AfterRun;
            }
            return self.wait(session, *position, (spec, waiting), args);
        }
        match place {
            Place::One(position) if writes => self.write(session, runs, position, spec, args, out),
            Place::One(position) if runs.concern(position) => {
                if runs.reads() >= session.run_reads_max {
                    return Outcome::AfterRun;
                }
                self.begin(session, spec, args);
                runs.push(position, spec, session.db, args);
                runs.demand(position, policy);
                full(runs)
            }
            Place::One(position) if !self.may_read(policy, position) => {
                // It goes to a replica that may, or waits until this one may.
                self.begin(session, spec, args);
                self.release();
                runs.push(position, spec, session.db, args);
                runs.demand(position, policy);
                full(runs)
            }
            Place::One(position) if runs.is_empty() => {
                self.begin(session, spec, args);
                self.read(session, position, spec, args, out)
            }
            Place::One(position) => {
                self.begin(session, spec, args);
                // A key whose time has come is removed another time.
                runs.hold(|held| self.read(session, position, spec, args, held));
                full(runs)
            }
            Place::Split(mut split) if writes => {
                if spec.keys.is_empty() {
                    split.keep(&self.positions());
                }
                self.write_split(session, runs, &split, spec, args, out)
            }
            Place::Nowhere => {
                self.note_rejection(args);
                self.refuse(session, &CommandError::Static(NO_SHARDS), out);
                Outcome::Done
            }
            // Whatever reads several shards, or none, has its own way to its reply.
            _ if !runs.is_empty() => Outcome::AfterRun,
            Place::Split(split) => {
                let parts = Parts::of(&split);
                self.whole(session, policy, spec, args, |whole| Box::pin(whole.split(parts)))
            }
            Place::Walk => self.whole(session, policy, spec, args, |whole| Box::pin(whole.walk())),
            Place::Chance => self.whole(session, policy, spec, args, |whole| Box::pin(whole.chance())),
            Place::Apart => {
                self.note_rejection(args);
                self.refuse(session, &CommandError::Static(CROSS_SLOT), out);
                Outcome::Done
            }
        }
    }

    /// With `cluster-routing redirect`: where the client has to go instead, as Redis Cluster puts it.
    #[cold]
    pub(super) fn redirection(
        &self,
        policy: ReadPolicy,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        _asking: bool,
    ) -> Option<CommandError> {
        // What is wrong with the arguments any shard can say.
        let keys = keys_of(spec, args).ok()?;
        let &(first, _) = keys.first()?;
        let slot = slot_of(args[first]);
        if keys.iter().any(|&(index, _)| slot_of(args[index]) != slot) {
            return Some(CommandError::Static(CROSS_SLOT));
        }
        if self.router.is_empty() {
            return Some(CommandError::Static(NO_SHARDS));
        }
        let target = self.router.target(self.router.position_of(slot));
        let here = match target.local() {
            None => false,
            Some(shard) => shard.is_leader() || (policy.any_replica() && !spec.flags.has(Flags::WRITE)),
        };
        if here {
            return None;
        }
        let node = self.server.cluster.as_ref()?;
        let address = target
            .leader(node.number, None)
            .and_then(|leader| node.state()?.nodes.get(&leader).map(|record| record.client_address()));
        Some(match address {
            Some(address) => CommandError::Text(format!("MOVED {} {address}", slot.0)),
            None => CommandError::Static("CLUSTERDOWN The cluster is down"),
        })
    }

    /// How a read makes sure that it misses nothing: as the connection has chosen, else as its keyspaces say, else as
    /// the node's setting does. Of several keyspaces the strictest counts.
    #[inline]
    pub(super) fn policy(&self, session: &Session, spec: &'static CommandSpec, args: &[&[u8]]) -> ReadPolicy {
        if self.server.cluster.is_none() || spec.flags.has(Flags::WRITE) {
            return ReadPolicy::Lease;
        }
        match session.read_policy {
            Some(chosen) => chosen,
            None if self.server.rules.has_read_policies() => self.policy_of_keys(session.db, spec, args),
            None => self.server.read_policy(),
        }
    }

    fn policy_of_keys(&self, db: Db, spec: &'static CommandSpec, args: &[&[u8]]) -> ReadPolicy {
        let default = self.server.read_policy();
        let keys = keys_of(spec, args).unwrap_or_default();
        let of_key = |index: usize| {
            self.server.rules.rule_for(db, args[index]).and_then(|rule| rule.read_policy).unwrap_or(default)
        };
        keys.iter().map(|&(index, _)| of_key(index)).reduce(ReadPolicy::stricter).unwrap_or(default)
    }

    /// Whether a read may be executed on this node's replica now, without waiting for anybody.
    #[inline]
    fn may_read(&mut self, policy: ReadPolicy, position: usize) -> bool {
        if policy != ReadPolicy::Lease {
            return false;
        }
        self.lock(position);
        self.store.is_some()
    }

    /// The shards that a command about all keys concerns: all, or, for clients that ask every node, those that
    /// this node leads.
    fn positions(&self) -> Vec<usize> {
        let all = 0..self.router.len();
        if self.server.limits.redirects.load(Ordering::Relaxed) {
            all.filter(|&position| self.router.target(position).local().is_some_and(|shard| shard.is_leader()))
                .collect()
        } else {
            all.collect()
        }
    }

    /// Executes a read of several shards.
    fn whole(
        &mut self,
        session: &Session,
        policy: ReadPolicy,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        read: impl FnOnce(Whole) -> Pending,
    ) -> Outcome {
        self.begin(session, spec, args);
        self.release();
        let timed = Timed { spec, started: clock::instant(), server: self.server, client: &session.client };
        let whole = Whole {
            server: Arc::clone(self.server),
            router: Arc::clone(self.router),
            positions: self.positions(),
            mailbox: session.client.mailbox.sibling(),
            spec,
            args: args.iter().map(|arg| arg.to_vec()).collect(),
            db: session.db,
            manner: Manner { policy, ..session.manner() },
        };
        timed.until_the_end(args, read(whole))
    }

    /// Adds a write to the run of its shard.
    #[inline]
    fn write(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        position: usize,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        let shard = self.router.target(position).serving();
        if let Some(error) = self.server.write_refusal(spec, shard) {
            return self.reject_write(session, runs, spec, &error, out);
        }
        if self.server.spans_engines(spec, session.db, args) {
            match shard {
                _ if !runs.is_empty() => return Outcome::AfterRun,
                Some(_) => return self.across(session, position, spec, args),
                // It goes alone to whoever leads.
                None => {
                    self.begin(session, spec, args);
                    self.release();
                    runs.push(position, spec, session.db, args);
                    return Outcome::Submit;
                }
            }
        }
        if runs.reads() >= session.run_reads_max && answers_value(spec, args.len()) {
            return Outcome::AfterRun;
        }
        self.begin(session, spec, args);
        self.release();
        runs.push(position, spec, session.db, args);
        full(runs)
    }

    /// Adds a write to the runs of several shards.
    fn write_split(
        &mut self,
        session: &mut Session,
        runs: &mut Runs,
        split: &Split<'_>,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        if split.parts.is_empty() {
            if !runs.is_empty() {
                return Outcome::AfterRun;
            }
            out.reply(session.protocol).ok();
            return Outcome::Done;
        }
        let shards = || split.parts.iter().map(|&(position, _)| self.router.target(position).serving());
        if let Some(error) = shards().find_map(|shard| self.server.write_refusal(spec, shard)) {
            return self.reject_write(session, runs, spec, &error, out);
        }
        self.begin(session, spec, args);
        self.release();
        runs.push_split(split, spec, session.db);
        full(runs)
    }

    fn reject_write(
        &self,
        session: &Session,
        runs: &Runs,
        spec: &'static CommandSpec,
        error: &CommandError,
        out: &mut ReplyBuffer,
    ) -> Outcome {
        if !runs.is_empty() {
            return Outcome::AfterRun;
        }
        self.server.counters.of(spec).rejected.fetch_add(1, Ordering::Relaxed);
        self.refuse(session, error, out);
        Outcome::Done
    }

    /// Executes a command that concerns the session or the process.
    pub(super) fn serve(
        &mut self,
        session: &mut Session,
        spec: &'static CommandSpec,
        command: ServerCommand,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        self.begin(session, spec, args);
        self.release();
        let started = clock::instant();
        let length = out.len();
        let result = commands::execute(self.server, session, command, args, out.open());
        let secretless = commands::redacted(command, args);
        let timed = Timed { spec, started, server: self.server, client: &session.client };
        let shown = secretless.as_deref().unwrap_or(args);
        match result {
            Ok(Some(pending)) => timed.until_the_end(shown, pending),
            Ok(None) => {
                timed.over(shown, false);
                Outcome::Done
            }
            Err(error) => {
                timed.over(shown, true);
                out.truncate(length);
                self.refuse(session, &error, out);
                Outcome::Done
            }
        }
    }

    /// A command that reads one engine and changes another.
    fn across(&mut self, session: &Session, position: usize, spec: &'static CommandSpec, args: &[&[u8]]) -> Outcome {
        self.begin(session, spec, args);
        self.release();
        let timed = Timed { spec, started: clock::instant(), server: self.server, client: &session.client };
        let (server, router) = (Arc::clone(self.server), Arc::clone(self.router));
        let (mailbox, manner) = (session.client.mailbox.sibling(), session.manner());
        let mut run = Run::default();
        run.push_write(spec, session.db, args);
        let pending = Box::pin(async move {
            let reply = execute_run(&server, router.target(position), &mut run, &mailbox, manner).await;
            if reply.starts_with(b"-") {
                server.counters.errors.count_reply(&reply);
            }
            reply
        });
        timed.until_the_end(args, pending)
    }

    #[inline]
    fn read(
        &mut self,
        session: &Session,
        position: usize,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        self.lock(position);
        let (Some((_, store)), Some(shared), Some(shard)) =
            (self.store.as_ref(), self.shared.as_deref(), self.router.target(position).local())
        else {
            self.refuse(session, &CommandError::Static(CANNOT_SERVE_TEXT), out);
            return Outcome::Done;
        };
        let started = clock::instant();
        let context = ReadContext {
            store,
            db: session.db,
            now: shard.read_time(self.now),
            shared,
            rng: Cell::new(Rng::new(self.rng.next_u64())),
            hits: Cell::default(),
            misses: Cell::default(),
            touch: session.touch(),
        };
        let start = out.len();
        let result = shard.execute_read(spec, &context, args, &mut out.reply(session.protocol));
        let nanos = started.elapsed().as_nanos() as u64;
        self.tally.hits += context.hits.get();
        self.tally.misses += context.misses.get();
        self.tally.lease_reads += 1;
        self.tally.add(&shard.counters, spec, nanos, matches!(result, Ok(false)));
        shard.counters.slowlog.observe(spec, nanos, args, || session.client.mailbox.origin());
        let missed = context.misses.get() > 0;
        match result {
            Ok(true) if missed && shard.has_due_keys(store, self.now) => {
                // The read met a key whose time has come: it is removed before the next command.
                self.release();
                let shard = Arc::clone(shard);
                return Outcome::Wait(Box::pin(async move {
                    shard.sweep_due().await;
                    Vec::new()
                }));
            }
            Ok(true) => {}
            Ok(false) => {
                shard.counters.errors.count_reply(out.since(start));
            }
            Err(error) => {
                tracing::error!(%error, command = spec.name, "a read failed");
                out.truncate(start);
                self.refuse(session, &CommandError::Text(format!("ERR {error}")), out);
            }
        }
        Outcome::Done
    }

    pub(super) fn refuse(&self, session: &Session, error: &CommandError, out: &mut ReplyBuffer) {
        let text = error.to_string();
        self.server.counters.errors.count(&text);
        out.reply(session.protocol).error(&text);
    }

    /// Lets go of the store's lock.
    pub(super) fn release(&mut self) {
        self.store = None;
    }

    /// Ends the batch: locks are released and counters added up.
    pub fn finish(mut self) {
        self.release();
        self.tally.flush(&self.server.counters);
    }
}

/// A command of the server's own that is being timed.
pub(super) struct Timed<'a> {
    pub(super) spec: &'static CommandSpec,
    pub(super) started: std::time::Instant,
    pub(super) server: &'a Arc<Server>,
    pub(super) client: &'a Arc<Client>,
}

impl Timed<'_> {
    /// The command is over.
    pub(super) fn over(&self, args: &[&[u8]], failed: bool) {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let counters = &self.server.counters;
        counters.of_request(self.spec, args).record(nanos, failed, counters.tracks_latency());
        counters.slowlog.observe(self.spec, nanos, args, || self.client.mailbox.origin());
    }

    /// The command is over when the future is.
    pub(super) fn until_the_end(self, args: &[&[u8]], pending: Pending) -> Outcome {
        let (spec, started) = (self.spec, self.started);
        let (server, client) = (Arc::clone(self.server), Arc::clone(self.client));
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        Outcome::Wait(Box::pin(async move {
            let reply = pending.await;
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            Timed { spec, started, server: &server, client: &client }.over(&args, reply.starts_with(b"-"));
            reply
        }))
    }
}

/// The answer to anything a client may not do before AUTH.
pub const NO_AUTH: CommandError = CommandError::Static("NOAUTH Authentication required.");

/// This node cannot read a shard now.
pub const CANNOT_SERVE_TEXT: &str = "CLUSTERDOWN this node cannot serve the shard now";

pub(super) fn full(runs: &Runs) -> Outcome {
    if runs.bytes() >= RUN_TARGET_BYTES
        || runs.len() >= crate::limits::COMMANDS_PER_TURN_MAX
        || runs.held_bytes() >= OUTPUT_TURN_BYTES
    {
        Outcome::Submit
    } else {
        Outcome::Done
    }
}

/// Drops what CLIENT REPLY OFF and SKIP do not let through.
fn suppress(session: &mut Session, args: &[&[u8]], start: usize, out: &mut ReplyBuffer, outcome: &Outcome) {
    let is_client_reply = args[0].eq_ignore_ascii_case(b"client")
        && args.get(1).is_some_and(|subcommand| subcommand.eq_ignore_ascii_case(b"reply"));
    if is_client_reply {
        // It answers by its own rules.
        return;
    }
    out.truncate(start);
    if session.reply_mode == ReplyMode::SkipNext && matches!(outcome, Outcome::Done) {
        session.reply_mode = ReplyMode::On;
    }
}

/// Whether the replies of a run or a pending command are to be dropped, and what follows from it.
pub fn drops_replies(session: &mut Session) -> bool {
    match session.reply_mode {
        ReplyMode::On => false,
        ReplyMode::Off => true,
        ReplyMode::SkipNext => {
            session.reply_mode = ReplyMode::On;
            true
        }
    }
}

/// Text of an argument for error messages.
pub fn lossy(arg: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(arg)
}

/// The databases are numbered from 0; `None` for anything else.
pub fn database(number: i64, databases: u16) -> Option<Db> {
    u16::try_from(number).ok().filter(|&number| number < databases).map(Db)
}
