//! Values as commands see them.

use std::borrow::Cow;

use super::StorageResult;
use super::{hash::HashFields, rows::RowHash};
use crate::types::UnixMs;
use crate::types::rng::Rng;

/// The kinds of value a key can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A byte string.
    String,
    /// A map of fields to byte strings.
    Hash,
}

impl Kind {
    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
        }
    }
}

/// What is known of a key without reading its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMeta {
    /// Kind of its value.
    pub kind: Kind,
    /// When it expires.
    pub expires_at: Option<UnixMs>,
}

/// What a write does to the expiry a key had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The key has none afterwards.
    Clear,
    /// The key keeps what it has.
    Keep,
    /// The key expires then.
    At(UnixMs),
}

/// A string as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringValue<'a> {
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A number that is stored as such; its decimal form is the value.
    Int(i64),
}

impl<'a> StringValue<'a> {
    /// The bytes of the string.
    pub fn into_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Int(number) => Cow::Owned(number.to_string().into_bytes()),
        }
    }
}

/// Where a `SCAN` goes on. Below 2^53 so that every client can hold it as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanCursor(pub u64);

impl ScanCursor {
    /// Begins a walk, and ends one.
    pub const START: Self = Self(0);
}

/// Bytes an engine takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineUsage {
    /// Bytes of memory of its own data structures and caches, as far as it knows.
    pub memory_bytes: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
}

/// A read view of one hash.
pub enum HashRead<'a> {
    /// In the hash engine.
    Native(HashFields<'a>),
    /// As rows.
    Rows(RowHash<'a>),
}

/// Called with a field and its value; answers whether to go on.
pub type VisitField<'v> = dyn FnMut(&[u8], &[u8]) -> bool + 'v;

impl<'a> HashRead<'a> {
    /// Number of fields.
    pub fn len(&self) -> u64 {
        match self {
            Self::Native(hash) => hash.len(),
            Self::Rows(hash) => hash.len(),
        }
    }

    /// Never true: empty hashes do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> StorageResult<Option<Cow<'a, [u8]>>> {
        match self {
            Self::Native(hash) => Ok(hash.get(field).map(Cow::Borrowed)),
            Self::Rows(hash) => hash.get(field),
        }
    }

    /// Visits every field, in an order that depends only on the history of writes.
    pub fn for_each(&self, visit: &mut VisitField<'_>) -> StorageResult<()> {
        match self {
            Self::Native(hash) => {
                hash.for_each(visit);
                Ok(())
            }
            Self::Rows(hash) => hash.for_each(visit),
        }
    }

    /// One step of `HSCAN`, with the guarantees of [`super::Engine::scan`]. A compact hash is
    /// visited whole in one step.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitField<'_>) -> StorageResult<ScanCursor> {
        match self {
            Self::Native(hash) => Ok(hash.scan(cursor, count, visit)),
            Self::Rows(hash) => hash.scan(cursor, count, visit),
        }
    }

    /// Visits one field chosen at random, each with the same chance (as nearly as the engine can).
    pub fn random(&self, rng: &mut Rng, visit: &mut VisitField<'_>) -> StorageResult<()> {
        match self {
            Self::Native(hash) => {
                hash.random(rng, visit);
                Ok(())
            }
            Self::Rows(hash) => hash.random(rng, visit),
        }
    }
}
