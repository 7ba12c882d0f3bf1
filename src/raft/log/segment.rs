//! Segments: files named by their number, each a header and records.
//!
//! ```text
//! offset
//!  0  magic      8 bytes "kvorumWL"
//!  8  version    u32 = 2
//! 12  check      u32   crc32 of bytes 16..32
//! 16  log id     u64   random, the same in all segments of a node's log
//! 24  number     u64   consecutive
//! 32  records
//! ```
//!
//! A segment is written under a temporary name, with the state of every group as its first
//! records (see `writer`), synced, and only then given its name: a segment that has its name has
//! a whole header.
//!
//! Overwriting a file is much cheaper than making it longer (ARCHITECTURE.md, "What a write to the log
//! costs"), so the files of purged segments become *spare* ones, and new segments are written over them. What an
//! earlier life left behind the end of a segment is no record of it: checks of records depend on the
//! number of the segment. In version 1, which is still read, they did not, and a file ended with its last record.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::codec::Reader;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 32;
const MAGIC: &[u8; 8] = b"kvorumWL";
/// The version that is written.
const VERSION: u32 = 2;
const SUFFIX: &str = ".log";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) log_id: u64,
    pub(super) segment: u64,
}

impl Header {
    /// Of a new segment.
    pub(super) fn new(log_id: u64, segment: u64) -> Self {
        Self { version: VERSION, log_id, segment }
    }

    /// Whether checks of records depend on the segment's number.
    pub(super) fn binds_records(&self) -> bool {
        self.version >= 2
    }

    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.log_id.to_le_bytes());
        bytes[24..].copy_from_slice(&self.segment.to_le_bytes());
        let check = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let header = bytes.get(..HEADER_BYTES).ok_or("the header is incomplete")?;
        if &header[..8] != MAGIC {
            return Err("this is not a log segment");
        }
        let mut reader = Reader::new(&header[8..], "segment header");
        let (version, check) =
            (reader.u32().map_err(|error| error.reason)?, reader.u32().map_err(|error| error.reason)?);
        if !(1..=VERSION).contains(&version) {
            return Err("a segment of an unknown version");
        }
        if check != crc32fast::hash(&header[16..]) {
            return Err("the header's checksum does not match");
        }
        let (log_id, segment) =
            (reader.u64().map_err(|error| error.reason)?, reader.u64().map_err(|error| error.reason)?);
        Ok(Self { version, log_id, segment })
    }
}

/// The name of a segment's file.
pub(super) fn path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:016x}{SUFFIX}"))
}

/// The name a segment has until it is whole.
pub(super) fn temporary_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:016x}.tmp"))
}

/// The name of a file that waits for its next life, by the segment that it was or that it was made for.
pub(super) fn spare_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("{segment:016x}.spare.tmp"))
}

/// Numbers of the segments in a directory, in order; deletes unfinished and spare ones.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.ends_with(".tmp") {
            fs::remove_file(entry.path())?;
        } else if let Some(number) = name.strip_suffix(SUFFIX)
            && let Ok(number) = u64::from_str_radix(number, 16)
        {
            segments.push(number);
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_notices_damage() {
        let header = Header::new(0x1122_3344_5566_7788, 9);
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for at in 0..HEADER_BYTES {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert!(Header::decode(&damaged).is_err(), "byte {at}");
            assert!(Header::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }
}
