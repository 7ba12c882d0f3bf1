//! The commands about ranges of sorted sets.

use super::range::{
    zrange, zrangebylex, zrangebyscore, zrangestore, zremrangebylex, zremrangebyrank, zremrangebyscore, zrevrange,
    zrevrangebylex, zrevrangebyscore,
};
use crate::command::spec::{Access, Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec};

const SORT_BY: Arg = Arg::one_of("sortby", &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")]).optional();
const REVERSED: Arg = Arg::word("rev", "REV").optional();
const LIMIT: Arg = Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).after("LIMIT").optional();
const WITH_SCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();

/// What the deprecated forms of ZRANGE have in common.
const OLD: CommandSpec = CommandSpec {
    group: Group::SortedSet,
    arity: Arity::at_least(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::one(1, Access::Read)],
    complexity: "O(log(N)+M)",
    ..CommandSpec::BASE
};

/// The commands of this family that are about ranges.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZRANGE",
        since: "1.2.0",
        summary: "Returns the members in a range by rank, by score or by member.",
        args: &[Arg::key("key"), Arg::string("start"), Arg::string("stop"), SORT_BY, REVERSED, LIMIT, WITH_SCORES],
        handler: Handler::Read(zrange),
        ..OLD
    },
    CommandSpec {
        name: "ZRANGEBYLEX",
        since: "2.8.9",
        summary: "Returns the members in a range of members, all scores being equal.",
        args: &[Arg::key("key"), Arg::string("min"), Arg::string("max"), LIMIT],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`ZRANGE` with the `BYLEX` argument" }),
        handler: Handler::Read(zrangebylex),
        ..OLD
    },
    CommandSpec {
        name: "ZRANGEBYSCORE",
        since: "1.0.5",
        summary: "Returns the members with scores in a range.",
        args: &[Arg::key("key"), Arg::double("min"), Arg::double("max"), WITH_SCORES, LIMIT],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`ZRANGE` with the `BYSCORE` argument" }),
        handler: Handler::Read(zrangebyscore),
        ..OLD
    },
    CommandSpec {
        name: "ZRANGESTORE",
        since: "6.2.0",
        group: Group::SortedSet,
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite), KeySpec::one(2, Access::Read)],
        summary: "Stores the members in a range as another sorted set.",
        complexity: "O(log(N)+M)",
        args: &[
            Arg::key("dst"),
            Arg::key_at("src", 1),
            Arg::string("min"),
            Arg::string("max"),
            SORT_BY,
            REVERSED,
            LIMIT,
        ],
        handler: Handler::Write(zrangestore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYLEX",
        since: "2.8.9",
        group: Group::SortedSet,
        arity: Arity::exactly(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes the members in a range of members, all scores being equal.",
        complexity: "O(log(N)+M)",
        args: &[Arg::key("key"), Arg::string("min"), Arg::string("max")],
        handler: Handler::Write(zremrangebylex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYRANK",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::exactly(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes the members in a range by rank.",
        complexity: "O(log(N)+M)",
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
        handler: Handler::Write(zremrangebyrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREMRANGEBYSCORE",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::exactly(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes the members with scores in a range.",
        complexity: "O(log(N)+M)",
        args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
        handler: Handler::Write(zremrangebyscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANGE",
        since: "1.2.0",
        summary: "Returns the members in a range by rank, highest score first.",
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop"), WITH_SCORES],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`ZRANGE` with the `REV` argument" }),
        handler: Handler::Read(zrevrange),
        ..OLD
    },
    CommandSpec {
        name: "ZREVRANGEBYLEX",
        since: "2.8.9",
        summary: "Returns the members in a range of members, the last first, all scores being equal.",
        args: &[Arg::key("key"), Arg::string("max"), Arg::string("min"), LIMIT],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments" }),
        handler: Handler::Read(zrevrangebylex),
        ..OLD
    },
    CommandSpec {
        name: "ZREVRANGEBYSCORE",
        since: "2.2.0",
        summary: "Returns the members with scores in a range, highest score first.",
        args: &[Arg::key("key"), Arg::double("max"), Arg::double("min"), WITH_SCORES, LIMIT],
        deprecated: Some(Deprecation {
            since: "6.2.0",
            replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments",
        }),
        handler: Handler::Read(zrevrangebyscore),
        ..OLD
    },
];
