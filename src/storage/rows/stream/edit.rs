//! Changing a stream that is kept as rows: its entries and nodes.

use twox_hash::XxHash3_64;

use super::format::{State, entry_row, node_row, node_value};
use super::view::{Changed, RowStream};
use crate::codec::{push_run, push_varint};
use crate::storage::StorageResult;
use crate::storage::rows::RowEngine;
use crate::storage::streams::trim::{self, TrimSteps};
use crate::storage::streams::{
    ConsumerId, GroupId, IdRange, NodeMark, Pending, StreamEdit, StreamHead, StreamNode, StreamObject, StreamView,
    Threshold, Trim, weight,
};
use crate::types::{StreamId, UnixMs};

/// A stream kept as rows that is being changed. What changes often, the row of the key and those of groups and
/// consumers, is kept here until [`finish`](Self::finish).
pub(in crate::storage::rows) struct RowStreamEdit<'e> {
    pub(super) engine: &'e mut RowEngine,
    pub(super) version: u64,
    pub(super) state: State,
    pub(super) changed: Changed,
}

/// The hash of the fields among fields and values in turn.
fn hash_fields(fields: &[&[u8]]) -> u64 {
    let mut names = Vec::new();
    fields.iter().step_by(2).for_each(|field| push_run(&mut names, field));
    XxHash3_64::oneshot(&names)
}

impl<'e> RowStreamEdit<'e> {
    pub(in crate::storage::rows) fn new(engine: &'e mut RowEngine, version: u64, state: State) -> Self {
        Self { engine, version, state, changed: Changed::default() }
    }

    /// Writes what was kept back, and gives out what the row of the key says.
    pub(in crate::storage::rows) fn finish(mut self) -> StorageResult<State> {
        self.write_groups()?;
        Ok(self.state)
    }

    /// The stream as it is now.
    pub(super) fn view(&self) -> RowStream<'_> {
        RowStream { reads: self.engine.reads(), version: self.version, state: self.state, changed: Some(&self.changed) }
    }

    /// Fills a new stream.
    pub(in crate::storage::rows) fn fill(&mut self, object: &StreamObject) -> StorageResult<()> {
        for (index, node) in object.nodes.iter().enumerate() {
            for entry in &node.entries {
                self.put_entry(entry.id, &entry.flat());
            }
            if index + 1 == object.nodes.len() {
                self.state.tail = node.mark();
                self.state.tail_fields = first_fields(node);
            } else {
                self.put_node(&node.mark());
            }
        }
        self.state.head = StreamHead {
            len: object.len(),
            first: object.first_id(),
            last: object.last_id,
            max_deleted: object.max_deleted_id,
            added: object.entries_added,
            groups: 0,
            nodes: object.nodes.len() as u64,
        };
        for group in &object.groups {
            self.fill_group(group)?;
        }
        Ok(())
    }

    fn put_entry(&mut self, id: StreamId, fields: &[&[u8]]) {
        let mut value = Vec::with_capacity(2 + fields.iter().map(|part| part.len() + 2).sum::<usize>());
        push_varint(&mut value, (fields.len() / 2) as u64);
        fields.iter().for_each(|part| push_run(&mut value, part));
        self.engine.overlay.put(entry_row(self.version, id), value);
    }

    /// Writes the mark of a node.
    fn put_node(&mut self, node: &NodeMark) {
        if node.live == 0 {
            self.state.head.nodes -= 1;
        }
        if node.master == self.state.tail.master {
            self.state.tail = if node.live > 0 { *node } else { NodeMark::default() };
        } else if node.live > 0 {
            self.engine.overlay.put(node_row(self.version, node.master), node_value(node));
        } else {
            self.engine.overlay.remove(node_row(self.version, node.master));
        }
    }

    /// Removes entries from the first on as long as `goes` says so, and finds the new first. Answers how many.
    fn remove_front(&mut self, mut goes: impl FnMut(StreamId) -> bool) -> StorageResult<u64> {
        let mut gone = Vec::new();
        let mut first = StreamId::MIN;
        self.view().ids(IdRange::ALL, |id| {
            let removed = goes(id);
            if removed {
                gone.push(id);
            } else {
                first = id;
            }
            removed
        })?;
        for &id in &gone {
            self.engine.overlay.remove(entry_row(self.version, id));
        }
        self.state.head.first = first;
        self.state.head.len -= gone.len() as u64;
        Ok(gone.len() as u64)
    }
}

fn first_fields(node: &StreamNode) -> u64 {
    node.entries.first().map_or(0, |entry| hash_fields(&entry.flat()))
}

impl TrimSteps for RowStreamEdit<'_> {
    fn trimmed_head(&self) -> StreamHead {
        self.state.head
    }

    fn first_node(&mut self) -> StorageResult<Option<NodeMark>> {
        if self.state.head.len == 0 { Ok(None) } else { self.view().node_of(self.state.head.first) }
    }

    fn drop_first_node(&mut self, node: &NodeMark) -> StorageResult<()> {
        let mut left = node.live;
        self.remove_front(|_| {
            let goes = left > 0;
            left -= u32::from(goes);
            goes
        })?;
        self.put_node(&NodeMark { live: 0, ..*node });
        Ok(())
    }

    fn trim_first_node(&mut self, node: &NodeMark, threshold: Threshold) -> StorageResult<u64> {
        let mut len = self.state.head.len;
        // Entries of later nodes are not touched; the node is not dropped, so it keeps one at least, unless only its
        // tombstones are beyond the threshold.
        let mut left = node.live;
        let removed = self.remove_front(|id| {
            let goes = left > 0
                && match threshold {
                    Threshold::MaxLen(max) => len > max,
                    Threshold::MinId(min) => id < min,
                };
            if goes {
                left -= 1;
                len -= 1;
            }
            goes
        })?;
        self.put_node(&NodeMark { live: left, ..*node });
        Ok(removed)
    }
}

impl StreamEdit for RowStreamEdit<'_> {
    fn append(&mut self, id: StreamId, fields: &[&[u8]]) -> StorageResult<()> {
        let bytes = fields.iter().map(|part| part.len() as u64).sum();
        let hash = hash_fields(fields);
        let tail = self.state.tail;
        if tail.live == 0 || weight::is_full(&tail, bytes, &self.engine.encoding) {
            if tail.live > 0 {
                self.engine.overlay.put(node_row(self.version, tail.master), node_value(&tail));
            }
            let weight = weight::empty_node(fields.iter().step_by(2).copied());
            self.state.tail = NodeMark { master: id, weight: weight::kept(weight), ..NodeMark::default() };
            self.state.tail_fields = hash;
            self.state.head.nodes += 1;
        }
        let State { head, tail, tail_fields, .. } = &mut self.state;
        let entry_weight = weight::entry(id, tail.master, fields, *tail_fields == hash);
        tail.weight = weight::kept(u64::from(tail.weight) + entry_weight);
        tail.last = id;
        tail.live += 1;
        tail.total += 1;
        head.len += 1;
        head.added += 1;
        head.last = id;
        if head.len == 1 {
            head.first = id;
        }
        self.put_entry(id, fields);
        Ok(())
    }

    fn remove(&mut self, id: StreamId) -> StorageResult<bool> {
        if !self.contains(id)? {
            return Ok(false);
        }
        let node = self.view().node_of(id)?;
        if let Some(mut node) = node {
            node.live -= 1;
            self.put_node(&node);
        }
        self.engine.overlay.remove(entry_row(self.version, id));
        let head = &mut self.state.head;
        head.len -= 1;
        head.max_deleted = head.max_deleted.max(id);
        if id == head.first {
            let mut first = StreamId::MIN;
            self.view().ids(IdRange::from(id), |id| {
                first = id;
                false
            })?;
            self.state.head.first = first;
        }
        Ok(true)
    }

    fn trim(&mut self, trim: &Trim) -> StorageResult<u64> {
        let settings = self.engine.encoding.clone();
        trim::run(self, trim, &settings)
    }

    fn set_counters(&mut self, last: StreamId, added: u64, max_deleted: StreamId) -> StorageResult<()> {
        let head = &mut self.state.head;
        *head = StreamHead { last, added, max_deleted, ..*head };
        Ok(())
    }

    fn create_group(&mut self, name: &[u8], last: StreamId, entries_read: Option<u64>) -> StorageResult<GroupId> {
        self.add_group(name, last, entries_read)
    }

    fn set_group(&mut self, group: GroupId, last: StreamId, entries_read: Option<u64>) -> StorageResult<()> {
        let head = &mut self.group_mut(group)?.head;
        (head.last, head.entries_read) = (last, entries_read);
        Ok(())
    }

    fn destroy_group(&mut self, group: GroupId, name: &[u8]) -> StorageResult<()> {
        self.drop_group(group, name)
    }

    fn create_consumer(&mut self, group: GroupId, name: &[u8], seen_at: UnixMs) -> StorageResult<ConsumerId> {
        self.add_consumer(group, name, seen_at)
    }

    fn touch_consumer(
        &mut self,
        group: GroupId,
        consumer: ConsumerId,
        seen_at: Option<UnixMs>,
        active_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let head = &mut self.consumer_mut(group, consumer)?.head;
        head.seen_at = seen_at.unwrap_or(head.seen_at);
        head.active_at = active_at.or(head.active_at);
        Ok(())
    }

    fn remove_consumer(&mut self, group: GroupId, consumer: ConsumerId, name: &[u8]) -> StorageResult<u64> {
        self.drop_consumer(group, consumer, name)
    }

    fn put_pending(&mut self, group: GroupId, id: StreamId, pending: Pending) -> StorageResult<()> {
        self.add_pending(group, id, pending)
    }

    fn remove_pending(&mut self, group: GroupId, id: StreamId) -> StorageResult<bool> {
        self.drop_pending(group, id)
    }
}

crate::storage::streams::delegate_view!(RowStreamEdit<'_>, view);
