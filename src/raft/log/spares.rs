//! Spare files: what new segments are written over.
//!
//! They are segments that nothing needs any more, or, under `always`, files of zeros that the syncing thread makes when
//! there is none: syncing a file that has its size already takes two thirds of the time. A spare file lasts as long as
//! the process; the next one deletes what it finds (see [`segment::list`]), so that no two lives of a file can have
//! the same number.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::file::{LogFile, write_all};
use super::{Segment, Shared, segment};
use crate::limits::LOG_SPARE_MAX_BYTES;

/// Zeros written and synced at a time: a sync of the log waits for no more than that.
const FILL_STEP_BYTES: usize = 1024 * 1024;
/// How much longer than a segment that had to grow the file of zeros behind it is, while that is less than a segment.
const FILL_FACTOR: u64 = 4;
/// The number, as of a segment, of a file of zeros; segments begin with 1.
const ZEROS: u64 = 0;

/// One file.
pub(super) struct Spare {
    pub(super) file: Arc<dyn LogFile>,
    pub(super) path: PathBuf,
    /// Its length.
    pub(super) bytes: u64,
}

/// Those there are.
#[derive(Default)]
pub(super) struct Spares {
    files: VecDeque<Spare>,
    bytes: u64,
    /// A file of zeros is being made: never two at a time, since they have the same name.
    is_ordered: bool,
    /// The segment that goes without, since making one failed.
    given_up: u64,
}

impl Spares {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn push(&mut self, shared: &Shared, spare: Spare) {
        self.bytes += spare.bytes;
        shared.stats.spare_bytes.store(self.bytes, Relaxed);
        self.files.push_back(spare);
    }

    pub(super) fn pop(&mut self, shared: &Shared) -> Option<Spare> {
        let spare = self.files.pop_front()?;
        self.bytes -= spare.bytes;
        shared.stats.spare_bytes.store(self.bytes, Relaxed);
        Some(spare)
    }

    /// Has a file of zeros made to go on in behind this segment, if there is no other. A log that has come to
    /// `written` bytes is not yet thought to need a whole segment more.
    pub(super) fn order(&mut self, shared: &Shared, segment: u64, written: u64) {
        if self.files.is_empty() && !self.is_ordered && self.given_up != segment && shared.has_threads {
            self.is_ordered = true;
            shared.order_spare((written * FILL_FACTOR).min(shared.segment_bytes));
        }
    }

    /// Deletes them all.
    pub(super) fn clear(&mut self, shared: &Shared) {
        while let Some(spare) = self.pop(shared) {
            // One that stays takes room until the next start, no more.
            drop(shared.files.remove(&spare.path));
        }
    }

    /// Takes a segment's file that nothing needs, or deletes it. Nobody finds it under its number any more.
    pub(super) fn keep_or_remove(&mut self, shared: &Shared, old: Segment, bytes: u64) -> io::Result<()> {
        let path = segment::path(&shared.dir, old.header.segment);
        let fits = (shared.segment_bytes..2 * shared.segment_bytes).contains(&bytes)
            && self.bytes + bytes <= LOG_SPARE_MAX_BYTES
            // Somebody may still be reading it.
            && Arc::strong_count(&old.file) == 1
            && old.header.binds_records();
        if !fits {
            return shared.files.remove(&path);
        }
        let spare = segment::spare_path(&shared.dir, old.header.segment);
        shared.files.rename(&path, &spare)?;
        self.push(shared, Spare { file: old.file, path: spare, bytes });
        Ok(())
    }
}

/// Makes a file of zeros and hands it to the writer.
pub(super) fn fill(shared: &Shared, bytes: u64) {
    let path = segment::spare_path(&shared.dir, ZEROS);
    let file = write_zeros(shared, &path, bytes);
    shared.with_writer(|writer| {
        writer.spares.is_ordered = false;
        match file {
            // Those there are go when the log is closed.
            Ok(Some(file)) if !shared.is_closing() => {
                writer.spares.push(shared, Spare { file, path, bytes });
            }
            Ok(_) => drop(shared.files.remove(&path)),
            Err(error) => {
                tracing::debug!(%error, "the log does without a spare file");
                writer.spares.given_up = writer.segment;
                drop(shared.files.remove(&path));
            }
        }
    });
}

/// Answers `None` if the log is closed meanwhile.
fn write_zeros(shared: &Shared, path: &Path, bytes: u64) -> io::Result<Option<Arc<dyn LogFile>>> {
    let file = shared.files.create(path)?;
    let zeros = vec![0; FILL_STEP_BYTES];
    let mut at = 0;
    while at < bytes {
        if shared.is_closing() {
            return Ok(None);
        }
        let step = FILL_STEP_BYTES.min((bytes - at) as usize);
        write_all(&*file, &zeros[..step], at)?;
        file.sync()?;
        at += step as u64;
    }
    Ok(Some(file))
}
