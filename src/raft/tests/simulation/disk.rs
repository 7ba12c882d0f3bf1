//! A disk that loses what was not synced when its machine goes down.
//!
//! The files are real ones; what is simulated is how much of each a crash leaves.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::super::log::{LogFile, LogFiles, OsFiles};
use super::chance;

#[derive(Default)]
struct Lengths {
    written: u64,
    synced: u64,
}

/// A node's disk; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Lengths>>>>>);

struct File {
    file: Arc<dyn LogFile>,
    lengths: Arc<Mutex<Lengths>>,
}

impl LogFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.file.write_at(bytes, offset)?;
        let mut lengths = self.lengths.lock();
        lengths.written = lengths.written.max(offset + count as u64);
        Ok(count)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)?;
        let mut lengths = self.lengths.lock();
        lengths.written = length;
        lengths.synced = lengths.synced.min(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut lengths = self.lengths.lock();
        lengths.synced = lengths.written;
        Ok(())
    }
}

impl LogFiles for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let lengths = Arc::default();
        self.0.lock().insert(path.to_owned(), Arc::clone(&lengths));
        Ok(Arc::new(File { file: OsFiles.create(path)?, lengths }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let written = std::fs::metadata(path)?.len();
        let found = Arc::new(Mutex::new(Lengths { written, synced: written }));
        let lengths = Arc::clone(self.0.lock().entry(path.to_owned()).or_insert(found));
        Ok(Arc::new(File { file: OsFiles.open(path)?, lengths }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFiles.rename(from, to)?;
        let mut files = self.0.lock();
        if let Some(lengths) = files.remove(from) {
            files.insert(to.to_owned(), lengths);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().remove(path);
        OsFiles.remove(path)
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Disk {
    /// The machine goes down: of what was not synced any part is left.
    pub(super) fn crash(&self) -> io::Result<()> {
        for (path, lengths) in self.0.lock().iter() {
            let mut lengths = lengths.lock();
            let left = chance::between(lengths.synced, lengths.written + 1);
            std::fs::File::options().write(true).open(path)?.set_len(left)?;
            (lengths.written, lengths.synced) = (left, left);
        }
        Ok(())
    }
}
