//! Whole values, independent of any engine.

use super::value::Kind;

/// A value that has left its engine: what COPY and RENAME carry from one keyspace to another,
/// what snapshots hold and digests are taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The bytes of a string.
    String(Vec<u8>),
    /// Fields and values in the engine's own iteration order, which the receiving engine keeps.
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
}

impl Object {
    /// Which kind of value this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::String(_) => Kind::String,
            Self::Hash(_) => Kind::Hash,
        }
    }
}
