//! What LMPOP, ZMPOP and their blocking forms ask for.

use super::cursor::Cursor;
use super::error::{CommandError, SYNTAX};
use crate::types::number::parse_i64;

/// `numkeys key [key ...] end [COUNT count]`
pub(super) struct MultiPop<'a, E> {
    /// Keys, of which the first that is there is popped from.
    pub(super) keys: &'a [&'a [u8]],
    /// Which end is popped from.
    pub(super) end: E,
    /// Most elements to pop, at least one.
    pub(super) count: u64,
}

impl<'a, E> MultiPop<'a, E> {
    /// Reads the arguments from the number of keys on; `end` knows the words for the ends.
    pub(super) fn parse(
        args: &'a [&'a [u8]],
        numkeys_at: usize,
        end: impl Fn(&[u8]) -> Option<E>,
    ) -> Result<Self, CommandError> {
        const NO_KEYS: CommandError = CommandError::Static("ERR numkeys should be greater than 0");
        const NO_COUNT: CommandError = CommandError::Static("ERR count should be greater than 0");
        let positive = |arg: &[u8]| {
            let number = parse_i64(arg).and_then(|number| u64::try_from(number).ok());
            number.filter(|&number| number > 0)
        };
        let behind_count = numkeys_at + 1;
        let numkeys = positive(args[numkeys_at]).ok_or(NO_KEYS)?;
        let room = (args.len() - behind_count) as u64;
        let behind = behind_count + numkeys.min(room) as usize;
        let mut cursor = Cursor::new(args, behind);
        let end = end(cursor.required()?).ok_or(SYNTAX)?;
        let mut count = None;
        while cursor.remaining() > 0 {
            if count.is_some() || cursor.remaining() < 2 || !cursor.accept("COUNT") {
                return Err(SYNTAX);
            }
            count = Some(positive(cursor.required()?).ok_or(NO_COUNT)?);
        }
        Ok(Self { keys: &args[behind_count..behind], end, count: count.unwrap_or(1) })
    }
}
