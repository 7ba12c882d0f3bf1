//! Setting and removing fields.

use smallvec::SmallVec;

use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult};
use crate::command::table::arity_error;
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::StorageResult;

/// `HSET key field value [field value ...]`
pub(super) fn hset(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let added = set_pairs(ctx, args, "hset")?;
    reply_len(added, reply);
    Ok(())
}

/// `HMSET key field value [field value ...]`
pub(super) fn hmset(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    set_pairs(ctx, args, "hmset")?;
    reply.ok();
    Ok(())
}

fn set_pairs(ctx: &mut WriteContext<'_>, args: &[&[u8]], name: &str) -> Result<usize, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(arity_error(name));
    }
    let pairs: SmallVec<[(&[u8], &[u8]); 8]> = args[2..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let added = ctx.engine_mut(at).hash_set(at, &pairs, now)?;
    ctx.dirty += pairs.len() as u64;
    Ok(added)
}

/// Sets one field and counts the change.
pub(super) fn set_field(ctx: &mut WriteContext<'_>, key: &[u8], field: &[u8], value: &[u8]) -> StorageResult<()> {
    let (at, now) = (ctx.at(key), ctx.now);
    ctx.engine_mut(at).hash_set(at, &[(field, value)], now)?;
    ctx.dirty += 1;
    Ok(())
}

/// Sets one field, lets it keep its expiry, and counts the change.
pub(super) fn update_field(ctx: &mut WriteContext<'_>, key: &[u8], field: &[u8], value: &[u8]) -> StorageResult<()> {
    let (at, now) = (ctx.at(key), ctx.now);
    ctx.engine_mut(at).hash_update(at, &[(field, value)], now)?;
    ctx.dirty += 1;
    Ok(())
}

/// `HSETNX key field value`
pub(super) fn hsetnx(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let exists = match ctx.hash(args[1])? {
        Some(hash) => hash.get(args[2])?.is_some(),
        None => false,
    };
    if !exists {
        set_field(ctx, args[1], args[2], args[3])?;
    }
    reply.integer(i64::from(!exists));
    Ok(())
}

/// `HDEL key field [field ...]`
pub(super) fn hdel(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let removed = ctx.engine_mut(at).hash_remove(at, &args[2..], now)?;
    ctx.dirty += removed as u64;
    reply_len(removed, reply);
    Ok(())
}
