//! Carrying values from one key to another, if need be from one engine to another.

use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, NO_SUCH_KEY, NOT_INTEGER, SYNTAX};
use crate::resp::Reply;
use crate::storage::{Address, StorageResult};
use crate::types::Db;
use crate::types::number::parse_i64;

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

/// Puts the value at `from` also at `to`, or with `take` there instead; answers whether there was a value.
fn transfer(ctx: &mut WriteContext<'_>, from: Address<'_>, to: Address<'_>, take: bool) -> StorageResult<bool> {
    let now = ctx.now;
    if ctx.store.in_one_engine(from, to) {
        let transferred = ctx.engine_mut(to).transfer(from, to, take, now)?;
        ctx.dirty += u64::from(transferred);
        return Ok(transferred);
    }
    let Some((object, expires_at)) = ctx.engine(from).object(from, now)? else { return Ok(false) };
    if take {
        ctx.engine_mut(from).remove(from, now)?;
    }
    ctx.engine_mut(to).put_object(to, object, expires_at)?;
    ctx.dirty += 1;
    Ok(true)
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
    if transfer(ctx, from, to, true)? { Ok(true) } else { Err(NO_SUCH_KEY) }
}

/// What COPY is told to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CopyOptions {
    /// The database of the copy.
    pub(crate) db: Db,
    /// Whether a key that is there already makes room.
    pub(crate) replace: bool,
}

impl CopyOptions {
    /// Reads the options of a COPY in database `db` of `databases`, and refuses a copy of a key to itself.
    pub(crate) fn parse(db: Db, databases: u16, args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut options = Self { db, replace: false };
        let mut cursor = Cursor::new(args, 3);
        while cursor.remaining() > 0 {
            if cursor.accept("REPLACE") {
                options.replace = true;
            } else if cursor.remaining() > 1 && cursor.accept("DB") {
                options.db = database(int(cursor.required()?)?, databases)?;
            } else {
                return Err(SYNTAX);
            }
        }
        if options.db == db && args[1] == args[2] { Err(SAME) } else { Ok(options) }
    }
}

/// The database that a MOVE in database `db` of `databases` names.
pub(crate) fn move_destination(db: Db, databases: u16, args: &[&[u8]]) -> Result<Db, CommandError> {
    let destination = database(int(args[2])?, databases)?;
    if destination == db { Err(SAME) } else { Ok(destination) }
}

/// `COPY source destination [DB destination-db] [REPLACE]`
pub(super) fn copy(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let CopyOptions { db, replace } = CopyOptions::parse(ctx.db, ctx.shared.databases, args)?;
    let (from, to) = (ctx.at(args[1]), Address::new(db, args[2]));
    let found = exists(ctx, from)?;
    ctx.count(found);
    let copied = found && (replace || !exists(ctx, to)?) && transfer(ctx, from, to, false)?;
    reply.integer(i64::from(copied));
    Ok(())
}

/// `MOVE key db`
pub(super) fn move_key(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let db = move_destination(ctx.db, ctx.shared.databases, args)?;
    let (from, to) = (ctx.at(args[1]), Address::new(db, args[1]));
    let moved = exists(ctx, from)? && !exists(ctx, to)? && transfer(ctx, from, to, true)?;
    reply.integer(i64::from(moved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<CopyOptions, String> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        CopyOptions::parse(Db(0), 16, &args).map_err(|error| error.to_string())
    }

    #[test]
    fn options_of_copy_stand_in_any_order_and_the_last_counts() {
        assert_eq!(parse("COPY a b"), Ok(CopyOptions { db: Db(0), replace: false }));
        assert_eq!(parse("COPY a b replace DB 3"), Ok(CopyOptions { db: Db(3), replace: true }));
        assert_eq!(parse("COPY a b DB 3 DB 4"), Ok(CopyOptions { db: Db(4), replace: false }));
        assert_eq!(parse("COPY db 5"), Ok(CopyOptions { db: Db(0), replace: false }), "keys are no options");
    }

    #[test]
    fn what_copy_cannot_do_is_refused() {
        assert_eq!(parse("COPY a b DB"), Err("ERR syntax error".to_owned()));
        assert_eq!(parse("COPY a b DB x"), Err("ERR value is not an integer or out of range".to_owned()));
        assert_eq!(parse("COPY a b DB 16"), Err("ERR DB index is out of range".to_owned()));
        assert_eq!(parse("COPY a a"), Err("ERR source and destination objects are the same".to_owned()));
        assert_eq!(
            move_destination(Db(1), 16, &[b"MOVE", b"k", b"16"]).map_err(|error| error.to_string()),
            Err("ERR DB index is out of range".to_owned())
        );
    }
}
