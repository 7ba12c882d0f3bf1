//! Random operations, and the simple model that says what they should do.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kvorum::storage::settings::EMBSTR_MAX_BYTES;
use kvorum::storage::{Address, EncodingSettings, Engine, Expiry, KeyMeta, Kind, Object, StorageError, StorageResult};
use kvorum::types::rng::Rng;
use kvorum::types::{Db, UnixMs};

/// Small, so that random hashes cross the thresholds.
pub(crate) const SETTINGS: EncodingSettings =
    EncodingSettings { hash_max_listpack_entries: 6, hash_max_listpack_value: 12, ..EncodingSettings::DEFAULT };
/// Databases that the operations use.
pub(crate) const DATABASES: u16 = 3;

/// One change of an engine.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    SetString(Db, Vec<u8>, Vec<u8>, Expiry),
    Append(Db, Vec<u8>, Vec<u8>),
    HashSet(Db, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>),
    HashRemove(Db, Vec<u8>, Vec<Vec<u8>>),
    Remove(Db, Vec<u8>),
    SetExpiry(Db, Vec<u8>, Option<UnixMs>),
    PutObject(Db, Vec<u8>, Object, Option<UnixMs>),
    /// Moves or, without the flag, copies. A copy does not expire, because no two keys expire at one time.
    Transfer((Db, Vec<u8>), (Db, Vec<u8>), bool),
    ExpireDue(usize),
    FlushDb(Db),
    SwapDb(Db, Db),
}

/// What a change answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    WrongType,
    Bool(bool),
    Count(usize),
    Removed(Vec<(Db, Vec<u8>)>),
}

/// Does the operation to an engine.
pub(crate) fn apply(engine: &mut dyn Engine, op: &Op, now: UnixMs) -> Reply {
    fn slices(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
        pairs.iter().map(|(field, value)| (&field[..], &value[..])).collect()
    }
    let result: StorageResult<Reply> = match op {
        Op::SetString(db, key, value, expiry) => {
            engine.set_string(Address::new(*db, key), value, *expiry, now).map(|()| Reply::Done)
        }
        Op::Append(db, key, tail) => engine
            .edit_string(Address::new(*db, key), now, &mut |value| value.extend_from_slice(tail))
            .map(|()| Reply::Done),
        Op::HashSet(db, key, pairs) => engine.hash_set(Address::new(*db, key), &slices(pairs), now).map(Reply::Count),
        Op::HashRemove(db, key, fields) => {
            let fields: Vec<&[u8]> = fields.iter().map(|field| &field[..]).collect();
            engine.hash_remove(Address::new(*db, key), &fields, now).map(Reply::Count)
        }
        Op::Remove(db, key) => engine.remove(Address::new(*db, key), now).map(Reply::Bool),
        Op::SetExpiry(db, key, at) => engine.set_expiry(Address::new(*db, key), *at, now).map(Reply::Bool),
        Op::PutObject(db, key, object, at) => {
            engine.put_object(Address::new(*db, key), object.clone(), *at).map(|()| Reply::Done)
        }
        Op::Transfer((from_db, from), (to_db, to), take) => {
            let to = Address::new(*to_db, to);
            engine.transfer(Address::new(*from_db, from), to, *take, now).and_then(|found| {
                if found && !take {
                    engine.set_expiry(to, None, now)?;
                }
                Ok(Reply::Bool(found))
            })
        }
        Op::ExpireDue(limit) => {
            let mut removed = Vec::new();
            let count = engine.expire_due(now, *limit, &mut |db, key| removed.push((db, key.to_vec())));
            count.map(|count| {
                assert_eq!(count, removed.len());
                Reply::Removed(removed)
            })
        }
        Op::FlushDb(db) => engine.flush_db(*db).map(|()| Reply::Done),
        Op::SwapDb(a, b) => engine.swap_db(*a, *b).map(|()| Reply::Done),
    };
    match result {
        Ok(reply) => reply,
        Err(StorageError::WrongType) => Reply::WrongType,
        Err(error) => panic!("{op:?}: {error}"),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    String { bytes: Vec<u8>, edited: bool },
    Hash { fields: BTreeMap<Vec<u8>, Vec<u8>>, big: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    value: Value,
    expires_at: Option<UnixMs>,
}

impl Entry {
    fn is_live(&self, now: UnixMs) -> bool {
        self.expires_at.is_none_or(|at| now <= at)
    }
}

/// What the keys should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    databases: BTreeMap<Db, BTreeMap<Vec<u8>, Entry>>,
}

impl Model {
    fn keys(&mut self, db: Db) -> &mut BTreeMap<Vec<u8>, Entry> {
        self.databases.entry(db).or_default()
    }

    /// Removes the key if it has expired, and looks it up.
    fn find(&mut self, db: Db, key: &[u8], now: UnixMs) -> Option<&mut Entry> {
        let keys = self.keys(db);
        if keys.get(key).is_some_and(|entry| !entry.is_live(now)) {
            keys.remove(key);
        }
        keys.get_mut(key)
    }

    pub(crate) fn apply(&mut self, op: &Op, now: UnixMs) -> Reply {
        match op {
            Op::SetString(db, key, value, expiry) => {
                let kept = self.find(*db, key, now).and_then(|entry| entry.expires_at);
                let expires_at = match *expiry {
                    Expiry::Clear => None,
                    Expiry::Keep => kept,
                    Expiry::At(at) => Some(at),
                };
                let value = Value::String { bytes: value.clone(), edited: false };
                self.keys(*db).insert(key.clone(), Entry { value, expires_at });
                Reply::Done
            }
            Op::Append(db, key, tail) => {
                if self.find(*db, key, now).is_none() {
                    let value = Value::String { bytes: Vec::new(), edited: true };
                    self.keys(*db).insert(key.clone(), Entry { value, expires_at: None });
                }
                match self.find(*db, key, now) {
                    Some(Entry { value: Value::String { bytes, edited }, .. }) => {
                        bytes.extend_from_slice(tail);
                        *edited = true;
                        Reply::Done
                    }
                    _ => Reply::WrongType,
                }
            }
            Op::HashSet(db, key, pairs) => {
                if self.find(*db, key, now).is_none() {
                    let value = Value::Hash { fields: BTreeMap::new(), big: false };
                    self.keys(*db).insert(key.clone(), Entry { value, expires_at: None });
                }
                match self.find(*db, key, now) {
                    Some(Entry { value: Value::Hash { fields, big }, .. }) => {
                        Reply::Count(set_fields(fields, big, pairs))
                    }
                    _ => Reply::WrongType,
                }
            }
            Op::HashRemove(db, key, names) => {
                let (removed, empty) = match self.find(*db, key, now) {
                    None => return Reply::Count(0),
                    Some(Entry { value: Value::Hash { fields, .. }, .. }) => {
                        (names.iter().filter(|name| fields.remove(*name).is_some()).count(), fields.is_empty())
                    }
                    Some(_) => return Reply::WrongType,
                };
                if empty {
                    self.keys(*db).remove(key);
                }
                Reply::Count(removed)
            }
            Op::Remove(db, key) => {
                self.find(*db, key, now);
                Reply::Bool(self.keys(*db).remove(key).is_some())
            }
            Op::SetExpiry(db, key, at) => {
                let found = self.find(*db, key, now);
                Reply::Bool(found.map(|entry| entry.expires_at = *at).is_some())
            }
            Op::PutObject(db, key, object, expires_at) => {
                let value = match object {
                    Object::String(bytes) => Value::String { bytes: bytes.clone(), edited: false },
                    Object::Hash(pairs) => {
                        let (mut fields, mut big) = (BTreeMap::new(), false);
                        set_fields(&mut fields, &mut big, pairs);
                        Value::Hash { fields, big }
                    }
                    other => unreachable!("the model makes no {:?}", other.kind()),
                };
                self.keys(*db).insert(key.clone(), Entry { value, expires_at: *expires_at });
                Reply::Done
            }
            Op::Transfer((from_db, from), (to_db, to), take) => {
                let Some(mut entry) = self.find(*from_db, from, now).cloned() else { return Reply::Bool(false) };
                if *take {
                    self.keys(*from_db).remove(from);
                } else {
                    entry.expires_at = None;
                }
                self.keys(*to_db).insert(to.clone(), entry);
                Reply::Bool(true)
            }
            Op::ExpireDue(limit) => {
                let mut due: Vec<(UnixMs, Db, Vec<u8>)> = Vec::new();
                for (&db, keys) in &self.databases {
                    let expired = keys.iter().filter(|(_, entry)| !entry.is_live(now));
                    due.extend(expired.map(|(key, entry)| (entry.expires_at.unwrap(), db, key.clone())));
                }
                due.sort();
                due.truncate(*limit);
                for (_, db, key) in &due {
                    self.keys(*db).remove(key);
                }
                Reply::Removed(due.into_iter().map(|(_, db, key)| (db, key)).collect())
            }
            Op::FlushDb(db) => {
                self.keys(*db).clear();
                Reply::Done
            }
            Op::SwapDb(a, b) => {
                let (of_a, of_b) = (self.databases.remove(a), self.databases.remove(b));
                self.databases.extend(of_a.map(|keys| (*b, keys)));
                self.databases.extend(of_b.map(|keys| (*a, keys)));
                if a == b {
                    unreachable!("the generator swaps different databases");
                }
                Reply::Done
            }
        }
    }

    /// Keys of a database that reads see.
    pub(crate) fn live_keys(&self, db: Db, now: UnixMs) -> BTreeSet<Vec<u8>> {
        let keys = self.databases.get(&db).into_iter().flatten();
        keys.filter(|(_, entry)| entry.is_live(now)).map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn len(&self, db: Db) -> u64 {
        self.databases.get(&db).map_or(0, |keys| keys.len() as u64)
    }

    pub(crate) fn expires(&self, db: Db) -> u64 {
        let keys = self.databases.get(&db).into_iter().flatten();
        keys.filter(|(_, entry)| entry.expires_at.is_some()).count() as u64
    }

    pub(crate) fn next_expiry(&self) -> Option<UnixMs> {
        self.databases.values().flatten().filter_map(|(_, entry)| entry.expires_at).min()
    }

    fn live(&self, db: Db, key: &[u8], now: UnixMs) -> Option<&Entry> {
        self.databases.get(&db)?.get(key).filter(|entry| entry.is_live(now))
    }

    pub(crate) fn meta(&self, db: Db, key: &[u8], now: UnixMs) -> Option<KeyMeta> {
        let entry = self.live(db, key, now)?;
        let kind = match entry.value {
            Value::String { .. } => Kind::String,
            Value::Hash { .. } => Kind::Hash,
        };
        Some(KeyMeta { kind, expires_at: entry.expires_at })
    }

    pub(crate) fn encoding(&self, db: Db, key: &[u8], now: UnixMs) -> Option<&'static str> {
        Some(match &self.live(db, key, now)?.value {
            Value::String { edited: true, .. } => "raw",
            Value::String { bytes, .. } if is_int(bytes) => "int",
            Value::String { bytes, .. } if bytes.len() <= EMBSTR_MAX_BYTES => "embstr",
            Value::String { .. } => "raw",
            Value::Hash { big: true, .. } => "hashtable",
            Value::Hash { .. } => "listpack",
        })
    }

    /// The string at a key, if it is one.
    pub(crate) fn string(&self, db: Db, key: &[u8], now: UnixMs) -> Option<&[u8]> {
        match &self.live(db, key, now)?.value {
            Value::String { bytes, .. } => Some(bytes),
            Value::Hash { .. } => None,
        }
    }

    /// The hash at a key, if it is one.
    pub(crate) fn hash(&self, db: Db, key: &[u8], now: UnixMs) -> Option<&BTreeMap<Vec<u8>, Vec<u8>>> {
        match &self.live(db, key, now)?.value {
            Value::String { .. } => None,
            Value::Hash { fields, .. } => Some(fields),
        }
    }
}

fn is_int(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .is_some_and(|int| int.to_string().as_bytes() == bytes)
}

fn set_fields(fields: &mut BTreeMap<Vec<u8>, Vec<u8>>, big: &mut bool, pairs: &[(Vec<u8>, Vec<u8>)]) -> usize {
    let mut added = 0;
    for (field, value) in pairs {
        *big |= field.len().max(value.len()) > SETTINGS.hash_max_listpack_value;
        added += usize::from(fields.insert(field.clone(), value.clone()).is_none());
    }
    *big |= fields.len() > SETTINGS.hash_max_listpack_entries;
    added
}

/// Makes operations from a seed.
pub(crate) struct Generator {
    pub rng: Rng,
    pub now: UnixMs,
    keys: Vec<Vec<u8>>,
    fields: Vec<Vec<u8>>,
    times: HashSet<UnixMs>,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut keys: Vec<Vec<u8>> = (0..24).map(|n| format!("key:{n}").into_bytes()).collect();
        keys.extend([
            b"".to_vec(),
            b"\0".to_vec(),
            b"\xff\xff".to_vec(),
            b"key:{tag}1".to_vec(),
            b"key:{tag}2".to_vec(),
        ]);
        // On both sides of the longest key that rows hold as it is, with the same beginning.
        for (length, last) in [(399, b'a'), (400, b'k'), (401, b'z'), (401, b'a'), (700, b'm'), (700, b'b')] {
            let mut key = vec![b'k'; length];
            key[length - 1] = last;
            keys.push(key);
        }
        let mut fields: Vec<Vec<u8>> = (0..14).map(|n| format!("f{n}").into_bytes()).collect();
        fields.extend([b"".to_vec(), vec![b'f'; 400], vec![b'f'; 401], vec![b'f'; 900]]);
        Self { rng: Rng::new(seed), now: UnixMs(1_000_000), keys, fields, times: HashSet::new() }
    }

    pub(crate) fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    pub(crate) fn fields(&self) -> &[Vec<u8>] {
        &self.fields
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    fn one_of(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    pub(crate) fn db(&mut self) -> Db {
        Db(self.below(u64::from(DATABASES)) as u16)
    }

    pub(crate) fn key(&mut self) -> Vec<u8> {
        let n = self.one_of(self.keys.len());
        self.keys[n].clone()
    }

    fn field(&mut self) -> Vec<u8> {
        let n = self.one_of(self.fields.len());
        self.fields[n].clone()
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(6) {
            0 => self.below(1000).to_string().into_bytes(),
            1 => (self.rng.next_u64().cast_signed()).to_string().into_bytes(),
            2 => b"007".to_vec(),
            3 => vec![b'x'; self.one_of(100)],
            4 => vec![0xff; 45],
            _ => b"value".to_vec(),
        }
    }

    /// A time no other key has, so that the order of expiry is determined.
    fn time(&mut self) -> UnixMs {
        loop {
            let at = UnixMs(self.now.0 - 1000 + self.below(40_000).cast_signed());
            if self.times.insert(at) {
                return at;
            }
        }
    }

    fn maybe_time(&mut self) -> Option<UnixMs> {
        (self.below(3) == 0).then(|| self.time())
    }

    fn pairs(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let count = 1 + self.below(5);
        (0..count).map(|_| (self.field(), self.value())).collect()
    }

    pub(crate) fn op(&mut self) -> Op {
        let (db, key) = (self.db(), self.key());
        match self.below(100) {
            0..20 => {
                let expiry = match self.below(4) {
                    0 => Expiry::Keep,
                    1 => Expiry::At(self.time()),
                    _ => Expiry::Clear,
                };
                Op::SetString(db, key, self.value(), expiry)
            }
            20..28 => Op::Append(db, key, self.value()),
            28..56 => Op::HashSet(db, key, self.pairs()),
            56..70 => {
                let count = 1 + self.below(6);
                Op::HashRemove(db, key, (0..count).map(|_| self.field()).collect())
            }
            70..78 => Op::Remove(db, key),
            78..85 => Op::SetExpiry(db, key, self.maybe_time()),
            85..89 => {
                let other = (self.db(), self.key());
                if other == (db, key.clone()) {
                    Op::Remove(db, key)
                } else {
                    Op::Transfer(other, (db, key), self.below(2) == 0)
                }
            }
            89..92 => {
                let object = if self.below(2) == 0 { Object::String(self.value()) } else { Object::Hash(self.pairs()) };
                Op::PutObject(db, key, object, self.maybe_time())
            }
            92..97 => {
                self.now.0 += self.below(2000).cast_signed();
                Op::ExpireDue(self.one_of(5))
            }
            97 => Op::FlushDb(db),
            _ => Op::SwapDb(db, Db((db.0 + 1) % DATABASES)),
        }
    }
}
