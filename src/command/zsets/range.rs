//! Ranges by rank, by score and by member.

use std::ops::Range;

use super::out::{length, reply_ranks, store};
use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::{StorageResult, ZsetEdge, ZsetRead};
use crate::types::number::parse_i64;
use crate::types::score::{LexBound, parse_score_bound};

/// What a range is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// Where a range begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limits<'a> {
    /// The ranks of the first and the last member, counted from the end when negative.
    Ranks(i64, i64),
    /// The places before the first and behind the last member.
    Edges(ZsetEdge<'a>, ZsetEdge<'a>),
}

impl Limits<'_> {
    /// The ranks of the members in between, lowest score first.
    pub(super) fn ranks(&self, zset: &ZsetRead<'_>) -> StorageResult<Range<u64>> {
        match *self {
            Self::Edges(from, to) => zset.ranks(from, to),
            Self::Ranks(first, last) => {
                let len = i64::try_from(zset.len()).unwrap_or(i64::MAX);
                let from_front = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
                let first = from_front(first).max(0).min(len);
                let behind = from_front(last).saturating_add(1).min(len).max(first);
                Ok(first.unsigned_abs()..behind.unsigned_abs())
            }
        }
    }
}

fn rank_limits<'a>(first: &[u8], last: &[u8]) -> Result<Limits<'a>, CommandError> {
    let rank = |arg| parse_i64(arg).ok_or(NOT_INTEGER);
    Ok(Limits::Ranks(rank(first)?, rank(last)?))
}

/// Limits by score, such as `(1 +inf`.
pub(super) fn score_limits<'a>(min: &[u8], max: &[u8]) -> Result<Limits<'a>, CommandError> {
    const NOT_FLOAT: CommandError = CommandError::Static("ERR min or max is not a float");
    let (min, min_excluded) = parse_score_bound(min).ok_or(NOT_FLOAT)?;
    let (max, max_excluded) = parse_score_bound(max).ok_or(NOT_FLOAT)?;
    Ok(Limits::Edges(
        ZsetEdge::Score { score: min, after: min_excluded },
        ZsetEdge::Score { score: max, after: !max_excluded },
    ))
}

/// Limits by member, such as `[a (b`.
pub(super) fn lex_limits<'a>(min: &'a [u8], max: &'a [u8]) -> Result<Limits<'a>, CommandError> {
    const NOT_RANGE: CommandError = CommandError::Static("ERR min or max not valid string range item");
    let bound = |text| LexBound::parse(text).ok_or(NOT_RANGE);
    let edge = |bound, is_max: bool| match bound {
        LexBound::First => ZsetEdge::First,
        LexBound::Last => ZsetEdge::Last,
        LexBound::Included(member) => ZsetEdge::Lex { member, after: is_max },
        LexBound::Excluded(member) => ZsetEdge::Lex { member, after: !is_max },
    };
    Ok(Limits::Edges(edge(bound(min)?, false), edge(bound(max)?, true)))
}

/// What a command of this family says of itself in its name.
#[derive(Clone, Copy)]
struct Form {
    /// What the range is by, unless options say it.
    by: Option<By>,
    /// Whether it is backwards, unless an option says it.
    reverse: Option<bool>,
    /// Whether the result is stored, with scores.
    stores: bool,
}

const ZRANGE: Form = Form { by: None, reverse: None, stores: false };

/// A range as it was asked for.
struct Query<'a> {
    limits: Limits<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    count: i64,
}

impl<'a> Query<'a> {
    /// Reads what stands behind the key, whose index is `key_at`.
    fn parse(args: &'a [&'a [u8]], key_at: usize, form: Form) -> Result<Self, CommandError> {
        const LIMIT_BY_RANK: CommandError = CommandError::Static(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
        const SCORES_BY_LEX: CommandError =
            CommandError::Static("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        let mut cursor = Cursor::new(args, key_at + 3);
        let (mut by, mut reverse) = (form.by, form.reverse);
        let (mut with_scores, mut offset, mut count) = (false, 0, -1);
        while cursor.remaining() > 0 {
            if !form.stores && cursor.accept("WITHSCORES") {
                with_scores = true;
            } else if cursor.remaining() >= 3 && cursor.accept("LIMIT") {
                offset = cursor.integer()?;
                count = cursor.integer()?;
            } else if form.reverse.is_none() && reverse.is_none() && cursor.accept("REV") {
                reverse = Some(true);
            } else if by.is_none() && cursor.accept("BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && cursor.accept("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if count != -1 && by == By::Rank {
            return Err(LIMIT_BY_RANK);
        }
        if with_scores && by == By::Lex {
            return Err(SCORES_BY_LEX);
        }
        let (mut min, mut max) = (args[key_at + 1], args[key_at + 2]);
        if reverse && by != By::Rank {
            std::mem::swap(&mut min, &mut max);
        }
        let limits = match by {
            By::Rank => rank_limits(min, max)?,
            By::Score => score_limits(min, max)?,
            By::Lex => lex_limits(min, max)?,
        };
        Ok(Self { limits, reverse, with_scores, offset, count })
    }

    /// The ranks that the query is for, lowest score first.
    fn ranks(&self, zset: &ZsetRead<'_>) -> StorageResult<Range<u64>> {
        let ranks = self.limits.ranks(zset)?;
        if let Limits::Ranks(..) = self.limits {
            return Ok(if self.reverse { zset.len() - ranks.end..zset.len() - ranks.start } else { ranks });
        }
        // A negative offset is behind everything, a negative count is no limit.
        let offset = u64::try_from(self.offset).unwrap_or(u64::MAX).min(ranks.end - ranks.start);
        let count = u64::try_from(self.count).unwrap_or(u64::MAX);
        Ok(if self.reverse {
            let end = ranks.end - offset;
            end.saturating_sub(count).max(ranks.start)..end
        } else {
            let start = ranks.start + offset;
            start..start.saturating_add(count).min(ranks.end)
        })
    }
}

/// `ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`
pub(super) fn zrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, ZRANGE, reply)
}

/// `ZREVRANGE key start stop [WITHSCORES]`
pub(super) fn zrevrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, Form { by: Some(By::Rank), reverse: Some(true), ..ZRANGE }, reply)
}

/// `ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrangebyscore(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, Form { by: Some(By::Score), reverse: Some(false), ..ZRANGE }, reply)
}

/// `ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]`
pub(super) fn zrevrangebyscore(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, Form { by: Some(By::Score), reverse: Some(true), ..ZRANGE }, reply)
}

/// `ZRANGEBYLEX key min max [LIMIT offset count]`
pub(super) fn zrangebylex(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, Form { by: Some(By::Lex), reverse: Some(false), ..ZRANGE }, reply)
}

/// `ZREVRANGEBYLEX key max min [LIMIT offset count]`
pub(super) fn zrevrangebylex(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, Form { by: Some(By::Lex), reverse: Some(true), ..ZRANGE }, reply)
}

fn range(ctx: &ReadContext<'_>, args: &[&[u8]], form: Form, reply: &mut Reply<'_>) -> CommandResult {
    let query = Query::parse(args, 1, form)?;
    let Some(zset) = ctx.zset(args[1])? else {
        reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(&zset)?;
    reply_ranks(&zset, ranks, query.reverse, query.with_scores, reply)?;
    Ok(())
}

/// `ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]`
pub(super) fn zrangestore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let query = Query::parse(args, 2, Form { stores: true, ..ZRANGE })?;
    let mut members = Vec::new();
    if let Some(zset) = ctx.zset(args[2])? {
        zset.walk(query.ranks(&zset)?, false, &mut |member, score| {
            members.push((member.to_vec(), score));
            true
        })?;
    }
    store(ctx, args[1], members, 1, reply)
}

/// `ZREMRANGEBYRANK key start stop`
pub(super) fn zremrangebyrank(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    remove(ctx, args[1], rank_limits(args[2], args[3])?, reply)
}

/// `ZREMRANGEBYSCORE key min max`
pub(super) fn zremrangebyscore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    remove(ctx, args[1], score_limits(args[2], args[3])?, reply)
}

/// `ZREMRANGEBYLEX key min max`
pub(super) fn zremrangebylex(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    remove(ctx, args[1], lex_limits(args[2], args[3])?, reply)
}

fn remove(ctx: &mut WriteContext<'_>, key: &[u8], limits: Limits<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let ranks = match ctx.zset(key)? {
        Some(zset) => limits.ranks(&zset)?,
        None => 0..0,
    };
    let mut removed = 0;
    if !ranks.is_empty() {
        let (at, now) = (ctx.at(key), ctx.now);
        removed = ctx.engine_mut(at).zset_remove_range(at, ranks, false, now, &mut |_, _| {})?;
    }
    ctx.dirty += removed;
    reply_len(length(removed), reply);
    Ok(())
}
