//! The payload of a log entry: a batch of commands.
//!
//! ```text
//! entry   = version u8 | now_ms i64 | seed u64 | origin u64 | sequence u64 | record*
//! record  = 1 | db u16 | argc varint | argc × (length varint | bytes)      a client's command
//!         | 2 | until_ms i64 | limit u32                                   expire what is due
//!         | 3 | db u16 | key | expires_at_ms i64 (i64::MIN: none) | object put a whole value
//!         | 4 | db u16 | key                                               remove a key
//!         | 5 | name | value                                               a setting; before all records but a fence
//!         | 6 | term u64                                                   a fence; the first record if there is one
//! key, object, name, value = length varint | bytes
//! ```
//! Integers are little-endian, varints LEB128. `version` is the version of the commands' semantics:
//! a change of what any command does to the store is a new version. `origin` and `sequence` let the
//! proposing process find the clients that wait for the entry.
//!
//! The settings are those that decide what commands do: `proto-max-bulk-len`, which bounds the strings that they build,
//! and the thresholds of encodings. These show not only in OBJECT ENCODING: how a set is kept decides which member SPOP
//! draws. An entry names those that are not the default and hold for this entry alone, so that it does not matter how
//! the node is configured that executes it, nor with which entry a replay begins.
//!
//! An entry with a *fence* was decided on what its proposer had applied as the leader of that term. If the log has
//! it under another term, something may have come between: then nothing of it is executed, on any replica.

use crate::codec::{Reader, push_run, push_varint};
use crate::storage::{StorageError, StorageResult};
use crate::types::{Db, UnixMs};

/// The version of the log's semantics that this build writes and executes.
pub const SEMANTICS_VERSION: u8 = 1;
/// The setting that bounds the strings commands build.
pub const BULK_MAX_BYTES: &[u8] = b"proto-max-bulk-len";
/// What errors call the bytes that are read here.
const ENTRY: &str = "log entry";
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 33;

/// The fixed part of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The time at which all commands of the entry happen.
    pub now: UnixMs,
    /// Seed of the entry's random numbers.
    pub seed: u64,
    /// Which process proposed the entry: a random number drawn at its start.
    pub origin: u64,
    /// Counts the proposals of that process.
    pub sequence: u64,
}

impl Header {
    /// Overwrites the first [`HEADER_BYTES`] of an entry.
    pub fn write(&self, entry: &mut [u8]) {
        entry[0] = SEMANTICS_VERSION;
        entry[1..9].copy_from_slice(&self.now.0.to_le_bytes());
        entry[9..17].copy_from_slice(&self.seed.to_le_bytes());
        entry[17..25].copy_from_slice(&self.origin.to_le_bytes());
        entry[25..33].copy_from_slice(&self.sequence.to_le_bytes());
    }

    /// Reads the header and returns it with the records.
    ///
    /// # Errors
    /// When the entry is too short or of a version that this build does not know.
    pub fn read(entry: &[u8]) -> StorageResult<(Self, Records<'_>)> {
        let mut reader = Reader::new(entry, ENTRY);
        let version = reader.u8()?;
        if version != SEMANTICS_VERSION {
            return Err(corrupt(format!(
                "log entry of semantics version {version}; this build knows {SEMANTICS_VERSION}"
            )));
        }
        let header =
            Self { now: UnixMs(reader.i64()?), seed: reader.u64()?, origin: reader.u64()?, sequence: reader.u64()? };
        Ok((header, Records { reader }))
    }
}

/// One record, its arguments left in the caller's vector.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A client's command.
    Command {
        /// The database it runs in.
        db: Db,
    },
    /// Remove keys whose time has come.
    Expire {
        /// Those that expire before this.
        until: UnixMs,
        /// Not more than so many.
        limit: u32,
    },
    /// Create or replace a key with a whole value.
    Put {
        /// Its database.
        db: Db,
        /// The key.
        key: &'a [u8],
        /// When it expires.
        expires_at: Option<UnixMs>,
        /// The encoded object.
        object: &'a [u8],
    },
    /// Remove a key.
    Remove {
        /// Its database.
        db: Db,
        /// The key.
        key: &'a [u8],
    },
    /// A setting that holds for the entry.
    Setting {
        /// Its name.
        name: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// The entry counts only if it is in the log under this term.
    Fence {
        /// The term.
        term: u64,
    },
}

const SETTING: u8 = 5;
const FENCE: u8 = 6;

/// The fence of an entry, if it has one.
pub fn fence_of(entry: &[u8]) -> Option<u64> {
    let (&tag, rest) = entry.get(HEADER_BYTES..)?.split_first()?;
    let term = rest.first_chunk::<8>().filter(|_| tag == FENCE)?;
    Some(u64::from_le_bytes(*term))
}

/// Visits the settings of an entry, with their names.
///
/// # Errors
/// When the bytes are not what [`Encoder`] writes.
pub fn settings_of(entry: &[u8], mut visit: impl FnMut(&[u8], &[u8])) -> StorageResult<()> {
    let mut rest = entry.get(HEADER_BYTES..).unwrap_or_default();
    while let Some((&tag, behind)) = rest.split_first() {
        let mut reader = Reader::new(behind, ENTRY);
        match tag {
            FENCE => {
                reader.u64()?;
            }
            SETTING => visit(reader.run()?, reader.run()?),
            _ => break,
        }
        rest = reader.take_rest();
    }
    Ok(())
}

/// The records of an entry, in order.
pub struct Records<'a> {
    reader: Reader<'a>,
}

impl<'a> Records<'a> {
    /// Records that stand alone, without a header.
    pub fn over(records: &'a [u8]) -> Self {
        Self { reader: Reader::new(records, ENTRY) }
    }

    /// The next record; a command's arguments replace the contents of `args`.
    ///
    /// # Errors
    /// When the bytes are not what [`Encoder`] writes.
    #[inline]
    pub fn next(&mut self, args: &mut Vec<&'a [u8]>) -> StorageResult<Option<Record<'a>>> {
        let reader = &mut self.reader;
        if reader.remaining() == 0 {
            return Ok(None);
        }
        Ok(Some(match reader.u8()? {
            1 => {
                let db = Db(reader.u16()?);
                let count = reader.varint()?;
                args.clear();
                for _ in 0..count {
                    args.push(reader.run()?);
                }
                Record::Command { db }
            }
            2 => Record::Expire { until: UnixMs(reader.i64()?), limit: reader.u32()? },
            3 => {
                let db = Db(reader.u16()?);
                let key = reader.run()?;
                let expires_at = Some(reader.i64()?).filter(|&at| at != i64::MIN).map(UnixMs);
                Record::Put { db, key, expires_at, object: reader.run()? }
            }
            4 => Record::Remove { db: Db(reader.u16()?), key: reader.run()? },
            SETTING => Record::Setting { name: reader.run()?, value: reader.run()? },
            FENCE => Record::Fence { term: reader.u64()? },
            other => return Err(corrupt(format!("log record with unknown tag {other}"))),
        }))
    }
}

/// Appends records to a buffer.
pub struct Encoder<'a>(pub &'a mut Vec<u8>);

impl Encoder<'_> {
    /// A client's command.
    #[inline]
    pub fn command(&mut self, db: Db, args: &[&[u8]]) {
        self.0.push(1);
        self.0.extend_from_slice(&db.0.to_le_bytes());
        push_varint(self.0, args.len() as u64);
        for arg in args {
            push_run(self.0, arg);
        }
    }

    /// A sweep of expired keys.
    pub fn expire(&mut self, until: UnixMs, limit: u32) {
        self.0.push(2);
        self.0.extend_from_slice(&until.0.to_le_bytes());
        self.0.extend_from_slice(&limit.to_le_bytes());
    }

    /// A whole value.
    pub fn put(&mut self, db: Db, key: &[u8], expires_at: Option<UnixMs>, object: &[u8]) {
        self.0.push(3);
        self.0.extend_from_slice(&db.0.to_le_bytes());
        push_run(self.0, key);
        self.0.extend_from_slice(&expires_at.map_or(i64::MIN, |at| at.0).to_le_bytes());
        push_run(self.0, object);
    }

    /// A removal.
    pub fn remove(&mut self, db: Db, key: &[u8]) {
        self.0.push(4);
        self.0.extend_from_slice(&db.0.to_le_bytes());
        push_run(self.0, key);
    }

    /// A setting.
    pub fn setting(&mut self, name: &[u8], value: &[u8]) {
        self.0.push(SETTING);
        push_run(self.0, name);
        push_run(self.0, value);
    }

    /// A fence, before all other records.
    pub fn fence(&mut self, term: u64) {
        self.0.push(FENCE);
        self.0.extend_from_slice(&term.to_le_bytes());
    }
}

fn corrupt(detail: String) -> StorageError {
    StorageError::Corrupt { what: ENTRY, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut entry = vec![0; HEADER_BYTES];
        Header { now: UnixMs(-5), seed: 7, origin: u64::MAX, sequence: 300 }.write(&mut entry);
        let mut encoder = Encoder(&mut entry);
        let long = [b'x'; 200];
        encoder.command(Db(3), &[b"SET", b"key", &long]);
        encoder.expire(UnixMs(99), 1000);
        encoder.put(Db(1), b"k", None, b"object");
        encoder.put(Db(1), b"k", Some(UnixMs(0)), b"");
        encoder.remove(Db(0), b"");
        encoder.setting(b"name", b"value");
        entry
    }

    /// The format is on disks: a change of these bytes is a new version, and the old one stays readable.
    #[test]
    fn the_bytes_are_those_of_version_1() {
        let expected: &[&[u8]] = &[
            b"\x01\xfb\xff\xff\xff\xff\xff\xff\xff\x07\0\0\0\0\0\0\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\x2c\x01\0\0\0\0\0\0",
            b"\x01\x03\0\x03\x03SET\x03key\xc8\x01",
            &[b'x'; 200],
            b"\x02\x63\0\0\0\0\0\0\0\xe8\x03\0\0",
            b"\x03\x01\0\x01k\0\0\0\0\0\0\0\x80\x06object",
            b"\x03\x01\0\x01k\0\0\0\0\0\0\0\0\0",
            b"\x04\0\0\0",
            b"\x05\x04name\x05value",
        ];
        assert_eq!(sample().escape_ascii().to_string(), expected.concat().escape_ascii().to_string());
    }

    #[test]
    fn records_come_back_as_they_went_in() {
        let entry = sample();
        let (header, mut records) = Header::read(&entry).unwrap();
        assert_eq!(header, Header { now: UnixMs(-5), seed: 7, origin: u64::MAX, sequence: 300 });
        let mut args = Vec::new();
        assert_eq!(records.next(&mut args).unwrap(), Some(Record::Command { db: Db(3) }));
        assert_eq!(args, [b"SET".as_slice(), b"key", &[b'x'; 200]]);
        assert_eq!(records.next(&mut args).unwrap(), Some(Record::Expire { until: UnixMs(99), limit: 1000 }));
        let put = Record::Put { db: Db(1), key: b"k", expires_at: None, object: b"object" };
        assert_eq!(records.next(&mut args).unwrap(), Some(put));
        let put = Record::Put { db: Db(1), key: b"k", expires_at: Some(UnixMs(0)), object: b"" };
        assert_eq!(records.next(&mut args).unwrap(), Some(put));
        assert_eq!(records.next(&mut args).unwrap(), Some(Record::Remove { db: Db(0), key: b"" }));
        assert_eq!(records.next(&mut args).unwrap(), Some(Record::Setting { name: b"name", value: b"value" }));
        assert_eq!(records.next(&mut args).unwrap(), None);
    }

    #[test]
    fn a_cut_entry_is_an_error_or_a_shorter_batch_never_a_panic() {
        let entry = sample();
        for length in 0..entry.len() {
            if let Ok((_, mut records)) = Header::read(&entry[..length]) {
                let mut args = Vec::new();
                while let Ok(Some(_)) = records.next(&mut args) {}
            } else {
                assert!(length < HEADER_BYTES);
            }
        }
    }

    #[test]
    fn a_fence_is_found_only_at_the_beginning() {
        let mut entry = vec![0; HEADER_BYTES];
        Header { now: UnixMs(0), seed: 0, origin: 0, sequence: 0 }.write(&mut entry);
        assert_eq!(fence_of(&entry), None);
        Encoder(&mut entry).fence(258);
        assert_eq!(entry[HEADER_BYTES..], *b"\x06\x02\x01\0\0\0\0\0\0");
        Encoder(&mut entry).remove(Db(0), b"k");
        assert_eq!(fence_of(&entry), Some(258));
        let (_, mut records) = Header::read(&entry).unwrap();
        assert_eq!(records.next(&mut Vec::new()).unwrap(), Some(Record::Fence { term: 258 }));
        assert_eq!(fence_of(&sample()), None);
    }

    #[test]
    fn settings_stand_at_the_beginning() {
        let mut entry = vec![0; HEADER_BYTES];
        let mut encoder = Encoder(&mut entry);
        encoder.fence(1);
        encoder.setting(b"a", b"1");
        encoder.setting(b"b", b"");
        encoder.remove(Db(0), b"k");
        encoder.setting(b"c", b"3");
        let mut found = Vec::new();
        settings_of(&entry, |name, value| found.push((name.to_vec(), value.to_vec()))).unwrap();
        assert_eq!(found, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), Vec::new())]);
        settings_of(&entry[..HEADER_BYTES], |_, _| panic!("there are none")).unwrap();
        assert!(settings_of(&entry[..HEADER_BYTES + 11], |_, _| ()).is_err());
    }

    #[test]
    fn another_version_is_refused() {
        let mut entry = sample();
        entry[0] = SEMANTICS_VERSION + 1;
        assert!(Header::read(&entry).is_err());
    }
}
