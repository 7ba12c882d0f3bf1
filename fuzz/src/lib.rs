//! The lowest layers of kvorum, for fuzzing.
//!
//! `resp`, `raft`, `types`, the readers of `codec` and the whole values of `storage` import nothing above themselves, so their
//! sources are taken as they are. That way a fuzzing build, which instruments everything, has no storage engine to compile.
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
/// Whole values and their formats, without the engines.
#[path = "../../src/storage"]
pub mod storage {
    mod address;
    pub mod field_expiry;
    mod kind;
    mod object;
    mod object_codec;
    pub mod rdb;
    mod settings;
    pub mod streams;

    pub use address::Address;
    pub use field_expiry::ExpiringField;
    pub use object::Object;
    pub use settings::EncodingSettings;

    /// What [`kind`] is reached by.
    mod value {
        pub use super::kind::Kind;
    }

    /// Result of a storage operation.
    pub type StorageResult<T> = Result<T, StorageError>;

    /// The store's errors, without those of files.
    #[derive(Debug, thiserror::Error)]
    pub enum StorageError {
        /// The key holds another kind of value.
        #[error("wrong type")]
        WrongType,
        /// Bytes do not have the form they should have.
        #[error("corrupt {what}: {detail}")]
        Corrupt {
            /// Which structure is damaged.
            what: &'static str,
            /// What was found.
            detail: String,
        },
    }

    impl From<crate::codec::DecodeError> for StorageError {
        fn from(error: crate::codec::DecodeError) -> Self {
            Self::Corrupt { what: error.what, detail: error.reason.to_owned() }
        }
    }
}
#[path = "../../src/types/mod.rs"]
pub mod types;
