//! Pure values and algorithms: newtypes, slots, numbers, globs.
//!
//! Nothing here does I/O, reads a clock, or knows of any other module.

pub mod bits;
pub mod decimal;
pub mod geo;
pub mod glob;
pub mod hll;
pub mod ids;
pub mod number;
mod read_policy;
pub mod rng;
pub mod score;
pub mod slot;
pub mod stream_id;

pub use ids::{Db, LogIndex, NodeId, SLOT_COUNT, ShardId, Slot, UnixMs};
pub use read_policy::ReadPolicy;
pub use stream_id::StreamId;
