//! Writing a file.

use std::io::{self, Write};

use super::super::output::Output;
use super::super::{SaveOptions, VERSION, crc64, save};
use super::{MAGIC, OP_AUX, OP_END, OP_EXPIRY_MS, OP_RESIZE, OP_SELECT};
use crate::storage::Object;
use crate::types::{Db, UnixMs};

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 256 * 1024;

/// Writes an RDB file.
pub struct FileWriter<W> {
    out: W,
    /// `None` when there is to be none.
    checksum: Option<u64>,
    gathered: Vec<u8>,
    db: Option<Db>,
}

impl<W: Write> FileWriter<W> {
    /// Begins a file, with a checksum at its end or without.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn new(out: W, checksum: bool) -> io::Result<Self> {
        let mut writer = Self { out, checksum: checksum.then_some(0), gathered: Vec::new(), db: None };
        writer.gathered.extend_from_slice(MAGIC);
        write!(writer.gathered, "{VERSION:04}")?;
        Ok(writer)
    }

    fn flush_if_large(&mut self) -> io::Result<()> {
        if self.gathered.len() >= GATHERED_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(checksum) = &mut self.checksum {
            *checksum = crc64(*checksum, &self.gathered);
        }
        self.out.write_all(&self.gathered)?;
        self.gathered.clear();
        Ok(())
    }

    fn output(&mut self) -> Output<'_> {
        Output::new(&mut self.gathered, false)
    }

    /// Says something about the writer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn aux(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        self.gathered.push(OP_AUX);
        let mut out = self.output();
        out.string(name);
        out.string(value);
        self.flush_if_large()
    }

    /// The keys that follow are in this database.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn select(&mut self, db: Db) -> io::Result<()> {
        if self.db != Some(db) {
            self.db = Some(db);
            self.gathered.push(OP_SELECT);
            self.output().length(u64::from(db.0));
        }
        self.flush_if_large()
    }

    /// How many keys the database that was just selected has, and how many of them expire: a hint for the loader.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sizes(&mut self, keys: u64, expires: u64) -> io::Result<()> {
        self.gathered.push(OP_RESIZE);
        let mut out = self.output();
        out.length(keys);
        out.length(expires);
        self.flush_if_large()
    }

    fn expiry(&mut self, expires_at: Option<UnixMs>) {
        if let Some(at) = expires_at {
            self.gathered.push(OP_EXPIRY_MS);
            self.gathered.extend_from_slice(&at.0.to_le_bytes());
        }
    }

    /// A key with its value.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn object(
        &mut self,
        key: &[u8],
        expires_at: Option<UnixMs>,
        object: &Object,
        options: SaveOptions<'_>,
    ) -> io::Result<()> {
        self.expiry(expires_at);
        // The form stands before the key, and is known when the body is written.
        let form_at = self.gathered.len();
        self.gathered.push(0);
        self.output().string(key);
        self.gathered[form_at] = save::save(object, options, &mut self.gathered);
        self.flush_if_large()
    }

    /// A key with its value as form and body, as [`decode`](super::super::decode) takes them.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// When the value is empty.
    pub fn encoded(&mut self, key: &[u8], expires_at: Option<UnixMs>, value: &[u8]) -> io::Result<()> {
        let (form, body) = value.split_first().expect("a value has a form");
        self.expiry(expires_at);
        self.gathered.push(*form);
        self.output().string(key);
        self.gathered.extend_from_slice(body);
        self.flush_if_large()
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.gathered.push(OP_END);
        self.flush()?;
        self.out.write_all(&self.checksum.unwrap_or(0).to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}
