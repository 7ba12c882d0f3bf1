//! Taking in a snapshot from the leader.
//!
//! The file arrives in chunks and is written under a temporary name beside the group's own snapshots. A sender
//! that was interrupted goes on where it stopped, as long as this process lives and the snapshot is the same.
//! Only a file that is whole and whose checks match is installed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::blocking::blocking;
use super::bus::{Answer, Incoming};
use super::peers::Member;
use super::snapshot::{self, SnapshotFile};
use super::types::Vote;
use super::wire::{self, SnapshotAnswer, SnapshotCall};

/// Bytes between two syncs: the disk is kept busy, but the log's own syncs do not have to wait for a whole
/// snapshot.
const SYNC_EVERY_BYTES: u64 = 16 * 1024 * 1024;

/// The snapshot that is arriving.
#[derive(Default)]
pub(crate) struct Receiver {
    transfers: u64,
    current: Option<Arriving>,
}

struct Arriving {
    transfer: u64,
    path: PathBuf,
    file: Arc<File>,
    /// What makes it this snapshot and no other.
    index: u64,
    length: u64,
    check: u32,
    /// Bytes that are there.
    held: u64,
    unsynced: u64,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // Gone already when it was installed; otherwise opening the group deletes it.
        drop(std::fs::remove_file(&self.path));
    }
}

impl Member {
    pub(super) async fn receive_snapshot(self: Arc<Self>, incoming: Incoming) -> Answer {
        let call = wire::read_snapshot(&incoming.payload).map_err(|error| error.to_string())?;
        // Fair: chunks are written in the order in which they came.
        let mut receiver = Arc::clone(&self).lock_receiver().await;
        let answer = match call {
            SnapshotCall::Begin { length, check, header, .. } => receiver.begin(&self, length, check, header).await,
            SnapshotCall::Chunk { transfer, offset, bytes } => receiver.chunk(transfer, offset, bytes).await,
            SnapshotCall::Finish { transfer, vote } => receiver.finish(&self, transfer, vote).await,
        };
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(wire::snapshot_answer(&answer).into())
    }

    async fn lock_receiver(self: Arc<Self>) -> tokio::sync::OwnedMutexGuard<Receiver> {
        Arc::clone(&self.receiver).lock_owned().await
    }
}

impl Receiver {
    async fn begin(&mut self, member: &Member, length: u64, check: u32, header: Bytes) -> io::Result<SnapshotAnswer> {
        let meta = snapshot::read_header(&header).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let index = meta.last_log_id.map_or(0, |id| id.index);
        self.transfers += 1;
        let transfer = self.transfers;
        if let Some(arriving) = &mut self.current
            && (arriving.index, arriving.length, arriving.check) == (index, length, check)
        {
            arriving.transfer = transfer;
            return Ok(SnapshotAnswer::GoOn { transfer, offset: arriving.held });
        }
        self.current = None;
        let path = snapshot::incoming_path(&member.dir, index);
        let file = blocking({
            let path = path.clone();
            move || File::options().read(true).write(true).create(true).truncate(true).open(path)
        });
        let file = Arc::new(file.await??);
        self.current = Some(Arriving { transfer, path, file, index, length, check, held: 0, unsynced: 0 });
        Ok(SnapshotAnswer::GoOn { transfer, offset: 0 })
    }

    fn arriving(&mut self, transfer: u64) -> io::Result<&mut Arriving> {
        let arriving = self.current.as_mut().filter(|arriving| arriving.transfer == transfer);
        arriving.ok_or_else(|| io::Error::other("another snapshot took its place"))
    }

    async fn chunk(&mut self, transfer: u64, offset: u64, bytes: Bytes) -> io::Result<SnapshotAnswer> {
        let arriving = self.arriving(transfer)?;
        let end = offset + bytes.len() as u64;
        if offset != arriving.held || end > arriving.length {
            return Err(io::Error::other(format!("bytes from {offset} on came where {} is next", arriving.held)));
        }
        let is_sync_due = arriving.unsynced + bytes.len() as u64 >= SYNC_EVERY_BYTES;
        let file = Arc::clone(&arriving.file);
        blocking(move || {
            file.write_all_at(&bytes, offset)?;
            if is_sync_due { file.sync_data() } else { Ok(()) }
        })
        .await??;
        arriving.unsynced = if is_sync_due { 0 } else { arriving.unsynced + end - offset };
        arriving.held = end;
        Ok(SnapshotAnswer::GoOn { transfer, offset: end })
    }

    async fn finish(&mut self, member: &Member, transfer: u64, vote: Vote) -> io::Result<SnapshotAnswer> {
        let arriving = self.arriving(transfer)?;
        if arriving.held != arriving.length {
            return Err(io::Error::other(format!("{} of {} bytes are here", arriving.held, arriving.length)));
        }
        let (path, file) = (arriving.path.clone(), Arc::clone(&arriving.file));
        let verified = blocking(move || {
            file.sync_all()?;
            let described = snapshot::verify(&path)?;
            Ok((described.meta, SnapshotFile { path, file }))
        });
        let (meta, snapshot) = match verified.await? {
            Ok(verified) => verified,
            Err(error) => {
                self.current = None;
                return Err(error);
            }
        };
        tracing::info!(group = member.id.0, bytes = arriving.length, snapshot = %meta, "a snapshot has arrived");
        let snapshot = openraft::alias::SnapshotOf::<super::types::TypeConfig, _> { meta, snapshot };
        let answer = member.raft.install_full_snapshot(vote, snapshot).await.map_err(io::Error::other)?;
        self.current = None;
        Ok(SnapshotAnswer::Vote(answer.vote))
    }
}
