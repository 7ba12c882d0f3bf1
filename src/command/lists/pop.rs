//! Taking elements from the ends of lists.

use super::end_of;
use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult};
use crate::command::multi_pop::MultiPop;
use crate::command::table::arity_error;
use crate::resp::Reply;
use crate::storage::{ListEnd, StorageResult};
use crate::types::number::parse_i64;

const COUNT_NEGATIVE: CommandError = CommandError::Static("ERR value is out of range, must be positive");

/// `LPOP key [count]`
pub(super) fn lpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop_command(ctx, args, ListEnd::Head, "lpop", reply)
}

/// `RPOP key [count]`
pub(super) fn rpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop_command(ctx, args, ListEnd::Tail, "rpop", reply)
}

fn pop_command(
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    end: ListEnd,
    name: &str,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let count = match args {
        [_, _] => None,
        [_, _, count] => Some(parse_i64(count).and_then(|count| u64::try_from(count).ok()).ok_or(COUNT_NEGATIVE)?),
        _ => return Err(arity_error(name)),
    };
    match count {
        None => {
            if pop(ctx, args[1], end, 1, &mut |element| reply.bulk(element))? == 0 {
                reply.null();
            }
        }
        Some(count) => match list_len(ctx, args[1])? {
            None => reply.null_array(),
            Some(len) => pop_some(ctx, args[1], end, count.min(len), reply)?,
        },
    }
    Ok(())
}

/// The length of a list, if there is one.
pub(super) fn list_len(ctx: &WriteContext<'_>, key: &[u8]) -> StorageResult<Option<u64>> {
    Ok(ctx.list(key)?.map(|list| list.len()))
}

/// Takes up to `count` elements from an end of a list, passing each to `popped`, and counts the changes; answers how many
/// there were: none if there is no list.
pub(super) fn pop(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    end: ListEnd,
    count: u64,
    popped: &mut dyn FnMut(&[u8]),
) -> StorageResult<u64> {
    let (at, now) = (ctx.at(key), ctx.now);
    let taken = ctx.engine_mut(at).list_pop(at, end, count, now, popped)?;
    ctx.dirty += taken;
    Ok(taken)
}

/// Takes so many elements, which the list has, and replies with them.
fn pop_some(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    end: ListEnd,
    count: u64,
    reply: &mut Reply<'_>,
) -> StorageResult<()> {
    reply.array(count as usize);
    if count > 0 {
        pop(ctx, key, end, count, &mut |element| reply.bulk(element))?;
    }
    Ok(())
}

/// `LMPOP numkeys key [key ...] LEFT|RIGHT [COUNT count]`
pub(super) fn lmpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let MultiPop { keys, end, count } = parse_lmpop(args, 1)?;
    if !multi_pop(ctx, keys, end, count, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What LMPOP asks for, from the number of keys on.
pub(in crate::command) fn parse_lmpop<'a>(
    args: &'a [&'a [u8]],
    numkeys_at: usize,
) -> Result<MultiPop<'a, ListEnd>, CommandError> {
    MultiPop::parse(args, numkeys_at, end_of)
}

/// Takes elements from the first list that is there and replies with its key and them; answers whether there was one.
fn multi_pop(
    ctx: &mut WriteContext<'_>,
    keys: &[&[u8]],
    end: ListEnd,
    count: u64,
    reply: &mut Reply<'_>,
) -> StorageResult<bool> {
    for key in keys {
        if let Some(len) = list_len(ctx, key)? {
            reply.array(2);
            reply.bulk(key);
            pop_some(ctx, key, end, count.min(len), reply)?;
            ctx.only_changed = (keys.len() > 1).then(|| key.to_vec());
            return Ok(true);
        }
    }
    Ok(false)
}
