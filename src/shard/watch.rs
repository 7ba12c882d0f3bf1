//! Keys that clients watch, for transactions that are executed only if none of them has changed.
//!
//! The leader of a shard keeps the watches, in memory only: by key who watches it, and by watch whether one of its
//! keys was changed. The marks are set by the machine, under the store's write lock, after each command that changed
//! something; a watch begins under the read lock. So no change is missed between the two, and none that
//! came before counts. While nobody watches, a write pays one load of an atomic for this.
//!
//! # When a transaction may be executed
//! A mark says nothing about entries that are still under way. So a transaction on a condition does not join the
//! entry being gathered: it waits in a queue of its own until nothing is under way
//! ([`Queue::take_conditional`](super::queue::Queue::take_conditional)). Then the marks are final, and all waiting
//! transactions are decided at once: a watch that was marked is answered nil, and nothing goes into the log; those
//! that hold become one entry, unless one of them writes what a later one watches, which then has to wait for the
//! next. So transactions on different keys do not wait for each other, and of several on one key exactly the
//! first succeeds.
//!
//! # What a change of the leader does
//! The marks know only what this replica has applied, and what was proposed by a leader that it does not know of yet is
//! not among it. A watch therefore belongs to a term, and a transaction that is decided in another term is answered
//! nil, even where nothing was changed. Between the decision and the entry's place in the log leadership could still be
//! lost and won again; the entry carries its term as a *fence*, and every replica skips an entry that the log
//! has under another term ([`batch`](super::batch)). Replicating the watches instead would let transactions succeed across
//! a change of the leader, and would cost an entry for each WATCH.
//!
//! # What counts as a change
//! As in Redis: a write that changed something counts for all keys that its declaration says it changes, except for those
//! that were not there before and are not there now. A key that was there when it was watched and has expired since counts;
//! one that had expired before does not, whenever it is removed. Pops of the first of several keys, and SMOVE of a member
//! that the destination has, say which key they changed. In the decision which transactions go into one entry, where
//! only their arguments are known, they count for all their keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::clock;
use crate::types::Db;

/// Names a watch. The number alone would be another's after a restart of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchId {
    /// A random number that the leader drew when it started.
    pub origin: u64,
    /// Counts its watches.
    pub number: u64,
}

/// How long a watch is kept for a client of another node, which may be gone without a word. A transaction that
/// comes later is answered nil.
pub const REMOTE_WATCH_LASTS: Duration = Duration::from_secs(3600);

struct Watch {
    /// The term in which this replica led when the watch began.
    term: u64,
    changed: bool,
    /// The keys, and whether each was there.
    keys: Vec<(Db, Vec<u8>, bool)>,
    /// When it is forgotten.
    until: Option<Instant>,
}

type ByKey = BTreeMap<Vec<u8>, SmallVec<[u64; 2]>>;

#[derive(Default)]
struct State {
    last_number: u64,
    watches: BTreeMap<u64, Watch>,
    keys: BTreeMap<Db, ByKey>,
}

/// The watches of a shard.
pub(super) struct Watches {
    origin: u64,
    count: AtomicUsize,
    state: Mutex<State>,
}

impl Watches {
    pub(super) fn new(origin: u64) -> Self {
        Self { origin, count: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// Whether anybody watches anything.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Begins a watch, or adds keys to one. To be called under the store's lock. `None` when the watch to add
    /// to is not known here.
    pub(super) fn watch<'k>(
        &self,
        to: Option<WatchId>,
        term: u64,
        lasts: Option<Duration>,
        keys: impl Iterator<Item = (Db, &'k [u8], bool)>,
    ) -> Option<WatchId> {
        let mut state = self.state.lock();
        let State { last_number, watches, keys: by_key } = &mut *state;
        let number = match to {
            None => {
                *last_number += 1;
                let watch = Watch { term, changed: false, keys: Vec::new(), until: None };
                watches.insert(*last_number, watch);
                self.count.store(watches.len(), Ordering::Relaxed);
                *last_number
            }
            Some(id) if id.origin == self.origin => id.number,
            Some(_) => return None,
        };
        let watch = watches.get_mut(&number)?;
        watch.until = lasts.map(|lasts| clock::instant() + lasts);
        for (db, key, is_there) in keys {
            if watch.keys.iter().any(|(other_db, other, _)| *other_db == db && other == key) {
                continue;
            }
            by_key.entry(db).or_default().entry(key.to_vec()).or_default().push(number);
            watch.keys.push((db, key.to_vec(), is_there));
        }
        Some(WatchId { origin: self.origin, number })
    }

    /// Ends a watch.
    pub(super) fn forget(&self, id: WatchId) {
        if id.origin == self.origin {
            let mut state = self.state.lock();
            self.drop_watch(&mut state, id.number);
        }
    }

    fn drop_watch(&self, state: &mut State, number: u64) {
        let Some(watch) = state.watches.remove(&number) else { return };
        self.count.store(state.watches.len(), Ordering::Relaxed);
        for (db, key, _) in watch.keys {
            let Some(of_db) = state.keys.get_mut(&db) else { continue };
            if let Some(numbers) = of_db.get_mut(&key) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    of_db.remove(&key);
                }
            }
        }
    }

    /// Ends the watches whose time is over.
    pub(super) fn forget_overdue(&self) {
        if !self.any() {
            return;
        }
        let now = clock::instant();
        let mut state = self.state.lock();
        let overdue = state.watches.iter().filter(|(_, watch)| watch.until.is_some_and(|until| until < now));
        let overdue: Vec<u64> = overdue.map(|(&number, _)| number).collect();
        for number in overdue {
            self.drop_watch(&mut state, number);
        }
    }

    /// Whether anybody watches a key.
    pub(super) fn has(&self, db: Db, key: &[u8]) -> bool {
        self.state.lock().keys.get(&db).is_some_and(|of_db| of_db.contains_key(key))
    }

    /// The keys that are watched, of some databases.
    pub(super) fn keys_of(&self, wanted: impl Fn(Db) -> bool) -> Vec<(Db, Vec<u8>)> {
        let state = self.state.lock();
        let databases = state.keys.iter().filter(|(db, _)| wanted(**db));
        databases.flat_map(|(&db, of_db)| of_db.keys().map(move |key| (db, key.clone()))).collect()
    }

    /// Marks the watches of a key.
    pub(super) fn touch(&self, db: Db, key: &[u8]) {
        let mut state = self.state.lock();
        let State { watches, keys, .. } = &mut *state;
        for number in keys.get(&db).and_then(|of_db| of_db.get(key)).into_iter().flatten() {
            if let Some(watch) = watches.get_mut(number) {
                watch.changed = true;
            }
        }
    }

    /// Marks all watches: nobody knows what changed.
    pub(super) fn touch_all(&self) {
        self.state.lock().watches.values_mut().for_each(|watch| watch.changed = true);
    }

    /// Whether a watch is known, began in this term, and nothing has changed. To be called under the store's lock, with
    /// nothing under way. `is_there` tells whether a key is there now.
    pub(super) fn holds(&self, id: WatchId, term: u64, is_there: impl Fn(Db, &[u8]) -> bool) -> bool {
        let state = self.state.lock();
        let watch = state.watches.get(&id.number).filter(|_| id.origin == self.origin);
        watch.is_some_and(|watch| {
            watch.term == term
                && !watch.changed
                && watch.keys.iter().all(|(db, key, was_there)| !was_there || is_there(*db, key))
        })
    }

    /// The keys of a watch.
    pub(super) fn keys(&self, id: WatchId) -> Vec<(Db, Vec<u8>)> {
        let state = self.state.lock();
        let keys = state.watches.get(&id.number).map(|watch| watch.keys.iter());
        keys.into_iter().flatten().map(|(db, key, _)| (*db, key.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: fn(Db, &[u8]) -> bool = |_, _| true;

    fn watching(keys: &[(&'static str, bool)]) -> (Watches, WatchId) {
        let watches = Watches::new(7);
        let keys = keys.iter().map(|&(key, is_there)| (Db(0), key.as_bytes(), is_there));
        let id = watches.watch(None, 3, None, keys).expect("a new watch");
        (watches, id)
    }

    #[test]
    fn a_touch_marks_who_watches_the_key() {
        let (watches, id) = watching(&[("a", true), ("b", false)]);
        let other = watches.watch(None, 3, None, [(Db(1), b"a".as_slice(), true)].into_iter()).expect("a watch");
        assert!(watches.holds(id, 3, THERE));
        watches.touch(Db(0), b"c");
        assert!(watches.holds(id, 3, THERE));
        watches.touch(Db(0), b"b");
        assert!(!watches.holds(id, 3, THERE));
        assert!(watches.holds(other, 3, THERE));
        watches.touch_all();
        assert!(!watches.holds(other, 3, THERE));
    }

    #[test]
    fn another_term_or_origin_does_not_hold() {
        let (watches, id) = watching(&[("a", true)]);
        assert!(!watches.holds(id, 4, THERE));
        assert!(!watches.holds(WatchId { origin: 8, ..id }, 3, THERE));
        assert!(watches.watch(Some(WatchId { origin: 8, ..id }), 3, None, std::iter::empty()).is_none());
    }

    #[test]
    fn a_key_that_went_counts_and_one_that_was_not_there_does_not() {
        let (watches, id) = watching(&[("a", true), ("b", false)]);
        assert!(watches.holds(id, 3, |_, key| key == b"a"));
        assert!(!watches.holds(id, 3, |_, key| key == b"b"));
    }

    #[test]
    fn what_is_forgotten_leaves_nothing() {
        let (watches, id) = watching(&[("a", true)]);
        watches.watch(Some(id), 3, Some(Duration::ZERO), [(Db(0), b"b".as_slice(), true)].into_iter());
        assert!(watches.has(Db(0), b"a") && watches.has(Db(0), b"b"));
        std::thread::sleep(Duration::from_millis(2));
        watches.forget_overdue();
        assert!(!watches.any() && !watches.has(Db(0), b"a") && !watches.has(Db(0), b"b"));
        assert!(!watches.holds(id, 3, THERE));
        let (watches, id) = watching(&[("a", true)]);
        watches.forget(id);
        assert!(!watches.any());
    }
}
