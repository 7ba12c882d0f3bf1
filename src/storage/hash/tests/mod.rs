//! The engine beside a naive model, and what only shows at its interface.

mod model;
mod snapshots;
mod zsets;

use std::collections::BTreeSet;

use super::*;
use crate::storage::{Address, Engine, Expiry, HashRead, Kind, Object, ScanCursor, StorageError, StringValue};
use crate::types::rng::Rng;

const DB: Db = Db(0);
const NOW: UnixMs = UnixMs(1_000_000);

fn engine() -> HashEngine {
    HashEngine::new(EncodingSettings::default())
}

fn at(key: &str) -> Address<'_> {
    Address::new(DB, key.as_bytes())
}

fn set(engine: &mut HashEngine, key: &str, value: &[u8]) {
    engine.set_string(at(key), value, Expiry::Clear, NOW).unwrap();
}

fn append(engine: &mut HashEngine, key: &str, more: &[u8]) {
    engine.edit_string(at(key), NOW, &mut |bytes| bytes.extend_from_slice(more)).unwrap();
}

fn get(engine: &HashEngine, key: &str) -> Option<Vec<u8>> {
    engine.string(at(key), NOW).unwrap().map(|value| value.into_bytes().into_owned())
}

fn encoding(engine: &HashEngine, key: &str) -> &'static str {
    engine.encoding(at(key), NOW).unwrap().expect("the key is there")
}

fn fields_of(engine: &HashEngine, key: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    match engine.object(at(key), NOW).unwrap() {
        Some((Object::Hash(fields), _)) => fields,
        other => panic!("{key} holds {other:?}"),
    }
}

#[test]
fn strings_have_redis_encodings() {
    let mut engine = engine();
    for (value, expected) in [
        (&b"12"[..], "int"),
        (b"-9223372036854775808", "int"),
        (b"012", "embstr"),
        (b"", "embstr"),
        (&[b'x'; 44], "embstr"),
        (&[b'x'; 45], "raw"),
        (&[b'x'; INLINE_MAX_BYTES + 1], "raw"),
    ] {
        set(&mut engine, "key", value);
        assert_eq!(encoding(&engine, "key"), expected);
        assert_eq!(get(&engine, "key").unwrap(), value);
    }
    set(&mut engine, "key", b"12");
    assert_eq!(engine.string(at("key"), NOW).unwrap(), Some(StringValue::Int(12)));
    append(&mut engine, "key", b"3");
    assert_eq!((encoding(&engine, "key"), get(&engine, "key").unwrap()), ("raw", b"123".to_vec()));
    append(&mut engine, "new", b"");
    assert_eq!((encoding(&engine, "new"), get(&engine, "new").unwrap()), ("raw", Vec::new()));
}

#[test]
fn edited_strings_grow_and_shrink() {
    let mut engine = engine();
    let mut expected = Vec::new();
    engine.set_string(at("key"), b"", Expiry::At(UnixMs(NOW.0 + 5)), NOW).unwrap();
    for i in 0..2000u32 {
        append(&mut engine, "key", &i.to_le_bytes());
        expected.extend_from_slice(&i.to_le_bytes());
    }
    assert_eq!(get(&engine, "key").unwrap(), expected);
    assert_eq!(engine.meta(at("key"), NOW).unwrap().unwrap().expires_at, Some(UnixMs(NOW.0 + 5)));
    engine.edit_string(at("key"), NOW, &mut |bytes| bytes.truncate(3)).unwrap();
    assert_eq!(get(&engine, "key").unwrap(), &expected[..3]);
    assert_eq!(encoding(&engine, "key"), "raw");
    set(&mut engine, "key", b"7");
    assert_eq!(encoding(&engine, "key"), "int");
}

#[test]
fn hashes_leave_the_compact_form_for_good() {
    let mut engine = engine();
    for i in 0..128 {
        assert_eq!(engine.hash_set(at("h"), &[(format!("f{i}").as_bytes(), b"v")], NOW).unwrap(), 1);
    }
    assert_eq!(encoding(&engine, "h"), "listpack");
    assert_eq!(engine.hash_set(at("h"), &[(b"f5", b"w")], NOW).unwrap(), 0);
    assert_eq!(encoding(&engine, "h"), "listpack");
    let before = fields_of(&engine, "h");
    assert_eq!(engine.hash_set(at("h"), &[(b"f1000", b"v"), (b"f1000", b"w")], NOW).unwrap(), 1);
    assert_eq!(encoding(&engine, "h"), "hashtable");
    assert_eq!(fields_of(&engine, "h")[..128], before, "the order stays");
    let names: Vec<String> = (0..127).map(|i| format!("f{i}")).collect();
    let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    assert_eq!(engine.hash_remove(at("h"), &names, NOW).unwrap(), 127);
    assert_eq!(encoding(&engine, "h"), "hashtable");
    assert_eq!(engine.hash_remove(at("h"), &[b"f127", b"none", b"f1000"], NOW).unwrap(), 2);
    assert_eq!(engine.meta(at("h"), NOW).unwrap(), None, "empty hashes do not exist");

    engine.hash_set(at("h"), &[(b"f", &[b'v'; 64])], NOW).unwrap();
    assert_eq!(encoding(&engine, "h"), "listpack");
    engine.hash_set(at("h"), &[(b"a", b"1"), (b"f", &[b'v'; 65]), (b"b", b"2")], NOW).unwrap();
    assert_eq!(encoding(&engine, "h"), "hashtable");
    assert_eq!(fields_of(&engine, "h").len(), 3);
    assert_eq!(engine.hash_set(at("none"), &[], NOW).unwrap(), 0);
    assert_eq!(engine.meta(at("none"), NOW).unwrap(), None);
}

#[test]
fn wrong_kinds_change_nothing() {
    let mut engine = engine();
    for (key, value) in [("s", &b"text"[..]), ("n", b"1"), ("l", &[b'x'; INLINE_MAX_BYTES + 1])] {
        set(&mut engine, key, value);
        assert!(matches!(engine.hash(at(key), NOW), Err(StorageError::WrongType)));
        assert!(matches!(engine.hash_set(at(key), &[(b"f", b"v")], NOW), Err(StorageError::WrongType)));
        assert!(matches!(engine.hash_remove(at(key), &[b"f"], NOW), Err(StorageError::WrongType)));
        assert_eq!(get(&engine, key).unwrap(), value);
    }
    engine.hash_set(at("small"), &[(b"f", b"v")], NOW).unwrap();
    engine.hash_set(at("large"), &[(b"f", &[0; 100])], NOW).unwrap();
    for key in ["small", "large"] {
        assert!(matches!(engine.string(at(key), NOW), Err(StorageError::WrongType)));
        let edited = engine.edit_string(at(key), NOW, &mut |_| panic!("nothing to edit"));
        assert!(matches!(edited, Err(StorageError::WrongType)));
        assert_eq!(engine.meta(at(key), NOW).unwrap().unwrap().kind, Kind::Hash);
        set(&mut engine, key, b"now a string");
        assert_eq!(get(&engine, key).unwrap(), b"now a string");
    }
}

#[test]
fn writes_remove_what_has_expired() {
    let mut engine = engine();
    let due = UnixMs(NOW.0 + 10);
    let later = UnixMs(NOW.0 + 11);
    engine.set_string(at("key"), b"old", Expiry::At(due), NOW).unwrap();
    assert_eq!(engine.string(at("key"), due).unwrap(), Some(StringValue::Bytes(b"old".into())));
    assert_eq!(engine.string(at("key"), later).unwrap(), None);
    assert_eq!(engine.len(DB), 1);
    assert_eq!(engine.hash_set(at("key"), &[(b"f", b"v")], later).unwrap(), 1);
    assert_eq!(engine.meta(at("key"), later).unwrap().unwrap().expires_at, None);
    assert!(engine.set_expiry(at("key"), Some(later), later).unwrap());
    assert_eq!((engine.len(DB), engine.expires(DB)), (1, 1));

    let past = UnixMs(later.0 + 1);
    assert!(!engine.remove(at("key"), past).unwrap());
    assert_eq!((engine.len(DB), engine.expires(DB), engine.next_expiry()), (0, 0, None));

    engine.set_string(at("key"), b"old", Expiry::At(due), NOW).unwrap();
    engine.set_string(at("key"), b"new", Expiry::Keep, later).unwrap();
    assert_eq!(engine.meta(at("key"), later).unwrap().unwrap().expires_at, None);
}

#[test]
fn expiry_goes_by_time_and_database() {
    let mut engine = engine();
    for (db, key, after) in [(1, "c", 5), (0, "b", 5), (0, "a", 7), (1, "d", 3), (0, "e", 9)] {
        let at = Address::new(Db(db), key.as_bytes());
        engine.set_string(at, b"v", Expiry::At(UnixMs(NOW.0 + after)), NOW).unwrap();
    }
    assert_eq!(engine.next_expiry(), Some(UnixMs(NOW.0 + 3)));
    let mut removed = Vec::new();
    let mut note = |db: Db, key: &[u8]| removed.push((db.0, String::from_utf8(key.to_vec()).unwrap()));
    assert_eq!(engine.expire_due(UnixMs(NOW.0 + 3), 10, &mut note).unwrap(), 0, "not in its own millisecond");
    assert_eq!(engine.expire_due(UnixMs(NOW.0 + 9), 3, &mut note).unwrap(), 3);
    assert_eq!(engine.expire_due(UnixMs(NOW.0 + 9), 3, &mut note).unwrap(), 1);
    let expected = [(1, "d"), (0, "b"), (1, "c"), (0, "a")].map(|(db, key)| (db, key.to_owned()));
    assert_eq!(removed, expected);
    assert_eq!((engine.expires(DB), engine.expires(Db(1))), (1, 0));
}

#[test]
fn scan_meets_every_key_that_stays() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut engine = engine();
        // One hash tag puts all keys into one slot, so that positions within it matter.
        let name = |i: u64| if i.is_multiple_of(2) { format!("{{tag}}{i}") } else { format!("key{i}") };
        let mut staying = BTreeSet::new();
        for i in 0..500 {
            set(&mut engine, &name(i), b"v");
            if i % 3 == 0 {
                staying.insert(name(i).into_bytes());
            }
        }
        let mut seen = BTreeSet::new();
        let mut cursor = ScanCursor::START;
        let mut steps = 0;
        loop {
            let mut visited = 0;
            cursor = engine
                .scan(DB, cursor, 10, NOW, &mut |key, _| {
                    visited += 1;
                    seen.insert(key.to_vec());
                    true
                })
                .unwrap();
            assert!(cursor.0 < 1 << 53);
            steps += 1;
            if cursor == ScanCursor::START {
                break;
            }
            assert_eq!(visited, 10);
            for _ in 0..rng.below(8) {
                let key = name(rng.below(2000));
                if rng.below(2) == 0 {
                    set(&mut engine, &key, b"w");
                } else if !staying.contains(key.as_bytes()) {
                    engine.remove(at(&key), NOW).unwrap();
                }
            }
        }
        assert!(staying.is_subset(&seen), "seed {seed}");
        assert!(steps < 1000);
    }
}

#[test]
fn any_cursor_is_taken() {
    let mut engine = engine();
    (0..100).for_each(|i| set(&mut engine, &format!("key{i}"), b"v"));
    engine.hash_set(at("large"), &[(b"f", &[0; 100])], NOW).unwrap();
    let mut rng = Rng::new(3);
    for _ in 0..1000 {
        let cursor = ScanCursor(rng.next_u64() >> rng.below(64));
        engine.scan(DB, cursor, 5, NOW, &mut |_, _| true).unwrap();
        engine.hash(at("large"), NOW).unwrap().unwrap().scan(cursor, 5, &mut |_, _| true).unwrap();
    }
}

#[test]
fn hash_scan_walks_large_hashes_and_takes_compact_ones_whole() {
    let mut engine = engine();
    for (key, fields) in [("small", 100), ("large", 1000)] {
        for i in 0..fields {
            engine.hash_set(at(key), &[(format!("f{i}").as_bytes(), b"v")], NOW).unwrap();
        }
        let Some(HashRead::Native(hash)) = engine.hash(at(key), NOW).unwrap() else { panic!("it is a hash") };
        let mut seen = BTreeSet::new();
        let mut steps = 0;
        let mut cursor = ScanCursor::START;
        loop {
            steps += 1;
            cursor = hash.scan(cursor, 10, &mut |field, _| seen.insert(field.to_vec()));
            if cursor == ScanCursor::START {
                break;
            }
        }
        assert_eq!((seen.len(), steps), (fields, if key == "small" { 1 } else { 100 }));
    }
}

#[test]
fn random_choices_reach_everything_alike() {
    let mut engine = engine();
    let mut rng = Rng::new(9);
    for i in 0..10 {
        // Half of the keys share a slot.
        set(&mut engine, &if i < 5 { format!("{{t}}{i}") } else { format!("k{i}") }, b"v");
        engine.hash_set(at("small"), &[(&[i], b"v")], NOW).unwrap();
        engine.hash_set(at("large"), &[(&[i], &[0; 100])], NOW).unwrap();
    }
    let mut keys = std::collections::HashMap::<Vec<u8>, u32>::new();
    let mut fields = [[0u32; 10]; 2];
    for _ in 0..12_000 {
        *keys.entry(engine.random_key(DB, NOW, &mut rng).unwrap().unwrap()).or_default() += 1;
        for (key, counts) in ["small", "large"].into_iter().zip(&mut fields) {
            let hash = engine.hash(at(key), NOW).unwrap().unwrap();
            let visit = &mut |field: &[u8], _: &[u8]| {
                counts[usize::from(field[0])] += 1;
                true
            };
            hash.random(&mut rng, visit).unwrap();
        }
    }
    assert_eq!(keys.len(), 12);
    assert!(keys.values().all(|count| (850..1150).contains(count)), "{keys:?}");
    assert!(fields.iter().flatten().all(|count| (1050..1350).contains(count)), "{fields:?}");
}

#[test]
fn random_key_finds_the_only_live_one() {
    let mut engine = engine();
    let mut rng = Rng::new(1);
    for i in 0..5000 {
        engine.set_string(at(&format!("k{i}")), b"v", Expiry::At(NOW), NOW).unwrap();
    }
    let later = UnixMs(NOW.0 + 1);
    assert_eq!(engine.random_key(DB, later, &mut rng).unwrap(), None);
    engine.set_string(at("live"), b"v", Expiry::Clear, later).unwrap();
    assert_eq!(engine.random_key(DB, later, &mut rng).unwrap(), Some(b"live".to_vec()));
    assert_eq!(engine.random_key(Db(9), later, &mut rng).unwrap(), None);
}

#[test]
fn databases_swap_and_flush() {
    let mut engine = engine();
    set(&mut engine, "key", b"zero");
    let other = Address::new(Db(3), b"other");
    engine.set_string(other, b"three", Expiry::At(UnixMs(NOW.0 + 1)), NOW).unwrap();
    engine.swap_db(DB, Db(3)).unwrap();
    engine.swap_db(DB, DB).unwrap();
    assert_eq!(get(&engine, "other").unwrap(), b"three");
    assert_eq!((engine.len(Db(3)), engine.expires(DB), engine.expires(Db(3))), (1, 1, 0));
    engine.flush_db(DB).unwrap();
    engine.flush_db(Db(77)).unwrap();
    assert_eq!((engine.len(DB), engine.len(Db(3)), engine.next_expiry()), (0, 1, None));
    engine.clear();
    assert_eq!((engine.len(Db(3)), engine.usage().memory_bytes), (0, 0));
}

#[test]
fn idle_time_counts_from_the_last_access() {
    let mut engine = engine();
    set(&mut engine, "key", b"v");
    let later = UnixMs(NOW.0 + 90_000);
    assert_eq!(engine.idle_seconds(at("key"), later).unwrap(), Some(90));
    engine.touch(at("key"), later);
    assert_eq!(engine.idle_seconds(at("key"), later).unwrap(), Some(0));
    engine.put_object(at("copy"), Object::String(b"v".to_vec()), None).unwrap();
    assert_eq!(engine.idle_seconds(at("copy"), later).unwrap(), Some(90), "the time of the last write");
    engine.touch(at("none"), later);
    assert_eq!(engine.idle_seconds(at("none"), later).unwrap(), None);
}

#[test]
fn large_databases_and_hashes_are_freed() {
    let mut engine = engine();
    for i in 0..2 * LAZY_FREE_MIN_ITEMS as u32 {
        engine.hash_set(at("large"), &[(&i.to_le_bytes(), b"v")], NOW).unwrap();
        set(&mut engine, &format!("key{i}"), b"v");
    }
    let full = engine.memory_usage(at("large"), 0, NOW).unwrap().unwrap();
    assert!(full > 2 * LAZY_FREE_MIN_ITEMS * 24);
    assert!(engine.usage().memory_bytes as usize > 2 * full);
    assert!(engine.remove(at("large"), NOW).unwrap());
    assert_eq!(engine.memory_usage(at("large"), 0, NOW).unwrap(), None);
    engine.flush_db(DB).unwrap();
    assert_eq!(engine.usage().memory_bytes, 0);
}

#[test]
fn objects_keep_their_order() {
    let mut engine = engine();
    let names: Vec<String> = (0..300).map(|i| format!("f{}", i * 7919 % 300)).collect();
    for limit in [50, 300] {
        let fields: Vec<(Vec<u8>, Vec<u8>)> =
            names[..limit].iter().map(|name| (name.clone().into_bytes(), b"v".to_vec())).collect();
        set(&mut engine, "h", b"something else");
        engine.put_object(at("h"), Object::Hash(fields.clone()), Some(UnixMs(NOW.0 + 1))).unwrap();
        assert_eq!(fields_of(&engine, "h"), fields);
        assert_eq!(engine.meta(at("h"), NOW).unwrap().unwrap().expires_at, Some(UnixMs(NOW.0 + 1)));
        assert_eq!((engine.len(DB), engine.expires(DB)), (1, 1));
    }
}
