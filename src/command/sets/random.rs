//! `SRANDMEMBER` and `SPOP`.

use super::basic::len;
use super::gathered::Gathered;
use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::storage::sets::VisitMember;
use crate::storage::{SetRead, StorageResult};
use crate::types::number::parse_i64;
use crate::types::rng::Rng;

/// Drawing members one by one and dropping repetitions is cheaper than a walk over the whole set while the set has at
/// least this many times the members wanted.
const DRAW_MIN_RATIO: usize = 3;
/// A set of up to this many members is always walked.
const WALK_MAX_MEMBERS: usize = 128;
/// When SPOP takes more than this many times what stays, it makes a new set of what stays. As in Redis.
const MOVE_MIN_RATIO: usize = 5;

/// `SRANDMEMBER key [count]`
pub(super) fn srandmember(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let Some(count) = args.get(2) else {
        match ctx.members(args[1])? {
            Some(set) => ctx.with_rng(|rng| set.random(rng, &mut |member| reply.bulk(member)))?,
            None => reply.null(),
        }
        return Ok(());
    };
    if args.len() > 3 {
        return Err(SYNTAX);
    }
    let count = parse_i64(count).ok_or(NOT_INTEGER)?;
    if count == i64::MIN {
        let text = format!("ERR value is out of range, value must between {} and {}", -i64::MAX, i64::MAX);
        return Err(CommandError::Text(text));
    }
    let Some(set) = ctx.members(args[1])? else {
        reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        return repeated(ctx, &set, wanted, reply);
    }
    let wanted = wanted.min(len(&set));
    reply.array(wanted);
    ctx.with_rng(|rng| {
        distinct(&set, wanted, rng, &mut |member| {
            reply.bulk(member);
            true
        })
    })?;
    Ok(())
}

/// So many draws, with repetitions. The reply is bounded like any string: a client could otherwise ask for more than
/// fits memory.
fn repeated(ctx: &ReadContext<'_>, set: &SetRead<'_>, count: usize, reply: &mut Reply<'_>) -> CommandResult {
    const TOO_LONG: CommandError = CommandError::Static("ERR reply exceeds maximum allowed size (proto-max-bulk-len)");
    let room = usize::try_from(ctx.shared.bulk_max_bytes.unsigned_abs()).unwrap_or(usize::MAX);
    // A member takes at least the six bytes of an empty string.
    if count > room / 6 {
        return Err(TOO_LONG);
    }
    let end = reply.len().saturating_add(room);
    reply.array(count);
    for _ in 0..count {
        ctx.with_rng(|rng| set.random(rng, &mut |member| reply.bulk(member)))?;
        if reply.len() > end {
            return Err(TOO_LONG);
        }
    }
    Ok(())
}

/// Visits so many different members; there must be as many.
fn distinct(set: &SetRead<'_>, wanted: usize, rng: &mut Rng, visit: &mut VisitMember<'_>) -> StorageResult<()> {
    let members = len(set);
    if wanted == 0 {
        return Ok(());
    }
    if members <= WALK_MAX_MEMBERS || wanted > members / DRAW_MIN_RATIO {
        // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
        let (mut missing, mut left) = (wanted as u64, members as u64);
        return set.for_each(&mut |member| {
            if rng.below(left) < missing {
                visit(member);
                missing -= 1;
            }
            left -= 1;
            missing > 0
        });
    }
    let mut seen = Gathered::with_capacity(wanted);
    while seen.len() < wanted {
        set.random(rng, &mut |member| {
            if seen.add(member) {
                visit(member);
            }
        })?;
    }
    Ok(())
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
        distinct(&set, staying, &mut rng, &mut |member| kept.add(member))?;
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
        distinct(&set, count, &mut rng, &mut |member| {
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
