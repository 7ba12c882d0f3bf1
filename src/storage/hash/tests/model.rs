//! Random operations on the engine and on maps of the standard library.

use std::collections::{BTreeMap, HashMap};

use super::*;

/// A value of the model, its fields in no order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    String(Vec<u8>),
    Hash(HashMap<Vec<u8>, Vec<u8>>),
}

/// What the engine should hold: by database and key the value and its expiry.
pub(super) type Model = BTreeMap<(Db, Vec<u8>), (Value, Option<UnixMs>)>;

/// An engine and its model, driven by one generator.
pub(super) struct Pair {
    pub(super) engine: HashEngine,
    pub(super) model: Model,
    pub(super) rng: Rng,
    pub(super) now: UnixMs,
}

impl Pair {
    pub(super) fn new(seed: u64) -> Self {
        // Low thresholds, so that all forms come up.
        let encoding =
            EncodingSettings { hash_max_listpack_entries: 6, hash_max_listpack_value: 20, ..Default::default() };
        Self { engine: HashEngine::new(encoding), model: Model::new(), rng: Rng::new(seed), now: NOW }
    }

    fn bytes(&mut self) -> Vec<u8> {
        match self.rng.below(12) {
            0..4 => (self.rng.next_u64() as i64 >> self.rng.below(64)).to_string().into_bytes(),
            4..9 => vec![b'a' + self.rng.below(4) as u8; self.rng.below(30) as usize],
            9..11 => vec![b'x'; self.rng.below(600) as usize],
            _ => vec![b'y'; INLINE_MAX_BYTES - 2 + self.rng.below(5) as usize],
        }
    }

    fn key(&mut self) -> (Db, Vec<u8>) {
        let db = Db(self.rng.below(3) as u16);
        let key = match self.rng.below(3) {
            0 => format!("{{one slot}}{}", self.rng.below(40)),
            1 => format!("key:{}", self.rng.below(40)),
            _ => format!("{}{}", "long".repeat(40), self.rng.below(10)),
        };
        (db, key.into_bytes())
    }

    fn time(&mut self) -> UnixMs {
        UnixMs(self.now.0 - 5 + self.rng.below(60) as i64)
    }

    /// Removes a key of the model that has expired.
    fn settle(&mut self, key: &(Db, Vec<u8>)) {
        let now = self.now;
        if self.model.get(key).is_some_and(|(_, at)| at.is_some_and(|at| now > at)) {
            self.model.remove(key);
        }
    }

    /// One random write to both.
    pub(super) fn step(&mut self) {
        self.now.0 += self.rng.below(3) as i64;
        let now = self.now;
        let key = self.key();
        let at = Address::new(key.0, &key.1);
        match self.rng.below(100) {
            0..25 => {
                let value = self.bytes();
                let expiry = match self.rng.below(3) {
                    0 => Expiry::Clear,
                    1 => Expiry::Keep,
                    _ => Expiry::At(self.time()),
                };
                self.settle(&key);
                self.engine.set_string(at, &value, expiry, now).unwrap();
                let kept = self.model.get(&key).and_then(|(_, at)| *at);
                let expires_at = match expiry {
                    Expiry::Clear => None,
                    Expiry::Keep => kept,
                    Expiry::At(time) => Some(time),
                };
                self.model.insert(key, (Value::String(value), expires_at));
            }
            25..40 => {
                let more = self.bytes();
                self.settle(&key);
                let keep = self.rng.below(50) as usize;
                let edited = self.engine.edit_string(at, now, &mut |bytes| {
                    if keep < 5 {
                        bytes.truncate(keep);
                    }
                    bytes.extend_from_slice(&more);
                });
                let (value, _) = self.model.entry(key).or_insert((Value::String(Vec::new()), None));
                let Value::String(bytes) = value else {
                    assert!(matches!(edited, Err(StorageError::WrongType)));
                    return;
                };
                edited.unwrap();
                if keep < 5 {
                    bytes.truncate(keep);
                }
                bytes.extend_from_slice(&more);
            }
            40..65 => {
                let count = 1 + self.rng.below(4);
                let pairs: Vec<(Vec<u8>, Vec<u8>)> =
                    (0..count).map(|_| (vec![b'f', self.rng.below(12) as u8], self.bytes())).collect();
                let borrowed: Vec<(&[u8], &[u8])> = pairs.iter().map(|(f, v)| (f.as_slice(), v.as_slice())).collect();
                self.settle(&key);
                let added = self.engine.hash_set(at, &borrowed, now);
                let (value, _) = self.model.entry(key).or_insert((Value::Hash(HashMap::new()), None));
                let Value::Hash(fields) = value else {
                    assert!(matches!(added, Err(StorageError::WrongType)));
                    return;
                };
                let expected = pairs.into_iter().filter(|(f, v)| fields.insert(f.clone(), v.clone()).is_none()).count();
                assert_eq!(added.unwrap(), expected);
            }
            65..75 => {
                let fields: Vec<Vec<u8>> =
                    (0..1 + self.rng.below(5)).map(|_| vec![b'f', self.rng.below(12) as u8]).collect();
                let borrowed: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                self.settle(&key);
                let removed = self.engine.hash_remove(at, &borrowed, now);
                match self.model.get_mut(&key) {
                    None => assert_eq!(removed.unwrap(), 0),
                    Some((Value::String(_), _)) => assert!(matches!(removed, Err(StorageError::WrongType))),
                    Some((Value::Hash(map), _)) => {
                        let expected = fields.iter().filter(|field| map.remove(*field).is_some()).count();
                        assert_eq!(removed.unwrap(), expected);
                        if map.is_empty() {
                            self.model.remove(&key);
                        }
                    }
                }
            }
            75..84 => {
                self.settle(&key);
                assert_eq!(self.engine.remove(at, now).unwrap(), self.model.remove(&key).is_some());
            }
            84..92 => {
                let expires_at = if self.rng.below(3) == 0 { None } else { Some(self.time()) };
                self.settle(&key);
                let found = self.model.get_mut(&key);
                assert_eq!(self.engine.set_expiry(at, expires_at, now).unwrap(), found.is_some());
                if let Some((_, at)) = found {
                    *at = expires_at;
                }
            }
            92..96 => {
                let from = self.key();
                let Some((object, expires_at)) = self.engine.object(Address::new(from.0, &from.1), now).unwrap() else {
                    return;
                };
                let copied = self.model[&from].clone();
                assert_eq!(copied.1, expires_at);
                self.engine.put_object(at, object, expires_at).unwrap();
                self.model.insert(key, copied);
            }
            96..99 => self.expire(),
            _ => match self.rng.below(4) {
                0 => {
                    self.engine.flush_db(key.0).unwrap();
                    self.model.retain(|(db, _), _| *db != key.0);
                }
                _ => {
                    let other = Db(self.rng.below(3) as u16);
                    self.engine.swap_db(key.0, other).unwrap();
                    self.model = std::mem::take(&mut self.model)
                        .into_iter()
                        .map(|((db, name), value)| {
                            let db = if db == key.0 {
                                other
                            } else if db == other {
                                key.0
                            } else {
                                db
                            };
                            ((db, name), value)
                        })
                        .collect();
                }
            },
        }
    }

    fn expire(&mut self) {
        let now = self.now;
        let limit = 1 + self.rng.below(6) as usize;
        let mut last = None;
        let mut removed = Vec::new();
        let count = self.engine.expire_due(now, limit, &mut |db, key| removed.push((db, key.to_vec()))).unwrap();
        assert_eq!(count, removed.len());
        for key in removed {
            let (_, expires_at) = self.model.remove(&key).expect("only what is there expires");
            let at = expires_at.expect("only what has an expiry expires");
            assert!(at < now && last <= Some((at, key.0)), "oldest first, then by database");
            last = Some((at, key.0));
        }
        let left = self.model.values().filter_map(|(_, at)| *at).filter(|&at| at < now).count();
        assert!(count == limit || left == 0);
        assert!(
            self.model
                .values()
                .filter_map(|(_, at)| *at)
                .min()
                .is_none_or(|at| last.is_none_or(|(last, _)| last <= at))
        );
    }

    /// Compares everything.
    pub(super) fn check(&self) {
        check(&self.engine, &self.model, self.now);
        let mut expiries: Vec<UnixMs> = self.model.values().filter_map(|(_, at)| *at).collect();
        expiries.sort();
        assert_eq!(self.engine.next_expiry(), expiries.first().copied());
    }
}

/// Compares an engine with a model.
pub(super) fn check(engine: &HashEngine, model: &Model, now: UnixMs) {
    for db in (0..3).map(Db) {
        let of_db = || model.iter().filter(move |((other, _), _)| *other == db);
        assert_eq!(engine.len(db), of_db().count() as u64);
        assert_eq!(engine.expires(db), of_db().filter(|(_, (_, at))| at.is_some()).count() as u64);
        let mut seen = BTreeMap::new();
        let mut visit = |key: &[u8], kind: Kind| seen.insert(key.to_vec(), kind).is_none();
        engine.for_each_key(db, b"", now, &mut visit).unwrap();
        let mut live = 0;
        for ((_, key), (value, expires_at)) in of_db() {
            let at = Address::new(db, key);
            let object = engine.object(at, now).unwrap();
            if expires_at.is_some_and(|at| now > at) {
                assert_eq!(object, None);
                assert_eq!(engine.meta(at, now).unwrap(), None);
                continue;
            }
            live += 1;
            let (object, found_expiry) = object.unwrap();
            assert_eq!(found_expiry, *expires_at);
            assert_eq!(engine.meta(at, now).unwrap().unwrap().expires_at, *expires_at);
            assert_eq!(seen.get(key), Some(&object.kind()));
            assert!(engine.memory_usage(at, 0, now).unwrap().unwrap() > key.len());
            match (object, value) {
                (Object::String(bytes), Value::String(expected)) => {
                    assert_eq!(bytes, *expected);
                    let read = engine.string(at, now).unwrap().unwrap().into_bytes();
                    assert_eq!(read, expected.as_slice());
                }
                (Object::Hash(fields), Value::Hash(expected)) => {
                    let hash = engine.hash(at, now).unwrap().unwrap();
                    assert_eq!(hash.len(), expected.len() as u64);
                    for (field, value) in expected {
                        assert_eq!(hash.get(field).unwrap().as_deref(), Some(value.as_slice()));
                    }
                    assert_eq!(hash.get(b"absent").unwrap(), None);
                    assert_eq!(fields.len(), expected.len());
                    assert_eq!(fields.into_iter().collect::<HashMap<_, _>>(), *expected);
                }
                (object, value) => panic!("{object:?} for {value:?}"),
            }
        }
        assert_eq!(seen.len(), live);
    }
}

#[test]
fn engine_agrees_with_maps() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed);
        for step in 0..3000 {
            pair.step();
            if step % 97 == 0 {
                pair.check();
            }
        }
        pair.check();
        // What the engine thinks it uses returns to nothing with its keys.
        let far = UnixMs(pair.now.0 + 1);
        for (db, key) in pair.model.keys() {
            pair.engine.remove(Address::new(*db, key), far).unwrap();
        }
        let mut empty = HashEngine::new(EncodingSettings::default());
        for db in 0..3 {
            let at = Address::new(Db(db), b"key");
            if pair.engine.database(Db(db)).is_some() {
                empty.set_string(at, b"", Expiry::Clear, far).unwrap();
                empty.remove(at, far).unwrap();
            }
            assert_eq!((pair.engine.len(Db(db)), pair.engine.expires(Db(db))), (0, 0));
        }
        assert_eq!(pair.engine.usage(), empty.usage());
        assert_eq!(pair.engine.next_expiry(), None);
    }
}
