//! Popping members with the lowest or the highest scores.

use super::out::{Members, length};
use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::resp::{Protocol, Reply};
use crate::types::number::parse_i64;

/// Which end members are popped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Those with the lowest scores.
    Min,
    /// Those with the highest scores.
    Max,
}

/// How popped members are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// ZPOPMIN without a count: member and score.
    Single,
    /// ZPOPMIN with a count: as ZRANGE with scores.
    Many,
    /// ZMPOP: the key, and pairs of member and score.
    Nested,
}

/// `ZPOPMIN key [count]`
pub(super) fn zpopmin(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop(ctx, args, End::Min, reply)
}

/// `ZPOPMAX key [count]`
pub(super) fn zpopmax(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop(ctx, args, End::Max, reply)
}

fn pop(ctx: &mut WriteContext<'_>, args: &[&[u8]], end: End, reply: &mut Reply<'_>) -> CommandResult {
    const NOT_POSITIVE: CommandError = CommandError::Static("ERR value is out of range, must be positive");
    let (count, shape) = match args[2..] {
        [] => (1, Shape::Single),
        [count] => {
            let count = parse_i64(count).and_then(|count| u64::try_from(count).ok()).ok_or(NOT_POSITIVE)?;
            (count, Shape::Many)
        }
        _ => return Err(SYNTAX),
    };
    if !pop_first(ctx, &args[1..2], end, count, shape, reply)? {
        reply.array(0);
    }
    Ok(())
}

/// `ZMPOP numkeys key [key ...] MIN|MAX [COUNT count]`
pub(super) fn zmpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (keys, end, count) = parse_mpop(args, 1)?;
    if !pop_first(ctx, keys, end, count, Shape::Nested, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// Keys, end and count of ZMPOP, whose number of keys is at `count_at`.
fn parse_mpop<'a>(args: &'a [&'a [u8]], count_at: usize) -> Result<(&'a [&'a [u8]], End, u64), CommandError> {
    const NO_KEYS: CommandError = CommandError::Static("ERR numkeys should be greater than 0");
    const NO_COUNT: CommandError = CommandError::Static("ERR count should be greater than 0");
    let positive = |arg: &[u8]| parse_i64(arg).and_then(|count| u64::try_from(count).ok()).filter(|&count| count > 0);
    let keys = positive(args[count_at]).ok_or(NO_KEYS)?;
    let first = count_at + 1;
    let behind = usize::try_from(keys).ok().and_then(|keys| first.checked_add(keys)).unwrap_or(usize::MAX);
    let mut cursor = Cursor::new(args, behind);
    let end = if cursor.accept("MIN") {
        End::Min
    } else if cursor.accept("MAX") {
        End::Max
    } else {
        return Err(SYNTAX);
    };
    let mut count = None;
    while cursor.remaining() > 0 {
        if count.is_some() || cursor.remaining() < 2 || !cursor.accept("COUNT") {
            return Err(SYNTAX);
        }
        count = Some(positive(cursor.required()?).ok_or(NO_COUNT)?);
    }
    Ok((&args[first..behind], end, count.unwrap_or(1)))
}

/// Pops up to `count` members from the first of several sorted sets that is there, and replies with them. Answers
/// whether there was one; if not, nothing was replied.
fn pop_first(
    ctx: &mut WriteContext<'_>,
    keys: &[&[u8]],
    end: End,
    count: u64,
    shape: Shape,
    reply: &mut Reply<'_>,
) -> Result<bool, CommandError> {
    for &key in keys {
        let Some(len) = ctx.zset(key)?.map(|zset| zset.len()) else { continue };
        let count = count.min(len);
        let ranks = match end {
            End::Min => 0..count,
            End::Max => len - count..len,
        };
        let nested = match shape {
            Shape::Single => {
                reply.array(2);
                false
            }
            Shape::Many => {
                Members { reply, with_scores: true }.begin(length(count));
                reply.protocol() == Protocol::Resp3
            }
            Shape::Nested => {
                reply.array(2);
                reply.bulk(key);
                reply.array(length(count));
                true
            }
        };
        let (at, now) = (ctx.at(key), ctx.now);
        let removed = ctx.engine_mut(at).zset_remove_range(at, ranks, end == End::Max, now, &mut |member, score| {
            if nested {
                reply.array(2);
            }
            reply.bulk(member);
            reply.double(score);
        })?;
        ctx.dirty += removed;
        return Ok(true);
    }
    Ok(false)
}
