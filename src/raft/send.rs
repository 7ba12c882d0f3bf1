//! Sending a snapshot to a follower that is too far behind for the log.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::blocking::blocking;
use super::bus::{Bus, BusError, Class, PendingCall, Target, Urgency, services};
use super::snapshot::{self, SnapshotFile};
use super::types::Vote;
use super::wire::{self, SnapshotAnswer, SnapshotCall};
use crate::limits::{SNAPSHOT_CHUNK_BYTES, SNAPSHOT_CHUNKS_IN_FLIGHT_MAX};

/// How long an answer to a step may take; syncing a chunk's worth of pages included.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);
/// How long verifying and installing may take. A peer that dies meanwhile is noticed by the bus.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3600);

/// Why a snapshot did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the snapshot cannot be read: {0}")]
    Read(io::Error),
    #[error("the receiver's answer makes no sense: {0}")]
    Answer(&'static str),
}

/// Where a snapshot is sent from and to.
pub(super) struct Sender<'a> {
    pub(super) bus: &'a Arc<Bus>,
    pub(super) target: &'a Target,
    pub(super) group: u32,
}

impl Sender<'_> {
    /// Sends the file and has it installed. Answers the vote of the receiver.
    pub(super) async fn send(&self, vote: Vote, snapshot: &SnapshotFile) -> Result<Vote, SendError> {
        let file = Arc::clone(&snapshot.file);
        let announced = read(move || snapshot::announce(&file)).await?;
        let snapshot::Announced { length, check, header } = announced;
        let begin =
            self.step(&SnapshotCall::Begin { vote, length, check, header: header.into() }, STEP_TIMEOUT).await?;
        let (transfer, mut offset) = match begin {
            SnapshotAnswer::GoOn { transfer, offset } if offset <= length => (transfer, offset),
            SnapshotAnswer::GoOn { .. } => return Err(SendError::Answer("it has more than there is")),
            SnapshotAnswer::Vote(vote) => return Ok(vote),
        };
        tracing::info!(group = self.group, target = %self.target, bytes = length, from = offset, "sending a snapshot");
        let mut under_way: VecDeque<(u64, PendingCall)> = VecDeque::new();
        while offset < length || !under_way.is_empty() {
            if offset < length && under_way.len() < SNAPSHOT_CHUNKS_IN_FLIGHT_MAX {
                let count = (length - offset).min(SNAPSHOT_CHUNK_BYTES as u64) as usize;
                let bytes = read_chunk(&snapshot.file, offset, count).await?;
                self.bus.take_snapshot_turn(count as u64).await;
                let call = SnapshotCall::Chunk { transfer, offset, bytes };
                offset += count as u64;
                under_way.push_back((offset, self.start(&call)?));
                continue;
            }
            let (expected, call) = under_way.pop_front().expect("something is under way");
            let answer = tokio::time::timeout(STEP_TIMEOUT, call).await.map_err(|_| BusError::Timeout)??;
            match decode(&answer)? {
                SnapshotAnswer::GoOn { offset, .. } if offset == expected => {}
                SnapshotAnswer::GoOn { .. } => return Err(SendError::Answer("it has lost its place")),
                SnapshotAnswer::Vote(vote) => return Ok(vote),
            }
        }
        match self.step(&SnapshotCall::Finish { transfer, vote }, FINISH_TIMEOUT).await? {
            SnapshotAnswer::Vote(vote) => Ok(vote),
            SnapshotAnswer::GoOn { .. } => Err(SendError::Answer("it does not finish")),
        }
    }

    fn start(&self, call: &SnapshotCall) -> Result<PendingCall, BusError> {
        let body = wire::snapshot(call);
        self.bus.start_call(self.target, Class::Bulk, services::SNAPSHOT, self.group, body, Urgency::Now)
    }

    async fn step(&self, call: &SnapshotCall, timeout: Duration) -> Result<SnapshotAnswer, SendError> {
        let answer = tokio::time::timeout(timeout, self.start(call)?).await.map_err(|_| BusError::Timeout)??;
        decode(&answer)
    }
}

fn decode(answer: &[u8]) -> Result<SnapshotAnswer, SendError> {
    wire::read_snapshot_answer(answer).map_err(|error| SendError::Answer(error.reason))
}

async fn read<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, SendError> {
    blocking(work).await.and_then(|result| result).map_err(SendError::Read)
}

async fn read_chunk(file: &Arc<File>, offset: u64, count: usize) -> Result<Bytes, SendError> {
    let file = Arc::clone(file);
    read(move || {
        let mut bytes = vec![0; count];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    })
    .await
}
