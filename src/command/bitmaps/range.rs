//! Counting and searching: BITCOUNT and BITPOS.
//!
//! Arguments are checked before the key is looked up, as since Redis 7.2: before, a missing key hid mistakes in them.

use super::unit_is_bit;
use crate::command::context::ReadContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::resp::Reply;
use crate::types::bits;

/// A part of a string, as the client wrote it.
struct Range {
    start: i64,
    /// Up to the end of the string if it is not given.
    end: Option<i64>,
    /// Whether positions are of bits; else they are of bytes.
    of_bits: bool,
}

impl Range {
    const WHOLE: Self = Self { start: 0, end: None, of_bits: false };

    /// The first and last bit of the range in a string of so many bytes; `None` if it is empty.
    fn bits(&self, bytes: usize) -> Option<(u64, u64)> {
        let width = if self.of_bits { 1 } else { 8 };
        let len = i64::try_from(bytes).expect("lengths in memory fit an i64") * 8 / width;
        let from_start = |position: i64| if position < 0 { position.saturating_add(len).max(0) } else { position };
        let start = from_start(self.start);
        let end = from_start(self.end.unwrap_or(-1)).min(len - 1);
        if start > end {
            return None;
        }
        let bit = |position: i64| u64::try_from(position).expect("positions were made positive");
        Some((bit(start * width), bit(end * width + width - 1)))
    }
}

/// `BITCOUNT key [start end [BYTE|BIT]]`
pub(super) fn bitcount(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut range = Range::WHOLE;
    if args.len() > 2 {
        if !(4..=5).contains(&args.len()) {
            return Err(SYNTAX);
        }
        let mut cursor = Cursor::new(args, 2);
        range.start = cursor.integer()?;
        range.end = Some(cursor.integer()?);
        range.of_bits = cursor.remaining() > 0 && unit_is_bit(&mut cursor)?;
    }
    let value = ctx.string(args[1])?;
    // Two positions from the end in the wrong order are empty whatever the length, also where both are before the start.
    let backwards = matches!(range.end, Some(end) if range.start < 0 && end < 0 && range.start > end);
    let count = match value {
        Some(value) if !backwards => {
            let bytes = value.into_bytes();
            range.bits(bytes.len()).map_or(0, |(first, last)| bits::count(&bytes, first, last))
        }
        _ => 0,
    };
    reply.integer(i64::try_from(count).expect("strings in memory have fewer bits"));
    Ok(())
}

/// `BITPOS key bit [start [end [BYTE|BIT]]]`
pub(super) fn bitpos(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const BIT: CommandError = CommandError::Static("ERR The bit argument must be 1 or 0.");
    let mut cursor = Cursor::new(args, 2);
    let on = match cursor.integer()? {
        0 => false,
        1 => true,
        _ => return Err(BIT),
    };
    if args.len() > 6 {
        return Err(SYNTAX);
    }
    let mut range = Range::WHOLE;
    if cursor.remaining() > 0 {
        range.start = cursor.integer()?;
        // The unit is checked before the end is.
        range.of_bits = args.len() == 6 && unit_is_bit(&mut Cursor::new(args, 5))?;
        if cursor.remaining() > 0 {
            range.end = Some(cursor.integer()?);
        }
    }
    let position = match ctx.string(args[1])? {
        // An endless row of clear bits.
        None => (!on).then_some(0),
        Some(value) => {
            let bytes = value.into_bytes();
            range.bits(bytes.len()).and_then(|(first, last)| {
                let found = bits::position(&bytes, on, first, last);
                // The bits beyond the end are clear, for whoever did not say where to stop.
                found.or_else(|| (!on && range.end.is_none()).then_some(last + 1))
            })
        }
    };
    reply.integer(position.map_or(-1, |bit| i64::try_from(bit).expect("strings in memory have fewer bits")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_redis() {
        let bits = |start, end, of_bits, bytes| Range { start, end, of_bits }.bits(bytes);
        assert_eq!(bits(0, None, false, 3), Some((0, 23)));
        assert_eq!(bits(1, Some(1), false, 3), Some((8, 15)));
        assert_eq!(bits(-2, Some(-1), false, 3), Some((8, 23)));
        assert_eq!(bits(-2, Some(-1), true, 3), Some((22, 23)));
        assert_eq!(bits(-100, Some(100), true, 3), Some((0, 23)));
        assert_eq!(bits(i64::MIN, Some(i64::MAX), false, 3), Some((0, 23)));
        assert_eq!(bits(i64::MIN, Some(i64::MIN), true, 3), Some((0, 0)));
        assert_eq!(bits(3, None, false, 3), None);
        assert_eq!(bits(2, Some(1), false, 3), None);
        assert_eq!(bits(0, None, false, 0), None);
    }
}
