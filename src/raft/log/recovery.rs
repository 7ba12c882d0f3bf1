//! From segments to memory: opening a log.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64};

use parking_lot::{Condvar, Mutex, RwLock};

use super::group::GroupState;
use super::queue::Batch;
use super::record::{self, BadRecord, Body, BootId, Framer, NODE_GROUP, Position};
use super::segment::{self, HEADER_BYTES, Header};
use super::spares::Spares;
use super::writer::{self, Closed, FSYNC_SLOW_US, Writer};
use super::{Counters, LOG_SEGMENT_MAX_BYTES, LOG_SEGMENT_MIN_BYTES, LogError, LogOptions, Segment, Shared};

const LOCK_FILE: &str = "LOCK";
const UNKNOWN_BOOT: BootId = [0; 16];

/// Opens a log, without starting its threads.
pub(super) fn open(dir: &Path, options: LogOptions) -> Result<Shared, LogError> {
    let io_error = |error| LogError::io(dir, error);
    fs::create_dir_all(dir).map_err(io_error)?;
    let lock = lock(dir)?;
    let boot_id = boot_id();
    let numbers = segment::list(dir).map_err(io_error)?;
    let mut scan = Scan::new(options.cache_bytes as u64);
    let mut closed = VecDeque::new();
    let mut log_id = None;
    let mut tail = None;
    for (at, &number) in numbers.iter().enumerate() {
        let path = segment::path(dir, number);
        if at > 0 && numbers[at - 1] + 1 != number {
            return Err(LogError::MissingSegment { segment: segment::path(dir, numbers[at - 1] + 1) });
        }
        let bytes = fs::read(&path).map_err(|error| LogError::io(&path, error))?;
        let is_last = at + 1 == numbers.len();
        let belongs = |header: &Header| header.segment == number && log_id.is_none_or(|id| id == header.log_id);
        let (header, end) = scan
            .segment(&bytes, is_last, &boot_id)
            .and_then(|(header, end)| match belongs(&header) {
                true => Ok((header, end)),
                false => Err((0, "the segment belongs to another log or place".to_owned())),
            })
            .map_err(|(offset, reason)| LogError::Corrupt { segment: path.clone(), offset, reason })?;
        log_id = Some(header.log_id);
        if is_last {
            let rest = &bytes[end as usize..];
            if Framer::new(&header).record_length(rest).is_ok() {
                tracing::warn!(segment = %path.display(), offset = end, "cut the torn end off the raft log");
            }
            tail = Some(Tail { header, end, is_longer: !rest.is_empty() });
        } else {
            let tops = std::mem::take(&mut scan.tops);
            closed.push_back((header, Closed { segment: number, bytes: end, tops }));
        }
    }
    scan.finish(dir)?;
    let log_id = match log_id {
        Some(log_id) => log_id,
        None => random_id().map_err(io_error)?,
    };
    let shared = Shared {
        dir: dir.to_owned(),
        log_id,
        boot_id,
        segment_bytes: options.segment_bytes.clamp(LOG_SEGMENT_MIN_BYTES, LOG_SEGMENT_MAX_BYTES),
        cache_bytes: options.cache_bytes as u64,
        policy: options.policy,
        files: options.files,
        groups: RwLock::new(scan.groups),
        segments: RwLock::new(BTreeMap::new()),
        queue: Mutex::new(Batch::default()),
        writer: Mutex::new(None),
        room: tokio::sync::Notify::new(),
        stall: AtomicU8::new(0),
        failed: OnceLock::new(),
        stats: Counters::default(),
        orders: Mutex::default(),
        writer_wake: Condvar::new(),
        syncer_wake: Condvar::new(),
        has_threads: options.has_threads,
        task_sync_max_us: options.task_sync_max_us,
        usual_fsync_us: AtomicU64::new(FSYNC_SLOW_US),
        lock: Mutex::new(Some(lock)),
    };
    let writer = open_end(&shared, tail, closed, scan.tops)?;
    *shared.writer.lock() = Some(writer);
    Ok(shared)
}

/// The last segment there is.
struct Tail {
    header: Header,
    /// Where its sound part ends.
    end: u64,
    /// Whether the file goes on behind that: with the torn end of the log, or with what lay there before.
    is_longer: bool,
}

/// Opens the segments to read, and the last of them, or a first one, to write.
fn open_end(
    shared: &Shared,
    tail: Option<Tail>,
    closed: VecDeque<(Header, Closed)>,
    tops: HashMap<u32, u64>,
) -> Result<Writer, LogError> {
    for (header, old) in &closed {
        let path = segment::path(&shared.dir, old.segment);
        let file = shared.files.open(&path).map_err(|error| LogError::io(&path, error))?;
        shared.segments.write().insert(old.segment, Segment { file, header: *header });
    }
    let closed: VecDeque<Closed> = closed.into_iter().map(|(_, old)| old).collect();
    let (last, offset) = match tail {
        Some(Tail { header, end, is_longer }) => {
            let path = segment::path(&shared.dir, header.segment);
            let open = || {
                let file = shared.files.open(&path)?;
                if is_longer {
                    // Whole records of this segment may be among it that belong to the torn end.
                    file.truncate(end)?;
                }
                // openraft takes for durable what the log has when it is opened.
                file.sync()?;
                Ok(file)
            };
            // The first write of this run tells which boot it belongs to.
            record::put_opened(&mut shared.queue.lock().bytes, &shared.boot_id);
            let file = open().map_err(|error| LogError::io(&path, error))?;
            (Segment { file, header }, end)
        }
        None => {
            let synced = Position { segment: 1, offset: HEADER_BYTES as u64 };
            writer::create(shared, 1, synced, None).map_err(|error| LogError::io(&shared.dir, error))?
        }
    };
    let segment = last.header.segment;
    shared.segments.write().insert(segment, last.clone());
    let old_bytes: u64 = closed.iter().map(|old| old.bytes).sum();
    shared.stats.bytes.store(old_bytes + offset, Relaxed);
    shared.stats.current_bytes.store(offset, Relaxed);
    shared.stats.segments.store(closed.len() as u64 + 1, Relaxed);
    let end = Position { segment, offset };
    let unmarked = Position { segment, offset: 0 };
    Ok(Writer {
        framer: Framer::new(&last.header),
        file: last.file,
        segment,
        offset,
        allocated: offset,
        spares: Spares::default(),
        tops,
        closed,
        synced: end,
        marked: unmarked,
        batch: Batch::default(),
    })
}

fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| LogError::io(&path, error))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LogError::Locked { dir: dir.to_owned() }),
        Err(error) => Err(LogError::io(&path, error.into())),
    }
}

/// Identity of this run of the operating system; zeros if it tells none.
fn boot_id() -> BootId {
    let parse = |text: String| -> Option<BootId> {
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
    };
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().and_then(parse).unwrap_or(UNKNOWN_BOOT)
}

fn random_id() -> io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads segments, oldest first, into the groups' memory.
struct Scan {
    groups: HashMap<u32, Arc<GroupState>>,
    cache_bytes: u64,
    /// The boot that the latest records were written in.
    boot: BootId,
    /// Highest index of each group in the segment being read.
    tops: HashMap<u32, u64>,
}

/// Offset and reason of damage.
type Damage = (u64, String);

impl Scan {
    fn new(cache_bytes: u64) -> Self {
        Self { groups: HashMap::new(), cache_bytes, boot: UNKNOWN_BOOT, tops: HashMap::new() }
    }

    /// Reads a segment; answers its header and where its sound part ends.
    fn segment(&mut self, bytes: &[u8], is_last: bool, boot_now: &BootId) -> Result<(Header, u64), Damage> {
        let header = Header::decode(bytes).map_err(|reason| (0, reason.to_owned()))?;
        let framer = Framer::new(&header);
        let mut at = HEADER_BYTES;
        while at < bytes.len() {
            let position = Position { segment: header.segment, offset: at as u64 };
            match framer.read(&bytes[at..]) {
                Ok((group, body, length)) => {
                    self.record(group, &body, position).map_err(|reason| (at as u64, reason))?;
                    at += length;
                }
                Err(bad) if is_last && self.is_torn_end(&framer, bytes, position, bad, boot_now) => break,
                Err(bad) => return Err((at as u64, bad.reason().to_owned())),
            }
        }
        Ok((header, at as u64))
    }

    /// Whether a bad record in the last segment is the end that a crash tore, not damage.
    fn is_torn_end(&self, framer: &Framer, bytes: &[u8], at: Position, bad: BadRecord, boot_now: &BootId) -> bool {
        if matches!(bad, BadRecord::Body(_)) {
            return false;
        }
        let system_crashed = *boot_now != UNKNOWN_BOOT && self.boot != *boot_now;
        let mut from = at.offset as usize + 1;
        while let Some(found) = framer.find(bytes, from) {
            if !system_crashed {
                return false;
            }
            let Ok((_, body, length)) = framer.read(&bytes[found..]) else { return false };
            if let Body::Synced(upto) = body
                && upto > at
            {
                return false;
            }
            from = found + length;
        }
        true
    }

    fn record(&mut self, group: u32, body: &Body<'_>, at: Position) -> Result<(), String> {
        if group == NODE_GROUP {
            match body {
                Body::Opened(boot) => self.boot = *boot,
                Body::Synced(_) => {}
                _ => return Err("a group's record without a group".to_owned()),
            }
            return Ok(());
        }
        let cache_bytes = self.cache_bytes;
        let state = self.groups.entry(group).or_insert_with(|| Arc::new(GroupState::new(group, cache_bytes)));
        let mut inner = state.inner.lock();
        match body {
            Body::Entry(id, entry) => {
                let entry = entry.to_entry(*id).map_err(|error| error.to_string())?;
                if id.index == u64::MAX {
                    return Err("an entry with an impossible index".to_owned());
                }
                inner.recover(entry, at).map_err(|error| error.to_string())?;
                let top = self.tops.entry(group).or_insert(0);
                *top = (*top).max(id.index);
            }
            Body::Vote(vote) => inner.vote = Some(*vote),
            Body::Committed(id) => inner.committed = Some(*id),
            Body::TruncateAfter(last) if last.is_some_and(|id| id.index == u64::MAX) => {
                return Err("a truncation at an impossible index".to_owned());
            }
            Body::TruncateAfter(last) => drop(inner.truncate_after(*last)),
            Body::Purge(id) if id.index == u64::MAX => return Err("a purge at an impossible index".to_owned()),
            Body::Purge(id) => inner.purge(*id),
            Body::Opened(_) | Body::Synced(_) => return Err("a record of the node in a group".to_owned()),
        }
        Ok(())
    }

    /// Checks what only the whole log can tell.
    fn finish(&mut self, dir: &Path) -> Result<(), LogError> {
        for group in self.groups.values() {
            let mut inner = group.inner.lock();
            if inner.has_gap() {
                return Err(LogError::MissingEntries { dir: dir.to_owned(), group: group.id, first: inner.first() });
            }
            // Entries that were only in memory are gone; what was committed of them with them.
            if inner.committed > inner.last() {
                inner.committed = inner.last();
            }
        }
        Ok(())
    }
}

/// Reads arbitrary bytes as the last segment of a log, for tests and fuzzing; answers where the
/// sound part ends.
///
/// # Errors
/// The offset and kind of damage.
pub fn check_segment(bytes: &[u8]) -> Result<u64, (u64, String)> {
    Scan::new(1 << 16).segment(bytes, true, &UNKNOWN_BOOT).map(|(_, end)| end)
}

/// Reads arbitrary bytes as bodies of records, each behind its length as a `u16`: what lies
/// behind the checksums, for tests and fuzzing. Answers how many made sense.
pub fn check_body(mut bytes: &[u8]) -> usize {
    let mut scan = Scan::new(1 << 16);
    let mut sound = 0;
    let mut offset = 0;
    while let Some((length, rest)) = bytes.split_at_checked(2) {
        let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(rest.len());
        let (body, rest) = rest.split_at(length);
        bytes = rest;
        offset += 2 + length as u64;
        if let Ok((group, body)) = record::decode_body(body) {
            let at = Position { segment: 1, offset };
            sound += usize::from(scan.record(group, &body, at).is_ok());
        }
    }
    sound
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::types::{Entry, EntryPayload, LeaderId, LogId, Payload};
    use super::*;

    /// A crash of the operating system may lose unsynced pages and keep later ones: damage behind the
    /// last known sync is then the end of the log, and before it is not. Within one boot, damage
    /// with anything sound behind it is damage.
    #[test]
    fn what_counts_as_a_torn_end_depends_on_the_boot_and_on_syncs() {
        let header = Header::new(5, 1);
        let mut bytes = header.encode().to_vec();
        record::put_opened(&mut bytes, &[1; 16]);
        let mut starts = Vec::new();
        for index in 0..6 {
            if index == 4 {
                let upto = Position { segment: 1, offset: starts[3] as u64 };
                record::put_synced(&mut bytes, upto);
            }
            starts.push(bytes.len());
            let log_id = LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index };
            let payload = EntryPayload::Normal(Payload(Bytes::from_static(b"payload")));
            record::put_entry(&mut bytes, 1, &Entry { log_id, payload });
        }
        Framer::new(&header).seal(&mut bytes[HEADER_BYTES..]);
        for (index, start) in starts.iter().enumerate() {
            let mut damaged = bytes.clone();
            damaged[start + 30] ^= 1;
            let scan = |boot| Scan::new(1 << 16).segment(&damaged, true, &[boot; 16]).map(|(_, end)| end);
            let torn = Ok(*start as u64);
            let corrupt = Err((*start as u64, "the checksum does not match".to_owned()));
            // Entries 0 to 2 were known to be synced when the boot ended.
            assert_eq!(scan(2), if index < 3 { corrupt.clone() } else { torn.clone() }, "entry {index}, other boot");
            assert_eq!(scan(1), if index < 5 { corrupt.clone() } else { torn }, "entry {index}, same boot");
            let earlier = Scan::new(1 << 16).segment(&damaged, false, &[2; 16]).map(|(_, end)| end);
            assert_eq!(earlier, corrupt, "an earlier segment has no torn end");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic() {
        let mut rng = crate::types::rng::Rng::new(1);
        for _ in 0..2000 {
            let length = rng.below(200) as usize;
            // Small values make more of the bodies decode.
            let bytes: Vec<u8> =
                (0..length).map(|_| (rng.below(256) & rng.below(256) & rng.below(256)) as u8).collect();
            check_body(&bytes);
            assert!(check_segment(&bytes).is_err());
        }
    }
}
