//! Declarations of the commands about the connection itself.

use crate::command::spec::{Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, ServerCommand, Subcommand};

/// The commands of this family.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "AUTH",
        since: "1.0.0",
        group: Group::Connection,
        arity: Arity::at_least(2),
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_AUTH)
            .or(Flags::ALLOW_BUSY)
            .or(Flags::CONNECTION),
        summary: "Authenticates the connection.",
        complexity: "O(N)",
        args: &[Arg::string("username").optional(), Arg::string("password")],
        handler: Handler::Server(ServerCommand::Auth),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLIENT",
        since: "2.4.0",
        group: Group::Connection,
        arity: Arity::at_least(2),
        summary: "Looks at client connections and changes them.",
        complexity: "O(1)",
        subcommands: &[
            Subcommand {
                name: "CACHING",
                since: "6.0.0",
                arity: Arity::exactly(3),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Tells whether the keys of the next command are tracked.",
                complexity: "O(1)",
                args: &[Arg::one_of("mode", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "GETNAME",
                since: "2.6.9",
                arity: Arity::exactly(2),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the name of the connection.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "GETREDIR",
                since: "6.0.0",
                arity: Arity::exactly(2),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the client that tracking notifications go to.",
                complexity: "O(1)",
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
                name: "ID",
                since: "5.0.0",
                arity: Arity::exactly(2),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Returns the number of the connection.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "INFO",
                since: "6.2.0",
                arity: Arity::exactly(2),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Describes the connection.",
                complexity: "O(1)",
                tips: &["nondeterministic_output"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "KILL",
                since: "2.4.0",
                arity: Arity::at_least(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Closes connections.",
                complexity: "O(N)",
                args: &[Arg::one_of(
                    "filter",
                    &[
                        Arg::string("old-format").shown_as("ip:port"),
                        Arg::one_of(
                            "new-format",
                            &[
                                Arg::integer("client-id").after("ID").optional(),
                                Arg::one_of(
                                    "client-type",
                                    &[
                                        Arg::word("normal", "normal"),
                                        Arg::word("master", "master"),
                                        Arg::word("slave", "slave"),
                                        Arg::word("replica", "replica"),
                                        Arg::word("pubsub", "pubsub"),
                                    ],
                                )
                                .after("TYPE")
                                .optional(),
                                Arg::string("username").after("USER").optional(),
                                Arg::string("addr").after("ADDR").shown_as("ip:port").optional(),
                                Arg::string("laddr").after("LADDR").shown_as("ip:port").optional(),
                                Arg::one_of("skipme", &[Arg::word("yes", "YES"), Arg::word("no", "NO")])
                                    .after("SKIPME")
                                    .optional(),
                            ],
                        )
                        .multiple(),
                    ],
                )],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "LIST",
                since: "2.4.0",
                arity: Arity::at_least(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Lists the connections.",
                complexity: "O(N)",
                args: &[
                    Arg::one_of(
                        "client-type",
                        &[
                            Arg::word("normal", "normal"),
                            Arg::word("master", "master"),
                            Arg::word("replica", "replica"),
                            Arg::word("pubsub", "pubsub"),
                        ],
                    )
                    .after("TYPE")
                    .optional(),
                    Arg::integer("client-id").after("ID").optional().multiple(),
                ],
                tips: &["nondeterministic_output"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "NO-EVICT",
                since: "7.0.0",
                arity: Arity::exactly(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Says whether the connection may be closed to free memory.",
                complexity: "O(1)",
                args: &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "NO-TOUCH",
                since: "7.2.0",
                arity: Arity::exactly(3),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Says whether the connection's reads count as uses of the keys.",
                complexity: "O(1)",
                args: &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "PAUSE",
                since: "3.0.0",
                arity: Arity::at_least(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Suspends the commands of all clients for a time.",
                complexity: "O(1)",
                args: &[
                    Arg::integer("timeout"),
                    Arg::one_of("mode", &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")]).optional(),
                ],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "READ-POLICY",
                since: "7.2.0",
                arity: Arity::at_least(2),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Chooses how the connection's reads in a cluster make sure that they miss nothing, or says it.",
                complexity: "O(1)",
                args: &[Arg::one_of(
                    "policy",
                    &[
                        Arg::word("lease", "LEASE"),
                        Arg::word("read-index", "READ-INDEX"),
                        Arg::word("follower", "FOLLOWER"),
                        Arg::word("stale", "STALE"),
                        Arg::word("default", "DEFAULT"),
                    ],
                )
                .optional()],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "REPLY",
                since: "3.2.0",
                arity: Arity::exactly(3),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Turns the replies to the connection on or off.",
                complexity: "O(1)",
                args: &[Arg::one_of(
                    "action",
                    &[Arg::word("on", "ON"), Arg::word("off", "OFF"), Arg::word("skip", "SKIP")],
                )],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "SETINFO",
                since: "7.2.0",
                arity: Arity::exactly(4),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Notes what library the connection comes from.",
                complexity: "O(1)",
                args: &[Arg::one_of(
                    "attr",
                    &[Arg::string("libname").after("lib-name"), Arg::string("libver").after("lib-ver")],
                )],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "SETNAME",
                since: "2.6.9",
                arity: Arity::exactly(3),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Names the connection.",
                complexity: "O(1)",
                args: &[Arg::string("connection-name")],
                tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "TRACKING",
                since: "6.0.0",
                arity: Arity::at_least(3),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Turns the tracking of the keys that the connection reads on or off.",
                complexity: "O(1)",
                args: &[
                    Arg::one_of("status", &[Arg::word("on", "ON"), Arg::word("off", "OFF")]),
                    Arg::integer("client-id").after("REDIRECT").optional(),
                    Arg::string("prefix").after("PREFIX").optional().multiple().repeated_token(),
                    Arg::word("BCAST", "BCAST").optional(),
                    Arg::word("OPTIN", "OPTIN").optional(),
                    Arg::word("OPTOUT", "OPTOUT").optional(),
                    Arg::word("NOLOOP", "NOLOOP").optional(),
                ],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "TRACKINGINFO",
                since: "6.2.0",
                arity: Arity::exactly(2),
                flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Describes the tracking of the connection.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            Subcommand {
                name: "UNBLOCK",
                since: "5.0.0",
                arity: Arity::at_least(3),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Ends the blocking command that another client waits for.",
                complexity: "O(log N)",
                args: &[
                    Arg::integer("client-id"),
                    Arg::one_of("unblock-type", &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")])
                        .optional(),
                ],
                ..Subcommand::BASE
            },
            Subcommand {
                name: "UNPAUSE",
                since: "6.2.0",
                arity: Arity::exactly(2),
                flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::CONNECTION),
                summary: "Lets suspended clients go on.",
                complexity: "O(N)",
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Client),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "ECHO",
        since: "1.0.0",
        group: Group::Connection,
        arity: Arity::exactly(2),
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST).or(Flags::CONNECTION),
        summary: "Returns the message it is given.",
        complexity: "O(1)",
        args: &[Arg::string("message")],
        handler: Handler::Server(ServerCommand::Echo),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "HELLO",
        since: "6.0.0",
        group: Group::Connection,
        arity: Arity::at_least(1),
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_AUTH)
            .or(Flags::ALLOW_BUSY)
            .or(Flags::CONNECTION),
        summary: "Begins a session: protocol version, authentication and name.",
        complexity: "O(1)",
        args: &[Arg::block(
            "arguments",
            &[
                Arg::integer("protover"),
                Arg::block("auth", &[Arg::string("username"), Arg::string("password")]).after("AUTH").optional(),
                Arg::string("clientname").after("SETNAME").optional(),
            ],
        )
        .optional()],
        handler: Handler::Server(ServerCommand::Hello),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "PING",
        since: "1.0.0",
        group: Group::Connection,
        arity: Arity::at_least(1),
        flags: Flags::FAST.or(Flags::CONNECTION),
        summary: "Answers, to show that the server is alive.",
        complexity: "O(1)",
        args: &[Arg::string("message").optional()],
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        handler: Handler::Server(ServerCommand::Ping),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "QUIT",
        since: "1.0.0",
        group: Group::Connection,
        arity: Arity::at_least(1),
        flags: Flags::ALLOW_BUSY
            .or(Flags::NOSCRIPT)
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_AUTH)
            .or(Flags::CONNECTION),
        summary: "Closes the connection.",
        complexity: "O(1)",
        deprecated: Some(Deprecation { since: "7.2.0", replaced_by: "just closing the connection" }),
        handler: Handler::Server(ServerCommand::Quit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RESET",
        since: "6.2.0",
        group: Group::Connection,
        arity: Arity::exactly(1),
        flags: Flags::NOSCRIPT
            .or(Flags::LOADING)
            .or(Flags::STALE)
            .or(Flags::FAST)
            .or(Flags::NO_AUTH)
            .or(Flags::ALLOW_BUSY)
            .or(Flags::CONNECTION),
        summary: "Puts the connection back into the state of a new one.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Reset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SELECT",
        since: "1.0.0",
        group: Group::Connection,
        arity: Arity::exactly(2),
        flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST).or(Flags::CONNECTION),
        summary: "Selects the database of the connection.",
        complexity: "O(1)",
        args: &[Arg::integer("index")],
        handler: Handler::Server(ServerCommand::Select),
        ..CommandSpec::BASE
    },
];
