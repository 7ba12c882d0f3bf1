//! All keyspaces of one shard.

use std::path::Path;
use std::sync::Arc;

use super::Address;
use super::hash::HashEngine;
use super::null::NullEngine;
use super::rows::RowEngine;
use super::{EncodingSettings, Engine, EngineKind, KeyspaceRules, StorageResult};
use crate::types::Db;

/// The engines of one shard and the rules that choose among them.
pub struct Store {
    rules: Arc<KeyspaceRules>,
    hash: HashEngine,
    lsm: Option<RowEngine>,
    btree: Option<RowEngine>,
    null: NullEngine,
    /// By engine: its files already hold the entry that is being applied.
    ahead: [bool; 3],
    /// The highest index that any engine's files held when they were opened.
    ahead_until: u64,
}

impl Store {
    /// Opens the engines that the rules name, in subdirectories `lsm` and `btree` of `dir`.
    ///
    /// # Errors
    /// When an engine's files cannot be opened or are damaged.
    pub fn open(dir: &Path, rules: Arc<KeyspaceRules>, encoding: &EncodingSettings) -> StorageResult<Self> {
        let lsm = if rules.uses(EngineKind::Lsm) { Some(RowEngine::open_lsm(&dir.join("lsm"))?) } else { None };
        let btree = if rules.uses(EngineKind::BTree) { Some(RowEngine::open_btree(&dir.join("btree"))?) } else { None };
        let mut store = Self {
            rules,
            hash: HashEngine::new(encoding.clone()),
            lsm,
            btree,
            null: NullEngine,
            ahead: [false; 3],
            ahead_until: 0,
        };
        store.ahead_until = store.engines().filter_map(|(_, engine)| engine.applied()).max().unwrap_or(0);
        Ok(store)
    }

    /// The keyspace rules.
    pub fn rules(&self) -> &Arc<KeyspaceRules> {
        &self.rules
    }

    /// Notes which log entry is applied next. While the log is replayed after a start, engines
    /// whose files already hold the entry are left alone: the store shows an empty engine in their
    /// place. This is sound because no command in the log reads one engine to change another.
    pub fn begin_entry(&mut self, index: u64) {
        if self.ahead_until == 0 {
            return;
        }
        for (position, kind) in EngineKind::ALL.into_iter().enumerate() {
            let applied = self.engine_of_kind(kind).and_then(Engine::applied);
            self.ahead[position] = applied.is_some_and(|applied| applied >= index);
        }
        if index > self.ahead_until {
            self.ahead_until = 0;
        }
    }

    /// Marks the end of a log entry in all engines.
    ///
    /// # Errors
    /// When an engine's files cannot be written.
    pub fn commit(&mut self, index: u64) -> StorageResult<()> {
        if let Some(engine) = self.lsm.as_mut().filter(|_| !self.ahead[EngineKind::Lsm as usize]) {
            engine.commit(index)?;
        }
        if let Some(engine) = self.btree.as_mut().filter(|_| !self.ahead[EngineKind::BTree as usize]) {
            engine.commit(index)?;
        }
        Ok(())
    }

    /// The engine that keeps a key.
    #[inline]
    pub fn engine(&self, db: Db, key: &[u8]) -> &dyn Engine {
        let kind = self.rules.engine_for(db, key);
        if self.ahead[kind as usize] {
            return &self.null;
        }
        self.engine_of_kind(kind).expect("rules name only open engines")
    }

    /// The engine that keeps a key, to change it.
    #[inline]
    pub fn engine_mut(&mut self, db: Db, key: &[u8]) -> &mut dyn Engine {
        let kind = self.rules.engine_for(db, key);
        if self.ahead[kind as usize] {
            return &mut self.null;
        }
        self.engine_of_kind_mut(kind).expect("rules name only open engines")
    }

    /// Brings what look-ups of these keys will read into the processor's caches. Only a hint.
    #[inline]
    pub fn prefetch(&self, keys: &[Address<'_>]) {
        // The row engines have caches of their own kind.
        if self.rules.uses(EngineKind::Hash) {
            self.hash.prefetch(keys);
        }
    }

    /// An engine, if it is open.
    pub fn engine_of_kind(&self, kind: EngineKind) -> Option<&dyn Engine> {
        match kind {
            EngineKind::Hash => Some(&self.hash),
            EngineKind::Lsm => self.lsm.as_ref().map(|engine| engine as &dyn Engine),
            EngineKind::BTree => self.btree.as_ref().map(|engine| engine as &dyn Engine),
        }
    }

    /// An engine, if it is open, to change it.
    pub fn engine_of_kind_mut(&mut self, kind: EngineKind) -> Option<&mut dyn Engine> {
        match kind {
            EngineKind::Hash => Some(&mut self.hash),
            EngineKind::Lsm => self.lsm.as_mut().map(|engine| engine as &mut dyn Engine),
            EngineKind::BTree => self.btree.as_mut().map(|engine| engine as &mut dyn Engine),
        }
    }

    /// The engines that can hold keys of a database.
    pub fn engines_of(&self, db: Db) -> impl Iterator<Item = (EngineKind, &dyn Engine)> {
        self.rules.engines_of(db).filter_map(|kind| Some((kind, self.engine_of_kind(kind)?)))
    }

    /// All open engines.
    pub fn engines(&self) -> impl Iterator<Item = (EngineKind, &dyn Engine)> {
        EngineKind::ALL.into_iter().filter_map(|kind| Some((kind, self.engine_of_kind(kind)?)))
    }

    /// Does the same to every open engine, those left alone by [`Self::begin_entry`] excepted.
    pub fn for_each_engine(
        &mut self,
        mut act: impl FnMut(EngineKind, &mut dyn Engine) -> StorageResult<()>,
    ) -> StorageResult<()> {
        for kind in EngineKind::ALL {
            if self.ahead[kind as usize] {
                continue;
            }
            if let Some(engine) = self.engine_of_kind_mut(kind) {
                act(kind, engine)?;
            }
        }
        Ok(())
    }

    /// The hash engine, which the shard's snapshots hold.
    pub fn hash_engine(&self) -> &HashEngine {
        &self.hash
    }

    /// The hash engine, to load a snapshot into it.
    pub fn hash_engine_mut(&mut self) -> &mut HashEngine {
        &mut self.hash
    }

    /// Number of keys in a database over all its engines.
    pub fn len(&self, db: Db) -> u64 {
        self.engines_of(db).map(|(_, engine)| engine.len(db)).sum()
    }
}
