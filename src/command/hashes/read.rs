//! Reading hashes.

use crate::command::context::ReadContext;
use crate::command::error::CommandResult;
use crate::command::scan::{Options, parse_cursor};
use crate::command::text::reply_len;
use crate::resp::{Reply, ReplyBuffer};
use crate::storage::{HashRead, ScanCursor, StorageResult};

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
pub(super) fn live_len(hash: &HashRead<'_>) -> StorageResult<usize> {
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
    let Some(hash) = ctx.hash(args[1])? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = Options::of_hscan(args)?;
    let mut elements = ReplyBuffer::default();
    let mut out = elements.reply(reply.protocol());
    let mut count = 0;
    let ScanCursor(next) = hash.scan(cursor, options.count, &mut |field, value| {
        if options.matches(field) {
            out.bulk(field);
            count += 1;
            if !options.no_values {
                out.bulk(value);
                count += 1;
            }
        }
        true
    })?;
    reply.array(2);
    reply.bulk_display(next);
    reply.array(count);
    reply.append(&mut elements);
    Ok(())
}
