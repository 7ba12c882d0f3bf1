//! All rows of an engine as of one moment, to be copied to another replica beside service.
//!
//! ```text
//! chunk = (row run | value run)*        runs as `codec::reader` has them
//! ```

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use heed::{Env, WithoutTls};
use rocksdb::DB;

use super::btree::RowTable;
use super::store::Rows;
use crate::codec::{Reader, push_run};
use crate::storage::{StorageError, StorageResult};

/// Bytes at which a chunk is closed.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks that are read ahead of whoever takes them.
const CHUNKS_AHEAD: usize = 2;

/// Rows as of one moment, in chunks.
pub trait FrozenRows: Send {
    /// The next chunk; `None` after the last.
    ///
    /// # Errors
    /// When the files cannot be read.
    fn next(&mut self) -> StorageResult<Option<Vec<u8>>>;
}

/// The rows of a chunk.
pub(super) fn rows_of(chunk: &[u8]) -> StorageResult<Rows> {
    let corrupt = |error: crate::codec::DecodeError| StorageError::Corrupt { what: "rows", detail: error.to_string() };
    let mut reader = Reader::new(chunk, "chunk of rows");
    let mut rows = Rows::new();
    while reader.remaining() > 0 {
        let row = reader.run().map_err(corrupt)?.to_vec();
        rows.insert(row, Some(reader.run().map_err(corrupt)?.to_vec()));
    }
    Ok(rows)
}

/// RocksDB's rows. Its iterator shows the database as it was when it was made, and borrows it: it lives on a
/// thread of its own, which ends when nobody wants more.
pub(super) struct LsmRows(Receiver<StorageResult<Vec<u8>>>);

impl LsmRows {
    /// Freezes what the database holds now.
    pub(super) fn freeze(db: Arc<DB>) -> StorageResult<Self> {
        let (chunks, taken) = sync_channel(CHUNKS_AHEAD);
        let (ready, frozen) = sync_channel(0);
        let read = move || {
            let mut rows = db.raw_iterator();
            rows.seek_to_first();
            if ready.send(()).is_err() {
                return;
            }
            let mut chunk = Vec::new();
            while let Some((row, value)) = rows.item() {
                push_run(&mut chunk, row);
                push_run(&mut chunk, value);
                if chunk.len() >= CHUNK_BYTES && chunks.send(Ok(std::mem::take(&mut chunk))).is_err() {
                    return;
                }
                rows.next();
            }
            // Whoever took the chunks may be gone.
            let _ = match rows.status() {
                Ok(()) if chunk.is_empty() => Ok(()),
                Ok(()) => chunks.send(Ok(chunk)),
                Err(error) => chunks.send(Err(error.into())),
            };
        };
        std::thread::Builder::new().name("kvorum-copy".to_owned()).spawn(read)?;
        frozen.recv().map_err(|_| StorageError::Io(std::io::Error::other("the thread that copies rows is gone")))?;
        Ok(Self(taken))
    }
}

impl FrozenRows for LsmRows {
    fn next(&mut self) -> StorageResult<Option<Vec<u8>>> {
        self.0.recv().ok().transpose()
    }
}

/// LMDB's rows: a read transaction, and how far it was read. The file grows while it lives, as the pages it sees
/// are not used again.
pub(super) struct BTreeRows {
    read: heed::RoTxn<'static, WithoutTls>,
    table: RowTable,
    after: Option<Vec<u8>>,
}

impl BTreeRows {
    /// Freezes what the file holds now.
    pub(super) fn freeze(env: &Env<WithoutTls>, table: RowTable) -> StorageResult<Self> {
        Ok(Self { read: env.clone().static_read_txn()?, table, after: None })
    }
}

impl FrozenRows for BTreeRows {
    fn next(&mut self) -> StorageResult<Option<Vec<u8>>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let mut chunk = Vec::new();
        let mut last: Option<Vec<u8>> = None;
        let start = self.after.as_deref().map_or(Unbounded, Excluded);
        for item in self.table.range(&self.read, &(start, Unbounded))? {
            let (row, value) = item?;
            push_run(&mut chunk, row);
            push_run(&mut chunk, value);
            if chunk.len() >= CHUNK_BYTES {
                last = Some(row.to_vec());
                break;
            }
            // Only where a chunk ends does it matter which row was the last.
            last = None;
        }
        if chunk.is_empty() {
            return Ok(None);
        }
        // Nothing comes after the highest row there can be.
        self.after = Some(last.unwrap_or_else(|| vec![0xff; super::format::ROW_KEY_MAX_BYTES]));
        Ok(Some(chunk))
    }
}
