//! The commands about fields that expire.

use super::field_expiry::{hexpire, hexpireat, hexpiretime, hpersist, hpexpire, hpexpireat, hpexpiretime, hpttl, httl};
use super::getset::{hgetdel, hgetex, hsetex};
use crate::command::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};

/// The fields a command names.
const FIELDS: Arg = Arg::block("fields", &[Arg::integer("numfields"), Arg::string("field").multiple()]).after("FIELDS");

/// When an expiry is set.
const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional();

/// The commands of this part of the family.
/// What the commands that tell expiries have in common.
const TELLS: CommandSpec = CommandSpec {
    since: "7.4.0",
    group: Group::Hash,
    arity: Arity::at_least(5),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::one(1, Access::Read)],
    complexity: "O(N)",
    args: &[Arg::key("key"), FIELDS],
    ..CommandSpec::BASE
};

/// What the commands that set expiries have in common.
const SETS: CommandSpec = CommandSpec {
    since: "7.4.0",
    group: Group::Hash,
    arity: Arity::at_least(6),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::one(1, Access::Update)],
    complexity: "O(N)",
    ..CommandSpec::BASE
};

pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HEXPIRE",
        summary: "Gives fields of a hash a time to live in seconds.",
        args: &[Arg::key("key"), Arg::integer("seconds"), CONDITION, FIELDS],
        handler: Handler::Write(hexpire),
        ..SETS
    },
    CommandSpec {
        name: "HEXPIREAT",
        summary: "Gives fields of a hash a time at which they expire, in seconds.",
        args: &[Arg::key("key"), Arg::unix_time("unix-time-seconds"), CONDITION, FIELDS],
        handler: Handler::Write(hexpireat),
        ..SETS
    },
    CommandSpec {
        name: "HEXPIRETIME",
        summary: "Returns when fields of a hash expire, in seconds.",
        handler: Handler::Read(hexpiretime),
        ..TELLS
    },
    CommandSpec {
        name: "HGETDEL",
        since: "8.0.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Returns the values of fields of a hash and removes them.",
        complexity: "O(N)",
        args: &[Arg::key("key"), FIELDS],
        handler: Handler::Write(hgetdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HGETEX",
        since: "8.0.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Returns the values of fields of a hash and may set when they expire.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").after("EX"),
                    Arg::integer("milliseconds").after("PX"),
                    Arg::unix_time("unix-time-seconds").after("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").after("PXAT"),
                    Arg::word("persist", "PERSIST"),
                ],
            )
            .optional(),
            FIELDS,
        ],
        handler: Handler::Write(hgetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPERSIST",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Makes fields of a hash stay for good.",
        complexity: "O(N)",
        args: &[Arg::key("key"), FIELDS],
        handler: Handler::Write(hpersist),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPEXPIRE",
        summary: "Gives fields of a hash a time to live in milliseconds.",
        args: &[Arg::key("key"), Arg::integer("milliseconds"), CONDITION, FIELDS],
        handler: Handler::Write(hpexpire),
        ..SETS
    },
    CommandSpec {
        name: "HPEXPIREAT",
        summary: "Gives fields of a hash a time at which they expire, in milliseconds.",
        args: &[Arg::key("key"), Arg::unix_time("unix-time-milliseconds"), CONDITION, FIELDS],
        handler: Handler::Write(hpexpireat),
        ..SETS
    },
    CommandSpec {
        name: "HPEXPIRETIME",
        summary: "Returns when fields of a hash expire, in milliseconds.",
        handler: Handler::Read(hpexpiretime),
        ..TELLS
    },
    CommandSpec {
        name: "HPTTL",
        summary: "Returns the time that fields of a hash have left, in milliseconds.",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(hpttl),
        ..TELLS
    },
    CommandSpec {
        name: "HSETEX",
        since: "8.0.0",
        group: Group::Hash,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Sets fields of a hash and when they expire.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::one_of("condition", &[Arg::word("fnx", "FNX"), Arg::word("fxx", "FXX")]).optional(),
            Arg::one_of(
                "expiration",
                &[
                    Arg::integer("seconds").after("EX"),
                    Arg::integer("milliseconds").after("PX"),
                    Arg::unix_time("unix-time-seconds").after("EXAT"),
                    Arg::unix_time("unix-time-milliseconds").after("PXAT"),
                    Arg::word("keepttl", "KEEPTTL"),
                ],
            )
            .optional(),
            Arg::block(
                "fields",
                &[
                    Arg::integer("numfields"),
                    Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
                ],
            )
            .after("FIELDS"),
        ],
        handler: Handler::Write(hsetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HTTL",
        summary: "Returns the time that fields of a hash have left, in seconds.",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(httl),
        ..TELLS
    },
];
