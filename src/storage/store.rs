//! All keyspaces of one shard.

use std::path::Path;
use std::sync::Arc;

use super::hash::HashEngine;
use super::rows::RowEngine;
use super::{Engine, EncodingSettings, EngineKind, KeyspaceRules, StorageResult};
use crate::types::Db;

/// The engines of one shard and the rules that choose among them.
pub struct Store {
    rules: Arc<KeyspaceRules>,
    hash: HashEngine,
    lsm: Option<RowEngine>,
    btree: Option<RowEngine>,
}

impl Store {
    /// Opens the engines that the rules name, in subdirectories `lsm` and `btree` of `dir`.
    ///
    /// # Errors
    /// When an engine's files cannot be opened or are damaged.
    pub fn open(dir: &Path, rules: Arc<KeyspaceRules>, encoding: &EncodingSettings) -> StorageResult<Self> {
        let lsm = if rules.uses(EngineKind::Lsm) { Some(RowEngine::open_lsm(&dir.join("lsm"))?) } else { None };
        let btree = if rules.uses(EngineKind::BTree) { Some(RowEngine::open_btree(&dir.join("btree"))?) } else { None };
        Ok(Self { rules, hash: HashEngine::new(encoding.clone()), lsm, btree })
    }

    /// The keyspace rules.
    pub fn rules(&self) -> &Arc<KeyspaceRules> {
        &self.rules
    }

    /// The engine that keeps a key.
    #[inline]
    pub fn engine(&self, db: Db, key: &[u8]) -> &dyn Engine {
        self.engine_of_kind(self.rules.engine_for(db, key)).expect("rules name only open engines")
    }

    /// The engine that keeps a key, to change it.
    #[inline]
    pub fn engine_mut(&mut self, db: Db, key: &[u8]) -> &mut dyn Engine {
        self.engine_of_kind_mut(self.rules.engine_for(db, key)).expect("rules name only open engines")
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

    /// Does the same to every open engine.
    pub fn for_each_engine(
        &mut self,
        mut act: impl FnMut(EngineKind, &mut dyn Engine) -> StorageResult<()>,
    ) -> StorageResult<()> {
        for kind in EngineKind::ALL {
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
