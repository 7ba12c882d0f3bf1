//! The lowest layers of kvorum, for fuzzing.
//!
//! `resp`, `raft`, `types` and the readers of `codec` import nothing above themselves, so their sources are taken as they are. That
//! way a fuzzing build, which instruments everything, has no storage engine to compile.
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run request_parser -- -max_total_time=600
//! ```

/// Only the readers: the rest is for control-plane values.
#[path = "../../src/codec"]
pub mod codec {
    mod reader;

    pub use reader::DecodeError;
    pub(crate) use reader::*;
}
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/raft/mod.rs"]
pub mod raft;
#[path = "../../src/resp/mod.rs"]
pub mod resp;
#[path = "../../src/types/mod.rs"]
pub mod types;
