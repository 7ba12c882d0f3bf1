//! Declarations of the commands that help to find out what is wrong.

use crate::command::spec::{
    Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec, ServerCommand, Subcommand,
};

/// The commands of this family.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LATENCY",
        since: "2.8.13",
        group: Group::Server,
        arity: Arity::at_least(2),
        summary: "Looks at events that took long.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "DOCTOR",
                since: "2.8.13",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Explains the events that took long in plain words.",
                complexity: "O(1)",
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "GRAPH",
                since: "2.8.13",
                arity: Arity::exactly(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Draws the latency of an event.",
                complexity: "O(1)",
                args: &[Arg::string("event")],
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HELP",
                since: "2.8.13",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HISTOGRAM",
                since: "7.0.0",
                arity: Arity::at_least(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Returns the distribution of the latencies of commands.",
                complexity: "O(N)",
                args: &[Arg::string("COMMAND").optional().multiple()],
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HISTORY",
                since: "2.8.13",
                arity: Arity::exactly(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Returns the samples of an event with their times.",
                complexity: "O(1)",
                args: &[Arg::string("event")],
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "LATEST",
                since: "2.8.13",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Returns the latest sample of each event.",
                complexity: "O(1)",
                tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "RESET",
                since: "2.8.13",
                arity: Arity::at_least(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Forgets the samples of events.",
                complexity: "O(1)",
                args: &[Arg::string("event").optional().multiple()],
                tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Latency),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MEMORY",
        since: "4.0.0",
        group: Group::Server,
        arity: Arity::at_least(2),
        summary: "Looks at the use of memory.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "DOCTOR",
                since: "4.0.0",
                arity: Arity::exactly(2),
                summary: "Explains problems with memory in plain words.",
                complexity: "O(1)",
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HELP",
                since: "4.0.0",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "MALLOC-STATS",
                since: "4.0.0",
                arity: Arity::exactly(2),
                summary: "Returns the statistics of the allocator.",
                complexity: "O(1)",
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "PURGE",
                since: "4.0.0",
                arity: Arity::exactly(2),
                summary: "Asks the allocator to give memory back.",
                complexity: "O(1)",
                tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "STATS",
                since: "4.0.0",
                arity: Arity::exactly(2),
                summary: "Returns details of the use of memory.",
                complexity: "O(1)",
                tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "USAGE",
                since: "4.0.0",
                arity: Arity::at_least(3),
                flags: Flags::READONLY,
                keys: &[KeySpec::one(2, Access::ReadMeta)],
                summary: "Estimates the memory that a key takes.",
                complexity: "O(N)",
                args: &[Arg::key("key"), Arg::integer("count").after("SAMPLES").optional()],
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Memory),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MONITOR",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
        summary: "Shows every command that the server is sent.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Monitor),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SLOWLOG",
        since: "2.2.12",
        group: Group::Server,
        arity: Arity::at_least(2),
        summary: "Looks at the commands that took long.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "GET",
                since: "2.2.12",
                arity: Arity::at_least(2),
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                summary: "Returns the latest entries of the slow log.",
                complexity: "O(N)",
                args: &[Arg::integer("count").optional()],
                tips: &["request_policy:all_nodes", "nondeterministic_output"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HELP",
                since: "6.2.0",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "LEN",
                since: "2.2.12",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                summary: "Returns the number of entries of the slow log.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "RESET",
                since: "2.2.12",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
                summary: "Empties the slow log.",
                complexity: "O(N)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Slowlog),
        ..CommandSpec::BASE
    },
];
