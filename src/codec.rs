//! Encoding of control-plane values: a version byte, then bincode.
//!
//! Hot formats (log records, command batches, snapshots) are encoded by hand where they are used, from the pieces
//! in `reader`. Bincode is named here only, so that it can be replaced.

mod reader;

use std::io;

use bincode::config::Configuration;
use bincode::{Decode, Encode};

pub use reader::DecodeError;
pub(crate) use reader::{Reader, VARINT_MAX_BYTES, push_run, push_varint, read_varint, varint_bytes, write_varint};

const VERSION: u8 = 1;
const CONFIGURATION: Configuration = bincode::config::standard();

/// Encodes a value.
///
/// # Errors
/// When the value cannot be encoded, which no type used here can cause.
pub fn encode<T: Encode>(value: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    bytes.extend(bincode::encode_to_vec(value, CONFIGURATION).map_err(io::Error::other)?);
    Ok(bytes)
}

/// Decodes a value; bytes after it are ignored.
///
/// # Errors
/// When the bytes are not a value of this type and version.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> io::Result<T> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => bincode::decode_from_slice(rest, CONFIGURATION)
            .map(|(value, _length)| value)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "unknown version of a control-plane value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back() {
        let value = vec![("a".to_owned(), vec![1u8, 2]), ("b".to_owned(), vec![])];
        let mut bytes = encode(&value).unwrap();
        assert_eq!(decode::<Vec<(String, Vec<u8>)>>(&bytes).unwrap(), value);
        bytes[0] = 9;
        assert!(decode::<Vec<(String, Vec<u8>)>>(&bytes).is_err());
    }
}
