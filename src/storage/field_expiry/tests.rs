//! Random hashes with fields that expire on every engine, against maps of the standard library.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::storage::digest::digest_value;
use crate::storage::engines::{each, load_damaged, reload, snapshot};
use crate::storage::hash::HashEngine;
use crate::storage::{EncodingSettings, Engine, HashRead, Object, ScanCursor};
use crate::types::rng::Rng;

const NOW: UnixMs = UnixMs(1_000_000);

fn settings() -> EncodingSettings {
    EncodingSettings { hash_max_listpack_entries: 5, hash_max_listpack_value: 12, ..EncodingSettings::default() }
}

/// A hash of the model: its fields with values and expiries.
#[derive(Clone, Debug, Default, PartialEq)]
struct Expected {
    fields: BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMs>)>,
    /// A field had an expiry.
    expiring: bool,
    big: bool,
    expires_at: Option<UnixMs>,
}

impl Expected {
    fn live(&self, now: UnixMs) -> BTreeMap<&Vec<u8>, &(Vec<u8>, Option<UnixMs>)> {
        self.fields.iter().filter(|(_, (_, at))| at.is_none_or(|at| now <= at)).collect()
    }

    fn is_live(&self, field: &[u8], now: UnixMs) -> bool {
        self.fields.get(field).is_some_and(|(_, at)| at.is_none_or(|at| now <= at))
    }

    fn set(&mut self, pairs: &[(Vec<u8>, Vec<u8>)], keep: bool, now: UnixMs) -> usize {
        let mut added = 0;
        for (field, value) in pairs {
            let live = self.is_live(field, now);
            added += usize::from(!live);
            let before = self.fields.get(field).and_then(|(_, at)| *at);
            self.fields.insert(field.clone(), (value.clone(), before.filter(|_| keep && live)));
            self.big |= field.len().max(value.len()) > settings().hash_max_listpack_value;
        }
        self.big |= self.fields.len() > settings().hash_max_listpack_entries;
        added
    }

    fn encoding(&self) -> &'static str {
        match (self.big, self.expiring) {
            (true, _) => "hashtable",
            (false, true) => "listpackex",
            (false, false) => "listpack",
        }
    }
}

#[derive(Default)]
struct Model {
    hashes: BTreeMap<(Db, Vec<u8>), Expected>,
}

impl Model {
    fn settle(&mut self, key: &(Db, Vec<u8>), now: UnixMs) {
        if self.hashes.get(key).is_some_and(|hash| hash.expires_at.is_some_and(|at| now > at)) {
            self.hashes.remove(key);
        }
    }

    fn next(&self) -> Option<UnixMs> {
        self.hashes.values().flat_map(|hash| hash.fields.values().filter_map(|(_, at)| *at)).min()
    }
}

fn field(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0 => vec![b'y'; 398 + rng.below(5) as usize],
        _ => vec![b'a' + rng.below(7) as u8],
    }
}

fn pairs(rng: &mut Rng) -> Vec<(Vec<u8>, Vec<u8>)> {
    let value = |rng: &mut Rng| vec![b'v'; if rng.below(30) == 0 { 20 } else { rng.below(6) as usize }];
    (0..1 + rng.below(3)).map(|_| (field(rng), value(rng))).collect()
}

fn key(rng: &mut Rng) -> (Db, Vec<u8>) {
    (Db(rng.below(2) as u16), format!("key{}", rng.below(4)).into_bytes())
}

fn step(engine: &mut dyn Engine, model: &mut Model, rng: &mut Rng, now: UnixMs) {
    let key = key(rng);
    let at = Address::new(key.0, &key.1);
    let action = rng.below(40);
    // A key that has expired goes when it is written to; these write to others, or only read.
    if !matches!(action, 31..35 | 37 | 39) {
        model.settle(&key, now);
    }
    match action {
        0..12 => {
            let pairs = pairs(rng);
            let slices: Vec<(&[u8], &[u8])> = pairs.iter().map(|(f, v)| (&f[..], &v[..])).collect();
            let keep = rng.below(2) == 0;
            let added = if keep {
                engine.hash_update(at, &slices, now).unwrap()
            } else {
                engine.hash_set(at, &slices, now).unwrap()
            };
            assert_eq!(added, model.hashes.entry(key).or_default().set(&pairs, keep, now));
        }
        12..17 => {
            let fields: Vec<Vec<u8>> = (0..1 + rng.below(4)).map(|_| field(rng)).collect();
            let slices: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            let removed = engine.hash_remove(at, &slices, now).unwrap();
            let Some(hash) = model.hashes.get_mut(&key) else { return assert_eq!(removed, 0) };
            let mut expected = 0;
            for field in &fields {
                expected += usize::from(hash.is_live(field, now));
                hash.fields.remove(field);
            }
            assert_eq!(removed, expected);
            if hash.fields.is_empty() {
                model.hashes.remove(&key);
            }
        }
        17..31 => {
            let field = field(rng);
            let expires_at = (rng.below(4) > 0).then(|| UnixMs(now.0 + rng.below(25) as i64));
            let found = engine.set_field_expiry(at, &field, expires_at, now).unwrap();
            let Some(hash) = model.hashes.get_mut(&key).filter(|hash| hash.is_live(&field, now)) else {
                return assert!(!found);
            };
            assert!(found);
            hash.expiring |= expires_at.is_some();
            hash.fields.get_mut(&field).unwrap().1 = expires_at;
        }
        31..35 => expire(engine, model, rng, now),
        35 => {
            let expires_at = (rng.below(3) > 0).then(|| UnixMs(now.0 + rng.below(40) as i64));
            assert_eq!(engine.set_expiry(at, expires_at, now).unwrap(), model.hashes.contains_key(&key));
            if let Some(hash) = model.hashes.get_mut(&key) {
                hash.expires_at = expires_at;
            }
        }
        36 => assert_eq!(engine.remove(at, now).unwrap(), model.hashes.remove(&key).is_some()),
        37 if rng.below(4) == 0 => {
            engine.flush_db(key.0).unwrap();
            model.hashes.retain(|(db, _), _| *db != key.0);
        }
        38 => {
            engine.set_string(at, b"x", crate::storage::Expiry::Clear, now).unwrap();
            model.hashes.remove(&key);
            assert!(engine.remove(at, now).unwrap());
        }
        _ => copy(engine, model, (key, self::key(rng)), now),
    }
}

/// Copies the second key to the first.
fn copy(engine: &mut dyn Engine, model: &mut Model, keys: ((Db, Vec<u8>), (Db, Vec<u8>)), now: UnixMs) {
    let (key, other) = keys;
    let from = model.hashes.get(&other).filter(|hash| hash.expires_at.is_none_or(|at| now <= at));
    let from = from.filter(|hash| !hash.live(now).is_empty()).cloned();
    let Some((object, expires_at)) = engine.object(Address::new(other.0, &other.1), now).unwrap() else {
        return assert!(from.is_none());
    };
    let from = from.unwrap();
    let mut bytes = Vec::new();
    object.encode(&mut bytes);
    assert_eq!(Object::decode(&bytes).unwrap(), object);
    let expiring = from.live(now).values().any(|(_, at)| at.is_some());
    assert_eq!(matches!(object, Object::ExpiringHash(_)), expiring);
    engine.put_object(Address::new(key.0, &key.1), object, expires_at).unwrap();
    let mut copy = Expected { expiring, expires_at: from.expires_at, ..Expected::default() };
    for (field, (value, at)) in from.live(now) {
        copy.set(&[(field.clone(), value.clone())], false, now);
        copy.fields.get_mut(field).unwrap().1 = *at;
    }
    model.hashes.insert(key, copy);
}

fn expire(engine: &mut dyn Engine, model: &mut Model, rng: &mut Rng, now: UnixMs) {
    let mut keys = Vec::new();
    engine.expire_due(now, 100, &mut |db, key| keys.push((db, key.to_vec()))).unwrap();
    for key in keys {
        let hash = model.hashes.remove(&key).unwrap();
        assert!(hash.expires_at.unwrap() < now);
    }
    let limit = 1 + rng.below(5) as usize;
    let mut removed = Vec::new();
    let count = engine
        .expire_fields_due(now, limit, &mut |db, key, field| removed.push(((db, key.to_vec()), field.to_vec())))
        .unwrap();
    assert_eq!(count, removed.len());
    let due =
        model.hashes.values().flat_map(|hash| hash.fields.values()).filter(|(_, at)| at.is_some_and(|at| at < now));
    assert_eq!(count, due.count().min(limit));
    for (key, field) in removed {
        let hash = model.hashes.get_mut(&key).unwrap();
        let (_, at) = hash.fields.remove(&field).unwrap();
        assert!(at.unwrap() < now);
        if hash.fields.is_empty() {
            model.hashes.remove(&key);
        }
    }
}

fn fields_of(hash: &HashRead<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut fields = BTreeMap::new();
    hash.for_each(&mut |field, value| {
        assert!(fields.insert(field.to_vec(), value.to_vec()).is_none());
        true
    })
    .unwrap();
    fields
}

fn check(engine: &dyn Engine, model: &Model, rng: &mut Rng, now: UnixMs) {
    assert_eq!(engine.next_field_expiry(), model.next());
    for (db, number) in (0..8).map(|n| (Db(n % 2), n / 2)) {
        let key = (db, format!("key{number}").into_bytes());
        let at = Address::new(key.0, &key.1);
        let expected = model.hashes.get(&key).filter(|hash| hash.expires_at.is_none_or(|at| now <= at));
        let Some(hash) = engine.hash(at, now).unwrap() else {
            assert!(expected.is_none());
            continue;
        };
        let expected = expected.unwrap();
        let live = expected.live(now);
        assert_eq!(engine.encoding(at, now).unwrap(), Some(expected.encoding()));
        assert_eq!(hash.len(), expected.fields.len() as u64);
        assert_eq!(hash.live_len().unwrap(), live.len() as u64);
        let values: BTreeMap<Vec<u8>, Vec<u8>> =
            live.iter().map(|(field, (value, _))| ((*field).clone(), value.clone())).collect();
        assert_eq!(fields_of(&hash), values);
        for field in expected.fields.keys().cloned().chain([field(rng)]) {
            assert_eq!(hash.get(&field).unwrap().map(|value| value.into_owned()), values.get(&field).cloned());
            assert_eq!(hash.field_expiry(&field).unwrap(), live.get(&field).map(|(_, at)| *at));
        }
        let mut scanned = BTreeSet::new();
        let mut cursor = ScanCursor::START;
        loop {
            cursor = hash
                .scan(cursor, 2, &mut |field, _| {
                    scanned.insert(field.to_vec());
                    true
                })
                .unwrap();
            if cursor == ScanCursor::START {
                break;
            }
        }
        assert_eq!(scanned, values.keys().cloned().collect());
        let mut drawn = 0;
        hash.random(rng, &mut |field, value| {
            assert_eq!(values[field], value);
            drawn += 1;
            false
        })
        .unwrap();
        assert_eq!(drawn, usize::from(!values.is_empty()));
    }
}

#[test]
fn random_hashes_match_the_model() {
    for seed in 0..40 {
        each(&settings(), |name, mut engine, path| {
            println!("{name}, seed {seed}");
            let mut rng = Rng::new(seed);
            let mut model = Model::default();
            let mut now = NOW;
            for entry in 1..500 {
                now.0 += rng.below(3) as i64;
                step(engine.as_dyn(), &mut model, &mut rng, now);
                engine.as_dyn().commit(entry).unwrap();
                if entry % 10 == 0 {
                    check(engine.as_dyn(), &model, &mut rng, now);
                }
            }
            let mut engine = reload(engine, &settings(), path);
            check(engine.as_dyn(), &model, &mut rng, now);
            // What is left goes in time, and leaves nothing behind.
            let late = UnixMs(now.0 + 1000);
            engine.as_dyn().expire_due(late, 100, &mut |_, _| {}).unwrap();
            engine.as_dyn().expire_fields_due(late, 1000, &mut |_, _, _| {}).unwrap();
            assert_eq!(engine.as_dyn().next_field_expiry(), None);
            for db in [Db(0), Db(1)] {
                engine.as_dyn().flush_db(db).unwrap();
            }
            engine.as_dyn().commit(1000).unwrap();
            engine.assert_no_elements();
        });
    }
}

#[test]
fn engines_agree_on_digests_and_what_expires_makes_a_difference() {
    let mut digests = BTreeSet::new();
    let others = std::cell::RefCell::new(BTreeSet::new());
    each(&settings(), |_, mut engine, _| {
        let engine = engine.as_dyn();
        let at = Address::new(Db(0), b"key");
        engine.hash_set(at, &[(b"a", b"1"), (b"b", b"2")], NOW).unwrap();
        let digest = |engine: &dyn Engine| {
            let (object, expires_at) = engine.object(at, NOW).unwrap().unwrap();
            digest_value(&object, expires_at)
        };
        let plain = digest(engine);
        engine.set_field_expiry(at, b"a", Some(UnixMs(NOW.0 + 5)), NOW).unwrap();
        let expiring = digest(engine);
        engine.set_field_expiry(at, b"a", Some(UnixMs(NOW.0 + 6)), NOW).unwrap();
        let later = digest(engine);
        engine.set_field_expiry(at, b"a", None, NOW).unwrap();
        assert_eq!(digest(engine), plain);
        assert!(plain != expiring && expiring != later);
        others.borrow_mut().insert([plain, expiring, later]);
    });
    digests.append(&mut others.borrow_mut());
    assert_eq!(digests.len(), 1);
}

#[test]
fn snapshots_hold_expiries_as_they_are_drawn() {
    let mut engine = HashEngine::new(settings());
    let key = Address::new(Db(0), b"{s}h");
    engine.hash_set(key, &[(b"a", b"1"), (b"b", b"2")], NOW).unwrap();
    engine.set_field_expiry(key, b"b", Some(UnixMs(0x1234)), UnixMs(0)).unwrap();
    let mut expected = b"\x01\0\0".to_vec();
    expected.extend_from_slice(&crate::types::slot::slot_of(b"s").0.to_le_bytes());
    expected.extend_from_slice(b"\x01\0\0\0\x06\x03\x04{s}h\x08\x02\x04\x00\x01a1");
    expected.extend_from_slice(b"\x0c\x80\x34\x12\0\0\0\0\0\0\x01b2");
    let chunks = snapshot(&mut engine);
    assert_eq!(chunks, [expected]);
    load_damaged(&chunks[0]);
}
