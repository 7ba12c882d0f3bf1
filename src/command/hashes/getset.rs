//! `HGETDEL`, `HGETEX` and `HSETEX`: values and their expiries at once.

use super::field_expiry::{NOT_POSITIVE, SECOND_MS, field_expiry, parse_expiry, parse_fields, set_or_remove};
use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult};
use crate::command::table::arity_error;
use crate::resp::Reply;
use crate::storage::StorageResult;
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// The value of a field, as a reply; answers whether the field is there.
fn reply_value(ctx: &mut WriteContext<'_>, key: &[u8], field: &[u8], reply: &mut Reply<'_>) -> StorageResult<bool> {
    let value = match ctx.hash(key)? {
        Some(hash) => hash.get(field)?,
        None => None,
    };
    match &value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
    Ok(value.is_some())
}

/// `HGETDEL key FIELDS numfields field [field ...]`
pub(super) fn hgetdel(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let found = ctx.hash(args[1])?.is_some();
    let fields = parse_fields(args, 2, NOT_POSITIVE)?;
    ctx.count(found);
    reply.array(fields.len());
    for field in fields {
        if reply_value(ctx, args[1], field, reply)? {
            let (at, now) = (ctx.at(args[1]), ctx.now);
            ctx.engine_mut(at).hash_remove(at, &[field], now)?;
            ctx.dirty += 1;
        }
    }
    Ok(())
}

/// An expiry that is set: `EX seconds` and its like. `None` when the word is another one.
fn expiry_word(word: &[u8], now: UnixMs) -> Option<(i64, UnixMs)> {
    Some(match word.to_ascii_uppercase().as_slice() {
        b"EX" => (SECOND_MS, now),
        b"PX" => (1, now),
        b"EXAT" => (SECOND_MS, UnixMs(0)),
        b"PXAT" => (1, UnixMs(0)),
        _ => return None,
    })
}

/// `HGETEX key [EX seconds|PX milliseconds|EXAT unix-seconds|PXAT unix-milliseconds|PERSIST] FIELDS numfields field
/// [field ...]`
pub(super) fn hgetex(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let found = ctx.hash(args[1])?.is_some();
    let mut fields_at = 2;
    // `Some(None)` takes the expiry away.
    let mut change = None;
    if let Some((unit_ms, base)) = expiry_word(args[2], ctx.now) {
        change = Some(Some(parse_expiry(args[3], unit_ms, base, "hgetex")?));
        fields_at = 4;
    } else if args[2].eq_ignore_ascii_case(b"PERSIST") {
        change = Some(None);
        fields_at = 3;
    }
    let fields = parse_fields(args, fields_at, NOT_POSITIVE)?;
    ctx.count(found);
    reply.array(fields.len());
    for field in fields {
        let there = reply_value(ctx, args[1], field, reply)?;
        if let Some(expires_at) = change.filter(|_| there) {
            set_or_remove(ctx, args[1], field, expires_at)?;
        }
    }
    Ok(())
}

/// What HSETEX does with the expiries of the fields it sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SetExpiry {
    Clear,
    Keep,
    At(UnixMs),
}

/// The options of HSETEX.
struct SetOptions<'a> {
    /// Whether all fields must be there (`true`) or none (`false`).
    condition: Option<bool>,
    expiry: SetExpiry,
    /// Fields and values in turn.
    pairs: &'a [&'a [u8]],
}

impl<'a> SetOptions<'a> {
    fn parse(args: &'a [&'a [u8]], now: UnixMs) -> Result<Self, CommandError> {
        const COUNT: CommandError = CommandError::Static("ERR invalid number of fields");
        const NO_TIME: CommandError = CommandError::Static("ERR missing expire time");
        const CONDITIONS: CommandError = CommandError::Static("ERR Only one of FXX or FNX arguments can be specified");
        const EXPIRIES: CommandError =
            CommandError::Static("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
        let wrong_count = || arity_error("hsetex");
        let mut options = Self { condition: None, expiry: SetExpiry::Clear, pairs: &[] };
        let mut next = 2;
        while let Some(word) = args.get(next) {
            next += 1;
            if word.eq_ignore_ascii_case(b"FIELDS") {
                if args.len() < next + 3 {
                    return Err(wrong_count());
                }
                let count = parse_i64(args[next]).and_then(|count| i32::try_from(count).ok());
                let count = count.filter(|&count| count > 0).ok_or(COUNT)?;
                options.pairs = &args[next + 1..];
                let matches = options.pairs.len().is_multiple_of(2) && options.pairs.len() / 2 == count as usize;
                return if matches { Ok(options) } else { Err(wrong_count()) };
            } else if let Some((unit_ms, base)) = expiry_word(word, now) {
                if options.expiry != SetExpiry::Clear {
                    return Err(EXPIRIES);
                }
                let time = args.get(next).ok_or(NO_TIME)?;
                options.expiry = SetExpiry::At(parse_expiry(time, unit_ms, base, "hsetex")?);
                next += 1;
            } else if word.eq_ignore_ascii_case(b"KEEPTTL") {
                if options.expiry != SetExpiry::Clear {
                    return Err(EXPIRIES);
                }
                options.expiry = SetExpiry::Keep;
            } else if word.eq_ignore_ascii_case(b"FXX") || word.eq_ignore_ascii_case(b"FNX") {
                if options.condition.is_some() {
                    return Err(CONDITIONS);
                }
                options.condition = Some(word.eq_ignore_ascii_case(b"FXX"));
            } else {
                let text = format!("ERR unknown argument: {}", String::from_utf8_lossy(word));
                return Err(CommandError::Text(text));
            }
        }
        Err(wrong_count())
    }
}

/// `HSETEX key [FNX|FXX] [EX seconds|PX milliseconds|EXAT unix-seconds|PXAT unix-milliseconds|KEEPTTL] FIELDS numfields
/// field value [field value ...]`
pub(super) fn hsetex(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let options = SetOptions::parse(args, ctx.now)?;
    let pairs: Vec<(&[u8], &[u8])> = options.pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    ctx.hash(args[1])?;
    if let Some(wanted) = options.condition {
        for (field, _) in &pairs {
            if field_expiry(ctx, args[1], field)?.is_some() != wanted {
                reply.integer(0);
                return Ok(());
            }
        }
    }
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let dirty = ctx.dirty + pairs.len() as u64;
    match options.expiry {
        SetExpiry::Clear => ctx.engine_mut(at).hash_set(at, &pairs, now)?,
        SetExpiry::Keep | SetExpiry::At(_) => ctx.engine_mut(at).hash_update(at, &pairs, now)?,
    };
    if let SetExpiry::At(time) = options.expiry {
        for (field, _) in &pairs {
            set_or_remove(ctx, args[1], field, Some(time))?;
        }
    }
    ctx.dirty = dirty;
    reply.integer(1);
    Ok(())
}
