//! Declarations of the commands that make transactions.

use crate::command::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec, ServerCommand};

const AT_ANY_TIME: Flags = Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE);
const QUICK: Flags = AT_ANY_TIME.or(Flags::FAST).or(Flags::ALLOW_BUSY);

/// The commands of this family.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "DISCARD",
        since: "2.0.0",
        group: Group::Transactions,
        arity: Arity::exactly(1),
        flags: QUICK,
        summary: "Forgets the commands of a transaction.",
        complexity: "O(N)",
        handler: Handler::Server(ServerCommand::Discard),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "EXEC",
        since: "1.2.0",
        group: Group::Transactions,
        arity: Arity::exactly(1),
        flags: AT_ANY_TIME.or(Flags::SKIP_SLOWLOG),
        summary: "Executes all commands of a transaction.",
        complexity: "O(N)",
        handler: Handler::Server(ServerCommand::Exec),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "MULTI",
        since: "1.2.0",
        group: Group::Transactions,
        arity: Arity::exactly(1),
        flags: QUICK,
        summary: "Starts a transaction.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Multi),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "UNWATCH",
        since: "2.2.0",
        group: Group::Transactions,
        arity: Arity::exactly(1),
        flags: QUICK,
        summary: "Forgets all keys that the client watches.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Unwatch),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "WATCH",
        since: "2.2.0",
        group: Group::Transactions,
        arity: Arity::at_least(2),
        flags: QUICK,
        keys: &[KeySpec::rest(1, Access::ReadMeta)],
        summary: "Lets the next transaction be executed only if none of these keys changes before.",
        complexity: "O(N)",
        args: &[Arg::key("key").multiple()],
        handler: Handler::Server(ServerCommand::Watch),
        ..CommandSpec::BASE
    },
];
