//! Bytes of log ids, votes and memberships, encoded by hand.
//!
//! openraft's own serialised form is not stable between its versions, and these bytes outlive a
//! process. Everything is little endian:
//!
//! ```text
//! log id       term u64 | node u64 | index u64
//! vote         term u64 | node u64 | committed u8 (0 or 1)
//! option       present u8 (0 or 1) | value, when present
//! membership   version u8 = 1
//!              configs u16 | for each: voters u16 | voter u64 ...
//!              nodes u16   | for each: node u64 | length u16 | bus address, UTF-8
//! ```
//!
//! Log ids and votes carry no version of their own: they live in records and files that have one.

use std::collections::{BTreeMap, BTreeSet};

use super::types::{LeaderId, LogId, Membership, PeerNode, StoredMembership, Vote};
use crate::codec::{DecodeError, Reader};

const MEMBERSHIP_VERSION: u8 = 1;

pub(crate) fn log_id(reader: &mut Reader<'_>) -> Result<LogId, DecodeError> {
    let leader_id = LeaderId { term: reader.u64()?, node_id: reader.u64()? };
    Ok(LogId { leader_id, index: reader.u64()? })
}

pub(crate) fn optional_log_id(reader: &mut Reader<'_>) -> Result<Option<LogId>, DecodeError> {
    if reader.flag()? { log_id(reader).map(Some) } else { Ok(None) }
}

pub(crate) fn vote(reader: &mut Reader<'_>) -> Result<Vote, DecodeError> {
    let leader_id = LeaderId { term: reader.u64()?, node_id: reader.u64()? };
    Ok(Vote { leader_id, committed: reader.flag()? })
}

pub(crate) fn put_log_id(out: &mut Vec<u8>, id: &LogId) {
    out.extend_from_slice(&id.leader_id.term.to_le_bytes());
    out.extend_from_slice(&id.leader_id.node_id.to_le_bytes());
    out.extend_from_slice(&id.index.to_le_bytes());
}

pub(crate) fn put_optional_log_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    out.push(u8::from(id.is_some()));
    if let Some(id) = id {
        put_log_id(out, id);
    }
}

pub(crate) fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    out.extend_from_slice(&vote.leader_id.term.to_le_bytes());
    out.extend_from_slice(&vote.leader_id.node_id.to_le_bytes());
    out.push(u8::from(vote.committed));
}

/// A count of a membership's parts; raft groups have a handful of nodes.
fn count_u16(count: usize) -> [u8; 2] {
    u16::try_from(count).expect("a membership has fewer than 65536 parts").to_le_bytes()
}

pub(crate) fn put_membership(out: &mut Vec<u8>, membership: &Membership) {
    out.push(MEMBERSHIP_VERSION);
    let configs = membership.get_joint_config();
    out.extend_from_slice(&count_u16(configs.len()));
    for voters in configs {
        out.extend_from_slice(&count_u16(voters.len()));
        for voter in voters {
            out.extend_from_slice(&voter.to_le_bytes());
        }
    }
    let nodes: Vec<_> = membership.nodes().collect();
    out.extend_from_slice(&count_u16(nodes.len()));
    for (node, peer) in nodes {
        out.extend_from_slice(&node.to_le_bytes());
        out.extend_from_slice(&count_u16(peer.bus_address.len()));
        out.extend_from_slice(peer.bus_address.as_bytes());
    }
}

/// Reads a membership that fills `bytes`.
pub(crate) fn membership(bytes: &[u8]) -> Result<Membership, DecodeError> {
    let mut reader = Reader::new(bytes, "membership");
    let membership = read_membership(&mut reader)?;
    reader.end()?;
    Ok(membership)
}

fn read_membership(reader: &mut Reader<'_>) -> Result<Membership, DecodeError> {
    if reader.u8()? != MEMBERSHIP_VERSION {
        return Err(reader.error("a membership of an unknown version"));
    }
    let mut configs = Vec::new();
    for _ in 0..reader.u16()? {
        let mut voters = BTreeSet::new();
        for _ in 0..reader.u16()? {
            voters.insert(reader.u64()?);
        }
        configs.push(voters);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..reader.u16()? {
        let node = reader.u64()?;
        let length = usize::from(reader.u16()?);
        let address =
            std::str::from_utf8(reader.bytes(length)?).map_err(|_| reader.error("an address is not UTF-8"))?;
        nodes.insert(node, PeerNode { bus_address: address.to_owned() });
    }
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).map_err(|_| reader.error("a membership that contradicts itself"))
}

pub(crate) fn put_stored_membership(out: &mut Vec<u8>, stored: &StoredMembership) {
    put_optional_log_id(out, stored.log_id().as_ref());
    put_membership(out, stored.membership());
}

/// Reads what [`put_stored_membership`] wrote.
pub(crate) fn stored_membership(reader: &mut Reader<'_>) -> Result<StoredMembership, DecodeError> {
    let log_id = optional_log_id(reader)?;
    Ok(StoredMembership::new(log_id, read_membership(reader)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_id(term: u64, node_id: u64, index: u64) -> LogId {
        LogId { leader_id: LeaderId { term, node_id }, index }
    }

    #[test]
    fn log_ids_and_votes_round_trip() {
        let mut out = Vec::new();
        put_optional_log_id(&mut out, Some(&log_id(3, 1, u64::MAX)));
        put_optional_log_id(&mut out, None);
        let vote = Vote { leader_id: LeaderId { term: 9, node_id: 2 }, committed: true };
        put_vote(&mut out, &vote);
        let mut reader = Reader::new(&out, "sample");
        assert_eq!(optional_log_id(&mut reader), Ok(Some(log_id(3, 1, u64::MAX))));
        assert_eq!(optional_log_id(&mut reader), Ok(None));
        assert_eq!(super::vote(&mut reader), Ok(vote));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn memberships_round_trip_and_every_cut_is_an_error() {
        let nodes = BTreeMap::from_iter((1..=4).map(|node| (node, PeerNode { bus_address: format!("h{node}:7001") })));
        let configs = vec![BTreeSet::from([1, 2]), BTreeSet::from([2, 3])];
        let joint = Membership::new(configs, nodes).expect("a valid membership");
        let mut out = Vec::new();
        put_membership(&mut out, &joint);
        assert_eq!(membership(&out).as_ref(), Ok(&joint));
        for cut in 0..out.len() {
            assert!(membership(&out[..cut]).is_err(), "cut at {cut}");
        }
        let mut empty = Vec::new();
        put_membership(&mut empty, &Membership::default());
        assert_eq!(membership(&empty), Ok(Membership::default()));
    }

    /// The bytes are on disks: they must not change.
    #[test]
    fn membership_bytes_are_fixed() {
        let nodes = BTreeMap::from([(7, PeerNode { bus_address: "a:1".to_owned() })]);
        let mut out = Vec::new();
        put_membership(&mut out, &Membership::new(vec![BTreeSet::from([7])], nodes).expect("a valid membership"));
        let expected =
            [&[1u8, 1, 0, 1, 0][..], &7u64.to_le_bytes(), &[1, 0], &7u64.to_le_bytes(), &[3, 0], b"a:1"].concat();
        assert_eq!(out, expected);
    }
}
