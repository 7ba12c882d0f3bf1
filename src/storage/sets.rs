//! Sets as commands see them: what every engine does with them.

use super::hash::SetMembers;
use super::rows::RowSet;
use super::{Address, EncodingSettings, Object, ScanCursor, StorageResult};
use crate::types::UnixMs;
use crate::types::number::parse_i64;
use crate::types::rng::Rng;

/// The operations of sets; part of [`super::Engine`].
pub trait SetEngine {
    /// A read view of the set at a key; `WrongType` when it holds another kind.
    fn members(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<SetRead<'_>>>;
    /// Adds members, creating the set; answers how many are new.
    fn set_add(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<usize>;
    /// Removes members, and the key with the last one; answers how many were there.
    fn set_remove(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<usize>;
    /// The whole value of a key that is known to hold this kind.
    fn set_object(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<Object>> {
        let Some(set) = self.members(at, now)? else { return Ok(None) };
        let mut members = Vec::with_capacity(usize::try_from(set.len()).expect("counts fit the address space"));
        set.for_each(&mut |member| {
            members.push(member.to_vec());
            true
        })?;
        Ok(Some(Object::Set(members)))
    }
    /// Creates or replaces a key with the whole value. Without members the key is gone afterwards.
    fn put_set(&mut self, at: Address<'_>, members: Vec<Vec<u8>>, expires_at: Option<UnixMs>) -> StorageResult<()>;
}

/// Called with a member; answers whether to go on.
pub type VisitMember<'v> = dyn FnMut(&[u8]) -> bool + 'v;

/// A read view of one set.
pub enum SetRead<'a> {
    /// In the hash engine.
    Native(SetMembers<'a>),
    /// As rows.
    Rows(RowSet<'a>),
}

impl SetRead<'_> {
    /// Number of members.
    pub fn len(&self) -> u64 {
        match self {
            Self::Native(set) => set.len(),
            Self::Rows(set) => set.len(),
        }
    }

    /// Never true: empty sets do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the set has a member.
    pub fn contains(&self, member: &[u8]) -> StorageResult<bool> {
        match self {
            Self::Native(set) => Ok(set.contains(member)),
            Self::Rows(set) => set.contains(member),
        }
    }

    /// Visits every member, in an order that depends only on the history of writes.
    pub fn for_each(&self, visit: &mut VisitMember<'_>) -> StorageResult<()> {
        match self {
            Self::Native(set) => {
                set.for_each(visit);
                Ok(())
            }
            Self::Rows(set) => set.for_each(visit),
        }
    }

    /// One step of `SSCAN`, with the guarantees of [`super::Engine::scan`]. A set that is not a hash table is visited
    /// whole in one step.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitMember<'_>) -> StorageResult<ScanCursor> {
        match self {
            Self::Native(set) => Ok(set.scan(cursor, count, visit)),
            Self::Rows(set) => set.scan(cursor, count, visit),
        }
    }

    /// Visits one member chosen at random, each with the same chance (as nearly as the engine can).
    pub fn random(&self, rng: &mut Rng, visit: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        match self {
            Self::Native(set) => {
                set.random(rng, visit);
                Ok(())
            }
            Self::Rows(set) => set.random(rng, visit),
        }
    }
}

/// How a set is kept, under Redis's names. Sets move downwards in this list and never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetEncoding {
    /// Integers only, in order.
    Intset,
    /// Few short members.
    Listpack,
    /// Everything else.
    Hashtable,
}

impl SetEncoding {
    /// The name that `OBJECT ENCODING` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intset => "intset",
            Self::Listpack => "listpack",
            Self::Hashtable => "hashtable",
        }
    }

    /// The encoding that a set begins with whose first member is `first`, of `expected` in all, as Redis 7.2
    /// chooses it.
    pub(super) fn of_new(first: &[u8], expected: usize, settings: &EncodingSettings) -> Self {
        if parse_i64(first).is_some() && expected <= settings.set_max_intset_entries {
            Self::Intset
        } else if expected <= settings.set_max_listpack_entries {
            Self::Listpack
        } else {
            Self::Hashtable
        }
    }

    /// The encoding of a set that is told that `expected` members are about to be added.
    pub(super) fn before_adding(self, expected: usize, settings: &EncodingSettings) -> Self {
        match self {
            Self::Intset if expected > settings.set_max_intset_entries => Self::Hashtable,
            Self::Listpack if expected > settings.set_max_listpack_entries => Self::Hashtable,
            same => same,
        }
    }

    /// The encoding of a set of `len` members after `member`, which it did not have, has been added. `longest` tells
    /// how long the longest number of an intset is as text.
    pub(super) fn after_adding(
        self,
        member: &[u8],
        len: usize,
        longest: impl FnOnce() -> usize,
        settings: &EncodingSettings,
    ) -> Self {
        let fits_listpack =
            || len < settings.set_max_listpack_entries && member.len() <= settings.set_max_listpack_value;
        match self {
            Self::Intset if parse_i64(member).is_some() => {
                if len < settings.set_max_intset_entries {
                    Self::Intset
                } else {
                    Self::Hashtable
                }
            }
            Self::Intset if fits_listpack() && longest() <= settings.set_max_listpack_value => Self::Listpack,
            Self::Listpack if fits_listpack() => Self::Listpack,
            _ => Self::Hashtable,
        }
    }
}

#[cfg(test)]
mod tests;
