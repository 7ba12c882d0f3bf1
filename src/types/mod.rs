//! Pure values and algorithms: newtypes, slots, numbers, globs.
//!
//! Nothing here does I/O, reads a clock, or knows of any other module.

pub mod decimal;
pub mod glob;
pub mod ids;
pub mod number;
mod read_policy;
pub mod rng;
pub mod slot;

pub use ids::{Db, LogIndex, NodeId, SLOT_COUNT, ShardId, Slot, UnixMs};
pub use read_policy::ReadPolicy;
