//! The commands of streams, declared.

use super::add::{xadd, xdel, xsetid, xtrim};
use super::claim::{xautoclaim, xclaim};
use super::groups::{xack, xgroup};
use super::info::xinfo;
use super::pending::xpending;
use super::range::{xlen, xrange, xrevrange};
use super::read::{xread, xreadgroup};
use crate::command::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec, Subcommand};

const BLOCK: Arg = Arg::integer("milliseconds").after("BLOCK").optional();
const STREAMS: Arg =
    Arg::block("streams", &[Arg::key("key").multiple(), Arg::string("ID").shown_as("id").multiple()]).after("STREAMS");
const TRIM_PARTS: &[Arg] = &[
    Arg::one_of("strategy", &[Arg::word("maxlen", "MAXLEN"), Arg::word("minid", "MINID")]),
    Arg::one_of("operator", &[Arg::word("equal", "="), Arg::word("approximately", "~")]).optional(),
    Arg::string("threshold"),
    Arg::integer("count").after("LIMIT").optional(),
];
const NEW_GROUP_ID: Arg = Arg::one_of("id-selector", &[Arg::string("ID").shown_as("id"), Arg::word("new-id", "$")]);
const ENTRIES_READ: Arg = Arg::integer("entriesread").shown_as("entries-read").after("ENTRIESREAD").optional();
const IDS: Arg = Arg::string("ID").shown_as("id").multiple();

/// The commands of this family.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "XACK",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Acknowledges entries that were delivered to consumers of a group.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("group"), IDS],
        handler: Handler::Write(xack),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XADD",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Appends an entry to a stream, and makes the stream if it is not there.",
        complexity: "O(1)",
        args: &[
            Arg::key("key"),
            Arg::word("nomkstream", "NOMKSTREAM").optional(),
            Arg::block("trim", TRIM_PARTS).optional(),
            Arg::one_of("id-selector", &[Arg::word("auto-id", "*"), Arg::string("ID").shown_as("id")]),
            Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(xadd),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XAUTOCLAIM",
        since: "6.2.0",
        group: Group::Stream,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Gives a consumer the entries that have been pending with others for long.",
        complexity: "O(1)",
        args: &[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            Arg::string("start"),
            Arg::COUNT,
            Arg::word("justid", "JUSTID").optional(),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(xautoclaim),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XCLAIM",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(6),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Gives a consumer entries that are pending with others.",
        complexity: "O(log(N))",
        args: &[
            Arg::key("key"),
            Arg::string("group"),
            Arg::string("consumer"),
            Arg::string("min-idle-time"),
            IDS,
            Arg::integer("ms").after("IDLE").optional(),
            Arg::unix_time("unix-time-milliseconds").after("TIME").optional(),
            Arg::integer("count").after("RETRYCOUNT").optional(),
            Arg::word("force", "FORCE").optional(),
            Arg::word("justid", "JUSTID").optional(),
            Arg::string("lastid").after("LASTID").optional(),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(xclaim),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XDEL",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes entries from a stream and returns how many were there.",
        complexity: "O(1)",
        args: &[Arg::key("key"), IDS],
        handler: Handler::Write(xdel),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XGROUP",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(2),
        flags: Flags::WRITE,
        summary: "Makes, changes and removes groups of consumers.",
        complexity: "O(1)",
        subcommands: XGROUP,
        handler: Handler::Write(xgroup),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XINFO",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        summary: "Tells about streams, groups and consumers.",
        complexity: "O(1)",
        subcommands: XINFO,
        handler: Handler::Read(xinfo),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XLEN",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns how many entries a stream has.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(xlen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XPENDING",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the entries that a group has delivered and nobody has acknowledged.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::string("group"),
            Arg::block(
                "filters",
                &[
                    Arg::integer("min-idle-time").after("IDLE").optional(),
                    Arg::string("start"),
                    Arg::string("end"),
                    Arg::integer("count"),
                    Arg::string("consumer").optional(),
                ],
            )
            .optional(),
        ],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(xpending),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XRANGE",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(4),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the entries of a stream within a range of ids.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("start"), Arg::string("end"), Arg::COUNT],
        handler: Handler::Read(xrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XREAD",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(4),
        flags: Flags::READONLY.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
        keys: &[KeySpec::Keyword { word: "STREAMS", from: 1, limit: 2, access: Access::Read }],
        summary: "Returns the entries of streams after given ids, and waits for some if there are none.",
        complexity: "O(N)",
        args: &[Arg::COUNT, BLOCK, STREAMS],
        handler: Handler::Read(xread),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XREADGROUP",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(7),
        flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::Keyword { word: "STREAMS", from: 4, limit: 2, access: Access::Read }],
        summary: "Delivers new entries of streams to a consumer of a group, or returns what is pending with it.",
        complexity: "O(M)",
        args: &[
            Arg::block("group-block", &[Arg::string("group"), Arg::string("consumer")]).after("GROUP"),
            Arg::COUNT,
            BLOCK,
            Arg::word("noack", "NOACK").optional(),
            STREAMS,
        ],
        handler: Handler::Write(xreadgroup),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XREVRANGE",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(4),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the entries of a stream within a range of ids, the last one first.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("end"), Arg::string("start"), Arg::COUNT],
        handler: Handler::Read(xrevrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XSETID",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Sets the last id of a stream, and its counters.",
        complexity: "O(1)",
        args: &[
            Arg::key("key"),
            Arg::string("last-id"),
            Arg::integer("entries-added").after("ENTRIESADDED").optional(),
            Arg::string("max-deleted-id").after("MAXDELETEDID").optional(),
        ],
        handler: Handler::Write(xsetid),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "XTRIM",
        since: "5.0.0",
        group: Group::Stream,
        arity: Arity::at_least(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes entries from the front of a stream.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::block("trim", TRIM_PARTS)],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(xtrim),
        ..CommandSpec::BASE
    },
];

const XGROUP: &[Subcommand] = &[
    Subcommand {
        name: "CREATE",
        since: "5.0.0",
        arity: Arity::at_least(5),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(2, Access::Insert)],
        summary: "Create a new consumer group.",
        complexity: "O(1)",
        args: &[
            Arg::key("key"),
            Arg::string("group").shown_as("groupname"),
            NEW_GROUP_ID,
            Arg::word("mkstream", "MKSTREAM").optional(),
            ENTRIES_READ,
        ],
        ..Subcommand::BASE
    },
    Subcommand {
        name: "CREATECONSUMER",
        since: "6.2.0",
        arity: Arity::exactly(5),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(2, Access::Insert)],
        summary: "Create a new consumer in the specified group.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("group").shown_as("groupname"), Arg::string("consumer")],
        ..Subcommand::BASE
    },
    Subcommand {
        name: "DELCONSUMER",
        since: "5.0.0",
        arity: Arity::exactly(5),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(2, Access::Remove)],
        summary: "Remove the specified consumer.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("group").shown_as("groupname"), Arg::string("consumer")],
        ..Subcommand::BASE
    },
    Subcommand {
        name: "DESTROY",
        since: "5.0.0",
        arity: Arity::exactly(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(2, Access::Remove)],
        summary: "Remove the specified group.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::string("group").shown_as("groupname")],
        ..Subcommand::BASE
    },
    Subcommand {
        name: "HELP",
        since: "5.0.0",
        arity: Arity::exactly(2),
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "Shows this text.",
        complexity: "O(1)",
        ..Subcommand::BASE
    },
    Subcommand {
        name: "SETID",
        since: "5.0.0",
        arity: Arity::at_least(5),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(2, Access::Update)],
        summary: "Set the current group ID and entries_read counter.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("group").shown_as("groupname"), NEW_GROUP_ID, ENTRIES_READ],
        ..Subcommand::BASE
    },
];

const XINFO: &[Subcommand] = &[
    Subcommand {
        name: "CONSUMERS",
        since: "5.0.0",
        arity: Arity::exactly(4),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(2, Access::Read)],
        summary: "Show consumers of a group.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::string("group").shown_as("groupname")],
        tips: &["nondeterministic_output"],
    },
    Subcommand {
        name: "GROUPS",
        since: "5.0.0",
        arity: Arity::exactly(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(2, Access::Read)],
        summary: "Show the stream consumer groups.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        ..Subcommand::BASE
    },
    Subcommand {
        name: "HELP",
        since: "5.0.0",
        arity: Arity::exactly(2),
        flags: Flags::LOADING.or(Flags::STALE),
        summary: "Shows this text.",
        complexity: "O(1)",
        ..Subcommand::BASE
    },
    Subcommand {
        name: "STREAM",
        since: "5.0.0",
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(2, Access::Read)],
        summary: "Show information about the stream.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::block("full-block", &[Arg::word("full", "FULL"), Arg::COUNT]).optional()],
        ..Subcommand::BASE
    },
];
