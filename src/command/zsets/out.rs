//! Members and scores as replies, and results as sorted sets.

use std::ops::Range;

use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult};
use crate::command::items::{Companion, Pairs};
use crate::resp::Reply;
use crate::storage::{StorageResult, ZsetRead};

/// Replies with the members that have the ranks of a range, with or without their scores.
pub(super) fn reply_ranks(
    zset: &ZsetRead<'_>,
    ranks: Range<u64>,
    reverse: bool,
    with_scores: bool,
    reply: &mut Reply<'_>,
) -> StorageResult<()> {
    let mut out = Pairs { reply, with_companions: with_scores };
    out.begin(length(ranks.end - ranks.start));
    zset.walk(ranks, reverse, &mut |member, score| {
        out.push(member, Companion::Score(score));
        true
    })
}

/// A number of members in memory.
pub(super) fn length(count: u64) -> usize {
    usize::try_from(count).expect("counts fit the address space")
}

/// Replies with all members and scores.
pub(in crate::command) fn reply_whole(zset: &ZsetRead<'_>, reply: &mut Reply<'_>) -> StorageResult<()> {
    reply_ranks(zset, 0..zset.len(), false, true, reply)
}

/// Puts members in any order, none twice, in the place of whatever a key held; with none the key is gone. Replies
/// with their number. `changes` is what counts for them.
pub(in crate::command) fn store(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    mut members: Vec<(Vec<u8>, f64)>,
    changes: u64,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if members.is_empty() {
        ctx.remove(key)?;
        reply.integer(0);
        return Ok(());
    }
    members.sort_unstable_by(|a, b| crate::storage::zsets::compare((a.1, &a.0), (b.1, &b.0)));
    let count = members.len();
    let at = ctx.at(key);
    ctx.engine_mut(at).put_zset(at, members, None).map_err(CommandError::from)?;
    ctx.dirty += changes;
    crate::command::text::reply_len(count, reply);
    Ok(())
}
