//! `kvorum export`: all keys of a server or a cluster, written to an RDB file.
//!
//! Keys are found with SCAN and read with DUMP while clients go on. Each key is as it was at some moment: its expiry is
//! asked for before and after its value, and both are asked for again if it has changed. The file as a whole is
//! of no single moment; SAVE writes one that is.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasherDefault;
use std::io::Write;
use std::path::{Path, PathBuf};

use twox_hash::XxHash3_64;

use super::pipeline::{Pipeline, Reply};
use super::progress::{self, Progress, Unit};
use super::{AdminError, Node};
use crate::shard::clock;
use crate::storage::rdb::file::FileWriter;
use crate::storage::rdb::value_of;
use crate::types::{Db, UnixMs};

/// Keys of a step of SCAN.
const STEP_KEYS: &[u8] = b"500";
/// Bytes of requests that are sent before their replies are read: less than what sockets hold, so that neither
/// side waits for the other to read first.
const REQUEST_BYTES: usize = 16 * 1024;
/// How often a key is read again that changes while it is read.
const ATTEMPTS_MAX: usize = 100;

/// What to export, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The file to write.
    pub file: PathBuf,
    /// Where from.
    pub node: Node,
    /// Only this database.
    pub db: Option<u16>,
    /// Whether a file that is there is replaced.
    pub force: bool,
}

/// Names that were seen, as two hashes each: SCAN may name a key twice, and a file may not.
type Seen = HashSet<(u64, u64), BuildHasherDefault<XxHash3_64>>;

struct Export<W: Write> {
    node: Pipeline,
    writer: FileWriter<W>,
    path: PathBuf,
    seen: Seen,
    keys: u64,
}

/// Exports to a file; answers what to print.
///
/// # Errors
/// When the server or the file fails. Then there is no file, or the one that was there before.
pub fn export(options: &ExportOptions) -> Result<String, AdminError> {
    let in_file = |error: std::io::Error| AdminError::File { path: options.file.clone(), message: error.to_string() };
    if options.file.exists() && !options.force {
        let message = "it is there already; --force replaces it".to_owned();
        return Err(AdminError::File { path: options.file.clone(), message });
    }
    let mut node = Pipeline::open(&options.node.address, options.node.password.as_deref())?;
    let databases = databases(&mut node, options.db)?;
    let total: u64 = databases.iter().map(|(_, keys)| keys).sum();
    let mut progress = Progress::begin(Some(total), Unit::Keys);
    let part = part_name(&options.file);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&part).map_err(in_file)?;
    let written = write(node, file, options, &databases, &mut progress);
    progress.end();
    match written {
        Ok((file, keys)) => {
            let bytes = file.metadata().map_err(in_file)?.len();
            file.sync_all().map_err(in_file)?;
            std::fs::rename(&part, &options.file).map_err(in_file)?;
            let elapsed = progress::duration(progress.elapsed().as_secs_f64());
            Ok(format!("exported {keys} keys, {}, in {elapsed}\n", progress::bytes(bytes)))
        }
        Err(error) => {
            // The error says more than that the rest could not be removed.
            let _ = std::fs::remove_file(&part);
            Err(error)
        }
    }
}

fn part_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// The databases with keys, and how many these are.
fn databases(node: &mut Pipeline, only: Option<u16>) -> Result<Vec<(Db, u64)>, AdminError> {
    let count = match node.call(&[b"CONFIG", b"GET", b"databases"])? {
        Reply::Array(pair) => pair.get(1).and_then(number).unwrap_or(1),
        _ => 1,
    };
    let mut databases = Vec::new();
    for db in 0..u16::try_from(count).unwrap_or(u16::MAX) {
        if only.is_some_and(|only| only != db) {
            continue;
        }
        node.call(&[b"SELECT", db.to_string().as_bytes()])?;
        let keys = number(&node.call(&[b"DBSIZE"])?).unwrap_or(0);
        if keys > 0 {
            databases.push((Db(db), keys));
        }
    }
    Ok(databases)
}

fn number(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Bytes(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn write(
    node: Pipeline,
    file: File,
    options: &ExportOptions,
    databases: &[(Db, u64)],
    progress: &mut Progress,
) -> Result<(File, u64), AdminError> {
    let path = options.file.clone();
    let in_file = |error: std::io::Error| AdminError::File { path: path.clone(), message: error.to_string() };
    let writer = FileWriter::new(file, true).map_err(in_file)?;
    let mut export = Export { node, writer, path: path.clone(), seen: HashSet::default(), keys: 0 };
    export.about().map_err(in_file)?;
    for &(db, _) in databases {
        export.database(db, progress)?;
    }
    Ok((export.writer.finish().map_err(in_file)?, export.keys))
}

impl<W: Write> Export<W> {
    fn about(&mut self) -> std::io::Result<()> {
        self.writer.aux(b"redis-ver", crate::server::commands::REDIS_VERSION.as_bytes())?;
        self.writer.aux(b"redis-bits", b"64")?;
        self.writer.aux(b"ctime", (clock::now().0 / 1000).to_string().as_bytes())?;
        self.writer.aux(b"kvorum-ver", crate::server::commands::KVORUM_VERSION.as_bytes())
    }

    fn in_file(&self, error: std::io::Error) -> AdminError {
        AdminError::File { path: self.path.clone(), message: error.to_string() }
    }

    fn database(&mut self, db: Db, progress: &mut Progress) -> Result<(), AdminError> {
        self.node.call(&[b"SELECT", db.0.to_string().as_bytes()])?;
        self.writer.select(db).map_err(|error| self.in_file(error))?;
        self.seen.clear();
        let mut cursor = b"0".to_vec();
        loop {
            let reply = self.node.call(&[b"SCAN", &cursor, b"COUNT", STEP_KEYS])?;
            let Reply::Array(parts) = reply else { return Err(self.node.strange("SCAN has no array")) };
            let [Reply::Bytes(next), Reply::Array(keys)] = &parts[..] else {
                return Err(self.node.strange("SCAN has no cursor and keys"));
            };
            let keys = keys.iter().filter_map(|key| match key {
                Reply::Bytes(key) => Some(key.clone()),
                _ => None,
            });
            let fresh: Vec<Vec<u8>> = keys
                .filter(|key| {
                    let hashes = (XxHash3_64::oneshot_with_seed(1, key), XxHash3_64::oneshot_with_seed(2, key));
                    self.seen.insert(hashes)
                })
                .collect();
            self.dump(&fresh, progress)?;
            if next == b"0" {
                return Ok(());
            }
            cursor.clone_from(next);
        }
    }

    /// Writes keys to the file.
    fn dump(&mut self, keys: &[Vec<u8>], progress: &mut Progress) -> Result<(), AdminError> {
        let mut left = keys;
        while !left.is_empty() {
            let mut count = 0;
            while count < left.len() && (count == 0 || self.node.unsent_bytes() < REQUEST_BYTES) {
                self.ask(&left[count]);
                count += 1;
            }
            let (asked, rest) = left.split_at(count);
            left = rest;
            self.node.send()?;
            let mut changed = Vec::new();
            for key in asked {
                if !self.receive(key)? {
                    changed.push(key);
                }
            }
            for key in changed {
                self.insist(key)?;
            }
            progress.update(self.keys, self.keys);
        }
        Ok(())
    }

    fn ask(&mut self, key: &[u8]) {
        self.node.push(&[b"PEXPIRETIME", key]);
        self.node.push(&[b"DUMP", key]);
        self.node.push(&[b"PEXPIRETIME", key]);
    }

    /// Reads the answers to [`ask`](Self::ask) and writes the key; answers whether it was left alone meanwhile.
    fn receive(&mut self, key: &[u8]) -> Result<bool, AdminError> {
        let before = self.node.reply()?;
        let value = self.node.reply()?;
        let after = self.node.reply()?;
        for reply in [&before, &value, &after] {
            if let Reply::Error(message) = reply {
                return Err(self.node.strange(&format!("{}: {message}", key.escape_ascii())));
            }
        }
        if before != after {
            return Ok(false);
        }
        let Reply::Bytes(value) = value else { return Ok(true) };
        let Some(value) = value_of(&value) else {
            return Err(self.node.strange("DUMP answers something else than a payload"));
        };
        let expires_at = number(&before).and_then(|at| i64::try_from(at).ok()).map(UnixMs);
        self.writer.encoded(key, expires_at, value).map_err(|error| self.in_file(error))?;
        self.keys += 1;
        Ok(true)
    }

    /// Reads a key again until it is left alone for that long.
    fn insist(&mut self, key: &[u8]) -> Result<(), AdminError> {
        for _ in 0..ATTEMPTS_MAX {
            self.ask(key);
            self.node.send()?;
            if self.receive(key)? {
                return Ok(());
            }
        }
        Err(self.node.strange(&format!("the expiry of {} never rests", key.escape_ascii())))
    }
}
