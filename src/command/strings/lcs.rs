//! `LCS`: the longest common subsequence of two strings.
//!
//! The textbook dynamic programming table: cell (i, j) holds the length of the longest common subsequence
//! of the first i bytes of one string and the first j of the other. Walking it backwards yields
//! the subsequence and the ranges it consists of, in Redis's order: last range first.

use std::borrow::Cow;

use crate::command::context::ReadContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::StorageError;

#[derive(Default)]
struct Options {
    length: bool,
    ranges: bool,
    with_match_length: bool,
    min_match_length: i64,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        const AMBIGUOUS: CommandError =
            CommandError::Static("ERR If you want both the length and indexes, please just use IDX.");
        let mut options = Self::default();
        let mut cursor = Cursor::new(args, 3);
        while cursor.remaining() > 0 {
            if cursor.accept("IDX") {
                options.ranges = true;
            } else if cursor.accept("LEN") {
                options.length = true;
            } else if cursor.accept("WITHMATCHLEN") {
                options.with_match_length = true;
            } else if cursor.remaining() > 1 && cursor.accept("MINMATCHLEN") {
                options.min_match_length = cursor.integer()?.max(0);
            } else {
                return Err(SYNTAX);
            }
        }
        if options.length && options.ranges { Err(AMBIGUOUS) } else { Ok(options) }
    }
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN min] [WITHMATCHLEN]`
pub(super) fn lcs(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let a = operand(ctx, args[1])?;
    let b = operand(ctx, args[2])?;
    let options = Options::parse(args)?;
    let table = Table::fill(&a, &b, ctx.shared.bulk_max_bytes.unsigned_abs())?;
    if options.length {
        reply_len(table.length(), reply);
        return Ok(());
    }
    let found = table.trace();
    if !options.ranges {
        reply.bulk(&found.subsequence);
        return Ok(());
    }
    let long_enough = |range: &&Range| i64::try_from(range.length).is_ok_and(|len| len >= options.min_match_length);
    let ranges: Vec<&Range> = found.ranges.iter().filter(long_enough).collect();
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(ranges.len());
    for range in ranges {
        reply.array(2 + usize::from(options.with_match_length));
        for start in [range.start_a, range.start_b] {
            reply.array(2);
            reply_len(start, reply);
            reply_len(start + range.length - 1, reply);
        }
        if options.with_match_length {
            reply_len(range.length, reply);
        }
    }
    reply.bulk(b"len");
    reply_len(table.length(), reply);
    Ok(())
}

fn operand<'a>(ctx: &ReadContext<'a>, key: &[u8]) -> Result<Cow<'a, [u8]>, CommandError> {
    const NOT_STRINGS: CommandError = CommandError::Static("ERR The specified keys must contain string values");
    match ctx.string(key) {
        Ok(Some(value)) => Ok(value.into_bytes()),
        Ok(None) => Ok(Cow::Borrowed(&[])),
        Err(StorageError::WrongType) => Err(NOT_STRINGS),
        Err(error) => Err(error.into()),
    }
}

/// A stretch that both strings share.
struct Range {
    start_a: usize,
    start_b: usize,
    length: usize,
}

struct Found {
    subsequence: Vec<u8>,
    /// Last first.
    ranges: Vec<Range>,
}

struct Table<'a> {
    a: &'a [u8],
    b: &'a [u8],
    cells: Vec<u32>,
}

impl<'a> Table<'a> {
    /// Fills the table, unless it would take more than `memory_max_bytes`.
    fn fill(a: &'a [u8], b: &'a [u8], memory_max_bytes: u64) -> Result<Self, CommandError> {
        const TOO_LONG: CommandError = CommandError::Static("ERR String too long for LCS");
        const TOO_LARGE: CommandError =
            CommandError::Static("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        const LONGEST: usize = u32::MAX as usize - 1;
        if a.len() >= LONGEST || b.len() >= LONGEST {
            return Err(TOO_LONG);
        }
        let cell_count = (a.len() as u64 + 1) * (b.len() as u64 + 1);
        if cell_count.saturating_mul(size_of::<u32>() as u64) > memory_max_bytes {
            return Err(TOO_LARGE);
        }
        let width = b.len() + 1;
        let mut cells = vec![0; usize::try_from(cell_count).map_err(|_too_large| TOO_LARGE)?];
        for (row, byte_a) in a.iter().enumerate() {
            let (above, current) = cells[row * width..(row + 2) * width].split_at_mut(width);
            for (column, byte_b) in b.iter().enumerate() {
                current[column + 1] =
                    if byte_a == byte_b { above[column] + 1 } else { above[column + 1].max(current[column]) };
            }
        }
        Ok(Self { a, b, cells })
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * (self.b.len() + 1) + j]
    }

    fn length(&self) -> usize {
        self.at(self.a.len(), self.b.len()) as usize
    }

    fn trace(&self) -> Found {
        let mut subsequence = Vec::with_capacity(self.length());
        let mut ranges: Vec<Range> = Vec::new();
        // Whether the last range may still grow at its start.
        let mut open = false;
        let (mut i, mut j) = (self.a.len(), self.b.len());
        while i > 0 && j > 0 {
            if self.a[i - 1] == self.b[j - 1] {
                subsequence.push(self.a[i - 1]);
                i -= 1;
                j -= 1;
                match ranges.last_mut() {
                    Some(range) if open => {
                        range.start_a = i;
                        range.start_b = j;
                        range.length += 1;
                    }
                    _ => ranges.push(Range { start_a: i, start_b: j, length: 1 }),
                }
                open = true;
            } else {
                if self.at(i - 1, j) > self.at(i, j - 1) {
                    i -= 1;
                } else {
                    j -= 1;
                }
                open = false;
            }
        }
        subsequence.reverse();
        Found { subsequence, ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_subsequence_and_ranges() {
        let table = Table::fill(b"ohmytext", b"mynewtext", 1 << 20).expect("the table is small");
        let found = table.trace();
        assert_eq!((table.length(), found.subsequence.as_slice()), (6, &b"mytext"[..]));
        let ranges: Vec<_> = found.ranges.iter().map(|range| (range.start_a, range.start_b, range.length)).collect();
        assert_eq!(ranges, [(4, 5, 4), (2, 0, 2)]);
    }

    #[test]
    fn memory_is_bounded() {
        assert!(Table::fill(&[0; 100], &[0; 100], 4 * 101 * 101 - 1).is_err());
        assert!(Table::fill(&[0; 100], &[0; 100], 4 * 101 * 101).is_ok());
    }
}
