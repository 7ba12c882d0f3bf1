//! Keys of a database as bytes, for snapshots.
//!
//! ```text
//! chunk   := version: u8 | section*
//! version := 1: whole keys
//!            2: one key with a list that the next chunk goes on with
//!            3: one key with the end of such a list
//! section := database: u16 | slot: u16 | count: u32 | count * record
//! record  := length: varint | length bytes, laid out as in `record`
//!            and then, if its form is LARGE:
//!            0: u8 | length: varint | length bytes                            a string
//!            1: u8 | count: varint | count * (length: varint | length bytes)  a hash: records of its fields
//!            2: u8 | count: varint | count * (length: varint | length bytes)  a list: its chunks, see `packed`
//!            4: u8 | count: varint | count * (length: varint | length bytes | score: f64)  a sorted set
//!            5: u8 | as in `stream::snapshot`                                 a stream
//!            8: u8 | the same, of a hash that reports `listpackex`
//!            3: u8 | count: varint | count * (length: varint | length bytes)  a set: records of its members
//! ```
//!
//! Records of the other forms are the very bytes that stand in memory, so that writing is copying.
//! A record of the form LARGE has no payload here. Sections of a slot follow one another in the
//! order of its keys; a slot with much in it goes over several chunks. A key does so only with a large list, whose own
//! chunks need not be copied to be kept as they are.

use std::collections::VecDeque;

use super::blob::Blob;
use super::compact;
use super::compact_zset;
use super::database::{Database, Extended};
use super::fields::LargeHash;
use super::quicklist::{FrozenChunk, Quicklist};
use super::record::{
    EDITED, EXPIRES, FORM_BYTES, FORM_COMPACT, FORM_INT, FORM_LARGE, FORM_LIST, FORM_MASK, FORM_SET, FORM_ZSET,
    Payload, Record,
};
use super::set_members::LargeSet;
use super::slot_table::{Large, SlotTable};
use super::sorted::LargeZset;
use super::stream::MemoryStream;
use super::{Databases, database_mut, lists, packed, prefetch, small_set};
use crate::codec::{Reader, push_run, push_varint};
use crate::storage::StorageResult;
use crate::storage::object_codec::corrupt;
use crate::types::slot::slot_of;
use crate::types::{Db, SLOT_COUNT, Slot};

const VERSION: u8 = 1;
const VERSION_PART: u8 = 2;
const VERSION_LAST_PART: u8 = 3;
const LARGE_STRING: u8 = 0;
const LARGE_HASH: u8 = 1;
const LARGE_LIST: u8 = 2;
const LARGE_ZSET: u8 = 4;
const LARGE_STREAM: u8 = 5;
const LARGE_SET: u8 = 3;
const LARGE_SMALL_HASH: u8 = 8;

/// Length from which a chunk takes no further key.
const CHUNK_FULL_BYTES: usize = 256 * 1024;
/// Fewest bytes a record takes: its length, its tag, the key's length.
const RECORD_MIN_BYTES: usize = 3;
/// Bytes of the index of a large value in a record.
const LARGE_INDEX_BYTES: usize = size_of::<u32>();

/// Fewest chunks of a list that is kept as it is, and written later in parts.
const FROZEN_MIN_CHUNKS: usize = 32;
/// What keeping a chunk of a list costs, counted as if it were bytes written.
const FROZEN_CHUNK_BYTES: usize = 64;

/// Something to be written.
pub(super) enum Piece {
    /// A chunk.
    Chunk(Vec<u8>),
    /// A list, in chunks to come.
    List(FrozenList),
}

impl Piece {
    /// The chunks, each made when it is asked for.
    pub(super) fn into_chunks(self) -> impl Iterator<Item = Vec<u8>> {
        let (chunk, list) = match self {
            Self::Chunk(chunk) => (Some(chunk), None),
            Self::List(list) => (None, Some(list)),
        };
        chunk.into_iter().chain(list.into_iter().flatten())
    }
}

/// A large list as it was, given out in parts.
pub(super) struct FrozenList {
    /// What stands in each part before the chunks of the list.
    head: Vec<u8>,
    chunks: VecDeque<FrozenChunk>,
}

impl FrozenList {
    fn new(db: Db, slot: Slot, blob: &Blob, list: &Quicklist) -> Self {
        let mut head = Vec::new();
        push_section(&mut head, db, slot, 1);
        push_large_head(&mut head, blob);
        head.push(LARGE_LIST);
        Self { head, chunks: list.freeze() }
    }
}

impl Iterator for FrozenList {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.chunks.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fits = |chunk: &&FrozenChunk| {
            bytes += chunk.packed().len();
            bytes <= CHUNK_FULL_BYTES
        };
        let count = self.chunks.iter().take_while(fits).count().max(1);
        let version = if count == self.chunks.len() { VERSION_LAST_PART } else { VERSION_PART };
        let mut out = Vec::with_capacity(CHUNK_FULL_BYTES + CHUNK_FULL_BYTES / 8);
        out.push(version);
        out.extend_from_slice(&self.head);
        push_varint(&mut out, count as u64);
        self.chunks.drain(..count).for_each(|chunk| push_run(&mut out, chunk.packed()));
        Some(out)
    }
}

/// Whether the value in a chunk goes on in the next.
pub(super) fn is_unfinished(chunk: &[u8]) -> bool {
    chunk.first() == Some(&VERSION_PART)
}

/// Writes slots into chunks.
#[derive(Default)]
pub(super) struct ChunkWriter {
    full: Vec<Piece>,
    open: Vec<u8>,
}

impl ChunkWriter {
    /// Writes all keys of a slot and answers how many bytes they took.
    pub(super) fn write_slot(&mut self, db: Db, slot: Slot, table: &SlotTable) -> usize {
        let mut written = 0;
        let mut entries = prefetch::walk(table.table.entries()).peekable();
        while let Some(blob) = entries.peek() {
            if let Some(list) = list_to_freeze(table, blob) {
                self.close();
                self.full.push(Piece::List(FrozenList::new(db, slot, blob, list)));
                written += list.chunk_count() * FROZEN_CHUNK_BYTES;
                entries.next();
                continue;
            }
            if self.open.is_empty() {
                self.open.push(VERSION);
            }
            let start = self.open.len();
            let count_at = push_section(&mut self.open, db, slot, 0);
            let mut count = 0u32;
            while self.open.len() < CHUNK_FULL_BYTES || count == 0 {
                let Some(blob) = entries.next_if(|blob| list_to_freeze(table, blob).is_none()) else { break };
                write_record(&mut self.open, table, blob);
                count += 1;
            }
            self.open[count_at..count_at + 4].copy_from_slice(&count.to_le_bytes());
            written += self.open.len() - start;
            if self.open.len() >= CHUNK_FULL_BYTES {
                self.close();
            }
        }
        written
    }

    /// Ends the open chunk.
    fn close(&mut self) {
        if !self.open.is_empty() {
            self.full.push(Piece::Chunk(std::mem::take(&mut self.open)));
        }
    }

    /// Gives out what was written; nothing is left open.
    pub(super) fn take(&mut self) -> Vec<Piece> {
        self.close();
        self.take_full()
    }

    /// Gives out what is complete.
    pub(super) fn take_full(&mut self) -> Vec<Piece> {
        std::mem::take(&mut self.full)
    }
}

/// Begins a section; answers where its count stands.
fn push_section(out: &mut Vec<u8>, db: Db, slot: Slot, count: u32) -> usize {
    out.extend_from_slice(&db.0.to_le_bytes());
    out.extend_from_slice(&slot.0.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.len() - size_of::<u32>()
}

/// The list of a record, if it is so large that it is frozen.
fn list_to_freeze<'t>(table: &'t SlotTable, blob: &Blob) -> Option<&'t Quicklist> {
    match Record::of(blob).payload() {
        Payload::Large(index) => match table.large(index) {
            Large::List(list) if list.chunk_count() >= FROZEN_MIN_CHUNKS => Some(list),
            _ => None,
        },
        _ => None,
    }
}

/// A record of the form LARGE up to its payload.
fn push_large_head(out: &mut Vec<u8>, blob: &Blob) {
    let bytes = blob.bytes();
    push_run(out, &bytes[..bytes.len() - LARGE_INDEX_BYTES]);
}

fn write_record(out: &mut Vec<u8>, table: &SlotTable, blob: &Blob) {
    let Payload::Large(index) = Record::of(blob).payload() else { return push_run(out, blob.bytes()) };
    push_large_head(out, blob);
    let value = table.large(index);
    // Growing by doubling would copy a value of a gigabyte several times, and take three times its room meanwhile.
    out.reserve(value.bytes());
    match value {
        Large::String(value) => {
            out.push(LARGE_STRING);
            push_run(out, value);
        }
        Large::Hash(hash) => {
            out.push(if hash.is_small() { LARGE_SMALL_HASH } else { LARGE_HASH });
            push_varint(out, hash.len() as u64);
            for field in prefetch::walk(hash.records()) {
                push_run(out, field.bytes());
            }
        }
        Large::List(list) => {
            out.push(LARGE_LIST);
            push_varint(out, list.chunk_count() as u64);
            list.packed_chunks().for_each(|packed| push_run(out, packed));
        }
        Large::Zset(zset) => {
            out.push(LARGE_ZSET);
            push_varint(out, zset.len() as u64);
            for (score, member) in zset.unordered() {
                push_run(out, member);
                out.extend_from_slice(&score.to_le_bytes());
            }
        }
        Large::Stream(stream) => {
            out.push(LARGE_STREAM);
            stream.write(out);
        }
        Large::Set(set) => {
            out.push(LARGE_SET);
            push_varint(out, set.len() as u64);
            for member in prefetch::walk(set.records()) {
                push_run(out, member.bytes());
            }
        }
    }
}

/// Adds the keys of a chunk to databases, in their order.
///
/// # Errors
/// `Corrupt` when the bytes are not a chunk, or name a key that is there already. Keys before the
/// damage are there then.
pub(super) fn load(chunk: &[u8], clock: u32, databases: &mut Databases) -> StorageResult<()> {
    let mut reader = Reader::new(chunk, "snapshot chunk");
    let version = reader.u8()?;
    if !(VERSION..=VERSION_LAST_PART).contains(&version) {
        return Err(corrupt(&reader, format_args!("version {version}")));
    }
    let is_part = version != VERSION;
    while reader.remaining() > 0 {
        let db = Db(reader.u16()?);
        let slot = Slot(reader.u16()?);
        let count = reader.u32()?;
        if slot.0 >= SLOT_COUNT || count == 0 || count as usize > reader.remaining() / RECORD_MIN_BYTES {
            return Err(corrupt(&reader, format_args!("{count} keys in slot {}", slot.0)));
        }
        let database = database_mut(databases, db);
        database.reserve(slot, count as usize);
        for _ in 0..count {
            load_record(&mut reader, slot, clock, database, is_part)?;
        }
    }
    Ok(())
}

fn load_record(
    reader: &mut Reader<'_>,
    slot: Slot,
    clock: u32,
    database: &mut Database,
    is_part: bool,
) -> StorageResult<()> {
    let bytes = reader.run()?;
    let (tag, key, payload) = split_record(bytes)?;
    if slot_of(key) != slot {
        return Err(corrupt(reader, format_args!("a key that is not of slot {}", slot.0)));
    }
    if is_part && !(tag & FORM_MASK == FORM_LARGE && payload.is_empty()) {
        return Err(corrupt(reader, "a part of something that is no list"));
    }
    let large = match tag & FORM_MASK {
        FORM_BYTES => None,
        FORM_INT if payload.len() == size_of::<i64>() => None,
        FORM_COMPACT => {
            compact::verify(payload)?;
            None
        }
        FORM_LIST => {
            lists::verify(payload)?;
            None
        }
        FORM_ZSET => {
            compact_zset::verify(payload)?;
            None
        }
        FORM_SET => {
            small_set::verify(payload)?;
            None
        }
        FORM_LARGE if payload.is_empty() => Some(load_large(reader)?),
        form => return Err(corrupt(reader, format_args!("a value of form {form} and {} bytes", payload.len()))),
    };
    let large = match large {
        Some(Large::List(part)) if is_part => match database.extend_list(slot, key, part) {
            Extended::Done => return Ok(()),
            Extended::NotThere(part) => Some(Large::List(part)),
            Extended::OtherValue => return Err(corrupt(reader, "a part of a list whose key has another value")),
        },
        Some(_) if is_part => return Err(corrupt(reader, "a part of something that is no list")),
        large => large,
    };
    let is_new = database.load(slot, key, large, |index| match index {
        Some(index) => Blob::concat(&[bytes, &index.to_le_bytes()], clock),
        None => Blob::concat(&[bytes], clock),
    });
    if is_new { Ok(()) } else { Err(corrupt(reader, "a key that stands twice")) }
}

/// Tag, key and payload of a record that may be damaged.
fn split_record(bytes: &[u8]) -> StorageResult<(u8, &[u8], &[u8])> {
    let mut reader = Reader::new(bytes, "snapshot record");
    let tag = reader.u8()?;
    let edited_of_other_form = tag & EDITED != 0 && tag & FORM_MASK != FORM_BYTES;
    if tag & !(FORM_MASK | EDITED | EXPIRES) != 0 || edited_of_other_form {
        return Err(corrupt(&reader, format_args!("tag {tag:#04x}")));
    }
    if tag & EXPIRES != 0 {
        reader.array::<8>()?;
    }
    let key = reader.run()?;
    let payload = reader.take_rest();
    Ok((tag, key, payload))
}

fn load_large(reader: &mut Reader<'_>) -> StorageResult<Large> {
    match reader.u8()? {
        LARGE_STRING => Ok(Large::String(reader.run()?.to_vec())),
        kind @ (LARGE_HASH | LARGE_SMALL_HASH) => {
            let count = reader.varint()?;
            if count == 0 || count > (reader.remaining() / RECORD_MIN_BYTES) as u64 {
                return Err(corrupt(reader, format_args!("a hash of {count} fields")));
            }
            let mut hash = LargeHash::with_capacity(count as usize);
            for _ in 0..count {
                let bytes = reader.run()?;
                let (tag, ..) = split_record(bytes)?;
                if tag & !EXPIRES != FORM_BYTES {
                    return Err(corrupt(reader, format_args!("a field with tag {tag:#04x}")));
                }
                if !hash.load(Blob::concat(&[bytes], 0)) {
                    return Err(corrupt(reader, "a field that stands twice"));
                }
            }
            if kind == LARGE_SMALL_HASH {
                hash.make_small();
            }
            Ok(Large::Hash(Box::new(hash)))
        }
        LARGE_LIST => {
            let count = reader.varint()?;
            if count == 0 || count > (reader.remaining() / RECORD_MIN_BYTES) as u64 {
                return Err(corrupt(reader, format_args!("a list of {count} chunks")));
            }
            let mut list = Quicklist::new();
            for _ in 0..count {
                let chunk = reader.run()?;
                let elements = packed::verify(chunk)?;
                if elements == 0 {
                    return Err(corrupt(reader, "a chunk without elements"));
                }
                list.load(chunk, elements);
            }
            Ok(Large::List(Box::new(list)))
        }
        LARGE_ZSET => load_zset(reader).map(|zset| Large::Zset(Box::new(zset))),
        LARGE_STREAM => Ok(Large::Stream(Box::new(MemoryStream::read(reader)?))),
        LARGE_SET => load_set(reader),
        kind => Err(corrupt(reader, format_args!("a large value of kind {kind}"))),
    }
}

fn load_zset(reader: &mut Reader<'_>) -> StorageResult<LargeZset> {
    let count = reader.varint()?;
    if count == 0 || count > (reader.remaining() / (1 + size_of::<f64>())) as u64 {
        return Err(corrupt(reader, format_args!("a sorted set of {count} members")));
    }
    let mut members = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let member = reader.run()?;
        let score = f64::from_le_bytes(reader.array()?);
        if score.is_nan() {
            return Err(corrupt(reader, "a score that is not a number"));
        }
        members.push((score, member));
    }
    LargeZset::from_unordered(members.into_iter()).ok_or_else(|| corrupt(reader, "a member that stands twice"))
}

fn load_set(reader: &mut Reader<'_>) -> StorageResult<Large> {
    let count = reader.varint()?;
    if count == 0 || count > (reader.remaining() / RECORD_MIN_BYTES) as u64 {
        return Err(corrupt(reader, format_args!("a set of {count} members")));
    }
    let mut set = LargeSet::with_capacity(count as usize);
    for _ in 0..count {
        let bytes = reader.run()?;
        let (tag, _, payload) = split_record(bytes)?;
        if tag != FORM_BYTES || !payload.is_empty() {
            return Err(corrupt(reader, format_args!("a member with tag {tag:#04x}")));
        }
        if !set.load(Blob::concat(&[bytes], 0)) {
            return Err(corrupt(reader, "a member that stands twice"));
        }
    }
    Ok(Large::Set(Box::new(set)))
}
