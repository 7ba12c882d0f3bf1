//! A file beside an engine's own that tells whether those can be trusted: `loading` is there while a
//! snapshot is being loaded into them.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::storage::{StorageError, StorageResult};

const LOADING_FILE: &str = "loading";

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether the files of an engine in a directory must be thrown away, because the load of a snapshot into
/// them was interrupted. A crash never asks for this otherwise, not even one of the machine.
pub(super) fn must_rebuild(directory: &Path) -> io::Result<bool> {
    directory.join(LOADING_FILE).try_exists()
}

/// Fails when [`must_rebuild`] holds.
pub(super) fn check_trusted(directory: &Path) -> StorageResult<()> {
    if must_rebuild(directory)? {
        return Err(StorageError::Corrupt {
            what: "engine directory",
            detail: format!(
                "the load of a snapshot into {} was interrupted; delete it and load the snapshot again",
                directory.display()
            ),
        });
    }
    Ok(())
}

/// Marks a directory as being loaded from a snapshot.
pub(super) fn begin_loading(directory: &Path) -> io::Result<()> {
    File::create(directory.join(LOADING_FILE))?.sync_all()?;
    sync_directory(directory)
}

/// Removes the mark of [`begin_loading`].
pub(super) fn end_loading(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(LOADING_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_directory(directory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_load_asks_for_a_rebuild() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check_trusted(dir.path()).is_ok(), "an empty directory is fine");
        begin_loading(dir.path()).unwrap();
        assert!(must_rebuild(dir.path()).unwrap());
        assert!(check_trusted(dir.path()).unwrap_err().to_string().contains("interrupted"));
        end_loading(dir.path()).unwrap();
        assert!(!must_rebuild(dir.path()).unwrap());
    }
}
