//! SORT and SORT_RO: the elements of a list, a set or a sorted set in another order, or what they are the names of.
//!
//! [`options`] reads the arguments, [`pattern`] finds the keys that elements name, [`order`] compares.
//!
//! # What is the same on all replicas
//! What is stored depends on the elements alone. Equal elements with equal weights are interchangeable; different ones
//! with equal numbers are in order of their bytes; different ones whose texts under `BY` are equal stay in the order they
//! have in the list or sorted set. A set has no order of its own that others would agree on, so `BY nosort` with
//! `STORE` sorts it by bytes, as in Redis.

mod options;
mod order;
mod pattern;

use super::context::{ReadContext, WriteContext};
use super::error::{CommandError, CommandResult};
use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use super::text::reply_len;
use crate::resp::Reply;
use crate::storage::store::Store;
use crate::storage::{Address, Kind, Object, StorageError, StorageResult};
use crate::types::{Db, UnixMs};
use options::{By, Options};

const BY: Arg = Arg::pattern("by-pattern").after("BY").optional();
const LIMIT: Arg = Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).after("LIMIT").optional();
const GET: Arg = Arg::pattern("get-pattern").after("GET").optional().multiple().repeated_token();
const ALPHA: Arg = Arg::word("sorting", "ALPHA").optional();

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SORT",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS).or(Flags::ANSWERS_VALUE),
        keys: &[
            KeySpec::one(1, Access::Read),
            KeySpec::Keyword { word: "STORE", from: 2, limit: 0, access: Access::Overwrite },
        ],
        summary: "Sorts the elements of a list, a set or a sorted set, and may store the result.",
        complexity: "O(N+M*log(M))",
        args: &[
            Arg::key("key"),
            BY,
            LIMIT,
            GET,
            Arg::ORDER,
            ALPHA,
            Arg::key_at("destination", 1).after("STORE").optional(),
        ],
        handler: Handler::Write(sort),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SORT_RO",
        since: "7.0.0",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Sorts the elements of a list, a set or a sorted set.",
        complexity: "O(N+M*log(M))",
        args: &[Arg::key("key"), BY, LIMIT, GET, Arg::ORDER, ALPHA],
        handler: Handler::Read(sort_ro),
        ..CommandSpec::BASE
    },
];

/// Where elements and what they name are looked up.
#[derive(Clone, Copy)]
struct Source<'a> {
    store: &'a Store,
    db: Db,
    now: UnixMs,
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]`
fn sort(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let options = Options::parse(args, true, ctx.shared.one_shard)?;
    let source = Source { store: ctx.store, db: ctx.db, now: ctx.now };
    let rows = sorted(source, args[1], &options)?;
    let Some(destination) = options.store else {
        answer(source, &rows, &options, reply)?;
        return Ok(());
    };
    let mut stored = Vec::new();
    for row in rows {
        if options.get.is_empty() {
            stored.push(row);
            continue;
        }
        for pattern in &options.get {
            stored.push(pattern.look_up(source, &row)?.unwrap_or_default());
        }
    }
    let len = stored.len();
    if stored.is_empty() {
        ctx.remove(destination)?;
    } else {
        let at = ctx.at(destination);
        ctx.engine_mut(at).put_object(at, Object::List(stored), None)?;
        ctx.dirty += len as u64;
    }
    reply_len(len, reply);
    Ok(())
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA]`
fn sort_ro(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let options = Options::parse(args, false, ctx.shared.one_shard)?;
    let source = Source { store: ctx.store, db: ctx.db, now: ctx.now };
    ctx.lookup_meta(args[1])?;
    let rows = sorted(source, args[1], &options)?;
    answer(source, &rows, &options, reply)?;
    Ok(())
}

fn answer(source: Source<'_>, rows: &[Vec<u8>], options: &Options<'_>, reply: &mut Reply<'_>) -> StorageResult<()> {
    reply.array(rows.len() * options.get.len().max(1));
    for row in rows {
        if options.get.is_empty() {
            reply.bulk(row);
        }
        for pattern in &options.get {
            match pattern.look_up(source, row)? {
                Some(value) => reply.bulk(&value),
                None => reply.null(),
            }
        }
    }
    Ok(())
}

/// The elements that are asked for, in the order that is asked for.
fn sorted(source: Source<'_>, key: &[u8], options: &Options<'_>) -> Result<Vec<Vec<u8>>, CommandError> {
    let (mut elements, kind) = elements(source, key)?;
    match &options.by {
        // Elements keep the order they have, and a set has none.
        By::Nothing if kind != Kind::Set => {
            if options.descending {
                elements.reverse();
            }
        }
        By::Nothing if options.store.is_none() => {}
        By::Nothing => {
            elements.sort_unstable();
            if options.descending {
                elements.reverse();
            }
        }
        By::Elements => order::by_elements(&mut elements, options)?,
        By::Pattern(pattern) => {
            let mut weighed = Vec::with_capacity(elements.len());
            for element in elements {
                weighed.push((pattern.look_up(source, &element)?, element));
            }
            elements = order::by_weights(weighed, options)?;
        }
    }
    let range = options.range(elements.len());
    elements.truncate(range.end);
    elements.drain(..range.start);
    Ok(elements)
}

/// All elements of what is at a key, and its kind.
fn elements(source: Source<'_>, key: &[u8]) -> StorageResult<(Vec<Vec<u8>>, Kind)> {
    let at = Address::new(source.db, key);
    let engine = source.store.engine(at.db, at.key);
    let Some(meta) = engine.meta(at, source.now)? else { return Ok((Vec::new(), Kind::List)) };
    // Nothing else is copied before its kind is known.
    if !matches!(meta.kind, Kind::List | Kind::Set | Kind::Zset) {
        return Err(StorageError::WrongType);
    }
    let elements = match engine.object(at, source.now)? {
        Some((Object::List(elements) | Object::Set(elements), _)) => elements,
        Some((Object::Zset(members), _)) => members.into_iter().map(|(member, _score)| member).collect(),
        _ => Vec::new(),
    };
    Ok((elements, meta.kind))
}
