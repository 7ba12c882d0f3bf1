//! Taking elements from the ends of lists.

use super::parse_end;
use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::table::arity_error;
use crate::resp::Reply;
use crate::storage::{ListEnd, StorageResult};
use crate::types::number::parse_i64;

const COUNT_NEGATIVE: CommandError = CommandError::Static("ERR value is out of range, must be positive");
const NO_KEYS: CommandError = CommandError::Static("ERR numkeys should be greater than 0");
const NO_COUNT: CommandError = CommandError::Static("ERR count should be greater than 0");

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
    let MultiPop { keys, end, count } = MultiPop::parse(args, 1)?;
    if !multi_pop(ctx, keys, end, count, reply)? {
        reply.null_array();
    }
    Ok(())
}

/// What LMPOP and its blocking form ask for.
pub(super) struct MultiPop<'a> {
    pub(super) keys: &'a [&'a [u8]],
    pub(super) end: ListEnd,
    pub(super) count: u64,
}

impl<'a> MultiPop<'a> {
    /// Reads `numkeys key [key ...] LEFT|RIGHT [COUNT count]` from an argument on.
    pub(super) fn parse(args: &'a [&'a [u8]], numkeys_at: usize) -> Result<Self, CommandError> {
        let numkeys = parse_i64(args[numkeys_at]).filter(|&number| number > 0).ok_or(NO_KEYS)?;
        let mut cursor = Cursor::new(args, numkeys_at + 1);
        let numkeys = usize::try_from(numkeys).ok().filter(|&number| number < cursor.remaining()).ok_or(SYNTAX)?;
        let keys = &args[numkeys_at + 1..][..numkeys];
        cursor = Cursor::new(args, numkeys_at + 1 + numkeys);
        let end = parse_end(cursor.required()?)?;
        let mut count = None;
        while cursor.remaining() > 0 {
            if count.is_some() || !cursor.accept("COUNT") || cursor.remaining() == 0 {
                return Err(SYNTAX);
            }
            let number = cursor.next_arg().and_then(parse_i64).filter(|&number| number > 0).ok_or(NO_COUNT)?;
            count = Some(number.unsigned_abs());
        }
        Ok(Self { keys, end, count: count.unwrap_or(1) })
    }
}

/// Takes elements from the first list that is there and replies with its key and them; answers whether there was one.
pub(super) fn multi_pop(
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
            return Ok(true);
        }
    }
    Ok(false)
}
