//! `DEBUG HELP`. DEBUG's subcommands are not in the table of commands, so their help is here.

use crate::server::commands::{Call, DONE, Executed};

/// Subcommands with their arguments, and what they do.
const HELP: &[(&str, &str)] = &[
    ("CHANGE-REPL-ID", "Do nothing: there are no replication ids."),
    ("CLOCK (OFFSET|SLEPT) <milliseconds>", "Make the time of day wrong, or pretend that the machine has slept."),
    ("CONFIG-REWRITE-FORCE-ALL", "Do what CONFIG REWRITE does."),
    ("DIGEST [REPLICAS]", "Return a digest of all data, or one of each replica that this node has."),
    ("DIGEST-VALUE <key> [<key> ...]", "Return a digest of each key's value."),
    ("ERROR <string>", "Answer this error."),
    ("HTSTATS <dbid>", "Say how many keys a database has."),
    ("HTSTATS-KEY <key>", "Say how many fields a hash kept as a table has."),
    ("LISTPACK <key>", "Say whether a value is kept as a listpack."),
    ("LOADAOF", "Wait until the log is applied, and sync it with a snapshot."),
    ("LOG <message>", "Write to the server's log."),
    ("OBJECT <key>", "Show how a value is kept."),
    (
        "PLANT (ACKNOWLEDGE-BEFORE-COMMIT|READ-WITHOUT-LEASE)",
        "Make this node lose data until its next start, for tests that are to notice.",
    ),
    ("POPULATE <count> [<prefix>] [<size>]", "Create string keys <prefix>:<number> where there are none."),
    ("PROTOCOL <type>", "Answer a value of a type of the protocol."),
    ("RELOAD [option ...]", "Take a snapshot."),
    ("SDSLEN <key>", "Show the lengths of a key and its string."),
    ("SET-ACTIVE-EXPIRE (0|1)", "Stop or resume the removal of keys that have expired."),
    ("SLEEP <seconds>", "Answer after so many seconds; other clients are served meanwhile."),
    ("STRINGMATCH-LEN <pattern> <string>", "Answer 1 if the glob pattern matches, else 0."),
    ("STRUCTSIZE", "Return the sizes of some structures."),
];

/// `DEBUG HELP`
pub(super) fn help(call: &mut Call<'_>) -> Executed {
    let mut reply = call.reply();
    reply.array(HELP.len() * 2 + 3);
    reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (form, explanation) in HELP {
        reply.simple(form);
        reply.simple(&format!("    {explanation}"));
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
    DONE
}
