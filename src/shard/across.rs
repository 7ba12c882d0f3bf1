//! Commands that read one engine and change another.
//!
//! The engines of a shard become durable each at its own pace: after a crash the files of one may
//! hold log entries that another still has to replay. A command in the log must therefore not read
//! one engine to decide what to write to another. RENAME, COPY, MOVE and MSETNX across engines are
//! such commands; they take this road instead: with nothing under way, the leader works out
//! their effects, and the effects (whole values and removals) are what goes into the log. Nothing
//! can come between: an entry of this leader follows exactly the entries that the effects were
//! computed from, or it is never committed.

use std::sync::atomic::Ordering;

use super::batch::Encoder;
use super::proposer::DISK_FULL;
use super::queue::Pause;
use super::{Shard, clock};
use crate::command::error::NO_SUCH_KEY;
use crate::command::{CommandError, CommandSpec, CopyOptions, Handler, keys_of, move_destination};
use crate::resp::{Protocol, Reply};
use crate::storage::store::Store;
use crate::storage::{Address, KeyspaceRules, StorageResult};
use crate::types::{Db, UnixMs};

/// What is to be written.
enum Effect {
    Put { db: Db, key: Vec<u8>, expires_at: Option<UnixMs>, object: Vec<u8> },
    Remove { db: Db, key: Vec<u8> },
}

/// The answer and what is to be written before it is given.
struct Plan {
    effects: Vec<Effect>,
    answer: Answer,
}

enum Answer {
    Ok,
    Integer(i64),
    Refusal(CommandError),
}

impl Plan {
    fn nothing(answer: Answer) -> Self {
        Self { effects: Vec::new(), answer }
    }
}

/// Whether a command reads one engine and changes another. `databases` is how many there are.
pub fn spans_engines(rules: &KeyspaceRules, databases: u16, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> bool {
    if !matches!(spec.name, "RENAME" | "RENAMENX" | "COPY" | "MOVE" | "MSETNX") {
        return false;
    }
    let Ok(keys) = keys_of(spec, args) else { return false };
    let mut engines = keys.iter().map(|&(index, _)| rules.engine_for(db, args[index]));
    let Some(first) = engines.next() else { return false };
    // What the arguments do not name rightly, the handler refuses.
    let destination = match spec.name {
        "COPY" => CopyOptions::parse(db, databases, args).ok().map(|options| options.db),
        "MOVE" => move_destination(db, databases, args).ok(),
        _ => return engines.any(|engine| engine != first),
    };
    destination.is_some_and(|other| rules.engine_for(other, args[keys[keys.len() - 1].0]) != first)
}

impl Shard {
    /// Whether a command reads one engine and changes another.
    pub fn spans_engines(&self, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> bool {
        spans_engines(self.rules(), self.shared().databases, spec, db, args)
    }

    /// Executes such a command and returns its reply.
    pub async fn execute_across_engines(
        &self,
        spec: &'static CommandSpec,
        db: Db,
        args: Vec<Vec<u8>>,
        protocol: Protocol,
    ) -> Vec<u8> {
        let mut reply = Vec::new();
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        let pause = self.queue.pause(|| self.is_full() || self.stopped.load(Ordering::Relaxed)).await;
        let mut out = Reply::new(&mut reply, protocol);
        let Some(pause) = pause else {
            let stopped = self.stopped.load(Ordering::Relaxed);
            out.error(if stopped { "ERR the shard has stopped; the command was not executed" } else { DISK_FULL });
            return reply;
        };
        let plan = self.plan(spec, db, &args);
        match plan {
            Err(error) => out.error(&format!("ERR {error}")),
            Ok(Plan { effects, answer }) => {
                if !effects.is_empty() && !self.write_effects(effects, pause).await {
                    out.error("ERR outcome unknown: leadership was lost while the command was in flight");
                    return reply;
                }
                match answer {
                    Answer::Ok => out.ok(),
                    Answer::Integer(number) => out.integer(number),
                    Answer::Refusal(error) => out.error(&error.to_string()),
                }
            }
        }
        reply
    }

    async fn write_effects(&self, effects: Vec<Effect>, pause: Pause<'_>) -> bool {
        let written = self.submit_and_wait(|encoder| encode(&effects, encoder));
        // The effects are in the queue before anything that comes after the pause.
        let mut written = std::pin::pin!(written);
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(written.as_mut().poll(cx))).await;
        drop(pause);
        match first {
            std::task::Poll::Ready(applied) => applied,
            std::task::Poll::Pending => written.await,
        }
    }

    fn plan(&self, spec: &CommandSpec, db: Db, args: &[&[u8]]) -> StorageResult<Plan> {
        let store = self.store.read();
        let now = self.read_time(clock::now());
        debug_assert!(matches!(spec.handler, Handler::Write(_)));
        match spec.name {
            "RENAME" => rename(&store, now, db, args, false),
            "RENAMENX" => rename(&store, now, db, args, true),
            "COPY" => copy(&store, now, db, self.shared().databases, args),
            "MOVE" => move_key(&store, now, db, self.shared().databases, args),
            "MSETNX" => set_all_if_none(&store, now, db, args),
            _ => {
                Ok(Plan::nothing(Answer::Refusal(CommandError::Static("ERR this command cannot work across engines"))))
            }
        }
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

fn exists(store: &Store, now: UnixMs, db: Db, key: &[u8]) -> StorageResult<bool> {
    Ok(store.engine(db, key).meta(Address::new(db, key), now)?.is_some())
}

fn put(store: &Store, now: UnixMs, from: (Db, &[u8]), to: (Db, &[u8])) -> StorageResult<Option<Effect>> {
    let found = store.engine(from.0, from.1).object(Address::new(from.0, from.1), now)?;
    Ok(found.map(|(object, expires_at)| {
        let mut bytes = Vec::new();
        object.encode(&mut bytes);
        Effect::Put { db: to.0, key: to.1.to_vec(), expires_at, object: bytes }
    }))
}

fn rename(store: &Store, now: UnixMs, db: Db, args: &[&[u8]], only_new: bool) -> StorageResult<Plan> {
    let (source, destination) = (args[1], args[2]);
    let Some(put) = put(store, now, (db, source), (db, destination))? else {
        return Ok(Plan::nothing(Answer::Refusal(NO_SUCH_KEY)));
    };
    if only_new && exists(store, now, db, destination)? {
        return Ok(Plan::nothing(Answer::Integer(0)));
    }
    let effects = vec![put, Effect::Remove { db, key: source.to_vec() }];
    Ok(Plan { effects, answer: if only_new { Answer::Integer(1) } else { Answer::Ok } })
}

fn copy(store: &Store, now: UnixMs, db: Db, databases: u16, args: &[&[u8]]) -> StorageResult<Plan> {
    let CopyOptions { db: target, replace } = match CopyOptions::parse(db, databases, args) {
        Ok(options) => options,
        Err(error) => return Ok(Plan::nothing(Answer::Refusal(error))),
    };
    let Some(put) = put(store, now, (db, args[1]), (target, args[2]))? else {
        return Ok(Plan::nothing(Answer::Integer(0)));
    };
    if !replace && exists(store, now, target, args[2])? {
        return Ok(Plan::nothing(Answer::Integer(0)));
    }
    Ok(Plan { effects: vec![put], answer: Answer::Integer(1) })
}

fn move_key(store: &Store, now: UnixMs, db: Db, databases: u16, args: &[&[u8]]) -> StorageResult<Plan> {
    let target = match move_destination(db, databases, args) {
        Ok(target) => target,
        Err(error) => return Ok(Plan::nothing(Answer::Refusal(error))),
    };
    let put = put(store, now, (db, args[1]), (target, args[1]))?;
    let (Some(put), false) = (put, exists(store, now, target, args[1])?) else {
        return Ok(Plan::nothing(Answer::Integer(0)));
    };
    let effects = vec![put, Effect::Remove { db, key: args[1].to_vec() }];
    Ok(Plan { effects, answer: Answer::Integer(1) })
}

fn set_all_if_none(store: &Store, now: UnixMs, db: Db, args: &[&[u8]]) -> StorageResult<Plan> {
    if args.len().is_multiple_of(2) {
        return Ok(Plan::nothing(Answer::Refusal(CommandError::Static(
            "ERR wrong number of arguments for 'msetnx' command",
        ))));
    }
    let pairs = args[1..].chunks_exact(2);
    for pair in pairs.clone() {
        if exists(store, now, db, pair[0])? {
            return Ok(Plan::nothing(Answer::Integer(0)));
        }
    }
    let effects = pairs
        .map(|pair| {
            let mut object = Vec::new();
            crate::storage::Object::String(pair[1].to_vec()).encode(&mut object);
            Effect::Put { db, key: pair[0].to_vec(), expires_at: None, object }
        })
        .collect();
    Ok(Plan { effects, answer: Answer::Integer(1) })
}
