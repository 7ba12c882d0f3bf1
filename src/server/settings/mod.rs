//! All settings of the server: one table, one store.
//!
//! [`SETTINGS`] declares every setting as data. [`Settings`] holds the values; it is shared by all
//! threads and cheap to read. Values come, each stronger than the one before, from the table's
//! defaults, the configuration file, and the command line; `CONFIG SET` changes those that may
//! change at run time and `CONFIG REWRITE` writes them back to the file.
//!
//! The configuration file is TOML: a setting is a key, and each `[[keyspace]]` table binds the keys
//! of a database that start with a prefix to an engine.
//!
//! # Invariants
//! - A value in the store has passed its row's check; readers never parse what a user wrote.
//! - A change is all or nothing: a `CONFIG SET` that fails has changed nothing, not even for a
//!   moment that a `CONFIG GET` could see as final.
//! - What the settings *do* is not here: the code that obeys a setting reads it, or is told by the
//!   caller of [`Settings::set_many`].

mod bytes;
mod error;
mod keyspaces;
mod load;
mod rewrite;
mod spec;
mod special;
mod store;
mod suggest;
mod table;

pub use error::{LoadError, Place, RewriteError, SettingError};
pub use spec::{Canonical, Group, Kind, SettingSpec, When};
pub use special::{BindAddress, OutputBufferLimit, OutputBufferLimits, SavePoint};
pub use store::{Origin, Settings};
pub use table::{SETTINGS, Setting};
