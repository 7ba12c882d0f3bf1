//! Writing streams, in the form of Redis 7.0.

use super::super::listpack::Writer;
use super::super::output::Output;
use super::{FLAG_SAME_FIELDS, READ_UNKNOWN};
use crate::storage::streams::{StreamEntry, StreamGroup, StreamObject};
use crate::types::{StreamId, UnixMs};

/// Bytes at which a node is closed, whatever the settings say.
const NODE_MAX_BYTES: usize = 1 << 30;

/// Writes the body of a stream.
pub(in super::super) fn save(stream: &StreamObject, out: &mut Output<'_>) {
    let mut nodes = Vec::new();
    for node in &stream.nodes {
        let mut rest = &node.entries[..];
        let mut master = node.master_id;
        while let Some(first) = rest.first() {
            let count = fitting(rest);
            let (entries, others) = rest.split_at(count);
            nodes.push((master, pack(master, first, entries)));
            rest = others;
            master = rest.first().map_or(master, |entry| entry.id);
        }
    }
    out.count(nodes.len());
    for (master, packed) in nodes {
        out.string(&master.to_bytes());
        out.string(&packed);
    }
    out.length(stream.len());
    id(stream.last_id, out);
    id(stream.first_id(), out);
    id(stream.max_deleted_id, out);
    out.length(stream.entries_added);
    out.count(stream.groups.len());
    stream.groups.iter().for_each(|group| save_group(group, out));
}

fn id(id: StreamId, out: &mut Output<'_>) {
    out.length(id.ms);
    out.length(id.seq);
}

fn time(at: UnixMs, out: &mut Output<'_>) {
    out.raw(&at.0.to_le_bytes());
}

/// How many entries go into one node: at least one.
fn fitting(entries: &[StreamEntry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        // No item has more than sixteen bytes around it.
        let fields = entry.fields.iter().map(|(field, value)| field.len() + value.len() + 32);
        bytes += fields.sum::<usize>() + 64;
        bytes < NODE_MAX_BYTES
    });
    fits.count().max(1)
}

fn pack(master: StreamId, first: &StreamEntry, entries: &[StreamEntry]) -> Vec<u8> {
    let mut packed = Writer::new();
    packed.push_int(entries.len() as i64);
    // What was removed is left out.
    packed.push_int(0);
    packed.push_int(first.fields.len() as i64);
    first.fields.iter().for_each(|(field, _)| packed.push(field));
    packed.push_int(0);
    for entry in entries {
        let start = packed.len();
        let same = entry.fields.iter().map(|(field, _)| field).eq(first.fields.iter().map(|(field, _)| field));
        packed.push_int(if same { FLAG_SAME_FIELDS } else { 0 });
        packed.push_int(entry.id.ms.wrapping_sub(master.ms).cast_signed());
        packed.push_int(entry.id.seq.wrapping_sub(master.seq).cast_signed());
        if !same {
            packed.push_int(entry.fields.len() as i64);
        }
        for (field, value) in &entry.fields {
            if !same {
                packed.push(field);
            }
            packed.push(value);
        }
        packed.push_int((packed.len() - start) as i64);
    }
    packed.finish()
}

fn save_group(group: &StreamGroup, out: &mut Output<'_>) {
    out.string(&group.name);
    id(group.last_id, out);
    out.length(group.entries_read.unwrap_or(READ_UNKNOWN));
    out.count(group.pending.len());
    for pending in &group.pending {
        out.raw(&pending.id.to_bytes());
        time(pending.delivered_at, out);
        out.length(pending.deliveries);
    }
    let mut owned = vec![Vec::new(); group.consumers.len()];
    for pending in &group.pending {
        owned[pending.consumer].push(pending.id);
    }
    out.count(group.consumers.len());
    for (consumer, ids) in group.consumers.iter().zip(owned) {
        out.string(&consumer.name);
        time(consumer.seen_at, out);
        out.count(ids.len());
        ids.iter().for_each(|id| out.raw(&id.to_bytes()));
    }
}
