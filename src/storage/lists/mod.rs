//! Lists as commands see them: what every engine does with them.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use super::hash::ListElements;
use super::rows::RowList;
use super::{Address, Object, StorageResult};
use crate::types::UnixMs;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListEnd {
    /// Where index 0 is: what LPUSH and LPOP are for.
    Head,
    /// Where index -1 is: what RPUSH and RPOP are for.
    Tail,
}

/// Called with an element; answers whether to go on.
pub type VisitElement<'v> = dyn FnMut(&[u8]) -> bool + 'v;

/// A read view of one list.
pub enum ListRead<'a> {
    /// In the hash engine.
    Native(ListElements<'a>),
    /// As rows.
    Rows(RowList<'a>),
}

impl<'a> ListRead<'a> {
    /// Number of elements.
    pub fn len(&self) -> u64 {
        match self {
            Self::Native(list) => list.len(),
            Self::Rows(list) => list.len(),
        }
    }

    /// Never true: empty lists do not exist.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at an index, `None` behind the end.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn get(&self, index: u64) -> StorageResult<Option<Cow<'a, [u8]>>> {
        match self {
            Self::Native(list) => Ok(list.get(index).map(Cow::Borrowed)),
            Self::Rows(list) => Ok(list.get(index)?.map(Cow::Owned)),
        }
    }

    /// Visits the elements from the one at index `from` to the tail or, when `reverse`, to the head, until
    /// `visit` wants no more.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn walk(&self, from: u64, reverse: bool, visit: &mut VisitElement<'_>) -> StorageResult<()> {
        match self {
            Self::Native(list) => {
                list.walk(from, reverse, visit);
                Ok(())
            }
            Self::Rows(list) => list.walk(from, reverse, visit),
        }
    }

    /// All elements.
    pub(super) fn to_object(&self) -> StorageResult<Object> {
        let mut elements = Vec::with_capacity(usize::try_from(self.len()).unwrap_or(0));
        self.walk(0, false, &mut |element| {
            elements.push(element.to_vec());
            true
        })?;
        Ok(Object::List(elements))
    }
}

/// The operations of lists; part of [`super::Engine`]. All but those of whole values fail with `WrongType` when the
/// key holds another kind.
pub trait ListEngine {
    /// The whole value of a key that is known to hold this kind.
    fn list_object(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<Object>> {
        self.list(at, now)?.map(|list| list.to_object()).transpose()
    }
    /// Creates or replaces a key with the whole value.
    fn put_list(&mut self, at: Address<'_>, elements: Vec<Vec<u8>>, expires_at: Option<UnixMs>) -> StorageResult<()>;

    /// A read view of the list at a key.
    fn list(&self, at: Address<'_>, now: UnixMs) -> StorageResult<Option<ListRead<'_>>>;
    /// Pushes elements one after the other, creating the list; answers its length.
    fn list_push(&mut self, at: Address<'_>, end: ListEnd, elements: &[&[u8]], now: UnixMs) -> StorageResult<u64>;
    /// Removes up to `count` elements at an end, and the key with the last one; passes each to `popped`, from the
    /// end inwards, and answers how many there were.
    fn list_pop(
        &mut self,
        at: Address<'_>,
        end: ListEnd,
        count: u64,
        now: UnixMs,
        popped: &mut dyn FnMut(&[u8]),
    ) -> StorageResult<u64>;
    /// Inserts an element before the one at `index`, which the list must have.
    fn list_insert(&mut self, at: Address<'_>, index: u64, element: &[u8], now: UnixMs) -> StorageResult<()>;
    /// Replaces the element at `index`, which the list must have.
    fn list_set(&mut self, at: Address<'_>, index: u64, element: &[u8], now: UnixMs) -> StorageResult<()>;
    /// Removes the elements of ranges, which are in order, apart from each other, not empty and within the list; the key
    /// goes with the last element.
    fn list_remove(&mut self, at: Address<'_>, ranges: &[Range<u64>], now: UnixMs) -> StorageResult<()>;
}
