//! Strings.
//!
//! [`set`] writes whole strings and expiries, [`read`] reads them, [`number`] counts, [`edit`] changes
//! parts, and [`lcs`] compares two.

mod edit;
mod lcs;
mod number;
mod read;
mod set;

use super::spec::{Access, Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec};
use edit::{append, setrange};
use lcs::lcs;
pub(super) use number::{NOT_FINITE, OVERFLOW};
use number::{decr, decrby, incr, incrby, incrbyfloat};
use read::{get, getrange, mget, strlen};
use set::{getdel, getex, getset, mset, msetnx, psetex, set, setex, setnx};

const EX: Arg = Arg::integer("seconds").after("EX");
const PX: Arg = Arg::integer("milliseconds").after("PX");
const EXAT: Arg = Arg::unix_time("unix-time-seconds").after("EXAT");
const PXAT: Arg = Arg::unix_time("unix-time-milliseconds").after("PXAT");

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "APPEND",
        since: "2.0.0",
        group: Group::String,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Appends to a string, creating the key if it is absent.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("value")],
        handler: Handler::Write(append),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DECR",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(2),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Subtracts one from the integer at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Write(decr),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DECRBY",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Subtracts a number from the integer at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("decrement")],
        handler: Handler::Write(decrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GET",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the string at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(get),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETDEL",
        since: "6.2.0",
        group: Group::String,
        arity: Arity::exactly(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Returns the string at a key and deletes the key.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Write(getdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETEX",
        since: "6.2.0",
        group: Group::String,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Returns the string at a key and changes when the key expires.",
        complexity: "O(1)",
        args: &[
            Arg::key("key"),
            Arg::one_of("expiration", &[EX, PX, EXAT, PXAT, Arg::word("persist", "PERSIST")]).optional(),
        ],
        handler: Handler::Write(getex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETRANGE",
        since: "2.4.0",
        group: Group::String,
        arity: Arity::exactly(4),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns a part of the string at a key.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
        handler: Handler::Read(getrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETSET",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Sets a key to a string and returns the one it held before.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("value")],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`SET` with the `!GET` argument" }),
        handler: Handler::Write(getset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCR",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(2),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Adds one to the integer at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Write(incr),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCRBY",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Adds a number to the integer at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("increment")],
        handler: Handler::Write(incrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INCRBYFLOAT",
        since: "2.6.0",
        group: Group::String,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Adds a floating-point number to the one at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::double("increment")],
        handler: Handler::Write(incrbyfloat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LCS",
        since: "7.0.0",
        group: Group::String,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::Range { first: 1, last: 2, step: 1, access: Access::Read }],
        summary: "Finds the longest common subsequence of two strings.",
        complexity: "O(N*M)",
        args: &[
            Arg::key("key1"),
            Arg::key("key2"),
            Arg::word("len", "LEN").optional(),
            Arg::word("idx", "IDX").optional(),
            Arg::integer("min-match-len").after("MINMATCHLEN").optional(),
            Arg::word("withmatchlen", "WITHMATCHLEN").optional(),
        ],
        handler: Handler::Read(lcs),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MGET",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::at_least(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::rest(1, Access::Read)],
        summary: "Returns the strings at several keys.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        tips: &["request_policy:multi_shard"],
        handler: Handler::Read(mget),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSET",
        since: "1.0.1",
        group: Group::String,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::Range { first: 1, last: -1, step: 2, access: Access::Overwrite }],
        summary: "Sets several keys to strings.",
        complexity: "O(N)",
        args: &[Arg::block("data", &[Arg::key("key"), Arg::string("value")]).multiple()],
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        handler: Handler::Write(mset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MSETNX",
        since: "1.0.1",
        group: Group::String,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::Range { first: 1, last: -1, step: 2, access: Access::Create }],
        summary: "Sets several keys to strings if none of them is there yet.",
        complexity: "O(N)",
        args: &[Arg::block("data", &[Arg::key("key"), Arg::string("value")]).multiple()],
        handler: Handler::Write(msetnx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PSETEX",
        since: "2.6.0",
        group: Group::String,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite)],
        summary: "Sets a key to a string that expires after some milliseconds.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("milliseconds"), Arg::string("value")],
        deprecated: Some(Deprecation { since: "2.6.12", replaced_by: "`SET` with the `PX` argument" }),
        handler: Handler::Write(psetex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SET",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Variable)],
        summary: "Sets a key to a string, whatever it held before.",
        complexity: "O(1)",
        args: &[
            Arg::key("key"),
            Arg::string("value"),
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
            Arg::word("get", "GET").optional(),
            Arg::one_of("expiration", &[EX, PX, EXAT, PXAT, Arg::word("keepttl", "KEEPTTL")]).optional(),
        ],
        handler: Handler::Write(set),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETEX",
        since: "2.0.0",
        group: Group::String,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite)],
        summary: "Sets a key to a string that expires after some seconds.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("seconds"), Arg::string("value")],
        deprecated: Some(Deprecation { since: "2.6.12", replaced_by: "`SET` with the `EX` argument" }),
        handler: Handler::Write(setex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETNX",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Create)],
        summary: "Sets a key to a string if the key is not there yet.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("value")],
        deprecated: Some(Deprecation { since: "2.6.12", replaced_by: "`SET` with the `NX` argument" }),
        handler: Handler::Write(setnx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETRANGE",
        since: "2.2.0",
        group: Group::String,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Overwrites a part of the string at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("offset"), Arg::string("value")],
        handler: Handler::Write(setrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "STRLEN",
        since: "2.2.0",
        group: Group::String,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns the length in bytes of the string at a key.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(strlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SUBSTR",
        since: "1.0.0",
        group: Group::String,
        arity: Arity::exactly(4),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns a part of the string at a key.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("end")],
        deprecated: Some(Deprecation { since: "2.0.0", replaced_by: "`GETRANGE`" }),
        handler: Handler::Read(getrange),
        ..CommandSpec::BASE
    },
];
