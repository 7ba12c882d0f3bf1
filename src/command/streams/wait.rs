//! What a client of XREAD or XREADGROUP with `BLOCK` waits for. The waiting itself is the server's affair.

use super::read::{From, ReadArgs, no_group};
use crate::command::context::ReadContext;
use crate::command::error::CommandError;
use crate::storage::StorageError;
use crate::storage::streams::IdRange;

/// A read of streams that found nothing and is to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamWait {
    /// How long, in milliseconds; 0 is for ever.
    pub timeout_ms: u64,
    /// Where the keys to wait for are among the arguments.
    pub keys: std::ops::Range<usize>,
    /// The request to be executed when there may be something, with the ids that `$` stands for now, and with the
    /// number of entries that Redis reads after a wait if the client names none.
    pub args: Vec<Vec<u8>>,
}

/// Most entries of each stream that are read after a wait, if the client does not say.
const COUNT_AFTER_WAIT: &[u8] = b"1000";

/// Whether a read of streams is to wait, and how. `None` when it is to be executed at once: because there is something
/// to read, because it does not want to wait, or because executing it answers an error. Counts no hit and no miss.
///
/// # Errors
/// When an engine cannot be read.
pub fn stream_wait(ctx: &ReadContext<'_>, args: &[&[u8]]) -> Result<Option<StreamWait>, CommandError> {
    let Ok(read) = ReadArgs::parse(args) else { return Ok(None) };
    let Some(timeout_ms) = read.block_ms else { return Ok(None) };
    match find_news(ctx, args, false) {
        Ok(true) => return Ok(None),
        Err(error) if error.is_deterministic() => return Ok(None),
        found => found?,
    };
    let mut resolved: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
    let ids_at = read.keys_at + read.keys.len();
    for (position, key) in read.keys.iter().enumerate() {
        if read.from(position)? == From::Now {
            let at = ctx.at(key);
            let last = ctx.engine(at).stream(at, ctx.now)?.map(|stream| stream.head().last).unwrap_or_default();
            resolved[ids_at + position] = last.to_string().into_bytes();
        }
    }
    let mut keys = read.keys_at..ids_at;
    if read.count == 0 {
        let before = read.keys_at - 1;
        resolved.splice(before..before, [b"COUNT".to_vec(), COUNT_AFTER_WAIT.to_vec()]);
        keys = keys.start + 2..keys.end + 2;
    }
    Ok(Some(StreamWait { timeout_ms, keys, args: resolved }))
}

/// Whether a read of streams that waits is to be executed: because there is something to read, or because a group that it
/// waits for is gone. A key that has come to hold something else does not end the wait of XREAD, as in Redis.
///
/// # Errors
/// When an engine cannot be read.
pub fn has_news(ctx: &ReadContext<'_>, args: &[&[u8]]) -> Result<bool, CommandError> {
    match find_news(ctx, args, true) {
        Err(error) if error.is_deterministic() => Ok(true),
        found => found,
    }
}

fn find_news(ctx: &ReadContext<'_>, args: &[&[u8]], waits: bool) -> Result<bool, CommandError> {
    let read = ReadArgs::parse(args)?;
    let mut found = false;
    for (position, key) in read.keys.iter().enumerate() {
        let at = ctx.at(key);
        let stream = match ctx.engine(at).stream(at, ctx.now) {
            Err(StorageError::WrongType) if waits && read.group.is_none() => continue,
            found => found?,
        };
        let from = read.from(position)?;
        let Some(stream) = stream else {
            match read.group {
                Some((group, _)) => return Err(no_group(key, group)),
                None => continue,
            }
        };
        let after = match (from, read.group) {
            (From::Now, _) => None,
            (From::After(_), Some(_)) => {
                found = true;
                None
            }
            (From::After(id), None) => id.next(),
            (From::Undelivered, group) => {
                let Some((name, _)) = group else { continue };
                let Some((_, head)) = stream.group(name)? else { return Err(no_group(key, name)) };
                head.last.next()
            }
        };
        if let Some(start) = after {
            stream.entries(IdRange::from(start), false, &mut |_, _| {
                found = true;
                false
            })?;
        }
    }
    Ok(found)
}
