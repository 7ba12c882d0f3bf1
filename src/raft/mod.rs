//! Raft groups: the only module that knows openraft.
//!
//! A [`Group`] replicates opaque payloads (`Bytes`) in order and hands the committed ones to a
//! [`StateMachine`]. All groups of a node share one write-ahead log, [`SharedLog`]. This module
//! does not know commands or storage.
//!
//! | part | what it is |
//! |---|---|
//! | [`log`] | the shared write-ahead log |
//! | [`group`] | a group's handle: propose, read gate, snapshot |
//! | [`state_machine`] | openraft's state machine, made of a [`StateMachine`] |
//! | [`snapshot`] | snapshot files |
//! | [`bus`] | frames between nodes, for all groups and layers |
//! | [`network`], `peers` | raft's messages on the bus: the side that asks, the side that answers |
//! | `wire` | the bytes of these messages |
//! | `send`, `receive` | snapshots on the bus |
//! | [`clock`] | the clocks that leases are measured on |
//! | `lease`, `votes` | when a leader may read without asking; when a node must not vote |
//! | `reads`, `members` | read indexes; voters, learners, and handing leadership over |
//! | [`types`], [`codec`] | openraft's type parameters, and their bytes |
//!
//! # The way of a proposal
//! `propose` puts the payload into the queue of the group's core, a task of openraft's. The core
//! appends everything queued to the log with one call, on its own task when the policy is not
//! `always` (see `log::writer`). When the log reports the entries as flushed, they are committed,
//! the task of the state machine applies them, and the callback of each runs there.
//!
//! # Invariants
//! - A full disk never reaches openraft, which would stop the group: the log waits for room, and
//!   a snapshot that cannot be written is reported to who asked for it.
//! - The log is purged only up to a snapshot that is on disk.

mod blocking;
pub mod bus;
pub mod clock;
pub mod codec;
pub mod group;
mod lease;
pub mod log;
mod members;
pub mod network;
mod peers;
mod reads;
mod receive;
mod send;
pub mod snapshot;
pub mod state_machine;
pub mod types;
mod votes;
mod wire;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use bytes::Bytes;

pub use bus::{Bus, BusError, BusOptions};
pub use group::{
    ClusterOptions, Group, GroupError, GroupOptions, GroupStatus, ProposeError, Role, SnapshotError, Timing,
};
pub use lease::Leadership;
pub use log::{FsyncPolicy, LogError, LogOptions, LogStats, SharedLog, StallReason};
pub use members::MembershipError;
pub use reads::ReadError;

use crate::types::LogIndex;

/// What a group replicates onto.
pub trait StateMachine: Send + 'static {
    /// Applies one committed payload. Called in log order, and in one process life never twice
    /// for an index. `term` is that of the leader that put the entry into the log.
    ///
    /// # Errors
    /// Only this machine's own failures; the group stops.
    fn apply(&mut self, index: LogIndex, term: u64, payload: &Bytes) -> io::Result<()>;
    /// An entry that carries no payload (blank or membership) was applied.
    fn skip(&mut self, index: LogIndex) -> io::Result<()>;
    /// Freezes the state as of the last applied entry; the job writes it out without holding
    /// service up.
    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>>;
    /// Freezes the state for another replica, where a snapshot rests on files of this one; `None` where it does
    /// not.
    fn begin_whole_snapshot(&mut self) -> io::Result<Option<Box<dyn SnapshotJob>>> {
        Ok(None)
    }
    /// Replaces the whole state by a snapshot's body, as [`SnapshotJob::write`] wrote it;
    /// `index` is the last entry it contains. The body begins at `body_offset` and is followed by a
    /// footer of this layer: the machine's own format has to say where it ends. Blocking; called off
    /// the runtime's workers.
    fn restore(&mut self, index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()>;
}

/// The slow part of taking a snapshot.
pub trait SnapshotJob: Send {
    /// Writes the snapshot's body. Blocking; called off the runtime's workers. Dropping the job
    /// without calling this, or after an error, abandons the snapshot.
    fn write(self: Box<Self>, out: &mut dyn io::Write) -> io::Result<()>;
}
