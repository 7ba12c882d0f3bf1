//! Finding keys: by pattern, step by step, by chance.
//!
//! A database may have keys in several engines. SCAN walks one engine after the other, in the order of
//! [`EngineKind::ALL`]; bits 46 and 47 of the cursor say which, the bits below are the engine's
//! own. A cursor of 0 begins and ends.

use crate::command::context::ReadContext;
use crate::command::error::CommandResult;
use crate::command::scan::{Options, parse_cursor};
use crate::resp::{Reply, ReplyBuffer};
use crate::storage::{Engine, EngineKind, Kind, ScanCursor, StorageResult};
use crate::types::glob;

/// Bits of a cursor that belong to the engine.
pub(super) const ENGINE_CURSOR_BITS: u32 = 46;
/// With a pattern that begins with literal bytes, an engine that is ordered by key is first asked for the
/// keys that begin with them. If there are at most this many, they are the answer, whatever the size of
/// the database; or at most as many as the client asks for, if that is more.
const PREFIX_MAX_KEYS: usize = 1000;

/// `KEYS pattern`
pub(super) fn keys(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let pattern = args[1];
    let prefix = glob::literal_prefix(pattern);
    let all = pattern == b"*";
    let mut found = Found::new(reply);
    for (_, engine) in ctx.store.engines_of(ctx.db) {
        engine.for_each_key(ctx.db, &prefix, ctx.now, &mut |key, _kind| {
            if all || glob::matches(pattern, key, false) {
                found.push(key);
            }
            true
        })?;
    }
    let Found { mut keys, count, .. } = found;
    reply.array(count);
    reply.append(&mut keys);
    Ok(())
}

/// Keys as a reply whose header comes later, when their number is known.
struct Found {
    keys: ReplyBuffer,
    count: usize,
    protocol: crate::resp::Protocol,
}

impl Found {
    fn new(reply: &Reply<'_>) -> Self {
        Self { keys: ReplyBuffer::default(), count: 0, protocol: reply.protocol() }
    }

    fn push(&mut self, key: &[u8]) {
        self.keys.reply(self.protocol).bulk(key);
        self.count += 1;
    }
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let ScanCursor(cursor) = parse_cursor(args[1])?;
    let options = Options::of_scan(args)?;
    let mut position = usize::try_from(cursor >> ENGINE_CURSOR_BITS).unwrap_or(usize::MAX);
    let mut inner = ScanCursor(cursor & ((1 << ENGINE_CURSOR_BITS) - 1));
    let mut found = Found::new(reply);
    let mut left = options.count;
    let next = loop {
        let engine = ctx.store.engines_of(ctx.db).find(|&(kind, _)| index(kind) >= position);
        let Some((kind, engine)) = engine else { break ScanCursor::START };
        if index(kind) > position {
            inner = ScanCursor::START;
        }
        if left == 0 {
            break joined(kind, inner);
        }
        inner = step(ctx, engine, inner, &options, &mut left, &mut found)?;
        if inner != ScanCursor::START {
            break joined(kind, inner);
        }
        position = index(kind) + 1;
    };
    reply.array(2);
    reply.bulk_display(next.0);
    reply.array(found.count);
    reply.append(&mut found.keys);
    Ok(())
}

fn index(kind: EngineKind) -> usize {
    EngineKind::ALL.into_iter().position(|other| other == kind).expect("the list has all engines")
}

pub(super) fn joined(kind: EngineKind, inner: ScanCursor) -> ScanCursor {
    assert!(inner.0 >> ENGINE_CURSOR_BITS == 0, "an engine's cursor is below 2^{ENGINE_CURSOR_BITS}");
    ScanCursor((index(kind) as u64) << ENGINE_CURSOR_BITS | inner.0)
}

/// One step in one engine; `left` becomes how many keys are still to be visited.
fn step(
    ctx: &ReadContext<'_>,
    engine: &dyn Engine,
    cursor: ScanCursor,
    options: &Options<'_>,
    left: &mut usize,
    found: &mut Found,
) -> StorageResult<ScanCursor> {
    let passes = |key: &[u8], kind: Kind| {
        options.matches(key) && options.kind.is_none_or(|name| name.eq_ignore_ascii_case(kind.name().as_bytes()))
    };
    if cursor == ScanCursor::START && by_prefix(ctx, engine, options, left, found, &passes)? {
        return Ok(ScanCursor::START);
    }
    let mut visited = 0_usize;
    let next = engine.scan(ctx.db, cursor, *left, ctx.now, &mut |key, kind| {
        visited += 1;
        if passes(key, kind) {
            found.push(key);
        }
        true
    })?;
    *left = left.saturating_sub(visited);
    Ok(next)
}

/// Answers the whole walk over an ordered engine at once, if a pattern's literal prefix leaves few keys.
/// Otherwise adds nothing.
fn by_prefix(
    ctx: &ReadContext<'_>,
    engine: &dyn Engine,
    options: &Options<'_>,
    left: &mut usize,
    found: &mut Found,
    passes: &dyn Fn(&[u8], Kind) -> bool,
) -> StorageResult<bool> {
    use std::ops::Bound::{Included, Unbounded};

    let prefix = options.pattern.map(glob::literal_prefix).unwrap_or_default();
    if prefix.is_empty() {
        return Ok(false);
    }
    let limit = options.count.max(PREFIX_MAX_KEYS);
    let (start_bytes, start_count) = (found.keys.len(), found.count);
    let (mut visited, mut complete) = (0, true);
    let ordered = engine.range(ctx.db, Included(&prefix), Unbounded, false, ctx.now, &mut |key, kind| {
        if !key.starts_with(&prefix) {
            return false;
        }
        visited += 1;
        complete = visited <= limit;
        if complete && passes(key, kind) {
            found.push(key);
        }
        complete
    })?;
    if ordered.is_none() || !complete {
        found.keys.truncate(start_bytes);
        found.count = start_count;
        return Ok(false);
    }
    *left = left.saturating_sub(visited);
    Ok(true)
}

/// `RANDOMKEY`: an engine is chosen by its share of the keys, then one of its keys.
pub(super) fn randomkey(ctx: &ReadContext<'_>, _args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let engines: Vec<&dyn Engine> = ctx.store.engines_of(ctx.db).map(|(_, engine)| engine).collect();
    let total: u64 = engines.iter().map(|engine| engine.len(ctx.db)).sum();
    if total == 0 {
        reply.null();
        return Ok(());
    }
    let key = ctx.with_rng(|rng| {
        let mut chosen = rng.below(total);
        let first = engines.iter().position(|engine| {
            let len = engine.len(ctx.db);
            let here = chosen < len;
            chosen = chosen.saturating_sub(len);
            here
        });
        // If all keys of the chosen engine have expired, another may have some left.
        for engine in engines.iter().cycle().skip(first.unwrap_or(0)).take(engines.len()) {
            if let Some(key) = engine.random_key(ctx.db, ctx.now, rng)? {
                return Ok(Some(key));
            }
        }
        StorageResult::Ok(None)
    })?;
    match key {
        Some(key) => reply.bulk(&key),
        None => reply.null(),
    }
    Ok(())
}
