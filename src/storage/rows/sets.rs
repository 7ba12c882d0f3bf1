//! Sets: members as element rows without values.

use super::RowEngine;
use super::fields::RowHash;
use super::format::{Meta, Shape, collection_body, decode_element, element_row, element_value, elements_from};
use super::keys::Known;
use super::overlay::Merged;
use crate::storage::sets::{SetEncoding, SetEngine, SetRead, VisitMember};
use crate::storage::{Address, Kind, ScanCursor, StorageError, StorageResult};
use crate::types::UnixMs;
use crate::types::number::parse_i64;
use crate::types::rng::Rng;

/// A read view of a set kept as rows: that of a hash whose values are empty.
pub struct RowSet<'a>(RowHash<'a>);

impl<'a> RowSet<'a> {
    fn new(reads: Merged<'a>, collection: (u64, u64), encoding: SetEncoding) -> Self {
        Self(RowHash::new(reads, collection, encoding == SetEncoding::Hashtable))
    }

    /// Number of members.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Never true: empty sets do not exist.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has a member.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn contains(&self, member: &[u8]) -> StorageResult<bool> {
        self.0.contains(member)
    }

    /// Visits every member, in the order of their hashes.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn for_each(&self, visit: &mut VisitMember<'_>) -> StorageResult<()> {
        self.0.for_each(&mut |member, _| visit(member))
    }

    /// One step of `SSCAN`; see [`RowHash::scan`].
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn scan(&self, cursor: ScanCursor, count: usize, visit: &mut VisitMember<'_>) -> StorageResult<ScanCursor> {
        self.0.scan(cursor, count, &mut |member, _| visit(member))
    }

    /// Visits one member chosen at random.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn random(&self, rng: &mut Rng, visit: &mut dyn FnMut(&[u8])) -> StorageResult<()> {
        self.0.random(rng, &mut |member, _| {
            visit(member);
            false
        })
    }
}

/// The body of a set's row.
fn set_body(version: u64, len: u64, encoding: SetEncoding) -> [u8; 17] {
    let mut body = [0; 17];
    body[..16].copy_from_slice(&collection_body(version, len));
    body[16] = u8::from(encoding == SetEncoding::Intset);
    body
}

impl SetEngine for RowEngine {
    fn members(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<SetRead<'_>>> {
        let reads = self.reads();
        let found = self.read_live(&reads, at, now, |meta| match meta.shape {
            Shape::Set => Ok((meta.collection()?, meta.set_encoding())),
            _ => Err(StorageError::WrongType),
        })?;
        Ok(found.map(|(collection, encoding)| SetRead::Rows(RowSet::new(reads, collection, encoding))))
    }

    fn set_add(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        let old = self.known(at)?;
        let live = match old.filter(|known| known.is_live(now)) {
            Some(known) => Some(known.expect_kind(Kind::Set)?),
            None => None,
        };
        let Some(first) = members.first() else { return Ok(0) };
        let encoding = match live {
            Some(known) => known.set_encoding.before_adding(members.len(), &self.encoding),
            None => SetEncoding::of_new(first, members.len(), &self.encoding),
        };
        self.write_members(at, old, live, members, encoding, live.and_then(|known| known.expires_at))
    }

    fn set_remove(&mut self, at: Address<'_>, members: &[&[u8]], now: UnixMs) -> StorageResult<usize> {
        let Some(old) = self.known(at)? else { return Ok(0) };
        if !old.is_live(now) {
            self.replace(at, Some(old), None)?;
            return Ok(0);
        }
        let known = old.expect_kind(Kind::Set)?;
        let (version, len) = known.collection.expect("a set is a collection");
        let mut removed = 0;
        for member in members {
            let row = element_row(version, member);
            if self.reads().contains(&row)? {
                removed += 1;
                self.overlay.remove(row);
            }
        }
        if removed == 0 {
            return Ok(0);
        }
        let left = len.checked_sub(removed as u64).expect("the length counts every member");
        if left == 0 {
            self.replace(at, Some(Known { collection: Some((version, 0)), ..known }), None)?;
        } else {
            self.write_set_row(at, Some(old), (version, left), known.set_encoding, known.expires_at)?;
        }
        Ok(removed)
    }

    fn put_set(&mut self, at: Address<'_>, members: Vec<Vec<u8>>, expires_at: Option<UnixMs>) -> StorageResult<()> {
        let old = self.known(at)?;
        if members.is_empty() {
            return if old.is_some() { self.replace(at, old, None) } else { Ok(()) };
        }
        let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
        self.write_members(at, old, None, &members, SetEncoding::Intset, expires_at).map(|_added| ())
    }
}

impl RowEngine {
    /// Adds members to the set `live`, or to a new one that takes the place of `old`. The set shall have the encoding
    /// `encoding` before the first is added.
    fn write_members(
        &mut self,
        at: Address<'_>,
        old: Option<Known>,
        live: Option<Known>,
        members: &[&[u8]],
        mut encoding: SetEncoding,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<usize> {
        let kept = live.and_then(|known| known.collection);
        let (version, mut len) = kept.unwrap_or_else(|| (self.new_version(), 0));
        let mut added = 0;
        // A view is of the files alone, so the overlay can be written while it is open.
        let mut view = None;
        for &member in members {
            let row = element_row(version, member);
            let there = match self.overlay.get(&row) {
                Some(value) => value.is_some(),
                // A new version has no rows but those just written.
                None if kept.is_none() => false,
                None => {
                    let view = match &mut view {
                        Some(view) => view,
                        empty => empty.insert(self.files.view()?),
                    };
                    let mut there = false;
                    view.get(&row, &mut |_| there = true)?;
                    there
                }
            };
            if there {
                continue;
            }
            if encoding != SetEncoding::Hashtable {
                let longest = match encoding {
                    SetEncoding::Intset if parse_i64(member).is_none() => self.longest_member(version, len)?,
                    _ => 0,
                };
                encoding = encoding.after_adding(member, len as usize, || longest, &self.encoding);
            }
            self.overlay.put(row, element_value(member, b""));
            added += 1;
            len += 1;
        }
        drop(view);
        let unchanged = added == 0 && live.is_some_and(|known| known.set_encoding == encoding);
        if !unchanged {
            self.write_set_row(at, old, (version, len), encoding, expires_at)?;
        }
        Ok(added)
    }

    fn write_set_row(
        &mut self,
        at: Address<'_>,
        old: Option<Known>,
        (version, len): (u64, u64),
        encoding: SetEncoding,
        expires_at: Option<UnixMs>,
    ) -> StorageResult<()> {
        let body = set_body(version, len, encoding);
        let big = encoding == SetEncoding::Hashtable;
        let meta = Meta { expires_at, big, ..Meta::new(Shape::Set, at.key, &body) };
        self.replace(at, old, Some(&meta))
    }

    /// Length of the longest member of an intset, where that may matter: no number is longer than 20 bytes.
    fn longest_member(&self, version: u64, len: u64) -> StorageResult<usize> {
        const NUMBER_MAX_BYTES: usize = 20;
        let mut longest = 0;
        if len > 0 && self.encoding.set_max_listpack_value < NUMBER_MAX_BYTES {
            self.reads().walk(&elements_from(version, 0), &mut |row, value| {
                longest = longest.max(decode_element(row, value)?.1.len());
                Ok(true)
            })?;
        }
        Ok(longest)
    }
}
