//! Which engine keeps a key: keyspace rules.

use std::fmt;
use std::str::FromStr;

use super::ScanCursor;
use crate::types::{Db, ReadPolicy, SLOT_COUNT, Slot};

/// The three storage engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EngineKind {
    /// In memory, fastest look-ups.
    Hash = 0,
    /// RocksDB: larger than memory, write-heavy.
    Lsm = 1,
    /// LMDB: larger than memory, ordered by key.
    BTree = 2,
}

impl EngineKind {
    /// All of them, in the order of their positions in the store.
    pub const ALL: [Self; 3] = [Self::Hash, Self::Lsm, Self::BTree];

    /// The name used in settings and replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Lsm => "lsm",
            Self::BTree => "btree",
        }
    }

    /// The slot in which a walk goes on at a cursor of this engine.
    pub fn slot_of_cursor(self, cursor: ScanCursor) -> Slot {
        let slot = match self {
            Self::Hash => cursor.0 & u64::from(SLOT_COUNT - 1),
            Self::Lsm | Self::BTree => cursor.0.saturating_sub(1) >> 32 & u64::from(SLOT_COUNT - 1),
        };
        Slot(slot as u16)
    }

    /// The cursor at which a walk in this engine comes to the beginning of a slot.
    pub fn cursor_at(self, slot: Slot) -> ScanCursor {
        match self {
            Self::Hash => ScanCursor(u64::from(slot.0)),
            Self::Lsm | Self::BTree => ScanCursor((u64::from(slot.0) << 32) + 1),
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not an engine's.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an engine; one of hash, lsm, btree is")]
pub struct UnknownEngine(String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// One configured keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyspaceRule {
    /// Its name, unique.
    pub name: String,
    /// The database whose keys it takes.
    pub db: Db,
    /// The keys it takes start with this; empty takes all.
    pub prefix: Vec<u8>,
    /// Where its keys are kept.
    pub engine: EngineKind,
    /// How reads of its keys in a cluster make sure that they miss nothing, if that is not left to the node.
    pub read_policy: Option<ReadPolicy>,
}

/// All keyspace rules and the default.
#[derive(Clone, Debug)]
pub struct KeyspaceRules {
    default: EngineKind,
    /// Sorted by prefix length, longest first.
    rules: Vec<KeyspaceRule>,
}

impl KeyspaceRules {
    /// Rules with a default engine for everything they do not name.
    pub fn new(default: EngineKind, mut rules: Vec<KeyspaceRule>) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.prefix.len()));
        Self { default, rules }
    }

    /// The engine of keys that no rule takes.
    pub fn default_engine(&self) -> EngineKind {
        self.default
    }

    /// The rule that takes a key, if one does.
    pub fn rule_for(&self, db: Db, key: &[u8]) -> Option<&KeyspaceRule> {
        self.rules.iter().find(|rule| rule.db == db && key.starts_with(&rule.prefix))
    }

    /// Whether any rule says what reads of its keys need.
    #[inline]
    pub fn has_read_policies(&self) -> bool {
        self.rules.iter().any(|rule| rule.read_policy.is_some())
    }

    /// The engine that keeps a key.
    #[inline]
    pub fn engine_for(&self, db: Db, key: &[u8]) -> EngineKind {
        if self.rules.is_empty() {
            return self.default;
        }
        self.rule_for(db, key).map_or(self.default, |rule| rule.engine)
    }

    /// The rules, longest prefix first.
    pub fn rules(&self) -> &[KeyspaceRule] {
        &self.rules
    }

    /// Whether any rule or the default names the engine.
    pub fn uses(&self, engine: EngineKind) -> bool {
        self.default == engine || self.rules.iter().any(|rule| rule.engine == engine)
    }

    /// Whether all keys are in one engine.
    pub fn single_engine(&self) -> bool {
        self.rules.iter().all(|rule| rule.engine == self.default)
    }

    /// The engines that can hold keys of a database.
    pub fn engines_of(&self, db: Db) -> impl Iterator<Item = EngineKind> + '_ {
        let whole = self.rules.iter().any(|rule| rule.db == db && rule.prefix.is_empty());
        EngineKind::ALL.into_iter().filter(move |&engine| {
            (engine == self.default && !whole) || self.rules.iter().any(|rule| rule.db == db && rule.engine == engine)
        })
    }
}
