//! HyperLogLog: strings that count different elements.
//!
//! The values are Redis's own, byte for byte ([`crate::types::hll`]): what an application exports with GET or DUMP works
//! in either server. One thing Redis does is left out: PFCOUNT does not note in the value what it counted. A count that is
//! there is used, but a read that writes would go through the log, and counting takes microseconds.

mod debug;

use super::context::{ReadContext, WriteContext};
use super::error::{CommandError, CommandResult};
use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec, ServerCommand};
use crate::resp::Reply;
use crate::storage::StringValue;
use crate::types::hll::{self, Corrupt, Encoding, Registers};
use debug::pfdebug;

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "PFADD",
        since: "2.8.9",
        group: Group::Hyperloglog,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Adds elements to a HyperLogLog, creating it if it is absent.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("element").optional().multiple()],
        handler: Handler::Write(pfadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFCOUNT",
        since: "2.8.9",
        group: Group::Hyperloglog,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, Access::Read)],
        summary: "Estimates how many different elements were added to one or several HyperLogLogs.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        handler: Handler::Read(pfcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFDEBUG",
        since: "2.8.9",
        group: Group::Hyperloglog,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ADMIN),
        keys: &[KeySpec::one(2, Access::Note)],
        summary: "Shows the inside of a HyperLogLog.",
        complexity: "O(1)",
        args: &[Arg::string("subcommand"), Arg::key("key")],
        handler: Handler::Write(pfdebug),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFMERGE",
        since: "2.8.9",
        group: Group::Hyperloglog,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::ReadInsert), KeySpec::rest(2, Access::Read)],
        summary: "Merges HyperLogLogs into one.",
        complexity: "O(N)",
        args: &[Arg::key("destkey"), Arg::key_at("sourcekey", 1).optional().multiple()],
        handler: Handler::Write(pfmerge),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PFSELFTEST",
        since: "2.8.9",
        group: Group::Hyperloglog,
        arity: Arity::exactly(1),
        flags: Flags::ADMIN,
        summary: "Checks that HyperLogLogs compute what they should.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Pfselftest),
        ..CommandSpec::BASE
    },
];

const CORRUPT: CommandError = CommandError::Static("INVALIDOBJ Corrupted HLL object detected");

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> Self {
        CORRUPT
    }
}

/// A copy of the HyperLogLog at a key, or Redis's error if there is something else.
fn load(ctx: &WriteContext<'_>, key: &[u8]) -> Result<Option<(Vec<u8>, Encoding)>, CommandError> {
    look(ctx.string(key)?, |bytes, encoding| (bytes.to_vec(), encoding))
}

/// Looks at the HyperLogLog that was found at a key.
fn look<T>(found: Option<StringValue<'_>>, look: impl FnOnce(&[u8], Encoding) -> T) -> Result<Option<T>, CommandError> {
    const NONE: CommandError = CommandError::Static("WRONGTYPE Key is not a valid HyperLogLog string value.");
    let Some(value) = found else { return Ok(None) };
    let bytes = value.into_bytes();
    let encoding = hll::encoding(&bytes).ok_or(NONE)?;
    Ok(Some(look(&bytes, encoding)))
}

/// Puts a HyperLogLog in the place of what is at a key; it keeps its expiry.
fn store(ctx: &mut WriteContext<'_>, key: &[u8], value: Vec<u8>) -> CommandResult {
    let (at, now) = (ctx.at(key), ctx.now);
    let mut value = Some(value);
    ctx.engine_mut(at).edit_string(at, now, &mut |bytes| {
        *bytes = value.take().expect("it is edited once");
    })?;
    Ok(())
}

/// Bytes up to which a HyperLogLog at a key stays sparse.
fn sparse_max_bytes(ctx: &WriteContext<'_>, key: &[u8]) -> usize {
    ctx.engine(ctx.at(key)).encoding_settings().hll_sparse_max_bytes
}

/// `PFADD key [element ...]`
fn pfadd(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (key, elements) = (args[1], &args[2..]);
    let places = elements.iter().map(|element| hll::place_of(element));
    // What is dense is neither copied nor, if nothing changes, touched.
    let changes = look(ctx.string(key)?, |bytes, encoding| match encoding {
        Encoding::Dense => Some(places.clone().any(|place| hll::would_change_dense(bytes, place))),
        Encoding::Sparse => None,
    })?;
    let changed = match changes {
        Some(Some(false)) => 0,
        Some(Some(true)) => {
            let (at, now) = (ctx.at(key), ctx.now);
            let mut changed = 0;
            ctx.engine_mut(at).edit_string(at, now, &mut |bytes| {
                changed = places.clone().filter(|place| hll::raise(bytes, *place, 0) == Ok(true)).count();
                hll::invalidate(bytes);
            })?;
            changed
        }
        sparse_or_absent => {
            let max_bytes = sparse_max_bytes(ctx, key);
            let created = sparse_or_absent.is_none();
            let mut bytes = load(ctx, key)?.map_or_else(hll::empty, |(bytes, _)| bytes);
            let mut changed = usize::from(created);
            for place in places {
                changed += usize::from(hll::raise(&mut bytes, place, max_bytes)?);
            }
            if changed > 0 {
                hll::invalidate(&mut bytes);
                store(ctx, key, bytes)?;
            }
            changed
        }
    };
    ctx.dirty += changed as u64;
    reply.integer(i64::from(changed > 0));
    Ok(())
}

/// `PFCOUNT key [key ...]`: of several keys, the count of their union.
fn pfcount(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let count = if let [key] = args[1..] {
        let count = look(ctx.string(key)?, |bytes, _| hll::cached(bytes).map_or_else(|| hll::count(bytes), Ok))?;
        count.transpose()?.unwrap_or(0)
    } else {
        let mut registers = Registers::default();
        for key in &args[1..] {
            look(ctx.string(key)?, |bytes, _| registers.merge(bytes))?.transpose()?;
        }
        registers.count()
    };
    // Bytes that no server wrote may say more than any server counts.
    reply.integer(count.cast_signed());
    Ok(())
}

/// `PFMERGE destkey [sourcekey ...]`
fn pfmerge(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let destination = args[1];
    let mut registers = Registers::default();
    let mut dense = false;
    for key in &args[1..] {
        let merged = look(ctx.string(key)?, |bytes, encoding| {
            dense |= encoding == Encoding::Dense;
            registers.merge(bytes)
        })?;
        merged.transpose()?;
    }
    let max_bytes = sparse_max_bytes(ctx, destination);
    let mut bytes = load(ctx, destination)?.map_or_else(hll::empty, |(bytes, _)| bytes);
    if dense {
        hll::make_dense(&mut bytes)?;
    }
    for (index, &value) in registers.values().iter().enumerate().filter(|(_, value)| **value > 0) {
        hll::raise(&mut bytes, (index, value), max_bytes)?;
    }
    hll::invalidate(&mut bytes);
    store(ctx, destination, bytes)?;
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}
