//! Adding and removing members.

use smallvec::SmallVec;

use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NOT_FLOAT, SYNTAX};
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::{ScoreRule, ZaddOutcome};
use crate::types::number::parse_f64;

/// Members with scores.
type Pairs<'a> = SmallVec<[(&'a [u8], f64); 4]>;

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
pub(in crate::command) struct AddOptions {
    /// Which scores are set.
    pub(in crate::command) rule: ScoreRule,
    /// `CH`: reply with the number of changes.
    pub(in crate::command) changes: bool,
}

impl AddOptions {
    /// Takes one more option; answers whether it was one.
    fn accept(&mut self, cursor: &mut Cursor<'_>) -> bool {
        let rule = &mut self.rule;
        for (word, option) in [
            ("NX", &mut rule.only_new),
            ("XX", &mut rule.only_present),
            ("CH", &mut self.changes),
            ("INCR", &mut rule.increment),
            ("GT", &mut rule.only_greater),
            ("LT", &mut rule.only_less),
        ] {
            if cursor.accept(word) {
                *option = true;
                return true;
            }
        }
        false
    }

    fn check(&self, pairs: usize) -> Result<(), CommandError> {
        const NX_XX: CommandError = CommandError::Static("ERR XX and NX options at the same time are not compatible");
        const GT_LT: CommandError =
            CommandError::Static("ERR GT, LT, and/or NX options at the same time are not compatible");
        const ONE_PAIR: CommandError = CommandError::Static("ERR INCR option supports a single increment-element pair");
        let ScoreRule { only_new, only_present, only_greater, only_less, increment } = self.rule;
        if only_new && only_present {
            Err(NX_XX)
        } else if [only_new, only_greater, only_less].into_iter().filter(|&rule| rule).count() > 1 {
            Err(GT_LT)
        } else if increment && pairs > 1 {
            Err(ONE_PAIR)
        } else {
            Ok(())
        }
    }
}

/// `ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]`
pub(super) fn zadd(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    add(ctx, args, AddOptions::default(), reply)
}

/// `ZINCRBY key increment member`
pub(super) fn zincrby(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let rule = ScoreRule { increment: true, ..ScoreRule::default() };
    add(ctx, args, AddOptions { rule, changes: false }, reply)
}

fn add(ctx: &mut WriteContext<'_>, args: &[&[u8]], mut options: AddOptions, reply: &mut Reply<'_>) -> CommandResult {
    let mut cursor = Cursor::new(args, 2);
    while options.accept(&mut cursor) {}
    let rest = &args[args.len() - cursor.remaining()..];
    if rest.is_empty() || !rest.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    options.check(rest.len() / 2)?;
    let mut pairs = Pairs::with_capacity(rest.len() / 2);
    for pair in rest.chunks_exact(2) {
        pairs.push((pair[1], parse_f64(pair[0]).ok_or(NOT_FLOAT)?));
    }
    let outcome = add_all(ctx, args[1], &pairs, options.rule)?;
    reply_added(outcome, options, reply);
    Ok(())
}

/// Adds members and counts the changes.
pub(in crate::command) fn add_all(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    pairs: &[(&[u8], f64)],
    rule: ScoreRule,
) -> Result<ZaddOutcome, CommandError> {
    let (at, now) = (ctx.at(key), ctx.now);
    let outcome = ctx.engine_mut(at).zset_add(at, pairs, rule, now)?;
    if outcome.not_a_number {
        return Err(CommandError::Static("ERR resulting score is not a number (NaN)"));
    }
    ctx.dirty += outcome.changed();
    Ok(outcome)
}

/// Replies as ZADD does.
pub(in crate::command) fn reply_added(outcome: ZaddOutcome, options: AddOptions, reply: &mut Reply<'_>) {
    if options.rule.increment {
        match outcome.score {
            Some(score) => reply.double(score),
            None => reply.null(),
        }
    } else {
        let count = if options.changes { outcome.changed() } else { outcome.added };
        reply_len(super::out::length(count), reply);
    }
}

/// `ZREM key member [member ...]`
pub(super) fn zrem(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let removed = ctx.engine_mut(at).zset_remove(at, &args[2..], now)?;
    ctx.dirty += removed;
    reply_len(super::out::length(removed), reply);
    Ok(())
}
