//! The arguments of SORT.

use std::ops::Range;

use super::pattern::Pattern;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, SYNTAX};

/// What elements are ordered by.
pub(super) enum By<'a> {
    /// Themselves.
    Elements,
    /// What they name.
    Pattern(Pattern<'a>),
    /// Nothing: they stay as they are.
    Nothing,
}

/// What SORT is told to do.
pub(super) struct Options<'a> {
    pub(super) by: By<'a>,
    /// What is answered for each element, in the place of the element itself.
    pub(super) get: Vec<Pattern<'a>>,
    pub(super) descending: bool,
    /// Whether texts are compared; else they are numbers.
    pub(super) alpha: bool,
    pub(super) store: Option<&'a [u8]>,
    offset: i64,
    /// All that are left if it is negative.
    count: i64,
}

impl<'a> Options<'a> {
    /// Reads the options of a SORT. `one_shard` says that every key is at hand; if not, patterns may only name keys of
    /// the slot of the key to be sorted.
    pub(super) fn parse(args: &'a [&'a [u8]], may_store: bool, one_shard: bool) -> Result<Self, CommandError> {
        const BY_DENIED: CommandError = CommandError::Static("ERR BY option of SORT denied in cluster mode.");
        const GET_DENIED: CommandError = CommandError::Static("ERR GET option of SORT denied in cluster mode.");
        let mut options = Self {
            by: By::Elements,
            get: Vec::new(),
            descending: false,
            alpha: false,
            store: None,
            offset: 0,
            count: -1,
        };
        let mut cursor = Cursor::new(args, 2);
        while cursor.remaining() > 0 {
            let behind = cursor.remaining() - 1;
            if cursor.accept("ASC") {
                options.descending = false;
            } else if cursor.accept("DESC") {
                options.descending = true;
            } else if cursor.accept("ALPHA") {
                options.alpha = true;
            } else if behind >= 2 && cursor.accept("LIMIT") {
                options.offset = cursor.integer()?;
                options.count = cursor.integer()?;
            } else if may_store && behind >= 1 && cursor.accept("STORE") {
                options.store = Some(cursor.required()?);
            } else if behind >= 1 && cursor.accept("BY") {
                let text = cursor.required()?;
                let pattern = Pattern::new(text);
                if !one_shard && !pattern.stays_in_slot_of(args[1]) {
                    return Err(BY_DENIED);
                }
                // What names the same for every element gives no order.
                options.by = if text.contains(&b'*') { By::Pattern(pattern) } else { By::Nothing };
            } else if behind >= 1 && cursor.accept("GET") {
                let pattern = Pattern::new(cursor.required()?);
                if !one_shard && !pattern.stays_in_slot_of(args[1]) {
                    return Err(GET_DENIED);
                }
                options.get.push(pattern);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    /// Which of so many elements are asked for.
    pub(super) fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(offset: i64, count: i64, len: usize) -> Range<usize> {
        let (offset, count) = (offset.to_string(), count.to_string());
        let args: [&[u8]; 5] = [b"SORT", b"key", b"LIMIT", offset.as_bytes(), count.as_bytes()];
        let Ok(options) = Options::parse(&args, true, true) else { panic!("the options are right") };
        options.range(len)
    }

    #[test]
    fn limits_follow_redis() {
        assert_eq!(range(0, -1, 5), 0..5);
        assert_eq!(range(1, 2, 5), 1..3);
        assert_eq!(range(-3, 2, 5), 0..2);
        assert_eq!(range(4, 100, 5), 4..5);
        assert_eq!(range(9, 1, 5), 5..5);
        assert_eq!(range(2, 0, 5), 2..2);
        assert_eq!(range(i64::MAX, i64::MAX, 5), 5..5);
        assert_eq!(range(0, i64::MIN, 0), 0..0);
    }
}
