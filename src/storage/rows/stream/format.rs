//! The rows of a stream.
//!
//! All stand under the version of the stream; names are those of [`crate::storage::rows::format`]. Ids are 16 bytes that
//! sort, numbers are big-endian.
//!
//! ```text
//! row key, after 'E' version u64                          row value
//! 0  id                                                   an entry: count varint, then field and value, runs
//! 1  id                                                   a node that gets no more entries: last id, live u32, total u32, weight u32
//! 2  part                                                 a group's name: group u64, the full name when digested
//! 3  group u64  0                                         a group: last id, read u64 (all ones: unknown), pending u64, consumers u64,
//!                                                         next consumer u64, first pending id
//! 3  group u64  1  id                                     a pending entry: consumer u64, delivered at i64, deliveries u64
//! 3  group u64  2  part                                   a consumer's name: consumer u64, the full name when digested
//! 3  group u64  3  consumer u64                           a consumer: seen at i64, was active u8, active at i64, pending u64,
//!                                                         first pending id, the name
//! 3  group u64  4  consumer u64  id                       an entry that is pending with a consumer: empty
//! ```
//!
//! The row of the key goes on after the number of elements with: length u64, first id, last id, max deleted id, added
//! u64, groups u64, nodes u64, next group u64, and the last node: a hash of its fields u64, its id, last id, live u32, total u32, weight
//! u32. The last node has no row, so that an XADD writes two rows.
//!
//! The first id, and the first pending id of a group and of a consumer, are where walks begin: what was removed before them has
//! left tombstones in an LSM tree, and a queue must not meet them at every step. They are brought up to date by the writes
//! that remove the first, which meet each tombstone once.

use crate::storage::rows::format::{RowRange, element_prefix, index_name, index_value, push_part};
use crate::storage::streams::{ConsumerHead, ConsumerId, GroupHead, GroupId, IdRange, NodeMark, Pending, StreamHead};
use crate::storage::{StorageError, StorageResult};
use crate::types::{StreamId, UnixMs};

const ENTRY: u8 = 0;
const NODE: u8 = 1;
const GROUP_NAME: u8 = 2;
const GROUP: u8 = 3;

const GROUP_HEAD: u8 = 0;
const PENDING: u8 = 1;
const CONSUMER_NAME: u8 = 2;
const CONSUMER: u8 = 3;
const CONSUMER_PENDING: u8 = 4;

/// What stands for a number of entries read that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Takes numbers off the front of a row or its value.
struct Parts<'r> {
    rest: &'r [u8],
    what: &'static str,
}

impl<'r> Parts<'r> {
    fn new(bytes: &'r [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    fn take<const N: usize>(&mut self) -> StorageResult<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk() else {
            let detail = format!("{} bytes are left where {N} should be", self.rest.len());
            return Err(StorageError::Corrupt { what: self.what, detail });
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn u64(&mut self) -> StorageResult<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> StorageResult<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn time(&mut self) -> StorageResult<UnixMs> {
        self.take().map(|bytes| UnixMs(i64::from_be_bytes(bytes)))
    }

    fn id(&mut self) -> StorageResult<StreamId> {
        self.take().map(StreamId::from_bytes)
    }
}

// ---- the row of the key ----

/// What the row of the key keeps besides version and number of elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::storage::rows) struct State {
    pub(super) head: StreamHead,
    pub(super) next_group: u64,
    /// The last node; it has no entries when there is none.
    pub(super) tail: NodeMark,
    /// A hash of the fields of the entry that began it: those of the same fields take less room in Redis.
    pub(super) tail_fields: u64,
}

impl State {
    /// Number of elements that the row of the key tells the sweep of garbage. Never zero: there may be rows of groups.
    pub(in crate::storage::rows) fn elements(&self) -> u64 {
        self.head.len + 1
    }

    pub(in crate::storage::rows) fn encode(&self, body: &mut Vec<u8>) {
        let Self { head, next_group, tail, tail_fields } = self;
        body.extend_from_slice(&head.len.to_be_bytes());
        for id in [head.first, head.last, head.max_deleted] {
            body.extend_from_slice(&id.to_bytes());
        }
        for number in [head.added, head.groups, head.nodes, *next_group] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        body.extend_from_slice(&tail_fields.to_be_bytes());
        body.extend_from_slice(&tail.master.to_bytes());
        body.extend_from_slice(&node_value(tail));
    }

    pub(in crate::storage::rows) fn decode(body: &[u8]) -> StorageResult<Self> {
        let mut parts = Parts::new(body, "key row of a stream");
        let len = parts.u64()?;
        let (first, last, max_deleted) = (parts.id()?, parts.id()?, parts.id()?);
        let (added, groups, nodes, next_group) = (parts.u64()?, parts.u64()?, parts.u64()?, parts.u64()?);
        let head = StreamHead { len, first, last, max_deleted, added, groups, nodes };
        let tail_fields = parts.u64()?;
        let master = parts.id()?;
        Ok(Self { head, next_group, tail: decode_node(master, parts.rest)?, tail_fields })
    }
}

// ---- entries and nodes ----

fn tagged(version: u64, tag: u8) -> Vec<u8> {
    let mut row = element_prefix(version);
    row.push(tag);
    row
}

fn with_id(mut prefix: Vec<u8>, id: StreamId) -> Vec<u8> {
    prefix.extend_from_slice(&id.to_bytes());
    prefix
}

/// Rows of a range of ids under a prefix.
fn id_rows(prefix: &[u8], range: IdRange) -> RowRange {
    let start = with_id(prefix.to_vec(), range.start);
    let end = match range.end.next() {
        Some(end) => with_id(prefix.to_vec(), end),
        None => RowRange::with_prefix(prefix.to_vec()).end,
    };
    RowRange { start, end }
}

/// The id that a row ends with.
pub(super) fn id_of(row: &[u8]) -> StorageResult<StreamId> {
    match row.last_chunk() {
        Some(bytes) => Ok(StreamId::from_bytes(*bytes)),
        None => Err(StorageError::Corrupt { what: "row of a stream", detail: format!("{} bytes", row.len()) }),
    }
}

pub(super) fn entry_row(version: u64, id: StreamId) -> Vec<u8> {
    with_id(tagged(version, ENTRY), id)
}

pub(super) fn entry_rows(version: u64, range: IdRange) -> RowRange {
    id_rows(&tagged(version, ENTRY), range)
}

pub(super) fn node_row(version: u64, master: StreamId) -> Vec<u8> {
    with_id(tagged(version, NODE), master)
}

pub(super) fn node_rows(version: u64, range: IdRange) -> RowRange {
    id_rows(&tagged(version, NODE), range)
}

pub(super) fn node_value(node: &NodeMark) -> Vec<u8> {
    let mut value = node.last.to_bytes().to_vec();
    for number in [node.live, node.total, node.weight] {
        value.extend_from_slice(&number.to_be_bytes());
    }
    value
}

pub(super) fn decode_node(master: StreamId, value: &[u8]) -> StorageResult<NodeMark> {
    let mut parts = Parts::new(value, "node of a stream");
    Ok(NodeMark { master, last: parts.id()?, live: parts.u32()?, total: parts.u32()?, weight: parts.u32()? })
}

// ---- groups ----

/// A group, with what its rows need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupRow {
    pub(super) head: GroupHead,
    pub(super) next_consumer: u64,
    /// The first id that is pending, if any is.
    pub(super) first: StreamId,
}

impl GroupRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = self.head.last.to_bytes().to_vec();
        let read = self.head.entries_read.unwrap_or(UNKNOWN);
        for number in [read, self.head.pending, self.head.consumers, self.next_consumer] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        value.extend_from_slice(&self.first.to_bytes());
        value
    }

    pub(super) fn decode(value: &[u8]) -> StorageResult<Self> {
        let mut parts = Parts::new(value, "group of a stream");
        let last = parts.id()?;
        let read = parts.u64()?;
        let (pending, consumers, next_consumer) = (parts.u64()?, parts.u64()?, parts.u64()?);
        let head = GroupHead { last, entries_read: (read != UNKNOWN).then_some(read), pending, consumers };
        Ok(Self { head, next_consumer, first: parts.id()? })
    }
}

/// The row of a name under a prefix.
fn name_row(mut prefix: Vec<u8>, name: &[u8]) -> Vec<u8> {
    push_part(&mut prefix, name);
    prefix
}

/// The value of a name's row.
pub(super) fn name_value(number: u64, name: &[u8]) -> Vec<u8> {
    let mut value = number.to_be_bytes().to_vec();
    value.extend_from_slice(&index_value(name));
    value
}

/// Number and name of a row under a prefix.
pub(super) fn split_name<'r>(prefix_bytes: usize, row: &'r [u8], value: &'r [u8]) -> StorageResult<(u64, &'r [u8])> {
    let mut parts = Parts::new(value, "name in a stream");
    let number = parts.u64()?;
    Ok((number, index_name(row.get(prefix_bytes..).unwrap_or_default(), parts.rest)))
}

/// The number in the value of a name's row.
pub(super) fn number_of(value: &[u8]) -> StorageResult<u64> {
    Parts::new(value, "name in a stream").u64()
}

pub(super) fn group_name_row(version: u64, name: &[u8]) -> Vec<u8> {
    name_row(tagged(version, GROUP_NAME), name)
}

/// Start of the rows of groups' names.
pub(super) fn group_names(version: u64) -> Vec<u8> {
    tagged(version, GROUP_NAME)
}

fn in_group(version: u64, GroupId(group): GroupId, tag: u8) -> Vec<u8> {
    let mut row = group_prefix(version, group);
    row.push(tag);
    row
}

/// Start of all rows of a group but that of its name.
pub(in crate::storage::rows) fn group_prefix(version: u64, group: u64) -> Vec<u8> {
    let mut row = tagged(version, GROUP);
    row.extend_from_slice(&group.to_be_bytes());
    row
}

pub(super) fn group_row(version: u64, group: GroupId) -> Vec<u8> {
    in_group(version, group, GROUP_HEAD)
}

pub(super) fn pending_row(version: u64, group: GroupId, id: StreamId) -> Vec<u8> {
    with_id(in_group(version, group, PENDING), id)
}

pub(super) fn pending_rows(version: u64, group: GroupId, range: IdRange) -> RowRange {
    id_rows(&in_group(version, group, PENDING), range)
}

pub(super) fn pending_value(pending: &Pending) -> Vec<u8> {
    let mut value = pending.consumer.0.to_be_bytes().to_vec();
    value.extend_from_slice(&pending.delivered_at.0.to_be_bytes());
    value.extend_from_slice(&pending.deliveries.to_be_bytes());
    value
}

pub(super) fn decode_pending(value: &[u8]) -> StorageResult<Pending> {
    let mut parts = Parts::new(value, "pending entry");
    Ok(Pending { consumer: ConsumerId(parts.u64()?), delivered_at: parts.time()?, deliveries: parts.u64()? })
}

// ---- consumers ----

/// A consumer, with what its rows need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ConsumerRow {
    pub(super) head: ConsumerHead,
    /// The first id that is pending, if any is.
    pub(super) first: StreamId,
    pub(super) name: Vec<u8>,
}

impl ConsumerRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = self.head.seen_at.0.to_be_bytes().to_vec();
        value.push(u8::from(self.head.active_at.is_some()));
        value.extend_from_slice(&self.head.active_at.unwrap_or_default().0.to_be_bytes());
        value.extend_from_slice(&self.head.pending.to_be_bytes());
        value.extend_from_slice(&self.first.to_bytes());
        value.extend_from_slice(&self.name);
        value
    }

    pub(super) fn decode(value: &[u8]) -> StorageResult<Self> {
        let mut parts = Parts::new(value, "consumer of a stream");
        let seen_at = parts.time()?;
        let [was_active] = parts.take()?;
        let active_at = parts.time()?;
        let active_at = (was_active != 0).then_some(active_at);
        let head = ConsumerHead { seen_at, active_at, pending: parts.u64()? };
        Ok(Self { head, first: parts.id()?, name: parts.rest.to_vec() })
    }
}

pub(super) fn consumer_name_row(version: u64, group: GroupId, name: &[u8]) -> Vec<u8> {
    name_row(consumer_names(version, group), name)
}

/// Start of the rows of consumers' names.
pub(super) fn consumer_names(version: u64, group: GroupId) -> Vec<u8> {
    in_group(version, group, CONSUMER_NAME)
}

pub(super) fn consumer_row(version: u64, group: GroupId, ConsumerId(consumer): ConsumerId) -> Vec<u8> {
    let mut row = in_group(version, group, CONSUMER);
    row.extend_from_slice(&consumer.to_be_bytes());
    row
}

fn consumer_pending_prefix(version: u64, group: GroupId, ConsumerId(consumer): ConsumerId) -> Vec<u8> {
    let mut row = in_group(version, group, CONSUMER_PENDING);
    row.extend_from_slice(&consumer.to_be_bytes());
    row
}

pub(super) fn consumer_pending_row(version: u64, group: GroupId, consumer: ConsumerId, id: StreamId) -> Vec<u8> {
    with_id(consumer_pending_prefix(version, group, consumer), id)
}

pub(super) fn consumer_pending_rows(version: u64, group: GroupId, consumer: ConsumerId, range: IdRange) -> RowRange {
    id_rows(&consumer_pending_prefix(version, group, consumer), range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip() {
        let tail = NodeMark { master: StreamId::new(1, 2), last: StreamId::new(3, 4), live: 5, total: 6, weight: 7 };
        assert_eq!(decode_node(tail.master, &node_value(&tail)).unwrap(), tail);
        let head = StreamHead {
            len: 1,
            first: StreamId::new(2, 3),
            last: StreamId::MAX,
            max_deleted: StreamId::new(4, 5),
            added: 6,
            groups: 7,
            nodes: 10,
        };
        let state = State { head, next_group: 8, tail, tail_fields: 9 };
        let mut body = Vec::new();
        state.encode(&mut body);
        assert_eq!(State::decode(&body).unwrap(), state);
        assert!(State::decode(&body[..body.len() - 1]).is_err());
        for entries_read in [None, Some(0), Some(9)] {
            let head = GroupHead { last: StreamId::new(1, 1), entries_read, pending: 2, consumers: 3 };
            let group = GroupRow { head, next_consumer: 4, first: StreamId::new(0, 1) };
            assert_eq!(GroupRow::decode(&group.encode()).unwrap(), group);
        }
        for active_at in [None, Some(UnixMs(-3))] {
            let head = ConsumerHead { seen_at: UnixMs(5), active_at, pending: 6 };
            let consumer = ConsumerRow { head, first: StreamId::new(0, 1), name: b"name".to_vec() };
            assert_eq!(ConsumerRow::decode(&consumer.encode()).unwrap(), consumer);
        }
    }

    #[test]
    fn ranges_hold_their_ids_and_no_others() {
        let all = entry_rows(7, IdRange::ALL);
        assert!(all.start <= entry_row(7, StreamId::MIN) && entry_row(7, StreamId::MAX) < all.end);
        assert!(all.end <= node_row(7, StreamId::MIN));
        let one = entry_rows(7, IdRange::one(StreamId::new(1, u64::MAX)));
        assert!(one.start == entry_row(7, StreamId::new(1, u64::MAX)) && one.end == entry_row(7, StreamId::new(2, 0)));
        assert_eq!(id_of(&one.start).unwrap(), StreamId::new(1, u64::MAX));
    }
}
