//! `HRANDFIELD`.

use std::collections::BTreeSet;

use super::read::live_len;
use crate::command::context::ReadContext;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::resp::{Protocol, Reply};
use crate::storage::HashRead;
use crate::types::number::parse_i64;

/// Drawing fields one by one and dropping repetitions is cheaper than a walk over the whole hash while
/// the hash has at least this many times the fields wanted.
const DRAW_MIN_RATIO: usize = 3;
/// A hash of up to this many fields is always walked.
const WALK_MAX_FIELDS: usize = 128;

/// `HRANDFIELD key [count [WITHVALUES]]`
pub(super) fn hrandfield(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if args.len() == 2 {
        let Some(hash) = ctx.hash(args[1])? else {
            reply.null();
            return Ok(());
        };
        if live_len(&hash)? == 0 {
            reply.null();
            return Ok(());
        }
        return draw(ctx, &hash, &mut |field, _value| reply.bulk(field));
    }
    let (count, with_values) = parse(args)?;
    let hash = match ctx.hash(args[1])? {
        Some(hash) if live_len(&hash)? > 0 => Some(hash),
        _ => None,
    };
    let Some(hash) = hash else {
        reply.array(0);
        return Ok(());
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let mut out = Pairs { reply, with_values };
    if count < 0 { repeated(ctx, &hash, wanted, &mut out) } else { distinct(ctx, &hash, wanted, &mut out) }
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
        [word] if word.eq_ignore_ascii_case(b"WITHVALUES") => {
            let limit = i64::MAX / 2;
            if (-limit..=limit).contains(&count) { Ok((count, true)) } else { Err(RANGE) }
        }
        _ => Err(SYNTAX),
    }
}

/// Replies with fields, or with fields and values: in RESP3 pair by pair, in RESP2 flat.
struct Pairs<'r, 'b> {
    reply: &'r mut Reply<'b>,
    with_values: bool,
}

impl Pairs<'_, '_> {
    fn begin(&mut self, count: usize) {
        let flat = self.with_values && self.reply.protocol() == Protocol::Resp2;
        self.reply.array(if flat { count * 2 } else { count });
    }

    fn push(&mut self, field: &[u8], value: &[u8]) {
        if self.with_values && self.reply.protocol() == Protocol::Resp3 {
            self.reply.array(2);
        }
        self.reply.bulk(field);
        if self.with_values {
            self.reply.bulk(value);
        }
    }
}

fn draw(ctx: &ReadContext<'_>, hash: &HashRead<'_>, visit: &mut dyn FnMut(&[u8], &[u8])) -> CommandResult {
    let mut visit = |field: &[u8], value: &[u8]| {
        visit(field, value);
        false
    };
    ctx.with_rng(|rng| hash.random(rng, &mut visit))?;
    Ok(())
}

/// So many draws, with repetitions. The reply is bounded like any string: a client could otherwise ask
/// for more than fits memory.
fn repeated(ctx: &ReadContext<'_>, hash: &HashRead<'_>, count: usize, out: &mut Pairs<'_, '_>) -> CommandResult {
    const TOO_LONG: CommandError = CommandError::Static("ERR reply exceeds maximum allowed size (proto-max-bulk-len)");
    let room = usize::try_from(ctx.shared.bulk_max_bytes.unsigned_abs()).unwrap_or(usize::MAX);
    // A field takes at least the six bytes of an empty string.
    if count > room / 6 {
        return Err(TOO_LONG);
    }
    let end = out.reply.len().saturating_add(room);
    out.begin(count);
    for _ in 0..count {
        draw(ctx, hash, &mut |field, value| out.push(field, value))?;
        if out.reply.len() > end {
            return Err(TOO_LONG);
        }
    }
    Ok(())
}

/// So many different fields, or all there are.
fn distinct(ctx: &ReadContext<'_>, hash: &HashRead<'_>, count: usize, out: &mut Pairs<'_, '_>) -> CommandResult {
    let fields = live_len(hash)?;
    let wanted = count.min(fields);
    out.begin(wanted);
    if wanted == 0 {
        return Ok(());
    }
    if fields <= WALK_MAX_FIELDS || wanted > fields / DRAW_MIN_RATIO {
        // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
        let (mut missing, mut left) = (wanted as u64, fields as u64);
        return ctx.with_rng(|rng| {
            hash.for_each(&mut |field, value| {
                if rng.below(left) < missing {
                    out.push(field, value);
                    missing -= 1;
                }
                left -= 1;
                missing > 0
            })
            .map_err(CommandError::from)
        });
    }
    let mut seen = BTreeSet::new();
    while seen.len() < wanted {
        draw(ctx, hash, &mut |field, value| {
            if seen.insert(field.to_vec()) {
                out.push(field, value);
            }
        })?;
    }
    Ok(())
}
