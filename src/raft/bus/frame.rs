//! The bytes on a bus connection.
//!
//! A connection carries frames, little endian throughout:
//!
//! ```text
//! offset
//!  0  length    u32   bytes that follow
//!  4  version   u8    = 1
//!  5  kind      u8    see `Kind`
//!  6  service   u8    who handles it; 0 in the kinds that need none
//!  7  reserved  u8    = 0
//!  8  group     u32   raft group, or what the service makes of it
//! 12  request   u64   chosen by who asks, repeated by who answers
//! 20  payload
//! ```
//!
//! The first frame of each direction is a hello, whose payload is:
//!
//! ```text
//!  0  magic     8 bytes "kvorumNB"
//!  8  cluster   u128  0: in no cluster yet
//! 24  node      u64
//! 32  class     u8    0 raft, 1 forward, 2 bulk
//! ```
//!
//! The side that dialled speaks first. The other answers with its own hello, or with a `Refusal` whose
//! payload says why in UTF-8, and closes.

use bytes::Bytes;

use super::Class;
use crate::codec::{DecodeError, Reader};
use crate::types::NodeId;

/// The version of frames, and of the hello.
pub(super) const VERSION: u8 = 1;
/// Bytes of a frame before its payload.
pub(super) const HEADER_BYTES: usize = 20;
/// Bytes of the length field, which does not count itself.
pub(super) const LENGTH_BYTES: usize = 4;
const MAGIC: &[u8; 8] = b"kvorumNB";
/// Bytes of a hello's payload.
pub(super) const HELLO_BYTES: usize = 33;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Opens a connection.
    Hello = 0,
    /// Wants an answer.
    Request = 1,
    /// The answer.
    Answer = 2,
    /// The answer is no; the payload says why.
    Refusal = 3,
    /// Wants no answer.
    OneWay = 4,
    /// Asks for a `Pong`: is anybody there?
    Ping = 5,
    /// Answers a `Ping`.
    Pong = 6,
}

impl Kind {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Kind::Hello,
            1 => Kind::Request,
            2 => Kind::Answer,
            3 => Kind::Refusal,
            4 => Kind::OneWay,
            5 => Kind::Ping,
            6 => Kind::Pong,
            _ => return None,
        })
    }
}

/// What a frame says before its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) service: u8,
    pub(super) group: u32,
    pub(super) request: u64,
}

impl Header {
    pub(super) fn plain(kind: Kind) -> Self {
        Self { kind, service: 0, group: 0, request: 0 }
    }

    /// The header's bytes for a payload of a length that was checked against the limit.
    pub(super) fn encode(&self, payload_bytes: usize) -> [u8; HEADER_BYTES] {
        let length = u32::try_from(HEADER_BYTES - LENGTH_BYTES + payload_bytes).expect("a frame's length fits in u32");
        let mut out = [0; HEADER_BYTES];
        out[..4].copy_from_slice(&length.to_le_bytes());
        out[4] = VERSION;
        out[5] = self.kind as u8;
        out[6] = self.service;
        out[8..12].copy_from_slice(&self.group.to_le_bytes());
        out[12..20].copy_from_slice(&self.request.to_le_bytes());
        out
    }

    /// Reads what follows the length.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, "bus frame");
        if reader.u8()? != VERSION {
            return Err(reader.error("a frame of an unknown version"));
        }
        let kind = Kind::from_code(reader.u8()?).ok_or_else(|| reader.error("a frame of an unknown kind"))?;
        let service = reader.u8()?;
        if reader.u8()? != 0 {
            return Err(reader.error("a frame's reserved byte is not zero"));
        }
        Ok(Self { kind, service, group: reader.u32()?, request: reader.u64()? })
    }
}

/// A frame on its way out: its header and the pieces of its payload.
#[derive(Debug)]
pub(super) struct OutFrame {
    pub(super) head: [u8; HEADER_BYTES],
    pub(super) body: Body,
}

impl OutFrame {
    pub(super) fn new(header: &Header, body: Body) -> Self {
        Self { head: header.encode(body.len()), body }
    }

    pub(super) fn len(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }
}

/// A payload, in pieces that are written one after the other without being copied together.
#[derive(Clone, Debug, Default)]
pub struct Body(pub(super) smallvec::SmallVec<[Bytes; 2]>);

impl Body {
    /// Adds a piece.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.0.push(piece);
        }
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// Bytes of all pieces.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// There is no byte.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Bytes> for Body {
    fn from(piece: Bytes) -> Self {
        let mut body = Body::default();
        body.push(piece);
        body
    }
}

impl From<Vec<u8>> for Body {
    fn from(piece: Vec<u8>) -> Self {
        Bytes::from(piece).into()
    }
}

/// Who is at the other end, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// 0: in no cluster yet.
    pub(super) cluster: u128,
    pub(super) node: NodeId,
    pub(super) class: Class,
}

impl Hello {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(HELLO_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.node.0.to_le_bytes());
        out.push(self.class as u8);
        out.into()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, "bus hello");
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(reader.error("this is not a kvorum bus"));
        }
        let cluster = reader.u128()?;
        let node = NodeId(reader.u64()?);
        let class = Class::from_code(reader.u8()?).ok_or_else(|| reader.error("a connection of an unknown class"))?;
        reader.end()?;
        Ok(Self { cluster, node, class })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_and_every_cut_is_an_error() {
        let header = Header { kind: Kind::Request, service: 9, group: 7, request: u64::MAX };
        let bytes = header.encode(5);
        assert_eq!(bytes[..4], 21u32.to_le_bytes());
        assert_eq!(Header::decode(&bytes[4..]), Ok(header));
        for cut in 4..HEADER_BYTES {
            assert!(Header::decode(&bytes[4..cut]).is_err(), "cut at {cut}");
        }
        for (at, value) in [(4, 2), (5, 99), (7, 1)] {
            let mut other = bytes;
            other[at] = value;
            assert!(Header::decode(&other[4..]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn hellos_round_trip_and_every_cut_is_an_error() {
        let hello = Hello { cluster: u128::MAX - 3, node: NodeId(12), class: Class::Bulk };
        let bytes = hello.encode();
        assert_eq!(bytes.len(), HELLO_BYTES);
        assert_eq!(Hello::decode(&bytes), Ok(hello));
        for cut in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut stranger = bytes.to_vec();
        stranger[0] = b'K';
        assert!(Hello::decode(&stranger).is_err());
    }
}
