//! kvorum: a Redis-protocol distributed cache and store that loses no acknowledged write.
//!
//! The layers, lowest first; each may use those above it in this list and itself:
//!
//! | module | what it is |
//! |---|---|
//! | [`types`] | pure values: slots, numbers, globs |
//! | [`resp`] | bytes to requests, replies to bytes |
//! | [`storage`] | a shard's typed store, with three engines |
//! | [`command`] | the table of all commands and their handlers |
//! | [`raft`] | the shared write-ahead log and raft groups |
//! | [`shard`] | a raft state machine made of commands and storage |
//! | [`cluster`] | the metadata group |
//! | [`server`] | listeners, sessions, dispatch, settings |
//! | [`admin`] | what an operator does to a cluster, from a command line |
//!
//! `ARCHITECTURE.md` tells how a request passes through them.

pub mod admin;
pub mod cluster;
pub mod codec;
pub mod command;
pub mod limits;
pub mod raft;
pub mod resp;
pub mod server;
pub mod shard;
pub mod storage;
pub mod types;
