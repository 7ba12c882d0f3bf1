//! Sorted sets: members in the order of their scores.
//!
//! | file | what it has |
//! |---|---|
//! | `add` | ZADD, ZINCRBY, ZREM |
//! | `read` | scores, ranks, counts, ZSCAN, ZRANDMEMBER |
//! | `range` | ZRANGE in all its forms, ZRANGESTORE, ZREMRANGEBY… |
//! | `pop` | ZPOPMIN, ZPOPMAX, ZMPOP |
//! | `algebra` | unions, intersections and differences |
//! | `out` | members and scores as replies |

mod add;
mod algebra;
mod algebra_table;
mod out;
mod pop;
mod range;
mod range_table;
mod read;

pub(super) use add::{AddOptions, add_all, reply_added};
pub(super) use algebra_table::COMMANDS as ALGEBRA_COMMANDS;
pub(super) use out::{reply_whole, store};
pub(super) use pop::parse_zmpop;
pub(super) use range_table::COMMANDS as RANGE_COMMANDS;

use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use add::{zadd, zincrby, zrem};
use pop::{zmpop, zpopmax, zpopmin};
use read::{zcard, zcount, zlexcount, zmscore, zrandmember, zrank, zrevrank, zscan, zscore};

/// The commands of this family that are not about ranges or about several sets.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ZADD",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Adds members to a sorted set, or changes their scores.",
        complexity: "O(log(N))",
        args: &[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
            Arg::one_of("comparison", &[Arg::word("gt", "GT"), Arg::word("lt", "LT")]).optional(),
            Arg::word("change", "CH").optional(),
            Arg::word("increment", "INCR").optional(),
            Arg::block("data", &[Arg::double("score"), Arg::string("member")]).multiple(),
        ],
        handler: Handler::Write(zadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZCARD",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns how many members a sorted set has.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(zcard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZCOUNT",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::exactly(4),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Counts the members with scores in a range.",
        complexity: "O(log(N))",
        args: &[Arg::key("key"), Arg::double("min"), Arg::double("max")],
        handler: Handler::Read(zcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZINCRBY",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Adds a number to the score of a member.",
        complexity: "O(log(N))",
        args: &[Arg::key("key"), Arg::integer("increment"), Arg::string("member")],
        handler: Handler::Write(zincrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZLEXCOUNT",
        since: "2.8.9",
        group: Group::SortedSet,
        arity: Arity::exactly(4),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Counts the members in a range of members, all scores being equal.",
        complexity: "O(log(N))",
        args: &[Arg::key("key"), Arg::string("min"), Arg::string("max")],
        handler: Handler::Read(zlexcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZMPOP",
        since: "7.0.0",
        group: Group::SortedSet,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::MOVABLEKEYS).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::Counted { count_at: 1, access: Access::Take }],
        summary: "Removes members with the lowest or highest scores from the first of several sorted sets that has any.",
        complexity: "O(K) + O(M*log(N))",
        args: &[Arg::integer("numkeys"), Arg::key("key").multiple(), Arg::MIN_OR_MAX, Arg::COUNT],
        handler: Handler::Write(zmpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZMSCORE",
        since: "6.2.0",
        group: Group::SortedSet,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the scores of members.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        handler: Handler::Read(zmscore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZPOPMAX",
        since: "5.0.0",
        group: Group::SortedSet,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Removes and returns the members with the highest scores.",
        complexity: "O(log(N)*M)",
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        handler: Handler::Write(zpopmax),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZPOPMIN",
        since: "5.0.0",
        group: Group::SortedSet,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Removes and returns the members with the lowest scores.",
        complexity: "O(log(N)*M)",
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        handler: Handler::Write(zpopmin),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANDMEMBER",
        since: "6.2.0",
        group: Group::SortedSet,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns members of a sorted set chosen at random.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::block("options", &[Arg::integer("count"), Arg::word("withscores", "WITHSCORES").optional()])
                .optional(),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(zrandmember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZRANK",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the rank of a member, lowest score first.",
        complexity: "O(log(N))",
        args: &[Arg::key("key"), Arg::string("member"), Arg::word("withscore", "WITHSCORE").optional()],
        handler: Handler::Read(zrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREM",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes members from a sorted set, and the set with its last member.",
        complexity: "O(M*log(N))",
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        handler: Handler::Write(zrem),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZREVRANK",
        since: "2.0.0",
        group: Group::SortedSet,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the rank of a member, highest score first.",
        complexity: "O(log(N))",
        args: &[Arg::key("key"), Arg::string("member"), Arg::word("withscore", "WITHSCORE").optional()],
        handler: Handler::Read(zrevrank),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZSCAN",
        since: "2.8.0",
        group: Group::SortedSet,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Walks the members and scores of a sorted set in steps.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("cursor"), Arg::MATCH, Arg::COUNT],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(zscan),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ZSCORE",
        since: "1.2.0",
        group: Group::SortedSet,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the score of a member.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("member")],
        handler: Handler::Read(zscore),
        ..CommandSpec::BASE
    },
];
