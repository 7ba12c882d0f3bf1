//! What waits for the log's writer: encoded records, and who is to be told about them.

use std::io;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::super::types::Flushed;
use super::group::GroupState;
use crate::limits::LOG_BUFFER_KEEP_BYTES;

/// Entries of one group that lie one behind the other in a batch.
pub(super) struct Placement {
    pub(super) group: Arc<GroupState>,
    pub(super) epoch: u64,
    pub(super) index: u64,
    pub(super) next: u64,
    /// Where the first of them begins in the batch.
    pub(super) offset: u64,
    pub(super) bytes_before: u64,
}

/// Somebody who waits for a batch.
pub(super) enum Waiter {
    /// Entries, as durable as the policy asks.
    Flushed(Flushed),
    /// A vote, durable in any case.
    Synced(oneshot::Sender<io::Result<()>>),
}

impl Waiter {
    pub(super) fn complete(self, result: io::Result<()>) {
        match self {
            Waiter::Flushed(callback) => callback.io_completed(result),
            // A receiver that is gone has lost interest.
            Waiter::Synced(sender) => drop(sender.send(result)),
        }
    }
}

/// Records that are written with one write.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) placements: Vec<Placement>,
    pub(super) waiters: Vec<Waiter>,
    /// A vote is among them.
    pub(super) must_sync: bool,
    /// Number of entries.
    pub(super) entries: u64,
    /// No more records are taken.
    pub(super) closed: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.waiters.is_empty()
    }

    /// Empties it, keeping moderate capacity for the next.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(LOG_BUFFER_KEEP_BYTES);
        self.placements.clear();
        self.waiters.clear();
        self.must_sync = false;
        self.entries = 0;
    }
}
