//! Snapshot files.
//!
//! ```text
//! snapshot-<index, 20 digits>.kvs
//! offset
//!  0  magic          8 bytes "kvorumSS"
//!  8  version        u32 = 1
//! 12  header length  u32
//! 16  header check   u32   crc32 of the header
//! 20  header         optional log id | optional log id and membership (see `codec`)
//!     body           what the state machine wrote
//!     body length    u64
//!     body check     u32   crc32 of body and body length
//! ```
//!
//! A file is written under a temporary name, synced, and renamed: a file with the right name was
//! once whole. Little endian throughout.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SnapshotJob;
use super::codec;
use super::types::SnapshotMeta;
use crate::codec::{DecodeError, Reader};

const MAGIC: &[u8; 8] = b"kvorumSS";
const VERSION: u32 = 1;
const PREAMBLE_BYTES: usize = 20;
const FOOTER_BYTES: u64 = 12;
/// A header holds two log ids and a membership of a few nodes.
const HEADER_MAX_BYTES: u32 = 16 * 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes between two syncs while writing: the disk is kept busy, but the log's own syncs do not
/// have to wait for a whole snapshot.
const SYNC_EVERY_BYTES: u64 = 16 * 1024 * 1024;
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".kvs";

/// A snapshot on disk, as it travels through openraft. The open handle keeps the content there
/// even when a newer snapshot replaces the file.
#[derive(Clone, Debug)]
pub struct SnapshotFile {
    /// The file's name.
    pub path: PathBuf,
    /// The open file.
    pub file: Arc<File>,
}

/// A snapshot file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("snapshot {path}: {reason}")]
pub struct SnapshotFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl From<SnapshotFileError> for io::Error {
    fn from(error: SnapshotFileError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// What a snapshot file says of itself.
#[derive(Clone, Debug)]
pub(super) struct Described {
    pub(super) meta: SnapshotMeta,
    pub(super) body_offset: u64,
}

/// The name of the snapshot that contains everything up to `index`.
pub(super) fn path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{index:020}{SUFFIX}"))
}

/// The newest snapshot of a directory; deletes what unfinished ones left.
pub(super) fn newest(dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for (index, path) in list(dir)? {
        match index {
            None => fs::remove_file(path)?,
            Some(index) if newest.as_ref().is_none_or(|(best, _)| index > *best) => newest = Some((index, path)),
            Some(_) => {}
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Deletes all snapshots but one.
pub(super) fn remove_others(dir: &Path, keep: &Path) -> io::Result<()> {
    for (index, path) in list(dir)? {
        if index.is_some() && path != keep {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Snapshots with their index, unfinished ones without.
fn list(dir: &Path) -> io::Result<Vec<(Option<u64>, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(stem) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if stem.ends_with(".tmp") {
            found.push((None, entry.path()));
        } else if let Some(index) = stem.strip_suffix(SUFFIX).and_then(|digits| digits.parse().ok()) {
            found.push((Some(index), entry.path()));
        }
    }
    Ok(found)
}

/// Writes a snapshot and gives it its name. Blocking. A failure leaves nothing behind.
pub(super) fn write(dir: &Path, meta: &SnapshotMeta, job: Box<dyn SnapshotJob>) -> io::Result<SnapshotFile> {
    let index = meta.last_log_id.map_or(0, |id| id.index);
    let path = path(dir, index);
    let temporary = path.with_extension("tmp");
    let result = write_file(&temporary, meta, job).and_then(|file| {
        fs::rename(&temporary, &path)?;
        sync_dir(dir)?;
        Ok(SnapshotFile { path, file: Arc::new(file) })
    });
    if result.is_err() {
        // Nothing more can be done for a file that cannot even be deleted; opening deletes it.
        drop(fs::remove_file(&temporary));
    }
    result
}

/// Writes a snapshot that is made for another replica, and is not one of the group's own. Blocking.
pub(super) fn write_outgoing(dir: &Path, meta: &SnapshotMeta, job: Box<dyn SnapshotJob>) -> io::Result<SnapshotFile> {
    let index = meta.last_log_id.map_or(0, |id| id.index);
    let path = dir.join(format!("{PREFIX}{index:020}.outgoing.tmp"));
    let written = write_file(&path, meta, job);
    // The name is of no use: the file lives as long as it is open.
    drop(fs::remove_file(&path));
    Ok(SnapshotFile { path, file: Arc::new(written?) })
}

fn write_file(path: &Path, meta: &SnapshotMeta, job: Box<dyn SnapshotJob>) -> io::Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut header = Vec::new();
    codec::put_optional_log_id(&mut header, meta.last_log_id.as_ref());
    codec::put_stored_membership(&mut header, &meta.last_membership);
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    out.write_all(MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())?;
    let length = u32::try_from(header.len()).expect("a membership is small");
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32fast::hash(&header).to_le_bytes())?;
    out.write_all(&header)?;
    let mut body = BodyWriter { out, check: crc32fast::Hasher::new(), length: 0, unsynced: 0 };
    job.write(&mut body)?;
    let BodyWriter { mut out, mut check, length, .. } = body;
    check.update(&length.to_le_bytes());
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&check.finalize().to_le_bytes())?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file)
}

struct BodyWriter {
    out: BufWriter<File>,
    check: crc32fast::Hasher,
    length: u64,
    unsynced: u64,
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.check.update(bytes);
        self.length += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.unsynced = 0;
            self.out.flush()?;
            self.out.get_ref().sync_data()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Makes names of files durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Opens a snapshot and reads what it says of itself, not its body.
pub(super) fn open(path: &Path) -> Result<(SnapshotFile, Described), SnapshotFileError> {
    let bad = |reason: String| SnapshotFileError { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(|error| bad(error.to_string()))?;
    let described = describe(&mut file).map_err(bad)?;
    Ok((SnapshotFile { path: path.to_owned(), file: Arc::new(file) }, described))
}

fn describe(file: &mut impl Read) -> Result<Described, String> {
    let read_error = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => "the file is incomplete".to_owned(),
        _ => error.to_string(),
    };
    let mut preamble = [0; PREAMBLE_BYTES];
    file.read_exact(&mut preamble).map_err(read_error)?;
    if &preamble[..8] != MAGIC {
        return Err("this is not a snapshot".to_owned());
    }
    let mut reader = Reader::new(&preamble[8..], "snapshot preamble");
    let mut word = || reader.u32().expect("the preamble holds three words");
    let (version, length, check) = (word(), word(), word());
    if version != VERSION {
        return Err(format!("the format has version {version}, which this server does not know"));
    }
    if length > HEADER_MAX_BYTES {
        return Err("the header's length is damaged".to_owned());
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(read_error)?;
    if crc32fast::hash(&header) != check {
        return Err("the header's checksum does not match".to_owned());
    }
    let meta = read_header(&header).map_err(|error| format!("the header is damaged: {error}"))?;
    Ok(Described { meta, body_offset: PREAMBLE_BYTES as u64 + u64::from(length) })
}

/// Reads a header, which says what the snapshot contains.
pub(super) fn read_header(header: &[u8]) -> Result<SnapshotMeta, DecodeError> {
    let mut reader = Reader::new(header, "snapshot header");
    let last_log_id = codec::optional_log_id(&mut reader)?;
    let last_membership = codec::stored_membership(&mut reader)?;
    Ok(SnapshotMeta { last_log_id, last_membership })
}

/// What is said of a snapshot before it is sent.
pub(super) struct Announced {
    pub(super) length: u64,
    /// The check in the footer: two snapshots that agree in it, in length and index are taken for the same.
    pub(super) check: u32,
    pub(super) header: Vec<u8>,
}

/// Reads what announces a snapshot. Blocking.
pub(super) fn announce(file: &File) -> io::Result<Announced> {
    let length = file.metadata()?.len();
    let mut preamble = [0; PREAMBLE_BYTES];
    file.read_exact_at(&mut preamble, 0)?;
    let header_length = u32::from_le_bytes([preamble[12], preamble[13], preamble[14], preamble[15]]);
    if header_length > HEADER_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the header's length is damaged"));
    }
    let mut header = vec![0; header_length as usize];
    file.read_exact_at(&mut header, PREAMBLE_BYTES as u64)?;
    let mut check = [0; 4];
    file.read_exact_at(&mut check, length.saturating_sub(4))?;
    Ok(Announced { length, check: u32::from_le_bytes(check), header })
}

/// The name of a snapshot that is arriving. Opening the group deletes what is left of one.
pub(super) fn incoming_path(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{index:020}.incoming.tmp"))
}

/// Reads a whole snapshot and compares its checksum. Blocking.
pub(super) fn verify(path: &Path) -> Result<Described, SnapshotFileError> {
    let bad = |reason: String| SnapshotFileError { path: path.to_owned(), reason };
    let (mut file, described) = open(path)?;
    check_body(&mut file, described.body_offset).map_err(bad)?;
    Ok(described)
}

fn check_body(file: &mut SnapshotFile, body_offset: u64) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let total = file.file.metadata().map_err(text)?.len();
    let length = total.checked_sub(body_offset + FOOTER_BYTES).ok_or("the file is incomplete")?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, &*file.file);
    reader.seek(SeekFrom::Start(body_offset)).map_err(text)?;
    let mut check = crc32fast::Hasher::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut left = length;
    while left > 0 {
        let part = left.min(buffer.len() as u64) as usize;
        reader.read_exact(&mut buffer[..part]).map_err(text)?;
        check.update(&buffer[..part]);
        left -= part as u64;
    }
    let mut footer = [0; FOOTER_BYTES as usize];
    reader.read_exact(&mut footer).map_err(text)?;
    check.update(&footer[..8]);
    let mut fields = Reader::new(&footer, "snapshot footer");
    let stored_length = fields.u64().map_err(|error| error.to_string())?;
    let stored_check = fields.u32().map_err(|error| error.to_string())?;
    if stored_length != length {
        return Err(format!("the body has {length} bytes where {stored_length} were written"));
    }
    if stored_check != check.finalize() {
        return Err("the body's checksum does not match".to_owned());
    }
    Ok(())
}
