//! Strings that are numbers.

use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult, NOT_FLOAT, NOT_INTEGER};
use crate::command::text::Decimal;
use crate::resp::Reply;
use crate::storage::{Expiry, StringValue};
use crate::types::decimal::LongDouble;
use crate::types::number::parse_i64;

/// What INCR and its like answer when the sum does not fit 64 bits.
pub(in crate::command) const OVERFLOW: CommandError = CommandError::Static("ERR increment or decrement would overflow");
/// What INCRBYFLOAT and its like answer when the sum is no number.
pub(in crate::command) const NOT_FINITE: CommandError =
    CommandError::Static("ERR increment would produce NaN or Infinity");

/// `INCR key`
pub(super) fn incr(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    add(ctx, args[1], 1, reply)
}

/// `DECR key`
pub(super) fn decr(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    add(ctx, args[1], -1, reply)
}

/// `INCRBY key increment`
pub(super) fn incrby(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let increment = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    add(ctx, args[1], increment, reply)
}

/// `DECRBY key decrement`
pub(super) fn decrby(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const NO_OPPOSITE: CommandError = CommandError::Static("ERR decrement would overflow");
    let decrement = parse_i64(args[2]).ok_or(NOT_INTEGER)?;
    add(ctx, args[1], decrement.checked_neg().ok_or(NO_OPPOSITE)?, reply)
}

fn add(ctx: &mut WriteContext<'_>, key: &[u8], increment: i64, reply: &mut Reply<'_>) -> CommandResult {
    let old = match ctx.string(key)? {
        None => 0,
        Some(StringValue::Int(number)) => number,
        Some(StringValue::Bytes(bytes)) => parse_i64(&bytes).ok_or(NOT_INTEGER)?,
    };
    let new = old.checked_add(increment).ok_or(OVERFLOW)?;
    ctx.set_string(key, Decimal::new(new).as_bytes(), Expiry::Keep)?;
    reply.integer(new);
    Ok(())
}

/// `INCRBYFLOAT key increment`
pub(super) fn incrbyfloat(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let old = match ctx.string(args[1])? {
        None => LongDouble::ZERO,
        Some(value) => LongDouble::parse(&value.into_bytes()).ok_or(NOT_FLOAT)?,
    };
    let increment = LongDouble::parse(args[2]).ok_or(NOT_FLOAT)?;
    let new = old + increment;
    if !new.is_finite() {
        return Err(NOT_FINITE);
    }
    let text = new.to_human_string();
    // Redis keeps the sum as text, whole or not.
    let (at, now) = (ctx.at(args[1]), ctx.now);
    ctx.engine_mut(at).set_text(at, text.as_bytes(), Expiry::Keep, now)?;
    ctx.dirty += 1;
    reply.bulk(text.as_bytes());
    Ok(())
}
