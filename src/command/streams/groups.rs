//! XGROUP and XACK.

use super::add::reply_count;
use super::args::{edit, lenient_id, no_group_of, strict_id, wrong_subcommand};
use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::docs::help;
use crate::command::error::{CommandError, CommandResult};
use crate::resp::Reply;
use crate::types::StreamId;

const NO_KEY: CommandError = CommandError::Static(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to \
     create an empty stream automatically.",
);

/// `XGROUP CREATE|CREATECONSUMER|DELCONSUMER|DESTROY|HELP|SETID`
pub(super) fn xgroup(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    match args[1].to_ascii_uppercase().as_slice() {
        b"CREATE" => create(ctx, args, reply),
        b"SETID" => set_id(ctx, args, reply),
        b"DESTROY" => destroy(ctx, args, reply),
        b"CREATECONSUMER" => create_consumer(ctx, args, reply),
        b"DELCONSUMER" => delete_consumer(ctx, args, reply),
        b"HELP" => {
            help("XGROUP", reply);
            Ok(())
        }
        _ => Err(wrong_subcommand(args)),
    }
}

/// `[MKSTREAM] [ENTRIESREAD entries-read]`
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &[&[u8]], creates: bool) -> Result<Self, CommandError> {
        const NEGATIVE: CommandError = CommandError::Static("ERR value for ENTRIESREAD must be positive or -1");
        let mut options = Self { make_stream: false, entries_read: None };
        let mut cursor = Cursor::new(args, 5);
        while cursor.remaining() > 0 {
            if creates && cursor.accept("MKSTREAM") {
                options.make_stream = true;
            } else if cursor.remaining() > 1 && cursor.accept("ENTRIESREAD") {
                options.entries_read = match cursor.integer()? {
                    -1 => None,
                    number => Some(u64::try_from(number).map_err(|_negative| NEGATIVE)?),
                };
            } else {
                return Err(wrong_subcommand(args));
            }
        }
        Ok(options)
    }
}

/// `XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]`
fn create(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const ARGS_MAX: usize = 8;
    const BUSY: CommandError = CommandError::Static("BUSYGROUP Consumer Group name already exists");
    let options = Options::parse(args, true)?;
    let created = edit(ctx, args[2], options.make_stream, |stream| {
        if args.len() > ARGS_MAX {
            return Err(wrong_subcommand(args));
        }
        let last = if args[4] == b"$" { stream.head().last } else { strict_id(args[4], 0)? };
        if stream.group(args[3])?.is_some() {
            return Err(BUSY);
        }
        stream.create_group(args[3], last, options.entries_read)?;
        Ok(((), true))
    })?;
    created.ok_or(NO_KEY)?;
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}

/// `XGROUP SETID key group id|$ [ENTRIESREAD entries-read]`
fn set_id(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const ARGS_MAX: usize = 7;
    let options = Options::parse(args, false)?;
    let set = edit(ctx, args[2], false, |stream| {
        let (group, _) = stream.group(args[3])?.ok_or_else(|| no_group_of(args[2], args[3]))?;
        if args.len() > ARGS_MAX {
            return Err(wrong_subcommand(args));
        }
        let last = if args[4] == b"$" { stream.head().last } else { lenient_id(args[4], 0)? };
        stream.set_group(group, last, options.entries_read)?;
        Ok(((), true))
    })?;
    set.ok_or(NO_KEY)?;
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}

/// `XGROUP DESTROY key group`
fn destroy(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let destroyed = edit(ctx, args[2], false, |stream| {
        let Some((group, _)) = stream.group(args[3])? else { return Ok((0, false)) };
        stream.destroy_group(group, args[3])?;
        Ok((1, true))
    })?;
    reply_count(ctx, destroyed.ok_or(NO_KEY)?, reply);
    Ok(())
}

/// `XGROUP CREATECONSUMER key group consumer`
fn create_consumer(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let now = ctx.now;
    let created = edit(ctx, args[2], false, |stream| {
        let (group, _) = stream.group(args[3])?.ok_or_else(|| no_group_of(args[2], args[3]))?;
        if stream.consumer(group, args[4])?.is_some() {
            return Ok((0, false));
        }
        stream.create_consumer(group, args[4], now)?;
        Ok((1, true))
    })?;
    reply_count(ctx, created.ok_or(NO_KEY)?, reply);
    Ok(())
}

/// `XGROUP DELCONSUMER key group consumer`
fn delete_consumer(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let deleted = edit(ctx, args[2], false, |stream| {
        let (group, _) = stream.group(args[3])?.ok_or_else(|| no_group_of(args[2], args[3]))?;
        let Some((consumer, _)) = stream.consumer(group, args[4])? else { return Ok((None, false)) };
        Ok((Some(stream.remove_consumer(group, consumer, args[4])?), true))
    })?;
    let deleted = deleted.ok_or(NO_KEY)?;
    ctx.dirty += u64::from(deleted.is_some());
    reply.integer(i64::try_from(deleted.unwrap_or(0)).unwrap_or(i64::MAX));
    Ok(())
}

/// `XACK key group id [id ...]`
pub(super) fn xack(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let acknowledged = edit(ctx, args[1], false, |stream| {
        let Some((group, _)) = stream.group(args[2])? else { return Ok((0, false)) };
        let ids: Vec<StreamId> = args[3..].iter().map(|id| strict_id(id, 0)).collect::<Result<_, _>>()?;
        let mut acknowledged = 0;
        for id in ids {
            acknowledged += u64::from(stream.remove_pending(group, id)?);
        }
        Ok((acknowledged, acknowledged > 0))
    })?;
    reply_count(ctx, acknowledged.unwrap_or(0), reply);
    Ok(())
}
