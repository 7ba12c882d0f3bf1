//! What one operation of the row engines costs with half a million keys, which fit in memory. The index of the log
//! advances every fifty operations, as entries gather that many commands of a busy server.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use kvorum::storage::rows::RowEngine;
use kvorum::storage::{Address, Engine, Expiry, StorageResult};
use kvorum::types::rng::Rng;
use kvorum::types::{Db, UnixMs};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Open = fn(&Path) -> StorageResult<RowEngine>;
const OPEN: [(&str, Open); 2] = [("lsm", RowEngine::open_lsm), ("btree", RowEngine::open_btree)];
const NOW: UnixMs = UnixMs(1_700_000_000_000);
const KEYS: u64 = 500_000;
const HASHES: u64 = 1_000;
const ENTRY_COMMANDS: u64 = 50;
const VALUE: [u8; 64] = [b'v'; 64];

fn at(key: &[u8]) -> Address<'_> {
    Address::new(Db(0), key)
}

/// An engine, and the operations done on it.
struct Log {
    engine: RowEngine,
    operations: u64,
}

impl Log {
    fn step(&mut self, act: impl FnOnce(&mut RowEngine)) {
        act(&mut self.engine);
        self.operations += 1;
        if self.operations.is_multiple_of(ENTRY_COMMANDS) {
            self.engine.commit(self.operations / ENTRY_COMMANDS).expect("the disk has room");
        }
    }

    fn set(&mut self, number: u64) {
        let key = format!("key:{number:012}");
        self.step(|engine| {
            engine.set_string(at(key.as_bytes()), &VALUE, Expiry::Clear, NOW).expect("the disk has room");
        });
    }

    fn set_field(&mut self, number: u64) {
        let (hash, field) = (format!("hash:{}", number % HASHES), format!("field:{number}"));
        self.step(|engine| {
            engine.hash_set(at(hash.as_bytes()), &[(field.as_bytes(), &VALUE)], NOW).expect("the disk has room");
        });
    }
}

fn operations(criterion: &mut Criterion) {
    for (name, open) in OPEN {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = Log { engine: open(dir.path()).expect("the files open"), operations: 0 };
        let mut rng = Rng::new(1);
        (0..KEYS).for_each(|number| log.set(number));
        (0..KEYS / 10).for_each(|number| log.set_field(number));
        let mut group = criterion.benchmark_group(name);
        group.bench_function("set_string, overwriting", |bencher| bencher.iter(|| log.set(rng.below(KEYS))));
        let mut next = KEYS;
        group.bench_function("set_string, new", |bencher| {
            bencher.iter(|| {
                next += 1;
                log.set(next);
            });
        });
        group.bench_function("hash_set, new field", |bencher| {
            bencher.iter(|| {
                next += 1;
                log.set_field(next);
            });
        });
        group.bench_function("string", |bencher| {
            bencher.iter(|| {
                let key = format!("key:{:012}", rng.below(KEYS));
                let found = log.engine.string(at(key.as_bytes()), NOW).expect("the files can be read");
                black_box(found.expect("every key is there").into_bytes().len())
            });
        });
        group.bench_function("hash, one field", |bencher| {
            bencher.iter(|| {
                let number = rng.below(KEYS / 10);
                let (hash, field) = (format!("hash:{}", number % HASHES), format!("field:{number}"));
                let hash = log.engine.hash(at(hash.as_bytes()), NOW).expect("the files can be read");
                black_box(hash.expect("every hash is there").get(field.as_bytes()).is_ok_and(|value| value.is_some()))
            });
        });
        group.bench_function("hash, all fields", |bencher| {
            bencher.iter(|| {
                let hash = format!("hash:{}", rng.below(HASHES));
                let hash = log.engine.hash(at(hash.as_bytes()), NOW).expect("the files can be read");
                let mut bytes = 0;
                let mut visit = |_: &[u8], value: &[u8]| {
                    bytes += value.len();
                    true
                };
                hash.expect("every hash is there").for_each(&mut visit).expect("the files can be read");
                bytes
            });
        });
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
