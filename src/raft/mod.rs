//! Raft groups: the only module that knows openraft.
//!
//! A [`Group`] replicates opaque payloads (`Bytes`) in order and hands the committed ones to a
//! [`StateMachine`]. All groups of a node share one write-ahead log, [`SharedLog`]. This module
//! does not know commands or storage.

use std::io;
use std::path::Path;

use bytes::Bytes;

use crate::types::LogIndex;

/// What a group replicates onto.
pub trait StateMachine: Send + 'static {
    /// Applies one committed payload. Called in log order, and in one process life never twice
    /// for an index.
    ///
    /// # Errors
    /// Only this machine's own failures; the group stops.
    fn apply(&mut self, index: LogIndex, payload: &Bytes) -> io::Result<()>;
    /// An entry that carries no payload (blank or membership) was applied.
    fn skip(&mut self, index: LogIndex) -> io::Result<()>;
    /// Freezes the state as of the last applied entry; the job writes it out without holding
    /// service up.
    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>>;
    /// Replaces the whole state by a snapshot's body, as [`SnapshotJob::write`] wrote it;
    /// `index` is the last entry it contains.
    fn restore(&mut self, index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()>;
}

/// The slow part of taking a snapshot.
pub trait SnapshotJob: Send {
    /// Writes the snapshot's body. Blocking; called off the runtime's workers. Dropping the job
    /// without calling this, or after an error, abandons the snapshot.
    fn write(self: Box<Self>, out: &mut dyn io::Write) -> io::Result<()>;
}
