//! Changing lists elsewhere than at their ends.

use std::ops::Range;

use super::find::matches;
use super::pop::list_len;
use super::read::{absolute, clamp};
use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult, NO_SUCH_KEY, NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::storage::StorageResult;
use crate::types::number::parse_i64;

const OUT_OF_RANGE: CommandError = CommandError::Static("ERR index out of range");
const COUNT_OUT_OF_RANGE: CommandError =
    CommandError::Static("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");

/// `LSET key index element`
pub(super) fn lset(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let len = ctx.list(args[1])?.ok_or(NO_SUCH_KEY)?.len();
    let index = absolute(parse_i64(args[2]).ok_or(NOT_INTEGER)?, len);
    let index = index.filter(|&index| index < len).ok_or(OUT_OF_RANGE)?;
    let (at, now) = (ctx.at(args[1]), ctx.now);
    ctx.engine_mut(at).list_set(at, index, args[3], now)?;
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}

/// `LINSERT key BEFORE|AFTER pivot element`
pub(super) fn linsert(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let after = if args[2].eq_ignore_ascii_case(b"after") {
        true
    } else if args[2].eq_ignore_ascii_case(b"before") {
        false
    } else {
        return Err(SYNTAX);
    };
    let Some(list) = ctx.list(args[1])? else {
        reply.integer(0);
        return Ok(());
    };
    let len = list.len();
    let mut pivot = None;
    matches(&list, args[3], false, u64::MAX, &mut |index| {
        pivot = Some(index);
        false
    })?;
    drop(list);
    let Some(pivot) = pivot else {
        reply.integer(-1);
        return Ok(());
    };
    let (at, now) = (ctx.at(args[1]), ctx.now);
    match pivot + u64::from(after) {
        index if index == len => {
            ctx.engine_mut(at).list_push(at, crate::storage::ListEnd::Tail, &[args[4]], now)?;
        }
        index => ctx.engine_mut(at).list_insert(at, index, args[4], now)?,
    }
    ctx.dirty += 1;
    reply.integer(len.cast_signed() + 1);
    Ok(())
}

/// `LREM key count element`
pub(super) fn lrem(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let count = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    if count == i64::MIN {
        return Err(COUNT_OUT_OF_RANGE);
    }
    let (reverse, most) = (count < 0, if count == 0 { u64::MAX } else { count.unsigned_abs() });
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut found = 0;
    if let Some(list) = ctx.list(args[1])? {
        matches(&list, args[3], reverse, u64::MAX, &mut |index| {
            match ranges.last_mut() {
                Some(last) if !reverse && last.end == index => last.end += 1,
                Some(last) if reverse && last.start == index + 1 => last.start -= 1,
                _ => ranges.push(index..index + 1),
            }
            found += 1;
            found < most
        })?;
    }
    if reverse {
        ranges.reverse();
    }
    remove(ctx, args[1], &ranges)?;
    reply.integer(found.cast_signed());
    Ok(())
}

/// `LTRIM key start stop`
pub(super) fn ltrim(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let start = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    let stop = parse_i64(args[3]).ok_or(NOT_INTEGER)?;
    if let Some(len) = list_len(ctx, args[1])? {
        let kept = clamp(start, stop, len);
        let mut ranges = vec![0..kept.start, kept.end..len];
        ranges.retain(|range| !range.is_empty());
        remove(ctx, args[1], &ranges)?;
    }
    reply.ok();
    Ok(())
}

/// Removes elements of a list, and counts the changes.
fn remove(ctx: &mut WriteContext<'_>, key: &[u8], ranges: &[Range<u64>]) -> StorageResult<()> {
    if ranges.is_empty() {
        return Ok(());
    }
    let (at, now) = (ctx.at(key), ctx.now);
    ctx.engine_mut(at).list_remove(at, ranges, now)?;
    ctx.dirty += ranges.iter().map(|range| range.end - range.start).sum::<u64>();
    Ok(())
}
