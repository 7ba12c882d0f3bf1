//! Changing parts of strings.

use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER};
use crate::command::text::{reply_len, string_len};
use crate::resp::Reply;
use crate::storage::Expiry;
use crate::types::number::parse_i64;

/// `APPEND key value`
pub(super) fn append(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (key, value) = (args[1], args[2]);
    let Some(old_len) = ctx.string(key)?.as_ref().map(string_len) else {
        ctx.set_string(key, value, Expiry::Clear)?;
        reply_len(value.len(), reply);
        return Ok(());
    };
    let new_len = old_len + value.len();
    ctx.check_string_length(new_len as u64)?;
    let (at, now) = (ctx.at(key), ctx.now);
    ctx.engine_mut(at).edit_string(at, now, &mut |bytes| bytes.extend_from_slice(value))?;
    ctx.dirty += 1;
    reply_len(new_len, reply);
    Ok(())
}

/// `SETRANGE key offset value`: zero bytes fill a gap.
pub(super) fn setrange(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const OFFSET: CommandError = CommandError::Static("ERR offset is out of range");
    let (key, value) = (args[1], args[3]);
    let offset = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    let offset = u64::try_from(offset).map_err(|_negative| OFFSET)?;
    let old_len = ctx.string(key)?.as_ref().map_or(0, string_len);
    if value.is_empty() {
        reply_len(old_len, reply);
        return Ok(());
    }
    ctx.check_string_length(offset.saturating_add(value.len() as u64))?;
    let start = usize::try_from(offset).expect("strings in memory are shorter than the address space");
    let end = start + value.len();
    let (at, now) = (ctx.at(key), ctx.now);
    ctx.engine_mut(at).edit_string(at, now, &mut |bytes| {
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(value);
    })?;
    ctx.dirty += 1;
    reply_len(old_len.max(end), reply);
    Ok(())
}
