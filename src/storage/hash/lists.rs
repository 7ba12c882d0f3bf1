//! Lists: a small one in its key's record, a large one as a quicklist beside it.
//!
//! ```text
//! small list := count: varint | packed elements
//! ```

use std::ops::Range;

use super::database::{Database, NewValue};
use super::dense::hash_of;
use super::packed::{self, Elements};
use super::quicklist::{Chunk, ChunkLimits, Quicklist};
use super::record::Payload;
use super::slot_table::Large;
use super::{HashEngine, clock_of, database_mut};
use crate::codec::{read_varint, varint_bytes, write_varint};
use crate::storage::lists::{ListEnd, ListEngine, ListRead, VisitElement};
use crate::storage::object_codec::corrupt;
use crate::storage::{Address, StorageError, StorageResult};
use crate::types::UnixMs;

/// Bytes of elements that stand in a record: a change copies them.
const SMALL_MAX_BYTES: usize = 1024;

/// Room before the elements of a small list that is about to be changed.
const SCRATCH_ROOM_BYTES: usize = 128;

/// A read view of a list in this engine.
#[derive(Clone, Copy)]
pub struct ListElements<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Small { packed: &'a [u8], count: usize },
    Large(&'a Quicklist),
}

impl<'a> ListElements<'a> {
    pub(super) fn small(payload: &'a [u8]) -> Self {
        let (count, packed) = split(payload);
        Self(Form::Small { packed, count })
    }

    pub(super) fn large(list: &'a Quicklist) -> Self {
        Self(Form::Large(list))
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        match self.0 {
            Form::Small { count, .. } => count as u64,
            Form::Large(list) => list.len(),
        }
    }

    /// Never true: empty lists do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at an index.
    pub fn get(&self, index: u64) -> Option<&'a [u8]> {
        match self.0 {
            Form::Small { count, .. } if index >= count as u64 => None,
            Form::Small { packed, count } => {
                Elements::of(&packed[packed::offset_of(packed, index as usize, count)..]).next()
            }
            Form::Large(list) => list.get(index),
        }
    }

    /// Visits the elements from the one at index `from` on, either way.
    pub fn walk(&self, from: u64, reverse: bool, visit: &mut VisitElement<'_>) {
        match self.0 {
            Form::Small { count, .. } if from >= count as u64 => {}
            Form::Small { packed, count } if reverse => {
                let end = packed::offset_of(packed, from as usize + 1, count);
                Elements::of(&packed[..end]).rev().all(visit);
            }
            Form::Small { packed, count } => {
                let start = packed::offset_of(packed, from as usize, count);
                Elements::of(&packed[start..]).all(visit);
            }
            Form::Large(list) => list.walk(from, reverse, visit),
        }
    }
}

/// Number of elements of a small list, and the elements.
fn split(payload: &[u8]) -> (usize, &[u8]) {
    let (count, used) = read_varint(payload).expect("small lists are verified when they are made");
    (count as usize, &payload[used..])
}

/// Verifies a small list from outside.
pub(super) fn verify(payload: &[u8]) -> StorageResult<()> {
    let mut reader = crate::codec::Reader::new(payload, "small list");
    let count = reader.varint()?;
    let used = payload.len() - reader.remaining();
    if count == 0 || used != varint_bytes(count) || packed::verify(reader.take_rest())? != count {
        return Err(corrupt(&reader, format_args!("{count} elements")));
    }
    Ok(())
}

/// Where a list is that is about to be changed.
struct Place {
    hash: u64,
    position: Option<usize>,
    expires_at: Option<UnixMs>,
    form: Found,
}

enum Found {
    /// Its elements; none when there is no list yet.
    Small(Chunk),
    Large(u32),
}

/// A list to be changed, in either form.
enum ListMut<'l> {
    Small(&'l mut Chunk),
    Large(&'l mut Quicklist),
}

impl HashEngine {
    /// The limits that chunks keep from now on.
    fn limits(&self) -> ChunkLimits {
        ChunkLimits::of(self.encoding.list_max_listpack_size)
    }

    /// The list at a key; a small one comes in the engine's scratch room.
    fn open_list(&mut self, at: Address<'_>, now: UnixMs) -> StorageResult<Place> {
        let hash = hash_of(at.key);
        let position = self.live_position(at, hash, now);
        self.clock = clock_of(now);
        let HashEngine { databases, scratch, .. } = self;
        let Some(position) = position else {
            let form = Found::Small(in_scratch(scratch, &[], 0));
            return Ok(Place { hash, position: None, expires_at: None, form });
        };
        let database = database_mut(databases, at.db);
        let record = database.record(at.slot, position);
        let form = match record.payload() {
            Payload::List(payload) => {
                let (count, packed) = split(payload);
                Found::Small(in_scratch(scratch, packed, count))
            }
            Payload::Large(index) if is_list(database, at, index) => Found::Large(index),
            _ => return Err(StorageError::WrongType),
        };
        Ok(Place { hash, position: Some(position), expires_at: record.expires_at(), form })
    }

    fn keep_scratch(&mut self, form: Found) {
        if let Found::Small(chunk) = form {
            self.scratch = chunk.into_bytes().0;
        }
    }

    /// Puts what was a small list to its key, in the form that its size calls for.
    fn close_small(&mut self, at: Address<'_>, place: &Place, chunk: Chunk) {
        let (limits, clock) = (self.limits(), self.clock);
        let database = database_mut(&mut self.databases, at.db);
        if chunk.len() == 0 {
            if let Some(position) = place.position {
                database.remove(at.slot, place.hash, position);
            }
            self.keep_scratch(Found::Small(chunk));
        } else if fits_small(chunk.packed().len(), chunk.len(), limits) {
            let count = chunk.len() as u64;
            let (mut bytes, mut room) = chunk.into_bytes();
            let used = varint_bytes(count);
            if room < used {
                bytes.splice(..room, vec![0; used]);
                room = used;
            }
            write_varint(&mut bytes[room - used..room], count);
            let value = NewValue::Inline(Payload::List(&bytes[room - used..]));
            database.put((at.slot, place.hash, at.key), place.position, place.expires_at, value, clock);
            self.scratch = bytes;
        } else {
            let list = Box::new(Quicklist::of_packed(chunk.packed(), limits));
            self.keep_scratch(Found::Small(chunk));
            let database = database_mut(&mut self.databases, at.db);
            let value = NewValue::Large(Large::List(list));
            database.put((at.slot, place.hash, at.key), place.position, place.expires_at, value, clock);
        }
    }

    /// Changes a list that is there, and removes it when no element is left.
    fn change_list<T>(
        &mut self,
        at: Address<'_>,
        now: UnixMs,
        change: impl FnOnce(ListMut<'_>, ChunkLimits) -> T,
    ) -> StorageResult<Option<T>> {
        let limits = self.limits();
        let mut place = self.open_list(at, now)?;
        let Some(position) = place.position else {
            self.keep_scratch(place.form);
            return Ok(None);
        };
        match &mut place.form {
            Found::Small(chunk) => {
                let mut chunk = std::mem::take(chunk);
                let result = change(ListMut::Small(&mut chunk), limits);
                self.close_small(at, &place, chunk);
                Ok(Some(result))
            }
            Found::Large(index) => {
                let database = database_mut(&mut self.databases, at.db);
                let (result, left) = change_large(database, at, position, *index, self.clock, |list| {
                    let result = change(ListMut::Large(list), limits);
                    (result, list.len())
                });
                if left == 0 {
                    database.remove(at.slot, place.hash, position);
                }
                Ok(Some(result))
            }
        }
    }
}

/// Elements in the scratch room of an engine, with room for a few more before them.
fn in_scratch(scratch: &mut Vec<u8>, packed: &[u8], count: usize) -> Chunk {
    let mut bytes = std::mem::take(scratch);
    bytes.clear();
    bytes.resize(SCRATCH_ROOM_BYTES, 0);
    bytes.extend_from_slice(packed);
    Chunk::behind(bytes, SCRATCH_ROOM_BYTES, count)
}

fn fits_small(bytes: usize, count: usize, limits: ChunkLimits) -> bool {
    bytes <= SMALL_MAX_BYTES && limits.fits(bytes, count)
}

fn is_list(database: &Database, at: Address<'_>, index: u32) -> bool {
    matches!(database.slot(at.slot).expect("the key was found").large(index), Large::List(_))
}

fn change_large<T>(
    database: &mut Database,
    at: Address<'_>,
    position: usize,
    index: u32,
    clock: u32,
    change: impl FnOnce(&mut Quicklist) -> T,
) -> T {
    database.change_large(at.slot, position, index, clock, |large| match large {
        Large::List(list) => change(list),
        _ => unreachable!("it was a list"),
    })
}

fn pack(element: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(packed::element_bytes(element.len()));
    packed::push(&mut bytes, element);
    bytes
}

const WITHIN: &str = "the caller has seen that the list has the index";

impl ListEngine for HashEngine {
    fn put_list(&mut self, at: Address<'_>, elements: Vec<Vec<u8>>, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let limits = self.limits();
        let bytes = elements.iter().map(|element| packed::element_bytes(element.len())).sum();
        let position = database_mut(&mut self.databases, at.db).find(at.slot, hash, at.key);
        let mut place = Place { hash, position, expires_at, form: Found::Large(0) };
        if elements.is_empty() || fits_small(bytes, elements.len(), limits) {
            let mut chunk = Chunk::behind(Vec::with_capacity(bytes + 2), 0, 0);
            elements.iter().for_each(|element| chunk.push(ListEnd::Tail, element, limits));
            place.form = Found::Small(Chunk::default());
            self.close_small(at, &place, chunk);
            return Ok(());
        }
        let mut list = Quicklist::new();
        elements.iter().for_each(|element| list.push(ListEnd::Tail, element, limits));
        let value = NewValue::Large(Large::List(Box::new(list)));
        let clock = self.clock;
        database_mut(&mut self.databases, at.db).put((at.slot, hash, at.key), position, expires_at, value, clock);
        Ok(())
    }

    fn list(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ListRead<'_>>> {
        Ok(self.list_elements(at, now)?.map(ListRead::Native))
    }

    fn list_push(&mut self, at: Address<'_>, end: ListEnd, elements: &[&[u8]], now: UnixMs) -> StorageResult<u64> {
        let limits = self.limits();
        let mut place = self.open_list(at, now)?;
        let clock = self.clock;
        let push_all = |list: &mut Quicklist, elements: &[&[u8]]| {
            elements.iter().for_each(|element| list.push(end, element, limits));
            list.len()
        };
        let mut chunk = match &mut place.form {
            Found::Small(chunk) => std::mem::take(chunk),
            Found::Large(index) => {
                let (index, position) = (*index, place.position.expect("a large list is at a key"));
                let database = database_mut(&mut self.databases, at.db);
                return Ok(change_large(database, at, position, index, clock, |list| push_all(list, elements)));
            }
        };
        for (done, element) in elements.iter().enumerate() {
            let bytes = chunk.packed().len() + packed::element_bytes(element.len());
            if !fits_small(bytes, chunk.len() + 1, limits) {
                let mut list = Quicklist::of_packed(chunk.packed(), limits);
                self.scratch = chunk.into_bytes().0;
                let len = push_all(&mut list, &elements[done..]);
                let value = NewValue::Large(Large::List(Box::new(list)));
                let database = database_mut(&mut self.databases, at.db);
                database.put((at.slot, place.hash, at.key), place.position, place.expires_at, value, clock);
                return Ok(len);
            }
            chunk.push(end, element, limits);
        }
        let len = chunk.len() as u64;
        self.close_small(at, &place, chunk);
        Ok(len)
    }

    fn list_pop(
        &mut self,
        at: Address<'_>,
        end: ListEnd,
        count: u64,
        now: UnixMs,
        popped: &mut dyn FnMut(&[u8]),
    ) -> StorageResult<u64> {
        let taken = self.change_list(at, now, |list, _| match list {
            ListMut::Small(chunk) => {
                let taken = count.min(chunk.len() as u64);
                chunk.pop(end, taken as usize, popped);
                taken
            }
            ListMut::Large(list) => list.pop(end, count, popped),
        })?;
        Ok(taken.unwrap_or(0))
    }

    fn list_insert(&mut self, at: Address<'_>, index: u64, element: &[u8], now: UnixMs) -> StorageResult<()> {
        let done = self.change_list(at, now, |list, limits| match list {
            ListMut::Small(chunk) => chunk.splice(index as usize..index as usize, &pack(element), 1),
            ListMut::Large(list) => list.insert(index, element, limits),
        })?;
        done.expect(WITHIN);
        Ok(())
    }

    fn list_set(&mut self, at: Address<'_>, index: u64, element: &[u8], now: UnixMs) -> StorageResult<()> {
        let done = self.change_list(at, now, |list, limits| match list {
            ListMut::Small(chunk) => chunk.splice(index as usize..index as usize + 1, &pack(element), 1),
            ListMut::Large(list) => list.set(index, element, limits),
        })?;
        done.expect(WITHIN);
        Ok(())
    }

    fn list_remove(&mut self, at: Address<'_>, ranges: &[Range<u64>], now: UnixMs) -> StorageResult<()> {
        let done = self.change_list(at, now, |list, limits| match list {
            ListMut::Small(chunk) => {
                ranges.iter().rev().for_each(|range| chunk.splice(range.start as usize..range.end as usize, &[], 0))
            }
            ListMut::Large(list) => list.remove(ranges, limits),
        })?;
        done.expect(WITHIN);
        Ok(())
    }
}
