//! The typed store of a shard: keyspaces, each kept by one of three engines.
//!
//! A *keyspace* is a rule `{name, database, key prefix, engine}`; the longest prefix in the
//! database wins. Commands see one typed interface, [`Engine`], which has two implementations:
//! native structures ([`hash::HashEngine`]) and rows over an ordered key-value store
//! ([`rows::RowEngine`], over RocksDB or LMDB).
//!
//! # Invariants
//! - Nothing here reads a clock or an ambient source of randomness: times and generators come in
//!   as arguments, so that all replicas compute the same state.
//! - A read treats a key as absent from the millisecond after its expiry on (`now > expires_at`),
//!   before the sweep has removed it. A write that meets such a key removes it first.
//! - Empty collections do not exist: removing the last element removes the key.
//!
//! This module does not know commands, replies, raft or the network.

pub mod address;
pub mod digest;
#[cfg(test)]
mod engines;
pub mod error;
pub mod field_expiry;
pub mod hash;
mod kind;
pub mod lists;
mod null;
pub mod object;
mod object_codec;
pub mod rdb;
pub mod rows;
pub mod rules;
pub mod sets;
pub mod settings;
pub mod store;
pub mod streams;
pub mod value;
pub mod zsets;

pub use address::{Address, LookUp};
pub use error::{StorageError, StorageResult};
pub use field_expiry::ExpiringField;
pub use lists::{ListEnd, ListRead};
pub use object::Object;
pub use rules::{EngineKind, KeyspaceRule, KeyspaceRules};
pub use sets::SetRead;
pub use settings::EncodingSettings;
pub use value::{Expiry, HashRead, KeyMeta, Kind, ScanCursor, StringValue};
pub use zsets::{ScoreRule, ZaddOutcome, ZsetEdge, ZsetRead};

use crate::types::rng::Rng;
use crate::types::{Db, UnixMs};

/// Called with a key and its kind; answers whether to go on.
pub type VisitKey<'v> = dyn FnMut(&[u8], Kind) -> bool + 'v;

/// The slow part of making an engine durable; see [`Engine::prepare_sync`].
pub type SyncJob = Box<dyn FnOnce() -> StorageResult<()> + Send>;

/// One storage engine's half of a shard: every typed operation a command can ask for.
///
/// `now` is the time that decides whether a key has expired. Reads take `&self` and may run
/// concurrently with each other, never with a write.
pub trait Engine:
    field_expiry::FieldExpiryEngine
    + lists::ListEngine
    + sets::SetEngine
    + zsets::ZsetEngine
    + streams::StreamEngine
    + Send
    + Sync
{
    // ---- keys: reading ----

    /// Kind and expiry of a live key.
    fn meta(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<KeyMeta>>;
    /// Name of the value's encoding as `OBJECT ENCODING` reports it.
    fn encoding(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<&'static str>>;
    /// Approximate bytes that key and value take, index included. An engine that does not know the size of a collection
    /// judges by about `samples` of its elements, by all when that is 0.
    fn memory_usage(&self, at: Address<'_>, samples: usize, now: UnixMs) -> StorageResult<Option<usize>>;
    /// Seconds since the last access of the key, where the engine keeps it (else 0).
    fn idle_seconds(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<u64>>;
    /// Records an access of the key for `OBJECT IDLETIME`; may be a no-op. Never changes the digest.
    fn touch(&self, at: Address<'_>, now: UnixMs);
    /// Brings what these look-ups will read into the processor's caches. Only a hint.
    fn prefetch(&self, look_ups: &[LookUp<'_>]) {
        let _ = look_ups;
    }
    /// Number of keys in the database, expired ones that were not yet swept included.
    fn len(&self, db: Db) -> u64;
    /// Number of keys in the database with an expiry.
    fn expires(&self, db: Db) -> u64;
    /// A random live key, or `None` when there is none (bounded effort over expired keys).
    fn random_key(&self, db: Db, now: UnixMs, rng: &mut Rng) -> StorageResult<Option<Vec<u8>>>;
    /// One step of `SCAN`: visits at least `count` live keys where there are as many, and returns
    /// the next cursor, [`ScanCursor::START`] when the walk is over. A key present during the whole
    /// walk is visited at least once.
    fn scan(
        &self,
        db: Db,
        cursor: ScanCursor,
        count: usize,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<ScanCursor>;
    /// Visits every live key that starts with `prefix`. Engines ordered by key visit in key order
    /// and cost what they visit; the others walk the database.
    fn for_each_key(&self, db: Db, prefix: &[u8], now: UnixMs, visit: &mut VisitKey<'_>) -> StorageResult<()>;
    /// Visits live keys in byte order between two bounds, backwards when `reverse`.
    /// `None` when the engine is not ordered by key.
    fn range(
        &self,
        db: Db,
        start: std::ops::Bound<&[u8]>,
        end: std::ops::Bound<&[u8]>,
        reverse: bool,
        now: UnixMs,
        visit: &mut VisitKey<'_>,
    ) -> StorageResult<Option<()>>;
    /// The whole value as an engine-independent object, for COPY, RENAME, DUMP, DIGEST and snapshots.
    fn object(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<(Object, Option<UnixMs>)>>;
    /// Earliest expiry of all keys, if any key has one.
    fn next_expiry(&self) -> Option<UnixMs>;
    /// Bytes the engine's data takes in memory and on disk, for INFO and KEYSPACE INFO.
    fn usage(&self) -> value::EngineUsage;

    // ---- keys: writing ----

    /// Removes a key; answers whether a live one was there.
    fn remove(&mut self, at: Address<'_>, now: UnixMs) -> StorageResult<bool>;
    /// Sets or clears the expiry of a live key; answers whether the key is there.
    fn set_expiry(&mut self, at: Address<'_>, expires_at: Option<UnixMs>, now: UnixMs) -> StorageResult<bool>;
    /// Creates or replaces a key with the whole value.
    fn put_object(&mut self, at: Address<'_>, object: Object, expires_at: Option<UnixMs>) -> StorageResult<()>;
    /// Puts a live value, with its expiry and its encoding, also at another key of this engine, in the place of what is
    /// there; with `take` it leaves its own. Answers whether there was a value.
    fn transfer(&mut self, from: Address<'_>, to: Address<'_>, take: bool, now: UnixMs) -> StorageResult<bool>;
    /// Removes up to `limit` keys whose expiry is before `now`, oldest first, and reports each.
    /// Deterministic. Returns how many were removed.
    fn expire_due(&mut self, now: UnixMs, limit: usize, removed: &mut dyn FnMut(Db, &[u8])) -> StorageResult<usize>;
    /// Empties a database.
    fn flush_db(&mut self, db: Db) -> StorageResult<()>;
    /// Exchanges the contents of two databases.
    fn swap_db(&mut self, a: Db, b: Db) -> StorageResult<()>;
    /// Tells the engine the thresholds that encodings follow from now on.
    fn set_encoding(&mut self, settings: &EncodingSettings);
    /// The thresholds that encodings follow.
    fn encoding_settings(&self) -> &EncodingSettings;

    // ---- strings ----

    /// The string at a key; `WrongType` when it holds another kind.
    fn string(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<StringValue<'_>>>;
    /// Creates or replaces a key with a string, whatever it held.
    fn set_string(&mut self, at: Address<'_>, value: &[u8], expiry: Expiry, now: UnixMs) -> StorageResult<()>;
    /// The same, but the string stays text where it is the decimal form of a number.
    fn set_text(&mut self, at: Address<'_>, value: &[u8], expiry: Expiry, now: UnixMs) -> StorageResult<()>;
    /// Edits the bytes of a string in place, starting from empty when the key is absent; keeps
    /// its expiry. `WrongType` when the key holds another kind. Amortised O(edit) in the hash
    /// engine for appends. After this the encoding is `raw` however short the string is.
    fn edit_string(&mut self, at: Address<'_>, now: UnixMs, edit: &mut dyn FnMut(&mut Vec<u8>)) -> StorageResult<()>;

    // ---- hashes ----

    /// A read view of the hash at a key; `WrongType` when it holds another kind.
    fn hash(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<HashRead<'_>>>;
    /// Sets fields, creating the hash, and clears their expiries; answers how many fields are new. Later duplicates win.
    fn hash_set(&mut self, at: Address<'_>, pairs: &[(&[u8], &[u8])], now: UnixMs) -> StorageResult<usize>;
    /// Removes fields, and the key with the last one; answers how many were there.
    fn hash_remove(&mut self, at: Address<'_>, fields: &[&[u8]], now: UnixMs) -> StorageResult<usize>;

    // ---- durability (all of them no-ops in memory-only engines) ----

    /// Marks the end of a log entry: everything written since the last call belongs to
    /// `index`, becomes visible to recovery as a whole or not at all.
    fn commit(&mut self, index: u64) -> StorageResult<()>;
    /// The last index that the files of the engine hold, readable after a process crash;
    /// `None` for engines without files. On opening, writes of entries up to it must be skipped.
    fn applied(&self) -> Option<u64>;
    /// Prepares to make everything committed so far durable against loss of power. The job does the
    /// slow part and needs no lock; once it has run, the log up to the last committed index is no
    /// longer needed by this engine. `None` for engines without files.
    fn prepare_sync(&mut self) -> StorageResult<Option<SyncJob>>;
}
