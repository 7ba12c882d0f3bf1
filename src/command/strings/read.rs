//! Reading strings.

use std::borrow::Cow;

use crate::command::context::ReadContext;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER};
use crate::command::text::{reply_len, reply_string, string_len};
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::resp::Reply;
use crate::storage::StorageError;
use crate::types::number::parse_i64;

/// `GET key`
pub(super) fn get(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    match ctx.string(args[1])? {
        Some(value) => reply_string(&value, reply),
        None => reply.null(),
    }
    Ok(())
}

/// `MGET key [key ...]`; a key that holds no string is as good as absent.
pub(super) fn mget(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply.array(args.len() - 1);
    for keys in args[1..].chunks(LOOK_AHEAD_COMMANDS_MAX) {
        ctx.store.prefetch_all(ctx.db, keys.iter().copied());
        for key in keys {
            match ctx.string(key) {
                Ok(Some(value)) => reply_string(&value, reply),
                Ok(None) | Err(StorageError::WrongType) => reply.null(),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// `STRLEN key`
pub(super) fn strlen(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_len(ctx.string(args[1])?.as_ref().map_or(0, string_len), reply);
    Ok(())
}

/// `GETRANGE key start end`, and `SUBSTR`, its older name.
pub(super) fn getrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (start, end) = (integer(args[2])?, integer(args[3])?);
    let bytes = ctx.string(args[1])?.map_or(Cow::Borrowed(&[][..]), |value| value.into_bytes());
    reply.bulk(slice(&bytes, start, end));
    Ok(())
}

fn integer(arg: &[u8]) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(NOT_INTEGER)
}

/// The bytes from `start` to `end`, both included; negative positions count from the end.
fn slice(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let len = i64::try_from(bytes.len()).expect("lengths in memory fit an i64");
    let from_start = |position: i64| if position < 0 { (len + position).max(0) } else { position };
    let start = from_start(start);
    let end = from_start(end).min(len - 1);
    if start > end {
        return &[];
    }
    let index = |position: i64| usize::try_from(position).expect("positions were made positive");
    &bytes[index(start)..=index(end)]
}

#[cfg(test)]
mod tests {
    use super::slice;

    #[test]
    fn slices_follow_redis() {
        for (start, end, expected) in [
            (0, 3, "Hell"),
            (0, -1, "Hello"),
            (-3, -1, "llo"),
            (-1, -3, ""),
            (3, 1, ""),
            (5, 9, ""),
            (-100, 100, "Hello"),
            (0, -100, "H"),
            (i64::MIN, i64::MAX, "Hello"),
        ] {
            assert_eq!(slice(b"Hello", start, end), expected.as_bytes(), "{start} {end}");
        }
        assert_eq!(slice(b"", 0, -1), b"");
    }
}
