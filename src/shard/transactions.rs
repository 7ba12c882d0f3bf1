//! Transactions on a condition, and who is to hear of a change of a key.

use std::time::Duration;

use super::batch::{Record, Records};
use super::queue::{Conditional, Verdict};
use super::touched::{Touched, touched};
use super::{Shard, WatchId, clock};
use crate::command::find;
use crate::raft::Role;
use crate::storage::Address;
use crate::storage::store::Store;
use crate::types::{Db, NodeId, UnixMs};

/// What became of a WATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// The keys are watched.
    Yes(WatchId),
    /// The watch that they should be added to is gone: its transaction will not be executed.
    Gone,
    /// This replica does not lead. Who does, if known.
    NotLeader(Option<NodeId>),
}

/// What the transactions of one entry change, as far as their arguments say it.
enum Changes {
    Keys(Vec<(Db, Vec<u8>)>),
    Anything,
}

impl Shard {
    /// Watches keys, or adds them to a watch, if this replica may answer reads at once. `lasts` bounds the time that
    /// the watch is kept.
    pub fn watch_now(&self, db: Db, keys: &[&[u8]], to: Option<WatchId>, lasts: Option<Duration>) -> Option<Watched> {
        let term = self.leadership().borrow().term;
        let store = self.read()?;
        Some(self.watch_keys(&store, term, db, keys, to, lasts))
    }

    /// Watches keys, or adds them to a watch.
    pub async fn watch(&self, db: Db, keys: &[&[u8]], to: Option<WatchId>, lasts: Option<Duration>) -> Watched {
        let term = self.leadership().borrow().term;
        if !self.read_barrier().await {
            return Watched::NotLeader(self.leader());
        }
        // What another leader has changed meanwhile is in another term.
        self.watch_keys(&self.replica(), term, db, keys, to, lasts)
    }

    fn watch_keys(
        &self,
        store: &Store,
        term: u64,
        db: Db,
        keys: &[&[u8]],
        to: Option<WatchId>,
        lasts: Option<Duration>,
    ) -> Watched {
        let now = self.read_time(clock::now());
        let is_there = |key: &[u8]| matches!(store.engine(db, key).meta(Address::new(db, key), now), Ok(Some(_)));
        let keys = keys.iter().map(|&key| (db, key, is_there(key)));
        self.watches.watch(to, term, lasts, keys).map_or(Watched::Gone, Watched::Yes)
    }

    /// Ends a watch.
    pub fn unwatch(&self, watch: WatchId) {
        self.watches.forget(watch);
    }

    /// Whether nothing that is watched has changed, by what is applied.
    pub(super) fn watch_holds(&self, watch: WatchId, store: &Store, now: UnixMs, term: u64) -> bool {
        let now = self.read_time(now);
        let is_there = |db, key: &[u8]| matches!(store.engine(db, key).meta(Address::new(db, key), now), Ok(Some(_)));
        self.watches.holds(watch, term, is_there)
    }

    /// Decides the transactions that wait on a condition. Answers the payload of an entry with those that are to be
    /// executed, if there are any.
    pub(super) fn take_conditional(&self, sequence: u64, now: UnixMs, seed: u64) -> Option<Vec<u8>> {
        let leadership = *self.leadership().borrow();
        let mut failed = Vec::new();
        let payload = {
            let store = self.store.read();
            let databases = self.shared().databases;
            let mut changes = Changes::Keys(Vec::new());
            let leads = leadership.role == Role::Leader;
            let mut decide = |transaction: &Conditional| {
                if !leads || !self.watch_holds(transaction.watch, &store, now, leadership.term) {
                    return Verdict::Fails;
                }
                if changes.concern(&self.watches.keys(transaction.watch)) {
                    return Verdict::Later;
                }
                changes.add(&transaction.log, databases);
                Verdict::Holds
            };
            self.queue.take_conditional((sequence, now, seed), leadership.term, &mut decide, &mut failed)
        };
        for run in failed {
            let mut replies = run.mailbox.take_buffer();
            replies.reply(run.protocol).null_array();
            if run.wants_ends {
                run.mailbox.put_ends(vec![replies.len()]);
            }
            if let Some(waker) = run.mailbox.deliver(replies) {
                waker.wake();
            }
        }
        payload
    }

    /// Whether somebody is to hear of changes of any key.
    #[inline]
    pub(super) fn is_observed(&self) -> bool {
        self.watches.any() || self.parking.any()
    }

    /// Whether somebody is to hear of changes of a key.
    pub(super) fn observes(&self, db: Db, key: &[u8]) -> bool {
        self.watches.has(db, key) || self.parking.has(db, key)
    }

    /// The keys whose changes somebody is to hear of, of some databases.
    pub(super) fn observed_keys(&self, wanted: impl Fn(Db) -> bool) -> Vec<(Db, Vec<u8>)> {
        let mut keys = self.watches.keys_of(&wanted);
        keys.extend(self.parking.keys_of(wanted));
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// A key was changed.
    pub(super) fn observe_change(&self, db: Db, key: &[u8]) {
        self.watches.touch(db, key);
        self.parking.note_change(db, key);
    }
}

impl Changes {
    fn concern(&self, keys: &[(Db, Vec<u8>)]) -> bool {
        match self {
            Self::Anything => true,
            Self::Keys(changed) => changed.iter().any(|key| keys.contains(key)),
        }
    }

    fn add(&mut self, log: &[u8], databases: u16) {
        let mut records = Records::over(log);
        let mut args = Vec::new();
        while let Ok(Some(Record::Command { db })) = records.next(&mut args) {
            let Some(spec) = args.first().and_then(|name| find(name)) else { continue };
            match (&mut *self, touched(spec, db, databases, &args)) {
                (Self::Keys(changed), Touched::Keys(keys)) => {
                    changed.extend(keys.into_iter().map(|(db, key)| (db, key.to_vec())));
                }
                _ => *self = Self::Anything,
            }
        }
    }
}
