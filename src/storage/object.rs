//! Whole values, independent of any engine.

use super::field_expiry::ExpiringField;
use super::streams::StreamObject;
use super::value::Kind;

/// A value that has left its engine: what COPY and RENAME carry from one keyspace to another,
/// what snapshots hold and digests are taken over.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// The bytes of a string.
    String(Vec<u8>),
    /// Fields and values in the engine's own iteration order, which the receiving engine keeps.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    /// The same of a hash of which at least one field expires.
    ExpiringHash(Vec<ExpiringField>),
    /// Elements from head to tail.
    List(Vec<Vec<u8>>),
    /// Members in the engine's own iteration order, which the receiving engine keeps.
    Set(Vec<Vec<u8>>),
    /// Members with their scores, in order of score, then member. No score is a NaN.
    Zset(Vec<(Vec<u8>, f64)>),
    /// Entries, groups and counters.
    Stream(Box<StreamObject>),
}

impl Object {
    /// Which kind of value this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::Hash(_) | Self::ExpiringHash(_) => Kind::Hash,
            Self::List(_) => Kind::List,
            Self::Set(_) => Kind::Set,
            Self::Zset(_) => Kind::Zset,
            Self::Stream(_) => Kind::Stream,
        }
    }
}
