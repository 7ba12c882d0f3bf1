//! Errors of commands, with the texts that clients see.

use crate::storage::StorageError;

/// Why a command did not do what was asked. `Display` is the text of the RESP error, code first.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An error with a fixed text, its code (`ERR`, `WRONGTYPE`, …) included.
    #[error("{0}")]
    Static(&'static str),
    /// An error with a made-up text, its code included.
    #[error("{0}")]
    Text(String),
    /// The store's own.
    #[error("{0}")]
    Storage(#[from] StorageError),
}

/// What handlers return; the reply itself is in the reply buffer.
pub type CommandResult = Result<(), CommandError>;

/// `ERR syntax error`
pub const SYNTAX: CommandError = CommandError::Static("ERR syntax error");
/// `ERR value is not an integer or out of range`
pub const NOT_INTEGER: CommandError = CommandError::Static("ERR value is not an integer or out of range");
/// `ERR value is not a valid float`
pub const NOT_FLOAT: CommandError = CommandError::Static("ERR value is not a valid float");
/// `ERR no such key`
pub const NO_SUCH_KEY: CommandError = CommandError::Static("ERR no such key");

impl CommandError {
    /// Whether every replica meets the same error; if not, the shard must stop.
    pub fn is_deterministic(&self) -> bool {
        match self {
            Self::Static(_) | Self::Text(_) => true,
            Self::Storage(error) => error.is_deterministic(),
        }
    }
}
