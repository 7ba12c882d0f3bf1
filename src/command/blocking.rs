//! Commands that wait until they have something to answer.
//!
//! Each is a write that tries once, with the handler of the command that does not wait: `BLPOP key … timeout` is LPOP of
//! the first key that has a list. That is what the log has, and what runs in a transaction. Who waits for whom, and how
//! long, is the affair of `shard::parking`, which asks [`Waiting`] what a request waits for.

use super::context::WriteContext;
use super::error::{CommandError, CommandResult};
use super::lists::parse_lmpop;
use super::spec::{Access, Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec};
use super::streams::block_ms;
use super::table::{find, keys_of};
use super::zsets::parse_zmpop;
use crate::resp::Reply;
use crate::storage::{Kind, StorageError};
use crate::types::number::parse_f64;

const NOT_FLOAT: CommandError = CommandError::Static("ERR timeout is not a float or out of range");
const NEGATIVE: CommandError = CommandError::Static("ERR timeout is negative");
const OUT_OF_RANGE: CommandError = CommandError::Static("ERR timeout is out of range");

const POP: Flags = Flags::WRITE.or(Flags::NOSCRIPT).or(Flags::BLOCKING);
const TIMEOUT: Arg = Arg::double("timeout");

/// What pops of one or more keys have in common.
const POP_OF_KEYS: CommandSpec = CommandSpec {
    arity: Arity::at_least(3),
    flags: POP,
    keys: &[KeySpec::Range { first: 1, last: -2, step: 1, access: Access::Take }],
    complexity: "O(N)",
    args: &[Arg::key("key").multiple(), TIMEOUT],
    ..CommandSpec::BASE
};

/// What pops of several elements have in common.
const POP_OF_COUNTED_KEYS: CommandSpec = CommandSpec {
    since: "7.0.0",
    arity: Arity::at_least(5),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::Counted { count_at: 2, access: Access::Take }],
    ..CommandSpec::BASE
};

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BLMOVE",
        since: "6.2.0",
        group: Group::List,
        arity: Arity::exactly(6),
        flags: POP.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Insert)],
        summary: "Moves an element from an end of a list to an end of another, and waits for one.",
        complexity: "O(1)",
        args: &[
            Arg::key("source"),
            Arg::key_at("destination", 1),
            Arg::one_of("wherefrom", Arg::LEFT_OR_RIGHT),
            Arg::one_of("whereto", Arg::LEFT_OR_RIGHT),
            TIMEOUT,
        ],
        handler: Handler::Write(blmove),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BLMPOP",
        group: Group::List,
        summary: "Removes elements from the first of several lists that has any, and waits for one.",
        complexity: "O(N+M)",
        args: &[
            TIMEOUT,
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::one_of("where", Arg::LEFT_OR_RIGHT),
            Arg::COUNT,
        ],
        handler: Handler::Write(blmpop),
        ..POP_OF_COUNTED_KEYS
    },
    CommandSpec {
        name: "BLPOP",
        since: "2.0.0",
        group: Group::List,
        summary: "Removes the first element of a list, and waits for one.",
        handler: Handler::Write(blpop),
        ..POP_OF_KEYS
    },
    CommandSpec {
        name: "BRPOP",
        since: "2.0.0",
        group: Group::List,
        summary: "Removes the last element of a list, and waits for one.",
        handler: Handler::Write(brpop),
        ..POP_OF_KEYS
    },
    CommandSpec {
        name: "BRPOPLPUSH",
        since: "2.2.0",
        group: Group::List,
        arity: Arity::exactly(4),
        flags: POP.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Insert)],
        summary: "Moves the last element of a list to the beginning of another, and waits for one.",
        complexity: "O(1)",
        args: &[Arg::key("source"), Arg::key_at("destination", 1), TIMEOUT],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments" }),
        handler: Handler::Write(brpoplpush),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BZMPOP",
        group: Group::SortedSet,
        summary: "Removes members with the lowest or highest scores from the first of several sorted sets that has any, \
                  and waits for one.",
        complexity: "O(K) + O(M*log(N))",
        args: &[TIMEOUT, Arg::integer("numkeys"), Arg::key("key").multiple(), Arg::MIN_OR_MAX, Arg::COUNT],
        handler: Handler::Write(bzmpop),
        ..POP_OF_COUNTED_KEYS
    },
    CommandSpec {
        name: "BZPOPMAX",
        since: "5.0.0",
        group: Group::SortedSet,
        flags: POP.or(Flags::FAST),
        summary: "Removes the member with the highest score from a sorted set, and waits for one.",
        complexity: "O(log(N))",
        handler: Handler::Write(bzpopmax),
        ..POP_OF_KEYS
    },
    CommandSpec {
        name: "BZPOPMIN",
        since: "5.0.0",
        group: Group::SortedSet,
        flags: POP.or(Flags::FAST),
        summary: "Removes the member with the lowest score from a sorted set, and waits for one.",
        complexity: "O(log(N))",
        handler: Handler::Write(bzpopmin),
        ..POP_OF_KEYS
    },
];

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// For how long, in milliseconds; `None` is for ever.
    pub timeout_ms: Option<u64>,
    /// Values of this kind can answer it.
    pub kind: Kind,
    /// Most of its keys that matter, from the first on.
    pub keys_max: usize,
}

impl Waiting {
    /// What a request waits for if nothing is there to answer it; `None` if it does not wait, because it is not of that
    /// kind or has a wrong time-out, which the handler refuses.
    pub fn of(spec: &CommandSpec, args: &[&[u8]]) -> Option<Self> {
        if !spec.flags.has(Flags::BLOCKING) {
            return None;
        }
        let (at, kind, keys_max) = match spec.name {
            "BLPOP" | "BRPOP" => (args.len() - 1, Kind::List, usize::MAX),
            "BLMOVE" => (5, Kind::List, 1),
            "BRPOPLPUSH" => (3, Kind::List, 1),
            "BLMPOP" => (1, Kind::List, usize::MAX),
            "BZMPOP" => (1, Kind::Zset, usize::MAX),
            "BZPOPMIN" | "BZPOPMAX" => (args.len() - 1, Kind::Zset, usize::MAX),
            "XREAD" | "XREADGROUP" => return Self::of_streams(args),
            _ => return None,
        };
        Some(Self { timeout_ms: timeout(args[at]).ok()?, kind, keys_max })
    }

    /// `XREAD … BLOCK milliseconds … STREAMS …`
    fn of_streams(args: &[&[u8]]) -> Option<Self> {
        let millis = block_ms(args)?;
        let timeout_ms = (millis > 0).then_some(millis);
        Some(Self { timeout_ms, kind: Kind::Stream, keys_max: usize::MAX })
    }

    /// The keys that a request waits for.
    pub fn keys<'a>(&self, spec: &CommandSpec, args: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let keys = keys_of(spec, args).unwrap_or_default();
        keys.iter().take(self.keys_max).map(|&(index, _)| args[index]).collect()
    }
}

/// A time-out in seconds, as milliseconds; `None` is for ever.
fn timeout(arg: &[u8]) -> Result<Option<u64>, CommandError> {
    let seconds = parse_f64(arg).filter(|seconds| !seconds.is_nan()).ok_or(NOT_FLOAT)?;
    let millis = (seconds * 1000.0).ceil();
    if millis > i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    if millis < 0.0 {
        return Err(NEGATIVE);
    }
    Ok((millis > 0.0).then_some(millis as u64))
}

/// Runs another write.
fn run(name: &str, ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    match find(name.as_bytes()).map(|spec| spec.handler) {
        Some(Handler::Write(handler)) => handler(ctx, args, reply),
        _ => Err(CommandError::Text(format!("ERR {name} is not available"))),
    }
}

/// Pops from the first key that has a value of the kind, with the key before what was popped.
fn pop_first(
    (pop, kind, elements): (&str, Kind, usize),
    ctx: &mut WriteContext<'_>,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (timeout_arg, keys) = args[1..].split_last().expect("the number of arguments was checked");
    timeout(timeout_arg)?;
    for key in keys {
        match ctx.meta(key)? {
            None => continue,
            Some(meta) if meta.kind != kind => return Err(StorageError::WrongType.into()),
            Some(_) => {}
        }
        let mut popped = Vec::new();
        run(pop, ctx, &[pop.as_bytes(), key], &mut Reply::new(&mut popped, reply.protocol()))?;
        ctx.only_changed = (keys.len() > 1).then(|| key.to_vec());
        reply.array(elements + 1);
        reply.bulk(key);
        // Of several elements the reply is an array, whose header is replaced by ours.
        let skipped =
            if elements > 1 { popped.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1) } else { 0 };
        reply.raw(&popped[skipped..]);
        return Ok(());
    }
    reply.null_array();
    Ok(())
}

/// `BLPOP key … timeout`
fn blpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop_first(("LPOP", Kind::List, 1), ctx, args, reply)
}

/// `BRPOP key … timeout`
fn brpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop_first(("RPOP", Kind::List, 1), ctx, args, reply)
}

/// `BZPOPMIN key … timeout`
fn bzpopmin(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop_first(("ZPOPMIN", Kind::Zset, 2), ctx, args, reply)
}

/// `BZPOPMAX key … timeout`
fn bzpopmax(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    pop_first(("ZPOPMAX", Kind::Zset, 2), ctx, args, reply)
}

/// `BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout`
fn blmove(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    for end in &args[3..5] {
        if !end.eq_ignore_ascii_case(b"left") && !end.eq_ignore_ascii_case(b"right") {
            return Err(super::error::SYNTAX);
        }
    }
    timeout(args[5])?;
    run("LMOVE", ctx, &args[..5], reply)
}

/// `BRPOPLPUSH source destination timeout`
fn brpoplpush(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    timeout(args[3])?;
    run("RPOPLPUSH", ctx, &args[..3], reply)
}

/// `BLMPOP timeout numkeys key … LEFT|RIGHT [COUNT count]`; the time-out is checked last.
fn blmpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    parse_lmpop(args, 2)?;
    timeout(args[1])?;
    run("LMPOP", ctx, &args[1..], reply)
}

/// `BZMPOP timeout numkeys key … MIN|MAX [COUNT count]`; the time-out is checked last.
fn bzmpop(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    parse_zmpop(args, 2)?;
    timeout(args[1])?;
    run("ZMPOP", ctx, &args[1..], reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_seconds() {
        let of = |text: &str| timeout(text.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(of("0"), Ok(None));
        assert_eq!(of("0.0001"), Ok(Some(1)));
        assert_eq!(of("1.5"), Ok(Some(1500)));
        assert_eq!(of("-1"), Err("ERR timeout is negative".to_owned()));
        assert_eq!(of("x"), Err("ERR timeout is not a float or out of range".to_owned()));
        assert_eq!(of("1e300"), Err("ERR timeout is out of range".to_owned()));
    }

    #[test]
    fn what_is_waited_for() {
        let of = |line: &str| {
            let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let spec = find(args[0]).expect("a command");
            Waiting::of(spec, &args).map(|waiting| (waiting.timeout_ms, waiting.keys(spec, &args).len()))
        };
        assert_eq!(of("BLPOP a b 0"), Some((None, 2)));
        assert_eq!(of("BLPOP a b no"), None);
        assert_eq!(of("BLMOVE a b LEFT RIGHT 2"), Some((Some(2000), 1)));
        assert_eq!(of("BZMPOP 1 2 a b MIN"), Some((Some(1000), 2)));
        assert_eq!(of("XREAD BLOCK 5 STREAMS a b 0 0"), Some((Some(5), 2)));
        assert_eq!(of("XREADGROUP GROUP block streams COUNT 1 BLOCK 0 STREAMS a >"), Some((None, 1)));
        assert_eq!(of("XREAD STREAMS block 0"), None);
        assert_eq!(of("GET a"), None);
    }
}
