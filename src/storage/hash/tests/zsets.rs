//! Sorted sets in snapshots.

use super::*;
use crate::storage::ScoreRule;
use crate::storage::digest::digest_engine;
use crate::storage::zsets::ZsetEngine;

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

fn fill(engine: &mut HashEngine, key: &str, count: u32, seed: u64) {
    let mut rng = Rng::new(seed);
    for number in 0..count {
        let member = format!("member {number}");
        let score = rng.below(50) as f64 / 4.0;
        engine.zset_add(at(key), &[(member.as_bytes(), score)], ScoreRule::default(), NOW).unwrap();
    }
}

/// What ZSCAN and ranges of a key show.
fn shown(engine: &HashEngine, key: &str) -> [Vec<(Vec<u8>, u64)>; 2] {
    let zset = engine.zset(at(key), NOW).unwrap().unwrap();
    let (mut scanned, mut ranged) = (Vec::new(), Vec::new());
    let mut push = |member: &[u8], score: f64| {
        scanned.push((member.to_vec(), score.to_bits()));
        true
    };
    assert_eq!(zset.scan(ScanCursor::START, usize::MAX, &mut push).unwrap(), ScanCursor::START);
    let mut push = |member: &[u8], score: f64| {
        ranged.push((member.to_vec(), score.to_bits()));
        true
    };
    zset.walk(0..zset.len(), false, &mut push).unwrap();
    [scanned, ranged]
}

#[test]
fn snapshots_keep_sorted_sets_and_their_orders() {
    let mut engine = engine();
    fill(&mut engine, "small", 20, 1);
    fill(&mut engine, "large", 3000, 2);
    let removed: Vec<String> = (0..3000).step_by(7).map(|number| format!("member {number}")).collect();
    let removed: Vec<&[u8]> = removed.iter().map(String::as_bytes).collect();
    assert_eq!(engine.zset_remove(at("large"), &removed, NOW).unwrap(), removed.len() as u64);
    let mut loaded = super::engine();
    for chunk in whole(&mut engine) {
        loaded.load_chunk(&chunk).unwrap();
    }
    for key in ["small", "large"] {
        assert_eq!(shown(&loaded, key), shown(&engine, key));
        assert_eq!(encoding(&loaded, key), encoding(&engine, key));
    }
    assert_eq!(digest_engine(&loaded, DB, NOW).unwrap(), digest_engine(&engine, DB, NOW).unwrap());
    let [before, after] = [&engine, &loaded].map(|engine| engine.memory_usage(at("large"), 0, NOW).unwrap().unwrap());
    assert_eq!(before, after, "the account of memory is the same");
}

#[test]
fn damaged_sorted_sets_are_refused_without_panic() {
    let mut engine = engine();
    fill(&mut engine, "{a}small", 8, 1);
    engine.zset_add(at("{a}large"), &[(&[b'x'; 65], 1.5)], ScoreRule::default(), NOW).unwrap();
    fill(&mut engine, "{a}large", 8, 3);
    let chunk = whole(&mut engine).pop().unwrap();
    let mut rng = Rng::new(2);
    for _ in 0..20_000 {
        let mut damaged = chunk.clone();
        for _ in 0..1 + rng.below(3) {
            let index = rng.below(damaged.len() as u64) as usize;
            damaged[index] = rng.next_u64() as u8;
        }
        let mut engine = super::engine();
        // Whatever was taken must be readable.
        let _ = engine.load_chunk(&damaged);
        let _ = digest_engine(&engine, DB, NOW).unwrap();
    }
}

#[test]
fn format_is_fixed() {
    let mut engine = engine();
    engine.zset_add(at("{foo}s"), &[(b"b", 2.0), (b"a", 0.5)], ScoreRule::default(), NOW).unwrap();
    engine.zset_add(at("{foo}l"), &[(&[b'm'; 65], 2.0), (b"a", 1.0)], ScoreRule::default(), NOW).unwrap();
    let mut expected = b"\x01\0\0\x96\x2f\x02\0\0\0".to_vec();
    expected.extend_from_slice(b"\x18\x06\x06{foo}s\x02\x09\0\0\0\0\0\0\xe0\x3f\x01a\x01\x02\x01b");
    expected.extend_from_slice(b"\x08\x03\x06{foo}l\x04\x02\x41");
    expected.extend_from_slice(&[b'm'; 65]);
    expected.extend_from_slice(b"\0\0\0\0\0\0\0\x40\x01a\0\0\0\0\0\0\xf0\x3f");
    assert_eq!(whole(&mut engine), [expected]);
}
