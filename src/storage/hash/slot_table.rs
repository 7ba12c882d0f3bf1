//! The keys of one slot.

use super::blob::Blob;
use super::dense::{DenseTable, allocated_bytes, record_bytes};
use super::fields::LargeHash;
use super::quicklist::Quicklist;
use super::record::{Payload, Record};
use super::set_members::LargeSet;
use super::sorted::LargeZset;
use super::stream::MemoryStream;

/// Chunks of a list from which another thread frees it: each is an allocation of some kilobytes.
const LAZY_FREE_MIN_CHUNKS: usize = 256;

/// A value that is too large for its key's record, or grows in place.
pub(super) enum Large {
    /// A string with room to grow.
    String(Vec<u8>),
    /// A hash with a table of its own.
    Hash(Box<LargeHash>),
    /// A list in chunks.
    List(Box<Quicklist>),
    /// A sorted set with a table and an order of its own.
    Zset(Box<LargeZset>),
    /// A stream.
    Stream(Box<MemoryStream>),
    /// A set with a table of its own.
    Set(Box<LargeSet>),
}

impl Large {
    /// Approximate bytes the value takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::String(bytes) => allocated_bytes(bytes.capacity()),
                Self::Hash(hash) => allocated_bytes(size_of::<LargeHash>()) + hash.bytes(),
                Self::List(list) => allocated_bytes(size_of::<Quicklist>()) + list.bytes(),
                Self::Zset(zset) => allocated_bytes(size_of::<LargeZset>()) + zset.bytes(),
                Self::Stream(stream) => stream.bytes(),
                Self::Set(set) => allocated_bytes(size_of::<LargeSet>()) + set.bytes(),
            }
    }

    /// Whether freeing it takes long enough to leave it to another thread.
    pub(super) fn is_slow_to_free(&self) -> bool {
        match self {
            Self::String(_) => false,
            Self::Hash(hash) => hash.len() >= super::LAZY_FREE_MIN_ITEMS,
            Self::List(list) => list.chunk_count() >= LAZY_FREE_MIN_CHUNKS,
            Self::Zset(zset) => zset.len() >= super::LAZY_FREE_MIN_ITEMS,
            Self::Stream(stream) => stream.allocations() >= super::LAZY_FREE_MIN_ITEMS,
            Self::Set(set) => set.len() >= super::LAZY_FREE_MIN_ITEMS,
        }
    }
}

/// The large values of a slot; records name them by index, and indexes are used again.
#[derive(Default)]
struct LargeValues {
    values: Vec<Option<Large>>,
    free: Vec<u32>,
}

/// The keys of one slot.
pub(super) struct SlotTable {
    /// The records by key.
    pub(super) table: DenseTable,
    /// Boxed, because few slots have any.
    large: Option<Box<LargeValues>>,
}

impl SlotTable {
    /// An empty table with room for `keys` keys.
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self { table: DenseTable::with_capacity(keys), large: None }
    }

    /// The large value with this index.
    pub(super) fn large(&self, index: u32) -> &Large {
        let values = self.large.as_ref().expect("a record names a large value");
        values.values[index as usize].as_ref().expect("a record names a large value")
    }

    /// The large value with this index, to change it. The caller keeps account of its bytes.
    pub(super) fn large_mut(&mut self, index: u32) -> &mut Large {
        let values = self.large.as_mut().expect("a record names a large value");
        values.values[index as usize].as_mut().expect("a record names a large value")
    }

    /// Takes in a large value and answers its index.
    pub(super) fn add_large(&mut self, value: Large) -> u32 {
        let large = self.large.get_or_insert_default();
        match large.free.pop() {
            Some(index) => {
                large.values[index as usize] = Some(value);
                index
            }
            None => {
                let index = u32::try_from(large.values.len()).expect("a table holds at most 2^32 records");
                large.values.push(Some(value));
                index
            }
        }
    }

    /// Gives a large value out and frees its index.
    pub(super) fn take_large(&mut self, index: u32) -> Large {
        let large = self.large.as_mut().expect("a record names a large value");
        let value = large.values[index as usize].take().expect("a record names a large value");
        large.free.push(index);
        if large.free.len() == large.values.len() {
            self.large = None;
        }
        value
    }

    /// Approximate bytes of the key in `blob` with its value and its share of the index.
    pub(super) fn key_bytes(&self, blob: &Blob) -> usize {
        let large = match Record::of(blob).payload() {
            Payload::Large(index) => self.large(index).bytes(),
            _ => 0,
        };
        record_bytes(blob) + large
    }
}
