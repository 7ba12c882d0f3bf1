//! RDB: values, and whole files of them, in the format of Redis 7.0 (version 10).
//!
//! [`dump`] and [`restore`] are the payloads of DUMP and RESTORE; [`file`](mod@file) reads and writes whole files. Everything
//! that Redis has written since version 1 is read, some of what later versions write too; what is written, Redis 7.0 loads.
//!
//! ```text
//! payload := form: u8 | body | version: u16 | CRC-64 of all before it: u64                   little-endian
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `kinds` | the numbers of the forms |
//! | `input`, `output` | lengths and strings, of which everything else is made |
//! | `load`, `save` | values from and to their bodies |
//! | `stream` | the body of streams |
//! | `listpack`, `ziplist`, `zipmap`, `intset` | collections packed into one string |
//! | `lzf`, `crc64` | compression and checksum |
//!
//! # Invariants
//! - What is read may be damaged or made to do harm. Every length is compared with what is there before memory
//!   is taken for it; names that must be different are, what must be in order is, no score is a NaN, no collection is
//!   empty, and nothing is left over.
//! - Nothing here does I/O but [`file`](mod@file), which is given a stream.

mod crc64;
mod expiring_hash;
pub mod file;
mod input;
mod intset;
mod kinds;
mod listpack;
mod load;
mod lzf;
mod output;
mod save;
mod stream;
#[cfg(test)]
mod tests;
mod ziplist;
mod zipmap;

pub use crc64::crc64;
pub use save::SaveOptions;

use input::Input;

use super::Object;
use crate::codec::DecodeError;

/// The version that is written.
pub const VERSION: u16 = 10;
/// The newest version that is read: that of Redis 7.4 and 8.0.
pub const VERSION_MAX: u16 = 12;

/// Bytes behind the body of a payload.
const FOOTER_BYTES: usize = 10;

/// Why a payload is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The checksum does not fit, or the version is unknown.
    #[error("payload version or checksum are wrong")]
    Footer,
    /// The checksum fits, the rest does not.
    #[error("{0}")]
    Damaged(#[from] DecodeError),
}

/// The version of RDB that knows a form.
fn version_of(kind: u8) -> u16 {
    if kind == kinds::HASH_METADATA || kind == kinds::HASH_LISTPACK_EX { VERSION_MAX } else { VERSION }
}

/// A value as DUMP answers it.
pub fn dump(object: &Object, options: SaveOptions<'_>) -> Vec<u8> {
    let mut payload = vec![0];
    payload[0] = save::save(object, options, &mut payload);
    payload.extend_from_slice(&version_of(payload[0]).to_le_bytes());
    let checksum = crc64(0, &payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// The value that RESTORE is given.
///
/// # Errors
/// When the payload is not exactly one value.
pub fn restore(payload: &[u8]) -> Result<Object, RestoreError> {
    let body_bytes = payload.len().checked_sub(FOOTER_BYTES).ok_or(RestoreError::Footer)?;
    let (body, footer) = payload.split_at(body_bytes);
    let (version, checksum) = footer.split_at(2);
    let version = u16::from_le_bytes([version[0], version[1]]);
    let is_whole = checksum == crc64(0, &payload[..body_bytes + 2]).to_le_bytes();
    if version > VERSION_MAX || !is_whole {
        return Err(RestoreError::Footer);
    }
    Ok(decode(body)?)
}

/// The value of a form and body, without a footer.
///
/// # Errors
/// When the bytes are not exactly one value.
pub fn decode(bytes: &[u8]) -> Result<Object, DecodeError> {
    let mut input = Input::new(bytes, "value");
    let kind = input.u8()?;
    let object = load::load(kind, &mut input)?;
    input.end()?;
    Ok(object)
}

/// The payload that RESTORE takes, of a form and body.
pub fn payload(value: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(value.len() + FOOTER_BYTES);
    payload.extend_from_slice(value);
    payload.extend_from_slice(&version_of(value.first().copied().unwrap_or_default()).to_le_bytes());
    let checksum = crc64(0, &payload);
    payload.extend_from_slice(&checksum.to_le_bytes());
    payload
}

/// Form and body of a payload, of which only the length is looked at.
pub fn value_of(payload: &[u8]) -> Option<&[u8]> {
    let body_bytes = payload.len().checked_sub(FOOTER_BYTES).filter(|&bytes| bytes > 0)?;
    Some(&payload[..body_bytes])
}
