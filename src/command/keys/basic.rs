//! Removing, counting and naming keys.

use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::CommandResult;
use crate::resp::Reply;

/// `DEL key [key ...]` and `UNLINK key [key ...]`
pub(super) fn del(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut removed = 0;
    for key in &args[1..] {
        removed += i64::from(ctx.remove(key)?);
    }
    reply.integer(removed);
    Ok(())
}

/// `EXISTS key [key ...]`: a key named twice counts twice.
pub(super) fn exists(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut found = 0;
    for key in &args[1..] {
        found += i64::from(ctx.probe(key)?.is_some());
    }
    reply.integer(found);
    Ok(())
}

/// `TOUCH key [key ...]`
pub(super) fn touch(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut found = 0;
    for key in &args[1..] {
        found += i64::from(ctx.lookup_meta(key)?.is_some());
    }
    reply.integer(found);
    Ok(())
}

/// `TYPE key`
pub(super) fn type_of(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.simple(ctx.probe(args[1])?.map_or("none", |meta| meta.kind.name()));
    Ok(())
}
