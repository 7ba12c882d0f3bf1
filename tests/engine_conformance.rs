//! The same operations on every engine, against a simple model.
//!
//! Seeds are printed by the assertions and can be replayed. An engine joins by a line in
//! [`fixtures`].

#![allow(clippy::unwrap_used, reason = "clippy knows that a #[test] is a test, and not its helpers")]

#[path = "engine_conformance/model.rs"]
mod model;
#[path = "engine_conformance/streams.rs"]
mod streams;
#[path = "engine_conformance/zsets.rs"]
mod zsets;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::process::Command;

use kvorum::storage::hash::HashEngine;
use kvorum::storage::rows::{RowEngine, RowOptions};
use kvorum::storage::{Address, Engine, Expiry, HashRead, Object, ScanCursor, StorageError};
use kvorum::types::rng::Rng;
use kvorum::types::{Db, UnixMs};

use model::{DATABASES, Generator, Model, SETTINGS, apply};

type Open = fn(&Path) -> Box<dyn Engine>;

struct Fixture {
    name: &'static str,
    open: Open,
    /// Whether a reopened directory has the state as of `applied`.
    has_files: bool,
    /// Whether `range` answers.
    ordered: bool,
}

/// Rows are written every few entries, so that reads meet rows both in the files and in memory.
fn options() -> RowOptions {
    RowOptions { overlay_rows: Some(40), ..RowOptions::default() }
}

fn fixtures() -> Vec<Fixture> {
    vec![
        Fixture { name: "hash", open: |_| Box::new(HashEngine::new(SETTINGS)), has_files: false, ordered: false },
        Fixture {
            name: "lsm",
            open: |path| Box::new(RowEngine::open_lsm_with(path, &options()).unwrap()),
            has_files: true,
            ordered: false,
        },
        Fixture {
            name: "btree",
            open: |path| Box::new(RowEngine::open_btree_with(path, &options()).unwrap()),
            has_files: true,
            ordered: true,
        },
    ]
}

impl Fixture {
    fn open(&self, path: &Path) -> Box<dyn Engine> {
        let mut engine = (self.open)(path);
        engine.set_encoding(&SETTINGS);
        engine
    }
}

/// Runs a check on a fresh engine of every kind.
fn on_each(check: impl Fn(&Fixture, &mut dyn Engine)) {
    for fixture in fixtures() {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = fixture.open(dir.path());
        check(&fixture, &mut *engine);
    }
}

const NOW: UnixMs = UnixMs(1_000);
const DB: Db = Db(0);

fn at(key: &[u8]) -> Address<'_> {
    Address::new(DB, key)
}

fn text(engine: &dyn Engine, db: Db, key: &[u8], now: UnixMs) -> Option<Vec<u8>> {
    engine.string(Address::new(db, key), now).unwrap().map(|value| value.into_bytes().into_owned())
}

fn fields_of(hash: &HashRead<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut fields = BTreeMap::new();
    hash.for_each(&mut |field, value| {
        assert!(fields.insert(field.to_vec(), value.to_vec()).is_none(), "a field is visited once");
        true
    })
    .unwrap();
    fields
}

/// All keys that a whole walk of SCAN visits.
fn scan_all(engine: &dyn Engine, db: Db, count: usize, now: UnixMs) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor = ScanCursor::START;
    loop {
        cursor = engine
            .scan(db, cursor, count, now, &mut |key, _| {
                keys.push(key.to_vec());
                true
            })
            .unwrap();
        assert!(cursor.0 < 1 << 53);
        if cursor == ScanCursor::START {
            return keys;
        }
    }
}

fn range_of(engine: &dyn Engine, bounds: (Bound<&[u8]>, Bound<&[u8]>), reverse: bool, now: UnixMs) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let answered = engine.range(DB, bounds.0, bounds.1, reverse, now, &mut |key, _| {
        keys.push(key.to_vec());
        true
    });
    assert_eq!(answered.unwrap(), Some(()));
    keys
}

/// Compares everything that can be read of an engine with the model.
fn check(fixture: &Fixture, engine: &dyn Engine, model: &Model, generator: &mut Generator) {
    let now = generator.now;
    assert_eq!(engine.next_expiry(), model.next_expiry());
    for db in (0..DATABASES).map(Db) {
        assert_eq!(engine.len(db), model.len(db));
        assert_eq!(engine.expires(db), model.expires(db));
        for key in generator.keys() {
            let at = Address::new(db, key);
            let meta = engine.meta(at, now).unwrap();
            assert_eq!(meta, model.meta(db, key, now), "{}", key.escape_ascii());
            assert_eq!(engine.encoding(at, now).unwrap(), model.encoding(db, key, now));
            assert_eq!(engine.memory_usage(at, 0, now).unwrap().is_some(), meta.is_some());
            assert_eq!(engine.idle_seconds(at, now).unwrap().is_some(), meta.is_some());
            if let Some(bytes) = model.string(db, key, now) {
                assert_eq!(text(engine, db, key, now).unwrap(), bytes);
                assert!(matches!(engine.hash(at, now), Err(StorageError::WrongType)));
                let object = engine.object(at, now).unwrap();
                assert_eq!(object, meta.map(|meta| (Object::String(bytes.to_vec()), meta.expires_at)));
            } else if let Some(fields) = model.hash(db, key, now) {
                assert!(matches!(engine.string(at, now), Err(StorageError::WrongType)));
                let hash = engine.hash(at, now).unwrap().unwrap();
                check_hash(&hash, fields, generator.fields(), &mut generator.rng.clone());
                let (object, expires_at) = engine.object(at, now).unwrap().unwrap();
                assert_eq!(expires_at, meta.unwrap().expires_at);
                let Object::Hash(pairs) = object else { panic!("a hash is a hash") };
                assert_eq!(pairs.into_iter().collect::<BTreeMap<_, _>>(), *fields);
            } else {
                assert!(engine.string(at, now).unwrap().is_none());
                assert!(engine.hash(at, now).unwrap().is_none());
                assert!(engine.object(at, now).unwrap().is_none());
            }
        }
        let live = model.live_keys(db, now);
        let scanned = scan_all(engine, db, 1 + generator.below(7) as usize, now);
        assert_eq!(scanned.len(), live.len(), "nothing changed, so no key is visited twice");
        assert_eq!(BTreeSet::from_iter(scanned), live);
        for prefix in [&b""[..], b"key:1", b"key:{", &[b'k'; 400], &[b'k'; 402], b"\xff", b"none"] {
            let mut keys = Vec::new();
            engine
                .for_each_key(db, prefix, now, &mut |key, _| {
                    keys.push(key.to_vec());
                    true
                })
                .unwrap();
            if !fixture.ordered {
                keys.sort();
            }
            assert!(keys.iter().eq(live.iter().filter(|key| key.starts_with(prefix))), "{}", prefix.escape_ascii());
        }
        let drawn = engine.random_key(db, now, &mut generator.rng).unwrap();
        assert_eq!(drawn.is_none(), live.is_empty());
        assert!(drawn.is_none_or(|key| live.contains(&key)));
    }
    check_ranges(fixture, engine, model, generator);
}

fn check_hash(hash: &HashRead<'_>, fields: &BTreeMap<Vec<u8>, Vec<u8>>, candidates: &[Vec<u8>], rng: &mut Rng) {
    assert_eq!(hash.len(), fields.len() as u64);
    assert_eq!(fields_of(hash), *fields);
    for field in candidates {
        assert_eq!(hash.get(field).unwrap().as_deref(), fields.get(field).map(|value| &value[..]));
    }
    let mut scanned = BTreeMap::new();
    let mut cursor = ScanCursor::START;
    loop {
        cursor = hash
            .scan(cursor, 2, &mut |field, value| {
                scanned.insert(field.to_vec(), value.to_vec());
                true
            })
            .unwrap();
        if cursor == ScanCursor::START {
            break;
        }
    }
    assert_eq!(scanned, *fields);
    let mut drawn = 0;
    hash.random(rng, &mut |field, value| {
        assert_eq!(fields.get(field).map(|value| &value[..]), Some(value));
        drawn += 1;
        true
    })
    .unwrap();
    assert_eq!(drawn, 1);
}

fn check_ranges(fixture: &Fixture, engine: &dyn Engine, model: &Model, generator: &mut Generator) {
    let now = generator.now;
    if !fixture.ordered {
        let range = engine.range(DB, Bound::Unbounded, Bound::Unbounded, false, now, &mut |_, _| true);
        assert_eq!(range.unwrap(), None);
        return;
    }
    let live = model.live_keys(DB, now);
    for _ in 0..6 {
        let (low, high) = (generator.key(), generator.key());
        let mut bound = |key: &Vec<u8>| match generator.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(key.clone()),
            _ => Bound::Excluded(key.clone()),
        };
        let (start, end) = (bound(&low), bound(&high));
        let bounds = (start.as_ref().map(|key| &key[..]), end.as_ref().map(|key| &key[..]));
        let mut expected: Vec<Vec<u8>> =
            live.iter().filter(|key| RangeBounds::<[u8]>::contains(&bounds, &key[..])).cloned().collect();
        assert_eq!(range_of(engine, bounds, false, now), expected);
        expected.reverse();
        assert_eq!(range_of(engine, bounds, true, now), expected);
        let mut first = Vec::new();
        engine
            .range(DB, bounds.0, bounds.1, true, now, &mut |key, _| {
                first.push(key.to_vec());
                first.len() < 2
            })
            .unwrap();
        assert_eq!(first, expected[..expected.len().min(2)], "the visitor stops the walk");
    }
}

/// Random entries, compared as they go, with the directory reopened now and then as after a crash.
fn random_history(fixture: &Fixture, seed: u64, entries: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = fixture.open(dir.path());
    let mut generator = Generator::new(seed);
    let mut model = Model::default();
    // The state after each entry since the directory was opened.
    let mut history = BTreeMap::from([(engine.applied().unwrap_or(0), model.clone())]);
    let mut index = 0;
    for _ in 0..entries {
        index += 1;
        for _ in 0..1 + generator.below(12) {
            let op = generator.op();
            let expected = model.apply(&op, generator.now);
            let reply = apply(&mut *engine, &op, generator.now);
            assert_eq!(reply, expected, "{} seed {seed} entry {index}: {op:?}", fixture.name);
            if generator.below(40) == 0 {
                check(fixture, &*engine, &model, &mut generator);
            }
        }
        engine.commit(index).unwrap();
        history.insert(index, model.clone());
        match generator.below(60) {
            0 => check(fixture, &*engine, &model, &mut generator),
            1 => {
                if let Some(job) = engine.prepare_sync().unwrap() {
                    job().unwrap();
                    history = history.split_off(&index);
                }
            }
            2 if fixture.has_files => {
                drop(engine);
                engine = fixture.open(dir.path());
                index = engine.applied().unwrap();
                model = history.get(&index).expect("no older than the last sync").clone();
                history = BTreeMap::from([(index, model.clone())]);
                check(fixture, &*engine, &model, &mut generator);
            }
            _ => {}
        }
    }
    check(fixture, &*engine, &model, &mut generator);
}

#[test]
fn random_histories_match_the_model() {
    for fixture in fixtures() {
        for seed in 1..=6 {
            random_history(&fixture, seed, 400);
        }
    }
}

const CRASH_DIRECTORY: &str = "KVORUM_TEST_CRASH_DIRECTORY";
const CRASH_ENGINE: &str = "KVORUM_TEST_CRASH_ENGINE";
const CRASH_SEED: &str = "KVORUM_TEST_CRASH_SEED";

/// Entries of the history that a crashing process writes: the same operations for a seed on each run.
fn entry_of(generator: &mut Generator) -> Vec<model::Op> {
    (0..1 + generator.below(12)).map(|_| generator.op()).collect()
}

/// Run by [`a_killed_process_leaves_the_state_of_an_entry`] in a process of its own.
#[test]
fn crashing_child() {
    let Ok(directory) = std::env::var(CRASH_DIRECTORY) else { return };
    let name = std::env::var(CRASH_ENGINE).unwrap();
    let seed = std::env::var(CRASH_SEED).unwrap().parse().unwrap();
    let fixture = fixtures().into_iter().find(|fixture| fixture.name == name).unwrap();
    let mut engine = fixture.open(Path::new(&directory));
    let mut generator = Generator::new(seed);
    for index in 1..=400 {
        for op in entry_of(&mut generator) {
            apply(&mut *engine, &op, generator.now);
        }
        engine.commit(index).unwrap();
        if index == 200 {
            let job = engine.prepare_sync().unwrap().unwrap();
            job().unwrap();
        }
    }
    std::process::abort();
}

#[test]
fn a_killed_process_leaves_the_state_of_an_entry() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.has_files) {
        for seed in [11, 12] {
            let dir = tempfile::tempdir().unwrap();
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "crashing_child", "--nocapture"])
                .env(CRASH_DIRECTORY, dir.path())
                .env(CRASH_ENGINE, fixture.name)
                .env(CRASH_SEED, seed.to_string())
                .output()
                .unwrap();
            assert!(!output.status.success());
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(!errors.contains("panicked"), "{errors}");

            let engine = fixture.open(dir.path());
            let applied = engine.applied().unwrap();
            assert!((200..=400).contains(&applied), "{}: {applied}", fixture.name);
            let mut generator = Generator::new(seed);
            let mut model = Model::default();
            for _ in 0..applied {
                for op in entry_of(&mut generator) {
                    model.apply(&op, generator.now);
                }
            }
            check(&fixture, &*engine, &model, &mut generator);
        }
    }
}

#[test]
fn an_unfinished_entry_never_reaches_the_files() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.has_files) {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = fixture.open(dir.path());
        engine.set_string(at(b"before"), b"1", Expiry::Clear, NOW).unwrap();
        engine.commit(7).unwrap();
        let job = engine.prepare_sync().unwrap().unwrap();
        job().unwrap();
        for n in 0..10_000 {
            engine.set_string(at(format!("unfinished:{n}").as_bytes()), b"1", Expiry::Clear, NOW).unwrap();
        }
        assert_eq!(engine.len(DB), 10_001);
        drop(engine);
        let engine = fixture.open(dir.path());
        assert_eq!(engine.applied(), Some(7));
        assert_eq!(engine.len(DB), 1);
        assert_eq!(scan_all(&*engine, DB, 100, NOW), [b"before"]);
    }
}

#[test]
fn scan_visits_what_stays_whatever_else_changes() {
    on_each(|fixture, engine| {
        let mut rng = Rng::new(3);
        let stays: BTreeSet<Vec<u8>> = (0..300).map(|n| format!("stays:{n}").into_bytes()).collect();
        for key in &stays {
            engine.set_string(at(key), b"v", Expiry::Clear, NOW).unwrap();
        }
        let mut index = 0;
        let mut seen = BTreeSet::new();
        let mut cursor = ScanCursor::START;
        loop {
            cursor = engine
                .scan(DB, cursor, 5, NOW, &mut |key, _| {
                    seen.insert(key.to_vec());
                    true
                })
                .unwrap();
            if cursor == ScanCursor::START {
                break;
            }
            for _ in 0..20 {
                let key = format!("comes:{}", rng.below(500)).into_bytes();
                if rng.below(2) == 0 {
                    engine.set_string(at(&key), b"v", Expiry::Clear, NOW).unwrap();
                } else {
                    engine.remove(at(&key), NOW).unwrap();
                }
            }
            index += 1;
            engine.commit(index).unwrap();
        }
        assert!(seen.is_superset(&stays), "{}", fixture.name);
    });
}

#[test]
fn hscan_visits_what_stays_whatever_else_changes() {
    on_each(|fixture, engine| {
        let mut rng = Rng::new(4);
        let stays: BTreeSet<Vec<u8>> = (0..300).map(|n| format!("stays:{n}").into_bytes()).collect();
        for field in &stays {
            engine.hash_set(at(b"hash"), &[(field, b"v")], NOW).unwrap();
        }
        let mut seen = BTreeSet::new();
        let mut cursor = ScanCursor::START;
        loop {
            cursor = engine
                .hash(at(b"hash"), NOW)
                .unwrap()
                .unwrap()
                .scan(cursor, 5, &mut |field, _| {
                    seen.insert(field.to_vec());
                    true
                })
                .unwrap();
            if cursor == ScanCursor::START {
                break;
            }
            for _ in 0..20 {
                let field = format!("comes:{}", rng.below(500)).into_bytes();
                if rng.below(2) == 0 {
                    engine.hash_set(at(b"hash"), &[(&field, b"v")], NOW).unwrap();
                } else {
                    engine.hash_remove(at(b"hash"), &[&field], NOW).unwrap();
                }
            }
            engine.commit(1).unwrap();
        }
        assert!(seen.is_superset(&stays), "{}", fixture.name);
    });
}

#[test]
fn later_duplicates_win_and_count_once() {
    on_each(|_, engine| {
        let pairs: [(&[u8], &[u8]); 3] = [(b"f", b"1"), (b"g", b"2"), (b"f", b"3")];
        assert_eq!(engine.hash_set(at(b"h"), &pairs, NOW).unwrap(), 2);
        assert_eq!(engine.hash_set(at(b"h"), &[(b"n", b"1"), (b"n", b"2")], NOW).unwrap(), 1);
        let hash = engine.hash(at(b"h"), NOW).unwrap().unwrap();
        assert_eq!(hash.len(), 3);
        assert_eq!(hash.get(b"f").unwrap().as_deref(), Some(&b"3"[..]));
        assert_eq!(hash.get(b"n").unwrap().as_deref(), Some(&b"2"[..]));
        drop(hash);
        assert_eq!(engine.hash_remove(at(b"h"), &[b"f", b"f", b"g", b"n", b"x"], NOW).unwrap(), 3);
        assert_eq!(engine.len(DB), 0);
        assert_eq!(engine.meta(at(b"h"), NOW).unwrap(), None);
    });
}

#[test]
fn an_expired_key_is_absent_before_its_sweep() {
    on_each(|_, engine| {
        let (then, after) = (UnixMs(2_000), UnixMs(2_001));
        engine.set_string(at(b"s"), b"v", Expiry::At(then), NOW).unwrap();
        engine.hash_set(at(b"h"), &[(b"f", b"v")], NOW).unwrap();
        assert!(engine.set_expiry(at(b"h"), Some(then), NOW).unwrap());
        assert_eq!(text(engine, DB, b"s", then), Some(b"v".to_vec()), "it lives to the end of its last millisecond");
        assert_eq!(text(engine, DB, b"s", after), None);
        assert!(engine.hash(at(b"h"), after).unwrap().is_none());
        assert_eq!((engine.len(DB), engine.expires(DB)), (2, 2));
        assert_eq!(engine.next_expiry(), Some(then));
        assert!(scan_all(engine, DB, 10, after).is_empty());
        assert_eq!(engine.random_key(DB, after, &mut Rng::new(1)).unwrap(), None);

        // Writes begin anew: nothing of the old value or its expiry is left.
        assert_eq!(engine.hash_set(at(b"h"), &[(b"g", b"w")], after).unwrap(), 1);
        let (object, expires_at) = engine.object(at(b"h"), after).unwrap().unwrap();
        assert_eq!((object, expires_at), (Object::Hash(vec![(b"g".to_vec(), b"w".to_vec())]), None));
        engine.set_string(at(b"s"), b"w", Expiry::Keep, after).unwrap();
        assert_eq!(engine.meta(at(b"s"), after).unwrap().unwrap().expires_at, None);
        assert_eq!(engine.next_expiry(), None);
        assert!(!engine.remove(at(b"absent"), after).unwrap());
    });
}

#[test]
fn the_oldest_expire_first_and_no_more_than_asked_for() {
    on_each(|_, engine| {
        for n in [5_i64, 3, 9, 1, 7] {
            let key = n.to_string();
            let db = Db((n % 2) as u16 + (n / 5) as u16);
            engine.set_string(Address::new(db, key.as_bytes()), b"v", Expiry::At(UnixMs(n)), UnixMs(0)).unwrap();
        }
        let mut removed = Vec::new();
        let mut expire = |engine: &mut dyn Engine, now, limit| {
            engine.expire_due(UnixMs(now), limit, &mut |_, key| removed.push(key.to_vec())).unwrap()
        };
        assert_eq!(expire(engine, 1, 10), 0, "one that expires at 1 is there at 1");
        assert_eq!(expire(engine, 6, 2), 2);
        assert_eq!(expire(engine, 6, 2), 1);
        assert_eq!(expire(engine, 100, 100), 2);
        assert_eq!(removed, [b"1", b"3", b"5", b"7", b"9"]);
        assert_eq!(engine.next_expiry(), None);
    });
}

#[test]
fn flushing_and_swapping_databases() {
    on_each(|_, engine| {
        fn in_db(db: u16, key: &[u8]) -> Address<'_> {
            Address::new(Db(db), key)
        }
        for n in 0..1_000 {
            let key = format!("k{n}");
            engine.set_string(in_db(1, key.as_bytes()), b"v", Expiry::At(UnixMs(5_000 + n)), NOW).unwrap();
        }
        engine.hash_set(in_db(1, b"h"), &[(b"f", b"v")], NOW).unwrap();
        engine.set_string(in_db(2, b"other"), b"v", Expiry::Clear, NOW).unwrap();
        engine.commit(1).unwrap();
        engine.swap_db(Db(1), Db(2)).unwrap();
        assert_eq!((engine.len(Db(1)), engine.len(Db(2)), engine.expires(Db(2))), (1, 1_001, 1_000));
        assert_eq!(text(engine, Db(2), b"k1", NOW), Some(b"v".to_vec()));
        engine.flush_db(Db(2)).unwrap();
        assert_eq!((engine.len(Db(2)), engine.expires(Db(2)), engine.next_expiry()), (0, 0, None));
        assert!(engine.hash(in_db(2, b"h"), NOW).unwrap().is_none());
        engine.set_string(in_db(2, b"k1"), b"new", Expiry::Clear, NOW).unwrap();
        for index in 2..200 {
            engine.commit(index).unwrap();
        }
        assert_eq!(scan_all(engine, Db(2), 10, NOW), [b"k1"]);
        assert_eq!(scan_all(engine, Db(1), 10, NOW), [b"other"]);
        engine.swap_db(Db(7), Db(1)).unwrap();
        assert_eq!((engine.len(Db(7)), engine.len(Db(1))), (1, 0));
    });
}

#[test]
fn random_keys_and_fields_are_spread() {
    on_each(|fixture, engine| {
        for n in 0..2_000 {
            engine.set_string(at(format!("key:{n}").as_bytes()), b"v", Expiry::Clear, NOW).unwrap();
            engine.hash_set(Address::new(Db(1), b"h"), &[(format!("f{n}").as_bytes(), b"v")], NOW).unwrap();
        }
        engine.commit(1).unwrap();
        let mut rng = Rng::new(9);
        let mut keys = BTreeSet::new();
        let mut fields = BTreeSet::new();
        let hash = engine.hash(Address::new(Db(1), b"h"), NOW).unwrap().unwrap();
        for _ in 0..1_000 {
            keys.extend(engine.random_key(DB, NOW, &mut rng).unwrap());
            hash.random(&mut rng, &mut |field, _| {
                fields.insert(field.to_vec());
                true
            })
            .unwrap();
        }
        // Uniform draws would give about 787 distinct ones.
        assert!(keys.len() > 600, "{}: {}", fixture.name, keys.len());
        assert!(fields.len() > 600, "{}: {}", fixture.name, fields.len());
    });
}

#[test]
fn encodings_are_sticky_as_in_redis() {
    on_each(|_, engine| {
        let encoding = |engine: &dyn Engine, key: &[u8]| engine.encoding(at(key), NOW).unwrap().unwrap();
        for (value, expected) in
            [(&b"12"[..], "int"), (b"012", "embstr"), (&[b'x'; 44], "embstr"), (&[b'x'; 45], "raw")]
        {
            engine.set_string(at(b"s"), value, Expiry::Clear, NOW).unwrap();
            assert_eq!(encoding(engine, b"s"), expected);
        }
        engine.set_string(at(b"s"), b"1", Expiry::Clear, NOW).unwrap();
        engine.edit_string(at(b"s"), NOW, &mut |value| value.push(b'2')).unwrap();
        assert_eq!((encoding(engine, b"s"), text(engine, DB, b"s", NOW)), ("raw", Some(b"12".to_vec())));

        for n in 0..7 {
            engine.hash_set(at(b"h"), &[(format!("f{n}").as_bytes(), b"v")], NOW).unwrap();
            assert_eq!(encoding(engine, b"h"), if n < 6 { "listpack" } else { "hashtable" });
        }
        engine.hash_remove(at(b"h"), &[b"f0", b"f1", b"f2"], NOW).unwrap();
        assert_eq!(encoding(engine, b"h"), "hashtable", "a hash table stays one");
        engine.hash_set(at(b"l"), &[(b"f", &[b'v'; 13])], NOW).unwrap();
        assert_eq!(encoding(engine, b"l"), "hashtable");
    });
}
