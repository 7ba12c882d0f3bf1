//! Raft's messages between nodes, encoded by hand.
//!
//! Each is the payload of a bus frame, whose header names the service and the group. Little endian; log
//! ids, votes, options and memberships as `codec` has them:
//!
//! ```text
//! append request    version u8 = 1 | vote | option log id: entry before | option log id: committed
//!                   count u32 | for each entry: log id | kind u8 | length u32
//!                   then the contents of all entries, one after the other
//!                   kind 0 blank, 1 payload, 2 membership
//! append answer     version u8 = 1 | code u8
//!                   code 0 success | 1 conflict | 2 higher vote: vote | 3 success up to: option log id
//! vote request      version u8 = 1 | vote | option log id: last | leadership is handed over u8
//! vote answer       version u8 = 1 | vote | granted u8 | option log id: last
//! transfer request  version u8 = 1 | vote | to node u64 | option log id: last
//! read answer       version u8 = 1 | index u64
//! snapshot request  version u8 = 1 | step u8
//!                   step 0 begin    vote | length u64 | check u32 | header length u32 | header
//!                   step 1 chunk    transfer u64 | offset u64 | bytes
//!                   step 2 finish   transfer u64 | vote
//! snapshot answer   version u8 = 1 | code u8
//!                   code 0 go on    transfer u64 | offset u64
//!                   code 1 vote     vote
//! ```
//!
//! The contents of an append request come last so that they can be sent from where they are, uncopied.

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};

use super::bus::Body;
use super::codec::{self, log_id, optional_log_id, put_log_id, put_optional_log_id, put_vote};
use super::types::{Entry, EntryPayload, Payload, TypeConfig, Vote};
use crate::codec::{DecodeError, Reader};

pub(super) type Append = AppendEntriesRequest<TypeConfig>;
pub(super) type AppendAnswer = AppendEntriesResponse<TypeConfig>;
pub(super) type VoteCall = VoteRequest<TypeConfig>;
pub(super) type VoteAnswer = VoteResponse<TypeConfig>;
pub(super) type Transfer = TransferLeaderRequest<TypeConfig>;

const VERSION: u8 = 1;
/// Contents shorter than this are copied behind the head of the message.
const COPY_MAX_BYTES: usize = 16 * 1024;
/// Contents shorter than this are copied out of the frame they came in, so that an entry that stays in
/// memory does not keep its neighbours there.
const KEEP_FRAME_MIN_BYTES: usize = 16 * 1024;
/// Bytes of an entry in an append request before its contents.
const ENTRY_HEAD_BYTES: usize = 24 + 1 + 4;

fn versioned(bytes: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(bytes, "raft message");
    match reader.u8()? {
        VERSION => Ok(reader),
        _ => Err(reader.error("a raft message of an unknown version")),
    }
}

pub(super) fn append(request: &Append) -> Body {
    let mut head = vec![VERSION];
    put_vote(&mut head, &request.vote);
    put_optional_log_id(&mut head, request.prev_log_id.as_ref());
    put_optional_log_id(&mut head, request.leader_commit.as_ref());
    let count = u32::try_from(request.entries.len()).expect("a request has fewer than 2^32 entries");
    head.extend_from_slice(&count.to_le_bytes());
    let mut contents = Vec::with_capacity(request.entries.len());
    for entry in &request.entries {
        let (kind, content) = match &entry.payload {
            EntryPayload::Blank => (0, Bytes::new()),
            EntryPayload::Normal(payload) => (1, payload.0.clone()),
            EntryPayload::Membership(membership) => {
                let mut out = Vec::new();
                codec::put_membership(&mut out, membership);
                (2, out.into())
            }
        };
        put_log_id(&mut head, &entry.log_id);
        head.push(kind);
        let length = u32::try_from(content.len()).expect("a payload's length was checked when it was proposed");
        head.extend_from_slice(&length.to_le_bytes());
        contents.push(content);
    }
    let mut body = Body::default();
    for content in contents {
        if content.len() < COPY_MAX_BYTES {
            head.extend_from_slice(&content);
        } else {
            body.push(std::mem::take(&mut head).into());
            body.push(content);
        }
    }
    body.push(head.into());
    body
}

pub(super) fn read_append(frame: &Bytes) -> Result<Append, DecodeError> {
    let mut reader = versioned(frame)?;
    let vote = codec::vote(&mut reader)?;
    let prev_log_id = optional_log_id(&mut reader)?;
    let leader_commit = optional_log_id(&mut reader)?;
    let count = reader.u32()? as usize;
    // The number is checked before memory is taken for it.
    let heads_bytes = count.checked_mul(ENTRY_HEAD_BYTES).ok_or_else(|| reader.error("too many entries"))?;
    let mut heads = Reader::new(reader.bytes(heads_bytes)?, "raft message");
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (log_id, kind, length) = (log_id(&mut heads)?, heads.u8()?, heads.u32()? as usize);
        let content = reader.bytes(length)?;
        let payload = match kind {
            0 if length == 0 => EntryPayload::Blank,
            1 if length < KEEP_FRAME_MIN_BYTES => EntryPayload::Normal(Payload(Bytes::copy_from_slice(content))),
            1 => EntryPayload::Normal(Payload(frame.slice_ref(content))),
            2 => EntryPayload::Membership(codec::membership(content)?),
            _ => return Err(reader.error("an entry of an unknown kind")),
        };
        entries.push(Entry { log_id, payload });
    }
    reader.end()?;
    Ok(Append { vote, prev_log_id, entries, leader_commit })
}

pub(super) fn append_answer(answer: &AppendAnswer) -> Vec<u8> {
    let mut out = vec![VERSION];
    match answer {
        AppendAnswer::Success => out.push(0),
        AppendAnswer::Conflict => out.push(1),
        AppendAnswer::HigherVote(vote) => {
            out.push(2);
            put_vote(&mut out, vote);
        }
        AppendAnswer::PartialSuccess(upto) => {
            out.push(3);
            put_optional_log_id(&mut out, upto.as_ref());
        }
    }
    out
}

pub(super) fn read_append_answer(bytes: &[u8]) -> Result<AppendAnswer, DecodeError> {
    let mut reader = versioned(bytes)?;
    let answer = match reader.u8()? {
        0 => AppendAnswer::Success,
        1 => AppendAnswer::Conflict,
        2 => AppendAnswer::HigherVote(codec::vote(&mut reader)?),
        3 => AppendAnswer::PartialSuccess(optional_log_id(&mut reader)?),
        _ => return Err(reader.error("an answer of an unknown kind")),
    };
    reader.end()?;
    Ok(answer)
}

pub(super) fn vote(request: &VoteCall) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_vote(&mut out, &request.vote);
    put_optional_log_id(&mut out, request.last_log_id.as_ref());
    out.push(u8::from(request.leadership_transfer));
    out
}

pub(super) fn read_vote(bytes: &[u8]) -> Result<VoteCall, DecodeError> {
    let mut reader = versioned(bytes)?;
    let mut request = VoteCall::new(codec::vote(&mut reader)?, optional_log_id(&mut reader)?);
    request.leadership_transfer = reader.flag()?;
    reader.end()?;
    Ok(request)
}

pub(super) fn vote_answer(answer: &VoteAnswer) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_vote(&mut out, &answer.vote);
    out.push(u8::from(answer.vote_granted));
    put_optional_log_id(&mut out, answer.last_log_id.as_ref());
    out
}

pub(super) fn read_vote_answer(bytes: &[u8]) -> Result<VoteAnswer, DecodeError> {
    let mut reader = versioned(bytes)?;
    let (vote, granted) = (codec::vote(&mut reader)?, reader.flag()?);
    let answer = VoteAnswer::new(vote, optional_log_id(&mut reader)?, granted);
    reader.end()?;
    Ok(answer)
}

pub(super) fn transfer(request: &Transfer) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_vote(&mut out, request.from_leader());
    out.extend_from_slice(&request.to_node_id().to_le_bytes());
    put_optional_log_id(&mut out, request.last_log_id());
    out
}

pub(super) fn read_transfer(bytes: &[u8]) -> Result<Transfer, DecodeError> {
    let mut reader = versioned(bytes)?;
    let (from, to) = (codec::vote(&mut reader)?, reader.u64()?);
    let request = Transfer::new(from, to, optional_log_id(&mut reader)?);
    reader.end()?;
    Ok(request)
}

pub(super) fn read_index(index: u64) -> Vec<u8> {
    [&[VERSION][..], &index.to_le_bytes()].concat()
}

pub(super) fn read_read_index(bytes: &[u8]) -> Result<u64, DecodeError> {
    let mut reader = versioned(bytes)?;
    let index = reader.u64()?;
    reader.end()?;
    Ok(index)
}

/// A step of sending a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SnapshotCall {
    /// Announces the file: how long it is, the check in its footer, and its header, which says what it
    /// contains.
    Begin { vote: Vote, length: u64, check: u32, header: Bytes },
    /// Bytes of the file.
    Chunk { transfer: u64, offset: u64, bytes: Bytes },
    /// All bytes were sent: install it.
    Finish { transfer: u64, vote: Vote },
}

/// What the receiver says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SnapshotAnswer {
    /// Everything before the offset is there.
    GoOn { transfer: u64, offset: u64 },
    /// Installed, or refused because of this vote.
    Vote(Vote),
}

pub(super) fn snapshot(call: &SnapshotCall) -> Body {
    let mut head = vec![VERSION];
    match call {
        SnapshotCall::Begin { vote, length, check, header } => {
            head.push(0);
            put_vote(&mut head, vote);
            head.extend_from_slice(&length.to_le_bytes());
            head.extend_from_slice(&check.to_le_bytes());
            let header_length = u32::try_from(header.len()).expect("a snapshot's header is short");
            head.extend_from_slice(&header_length.to_le_bytes());
            head.extend_from_slice(header);
            head.into()
        }
        SnapshotCall::Chunk { transfer, offset, bytes } => {
            head.push(1);
            head.extend_from_slice(&transfer.to_le_bytes());
            head.extend_from_slice(&offset.to_le_bytes());
            let mut body = Body::from(head);
            body.push(bytes.clone());
            body
        }
        SnapshotCall::Finish { transfer, vote } => {
            head.push(2);
            head.extend_from_slice(&transfer.to_le_bytes());
            put_vote(&mut head, vote);
            head.into()
        }
    }
}

pub(super) fn read_snapshot(frame: &Bytes) -> Result<SnapshotCall, DecodeError> {
    let mut reader = versioned(frame)?;
    let call = match reader.u8()? {
        0 => {
            let (vote, length, check) = (codec::vote(&mut reader)?, reader.u64()?, reader.u32()?);
            let header_length = reader.u32()? as usize;
            let header = frame.slice_ref(reader.bytes(header_length)?);
            SnapshotCall::Begin { vote, length, check, header }
        }
        1 => {
            let (transfer, offset) = (reader.u64()?, reader.u64()?);
            let rest = reader.take_rest();
            SnapshotCall::Chunk { transfer, offset, bytes: frame.slice_ref(rest) }
        }
        2 => SnapshotCall::Finish { transfer: reader.u64()?, vote: codec::vote(&mut reader)? },
        _ => return Err(reader.error("a step of an unknown kind")),
    };
    reader.end()?;
    Ok(call)
}

pub(super) fn snapshot_answer(answer: &SnapshotAnswer) -> Vec<u8> {
    let mut out = vec![VERSION];
    match answer {
        SnapshotAnswer::GoOn { transfer, offset } => {
            out.push(0);
            out.extend_from_slice(&transfer.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
        }
        SnapshotAnswer::Vote(vote) => {
            out.push(1);
            put_vote(&mut out, vote);
        }
    }
    out
}

pub(super) fn read_snapshot_answer(bytes: &[u8]) -> Result<SnapshotAnswer, DecodeError> {
    let mut reader = versioned(bytes)?;
    let answer = match reader.u8()? {
        0 => SnapshotAnswer::GoOn { transfer: reader.u64()?, offset: reader.u64()? },
        1 => SnapshotAnswer::Vote(codec::vote(&mut reader)?),
        _ => return Err(reader.error("an answer of an unknown kind")),
    };
    reader.end()?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Debug;

    use super::super::types::{LeaderId, LogId, Membership, PeerNode};
    use super::*;

    fn log_id(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 3, node_id: 2 }, index }
    }

    fn a_vote() -> Vote {
        Vote { leader_id: LeaderId { term: 3, node_id: 2 }, committed: true }
    }

    fn flat(body: &Body) -> Bytes {
        body.pieces().flat_map(|piece| piece.to_vec()).collect::<Vec<u8>>().into()
    }

    fn every_cut_is_an_error<T: Debug>(bytes: &Bytes, read: impl Fn(&Bytes) -> Result<T, DecodeError>) {
        for cut in 0..bytes.len() {
            assert!(read(&bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert!(read(&longer.into()).is_err(), "a byte too much");
        let mut other = bytes.to_vec();
        other[0] = 9;
        assert!(read(&other.into()).is_err(), "another version");
    }

    #[test]
    fn append_requests_round_trip_with_small_large_and_no_contents() {
        let nodes = BTreeMap::from([(1, PeerNode { bus_address: "a:1".to_owned() })]);
        let membership = Membership::new(vec![BTreeSet::from([1])], nodes).expect("valid");
        let normal = |bytes: usize| EntryPayload::Normal(Payload(vec![7; bytes].into()));
        let payloads =
            [EntryPayload::Blank, normal(3), EntryPayload::Membership(membership), normal(40_000), normal(0)];
        let entries: Vec<_> =
            payloads.into_iter().zip(5..).map(|(payload, index)| Entry { log_id: log_id(index), payload }).collect();
        for entries in [Vec::new(), entries] {
            let request =
                Append { vote: a_vote(), prev_log_id: Some(log_id(4)), entries, leader_commit: Some(log_id(2)) };
            let bytes = flat(&append(&request));
            let read = read_append(&bytes).expect("sound");
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
            assert!(read.entries == request.entries);
            for cut in (0..bytes.len()).filter(|cut| *cut < 400 || bytes.len() - cut < 20) {
                assert!(read_append(&bytes.slice(..cut)).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_count_of_entries_that_cannot_be_takes_no_memory() {
        let request = Append { vote: a_vote(), prev_log_id: None, entries: Vec::new(), leader_commit: None };
        let mut bytes = flat(&append(&request)).to_vec();
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(read_append(&bytes.into()).is_err());
    }

    #[test]
    fn answers_and_votes_round_trip_and_every_cut_is_an_error() {
        let answers = [
            AppendAnswer::Success,
            AppendAnswer::Conflict,
            AppendAnswer::HigherVote(a_vote()),
            AppendAnswer::PartialSuccess(Some(log_id(8))),
        ];
        for answer in answers {
            let bytes = Bytes::from(append_answer(&answer));
            assert_eq!(read_append_answer(&bytes), Ok(answer));
            every_cut_is_an_error(&bytes, |bytes| read_append_answer(bytes));
        }
        let mut call = VoteCall::new(a_vote(), Some(log_id(8)));
        call.leadership_transfer = true;
        let bytes = Bytes::from(vote(&call));
        assert_eq!(read_vote(&bytes), Ok(call));
        every_cut_is_an_error(&bytes, |bytes| read_vote(bytes));
        let answer = VoteAnswer::new(a_vote(), None, true);
        let bytes = Bytes::from(vote_answer(&answer));
        assert_eq!(read_vote_answer(&bytes), Ok(answer));
        every_cut_is_an_error(&bytes, |bytes| read_vote_answer(bytes));
        let handing_over = Transfer::new(a_vote(), 5, Some(log_id(1)));
        let bytes = Bytes::from(transfer(&handing_over));
        assert_eq!(read_transfer(&bytes), Ok(handing_over));
        every_cut_is_an_error(&bytes, |bytes| read_transfer(bytes));
        let bytes = Bytes::from(read_index(77));
        assert_eq!(read_read_index(&bytes), Ok(77));
        every_cut_is_an_error(&bytes, |bytes| read_read_index(bytes));
    }

    #[test]
    fn snapshot_steps_round_trip_and_every_cut_is_an_error() {
        let begin = SnapshotCall::Begin { vote: a_vote(), length: 9, check: 8, header: Bytes::from_static(b"head") };
        let finish = SnapshotCall::Finish { transfer: 4, vote: a_vote() };
        for call in [begin, finish] {
            let bytes = flat(&snapshot(&call));
            assert_eq!(read_snapshot(&bytes), Ok(call));
            every_cut_is_an_error(&bytes, read_snapshot);
        }
        let chunk = SnapshotCall::Chunk { transfer: 4, offset: 5, bytes: Bytes::from_static(b"data") };
        let bytes = flat(&snapshot(&chunk));
        assert_eq!(read_snapshot(&bytes), Ok(chunk));
        for cut in 0..18 {
            assert!(read_snapshot(&bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
        for answer in [SnapshotAnswer::GoOn { transfer: 4, offset: 12 }, SnapshotAnswer::Vote(a_vote())] {
            let bytes = Bytes::from(snapshot_answer(&answer));
            assert_eq!(read_snapshot_answer(&bytes), Ok(answer));
            every_cut_is_an_error(&bytes, |bytes| read_snapshot_answer(bytes));
        }
    }
}
