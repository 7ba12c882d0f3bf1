//! Reads that ask several shards, one after the other, on the connection's own task.
//!
//! Every shard is read at a moment of its own: such a read sees no moment of the whole, as in Redis Cluster.

use std::cell::Cell;
use std::sync::Arc;

use smallvec::SmallVec;

use super::dispatch::{Batch, CANNOT_SERVE, Outcome};
use super::merge::{Part, header, merge, next};
use super::router::Split;
use super::session::Session;
use crate::command::{CommandError, CommandSpec, ReadContext, shard_walk};
use crate::resp::{Protocol, Reply};
use crate::shard::{Shard, clock};
use crate::types::Db;
use crate::types::number::{parse_i64, parse_u64};
use crate::types::rng::Rng;

/// Keys of a step of SCAN when the client does not say.
const SCAN_COUNT_DEFAULT: i64 = 10;

/// A read of several shards that is under way.
pub(super) struct Whole<'a> {
    spec: &'static CommandSpec,
    args: &'a [&'a [u8]],
    db: Db,
    protocol: Protocol,
    touch: bool,
    out: &'a mut Vec<u8>,
    /// Shards on which keys were met whose time has come.
    due: Vec<Arc<Shard>>,
}

type Result<T> = std::result::Result<T, CommandError>;

impl Batch<'_> {
    /// Executes a read of several shards and accounts for it as for one.
    pub(super) fn whole(
        &mut self,
        session: &Session,
        spec: &'static CommandSpec,
        args: &[&[u8]],
        out: &mut Vec<u8>,
        read: impl FnOnce(&mut Self, &mut Whole<'_>) -> Result<()>,
    ) -> Outcome {
        let (started, start) = (clock::instant(), out.len());
        let (protocol, touch) = (session.protocol, session.touch());
        let mut whole = Whole { spec, args, db: session.db, protocol, touch, out, due: Vec::new() };
        let result = read(self, &mut whole);
        let due = whole.due;
        let counters = &self.server.counters;
        match &result {
            Ok(()) if out[start..].starts_with(b"-") => counters.errors.count_reply(&out[start..]),
            Ok(()) => {}
            Err(error) => {
                out.truncate(start);
                self.refuse(session, error, out);
            }
        }
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.tally.add(counters, spec, nanos, out[start..].starts_with(b"-"));
        counters.slowlog.observe(spec, nanos, args, || session.client.mailbox.origin());
        if due.is_empty() {
            return Outcome::Done;
        }
        // Keys whose time has come are removed before the next command.
        self.release();
        Outcome::Wait(Box::pin(async move {
            for shard in due {
                shard.sweep_due().await;
            }
            Vec::new()
        }))
    }

    /// Reads one shard; an error of the command is its reply.
    fn read_part(&mut self, whole: &mut Whole<'_>, position: usize, args: &[&[u8]]) -> Result<Vec<u8>> {
        let shard = self.router.target(position).local();
        self.lock(position);
        let (Some((_, store)), Some(shared)) = (self.store.as_ref(), self.shared.as_deref()) else {
            return Err(CANNOT_SERVE);
        };
        let context = ReadContext {
            store,
            db: whole.db,
            now: shard.read_time(self.now),
            shared,
            rng: Cell::new(Rng::new(self.rng.next_u64())),
            hits: Cell::default(),
            misses: Cell::default(),
            touch: whole.touch,
        };
        let mut reply = Vec::new();
        shard.execute_read(whole.spec, &context, args, &mut Reply::new(&mut reply, whole.protocol)).map_err(
            |error| {
                tracing::error!(%error, command = whole.spec.name, "a read failed");
                CommandError::Text(format!("ERR {error}"))
            },
        )?;
        self.tally.hits += context.hits.get();
        self.tally.misses += context.misses.get();
        if context.misses.get() > 0 && shard.has_due_keys(store, self.now) {
            whole.due.push(Arc::clone(shard));
        }
        Ok(reply)
    }

    /// A read that is divided over shards.
    pub(super) fn read_split(&mut self, whole: &mut Whole<'_>, split: &Split<'_>) -> Result<()> {
        let mut replies: SmallVec<[(u16, Vec<u8>); 8]> = SmallVec::new();
        for (position, args) in &split.parts {
            replies.push((*position as u16, self.read_part(whole, *position, args)?));
        }
        let parts: SmallVec<[Part<'_>; 8]> =
            replies.iter().map(|(position, reply)| (*position, reply.as_slice())).collect();
        merge(split.how, &split.routes, &parts, whole.protocol, whole.out);
        Ok(())
    }

    /// `SCAN`: shard after shard, until there are about as many keys as were asked for.
    pub(super) fn walk(&mut self, whole: &mut Whole<'_>) -> Result<()> {
        let cursor = parse_u64(whole.args[1]);
        // What is no number the first shard refuses; what is no cursor of ours is at the end.
        let slot = cursor.map_or(Some(crate::types::Slot(0)), shard_walk::slot_of);
        let mut position = slot.map_or(0, |slot| self.router.position_of(slot));
        let count_at = whole.args.iter().skip(2).step_by(2).position(|arg| arg.eq_ignore_ascii_case(b"count"));
        let count_at = count_at.map(|pair| 2 + 2 * pair + 1).filter(|&index| index < whole.args.len());
        let asked = count_at.map_or(Some(SCAN_COUNT_DEFAULT), |index| parse_i64(whole.args[index]));
        let (mut found, mut keys) = (0, Vec::new());
        let mut at = cursor;
        let next_cursor = loop {
            let (first, _) = self.router.extent(position);
            // What may be wrong with the arguments is left for the shard to say.
            let cursor_text = at.map(|cursor| shard_walk::enter(cursor, first).to_string());
            let left = asked.filter(|&asked| asked > 0).map(|asked| asked.saturating_sub(found).max(1).to_string());
            let mut args: SmallVec<[&[u8]; 8]> = whole.args.iter().copied().collect();
            if let Some(text) = &cursor_text {
                args[1] = text.as_bytes();
            }
            if let (Some(index), Some(text)) = (count_at, &left) {
                args[index] = text.as_bytes();
            }
            let reply = self.read_part(whole, position, &args)?;
            if reply.starts_with(b"-") {
                whole.out.extend_from_slice(&reply);
                return Ok(());
            }
            let (cursor, (count, elements)) = {
                let mut rest = header(&reply).1;
                let cursor = header(next(&mut rest)).1;
                (parse_u64(cursor.trim_ascii_end()).unwrap_or(0), header(rest))
            };
            found += i64::try_from(count).unwrap_or(i64::MAX);
            keys.extend_from_slice(elements);
            if cursor != 0 {
                break shard_walk::leave(cursor, first);
            }
            position += 1;
            if slot.is_none() || position == self.router.len() {
                break 0;
            }
            let beginning = shard_walk::beginning_at(self.router.extent(position).0);
            if asked.is_some_and(|asked| found >= asked) {
                break beginning;
            }
            at = Some(beginning);
        };
        let mut reply = Reply::new(whole.out, whole.protocol);
        reply.array(2);
        reply.bulk_display(next_cursor);
        reply.array(usize::try_from(found).unwrap_or(usize::MAX));
        reply.raw(&keys);
        Ok(())
    }

    /// `RANDOMKEY`: a shard is chosen by its share of the keys, then one of its keys.
    pub(super) fn chance(&mut self, whole: &mut Whole<'_>) -> Result<()> {
        let mut counts = Vec::with_capacity(self.router.len());
        for position in 0..self.router.len() {
            self.lock(position);
            let (_, store) = self.store.as_ref().ok_or(CANNOT_SERVE)?;
            counts.push(store.len(whole.db));
        }
        let total: u64 = counts.iter().sum();
        let mut chosen = if total == 0 { 0 } else { self.rng.below(total) };
        let first = counts.iter().position(|&count| {
            let here = chosen < count;
            chosen = chosen.saturating_sub(count);
            here
        });
        // If all keys of the chosen shard have expired, another may have some left.
        let mut reply = Vec::new();
        for step in 0..self.router.len() {
            let position = (first.unwrap_or(0) + step) % self.router.len();
            if step > 0 && counts[position] == 0 {
                continue;
            }
            reply = self.read_part(whole, position, whole.args)?;
            if !reply.starts_with(b"_") && !reply.starts_with(b"$-") {
                break;
            }
        }
        whole.out.extend_from_slice(&reply);
        Ok(())
    }
}
