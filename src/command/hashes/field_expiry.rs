//! Expiries of fields: `HEXPIRE`, `HTTL`, `HPERSIST` and their like.

use crate::command::context::{ReadContext, WriteContext};
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER};
use crate::resp::Reply;
use crate::storage::{HashRead, StorageResult};
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// Milliseconds of a second.
pub(super) const SECOND_MS: i64 = 1000;
/// The latest expiry that Redis gives a field: it keeps 46 bits.
const EXPIRY_MAX_MS: i64 = (1 << 46) - 1;

const NO_FIELD: i64 = -2;
const NO_EXPIRY: i64 = -1;
const NOT_MET: i64 = 0;
const DONE: i64 = 1;
const DELETED: i64 = 2;

/// The refusal of a count of fields; which one depends on the command.
pub(super) const NOT_POSITIVE: CommandError = CommandError::Static("ERR Number of fields must be a positive integer");

/// Reads a time to live or a point in time: `base` and so many units later.
pub(super) fn parse_expiry(arg: &[u8], unit_ms: i64, base: UnixMs, name: &str) -> Result<UnixMs, CommandError> {
    const NEGATIVE: CommandError = CommandError::Static("ERR invalid expire time, must be >= 0");
    let number = parse_i64(arg).ok_or(NOT_INTEGER)?;
    if number < 0 {
        return Err(NEGATIVE);
    }
    let time = number.checked_mul(unit_ms).filter(|&ms| ms <= EXPIRY_MAX_MS - base.0);
    match time {
        Some(ms) => Ok(UnixMs(base.0 + ms)),
        None => Err(CommandError::Text(format!("ERR invalid expire time in '{name}' command"))),
    }
}

/// The fields behind `FIELDS numfields`, where FIELDS must stand at `at` and the fields must be all that is left.
pub(super) fn parse_fields<'a>(
    args: &'a [&'a [u8]],
    at: usize,
    not_positive: CommandError,
) -> Result<&'a [&'a [u8]], CommandError> {
    const MISSING: CommandError =
        CommandError::Static("ERR Mandatory argument FIELDS is missing or not at the right position");
    const COUNT: CommandError =
        CommandError::Static("ERR The `numfields` parameter must match the number of arguments");
    if !args.get(at).is_some_and(|word| word.eq_ignore_ascii_case(b"FIELDS")) {
        return Err(MISSING);
    }
    let Some(count) = args.get(at + 1).and_then(|count| parse_i64(count)).filter(|&count| count > 0) else {
        return Err(not_positive);
    };
    let fields = &args[at + 2..];
    if usize::try_from(count).is_ok_and(|count| count == fields.len()) { Ok(fields) } else { Err(COUNT) }
}

/// Under which condition an expiry is set.
#[derive(Clone, Copy)]
enum Condition {
    None,
    NoneBefore,
    SomeBefore,
    Greater,
    Less,
}

impl Condition {
    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_slice() {
            b"NX" => Self::NoneBefore,
            b"XX" => Self::SomeBefore,
            b"GT" => Self::Greater,
            b"LT" => Self::Less,
            _ => return None,
        })
    }

    /// A field without an expiry counts as one that expires infinitely late.
    fn allows(self, before: Option<UnixMs>, after: UnixMs) -> bool {
        match self {
            Self::None => true,
            Self::NoneBefore => before.is_none(),
            Self::SomeBefore => before.is_some(),
            Self::Greater => before.is_some_and(|before| after > before),
            Self::Less => before.is_none_or(|before| after < before),
        }
    }
}

/// `HEXPIRE key seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn hexpire(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    expire(ctx, args, SECOND_MS, ctx.now, "hexpire", reply)
}

/// `HPEXPIRE key milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn hpexpire(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    expire(ctx, args, 1, ctx.now, "hpexpire", reply)
}

/// `HEXPIREAT key unix-seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn hexpireat(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    expire(ctx, args, SECOND_MS, UnixMs(0), "hexpireat", reply)
}

/// `HPEXPIREAT key unix-milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]`
pub(super) fn hpexpireat(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    expire(ctx, args, 1, UnixMs(0), "hpexpireat", reply)
}

fn expire(
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    unit_ms: i64,
    base: UnixMs,
    name: &str,
    reply: &mut Reply<'_>,
) -> CommandResult {
    const COUNT: CommandError = CommandError::Static("ERR Parameter `numFields` should be greater than 0");
    ctx.hash(args[1])?;
    let time = parse_expiry(args[2], unit_ms, base, name)?;
    let condition = Condition::parse(args[3]);
    let fields = parse_fields(args, if condition.is_some() { 4 } else { 3 }, COUNT)?;
    let condition = condition.unwrap_or(Condition::None);
    reply.array(fields.len());
    // A field may be named twice: what was done for the first one counts for the second.
    for field in fields {
        let done = match field_expiry(ctx, args[1], field)? {
            None => NO_FIELD,
            Some(before) if !condition.allows(before, time) => NOT_MET,
            Some(_) => set_or_remove(ctx, args[1], field, Some(time))?,
        };
        reply.integer(done);
    }
    Ok(())
}

/// The expiry of a field, if the field is there.
pub(super) fn field_expiry(ctx: &WriteContext<'_>, key: &[u8], field: &[u8]) -> StorageResult<Option<Option<UnixMs>>> {
    match ctx.hash(key)? {
        Some(hash) => hash.field_expiry(field),
        None => Ok(None),
    }
}

/// Gives a field that is there an expiry or takes it away; removes the field if its time has come already. Counts the
/// change.
pub(super) fn set_or_remove(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    field: &[u8],
    expires_at: Option<UnixMs>,
) -> StorageResult<i64> {
    let (at, now) = (ctx.at(key), ctx.now);
    ctx.dirty += 1;
    if expires_at.is_some_and(|time| time <= now) {
        ctx.engine_mut(at).hash_remove(at, &[field], now)?;
        return Ok(DELETED);
    }
    ctx.engine_mut(at).set_field_expiry(at, field, expires_at, now)?;
    Ok(DONE)
}

/// `HPERSIST key FIELDS numfields field [field ...]`
pub(super) fn hpersist(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    ctx.hash(args[1])?;
    let fields = parse_fields(args, 2, NOT_POSITIVE)?;
    let mut changed = false;
    reply.array(fields.len());
    for field in fields {
        reply.integer(match field_expiry(ctx, args[1], field)? {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(_)) => {
                let (at, now) = (ctx.at(args[1]), ctx.now);
                ctx.engine_mut(at).set_field_expiry(at, field, None, now)?;
                changed = true;
                DONE
            }
        });
    }
    ctx.dirty += u64::from(changed);
    Ok(())
}

/// `HTTL key FIELDS numfields field [field ...]`
pub(super) fn httl(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args, reply, |time, now| seconds(time.0 - now.0))
}

/// `HPTTL key FIELDS numfields field [field ...]`
pub(super) fn hpttl(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args, reply, |time, now| time.0 - now.0)
}

/// `HEXPIRETIME key FIELDS numfields field [field ...]`
pub(super) fn hexpiretime(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args, reply, |time, _now| seconds(time.0))
}

/// `HPEXPIRETIME key FIELDS numfields field [field ...]`
pub(super) fn hpexpiretime(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    tell(ctx, args, reply, |time, _now| time.0)
}

/// Seconds, rounded up; keys' are rounded half up.
fn seconds(ms: i64) -> i64 {
    (ms + SECOND_MS - 1) / SECOND_MS
}

fn tell(
    ctx: &ReadContext<'_>,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
    form: fn(UnixMs, UnixMs) -> i64,
) -> CommandResult {
    let hash: Option<HashRead<'_>> = ctx.hash(args[1])?;
    let fields = parse_fields(args, 2, NOT_POSITIVE)?;
    reply.array(fields.len());
    for field in fields {
        let expiry = match &hash {
            Some(hash) => hash.field_expiry(field)?,
            None => None,
        };
        reply.integer(match expiry {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(time)) => form(time, ctx.now),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expiries_are_bounded_as_in_redis() {
        let base = UnixMs(1_700_000_000_000);
        let parse = |text: &str, unit, base| parse_expiry(text.as_bytes(), unit, base, "x").map_err(|e| e.to_string());
        assert_eq!(parse("5", SECOND_MS, base), Ok(UnixMs(base.0 + 5000)));
        assert_eq!(parse("0", 1, base), Ok(base));
        assert_eq!(parse("70368744177663", 1, UnixMs(0)), Ok(UnixMs(EXPIRY_MAX_MS)));
        for (text, unit, base) in
            [("70368744177664", 1, UnixMs(0)), ("70368744177663", 1, base), ("9223372036854775807", SECOND_MS, base)]
        {
            assert_eq!(parse(text, unit, base), Err("ERR invalid expire time in 'x' command".to_owned()));
        }
        assert_eq!(parse("-1", 1, base), Err("ERR invalid expire time, must be >= 0".to_owned()));
        assert_eq!(parse("x", 1, base), Err("ERR value is not an integer or out of range".to_owned()));
    }

    #[test]
    fn conditions_compare_with_what_was_before() {
        let allows = |word: &[u8], before: Option<i64>| {
            Condition::parse(word).expect("it is a condition").allows(before.map(UnixMs), UnixMs(10))
        };
        assert!(allows(b"nx", None) && !allows(b"nx", Some(5)));
        assert!(!allows(b"xx", None) && allows(b"xx", Some(5)));
        assert!(!allows(b"gt", None) && allows(b"gt", Some(5)) && !allows(b"gt", Some(10)));
        assert!(allows(b"lt", None) && !allows(b"lt", Some(10)) && allows(b"lt", Some(11)));
        assert!(Condition::parse(b"FIELDS").is_none());
    }
}
