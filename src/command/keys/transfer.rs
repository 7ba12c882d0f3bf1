//! Carrying values from one key to another, if need be from one engine to another.

use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NO_SUCH_KEY, NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::storage::{Address, Object, StorageResult};
use crate::types::number::parse_i64;
use crate::types::{Db, UnixMs};

const SAME: CommandError = CommandError::Static("ERR source and destination objects are the same");

/// The database of a number, if there is one.
pub(in crate::command) fn database(number: i64, databases: u16) -> Result<Db, CommandError> {
    const NO_SUCH_DATABASE: CommandError = CommandError::Static("ERR DB index is out of range");
    u16::try_from(number).ok().filter(|&number| number < databases).map(Db).ok_or(NO_SUCH_DATABASE)
}

/// A number that must fit 32 bits, as Redis reads the numbers of databases.
fn int(arg: &[u8]) -> Result<i64, CommandError> {
    let number = parse_i64(arg).ok_or(NOT_INTEGER)?;
    if i32::try_from(number).is_err() {
        let text = format!("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX);
        return Err(CommandError::Text(text));
    }
    Ok(number)
}

fn exists(ctx: &WriteContext<'_>, at: Address<'_>) -> StorageResult<bool> {
    Ok(ctx.engine(at).meta(at, ctx.now)?.is_some())
}

fn value(ctx: &WriteContext<'_>, at: Address<'_>) -> StorageResult<Option<(Object, Option<UnixMs>)>> {
    ctx.engine(at).object(at, ctx.now)
}

/// `RENAME key newkey`
pub(super) fn rename(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    move_value(ctx, args[1], args[2], true)?;
    reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
pub(super) fn renamenx(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let moved = move_value(ctx, args[1], args[2], false)?;
    reply.integer(i64::from(moved));
    Ok(())
}

/// Moves a value to another key of the database; answers whether it was moved.
fn move_value(ctx: &mut WriteContext<'_>, from: &[u8], to: &[u8], replace: bool) -> Result<bool, CommandError> {
    let (from, to) = (ctx.at(from), ctx.at(to));
    if from.key == to.key {
        return if exists(ctx, from)? { Ok(replace) } else { Err(NO_SUCH_KEY) };
    }
    if !replace && exists(ctx, to)? {
        return if exists(ctx, from)? { Ok(false) } else { Err(NO_SUCH_KEY) };
    }
    let (object, expires_at) = value(ctx, from)?.ok_or(NO_SUCH_KEY)?;
    let now = ctx.now;
    ctx.engine_mut(from).remove(from, now)?;
    ctx.engine_mut(to).put_object(to, object, expires_at)?;
    ctx.dirty += 1;
    Ok(true)
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(super) fn copy(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (mut db, mut replace) = (ctx.db, false);
    let mut cursor = Cursor::new(args, 3);
    while cursor.remaining() > 0 {
        if cursor.accept("REPLACE") {
            replace = true;
        } else if cursor.remaining() > 1 && cursor.accept("DB") {
            db = database(int(cursor.required()?)?, ctx.shared.databases)?;
        } else {
            return Err(SYNTAX);
        }
    }
    let (from, to) = (ctx.at(args[1]), Address::new(db, args[2]));
    if from.db == to.db && from.key == to.key {
        return Err(SAME);
    }
    let found = value(ctx, from)?;
    ctx.count(found.is_some());
    let copied = match found {
        Some((object, expires_at)) if replace || !exists(ctx, to)? => {
            ctx.engine_mut(to).put_object(to, object, expires_at)?;
            ctx.dirty += 1;
            true
        }
        _ => false,
    };
    reply.integer(i64::from(copied));
    Ok(())
}

/// `MOVE key db`
pub(super) fn move_key(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let db = database(int(args[2])?, ctx.shared.databases)?;
    if db == ctx.db {
        return Err(SAME);
    }
    let (from, to) = (ctx.at(args[1]), Address::new(db, args[1]));
    let moved = match value(ctx, from)? {
        Some((object, expires_at)) if !exists(ctx, to)? => {
            let now = ctx.now;
            ctx.engine_mut(from).remove(from, now)?;
            ctx.engine_mut(to).put_object(to, object, expires_at)?;
            ctx.dirty += 1;
            true
        }
        _ => false,
    };
    reply.integer(i64::from(moved));
    Ok(())
}
