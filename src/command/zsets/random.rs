//! `ZRANDMEMBER`.

use std::collections::BTreeSet;

use super::out::{Members, length};
use crate::command::context::ReadContext;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::storage::ZsetRead;
use crate::types::number::parse_i64;

/// Drawing ranks one by one and dropping repetitions is cheaper than a walk over the whole set while it has at
/// least this many times the members wanted.
const DRAW_MIN_RATIO: u64 = 3;
/// A set of up to this many members is always walked.
const WALK_MAX_MEMBERS: u64 = 128;

/// `ZRANDMEMBER key [count [WITHSCORES]]`
pub(super) fn zrandmember(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if args.len() == 2 {
        let Some(zset) = ctx.zset(args[1])? else {
            reply.null();
            return Ok(());
        };
        return draw(ctx, &zset, &mut |member, _score| reply.bulk(member));
    }
    let (count, with_scores) = parse(args)?;
    let Some(zset) = ctx.zset(args[1])? else {
        reply.array(0);
        return Ok(());
    };
    let mut out = Members { reply, with_scores };
    let wanted = count.unsigned_abs();
    if count < 0 { repeated(ctx, &zset, wanted, &mut out) } else { distinct(ctx, &zset, wanted, &mut out) }
}

fn parse(args: &[&[u8]]) -> Result<(i64, bool), CommandError> {
    const RANGE: CommandError = CommandError::Static("ERR value is out of range");
    let count = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    if count == i64::MIN {
        let text = format!("ERR value is out of range, value must between {} and {}", -i64::MAX, i64::MAX);
        return Err(CommandError::Text(text));
    }
    match &args[3..] {
        [] => Ok((count, false)),
        [word] if word.eq_ignore_ascii_case(b"WITHSCORES") => {
            let limit = i64::MAX / 2;
            if (-limit..=limit).contains(&count) { Ok((count, true)) } else { Err(RANGE) }
        }
        _ => Err(SYNTAX),
    }
}

fn draw(ctx: &ReadContext<'_>, zset: &ZsetRead<'_>, visit: &mut dyn FnMut(&[u8], f64)) -> CommandResult {
    let mut visit = |member: &[u8], score: f64| {
        visit(member, score);
        false
    };
    ctx.with_rng(|rng| zset.random(rng, &mut visit))?;
    Ok(())
}

/// So many draws, with repetitions. The reply is bounded like any string: a client could otherwise ask for more
/// than fits memory.
fn repeated(ctx: &ReadContext<'_>, zset: &ZsetRead<'_>, count: u64, out: &mut Members<'_, '_>) -> CommandResult {
    const TOO_LONG: CommandError = CommandError::Static("ERR reply exceeds maximum allowed size (proto-max-bulk-len)");
    let room = ctx.shared.bulk_max_bytes.unsigned_abs();
    // A member takes at least the six bytes of an empty string.
    if count > room / 6 {
        return Err(TOO_LONG);
    }
    let end = out.reply.len().saturating_add(length(room));
    out.begin(length(count));
    for _ in 0..count {
        draw(ctx, zset, &mut |member, score| out.push(member, score))?;
        if out.reply.len() > end {
            return Err(TOO_LONG);
        }
    }
    Ok(())
}

/// So many different members, or all there are.
fn distinct(ctx: &ReadContext<'_>, zset: &ZsetRead<'_>, count: u64, out: &mut Members<'_, '_>) -> CommandResult {
    let members = zset.len();
    let wanted = count.min(members);
    out.begin(length(wanted));
    if wanted == 0 {
        return Ok(());
    }
    if members <= WALK_MAX_MEMBERS || wanted > members / DRAW_MIN_RATIO {
        // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
        let (mut missing, mut left) = (wanted, members);
        return ctx.with_rng(|rng| {
            zset.walk(0..members, false, &mut |member, score| {
                if rng.below(left) < missing {
                    out.push(member, score);
                    missing -= 1;
                }
                left -= 1;
                missing > 0
            })
            .map_err(CommandError::from)
        });
    }
    let mut ranks = BTreeSet::new();
    while (ranks.len() as u64) < wanted {
        ranks.insert(ctx.with_rng(|rng| rng.below(members)));
    }
    for rank in ranks {
        zset.walk(rank..rank + 1, false, &mut |member, score| {
            out.push(member, score);
            true
        })?;
    }
    Ok(())
}
