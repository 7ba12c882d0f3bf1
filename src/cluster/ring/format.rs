//! The ring as bytes, for the metadata group.
//!
//! ```text
//! ring  = version u8 | number of shards u16 | shard* | number of tokens u16 | token*
//! shard = id u32 | weight u32 | virtual nodes u16          ascending by id
//! token = slot u16 | position of its shard above u16       ascending by slot
//! ```
//!
//! Numbers are little-endian. A ring of 64 shards with 64 virtual nodes is about 17 KB.

use super::{Member, Members, Ring, RingError, Token};
use crate::types::{SLOT_COUNT, ShardId};

const VERSION: u8 = 1;

impl Ring {
    /// The ring as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(5 + 10 * self.members.len() + 4 * self.tokens.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&count(self.members.len()).to_le_bytes());
        for (shard, member) in &self.members {
            bytes.extend_from_slice(&shard.0.to_le_bytes());
            bytes.extend_from_slice(&member.weight.to_le_bytes());
            bytes.extend_from_slice(&member.virtual_nodes.to_le_bytes());
        }
        bytes.extend_from_slice(&count(self.tokens.len()).to_le_bytes());
        let shards: Vec<ShardId> = self.members.keys().copied().collect();
        for token in &self.tokens {
            let position = shards.binary_search(&token.shard).expect("tokens belong to members");
            bytes.extend_from_slice(&token.slot.to_le_bytes());
            bytes.extend_from_slice(&count(position).to_le_bytes());
        }
        bytes
    }

    /// The ring that [`Ring::encode`] gave these bytes for.
    ///
    /// # Errors
    /// When the bytes are no ring of this version, to the last byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, RingError> {
        let mut input = Input(bytes);
        if input.take::<1>()? != [VERSION] {
            return Err(RingError::Damaged("unknown version"));
        }
        let mut members = Members::new();
        for _ in 0..input.u16()? {
            let shard = ShardId(input.u32()?);
            let member = Member { weight: input.u32()?, virtual_nodes: input.u16()? };
            if members.last_key_value().is_some_and(|(last, _)| *last >= shard) {
                return Err(RingError::Damaged("shards do not ascend"));
            }
            if member.weight == 0 || member.virtual_nodes == 0 {
                return Err(RingError::Damaged("a shard without weight or virtual nodes"));
            }
            members.insert(shard, member);
        }
        let shards: Vec<ShardId> = members.keys().copied().collect();
        let mut has_token = vec![false; shards.len()];
        let mut tokens: Vec<Token> = Vec::new();
        for _ in 0..input.u16()? {
            let slot = input.u16()?;
            let position = usize::from(input.u16()?);
            let &shard = shards.get(position).ok_or(RingError::Damaged("a token of no shard"))?;
            let least = tokens.last().map_or(0, |last| last.slot + 1);
            let in_place = if tokens.is_empty() { slot == 0 } else { (least..SLOT_COUNT).contains(&slot) };
            if !in_place {
                return Err(RingError::Damaged("tokens do not ascend from slot 0"));
            }
            has_token[position] = true;
            tokens.push(Token { slot, shard });
        }
        if has_token.contains(&false) {
            return Err(RingError::Damaged("a shard without tokens"));
        }
        if !input.0.is_empty() {
            return Err(RingError::Damaged("bytes after its end"));
        }
        Ok(Self::from_parts(members, tokens))
    }
}

/// Shards and tokens are at most as many as slots.
fn count(number: usize) -> u16 {
    super::narrow(number as u64)
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], RingError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(RingError::Damaged("it ends early"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn u16(&mut self) -> Result<u16, RingError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, RingError> {
        self.take().map(u32::from_le_bytes)
    }
}
