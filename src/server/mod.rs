//! The server: listeners, connections, sessions, dispatch, settings.
//!
//! A connection is one task. It reads what has come, parses **all** complete requests in its
//! buffer, executes reads and session commands at once, gathers writes into one run for the shard,
//! and writes all replies with one call. [`session`] holds what a client has chosen (database,
//! protocol, name…), [`dispatch`] decides where a command is executed, and [`commands`] has those
//! that concern the session or the process.

mod ahead;
pub mod banner;
pub mod blocking;
pub mod cli;
mod cli_transfer;
pub mod clients;
pub mod cluster;
pub mod commands;
pub mod connection;
pub mod datadir;
pub mod dispatch;
mod gather;
pub mod logging;
pub mod memory;
pub mod merge;
pub mod monitor;
pub mod process;
pub mod router;
pub mod run;
pub mod runs;
pub mod save;
pub mod session;
pub mod settings;
pub mod shards;
pub mod stats;
mod transact;
pub mod transaction;
pub mod whole;

pub use process::Server;
pub use run::run;
