//! The table of all commands, and their handlers over the typed store.
//!
//! Each family of commands is one file with a `const COMMANDS: &[CommandSpec]`; [`table`] gathers
//! them. Everything that needs to know a command reads the table: dispatch, arity checks, routing by
//! key, `COMMAND INFO|DOCS|GETKEYS`, the generated reference.
//!
//! # Invariants
//! - Handlers are synchronous and touch neither clock nor network nor ambient randomness.
//! - A handler parses, then checks, then changes: a command that answers an error has changed
//!   nothing.
//! - Reads cannot change the store: [`ReadContext`] has no mutators.

mod blocking;
pub mod context;
pub mod cursor;
pub mod docs;
pub mod error;
pub mod spec;
pub mod table;

mod bitmaps;
mod databases;
mod dump;
mod gathered;
mod geo;
mod hashes;
mod hyperloglog;
mod items;
mod keys;
mod lists;
mod multi_pop;
mod portions;
mod random;
mod ranges;
mod scan;
mod server;
mod sets;
mod sort;
pub mod streams;
mod strings;
mod text;
mod zsets;

pub use blocking::Waiting;
pub use context::{ReadContext, Shared, WriteContext};
pub use cursor::Cursor;
pub use error::CommandError;
pub use keys::shard_walk;
pub(crate) use keys::{CopyOptions, move_destination};
pub use spec::{
    Access, Arg, ArgKind, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec, ServerCommand, Subcommand,
};
pub use table::{find, find_subcommand, keys_of, member_argument};
