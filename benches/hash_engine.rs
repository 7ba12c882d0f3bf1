//! What one operation of the hash engine costs, with a thousand keys (in the processor's caches)
//! and with a million (mostly not).

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kvorum::storage::hash::{HashEngine, SlotCursor};
use kvorum::storage::{Address, EncodingSettings, Engine, Expiry, ScanCursor};
use kvorum::types::rng::Rng;
use kvorum::types::{Db, UnixMs};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const DB: Db = Db(0);
const NOW: UnixMs = UnixMs(1_700_000_000_000);
const VALUE: [u8; 64] = [b'v'; 64];

fn keys(count: usize) -> Vec<String> {
    let mut keys: Vec<String> = (0..count).map(|i| format!("key:{i:012}")).collect();
    let mut rng = Rng::new(1);
    for i in (1..count).rev() {
        keys.swap(i, rng.below(i as u64 + 1) as usize);
    }
    keys
}

fn filled(keys: &[String]) -> HashEngine {
    let mut engine = HashEngine::new(EncodingSettings::default());
    for key in keys {
        engine.set_string(Address::new(DB, key.as_bytes()), &VALUE, Expiry::Clear, NOW).expect("memory does not fail");
    }
    engine
}

fn strings(criterion: &mut Criterion) {
    for count in [1_000, 1_000_000] {
        let keys = keys(count);
        let mut engine = filled(&keys);
        let mut group = criterion.benchmark_group(format!("{count} keys"));
        let mut next = keys.iter().cycle();
        let mut address = || Address::new(DB, next.next().expect("a cycle does not end").as_bytes());
        group.bench_function("address", |bencher| bencher.iter(|| black_box(address())));
        group.bench_function("string", |bencher| {
            bencher.iter(|| black_box(engine.string(address(), NOW).is_ok_and(|value| value.is_some())));
        });
        group.bench_function("set_string, same length", |bencher| {
            bencher.iter(|| engine.set_string(address(), &VALUE, Expiry::Clear, NOW));
        });
        group.bench_function("set_string, other length", |bencher| {
            let mut length = 0;
            bencher.iter(|| {
                length = (length + 16) % 64;
                engine.set_string(address(), &VALUE[..length], Expiry::Clear, NOW)
            });
        });
        group.bench_function("hash_set of a new hash", |bencher| {
            bencher.iter(|| {
                let at = address();
                engine.remove(at, NOW)?;
                engine.hash_set(at, &[(b"field", b"value")], NOW)
            });
        });
        group.finish();
    }
}

fn filling(criterion: &mut Criterion) {
    let keys = keys(100_000);
    let mut group = criterion.benchmark_group("100000 keys at once");
    group.sample_size(10).throughput(Throughput::Elements(keys.len() as u64));
    group.bench_function("set_string", |bencher| {
        bencher.iter_batched(|| (), |()| filled(&keys), BatchSize::PerIteration);
    });
    let mut engine = filled(&keys);
    let write = |engine: &mut HashEngine| {
        let snapshot = engine.begin_snapshot();
        let mut next = Some(SlotCursor::default());
        while let Some(cursor) = next {
            next = snapshot.serialise_slot(engine, cursor);
        }
        snapshot.finish().collect::<Vec<_>>()
    };
    group.bench_function("snapshot", |bencher| bencher.iter(|| write(&mut engine)));
    let chunks = write(&mut engine);
    group.bench_function("load", |bencher| {
        bencher.iter(|| {
            let mut loaded = HashEngine::new(EncodingSettings::default());
            chunks.iter().for_each(|chunk| loaded.load_chunk(chunk).expect("it was written just now"));
            loaded
        });
    });
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            let mut cursor = ScanCursor::START;
            loop {
                cursor = engine.scan(DB, cursor, 10, NOW, &mut |_, _| true).expect("memory does not fail");
                if cursor == ScanCursor::START {
                    break;
                }
            }
        });
    });
    group.finish();
}

criterion_group!(benches, strings, filling);
criterion_main!(benches);
