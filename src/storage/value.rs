//! Values as commands see them.

use std::borrow::Cow;

use super::field_expiry::ExpiringField;
pub use super::kind::Kind;
use super::{Object, StorageResult};
use super::{hash::HashFields, rows::RowHash};
use crate::types::UnixMs;
use crate::types::rng::Rng;

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
    /// Number of fields, those included that have expired and were not yet removed.
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

    /// Number of fields that have not expired.
    pub fn live_len(&self) -> StorageResult<u64> {
        match self {
            Self::Native(hash) => Ok(hash.live_len()),
            Self::Rows(hash) => hash.live_len(),
        }
    }

    /// The expiry of a field, if the field is there.
    pub fn field_expiry(&self, field: &[u8]) -> StorageResult<Option<Option<UnixMs>>> {
        match self {
            Self::Native(hash) => Ok(hash.field_expiry(field)),
            Self::Rows(hash) => hash.field_expiry(field),
        }
    }

    /// Whether any field has an expiry.
    pub fn has_expiries(&self) -> bool {
        match self {
            Self::Native(hash) => hash.has_expiries(),
            Self::Rows(hash) => hash.has_expiries(),
        }
    }

    /// The whole hash; `None` when all its fields have expired.
    pub(super) fn object(&self) -> StorageResult<Option<Object>> {
        let mut fields = Vec::with_capacity(usize::try_from(self.len()).unwrap_or(0));
        self.for_each(&mut |field, value| {
            fields.push((field.to_vec(), value.to_vec()));
            true
        })?;
        if fields.is_empty() {
            return Ok(None);
        }
        if !self.has_expiries() {
            return Ok(Some(Object::Hash(fields)));
        }
        let mut expiring = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            let expires_at = self.field_expiry(&field)?.flatten();
            expiring.push(ExpiringField { field, value, expires_at });
        }
        if expiring.iter().any(|field| field.expires_at.is_some()) {
            return Ok(Some(Object::ExpiringHash(expiring)));
        }
        Ok(Some(Object::Hash(expiring.into_iter().map(|field| (field.field, field.value)).collect())))
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

    /// Visits one field chosen at random, each with the same chance (as nearly as the engine can); none if all have
    /// expired.
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
