//! Popping members with the lowest or the highest scores.

use super::out::length;
use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::items::Pairs;
use crate::command::multi_pop::MultiPop;
use crate::resp::{Protocol, Reply};
use crate::types::number::parse_i64;

/// Which end members are popped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) enum End {
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
    let MultiPop { keys, end, count } = parse_zmpop(args, 1)?;
    if !pop_first(ctx, keys, end, count, Shape::Nested, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What ZMPOP asks for, from the number of keys on.
pub(in crate::command) fn parse_zmpop<'a>(
    args: &'a [&'a [u8]],
    numkeys_at: usize,
) -> Result<MultiPop<'a, End>, CommandError> {
    MultiPop::parse(args, numkeys_at, |word| {
        if word.eq_ignore_ascii_case(b"min") {
            Some(End::Min)
        } else {
            word.eq_ignore_ascii_case(b"max").then_some(End::Max)
        }
    })
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
                Pairs { reply, with_companions: true }.begin(length(count));
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
        ctx.only_changed = (keys.len() > 1).then(|| key.to_vec());
        return Ok(true);
    }
    Ok(false)
}
