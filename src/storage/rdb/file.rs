//! Whole RDB files, as streams.
//!
//! ```text
//! file     := "REDIS" | version: four digits | (annotation | value)* | 255 | CRC-64: u64, or 0 for none
//! value    := (252 expiry in ms: i64 | 253 expiry in s: i32 | 248 idle seconds: length | 249 frequency: u8)*
//!             form: u8 | key: string | body
//! annotation := 254 database: length
//!             | 251 keys: length | those that expire: length
//!             | 250 name: string | value: string                what the writer says of itself
//!             | 247 module: length | parts                      data of a module that belongs to no key
//!             | 245 code: string                                a library of functions
//!             | 244 slot: length | keys: length | those that expire: length
//! ```

mod read;
mod write;

use std::io;

pub use read::{Entry, FileReader, Record};
pub use write::FileWriter;

const MAGIC: &[u8; 5] = b"REDIS";
const OP_SLOT: u8 = 244;
const OP_FUNCTION: u8 = 245;
const OP_FUNCTION_OLD: u8 = 246;
const OP_MODULE_AUX: u8 = 247;
const OP_IDLE: u8 = 248;
const OP_FREQUENCY: u8 = 249;
const OP_AUX: u8 = 250;
const OP_RESIZE: u8 = 251;
const OP_EXPIRY_MS: u8 = 252;
const OP_EXPIRY_S: u8 = 253;
const OP_SELECT: u8 = 254;
const OP_END: u8 = 255;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("it is not an RDB file: it does not begin with REDIS and a version")]
    NotRdb,
    /// It is from a later program.
    #[error("it has RDB version {0}, and versions up to {max} can be read", max = super::VERSION_MAX)]
    Version(u16),
    /// It is not what the format says.
    #[error("it is damaged at byte {offset}: {reason}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
        /// How far reading came.
        offset: u64,
    },
    /// What was read does not have the checksum that stands at its end.
    #[error("it is damaged: its checksum is not the one that stands at its end")]
    Checksum,
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::SaveOptions;
    use super::*;
    use crate::storage::{EncodingSettings, Object};
    use crate::types::{Db, UnixMs};

    fn objects() -> Vec<(Db, Vec<u8>, Option<UnixMs>, Object)> {
        let long: Vec<Vec<u8>> = (0..3000).map(|i| format!("element {i}").into_bytes()).collect();
        vec![
            (Db(0), b"s".to_vec(), None, Object::String(b"value".to_vec())),
            (Db(0), b"17".to_vec(), Some(UnixMs(1_900_000_000_123)), Object::List(long.clone())),
            (Db(3), b"s".to_vec(), None, Object::Set(long.clone())),
            (Db(3), b"h".to_vec(), None, Object::Hash(vec![(b"f".to_vec(), vec![b'x'; 100_000])])),
            (Db(3), vec![0; 300], Some(UnixMs(1)), Object::Zset(vec![(b"m".to_vec(), 1.5)])),
        ]
    }

    fn file(checksum: bool) -> Vec<u8> {
        let encoding = EncodingSettings::default();
        let options = SaveOptions { encoding: &encoding, compress: true };
        let mut writer = FileWriter::new(Vec::new(), checksum).expect("writes");
        writer.aux(b"redis-ver", b"7.2.0").expect("writes");
        for (db, key, expires_at, object) in objects() {
            writer.select(db).expect("writes");
            writer.object(&key, expires_at, &object, options).expect("writes");
        }
        writer.finish().expect("writes")
    }

    /// Database, key, expiry, value.
    type Key = (Db, Vec<u8>, Option<UnixMs>, Object);

    /// The keys of a file.
    fn read(bytes: &[u8]) -> Result<Vec<Key>, FileError> {
        let mut reader = FileReader::new(Cursor::new(bytes))?;
        let mut keys = Vec::new();
        while let Some(record) = reader.next_record()? {
            match record {
                Record::Key(entry) => {
                    let object = super::super::decode(entry.value).expect("a value");
                    keys.push((entry.db, entry.key, entry.expires_at, object));
                }
                Record::Aux(name, value) => assert_eq!((&name[..], &value[..]), (&b"redis-ver"[..], &b"7.2.0"[..])),
                other => panic!("{other:?}"),
            }
        }
        Ok(keys)
    }

    #[test]
    fn files_come_back() {
        for checksum in [true, false] {
            assert_eq!(read(&file(checksum)).expect("sound"), objects());
        }
    }

    #[test]
    fn an_empty_file_of_redis() {
        // redis-server 7.0.15 after FLUSHALL and SAVE, its notes left out.
        let writer = FileWriter::new(Vec::new(), true).expect("writes");
        let bytes = writer.finish().expect("writes");
        assert_eq!(&bytes[..10], b"REDIS0010\xff");
        assert_eq!(read(&bytes).expect("sound"), []);
    }

    #[test]
    fn damage_is_an_error() {
        let bytes = file(true);
        for cut in (0..bytes.len()).step_by(101).chain(bytes.len() - 9..bytes.len()) {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut more = bytes.clone();
        more.push(0);
        assert!(read(&more).is_err(), "something behind the end");
        let mut other = bytes.clone();
        let last = other.len() - 1;
        other[last] ^= 1;
        assert!(matches!(read(&other), Err(FileError::Checksum)));
        assert!(matches!(read(b"RUBBISH0010"), Err(FileError::NotRdb)));
        assert!(matches!(read(b"REDIS0099"), Err(FileError::Version(99))));
        let absurd = b"REDIS0010\x00\x01k\x81\xff\xff\xff\xff\xff\xff\xff\xff";
        assert!(matches!(read(absurd), Err(FileError::Damaged { .. })));
    }

    #[test]
    fn everything_that_may_stand_between_keys() {
        let bytes = b"REDIS0011\xfa\x01a\x01b\xfe\x02\xfb\x01\x00\xf4\x01\x01\x00\xf5\x04code\
            \xf7\x81\0\0\0\0\0\0\0\x07\x02\x01\x01\x05\x05\x02hi\x04\0\0\0\0\0\0\0\0\x00\
            \xf8\x05\xf9\x07\xfd\x01\0\0\0\x00\x01k\xc0\x05\
            \x07\x01m\x07\x01\x01\x03\0\0\0\0\x00\
            \xff\0\0\0\0\0\0\0\0";
        let mut reader = FileReader::new(Cursor::new(&bytes[..])).expect("a file");
        let mut seen = Vec::new();
        while let Some(record) = reader.next_record().expect("sound") {
            seen.push(match record {
                Record::Aux(name, value) => format!("aux {} {}", name.escape_ascii(), value.escape_ascii()),
                Record::Functions(code) => format!("functions {}", code.escape_ascii()),
                Record::ModuleData => "module".to_owned(),
                Record::ModuleValue(db, key) => format!("module value {} {}", db.0, key.escape_ascii()),
                Record::Sizes(keys) => format!("sizes {keys}"),
                Record::Key(entry) => format!(
                    "{} {} {:?} {:?} {:?} {}",
                    entry.db.0,
                    entry.key.escape_ascii(),
                    entry.expires_at.map(|at| at.0),
                    entry.idle_seconds,
                    entry.frequency,
                    entry.value.escape_ascii()
                ),
            });
        }
        assert_eq!(
            seen,
            [
                "aux a b",
                "sizes 1",
                "functions code",
                "module",
                "2 k Some(1000) Some(5) Some(7) \\x00\\xc0\\x05",
                "module value 2 m"
            ]
        );
    }
}
