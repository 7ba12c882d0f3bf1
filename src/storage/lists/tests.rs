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
