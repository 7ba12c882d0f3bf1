//! Reads that ask several shards, wherever these are.
//!
//! Every shard is read at a moment of its own: such a read sees no moment of the whole, as in Redis Cluster.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Server;
use super::cluster::forward;
use super::dispatch::CANNOT_SERVE_TEXT;
use super::merge::{Merge, Part, header, merge, next};
use super::router::{Router, Split, Target};
use crate::command::{CommandSpec, shard_walk};
use crate::resp::Reply;
use crate::shard::{Executed, Mailbox, Manner, Run};
use crate::types::number::{parse_i64, parse_u64};
use crate::types::rng::Rng;
use crate::types::{Db, Slot};

/// Keys of a step of SCAN when the client does not say.
const SCAN_COUNT_DEFAULT: i64 = 10;

/// A command's arguments, kept.
type Owned = Vec<Vec<u8>>;

/// A read of several shards that is under way.
pub(super) struct Whole {
    pub(super) server: Arc<Server>,
    pub(super) router: Arc<Router>,
    /// The shards that are read, by position: all, or those that this node leads.
    pub(super) positions: Vec<usize>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) spec: &'static CommandSpec,
    pub(super) args: Owned,
    pub(super) db: Db,
    pub(super) manner: Manner,
}

/// A command that was divided over shards, kept.
pub(super) struct Parts {
    parts: Vec<(usize, Owned)>,
    routes: Vec<u16>,
    how: Merge,
}

impl Parts {
    pub(super) fn of(split: &Split<'_>) -> Self {
        let own = |args: &[&[u8]]| args.iter().map(|arg| arg.to_vec()).collect();
        Self {
            parts: split.parts.iter().map(|(position, args)| (*position, own(args))).collect(),
            routes: split.routes.to_vec(),
            how: split.how,
        }
    }
}

/// Executes a run wherever its shard is; what went wrong is its reply.
pub(super) async fn execute_run(
    server: &Server,
    target: &Target,
    run: &mut Run,
    mailbox: &Arc<Mailbox>,
    manner: Manner,
) -> Vec<u8> {
    if let Some(cluster) = server.cluster.as_deref() {
        return forward::execute(cluster, target, run, mailbox, manner).await.replies.to_vec();
    }
    let executed = match target.local() {
        Some(shard) => shard.execute(run, mailbox, manner).await,
        None => Executed::Refused(CANNOT_SERVE_TEXT),
    };
    match executed {
        Executed::Done(replies, _) => replies.to_vec(),
        Executed::NotLeader(_) => format!("-{CANNOT_SERVE_TEXT}\r\n").into_bytes(),
        Executed::Refused(text) => format!("-{text}\r\n").into_bytes(),
    }
}

fn borrowed(args: &Owned) -> SmallVec<[&[u8]; 8]> {
    args.iter().map(Vec::as_slice).collect()
}

impl Whole {
    /// Reads one shard; an error is its reply.
    async fn part(&self, position: usize, args: &[&[u8]]) -> Vec<u8> {
        let mut run = Run::default();
        run.push_read(self.spec, self.db, args);
        let target = self.router.target(position);
        // Parts are not counted: the whole is.
        let manner = Manner { count: false, ..self.manner };
        execute_run(&self.server, target, &mut run, &self.mailbox, manner).await
    }

    /// A read that is divided over shards, all at the same time.
    pub(super) async fn split(self, parts: Parts) -> Vec<u8> {
        let reading =
            parts.parts.iter().filter(|(position, _)| self.positions.contains(position)).map(|(position, args)| {
                let whole = &self;
                async move { (*position as u16, whole.part(*position, &borrowed(args)).await) }
            });
        let replies = futures_util::future::join_all(reading).await;
        let parts_read: SmallVec<[Part<'_>; 8]> =
            replies.iter().map(|(position, reply)| (*position, reply.as_slice())).collect();
        let mut out = Vec::new();
        merge(parts.how, &parts.routes, &parts_read, self.manner.protocol, &mut out);
        out
    }

    /// `SCAN`: shard after shard, until there are about as many keys as were asked for.
    pub(super) async fn walk(self) -> Vec<u8> {
        let whole_args = borrowed(&self.args);
        let cursor = parse_u64(whole_args[1]);
        // What is no number the first shard refuses; what is no cursor of ours is at the end.
        let slot = cursor.map_or(Some(Slot(0)), shard_walk::slot_of);
        let start = slot.map_or(0, |slot| self.router.position_of(slot));
        // From the beginning, or from the shard that the cursor names: later ones have larger positions.
        let Some(mut index) = self.positions.iter().position(|&position| position >= start) else {
            return empty_walk();
        };
        let count_at = whole_args.iter().skip(2).step_by(2).position(|arg| arg.eq_ignore_ascii_case(b"count"));
        let count_at = count_at.map(|pair| 2 + 2 * pair + 1).filter(|&index| index < whole_args.len());
        let asked = count_at.map_or(Some(SCAN_COUNT_DEFAULT), |index| parse_i64(whole_args[index]));
        let (mut found, mut keys) = (0, Vec::new());
        let mut at = if self.positions[index] == start {
            cursor
        } else {
            Some(shard_walk::beginning_at(self.router.extent(self.positions[index]).0))
        };
        let next_cursor = loop {
            let position = self.positions[index];
            let (first, _) = self.router.extent(position);
            // What may be wrong with the arguments is left for the shard to say.
            let cursor_text = at.map(|cursor| shard_walk::enter(cursor, first).to_string());
            let left = asked.filter(|&asked| asked > 0).map(|asked| asked.saturating_sub(found).max(1).to_string());
            let mut args: SmallVec<[&[u8]; 8]> = borrowed(&self.args);
            if let Some(text) = &cursor_text {
                args[1] = text.as_bytes();
            }
            if let (Some(index), Some(text)) = (count_at, &left) {
                args[index] = text.as_bytes();
            }
            let reply = self.part(position, &args).await;
            if reply.starts_with(b"-") {
                return reply;
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
            index += 1;
            if slot.is_none() || index == self.positions.len() {
                break 0;
            }
            let beginning = shard_walk::beginning_at(self.router.extent(self.positions[index]).0);
            if asked.is_some_and(|asked| found >= asked) {
                break beginning;
            }
            at = Some(beginning);
        };
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.manner.protocol);
        reply.array(2);
        reply.bulk_display(next_cursor);
        reply.array(usize::try_from(found).unwrap_or(usize::MAX));
        reply.raw(&keys);
        out
    }

    /// `RANDOMKEY`: a shard is chosen by its share of the keys, then one of its keys.
    pub(super) async fn chance(self) -> Vec<u8> {
        let counting =
            self.positions.iter().map(|&position| self.server.keys_of_shard(&self.router, position, self.db));
        let counts: Vec<u64> = futures_util::future::join_all(counting)
            .await
            .into_iter()
            .map(|keys| keys.unwrap_or_default().keys)
            .collect();
        let total: u64 = counts.iter().sum();
        let mut rng = Rng::new(self.server.counters.next_read_seed());
        let mut chosen = if total == 0 { 0 } else { rng.below(total) };
        let first = counts.iter().position(|&count| {
            let here = chosen < count;
            chosen = chosen.saturating_sub(count);
            here
        });
        // If all keys of the chosen shard have expired, another may have some left.
        let mut reply = Vec::new();
        let args = borrowed(&self.args);
        for step in 0..self.positions.len() {
            let index = (first.unwrap_or(0) + step) % self.positions.len();
            if step > 0 && counts[index] == 0 {
                continue;
            }
            reply = self.part(self.positions[index], &args).await;
            if !reply.starts_with(b"_") && !reply.starts_with(b"$-") {
                break;
            }
        }
        if reply.is_empty() {
            Reply::new(&mut reply, self.manner.protocol).null();
        }
        reply
    }
}

fn empty_walk() -> Vec<u8> {
    b"*2\r\n$1\r\n0\r\n*0\r\n".to_vec()
}
