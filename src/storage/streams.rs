//! Streams as commands see them: what every engine does with them.
//!
//! A stream is a log of entries in the order of their ids, and the groups of consumers that read it together. A
//! group remembers what it has delivered last, and a *pending list*: which entries were delivered to whom and are not
//! yet acknowledged. Unlike other collections a stream may be empty.
//!
//! Engines offer primitives, [`StreamView`] to read one stream and [`StreamEdit`] to change it. What commands
//! make of them is written once, above this module.
//!
//! # Nodes
//! Redis packs entries into nodes, and approximate trimming (`MAXLEN ~`) removes whole nodes only. So where nodes begin
//! can be seen by clients, and every engine keeps account of the nodes that Redis would have made ([`NodeMark`]), by the
//! same thresholds, whether or not it packs entries itself.

pub mod counters;
pub mod object;
pub mod trim;
pub mod weight;

pub use object::{StreamConsumer, StreamEntry, StreamGroup, StreamNode, StreamObject, StreamPending};
pub use trim::{Threshold, Trim};

use super::{Address, StorageResult};
use crate::types::{StreamId, UnixMs};

/// What a stream says of itself, besides its entries and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamHead {
    /// Number of entries.
    pub len: u64,
    /// Id of the first entry; `0-0` when there is none.
    pub first: StreamId,
    /// The largest id that an entry ever had, or that XSETID set.
    pub last: StreamId,
    /// The largest id that XDEL ever removed.
    pub max_deleted: StreamId,
    /// Number of entries that were ever added.
    pub added: u64,
    /// Number of groups.
    pub groups: u64,
    /// Number of nodes.
    pub nodes: u64,
}

/// Where a node of entries begins and ends, and what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeMark {
    /// Id of the entry that began it, which may have been removed since.
    pub master: StreamId,
    /// Id of the last entry that was added to it, which may have been removed since.
    pub last: StreamId,
    /// Entries in it.
    pub live: u32,
    /// Entries that were ever added to it.
    pub total: u32,
    /// Bytes it would take in Redis, the numbers of entries left out; see [`weight`].
    pub weight: u32,
}

/// Names a group within its stream; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub u64);

/// Names a consumer within its group; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerId(pub u64);

/// What a group says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupHead {
    /// Id of the entry that was delivered last.
    pub last: StreamId,
    /// How many entries were read up to there, if that is known.
    pub entries_read: Option<u64>,
    /// Number of entries that are pending.
    pub pending: u64,
    /// Number of consumers.
    pub consumers: u64,
}

/// What a consumer says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerHead {
    /// When it last asked for something.
    pub seen_at: UnixMs,
    /// When it last got something.
    pub active_at: Option<UnixMs>,
    /// Number of entries that are pending with it.
    pub pending: u64,
}

/// An entry that was delivered and not yet acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// To whom.
    pub consumer: ConsumerId,
    /// When last.
    pub delivered_at: UnixMs,
    /// How many times.
    pub deliveries: u64,
}

/// Whose pending entries are meant.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Of this group.
    pub group: GroupId,
    /// Only of this consumer.
    pub consumer: Option<ConsumerId>,
}

/// Ids from one to another, both included; empty when they are the wrong way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id.
    pub start: StreamId,
    /// Last id.
    pub end: StreamId,
}

impl IdRange {
    /// All ids.
    pub const ALL: Self = Self { start: StreamId::MIN, end: StreamId::MAX };

    /// One id.
    pub const fn one(id: StreamId) -> Self {
        Self { start: id, end: id }
    }

    /// An id and all after it.
    pub const fn from(start: StreamId) -> Self {
        Self { start, end: StreamId::MAX }
    }
}

/// The fields of an entry with their values.
pub type Fields<'a> = [(&'a [u8], &'a [u8])];

/// Called with an entry; answers whether to go on.
pub type VisitEntry<'v> = dyn FnMut(StreamId, &Fields<'_>) -> bool + 'v;
/// Called with a group; answers whether to go on.
pub type VisitGroup<'v> = dyn FnMut(&[u8], GroupId, &GroupHead) -> bool + 'v;
/// Called with a consumer; answers whether to go on.
pub type VisitConsumer<'v> = dyn FnMut(&[u8], ConsumerId, &ConsumerHead) -> bool + 'v;
/// Called with a pending entry; answers whether to go on.
pub type VisitPending<'v> = dyn FnMut(StreamId, &Pending) -> bool + 'v;

/// One stream, to read it.
pub trait StreamView {
    /// Length and counters.
    fn head(&self) -> StreamHead;
    /// Whether an entry is there.
    fn contains(&self, id: StreamId) -> StorageResult<bool>;
    /// Visits the entries of a range in the order of their ids, or in the opposite one.
    fn entries(&self, range: IdRange, reverse: bool, visit: &mut VisitEntry<'_>) -> StorageResult<()>;
    /// Visits the nodes in order.
    fn nodes(&self, visit: &mut dyn FnMut(NodeMark)) -> StorageResult<()>;
    /// A group by its name.
    fn group(&self, name: &[u8]) -> StorageResult<Option<(GroupId, GroupHead)>>;
    /// Visits the groups in the order of their names.
    fn groups(&self, visit: &mut VisitGroup<'_>) -> StorageResult<()>;
    /// A consumer of a group by its name.
    fn consumer(&self, group: GroupId, name: &[u8]) -> StorageResult<Option<(ConsumerId, ConsumerHead)>>;
    /// Visits the consumers of a group in the order of their names.
    fn consumers(&self, group: GroupId, visit: &mut VisitConsumer<'_>) -> StorageResult<()>;
    /// The name of a consumer of a group.
    fn consumer_name(&self, group: GroupId, consumer: ConsumerId) -> StorageResult<Vec<u8>>;
    /// A pending entry of a group.
    fn pending_entry(&self, group: GroupId, id: StreamId) -> StorageResult<Option<Pending>>;
    /// Visits the pending entries of a range, in the order of their ids.
    fn pending(&self, owner: Owner, range: IdRange, visit: &mut VisitPending<'_>) -> StorageResult<()>;
    /// The first and the last id that are pending in a group.
    fn pending_bounds(&self, group: GroupId) -> StorageResult<Option<(StreamId, StreamId)>>;
}

/// One stream, to change it. Ids of groups and consumers are those of the same stream.
pub trait StreamEdit: StreamView {
    /// Appends an entry; `fields` are fields and values in turn, and `id` is larger than the last.
    fn append(&mut self, id: StreamId, fields: &[&[u8]]) -> StorageResult<()>;
    /// Removes an entry on behalf of XDEL; answers whether it was there.
    fn remove(&mut self, id: StreamId) -> StorageResult<bool>;
    /// Removes entries at the front; answers how many.
    fn trim(&mut self, trim: &Trim) -> StorageResult<u64>;
    /// Sets the last id and the counters; a length or a first id that they contradict stays.
    fn set_counters(&mut self, last: StreamId, added: u64, max_deleted: StreamId) -> StorageResult<()>;
    /// Adds a group under a name that none has.
    fn create_group(&mut self, name: &[u8], last: StreamId, entries_read: Option<u64>) -> StorageResult<GroupId>;
    /// Sets what a group has delivered last.
    fn set_group(&mut self, group: GroupId, last: StreamId, entries_read: Option<u64>) -> StorageResult<()>;
    /// Removes a group with all that belongs to it.
    fn destroy_group(&mut self, group: GroupId, name: &[u8]) -> StorageResult<()>;
    /// Adds a consumer under a name that none in the group has.
    fn create_consumer(&mut self, group: GroupId, name: &[u8], seen_at: UnixMs) -> StorageResult<ConsumerId>;
    /// Notes that a consumer asked for something, and whether it got it.
    fn touch_consumer(
        &mut self,
        group: GroupId,
        consumer: ConsumerId,
        seen_at: Option<UnixMs>,
        active_at: Option<UnixMs>,
    ) -> StorageResult<()>;
    /// Removes a consumer with its pending entries; answers how many they were.
    fn remove_consumer(&mut self, group: GroupId, consumer: ConsumerId, name: &[u8]) -> StorageResult<u64>;
    /// Adds a pending entry, or changes the one of this id, which may have been another consumer's.
    fn put_pending(&mut self, group: GroupId, id: StreamId, pending: Pending) -> StorageResult<()>;
    /// Removes a pending entry; answers whether it was there.
    fn remove_pending(&mut self, group: GroupId, id: StreamId) -> StorageResult<bool>;
}

/// What [`StreamEngine::edit_stream`] does with a stream; answers whether it changed anything. An edit that answers
/// false or fails has called nothing that changes the stream.
pub type EditStream<'e> = dyn FnMut(&mut dyn StreamEdit) -> StorageResult<bool> + 'e;

/// The operations of streams; part of [`super::Engine`].
pub trait StreamEngine {
    /// A read view of the stream at a key; `WrongType` when it holds another kind.
    fn stream(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<Box<dyn StreamView + '_>>>;
    /// Edits the stream at a key, once. If there is none, `create` says whether to begin with an empty one, which
    /// stays if the edit answers true. Answers whether the edit was called. `WrongType` when the key holds another kind.
    fn edit_stream(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        create: bool,
        edit: &mut EditStream<'_>,
    ) -> StorageResult<bool>;
    /// Creates or replaces a key with the whole value.
    fn put_stream(&mut self, at: Address<'_>, object: &StreamObject, expires_at: Option<UnixMs>) -> StorageResult<()>;
}

/// Implements [`StreamView`] for a type by what one of its methods answers.
macro_rules! delegate_view {
    ($type:ty, $view:ident) => {
        impl $crate::storage::streams::StreamView for $type {
            fn head(&self) -> $crate::storage::streams::StreamHead {
                self.$view().head()
            }

            fn contains(&self, id: $crate::types::StreamId) -> $crate::storage::StorageResult<bool> {
                self.$view().contains(id)
            }

            fn entries(
                &self,
                range: $crate::storage::streams::IdRange,
                reverse: bool,
                visit: &mut $crate::storage::streams::VisitEntry<'_>,
            ) -> $crate::storage::StorageResult<()> {
                self.$view().entries(range, reverse, visit)
            }

            fn nodes(
                &self,
                visit: &mut dyn FnMut($crate::storage::streams::NodeMark),
            ) -> $crate::storage::StorageResult<()> {
                self.$view().nodes(visit)
            }

            fn group(
                &self,
                name: &[u8],
            ) -> $crate::storage::StorageResult<
                Option<($crate::storage::streams::GroupId, $crate::storage::streams::GroupHead)>,
            > {
                self.$view().group(name)
            }

            fn groups(
                &self,
                visit: &mut $crate::storage::streams::VisitGroup<'_>,
            ) -> $crate::storage::StorageResult<()> {
                self.$view().groups(visit)
            }

            fn consumer(
                &self,
                group: $crate::storage::streams::GroupId,
                name: &[u8],
            ) -> $crate::storage::StorageResult<
                Option<($crate::storage::streams::ConsumerId, $crate::storage::streams::ConsumerHead)>,
            > {
                self.$view().consumer(group, name)
            }

            fn consumers(
                &self,
                group: $crate::storage::streams::GroupId,
                visit: &mut $crate::storage::streams::VisitConsumer<'_>,
            ) -> $crate::storage::StorageResult<()> {
                self.$view().consumers(group, visit)
            }

            fn consumer_name(
                &self,
                group: $crate::storage::streams::GroupId,
                consumer: $crate::storage::streams::ConsumerId,
            ) -> $crate::storage::StorageResult<Vec<u8>> {
                self.$view().consumer_name(group, consumer)
            }

            fn pending_entry(
                &self,
                group: $crate::storage::streams::GroupId,
                id: $crate::types::StreamId,
            ) -> $crate::storage::StorageResult<Option<$crate::storage::streams::Pending>> {
                self.$view().pending_entry(group, id)
            }

            fn pending(
                &self,
                owner: $crate::storage::streams::Owner,
                range: $crate::storage::streams::IdRange,
                visit: &mut $crate::storage::streams::VisitPending<'_>,
            ) -> $crate::storage::StorageResult<()> {
                self.$view().pending(owner, range, visit)
            }

            fn pending_bounds(
                &self,
                group: $crate::storage::streams::GroupId,
            ) -> $crate::storage::StorageResult<Option<($crate::types::StreamId, $crate::types::StreamId)>> {
                self.$view().pending_bounds(group)
            }
        }
    };
}
pub(in crate::storage) use delegate_view;
