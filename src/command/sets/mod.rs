//! Sets: byte strings without order or repetition under one key.

mod algebra;
mod basic;
mod random;

use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use algebra::{sdiff, sdiffstore, sinter, sintercard, sinterstore, sunion, sunionstore};
use basic::{sadd, scard, sismember, smembers, smismember, smove, srem, sscan};
use random::{spop, srandmember};

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "SADD",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Adds members to a set and returns how many of them are new.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        handler: Handler::Write(sadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SCARD",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns how many members a set has.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(scard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SDIFF",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, Access::Read)],
        summary: "Returns the members of the first set that no other set has.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(sdiff),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SDIFFSTORE",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite), KeySpec::rest(2, Access::Read)],
        summary: "Stores the members of the first set that no other set has.",
        complexity: "O(N)",
        args: &[Arg::key("destination"), Arg::key_at("key", 1).multiple()],
        handler: Handler::Write(sdiffstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SINTER",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, Access::Read)],
        summary: "Returns the members that all sets have.",
        complexity: "O(N*M)",
        args: &[Arg::key("key").multiple()],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(sinter),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SINTERCARD",
        since: "7.0.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
        keys: &[KeySpec::Counted { count_at: 1, access: Access::Read }],
        summary: "Returns how many members all sets have.",
        complexity: "O(N*M)",
        args: &[Arg::integer("numkeys"), Arg::key("key").multiple(), Arg::integer("limit").after("LIMIT").optional()],
        handler: Handler::Read(sintercard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SINTERSTORE",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite), KeySpec::rest(2, Access::Read)],
        summary: "Stores the members that all sets have.",
        complexity: "O(N*M)",
        args: &[Arg::key("destination"), Arg::key_at("key", 1).multiple()],
        handler: Handler::Write(sinterstore),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SISMEMBER",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Tells whether a set has a member.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("member")],
        handler: Handler::Read(sismember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMEMBERS",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::exactly(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns all members of a set.",
        complexity: "O(N)",
        args: &[Arg::key("key")],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(smembers),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMISMEMBER",
        since: "6.2.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Tells of several members whether a set has them.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        handler: Handler::Read(smismember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SMOVE",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Insert)],
        summary: "Moves a member from one set to another.",
        complexity: "O(1)",
        args: &[Arg::key("source"), Arg::key_at("destination", 1), Arg::string("member")],
        handler: Handler::Write(smove),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SPOP",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Removes members chosen at random and returns them, and the set with its last member.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(spop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SRANDMEMBER",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns members of a set chosen at random.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(srandmember),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SREM",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes members from a set, and the set with its last member.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("member").multiple()],
        handler: Handler::Write(srem),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SSCAN",
        since: "2.8.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Walks the members of a set in steps.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("cursor"), Arg::MATCH, Arg::COUNT],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(sscan),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SUNION",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::rest(1, Access::Read)],
        summary: "Returns the members that any of several sets has.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(sunion),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SUNIONSTORE",
        since: "1.0.0",
        group: Group::Set,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Overwrite), KeySpec::rest(2, Access::Read)],
        summary: "Stores the members that any of several sets has.",
        complexity: "O(N)",
        args: &[Arg::key("destination"), Arg::key_at("key", 1).multiple()],
        handler: Handler::Write(sunionstore),
        ..CommandSpec::BASE
    },
];
