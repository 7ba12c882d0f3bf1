//! What only this engine has: garbage, loading, and files that fail.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::format::RowRange;
use super::store::{OrderedStore, Rows, StoreView, VisitRow};
use super::*;
use crate::storage::digest::digest_engine;
use crate::storage::value::EngineUsage;
use crate::storage::{Address, Engine, Expiry, Object, ScanCursor, SyncJob};
use crate::types::{Db, UnixMs};

pub(super) const NOW: UnixMs = UnixMs(1_000);
type Open = fn(&Path) -> StorageResult<RowEngine>;
const OPEN: [(&str, Open); 2] = [("lsm", RowEngine::open_lsm), ("btree", RowEngine::open_btree)];

pub(super) fn at(key: &[u8]) -> Address<'_> {
    Address::new(Db(0), key)
}

pub(super) fn sync(engine: &mut RowEngine) {
    let job = engine.prepare_sync().unwrap().unwrap();
    job().unwrap();
}

/// What a [`Watched`] store saw, and what it is to do.
#[derive(Default)]
pub(super) struct Watch {
    /// Writes fail, as on a full disk.
    full: AtomicBool,
    /// Rows that were looked up, or met on a walk.
    read: AtomicUsize,
    /// Rows and ranges of rows written and removed.
    written: AtomicUsize,
}

impl Watch {
    /// Rows read and written since the last call.
    pub(super) fn take(&self) -> (usize, usize) {
        (self.read.swap(0, Ordering::Relaxed), self.written.swap(0, Ordering::Relaxed))
    }
}

/// A store that counts the rows it is asked for, and fails on demand.
pub(super) struct Watched {
    inner: Box<dyn OrderedStore>,
    watch: Arc<Watch>,
}

impl OrderedStore for Watched {
    fn view(&self) -> StorageResult<Box<dyn StoreView + '_>> {
        Ok(Box::new(WatchedView { inner: self.inner.view()?, watch: &self.watch }))
    }

    fn write(&self, rows: &Rows, removed: &[RowRange]) -> StorageResult<()> {
        if self.watch.full.load(Ordering::Relaxed) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
        }
        self.watch.written.fetch_add(rows.len() + removed.len(), Ordering::Relaxed);
        self.inner.write(rows, removed)
    }

    fn sync_job(&self) -> SyncJob {
        self.inner.sync_job()
    }

    fn freeze(&self) -> StorageResult<Box<dyn FrozenRows>> {
        self.inner.freeze()
    }

    fn removes_ranges_cheaply(&self) -> bool {
        self.inner.removes_ranges_cheaply()
    }

    fn usage(&self) -> EngineUsage {
        self.inner.usage()
    }
}

pub(super) struct WatchedView<'a> {
    inner: Box<dyn StoreView + 'a>,
    watch: &'a Watch,
}

impl StoreView for WatchedView<'_> {
    fn get(&self, row: &[u8], found: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        self.watch.read.fetch_add(1, Ordering::Relaxed);
        self.inner.get(row, found)
    }

    fn walk(&self, start: &[u8], end: &[u8], reverse: bool, visit: &mut VisitRow<'_>) -> StorageResult<()> {
        self.inner.walk(start, end, reverse, &mut |row, value| {
            self.watch.read.fetch_add(1, Ordering::Relaxed);
            visit(row, value)
        })
    }
}

/// Opens an engine over a [`Watched`] store.
pub(super) fn open_watched(name: &str, path: &Path) -> (RowEngine, Arc<Watch>) {
    let options = RowOptions::default();
    let (inner, order, flush): (Box<dyn OrderedStore>, _, _) = match name {
        "lsm" => (Box::new(LsmStore::open(path, &options).unwrap()), KeyOrder::Slot, LSM_FLUSH),
        _ => (Box::new(BTreeStore::open(path, &options).unwrap()), KeyOrder::Bytes, BTREE_FLUSH),
    };
    let watch = Arc::new(Watch::default());
    let files = Box::new(Watched { inner, watch: Arc::clone(&watch) });
    (RowEngine::open(files, path, order, flush).unwrap(), watch)
}

/// Number of rows with a tag, in the files and the overlay.
pub(super) fn rows_tagged(engine: &RowEngine, tag: u8) -> usize {
    engine.rows_tagged(tag)
}

impl RowEngine {
    /// Number of rows with a tag.
    pub(in crate::storage) fn rows_tagged(&self, tag: u8) -> usize {
        let mut count = 0;
        let visit = &mut |_: &[u8], _: &[u8]| {
            count += 1;
            Ok(true)
        };
        self.reads().walk(&RowRange::with_prefix(vec![tag]), visit).unwrap();
        count
    }
}

#[test]
fn a_huge_hash_is_deleted_at_once_and_swept_bit_by_bit() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let (mut engine, watch) = open_watched(name, dir.path());
        let fields: Vec<String> = (0..100_000).map(|n| format!("field:{n}")).collect();
        let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|field| (field.as_bytes(), &b"value"[..])).collect();
        assert_eq!(engine.hash_set(at(b"huge"), &pairs, NOW).unwrap(), 100_000);
        engine.commit(1).unwrap();
        sync(&mut engine);
        assert_eq!(rows_tagged(&engine, b'E'), 100_000);

        watch.take();
        assert!(engine.remove(at(b"huge"), NOW).unwrap());
        // The key's row, that of the slot index, and the note of what is dead.
        let noted = if name == "btree" { 3 } else { 2 };
        assert_eq!((watch.take(), engine.overlay.len()), ((1, 0), noted), "{name}: no field is touched");
        assert_eq!(rows_tagged(&engine, b'E'), 100_000, "{name}");
        watch.take();
        engine.commit(2).unwrap();
        let (read, written) = watch.take();
        let touched = read + written + engine.overlay.len();
        assert!(touched <= 2 * SWEEP_ROWS_PER_COMMIT + 8, "{name}: a commit touched {touched} rows");
        assert_eq!((engine.len(Db(0)), engine.hash(at(b"huge"), NOW).unwrap().is_none()), (0, true));

        // The note of what is dead survives a reopening.
        sync(&mut engine);
        drop(engine);
        let mut engine = open(dir.path()).unwrap();
        engine.hash_set(at(b"huge"), &[(b"field:1", b"new")], NOW).unwrap();
        engine.commit(3).unwrap();
        let mut sweeps = 0;
        loop {
            let rows = engine.overlay.len();
            let removed = engine.sweep(1_000).unwrap();
            assert!(engine.overlay.len() <= rows + 1_002, "{name}: {} rows after {rows}", engine.overlay.len());
            if removed == 0 {
                break;
            }
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

#[test]
fn rows_are_copied_as_they_were_frozen() {
    for (name, open) in OPEN {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let fill = |engine: &mut RowEngine, seed: usize, keys: usize| {
            for n in 0..keys {
                let key = format!("key:{seed}:{n}");
                let expiry = (n % 3 == 0).then_some(UnixMs(NOW.0 + 1_000_000));
                engine.put_object(at(key.as_bytes()), Object::String(vec![b'v'; n % 700]), expiry).unwrap();
            }
            engine.hash_set(at(b"hash"), &[(format!("field:{seed}").as_bytes(), b"value")], NOW).unwrap();
        };
        let mut source = open(from.path()).unwrap();
        fill(&mut source, 1, 9_000);
        source.commit(7).unwrap();
        let expected = digest_engine(&source, Db(0), NOW).unwrap();
        let mut frozen = source.freeze().unwrap();
        // Not seen by the copy.
        fill(&mut source, 2, 5_000);
        source.flush_db(Db(1)).unwrap();
        source.commit(8).unwrap();
        sync(&mut source);

        let mut copy = open(to.path()).unwrap();
        fill(&mut copy, 3, 100);
        copy.commit(2).unwrap();
        copy.begin_copy().unwrap();
        let mut chunks = 0;
        while let Some(chunk) = frozen.next().unwrap() {
            copy.copy(&chunk).unwrap();
            chunks += 1;
        }
        assert!(chunks > 1, "{name}");
        drop(copy);
        assert!(open(to.path()).is_err(), "{name}: half a copy is not opened");
        RowEngine::discard_untrusted(to.path()).unwrap();

        let mut copy = open(to.path()).unwrap();
        let mut frozen = source.freeze().unwrap();
        copy.begin_copy().unwrap();
        while let Some(chunk) = frozen.next().unwrap() {
            copy.copy(&chunk).unwrap();
        }
        copy.end_copy().unwrap();
        assert_eq!(copy.applied(), Some(8), "{name}");
        let later = digest_engine(&source, Db(0), NOW).unwrap();
        assert_ne!(later, expected, "{name}");
        assert_eq!(digest_engine(&copy, Db(0), NOW).unwrap(), later, "{name}");
        // It goes on like the other.
        for engine in [&mut source, &mut copy] {
            fill(engine, 4, 50);
            engine.commit(9).unwrap();
        }
        assert_eq!(digest_engine(&copy, Db(0), NOW).unwrap(), digest_engine(&source, Db(0), NOW).unwrap(), "{name}");
        drop(copy);
        let copy = open(to.path()).unwrap();
        assert_eq!(copy.len(Db(0)), 14_001, "{name}: what was not written out is in the log");
    }
}

#[test]
fn a_frozen_copy_does_not_see_later_writes() {
    for (name, open) in OPEN {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut source = open(from.path()).unwrap();
        for n in 0..3_000 {
            let key = format!("key:{n}");
            source.put_object(at(key.as_bytes()), Object::String(vec![b'v'; 500]), None).unwrap();
        }
        source.commit(3).unwrap();
        let expected = digest_engine(&source, Db(0), NOW).unwrap();
        let mut frozen = source.freeze().unwrap();
        for n in 0..3_000 {
            source.remove(at(format!("key:{n}").as_bytes()), NOW).unwrap();
        }
        source.commit(4).unwrap();
        sync(&mut source);
        let mut copy = open(to.path()).unwrap();
        copy.begin_copy().unwrap();
        while let Some(chunk) = frozen.next().unwrap() {
            copy.copy(&chunk).unwrap();
        }
        copy.end_copy().unwrap();
        assert_eq!(digest_engine(&copy, Db(0), NOW).unwrap(), expected, "{name}");
        assert_eq!((copy.applied(), copy.len(Db(0))), (Some(3), 3_000), "{name}");
    }
}

#[test]
fn a_full_disk_loses_nothing_and_the_next_commit_tries_again() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let (mut engine, watch) = open_watched(name, dir.path());
        watch.full.store(true, Ordering::Relaxed);
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
        watch.full.store(false, Ordering::Relaxed);
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

/// The rows of every kind, byte by byte, as version 1 of the format has them on disks. A change of them needs another
/// version, and the old one read. `KEEP_FIXTURE=1` writes the files anew, for a new version.
#[test]
fn the_rows_are_those_of_the_fixture() {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(dir.path()).unwrap();
        engine.set_string(at(b"string"), b"value", Expiry::Clear, NOW).unwrap();
        engine.set_string(at(b"integer"), b"-42", Expiry::At(UnixMs(5_000)), NOW).unwrap();
        engine.edit_string(at(b"edited"), NOW, &mut |value| value.extend_from_slice(b"bytes")).unwrap();
        engine.set_string(Address::new(Db(3), &[b'k'; 401]), b"long", Expiry::At(UnixMs(-1)), UnixMs(-2)).unwrap();
        engine.hash_set(at(b"small"), &[(b"field", b"1"), (b"other", b"2")], NOW).unwrap();
        engine.hash_set(at(b"big"), &[(b"field", &[b'v'; 65]), (&[b'f'; 401], b"2")], NOW).unwrap();
        engine.commit(1).unwrap();
        sync(&mut engine);
        // Garbage that is not swept yet.
        engine.hash_set(at(b"dead"), &[(b"a", b"1"), (b"b", b"2")], NOW).unwrap();
        engine.remove(at(b"dead"), NOW).unwrap();
        engine.set_string(Address::new(Db(4), b"emptied"), b"", Expiry::Clear, NOW).unwrap();
        engine.flush_db(Db(4)).unwrap();
        engine.committed = 2;
        engine.entry_open = false;
        sync(&mut engine);
        let mut text = format!("format {}\n", format::FORMAT_VERSION);
        engine
            .reads()
            .walk(&RowRange { start: vec![0], end: vec![0xff] }, &mut |row, value| {
                text += &format!("{}\n    {}\n", row.escape_ascii(), value.escape_ascii());
                Ok(true)
            })
            .unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/rows-v1-{name}.txt"));
        if std::env::var_os("KEEP_FIXTURE").is_some() {
            std::fs::write(&fixture, &text).unwrap();
        }
        let expected = std::fs::read_to_string(fixture).unwrap();
        for (line, (found, expected)) in text.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{name}, line {}", line + 1);
        }
        assert_eq!(text.lines().count(), expected.lines().count(), "{name}");
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
