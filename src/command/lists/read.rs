//! Reading lists by index.

use crate::command::context::ReadContext;
use crate::command::error::{CommandResult, NOT_INTEGER};
use crate::resp::Reply;
use crate::types::number::parse_i64;

/// The index from the head that a number stands for: negative ones count from the tail. `None` before the head.
pub(super) fn absolute(index: i64, len: u64) -> Option<u64> {
    if index >= 0 { Some(index.unsigned_abs()) } else { len.checked_sub(index.unsigned_abs()) }
}

/// The half-open range of indexes that `start` and `stop`, both included, stand for in a list of this length.
pub(super) fn clamp(start: i64, stop: i64, len: u64) -> std::ops::Range<u64> {
    let start = absolute(start, len).unwrap_or(0);
    let end = absolute(stop, len).map_or(0, |stop| stop.saturating_add(1)).min(len);
    if start < end { start..end } else { 0..0 }
}

/// `LLEN key`
pub(super) fn llen(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.integer(ctx.list(args[1])?.map_or(0, |list| list.len()).cast_signed());
    Ok(())
}

/// `LINDEX key index`
pub(super) fn lindex(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let Some(list) = ctx.list(args[1])? else {
        reply.null();
        return Ok(());
    };
    let index = absolute(parse_i64(args[2]).ok_or(NOT_INTEGER)?, list.len());
    match index.map(|index| list.get(index)).transpose()?.flatten() {
        Some(element) => reply.bulk(&element),
        None => reply.null(),
    }
    Ok(())
}

/// `LRANGE key start stop`
pub(super) fn lrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let start = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    let stop = parse_i64(args[3]).ok_or(NOT_INTEGER)?;
    let Some(list) = ctx.list(args[1])? else {
        reply.array(0);
        return Ok(());
    };
    let range = clamp(start, stop, list.len());
    let mut left = range.end - range.start;
    reply.array(left as usize);
    if left > 0 {
        list.walk(range.start, false, &mut |element| {
            reply.bulk(element);
            left -= 1;
            left > 0
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped() {
        for (start, stop, range) in [
            (0, -1, 0..5),
            (1, 2, 1..3),
            (-3, -2, 2..4),
            (-100, 100, 0..5),
            (3, 1, 0..0),
            (5, 9, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
            (-1, i64::MIN, 0..0),
        ] {
            assert_eq!(clamp(start, stop, 5), range, "{start} {stop}");
        }
    }
}
