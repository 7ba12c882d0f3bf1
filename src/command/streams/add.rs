//! XADD, XTRIM, XDEL, XSETID: entries.

use super::args::{AddOptions, edit, id_time, reply_id, strict_id};
use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NO_SUCH_KEY, SYNTAX};
use crate::command::table::arity_error;
use crate::resp::Reply;
use crate::storage::streams::IdRange;
use crate::storage::streams::weight::NODE_MAX_BYTES;
use crate::types::StreamId;
use crate::types::stream_id::NewId;

/// `XADD key [NOMKSTREAM] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value [field value ...]`
pub(super) fn xadd(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const ZERO: CommandError = CommandError::Static("ERR The ID specified in XADD must be greater than 0-0");
    const EXHAUSTED: CommandError =
        CommandError::Static("ERR The stream has exhausted the last possible ID, unable to add more items");
    const TOO_SMALL: CommandError =
        CommandError::Static("ERR The ID specified in XADD is equal or smaller than the target stream top item");
    const TOO_LARGE: CommandError = CommandError::Static("ERR Elements are too large to be stored");
    let options = AddOptions::parse(args, true)?;
    let fields = args.get(options.fields_at..).unwrap_or_default();
    let (Some(new), false) = (options.id, fields.is_empty() || !fields.len().is_multiple_of(2)) else {
        return Err(arity_error("xadd"));
    };
    if new == NewId::Exact(StreamId::MIN) {
        return Err(ZERO);
    }
    let is_too_large = fields.iter().map(|part| part.len() as u64).sum::<u64>() > NODE_MAX_BYTES;
    let now_ms = id_time(ctx.now);
    let added = edit(ctx, args[1], !options.no_stream, |stream| {
        let last = stream.head().last;
        if last == StreamId::MAX {
            return Err(EXHAUSTED);
        }
        let id = new.resolve(last, now_ms).ok_or(TOO_SMALL)?;
        if is_too_large {
            return Err(TOO_LARGE);
        }
        stream.append(id, fields)?;
        if let Some(trim) = &options.trim {
            stream.trim(trim)?;
        }
        Ok((id, true))
    })?;
    match added {
        Some(id) => {
            ctx.dirty += 1;
            reply_id(id, reply);
        }
        None => reply.null(),
    }
    Ok(())
}

/// `XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count]`
pub(super) fn xtrim(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let Some(trim) = AddOptions::parse(args, false)?.trim else { return Err(SYNTAX) };
    let removed = edit(ctx, args[1], false, |stream| {
        let removed = stream.trim(&trim)?;
        Ok((removed, removed > 0))
    })?;
    reply_count(ctx, removed.unwrap_or(0), reply);
    Ok(())
}

/// `XDEL key id [id ...]`
pub(super) fn xdel(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let removed = edit(ctx, args[1], false, |stream| {
        let ids: Vec<StreamId> = args[2..].iter().map(|id| strict_id(id, 0)).collect::<Result<_, _>>()?;
        let mut removed = 0;
        for id in ids {
            removed += u64::from(stream.remove(id)?);
        }
        Ok((removed, removed > 0))
    })?;
    reply_count(ctx, removed.unwrap_or(0), reply);
    Ok(())
}

/// Answers a number of changes, and counts them.
pub(super) fn reply_count(ctx: &mut WriteContext<'_>, count: u64, reply: &mut Reply<'_>) {
    ctx.dirty += count;
    reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
}

/// `XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]`
pub(super) fn xsetid(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const BEFORE_DELETED: CommandError =
        CommandError::Static("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
    const BEFORE_TOP: CommandError =
        CommandError::Static("ERR The ID specified in XSETID is smaller than the target stream top item");
    const FEWER: CommandError =
        CommandError::Static("ERR The entries_added specified in XSETID is smaller than the target stream length");
    let last = strict_id(args[2], 0)?;
    let (mut added, mut max_deleted) = (None, StreamId::MIN);
    let mut cursor = Cursor::new(args, 3);
    while cursor.remaining() > 0 {
        if cursor.remaining() < 2 {
            return Err(SYNTAX);
        } else if cursor.accept("ENTRIESADDED") {
            let number = cursor.integer()?;
            let number = u64::try_from(number)
                .map_err(|_negative| CommandError::Static("ERR entries_added must be positive"))?;
            added = Some(number);
        } else if cursor.accept("MAXDELETEDID") {
            max_deleted = strict_id(cursor.required()?, 0)?;
            if last < max_deleted {
                return Err(BEFORE_DELETED);
            }
        } else {
            return Err(SYNTAX);
        }
    }
    let set = edit(ctx, args[1], false, |stream| {
        let head = stream.head();
        if head.len > 0 {
            let mut top = StreamId::MIN;
            stream.entries(IdRange::ALL, true, &mut |id, _| {
                top = id;
                false
            })?;
            if last < top {
                return Err(BEFORE_TOP);
            }
            if added.is_some_and(|added| added < head.len) {
                return Err(FEWER);
            }
        }
        let max_deleted = if max_deleted.is_zero() { head.max_deleted } else { max_deleted };
        stream.set_counters(last, added.unwrap_or(head.added), max_deleted)?;
        Ok(((), true))
    })?;
    set.ok_or(NO_SUCH_KEY)?;
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}
