//! Files beside an engine's own that tell whether those can be trusted.
//!
//! `boot` says under which boot of the machine an LMDB file was last written, and whether everything
//! had been synced: `<boot id> dirty` or `<boot id> clean`. It is made durable as `dirty` *before*
//! the first write after a sync, so that after a crash of the machine a file with unsynced pages
//! can never be taken for a clean one. `loading` is there while a snapshot is being loaded.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::storage::{StorageError, StorageResult};

const BOOT_FILE: &str = "boot";
const LOADING_FILE: &str = "loading";
const BOOT_ID_SOURCE: &str = "/proc/sys/kernel/random/boot_id";

/// Identity of this boot of the machine; `None` where the system does not tell, and then every boot counts
/// as another one.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string(BOOT_ID_SOURCE).ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn write_durably(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}.new"));
    let mut file = File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, directory.join(name))?;
    sync_directory(directory)
}

fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the files of an engine in a directory must be thrown away and built again from snapshot and
/// log: they were being loaded from a snapshot, or they are LMDB's and the machine crashed with pages
/// unsynced. A crash of only the process never asks for this.
pub(super) fn must_rebuild(directory: &Path) -> io::Result<bool> {
    if directory.join(LOADING_FILE).try_exists()? {
        return Ok(true);
    }
    let Some(text) = read_if_there(&directory.join(BOOT_FILE))? else {
        // LMDB's file is made after the marker; RocksDB has neither.
        return directory.join("data.mdb").try_exists();
    };
    let clean = text.trim_end().ends_with(" clean");
    let same_boot = boot_id().is_some_and(|id| text.starts_with(&id));
    Ok(!clean && !same_boot)
}

/// Fails when [`must_rebuild`] holds.
pub(super) fn check_trusted(directory: &Path) -> StorageResult<()> {
    if must_rebuild(directory)? {
        return Err(StorageError::Corrupt {
            what: "engine directory",
            detail: format!(
                "{} was not complete when the machine or the load of a snapshot stopped; rebuild it",
                directory.display()
            ),
        });
    }
    Ok(())
}

/// Marks a directory as being loaded from a snapshot.
pub(super) fn begin_loading(directory: &Path) -> io::Result<()> {
    write_durably(directory, LOADING_FILE, "")
}

/// Removes the mark of [`begin_loading`].
pub(super) fn end_loading(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(LOADING_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_directory(directory),
    }
}

struct MarkerState {
    clean: bool,
    /// Number of writes begun.
    generation: u64,
}

/// The `boot` file of an LMDB directory.
pub(super) struct BootMarker {
    directory: PathBuf,
    state: Mutex<MarkerState>,
}

impl BootMarker {
    /// Makes or takes over the marker of a directory that need not be rebuilt.
    pub(super) fn open(directory: &Path) -> StorageResult<Self> {
        check_trusted(directory)?;
        let text = read_if_there(&directory.join(BOOT_FILE))?;
        let marker =
            Self { directory: directory.to_owned(), state: Mutex::new(MarkerState { clean: false, generation: 0 }) };
        match text {
            Some(text) if text.trim_end().ends_with(" clean") => marker.state.lock().clean = true,
            Some(_) => {}
            None => marker.write("dirty")?,
        }
        Ok(marker)
    }

    fn write(&self, state: &str) -> io::Result<()> {
        let id = boot_id().unwrap_or_else(|| "unknown".to_owned());
        write_durably(&self.directory, BOOT_FILE, &format!("{id} {state}\n"))
    }

    /// To be called before pages are written.
    pub(super) fn before_write(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.clean {
            self.write("dirty")?;
            state.clean = false;
        }
        state.generation += 1;
        Ok(())
    }

    /// Number of writes begun so far, to pass to [`after_sync`](Self::after_sync).
    pub(super) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    /// To be called when everything written up to a generation is durable.
    pub(super) fn after_sync(&self, generation: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.clean && state.generation == generation {
            self.write("clean")?;
            state.clean = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_boot_with_unsynced_pages_asks_for_a_rebuild() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!must_rebuild(dir.path()).unwrap(), "an empty directory is fine");
        let marker = BootMarker::open(dir.path()).unwrap();
        marker.before_write().unwrap();
        assert!(!must_rebuild(dir.path()).unwrap(), "only the process crashed");

        let boot = dir.path().join(BOOT_FILE);
        fs::write(&boot, "another-boot dirty\n").unwrap();
        assert!(must_rebuild(dir.path()).unwrap());
        assert!(BootMarker::open(dir.path()).is_err());
        fs::write(&boot, "another-boot clean\n").unwrap();
        assert!(!must_rebuild(dir.path()).unwrap());
    }

    #[test]
    fn clean_only_when_nothing_was_written_during_the_sync() {
        let dir = tempfile::tempdir().unwrap();
        let text = || fs::read_to_string(dir.path().join(BOOT_FILE)).unwrap();
        let marker = BootMarker::open(dir.path()).unwrap();
        marker.before_write().unwrap();
        let generation = marker.generation();
        marker.before_write().unwrap();
        marker.after_sync(generation).unwrap();
        assert!(text().ends_with(" dirty\n"));
        marker.after_sync(marker.generation()).unwrap();
        assert!(text().ends_with(" clean\n"));
        marker.before_write().unwrap();
        assert!(text().ends_with(" dirty\n"));
    }

    #[test]
    fn an_interrupted_load_asks_for_a_rebuild() {
        let dir = tempfile::tempdir().unwrap();
        begin_loading(dir.path()).unwrap();
        assert!(must_rebuild(dir.path()).unwrap());
        end_loading(dir.path()).unwrap();
        assert!(!must_rebuild(dir.path()).unwrap());
    }

    #[test]
    fn a_file_without_marker_asks_for_a_rebuild() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("data.mdb"), b"").unwrap();
        assert!(must_rebuild(dir.path()).unwrap());
    }
}
