//! Entries of a stream packed into one run of bytes.
//!
//! ```text
//! node  := count: varint | count * field: run | entry*
//! entry := flags: u8 | length of the rest: varint | ms: varint | seq: varint | body
//! body  := value: run, for each field of the node                   if SAME_FIELDS
//!          count: varint | count * (field: run | value: run)        otherwise
//! ```
//!
//! `ms` and `seq` are the differences to the id that begins the node, that of `seq` with its sign in the lowest bit. The
//! fields of the node are those of its first entry: in most streams all entries have the same, and store values
//! only. An entry that is removed gets the flag DELETED; its bytes go with the node.

use crate::codec::{Reader, push_run, push_varint, read_varint, varint_bytes};
use crate::storage::StorageResult;
use crate::storage::object_codec::corrupt;
use crate::storage::streams::{NodeMark, StreamEntry, StreamNode, weight};
use crate::types::StreamId;

const DELETED: u8 = 1;
const SAME_FIELDS: u8 = 2;

/// Room that is made at least when a node grows, in bytes.
const GROWTH_MIN_BYTES: usize = 64;

/// Entries of a stream that lie together.
pub(super) struct Node {
    bytes: Vec<u8>,
    /// Where the first entry is.
    entries_at: u32,
    live: u32,
    total: u32,
    weight: u32,
    last: StreamId,
}

/// An entry in a node.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a> {
    /// Where it begins in the bytes of the node.
    at: usize,
    /// Its id.
    pub(super) id: StreamId,
    flags: u8,
    body: &'a [u8],
}

impl Packed<'_> {
    /// Whether it was not removed.
    pub(super) fn is_live(&self) -> bool {
        self.flags & DELETED == 0
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, used) = read_varint(rest).expect("nodes are verified when they are made");
    let (taken, left) = rest[used..].split_at(length as usize);
    *rest = left;
    taken
}

fn take_varint(rest: &mut &[u8]) -> u64 {
    let (value, used) = read_varint(rest).expect("nodes are verified when they are made");
    *rest = &rest[used..];
    value
}

fn zigzag(delta: u64) -> u64 {
    let delta = delta.cast_signed();
    (delta << 1 ^ delta >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> u64 {
    value >> 1 ^ (value & 1).wrapping_neg()
}

impl Node {
    /// A node without entries, for those that have the fields of `first`, fields and values in turn.
    pub(super) fn new(first: &[&[u8]]) -> Self {
        let mut bytes = Vec::with_capacity(GROWTH_MIN_BYTES);
        push_varint(&mut bytes, (first.len() / 2) as u64);
        let fields = || first.iter().step_by(2).copied();
        fields().for_each(|field| push_run(&mut bytes, field));
        let weight = weight::kept(weight::empty_node(fields()));
        let entries_at = u32::try_from(bytes.len()).expect("the fields of an entry are far below 4 GiB");
        Self { bytes, entries_at, live: 0, total: 0, weight, last: StreamId::MIN }
    }

    /// What stands in the node.
    pub(super) fn mark(&self, master: StreamId) -> NodeMark {
        NodeMark { master, last: self.last, live: self.live, total: self.total, weight: self.weight }
    }

    /// Number of entries.
    pub(super) fn live(&self) -> u32 {
        self.live
    }

    /// Bytes of memory that the packed entries take.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back room that is not used, when the node gets no more entries.
    pub(super) fn close(&mut self) {
        self.bytes.shrink_to_fit();
    }

    fn has_fields(&self, fields: &[&[u8]]) -> bool {
        let mut rest = &self.bytes[..self.entries_at as usize];
        take_varint(&mut rest) == (fields.len() / 2) as u64
            && fields.iter().step_by(2).all(|field| take(&mut rest) == *field)
    }

    /// Appends an entry; its fields and values in turn.
    pub(super) fn push(&mut self, master: StreamId, id: StreamId, fields: &[&[u8]]) {
        let same = self.has_fields(fields);
        let ms = id.ms.wrapping_sub(master.ms);
        let seq = zigzag(id.seq.wrapping_sub(master.seq));
        let stored = || fields.iter().skip(usize::from(same)).step_by(1 + usize::from(same));
        let pairs = (fields.len() / 2) as u64;
        let count_bytes = if same { 0 } else { varint_bytes(pairs) };
        let runs: usize = stored().map(|run| varint_bytes(run.len() as u64) + run.len()).sum();
        let length = varint_bytes(ms) + varint_bytes(seq) + count_bytes + runs;
        let needed = 1 + varint_bytes(length as u64) + length;
        if self.bytes.capacity() - self.bytes.len() < needed {
            // A quarter at a time: a node stays as it is for most of its life, and doubling would waste the half.
            self.bytes.reserve_exact(needed.max(self.bytes.len() / 4).max(GROWTH_MIN_BYTES));
        }
        self.bytes.push(if same { SAME_FIELDS } else { 0 });
        push_varint(&mut self.bytes, length as u64);
        push_varint(&mut self.bytes, ms);
        push_varint(&mut self.bytes, seq);
        if !same {
            push_varint(&mut self.bytes, pairs);
        }
        stored().for_each(|run| push_run(&mut self.bytes, run));
        self.weight = weight::kept(u64::from(self.weight) + weight::entry(id, master, fields, same));
        self.last = id;
        self.live += 1;
        self.total += 1;
    }

    /// The entries in order, removed ones included.
    pub(super) fn packed(&self, master: StreamId) -> impl Iterator<Item = Packed<'_>> {
        let mut at = self.entries_at as usize;
        std::iter::from_fn(move || {
            let start = at;
            let (&flags, mut rest) = self.bytes.get(start..)?.split_first()?;
            let mut body = take(&mut rest);
            at = self.bytes.len() - rest.len();
            let ms = master.ms.wrapping_add(take_varint(&mut body));
            let seq = master.seq.wrapping_add(unzigzag(take_varint(&mut body)));
            Some(Packed { at: start, id: StreamId { ms, seq }, flags, body })
        })
    }

    /// Puts the fields of an entry into `fields`.
    pub(super) fn unpack<'a>(&'a self, entry: &Packed<'a>, fields: &mut Vec<(&'a [u8], &'a [u8])>) {
        fields.clear();
        let mut values = entry.body;
        if entry.flags & SAME_FIELDS != 0 {
            let mut names = &self.bytes[..self.entries_at as usize];
            let count = take_varint(&mut names);
            fields.extend((0..count).map(|_| (take(&mut names), take(&mut values))));
        } else {
            let count = take_varint(&mut values);
            fields.extend((0..count).map(|_| (take(&mut values), take(&mut values))));
        }
    }

    /// The entry of an id, unless it was removed.
    pub(super) fn find(&self, master: StreamId, id: StreamId) -> Option<Packed<'_>> {
        self.packed(master).filter(Packed::is_live).take_while(|entry| entry.id <= id).find(|entry| entry.id == id)
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&mut self, master: StreamId, id: StreamId) -> bool {
        let Some(at) = self.find(master, id).map(|entry| entry.at) else { return false };
        self.bytes[at] |= DELETED;
        self.live -= 1;
        true
    }

    /// Removes entries from the front as long as `goes` says so; answers how many.
    pub(super) fn remove_front(&mut self, master: StreamId, mut goes: impl FnMut(StreamId) -> bool) -> u32 {
        let gone: Vec<usize> = self
            .packed(master)
            .filter(Packed::is_live)
            .take_while(|entry| goes(entry.id))
            .map(|entry| entry.at)
            .collect();
        for &at in &gone {
            self.bytes[at] |= DELETED;
        }
        let count = gone.len() as u32;
        self.live -= count;
        count
    }

    /// The node of an object.
    pub(super) fn from_object(object: &StreamNode) -> Self {
        let mut node = Self::new(&object.entries.first().map(StreamEntry::flat).unwrap_or_default());
        for entry in &object.entries {
            node.push(object.master_id, entry.id, &entry.flat());
        }
        node.last = object.last_id;
        node.total = object.total;
        node.weight = object.weight;
        node.close();
        node
    }

    /// Writes the node for a snapshot.
    pub(super) fn write(&self, master: StreamId, out: &mut Vec<u8>) {
        out.extend_from_slice(&master.to_bytes());
        out.extend_from_slice(&self.last.to_bytes());
        push_varint(out, u64::from(self.total));
        push_varint(out, u64::from(self.weight));
        push_run(out, &self.bytes);
    }

    /// Reads and verifies what [`write`](Self::write) wrote; afterwards every function above can read it. Answers the
    /// node with the id that begins it and that of its last entry.
    pub(super) fn read(reader: &mut Reader<'_>) -> StorageResult<(StreamId, StreamId, Self)> {
        let master = StreamId::from_bytes(reader.array()?);
        let last = StreamId::from_bytes(reader.array()?);
        let (total, weight) = (reader.varint()?, reader.varint()?);
        let bytes = reader.run()?;
        let verified = verify(bytes, master)?;
        let (Ok(total), Ok(weight)) = (u32::try_from(total), u32::try_from(weight)) else {
            return Err(corrupt(reader, format_args!("a node of {total} entries and {weight} bytes")));
        };
        if verified.live == 0 || verified.entries > total || verified.last_live > last {
            return Err(corrupt(reader, "a node of a stream that contradicts itself"));
        }
        let node =
            Self { bytes: bytes.to_vec(), entries_at: verified.entries_at, live: verified.live, total, weight, last };
        Ok((master, verified.last_live, node))
    }
}

/// What the bytes of a node say.
struct Verified {
    entries_at: u32,
    entries: u32,
    live: u32,
    last_live: StreamId,
}

fn verify(bytes: &[u8], master: StreamId) -> StorageResult<Verified> {
    let mut reader = Reader::new(bytes, "node of a stream");
    let fields = reader.varint()?;
    if fields == 0 || fields > reader.remaining() as u64 {
        return Err(corrupt(&reader, format_args!("{fields} fields")));
    }
    for _ in 0..fields {
        reader.run()?;
    }
    let mut verified = Verified { entries_at: reader.offset() as u32, entries: 0, live: 0, last_live: StreamId::MIN };
    while reader.remaining() > 0 {
        let flags = reader.u8()?;
        let mut body = Reader::new(reader.run()?, "entry of a stream");
        let ms = master.ms.wrapping_add(body.varint()?);
        let seq = master.seq.wrapping_add(unzigzag(body.varint()?));
        let runs = match flags {
            0 | DELETED => body.varint()?.saturating_mul(2),
            SAME_FIELDS | 3 => fields,
            _ => return Err(corrupt(&reader, format_args!("flags {flags:#04x}"))),
        };
        if runs == 0 || runs > body.remaining() as u64 {
            return Err(corrupt(&body, format_args!("{runs} fields and values")));
        }
        for _ in 0..runs {
            body.run()?;
        }
        body.end()?;
        verified.entries += 1;
        if flags & DELETED == 0 {
            let id = StreamId { ms, seq };
            if id < master || (verified.live > 0 && id <= verified.last_live) || id.is_zero() {
                return Err(corrupt(&reader, "an entry that is out of order"));
            }
            verified.live += 1;
            verified.last_live = id;
        }
    }
    Ok(verified)
}
