//! Declarations of the commands about the cluster.

use crate::command::spec::{Arg, Arity, CommandSpec, Flags, Group, Handler, ServerCommand, Subcommand};

/// What is only looked at.
const LOOK: Flags = Flags::LOADING.or(Flags::STALE);
/// What changes the cluster.
const CHANGE: Flags = Flags::NO_ASYNC_LOADING.or(Flags::ADMIN).or(Flags::STALE);

const fn look(name: &'static str, since: &'static str, summary: &'static str, args: &'static [Arg]) -> Subcommand {
    let arity = Arity::exactly(2 + args.len() as i16);
    Subcommand { name, since, arity, flags: LOOK, summary, complexity: "O(N)", args, ..Subcommand::BASE }
}

const fn change(name: &'static str, since: &'static str, summary: &'static str, args: &'static [Arg]) -> Subcommand {
    let arity = Arity::at_least(2);
    Subcommand { name, since, arity, flags: CHANGE, summary, complexity: "O(N)", args, ..Subcommand::BASE }
}

/// The commands of this family.
pub(in crate::command) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ASKING",
        since: "3.0.0",
        group: Group::Cluster,
        arity: Arity::exactly(1),
        flags: Flags::FAST.or(Flags::CONNECTION),
        summary: "Says that the next command follows an ASK redirection.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Asking),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "CLUSTER",
        since: "3.0.0",
        group: Group::Cluster,
        arity: Arity::at_least(2),
        summary: "Looks at the cluster and changes it.",
        complexity: "O(N)",
        subcommands: &[
            change(
                "ADDSLOTS",
                "3.0.0",
                "Refuses: the cluster places slots itself.",
                &[Arg::integer("slot").multiple()],
            ),
            change("ADDSLOTSRANGE", "7.0.0", "Refuses: the cluster places slots itself.", &[]),
            change("BUMPEPOCH", "3.0.0", "Refuses: the metadata group counts epochs.", &[]),
            look(
                "COUNT-FAILURE-REPORTS",
                "3.0.0",
                "Returns how many nodes report another as failed: none, nothing is gossiped.",
                &[Arg::string("node-id")],
            ),
            look("COUNTKEYSINSLOT", "3.0.0", "Returns the number of keys in a slot.", &[Arg::integer("slot")]),
            change("CREATE", "7.0.0", "Makes a cluster; `kvorum cluster create` sends it.", &[]),
            change(
                "DELSLOTS",
                "3.0.0",
                "Refuses: the cluster places slots itself.",
                &[Arg::integer("slot").multiple()],
            ),
            change("DELSLOTSRANGE", "7.0.0", "Refuses: the cluster places slots itself.", &[]),
            look("DESCRIBE", "7.0.0", "Returns what `kvorum cluster create` asks each node.", &[]),
            change(
                "FAILOVER",
                "3.0.0",
                "Makes this node the leader of every shard of which it has a replica.",
                &[Arg::one_of("options", &[Arg::word("force", "FORCE"), Arg::word("takeover", "TAKEOVER")]).optional()],
            ),
            change("FLUSHSLOTS", "3.0.0", "Refuses: the cluster places slots itself.", &[]),
            change("FORGET", "3.0.0", "Refuses: membership is in the metadata group.", &[Arg::string("node-id")]),
            look("GETKEYSINSLOT", "3.0.0", "Returns keys of a slot.", &[Arg::integer("slot"), Arg::integer("count")]),
            Subcommand {
                name: "HELP",
                since: "5.0.0",
                arity: Arity::exactly(2),
                flags: LOOK,
                summary: "Describes the subcommands.",
                complexity: "O(1)",
                ..Subcommand::BASE
            },
            look("INFO", "3.0.0", "Returns the state of the cluster.", &[]),
            look("KEYSLOT", "3.0.0", "Returns the slot of a key.", &[Arg::string("key")]),
            look("LINKS", "7.0.0", "Returns the connections between this node and others.", &[]),
            change("MEET", "3.0.0", "Refuses: `kvorum cluster create` brings nodes together.", &[]),
            look("MYID", "3.0.0", "Returns the name of this node.", &[]),
            look("MYSHARDID", "7.2.0", "Returns the name of the first shard that this node leads.", &[]),
            look("NODES", "3.0.0", "Returns all nodes with the slots that they lead.", &[]),
            look(
                "REPLICAS",
                "5.0.0",
                "Returns the replicas of a node: none, replicas are of shards.",
                &[Arg::string("node-id")],
            ),
            change("REPLICATE", "3.0.0", "Refuses: the cluster places replicas itself.", &[Arg::string("node-id")]),
            change("RESET", "3.0.0", "Refuses: a node stays in its cluster.", &[]),
            change("SAVECONFIG", "3.0.0", "Does nothing: the metadata are on disk before they are in force.", &[]),
            change("SET-CONFIG-EPOCH", "3.0.0", "Refuses: the metadata group counts epochs.", &[Arg::integer("epoch")]),
            change("SETSLOT", "3.0.0", "Refuses: the cluster places slots itself.", &[]),
            look("SHARDS", "7.0.0", "Returns all shards with their slots and replicas.", &[]),
            look(
                "SLAVES",
                "3.0.0",
                "Returns the replicas of a node: none, replicas are of shards.",
                &[Arg::string("node-id")],
            ),
            look("SLOTS", "3.0.0", "Returns the slots with the nodes that have them.", &[]),
            Subcommand {
                name: "STATUS",
                since: "7.0.0",
                arity: Arity::at_least(2),
                flags: LOOK,
                summary: "Returns nodes, shards, leaders and lag, for people or as JSON.",
                complexity: "O(N)",
                args: &[Arg::word("json", "JSON").optional()],
                ..Subcommand::BASE
            },
        ],
        handler: Handler::Server(ServerCommand::Cluster),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "READONLY",
        since: "3.0.0",
        group: Group::Cluster,
        arity: Arity::exactly(1),
        flags: LOOK.or(Flags::FAST).or(Flags::CONNECTION),
        summary: "Lets replicas answer this connection's reads, linearizably.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Readonly),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "READWRITE",
        since: "3.0.0",
        group: Group::Cluster,
        arity: Arity::exactly(1),
        flags: LOOK.or(Flags::FAST).or(Flags::CONNECTION),
        summary: "Takes READONLY back.",
        complexity: "O(1)",
        handler: Handler::Server(ServerCommand::Readwrite),
        ..CommandSpec::BASE
    },
];
