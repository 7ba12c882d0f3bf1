//! The commands about several sorted sets at once.

use super::algebra::{zdiff, zdiffstore, zinter, zintercard, zinterstore, zunion, zunionstore};
use crate::command::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};

const WEIGHTS: Arg = Arg::integer("weight").after("WEIGHTS").optional().multiple();
const AGGREGATE: Arg =
    Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
        .after("AGGREGATE")
        .optional();
const WITH_SCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();

/// What the commands that reply with the result have in common.
const READS: CommandSpec = CommandSpec {
    since: "6.2.0",
    group: Group::SortedSet,
    arity: Arity::at_least(3),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::Counted { count_at: 1, access: Access::Read }],
    ..CommandSpec::BASE
};

/// What the commands that store the result have in common.
const STORES: CommandSpec = CommandSpec {
    since: "2.0.0",
    group: Group::SortedSet,
    arity: Arity::at_least(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::one(1, Access::Overwrite), KeySpec::Counted { count_at: 2, access: Access::Read }],
    ..CommandSpec::BASE
};

/// The commands of this family that are about several sets.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZDIFF",
        summary: "Returns the members of the first sorted set that no other has.",
        complexity: "O(L + (N-K)log(N))",
        args: &[Arg::integer("numkeys"), Arg::key("key").multiple(), WITH_SCORES],
        handler: Handler::Read(zdiff),
        ..READS
    },
    CommandSpec {
        name: "ZDIFFSTORE",
        since: "6.2.0",
        summary: "Stores the members of the first sorted set that no other has.",
        complexity: "O(L + (N-K)log(N))",
        args: &[Arg::key("destination"), Arg::integer("numkeys"), Arg::key_at("key", 1).multiple()],
        handler: Handler::Write(zdiffstore),
        ..STORES
    },
    CommandSpec {
        name: "ZINTER",
        summary: "Returns the members that all of several sorted sets have.",
        complexity: "O(N*K)+O(M*log(M))",
        args: &[Arg::integer("numkeys"), Arg::key("key").multiple(), WEIGHTS, AGGREGATE, WITH_SCORES],
        handler: Handler::Read(zinter),
        ..READS
    },
    CommandSpec {
        name: "ZINTERCARD",
        since: "7.0.0",
        summary: "Counts the members that all of several sorted sets have.",
        complexity: "O(N*K)",
        args: &[Arg::integer("numkeys"), Arg::key("key").multiple(), Arg::integer("limit").after("LIMIT").optional()],
        handler: Handler::Read(zintercard),
        ..READS
    },
    CommandSpec {
        name: "ZINTERSTORE",
        summary: "Stores the members that all of several sorted sets have.",
        complexity: "O(N*K)+O(M*log(M))",
        args: &[Arg::key("destination"), Arg::integer("numkeys"), Arg::key_at("key", 1).multiple(), WEIGHTS, AGGREGATE],
        handler: Handler::Write(zinterstore),
        ..STORES
    },
    CommandSpec {
        name: "ZUNION",
        summary: "Returns the members that any of several sorted sets has.",
        complexity: "O(N)+O(M*log(M))",
        args: &[Arg::integer("numkeys"), Arg::key("key").multiple(), WEIGHTS, AGGREGATE, WITH_SCORES],
        handler: Handler::Read(zunion),
        ..READS
    },
    CommandSpec {
        name: "ZUNIONSTORE",
        summary: "Stores the members that any of several sorted sets has.",
        complexity: "O(N)+O(M*log(M))",
        args: &[Arg::key("destination"), Arg::integer("numkeys"), Arg::key_at("key", 1).multiple(), WEIGHTS, AGGREGATE],
        handler: Handler::Write(zunionstore),
        ..STORES
    },
];
