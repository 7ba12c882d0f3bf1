//! Writing whole strings.

use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NOT_INTEGER, SYNTAX};
use crate::command::table::arity_error;
use crate::command::text::reply_string;
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::resp::Reply;
use crate::storage::Expiry;
use crate::types::UnixMs;
use crate::types::number::parse_i64;

/// Milliseconds of a second.
const SECOND_MS: i64 = 1000;

/// How an expiry is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

impl Unit {
    fn of(word: &[u8]) -> Option<Self> {
        const WORDS: [(&str, Unit); 4] = [
            ("EX", Unit::Seconds),
            ("PX", Unit::Milliseconds),
            ("EXAT", Unit::UnixSeconds),
            ("PXAT", Unit::UnixMilliseconds),
        ];
        let found = WORDS.into_iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        found.map(|(_, unit)| unit)
    }

    /// The point in time that `arg` stands for in this unit.
    fn time(self, arg: &[u8], now: UnixMs, invalid: CommandError) -> Result<UnixMs, CommandError> {
        let number = parse_i64(arg).ok_or(NOT_INTEGER)?;
        let absolute = match self {
            Self::Seconds => number.checked_mul(SECOND_MS).and_then(|ms| ms.checked_add(now.0)),
            Self::Milliseconds => number.checked_add(now.0),
            Self::UnixSeconds => number.checked_mul(SECOND_MS),
            Self::UnixMilliseconds => Some(number),
        };
        match absolute {
            Some(time) if number > 0 && time > 0 => Ok(UnixMs(time)),
            _ => Err(invalid),
        }
    }
}

/// When a key is set only under a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

/// The options of SET and GETEX.
#[derive(Default)]
struct Options<'a> {
    condition: Option<Condition>,
    get: bool,
    keep_ttl: bool,
    persist: bool,
    expire: Option<(Unit, &'a [u8])>,
}

impl<'a> Options<'a> {
    /// Options of SET from argument `first` on. Each may be repeated; contradictions are errors.
    fn of_set(args: &'a [&'a [u8]], first: usize) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut cursor = Cursor::new(args, first);
        while cursor.remaining() > 0 {
            if options.condition != Some(Condition::Present) && cursor.accept("NX") {
                options.condition = Some(Condition::Absent);
            } else if options.condition != Some(Condition::Absent) && cursor.accept("XX") {
                options.condition = Some(Condition::Present);
            } else if cursor.accept("GET") {
                options.get = true;
            } else if options.expire.is_none() && cursor.accept("KEEPTTL") {
                options.keep_ttl = true;
            } else {
                options.expire(&mut cursor)?;
            }
        }
        Ok(options)
    }

    /// Options of GETEX from argument `first` on.
    fn of_getex(args: &'a [&'a [u8]], first: usize) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut cursor = Cursor::new(args, first);
        while cursor.remaining() > 0 {
            if options.expire.is_none() && cursor.accept("PERSIST") {
                options.persist = true;
            } else {
                options.expire(&mut cursor)?;
            }
        }
        Ok(options)
    }

    fn expire(&mut self, cursor: &mut Cursor<'a>) -> Result<(), CommandError> {
        let unit = Unit::of(cursor.required()?).ok_or(SYNTAX)?;
        let other = self.expire.is_some_and(|(earlier, _)| earlier != unit);
        if other || self.keep_ttl || self.persist {
            return Err(SYNTAX);
        }
        self.expire = Some((unit, cursor.required()?));
        Ok(())
    }
}

/// `SET key value [NX|XX] [GET] [EX|PX|EXAT|PXAT time|KEEPTTL]`
pub(super) fn set(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if args.len() == 3 {
        ctx.set_string(args[1], args[2], Expiry::Clear)?;
        reply.ok();
        return Ok(());
    }
    const INVALID: CommandError = CommandError::Static("ERR invalid expire time in 'set' command");
    let options = Options::of_set(args, 3)?;
    let expiry = match options.expire {
        Some((unit, time)) => Expiry::At(unit.time(time, ctx.now, INVALID)?),
        None if options.keep_ttl => Expiry::Keep,
        None => Expiry::Clear,
    };
    let found = if options.get {
        let old = ctx.string(args[1])?;
        match &old {
            Some(value) => reply_string(value, reply),
            None => reply.null(),
        }
        let found = old.is_some();
        ctx.count(found);
        found
    } else {
        options.condition.is_some() && ctx.meta(args[1])?.is_some()
    };
    let allowed = match options.condition {
        None => true,
        Some(Condition::Absent) => !found,
        Some(Condition::Present) => found,
    };
    if allowed {
        ctx.set_string(args[1], args[2], expiry)?;
    }
    match (options.get, allowed) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    Ok(())
}

/// `SETNX key value`
pub(super) fn setnx(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let absent = ctx.meta(args[1])?.is_none();
    if absent {
        ctx.set_string(args[1], args[2], Expiry::Clear)?;
    }
    reply.integer(i64::from(absent));
    Ok(())
}

/// `SETEX key seconds value`
pub(super) fn setex(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const INVALID: CommandError = CommandError::Static("ERR invalid expire time in 'setex' command");
    set_expiring(ctx, args, Unit::Seconds, INVALID, reply)
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const INVALID: CommandError = CommandError::Static("ERR invalid expire time in 'psetex' command");
    set_expiring(ctx, args, Unit::Milliseconds, INVALID, reply)
}

fn set_expiring(
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    unit: Unit,
    invalid: CommandError,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let expires_at = unit.time(args[2], ctx.now, invalid)?;
    ctx.set_string(args[1], args[3], Expiry::At(expires_at))?;
    reply.ok();
    Ok(())
}

/// `GETSET key value`
pub(super) fn getset(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    reply_old(ctx, args[1], reply)?;
    ctx.set_string(args[1], args[2], Expiry::Clear)?;
    Ok(())
}

/// `GETDEL key`
pub(super) fn getdel(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if reply_old(ctx, args[1], reply)? {
        ctx.remove(args[1])?;
    }
    Ok(())
}

/// `GETEX key [EX|PX|EXAT|PXAT time|PERSIST]`
pub(super) fn getex(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const INVALID: CommandError = CommandError::Static("ERR invalid expire time in 'getex' command");
    let options = Options::of_getex(args, 2)?;
    if !reply_old(ctx, args[1], reply)? {
        return Ok(());
    }
    let (at, now) = (ctx.at(args[1]), ctx.now);
    if let Some((unit, time)) = options.expire {
        let expires_at = unit.time(time, now, INVALID)?;
        if expires_at <= now {
            ctx.remove(args[1])?;
        } else {
            ctx.engine_mut(at).set_expiry(at, Some(expires_at), now)?;
            ctx.dirty += 1;
        }
    } else if options.persist && ctx.meta(args[1])?.is_some_and(|meta| meta.expires_at.is_some()) {
        ctx.engine_mut(at).set_expiry(at, None, now)?;
        ctx.dirty += 1;
    }
    Ok(())
}

/// Replies with the string at a key, or null; answers whether there is one.
fn reply_old(ctx: &mut WriteContext<'_>, key: &[u8], reply: &mut Reply<'_>) -> Result<bool, CommandError> {
    let old = ctx.string(key)?;
    match &old {
        Some(value) => reply_string(value, reply),
        None => reply.null(),
    }
    let found = old.is_some();
    ctx.count(found);
    Ok(found)
}

/// `MSET key value [key value ...]`
pub(super) fn mset(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(arity_error("mset"));
    }
    set_all(ctx, args)?;
    reply.ok();
    Ok(())
}

/// `MSETNX key value [key value ...]`: all or none.
pub(super) fn msetnx(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(arity_error("msetnx"));
    }
    for pair in args[1..].chunks_exact(2) {
        if ctx.meta(pair[0])?.is_some() {
            reply.integer(0);
            return Ok(());
        }
    }
    set_all(ctx, args)?;
    reply.integer(1);
    Ok(())
}

fn set_all(ctx: &mut WriteContext<'_>, args: &[&[u8]]) -> CommandResult {
    for pairs in args[1..].chunks(2 * LOOK_AHEAD_COMMANDS_MAX) {
        ctx.store.prefetch_all(ctx.db, pairs.iter().step_by(2).copied());
        for pair in pairs.chunks_exact(2) {
            ctx.set_string(pair[0], pair[1], Expiry::Clear)?;
        }
    }
    Ok(())
}
