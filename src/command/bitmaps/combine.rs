//! Several strings bit by bit: BITOP.

use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::Expiry;
use crate::types::bits::{Combination, combine};

/// `BITOP AND|OR|XOR|NOT destkey key [key ...]`; a missing key is an empty string.
pub(super) fn bitop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const NOT_OF_ONE: CommandError = CommandError::Static("ERR BITOP NOT must be called with a single source key.");
    const NAMES: [(&[u8], Combination); 4] =
        [(b"AND", Combination::And), (b"OR", Combination::Or), (b"XOR", Combination::Xor), (b"NOT", Combination::Not)];
    let named = NAMES.into_iter().find(|(name, _)| args[1].eq_ignore_ascii_case(name));
    let how = named.map(|(_, how)| how).ok_or(SYNTAX)?;
    let (destination, sources) = (args[2], &args[3..]);
    if how == Combination::Not && sources.len() != 1 {
        return Err(NOT_OF_ONE);
    }
    let mut strings = Vec::with_capacity(sources.len());
    for source in sources {
        strings.push(ctx.string(source)?.map(|value| value.into_bytes()).unwrap_or_default());
    }
    let strings: Vec<&[u8]> = strings.iter().map(|bytes| &**bytes).collect();
    let result = combine(how, &strings);
    if result.is_empty() {
        ctx.remove(destination)?;
    } else {
        // What bits were combined into stays bytes, also where they could be a number.
        let (at, now) = (ctx.at(destination), ctx.now);
        let engine = ctx.engine_mut(at);
        engine.set_string(at, b"", Expiry::Clear, now)?;
        engine.edit_string(at, now, &mut |bytes| bytes.extend_from_slice(&result))?;
        ctx.dirty += 1;
    }
    reply_len(result.len(), reply);
    Ok(())
}
