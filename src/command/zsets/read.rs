//! Reading scores, ranks and counts.

use super::out::length;
use super::range::{Limits, lex_limits, score_limits};
use crate::command::context::ReadContext;
use crate::command::error::{CommandResult, SYNTAX};
use crate::command::items::Items;
use crate::command::random::{Count, reply_random};
use crate::command::scan::{Options, parse_cursor, reply_step};
use crate::command::table::arity_error;
use crate::command::text::reply_len;
use crate::resp::Reply;

/// `ZCARD key`
pub(super) fn zcard(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_len(ctx.zset(args[1])?.map_or(0, |zset| length(zset.len())), reply);
    Ok(())
}

/// `ZSCORE key member`
pub(super) fn zscore(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let score = match ctx.zset(args[1])? {
        Some(zset) => zset.score(args[2])?,
        None => None,
    };
    reply_score(score, reply);
    Ok(())
}

/// `ZMSCORE key member [member ...]`
pub(super) fn zmscore(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let zset = ctx.zset(args[1])?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        let score = match &zset {
            Some(zset) => zset.score(member)?,
            None => None,
        };
        reply_score(score, reply);
    }
    Ok(())
}

fn reply_score(score: Option<f64>, reply: &mut Reply<'_>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

/// `ZRANK key member [WITHSCORE]`
pub(super) fn zrank(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    rank(ctx, args, false, reply)
}

/// `ZREVRANK key member [WITHSCORE]`
pub(super) fn zrevrank(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    rank(ctx, args, true, reply)
}

fn rank(ctx: &ReadContext<'_>, args: &[&[u8]], reverse: bool, reply: &mut Reply<'_>) -> CommandResult {
    let with_score = match &args[3..] {
        [] => false,
        [word] if word.eq_ignore_ascii_case(b"WITHSCORE") => true,
        [_] => return Err(SYNTAX),
        _ => return Err(arity_error(if reverse { "zrevrank" } else { "zrank" })),
    };
    let found = match ctx.zset(args[1])? {
        Some(zset) => zset.rank(args[2])?.map(|(rank, score)| {
            let rank = if reverse { zset.len() - 1 - rank } else { rank };
            (length(rank), score)
        }),
        None => None,
    };
    match (found, with_score) {
        (Some((rank, score)), true) => {
            reply.array(2);
            reply_len(rank, reply);
            reply.double(score);
        }
        (Some((rank, _)), false) => reply_len(rank, reply),
        (None, true) => reply.null_array(),
        (None, false) => reply.null(),
    }
    Ok(())
}

/// `ZCOUNT key min max`
pub(super) fn zcount(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    count(ctx, args[1], score_limits(args[2], args[3])?, reply)
}

/// `ZLEXCOUNT key min max`
pub(super) fn zlexcount(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    count(ctx, args[1], lex_limits(args[2], args[3])?, reply)
}

fn count(ctx: &ReadContext<'_>, key: &[u8], limits: Limits<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let count = match ctx.zset(key)? {
        Some(zset) => {
            let ranks = limits.ranks(&zset)?;
            ranks.end - ranks.start
        }
        None => 0,
    };
    reply_len(length(count), reply);
    Ok(())
}

/// `ZSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn zscan(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let cursor = parse_cursor(args[2])?;
    let zset = ctx.zset(args[1])?;
    reply_step(zset.as_ref().map(|zset| zset as &dyn Items), cursor, || Options::of_sscan(args), reply)
}

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(super) fn zrandmember(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let count = Count::parse(&args[2..], Some("WITHSCORES"))?;
    let zset = ctx.zset(args[1])?;
    reply_random(ctx, zset.as_ref().map(|zset| zset as &dyn Items), count, reply)
}
