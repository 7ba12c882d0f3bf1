//! Reading hashes.

use crate::command::context::ReadContext;
use crate::command::error::CommandResult;
use crate::command::items::Items;
use crate::command::random::{Count, reply_random};
use crate::command::scan::{Options, parse_cursor, reply_step};
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::{HashRead, StorageResult};

/// `HGET key field`
pub(super) fn hget(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    match ctx.hash(args[1])? {
        Some(hash) => reply_value(&hash, args[2], reply)?,
        None => reply.null(),
    }
    Ok(())
}

/// `HMGET key field [field ...]`
pub(super) fn hmget(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let hash = ctx.hash(args[1])?;
    reply.array(args.len() - 2);
    for field in &args[2..] {
        match &hash {
            Some(hash) => reply_value(hash, field, reply)?,
            None => reply.null(),
        }
    }
    Ok(())
}

fn reply_value(hash: &HashRead<'_>, field: &[u8], reply: &mut Reply<'_>) -> StorageResult<()> {
    match hash.get(field)? {
        Some(value) => reply.bulk(&value),
        None => reply.null(),
    }
    Ok(())
}

/// `HEXISTS key field`
pub(super) fn hexists(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let exists = match ctx.hash(args[1])? {
        Some(hash) => hash.get(args[2])?.is_some(),
        None => false,
    };
    reply.integer(i64::from(exists));
    Ok(())
}

/// `HSTRLEN key field`
pub(super) fn hstrlen(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let len = match ctx.hash(args[1])? {
        Some(hash) => hash.get(args[2])?.map_or(0, |value| value.len()),
        None => 0,
    };
    reply_len(len, reply);
    Ok(())
}

/// `HLEN key`
pub(super) fn hlen(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_len(ctx.hash(args[1])?.as_ref().map_or(0, len), reply);
    Ok(())
}

/// Number of fields, those included that have expired and were not yet removed.
fn len(hash: &HashRead<'_>) -> usize {
    usize::try_from(hash.len()).expect("counts fit the address space")
}

/// Number of fields that have not expired.
fn live_len(hash: &HashRead<'_>) -> StorageResult<usize> {
    Ok(usize::try_from(hash.live_len()?).expect("counts fit the address space"))
}

/// `HGETALL key`
pub(super) fn hgetall(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let Some(hash) = ctx.hash(args[1])? else {
        reply.map(0);
        return Ok(());
    };
    reply.map(live_len(&hash)?);
    hash.for_each(&mut |field, value| {
        reply.bulk(field);
        reply.bulk(value);
        true
    })?;
    Ok(())
}

/// `HKEYS key`
pub(super) fn hkeys(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    halves(ctx, args[1], reply, |field, _value| field)
}

/// `HVALS key`
pub(super) fn hvals(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    halves(ctx, args[1], reply, |_field, value| value)
}

fn halves(
    ctx: &ReadContext<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
    choose: for<'f> fn(&'f [u8], &'f [u8]) -> &'f [u8],
) -> CommandResult {
    let Some(hash) = ctx.hash(key)? else {
        reply.array(0);
        return Ok(());
    };
    reply.array(live_len(&hash)?);
    hash.for_each(&mut |field, value| {
        reply.bulk(choose(field, value));
        true
    })?;
    Ok(())
}

/// `HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]`
pub(super) fn hscan(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let cursor = parse_cursor(args[2])?;
    let hash = ctx.hash(args[1])?;
    reply_step(hash.as_ref().map(|hash| hash as &dyn Items), cursor, || Options::of_hscan(args), reply)
}

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let count = Count::parse(&args[2..], Some("WITHVALUES"))?;
    let hash = ctx.hash(args[1])?;
    reply_random(ctx, hash.as_ref().map(|hash| hash as &dyn Items), count, reply)
}
