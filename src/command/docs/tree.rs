//! The reply of `COMMAND DOCS` for one command.

use super::entry::Entry;
use super::info::flag_set;
use crate::command::spec::{Arg, ArgKind};
use crate::resp::Reply;

/// The documentation of a command and its subcommands as a map.
pub(super) fn docs(entry: &Entry, reply: &mut Reply<'_>) {
    let mut texts = vec![
        ("summary", entry.summary),
        ("since", entry.since),
        ("group", entry.group.name()),
        ("complexity", entry.complexity),
    ];
    if let Some(deprecated) = entry.deprecated {
        texts.extend([("deprecated_since", deprecated.since), ("replaced_by", deprecated.replaced_by)]);
    }
    let deprecated = entry.deprecated.is_some();
    let (has_args, has_subcommands) = (!entry.args.is_empty(), !entry.subcommands.is_empty());
    reply.map(texts.len() + usize::from(deprecated) + usize::from(has_args) + usize::from(has_subcommands));
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if deprecated {
        reply.bulk(b"doc_flags");
        flag_set(&["deprecated"], reply);
    }
    if has_args {
        reply.bulk(b"arguments");
        arguments(entry.args, reply);
    }
    if has_subcommands {
        reply.bulk(b"subcommands");
        reply.map(entry.subcommands.len());
        for subcommand in &entry.subcommands {
            reply.bulk(subcommand.name.as_bytes());
            docs(subcommand, reply);
        }
    }
}

fn arguments(args: &[Arg], reply: &mut Reply<'_>) {
    reply.array(args.len());
    for arg in args {
        argument(arg, reply);
    }
}

fn argument(arg: &Arg, reply: &mut Reply<'_>) {
    let parts = match arg.kind {
        ArgKind::OneOf(parts) | ArgKind::Block(parts) => Some(parts),
        _ => None,
    };
    let display = if arg.display.is_empty() { arg.name } else { arg.display };
    let mut texts = vec![("name", arg.name), ("type", type_name(arg.kind))];
    if parts.is_none() {
        texts.push(("display_text", display));
    }
    let key = match arg.kind {
        ArgKind::Key(index) => Some(index),
        _ => None,
    };
    let token = (!arg.token.is_empty()).then_some(arg.token);
    let flags: Vec<&str> =
        [("optional", arg.optional), ("multiple", arg.multiple), ("multiple_token", arg.multiple_token)]
            .into_iter()
            .filter_map(|(name, set)| set.then_some(name))
            .collect();
    let optional_fields = [key.is_some(), token.is_some(), !flags.is_empty(), parts.is_some()];
    reply.map(texts.len() + optional_fields.into_iter().filter(|&present| present).count());
    for (name, text) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if let Some(index) = key {
        reply.bulk(b"key_spec_index");
        reply.integer(i64::from(index));
    }
    if let Some(token) = token {
        reply.bulk(b"token");
        reply.bulk(token.as_bytes());
    }
    if !flags.is_empty() {
        reply.bulk(b"flags");
        flag_set(&flags, reply);
    }
    if let Some(parts) = parts {
        reply.bulk(b"arguments");
        arguments(parts, reply);
    }
}

fn type_name(kind: ArgKind) -> &'static str {
    match kind {
        ArgKind::Key(_) => "key",
        ArgKind::String => "string",
        ArgKind::Integer => "integer",
        ArgKind::Double => "double",
        ArgKind::Pattern => "pattern",
        ArgKind::UnixTime => "unix-time",
        ArgKind::Token => "pure-token",
        ArgKind::OneOf(_) => "oneof",
        ArgKind::Block(_) => "block",
    }
}
