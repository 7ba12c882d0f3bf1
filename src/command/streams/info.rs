//! XINFO.

use super::args::{Gathered, no_group_of, reply_entry, reply_id, reply_one, wrong_subcommand};
use super::pending::Names;
use crate::command::context::ReadContext;
use crate::command::docs::help;
use crate::command::error::{CommandError, CommandResult, NO_SUCH_KEY, NOT_INTEGER};
use crate::resp::Reply;
use crate::storage::streams::{ConsumerHead, ConsumerId, GroupHead, GroupId, IdRange, Owner, StreamHead, StreamView};
use crate::types::number::parse_i64;
use crate::types::{StreamId, UnixMs};

/// Entries of each list in the full form, if the client does not say.
const FULL_COUNT: usize = 10;
/// Nodes up to which those of Redis's radix tree are counted; the number of more is estimated.
const COUNTED_NODES_MAX: u64 = 1000;

/// `XINFO CONSUMERS|GROUPS|HELP|STREAM`
pub(super) fn xinfo(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let subcommand = args[1].to_ascii_uppercase();
    if subcommand == b"HELP" {
        help("XINFO", reply);
        return Ok(());
    }
    let Some(&key) = args.get(2) else { return Err(wrong_subcommand(args)) };
    let stream = ctx.stream(key)?.ok_or(NO_SUCH_KEY)?;
    match subcommand.as_slice() {
        b"CONSUMERS" => consumers(&*stream, args, ctx.now, reply),
        b"GROUPS" => groups(&*stream, reply),
        b"STREAM" => match full_count(args)? {
            None => short(&*stream, reply),
            Some(count) => full(&*stream, count, reply),
        },
        _ => Err(wrong_subcommand(args)),
    }
}

/// `[FULL [COUNT count]]`: entries of each list, `None` for the short form.
fn full_count(args: &[&[u8]]) -> Result<Option<usize>, CommandError> {
    let is = |index: usize, word: &str| args[index].eq_ignore_ascii_case(word.as_bytes());
    match args.len() {
        3 => Ok(None),
        4 if is(3, "FULL") => Ok(Some(FULL_COUNT)),
        6 if is(3, "FULL") && is(4, "COUNT") => match parse_i64(args[5]).ok_or(NOT_INTEGER)? {
            0 => Ok(Some(usize::MAX)),
            count => Ok(Some(usize::try_from(count).unwrap_or(FULL_COUNT))),
        },
        _ => Err(wrong_subcommand(args)),
    }
}

fn name(text: &str, reply: &mut Reply<'_>) {
    reply.bulk(text.as_bytes());
}

fn number(text: &str, value: u64, reply: &mut Reply<'_>) {
    name(text, reply);
    reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
}

fn id(text: &str, value: StreamId, reply: &mut Reply<'_>) {
    name(text, reply);
    reply_id(value, reply);
}

fn optional(value: Option<i64>, reply: &mut Reply<'_>) {
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

/// What both forms of XINFO STREAM begin with.
fn beginning(stream: &dyn StreamView, reply: &mut Reply<'_>) -> CommandResult {
    let StreamHead { len, first, last, max_deleted, added, nodes, .. } = stream.head();
    number("length", len, reply);
    number("radix-tree-keys", nodes, reply);
    number("radix-tree-nodes", radix_nodes(stream)?, reply);
    id("last-generated-id", last, reply);
    id("max-deleted-entry-id", max_deleted, reply);
    number("entries-added", added, reply);
    id("recorded-first-entry-id", first, reply);
    Ok(())
}

/// Nodes of the radix tree in which Redis would keep the nodes of entries, by 16 bytes each.
fn radix_nodes(stream: &dyn StreamView) -> Result<u64, CommandError> {
    let nodes = stream.head().nodes;
    if nodes > COUNTED_NODES_MAX {
        // A leaf and the run of bytes before it for each.
        return Ok(nodes * 2);
    }
    let mut keys = Vec::new();
    stream.nodes(&mut |node| keys.push(node.master.to_bytes()))?;
    Ok(radix_nodes_below(&keys, 0))
}

/// Nodes below the first `depth` bytes, which all keys share: one for each run of bytes without a choice, one for each
/// choice, one for each end.
fn radix_nodes_below(keys: &[[u8; 16]], depth: usize) -> u64 {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return 1 };
    let shared = first[depth..].iter().zip(&last[depth..]).take_while(|(one, other)| one == other).count();
    let depth = depth + shared;
    let run = u64::from(shared > 0);
    if depth == first.len() {
        return run + 1;
    }
    let choices = keys.chunk_by(|one, other| one[depth] == other[depth]);
    run + 1 + choices.map(|keys| radix_nodes_below(keys, depth + 1)).sum::<u64>()
}

/// `XINFO STREAM key`
fn short(stream: &dyn StreamView, reply: &mut Reply<'_>) -> CommandResult {
    reply.map(10);
    beginning(stream, reply)?;
    number("groups", stream.head().groups, reply);
    for (text, reverse) in [("first-entry", false), ("last-entry", true)] {
        name(text, reply);
        let mut edge = None;
        stream.entries(IdRange::ALL, reverse, &mut |id, _| {
            edge = Some(id);
            false
        })?;
        let answered = match edge {
            Some(id) => reply_one(stream, id, reply)?,
            None => false,
        };
        if !answered {
            reply.null();
        }
    }
    Ok(())
}

/// `XINFO STREAM key FULL [COUNT count]`
fn full(stream: &dyn StreamView, count: usize, reply: &mut Reply<'_>) -> CommandResult {
    reply.map(9);
    beginning(stream, reply)?;
    name("entries", reply);
    let mut entries = Gathered::new();
    stream.entries(IdRange::ALL, false, &mut |id, fields| {
        reply_entry(id, fields, &mut entries.next(reply));
        entries.count() < count
    })?;
    entries.finish(reply);
    name("groups", reply);
    let mut all: Vec<(Vec<u8>, GroupId, GroupHead)> = Vec::new();
    stream.groups(&mut |name, id, head| {
        all.push((name.to_vec(), id, *head));
        true
    })?;
    reply.array(all.len());
    for (group_name, group, head) in all {
        reply.map(7);
        name("name", reply);
        reply.bulk(&group_name);
        progress(stream, &head, reply);
        number("pel-count", head.pending, reply);
        name("pending", reply);
        full_pending(stream, Owner { group, consumer: None }, count, reply)?;
        name("consumers", reply);
        full_consumers(stream, group, count, reply)?;
    }
    Ok(())
}

/// How far a group has come.
fn progress(stream: &dyn StreamView, head: &GroupHead, reply: &mut Reply<'_>) {
    id("last-delivered-id", head.last, reply);
    name("entries-read", reply);
    optional(head.entries_read.map(|read| i64::try_from(read).unwrap_or(i64::MAX)), reply);
    name("lag", reply);
    optional(head.lag(&stream.head()), reply);
}

/// Pending entries of a group, with the consumer of each, or of a consumer.
fn full_pending(stream: &dyn StreamView, owner: Owner, count: usize, reply: &mut Reply<'_>) -> CommandResult {
    let mut found = Vec::new();
    stream.pending(owner, IdRange::ALL, &mut |id, pending| {
        found.push((id, *pending));
        found.len() < count
    })?;
    reply.array(found.len());
    let mut names = Names::new(stream, owner.group);
    for (id, pending) in found {
        reply.array(if owner.consumer.is_none() { 4 } else { 3 });
        reply_id(id, reply);
        if owner.consumer.is_none() {
            reply.bulk(names.of(pending.consumer)?);
        }
        reply.integer(pending.delivered_at.0);
        reply.integer(i64::try_from(pending.deliveries).unwrap_or(i64::MAX));
    }
    Ok(())
}

type NamedConsumer = (Vec<u8>, ConsumerId, ConsumerHead);

fn consumers_of(stream: &dyn StreamView, group: GroupId) -> Result<Vec<NamedConsumer>, CommandError> {
    let mut all = Vec::new();
    stream.consumers(group, &mut |name, id, head| {
        all.push((name.to_vec(), id, *head));
        true
    })?;
    Ok(all)
}

fn full_consumers(stream: &dyn StreamView, group: GroupId, count: usize, reply: &mut Reply<'_>) -> CommandResult {
    let all = consumers_of(stream, group)?;
    reply.array(all.len());
    for (consumer_name, consumer, head) in all {
        reply.map(5);
        name("name", reply);
        reply.bulk(&consumer_name);
        name("seen-time", reply);
        reply.integer(head.seen_at.0);
        name("active-time", reply);
        reply.integer(head.active_at.map_or(-1, |at| at.0));
        number("pel-count", head.pending, reply);
        name("pending", reply);
        full_pending(stream, Owner { group, consumer: Some(consumer) }, count, reply)?;
    }
    Ok(())
}

/// `XINFO CONSUMERS key group`
fn consumers(stream: &dyn StreamView, args: &[&[u8]], now: UnixMs, reply: &mut Reply<'_>) -> CommandResult {
    let (group, _) = stream.group(args[3])?.ok_or_else(|| no_group_of(args[2], args[3]))?;
    let all = consumers_of(stream, group)?;
    reply.array(all.len());
    for (consumer_name, _, head) in all {
        reply.map(4);
        name("name", reply);
        reply.bulk(&consumer_name);
        number("pending", head.pending, reply);
        name("idle", reply);
        reply.integer(now.0.saturating_sub(head.seen_at.0).max(0));
        name("inactive", reply);
        reply.integer(head.active_at.map_or(-1, |at| now.0.saturating_sub(at.0)));
    }
    Ok(())
}

/// `XINFO GROUPS key`
fn groups(stream: &dyn StreamView, reply: &mut Reply<'_>) -> CommandResult {
    let mut groups = Gathered::new();
    stream.groups(&mut |group_name, _, head| {
        let reply = &mut groups.next(reply);
        reply.map(6);
        name("name", reply);
        reply.bulk(group_name);
        number("consumers", head.consumers, reply);
        number("pending", head.pending, reply);
        progress(stream, head, reply);
        true
    })?;
    groups.finish(reply);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radix_trees_have_nodes_for_runs_choices_and_ends() {
        let key = |ms, seq| StreamId::new(ms, seq).to_bytes();
        assert_eq!(radix_nodes_below(&[], 0), 1);
        assert_eq!(radix_nodes_below(&[key(1, 1)], 0), 2);
        // A run of seven bytes, a choice of two, two runs of eight, two ends.
        assert_eq!(radix_nodes_below(&[key(1, 1), key(2, 1)], 0), 6);
        // A run of fifteen bytes, a choice of two, two ends.
        assert_eq!(radix_nodes_below(&[key(1, 1), key(1, 2)], 0), 4);
    }
}
