//! Commands that read one engine and change another.
//!
//! The engines of a shard become durable each at its own pace: after a crash the files of one may
//! hold log entries that another still has to replay. A command in the log must therefore not read
//! one engine to decide what to write to another. RENAME, COPY, SINTERSTORE and others do that when their keys are in
//! different engines; they take this road instead: with nothing under way, the leader rehearses them on a scratch
//! store, and the effects (whole values and removals) are what goes into the log. Nothing can come between: the entry
//! carries the leader's term as a fence ([`batch`](super::batch)).
//!
//! The scratch store has a hash engine only, and holds the keys that the commands look at. Which these are shows when
//! they run: a key that was asked for and is not there yet is loaded, and the rehearsal begins anew with the same
//! time and random numbers. So the command's own handler makes the reply, whatever the command is, and keys that
//! its arguments do not name (`SORT … BY`) are found as well.
//!
//! Values are copied whole: this road costs what the values of all keys concerned take, in time, memory and log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use super::batch::Encoder;
use super::proposer::{DISK_FULL, clock_seed};
use super::queue::Pause;
use super::run::Step;
use super::{Shard, WatchId, apply, clock};
use crate::command::{CommandSpec, CopyOptions, Handler, ReadContext, WriteContext, keys_of, move_destination};
use crate::resp::{Protocol, Reply};
use crate::storage::store::Store;
use crate::storage::{Address, Engine, KeyspaceRules, Object, StorageResult};
use crate::types::rng::Rng;
use crate::types::{Db, UnixMs};

/// How often a rehearsal begins anew because a command asked for more keys. Each time the keys are found by the
/// contents of others; no command goes further than from a key to another by its contents and on to a third.
const REHEARSALS_MAX: usize = 16;

/// What is to be written.
enum Effect {
    Put { db: Db, key: Vec<u8>, expires_at: Option<UnixMs>, object: Vec<u8> },
    Remove { db: Db, key: Vec<u8> },
}

/// A key of a database.
type Key = (Db, Vec<u8>);
/// A value and its expiry.
type Value = Option<(Object, Option<UnixMs>)>;

/// The answer, and what is to be written before it is given.
struct Plan {
    effects: Vec<Effect>,
    reply: Vec<u8>,
    dirty: u64,
}

/// Whether a command reads one engine and changes another. `databases` is how many there are.
pub fn spans_engines(rules: &KeyspaceRules, databases: u16, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> bool {
    // What these do to a key does not depend on any other.
    const KEY_BY_KEY: &[&str] = &["DEL", "MSET", "UNLINK"];
    if !matches!(spec.handler, Handler::Write(_)) || KEY_BY_KEY.contains(&spec.name) {
        return false;
    }
    let Ok(keys) = keys_of(spec, args) else { return false };
    let mut engines = keys.iter().map(|&(index, _)| rules.engine_for(db, args[index]));
    let Some(first) = engines.next() else { return false };
    // What the arguments do not name rightly, the handler refuses.
    let destination = match spec.name {
        "COPY" => CopyOptions::parse(db, databases, args).ok().map(|options| options.db),
        "MOVE" => move_destination(db, databases, args).ok(),
        // Its patterns may name any key.
        "SORT" if keys.len() > 1 && reads_by_pattern(args) => {
            return engines.any(|engine| engine != first) || rules.engines_of(db).any(|engine| engine != first);
        }
        _ => return engines.any(|engine| engine != first),
    };
    destination.is_some_and(|other| rules.engine_for(other, args[keys[keys.len() - 1].0]) != first)
}

fn reads_by_pattern(args: &[&[u8]]) -> bool {
    args.windows(2).skip(1).any(|pair| {
        (pair[0].eq_ignore_ascii_case(b"by") || pair[0].eq_ignore_ascii_case(b"get")) && pair[1].contains(&b'*')
    })
}

impl Shard {
    /// Whether a command reads one engine and changes another.
    pub fn spans_engines(&self, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> bool {
        spans_engines(self.rules(), self.shared().databases, spec, db, args)
    }

    /// Executes commands of which one reads one engine and changes another, and returns their reply. They are one
    /// command, or a transaction with its condition.
    pub(super) async fn execute_across_engines(
        &self,
        steps: &[Step],
        transaction: Option<Option<WatchId>>,
        protocol: Protocol,
    ) -> Vec<u8> {
        let mut reply = Vec::new();
        let pause = self.queue.pause(|| self.is_full() || self.stopped.load(Ordering::Relaxed)).await;
        let mut out = Reply::new(&mut reply, protocol);
        let Some(pause) = pause else {
            let stopped = self.stopped.load(Ordering::Relaxed);
            out.error(if stopped { "ERR the shard has stopped; the command was not executed" } else { DISK_FULL });
            return reply;
        };
        let term = self.leadership().borrow().term;
        if let Some(step) =
            steps.iter().find(|step| keys_of(step.spec, &step.borrowed()).is_ok_and(|keys| keys.is_empty()))
        {
            out.error(&format!(
                "EXECABORT Transaction discarded because of: {} concerns all keys, and another command of the \
                 transaction has keys in different storage engines",
                step.spec.name
            ));
            return reply;
        }
        let plan = {
            let store = self.store.read();
            let now = self.read_time(clock::now());
            if let Some(Some(watch)) = transaction
                && !self.watch_holds(watch, &store, now, term)
            {
                out.null_array();
                return reply;
            }
            self.rehearse(&store, now, steps, transaction.is_some(), protocol)
        };
        match plan {
            Err(error) => out.error(&format!("ERR {error}")),
            Ok(Plan { effects, reply: answer, dirty }) => {
                if !effects.is_empty() && !self.write_effects(effects, term, pause).await {
                    out.error("ERR outcome unknown: leadership was lost while the command was in flight");
                    return reply;
                }
                let reply = answer;
                self.stats.dirty.fetch_add(dirty, Ordering::Relaxed);
                return reply;
            }
        }
        reply
    }

    async fn write_effects(&self, effects: Vec<Effect>, term: u64, pause: Pause<'_>) -> bool {
        let written = self.submit_and_wait(Some(term), |encoder| encode(&effects, encoder));
        // The effects are in the queue before anything that comes after the pause.
        let mut written = std::pin::pin!(written);
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(written.as_mut().poll(cx))).await;
        drop(pause);
        match first {
            std::task::Poll::Ready(applied) => applied,
            std::task::Poll::Pending => written.await,
        }
    }

    fn rehearse(
        &self,
        store: &Store,
        now: UnixMs,
        steps: &[Step],
        is_transaction: bool,
        protocol: Protocol,
    ) -> StorageResult<Plan> {
        let mut known: BTreeSet<Key> = BTreeSet::new();
        for step in steps {
            let args = step.borrowed();
            let keys = keys_of(step.spec, &args).unwrap_or_default();
            known.extend(keys.iter().map(|&(index, _)| (step.db, args[index].to_vec())));
        }
        let seed = clock_seed(now, clock::entropy());
        for _ in 0..REHEARSALS_MAX {
            let mut before: BTreeMap<Key, Value> = BTreeMap::new();
            let mut scratch = Store::scratch(store.encoding());
            for (db, key) in &known {
                let at = Address::new(*db, key);
                let value = store.engine(*db, key).object(at, now)?;
                if let Some((object, expires_at)) = &value {
                    scratch.hash_engine_mut().put_object(at, object.clone(), *expires_at)?;
                }
                before.insert((*db, key.clone()), value);
            }
            let (reply, dirty) = self.run_steps(&mut scratch, now, seed, steps, is_transaction, protocol)?;
            let asked = scratch.take_asked();
            if !asked.is_subset(&known) {
                known.extend(asked);
                continue;
            }
            return Ok(Plan { effects: effects(&before, &scratch, now)?, reply, dirty });
        }
        let detail = "a command goes from key to key across engines for too long".to_owned();
        Err(crate::storage::StorageError::Corrupt { what: "command", detail })
    }

    pub(super) fn run_steps(
        &self,
        scratch: &mut Store,
        now: UnixMs,
        seed: u64,
        steps: &[Step],
        is_transaction: bool,
        protocol: Protocol,
    ) -> StorageResult<(Vec<u8>, u64)> {
        let shared = self.shared();
        let (mut bytes, mut dirty) = (Vec::new(), 0);
        let mut reply = Reply::new(&mut bytes, protocol);
        if is_transaction {
            reply.array(steps.len());
        }
        for (step, ordinal) in steps.iter().zip(1..) {
            let args = step.borrowed();
            let start = reply.len();
            let result = match step.spec.handler {
                Handler::Write(handler) => {
                    let mut rng = Rng::new(seed.wrapping_add(ordinal));
                    let mut context = WriteContext {
                        store: scratch,
                        db: step.db,
                        now,
                        shared: &shared,
                        first_argument: None,
                        rng: &mut rng,
                        only_changed: None,
                        dirty: 0,
                        hits: 0,
                        misses: 0,
                    };
                    let result = handler(&mut context, &args, &mut reply);
                    dirty += context.dirty;
                    result
                }
                Handler::Read(handler) => {
                    let context = ReadContext {
                        rng: std::cell::Cell::new(Rng::new(seed.wrapping_add(ordinal))),
                        ..self.read_context(scratch, &shared, step.db, now)
                    };
                    handler(&context, &args, &mut reply)
                }
                Handler::Server(_) => unreachable!("runs hold reads and writes"),
            };
            apply::conclude(result, &mut reply, start)?;
        }
        Ok((bytes, dirty))
    }
}

/// What makes the store of what it was before into what the scratch store is.
fn effects(before: &BTreeMap<Key, Value>, scratch: &Store, now: UnixMs) -> StorageResult<Vec<Effect>> {
    let mut effects = Vec::new();
    for ((db, key), before) in before {
        let after = scratch.hash_engine().object(Address::new(*db, key), now)?;
        if is_same(before, &after) {
            continue;
        }
        let (db, key) = (*db, key.clone());
        effects.push(match after {
            None => Effect::Remove { db, key },
            Some((object, expires_at)) => {
                let mut bytes = Vec::new();
                object.encode(&mut bytes);
                Effect::Put { db, key, expires_at, object: bytes }
            }
        });
    }
    Ok(effects)
}

/// Whether a value is what it was. The order of a set's members is the engine's own affair: a set of numbers that a
/// command only reads has another one in the scratch store than in a row engine.
fn is_same(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Some((Object::Set(before), before_expiry)), Some((Object::Set(after), after_expiry))) => {
            let sorted = |members: &[Vec<u8>]| {
                let mut members: Vec<_> = members.to_vec();
                members.sort_unstable();
                members
            };
            let is_same = before == after || (before.len() == after.len() && sorted(before) == sorted(after));
            before_expiry == after_expiry && is_same
        }
        (before, after) => before == after,
    }
}

fn encode(effects: &[Effect], encoder: &mut Encoder<'_>) {
    for effect in effects {
        match effect {
            Effect::Put { db, key, expires_at, object } => encoder.put(*db, key, *expires_at, object),
            Effect::Remove { db, key } => encoder.remove(*db, key),
        }
    }
}
