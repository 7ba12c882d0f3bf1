//! Expiries: when a key ceases to be.

use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER};
use crate::resp::Reply;
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// Milliseconds of a second.
const SECOND_MS: i64 = 1000;

/// `EXPIRE key seconds [NX|XX|GT|LT]`
pub(super) fn expire(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    set(ctx, args, ctx.now, SECOND_MS, "expire", reply)
}

/// `PEXPIRE key milliseconds [NX|XX|GT|LT]`
pub(super) fn pexpire(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    set(ctx, args, ctx.now, 1, "pexpire", reply)
}

/// `EXPIREAT key unix-seconds [NX|XX|GT|LT]`
pub(super) fn expireat(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    set(ctx, args, UnixMs(0), SECOND_MS, "expireat", reply)
}

/// `PEXPIREAT key unix-milliseconds [NX|XX|GT|LT]`
pub(super) fn pexpireat(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    set(ctx, args, UnixMs(0), 1, "pexpireat", reply)
}

/// Under which conditions an expiry is set.
#[derive(Default)]
struct Conditions {
    none_before: bool,
    some_before: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    fn parse(words: &[&[u8]]) -> Result<Self, CommandError> {
        const EXCLUSIVE: CommandError =
            CommandError::Static("ERR NX and XX, GT or LT options at the same time are not compatible");
        const OPPOSITE: CommandError =
            CommandError::Static("ERR GT and LT options at the same time are not compatible");
        let mut conditions = Self::default();
        for word in words {
            match word.to_ascii_uppercase().as_slice() {
                b"NX" => conditions.none_before = true,
                b"XX" => conditions.some_before = true,
                b"GT" => conditions.greater = true,
                b"LT" => conditions.less = true,
                _ => {
                    let text = format!("ERR Unsupported option {}", String::from_utf8_lossy(word));
                    return Err(CommandError::Text(text));
                }
            }
        }
        if conditions.none_before && (conditions.some_before || conditions.greater || conditions.less) {
            return Err(EXCLUSIVE);
        }
        if conditions.greater && conditions.less {
            return Err(OPPOSITE);
        }
        Ok(conditions)
    }

    /// Whether the expiry may change from `before` to `after`. A key without an expiry counts as one that
    /// expires infinitely late.
    fn allow(&self, before: Option<UnixMs>, after: UnixMs) -> bool {
        let refused = (self.none_before && before.is_some())
            || (self.some_before && before.is_none())
            || (self.greater && before.is_none_or(|before| after <= before))
            || (self.less && before.is_some_and(|before| after >= before));
        !refused
    }
}

fn set(
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    base: UnixMs,
    unit_ms: i64,
    name: &str,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let conditions = Conditions::parse(&args[3..])?;
    let number = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    let time = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base.0)).map(UnixMs);
    let Some(time) = time else {
        return Err(CommandError::Text(format!("ERR invalid expire time in '{name}' command")));
    };
    let Some(meta) = ctx.meta(args[1])? else {
        reply.integer(0);
        return Ok(());
    };
    if !conditions.allow(meta.expires_at, time) {
        reply.integer(0);
        return Ok(());
    }
    if time <= ctx.now {
        ctx.remove(args[1])?;
    } else {
        let (at, now) = (ctx.at(args[1]), ctx.now);
        ctx.engine_mut(at).set_expiry(at, Some(time), now)?;
        ctx.dirty += 1;
    }
    reply.integer(1);
    Ok(())
}

/// `PERSIST key`
pub(super) fn persist(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let expires = ctx.meta(args[1])?.is_some_and(|meta| meta.expires_at.is_some());
    if expires {
        let (at, now) = (ctx.at(args[1]), ctx.now);
        ctx.engine_mut(at).set_expiry(at, None, now)?;
        ctx.dirty += 1;
    }
    reply.integer(i64::from(expires));
    Ok(())
}

/// `TTL key`
pub(super) fn ttl(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args[1], reply, |time, now| rounded_seconds(left_ms(time, now)))
}

/// `PTTL key`
pub(super) fn pttl(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args[1], reply, left_ms)
}

/// `EXPIRETIME key`
pub(super) fn expiretime(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args[1], reply, |time, _now| rounded_seconds(time.0))
}

/// `PEXPIRETIME key`
pub(super) fn pexpiretime(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args[1], reply, |time, _now| time.0)
}

/// Replies -2 for no key, -1 for no expiry, else what `form` makes of the expiry.
fn tell(ctx: &ReadContext<'_>, key: &[u8], reply: &mut Reply<'_>, form: fn(UnixMs, UnixMs) -> i64) -> CommandResult {
    reply.integer(match ctx.probe(key)? {
        None => -2,
        Some(meta) => meta.expires_at.map_or(-1, |time| form(time, ctx.now)),
    });
    Ok(())
}

fn left_ms(time: UnixMs, now: UnixMs) -> i64 {
    time.0.saturating_sub(now.0).max(0)
}

/// Seconds, rounded half up as Redis does.
fn rounded_seconds(ms: i64) -> i64 {
    ms.saturating_add(SECOND_MS / 2) / SECOND_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_with_what_was_before() {
        let allow = |words: &[&[u8]], before: Option<i64>| {
            Conditions::parse(words).expect("the words are conditions").allow(before.map(UnixMs), UnixMs(10))
        };
        assert!(allow(&[], None) && allow(&[], Some(10)));
        assert!(allow(&[b"nx"], None) && !allow(&[b"nx"], Some(5)));
        assert!(!allow(&[b"xx"], None) && allow(&[b"xx"], Some(5)));
        assert!(!allow(&[b"gt"], None) && allow(&[b"gt"], Some(5)) && !allow(&[b"gt"], Some(10)));
        assert!(allow(&[b"lt"], None) && !allow(&[b"lt"], Some(10)) && allow(&[b"lt"], Some(11)));
        assert!(!allow(&[b"xx", b"lt"], None));
    }

    #[test]
    fn contradictions_are_errors() {
        for words in [&[&b"NX"[..], b"GT"][..], &[b"XX", b"NX"], &[b"GT", b"LT"], &[b"AB"]] {
            assert!(Conditions::parse(words).is_err());
        }
    }
}
