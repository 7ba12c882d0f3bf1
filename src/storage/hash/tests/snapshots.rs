//! Snapshots beside writes, and what damaged chunks do.

use super::model::{Pair, check};
use super::*;
use crate::storage::digest::digest_engine;

/// A key with its database, value, expiry and encoding.
type Listed = (u16, Vec<u8>, Object, Option<UnixMs>, &'static str);

/// All keys in the order in which the engine iterates.
fn listing(engine: &HashEngine) -> Vec<Listed> {
    let early = UnixMs(i64::MIN);
    let mut all = Vec::new();
    for db in 0..3 {
        let visit = &mut |key: &[u8], _: Kind| {
            let at = Address::new(Db(db), key);
            let (object, expires_at) = engine.object(at, early).unwrap().unwrap();
            all.push((db, key.to_vec(), object, expires_at, engine.encoding(at, early).unwrap().unwrap()));
            true
        };
        engine.for_each_key(Db(db), b"", early, visit).unwrap();
    }
    all
}

fn load(chunks: &[Vec<u8>]) -> HashEngine {
    let mut engine = engine();
    for chunk in chunks {
        engine.load_chunk(chunk).unwrap();
    }
    engine
}

fn digests(engine: &HashEngine, now: UnixMs) -> Vec<[u8; 20]> {
    (0..3).map(|db| digest_engine(engine, Db(db), now).unwrap()).collect()
}

fn whole(engine: &mut HashEngine) -> Vec<Vec<u8>> {
    let snapshot = engine.begin_snapshot();
    let mut next = Some(SlotCursor::default());
    let mut chunks = Vec::new();
    while let Some(cursor) = next {
        next = snapshot.serialise_slot(engine, cursor);
        chunks.extend(snapshot.drain());
    }
    chunks.extend(snapshot.finish());
    chunks
}

#[test]
fn snapshot_beside_writes_is_the_state_at_its_beginning() {
    for seed in 0..60 {
        let mut pair = Pair::new(seed);
        (0..2000).for_each(|_| pair.step());
        let model = pair.model.clone();
        let now = pair.now;
        let order = listing(&pair.engine);
        let digest = digests(&pair.engine, now);
        let snapshot = pair.engine.begin_snapshot();
        let mut next = Some(SlotCursor::default());
        let mut chunks = Vec::new();
        while let Some(cursor) = next {
            let writes = pair.rng.below(40);
            (0..writes).for_each(|_| pair.step());
            next = snapshot.serialise_slot(&pair.engine, cursor);
            chunks.extend(snapshot.drain());
        }
        (0..100).for_each(|_| pair.step());
        chunks.extend(snapshot.finish());
        pair.check();

        let mut loaded = load(&chunks);
        check(&loaded, &model, now);
        assert_eq!(digests(&loaded, now), digest);
        let by_place = |engine: &HashEngine| {
            // Slots come in any order, but within them the order is kept.
            let mut listing = listing(engine);
            listing.sort_by_key(|(db, key, ..)| (*db, crate::types::slot::slot_of(key)));
            listing
        };
        assert_eq!(by_place(&loaded), order, "seed {seed}");

        // The loaded engine goes on exactly as the first one would have.
        let again = load(&whole(&mut loaded));
        assert_eq!(listing(&again), order);
    }
}

#[test]
fn two_snapshots_may_run_at_once() {
    let mut pair = Pair::new(7);
    (0..2000).for_each(|_| pair.step());
    let first = pair.engine.begin_snapshot();
    let first_order = listing(&pair.engine);
    (0..500).for_each(|_| pair.step());
    let second = pair.engine.begin_snapshot();
    let second_order = listing(&pair.engine);
    (0..500).for_each(|_| pair.step());
    pair.engine.clear();
    pair.model.clear();
    (0..500).for_each(|_| pair.step());
    for (snapshot, order) in [(first, first_order), (second, second_order)] {
        let mut next = Some(SlotCursor::default());
        while let Some(cursor) = next {
            next = snapshot.serialise_slot(&pair.engine, cursor);
        }
        assert_eq!(listing(&load(&snapshot.finish().collect::<Vec<_>>())), order);
    }
    pair.check();
}

#[test]
fn abandoned_snapshots_leave_nothing_behind() {
    let mut pair = Pair::new(8);
    (0..1000).for_each(|_| pair.step());
    for _ in 0..3 {
        let snapshot = pair.engine.begin_snapshot();
        let next = snapshot.serialise_slot(&pair.engine, SlotCursor::default());
        (0..50).for_each(|_| pair.step());
        drop(snapshot);
        assert!(next.is_none() || next.is_some_and(|cursor| cursor != SlotCursor::default()));
    }
    (0..1000).for_each(|_| pair.step());
    pair.check();
}

#[test]
fn empty_engine_has_an_empty_snapshot() {
    assert!(whole(&mut engine()).is_empty());
}

#[test]
fn steps_and_chunks_are_bounded() {
    let mut engine = engine();
    for i in 0..20_000 {
        // One slot with a megabyte in it, and many small ones.
        let key = if i % 2 == 0 { format!("{{tag}}{i}") } else { format!("key{i}") };
        set(&mut engine, &key, &[b'v'; 100]);
    }
    let snapshot = engine.begin_snapshot();
    let mut steps = 0;
    let mut next = Some(SlotCursor::default());
    while let Some(cursor) = next {
        next = snapshot.serialise_slot(&engine, cursor);
        steps += 1;
    }
    let chunks: Vec<Vec<u8>> = snapshot.finish().collect();
    assert!(steps > 10 && chunks.len() > 8);
    assert!(chunks.iter().all(|chunk| chunk.len() < 257 * 1024));
    assert_eq!(listing(&load(&chunks)), listing(&engine));
}

#[test]
fn damaged_chunks_are_refused_without_panic() {
    let mut pair = Pair::new(5);
    let mut chunk = Vec::new();
    // Small ones, so that most bytes are structure.
    while chunk.len() < 500 {
        pair.step();
        pair.model.clear();
        chunk = whole(&mut pair.engine).pop().unwrap_or_default();
        pair.model = rebuild(&pair.engine);
    }
    for end in 0..chunk.len().min(3000) {
        // A cut at the end of a section is a whole chunk; all others are damage.
        let mut engine = engine();
        if engine.load_chunk(&chunk[..end]).is_ok() {
            whole(&mut engine);
        }
    }
    let mut rng = Rng::new(2);
    for _ in 0..20_000 {
        let mut damaged = chunk.clone();
        for _ in 0..1 + rng.below(3) {
            let index = rng.below(damaged.len().min(3000) as u64) as usize;
            damaged[index] = rng.next_u64() as u8;
        }
        let mut engine = engine();
        // Whatever was taken must be readable.
        let _ = engine.load_chunk(&damaged);
        for db in 0..4 {
            let _ = digest_engine(&engine, Db(db), NOW).unwrap();
        }
    }
    let mut twice = engine();
    twice.load_chunk(&chunk).unwrap();
    assert!(matches!(twice.load_chunk(&chunk), Err(StorageError::Corrupt { .. })));
    assert!(matches!(twice.load_chunk(&[]), Err(StorageError::Corrupt { .. })));
    assert!(matches!(twice.load_chunk(&[9]), Err(StorageError::Corrupt { .. })));
}

/// The model of what an engine holds.
fn rebuild(engine: &HashEngine) -> super::model::Model {
    let values = listing(engine).into_iter().map(|(db, key, object, expires_at, _)| {
        let value = match object {
            Object::String(bytes) => super::model::Value::String(bytes),
            Object::Hash(fields) => super::model::Value::Hash(fields.into_iter().collect()),
            other => unreachable!("the model makes no {:?}", other.kind()),
        };
        ((Db(db), key), (value, expires_at))
    });
    values.collect()
}

#[test]
fn format_is_fixed() {
    let mut engine = engine();
    engine.set_string(at("foo"), b"12", Expiry::At(UnixMs(1)), UnixMs(0)).unwrap();
    append(&mut engine, "{foo}x", b"raw");
    engine.hash_set(at("{foo}h"), &[(b"f", b"v")], NOW).unwrap();
    engine.hash_set(at("{foo}l"), &[(b"f", &[b'v'; 65])], NOW).unwrap();
    let mut expected = b"\x01\0\0\x96\x2f\x04\0\0\0".to_vec();
    expected.extend_from_slice(b"\x15\x81\x01\0\0\0\0\0\0\0\x03foo\x0c\0\0\0\0\0\0\0");
    expected.extend_from_slice(b"\x0b\x40\x06{foo}xraw");
    expected.extend_from_slice(b"\x0d\x02\x06{foo}h\x01\x01f\x01v");
    expected.extend_from_slice(b"\x08\x03\x06{foo}l\x01\x01\x44\x00\x01f");
    expected.extend_from_slice(&[b'v'; 65]);
    assert_eq!(whole(&mut engine), [expected]);
}
