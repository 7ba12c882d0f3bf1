//! Records: the bytes between a segment's header and its end.
//!
//! All numbers are little endian.
//!
//! ```text
//! offset
//!  0  length      u32   bytes of the body
//!  4  body check  u32   crc32 of the body
//!  8  head check  u32   crc32 of the 8 bytes before it
//! 12  body              length bytes
//!       group     u32   shard whose record it is; 2^32-1: the node's own
//!       kind      u8
//!       ...             by kind:
//!
//! kind 1  blank entry       log id
//! kind 2  normal entry      log id | payload, to the end of the body
//! kind 3  membership entry  log id | membership (see `codec`), to the end of the body
//! kind 4  vote              vote
//! kind 5  committed         log id: entries up to it were known to be committed
//! kind 6  truncate after    optional log id: entries after it are gone; none: all of them
//! kind 7  purge             log id: entries up to it are gone, a snapshot has them
//! kind 8  opened            16 bytes: identity of the operating system's boot, zero if unknown
//! kind 9  synced            segment u64 | offset u64: everything before was on disk
//! ```
//!
//! A log id is `term u64 | node u64 | index u64`. Both checks start from a crc32 of the log's
//! random id and the segment's number, so that bytes a client stores, another node's file, or what an
//! earlier segment left in the same file never look like a record. (Numbers that differ in their low 32 bits
//! alone never lead to the same start.) Since a record's segment is known when it is written only, the checks are
//! put in then: [`Framer::seal`].
//!
//! The head has its own check so that a wrong length is recognised as such: the search for valid
//! records behind damage then costs a check of 8 bytes at each offset.

use bytes::Bytes;

use super::super::codec;
use super::super::types::{Entry, EntryPayload, LogId, Payload, Vote};
use super::segment::Header;
use crate::codec::{DecodeError, Reader};

/// Bytes before a record's body.
pub(super) const HEAD_BYTES: usize = 12;
/// Bytes of the shortest body: group and kind.
const BODY_MIN_BYTES: usize = 5;
/// Bytes of an entry's record before its payload.
pub(super) const ENTRY_OVERHEAD_BYTES: usize = HEAD_BYTES + 5 + 24;
/// The group number of records that belong to the node.
pub(super) const NODE_GROUP: u32 = u32::MAX;

/// What errors call the bytes that are read here.
const RECORD: &str = "log record";

const KIND_BLANK: u8 = 1;
const KIND_NORMAL: u8 = 2;
const KIND_MEMBERSHIP: u8 = 3;
const KIND_VOTE: u8 = 4;
const KIND_COMMITTED: u8 = 5;
const KIND_TRUNCATE_AFTER: u8 = 6;
const KIND_PURGE: u8 = 7;
const KIND_OPENED: u8 = 8;
const KIND_SYNCED: u8 = 9;

/// Identity of one run of the operating system.
pub(super) type BootId = [u8; 16];

/// A place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// What a record says.
#[derive(Debug, PartialEq)]
pub(super) enum Body<'a> {
    Entry(LogId, EntryBody<'a>),
    Vote(Vote),
    Committed(LogId),
    TruncateAfter(Option<LogId>),
    Purge(LogId),
    Opened(BootId),
    Synced(Position),
}

/// What an entry's record carries, not copied.
#[derive(Debug, PartialEq)]
pub(super) enum EntryBody<'a> {
    Blank,
    Normal(&'a [u8]),
    Membership(&'a [u8]),
}

impl EntryBody<'_> {
    /// Makes the entry, copying the payload.
    pub(super) fn to_entry(&self, log_id: LogId) -> Result<Entry, DecodeError> {
        let payload = match *self {
            EntryBody::Blank => EntryPayload::Blank,
            EntryBody::Normal(bytes) => EntryPayload::Normal(Payload(Bytes::copy_from_slice(bytes))),
            EntryBody::Membership(bytes) => EntryPayload::Membership(codec::membership(bytes)?),
        };
        Ok(Entry { log_id, payload })
    }
}

/// Appends a record whose body `write` produces after group and kind. Its checks are left out.
fn frame(out: &mut Vec<u8>, group: u32, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.extend_from_slice(&group.to_le_bytes());
    out.push(kind);
    write(out);
    let body = start + HEAD_BYTES;
    let length = u32::try_from(out.len() - body).expect("payloads are limited to LOG_PAYLOAD_MAX_BYTES");
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Appends an entry's record.
pub(super) fn put_entry(out: &mut Vec<u8>, group: u32, entry: &Entry) {
    let id = &entry.log_id;
    match &entry.payload {
        EntryPayload::Blank => frame(out, group, KIND_BLANK, |out| codec::put_log_id(out, id)),
        EntryPayload::Normal(Payload(bytes)) => {
            out.reserve(ENTRY_OVERHEAD_BYTES + bytes.len());
            frame(out, group, KIND_NORMAL, |out| {
                codec::put_log_id(out, id);
                out.extend_from_slice(bytes);
            });
        }
        EntryPayload::Membership(membership) => frame(out, group, KIND_MEMBERSHIP, |out| {
            codec::put_log_id(out, id);
            codec::put_membership(out, membership);
        }),
    }
}

/// Appends a vote's record.
pub(super) fn put_vote(out: &mut Vec<u8>, group: u32, vote: &Vote) {
    frame(out, group, KIND_VOTE, |out| codec::put_vote(out, vote));
}

/// Appends what is known to be committed.
pub(super) fn put_committed(out: &mut Vec<u8>, group: u32, id: &LogId) {
    frame(out, group, KIND_COMMITTED, |out| codec::put_log_id(out, id));
}

/// Appends a truncation.
pub(super) fn put_truncate_after(out: &mut Vec<u8>, group: u32, last: Option<&LogId>) {
    frame(out, group, KIND_TRUNCATE_AFTER, |out| codec::put_optional_log_id(out, last));
}

/// Appends a purge.
pub(super) fn put_purge(out: &mut Vec<u8>, group: u32, id: &LogId) {
    frame(out, group, KIND_PURGE, |out| codec::put_log_id(out, id));
}

/// Appends the boot that the records behind it were written in.
pub(super) fn put_opened(out: &mut Vec<u8>, boot: &BootId) {
    frame(out, NODE_GROUP, KIND_OPENED, |out| out.extend_from_slice(boot));
}

/// Appends what is known to be on disk.
pub(super) fn put_synced(out: &mut Vec<u8>, upto: Position) {
    frame(out, NODE_GROUP, KIND_SYNCED, |out| {
        out.extend_from_slice(&upto.segment.to_le_bytes());
        out.extend_from_slice(&upto.offset.to_le_bytes());
    });
}

/// Checks the records of one segment.
#[derive(Clone)]
pub(super) struct Framer {
    seed: crc32fast::Hasher,
}

/// Why there is no record at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRecord {
    /// The bytes end inside the record.
    Incomplete,
    /// A checksum is wrong.
    Checksum,
    /// The checksums are right, but the body makes no sense to this version.
    Body(DecodeError),
}

impl BadRecord {
    pub(super) fn reason(self) -> &'static str {
        match self {
            BadRecord::Incomplete => "the record is incomplete",
            BadRecord::Checksum => "the checksum does not match",
            BadRecord::Body(error) => error.reason,
        }
    }
}

impl Framer {
    /// For the segment with this header.
    pub(super) fn new(header: &Header) -> Self {
        let mut seed = crc32fast::Hasher::new();
        seed.update(&header.log_id.to_le_bytes());
        if header.binds_records() {
            seed.update(&header.segment.to_le_bytes());
        }
        Self { seed }
    }

    fn check(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.seed.clone();
        hasher.update(bytes);
        hasher.finalize()
    }

    /// Puts the checks into records that lie one behind the other.
    pub(super) fn seal(&self, records: &mut [u8]) {
        let mut rest = records;
        while let Some(length) = rest.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) {
            let (record, behind) = rest.split_at_mut(HEAD_BYTES + length);
            let body_check = self.check(&record[HEAD_BYTES..]);
            record[4..8].copy_from_slice(&body_check.to_le_bytes());
            let head_check = self.check(&record[..8]);
            record[8..HEAD_BYTES].copy_from_slice(&head_check.to_le_bytes());
            rest = behind;
        }
        debug_assert!(rest.is_empty(), "records are whole");
    }

    /// Length of the whole record at the front of `bytes`, if its head is sound.
    pub(super) fn record_length(&self, bytes: &[u8]) -> Result<usize, BadRecord> {
        let head = bytes.get(..HEAD_BYTES).ok_or(BadRecord::Incomplete)?;
        let mut reader = Reader::new(head, RECORD);
        let (length, _, head_check) = (word(&mut reader), word(&mut reader), word(&mut reader));
        if self.check(&head[..8]) != head_check {
            return Err(BadRecord::Checksum);
        }
        Ok(HEAD_BYTES + length as usize)
    }

    /// Reads the record at the front of `bytes`; answers its group, body and length.
    pub(super) fn read<'a>(&self, bytes: &'a [u8]) -> Result<(u32, Body<'a>, usize), BadRecord> {
        let length = self.record_length(bytes)?;
        let body = bytes.get(HEAD_BYTES..length).ok_or(BadRecord::Incomplete)?;
        let mut reader = Reader::new(&bytes[4..8], RECORD);
        if self.check(body) != word(&mut reader) {
            return Err(BadRecord::Checksum);
        }
        let (group, body) = decode_body(body).map_err(BadRecord::Body)?;
        Ok((group, body, length))
    }

    /// Finds the first sound record at or behind `from`.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<usize> {
        (from..bytes.len().saturating_sub(HEAD_BYTES)).find(|&at| {
            // Most of what is no record is told by its length: that takes a fraction of what a check takes.
            let length = bytes[at..].first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
            (BODY_MIN_BYTES..=bytes.len() - at - HEAD_BYTES).contains(&length) && self.read(&bytes[at..]).is_ok()
        })
    }
}

fn word(reader: &mut Reader<'_>) -> u32 {
    reader.u32().expect("the caller checked the length")
}

/// Takes a body apart. Any bytes may come in.
pub(super) fn decode_body(body: &[u8]) -> Result<(u32, Body<'_>), DecodeError> {
    let mut reader = Reader::new(body, RECORD);
    let group = reader.u32()?;
    let kind = reader.u8()?;
    let decoded = match kind {
        KIND_BLANK => Body::Entry(codec::log_id(&mut reader)?, EntryBody::Blank),
        KIND_NORMAL => {
            let id = codec::log_id(&mut reader)?;
            Body::Entry(id, EntryBody::Normal(reader.take_rest()))
        }
        KIND_MEMBERSHIP => {
            let id = codec::log_id(&mut reader)?;
            Body::Entry(id, EntryBody::Membership(reader.take_rest()))
        }
        KIND_VOTE => Body::Vote(codec::vote(&mut reader)?),
        KIND_COMMITTED => Body::Committed(codec::log_id(&mut reader)?),
        KIND_TRUNCATE_AFTER => Body::TruncateAfter(codec::optional_log_id(&mut reader)?),
        KIND_PURGE => Body::Purge(codec::log_id(&mut reader)?),
        KIND_OPENED => Body::Opened(reader.array()?),
        KIND_SYNCED => Body::Synced(Position { segment: reader.u64()?, offset: reader.u64()? }),
        _ => return Err(reader.error("a record of an unknown kind")),
    };
    reader.end()?;
    Ok((group, decoded))
}

#[cfg(test)]
mod tests {
    use super::super::super::types::LeaderId;
    use super::*;

    fn id(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 2, node_id: 1 }, index }
    }

    #[test]
    fn every_kind_round_trips() {
        let framer = Framer::new(&Header::new(77, 1));
        let mut out = Vec::new();
        let entry = Entry { log_id: id(5), payload: EntryPayload::Normal(Payload(Bytes::from_static(b"hello"))) };
        put_entry(&mut out, 3, &entry);
        put_entry(&mut out, 3, &Entry { log_id: id(6), payload: EntryPayload::Blank });
        let vote = Vote { leader_id: id(0).leader_id, committed: true };
        put_vote(&mut out, 4, &vote);
        put_committed(&mut out, 4, &id(6));
        put_truncate_after(&mut out, 4, None);
        put_truncate_after(&mut out, 4, Some(&id(1)));
        put_purge(&mut out, 4, &id(2));
        put_opened(&mut out, &[9; 16]);
        put_synced(&mut out, Position { segment: 1, offset: 2 });
        let expected = [
            (3, Body::Entry(id(5), EntryBody::Normal(b"hello"))),
            (3, Body::Entry(id(6), EntryBody::Blank)),
            (4, Body::Vote(vote)),
            (4, Body::Committed(id(6))),
            (4, Body::TruncateAfter(None)),
            (4, Body::TruncateAfter(Some(id(1)))),
            (4, Body::Purge(id(2))),
            (NODE_GROUP, Body::Opened([9; 16])),
            (NODE_GROUP, Body::Synced(Position { segment: 1, offset: 2 })),
        ];
        framer.seal(&mut out);
        let mut at = 0;
        for (group, body) in expected {
            let (got_group, got, length) = framer.read(&out[at..]).expect("a sound record");
            assert_eq!((got_group, got), (group, body));
            at += length;
        }
        assert_eq!(at, out.len());
        for other in [Header::new(78, 1), Header::new(77, 2), Header { version: 1, ..Header::new(77, 1) }] {
            assert_eq!(
                Framer::new(&other).read(&out),
                Err(BadRecord::Checksum),
                "a record of {other:?} is none of ours"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let framer = Framer::new(&Header::new(1, 1));
        let mut out = Vec::new();
        put_entry(
            &mut out,
            1,
            &Entry { log_id: id(1), payload: EntryPayload::Normal(Payload(Bytes::from_static(b"payload"))) },
        );
        framer.seal(&mut out);
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            assert!(framer.read(&out).is_err(), "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(framer.read(&out).is_ok());
    }
}
