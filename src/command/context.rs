//! What a handler is given.

use std::cell::Cell;

use super::error::CommandError;
use crate::storage::store::Store;
use crate::storage::streams::StreamView;
use crate::storage::{
    Address, Engine, Expiry, HashRead, KeyMeta, ListRead, SetRead, StorageResult, StringValue, ZsetRead,
};
use crate::types::rng::Rng;
use crate::types::{Db, Slot, UnixMs};

/// Settings that handlers obey. For writes they are the same on every replica: the first and the last cannot be changed,
/// and the other is in the log.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// Number of databases.
    pub databases: u16,
    /// `proto-max-bulk-len`: longest string a command may build, in bytes.
    pub bulk_max_bytes: i64,
    /// Whether the shard has all keys, so that a command may look at keys that its arguments do not name.
    pub one_shard: bool,
}

/// What a read sees: a store that cannot be changed, a time, and counters.
pub struct ReadContext<'a> {
    /// The shard's store.
    pub store: &'a Store,
    /// The selected database.
    pub db: Db,
    /// The time that decides what has expired.
    pub now: UnixMs,
    /// Settings.
    pub shared: &'a Shared,
    /// Randomness of reads (RANDOMKEY, HRANDFIELD); it need not agree between replicas.
    pub rng: Cell<Rng>,
    /// Keys that were looked up and found.
    pub hits: Cell<u64>,
    /// Keys that were looked up and not found.
    pub misses: Cell<u64>,
    /// Whether look-ups leave a trace for OBJECT IDLETIME (`CLIENT NO-TOUCH` turns it off).
    pub touch: bool,
}

impl<'a> ReadContext<'a> {
    /// The address of `key` in the selected database.
    pub fn at<'k>(&self, key: &'k [u8]) -> Address<'k> {
        Address::new(self.db, key)
    }

    /// The engine that keeps the key.
    pub fn engine(&self, at: Address<'_>) -> &'a dyn Engine {
        self.store.engine(at.db, at.key)
    }

    fn count_only(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.set(counter.get() + 1);
    }

    fn count<T>(&self, found: Option<T>) -> Option<T> {
        self.count_only(found.is_some());
        found
    }

    /// Looks up a string, counting a hit or a miss.
    pub fn string(&self, key: &[u8]) -> StorageResult<Option<StringValue<'a>>> {
        let at = self.at(key).touching(self.touch);
        Ok(self.count(self.engine(at).string(at, self.now)?))
    }

    /// Looks up a hash, counting a hit or a miss.
    pub fn hash(&self, key: &[u8]) -> StorageResult<Option<HashRead<'a>>> {
        let at = self.at(key).touching(self.touch);
        Ok(self.count(self.engine(at).hash(at, self.now)?))
    }

    /// Looks up a list, counting a hit or a miss.
    pub fn list(&self, key: &[u8]) -> StorageResult<Option<ListRead<'a>>> {
        let at = self.at(key).touching(self.touch);
        Ok(self.count(self.engine(at).list(at, self.now)?))
    }

    /// Looks up a sorted set, counting a hit or a miss.
    pub fn zset(&self, key: &[u8]) -> StorageResult<Option<ZsetRead<'a>>> {
        let at = self.at(key).touching(self.touch);
        Ok(self.count(self.engine(at).zset(at, self.now)?))
    }

    /// Looks up a stream, counting a hit or a miss.
    pub fn stream(&self, key: &[u8]) -> StorageResult<Option<Box<dyn StreamView + 'a>>> {
        let at = self.at(key).touching(self.touch);
        Ok(self.count(self.engine(at).stream(at, self.now)?))
    }

    /// Looks up a set, counting a hit or a miss.
    pub fn members(&self, key: &[u8]) -> StorageResult<Option<SetRead<'a>>> {
        let at = self.at(key).touching(self.touch);
        Ok(self.count(self.engine(at).members(at, self.now)?))
    }

    /// Kind and expiry of a key; counts nothing.
    pub fn meta(&self, key: &[u8]) -> StorageResult<Option<KeyMeta>> {
        let at = self.at(key);
        self.engine(at).meta(at, self.now)
    }

    /// Kind and expiry of a key, counting a hit or a miss.
    pub fn lookup_meta(&self, key: &[u8]) -> StorageResult<Option<KeyMeta>> {
        let at = self.at(key);
        let found = self.count(self.engine(at).meta(at, self.now)?);
        if self.touch && found.is_some() {
            self.engine(at).touch(at, self.now);
        }
        Ok(found)
    }

    /// Kind and expiry of a key, counting a hit or a miss but leaving no trace for OBJECT IDLETIME.
    pub fn probe(&self, key: &[u8]) -> StorageResult<Option<KeyMeta>> {
        let found = self.meta(key)?;
        self.count_only(found.is_some());
        Ok(found)
    }

    /// Runs `body` with the generator of this context.
    pub fn with_rng<T>(&self, body: impl FnOnce(&mut Rng) -> T) -> T {
        let mut rng = self.rng.get();
        let result = body(&mut rng);
        self.rng.set(rng);
        result
    }
}

/// What a write sees: the store to change, the entry's time and generator, and no clock.
pub struct WriteContext<'a> {
    /// The shard's store.
    pub store: &'a mut Store,
    /// The selected database.
    pub db: Db,
    /// The log entry's time.
    pub now: UnixMs,
    /// Settings.
    pub shared: &'a Shared,
    /// The first argument, with the slot of that as a key, where that was computed before.
    pub first_argument: Option<(&'a [u8], Slot)>,
    /// Seeded from the log entry: the same on every replica.
    pub rng: &'a mut Rng,
    /// Where a command that names several keys changed one of them only: which. Else all count as changed that it may
    /// have changed by its declaration.
    pub only_changed: Option<Vec<u8>>,
    /// Number of changes made, for `rdb_changes_since_last_save` and later for notifications.
    pub dirty: u64,
    /// Keys that were looked up and found.
    pub hits: u64,
    /// Keys that were looked up and not found.
    pub misses: u64,
}

impl WriteContext<'_> {
    /// The address of `key` in the selected database.
    pub fn at<'k>(&self, key: &'k [u8]) -> Address<'k> {
        Address::with_known(self.db, key, self.first_argument)
    }

    /// The engine that keeps the key.
    pub fn engine(&self, at: Address<'_>) -> &dyn Engine {
        self.store.engine(at.db, at.key)
    }

    /// The engine that keeps the key, to change it.
    pub fn engine_mut(&mut self, at: Address<'_>) -> &mut dyn Engine {
        self.store.engine_mut(at.db, at.key)
    }

    /// Kind and expiry of a key.
    pub fn meta(&self, key: &[u8]) -> StorageResult<Option<KeyMeta>> {
        let at = self.at(key);
        self.engine(at).meta(at, self.now)
    }

    /// Looks up a string.
    pub fn string(&self, key: &[u8]) -> StorageResult<Option<StringValue<'_>>> {
        let at = self.at(key);
        self.engine(at).string(at, self.now)
    }

    /// Looks up a hash.
    pub fn hash(&self, key: &[u8]) -> StorageResult<Option<HashRead<'_>>> {
        let at = self.at(key);
        self.engine(at).hash(at, self.now)
    }

    /// Looks up a list.
    pub fn list(&self, key: &[u8]) -> StorageResult<Option<ListRead<'_>>> {
        let at = self.at(key);
        self.engine(at).list(at, self.now)
    }

    /// Looks up a sorted set.
    pub fn zset(&self, key: &[u8]) -> StorageResult<Option<ZsetRead<'_>>> {
        let at = self.at(key);
        self.engine(at).zset(at, self.now)
    }

    /// Looks up a set.
    pub fn members(&self, key: &[u8]) -> StorageResult<Option<SetRead<'_>>> {
        let at = self.at(key);
        self.engine(at).members(at, self.now)
    }

    /// Counts a hit or a miss, for the writes that also answer what they found.
    pub fn count(&mut self, found: bool) {
        let counter = if found { &mut self.hits } else { &mut self.misses };
        *counter += 1;
    }

    /// Creates or replaces a key with a string, and counts the change.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry) -> StorageResult<()> {
        let (at, now) = (self.at(key), self.now);
        self.engine_mut(at).set_string(at, value, expiry, now)?;
        self.dirty += 1;
        Ok(())
    }

    /// Removes a key, and counts the change if a live one was there.
    pub fn remove(&mut self, key: &[u8]) -> StorageResult<bool> {
        let (at, now) = (self.at(key), self.now);
        let removed = self.engine_mut(at).remove(at, now)?;
        self.dirty += u64::from(removed);
        Ok(removed)
    }

    /// Refuses a string that would be longer than a client may send.
    pub fn check_string_length(&self, length: u64) -> Result<(), CommandError> {
        if length > self.shared.bulk_max_bytes.unsigned_abs() {
            return Err(CommandError::Static("ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
        }
        Ok(())
    }
}
