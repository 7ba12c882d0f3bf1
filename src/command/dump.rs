//! DUMP and RESTORE: values as RDB payloads.

use super::context::{ReadContext, WriteContext};
use super::cursor::Cursor;
use super::error::{CommandError, CommandResult, SYNTAX};
use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Reply;
use crate::storage::rdb::{self, RestoreError, SaveOptions};
use crate::types::UnixMs;

const MS_PER_SECOND: i64 = 1000;
/// The highest frequency of accesses that Redis keeps.
const FREQUENCY_MAX: i64 = 255;

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DUMP",
        since: "2.6.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the value of a key in the format that RESTORE takes.",
        complexity: "O(N)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(dump),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RESTORE",
        since: "2.6.0",
        group: Group::Generic,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::KEYSPACE).or(Flags::DANGEROUS),
        keys: &[KeySpec::one(1, Access::Overwrite)],
        summary: "Creates a key from what DUMP returned.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::integer("ttl"),
            Arg::string("serialized-value"),
            Arg::word("replace", "REPLACE").optional(),
            Arg::word("absttl", "ABSTTL").optional(),
            Arg::integer("seconds").after("IDLETIME").optional(),
            Arg::integer("frequency").after("FREQ").optional(),
        ],
        handler: Handler::Write(restore),
        ..CommandSpec::BASE
    },
];

/// `DUMP key`
fn dump(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let at = ctx.at(args[1]);
    let found = match ctx.lookup_meta(at.key)? {
        Some(_) => ctx.engine(at).object(at, ctx.now)?,
        None => None,
    };
    match found {
        Some((object, _)) => {
            let options = SaveOptions { encoding: ctx.store.encoding(), compress: true };
            reply.bulk(&rdb::dump(&object, options));
        }
        None => reply.null(),
    }
    Ok(())
}

/// What RESTORE is told besides the value.
#[derive(Debug, Default, PartialEq, Eq)]
struct RestoreOptions {
    replace: bool,
    absolute: bool,
    idle_seconds: Option<i64>,
}

impl RestoreOptions {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut frequency = None;
        let mut cursor = Cursor::new(args, 4);
        while cursor.remaining() > 0 {
            if cursor.accept("REPLACE") {
                options.replace = true;
            } else if cursor.accept("ABSTTL") {
                options.absolute = true;
            } else if cursor.remaining() > 1 && frequency.is_none() && cursor.accept("IDLETIME") {
                let seconds = cursor.integer()?;
                if seconds < 0 {
                    return Err(CommandError::Static("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_seconds = Some(seconds);
            } else if cursor.remaining() > 1 && options.idle_seconds.is_none() && cursor.accept("FREQ") {
                let count = cursor.integer()?;
                if !(0..=FREQUENCY_MAX).contains(&count) {
                    return Err(CommandError::Static("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                // Accesses are not counted here.
                frequency = Some(count);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// `RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`
fn restore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const INVALID_TTL: CommandError = CommandError::Static("ERR Invalid TTL value, must be >= 0");
    let options = RestoreOptions::parse(args)?;
    let (at, now) = (ctx.at(args[1]), ctx.now);
    let is_there = ctx.engine(at).meta(at, now)?.is_some();
    if is_there && !options.replace {
        return Err(CommandError::Static("BUSYKEY Target key name already exists."));
    }
    let ttl = Cursor::new(args, 2).integer()?;
    let expires_at = match ttl {
        0 => None,
        ..0 => return Err(INVALID_TTL),
        _ if options.absolute => Some(UnixMs(ttl)),
        _ => Some(UnixMs(ttl.checked_add(now.0).ok_or(INVALID_TTL)?)),
    };
    let object = rdb::restore(args[3]).map_err(|error| match error {
        RestoreError::Footer => CommandError::Static("ERR DUMP payload version or checksum are wrong"),
        RestoreError::Damaged(_) => CommandError::Static("ERR Bad data format"),
    })?;
    if expires_at.is_some_and(|at| at < now) {
        // It has expired already: only what it would have replaced goes.
        ctx.remove(at.key)?;
        reply.ok();
        return Ok(());
    }
    ctx.engine_mut(at).put_object(at, object, expires_at)?;
    if let Some(seconds) = options.idle_seconds {
        let ago = UnixMs(now.0.saturating_sub(seconds.saturating_mul(MS_PER_SECOND)).max(0));
        ctx.engine(at).touch(at, ago);
    }
    ctx.dirty += 1;
    reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<RestoreOptions, String> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        RestoreOptions::parse(&args).map_err(|error| error.to_string())
    }

    #[test]
    fn options_stand_in_any_order() {
        let options = RestoreOptions { replace: true, absolute: true, idle_seconds: Some(7) };
        assert_eq!(parse("RESTORE k 0 v idletime 7 absttl REPLACE"), Ok(options));
        assert_eq!(parse("RESTORE k 0 v FREQ 255"), Ok(RestoreOptions::default()));
    }

    #[test]
    fn contradictions_and_nonsense_are_errors() {
        for line in ["x", "IDLETIME", "FREQ", "IDLETIME 1 FREQ 1", "FREQ 1 IDLETIME 1"] {
            assert_eq!(parse(&format!("RESTORE k 0 v {line}")), Err("ERR syntax error".to_owned()), "{line}");
        }
        assert_eq!(parse("RESTORE k 0 v IDLETIME -1"), Err("ERR Invalid IDLETIME value, must be >= 0".to_owned()));
        assert_eq!(parse("RESTORE k 0 v FREQ 256"), Err("ERR Invalid FREQ value, must be >= 0 and <= 255".to_owned()));
        assert_eq!(parse("RESTORE k 0 v FREQ x"), Err("ERR value is not an integer or out of range".to_owned()));
    }
}
