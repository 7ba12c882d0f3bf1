//! The bytes of rows.
//!
//! Integers are big-endian, so that they sort as numbers. `part` is the part of a row key that
//! stands for a Redis key or field: the name itself, or, when it is longer than
//! [`NAME_MAX_BYTES`], its first 400 bytes and its SHA-256. LMDB takes keys of at most 511 bytes and
//! Redis' may have 512 MiB. A part of 432 bytes is always a digested one, since a plain part has at most
//! 400; the value of the row then carries the full name. RocksDB has no such limit, but rows look
//! the same in both, so that one test covers both.
//!
//! ```text
//! row key                                                        row value
//! 'A'                                                            format u8, applied u64, next version u64, next physical u32
//! 'D' logical u16                                                physical u32, keys u64, keys with expiry u64
//! 'K' physical u32  slot u16  hash u32  part     (LSM)           a key, see below
//! 'K' physical u32  part                         (B+ tree)       a key, see below
//! 'S' physical u32  slot u16  hash u32  part     (B+ tree)       the full name when digested, else empty
//! 'X' physical u32  expires_at i64 with its sign flipped  part   the full name when digested, else empty
//! 'Y' physical u32  due at i64 with its sign flipped  part       the same, of hashes by their earliest expiry of a field
//! 'E' version u64   hash u32  part                               an element: [name length u32, name] when digested, then the value
//! 'N' version u64   node u64                                     a node of a collection's tree, see `counted`
//! 'G' 0 version u64                                              elements u64: a dead collection
//! 'G' 1 physical u32                                             row to go on at: a dead database
//! 'G' 2 version u64  group u64                                   empty: a dead group of a stream
//! ```
//!
//! The value of a key's row:
//!
//! ```text
//! u8     bits 0-3: 0 string, 1 integer, 2 hash, 3 list, 4 set, 5 sorted set, 6 stream
//!        bit 4: expires   bit 5: edited, so reported as raw   bit 6: left the compact encoding   bit 7: digested name
//! i64    expires_at, when bit 4 is set
//! u32 …  length and bytes of the full name, when bit 7 is set
//! …      string: its bytes    integer: i64    collection: version u64, elements u64, then what its kind keeps besides:
//!        set: u8 1 when it is an intset
//!        hash, once a field of it got an expiry: expiries u64, fields that expire u64, earliest expiry i64
//! ```
//!
//! The expiries of a hash's fields are elements of a version of their own, `expiries`, whose values are times (i64); in
//! order of time they stand under the version after it, `times`:
//!
//! ```text
//! 'E' expiries u64  hash u32  part                               an element: expires_at i64
//! 'E' times u64     expires_at i64 with its sign flipped  part   the full name when digested, else empty
//! ```
//!
//! `hash` is the low half of XXH3 of the name. It is what makes SCAN and HSCAN cursors stateless: a
//! cursor is a position in the order of the rows, and names that share a position are visited in one
//! step.

use sha2::{Digest, Sha256};
use twox_hash::XxHash3_64;

use crate::storage::sets::SetEncoding;
use crate::storage::{Kind, StorageError, StorageResult};
use crate::types::{Db, Slot, UnixMs};

/// Version of the row format, in the state row.
pub(super) const FORMAT_VERSION: u8 = 1;
/// Longest name that a row key holds as it is.
pub(super) const NAME_MAX_BYTES: usize = 400;
const DIGEST_BYTES: usize = 32;
const DIGESTED_PART_BYTES: usize = NAME_MAX_BYTES + DIGEST_BYTES;
/// Longest row key LMDB takes.
pub(super) const ROW_KEY_MAX_BYTES: usize = 511;
/// Bytes of `'K' physical slot hash`, the longest header but one.
const POSITION_HEADER_BYTES: usize = 11;
pub(super) const EXPIRY_HEADER_BYTES: usize = 13;
const ELEMENT_HEADER_BYTES: usize = 13;
const DATABASE_HEADER_BYTES: usize = 5;
const NODE_ROW_BYTES: usize = 17;
/// Bytes that every collection's body begins with.
pub(super) const COLLECTION_BYTES: usize = 16;
const GARBAGE_DATABASE: u8 = 1;
const GARBAGE_GROUP: u8 = 2;
const GARBAGE_VERSION: u8 = 0;

// One more byte than the longest row: range ends are rows with a zero appended.
const _: () = assert!(DIGESTED_PART_BYTES + EXPIRY_HEADER_BYTES < ROW_KEY_MAX_BYTES);

/// Row that holds the applied index and the counters of the engine.
pub(super) const STATE_ROW: &[u8] = b"A";

/// The number a logical database's rows carry. Emptying a database gives it a new one, swapping two
/// exchanges theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Physical(pub(super) u32);

/// How the rows of keys are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyOrder {
    /// By slot and hash: cheap work on slots, no second index.
    Slot,
    /// By the bytes of the key, with a slot index beside it.
    Bytes,
}

pub(super) fn corrupt(what: &'static str, bytes: &[u8]) -> StorageError {
    let shown = &bytes[..bytes.len().min(48)];
    StorageError::Corrupt { what, detail: format!("{} bytes: {}", bytes.len(), shown.escape_ascii()) }
}

/// The hash that orders names within a slot or a collection.
pub(super) fn name_hash(name: &[u8]) -> u32 {
    XxHash3_64::oneshot(name) as u32
}

/// Whether a row holds the digest of a name rather than the whole name.
pub(super) fn is_digested(name: &[u8]) -> bool {
    name.len() > NAME_MAX_BYTES
}

pub(super) fn push_part(row: &mut Vec<u8>, name: &[u8]) {
    if is_digested(name) {
        row.extend_from_slice(&name[..NAME_MAX_BYTES]);
        row.extend_from_slice(&Sha256::digest(name));
    } else {
        row.extend_from_slice(name);
    }
}

pub(super) fn row_with(tag: u8, room: usize) -> Vec<u8> {
    let mut row = Vec::with_capacity(room + 1);
    row.push(tag);
    row
}

fn part_room(name: &[u8]) -> usize {
    name.len().min(DIGESTED_PART_BYTES)
}

/// A half-open range of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowRange {
    /// First row.
    pub(super) start: Vec<u8>,
    /// First row that is not part of it.
    pub(super) end: Vec<u8>,
}

impl RowRange {
    /// All rows that start with `prefix`, which starts with a tag and so is not all `0xff`.
    pub(super) fn with_prefix(prefix: Vec<u8>) -> Self {
        let end = after_prefix(&prefix);
        Self { start: prefix, end }
    }
}

/// The first row behind all those that start with `prefix`.
pub(super) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff).expect("a row starts with an ASCII tag");
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    end
}

/// The first row behind `row`.
pub(super) fn after_row(row: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(row.len() + 1);
    next.extend_from_slice(row);
    next.push(0);
    next
}

pub(super) fn be_u64(bytes: &[u8], what: &'static str) -> StorageResult<u64> {
    let head = bytes.first_chunk().ok_or_else(|| corrupt(what, bytes))?;
    Ok(u64::from_be_bytes(*head))
}

fn be_u32(bytes: &[u8], what: &'static str) -> StorageResult<u32> {
    let head = bytes.first_chunk().ok_or_else(|| corrupt(what, bytes))?;
    Ok(u32::from_be_bytes(*head))
}

/// Splits `[length u32, name]` off the front.
fn split_name<'r>(bytes: &'r [u8], what: &'static str) -> StorageResult<(&'r [u8], &'r [u8])> {
    let length = be_u32(bytes, what)? as usize;
    bytes[4..].split_at_checked(length).ok_or_else(|| corrupt(what, bytes))
}

fn push_name(value: &mut Vec<u8>, name: &[u8]) {
    let length = u32::try_from(name.len()).expect("the parser bounds names to 512 MiB");
    value.extend_from_slice(&length.to_be_bytes());
    value.extend_from_slice(name);
}

// ---- state and databases ----

/// What the state row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StateRow {
    pub(super) applied: u64,
    pub(super) next_version: u64,
    pub(super) next_physical: u32,
}

impl StateRow {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(21);
        value.push(FORMAT_VERSION);
        value.extend_from_slice(&self.applied.to_be_bytes());
        value.extend_from_slice(&self.next_version.to_be_bytes());
        value.extend_from_slice(&self.next_physical.to_be_bytes());
        value
    }

    pub(super) fn decode(value: &[u8]) -> StorageResult<Self> {
        const WHAT: &str = "state row";
        if value.len() != 21 || value[0] != FORMAT_VERSION {
            return Err(corrupt(WHAT, value));
        }
        Ok(Self {
            applied: be_u64(&value[1..], WHAT)?,
            next_version: be_u64(&value[9..], WHAT)?,
            next_physical: be_u32(&value[17..], WHAT)?,
        })
    }
}

/// The rows of all databases.
pub(super) fn database_rows() -> RowRange {
    RowRange::with_prefix(b"D".to_vec())
}

/// The row of a logical database.
pub(super) fn database_row(db: Db) -> Vec<u8> {
    let mut row = row_with(b'D', 2);
    row.extend_from_slice(&db.0.to_be_bytes());
    row
}

/// The value of a database's row.
pub(super) fn database_value(physical: Physical, len: u64, expires: u64) -> Vec<u8> {
    let mut value = Vec::with_capacity(20);
    value.extend_from_slice(&physical.0.to_be_bytes());
    value.extend_from_slice(&len.to_be_bytes());
    value.extend_from_slice(&expires.to_be_bytes());
    value
}

/// Number of a database, its physical number, its keys and those with an expiry.
pub(super) fn decode_database(row: &[u8], value: &[u8]) -> StorageResult<(Db, Physical, u64, u64)> {
    const WHAT: &str = "database row";
    if row.len() != 3 || value.len() != 20 {
        return Err(corrupt(WHAT, row));
    }
    let db = Db(u16::from_be_bytes([row[1], row[2]]));
    Ok((db, Physical(be_u32(value, WHAT)?), be_u64(&value[4..], WHAT)?, be_u64(&value[12..], WHAT)?))
}

// ---- positions: the order of SCAN ----

/// A position in the order of SCAN: slot and hash. Below 2^46.
pub(super) type Position = u64;

/// Number of positions.
pub(super) const POSITION_COUNT: u64 = 1 << 46;

/// The position of a key.
pub(super) fn position_of(slot: Slot, key: &[u8]) -> Position {
    u64::from(slot.0) << 32 | u64::from(name_hash(key))
}

fn tag_of_positions(order: KeyOrder) -> u8 {
    match order {
        KeyOrder::Slot => b'K',
        KeyOrder::Bytes => b'S',
    }
}

pub(super) fn push_physical(row: &mut Vec<u8>, physical: Physical) {
    row.extend_from_slice(&physical.0.to_be_bytes());
}

fn push_position(row: &mut Vec<u8>, position: Position) {
    row.extend_from_slice(&position.to_be_bytes()[2..]);
}

/// The rows in the order of SCAN, from a position to the end of the database.
pub(super) fn rows_from_position(order: KeyOrder, physical: Physical, position: Position) -> RowRange {
    let mut start = row_with(tag_of_positions(order), POSITION_HEADER_BYTES);
    push_physical(&mut start, physical);
    let end = after_prefix(&start);
    push_position(&mut start, position);
    RowRange { start, end }
}

/// The position and the part of a row in the order of SCAN.
pub(super) fn split_position(row: &[u8]) -> StorageResult<(Position, &[u8])> {
    if row.len() < POSITION_HEADER_BYTES {
        return Err(corrupt("slot row", row));
    }
    let mut position = [0; 8];
    position[2..].copy_from_slice(&row[5..POSITION_HEADER_BYTES]);
    Ok((u64::from_be_bytes(position), &row[POSITION_HEADER_BYTES..]))
}

/// The row of the slot index.
pub(super) fn slot_row(physical: Physical, slot: Slot, key: &[u8]) -> Vec<u8> {
    positioned_row(b'S', physical, slot, key)
}

fn positioned_row(tag: u8, physical: Physical, slot: Slot, key: &[u8]) -> Vec<u8> {
    let mut row = row_with(tag, POSITION_HEADER_BYTES + part_room(key));
    push_physical(&mut row, physical);
    push_position(&mut row, position_of(slot, key));
    push_part(&mut row, key);
    row
}

/// The value of an index row: the name when the row holds only its digest.
pub(super) fn index_value(name: &[u8]) -> Vec<u8> {
    if is_digested(name) { name.to_vec() } else { Vec::new() }
}

/// The name that an index row stands for.
pub(super) fn index_name<'r>(part: &'r [u8], value: &'r [u8]) -> &'r [u8] {
    if is_digested(part) { value } else { part }
}

// ---- keys ----

/// The row of a key.
pub(super) fn key_row(order: KeyOrder, physical: Physical, slot: Slot, key: &[u8]) -> Vec<u8> {
    match order {
        KeyOrder::Slot => positioned_row(b'K', physical, slot, key),
        KeyOrder::Bytes => {
            let mut row = row_with(b'K', DATABASE_HEADER_BYTES + part_room(key));
            push_physical(&mut row, physical);
            push_part(&mut row, key);
            row
        }
    }
}

/// Start of the rows of a database's keys.
pub(super) fn key_prefix(physical: Physical) -> Vec<u8> {
    let mut row = row_with(b'K', DATABASE_HEADER_BYTES + NAME_MAX_BYTES);
    push_physical(&mut row, physical);
    row
}

/// The part of a key's row.
pub(super) fn key_part(order: KeyOrder, row: &[u8]) -> StorageResult<&[u8]> {
    let header = match order {
        KeyOrder::Slot => POSITION_HEADER_BYTES,
        KeyOrder::Bytes => DATABASE_HEADER_BYTES,
    };
    row.get(header..).ok_or_else(|| corrupt("key row", row))
}

/// Form of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A string kept as bytes.
    Bytes,
    /// A string kept as an integer.
    Int,
    /// A hash, whose fields are elements.
    Hash,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    Zset,
    /// A stream.
    Stream,
}

impl Shape {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Bytes | Self::Int => Kind::String,
            Self::Hash => Kind::Hash,
            Self::List => Kind::List,
            Self::Set => Kind::Set,
            Self::Zset => Kind::Zset,
            Self::Stream => Kind::Stream,
        }
    }

    /// Whether the value has rows of its own, under a version.
    pub(super) fn is_collection(self) -> bool {
        !matches!(self, Self::Bytes | Self::Int)
    }
}

const FLAG_EXPIRES: u8 = 1 << 4;
const FLAG_EDITED: u8 = 1 << 5;
const FLAG_BIG: u8 = 1 << 6;
const FLAG_DIGESTED: u8 = 1 << 7;

/// What a key's row says, the body left where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta<'r> {
    pub(super) shape: Shape,
    pub(super) expires_at: Option<UnixMs>,
    /// A string that was edited in place.
    pub(super) edited: bool,
    /// A hash that left the compact encoding.
    pub(super) big: bool,
    /// The full name when the row holds only its digest.
    pub(super) name: Option<&'r [u8]>,
    pub(super) body: &'r [u8],
}

impl<'r> Meta<'r> {
    /// A key without expiry or flags.
    pub(super) fn new(shape: Shape, key: &'r [u8], body: &'r [u8]) -> Self {
        let name = is_digested(key).then_some(key);
        Self { shape, expires_at: None, edited: false, big: false, name, body }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(1 + 8 + 4 + self.name.map_or(0, <[u8]>::len) + self.body.len());
        let mut head = match self.shape {
            Shape::Bytes => 0,
            Shape::Int => 1,
            Shape::Hash => 2,
            Shape::List => 3,
            Shape::Set => 4,
            Shape::Zset => 5,
            Shape::Stream => 6,
        };
        for (set, flag) in [
            (self.expires_at.is_some(), FLAG_EXPIRES),
            (self.edited, FLAG_EDITED),
            (self.big, FLAG_BIG),
            (self.name.is_some(), FLAG_DIGESTED),
        ] {
            head |= if set { flag } else { 0 };
        }
        value.push(head);
        if let Some(UnixMs(at)) = self.expires_at {
            value.extend_from_slice(&at.to_be_bytes());
        }
        if let Some(name) = self.name {
            push_name(&mut value, name);
        }
        value.extend_from_slice(self.body);
        value
    }

    pub(super) fn decode(value: &'r [u8]) -> StorageResult<Self> {
        const WHAT: &str = "key row";
        let (&head, mut rest) = value.split_first().ok_or_else(|| corrupt(WHAT, value))?;
        let shape = match head & 0x0f {
            0 => Shape::Bytes,
            1 => Shape::Int,
            2 => Shape::Hash,
            3 => Shape::List,
            4 => Shape::Set,
            5 => Shape::Zset,
            6 => Shape::Stream,
            _ => return Err(corrupt(WHAT, value)),
        };
        let mut expires_at = None;
        if head & FLAG_EXPIRES != 0 {
            expires_at = Some(UnixMs(be_u64(rest, WHAT)?.cast_signed()));
            rest = &rest[8..];
        }
        let mut name = None;
        if head & FLAG_DIGESTED != 0 {
            let (full, after) = split_name(rest, WHAT)?;
            name = Some(full);
            rest = after;
        }
        Ok(Self { shape, expires_at, edited: head & FLAG_EDITED != 0, big: head & FLAG_BIG != 0, name, body: rest })
    }

    /// The key itself, given the part of its row.
    pub(super) fn key<'k>(&self, part: &'k [u8]) -> &'k [u8]
    where
        'r: 'k,
    {
        self.name.unwrap_or(part)
    }

    /// The number, of an integer.
    pub(super) fn int(&self) -> StorageResult<i64> {
        Ok(be_u64(self.body, "integer string")?.cast_signed())
    }

    /// How a set is kept.
    pub(super) fn set_encoding(&self) -> SetEncoding {
        match self.body.get(COLLECTION_BYTES) {
            _ if self.big => SetEncoding::Hashtable,
            Some(1) => SetEncoding::Intset,
            _ => SetEncoding::Listpack,
        }
    }

    /// Version and number of elements, of a collection.
    pub(super) fn collection(&self) -> StorageResult<(u64, u64)> {
        const WHAT: &str = "collection";
        if self.body.len() < 16 {
            return Err(corrupt(WHAT, self.body));
        }
        Ok((be_u64(self.body, WHAT)?, be_u64(&self.body[8..], WHAT)?))
    }
}

/// The body of a collection's row, or its beginning.
pub(super) fn collection_body(version: u64, len: u64) -> [u8; 16] {
    let mut body = [0; 16];
    body[..8].copy_from_slice(&version.to_be_bytes());
    body[8..].copy_from_slice(&len.to_be_bytes());
    body
}

/// The number that `bytes` are the decimal form of, if they are one's only decimal form.
pub(super) fn canonical_int(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [b'0'] => digits.len() == bytes.len(),
        [b'1'..=b'9', ..] => digits.len() <= 19,
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

// ---- expiry ----

/// Start of the expiry rows of a database.
pub(super) fn expiry_prefix(physical: Physical) -> Vec<u8> {
    let mut row = row_with(b'X', EXPIRY_HEADER_BYTES);
    push_physical(&mut row, physical);
    row
}

/// Start of the expiry rows of a time.
pub(super) fn expiry_start(physical: Physical, at: UnixMs) -> Vec<u8> {
    let mut row = expiry_prefix(physical);
    row.extend_from_slice(&(at.0.cast_unsigned() ^ 1 << 63).to_be_bytes());
    row
}

/// Appends a time so that rows sort by it.
pub(super) fn push_time(row: &mut Vec<u8>, at: UnixMs) {
    row.extend_from_slice(&(at.0.cast_unsigned() ^ 1 << 63).to_be_bytes());
}

/// The expiry row of a key.
pub(super) fn expiry_row(physical: Physical, at: UnixMs, key: &[u8]) -> Vec<u8> {
    let mut row = expiry_start(physical, at);
    push_part(&mut row, key);
    row
}

/// Time and part of an expiry row.
pub(super) fn split_expiry(row: &[u8]) -> StorageResult<(UnixMs, &[u8])> {
    const WHAT: &str = "expiry row";
    if row.len() < EXPIRY_HEADER_BYTES {
        return Err(corrupt(WHAT, row));
    }
    let at = be_u64(&row[DATABASE_HEADER_BYTES..], WHAT)? ^ 1 << 63;
    Ok((UnixMs(at.cast_signed()), &row[EXPIRY_HEADER_BYTES..]))
}

// ---- elements ----

/// Start of the elements of a collection.
pub(super) fn element_prefix(version: u64) -> Vec<u8> {
    let mut row = row_with(b'E', ELEMENT_HEADER_BYTES);
    row.extend_from_slice(&version.to_be_bytes());
    row
}

/// The elements of a collection from a hash on.
pub(super) fn elements_from(version: u64, hash: u32) -> RowRange {
    let mut start = element_prefix(version);
    let end = after_prefix(&start);
    start.extend_from_slice(&hash.to_be_bytes());
    RowRange { start, end }
}

/// The row of an element.
pub(super) fn element_row(version: u64, name: &[u8]) -> Vec<u8> {
    let mut row = row_with(b'E', ELEMENT_HEADER_BYTES + part_room(name));
    row.extend_from_slice(&version.to_be_bytes());
    row.extend_from_slice(&name_hash(name).to_be_bytes());
    push_part(&mut row, name);
    row
}

/// The value of an element's row.
pub(super) fn element_value(name: &[u8], value: &[u8]) -> Vec<u8> {
    if !is_digested(name) {
        return value.to_vec();
    }
    let mut bytes = Vec::with_capacity(4 + name.len() + value.len());
    push_name(&mut bytes, name);
    bytes.extend_from_slice(value);
    bytes
}

/// Hash, name and value of an element.
pub(super) fn decode_element<'r>(row: &'r [u8], bytes: &'r [u8]) -> StorageResult<(u32, &'r [u8], &'r [u8])> {
    const WHAT: &str = "element row";
    if row.len() < ELEMENT_HEADER_BYTES {
        return Err(corrupt(WHAT, row));
    }
    let hash = be_u32(&row[9..], WHAT)?;
    let part = &row[ELEMENT_HEADER_BYTES..];
    if is_digested(part) {
        let (name, value) = split_name(bytes, WHAT)?;
        Ok((hash, name, value))
    } else {
        Ok((hash, part, bytes))
    }
}

/// The value in an element's row, when the name is known.
pub(super) fn element_body<'r>(name: &[u8], bytes: &'r [u8]) -> StorageResult<&'r [u8]> {
    if is_digested(name) { Ok(split_name(bytes, "element row")?.1) } else { Ok(bytes) }
}

/// Start of the nodes of a collection's tree.
pub(super) fn node_prefix(version: u64) -> Vec<u8> {
    let mut row = row_with(b'N', NODE_ROW_BYTES);
    row.extend_from_slice(&version.to_be_bytes());
    row
}

/// The row of a node of a collection's tree.
pub(super) fn node_row(version: u64, node: u64) -> Vec<u8> {
    let mut row = node_prefix(version);
    row.extend_from_slice(&node.to_be_bytes());
    row
}

// ---- garbage ----

/// Something dead whose rows are still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Garbage {
    /// The elements of a collection.
    Collection(u64),
    /// The rows of a database.
    Database(Physical),
    /// The rows of a group of a stream, by the stream's version.
    Group(u64, u64),
}

impl Garbage {
    pub(super) fn row(self) -> Vec<u8> {
        let mut row = row_with(b'G', 9);
        match self {
            Self::Collection(version) => {
                row.push(GARBAGE_VERSION);
                row.extend_from_slice(&version.to_be_bytes());
            }
            Self::Database(physical) => {
                row.push(GARBAGE_DATABASE);
                push_physical(&mut row, physical);
            }
            Self::Group(version, group) => {
                row.push(GARBAGE_GROUP);
                row.extend_from_slice(&version.to_be_bytes());
                row.extend_from_slice(&group.to_be_bytes());
            }
        }
        row
    }

    pub(super) fn decode(row: &[u8]) -> StorageResult<Self> {
        const WHAT: &str = "garbage row";
        match (row.get(1), row.len()) {
            (Some(&GARBAGE_VERSION), 10) => Ok(Self::Collection(be_u64(&row[2..], WHAT)?)),
            (Some(&GARBAGE_DATABASE), 6) => Ok(Self::Database(Physical(be_u32(&row[2..], WHAT)?))),
            (Some(&GARBAGE_GROUP), 18) => Ok(Self::Group(be_u64(&row[2..], WHAT)?, be_u64(&row[10..], WHAT)?)),
            _ => Err(corrupt(WHAT, row)),
        }
    }
}

/// All garbage rows.
pub(super) fn garbage_rows() -> RowRange {
    RowRange::with_prefix(b"G".to_vec())
}

/// The number of elements a dead collection had.
pub(super) fn decode_garbage_len(value: &[u8]) -> StorageResult<u64> {
    be_u64(value, "garbage row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_numbers_are_integers() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1.0", None),
            ("12345678901234567890", None),
        ] {
            assert_eq!(canonical_int(text.as_bytes()), number, "{text:?}");
        }
    }

    #[test]
    fn key_rows_round_trip() {
        let long = vec![b'k'; 1000];
        for key in [&b"key"[..], b"", &long] {
            let mut meta = Meta::new(Shape::Bytes, key, b"value");
            for expires_at in [None, Some(UnixMs(-5)), Some(UnixMs(i64::MAX))] {
                meta.expires_at = expires_at;
                meta.edited = !meta.edited;
                let value = meta.encode();
                assert_eq!(Meta::decode(&value).unwrap(), meta);
                for order in [KeyOrder::Slot, KeyOrder::Bytes] {
                    let row = key_row(order, Physical(7), Slot(3), key);
                    assert!(row.len() < ROW_KEY_MAX_BYTES);
                    assert_eq!(meta.key(key_part(order, &row).unwrap()), key);
                }
            }
        }
    }

    #[test]
    fn damaged_values_are_errors() {
        assert!(Meta::decode(b"").is_err());
        assert!(Meta::decode(&[0x0f]).is_err());
        assert!(Meta::decode(&[FLAG_EXPIRES, 1]).is_err());
        assert!(Meta::decode(&[FLAG_DIGESTED, 0, 0, 0, 9, 1]).is_err());
        assert!(StateRow::decode(b"x").is_err());
        assert!(Garbage::decode(b"G").is_err());
    }

    #[test]
    fn expiry_rows_sort_by_time() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX].map(|at| expiry_row(Physical(1), UnixMs(at), b"k"));
        assert!(times.is_sorted());
        assert_eq!(split_expiry(&times[1]).unwrap(), (UnixMs(-1), &b"k"[..]));
    }

    #[test]
    fn long_names_keep_their_prefix_and_stay_distinct() {
        let a = element_row(1, &[b'f'; 401]);
        let b = element_row(1, &[b'f'; 402]);
        assert_ne!(a, b);
        assert!(a.len() < ROW_KEY_MAX_BYTES);
        let value = element_value(&[b'f'; 401], b"v");
        let (_, name, body) = decode_element(&a, &value).unwrap();
        assert_eq!((name, body), (&[b'f'; 401][..], &b"v"[..]));
    }

    #[test]
    fn ranges_end_behind_their_prefix() {
        assert_eq!(after_prefix(&[b'E', 0xff, 0xff]), [b'F']);
        assert_eq!(after_prefix(&[b'E', 1]), [b'E', 2]);
        let range = rows_from_position(KeyOrder::Bytes, Physical(0xff), POSITION_COUNT - 1);
        assert!(range.start < range.end);
        assert!(slot_row(Physical(0xff), Slot(16383), b"zz") < range.end);
    }
}
