//! openraft's view of a [`StateMachine`]: applies entries in order, keeps what raft has to
//! remember of them, and hands snapshot files over.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use parking_lot::Mutex;

use super::blocking::blocking;
use super::lease::Gate;
use super::snapshot::{self, SnapshotFile};
use super::types::{EntryPayload, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use super::{SnapshotJob, StateMachine};
use crate::types::LogIndex;

/// A snapshot as openraft knows it.
type Snapshot = openraft::alias::SnapshotOf<TypeConfig, SnapshotFile>;

/// The current snapshot of a group, shared with builders.
#[derive(Clone, Default)]
struct Current(Arc<Mutex<Option<Snapshot>>>);

/// A [`StateMachine`] as openraft sees it.
pub struct Adapter {
    /// Behind a lock only because openraft wants `Sync`; there is never a second user. `None`
    /// while a snapshot is being restored on another thread.
    machine: Mutex<Option<Box<dyn StateMachine>>>,
    dir: PathBuf,
    applied: Option<LogId>,
    membership: StoredMembership,
    current: Current,
    /// A snapshot that was written and that openraft has not asked for yet.
    prepared: Option<Snapshot>,
    /// The current snapshot was verified when the group was opened.
    verified: bool,
    pub(super) gate: Arc<Gate>,
    /// Dropped with the adapter, which tells the group's handle that the machine is gone.
    _alive: Option<tokio::sync::mpsc::Sender<()>>,
}

fn missing_machine() -> io::Error {
    io::Error::other("restoring a snapshot failed, the state machine is gone")
}

impl Adapter {
    /// Wraps a machine that is empty, or as its own files have it. `current` was verified.
    pub(super) fn new(
        machine: Box<dyn StateMachine>,
        dir: PathBuf,
        current: Option<Snapshot>,
        alive: Option<tokio::sync::mpsc::Sender<()>>,
    ) -> Self {
        Self {
            machine: Mutex::new(Some(machine)),
            dir,
            applied: None,
            membership: StoredMembership::default(),
            verified: current.is_some(),
            current: Current(Arc::new(Mutex::new(current))),
            prepared: None,
            gate: Arc::default(),
            _alive: alive,
        }
    }

    fn machine(&mut self) -> io::Result<&mut Box<dyn StateMachine>> {
        self.machine.get_mut().as_mut().ok_or_else(missing_machine)
    }

    /// Freezes the state; answers with what it contains and the job that writes it.
    /// `None` when the current snapshot already is of this state.
    pub(super) fn begin_snapshot(&mut self) -> io::Result<Option<(SnapshotMeta, Box<dyn SnapshotJob>)>> {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        if self.current.0.lock().as_ref().is_some_and(|current| current.meta == meta) {
            return Ok(None);
        }
        Ok(Some((meta, self.machine()?.begin_snapshot()?)))
    }

    /// Freezes the state for another replica; `None` where the current snapshot is good for it.
    pub(super) fn begin_whole_snapshot(&mut self) -> io::Result<Option<(SnapshotMeta, Box<dyn SnapshotJob>)>> {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        Ok(self.machine()?.begin_whole_snapshot()?.map(|job| (meta, job)))
    }

    /// Takes a snapshot that was written, for openraft to find.
    pub(super) fn offer_snapshot(&mut self, meta: SnapshotMeta, file: SnapshotFile) {
        self.prepared = Some(Snapshot { meta, snapshot: file });
    }

    fn fresh_builder(&mut self) -> Builder {
        let meta = SnapshotMeta { last_log_id: self.applied, last_membership: self.membership.clone() };
        let job = self.machine().and_then(|machine| machine.begin_snapshot());
        Builder { work: Mutex::new(Some(Work::Write(meta, job, self.dir.clone()))), current: self.current.clone() }
    }

    fn note_applied(&mut self, id: LogId) {
        self.applied = Some(id);
        if self.gate.note_applied(id.leader_id.term, id.index) {
            self.gate.changed.notify_waiters();
        }
    }
}

impl RaftStateMachine<TypeConfig> for Adapter {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(item) = poll_fn(|context| Pin::new(&mut entries).poll_next(context)).await {
            let (entry, responder) = item?;
            let id = entry.log_id;
            let index = LogIndex(id.index);
            match entry.payload {
                EntryPayload::Normal(payload) => self.machine()?.apply(index, id.leader_id.term, &payload.0)?,
                EntryPayload::Blank => self.machine()?.skip(index)?,
                EntryPayload::Membership(membership) => {
                    self.machine()?.skip(index)?;
                    self.membership = StoredMembership::new(Some(id), membership);
                }
            }
            self.note_applied(id);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        if let Some(prepared) = self.prepared.take() {
            return Some(Builder { work: Mutex::new(Some(Work::HandOver(prepared))), current: self.current.clone() });
        }
        force.then(|| self.fresh_builder())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.fresh_builder()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, received: SnapshotFile) -> Result<(), io::Error> {
        let mut machine = self.machine.get_mut().take().ok_or_else(missing_machine)?;
        let dir = self.dir.clone();
        let expected = meta.clone();
        let is_verified = std::mem::take(&mut self.verified);
        let install = move || {
            let described =
                if is_verified { snapshot::open(&received.path)?.1 } else { snapshot::verify(&received.path)? };
            if described.meta != expected {
                return Err(io::Error::other(format!(
                    "snapshot {} is not the one that was announced",
                    received.path.display()
                )));
            }
            let index = expected.last_log_id.map_or(0, |id| id.index);
            let path = snapshot::path(&dir, index);
            if received.path.parent() == Some(&dir) && received.path != path {
                // It came over the bus, synced, to where it can stay.
                std::fs::rename(&received.path, &path)?;
                snapshot::sync_dir(&dir)?;
            } else if received.path != path {
                // The sender of a snapshot may be another group's directory in tests: copying is right
                // wherever the file comes from, and leaves the source alone.
                let temporary = path.with_extension("tmp");
                std::fs::copy(&received.path, &temporary)?;
                std::fs::File::open(&temporary)?.sync_all()?;
                std::fs::rename(&temporary, &path)?;
                snapshot::sync_dir(&dir)?;
            }
            machine.restore(LogIndex(index), &path, described.body_offset)?;
            snapshot::remove_others(&dir, &path)?;
            Ok((machine, snapshot::open(&path)?.0))
        };
        let (machine, file) = blocking(install).await??;
        *self.machine.get_mut() = Some(machine);
        *self.current.0.lock() = Some(Snapshot { meta: meta.clone(), snapshot: file });
        self.membership = meta.last_membership.clone();
        if let Some(id) = meta.last_log_id {
            self.note_applied(id);
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        Ok(self.current.0.lock().clone())
    }
}

enum Work {
    /// The file was written by `Group::snapshot`.
    HandOver(Snapshot),
    /// openraft itself needs a snapshot.
    Write(SnapshotMeta, io::Result<Box<dyn SnapshotJob>>, PathBuf),
}

/// Gives openraft a snapshot.
pub struct Builder {
    /// Behind a lock only because openraft wants `Sync`.
    work: Mutex<Option<Work>>,
    current: Current,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let built = match self.work.get_mut().take() {
            Some(Work::HandOver(snapshot)) => snapshot,
            Some(Work::Write(meta, job, dir)) => {
                let job = job?;
                let write = move || {
                    let file = snapshot::write(&dir, &meta, job)?;
                    Ok::<_, io::Error>(Snapshot { meta, snapshot: file })
                };
                blocking(write).await??
            }
            None => return Err(io::Error::other("a snapshot builder builds once")),
        };
        *self.current.0.lock() = Some(built.clone());
        Ok(built)
    }
}
