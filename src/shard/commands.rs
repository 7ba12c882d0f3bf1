//! The commands of an entry, decoded a few ahead.

use smallvec::SmallVec;

use super::batch::{Record, Records};
use crate::command::member_argument;
use crate::limits::LOOK_AHEAD_COMMANDS_MAX;
use crate::storage::store::Store;
use crate::storage::{Address, LookUp, StorageResult};
use crate::types::{Db, Slot};

/// A command decoded ahead.
#[derive(Clone, Copy, Default)]
struct Ahead<'p> {
    db: Db,
    /// Where its arguments end.
    end: usize,
    /// Its first argument, with the slot of that as a key.
    first: Option<(&'p [u8], Slot)>,
}

/// Decodes records, and has the store read the memory of the next keys ahead.
pub(super) struct Commands<'p> {
    records: Records<'p>,
    /// Arguments of the commands decoded ahead, one after the other.
    args: Vec<&'p [u8]>,
    ahead: [Ahead<'p>; LOOK_AHEAD_COMMANDS_MAX],
    decoded: usize,
    taken: usize,
    /// A record of another kind that comes after them.
    other: Option<Record<'p>>,
    scratch: Vec<&'p [u8]>,
}

impl<'p> Commands<'p> {
    pub(super) fn new(records: Records<'p>) -> Self {
        let ahead = [Ahead::default(); LOOK_AHEAD_COMMANDS_MAX];
        Self { records, args: Vec::new(), ahead, decoded: 0, taken: 0, other: None, scratch: Vec::new() }
    }

    /// The next record; a command's arguments replace the contents of `args`.
    #[inline]
    pub(super) fn next(&mut self, store: &Store, args: &mut Vec<&'p [u8]>) -> StorageResult<Option<Record<'p>>> {
        if self.taken == self.decoded {
            if self.other.is_some() {
                return Ok(self.other.take());
            }
            self.decode(store)?;
            if self.decoded == 0 {
                return Ok(self.other.take());
            }
        }
        let start = if self.taken == 0 { 0 } else { self.ahead[self.taken - 1].end };
        let Ahead { db, end, .. } = self.ahead[self.taken];
        self.taken += 1;
        args.clear();
        args.extend_from_slice(&self.args[start..end]);
        Ok(Some(Record::Command { db }))
    }

    /// The first argument of the last command, with the slot of that as a key: it was computed to read ahead.
    #[inline]
    pub(super) fn first_argument(&self) -> Option<(&'p [u8], Slot)> {
        self.ahead[self.taken.checked_sub(1)?].first
    }

    fn decode(&mut self, store: &Store) -> StorageResult<()> {
        self.args.clear();
        (self.decoded, self.taken) = (0, 0);
        let mut look_ups: SmallVec<[LookUp<'_>; LOOK_AHEAD_COMMANDS_MAX]> = SmallVec::new();
        while self.decoded < LOOK_AHEAD_COMMANDS_MAX {
            match self.records.next(&mut self.scratch)? {
                Some(Record::Command { db }) => {
                    let mut first = None;
                    if let Some(&key) = self.scratch.get(1) {
                        let member = self.scratch.get(member_argument(self.scratch[0])).copied();
                        let at = Address::new(db, key);
                        first = Some((key, at.slot));
                        look_ups.push(LookUp { at, member });
                    }
                    self.args.append(&mut self.scratch);
                    self.ahead[self.decoded] = Ahead { db, end: self.args.len(), first };
                    self.decoded += 1;
                }
                other => {
                    self.other = other;
                    break;
                }
            }
        }
        if look_ups.len() > 1 {
            store.prefetch(&look_ups);
        }
        Ok(())
    }
}
