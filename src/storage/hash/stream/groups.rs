//! The groups of a stream in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::storage::hash::dense::allocated_bytes;
use crate::storage::streams::{ConsumerHead, ConsumerId, GroupHead, GroupId, IdRange, Pending, VisitPending};
use crate::types::{StreamId, UnixMs};

/// A B-tree's nodes are three quarters full on average.
const fn tree_item_bytes(bytes: usize) -> usize {
    bytes * 4 / 3
}

/// Bytes that a pending entry takes in the lists of its group and its consumer.
const PENDING_BYTES: usize = tree_item_bytes(size_of::<(StreamId, Pending)>()) + tree_item_bytes(size_of::<StreamId>());

/// Things by number, which have names.
pub(super) struct Named<T> {
    items: BTreeMap<u64, T>,
    names: BTreeMap<Box<[u8]>, u64>,
    next: u64,
    bytes: usize,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), names: BTreeMap::new(), next: 0, bytes: 0 }
    }
}

impl<T> Named<T> {
    fn item_bytes(name: &[u8]) -> usize {
        tree_item_bytes(size_of::<(u64, T)>() + size_of::<(Box<[u8]>, u64)>()) + 2 * allocated_bytes(name.len())
    }

    /// Number of things.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes of memory, those that the things own left out.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds something under a name that is free, and answers its number.
    pub(super) fn add(&mut self, name: &[u8], item: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.names.insert(name.into(), number);
        self.items.insert(number, item);
        self.bytes += Self::item_bytes(name);
        number
    }

    /// Removes a thing.
    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        let number = self.names.remove(name)?;
        self.bytes -= Self::item_bytes(name);
        self.items.remove(&number)
    }

    /// The number of a name.
    pub(super) fn number(&self, name: &[u8]) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// A thing by its number.
    pub(super) fn get(&self, number: u64) -> Option<&T> {
        self.items.get(&number)
    }

    /// A thing by its number, to change it.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        self.items.get_mut(&number)
    }

    /// All things in the order of their names.
    pub(super) fn by_name(&self) -> impl Iterator<Item = (&[u8], u64, &T)> {
        self.names.iter().filter_map(|(name, number)| Some((&**name, *number, self.items.get(number)?)))
    }
}

/// A consumer.
pub(super) struct Consumer {
    /// Its name, once more, to be found by its number.
    pub(super) name: Box<[u8]>,
    /// When it last asked for something.
    pub(super) seen_at: UnixMs,
    /// When it last got something.
    pub(super) active_at: Option<UnixMs>,
    /// What is pending with it.
    pub(super) pending: BTreeSet<StreamId>,
}

impl Consumer {
    pub(super) fn head(&self) -> ConsumerHead {
        ConsumerHead { seen_at: self.seen_at, active_at: self.active_at, pending: self.pending.len() as u64 }
    }
}

/// A group.
#[derive(Default)]
pub(super) struct Group {
    pub(super) last: StreamId,
    pub(super) entries_read: Option<u64>,
    pub(super) consumers: Named<Consumer>,
    pub(super) pending: BTreeMap<StreamId, Pending>,
}

impl Group {
    pub(super) fn head(&self) -> GroupHead {
        GroupHead {
            last: self.last,
            entries_read: self.entries_read,
            pending: self.pending.len() as u64,
            consumers: self.consumers.len() as u64,
        }
    }

    /// Bytes of memory of what it owns.
    pub(super) fn bytes(&self) -> usize {
        self.consumers.bytes() + self.pending.len() * PENDING_BYTES
    }

    pub(super) fn create_consumer(&mut self, name: &[u8], seen_at: UnixMs) -> ConsumerId {
        let consumer = Consumer { name: name.into(), seen_at, active_at: None, pending: BTreeSet::new() };
        ConsumerId(self.consumers.add(name, consumer))
    }

    /// Removes a consumer with what is pending with it; answers how much that was.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> u64 {
        let Some(consumer) = self.consumers.remove(name) else { return 0 };
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        consumer.pending.len() as u64
    }

    pub(super) fn put_pending(&mut self, id: StreamId, pending: Pending) {
        let old = self.pending.insert(id, pending).map(|old| old.consumer);
        if old == Some(pending.consumer) {
            return;
        }
        if let Some(ConsumerId(old)) = old
            && let Some(consumer) = self.consumers.get_mut(old)
        {
            consumer.pending.remove(&id);
        }
        let consumer = self.consumers.get_mut(pending.consumer.0);
        consumer.expect("an entry is pending with a consumer that is there").pending.insert(id);
    }

    pub(super) fn remove_pending(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(consumer) = self.consumers.get_mut(pending.consumer.0) {
            consumer.pending.remove(&id);
        }
        true
    }

    /// Visits what is pending, with all consumers or with one.
    pub(super) fn visit(&self, consumer: Option<ConsumerId>, range: IdRange, visit: &mut VisitPending<'_>) {
        if range.start > range.end {
            return;
        }
        match consumer {
            None => {
                self.pending.range(range.start..=range.end).all(|(&id, pending)| visit(id, pending));
            }
            Some(ConsumerId(number)) => {
                let Some(consumer) = self.consumers.get(number) else { return };
                let mut ids = consumer.pending.range(range.start..=range.end);
                ids.all(|id| self.pending.get(id).is_none_or(|pending| visit(*id, pending)));
            }
        }
    }
}

/// The groups of a stream.
#[derive(Default)]
pub(super) struct Groups {
    named: Named<Group>,
    /// Bytes of memory of what the groups own.
    owned: usize,
}

impl Groups {
    pub(super) fn len(&self) -> usize {
        self.named.len()
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.named.bytes() + self.owned
    }

    /// Number of pending entries and consumers, to judge how long freeing them takes.
    pub(super) fn items(&self) -> usize {
        self.owned / PENDING_BYTES
    }

    pub(super) fn create(&mut self, name: &[u8], last: StreamId, entries_read: Option<u64>) -> GroupId {
        GroupId(self.named.add(name, Group { last, entries_read, ..Group::default() }))
    }

    pub(super) fn destroy(&mut self, name: &[u8]) {
        if let Some(group) = self.named.remove(name) {
            self.owned -= group.bytes();
        }
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<(GroupId, &Group)> {
        let number = self.named.number(name)?;
        Some((GroupId(number), self.named.get(number)?))
    }

    pub(super) fn get(&self, GroupId(number): GroupId) -> &Group {
        self.named.get(number).expect("a group's id is of a group that is there")
    }

    /// Changes a group.
    pub(super) fn change<T>(&mut self, GroupId(number): GroupId, change: impl FnOnce(&mut Group) -> T) -> T {
        let group = self.named.get_mut(number).expect("a group's id is of a group that is there");
        let before = group.bytes();
        let result = change(group);
        self.owned = self.owned - before + group.bytes();
        result
    }

    /// All groups in the order of their names.
    pub(super) fn by_name(&self) -> impl Iterator<Item = (&[u8], GroupId, &Group)> {
        self.named.by_name().map(|(name, number, group)| (name, GroupId(number), group))
    }
}
