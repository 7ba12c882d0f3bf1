//! All keyspaces of one shard.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::hash::HashEngine;
use super::null::NullEngine;
use super::rows::{FrozenRows, RowEngine, RowOptions};
use super::{Address, LookUp};
use super::{EncodingSettings, Engine, EngineKind, KeyspaceRules, StorageError, StorageResult};
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::types::{Db, UnixMs};

/// Keys that were asked for.
type Asked = BTreeSet<(Db, Vec<u8>)>;

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
    /// The keys that were asked for, in a scratch store.
    asked: Option<Box<Mutex<Asked>>>,
}

impl Store {
    /// A store in memory that notes which keys are asked for, to try out commands on copies of values.
    pub fn scratch(encoding: &EncodingSettings) -> Self {
        Self {
            rules: Arc::new(KeyspaceRules::new(EngineKind::Hash, Vec::new())),
            hash: HashEngine::new(encoding.clone()),
            lsm: None,
            btree: None,
            null: NullEngine,
            ahead: [false; 3],
            ahead_until: 0,
            asked: Some(Box::default()),
        }
    }

    /// The keys that a scratch store was asked for.
    pub fn take_asked(&mut self) -> Asked {
        self.asked.as_mut().map(|asked| std::mem::take(asked.get_mut())).unwrap_or_default()
    }

    #[cold]
    fn note_asked(asked: &Mutex<Asked>, db: Db, key: &[u8]) {
        asked.lock().insert((db, key.to_vec()));
    }

    /// Opens the engines that the rules name, in subdirectories `lsm` and `btree` of `dir`.
    ///
    /// # Errors
    /// When an engine's files cannot be opened or are damaged.
    pub fn open(
        dir: &Path,
        rules: Arc<KeyspaceRules>,
        encoding: &EncodingSettings,
        rows: &RowOptions,
    ) -> StorageResult<Self> {
        let open = |kind, open: fn(&Path, &RowOptions) -> StorageResult<RowEngine>, name| {
            if !rules.uses(kind) {
                return Ok(None);
            }
            if rows.rebuild {
                RowEngine::discard_untrusted(&dir.join(name))?;
            }
            let mut engine = open(&dir.join(name), rows)?;
            engine.set_encoding(encoding);
            Ok::<_, StorageError>(Some(engine))
        };
        let mut store = Self {
            hash: HashEngine::new(encoding.clone()),
            lsm: open(EngineKind::Lsm, RowEngine::open_lsm_with, "lsm")?,
            btree: open(EngineKind::BTree, RowEngine::open_btree_with, "btree")?,
            rules,
            null: NullEngine,
            ahead: [false; 3],
            ahead_until: 0,
            asked: None,
        };
        store.ahead_until = store.engines().filter_map(|(_, engine)| engine.applied()).max().unwrap_or(0);
        Ok(store)
    }

    /// The keyspace rules.
    pub fn rules(&self) -> &Arc<KeyspaceRules> {
        &self.rules
    }

    /// The thresholds of the compact encodings.
    pub fn encoding(&self) -> &EncodingSettings {
        self.hash.encoding_settings()
    }

    /// Gives the engines the thresholds of the compact encodings, those left alone by [`Self::begin_entry`] excepted.
    pub fn set_encoding(&mut self, encoding: &EncodingSettings) {
        let ahead = self.ahead;
        for kind in EngineKind::ALL.into_iter().filter(|&kind| !ahead[kind as usize]) {
            if let Some(engine) = self.engine_of_kind_mut(kind).filter(|engine| engine.encoding_settings() != encoding)
            {
                engine.set_encoding(encoding);
            }
        }
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
    /// When an engine's files cannot be written. If that is for lack of room
    /// ([`StorageError::is_storage_full`]), the entry is applied all the same, and memory holds what the
    /// files lack; see [`Self::retry`].
    pub fn commit(&mut self, index: u64) -> StorageResult<()> {
        // Between entries every engine shows what it holds.
        let ahead = std::mem::take(&mut self.ahead);
        let lsm = self.lsm.as_mut().filter(|_| !ahead[EngineKind::Lsm as usize]);
        let lsm = lsm.map_or(Ok(()), |engine| engine.commit(index));
        let btree = self.btree.as_mut().filter(|_| !ahead[EngineKind::BTree as usize]);
        let btree = btree.map_or(Ok(()), |engine| engine.commit(index));
        // An error that does not pass must not hide behind one that does.
        match (lsm, btree) {
            (Err(lsm), Err(btree)) => Err(if lsm.is_storage_full() { btree } else { lsm }),
            (lsm, btree) => lsm.and(btree),
        }
    }

    /// Tries again what [`Self::commit`] could not write.
    ///
    /// # Errors
    /// When it still cannot be written.
    pub fn retry(&mut self) -> StorageResult<()> {
        self.row_engines().try_for_each(RowEngine::retry)
    }

    /// The highest index that an engine's files held when they were opened, as long as no later entry was
    /// applied; else 0. When the machine crashes, the files can be ahead of the *end* of the log: then
    /// the entries up to this index must be used up before any that has an effect.
    pub fn ahead_until(&self) -> u64 {
        self.ahead_until
    }

    /// Which row engines are open, as bits numbered like [`EngineKind::ALL`].
    pub fn row_engine_bits(&self) -> u8 {
        u8::from(self.lsm.is_some()) << EngineKind::Lsm as u8
            | u8::from(self.btree.is_some()) << EngineKind::BTree as u8
    }

    /// Checks that the files of the row engines hold everything up to the entry that a snapshot ends with.
    /// `bits` are those engines that were open when it was taken.
    ///
    /// # Errors
    /// When an engine's files lack entries that the log no longer has.
    pub fn check_reaches(&self, index: u64, bits: u8) -> StorageResult<()> {
        for (kind, engine) in self.engines() {
            let applied = engine.applied().unwrap_or(index);
            if bits & 1 << kind as u8 != 0 && applied < index {
                let detail = format!(
                    "its files end with log entry {applied}, and the log before entry {index} is gone: they were \
                     deleted or replaced. Put the directory '{kind}' of the shard back as it was, or start with an \
                     empty data directory"
                );
                return Err(StorageError::Corrupt { what: "row engine", detail });
            }
        }
        Ok(())
    }

    /// Whether a key or a field has an expiry before `now`.
    pub fn has_due(&self, now: UnixMs) -> bool {
        let is_due = |at: Option<UnixMs>| at.is_some_and(|at| at < now);
        self.engines().any(|(_, engine)| is_due(engine.next_expiry()) || is_due(engine.next_field_expiry()))
    }

    /// Whether [`Self::sweep`] may find something.
    pub fn has_garbage(&self) -> bool {
        self.lsm.iter().chain(&self.btree).any(RowEngine::has_garbage)
    }

    /// Removes up to `limit` rows of values that are gone already, in each engine. To be called between
    /// entries.
    ///
    /// # Errors
    /// When an engine's files cannot be read or written.
    pub fn sweep(&mut self, limit: usize) -> StorageResult<()> {
        self.row_engines().try_for_each(|engine| engine.sweep(limit).map(|_removed| ()))
    }

    /// Freezes the rows of each row engine, by its number in [`EngineKind::ALL`], to be copied to another replica. To
    /// be called between entries.
    ///
    /// # Errors
    /// When an engine's files cannot be written or read.
    pub fn freeze_rows(&mut self) -> StorageResult<Vec<(u8, Box<dyn FrozenRows>)>> {
        let mut frozen = Vec::new();
        for (kind, engine) in [(EngineKind::Lsm, &mut self.lsm), (EngineKind::BTree, &mut self.btree)] {
            if let Some(engine) = engine {
                frozen.push((kind as u8, engine.freeze()?));
            }
        }
        Ok(frozen)
    }

    /// The row engines as of the last entry, to be read only. To be called between entries.
    ///
    /// # Errors
    /// When an engine's files cannot be written or read.
    pub fn pin_rows(&mut self) -> StorageResult<Vec<RowEngine>> {
        self.row_engines().map(RowEngine::pin).collect()
    }

    /// The row engine with a number in [`EngineKind::ALL`], to copy rows into it.
    pub fn row_engine_mut(&mut self, number: u8) -> Option<&mut RowEngine> {
        match EngineKind::ALL.get(usize::from(number))? {
            EngineKind::Hash => None,
            EngineKind::Lsm => self.lsm.as_mut(),
            EngineKind::BTree => self.btree.as_mut(),
        }
    }

    fn row_engines(&mut self) -> impl Iterator<Item = &mut RowEngine> {
        self.lsm.iter_mut().chain(self.btree.iter_mut())
    }

    /// Whether one engine keeps both keys.
    pub fn in_one_engine(&self, one: Address<'_>, other: Address<'_>) -> bool {
        self.rules.engine_for(one.db, one.key) == self.rules.engine_for(other.db, other.key)
    }

    /// The engine that keeps a key.
    #[inline]
    pub fn engine(&self, db: Db, key: &[u8]) -> &dyn Engine {
        if let Some(asked) = &self.asked {
            Self::note_asked(asked, db, key);
        }
        let kind = self.rules.engine_for(db, key);
        if self.ahead[kind as usize] {
            return &self.null;
        }
        self.engine_of_kind(kind).expect("rules name only open engines")
    }

    /// The engine that keeps a key, to change it.
    #[inline]
    pub fn engine_mut(&mut self, db: Db, key: &[u8]) -> &mut dyn Engine {
        if let Some(asked) = &self.asked {
            Self::note_asked(asked, db, key);
        }
        let kind = self.rules.engine_for(db, key);
        if self.ahead[kind as usize] {
            return &mut self.null;
        }
        self.engine_of_kind_mut(kind).expect("rules name only open engines")
    }

    /// Brings what these look-ups will read into the processor's caches. Only a hint.
    #[inline]
    pub fn prefetch(&self, look_ups: &[LookUp<'_>]) {
        // The row engines have caches of their own kind.
        if self.rules.uses(EngineKind::Hash) {
            self.hash.prefetch(look_ups);
        }
    }

    /// The same for the first [`LOOK_AHEAD_COMMANDS_MAX`] keys of one command.
    pub fn prefetch_all<'k>(&self, db: Db, keys: impl Iterator<Item = &'k [u8]>) {
        let look_ups: SmallVec<[LookUp<'_>; LOOK_AHEAD_COMMANDS_MAX]> =
            keys.take(LOOK_AHEAD_COMMANDS_MAX).map(|key| LookUp { at: Address::new(db, key), member: None }).collect();
        if look_ups.len() > 1 {
            self.prefetch(&look_ups);
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
