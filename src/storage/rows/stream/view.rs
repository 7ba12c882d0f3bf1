//! Reading a stream that is kept as rows.

use std::collections::{BTreeMap, BTreeSet};

use super::format::{
    ConsumerRow, GroupRow, State, consumer_name_row, consumer_names, consumer_pending_rows, consumer_row, decode_node,
    decode_pending, entry_row, entry_rows, group_name_row, group_names, group_row, id_of, node_rows, number_of,
    pending_row, pending_rows, split_name,
};
use crate::codec::Reader;
use crate::storage::rows::format::RowRange;
use crate::storage::rows::overlay::Merged;
use crate::storage::streams::{
    ConsumerHead, ConsumerId, GroupHead, GroupId, IdRange, NodeMark, Owner, Pending, StreamHead, StreamView,
    VisitConsumer, VisitEntry, VisitGroup, VisitPending,
};
use crate::storage::{StorageError, StorageResult};
use crate::types::StreamId;

/// Rows of groups and consumers that an edit has changed and not yet written.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) groups: BTreeMap<GroupId, GroupRow>,
    pub(super) consumers: BTreeMap<(GroupId, ConsumerId), ConsumerRow>,
    /// Groups, and consumers of groups, whose first pending id is only a lower bound.
    pub(super) stale: BTreeSet<(GroupId, Option<ConsumerId>)>,
}

/// A read view of a stream kept as rows.
pub(in crate::storage::rows) struct RowStream<'r> {
    pub(super) reads: Merged<'r>,
    pub(super) version: u64,
    pub(super) state: State,
    pub(super) changed: Option<&'r Changed>,
}

fn missing(what: &'static str) -> StorageError {
    StorageError::Corrupt { what, detail: "a row is missing".to_owned() }
}

/// Fields and values of an entry's row.
fn decode_fields<'r>(value: &'r [u8], fields: &mut Vec<(&'r [u8], &'r [u8])>) -> StorageResult<()> {
    let mut reader = Reader::new(value, "entry of a stream");
    let count = reader.varint()?;
    for _ in 0..count {
        fields.push((reader.run()?, reader.run()?));
    }
    Ok(reader.end()?)
}

impl<'r> RowStream<'r> {
    pub(in crate::storage::rows) fn new(reads: Merged<'r>, version: u64, state: State) -> Self {
        Self { reads, version, state, changed: None }
    }

    /// The part of a range that entries can be in.
    fn clip(&self, range: IdRange) -> IdRange {
        let head = &self.state.head;
        IdRange { start: range.start.max(head.first), end: range.end.min(head.last) }
    }

    /// Calls `visit` with the id of each entry of a range, in order.
    pub(super) fn ids(&self, range: IdRange, mut visit: impl FnMut(StreamId) -> bool) -> StorageResult<()> {
        if self.state.head.len == 0 {
            return Ok(());
        }
        self.reads.walk(&entry_rows(self.version, self.clip(range)), &mut |row, _| Ok(visit(id_of(row)?)))
    }

    /// The node that an id belongs to, if there is an entry at or before it.
    pub(super) fn node_of(&self, id: StreamId) -> StorageResult<Option<NodeMark>> {
        let tail = &self.state.tail;
        if tail.live > 0 && tail.master <= id {
            return Ok(Some(*tail));
        }
        let rows = node_rows(self.version, IdRange { start: StreamId::MIN, end: id });
        let mut found = None;
        self.reads.walk_either_way(&rows, true, &mut |row, value| {
            found = Some(decode_node(id_of(row)?, value)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// The row of a group.
    pub(super) fn group_row(&self, group: GroupId) -> StorageResult<GroupRow> {
        if let Some(row) = self.changed.and_then(|changed| changed.groups.get(&group)) {
            return Ok(*row);
        }
        let row = self.reads.get_with(&group_row(self.version, group), GroupRow::decode)?;
        row.ok_or_else(|| missing("group of a stream"))
    }

    /// The row of a consumer.
    pub(super) fn consumer_row(&self, group: GroupId, consumer: ConsumerId) -> StorageResult<ConsumerRow> {
        if let Some(row) = self.changed.and_then(|changed| changed.consumers.get(&(group, consumer))) {
            return Ok(row.clone());
        }
        let row = self.reads.get_with(&consumer_row(self.version, group, consumer), ConsumerRow::decode)?;
        row.ok_or_else(|| missing("consumer of a stream"))
    }

    /// Calls `visit` with the ids that are pending with an owner, in order.
    pub(super) fn pending_ids(
        &self,
        owner: Owner,
        range: IdRange,
        mut visit: impl FnMut(StreamId, &[u8]) -> StorageResult<bool>,
    ) -> StorageResult<()> {
        let (first, mut left) = match owner.consumer {
            None => {
                let row = self.group_row(owner.group)?;
                (row.first, row.head.pending)
            }
            Some(consumer) => {
                let row = self.consumer_row(owner.group, consumer)?;
                (row.first, row.head.pending)
            }
        };
        if left == 0 {
            return Ok(());
        }
        let range = IdRange { start: range.start.max(first), end: range.end };
        let rows = match owner.consumer {
            None => pending_rows(self.version, owner.group, range),
            Some(consumer) => consumer_pending_rows(self.version, owner.group, consumer, range),
        };
        // Behind the last one there may be tombstones only.
        self.reads.walk(&rows, &mut |row, value| {
            left -= 1;
            Ok(visit(id_of(row)?, value)? && left > 0)
        })
    }

    /// Calls `visit` with name and number of the rows under a prefix.
    fn names(&self, prefix: Vec<u8>, visit: &mut dyn FnMut(&[u8], u64) -> StorageResult<bool>) -> StorageResult<()> {
        let prefix_bytes = prefix.len();
        self.reads.walk(&RowRange::with_prefix(prefix), &mut |row, value| {
            let (number, name) = split_name(prefix_bytes, row, value)?;
            visit(name, number)
        })
    }
}

impl StreamView for RowStream<'_> {
    fn head(&self) -> StreamHead {
        self.state.head
    }

    fn contains(&self, id: StreamId) -> StorageResult<bool> {
        let head = &self.state.head;
        if head.len == 0 || id < head.first || id > head.last {
            return Ok(false);
        }
        self.reads.contains(&entry_row(self.version, id))
    }

    fn entries(&self, range: IdRange, reverse: bool, visit: &mut VisitEntry<'_>) -> StorageResult<()> {
        if self.state.head.len == 0 {
            return Ok(());
        }
        let rows = entry_rows(self.version, self.clip(range));
        self.reads.walk_either_way(&rows, reverse, &mut |row, value| {
            let mut fields = Vec::new();
            decode_fields(value, &mut fields)?;
            Ok(visit(id_of(row)?, &fields))
        })
    }

    fn nodes(&self, visit: &mut dyn FnMut(NodeMark)) -> StorageResult<()> {
        let State { head, tail, .. } = &self.state;
        if head.len == 0 {
            return Ok(());
        }
        if let Some(first) = self.node_of(head.first)?
            && first.master != tail.master
        {
            self.reads.walk(&node_rows(self.version, IdRange::from(first.master)), &mut |row, value| {
                visit(decode_node(id_of(row)?, value)?);
                Ok(true)
            })?;
        }
        if tail.live > 0 {
            visit(*tail);
        }
        Ok(())
    }

    fn group(&self, name: &[u8]) -> StorageResult<Option<(GroupId, GroupHead)>> {
        if self.state.head.groups == 0 {
            return Ok(None);
        }
        let number = self.reads.get_with(&group_name_row(self.version, name), number_of)?;
        let Some(id) = number.map(GroupId) else { return Ok(None) };
        Ok(Some((id, self.group_row(id)?.head)))
    }

    fn groups(&self, visit: &mut VisitGroup<'_>) -> StorageResult<()> {
        if self.state.head.groups == 0 {
            return Ok(());
        }
        self.names(group_names(self.version), &mut |name, number| {
            let id = GroupId(number);
            Ok(visit(name, id, &self.group_row(id)?.head))
        })
    }

    fn consumer(&self, group: GroupId, name: &[u8]) -> StorageResult<Option<(ConsumerId, ConsumerHead)>> {
        let number = self.reads.get_with(&consumer_name_row(self.version, group, name), number_of)?;
        let Some(id) = number.map(ConsumerId) else { return Ok(None) };
        Ok(Some((id, self.consumer_row(group, id)?.head)))
    }

    fn consumers(&self, group: GroupId, visit: &mut VisitConsumer<'_>) -> StorageResult<()> {
        self.names(consumer_names(self.version, group), &mut |name, number| {
            let id = ConsumerId(number);
            Ok(visit(name, id, &self.consumer_row(group, id)?.head))
        })
    }

    fn consumer_name(&self, group: GroupId, consumer: ConsumerId) -> StorageResult<Vec<u8>> {
        Ok(self.consumer_row(group, consumer)?.name)
    }

    fn pending_entry(&self, group: GroupId, id: StreamId) -> StorageResult<Option<Pending>> {
        self.reads.get_with(&pending_row(self.version, group, id), decode_pending)
    }

    fn pending(&self, owner: Owner, range: IdRange, visit: &mut VisitPending<'_>) -> StorageResult<()> {
        self.pending_ids(owner, range, |id, value| {
            let pending = match owner.consumer {
                None => decode_pending(value)?,
                Some(_) => self.pending_entry(owner.group, id)?.ok_or_else(|| missing("pending entry"))?,
            };
            Ok(visit(id, &pending))
        })
    }

    fn pending_bounds(&self, group: GroupId) -> StorageResult<Option<(StreamId, StreamId)>> {
        let row = self.group_row(group)?;
        if row.head.pending == 0 {
            return Ok(None);
        }
        let mut last = row.first;
        if row.head.pending > 1 {
            let rows = pending_rows(self.version, group, IdRange::from(row.first));
            self.reads.walk_either_way(&rows, true, &mut |row, _| {
                last = id_of(row)?;
                Ok(false)
            })?;
        }
        Ok(Some((row.first, last)))
    }
}
