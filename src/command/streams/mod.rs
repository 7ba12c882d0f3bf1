//! Streams: logs of entries under one key, and the groups of consumers that read them.
//!
//! `add` changes entries, `range` and `read` read them, `groups`, `pending` and `claim` are about groups,
//! `info` tells about all of it, and `wait` says what a read that blocks waits for.

mod add;
mod args;
mod claim;
mod groups;
mod info;
mod pending;
mod range;
mod read;
mod table;
mod wait;

pub(in crate::command) use args::reply_whole;
pub(in crate::command) use read::block_ms;
pub(in crate::command) use table::COMMANDS;
pub use wait::{StreamWait, has_news, stream_wait};
