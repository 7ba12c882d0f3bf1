//! Members one by one, and walks over them.

use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::CommandResult;
use crate::command::items::Items;
use crate::command::scan::{Options, parse_cursor, reply_step};
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::SetRead;

/// `SADD key member [member ...]`
pub(super) fn sadd(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let added = ctx.engine_mut(at).set_add(at, &args[2..], now)?;
    ctx.dirty += added as u64;
    reply_len(added, reply);
    Ok(())
}

/// `SREM key member [member ...]`
pub(super) fn srem(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let removed = ctx.engine_mut(at).set_remove(at, &args[2..], now)?;
    ctx.dirty += removed as u64;
    reply_len(removed, reply);
    Ok(())
}

/// `SMOVE source destination member`
pub(super) fn smove(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (source, destination, member) = (args[1], args[2], args[3]);
    let there = match ctx.members(source)? {
        Some(set) => set.contains(member)?,
        None => {
            reply.integer(0);
            return Ok(());
        }
    };
    // A destination of another kind is refused even if there is nothing to move.
    ctx.members(destination)?;
    if there && source != destination {
        let now = ctx.now;
        let (from, to) = (ctx.at(source), ctx.at(destination));
        ctx.engine_mut(from).set_remove(from, &[member], now)?;
        let added = ctx.engine_mut(to).set_add(to, &[member], now)?;
        ctx.dirty += 1 + added as u64;
        if added == 0 {
            ctx.only_changed = Some(source.to_vec());
        }
    }
    reply.integer(i64::from(there));
    Ok(())
}

/// `SCARD key`
pub(super) fn scard(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_len(ctx.members(args[1])?.as_ref().map_or(0, len), reply);
    Ok(())
}

/// Number of members.
pub(super) fn len(set: &SetRead<'_>) -> usize {
    usize::try_from(set.len()).expect("counts fit the address space")
}

/// `SISMEMBER key member`
pub(super) fn sismember(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let there = match ctx.members(args[1])? {
        Some(set) => set.contains(args[2])?,
        None => false,
    };
    reply.integer(i64::from(there));
    Ok(())
}

/// `SMISMEMBER key member [member ...]`
pub(super) fn smismember(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let set = ctx.members(args[1])?;
    reply.array(args.len() - 2);
    for member in &args[2..] {
        let there = match &set {
            Some(set) => set.contains(member)?,
            None => false,
        };
        reply.integer(i64::from(there));
    }
    Ok(())
}

/// `SMEMBERS key`
pub(super) fn smembers(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let Some(set) = ctx.members(args[1])? else {
        reply.set(0);
        return Ok(());
    };
    reply.set(len(&set));
    set.for_each(&mut |member| {
        reply.bulk(member);
        true
    })?;
    Ok(())
}

/// `SSCAN key cursor [MATCH pattern] [COUNT count]`
pub(super) fn sscan(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let cursor = parse_cursor(args[2])?;
    let set = ctx.members(args[1])?;
    reply_step(set.as_ref().map(|set| set as &dyn Items), cursor, || Options::of_sscan(args), reply)
}
