//! XLEN, XRANGE, XREVRANGE.

use super::args::{Gathered, count_option, range_end, range_start, reply_entry};
use crate::command::context::ReadContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandResult, SYNTAX};
use crate::resp::Reply;
use crate::storage::streams::IdRange;

/// `XLEN key`
pub(super) fn xlen(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let len = ctx.stream(args[1])?.map_or(0, |stream| stream.head().len);
    reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

/// `XRANGE key start end [COUNT count]`
pub(super) fn xrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, false, reply)
}

/// `XREVRANGE key end start [COUNT count]`
pub(super) fn xrevrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    range(ctx, args, true, reply)
}

fn range(ctx: &ReadContext<'_>, args: &[&[u8]], reverse: bool, reply: &mut Reply<'_>) -> CommandResult {
    let (start, end) = if reverse { (args[3], args[2]) } else { (args[2], args[3]) };
    let range = IdRange { start: range_start(start)?, end: range_end(end)? };
    let mut count = None;
    let mut cursor = Cursor::new(args, 4);
    while cursor.remaining() > 0 {
        if cursor.remaining() < 2 || !cursor.accept("COUNT") {
            return Err(SYNTAX);
        }
        count = Some(count_option(&mut cursor)?);
    }
    let Some(stream) = ctx.stream(args[1])? else {
        reply.array(0);
        return Ok(());
    };
    if count == Some(0) {
        reply.null_array();
        return Ok(());
    }
    let limit = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let mut entries = Gathered::new();
    stream.entries(range, reverse, &mut |id, fields| {
        reply_entry(id, fields, &mut entries.next(reply));
        entries.count() < limit
    })?;
    entries.finish(reply);
    Ok(())
}
