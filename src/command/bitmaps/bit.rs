//! One bit: SETBIT and GETBIT.

use super::bit_offset;
use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::{CommandError, CommandResult};
use crate::resp::Reply;
use crate::types::bits;

/// `SETBIT key offset value`
pub(super) fn setbit(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const BIT: CommandError = CommandError::Static("ERR bit is not an integer or out of range");
    let offset = bit_offset(args[2], ctx.shared.bulk_max_bytes, None)?;
    let on = match args[3] {
        b"0" => false,
        b"1" => true,
        _ => return Err(BIT),
    };
    let bytes = ctx.string(args[1])?.map(|value| value.into_bytes());
    let before = bytes.as_ref().is_some_and(|bytes| bits::get(bytes, offset));
    let reaches = bytes.is_some_and(|bytes| offset / 8 < bytes.len() as u64);
    if !reaches || before != on {
        let (at, now) = (ctx.at(args[1]), ctx.now);
        ctx.engine_mut(at).edit_string(at, now, &mut |bytes| bits::set(bytes, offset, on))?;
        ctx.dirty += 1;
    }
    reply.integer(i64::from(before));
    Ok(())
}

/// `GETBIT key offset`
pub(super) fn getbit(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let offset = bit_offset(args[2], ctx.shared.bulk_max_bytes, None)?;
    let bit = ctx.string(args[1])?.is_some_and(|value| bits::get(&value.into_bytes(), offset));
    reply.integer(i64::from(bit));
    Ok(())
}
