//! `kvorum import`: the keys of an RDB file, sent to a server or a cluster.
//!
//! Each key is a RESTORE with the very bytes of the file, and the server checks them. Any node of a cluster takes
//! any key. Two batches are under way at a time, so that neither side waits for the other.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use super::pipeline::{Pipeline, Reply, push_request};
use super::progress::{self, Progress, Unit};
use super::{AdminError, Node};
use crate::limits::BULK_MAX_BYTES_DEFAULT;
use crate::shard::clock;
use crate::storage::rdb::file::{Entry, FileError, FileReader, Record};
use crate::storage::rdb::{self, payload};
use crate::types::Db;

/// Bytes of requests that are sent together.
const BATCH_BYTES: usize = 1 << 20;
/// Keys that are sent together.
const BATCH_KEYS: usize = 512;
/// How often a request is repeated that the server could not take for the moment.
const ATTEMPTS_MAX: usize = 50;
/// How long it is waited between.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(200);
/// Errors that are shown; the others are counted.
const SHOWN_ERRORS: usize = 10;
/// Bytes read from the file at a time.
const READ_BYTES: usize = 1 << 20;

/// What to import, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// The file; `-` is the standard input.
    pub file: PathBuf,
    /// Where to.
    pub node: Node,
    /// Only this database of the file.
    pub db: Option<u16>,
    /// Whether keys that are there already are replaced.
    pub replace: bool,
    /// Only look at the file: every value is read, and no server is asked.
    pub check: bool,
}

/// What became of the keys.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    stored: u64,
    expired: u64,
    busy: u64,
    failed: u64,
    modules: u64,
    functions: u64,
    errors: Vec<String>,
}

impl Tally {
    fn fail(&mut self, key: &[u8], message: &str) {
        self.failed += 1;
        if self.errors.len() < SHOWN_ERRORS {
            self.errors.push(format!("  {}: {message}", shown(key)));
        }
    }

    fn summary(&self, elapsed: Duration) -> String {
        let elapsed = progress::duration(elapsed.as_secs_f64());
        format!("imported {} keys in {elapsed}{}\n", self.stored, self.notes())
    }

    /// A line for each thing that did not go as hoped for.
    fn notes(&self) -> String {
        let mut text = String::new();
        for (count, what) in [
            (self.expired, "had expired and were left out"),
            (self.busy, "were there already and were left alone (--replace replaces them)"),
            (self.failed, "failed"),
            (self.modules, "pieces of data of modules were left out"),
            (self.functions, "libraries of functions were left out"),
        ] {
            if count > 0 {
                text += &format!("\n{count} {what}");
            }
        }
        for error in &self.errors {
            text += &format!("\n{error}");
        }
        text
    }
}

/// A key for people.
fn shown(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 64;
    let cut = &key[..key.len().min(SHOWN_BYTES)];
    format!("{}{}", cut.escape_ascii(), if cut.len() < key.len() { "…" } else { "" })
}

/// A request whose reply is awaited.
struct Sent {
    /// The key; `None` for a SELECT.
    key: Option<Vec<u8>>,
    db: Db,
    request: Vec<u8>,
}

/// What an error says about repeating the request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The key is there already.
    Busy,
    /// It surely was not executed, and may be soon.
    Again,
    /// It is pointless to go on.
    Stop,
    /// This key cannot be stored.
    Failed,
}

fn verdict(message: &str, replace: bool) -> Verdict {
    let code = message.split(' ').next().unwrap_or_default();
    match code {
        "BUSYKEY" => Verdict::Busy,
        "CLUSTERDOWN" | "LOADING" | "TRYAGAIN" => Verdict::Again,
        "OOM" | "MISCONF" | "NOAUTH" | "NOPERM" | "WRONGPASS" | "READONLY" => Verdict::Stop,
        // It may have been executed; to do it twice does no harm if it replaces.
        _ if message.starts_with("ERR outcome unknown") && replace => Verdict::Again,
        _ => Verdict::Failed,
    }
}

/// An import under way.
struct Import {
    node: Pipeline,
    replace: bool,
    selected: Option<Db>,
    /// Batches that were sent, the oldest first.
    sent: VecDeque<Vec<Sent>>,
    batch: Vec<Sent>,
    again: Vec<Sent>,
    value_bytes_max: usize,
    tally: Tally,
}

/// Imports a file.
///
/// # Errors
/// When the file or the server fails. The answer is what to print, and whether everything was stored.
pub fn import(options: &ImportOptions) -> Result<(String, bool), AdminError> {
    let in_file = |error: FileError| AdminError::File { path: options.file.clone(), message: error.to_string() };
    let (input, size): (Box<dyn Read>, Option<u64>) = if options.file.as_os_str() == "-" {
        (Box::new(std::io::stdin()), None)
    } else {
        let file = File::open(&options.file).map_err(|error| in_file(error.into()))?;
        let size = file.metadata().map_err(|error| in_file(error.into()))?.len();
        (Box::new(file), Some(size))
    };
    let mut reader = FileReader::new(BufReader::with_capacity(READ_BYTES, input)).map_err(in_file)?;
    if options.check {
        return check(options, reader, size);
    }
    let mut node = Pipeline::open(&options.node.address, options.node.password.as_deref())?;
    let value_bytes_max = value_bytes_max(&mut node)?;
    let mut import = Import {
        node,
        replace: options.replace,
        selected: None,
        sent: VecDeque::new(),
        batch: Vec::new(),
        again: Vec::new(),
        value_bytes_max,
        tally: Tally::default(),
    };
    let mut progress = Progress::begin(size, Unit::Bytes);
    loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                let stopped = import.take(record, options.db);
                if stopped.is_err() {
                    progress.end();
                }
                stopped?;
            }
            Ok(None) => break,
            Err(error) => {
                // What was read before is stored all the same.
                progress.end();
                import.finish()?;
                let summary = import.tally.summary(progress.elapsed());
                return Err(AdminError::File {
                    path: options.file.clone(),
                    message: format!("{error}\n{}", summary.trim_end()),
                });
            }
        }
        progress.update(reader.offset(), import.tally.sent);
    }
    let finished = import.finish();
    progress.end();
    finished?;
    let complete = import.tally.failed == 0 && import.tally.busy == 0;
    Ok((import.tally.summary(progress.elapsed()), complete))
}

/// The longest argument that the server takes.
fn value_bytes_max(node: &mut Pipeline) -> Result<usize, AdminError> {
    let default = usize::try_from(BULK_MAX_BYTES_DEFAULT).unwrap_or(usize::MAX);
    let reply = match node.call(&[b"CONFIG", b"GET", b"proto-max-bulk-len"]) {
        Ok(reply) => reply,
        // Whoever may not look at settings may have the right to store keys.
        Err(AdminError::Refused { message, .. }) if verdict(&message, false) == Verdict::Failed => {
            return Ok(default);
        }
        Err(error) => return Err(error),
    };
    Ok(match reply {
        Reply::Array(pair) => match pair.get(1) {
            Some(Reply::Bytes(text)) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        },
        _ => None,
    }
    .unwrap_or(default))
}

impl Import {
    fn take(&mut self, record: Record<'_>, only: Option<u16>) -> Result<(), AdminError> {
        match record {
            Record::Key(entry) if only.is_none_or(|db| entry.db == Db(db)) => self.key(entry),
            Record::ModuleValue(..) | Record::ModuleData => {
                self.tally.modules += 1;
                Ok(())
            }
            Record::Functions(_) => {
                self.tally.functions += 1;
                Ok(())
            }
            Record::Key(_) | Record::Aux(..) | Record::Sizes(_) => Ok(()),
        }
    }

    fn key(&mut self, entry: Entry<'_>) -> Result<(), AdminError> {
        self.tally.sent += 1;
        if entry.expires_at.is_some_and(|at| at < clock::now()) {
            self.tally.expired += 1;
            return Ok(());
        }
        let value = payload(entry.value);
        if value.len() > self.value_bytes_max {
            let message = format!(
                "its {} are more than the server takes at once; raise its setting proto-max-bulk-len",
                progress::bytes(value.len() as u64)
            );
            self.tally.fail(&entry.key, &message);
            return Ok(());
        }
        let expiry = entry.expires_at.map_or(0, |at| at.0.max(1)).to_string();
        let idle = entry.idle_seconds.map(|seconds| seconds.min(i64::MAX as u64).to_string());
        let mut args: Vec<&[u8]> = vec![b"RESTORE", &entry.key, expiry.as_bytes(), &value, b"ABSTTL"];
        if self.replace {
            args.push(b"REPLACE");
        }
        if let Some(idle) = &idle {
            args.extend([&b"IDLETIME"[..], idle.as_bytes()]);
        }
        let mut request = Vec::with_capacity(value.len() + entry.key.len() + 128);
        push_request(&mut request, &args);
        self.select(entry.db);
        self.node.push_raw(&request);
        self.batch.push(Sent { key: Some(entry.key), db: entry.db, request });
        if self.node.unsent_bytes() >= BATCH_BYTES || self.batch.len() >= BATCH_KEYS {
            self.send()?;
        }
        Ok(())
    }

    fn select(&mut self, db: Db) {
        if self.selected == Some(db) {
            return;
        }
        self.selected = Some(db);
        let number = db.0.to_string();
        self.node.push(&[b"SELECT", number.as_bytes()]);
        self.batch.push(Sent { key: None, db, request: Vec::new() });
    }

    /// Sends the batch, and reads the replies of the one before it.
    fn send(&mut self) -> Result<(), AdminError> {
        self.node.send()?;
        self.sent.push_back(std::mem::take(&mut self.batch));
        if self.sent.len() > 1 {
            self.read_batch()?;
        }
        Ok(())
    }

    fn read_batch(&mut self) -> Result<(), AdminError> {
        for sent in self.sent.pop_front().into_iter().flatten() {
            let reply = self.node.reply()?;
            self.judge(sent, reply)?;
        }
        Ok(())
    }

    fn judge(&mut self, sent: Sent, reply: Reply) -> Result<(), AdminError> {
        let Reply::Error(message) = reply else {
            self.tally.stored += u64::from(sent.key.is_some());
            return Ok(());
        };
        let Some(key) = &sent.key else {
            let message = format!("database {} cannot be selected: {message}", sent.db.0);
            return Err(self.node.strange(&message));
        };
        match verdict(&message, self.replace) {
            Verdict::Busy => self.tally.busy += 1,
            Verdict::Again => self.again.push(sent),
            Verdict::Failed => self.tally.fail(key, &message),
            Verdict::Stop => {
                let summary = self.tally.summary(Duration::ZERO);
                return Err(self.node.strange(&format!("{message}\n{}", summary.trim_end())));
            }
        }
        Ok(())
    }

    /// Sends what is left and waits for all replies; repeats what the server could not take.
    fn finish(&mut self) -> Result<(), AdminError> {
        for _ in 0..ATTEMPTS_MAX {
            self.send()?;
            while !self.sent.is_empty() {
                self.read_batch()?;
            }
            let again = std::mem::take(&mut self.again);
            if again.is_empty() {
                return Ok(());
            }
            std::thread::sleep(ATTEMPT_PAUSE);
            for sent in again {
                self.select(sent.db);
                self.node.push_raw(&sent.request);
                self.batch.push(sent);
                if self.node.unsent_bytes() >= BATCH_BYTES {
                    self.send()?;
                }
            }
        }
        self.send()?;
        while !self.sent.is_empty() {
            self.read_batch()?;
        }
        for sent in std::mem::take(&mut self.again) {
            self.tally.fail(&sent.key.unwrap_or_default(), "the server could not take it for too long");
        }
        Ok(())
    }
}

/// Reads a file to its end, and every value of it.
fn check(
    options: &ImportOptions,
    mut reader: FileReader<BufReader<Box<dyn Read>>>,
    size: Option<u64>,
) -> Result<(String, bool), AdminError> {
    let in_file = |message: String| AdminError::File { path: options.file.clone(), message };
    let mut progress = Progress::begin(size, Unit::Bytes);
    let (mut keys, mut tally) = (0, Tally::default());
    while let Some(record) = reader.next_record().map_err(|error| in_file(error.to_string()))? {
        match record {
            Record::Key(entry) => {
                keys += 1;
                if let Err(error) = rdb::decode(entry.value) {
                    tally.fail(&entry.key, &error.to_string());
                }
            }
            Record::ModuleValue(..) | Record::ModuleData => tally.modules += 1,
            Record::Functions(_) => tally.functions += 1,
            Record::Aux(..) | Record::Sizes(_) => {}
        }
        progress.update(reader.offset(), keys);
    }
    progress.end();
    let version = reader.version();
    let found = format!("RDB version {version}, {keys} keys");
    let notes = tally.notes();
    Ok((format!("{found}{notes}\n"), tally.failed == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_judged_by_what_they_say() {
        assert_eq!(verdict("BUSYKEY Target key name already exists.", false), Verdict::Busy);
        assert_eq!(verdict("CLUSTERDOWN no leader", false), Verdict::Again);
        assert_eq!(verdict("OOM command not allowed", true), Verdict::Stop);
        assert_eq!(verdict("ERR outcome unknown: lost", true), Verdict::Again);
        assert_eq!(verdict("ERR outcome unknown: lost", false), Verdict::Failed);
        assert_eq!(verdict("ERR Bad data format", true), Verdict::Failed);
    }

    #[test]
    fn keys_are_shown_in_one_line() {
        assert_eq!(shown(b"a\nb"), "a\\nb");
        assert_eq!(shown(&[b'k'; 65]), "k".repeat(64) + "…");
    }
}
