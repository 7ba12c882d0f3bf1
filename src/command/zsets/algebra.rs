//! Unions, intersections and differences of sorted sets, and of sets, whose members count as having the score 1.

use std::cell::Cell;

use hashbrown::HashMap;

use super::out::store;
use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::command::items::{Companion, Pairs};
use crate::command::portions::in_portions;
use crate::command::table;
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::sets::SetRead;
use crate::storage::store::Store;
use crate::storage::{Address, StorageError, StorageResult, ZsetRead};
use crate::types::number::{parse_f64, parse_i64};
use crate::types::{Db, UnixMs};

/// Its order differs between replicas, and is never seen: results are sorted.
type Scores = HashMap<Vec<u8>, f64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores of a member that several sets have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    /// As Redis does it: opposite infinities add up to 0.
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            Self::Sum => not_nan(score + other),
            Self::Min if other < score => other,
            Self::Max if other > score => other,
            Self::Min | Self::Max => score,
        }
    }
}

fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// A set that the command names.
struct Source<'k> {
    key: &'k [u8],
    /// 0 when it is not there.
    len: u64,
    weight: f64,
}

/// A set that is open.
enum Opened<'a> {
    Zset(ZsetRead<'a>),
    Set(SetRead<'a>),
}

impl Opened<'_> {
    fn len(&self) -> u64 {
        match self {
            Self::Zset(zset) => zset.len(),
            Self::Set(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> StorageResult<Option<f64>> {
        match self {
            Self::Zset(zset) => zset.score(member),
            Self::Set(set) => Ok(set.contains(member)?.then_some(1.0)),
        }
    }

    fn for_each(&self, visit: &mut dyn FnMut(&[u8], f64) -> bool) -> StorageResult<()> {
        match self {
            Self::Zset(zset) => zset.walk(0..zset.len(), false, visit),
            Self::Set(set) => set.for_each(&mut |member| visit(member, 1.0)),
        }
    }
}

/// Where sets are looked up.
#[derive(Clone, Copy)]
struct Place<'a> {
    store: &'a Store,
    db: Db,
    now: UnixMs,
    /// Keys that were found and not found are counted here, if they are counted.
    counters: Option<[&'a Cell<u64>; 2]>,
}

impl<'a> Place<'a> {
    fn of_read(ctx: &'a ReadContext<'a>) -> Self {
        Self { store: ctx.store, db: ctx.db, now: ctx.now, counters: Some([&ctx.hits, &ctx.misses]) }
    }

    fn open(self, key: &[u8]) -> StorageResult<Option<Opened<'a>>> {
        let at = Address::new(self.db, key);
        let engine = self.store.engine(at.db, at.key);
        match engine.zset(at, self.now) {
            Err(StorageError::WrongType) => Ok(engine.members(at, self.now)?.map(Opened::Set)),
            zset => Ok(zset?.map(Opened::Zset)),
        }
    }

    /// Looks a set up, so that a key of another kind is refused before anything else.
    fn source(self, key: &[u8]) -> StorageResult<Source<'_>> {
        let len = self.open(key)?.map(|opened| opened.len());
        if let Some([hits, misses]) = self.counters {
            let counter = if len.is_some() { hits } else { misses };
            counter.set(counter.get() + 1);
        }
        Ok(Source { key, len: len.unwrap_or(0), weight: 1.0 })
    }
}

/// What is asked for, and of which sets. Only one or two of them are open at a time; [`portions`](crate::command::portions)
/// says why.
struct Query<'a, 'k> {
    place: Place<'a>,
    operation: Operation,
    sources: Vec<Source<'k>>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Of ZINTERCARD: members to count at most; 0 is no limit.
    limit: u64,
}

/// Which options a command takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It replies with members.
    Members,
    /// It stores them.
    Store,
    /// It counts them.
    Card,
}

impl<'a, 'k> Query<'a, 'k> {
    /// Reads what stands from the number of keys on, at `count_at`.
    fn parse(
        place: Place<'a>,
        args: &[&'k [u8]],
        count_at: usize,
        operation: Operation,
        form: Form,
    ) -> Result<Self, CommandError> {
        let count = parse_i64(args[count_at]).ok_or(NOT_INTEGER)?;
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            let spec = table::find(args[0]).expect("a handler runs for a command of the table");
            let name = spec.name.to_ascii_lowercase();
            return Err(CommandError::Text(format!("ERR at least 1 input key is needed for '{name}' command")));
        }
        let keys = &args[count_at + 1..];
        if count > keys.len() {
            return Err(SYNTAX);
        }
        let mut sources = Vec::with_capacity(count);
        for key in &keys[..count] {
            sources.push(place.source(key)?);
        }
        let mut query = Self { place, operation, sources, aggregate: Aggregate::Sum, with_scores: false, limit: 0 };
        query.parse_options(Cursor::new(args, count_at + 1 + count), form)?;
        Ok(query)
    }

    fn parse_options(&mut self, mut cursor: Cursor<'_>, form: Form) -> Result<(), CommandError> {
        const WEIGHT: CommandError = CommandError::Static("ERR weight value is not a float");
        const LIMIT: CommandError = CommandError::Static("ERR LIMIT can't be negative");
        let scored = self.operation != Operation::Difference && form != Form::Card;
        while cursor.remaining() > 0 {
            if scored && cursor.remaining() > self.sources.len() && cursor.accept("WEIGHTS") {
                for source in &mut self.sources {
                    source.weight = parse_f64(cursor.required()?).ok_or(WEIGHT)?;
                }
            } else if scored && cursor.remaining() >= 2 && cursor.accept("AGGREGATE") {
                self.aggregate = if cursor.accept("SUM") {
                    Aggregate::Sum
                } else if cursor.accept("MIN") {
                    Aggregate::Min
                } else if cursor.accept("MAX") {
                    Aggregate::Max
                } else {
                    return Err(SYNTAX);
                };
            } else if form == Form::Members && cursor.accept("WITHSCORES") {
                self.with_scores = true;
            } else if form == Form::Card && cursor.remaining() >= 2 && cursor.accept("LIMIT") {
                let limit = parse_i64(cursor.required()?).and_then(|limit| u64::try_from(limit).ok());
                self.limit = limit.ok_or(LIMIT)?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(())
    }

    /// The members with their scores, in no order.
    fn evaluate(mut self) -> StorageResult<Vec<(Vec<u8>, f64)>> {
        if self.operation != Operation::Difference {
            // Sums depend on the order: Redis adds up from the smallest set to the largest.
            self.sources.sort_by_key(|source| source.len);
        }
        match self.operation {
            Operation::Union => self.union(),
            Operation::Intersection => {
                let mut members = Vec::new();
                self.intersect(&mut |member, score| {
                    members.push((member, score));
                    true
                })?;
                Ok(members)
            }
            Operation::Difference => self.difference(),
        }
    }

    fn union(&self) -> StorageResult<Vec<(Vec<u8>, f64)>> {
        let mut scores = Scores::default();
        for source in &self.sources {
            let Some(set) = self.place.open(source.key)? else { continue };
            set.for_each(&mut |member, score| {
                let score = not_nan(source.weight * score);
                match scores.get_mut(member) {
                    Some(old) => *old = self.aggregate.of(*old, score),
                    None => {
                        scores.insert(member.to_vec(), score);
                    }
                }
                true
            })?;
        }
        Ok(scores.into_iter().collect())
    }

    /// Visits the members of an intersection. The sets are in order of their sizes.
    fn intersect(&self, visit: &mut dyn FnMut(Vec<u8>, f64) -> bool) -> StorageResult<()> {
        let Some((smallest, others)) = self.sources.split_first() else { return Ok(()) };
        let Some(set) = self.place.open(smallest.key)? else { return Ok(()) };
        in_portions(
            |gather| set.for_each(&mut |member, score| gather((member.to_vec(), not_nan(smallest.weight * score)))),
            |mut portion| {
                for source in others {
                    let Some(other) = self.place.open(source.key)? else { return Ok(false) };
                    let mut kept = Vec::with_capacity(portion.len());
                    for (member, total) in portion {
                        if let Some(score) = other.score(&member)? {
                            kept.push((member, self.aggregate.of(total, score * source.weight)));
                        }
                    }
                    portion = kept;
                    if portion.is_empty() {
                        break;
                    }
                }
                Ok(portion.into_iter().all(|(member, total)| visit(member, total)))
            },
        )
    }

    fn difference(&self) -> StorageResult<Vec<(Vec<u8>, f64)>> {
        let mut members = Vec::new();
        let Some((first, others)) = self.sources.split_first() else { return Ok(members) };
        let Some(set) = self.place.open(first.key)? else { return Ok(members) };
        in_portions(
            |gather| set.for_each(&mut |member, score| gather((member.to_vec(), score))),
            |mut portion| {
                for source in others.iter().filter(|source| source.len > 0) {
                    let Some(other) = self.place.open(source.key)? else { continue };
                    let mut kept = Vec::with_capacity(portion.len());
                    for (member, score) in portion {
                        if other.score(&member)?.is_none() {
                            kept.push((member, score));
                        }
                    }
                    portion = kept;
                    if portion.is_empty() {
                        break;
                    }
                }
                members.append(&mut portion);
                Ok(true)
            },
        )?;
        Ok(members)
    }
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zunion(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_with(ctx, args, Operation::Union, reply)
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]`
pub(super) fn zinter(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_with(ctx, args, Operation::Intersection, reply)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub(super) fn zdiff(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_with(ctx, args, Operation::Difference, reply)
}

fn reply_with(ctx: &ReadContext<'_>, args: &[&[u8]], operation: Operation, reply: &mut Reply<'_>) -> CommandResult {
    let query = Query::parse(Place::of_read(ctx), args, 1, operation, Form::Members)?;
    let with_scores = query.with_scores;
    let mut members = query.evaluate()?;
    members.sort_unstable_by(|a, b| crate::storage::zsets::compare((a.1, &a.0), (b.1, &b.0)));
    let mut out = Pairs { reply, with_companions: with_scores };
    out.begin(members.len());
    members.iter().for_each(|(member, score)| out.push(member, Companion::Score(*score)));
    Ok(())
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn zintercard(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut query = Query::parse(Place::of_read(ctx), args, 1, Operation::Intersection, Form::Card)?;
    query.sources.sort_by_key(|source| source.len);
    let mut count = 0;
    query.intersect(&mut |_, _| {
        count += 1;
        count as u64 != query.limit
    })?;
    reply_len(count, reply);
    Ok(())
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zunionstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    store_result(ctx, args, Operation::Union, reply)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]`
pub(super) fn zinterstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    store_result(ctx, args, Operation::Intersection, reply)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub(super) fn zdiffstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    store_result(ctx, args, Operation::Difference, reply)
}

fn store_result(
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    operation: Operation,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let place = Place { store: ctx.store, db: ctx.db, now: ctx.now, counters: None };
    let members = Query::parse(place, args, 2, operation, Form::Store)?.evaluate()?;
    store(ctx, args[1], members, 1, reply)
}
