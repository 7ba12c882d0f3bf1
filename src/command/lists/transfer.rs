//! Moving an element from list to list.

use super::{end_of, push};
use crate::command::context::WriteContext;
use crate::command::error::{CommandResult, SYNTAX};
use crate::resp::Reply;
use crate::storage::{ListEnd, StorageResult};

/// `LMOVE source destination LEFT|RIGHT LEFT|RIGHT`
pub(super) fn lmove(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (from, to) = (end_of(args[3]).ok_or(SYNTAX)?, end_of(args[4]).ok_or(SYNTAX)?);
    move_and_reply(ctx, (args[1], from), (args[2], to), reply)
}

/// `RPOPLPUSH source destination`
pub(super) fn rpoplpush(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    move_and_reply(ctx, (args[1], ListEnd::Tail), (args[2], ListEnd::Head), reply)
}

fn move_and_reply(
    ctx: &mut WriteContext<'_>,
    source: (&[u8], ListEnd),
    destination: (&[u8], ListEnd),
    reply: &mut Reply<'_>,
) -> CommandResult {
    match move_element(ctx, source, destination)? {
        Some(element) => reply.bulk(&element),
        None => reply.null(),
    }
    Ok(())
}

/// Moves an element from an end of a list to an end of another, which may be the same and is created if it is not there;
/// answers the element, `None` if there is no source.
pub(super) fn move_element(
    ctx: &mut WriteContext<'_>,
    (source, from): (&[u8], ListEnd),
    (destination, to): (&[u8], ListEnd),
) -> StorageResult<Option<Vec<u8>>> {
    if ctx.list(source)?.is_none() {
        return Ok(None);
    }
    // A destination of another kind is refused before anything is taken.
    ctx.list(destination)?;
    let mut element = None;
    if source == destination {
        // The key stays, with its expiry, also when it has one element only.
        let Some(list) = ctx.list(source)? else { return Ok(None) };
        let (len, index) = (list.len(), if from == ListEnd::Head { 0 } else { list.len() - 1 });
        element = list.get(index)?.map(std::borrow::Cow::into_owned);
        drop(list);
        if len == 1 {
            ctx.dirty += 1;
            return Ok(element);
        }
    }
    super::pop::pop(ctx, source, from, 1, &mut |popped| element = Some(popped.to_vec()))?;
    if let Some(element) = &element {
        push::push(ctx, destination, to, &[element])?;
        // Redis counts a move once.
        ctx.dirty -= 1;
    }
    Ok(element)
}
