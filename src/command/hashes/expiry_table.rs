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
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HEXPIRE",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Gives fields of a hash a time to live in seconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::integer("seconds"), CONDITION, FIELDS],
        handler: Handler::Write(hexpire),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HEXPIREAT",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Gives fields of a hash a time at which they expire, in seconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::unix_time("unix-time-seconds"), CONDITION, FIELDS],
        handler: Handler::Write(hexpireat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HEXPIRETIME",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns when fields of a hash expire, in seconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), FIELDS],
        handler: Handler::Read(hexpiretime),
        ..CommandSpec::BASE
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
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Gives fields of a hash a time to live in milliseconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::integer("milliseconds"), CONDITION, FIELDS],
        handler: Handler::Write(hpexpire),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPEXPIREAT",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Gives fields of a hash a time at which they expire, in milliseconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::unix_time("unix-time-milliseconds"), CONDITION, FIELDS],
        handler: Handler::Write(hpexpireat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPEXPIRETIME",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns when fields of a hash expire, in milliseconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), FIELDS],
        handler: Handler::Read(hpexpiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HPTTL",
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the time that fields of a hash have left, in milliseconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), FIELDS],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(hpttl),
        ..CommandSpec::BASE
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
        since: "7.4.0",
        group: Group::Hash,
        arity: Arity::at_least(5),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the time that fields of a hash have left, in seconds.",
        complexity: "O(N)",
        args: &[Arg::key("key"), FIELDS],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(httl),
        ..CommandSpec::BASE
    },
];
