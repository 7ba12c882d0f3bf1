//! Changing a stream that is kept as rows: its groups, their consumers, and what is pending.

use super::edit::RowStreamEdit;
use super::format::{
    ConsumerRow, GroupRow, consumer_name_row, consumer_pending_row, consumer_row, group_name_row, group_row,
    name_value, pending_row, pending_value,
};
use super::view::Changed;
use crate::storage::StorageResult;
use crate::storage::rows::format::Garbage;
use crate::storage::streams::{
    ConsumerHead, ConsumerId, GroupHead, GroupId, IdRange, Owner, Pending, StreamGroup, StreamView,
};
use crate::types::{StreamId, UnixMs};

impl RowStreamEdit<'_> {
    /// The row of a group, to change it.
    pub(super) fn group_mut(&mut self, group: GroupId) -> StorageResult<&mut GroupRow> {
        let row = self.view().group_row(group)?;
        Ok(self.changed.groups.entry(group).or_insert(row))
    }

    /// The row of a consumer, to change it.
    pub(super) fn consumer_mut(&mut self, group: GroupId, consumer: ConsumerId) -> StorageResult<&mut ConsumerRow> {
        if !self.changed.consumers.contains_key(&(group, consumer)) {
            let row = self.view().consumer_row(group, consumer)?;
            self.changed.consumers.insert((group, consumer), row);
        }
        Ok(self.changed.consumers.get_mut(&(group, consumer)).expect("it was just put there"))
    }

    /// Writes the rows of groups and consumers that were changed.
    pub(super) fn write_groups(&mut self) -> StorageResult<()> {
        for (group, consumer) in std::mem::take(&mut self.changed.stale) {
            let first = self.first_pending(Owner { group, consumer })?;
            match consumer {
                None => self.group_mut(group)?.first = first,
                Some(consumer) => self.consumer_mut(group, consumer)?.first = first,
            }
        }
        let Changed { groups, consumers, .. } = std::mem::take(&mut self.changed);
        for (group, row) in groups {
            self.engine.overlay.put(group_row(self.version, group), row.encode());
        }
        for ((group, consumer), row) in consumers {
            self.engine.overlay.put(consumer_row(self.version, group, consumer), row.encode());
        }
        Ok(())
    }

    /// The first id that is pending with an owner.
    fn first_pending(&self, owner: Owner) -> StorageResult<StreamId> {
        let mut first = StreamId::MIN;
        self.view().pending_ids(owner, IdRange::ALL, |id, _| {
            first = id;
            Ok(false)
        })?;
        Ok(first)
    }

    pub(super) fn add_group(
        &mut self,
        name: &[u8],
        last: StreamId,
        entries_read: Option<u64>,
    ) -> StorageResult<GroupId> {
        let id = GroupId(self.state.next_group);
        self.state.next_group += 1;
        self.state.head.groups += 1;
        self.engine.overlay.put(group_name_row(self.version, name), name_value(id.0, name));
        let head = GroupHead { last, entries_read, ..GroupHead::default() };
        self.changed.groups.insert(id, GroupRow { head, ..GroupRow::default() });
        Ok(id)
    }

    /// Removes a group's name; its rows are garbage.
    pub(super) fn drop_group(&mut self, group: GroupId, name: &[u8]) -> StorageResult<()> {
        self.changed.groups.remove(&group);
        self.changed.consumers.retain(|(of, _), _| *of != group);
        self.changed.stale.retain(|(of, _)| *of != group);
        self.state.head.groups -= 1;
        self.engine.overlay.remove(group_name_row(self.version, name));
        self.engine.note_garbage(Garbage::Group(self.version, group.0), Vec::new());
        Ok(())
    }

    pub(super) fn add_consumer(&mut self, group: GroupId, name: &[u8], seen_at: UnixMs) -> StorageResult<ConsumerId> {
        let row = self.group_mut(group)?;
        let id = ConsumerId(row.next_consumer);
        row.next_consumer += 1;
        row.head.consumers += 1;
        self.engine.overlay.put(consumer_name_row(self.version, group, name), name_value(id.0, name));
        let head = ConsumerHead { seen_at, ..ConsumerHead::default() };
        let row = ConsumerRow { head, first: StreamId::MIN, name: name.to_vec() };
        self.changed.consumers.insert((group, id), row);
        Ok(id)
    }

    pub(super) fn drop_consumer(&mut self, group: GroupId, consumer: ConsumerId, name: &[u8]) -> StorageResult<u64> {
        let mut ids = Vec::new();
        self.view().pending_ids(Owner { group, consumer: Some(consumer) }, IdRange::ALL, |id, _| {
            ids.push(id);
            Ok(true)
        })?;
        for &id in &ids {
            self.engine.overlay.remove(pending_row(self.version, group, id));
            self.engine.overlay.remove(consumer_pending_row(self.version, group, consumer, id));
        }
        let row = self.group_mut(group)?;
        row.head.pending -= ids.len() as u64;
        row.head.consumers -= 1;
        if ids.first() == Some(&row.first) {
            self.changed.stale.insert((group, None));
        }
        self.changed.consumers.remove(&(group, consumer));
        self.changed.stale.remove(&(group, Some(consumer)));
        self.engine.overlay.remove(consumer_name_row(self.version, group, name));
        self.engine.overlay.remove(consumer_row(self.version, group, consumer));
        Ok(ids.len() as u64)
    }

    pub(super) fn add_pending(&mut self, group: GroupId, id: StreamId, pending: Pending) -> StorageResult<()> {
        let old = self.pending_entry(group, id)?.map(|old| old.consumer);
        self.engine.overlay.put(pending_row(self.version, group, id), pending_value(&pending));
        if old == Some(pending.consumer) {
            return Ok(());
        }
        match old {
            Some(consumer) => self.take_from_consumer(group, consumer, id)?,
            None => {
                let row = self.group_mut(group)?;
                row.first = if row.head.pending == 0 { id } else { row.first.min(id) };
                row.head.pending += 1;
            }
        }
        let row = self.consumer_mut(group, pending.consumer)?;
        row.first = if row.head.pending == 0 { id } else { row.first.min(id) };
        row.head.pending += 1;
        self.engine.overlay.put(consumer_pending_row(self.version, group, pending.consumer, id), Vec::new());
        Ok(())
    }

    fn take_from_consumer(&mut self, group: GroupId, consumer: ConsumerId, id: StreamId) -> StorageResult<()> {
        let row = self.consumer_mut(group, consumer)?;
        row.head.pending -= 1;
        if row.first == id {
            row.first = id.next().unwrap_or(id);
            self.changed.stale.insert((group, Some(consumer)));
        }
        self.engine.overlay.remove(consumer_pending_row(self.version, group, consumer, id));
        Ok(())
    }

    pub(super) fn drop_pending(&mut self, group: GroupId, id: StreamId) -> StorageResult<bool> {
        let Some(pending) = self.pending_entry(group, id)? else { return Ok(false) };
        self.engine.overlay.remove(pending_row(self.version, group, id));
        let row = self.group_mut(group)?;
        row.head.pending -= 1;
        if row.first == id {
            row.first = id.next().unwrap_or(id);
            self.changed.stale.insert((group, None));
        }
        self.take_from_consumer(group, pending.consumer, id)?;
        Ok(true)
    }

    /// Adds a group of an object.
    pub(super) fn fill_group(&mut self, group: &StreamGroup) -> StorageResult<()> {
        let id = self.add_group(&group.name, group.last_id, group.entries_read)?;
        let mut consumers = Vec::with_capacity(group.consumers.len());
        for consumer in &group.consumers {
            let consumer_id = self.add_consumer(id, &consumer.name, consumer.seen_at)?;
            self.consumer_mut(id, consumer_id)?.head.active_at = consumer.active_at;
            consumers.push(consumer_id);
        }
        for pending in &group.pending {
            let consumer = consumers[pending.consumer];
            let (delivered_at, deliveries) = (pending.delivered_at, pending.deliveries);
            self.add_pending(id, pending.id, Pending { consumer, delivered_at, deliveries })?;
        }
        Ok(())
    }
}
