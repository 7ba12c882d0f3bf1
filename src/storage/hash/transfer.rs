//! Values that go to another key as they are, for RENAME, MOVE and COPY.
//!
//! Encodings have a history: a string that was edited stays `raw`, and a collection that shrank keeps its table. So values
//! are not taken apart and made anew, as they are where they go to another engine.

use super::HashEngine;
use super::database::NewValue;
use super::database_mut;
use super::dense::hash_of;
use super::fields::{HashFields, LargeHash};
use super::record::{self, Payload, Record};
use super::set_members::LargeSet;
use super::slot_table::Large;
use super::sorted::{LargeZset, SortedSet};
use crate::storage::{Address, Engine, Expiry, StorageResult};
use crate::types::UnixMs;

impl HashEngine {
    /// Moves a live value with its expiry. Costs the same for every size.
    pub(super) fn move_value(&mut self, from: Address<'_>, to: Address<'_>, now: UnixMs) -> bool {
        let hash = hash_of(from.key);
        let Some(position) = self.live_position(from, hash, now) else { return false };
        let (blob, large) = database_mut(&mut self.databases, from.db).take(from.slot, hash, position);
        let record = Record::of(&blob);
        let value = match large {
            Some(large) => NewValue::Large(large),
            None => NewValue::Inline(record.payload()),
        };
        self.put_value(to, expiry(record.expires_at()), value, now);
        true
    }

    /// Copies a live value with its expiry.
    pub(super) fn copy_value(&mut self, from: Address<'_>, to: Address<'_>, now: UnixMs) -> StorageResult<bool> {
        let Some(found) = self.live(from, now) else { return Ok(false) };
        let expires_at = found.record.expires_at();
        match found.record.payload() {
            Payload::Large(index) => {
                if let Some(large) = copy_of(found.table.large(index), now) {
                    self.put_value(to, expiry(expires_at), NewValue::Large(large), now);
                } else {
                    let Some((object, expires_at)) = self.object(from, now)? else { return Ok(false) };
                    self.put_object(to, object, expires_at)?;
                }
            }
            payload => {
                let blob = record::create(from.key, expires_at, payload, 0);
                self.put_value(to, expiry(expires_at), NewValue::Inline(Record::of(&blob).payload()), now);
            }
        }
        Ok(true)
    }
}

fn expiry(at: Option<UnixMs>) -> Expiry {
    at.map_or(Expiry::Clear, Expiry::At)
}

/// A large value again, where one that is made anew from its parts might be smaller or have another encoding.
fn copy_of(large: &Large, now: UnixMs) -> Option<Large> {
    match large {
        Large::String(bytes) => Some(Large::String(bytes.clone())),
        Large::Hash(hash) => {
            let fields = HashFields::large(hash, now);
            if hash.is_small() || fields.has_expiries() {
                return None;
            }
            let mut copy = LargeHash::with_capacity(hash.len());
            fields.for_each(&mut |field, value| copy.load_field(field, value, None));
            Some(Large::Hash(Box::new(copy)))
        }
        Large::Set(set) => {
            let mut copy = LargeSet::with_capacity(set.len());
            set.records()
                .iter()
                .for_each(|blob| assert!(copy.add(Record::of(blob).key()), "a set has no member twice"));
            Some(Large::Set(Box::new(copy)))
        }
        Large::Zset(zset) => {
            let mut members = Vec::with_capacity(zset.len());
            SortedSet::large(zset).walk(0..zset.len() as u64, false, &mut |member, score| {
                members.push((score, member.to_vec()));
                true
            });
            let members = members.iter().map(|(score, member)| (*score, &member[..]));
            Some(Large::Zset(Box::new(LargeZset::from_ordered(members))))
        }
        Large::List(_) | Large::Stream(_) => None,
    }
}
