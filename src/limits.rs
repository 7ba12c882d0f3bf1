//! Every bound of a queue, buffer or message, by name.
//!
//! Relations between limits are checked at compile time at the end of this file.

/// Longest inline command, and longest line of a multibulk header, in bytes (Redis: 64 KiB).
pub const INLINE_MAX_BYTES: usize = 64 * 1024;
/// Most arguments of one command from an authenticated client (Redis: 1024 * 1024).
pub const MULTIBULK_MAX_ARGS: i64 = 1024 * 1024;
/// Default of `proto-max-bulk-len`: longest argument in bytes.
pub const BULK_MAX_BYTES_DEFAULT: i64 = 512 * 1024 * 1024;
/// Most arguments of one command before authentication (Redis: 10).
pub const UNAUTHENTICATED_MAX_ARGS: i64 = 10;
/// Longest argument before authentication, in bytes (Redis: 16 KiB).
pub const UNAUTHENTICATED_MAX_BULK_BYTES: i64 = 16 * 1024;
