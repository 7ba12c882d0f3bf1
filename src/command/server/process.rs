//! Declarations of the commands about the process: its settings, its state, its snapshots.

use crate::command::spec::{Arg, Arity, CommandSpec, Flags, Group, Handler, ServerCommand, Subcommand};

/// The commands of this family.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BGREWRITEAOF",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        summary: "Compacts the log in the background.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Bgrewriteaof),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BGSAVE",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::at_least(1),
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT),
        summary: "Takes a snapshot in the background.",
        complexity: "O(1)",
        args: &[Arg::word("schedule", "SCHEDULE").optional()],
        handler: Handler::Server(ServerCommand::Bgsave),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "COMMAND",
        since: "2.8.13",
        group: Group::Server,
        arity: Arity::at_least(1),
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
        summary: "Describes all commands.",
        complexity: "O(N)",
        tips: &["nondeterministic_output_order"],
        subcommands: &[
            Subcommand {
                name: "COUNT",
                since: "2.8.13",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the number of commands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "DOCS",
                since: "7.0.0",
                arity: Arity::at_least(2),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Documents commands, or all of them.",
                complexity: "O(N)",
                args: &[Arg::string("command-name").optional().multiple()],
                tips: &["nondeterministic_output_order"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "GETKEYS",
                since: "2.8.13",
                arity: Arity::at_least(3),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the keys of a whole command.",
                complexity: "O(N)",
                args: &[Arg::string("command"), Arg::string("arg").optional().multiple()],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "GETKEYSANDFLAGS",
                since: "7.0.0",
                arity: Arity::at_least(3),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the keys of a whole command and what it does with them.",
                complexity: "O(N)",
                args: &[Arg::string("command"), Arg::string("arg").optional().multiple()],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HELP",
                since: "5.0.0",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "INFO",
                since: "2.8.13",
                arity: Arity::at_least(2),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Describes commands, or all of them.",
                complexity: "O(N)",
                args: &[Arg::string("command-name").optional().multiple()],
                tips: &["nondeterministic_output_order"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "LIST",
                since: "7.0.0",
                arity: Arity::at_least(2),
                flags: Flags::LOADING.or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the names of commands.",
                complexity: "O(N)",
                args: &[Arg::one_of(
                    "filterby",
                    &[
                        Arg::string("module-name").after("MODULE"),
                        Arg::string("category").after("ACLCAT"),
                        Arg::pattern("pattern").after("PATTERN"),
                    ],
                )
                .after("FILTERBY")
                .optional()],
                tips: &["nondeterministic_output_order"],
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Command),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CONFIG",
        since: "2.0.0",
        group: Group::Server,
        arity: Arity::at_least(2),
        summary: "Looks at settings and changes them.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "GET",
                since: "2.0.0",
                arity: Arity::at_least(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Returns the values of settings.",
                complexity: "O(N)",
                args: &[Arg::string("parameter").multiple()],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "HELP",
                since: "5.0.0",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "RESETSTAT",
                since: "2.0.0",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Sets the statistics back to zero.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "REWRITE",
                since: "2.8.0",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Writes the settings in force into the settings file.",
                complexity: "O(1)",
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "SET",
                since: "2.0.0",
                arity: Arity::at_least(4),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
                summary: "Changes settings while the server runs.",
                complexity: "O(N)",
                args: &[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Config),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DBSIZE",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::READONLY.or(Flags::FAST).or(Flags::KEYSPACE),
        summary: "Returns the number of keys of the database.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        handler: Handler::Server(ServerCommand::Dbsize),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "DEBUG",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::at_least(2),
        flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
        summary: "Helps to test and debug the server.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Debug),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "INFO",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::at_least(1),
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::DANGEROUS),
        summary: "Returns information and statistics about the server.",
        complexity: "O(1)",
        args: &[Arg::string("section").optional().multiple()],
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        handler: Handler::Server(ServerCommand::Info),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "KEYSPACE",
        since: "0.1.0",
        group: Group::Server,
        arity: Arity::at_least(2),
        summary: "Looks at the keyspaces and their engines.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "HELP",
                since: "0.1.0",
                arity: Arity::exactly(2),
                flags: Flags::LOADING.or(Flags::STALE),
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "INFO",
                since: "0.1.0",
                arity: Arity::exactly(3),
                flags: Flags::ADMIN.or(Flags::STALE),
                summary: "Describes a keyspace: its rule, its engine and what that takes.",
                complexity: "O(N)",
                args: &[Arg::string("keyspace")],
                tips: &["nondeterministic_output"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "LIST",
                since: "0.1.0",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::STALE),
                summary: "Lists the keyspaces with their rules.",
                complexity: "O(N)",
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Keyspace),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LASTSAVE",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST).or(Flags::DANGEROUS),
        summary: "Returns the Unix time of the last snapshot.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        handler: Handler::Server(ServerCommand::Lastsave),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ROLE",
        since: "2.8.12",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::DANGEROUS),
        summary: "Returns the role of the server in replication.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Role),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SAVE",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::NOSCRIPT).or(Flags::NO_MULTI),
        summary: "Takes a snapshot and waits for it.",
        complexity: "O(N)",
        handler: Handler::Server(ServerCommand::Save),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SHUTDOWN",
        since: "1.0.0",
        group: Group::Server,
        arity: Arity::at_least(1),
        flags: Flags::ADMIN
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::NO_MULTI)
            .or(Flags::ALLOW_BUSY),
        summary: "Stops the server, saving what has to be saved.",
        complexity: "O(N)",
        args: &[
            Arg::one_of("save-selector", &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")]).optional(),
            Arg::word("now", "NOW").optional(),
            Arg::word("force", "FORCE").optional(),
            Arg::word("abort", "ABORT").optional(),
        ],
        handler: Handler::Server(ServerCommand::Shutdown),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "TIME",
        since: "2.6.0",
        group: Group::Server,
        arity: Arity::exactly(1),
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
        summary: "Returns the time of the server.",
        complexity: "O(1)",
        tips: &["nondeterministic_output"],
        handler: Handler::Server(ServerCommand::Time),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "WAIT",
        since: "3.0.0",
        group: Group::Generic,
        arity: Arity::exactly(3),
        flags: Flags::CONNECTION,
        summary: "Waits until earlier writes of the connection are on so many replicas.",
        complexity: "O(1)",
        args: &[Arg::integer("numreplicas"), Arg::integer("timeout")],
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        handler: Handler::Server(ServerCommand::Wait),
        ..CommandSpec::BASE
    },
];
