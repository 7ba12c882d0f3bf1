//! Fields that are numbers.

use super::write::update_field;
use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult, NOT_FLOAT, NOT_INTEGER};
use crate::command::strings::{NOT_FINITE, OVERFLOW};
use crate::command::text::Decimal;
use crate::resp::Reply;
use crate::types::decimal::LongDouble;
use crate::types::number::parse_i64;

/// `HINCRBY key field increment`
pub(super) fn hincrby(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const VALUE: CommandError = CommandError::Static("ERR hash value is not an integer");
    let increment = parse_i64(args[3]).ok_or(NOT_INTEGER)?;
    let old = field(ctx, args[1], args[2], 0, |value| parse_i64(value).ok_or(VALUE))?;
    let new = old.checked_add(increment).ok_or(OVERFLOW)?;
    update_field(ctx, args[1], args[2], Decimal::new(new).as_bytes())?;
    reply.integer(new);
    Ok(())
}

/// `HINCRBYFLOAT key field increment`
pub(super) fn hincrbyfloat(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const VALUE: CommandError = CommandError::Static("ERR hash value is not a float");
    const INFINITE: CommandError = CommandError::Static("ERR value is NaN or Infinity");
    let increment = LongDouble::parse(args[3]).ok_or(NOT_FLOAT)?;
    if !increment.is_finite() {
        return Err(INFINITE);
    }
    let old = field(ctx, args[1], args[2], LongDouble::ZERO, |value| LongDouble::parse(value).ok_or(VALUE))?;
    let new = old + increment;
    if !new.is_finite() {
        return Err(NOT_FINITE);
    }
    let text = new.to_human_string();
    update_field(ctx, args[1], args[2], text.as_bytes())?;
    reply.bulk(text.as_bytes());
    Ok(())
}

/// The number in a field, or `absent` when there is none.
fn field<N>(
    ctx: &WriteContext<'_>,
    key: &[u8],
    field: &[u8],
    absent: N,
    parse: impl FnOnce(&[u8]) -> Result<N, CommandError>,
) -> Result<N, CommandError> {
    let Some(hash) = ctx.hash(key)? else { return Ok(absent) };
    hash.get(field)?.map_or(Ok(absent), |value| parse(&value))
}
