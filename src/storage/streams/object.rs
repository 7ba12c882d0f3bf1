//! Whole streams, independent of any engine.
//!
//! ```text
//! stream   := last: id | max deleted: id | added: varint | count: varint | node* | count: varint | group*
//! node     := master: id | last: id | total: varint | weight: varint | count: varint | entry*
//! entry    := id | count: varint | count * (field: run | value: run)
//! group    := name: run | last: id | read: varint, 0 when unknown, else one more | count: varint | consumer*
//!             | count: varint | pending*
//! consumer := name: run | seen at: i64 | was active: u8 | [active at: i64]
//! pending  := id | consumer: varint | delivered at: i64 | deliveries: varint
//! id       := 16 bytes, big-endian
//! ```
//! Entries, nodes and pending entries are in the order of their ids, groups and consumers in that of their names.
//! Runs and varints are those of [`crate::codec`].

use std::collections::BTreeMap;

use super::{GroupHead, GroupId, IdRange, NodeMark, Owner, StreamView};
use crate::codec::{Reader, push_run, push_varint};
use crate::storage::StorageResult;
use crate::storage::object_codec::corrupt;
use crate::types::{StreamId, UnixMs};

/// A stream that has left its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamObject {
    /// The entries, by node. No node is without entries.
    pub nodes: Vec<StreamNode>,
    /// The largest id that an entry ever had, or that XSETID set.
    pub last_id: StreamId,
    /// The largest id that XDEL ever removed.
    pub max_deleted_id: StreamId,
    /// Number of entries that were ever added.
    pub entries_added: u64,
    /// The groups.
    pub groups: Vec<StreamGroup>,
}

/// Entries that approximate trimming removes together. An engine that takes one over reckons later entries by the fields
/// of the first one that is left, where Redis goes on by those of the first one ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamNode {
    /// Id of the entry that began it, which may have been removed since.
    pub master_id: StreamId,
    /// Id of the last entry that was added to it, which may have been removed since.
    pub last_id: StreamId,
    /// Entries that were ever added to it.
    pub total: u32,
    /// Bytes of its listpack in Redis, less the two numbers at its beginning.
    pub weight: u32,
    /// The entries that are left.
    pub entries: Vec<StreamEntry>,
}

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its id.
    pub id: StreamId,
    /// Fields and values, at least one; a field may stand several times.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A group of consumers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamGroup {
    /// Its name.
    pub name: Vec<u8>,
    /// Id of the entry that was delivered last.
    pub last_id: StreamId,
    /// How many entries were read up to there, if that is known.
    pub entries_read: Option<u64>,
    /// The consumers.
    pub consumers: Vec<StreamConsumer>,
    /// What was delivered and not acknowledged.
    pub pending: Vec<StreamPending>,
}

/// A consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamConsumer {
    /// Its name.
    pub name: Vec<u8>,
    /// When it last asked for something.
    pub seen_at: UnixMs,
    /// When it last got something.
    pub active_at: Option<UnixMs>,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamPending {
    /// The entry, which may have been removed since.
    pub id: StreamId,
    /// To whom: an index among the group's consumers.
    pub consumer: usize,
    /// When last.
    pub delivered_at: UnixMs,
    /// How many times.
    pub deliveries: u64,
}

impl StreamEntry {
    /// Fields and values in turn.
    pub fn flat(&self) -> Vec<&[u8]> {
        self.fields.iter().flat_map(|(field, value)| [&field[..], &value[..]]).collect()
    }
}

impl StreamNode {
    /// Id of the last entry that is left. After XSETID the last id of a node that was removed may be beyond it, and
    /// beyond nodes that came later.
    fn last_left(&self) -> StreamId {
        self.entries.last().map_or(self.master_id, |entry| entry.id)
    }

    /// The node without its entries.
    pub fn mark(&self) -> NodeMark {
        NodeMark {
            master: self.master_id,
            last: self.last_id,
            live: u32::try_from(self.entries.len()).unwrap_or(u32::MAX),
            total: self.total,
            weight: self.weight,
        }
    }
}

impl StreamObject {
    /// Number of entries.
    pub fn len(&self) -> u64 {
        self.nodes.iter().map(|node| node.entries.len() as u64).sum()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Id of the first entry; `0-0` when there is none.
    pub fn first_id(&self) -> StreamId {
        self.nodes.first().and_then(|node| node.entries.first()).map_or(StreamId::MIN, |entry| entry.id)
    }

    /// The whole of a stream.
    ///
    /// # Errors
    /// When the engine cannot be read.
    pub fn of(view: &dyn StreamView) -> StorageResult<Self> {
        let head = view.head();
        let mut nodes = Vec::new();
        view.nodes(&mut |mark| {
            nodes.push(StreamNode {
                master_id: mark.master,
                last_id: mark.last,
                total: mark.total,
                weight: mark.weight,
                entries: Vec::with_capacity(mark.live as usize),
            });
        })?;
        let mut at = 0;
        view.entries(IdRange::ALL, false, &mut |id, fields| {
            while nodes.get(at + 1).is_some_and(|node: &StreamNode| node.master_id <= id) {
                at += 1;
            }
            let fields = fields.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect();
            if let Some(node) = nodes.get_mut(at) {
                node.entries.push(StreamEntry { id, fields });
            }
            true
        })?;
        let mut named = Vec::new();
        view.groups(&mut |name, id, head| {
            named.push((name.to_vec(), id, *head));
            true
        })?;
        named.sort_unstable_by(|(one, ..), (other, ..)| one.cmp(other));
        let mut groups = Vec::with_capacity(named.len());
        for (name, id, head) in named {
            groups.push(StreamGroup::of(view, name, id, &head)?);
        }
        Ok(Self { nodes, last_id: head.last, max_deleted_id: head.max_deleted, entries_added: head.added, groups })
    }

    /// Calls `visit` with bytes for each thing that a digest is of. Nodes are not among them: they are no data.
    pub(in crate::storage) fn for_each_part(&self, visit: &mut dyn FnMut(&[u8])) {
        let mut bytes = Vec::new();
        self.encode_counters(&mut bytes);
        visit(&bytes);
        for entry in self.nodes.iter().flat_map(|node| &node.entries) {
            bytes.clear();
            encode_entry(entry, &mut bytes);
            visit(&bytes);
        }
        for group in &self.groups {
            bytes.clear();
            group.encode(&mut bytes);
            visit(&bytes);
        }
    }

    fn encode_counters(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.last_id.to_bytes());
        out.extend_from_slice(&self.max_deleted_id.to_bytes());
        push_varint(out, self.entries_added);
    }

    /// Appends the stream in the format of this module.
    pub(in crate::storage) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_counters(out);
        push_varint(out, self.nodes.len() as u64);
        for node in &self.nodes {
            out.extend_from_slice(&node.master_id.to_bytes());
            out.extend_from_slice(&node.last_id.to_bytes());
            push_varint(out, u64::from(node.total));
            push_varint(out, u64::from(node.weight));
            push_varint(out, node.entries.len() as u64);
            node.entries.iter().for_each(|entry| encode_entry(entry, out));
        }
        push_varint(out, self.groups.len() as u64);
        self.groups.iter().for_each(|group| group.encode(out));
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(in crate::storage) fn decode(reader: &mut Reader<'_>) -> StorageResult<Self> {
        let (last_id, max_deleted_id) = (read_id(reader)?, read_id(reader)?);
        let entries_added = reader.varint()?;
        let count = read_count(reader, 36)?;
        let mut nodes: Vec<StreamNode> = Vec::with_capacity(count);
        for _ in 0..count {
            let node = decode_node(reader)?;
            let in_order = nodes.last().is_none_or(|before| before.last_left() < node.master_id);
            if !in_order || node.last_left() > last_id {
                return Err(corrupt(reader, "a node of a stream that is out of order"));
            }
            nodes.push(node);
        }
        let count = read_count(reader, 19)?;
        let mut groups: Vec<StreamGroup> = Vec::with_capacity(count);
        for _ in 0..count {
            let group = StreamGroup::decode(reader)?;
            if groups.last().is_some_and(|before| before.name >= group.name) {
                return Err(corrupt(reader, "groups that are out of order"));
            }
            groups.push(group);
        }
        Ok(Self { nodes, last_id, max_deleted_id, entries_added, groups })
    }
}

impl StreamGroup {
    /// A group of a stream.
    pub(in crate::storage) fn of(
        view: &dyn StreamView,
        name: Vec<u8>,
        id: GroupId,
        head: &GroupHead,
    ) -> StorageResult<Self> {
        let mut consumers = Vec::new();
        view.consumers(id, &mut |name, id, head| {
            let (seen_at, active_at) = (head.seen_at, head.active_at);
            consumers.push((id, StreamConsumer { name: name.to_vec(), seen_at, active_at }));
            true
        })?;
        consumers.sort_unstable_by(|(_, one), (_, other)| one.name.cmp(&other.name));
        let indexes: BTreeMap<_, _> = consumers.iter().enumerate().map(|(index, (id, _))| (*id, index)).collect();
        let mut pending = Vec::with_capacity(head.pending as usize);
        view.pending(Owner { group: id, consumer: None }, IdRange::ALL, &mut |id, entry| {
            if let Some(&consumer) = indexes.get(&entry.consumer) {
                let (delivered_at, deliveries) = (entry.delivered_at, entry.deliveries);
                pending.push(StreamPending { id, consumer, delivered_at, deliveries });
            }
            true
        })?;
        let consumers = consumers.into_iter().map(|(_, consumer)| consumer).collect();
        Ok(Self { name, last_id: head.last, entries_read: head.entries_read, consumers, pending })
    }

    /// Appends the group in the format of this module.
    pub(in crate::storage) fn encode(&self, out: &mut Vec<u8>) {
        push_run(out, &self.name);
        out.extend_from_slice(&self.last_id.to_bytes());
        push_varint(out, self.entries_read.map_or(0, |read| read.saturating_add(1)));
        push_varint(out, self.consumers.len() as u64);
        for consumer in &self.consumers {
            push_run(out, &consumer.name);
            push_times(out, consumer.seen_at, consumer.active_at);
        }
        push_varint(out, self.pending.len() as u64);
        for pending in &self.pending {
            out.extend_from_slice(&pending.id.to_bytes());
            push_varint(out, pending.consumer as u64);
            out.extend_from_slice(&pending.delivered_at.0.to_le_bytes());
            push_varint(out, pending.deliveries);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(in crate::storage) fn decode(reader: &mut Reader<'_>) -> StorageResult<Self> {
        let name = reader.run()?.to_vec();
        let last_id = read_id(reader)?;
        let entries_read = reader.varint()?.checked_sub(1);
        let count = read_count(reader, 10)?;
        let mut consumers: Vec<StreamConsumer> = Vec::with_capacity(count);
        for _ in 0..count {
            let name = reader.run()?.to_vec();
            if consumers.last().is_some_and(|before| before.name >= name) {
                return Err(corrupt(reader, "consumers that are out of order"));
            }
            let seen_at = UnixMs(reader.i64()?);
            let active_at = if reader.flag()? { Some(UnixMs(reader.i64()?)) } else { None };
            consumers.push(StreamConsumer { name, seen_at, active_at });
        }
        let count = read_count(reader, 26)?;
        let mut pending: Vec<StreamPending> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = read_id(reader)?;
            let consumer = reader.varint()? as usize;
            if consumer >= consumers.len() || pending.last().is_some_and(|before| before.id >= id) {
                return Err(corrupt(reader, "a pending entry that is out of order"));
            }
            let delivered_at = UnixMs(reader.i64()?);
            pending.push(StreamPending { id, consumer, delivered_at, deliveries: reader.varint()? });
        }
        Ok(Self { name, last_id, entries_read, consumers, pending })
    }
}

fn encode_entry(entry: &StreamEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.id.to_bytes());
    push_varint(out, entry.fields.len() as u64);
    for (field, value) in &entry.fields {
        push_run(out, field);
        push_run(out, value);
    }
}

fn push_times(out: &mut Vec<u8>, seen_at: UnixMs, active_at: Option<UnixMs>) {
    out.extend_from_slice(&seen_at.0.to_le_bytes());
    out.push(u8::from(active_at.is_some()));
    if let Some(UnixMs(at)) = active_at {
        out.extend_from_slice(&at.to_le_bytes());
    }
}

fn read_id(reader: &mut Reader<'_>) -> StorageResult<StreamId> {
    Ok(StreamId::from_bytes(reader.array()?))
}

/// The number of items of at least `item_bytes` each that follow; more than fit are not believed.
fn read_count(reader: &mut Reader<'_>, item_bytes: usize) -> StorageResult<usize> {
    let count = reader.varint()?;
    if count > (reader.remaining() / item_bytes) as u64 {
        return Err(corrupt(reader, format_args!("{count} items")));
    }
    Ok(count as usize)
}

fn read_u32(reader: &mut Reader<'_>) -> StorageResult<u32> {
    let value = reader.varint()?;
    u32::try_from(value).map_err(|_too_large| corrupt(reader, format_args!("a number of {value}")))
}

fn decode_node(reader: &mut Reader<'_>) -> StorageResult<StreamNode> {
    let (master_id, last_id) = (read_id(reader)?, read_id(reader)?);
    let (total, weight) = (read_u32(reader)?, read_u32(reader)?);
    let count = read_count(reader, 19)?;
    if count == 0 || count > total as usize {
        return Err(corrupt(reader, format_args!("a node of {count} entries out of {total}")));
    }
    let mut entries: Vec<StreamEntry> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = read_id(reader)?;
        let after = entries.last().map_or(id >= master_id, |before| id > before.id);
        if !after || id > last_id || id.is_zero() {
            return Err(corrupt(reader, "an entry of a stream that is out of order"));
        }
        let count = read_count(reader, 2)?;
        if count == 0 {
            return Err(corrupt(reader, "an entry without fields"));
        }
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            fields.push((reader.run()?.to_vec(), reader.run()?.to_vec()));
        }
        entries.push(StreamEntry { id, fields });
    }
    Ok(StreamNode { master_id, last_id, total, weight, entries })
}

#[cfg(test)]
pub(in crate::storage) mod tests {
    use super::*;

    /// A stream with a bit of everything.
    pub(in crate::storage) fn sample() -> StreamObject {
        let entry = |ms, seq, fields: &[(&str, &str)]| StreamEntry {
            id: StreamId::new(ms, seq),
            fields: fields
                .iter()
                .map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
        };
        StreamObject {
            nodes: vec![
                StreamNode {
                    master_id: StreamId::new(1, 0),
                    last_id: StreamId::new(2, 5),
                    total: 4,
                    weight: 77,
                    entries: vec![entry(1, 1, &[("a", "1"), ("a", "2")]), entry(2, 0, &[("b", "")])],
                },
                StreamNode {
                    master_id: StreamId::new(3, 9),
                    last_id: StreamId::new(4, 2),
                    total: 2,
                    weight: 40,
                    entries: vec![entry(3, 9, &[("a", "1")]), entry(4, 2, &[("a", "3")])],
                },
            ],
            last_id: StreamId::new(9, 9),
            max_deleted_id: StreamId::new(2, 5),
            entries_added: 11,
            groups: vec![
                StreamGroup { name: b"empty".to_vec(), ..StreamGroup::default() },
                StreamGroup {
                    name: b"group".to_vec(),
                    last_id: StreamId::new(3, 9),
                    entries_read: Some(4),
                    consumers: vec![
                        StreamConsumer { name: b"alice".to_vec(), seen_at: UnixMs(50), active_at: Some(UnixMs(40)) },
                        StreamConsumer { name: b"bob".to_vec(), seen_at: UnixMs(-1), active_at: None },
                    ],
                    pending: vec![
                        StreamPending { id: StreamId::new(1, 0), consumer: 0, delivered_at: UnixMs(3), deliveries: 1 },
                        StreamPending { id: StreamId::new(3, 9), consumer: 0, delivered_at: UnixMs(9), deliveries: 70 },
                    ],
                },
            ],
        }
    }

    #[test]
    fn round_trips() {
        for stream in [StreamObject::default(), sample()] {
            let mut bytes = Vec::new();
            stream.encode(&mut bytes);
            let mut reader = Reader::new(&bytes, "stream");
            assert_eq!(StreamObject::decode(&mut reader).unwrap(), stream);
            assert_eq!(reader.remaining(), 0);
            for end in 0..bytes.len() {
                assert!(StreamObject::decode(&mut Reader::new(&bytes[..end], "stream")).is_err(), "{end}");
            }
        }
    }

    fn is_refused(change: impl FnOnce(&mut StreamObject)) -> bool {
        let mut stream = sample();
        change(&mut stream);
        let mut bytes = Vec::new();
        stream.encode(&mut bytes);
        StreamObject::decode(&mut Reader::new(&bytes, "stream")).is_err()
    }

    #[test]
    fn disorder_is_refused() {
        assert!(!is_refused(|_| ()));
        assert!(is_refused(|stream| stream.nodes.swap(0, 1)));
        assert!(is_refused(|stream| stream.nodes[0].entries.swap(0, 1)));
        assert!(is_refused(|stream| stream.nodes[0].entries.clear()));
        assert!(is_refused(|stream| stream.nodes[0].total = 1));
        assert!(is_refused(|stream| stream.nodes[1].last_id = StreamId::new(3, 9)));
        assert!(is_refused(|stream| stream.last_id = StreamId::new(4, 1)));
        assert!(is_refused(|stream| stream.nodes[0].entries[0].fields.clear()));
        assert!(is_refused(|stream| stream.groups.swap(0, 1)));
        assert!(is_refused(|stream| stream.groups[1].consumers.swap(0, 1)));
        assert!(is_refused(|stream| stream.groups[1].pending.swap(0, 1)));
        assert!(is_refused(|stream| stream.groups[1].pending[0].consumer = 2));
    }
}
