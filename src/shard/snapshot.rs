//! Snapshots of a shard: taken beside service, without fork and without a copy of the data.
//!
//! ```text
//! body    = version u8 | now_ms i64 | chunk* | 0 u32
//! chunk   = length u32 | bytes          as the hash engine writes them, one or a part of a slot
//! ```
//! The body holds the hash engine. The row engines keep their own files: before a snapshot counts,
//! they are made durable up to its index at least, so that the log before it can go.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shard;
use crate::raft::SnapshotJob;
use crate::storage::hash::{HashSnapshot, SlotCursor};
use crate::storage::{StorageError, StorageResult, SyncJob};

const BODY_VERSION: u8 = 1;
/// Longest chunk that is believed when a snapshot is read: a single value may be large.
const CHUNK_MAX_BYTES: u32 = u32::MAX - 1;

/// A snapshot being written.
pub(super) struct Job {
    shard: Arc<Shard>,
    snapshot: HashSnapshot,
    now_ms: i64,
    sync: Vec<SyncJob>,
}

/// Freezes the state. The store must be between two entries.
pub(super) fn begin(shard: &Arc<Shard>) -> StorageResult<Job> {
    let mut store = shard.store.write();
    let mut sync = Vec::new();
    store.for_each_engine(|_, engine| {
        sync.extend(engine.prepare_sync()?);
        Ok(())
    })?;
    let snapshot = store.hash_engine_mut().begin_snapshot();
    let now_ms = shard.applied_now.load(Ordering::Relaxed);
    Ok(Job { shard: Arc::clone(shard), snapshot, now_ms, sync })
}

impl SnapshotJob for Job {
    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        let Self { shard, snapshot, now_ms, sync } = *self;
        for job in sync {
            job().map_err(io::Error::other)?;
        }
        let mut written = 9;
        out.write_all(&[BODY_VERSION])?;
        out.write_all(&now_ms.to_le_bytes())?;
        let mut next = Some(SlotCursor::default());
        while let Some(cursor) = next {
            next = {
                let store = shard.store.read();
                snapshot.serialise_slot(store.hash_engine(), cursor)
            };
            for chunk in snapshot.drain() {
                written += write_chunk(out, &chunk)?;
            }
        }
        for chunk in snapshot.finish() {
            written += write_chunk(out, &chunk)?;
        }
        out.write_all(&0u32.to_le_bytes())?;
        shard.stats.set_snapshot_bytes(written);
        Ok(())
    }
}

fn write_chunk(out: &mut dyn Write, chunk: &[u8]) -> io::Result<u64> {
    let length = u32::try_from(chunk.len()).map_err(|_| io::Error::other("a chunk of a snapshot of 4 GiB or more"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(chunk)?;
    Ok(4 + u64::from(length))
}

/// Replaces the contents of the hash engine by a snapshot's.
pub(super) fn restore(shard: &Shard, body: &Path, body_offset: u64) -> io::Result<()> {
    let mut file = File::open(body)?;
    file.seek(SeekFrom::Start(body_offset))?;
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut header = [0u8; 9];
    input.read_exact(&mut header)?;
    if header[0] != BODY_VERSION {
        return Err(corrupt(format!("version {} where {BODY_VERSION} is expected", header[0])));
    }
    let now_ms = i64::from_le_bytes(header[1..].try_into().expect("eight of nine bytes"));
    let mut store = shard.store.write();
    let engine = store.hash_engine_mut();
    engine.clear();
    engine.set_clock(crate::types::UnixMs(now_ms));
    let mut chunk = Vec::new();
    let mut bytes = 9u64;
    loop {
        let mut length = [0u8; 4];
        input.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length == 0 {
            break;
        }
        if length > CHUNK_MAX_BYTES {
            return Err(corrupt(format!("a chunk of {length} bytes")));
        }
        chunk.clear();
        // Grows as bytes arrive: a damaged length costs no memory.
        let read = (&mut input).take(u64::from(length)).read_to_end(&mut chunk)?;
        if read != length as usize {
            return Err(corrupt("it ends in the middle of a chunk".to_owned()));
        }
        engine.load_chunk(&chunk).map_err(io::Error::other)?;
        bytes += 4 + u64::from(length);
    }
    shard.applied_now.fetch_max(now_ms, Ordering::Relaxed);
    shard.stats.set_snapshot_bytes(bytes);
    Ok(())
}

fn corrupt(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, StorageError::Corrupt { what: "snapshot", detail })
}
