//! Reading a stream in memory.

use super::MemoryStream;
use super::node::{Node, Packed};
use crate::storage::StorageResult;
use crate::storage::streams::{
    ConsumerHead, ConsumerId, GroupHead, GroupId, IdRange, NodeMark, Owner, Pending, StreamHead, StreamView,
    VisitConsumer, VisitEntry, VisitGroup, VisitPending,
};
use crate::types::StreamId;

/// Visits the entries of one node that are in a range; answers whether to go on.
fn visit_node((master, node): (StreamId, &Node), range: IdRange, reverse: bool, visit: &mut VisitEntry<'_>) -> bool {
    let mut fields = Vec::new();
    let mut within = node
        .packed(master)
        .filter(Packed::is_live)
        .skip_while(|entry| entry.id < range.start)
        .take_while(|entry| entry.id <= range.end);
    if reverse {
        let entries: Vec<Packed<'_>> = within.collect();
        entries.iter().rev().all(|entry| {
            node.unpack(entry, &mut fields);
            visit(entry.id, &fields)
        })
    } else {
        within.all(|entry| {
            node.unpack(&entry, &mut fields);
            visit(entry.id, &fields)
        })
    }
}

impl StreamView for MemoryStream {
    fn head(&self) -> StreamHead {
        self.head
    }

    fn contains(&self, id: StreamId) -> StorageResult<bool> {
        Ok(self.node_of(id).is_some_and(|(master, node)| node.find(master, id).is_some()))
    }

    fn entries(&self, range: IdRange, reverse: bool, visit: &mut VisitEntry<'_>) -> StorageResult<()> {
        if range.start > range.end {
            return Ok(());
        }
        // The node that holds the start may have begun before it.
        let from = self.node_of(range.start).map_or(range.start, |(master, _)| master);
        let mut nodes = self.nodes.range(from..=range.end).map(|(master, node)| (*master, node));
        if reverse {
            nodes.rev().all(|node| visit_node(node, range, true, visit));
        } else {
            nodes.all(|node| visit_node(node, range, false, visit));
        }
        Ok(())
    }

    fn nodes(&self, visit: &mut dyn FnMut(NodeMark)) -> StorageResult<()> {
        self.nodes.iter().for_each(|(master, node)| visit(node.mark(*master)));
        Ok(())
    }

    fn group(&self, name: &[u8]) -> StorageResult<Option<(GroupId, GroupHead)>> {
        Ok(self.groups.find(name).map(|(id, group)| (id, group.head())))
    }

    fn groups(&self, visit: &mut VisitGroup<'_>) -> StorageResult<()> {
        self.groups.by_name().all(|(name, id, group)| visit(name, id, &group.head()));
        Ok(())
    }

    fn consumer(&self, group: GroupId, name: &[u8]) -> StorageResult<Option<(ConsumerId, ConsumerHead)>> {
        let consumers = &self.groups.get(group).consumers;
        let found = consumers.number(name).and_then(|number| Some((ConsumerId(number), consumers.get(number)?.head())));
        Ok(found)
    }

    fn consumers(&self, group: GroupId, visit: &mut VisitConsumer<'_>) -> StorageResult<()> {
        let mut consumers = self.groups.get(group).consumers.by_name();
        consumers.all(|(name, number, consumer)| visit(name, ConsumerId(number), &consumer.head()));
        Ok(())
    }

    fn consumer_name(&self, group: GroupId, ConsumerId(number): ConsumerId) -> StorageResult<Vec<u8>> {
        let consumer = self.groups.get(group).consumers.get(number);
        Ok(consumer.map_or_else(Vec::new, |consumer| consumer.name.to_vec()))
    }

    fn pending_entry(&self, group: GroupId, id: StreamId) -> StorageResult<Option<Pending>> {
        Ok(self.groups.get(group).pending.get(&id).copied())
    }

    fn pending(&self, owner: Owner, range: IdRange, visit: &mut VisitPending<'_>) -> StorageResult<()> {
        self.groups.get(owner.group).visit(owner.consumer, range, visit);
        Ok(())
    }

    fn pending_bounds(&self, group: GroupId) -> StorageResult<Option<(StreamId, StreamId)>> {
        let pending = &self.groups.get(group).pending;
        let first = pending.first_key_value().map(|(id, _)| *id);
        Ok(first.zip(pending.last_key_value().map(|(id, _)| *id)))
    }
}

/// A read view of a stream in memory.
pub(in crate::storage::hash) struct MemoryView<'a>(pub(in crate::storage::hash) &'a MemoryStream);

impl MemoryView<'_> {
    fn view(&self) -> &MemoryStream {
        self.0
    }
}

crate::storage::streams::delegate_view!(MemoryView<'_>, view);
