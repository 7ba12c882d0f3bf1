//! What only this engine has: garbage, loading, and files that fail.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::format::RowRange;
use super::store::{OrderedStore, Rows, StoreView};
use super::*;
use crate::storage::value::EngineUsage;
use crate::storage::{Address, Engine, Expiry, Object, ScanCursor, SyncJob};
use crate::types::{Db, UnixMs};

const NOW: UnixMs = UnixMs(1_000);
type Open = fn(&Path) -> StorageResult<RowEngine>;
const OPEN: [(&str, Open); 2] = [("lsm", RowEngine::open_lsm), ("btree", RowEngine::open_btree)];

fn at(key: &[u8]) -> Address<'_> {
    Address::new(Db(0), key)
}

fn sync(engine: &mut RowEngine) {
    let job = engine.prepare_sync().unwrap().unwrap();
    job().unwrap();
}

/// Number of rows with a tag, in the files and the overlay.
fn rows_tagged(engine: &RowEngine, tag: u8) -> usize {
    let mut count = 0;
    engine
        .reads()
        .walk(&RowRange::with_prefix(vec![tag]), &mut |_, _| {
            count += 1;
            Ok(true)
        })
        .unwrap();
    count
}

#[test]
fn a_huge_hash_is_deleted_at_once_and_swept_bit_by_bit() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        let fields: Vec<String> = (0..100_000).map(|n| format!("field:{n}")).collect();
        let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|field| (field.as_bytes(), &b"value"[..])).collect();
        assert_eq!(engine.hash_set(at(b"huge"), &pairs, NOW).unwrap(), 100_000);
        engine.commit(1).unwrap();
        sync(&mut engine);
        assert_eq!(rows_tagged(&engine, b'E'), 100_000);

        assert!(engine.remove(at(b"huge"), NOW).unwrap());
        assert_eq!(rows_tagged(&engine, b'E'), 100_000, "{name}: the fields are not touched, which takes no time");
        engine.commit(2).unwrap();
        assert_eq!((engine.len(Db(0)), engine.hash(at(b"huge"), NOW).unwrap().is_none()), (0, true));

        // The note of what is dead survives a reopening.
        sync(&mut engine);
        drop(engine);
        let mut engine = open(dir.path()).unwrap();
        engine.hash_set(at(b"huge"), &[(b"field:1", b"new")], NOW).unwrap();
        engine.commit(3).unwrap();
        let mut sweeps = 0;
        while engine.sweep(1_000).unwrap() > 0 {
            sweeps += 1;
        }
        assert!(sweeps <= 102, "{name}: {sweeps}");
        sync(&mut engine);
        assert_eq!((rows_tagged(&engine, b'E'), rows_tagged(&engine, b'G')), (1, 0), "{name}");
        let hash = engine.hash(at(b"huge"), NOW).unwrap().unwrap();
        assert_eq!(hash.get(b"field:1").unwrap().as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn an_emptied_database_leaves_no_row_behind() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        for n in 0..3_000_i64 {
            let key = format!("key:{n}").into_bytes();
            engine.set_string(at(&key), b"v", Expiry::At(UnixMs(10_000 + n)), NOW).unwrap();
            let key = [key, vec![b'l'; 500]].concat();
            engine.hash_set(at(&key), &[(b"f", b"v"), (b"g", b"v")], NOW).unwrap();
        }
        for n in 0..200 {
            engine.hash_set(at(b"big"), &[(format!("f{n}").as_bytes(), b"v")], NOW).unwrap();
        }
        engine.commit(1).unwrap();
        engine.flush_db(Db(0)).unwrap();
        assert_eq!((engine.len(Db(0)), engine.expires(Db(0)), engine.next_expiry()), (0, 0, None));
        engine.set_string(at(b"after"), b"v", Expiry::Clear, NOW).unwrap();
        engine.commit(2).unwrap();
        // Reopen in the middle of the sweep.
        engine.sweep(2_000).unwrap();
        sync(&mut engine);
        drop(engine);
        let mut engine = open(dir.path()).unwrap();
        while engine.sweep(700).unwrap() > 0 {}
        engine.commit(3).unwrap();
        sync(&mut engine);
        for tag in *b"EGX" {
            assert_eq!(rows_tagged(&engine, tag), 0, "{name} {}", char::from(tag));
        }
        assert_eq!(rows_tagged(&engine, b'K'), 1, "{name}");
        assert_eq!(rows_tagged(&engine, b'S'), usize::from(name == "btree"), "{name}");
        let mut keys = Vec::new();
        engine
            .scan(Db(0), ScanCursor::START, 10, NOW, &mut |key, _| {
                keys.push(key.to_vec());
                true
            })
            .unwrap();
        assert_eq!(keys, [b"after"]);
    }
}

#[test]
fn a_load_spills_and_counts_only_when_it_is_complete() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let load = |engine: &mut RowEngine| {
            engine.begin_load().unwrap();
            for n in 0..20_000 {
                let key = format!("key:{n}");
                engine.put_object(at(key.as_bytes()), Object::String(vec![b'v'; 100]), None).unwrap();
                assert!(engine.overlay.len() <= 4_200, "{name}: loading takes little memory");
            }
        };
        let mut engine = open(dir.path()).unwrap();
        load(&mut engine);
        drop(engine);
        assert!(RowEngine::must_rebuild(dir.path()).unwrap());
        assert!(open(dir.path()).is_err(), "half a snapshot is not opened");

        std::fs::remove_dir_all(dir.path()).unwrap();
        let mut engine = open(dir.path()).unwrap();
        load(&mut engine);
        engine.end_load(42).unwrap();
        drop(engine);
        assert!(!RowEngine::must_rebuild(dir.path()).unwrap());
        let engine = open(dir.path()).unwrap();
        assert_eq!((engine.applied(), engine.len(Db(0))), (Some(42), 20_000));
    }
}

/// A store whose writes fail on demand, as on a full disk.
struct Failing {
    inner: Box<dyn OrderedStore>,
    full: Arc<AtomicBool>,
}

impl OrderedStore for Failing {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        self.inner.view()
    }

    fn write(&self, rows: &Rows, removed: &[RowRange]) -> StorageResult<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
        }
        self.inner.write(rows, removed)
    }

    fn sync_job(&self) -> SyncJob {
        self.inner.sync_job()
    }

    fn removes_ranges_cheaply(&self) -> bool {
        self.inner.removes_ranges_cheaply()
    }

    fn usage(&self) -> EngineUsage {
        self.inner.usage()
    }
}

#[test]
fn a_full_disk_loses_nothing_and_the_next_commit_tries_again() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let full = Arc::new(AtomicBool::new(true));
        let mut engine = open(dir.path()).unwrap();
        struct Gone;
        impl OrderedStore for Gone {
            fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
                unreachable!("it only fills the place for a moment")
            }
            fn write(&self, _: &Rows, _: &[RowRange]) -> StorageResult<()> {
                unreachable!("it only fills the place for a moment")
            }
            fn sync_job(&self) -> SyncJob {
                unreachable!("it only fills the place for a moment")
            }
            fn removes_ranges_cheaply(&self) -> bool {
                false
            }
            fn usage(&self) -> EngineUsage {
                EngineUsage::default()
            }
        }
        let inner = std::mem::replace(&mut engine.files, Box::new(Gone));
        engine.files = Box::new(Failing { inner, full: Arc::clone(&full) });
        engine.flush.rows = 10;
        for index in 1..=5 {
            for n in 0..10 {
                engine.set_string(at(format!("{index}:{n}").as_bytes()), b"v", Expiry::Clear, NOW).unwrap();
            }
            assert!(engine.commit(index).is_err(), "{name}");
            assert_eq!(engine.len(Db(0)), index * 10);
            assert!(engine.string(at(b"1:0"), NOW).unwrap().is_some());
        }
        assert!(engine.prepare_sync().is_err());
        full.store(false, Ordering::Relaxed);
        engine.commit(6).unwrap();
        drop(engine);
        let engine = open(dir.path()).unwrap();
        assert_eq!((engine.applied(), engine.len(Db(0))), (Some(6), 50), "{name}");
    }
}

#[test]
fn usage_counts_files_and_memory() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        for n in 0..2_000_u64 {
            // Not compressible.
            let value: Vec<u8> =
                (0..100).flat_map(|i| format::name_hash(&(n * 100 + i).to_be_bytes()).to_be_bytes()).collect();
            engine.set_string(at(format!("key:{n}").as_bytes()), &value, Expiry::Clear, NOW).unwrap();
        }
        assert!(engine.usage().memory_bytes > 800_000, "{name}");
        engine.commit(1).unwrap();
        sync(&mut engine);
        assert!(engine.usage().disk_bytes > 800_000, "{name}: {:?}", engine.usage());
    }
}

#[test]
fn replaying_a_log_gives_the_same_rows() {
    for (name, open) in OPEN {
        let rows_of = || {
            let dir = tempfile::tempdir().unwrap();
            let mut engine = open(dir.path()).unwrap();
            for index in 1..100_u64 {
                let (key, field) = (format!("k{}", index % 7), format!("f{}", index % 11));
                engine.hash_set(at(key.as_bytes()), &[(field.as_bytes(), b"v")], NOW).unwrap();
                if index % 5 == 0 {
                    engine.remove(at(key.as_bytes()), NOW).unwrap();
                }
                engine.commit(index).unwrap();
            }
            sync(&mut engine);
            let mut rows = Vec::new();
            engine
                .reads()
                .walk(&RowRange { start: vec![0], end: vec![0xff] }, &mut |row, value| {
                    rows.push((row.to_vec(), value.to_vec()));
                    Ok(true)
                })
                .unwrap();
            rows
        };
        assert_eq!(rows_of(), rows_of(), "{name}");
    }
}

#[test]
fn reads_run_side_by_side_and_beside_a_sync() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        for round in 1..=5_u64 {
            for n in 0..5_000 {
                let (key, value) = (format!("key:{n}"), format!("value:{round}"));
                engine.set_string(at(key.as_bytes()), value.as_bytes(), Expiry::At(UnixMs(5_000)), NOW).unwrap();
            }
            engine.commit(round).unwrap();
            let job = engine.prepare_sync().unwrap().unwrap();
            let engine = &engine;
            std::thread::scope(|scope| {
                scope.spawn(|| job().unwrap());
                for _ in 0..4 {
                    scope.spawn(|| {
                        let mut seen = 0;
                        let expected = format!("value:{round}").into_bytes();
                        let mut visit = |key: &[u8], _| {
                            let value = engine.string(at(key), NOW).unwrap().unwrap();
                            assert_eq!(value.into_bytes(), expected, "{name}");
                            assert_eq!(engine.next_expiry(), Some(UnixMs(5_000)));
                            seen += 1;
                            true
                        };
                        engine.scan(Db(0), ScanCursor::START, usize::MAX, NOW, &mut visit).unwrap();
                        assert_eq!(seen, 5_000);
                    });
                }
            });
        }
    }
}

/// Figures for the documentation: `cargo test --release throughput -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn throughput() {
    const KEYS: u64 = 500_000;
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        let key = |n: u64| format!("key:{:012}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS).into_bytes();
        let mut index = 0;
        let report = |what: &str, count: u64, begun: Instant| {
            println!("{name:6} {what:32} {:8.0} op/s", count as f64 / begun.elapsed().as_secs_f64());
        };
        for what in ["set_string, new", "set_string, overwriting"] {
            let begun = Instant::now();
            for n in 0..KEYS {
                engine.set_string(at(&key(n)), &[b'v'; 64], Expiry::Clear, NOW).unwrap();
                if n % 50 == 49 {
                    index += 1;
                    engine.commit(index).unwrap();
                }
            }
            report(what, KEYS, begun);
        }
        let begun = Instant::now();
        sync(&mut engine);
        println!("{name:6} sync {:?}, {:?}", begun.elapsed(), engine.usage());
        let begun = Instant::now();
        let found = (0..KEYS).filter(|&n| engine.string(at(&key(n)), NOW).unwrap().is_some()).count();
        report("string", KEYS, begun);
        assert!(found > 0);
        let begun = Instant::now();
        for n in 0..KEYS {
            let (hash, field) = (format!("h{}", n % 1_000), format!("field:{n}"));
            engine.hash_set(at(hash.as_bytes()), &[(field.as_bytes(), &[b'v'; 64])], NOW).unwrap();
            if n % 50 == 49 {
                index += 1;
                engine.commit(index).unwrap();
            }
        }
        report("hash_set, one new field", KEYS, begun);
        let begun = Instant::now();
        for n in 0..KEYS {
            let (hash, field) = (format!("h{}", n % 1_000), format!("field:{n}"));
            let hash = engine.hash(at(hash.as_bytes()), NOW).unwrap().unwrap();
            assert!(hash.get(field.as_bytes()).unwrap().is_some());
        }
        report("hash, one field", KEYS, begun);
        let begun = Instant::now();
        for n in 0..1_000 {
            let hash = engine.hash(at(format!("h{n}").as_bytes()), NOW).unwrap().unwrap();
            hash.for_each(&mut |_, _| true).unwrap();
        }
        report("fields of for_each", KEYS, begun);
    }
}
