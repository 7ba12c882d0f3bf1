//! What SCAN, HSCAN, SSCAN and ZSCAN have in common: cursors, options, and the steps of the last three.

use super::cursor::Cursor;
use super::error::{CommandError, CommandResult, SYNTAX};
use super::items::{Companion, Items};
use super::text::Decimal;
use crate::resp::{Reply, ReplyBuffer};
use crate::storage::ScanCursor;
use crate::types::glob;
use crate::types::number::{format_f64, parse_u64};

/// Elements of a step when the client does not say.
const COUNT_DEFAULT: usize = 10;

/// Reads the cursor a client sends back, as forgiving as C's `strtoul`, which Redis reads it with: nothing at all is
/// zero, a sign is taken, and a negative number counts down from 2^64.
pub(super) fn parse_cursor(arg: &[u8]) -> Result<ScanCursor, CommandError> {
    const INVALID: CommandError = CommandError::Static("ERR invalid cursor");
    let (negative, digits) = match arg {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() && arg.is_empty() {
        return Ok(ScanCursor::START);
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(INVALID);
    }
    let number = parse_u64(digits).ok_or(INVALID)?;
    Ok(ScanCursor(if negative { number.wrapping_neg() } else { number }))
}

/// `[MATCH pattern] [COUNT count] [TYPE type]`, and for hashes `[NOVALUES]`.
pub(super) struct Options<'a> {
    /// The pattern, unless it matches everything.
    pub(super) pattern: Option<&'a [u8]>,
    /// About how many elements to visit.
    pub(super) count: usize,
    /// Name of a type; only SCAN takes it.
    pub(super) kind: Option<&'a [u8]>,
    /// Leave values out; only HSCAN takes it.
    pub(super) no_values: bool,
}

impl<'a> Options<'a> {
    /// Options of SCAN.
    pub(super) fn of_scan(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        Self::parse(Cursor::new(args, 2), true)
    }

    /// Options of HSCAN.
    pub(super) fn of_hscan(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        Self::parse(Cursor::new(args, 3), false)
    }

    /// Options of SSCAN and ZSCAN.
    pub(super) fn of_sscan(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        let options = Self::of_hscan(args)?;
        if options.no_values { Err(SYNTAX) } else { Ok(options) }
    }

    fn parse(mut cursor: Cursor<'a>, keys: bool) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: COUNT_DEFAULT, kind: None, no_values: false };
        while cursor.remaining() > 0 {
            if !keys && cursor.accept("NOVALUES") {
                options.no_values = true;
            } else if cursor.remaining() < 2 {
                return Err(SYNTAX);
            } else if cursor.accept("COUNT") {
                let count = cursor.integer()?;
                if count < 1 {
                    return Err(SYNTAX);
                }
                options.count = usize::try_from(count).unwrap_or(usize::MAX);
            } else if cursor.accept("MATCH") {
                let pattern = cursor.required()?;
                options.pattern = (pattern != b"*").then_some(pattern);
            } else if keys && cursor.accept("TYPE") {
                options.kind = Some(cursor.required()?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    /// Whether an element's name matches.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name, false))
    }
}

/// Replies with the items of one step of HSCAN and its like. The options are read when there is a collection.
pub(super) fn reply_step<'a>(
    items: Option<&dyn Items>,
    cursor: ScanCursor,
    options: impl FnOnce() -> Result<Options<'a>, CommandError>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.array(2);
    let Some(items) = items else {
        reply.bulk(b"0");
        reply.array(0);
        return Ok(());
    };
    let options = options()?;
    let mut elements = ReplyBuffer::default();
    let mut out = elements.reply(reply.protocol());
    let mut count = 0;
    let ScanCursor(next) = items.step(cursor, options.count, &mut |name, companion| {
        if options.matches(name) {
            out.bulk(name);
            count += 1;
            match companion {
                Companion::Value(value) if !options.no_values => out.bulk(value),
                // A string in both versions of the protocol.
                Companion::Score(score) => out.bulk(format_f64(score).as_bytes()),
                Companion::Whole(score) => out.bulk(Decimal::new(score).as_bytes()),
                _ => return true,
            }
            count += 1;
        }
        true
    })?;
    reply.bulk_display(next);
    reply.array(count);
    reply.append(&mut elements);
    Ok(())
}
