//! The form of every `HELP` subcommand's reply.

use super::{Call, DONE, Executed};
use crate::server::dispatch::lossy;

/// A subcommand with its arguments, and what it does.
pub(super) type Entry = (&'static str, &'static str);

/// Answers with a line per subcommand and an indented one that explains it.
pub(super) fn help(call: &mut Call<'_>, entries: &[Entry]) -> Executed {
    let command = lossy(call.args[0]).to_ascii_uppercase();
    let mut reply = call.reply();
    reply.array(entries.len() * 2 + 3);
    reply.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (form, explanation) in entries {
        reply.simple(form);
        reply.simple(&format!("    {explanation}"));
    }
    reply.simple("HELP");
    reply.simple("    Print this help.");
    DONE
}
