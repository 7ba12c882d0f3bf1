//! Adding elements to the ends of lists.

use crate::command::context::WriteContext;
use crate::command::error::CommandResult;
use crate::resp::Reply;
use crate::storage::{ListEnd, StorageResult};

/// `LPUSH key element [element ...]`
pub(super) fn lpush(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    push_and_reply(ctx, args, ListEnd::Head, reply)
}

/// `RPUSH key element [element ...]`
pub(super) fn rpush(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    push_and_reply(ctx, args, ListEnd::Tail, reply)
}

/// `LPUSHX key element [element ...]`
pub(super) fn lpushx(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    push_if_there(ctx, args, ListEnd::Head, reply)
}

/// `RPUSHX key element [element ...]`
pub(super) fn rpushx(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    push_if_there(ctx, args, ListEnd::Tail, reply)
}

/// Pushes elements one after the other, creating the list, and counts the changes; answers the length.
pub(super) fn push(ctx: &mut WriteContext<'_>, key: &[u8], end: ListEnd, elements: &[&[u8]]) -> StorageResult<u64> {
    let (at, now) = (ctx.at(key), ctx.now);
    let len = ctx.engine_mut(at).list_push(at, end, elements, now)?;
    ctx.dirty += elements.len() as u64;
    Ok(len)
}

fn push_and_reply(ctx: &mut WriteContext<'_>, args: &[&[u8]], end: ListEnd, reply: &mut Reply<'_>) -> CommandResult {
    let len = push(ctx, args[1], end, &args[2..])?;
    reply.integer(len.cast_signed());
    Ok(())
}

fn push_if_there(ctx: &mut WriteContext<'_>, args: &[&[u8]], end: ListEnd, reply: &mut Reply<'_>) -> CommandResult {
    if ctx.list(args[1])?.is_none() {
        reply.integer(0);
        return Ok(());
    }
    push_and_reply(ctx, args, end, reply)
}
