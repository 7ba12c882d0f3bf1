//! Why settings are refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why `CONFIG SET` changed nothing; displayed, it is the whole reply, as Redis words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such setting.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The setting cannot be changed, or not to this.
    #[error("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Failed {
        /// The setting, as it was named.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Where a configured value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A flag.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// Why the server cannot start with what it was told.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// The line.
        place: Place,
        /// What the parser says.
        message: String,
    },
    /// There is no such setting.
    #[error("{place}: there is no setting '{name}'{hint}")]
    Unknown {
        /// Where it was written.
        place: Place,
        /// The name.
        name: String,
        /// A suggestion with its punctuation, or nothing.
        hint: String,
    },
    /// The value is not allowed.
    #[error("{place}: {name} cannot be '{value}': {reason}")]
    Value {
        /// Where it was written.
        place: Place,
        /// The setting.
        name: String,
        /// What was written.
        value: String,
        /// What is allowed, or what is wrong.
        reason: String,
    },
    /// A keyspace is not described well.
    #[error("{place}: {message}")]
    Keyspace {
        /// Where it was written.
        place: Place,
        /// What is wrong.
        message: String,
    },
}

impl LoadError {
    /// Whether the command line is to blame, and not a file.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Unreadable { .. } => false,
            Self::Syntax { place, .. }
            | Self::Unknown { place, .. }
            | Self::Value { place, .. }
            | Self::Keyspace { place, .. } => *place == Place::CommandLine,
        }
    }
}

/// Why `CONFIG REWRITE` left the file as it was.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// The server was started without a configuration file.
    #[error("ERR The server is running without a config file")]
    NoFile,
    /// The file cannot be read or written.
    #[error("ERR Rewriting config file: {0}")]
    Io(#[from] io::Error),
    /// The file is no longer TOML: somebody has edited it since the start.
    #[error("ERR Rewriting config file: it is not valid TOML any more: {0}")]
    Syntax(String),
}
