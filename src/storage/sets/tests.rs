//! Random sets on every engine, against sets of the standard library.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::storage::digest::digest_value;
use crate::storage::engines::{each, load_damaged, reload, snapshot};
use crate::storage::hash::HashEngine;
use crate::storage::{Engine, StorageError};
use crate::types::Db;

const NOW: UnixMs = UnixMs(1_000_000);

fn settings() -> EncodingSettings {
    // Low, so that random sets cross the thresholds.
    EncodingSettings {
        set_max_intset_entries: 9,
        set_max_listpack_entries: 6,
        set_max_listpack_value: 12,
        ..EncodingSettings::default()
    }
}

/// A set of the model.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    members: BTreeSet<Vec<u8>>,
    encoding: SetEncoding,
    expires_at: Option<UnixMs>,
}

impl Expected {
    fn add(&mut self, members: &[Vec<u8>]) -> usize {
        let settings = settings();
        let mut added = 0;
        for member in members.iter().filter(|member| !self.members.contains(*member)).collect::<Vec<_>>() {
            if self.members.contains(member) {
                continue;
            }
            let longest = || self.members.iter().map(Vec::len).max().unwrap_or(0);
            self.encoding = self.encoding.after_adding(member, self.members.len(), longest, &settings);
            self.members.insert(member.clone());
            added += 1;
        }
        added
    }
}

#[derive(Default)]
struct Model {
    sets: BTreeMap<Vec<u8>, Expected>,
}

impl Model {
    fn settle(&mut self, key: &[u8], now: UnixMs) {
        if self.sets.get(key).is_some_and(|set| set.expires_at.is_some_and(|at| now > at)) {
            self.sets.remove(key);
        }
    }
}

fn at(key: &[u8]) -> Address<'_> {
    Address::new(Db(0), key)
}

fn member(rng: &mut Rng) -> Vec<u8> {
    match rng.below(12) {
        0..5 => (rng.below(14) as i64 - 4).to_string().into_bytes(),
        5 => (rng.next_u64().cast_signed() >> rng.below(64)).to_string().into_bytes(),
        6..10 => vec![b'a' + rng.below(9) as u8; 1 + rng.below(5) as usize],
        10 => vec![b'x'; 10 + rng.below(5) as usize],
        _ => vec![b'y'; 398 + rng.below(5) as usize],
    }
}

fn members(rng: &mut Rng) -> Vec<Vec<u8>> {
    (0..1 + rng.below(5)).map(|_| member(rng)).collect()
}

fn slices(members: &[Vec<u8>]) -> Vec<&[u8]> {
    members.iter().map(Vec::as_slice).collect()
}

fn step(engine: &mut dyn Engine, model: &mut Model, rng: &mut Rng, now: UnixMs) {
    let key = format!("key{}", rng.below(6)).into_bytes();
    model.settle(&key, now);
    match rng.below(20) {
        0..10 => {
            let members = members(rng);
            let settings = settings();
            let added = engine.set_add(at(&key), &slices(&members), now).unwrap();
            let set = model.sets.entry(key).or_insert_with(|| Expected {
                members: BTreeSet::new(),
                encoding: SetEncoding::of_new(&members[0], members.len(), &settings),
                expires_at: None,
            });
            set.encoding = set.encoding.before_adding(members.len(), &settings);
            assert_eq!(added, set.add(&members));
        }
        10..15 => {
            let members = members(rng);
            let removed = engine.set_remove(at(&key), &slices(&members), now).unwrap();
            let Some(set) = model.sets.get_mut(&key) else { return assert_eq!(removed, 0) };
            assert_eq!(removed, members.iter().filter(|member| set.members.remove(*member)).count());
            if set.members.is_empty() {
                model.sets.remove(&key);
            }
        }
        15 => {
            let expires_at = (rng.below(2) == 0).then(|| UnixMs(now.0 + rng.below(30) as i64));
            assert_eq!(engine.set_expiry(at(&key), expires_at, now).unwrap(), model.sets.contains_key(&key));
            if let Some(set) = model.sets.get_mut(&key) {
                set.expires_at = expires_at;
            }
        }
        16 => {
            assert_eq!(engine.remove(at(&key), now).unwrap(), model.sets.remove(&key).is_some());
        }
        17 => {
            let members = members(rng);
            engine.put_object(at(&key), Object::Set(members.clone()), None).unwrap();
            let mut set = Expected { members: BTreeSet::new(), encoding: SetEncoding::Intset, expires_at: None };
            set.add(&members);
            model.sets.insert(key, set);
        }
        18 => {
            engine.set_string(at(b"string"), b"x", crate::storage::Expiry::Clear, now).unwrap();
            let refused = engine.set_add(at(b"string"), &[b"a"], now);
            assert!(matches!(refused, Err(StorageError::WrongType)));
            assert!(matches!(engine.set_remove(at(b"string"), &[b"a"], now), Err(StorageError::WrongType)));
            assert!(matches!(engine.members(at(b"string"), now), Err(StorageError::WrongType)));
        }
        _ => {
            let other = format!("key{}", rng.below(6)).into_bytes();
            model.settle(&other, now);
            if let Some((object, expires_at)) = engine.object(at(&other), now).unwrap() {
                let mut bytes = Vec::new();
                object.encode(&mut bytes);
                assert_eq!(Object::decode(&bytes).unwrap(), object);
                engine.put_object(at(&key), object, expires_at).unwrap();
                // An object does not tell the encoding; it follows from the members again.
                let from = model.sets[&other].clone();
                let mut order = Vec::new();
                engine
                    .members(at(&key), now)
                    .unwrap()
                    .unwrap()
                    .for_each(&mut |member| {
                        order.push(member.to_vec());
                        true
                    })
                    .unwrap();
                let encoding = engine.encoding(at(&key), now).unwrap().unwrap();
                let encoding = [SetEncoding::Intset, SetEncoding::Listpack, SetEncoding::Hashtable]
                    .into_iter()
                    .find(|other| other.name() == encoding)
                    .unwrap();
                assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), from.members);
                model.sets.insert(key, Expected { encoding, ..from });
            }
        }
    }
}

fn check(engine: &dyn Engine, model: &Model, rng: &mut Rng, now: UnixMs) {
    for number in 0..6 {
        let key = format!("key{number}").into_bytes();
        let expected = model.sets.get(&key).filter(|set| set.expires_at.is_none_or(|at| now <= at));
        let Some(set) = engine.members(at(&key), now).unwrap() else {
            assert!(expected.is_none());
            continue;
        };
        let expected = expected.unwrap();
        assert_eq!(engine.encoding(at(&key), now).unwrap(), Some(expected.encoding.name()));
        assert_eq!(set.len(), expected.members.len() as u64);
        let mut seen = Vec::new();
        set.for_each(&mut |member| {
            seen.push(member.to_vec());
            true
        })
        .unwrap();
        assert_eq!(seen.len(), expected.members.len());
        assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), expected.members);
        for member in expected.members.iter().cloned().chain(members(rng)) {
            assert_eq!(set.contains(&member).unwrap(), expected.members.contains(&member));
        }
        let mut cursor = ScanCursor::START;
        let mut scanned = BTreeSet::new();
        loop {
            cursor = set
                .scan(cursor, 1 + rng.below(4) as usize, &mut |member| {
                    scanned.insert(member.to_vec());
                    true
                })
                .unwrap();
            if cursor == ScanCursor::START {
                break;
            }
            assert_eq!(expected.encoding, SetEncoding::Hashtable, "small sets are scanned in one step");
        }
        assert_eq!(scanned, expected.members);
        let mut drawn = 0;
        set.random(rng, &mut |member| {
            assert!(expected.members.contains(member));
            drawn += 1;
        })
        .unwrap();
        assert_eq!(drawn, 1);
        let (object, expires_at) = engine.object(at(&key), now).unwrap().unwrap();
        assert_eq!(expires_at, expected.expires_at);
        let sorted = Object::Set(expected.members.iter().cloned().collect());
        assert_eq!(digest_value(&object, None), digest_value(&sorted, None));
    }
}

#[test]
fn random_sets_match_the_model() {
    for seed in 0..30 {
        each(&settings(), |name, mut engine, path| {
            println!("{name}, seed {seed}");
            let mut rng = Rng::new(seed);
            let mut model = Model::default();
            let mut now = NOW;
            for entry in 1..400 {
                now.0 += rng.below(3) as i64;
                step(engine.as_dyn(), &mut model, &mut rng, now);
                engine.as_dyn().commit(entry).unwrap();
                if entry % 20 == 0 {
                    check(engine.as_dyn(), &model, &mut rng, now);
                }
            }
            let mut engine = reload(engine, &settings(), path);
            check(engine.as_dyn(), &model, &mut rng, now);
        });
    }
}

#[test]
fn dead_sets_leave_no_rows() {
    each(&settings(), |name, mut engine, _| {
        let many: Vec<Vec<u8>> = (0..500).map(|number| format!("member{number}").into_bytes()).collect();
        engine.as_dyn().set_add(at(b"key"), &slices(&many), NOW).unwrap();
        engine.as_dyn().put_object(at(b"key"), Object::Set(vec![b"a".to_vec()]), None).unwrap();
        engine.as_dyn().commit(1).unwrap();
        engine.sweep_all();
        assert_eq!(engine.as_dyn().members(at(b"key"), NOW).unwrap().unwrap().len(), 1, "{name}");
        engine.as_dyn().set_remove(at(b"key"), &[b"a"], NOW).unwrap();
        engine.as_dyn().commit(2).unwrap();
        assert_eq!(engine.as_dyn().len(Db(0)), 0);
        engine.assert_no_elements();
    });
}

#[test]
fn a_scan_meets_what_stays_whatever_else_changes() {
    each(&settings(), |name, mut engine, _| {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let key = format!("scan{seed}").into_bytes();
            let staying: BTreeSet<Vec<u8>> = (0..60).map(|number| format!("stays{number}").into_bytes()).collect();
            let all: Vec<Vec<u8>> = staying.iter().cloned().chain((0..60).map(|n| format!("goes{n}").into())).collect();
            engine.as_dyn().set_add(at(&key), &slices(&all), NOW).unwrap();
            let mut seen = BTreeSet::new();
            let mut cursor = ScanCursor::START;
            loop {
                let set = engine.as_dyn().members(at(&key), NOW).unwrap().unwrap();
                cursor = set
                    .scan(cursor, 5, &mut |member| {
                        seen.insert(member.to_vec());
                        true
                    })
                    .unwrap();
                drop(set);
                if cursor == ScanCursor::START {
                    break;
                }
                for _ in 0..rng.below(8) {
                    let member = format!("goes{}", rng.below(90)).into_bytes();
                    if rng.below(2) == 0 {
                        engine.as_dyn().set_add(at(&key), &[&member], NOW).unwrap();
                    } else {
                        engine.as_dyn().set_remove(at(&key), &[&member], NOW).unwrap();
                    }
                }
            }
            assert!(staying.is_subset(&seen), "{name}, seed {seed}");
        }
    });
}

#[test]
fn every_member_of_a_set_is_drawn() {
    each(&settings(), |name, mut engine, _| {
        for (key, count) in [(&b"small"[..], 5), (b"large", 40)] {
            let all: Vec<Vec<u8>> = (0..count).map(|number| format!("m{number}").into_bytes()).collect();
            engine.as_dyn().set_add(at(key), &slices(&all), NOW).unwrap();
            let set = engine.as_dyn().members(at(key), NOW).unwrap().unwrap();
            let mut rng = Rng::new(1);
            let mut drawn = BTreeMap::new();
            for _ in 0..count * 200 {
                set.random(&mut rng, &mut |member| *drawn.entry(member.to_vec()).or_insert(0) += 1).unwrap();
            }
            assert_eq!(drawn.len(), all.len());
            assert!(drawn.values().all(|&times| (120..=280).contains(&times)), "{name}: {drawn:?}");
        }
    });
}

#[test]
fn encodings_follow_the_thresholds() {
    let settings = EncodingSettings {
        set_max_intset_entries: 3,
        set_max_listpack_entries: 2,
        set_max_listpack_value: 4,
        ..EncodingSettings::default()
    };
    let new = |first: &[u8], expected| SetEncoding::of_new(first, expected, &settings);
    assert_eq!(new(b"1", 3), SetEncoding::Intset);
    assert_eq!(new(b"1", 4), SetEncoding::Hashtable);
    assert_eq!(new(b"01", 2), SetEncoding::Listpack);
    assert_eq!(new(b"a", 3), SetEncoding::Hashtable);
    let after = |from: SetEncoding, member: &[u8], len| from.after_adding(member, len, || 4, &settings);
    assert_eq!(after(SetEncoding::Intset, b"7", 2), SetEncoding::Intset);
    assert_eq!(after(SetEncoding::Intset, b"7", 3), SetEncoding::Hashtable);
    assert_eq!(after(SetEncoding::Intset, b"a", 1), SetEncoding::Listpack);
    assert_eq!(after(SetEncoding::Intset, b"a", 2), SetEncoding::Hashtable);
    assert_eq!(SetEncoding::Intset.after_adding(b"a", 1, || 5, &settings), SetEncoding::Hashtable);
    assert_eq!(after(SetEncoding::Listpack, b"long", 1), SetEncoding::Listpack);
    assert_eq!(after(SetEncoding::Listpack, b"longer", 1), SetEncoding::Hashtable);
    assert_eq!(after(SetEncoding::Hashtable, b"1", 1), SetEncoding::Hashtable);
}

#[test]
fn snapshots_hold_sets_as_they_are_drawn() {
    let mut engine = HashEngine::new(settings());
    engine.set_add(at(b"{s}i"), &[b"300", b"-1"], NOW).unwrap();
    engine.set_add(at(b"{s}l"), &[b"b", b"a"], NOW).unwrap();
    engine.set_add(at(b"{s}h"), &[b"1", &[b'x'; 13]], NOW).unwrap();
    let mut expected = b"\x01\0\0".to_vec();
    expected.extend_from_slice(&crate::types::slot::slot_of(b"s").0.to_le_bytes());
    expected.extend_from_slice(b"\x03\0\0\0");
    expected.extend_from_slice(b"\x0b\x05\x04{s}i\x02\xff\xff\x2c\x01");
    expected.extend_from_slice(b"\x0c\x05\x04{s}l\x00\x02\x01b\x01a");
    expected.extend_from_slice(b"\x06\x03\x04{s}h\x03\x02\x03\x00\x011\x0f\x00\x0d");
    expected.extend_from_slice(&[b'x'; 13]);
    let chunks = snapshot(&mut engine);
    assert_eq!(chunks, [expected]);
    load_damaged(&chunks[0]);
}
