//! One stream in memory: entries packed into nodes, nodes in a tree by the id that begins them.

mod groups;
mod node;
mod snapshot;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;

use groups::Groups;
use node::{Node, Packed};
pub(super) use view::MemoryView;

use super::dense::allocated_bytes;
use crate::storage::streams::trim::{self, TrimSteps};
use crate::storage::streams::{
    ConsumerId, GroupId, NodeMark, Pending, StreamEdit, StreamHead, StreamObject, Threshold, Trim, weight,
};
use crate::storage::{EncodingSettings, StorageResult};
use crate::types::{StreamId, UnixMs};

/// Bytes that a node takes besides its entries, its share of the tree included.
const NODE_OVERHEAD_BYTES: usize = size_of::<(StreamId, Node)>() * 4 / 3;

/// A stream in memory.
#[derive(Default)]
pub(in crate::storage) struct MemoryStream {
    head: StreamHead,
    nodes: BTreeMap<StreamId, Node>,
    /// Bytes of all nodes.
    node_bytes: usize,
    groups: Groups,
}

fn node_bytes(node: &Node) -> usize {
    allocated_bytes(node.capacity()) + NODE_OVERHEAD_BYTES
}

impl MemoryStream {
    /// Approximate bytes that the stream takes.
    pub(in crate::storage) fn bytes(&self) -> usize {
        allocated_bytes(size_of::<Self>()) + self.node_bytes + self.groups.bytes()
    }

    /// Number of allocations, about, to judge how long freeing it takes.
    pub(in crate::storage) fn allocations(&self) -> usize {
        self.nodes.len() + self.groups.items()
    }

    /// The stream of an object.
    pub(in crate::storage) fn from_object(object: &StreamObject) -> Self {
        let mut stream = Self::default();
        for node in &object.nodes {
            stream.add_node(node.master_id, Node::from_object(node));
        }
        stream.head = StreamHead {
            len: object.len(),
            first: object.first_id(),
            last: object.last_id,
            max_deleted: object.max_deleted_id,
            added: object.entries_added,
            groups: object.groups.len() as u64,
            nodes: object.nodes.len() as u64,
        };
        for group in &object.groups {
            let id = stream.groups.create(&group.name, group.last_id, group.entries_read);
            stream.groups.change(id, |inner| {
                let mut consumers = Vec::with_capacity(group.consumers.len());
                for consumer in &group.consumers {
                    let id = inner.create_consumer(&consumer.name, consumer.seen_at);
                    if let Some(inner) = inner.consumers.get_mut(id.0) {
                        inner.active_at = consumer.active_at;
                    }
                    consumers.push(id);
                }
                for pending in &group.pending {
                    let consumer = consumers[pending.consumer];
                    let (delivered_at, deliveries) = (pending.delivered_at, pending.deliveries);
                    inner.put_pending(pending.id, Pending { consumer, delivered_at, deliveries });
                }
            });
        }
        stream
    }

    /// This stream with the thresholds of nodes, to change it.
    pub(in crate::storage) fn edit<'e>(&'e mut self, settings: &'e EncodingSettings) -> MemoryEdit<'e> {
        MemoryEdit { stream: self, settings }
    }

    fn add_node(&mut self, master: StreamId, node: Node) {
        self.node_bytes += node_bytes(&node);
        self.nodes.insert(master, node);
        self.head.nodes = self.nodes.len() as u64;
    }

    fn remove_node(&mut self, master: StreamId) {
        if let Some(node) = self.nodes.remove(&master) {
            self.node_bytes -= node_bytes(&node);
        }
        self.head.nodes = self.nodes.len() as u64;
    }

    fn append(&mut self, settings: &EncodingSettings, id: StreamId, fields: &[&[u8]]) {
        let bytes = fields.iter().map(|part| part.len() as u64).sum();
        let open = self.nodes.last_entry().and_then(|mut tail| {
            let master = *tail.key();
            let node = tail.get_mut();
            let before = node_bytes(node);
            let is_open = !weight::is_full(&node.mark(master), bytes, settings);
            if is_open {
                node.push(master, id, fields);
            } else {
                node.close();
            }
            self.node_bytes = self.node_bytes - before + node_bytes(node);
            is_open.then_some(())
        });
        if open.is_none() {
            let mut node = Node::new(fields);
            node.push(id, id, fields);
            self.add_node(id, node);
        }
        self.head.len += 1;
        self.head.added += 1;
        self.head.last = id;
        if self.head.len == 1 {
            self.head.first = id;
        }
    }

    /// The node that holds an id, if any does.
    fn node_of(&self, id: StreamId) -> Option<(StreamId, &Node)> {
        self.nodes.range(..=id).next_back().map(|(master, node)| (*master, node))
    }

    fn remove(&mut self, id: StreamId) -> bool {
        let Some((&master, node)) = self.nodes.range_mut(..=id).next_back() else { return false };
        if !node.remove(master, id) {
            return false;
        }
        if node.live() == 0 {
            self.remove_node(master);
        }
        self.head.len -= 1;
        self.head.max_deleted = self.head.max_deleted.max(id);
        if id == self.head.first {
            self.find_first();
        }
        true
    }

    /// Brings the first id up to date.
    fn find_first(&mut self) {
        let first = self.nodes.first_key_value().and_then(|(master, node)| node.packed(*master).find(Packed::is_live));
        self.head.first = first.map_or(StreamId::MIN, |entry| entry.id);
    }
}

impl TrimSteps for MemoryStream {
    fn trimmed_head(&self) -> StreamHead {
        self.head
    }

    fn first_node(&mut self) -> StorageResult<Option<NodeMark>> {
        Ok(self.nodes.first_key_value().map(|(master, node)| node.mark(*master)))
    }

    fn drop_first_node(&mut self, node: &NodeMark) -> StorageResult<()> {
        self.remove_node(node.master);
        self.head.len -= u64::from(node.live);
        Ok(())
    }

    fn trim_first_node(&mut self, mark: &NodeMark, threshold: Threshold) -> StorageResult<u64> {
        let node = self.nodes.get_mut(&mark.master).expect("the node was just found");
        let mut left = self.head.len;
        let removed = node.remove_front(mark.master, |id| {
            let goes = match threshold {
                Threshold::MaxLen(max) => left > max,
                Threshold::MinId(min) => id < min,
            };
            left -= u64::from(goes);
            goes
        });
        self.head.len -= u64::from(removed);
        if node.live() == 0 {
            self.remove_node(mark.master);
        }
        Ok(u64::from(removed))
    }
}

/// A stream in memory that is being changed.
pub(in crate::storage) struct MemoryEdit<'e> {
    stream: &'e mut MemoryStream,
    settings: &'e EncodingSettings,
}

impl StreamEdit for MemoryEdit<'_> {
    fn append(&mut self, id: StreamId, fields: &[&[u8]]) -> StorageResult<()> {
        self.stream.append(self.settings, id, fields);
        Ok(())
    }

    fn remove(&mut self, id: StreamId) -> StorageResult<bool> {
        Ok(self.stream.remove(id))
    }

    fn trim(&mut self, trim: &Trim) -> StorageResult<u64> {
        let removed = trim::run(self.stream, trim, self.settings)?;
        if removed > 0 {
            self.stream.find_first();
        }
        Ok(removed)
    }

    fn set_counters(&mut self, last: StreamId, added: u64, max_deleted: StreamId) -> StorageResult<()> {
        let head = &mut self.stream.head;
        *head = StreamHead { last, added, max_deleted, ..*head };
        Ok(())
    }

    fn create_group(&mut self, name: &[u8], last: StreamId, entries_read: Option<u64>) -> StorageResult<GroupId> {
        let id = self.stream.groups.create(name, last, entries_read);
        self.stream.head.groups = self.stream.groups.len() as u64;
        Ok(id)
    }

    fn set_group(&mut self, group: GroupId, last: StreamId, entries_read: Option<u64>) -> StorageResult<()> {
        self.stream.groups.change(group, |group| (group.last, group.entries_read) = (last, entries_read));
        Ok(())
    }

    fn destroy_group(&mut self, _: GroupId, name: &[u8]) -> StorageResult<()> {
        self.stream.groups.destroy(name);
        self.stream.head.groups = self.stream.groups.len() as u64;
        Ok(())
    }

    fn create_consumer(&mut self, group: GroupId, name: &[u8], seen_at: UnixMs) -> StorageResult<ConsumerId> {
        Ok(self.stream.groups.change(group, |group| group.create_consumer(name, seen_at)))
    }

    fn touch_consumer(
        &mut self,
        group: GroupId,
        ConsumerId(consumer): ConsumerId,
        seen_at: Option<UnixMs>,
        active_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        self.stream.groups.change(group, |group| {
            if let Some(consumer) = group.consumers.get_mut(consumer) {
                consumer.seen_at = seen_at.unwrap_or(consumer.seen_at);
                consumer.active_at = active_at.or(consumer.active_at);
            }
        });
        Ok(())
    }

    fn remove_consumer(&mut self, group: GroupId, _: ConsumerId, name: &[u8]) -> StorageResult<u64> {
        Ok(self.stream.groups.change(group, |group| group.remove_consumer(name)))
    }

    fn put_pending(&mut self, group: GroupId, id: StreamId, pending: Pending) -> StorageResult<()> {
        self.stream.groups.change(group, |group| group.put_pending(id, pending));
        Ok(())
    }

    fn remove_pending(&mut self, group: GroupId, id: StreamId) -> StorageResult<bool> {
        Ok(self.stream.groups.change(group, |group| group.remove_pending(id)))
    }
}

impl MemoryEdit<'_> {
    fn view(&self) -> &MemoryStream {
        self.stream
    }
}

crate::storage::streams::delegate_view!(MemoryEdit<'_>, view);
