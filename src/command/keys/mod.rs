//! Keys, whatever they hold.
//!
//! [`basic`] removes and counts, [`expire`] sets and tells expiries, [`transfer`] copies and renames,
//! [`walk`] finds keys by pattern or chance, and [`object`] looks at how values are kept.

mod basic;
mod expire;
mod object;
pub mod shard_walk;
mod transfer;
mod walk;

pub(super) use transfer::database;
pub(crate) use transfer::{CopyOptions, move_destination};

use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec, Subcommand};
use basic::{del, exists, touch, type_of};
use expire::{expire, expireat, expiretime, persist, pexpire, pexpireat, pexpiretime, pttl, ttl};
use object::object;
use transfer::{copy, move_key, rename, renamenx};
use walk::{keys, randomkey, scan};

/// When EXPIRE and its kin set the new expiry.
const EXPIRY_CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional();

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "COPY",
        since: "6.2.0",
        group: Group::Generic,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Read), KeySpec::one(2, Access::Overwrite)],
        summary: "Copies the value of a key to another key.",
        complexity: "O(N)",
        args: &[
            Arg::key("source"),
            Arg::key_at("destination", 1),
            Arg::integer("destination-db").after("DB").optional(),
            Arg::word("replace", "REPLACE").optional(),
        ],
        handler: Handler::Write(copy),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DEL",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::KEYSPACE),
        keys: &[KeySpec::rest(1, Access::Delete)],
        summary: "Deletes keys.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Write(del),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXISTS",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::rest(1, Access::ReadMeta)],
        summary: "Counts how many of the named keys are there.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Read(exists),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXPIRE",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Makes a key expire after some seconds.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("seconds"), EXPIRY_CONDITION],
        handler: Handler::Write(expire),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXPIREAT",
        since: "1.2.0",
        group: Group::Generic,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Makes a key expire at a Unix time in seconds.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::unix_time("unix-time-seconds"), EXPIRY_CONDITION],
        handler: Handler::Write(expireat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXPIRETIME",
        since: "7.0.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the Unix time in seconds at which a key expires.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(expiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "KEYS",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::KEYSPACE).or(Flags::DANGEROUS),
        summary: "Returns all keys that match a pattern.",
        complexity: "O(N)",
        args: &[Arg::pattern("pattern")],
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        handler: Handler::Read(keys),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MOVE",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Moves a key to another database.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("db")],
        handler: Handler::Write(move_key),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "OBJECT",
        since: "2.2.3",
        group: Group::Generic,
        arity: Arity::at_least(2),
        summary: "Looks at how values are kept.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "ENCODING",
                since: "2.2.3",
                arity: Arity::exactly(3),
                flags: Flags::READONLY.or(Flags::KEYSPACE),
                keys: &[KeySpec::one(2, Access::ReadMeta)],
                summary: "Returns the name of the encoding a value is kept in.",
                complexity: "O(1)",
                args: &[Arg::key("key")],
                tips: &["nondeterministic_output"],
            },
            Subcommand {
                name: "FREQ",
                since: "4.0.0",
                arity: Arity::exactly(3),
                flags: Flags::READONLY.or(Flags::KEYSPACE),
                keys: &[KeySpec::one(2, Access::ReadMeta)],
                summary: "Returns how often a key is used, on a logarithmic scale.",
                complexity: "O(1)",
                args: &[Arg::key("key")],
                tips: &["nondeterministic_output"],
            },
            Subcommand {
                name: "HELP",
                since: "6.2.0",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::KEYSPACE),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "IDLETIME",
                since: "2.2.3",
                arity: Arity::exactly(3),
                flags: Flags::READONLY.or(Flags::KEYSPACE),
                keys: &[KeySpec::one(2, Access::ReadMeta)],
                summary: "Returns how many seconds ago a key was last used.",
                complexity: "O(1)",
                args: &[Arg::key("key")],
                tips: &["nondeterministic_output"],
            },
            Subcommand {
                name: "REFCOUNT",
                since: "2.2.3",
                arity: Arity::exactly(3),
                flags: Flags::READONLY.or(Flags::KEYSPACE),
                keys: &[KeySpec::one(2, Access::ReadMeta)],
                summary: "Returns the number of references to a value.",
                complexity: "O(1)",
                args: &[Arg::key("key")],
                tips: &["nondeterministic_output"],
            },
        ],
        handler: Handler::Read(object),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PERSIST",
        since: "2.2.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Removes the expiry of a key.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Write(persist),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PEXPIRE",
        since: "2.6.0",
        group: Group::Generic,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Makes a key expire after some milliseconds.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("milliseconds"), EXPIRY_CONDITION],
        handler: Handler::Write(pexpire),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PEXPIREAT",
        since: "2.6.0",
        group: Group::Generic,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Makes a key expire at a Unix time in milliseconds.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::unix_time("unix-time-milliseconds"), EXPIRY_CONDITION],
        handler: Handler::Write(pexpireat),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PEXPIRETIME",
        since: "7.0.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the Unix time in milliseconds at which a key expires.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(pexpiretime),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PTTL",
        since: "2.6.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns how many milliseconds a key has left to live.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(pttl),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RANDOMKEY",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(1),
        flags: Flags::READONLY.or(Flags::KEYSPACE),
        summary: "Returns a key chosen at random.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        handler: Handler::Read(randomkey),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RENAME",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Overwrite)],
        summary: "Renames a key, replacing the one that had the new name.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::key_at("newkey", 1)],
        handler: Handler::Write(rename),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RENAMENX",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Create)],
        summary: "Renames a key if no key has the new name.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::key_at("newkey", 1)],
        handler: Handler::Write(renamenx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SCAN",
        since: "2.8.0",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::READONLY.or(Flags::KEYSPACE),
        summary: "Walks the keys of the database in steps.",
        complexity: "O(1)",
        args: &[Arg::integer("cursor"), Arg::MATCH, Arg::COUNT, Arg::string("type").after("TYPE").optional()],
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        handler: Handler::Read(scan),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TOUCH",
        since: "3.2.1",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::rest(1, Access::ReadMeta)],
        summary: "Marks keys as used just now and counts those that are there.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Read(touch),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TTL",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns how many seconds a key has left to live.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(ttl),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TYPE",
        since: "1.0.0",
        group: Group::Generic,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns the kind of value a key holds.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(type_of),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "UNLINK",
        since: "4.0.0",
        group: Group::Generic,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::KEYSPACE),
        keys: &[KeySpec::rest(1, Access::Delete)],
        summary: "Deletes keys, freeing their memory later.",
        complexity: "O(1)",
        args: &[Arg::key("key").multiple()],
        tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
        handler: Handler::Write(del),
        ..CommandSpec::BASE
    },
];
