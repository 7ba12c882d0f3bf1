//! Snapshots of a shard: taken beside service, without fork and without a copy of the data.
//!
//! ```text
//! body    = version u8 = 1 | now_ms i64 | engines u8 | chunk* | 0 u32
//!         | version u8 = 2 | now_ms i64 | engines u8 | chunk* | 0 u32 | rows* | 255 u8
//! engines = bit 1: the LSM engine is open, bit 2: the B+ tree engine is
//! chunk   = length u32 | bytes          as the hash engine writes them, one or a part of a slot
//!         | 2^32-1 u32 | length u64 | bytes
//! rows    = engine u8 | chunk* | 0 u32  all rows of a row engine, as `storage::rows` copies them
//! ```
//! The body holds the hash engine. The row engines keep their own files: before a snapshot counts,
//! they are made durable up to its index at least, so that the log before it can go. `engines` tells a restart
//! which of them must have files that reach so far. Another replica has no such files: what is sent to it is a
//! body of version 2, made for it, which holds their rows too.
//!
//! With the log in memory (`appendonly no`) a snapshot only lets the log go: it holds nothing, and nothing
//! is synced.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Shard;
use crate::raft::SnapshotJob;
use crate::storage::hash::{HashSnapshot, SlotCursor};
use crate::storage::rows::FrozenRows;
use crate::storage::store::Store;
use crate::storage::{Engine, StorageError, StorageResult, SyncJob};
use crate::types::LogIndex;

const BODY_VERSION: u8 = 1;
/// With the rows of the row engines.
const WHOLE_BODY_VERSION: u8 = 2;
/// Where the number of a row engine could stand: there is none any more.
const END_OF_ROWS: u8 = 255;
/// Version, time and engines.
const HEADER_BYTES: usize = 10;
/// Stands for a length that follows: a single value may have more than 4 GiB.
const LONG_CHUNK: u32 = u32::MAX;

/// A snapshot being written.
pub(super) struct Job {
    shard: Arc<Shard>,
    /// `None` when nothing is to be kept.
    snapshot: Option<HashSnapshot>,
    now_ms: i64,
    engines: u8,
    sync: Vec<SyncJob>,
    /// The rows of row engines, by the engine's number, if they are to be in the body.
    rows: Option<Vec<(u8, Box<dyn FrozenRows>)>>,
}

/// Freezes the state. The store must be between two entries.
pub(super) fn begin(shard: &Arc<Shard>) -> StorageResult<Job> {
    let mut store = shard.store.write();
    let mut sync = Vec::new();
    let mut snapshot = None;
    if !shard.is_cache() {
        store.for_each_engine(|_, engine| {
            sync.extend(engine.prepare_sync()?);
            Ok(())
        })?;
        snapshot = Some(store.hash_engine_mut().begin_snapshot());
    }
    let now_ms = shard.applied_now.load(Ordering::Relaxed);
    Ok(Job { shard: Arc::clone(shard), snapshot, now_ms, engines: store.row_engine_bits(), sync, rows: None })
}

/// Freezes the state with the rows of the row engines, for another replica. The store must be between two entries.
pub(super) fn begin_whole(shard: &Arc<Shard>) -> StorageResult<Job> {
    let mut store = shard.store.write();
    let snapshot = Some(store.hash_engine_mut().begin_snapshot());
    let rows = Some(store.freeze_rows()?);
    let now_ms = shard.applied_now.load(Ordering::Relaxed);
    Ok(Job { shard: Arc::clone(shard), snapshot, now_ms, engines: store.row_engine_bits(), sync: Vec::new(), rows })
}

impl SnapshotJob for Job {
    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        let Self { shard, snapshot, now_ms, engines, sync, rows } = *self;
        for job in sync {
            job().map_err(io::Error::other)?;
        }
        let mut written = HEADER_BYTES as u64;
        out.write_all(&[if rows.is_some() { WHOLE_BODY_VERSION } else { BODY_VERSION }])?;
        out.write_all(&now_ms.to_le_bytes())?;
        out.write_all(&[engines])?;
        if let Some(snapshot) = snapshot {
            written += write_engine(&shard, snapshot, out)?;
        }
        out.write_all(&0u32.to_le_bytes())?;
        let Some(rows) = rows else {
            shard.stats.set_snapshot_bytes(written);
            return Ok(());
        };
        for (engine, mut rows) in rows {
            out.write_all(&[engine])?;
            while let Some(chunk) = rows.next().map_err(io::Error::other)? {
                write_chunk(out, &chunk)?;
            }
            out.write_all(&0u32.to_le_bytes())?;
        }
        out.write_all(&[END_OF_ROWS])
    }
}

fn write_engine(shard: &Shard, snapshot: HashSnapshot, out: &mut dyn Write) -> io::Result<u64> {
    let mut written = 0;
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
    Ok(written)
}

fn write_chunk(out: &mut dyn Write, chunk: &[u8]) -> io::Result<u64> {
    let head = write_length(out, chunk.len() as u64)?;
    out.write_all(chunk)?;
    Ok(head + chunk.len() as u64)
}

/// Writes what stands before a chunk; answers how much that is.
fn write_length(out: &mut dyn Write, length: u64) -> io::Result<u64> {
    match u32::try_from(length) {
        Ok(short) if short != LONG_CHUNK => {
            out.write_all(&short.to_le_bytes())?;
            Ok(4)
        }
        _ => {
            out.write_all(&LONG_CHUNK.to_le_bytes())?;
            out.write_all(&length.to_le_bytes())?;
            Ok(4 + 8)
        }
    }
}

/// Reads what [`write_length`] wrote.
fn read_length(input: &mut impl Read) -> io::Result<u64> {
    let mut short = [0u8; 4];
    input.read_exact(&mut short)?;
    match u32::from_le_bytes(short) {
        LONG_CHUNK => {
            let mut long = [0u8; 8];
            input.read_exact(&mut long)?;
            Ok(u64::from_le_bytes(long))
        }
        short => Ok(u64::from(short)),
    }
}

/// Replaces the contents of the hash engine by a snapshot's, and checks that the row engines reach as far.
pub(super) fn restore(shard: &Shard, index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
    let mut file = File::open(body)?;
    file.seek(SeekFrom::Start(body_offset))?;
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut header = [0u8; HEADER_BYTES];
    input.read_exact(&mut header)?;
    let whole = header[0] == WHOLE_BODY_VERSION;
    if header[0] != BODY_VERSION && !whole {
        return Err(corrupt(format!("version {} where {BODY_VERSION} or {WHOLE_BODY_VERSION} is expected", header[0])));
    }
    let now_ms = i64::from_le_bytes(header[1..9].try_into().expect("eight bytes"));
    let mut store = shard.store.write();
    if !whole {
        store.check_reaches(index.0, header[9]).map_err(io::Error::other)?;
    }
    let engine = store.hash_engine_mut();
    engine.clear();
    engine.set_clock(crate::types::UnixMs(now_ms));
    let mut bytes = HEADER_BYTES as u64;
    read_chunks(&mut input, |chunk| {
        bytes += 4 + chunk.len() as u64;
        store.hash_engine_mut().load_chunk(chunk)
    })?;
    if whole {
        restore_rows(&mut store, &mut input, index)?;
    }
    shard.applied_now.fetch_max(now_ms, Ordering::Relaxed);
    shard.stats.set_snapshot_bytes(bytes);
    Ok(())
}

/// Replaces the contents of the row engines by what another replica has frozen.
fn restore_rows(store: &mut Store, input: &mut impl Read, index: LogIndex) -> io::Result<()> {
    loop {
        let mut number = [0u8];
        input.read_exact(&mut number)?;
        if number[0] == END_OF_ROWS {
            return Ok(());
        }
        let engine = store.row_engine_mut(number[0]).ok_or_else(|| {
            corrupt(format!("it has rows of engine {}, which no keyspace of this node uses", number[0]))
        })?;
        if engine.applied().is_some_and(|applied| applied >= index.0) {
            // A restart: they were copied before.
            read_chunks(input, |_| Ok(()))?;
            continue;
        }
        engine.begin_copy().map_err(io::Error::other)?;
        read_chunks(input, |chunk| engine.copy(chunk))?;
        engine.end_copy().map_err(io::Error::other)?;
    }
}

/// Reads chunks up to the end of their list.
fn read_chunks(input: &mut impl Read, mut take: impl FnMut(&[u8]) -> StorageResult<()>) -> io::Result<()> {
    let mut chunk = Vec::new();
    loop {
        let length = read_length(input)?;
        if length == 0 {
            return Ok(());
        }
        chunk.clear();
        // Grows as bytes arrive: a damaged length costs no memory.
        let read = input.by_ref().take(length).read_to_end(&mut chunk)?;
        if read as u64 != length {
            return Err(corrupt("it ends in the middle of a chunk".to_owned()));
        }
        take(&chunk).map_err(io::Error::other)?;
    }
}

fn corrupt(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, StorageError::Corrupt { what: "snapshot", detail })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_any_size_round_trip() {
        for (length, head) in [(1, 4), (0xffff_fffe, 4), (0xffff_ffff, 12), (0x1_0000_0000, 12), (u64::MAX, 12)] {
            let mut bytes = Vec::new();
            assert_eq!(write_length(&mut bytes, length).unwrap(), head);
            assert_eq!(bytes.len() as u64, head);
            assert_eq!(read_length(&mut bytes.as_slice()).unwrap(), length);
        }
    }

    #[test]
    fn a_long_chunk_is_read_and_one_that_ends_early_is_not() {
        let mut bytes = [&LONG_CHUNK.to_le_bytes()[..], &3u64.to_le_bytes(), b"abc", &0u32.to_le_bytes()].concat();
        let mut chunks = Vec::new();
        let mut take = |chunk: &[u8]| {
            chunks.push(chunk.to_vec());
            Ok(())
        };
        read_chunks(&mut bytes.as_slice(), &mut take).unwrap();
        bytes[4..12].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read_chunks(&mut bytes.as_slice(), &mut take).is_err());
        assert_eq!(chunks, [b"abc"]);
    }
}
