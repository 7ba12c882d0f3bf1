//! What `COMMAND` answers: everything in the table, told to clients.
//!
//! The server runs `COMMAND` by calling [`command`]; nothing here needs a session or a store. The
//! replies have Redis 7.2's shape: flags and sets in RESP3 are sets, key specifications are maps of
//! `begin_search` and `find_keys`, and subcommands are nested in their container.

mod complexity;
mod entry;
mod help;
mod info;
mod tree;

use super::error::{CommandError, CommandResult, SYNTAX};
use super::table::{all, keys_of};
use crate::resp::Reply;
use crate::types::glob;
use entry::Entry;

pub use complexity::complexity_table;
pub use help::help;

/// Runs `COMMAND` and its subcommands; `args[0]` is `COMMAND` itself. Arities have been checked.
///
/// # Errors
/// With Redis's texts, when the arguments are not in order.
pub fn command(args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let Some(subcommand) = args.get(1) else {
        info_all(reply);
        return Ok(());
    };
    match subcommand.to_ascii_uppercase().as_slice() {
        b"COUNT" => reply.integer(i64::try_from(all().count()).expect("the table is small")),
        b"DOCS" => docs(&args[2..], reply),
        b"GETKEYS" => getkeys(&args[2..], false, reply)?,
        b"GETKEYSANDFLAGS" => getkeys(&args[2..], true, reply)?,
        b"HELP" => help("COMMAND", reply),
        b"INFO" if args.len() == 2 => info_all(reply),
        b"INFO" => {
            reply.array(args.len() - 2);
            for name in &args[2..] {
                match Entry::find(name) {
                    Some(entry) => info::info(&entry, reply),
                    None => reply.null(),
                }
            }
        }
        b"LIST" => list(&args[2..], reply)?,
        _ => {
            let spec = super::find(b"COMMAND").expect("the table has COMMAND");
            return Err(super::table::unknown_subcommand(spec, subcommand));
        }
    }
    Ok(())
}

fn info_all(reply: &mut Reply<'_>) {
    reply.array(all().count());
    for spec in all() {
        info::info(&Entry::of(spec), reply);
    }
}

fn docs(names: &[&[u8]], reply: &mut Reply<'_>) {
    let entries: Vec<Entry> = if names.is_empty() {
        all().map(Entry::of).collect()
    } else {
        names.iter().filter_map(|name| Entry::find(name)).collect()
    };
    reply.map(entries.len());
    for entry in &entries {
        reply.bulk(entry.name.as_bytes());
        tree::docs(entry, reply);
    }
}

/// `COMMAND GETKEYS` and `COMMAND GETKEYSANDFLAGS`: the keys of the whole command in `request`.
fn getkeys(request: &[&[u8]], with_flags: bool, reply: &mut Reply<'_>) -> CommandResult {
    const INVALID_COMMAND: CommandError = CommandError::Static("ERR Invalid command specified");
    const NO_KEYS: CommandError = CommandError::Static("ERR The command has no key arguments");
    const WRONG_ARITY: CommandError = CommandError::Static("ERR Invalid number of arguments specified for command");
    const INVALID: CommandError = CommandError::Static("ERR Invalid arguments specified for command");

    let spec = request.first().and_then(|name| super::find(name)).ok_or(INVALID_COMMAND)?;
    let entry = match request.get(1) {
        Some(name) if !spec.subcommands.is_empty() => {
            let subcommand = super::find_subcommand(spec, name).ok_or(INVALID_COMMAND)?;
            Entry::of_subcommand(spec, subcommand)
        }
        _ => Entry::of(spec),
    };
    if entry.keys.is_empty() {
        return Err(NO_KEYS);
    }
    if !entry.arity.accepts(request.len()) {
        return Err(WRONG_ARITY);
    }
    let keys = keys_of(spec, request)?;
    if keys.is_empty() {
        return Err(INVALID);
    }
    reply.array(keys.len());
    for (index, access) in keys {
        if with_flags {
            reply.array(2);
            reply.bulk(request[index]);
            info::flag_set(info::access_flags(access), reply);
        } else {
            reply.bulk(request[index]);
        }
    }
    Ok(())
}

/// `COMMAND LIST`: names of commands and subcommands, all or those that a filter lets through.
fn list(args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    enum Filter<'a> {
        All,
        None,
        Category(String),
        Pattern(&'a [u8]),
    }
    let filter = match args {
        [] => Filter::All,
        [word, kind, value] if word.eq_ignore_ascii_case(b"filterby") => match kind.to_ascii_lowercase().as_slice() {
            // There are no modules, so nothing comes from one.
            b"module" => Filter::None,
            b"aclcat" => Filter::Category(String::from_utf8_lossy(value).to_lowercase()),
            b"pattern" => Filter::Pattern(value),
            _ => return Err(SYNTAX),
        },
        _ => return Err(SYNTAX),
    };
    let passes = |entry: &Entry| match &filter {
        Filter::All => true,
        Filter::None => false,
        Filter::Category(category) => entry.categories().iter().any(|name| &name[1..] == category),
        Filter::Pattern(pattern) => glob::matches(pattern, entry.name.as_bytes(), true),
    };
    let mut names = Vec::new();
    for spec in all() {
        let subcommands = spec.subcommands.iter().map(|subcommand| Entry::of_subcommand(spec, subcommand));
        names.extend(std::iter::once(Entry::of(spec)).chain(subcommands).filter(passes).map(|entry| entry.name));
    }
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
