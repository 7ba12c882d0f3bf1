//! `SRANDMEMBER` and `SPOP`.

use super::basic::len;
use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::gathered::Gathered;
use crate::command::items::Items;
use crate::command::random::{Count, distinct, reply_random};
use crate::resp::Reply;
use crate::storage::StorageResult;
use crate::types::number::parse_i64;

/// When SPOP takes more than this many times what stays, it makes a new set of what stays. As in Redis.
const MOVE_MIN_RATIO: usize = 5;

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let count = Count::parse(&args[2..], None)?;
    let set = ctx.members(args[1])?;
    reply_random(ctx, set.as_ref().map(|set| set as &dyn Items), count, reply)
}

/// `SPOP key [count]`
pub(super) fn spop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const NEGATIVE: CommandError = CommandError::Static("ERR value is out of range, must be positive");
    match args {
        [_, key] => pop_one(ctx, key, reply),
        [_, key, count] => {
            let count = parse_i64(count).and_then(|count| usize::try_from(count).ok()).ok_or(NEGATIVE)?;
            pop_many(ctx, key, count, reply)
        }
        _ => Err(SYNTAX),
    }
}

fn pop_one(ctx: &mut WriteContext<'_>, key: &[u8], reply: &mut Reply<'_>) -> CommandResult {
    let mut rng = *ctx.rng;
    let Some(set) = ctx.members(key)? else {
        reply.null();
        return Ok(());
    };
    let mut popped = Vec::new();
    set.random(&mut rng, &mut |member| popped.extend_from_slice(member))?;
    drop(set);
    *ctx.rng = rng;
    remove(ctx, key, &[&popped])?;
    reply.bulk(&popped);
    Ok(())
}

fn remove(ctx: &mut WriteContext<'_>, key: &[u8], members: &[&[u8]]) -> StorageResult<()> {
    let (at, now) = (ctx.at(key), ctx.now);
    let removed = ctx.engine_mut(at).set_remove(at, members, now)?;
    ctx.dirty += removed as u64;
    Ok(())
}

fn pop_many(ctx: &mut WriteContext<'_>, key: &[u8], count: usize, reply: &mut Reply<'_>) -> CommandResult {
    let mut rng = *ctx.rng;
    let Some(set) = ctx.members(key)? else {
        reply.set(0);
        return Ok(());
    };
    let members = len(&set);
    let count = count.min(members);
    let staying = members - count;
    reply.set(count);
    if count == members {
        set.for_each(&mut |member| {
            reply.bulk(member);
            true
        })?;
        drop(set);
        let (at, now) = (ctx.at(key), ctx.now);
        ctx.engine_mut(at).remove(at, now)?;
        ctx.dirty += count as u64;
    } else if count > staying.saturating_mul(MOVE_MIN_RATIO) {
        let mut kept = Gathered::with_capacity(staying);
        distinct(&set, staying as u64, &mut rng, &mut |member, _| kept.add(member))?;
        set.for_each(&mut |member| {
            if !kept.contains(member) {
                reply.bulk(member);
            }
            true
        })?;
        drop(set);
        *ctx.rng = rng;
        let at = ctx.at(key);
        let expires_at = ctx.meta(key)?.and_then(|meta| meta.expires_at);
        ctx.engine_mut(at).put_set(at, kept.into_members(), expires_at)?;
        ctx.dirty += count as u64;
    } else if count > 0 {
        let mut popped = Vec::with_capacity(count);
        distinct(&set, count as u64, &mut rng, &mut |member, _| {
            popped.push(member.to_vec());
            true
        })?;
        drop(set);
        *ctx.rng = rng;
        popped.iter().for_each(|member| reply.bulk(member));
        remove(ctx, key, &popped.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    } else {
        drop(set);
    }
    Ok(())
}
