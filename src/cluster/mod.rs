//! The cluster layer: what all nodes agree on, and which shard owns which slot.
//!
//! The metadata group holds what all nodes must agree on. Everything that is agreed on goes through
//! a raft group of its own, through the same code as the shards, so that a cluster of many nodes
//! differs from one of a single node in the number of voters only.
//!
//! The [`ring`] says which shard owns which slot.

pub mod metadata;
pub mod ring;
pub mod state;
