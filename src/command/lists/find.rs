//! Looking for elements by their value.

use crate::command::context::ReadContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::storage::{ListRead, StorageResult};
use crate::types::number::parse_i64;

const RANK_ZERO: CommandError = CommandError::Static(
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from \
     the end of the list",
);
const RANK_OUT_OF_RANGE: CommandError =
    CommandError::Static("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
const COUNT_NEGATIVE: CommandError = CommandError::Static("ERR COUNT can't be negative");
const MAXLEN_NEGATIVE: CommandError = CommandError::Static("ERR MAXLEN can't be negative");

/// Visits the indexes of the elements that equal `wanted`, from the head or from the tail, among the first `max` that
/// are compared, until `visit` wants no more.
pub(super) fn matches(
    list: &ListRead<'_>,
    wanted: &[u8],
    reverse: bool,
    max: u64,
    visit: &mut dyn FnMut(u64) -> bool,
) -> StorageResult<()> {
    let len = list.len();
    let mut compared = 0;
    list.walk(if reverse { len - 1 } else { 0 }, reverse, &mut |element| {
        let index = if reverse { len - 1 - compared } else { compared };
        compared += 1;
        (element != wanted || visit(index)) && compared < max
    })
}

/// What LPOS asks for.
struct Options {
    /// Which match is the first that counts, from 1 on.
    rank: u64,
    reverse: bool,
    /// Most matches to answer with; `None` for the first, not in an array.
    count: Option<u64>,
    /// Most elements to compare.
    max: u64,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut options = Self { rank: 1, reverse: false, count: None, max: u64::MAX };
        let mut cursor = Cursor::new(args, 3);
        while let Some(word) = cursor.next_arg() {
            let value = cursor.next_arg().ok_or(SYNTAX)?;
            let unlimited = |error| match parse_i64(value).and_then(|number| u64::try_from(number).ok()) {
                Some(0) => Ok(u64::MAX),
                Some(number) => Ok(number),
                None => Err(error),
            };
            if word.eq_ignore_ascii_case(b"rank") {
                let rank = parse_i64(value).ok_or(NOT_INTEGER)?;
                match rank {
                    i64::MIN => return Err(RANK_OUT_OF_RANGE),
                    0 => return Err(RANK_ZERO),
                    _ => (options.rank, options.reverse) = (rank.unsigned_abs(), rank < 0),
                }
            } else if word.eq_ignore_ascii_case(b"count") {
                options.count = Some(unlimited(COUNT_NEGATIVE)?);
            } else if word.eq_ignore_ascii_case(b"maxlen") {
                options.max = unlimited(MAXLEN_NEGATIVE)?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// `LPOS key element [RANK rank] [COUNT num-matches] [MAXLEN len]`
pub(super) fn lpos(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let options = Options::parse(args)?;
    let mut found: Vec<u64> = Vec::new();
    if let Some(list) = ctx.list(args[1])? {
        let wanted = options.count.unwrap_or(1);
        let mut skip = options.rank - 1;
        matches(&list, args[2], options.reverse, options.max, &mut |index| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            found.push(index);
            (found.len() as u64) < wanted
        })?;
    }
    if options.count.is_some() {
        reply.array(found.len());
        found.iter().for_each(|&index| reply.integer(index.cast_signed()));
    } else if let Some(&index) = found.first() {
        reply.integer(index.cast_signed());
    } else {
        reply.null();
    }
    Ok(())
}
