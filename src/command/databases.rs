//! Whole databases.

use super::context::WriteContext;
use super::error::{CommandError, CommandResult, SYNTAX};
use super::keys::database;
use super::spec::{Arg, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Reply;
use crate::storage::{EngineKind, KeyspaceRules, StorageResult};
use crate::types::Db;
use crate::types::number::parse_i64;

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "FLUSHALL",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::at_least(1),
        flags: Flags::WRITE.or(Flags::KEYSPACE).or(Flags::DANGEROUS),
        summary: "Deletes all keys of all databases.",
        complexity: "O(N)",
        args: &[Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")]).optional()],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Write(flushall),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "FLUSHDB",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::at_least(1),
        flags: Flags::WRITE.or(Flags::KEYSPACE).or(Flags::DANGEROUS),
        summary: "Deletes all keys of the database.",
        complexity: "O(N)",
        args: &[Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")]).optional()],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Write(flushdb),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SWAPDB",
        since: "4.0.0",
        group: Group::Server,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE).or(Flags::DANGEROUS),
        summary: "Exchanges the contents of two databases.",
        complexity: "O(N)",
        args: &[Arg::integer("index1"), Arg::integer("index2")],
        handler: Handler::Write(swapdb),
        ..CommandSpec::BASE
    },
];

/// `FLUSHDB [ASYNC|SYNC]`
fn flushdb(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    check_mode(args)?;
    flush(ctx, ctx.db)?;
    reply.ok();
    Ok(())
}

/// `FLUSHALL [ASYNC|SYNC]`
fn flushall(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    check_mode(args)?;
    for number in 0..ctx.shared.databases {
        flush(ctx, Db(number))?;
    }
    reply.ok();
    Ok(())
}

/// Both modes empty the database before the reply; they differ in when memory is freed, which is the engine's affair.
fn check_mode(args: &[&[u8]]) -> CommandResult {
    match &args[1..] {
        [] => Ok(()),
        [mode] if mode.eq_ignore_ascii_case(b"ASYNC") || mode.eq_ignore_ascii_case(b"SYNC") => Ok(()),
        _ => Err(SYNTAX),
    }
}

fn flush(ctx: &mut WriteContext<'_>, db: Db) -> StorageResult<()> {
    let mut removed = 0;
    ctx.store.for_each_engine(|_, engine| {
        let keys = engine.len(db);
        removed += keys;
        if keys > 0 { engine.flush_db(db) } else { Ok(()) }
    })?;
    ctx.dirty += removed;
    Ok(())
}

/// `SWAPDB index1 index2`
fn swapdb(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const FIRST: CommandError = CommandError::Static("ERR invalid first DB index");
    const SECOND: CommandError = CommandError::Static("ERR invalid second DB index");
    let number = |arg: &[u8]| parse_i64(arg).filter(|&number| i32::try_from(number).is_ok());
    let first = number(args[1]).ok_or(FIRST)?;
    let second = number(args[2]).ok_or(SECOND)?;
    let a = database(first, ctx.shared.databases)?;
    let b = database(second, ctx.shared.databases)?;
    if placement(ctx.store.rules(), a) != placement(ctx.store.rules(), b) {
        return Err(CommandError::Text(format!(
            "ERR databases {} and {} cannot be swapped: their keyspaces keep keys in different engines",
            a.0, b.0
        )));
    }
    if a != b {
        ctx.store.for_each_engine(|_, engine| engine.swap_db(a, b))?;
    }
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}

/// Which engine keeps keys of which prefix in a database.
fn placement(rules: &KeyspaceRules, db: Db) -> Vec<(&[u8], EngineKind)> {
    let of_db = rules.rules().iter().filter(|rule| rule.db == db);
    let mut placement: Vec<_> = of_db.map(|rule| (rule.prefix.as_slice(), rule.engine)).collect();
    if !placement.iter().any(|(prefix, _)| prefix.is_empty()) {
        placement.push((&[], rules.default_engine()));
    }
    placement.sort_unstable();
    placement
}
