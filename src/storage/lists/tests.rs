//! Lists of every engine against vectors.

use std::collections::VecDeque;
use std::path::Path;

use super::*;
use crate::storage::digest::digest_value;
use crate::storage::hash::{HashEngine, SlotCursor};
use crate::storage::rows::RowEngine;
use crate::storage::{EncodingSettings, Engine, StorageError};
use crate::types::Db;
use crate::types::rng::Rng;

const NOW: UnixMs = UnixMs(1_000_000);

fn engines(path: &Path) -> Vec<(&'static str, Box<dyn Engine>)> {
    vec![
        ("hash", Box::new(HashEngine::new(EncodingSettings::default()))),
        ("lsm", Box::new(RowEngine::open_lsm(&path.join("lsm")).unwrap())),
        ("btree", Box::new(RowEngine::open_btree(&path.join("btree")).unwrap())),
    ]
}

fn at(key: &[u8]) -> Address<'_> {
    Address::new(Db(0), key)
}

fn contents(engine: &dyn Engine, key: &[u8]) -> Vec<Vec<u8>> {
    match engine.object(at(key), NOW).unwrap() {
        Some((Object::List(elements), _)) => elements,
        None => Vec::new(),
        Some(_) => panic!("it is a list"),
    }
}

fn element(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.below(60) {
        0 => 9_000,
        1 | 2 => 700,
        _ => rng.below(15),
    };
    (0..length).map(|_| b'a' + rng.below(3) as u8).collect()
}

/// Changes a list of every engine and of the model alike.
fn step(engines: &mut [(&'static str, Box<dyn Engine>)], key: &[u8], model: &mut VecDeque<Vec<u8>>, rng: &mut Rng) {
    let len = model.len() as u64;
    let end = if rng.below(2) == 0 { ListEnd::Head } else { ListEnd::Tail };
    match rng.below(10) {
        0..=3 => {
            let elements: Vec<Vec<u8>> = (0..1 + rng.below(4)).map(|_| element(rng)).collect();
            let refs: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            for element in &elements {
                match end {
                    ListEnd::Head => model.push_front(element.clone()),
                    ListEnd::Tail => model.push_back(element.clone()),
                }
            }
            for (name, engine) in engines {
                assert_eq!(engine.list_push(at(key), end, &refs, NOW).unwrap(), model.len() as u64, "{name}");
            }
        }
        4 | 5 => {
            let count = 1 + rng.below(6);
            let taken = count.min(len);
            let expected: Vec<Vec<u8>> = (0..taken)
                .map(|_| match end {
                    ListEnd::Head => model.pop_front().unwrap(),
                    ListEnd::Tail => model.pop_back().unwrap(),
                })
                .collect();
            for (name, engine) in engines {
                let mut popped = Vec::new();
                let pop = &mut |element: &[u8]| popped.push(element.to_vec());
                assert_eq!(engine.list_pop(at(key), end, count, NOW, pop).unwrap(), taken, "{name}");
                assert_eq!(popped, expected, "{name}");
            }
        }
        6 if len > 0 => {
            let (index, element) = (rng.below(len), element(rng));
            for (_, engine) in engines {
                engine.list_insert(at(key), index, &element, NOW).unwrap();
            }
            model.insert(index as usize, element);
        }
        7 if len > 0 => {
            let (index, element) = (rng.below(len), element(rng));
            for (_, engine) in engines {
                engine.list_set(at(key), index, &element, NOW).unwrap();
            }
            model[index as usize] = element;
        }
        8 if len > 0 => {
            let start = rng.below(len);
            let end = (start + 1 + rng.below(8)).min(len);
            let second = if end + 2 < len { end + 1..end + 2 } else { end..end };
            let ranges: Vec<_> = [start..end, second].into_iter().filter(|range| range.start < range.end).collect();
            for (_, engine) in engines {
                engine.list_remove(at(key), &ranges, NOW).unwrap();
            }
            for range in ranges.into_iter().rev() {
                model.drain(range.start as usize..range.end as usize);
            }
        }
        9 if rng.below(30) == 0 => {
            for (_, engine) in engines {
                engine.put_object(at(key), Object::List(model.iter().cloned().collect()), None).unwrap();
            }
        }
        _ => {}
    }
}

fn check(engines: &[(&'static str, Box<dyn Engine>)], key: &[u8], model: &VecDeque<Vec<u8>>, rng: &mut Rng) {
    let mut digests = Vec::new();
    for (name, engine) in engines {
        assert!(contents(&**engine, key).iter().eq(model), "{name}");
        let Some(list) = engine.list(at(key), NOW).unwrap() else {
            assert!(model.is_empty(), "{name}");
            continue;
        };
        assert_eq!(engine.encoding(at(key), NOW).unwrap(), Some("quicklist"));
        assert!(engine.memory_usage(at(key), 0, NOW).unwrap().unwrap() > key.len());
        let from = rng.below(list.len());
        assert_eq!(list.get(from).unwrap().as_deref(), model.get(from as usize).map(Vec::as_slice), "{name}");
        assert_eq!(list.get(list.len()).unwrap(), None);
        let mut back = Vec::new();
        list.walk(from, true, &mut |element| {
            back.push(element.to_vec());
            true
        })
        .unwrap();
        assert!(back.iter().eq(model.range(..=from as usize).rev()), "{name}");
        digests.push(digest_value(&engine.object(at(key), NOW).unwrap().unwrap().0, None));
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "digests agree");
}

#[test]
fn every_engine_keeps_a_list_as_a_vector() {
    for seed in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let mut engines = engines(dir.path());
        let mut rng = Rng::new(seed);
        let mut models: Vec<(&[u8], VecDeque<Vec<u8>>)> = vec![(b"one", VecDeque::new()), (b"two", VecDeque::new())];
        for index in 1..2_000 {
            let (key, model) = &mut models[rng.below(2) as usize];
            step(&mut engines, key, model, &mut rng);
            for (_, engine) in &mut engines {
                engine.commit(index).unwrap();
            }
            if index % 50 == 0 {
                check(&engines, key, model, &mut rng);
            }
        }
    }
}

#[test]
fn a_list_keeps_its_expiry_and_a_new_one_has_none() {
    let dir = tempfile::tempdir().unwrap();
    for (name, mut engine) in engines(dir.path()) {
        engine.put_list(at(b"l"), vec![b"a".to_vec()], Some(UnixMs(NOW.0 + 10))).unwrap();
        engine.list_push(at(b"l"), ListEnd::Tail, &[b"b"], NOW).unwrap();
        assert_eq!(engine.meta(at(b"l"), NOW).unwrap().unwrap().expires_at, Some(UnixMs(NOW.0 + 10)), "{name}");
        let later = UnixMs(NOW.0 + 11);
        assert!(engine.list(at(b"l"), later).unwrap().is_none(), "{name}");
        assert_eq!(engine.list_push(at(b"l"), ListEnd::Tail, &[b"c"], later).unwrap(), 1, "{name}");
        assert_eq!(engine.meta(at(b"l"), later).unwrap().unwrap().expires_at, None, "{name}");
        assert_eq!(engine.list_pop(at(b"l"), ListEnd::Head, 5, later, &mut |_| ()).unwrap(), 1, "{name}");
        assert_eq!((engine.len(Db(0)), engine.expires(Db(0))), (0, 0), "{name}");
    }
}

#[test]
fn other_kinds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, mut engine) in engines(dir.path()) {
        engine.hash_set(at(b"h"), &[(b"f", b"v")], NOW).unwrap();
        assert!(matches!(engine.list(at(b"h"), NOW), Err(StorageError::WrongType)), "{name}");
        let push = engine.list_push(at(b"h"), ListEnd::Tail, &[b"a"], NOW);
        assert!(matches!(push, Err(StorageError::WrongType)), "{name}");
        let pop = engine.list_pop(at(b"h"), ListEnd::Tail, 1, NOW, &mut |_| ());
        assert!(matches!(pop, Err(StorageError::WrongType)), "{name}");
        engine.list_push(at(b"l"), ListEnd::Tail, &[b"a"], NOW).unwrap();
        assert!(matches!(engine.hash(at(b"l"), NOW), Err(StorageError::WrongType)), "{name}");
        assert!(matches!(engine.string(at(b"l"), NOW), Err(StorageError::WrongType)), "{name}");
    }
}

/// A large list is shared with the snapshot, not copied: whatever happens to it afterwards, it is written as it was.
#[test]
fn a_snapshot_keeps_a_large_list_while_it_changes() {
    let mut rng = Rng::new(9);
    for round in 0..40 {
        let mut engine = HashEngine::new(EncodingSettings::default());
        let expires_at = (round % 2 == 0).then_some(UnixMs(NOW.0 + 1_000));
        let elements: Vec<Vec<u8>> = (0..10_000).map(|number| format!("{number:0>200}").into_bytes()).collect();
        engine.put_list(at(b"{l}arge"), elements.clone(), expires_at).unwrap();
        engine.put_list(at(b"{l}"), vec![b"a".to_vec()], None).unwrap();
        engine.put_list(at(b"{l}more"), elements[..5_000].to_vec(), None).unwrap();
        let bytes = engine.usage().memory_bytes;
        let snapshot = engine.begin_snapshot();
        let mut next = Some(SlotCursor::default());
        if rng.below(2) == 0 {
            while let Some(cursor) = next {
                next = snapshot.serialise_slot(&engine, cursor);
            }
        }
        let mut chunks: Vec<Vec<u8>> = Vec::new();
        for _ in 0..30 {
            let key = at(b"{l}arge");
            let end = if rng.below(2) == 0 { ListEnd::Head } else { ListEnd::Tail };
            let Some(len) = engine.list(key, NOW).unwrap().map(|list| list.len()) else { break };
            let index = rng.below(len);
            match rng.below(7) {
                0 | 1 => drop(engine.list_push(key, end, &[b"pushed", b"twice"], NOW).unwrap()),
                2 => drop(engine.list_pop(key, end, 1 + rng.below(300), NOW, &mut |_| ()).unwrap()),
                3 => engine.list_insert(key, index, b"inserted", NOW).unwrap(),
                4 => engine.list_set(key, index, b"set", NOW).unwrap(),
                5 => engine.list_remove(key, &[index..len.min(index + 500)], NOW).unwrap(),
                _ if rng.below(20) == 0 => drop(engine.remove(key, NOW).unwrap()),
                _ => chunks.extend(snapshot.drain()),
            }
        }
        while let Some(cursor) = next {
            next = snapshot.serialise_slot(&engine, cursor);
        }
        chunks.extend(snapshot.finish());
        assert!(chunks.len() > 10 && chunks.iter().all(|chunk| chunk.len() < 300 * 1024), "{}", chunks.len());
        let mut copy = HashEngine::new(EncodingSettings::default());
        chunks.iter().for_each(|chunk| copy.load_chunk(chunk).unwrap());
        assert!(contents(&copy, b"{l}arge") == elements);
        assert!(contents(&copy, b"{l}more") == elements[..5_000]);
        assert_eq!(contents(&copy, b"{l}"), [b"a"]);
        assert_eq!(copy.meta(at(b"{l}arge"), NOW).unwrap().unwrap().expires_at, expires_at);
        let loaded = copy.usage().memory_bytes;
        assert!(loaded.abs_diff(bytes) < bytes / 20, "{loaded} bytes, {bytes} before");
    }
}

#[test]
fn a_snapshot_keeps_lists_small_and_large() {
    let mut engine = HashEngine::new(EncodingSettings::default());
    let mut rng = Rng::new(5);
    for count in [1, 3, 50, 3_000] {
        let elements: Vec<Vec<u8>> = (0..count).map(|_| element(&mut rng)).collect();
        engine.put_list(at(count.to_string().as_bytes()), elements, None).unwrap();
    }
    let snapshot = engine.begin_snapshot();
    let mut next = Some(SlotCursor::default());
    let mut chunks = Vec::new();
    while let Some(cursor) = next {
        next = snapshot.serialise_slot(&engine, cursor);
        chunks.extend(snapshot.drain());
    }
    chunks.extend(snapshot.finish());
    let mut copy = HashEngine::new(EncodingSettings::default());
    for chunk in &chunks {
        copy.load_chunk(chunk).unwrap();
    }
    for count in [1, 3, 50, 3_000] {
        let key = count.to_string();
        let elements = contents(&copy, key.as_bytes());
        assert_eq!(elements.len(), count);
        assert!(elements == contents(&engine, key.as_bytes()));
        assert_eq!(copy.list_push(at(key.as_bytes()), ListEnd::Head, &[b"x"], NOW).unwrap(), count as u64 + 1);
    }
    // Damage is found and not taken in.
    for chunk in &chunks {
        for position in (0..chunk.len()).step_by(1 + chunk.len() / 200) {
            let mut damaged = chunk.clone();
            damaged[position] ^= 0x55;
            let mut copy = HashEngine::new(EncodingSettings::default());
            let _ = copy.load_chunk(&damaged);
            for count in [1, 3, 50, 3_000] {
                if let Ok(Some(list)) = copy.list(at(count.to_string().as_bytes()), NOW) {
                    list.walk(0, true, &mut |_| true).unwrap();
                }
            }
        }
    }
}
