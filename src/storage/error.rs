//! What can go wrong in the store.

use std::io;

use crate::codec::DecodeError;

/// Result of a storage operation.
pub type StorageResult<T> = Result<T, StorageError>;

/// An error of the store.
///
/// [`WrongType`](Self::WrongType) is deterministic: every replica has it at the same log entry, and
/// the client is told. All others are this machine's own, and stop the shard.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The key holds a value of another kind than the operation is for.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// RocksDB answered an error.
    #[error("LSM engine: {0}")]
    Lsm(#[from] rocksdb::Error),
    /// LMDB answered an error.
    #[error("B+ tree engine: {0}")]
    BTree(#[from] heed::Error),
    /// A file operation failed.
    #[error("storage I/O: {0}")]
    Io(#[from] io::Error),
    /// Stored bytes do not have the form they should have.
    #[error("corrupt {what}: {detail}")]
    Corrupt {
        /// Which structure is damaged.
        what: &'static str,
        /// What was found.
        detail: String,
    },
}

impl From<DecodeError> for StorageError {
    fn from(DecodeError { what, reason, offset }: DecodeError) -> Self {
        Self::Corrupt { what, detail: format!("{reason}, before byte {offset}") }
    }
}

impl StorageError {
    /// Whether every replica meets the same error at the same log entry.
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::WrongType => true,
            Self::Lsm(_) | Self::BTree(_) | Self::Io(_) | Self::Corrupt { .. } => false,
        }
    }

    /// Whether it ends when somebody makes room on the disk.
    pub fn is_storage_full(&self) -> bool {
        let full =
            |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            Self::Io(error) | Self::BTree(heed::Error::Io(error)) => full(error),
            // RocksDB tells what the system said in words only.
            Self::Lsm(error) => {
                let text = error.as_ref();
                text.contains("No space left on device") || text.contains("Disk quota exceeded")
            }
            Self::BTree(_) | Self::WrongType | Self::Corrupt { .. } => false,
        }
    }
}
