//! Hashes: maps of fields to byte strings under one key.

mod expiry_table;
mod field_expiry;
mod getset;
mod number;
mod read;
mod write;

use super::spec::{Access, Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec};
use number::{hincrby, hincrbyfloat};
use read::{hexists, hget, hgetall, hkeys, hlen, hmget, hrandfield, hscan, hstrlen, hvals};
use write::{hdel, hmset, hset, hsetnx};

pub(super) use expiry_table::COMMANDS as EXPIRY_COMMANDS;

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "HDEL",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes fields from a hash, and the hash with its last field.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("field").multiple()],
        handler: Handler::Write(hdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HEXISTS",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Tells whether a hash has a field.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("field")],
        handler: Handler::Read(hexists),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HGET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the value of a field of a hash.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("field")],
        handler: Handler::Read(hget),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HGETALL",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns all fields of a hash with their values.",
        complexity: "O(N)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(hgetall),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HINCRBY",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Adds a number to the integer in a field of a hash.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("field"), Arg::integer("increment")],
        handler: Handler::Write(hincrby),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HINCRBYFLOAT",
        since: "2.6.0",
        group: Group::Hash,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Adds a floating-point number to the one in a field of a hash.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("field"), Arg::double("increment")],
        handler: Handler::Write(hincrbyfloat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HKEYS",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns all fields of a hash.",
        complexity: "O(N)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(hkeys),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HLEN",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns how many fields a hash has.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(hlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HMGET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the values of several fields of a hash.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("field").multiple()],
        handler: Handler::Read(hmget),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HMSET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Sets several fields of a hash.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()],
        deprecated: Some(Deprecation { since: "4.0.0", replaced_by: "`HSET` with multiple field-value pairs" }),
        handler: Handler::Write(hmset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HRANDFIELD",
        since: "6.2.0",
        group: Group::Hash,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns fields of a hash chosen at random.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::block("options", &[Arg::integer("count"), Arg::word("withvalues", "WITHVALUES").optional()])
                .optional(),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(hrandfield),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSCAN",
        since: "2.8.0",
        group: Group::Hash,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Walks the fields and values of a hash in steps.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("cursor"), Arg::MATCH, Arg::COUNT],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(hscan),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSET",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Sets fields of a hash and returns how many of them are new.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()],
        handler: Handler::Write(hset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSETNX",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Sets a field of a hash if the hash does not have it yet.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("field"), Arg::string("value")],
        handler: Handler::Write(hsetnx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HSTRLEN",
        since: "3.2.0",
        group: Group::Hash,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns the length in bytes of the value of a field.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("field")],
        handler: Handler::Read(hstrlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HVALS",
        since: "2.0.0",
        group: Group::Hash,
        arity: Arity::exactly(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns all values of a hash.",
        complexity: "O(N)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(hvals),
        ..CommandSpec::BASE
    },
];
