//! The reply of `COMMAND INFO` for one command.

use super::entry::Entry;
use crate::command::spec::{Access, Flags, KeySpec};
use crate::resp::Reply;

/// Flags as clients see them, in Redis's order.
const FLAG_NAMES: &[(Flags, &str)] = &[
    (Flags::WRITE, "write"),
    (Flags::READONLY, "readonly"),
    (Flags::DENYOOM, "denyoom"),
    (Flags::ADMIN, "admin"),
    (Flags::PUBSUB, "pubsub"),
    (Flags::NOSCRIPT, "noscript"),
    (Flags::BLOCKING, "blocking"),
    (Flags::LOADING, "loading"),
    (Flags::STALE, "stale"),
    (Flags::SKIP_MONITOR, "skip_monitor"),
    (Flags::SKIP_SLOWLOG, "skip_slowlog"),
    (Flags::FAST, "fast"),
    (Flags::NO_AUTH, "no_auth"),
    (Flags::NO_MANDATORY_KEYS, "no_mandatory_keys"),
    (Flags::NO_ASYNC_LOADING, "no_async_loading"),
    (Flags::NO_MULTI, "no_multi"),
    (Flags::MOVABLEKEYS, "movablekeys"),
    (Flags::ALLOW_BUSY, "allow_busy"),
];

/// The ten fields of a command: name, arity, flags, first key, last key, step, categories, tips, key
/// specifications, subcommands.
pub(super) fn info(entry: &Entry, reply: &mut Reply<'_>) {
    let (first, last, step) = legacy_range(entry.keys);
    reply.array(10);
    reply.bulk(entry.name.as_bytes());
    reply.integer(i64::from(entry.arity.0));
    let flags = FLAG_NAMES.iter().filter(|(flag, _)| entry.flags.has(*flag)).map(|&(_, name)| name);
    flag_set(&flags.collect::<Vec<_>>(), reply);
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    flag_set(&entry.categories(), reply);
    reply.set(entry.tips.len());
    for tip in entry.tips {
        reply.bulk(tip.as_bytes());
    }
    reply.set(entry.keys.len());
    for spec in entry.keys {
        key_spec(spec, reply);
    }
    // Redis's own asymmetry: none are an empty set, some are an array.
    if entry.subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(entry.subcommands.len());
    }
    for subcommand in &entry.subcommands {
        info(subcommand, reply);
    }
}

/// A set of simple strings.
pub(super) fn flag_set(names: &[&str], reply: &mut Reply<'_>) {
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

/// What is done with a key, in Redis's words.
pub(super) fn access_flags(access: Access) -> &'static [&'static str] {
    match access {
        Access::Read => &["RO", "access"],
        Access::ReadMeta => &["RO"],
        Access::ReadWrite => &["RW", "access", "update"],
        Access::Update => &["RW", "update"],
        Access::Overwrite => &["OW", "update"],
        Access::Insert => &["RW", "insert"],
        Access::Delete => &["RM", "delete"],
        Access::Take => &["RW", "access", "delete"],
        Access::Remove => &["RW", "delete"],
        Access::Create => &["OW", "insert"],
        Access::Note => &["RW", "access"],
        Access::ReadInsert => &["RW", "access", "insert"],
        Access::Variable => &["RW", "access", "update", "variable_flags"],
    }
}

/// First key, last key and step, as clients older than key specifications know them: one range that
/// covers all adjacent ranges.
fn legacy_range(specs: &[KeySpec]) -> (i64, i64, i64) {
    let mut covered: Option<(i16, i16, i16)> = None;
    for spec in specs {
        let KeySpec::Range { first, last, step, .. } = *spec else { continue };
        covered = match covered {
            None => Some((first, last, step)),
            Some((start, end, 1)) if step == 1 && end >= 0 && first == end + 1 => Some((start, last, 1)),
            other => other,
        };
    }
    let (first, last, step) = covered.unwrap_or_default();
    (i64::from(first), i64::from(last), i64::from(step))
}

fn key_spec(spec: &KeySpec, reply: &mut Reply<'_>) {
    let number = |reply: &mut Reply<'_>, name: &str, value: i16| {
        reply.bulk(name.as_bytes());
        reply.integer(i64::from(value));
    };
    let (begin, access) = match *spec {
        KeySpec::Range { first, access, .. } => (first, access),
        KeySpec::Counted { count_at, access } => (count_at, access),
        KeySpec::Keyword { from, access, .. } => (from, access),
    };
    reply.map(3);
    reply.bulk(b"flags");
    flag_set(access_flags(access), reply);
    reply.bulk(b"begin_search");
    reply.map(2);
    reply.bulk(b"type");
    if let KeySpec::Keyword { word, .. } = spec {
        reply.bulk(b"keyword");
        reply.bulk(b"spec");
        reply.map(2);
        reply.bulk(b"keyword");
        reply.bulk(word.as_bytes());
        number(reply, "startfrom", begin);
    } else {
        reply.bulk(b"index");
        reply.bulk(b"spec");
        reply.map(1);
        number(reply, "index", begin);
    }
    reply.bulk(b"find_keys");
    reply.map(2);
    reply.bulk(b"type");
    match *spec {
        KeySpec::Range { first, last, step, .. } => {
            reply.bulk(b"range");
            reply.bulk(b"spec");
            reply.map(3);
            number(reply, "lastkey", if last < 0 { last } else { last - first });
            number(reply, "keystep", step);
            number(reply, "limit", 0);
        }
        KeySpec::Keyword { limit, .. } => {
            reply.bulk(b"range");
            reply.bulk(b"spec");
            reply.map(3);
            number(reply, "lastkey", if limit == 0 { 0 } else { -1 });
            number(reply, "keystep", 1);
            number(reply, "limit", limit);
        }
        KeySpec::Counted { .. } => {
            reply.bulk(b"keynum");
            reply.bulk(b"spec");
            reply.map(3);
            number(reply, "keynumidx", 0);
            number(reply, "firstkey", 1);
            number(reply, "keystep", 1);
        }
    }
}
