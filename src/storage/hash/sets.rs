//! Sets in memory, in both their forms.

use super::database::{Database, NewValue};
use super::dense::hash_of;
use super::engine::Found;
use super::record::Payload;
use super::set_members::{LargeSet, SetMembers};
use super::slot_table::Large;
use super::{HashEngine, clock_of, database_mut, small_set};
use crate::storage::sets::{SetEncoding, SetEngine, SetRead};
use crate::storage::{Address, EncodingSettings, StorageError, StorageResult};
use crate::types::UnixMs;

/// The set of a key that was found.
pub(super) fn view(found: Found<'_>) -> StorageResult<SetMembers<'_>> {
    match found.record.payload() {
        Payload::Set(bytes) => Ok(SetMembers::small(bytes)),
        Payload::Large(index) => match found.table.large(index) {
            Large::Set(set) => Ok(SetMembers::large(set)),
            _ => Err(StorageError::WrongType),
        },
        _ => Err(StorageError::WrongType),
    }
}

impl SetEngine for HashEngine {
    fn members(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<SetRead<'_>>> {
        self.looked_up(at, now).map(|found| view(found).map(SetRead::Native)).transpose()
    }

    fn set_add(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        let hash = hash_of(at.key);
        let position = self.live_position(at, hash, now);
        let clock = clock_of(now);
        self.clock = clock;
        let HashEngine { databases, encoding: settings, scratch, .. } = self;
        let database = database_mut(databases, at.db);
        let mut expires_at = None;
        let encoding = match position {
            None => {
                let Some(first) = members.first() else { return Ok(0) };
                let encoding = SetEncoding::of_new(first, members.len(), settings);
                small_set::clear(scratch, encoding);
                encoding
            }
            Some(position) => {
                let record = database.record(at.slot, position);
                expires_at = record.expires_at();
                match record.payload() {
                    Payload::Set(bytes) => {
                        let old = small_set::encoding(bytes);
                        let encoding = old.before_adding(members.len(), settings);
                        if encoding == old && members.iter().all(|member| small_set::contains(bytes, member)) {
                            database.touch(at.slot, position, clock);
                            return Ok(0);
                        }
                        scratch.clear();
                        scratch.extend_from_slice(bytes);
                        encoding
                    }
                    Payload::Large(index) if is_set(database, at, index) => {
                        return Ok(database.change_large(at.slot, position, index, clock, |large| match large {
                            Large::Set(set) => members.iter().filter(|member| set.add(member)).count(),
                            _ => unreachable!("it was a set"),
                        }));
                    }
                    _ => return Err(StorageError::WrongType),
                }
            }
        };
        let (added, large) = add_all(scratch, encoding, members, settings);
        let value = match large {
            Some(set) => NewValue::Large(Large::Set(Box::new(set))),
            None => NewValue::Inline(Payload::Set(scratch)),
        };
        database.put((at.slot, hash, at.key), position, expires_at, value, clock);
        Ok(added)
    }

    fn set_remove(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        let hash = hash_of(at.key);
        let Some(position) = self.live_position(at, hash, now) else { return Ok(0) };
        let clock = clock_of(now);
        self.clock = clock;
        let HashEngine { databases, scratch, .. } = self;
        let database = database_mut(databases, at.db);
        let record = database.record(at.slot, position);
        let removed;
        let left;
        match record.payload() {
            Payload::Set(bytes) => {
                scratch.clear();
                scratch.extend_from_slice(bytes);
                removed = members.iter().filter(|member| small_set::remove(scratch, member)).count();
                left = small_set::len(scratch);
                if removed > 0 && left > 0 {
                    let expires_at = record.expires_at();
                    let value = NewValue::Inline(Payload::Set(scratch));
                    database.put((at.slot, hash, at.key), Some(position), expires_at, value, clock);
                }
            }
            Payload::Large(index) if is_set(database, at, index) => {
                (removed, left) = database.change_large(at.slot, position, index, clock, |large| match large {
                    Large::Set(set) => (members.iter().filter(|member| set.remove(member)).count(), set.len()),
                    _ => unreachable!("it was a set"),
                });
            }
            _ => return Err(StorageError::WrongType),
        }
        if left == 0 {
            database.remove(at.slot, hash, position);
        }
        Ok(removed)
    }

    fn put_set(&mut self, at: Address<'_>, members: Vec<Vec<u8>>, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let hash = hash_of(at.key);
        let clock = self.clock;
        let HashEngine { databases, encoding: settings, scratch, .. } = self;
        let database = database_mut(databases, at.db);
        let position = database.find(at.slot, hash, at.key);
        if members.is_empty() {
            if let Some(position) = position {
                database.remove(at.slot, hash, position);
            }
            return Ok(());
        }
        small_set::clear(scratch, SetEncoding::Intset);
        let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
        let value = match add_all(scratch, SetEncoding::Intset, &members, settings).1 {
            Some(set) => NewValue::Large(Large::Set(Box::new(set))),
            None => NewValue::Inline(Payload::Set(scratch)),
        };
        database.put((at.slot, hash, at.key), position, expires_at, value, clock);
        Ok(())
    }
}

/// Adds members to the small set in `small`, which shall have the encoding `encoding`. Answers how many are new, and
/// the large set that it became, if it did.
fn add_all(
    small: &mut Vec<u8>,
    mut encoding: SetEncoding,
    members: &[&[u8]],
    settings: &EncodingSettings,
) -> (usize, Option<LargeSet>) {
    let mut added = 0;
    for (index, &member) in members.iter().enumerate() {
        if encoding != SetEncoding::Hashtable {
            if small_set::contains(small, member) {
                continue;
            }
            let longest = || small_set::longest_number(small);
            let next = encoding.after_adding(member, small_set::len(small), longest, settings);
            if next == SetEncoding::Listpack && encoding == SetEncoding::Intset {
                small_set::make_listpack(small);
            }
            encoding = next;
        }
        if encoding == SetEncoding::Hashtable {
            let rest = &members[index..];
            let mut large = LargeSet::from_small(small, rest.len());
            added += rest.iter().filter(|member| large.add(member)).count();
            return (added, Some(large));
        }
        small_set::add(small, member);
        added += 1;
    }
    (added, None)
}

fn is_set(database: &Database, at: Address<'_>, index: u32) -> bool {
    matches!(database.slot(at.slot).expect("the key was found").large(index), Large::Set(_))
}
