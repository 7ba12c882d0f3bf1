//! All engines, for tests of what they have in common.

use std::path::Path;

use super::digest::digest_engine;
use super::field_expiry::FieldExpiryEngine;
use super::hash::{HashEngine, SlotCursor};
use super::rows::{RowEngine, RowOptions};
use super::{EncodingSettings, Engine};
use crate::types::{Db, UnixMs};

/// An engine of any kind.
pub(super) enum AnyEngine {
    Hash(Box<HashEngine>),
    Lsm(Box<RowEngine>),
    BTree(Box<RowEngine>),
}

impl AnyEngine {
    pub(super) fn as_dyn(&mut self) -> &mut dyn Engine {
        match self {
            Self::Hash(engine) => &mut **engine,
            Self::Lsm(engine) | Self::BTree(engine) => &mut **engine,
        }
    }

    /// Removes all garbage.
    pub(super) fn sweep_all(&mut self) {
        if let Self::Lsm(engine) | Self::BTree(engine) = self {
            while engine.sweep(100).unwrap() > 0 {}
        }
    }

    /// Sweeps, and checks that no collection has left rows behind.
    pub(super) fn assert_no_elements(&mut self) {
        self.sweep_all();
        if let Self::Lsm(engine) | Self::BTree(engine) = self {
            // Ranges that are to be removed go with the next write.
            engine.prepare_sync().unwrap().unwrap()().unwrap();
            for tag in *b"EGXY" {
                assert_eq!(engine.rows_tagged(tag), 0, "rows with tag {}", char::from(tag));
            }
        }
    }
}

/// Rows are written every few entries, so that reads meet rows both in the files and in memory.
fn options() -> RowOptions {
    RowOptions { overlay_rows: Some(40), ..RowOptions::default() }
}

/// Runs a check on a fresh engine of every kind, with the directory of its files.
pub(super) fn each(settings: &EncodingSettings, check: impl Fn(&str, AnyEngine, &Path)) {
    let open = |name: &str, engine: fn(&Path) -> AnyEngine| {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = engine(dir.path());
        engine.as_dyn().set_encoding(settings);
        check(name, engine, dir.path());
    };
    open("hash", |_| AnyEngine::Hash(Box::new(HashEngine::new(EncodingSettings::default()))));
    open("lsm", |path| AnyEngine::Lsm(Box::new(RowEngine::open_lsm_with(path, &options()).unwrap())));
    open("btree", |path| AnyEngine::BTree(Box::new(RowEngine::open_btree_with(path, &options()).unwrap())));
}

/// A whole snapshot.
pub(super) fn snapshot(engine: &mut HashEngine) -> Vec<Vec<u8>> {
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

/// Loads a chunk with every byte changed in turn, or cut off: what does not fail can be read.
pub(super) fn load_damaged(chunk: &[u8]) {
    let load = |bytes: &[u8]| {
        let mut engine = HashEngine::new(EncodingSettings::default());
        let loaded = engine.load_chunk(bytes);
        for db in 0..4 {
            digest_engine(&engine, Db(db), UnixMs(1000)).unwrap();
        }
        engine.expire_due(UnixMs(i64::MAX), 100, &mut |_, _| {}).unwrap();
        engine.expire_fields_due(UnixMs(i64::MAX), 100, &mut |_, _, _| {}).unwrap();
        loaded
    };
    assert!(load(chunk).is_ok());
    for end in 0..chunk.len() {
        assert!(load(&chunk[..end]).is_err() || end == 1, "cut at {end}");
    }
    for at in 0..chunk.len() {
        for mask in [1, 0x40, 0x80, 0xff] {
            let mut damaged = chunk.to_vec();
            damaged[at] ^= mask;
            let _ = load(&damaged);
        }
    }
}

/// The same engine after its snapshot was loaded, or its files were opened again.
pub(super) fn reload(engine: AnyEngine, settings: &EncodingSettings, path: &Path) -> AnyEngine {
    let mut engine = match engine {
        AnyEngine::Hash(mut engine) => {
            let chunks = snapshot(&mut engine);
            let mut loaded = HashEngine::new(settings.clone());
            chunks.iter().for_each(|chunk| loaded.load_chunk(chunk).unwrap());
            assert!(snapshot(&mut loaded) == chunks, "a snapshot of what was loaded from one is the same");
            AnyEngine::Hash(Box::new(loaded))
        }
        AnyEngine::Lsm(mut engine) => {
            engine.prepare_sync().unwrap().unwrap()().unwrap();
            drop(engine);
            AnyEngine::Lsm(Box::new(RowEngine::open_lsm_with(path, &options()).unwrap()))
        }
        AnyEngine::BTree(mut engine) => {
            engine.prepare_sync().unwrap().unwrap()().unwrap();
            drop(engine);
            AnyEngine::BTree(Box::new(RowEngine::open_btree_with(path, &options()).unwrap()))
        }
    };
    engine.as_dyn().set_encoding(settings);
    engine
}
