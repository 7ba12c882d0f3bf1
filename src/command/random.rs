//! Drawing items at random: HRANDFIELD, SRANDMEMBER, ZRANDMEMBER, and the choice of SPOP.

use super::context::ReadContext;
use super::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use super::gathered::Gathered;
use super::items::{Companion, Items, Pairs, VisitItem};
use crate::resp::Reply;
use crate::storage::StorageResult;
use crate::types::number::parse_i64;
use crate::types::rng::Rng;

/// Drawing items one by one and dropping repetitions is cheaper than a walk over the whole collection while that has at
/// least this many times the items wanted.
const DRAW_MIN_RATIO: u64 = 3;
/// A collection of up to this many items is always walked.
const WALK_MAX_ITEMS: u64 = 128;
/// So many draws for each item wanted are enough by far, even where an engine does not draw quite evenly. An engine that
/// finds items by hashes of 32 bits never draws some of many that share one.
const DRAWS_PER_ITEM_MAX: u64 = 64;

/// How many items are asked for: as many different ones, or, negative, so many with repetitions.
#[derive(Clone, Copy)]
pub(super) struct Count {
    items: i64,
    with_companions: bool,
}

impl Count {
    /// Reads `[count [word]]`, which stands behind the key; `None` for one item, not in an array.
    pub(super) fn parse(args: &[&[u8]], word: Option<&str>) -> Result<Option<Self>, CommandError> {
        const RANGE: CommandError = CommandError::Static("ERR value is out of range");
        let Some((count, rest)) = args.split_first() else { return Ok(None) };
        if word.is_none() && !rest.is_empty() {
            return Err(SYNTAX);
        }
        let items = parse_i64(count).ok_or(NOT_INTEGER)?;
        if items == i64::MIN {
            let text = format!("ERR value is out of range, value must between {} and {}", -i64::MAX, i64::MAX);
            return Err(CommandError::Text(text));
        }
        let with_companions = match (rest, word) {
            ([], _) => false,
            ([arg], Some(word)) if arg.eq_ignore_ascii_case(word.as_bytes()) => true,
            _ => return Err(SYNTAX),
        };
        let limit = i64::MAX / 2;
        if with_companions && !(-limit..=limit).contains(&items) {
            return Err(RANGE);
        }
        Ok(Some(Self { items, with_companions }))
    }
}

/// Replies with items drawn at random.
pub(super) fn reply_random(
    ctx: &ReadContext<'_>,
    items: Option<&dyn Items>,
    count: Option<Count>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let items = match items {
        Some(items) if items.count()? > 0 => items,
        _ => {
            match count {
                None => reply.null(),
                Some(_) => reply.array(0),
            }
            return Ok(());
        }
    };
    let Some(Count { items: wanted, with_companions }) = count else {
        ctx.with_rng(|rng| {
            items.draw(rng, &mut |name, _| {
                reply.bulk(name);
                false
            })
        })?;
        return Ok(());
    };
    let mut out = Pairs { reply, with_companions };
    if wanted < 0 {
        return repeated(ctx, items, wanted.unsigned_abs(), &mut out);
    }
    let wanted = wanted.unsigned_abs().min(items.count()?);
    out.begin(wanted as usize);
    ctx.with_rng(|rng| {
        distinct(items, wanted, rng, &mut |name, companion| {
            out.push(name, companion);
            true
        })
    })?;
    Ok(())
}

/// So many draws, with repetitions. The reply is bounded like any string: a client could otherwise ask for more than
/// fits memory.
fn repeated(ctx: &ReadContext<'_>, items: &dyn Items, count: u64, out: &mut Pairs<'_, '_>) -> CommandResult {
    const TOO_LONG: CommandError = CommandError::Static("ERR reply exceeds maximum allowed size (proto-max-bulk-len)");
    /// Those of an empty string.
    const ITEM_MIN_BYTES: u64 = 6;
    let room = ctx.shared.bulk_max_bytes.unsigned_abs();
    if count > room / ITEM_MIN_BYTES {
        return Err(TOO_LONG);
    }
    let end = out.reply.len().saturating_add(usize::try_from(room).unwrap_or(usize::MAX));
    out.begin(count as usize);
    for _ in 0..count {
        ctx.with_rng(|rng| {
            items.draw(rng, &mut |name, companion| {
                out.push(name, companion);
                false
            })
        })?;
        if out.reply.len() > end {
            return Err(TOO_LONG);
        }
    }
    Ok(())
}

/// Visits so many different items; there must be as many.
pub(super) fn distinct(items: &dyn Items, wanted: u64, rng: &mut Rng, visit: &mut VisitItem<'_>) -> StorageResult<()> {
    if wanted == 0 {
        return Ok(());
    }
    let count = items.count()?;
    if count <= WALK_MAX_ITEMS || wanted > count / DRAW_MIN_RATIO {
        // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
        let (mut missing, mut left) = (wanted, count);
        return items.each(&mut |name, companion| {
            if rng.below(left) < missing {
                visit(name, companion);
                missing -= 1;
            }
            left -= 1;
            missing > 0
        });
    }
    let mut seen = Gathered::with_capacity(wanted as usize);
    let mut note = |name: &[u8], companion: Companion<'_>| {
        if seen.add(name) {
            visit(name, companion);
        }
        (seen.len() as u64) < wanted
    };
    for _ in 0..wanted.saturating_mul(DRAWS_PER_ITEM_MAX) {
        let mut lacks = true;
        items.draw(rng, &mut |name, companion| {
            lacks = note(name, companion);
            false
        })?;
        if !lacks {
            return Ok(());
        }
    }
    items.each(&mut note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ScanCursor;
    use std::collections::BTreeSet;

    /// Numbers, of which only the first `drawn` are ever drawn.
    struct Uneven {
        count: u64,
        drawn: u64,
    }

    impl Items for Uneven {
        fn count(&self) -> StorageResult<u64> {
            Ok(self.count)
        }

        fn each(&self, visit: &mut VisitItem<'_>) -> StorageResult<()> {
            (0..self.count).all(|number| visit(&number.to_be_bytes(), Companion::None));
            Ok(())
        }

        fn draw(&self, rng: &mut Rng, visit: &mut VisitItem<'_>) -> StorageResult<()> {
            visit(&rng.below(self.drawn).to_be_bytes(), Companion::None);
            Ok(())
        }

        fn step(&self, _: ScanCursor, _: usize, _: &mut VisitItem<'_>) -> StorageResult<ScanCursor> {
            Ok(ScanCursor::START)
        }
    }

    #[test]
    fn as_many_different_items_are_found_as_are_wanted() {
        for (count, drawn) in [(1, 1), (100, 100), (1000, 1000), (1000, 3)] {
            for wanted in [0, 1, count / 10, count / 2, count] {
                let (mut seen, mut visits) = (BTreeSet::new(), 0);
                distinct(&Uneven { count, drawn }, wanted, &mut Rng::new(wanted), &mut |name, _| {
                    seen.insert(name.to_vec());
                    visits += 1;
                    true
                })
                .unwrap();
                assert_eq!((seen.len() as u64, visits), (wanted, wanted), "{wanted} of {count}");
            }
        }
    }
}
