//! Decides where each command of a connection is executed.
//!
//! Reads run at once under the shard's read lock, unless a write of the same connection is waiting
//! in the run: then they join the run, so that they see it. Writes join the run. Everything
//! else waits for the run and is executed by [`super::commands`].

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
use super::session::{ReplyMode, Session};
use crate::command::table::{arity_error, unknown_command, unknown_subcommand};
use crate::command::{CommandError, CommandSpec, Flags, Handler, ReadContext, Shared, find, find_subcommand};
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::resp::ReplyBuffer;
use crate::shard::stats::Tally;
use crate::shard::{Run, answers_value, clock};
use crate::storage::Address;
use crate::storage::store::Store;
use crate::types::rng::Rng;
use crate::types::{Db, UnixMs};

/// Bytes of commands at which a run is submitted although more could join.
const RUN_TARGET_BYTES: usize = 256 * 1024;

/// Replies that are still to come.
pub type Pending = Pin<Box<dyn Future<Output = Vec<u8>> + Send>>;

/// What became of a command.
pub enum Outcome {
    /// It is executed, or it is in the run.
    Done,
    /// It is in the run, and the run is to be submitted now.
    Submit,
    /// It must wait for the run, which is to be submitted first; then it is to be dispatched again.
    AfterRun,
    /// Clients are paused: it is to be dispatched again when they are not.
    Paused,
    /// It is under way.
    Wait(Pending),
}

/// Everything a batch of commands of one connection needs. Lives between two awaits.
pub struct Batch<'s> {
    server: &'s Arc<Server>,
    shared: Option<Arc<Shared>>,
    store: Option<RwLockReadGuard<'s, Store>>,
    now: UnixMs,
    rng: Rng,
    tally: Tally,
}

/// Whether a request that is no command is a line of HTTP. A web page can make a browser send such lines to a port of
/// its machine, with commands in the body; as in Redis, the connection ends before they are read.
#[cold]
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

impl<'s> Batch<'s> {
    /// Starts a batch.
    pub fn new(server: &'s Arc<Server>, now: UnixMs) -> Self {
        let rng = Rng::new(server.shard.stats.next_read_seed());
        Self { server, shared: None, store: None, now, rng, tally: Tally::default() }
    }

    /// If the requests begin with a read, reads the memory of their keys into the caches.
    pub fn prefetch<'k>(&mut self, db: Db, name: Option<&[u8]>, keys: impl Iterator<Item = &'k [u8]>) {
        let reads = name.and_then(find).is_some_and(|spec| matches!(spec.handler, Handler::Read(_)));
        if !reads {
            return;
        }
        self.lock();
        if let Some(store) = &self.store {
            let keys: SmallVec<[Address<'_>; LOOK_AHEAD_COMMANDS_MAX]> =
                keys.map(|key| Address::new(db, key)).collect();
            store.prefetch(&keys);
        }
    }

    /// Takes the store's lock, if this node may serve reads.
    #[inline]
    fn lock(&mut self) {
        if self.store.is_none() {
            self.store = self.server.shard.read();
            self.shared = Some(self.server.shard.shared());
        }
    }

    /// Dispatches one request; replies, if there are any yet, go to `out`.
    pub fn dispatch(&mut self, session: &mut Session, run: &mut Run, args: &[&[u8]], out: &mut ReplyBuffer) -> Outcome {
        let start = out.len();
        let outcome = match self.checked(session, args) {
            Ok(spec) => self.route(session, run, spec, args, out),
            Err(_) if !run.is_empty() => return Outcome::AfterRun,
            Err(_) if is_http(args[0]) => {
                let client = &session.client;
                tracing::warn!(address = %client.peer, "closing a connection that speaks HTTP: somebody may be using a browser to reach this server");
                session.closing = true;
                Outcome::Done
            }
            Err(error) => {
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
    fn note_rejection(&self, args: &[&[u8]]) {
        let Some(spec) = find(args[0]) else { return };
        if spec.subcommands.is_empty() || args.len() < 2 || find_subcommand(spec, args[1]).is_some() {
            self.server.shard.stats.of_request(spec, args).rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that a command begins, where others can see it.
    #[inline]
    fn begin(&self, session: &Session, spec: &'static CommandSpec, args: &[&[u8]]) {
        session.client.note_command(spec);
        if self.server.monitors.any() {
            self.server.monitors.show(&session.client, session.db, spec, args);
        }
    }

    fn route(
        &mut self,
        session: &mut Session,
        run: &mut Run,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        if self.server.pause_concerns(spec) {
            return if run.is_empty() { Outcome::Paused } else { Outcome::AfterRun };
        }
        match spec.handler {
            Handler::Read(_) if run.is_empty() => {
                self.begin(session, spec, args);
                self.read(session, spec, args, out)
            }
            Handler::Read(_) if run.reads() >= session.run_reads_max => Outcome::AfterRun,
            Handler::Read(_) => {
                self.begin(session, spec, args);
                run.push_read(spec, session.db, args);
                full(run)
            }
            Handler::Write(_) => {
                if let Some(error) = self.server.write_refusal(spec) {
                    if !run.is_empty() {
                        return Outcome::AfterRun;
                    }
                    self.server.shard.stats.of(spec).rejected.fetch_add(1, Ordering::Relaxed);
                    self.refuse(session, &error, out);
                    return Outcome::Done;
                }
                if run.reads() >= session.run_reads_max && answers_value(spec, args.len()) {
                    return Outcome::AfterRun;
                }
                if self.server.spans_engines(spec, session.db, args) {
                    return if run.is_empty() { self.across(session, spec, args) } else { Outcome::AfterRun };
                }
                self.begin(session, spec, args);
                self.release();
                run.push_write(spec, session.db, args);
                full(run)
            }
            Handler::Server(_) if !run.is_empty() => Outcome::AfterRun,
            Handler::Server(command) => {
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
        }
    }

    /// A command that reads one engine and changes another.
    fn across(&mut self, session: &Session, spec: &'static CommandSpec, args: &[&[u8]]) -> Outcome {
        self.begin(session, spec, args);
        self.release();
        let timed = Timed { spec, started: clock::instant(), server: self.server, client: &session.client };
        let shard = Arc::clone(&self.server.shard);
        let owned: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        let (db, protocol) = (session.db, session.protocol);
        let pending = Box::pin(async move {
            let reply = shard.execute_across_engines(spec, db, owned, protocol).await;
            if reply.starts_with(b"-") {
                shard.stats.errors.count_reply(&reply);
            }
            reply
        });
        timed.until_the_end(args, pending)
    }

    #[inline]
    fn read(
        &mut self,
        session: &Session,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut ReplyBuffer,
    ) -> Outcome {
        let shard = &self.server.shard;
        self.lock();
        let (Some(store), Some(shared)) = (self.store.as_deref(), self.shared.as_deref()) else {
            self.refuse(session, &CommandError::Static("CLUSTERDOWN this node cannot serve the shard now"), out);
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
        self.tally.add(&shard.stats, spec, nanos, matches!(result, Ok(false)));
        shard.slowlog.observe(spec, nanos, args, || session.client.mailbox.origin());
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
                shard.stats.errors.count_reply(out.since(start));
            }
            Err(error) => {
                tracing::error!(%error, command = spec.name, "a read failed");
                out.truncate(start);
                self.refuse(session, &CommandError::Text(format!("ERR {error}")), out);
            }
        }
        Outcome::Done
    }

    fn refuse(&self, session: &Session, error: &CommandError, out: &mut ReplyBuffer) {
        let text = error.to_string();
        self.server.shard.stats.errors.count(&text);
        out.reply(session.protocol).error(&text);
    }

    /// Lets go of the store's lock.
    fn release(&mut self) {
        self.store = None;
    }

    /// Ends the batch: locks are released and counters added up.
    pub fn finish(mut self) {
        self.release();
        self.tally.flush(&self.server.shard.stats);
    }
}

/// A command of the server's own that is being timed.
struct Timed<'a> {
    spec: &'static CommandSpec,
    started: std::time::Instant,
    server: &'a Arc<Server>,
    client: &'a Arc<Client>,
}

impl Timed<'_> {
    /// The command is over.
    fn over(&self, args: &[&[u8]], failed: bool) {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let shard = &self.server.shard;
        shard.stats.of_request(self.spec, args).record(nanos, failed, shard.stats.tracks_latency());
        shard.slowlog.observe(self.spec, nanos, args, || self.client.mailbox.origin());
    }

    /// The command is over when the future is.
    fn until_the_end(self, args: &[&[u8]], pending: Pending) -> Outcome {
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

fn full(run: &Run) -> Outcome {
    if run.bytes() >= RUN_TARGET_BYTES || run.len() >= crate::limits::COMMANDS_PER_TURN_MAX {
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
