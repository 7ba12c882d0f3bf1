//! Reading a file.

use std::io::{ErrorKind, Read};

use super::super::input::Input;
use super::super::{VERSION_MAX, crc64, kinds};
use super::{
    FileError, MAGIC, OP_AUX, OP_END, OP_EXPIRY_MS, OP_EXPIRY_S, OP_FREQUENCY, OP_FUNCTION, OP_FUNCTION_OLD, OP_IDLE,
    OP_MODULE_AUX, OP_RESIZE, OP_SELECT, OP_SLOT,
};
use crate::types::{Db, UnixMs};

type FileResult<T> = Result<T, FileError>;

/// The first version with a checksum.
const CHECKSUM_VERSION: u16 = 5;
/// Bytes up to which room is made before they are there; a damaged length costs no more.
const TRUSTED_BYTES: u64 = 64 * 1024;

/// A key of a file.
#[derive(Debug)]
pub struct Entry<'r> {
    /// Its database.
    pub db: Db,
    /// Its name.
    pub key: Vec<u8>,
    /// When it expires.
    pub expires_at: Option<UnixMs>,
    /// Seconds since its last access.
    pub idle_seconds: Option<u64>,
    /// How often it was accessed, as Redis counts that.
    pub frequency: Option<u8>,
    /// Form and body of its value, which was not looked into: [`decode`](super::super::decode) does that.
    pub value: &'r [u8],
}

/// What stands in a file.
#[derive(Debug)]
pub enum Record<'r> {
    /// A key with its value.
    Key(Entry<'r>),
    /// What the writer says of itself.
    Aux(Vec<u8>, Vec<u8>),
    /// The database that follows has so many keys, or so its writer says.
    Sizes(u64),
    /// The code of a library of functions.
    Functions(Vec<u8>),
    /// Data of a module that belongs to no key; it was skipped.
    ModuleData,
    /// A key whose value only a module can read; it was skipped.
    ModuleValue(Db, Vec<u8>),
}

/// What stands where a length is expected.
enum Length {
    Plain(u64),
    Special(u8),
}

/// Reads an RDB file.
pub struct FileReader<R> {
    input: R,
    version: u16,
    checksum: u64,
    offset: u64,
    db: Db,
    /// What was read since the last record.
    taken: Vec<u8>,
    ended: bool,
}

impl<R: Read> FileReader<R> {
    /// Reads the beginning of a file. Single bytes are asked for, so `input` should be buffered.
    ///
    /// # Errors
    /// When that is not the beginning of an RDB file.
    pub fn new(input: R) -> FileResult<Self> {
        let mut reader = Self { input, version: 0, checksum: 0, offset: 0, db: Db(0), taken: Vec::new(), ended: false };
        let begins = match reader.take(9) {
            Ok(begins) => begins,
            Err(FileError::Damaged { .. }) => return Err(FileError::NotRdb),
            Err(error) => return Err(error),
        };
        let digits = begins.strip_prefix(MAGIC).and_then(|digits| std::str::from_utf8(digits).ok());
        reader.version = digits.and_then(|digits| digits.parse().ok()).ok_or(FileError::NotRdb)?;
        if !(1..=VERSION_MAX).contains(&reader.version) {
            return Err(FileError::Version(reader.version));
        }
        Ok(reader)
    }

    /// The version that the file has.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Bytes read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn damaged(&self, reason: &'static str) -> FileError {
        FileError::Damaged { reason, offset: self.offset }
    }

    /// The next `count` bytes, which are kept behind those taken before.
    fn take(&mut self, count: u64) -> FileResult<&[u8]> {
        const EARLY: &str = "it ends too early";
        let start = self.taken.len();
        if count <= TRUSTED_BYTES {
            self.taken.resize(start + count as usize, 0);
            self.input.read_exact(&mut self.taken[start..]).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => FileError::Damaged { reason: EARLY, offset: self.offset },
                _ => error.into(),
            })?;
        } else {
            let read = (&mut self.input).take(count).read_to_end(&mut self.taken)?;
            if read as u64 != count {
                return Err(self.damaged(EARLY));
            }
        }
        self.offset += count;
        self.checksum = crc64(self.checksum, &self.taken[start..]);
        Ok(&self.taken[start..])
    }

    fn array<const N: usize>(&mut self) -> FileResult<[u8; N]> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("so many were taken"))
    }

    fn u8(&mut self) -> FileResult<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn any_length(&mut self) -> FileResult<Length> {
        let first = self.u8()?;
        Ok(Length::Plain(match first {
            0x00..=0x3f => u64::from(first),
            0x40..=0x7f => u64::from(first & 0x3f) << 8 | u64::from(self.u8()?),
            0x80 => u64::from(u32::from_be_bytes(self.array()?)),
            0x81 => u64::from_be_bytes(self.array()?),
            0xc0.. => return Ok(Length::Special(first & 0x3f)),
            _ => return Err(self.damaged("a length of a form that there is not")),
        }))
    }

    fn length(&mut self) -> FileResult<u64> {
        match self.any_length()? {
            Length::Plain(length) => Ok(length),
            Length::Special(_) => Err(self.damaged("a string where a number is expected")),
        }
    }

    /// Takes a string, whatever its form.
    fn skip_string(&mut self) -> FileResult<()> {
        let bytes = match self.any_length()? {
            Length::Plain(length) => length,
            Length::Special(form @ 0..=2) => 1 << form,
            Length::Special(3) => {
                let compressed = self.length()?;
                self.length()?;
                compressed
            }
            Length::Special(_) => return Err(self.damaged("a string of a form that there is not")),
        };
        self.take(bytes)?;
        Ok(())
    }

    fn skip_strings(&mut self, count: u64) -> FileResult<()> {
        for _ in 0..count {
            self.skip_string()?;
        }
        Ok(())
    }

    /// Takes a string and looks into it.
    fn string(&mut self) -> FileResult<Vec<u8>> {
        let start = self.taken.len();
        self.skip_string()?;
        match Input::new(&self.taken[start..], "string").string() {
            Ok(string) => Ok(string.into_owned()),
            Err(error) => Err(self.damaged(error.reason)),
        }
    }

    /// The next record; `None` when the file has ended as it should.
    ///
    /// # Errors
    /// When the file cannot be read, or is damaged.
    pub fn next_record(&mut self) -> FileResult<Option<Record<'_>>> {
        if self.ended {
            return Ok(None);
        }
        let (mut expires_at, mut idle_seconds, mut frequency) = (None, None, None);
        loop {
            self.taken.clear();
            let what = self.u8()?;
            match what {
                OP_EXPIRY_MS => expires_at = Some(UnixMs(i64::from_le_bytes(self.array()?))),
                OP_EXPIRY_S => expires_at = Some(UnixMs(i64::from(i32::from_le_bytes(self.array()?)) * 1000)),
                OP_IDLE => idle_seconds = Some(self.length()?),
                OP_FREQUENCY => frequency = Some(self.u8()?),
                OP_SELECT => {
                    let number = self.length()?;
                    self.db = u16::try_from(number).map(Db).map_err(|_| self.damaged("a database beyond 65535"))?;
                }
                OP_RESIZE => {
                    let keys = self.length()?;
                    self.length()?;
                    return Ok(Some(Record::Sizes(keys)));
                }
                OP_SLOT => {
                    for _ in 0..3 {
                        self.length()?;
                    }
                }
                OP_AUX => return Ok(Some(Record::Aux(self.string()?, self.string()?))),
                OP_FUNCTION => return Ok(Some(Record::Functions(self.string()?))),
                OP_FUNCTION_OLD => return Err(self.damaged("functions as an unreleased version of Redis wrote them")),
                OP_MODULE_AUX => {
                    self.length()?;
                    self.skip_module_parts()?;
                    return Ok(Some(Record::ModuleData));
                }
                OP_END => {
                    self.end()?;
                    return Ok(None);
                }
                kinds::MODULE => {
                    let key = self.string()?;
                    self.length()?;
                    self.skip_module_parts()?;
                    return Ok(Some(Record::ModuleValue(self.db, key)));
                }
                form => {
                    let key = self.string()?;
                    // The value is form and body; the key stood between them.
                    self.taken.clear();
                    self.taken.push(form);
                    self.skip_body(form)?;
                    let entry = Entry { db: self.db, key, expires_at, idle_seconds, frequency, value: &self.taken };
                    return Ok(Some(Record::Key(entry)));
                }
            }
        }
    }

    fn end(&mut self) -> FileResult<()> {
        let checksum = self.checksum;
        if self.version >= CHECKSUM_VERSION {
            let expected = u64::from_le_bytes(self.array()?);
            if expected != 0 && expected != checksum {
                return Err(FileError::Checksum);
            }
        }
        self.ended = true;
        match self.take(1) {
            Err(FileError::Damaged { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(self.damaged("something stands behind its end, as in an append-only file")),
        }
    }

    /// The parts of a module's data, each of which says what it is.
    fn skip_module_parts(&mut self) -> FileResult<()> {
        loop {
            match self.length()? {
                0 => return Ok(()),
                1 | 2 => {
                    self.length()?;
                }
                3 => {
                    self.take(4)?;
                }
                4 => {
                    self.take(8)?;
                }
                5 => self.skip_string()?,
                _ => return Err(self.damaged("data of a module of a form that there is not")),
            }
        }
    }

    /// Takes the body of a value, so far as to know where it ends.
    fn skip_body(&mut self, form: u8) -> FileResult<()> {
        match form {
            kinds::STRING
            | kinds::HASH_ZIPMAP
            | kinds::LIST_ZIPLIST
            | kinds::SET_INTSET
            | kinds::ZSET_ZIPLIST
            | kinds::HASH_ZIPLIST
            | kinds::HASH_LISTPACK
            | kinds::ZSET_LISTPACK
            | kinds::SET_LISTPACK => self.skip_string(),
            kinds::LIST | kinds::SET | kinds::LIST_QUICKLIST => {
                let count = self.length()?;
                self.skip_strings(count)
            }
            kinds::HASH => {
                let count = self.length()?;
                self.skip_strings(count)?;
                self.skip_strings(count)
            }
            kinds::ZSET | kinds::ZSET_2 => {
                for _ in 0..self.length()? {
                    self.skip_string()?;
                    let bytes = if form == kinds::ZSET_2 { 8 } else { self.u8()? };
                    self.take(if bytes < 253 { u64::from(bytes) } else { 0 })?;
                }
                Ok(())
            }
            kinds::LIST_QUICKLIST_2 => {
                for _ in 0..self.length()? {
                    self.length()?;
                    self.skip_string()?;
                }
                Ok(())
            }
            kinds::STREAM | kinds::STREAM_2 | kinds::STREAM_3 => self.skip_stream(form),
            kinds::HASH_METADATA => {
                self.take(8)?;
                for _ in 0..self.length()? {
                    self.length()?;
                    self.skip_strings(2)?;
                }
                Ok(())
            }
            kinds::HASH_LISTPACK_EX => {
                self.take(8)?;
                self.skip_string()
            }
            kinds::MODULE_OLD => Err(self.damaged("a value of a module of a form that cannot be skipped")),
            _ => Err(self.damaged("a value of a form that there is not")),
        }
    }

    fn skip_lengths(&mut self, count: usize) -> FileResult<()> {
        for _ in 0..count {
            self.length()?;
        }
        Ok(())
    }

    fn skip_stream(&mut self, form: u8) -> FileResult<()> {
        let nodes = self.length()?;
        self.skip_strings(nodes)?;
        self.skip_strings(nodes)?;
        // Its length and last id; and since the second form the first id, the highest removed and a count.
        self.skip_lengths(if form == kinds::STREAM { 3 } else { 8 })?;
        for _ in 0..self.length()? {
            self.skip_string()?;
            self.skip_lengths(if form == kinds::STREAM { 2 } else { 3 })?;
            for _ in 0..self.length()? {
                self.take(16 + 8)?;
                self.length()?;
            }
            for _ in 0..self.length()? {
                self.skip_string()?;
                self.take(if form == kinds::STREAM_3 { 16 } else { 8 })?;
                for _ in 0..self.length()? {
                    self.take(16)?;
                }
            }
        }
        Ok(())
    }
}
