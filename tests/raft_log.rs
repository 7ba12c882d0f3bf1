//! The shared write-ahead log, seen through the traits that openraft uses it by.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kvorum::raft::log::{GroupLog, LogFile, LogFiles, OsFiles, check_segment};
use kvorum::raft::types::{Entry, EntryPayload, Flushed, LeaderId, LogId, Payload, TypeConfig, Vote};
use kvorum::raft::{FsyncPolicy, LogError, LogOptions, SharedLog, StallReason};
use kvorum::types::ShardId;
use kvorum::types::rng::Rng;
use openraft::storage::{RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;

const GROUP: ShardId = ShardId(7);

fn id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

fn entry(term: u64, index: u64, payload: impl Into<Bytes>) -> Entry {
    Entry { log_id: id(term, index), payload: EntryPayload::Normal(Payload(payload.into())) }
}

fn payload(index: u64, length: usize) -> Vec<u8> {
    let mut rng = Rng::new(index + 1);
    (0..length).map(|_| rng.below(256) as u8).collect()
}

async fn append(log: &mut GroupLog, entries: Vec<Entry>) -> io::Result<()> {
    let (sender, receiver) = TypeConfig::oneshot();
    log.append(entries, Flushed::signal(sender)).await?;
    receiver.await.map_err(|_| io::Error::other("the log dropped the callback"))?
}

/// Appends entries one by one, from an index on, until one is not done soon; answers that one, and its index.
async fn append_until_it_waits(
    group: &GroupLog,
    first: u64,
    length: usize,
) -> (tokio::task::JoinHandle<io::Result<()>>, u64) {
    for index in first.. {
        let mut group = group.clone();
        let mut task =
            tokio::spawn(async move { append(&mut group, vec![entry(1, index, payload(index, length))]).await });
        match tokio::time::timeout(Duration::from_millis(300), &mut task).await {
            Ok(result) => result.expect("no panic").expect("appended"),
            Err(_) => return (task, index),
        }
    }
    unreachable!("there are indexes enough")
}

async fn all(log: &mut GroupLog) -> Vec<Entry> {
    log.try_get_log_entries(..).await.expect("the log is readable")
}

fn indexes(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.log_id.index).collect()
}

fn open(dir: &Path, options: LogOptions) -> Arc<SharedLog> {
    SharedLog::open(dir, options).expect("the log opens")
}

fn options(policy: FsyncPolicy) -> LogOptions {
    LogOptions::new(policy)
}

fn small_segments(policy: FsyncPolicy) -> LogOptions {
    LogOptions { segment_bytes: 4096, cache_bytes: 2000, ..LogOptions::new(policy) }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .expect("a directory")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    found.sort();
    found
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_survives_a_close_and_a_crash() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec, FsyncPolicy::No] {
        for close in [true, false] {
            let dir = tempfile::tempdir().expect("a directory");
            let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
            let log = open(&live, options(policy));
            let mut group = log.group(GROUP);
            let vote = Vote { leader_id: LeaderId { term: 3, node_id: 1 }, committed: true };
            group.save_vote(&vote).await.expect("saved");
            let entries: Vec<_> = (0..50).map(|index| entry(3, index, payload(index, 100))).collect();
            append(&mut group, entries.clone()).await.expect("appended");
            group.save_committed(Some(id(3, 48))).await.expect("saved");
            append(&mut group, vec![entry(3, 50, "last")]).await.expect("appended");
            if close {
                log.close().expect("closes");
            }
            copy_dir(&live, &copy);
            let again = open(&copy, options(policy));
            let mut group = again.group(GROUP);
            assert_eq!(group.read_vote().await.expect("readable"), Some(vote));
            assert_eq!(group.read_committed().await.expect("readable"), Some(id(3, 48)));
            assert_eq!(all(&mut group).await[..50], entries);
            assert_eq!(group.get_log_state().await.expect("readable").last_log_id, Some(id(3, 50)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_anywhere_in_the_last_record_leaves_the_one_before() {
    let dir = tempfile::tempdir().expect("a directory");
    let live = dir.path().join("live");
    let log = open(&live, options(FsyncPolicy::EverySec));
    let mut group = log.group(GROUP);
    append(&mut group, vec![entry(1, 0, "first"), entry(1, 1, "second")]).await.expect("appended");
    let segment = segments(&live).pop().expect("a segment");
    let before = fs::metadata(&segment).expect("a file").len();
    append(&mut group, vec![entry(1, 2, payload(2, 60))]).await.expect("appended");
    let bytes = fs::read(&segment).expect("readable");
    drop((group, log));
    for cut in before..bytes.len() as u64 {
        fs::write(&segment, &bytes[..cut as usize]).expect("written");
        let log = open(&live, options(FsyncPolicy::EverySec));
        let mut group = log.group(GROUP);
        assert_eq!(indexes(&all(&mut group).await), [0, 1], "cut at {cut}");
        // The log goes on behind the cut.
        append(&mut group, vec![entry(2, 2, "again")]).await.expect("appended");
        log.close().expect("closes");
        drop((group, log));
        let log = open(&live, options(FsyncPolicy::EverySec));
        assert_eq!(all(&mut log.group(GROUP)).await[2], entry(2, 2, "again"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_reported_with_segment_and_offset() {
    let dir = tempfile::tempdir().expect("a directory");
    let live = dir.path().join("live");
    let log = open(&live, small_segments(FsyncPolicy::EverySec));
    let mut group = log.group(GROUP);
    let mut starts = Vec::new();
    for index in 0..30 {
        let last = segments(&live).pop().expect("a segment");
        starts.push((last.clone(), fs::metadata(&last).expect("a file").len()));
        append(&mut group, vec![entry(1, index, payload(index, 400))]).await.expect("appended");
    }
    drop((group, log));
    assert!(segments(&live).len() >= 3);
    let last = segments(&live).pop().expect("a segment");
    for (segment, start) in &starts {
        let bytes = fs::read(segment).expect("readable");
        // Where the entry began a new segment, the start is the old one's end.
        if *start + 12 >= bytes.len() as u64 {
            continue;
        }
        for at in [0, 4, 9, 12, 40, 300] {
            let mut damaged = bytes.clone();
            let Some(byte) = damaged.get_mut(*start as usize + at) else { continue };
            *byte ^= 4;
            fs::write(segment, &damaged).expect("written");
            let is_tail = *segment == last && *start as usize + 2 * 441 > bytes.len();
            match SharedLog::open(&live, small_segments(FsyncPolicy::EverySec)) {
                Err(LogError::Corrupt { segment: named, offset, .. }) => {
                    assert_eq!((&named, offset), (segment, *start), "byte {at}");
                }
                Ok(_) => assert!(is_tail, "damage at {start}+{at} of {} went unnoticed", segment.display()),
                Err(other) => panic!("unexpected: {other}"),
            }
            fs::write(segment, &bytes).expect("written");
        }
    }
    let log = open(&live, small_segments(FsyncPolicy::EverySec));
    assert_eq!(all(&mut log.group(GROUP)).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_segment_and_a_second_process_are_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path(), small_segments(FsyncPolicy::EverySec));
    let mut group = log.group(GROUP);
    for index in 0..40 {
        append(&mut group, vec![entry(1, index, payload(index, 400))]).await.expect("appended");
    }
    assert!(matches!(SharedLog::open(dir.path(), options(FsyncPolicy::No)), Err(LogError::Locked { .. })));
    log.close().expect("closes");
    let paths = segments(dir.path());
    let aside = dir.path().join("aside");
    fs::rename(&paths[1], &aside).expect("renamed");
    let error = SharedLog::open(dir.path(), options(FsyncPolicy::No)).err().expect("an error");
    assert!(matches!(&error, LogError::MissingSegment { segment } if *segment == paths[1]), "{error}");
    fs::rename(&aside, &paths[1]).expect("renamed");
    fs::remove_file(&paths[0]).expect("removed");
    let error = SharedLog::open(dir.path(), options(FsyncPolicy::No)).err().expect("an error");
    assert!(matches!(error, LogError::MissingEntries { group: 7, .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_segments_are_deleted_once_all_groups_have_purged() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path(), small_segments(FsyncPolicy::EverySec));
    let (mut one, mut two) = (log.group(ShardId(1)), log.group(ShardId(2)));
    let vote = Vote { leader_id: LeaderId { term: 1, node_id: 1 }, committed: true };
    two.save_vote(&vote).await.expect("saved");
    for index in 0..60 {
        append(&mut one, vec![entry(1, index, payload(index, 300))]).await.expect("appended");
        append(&mut two, vec![entry(1, index, payload(index, 50))]).await.expect("appended");
    }
    let before = log.stats();
    assert!(before.segments > 5, "{before:?}");
    assert_eq!(before.segments as usize, segments(dir.path()).len());
    assert_eq!(before.bytes, segments(dir.path()).iter().map(|path| fs::metadata(path).expect("a file").len()).sum());
    one.purge(id(1, 59)).await.expect("purged");
    assert_eq!(log.bytes_since_purge(ShardId(1)), 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(log.stats().segments, before.segments, "the other group still needs them");
    two.purge(id(1, 55)).await.expect("purged");
    let log_now = Arc::clone(&log);
    eventually("segments are deleted", move || log_now.stats().segments < 4).await;
    assert_eq!(log.stats().segments as usize, segments(dir.path()).len());
    log.close().expect("closes");
    let log = open(dir.path(), small_segments(FsyncPolicy::EverySec));
    let (mut one, mut two) = (log.group(ShardId(1)), log.group(ShardId(2)));
    assert_eq!(all(&mut one).await, []);
    assert_eq!(one.get_log_state().await.expect("readable").last_log_id, Some(id(1, 59)));
    assert_eq!(indexes(&all(&mut two).await), [56, 57, 58, 59]);
    assert_eq!(two.read_vote().await.expect("readable"), Some(vote), "votes outlive their segment");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_votes_and_writes_entries_when_the_policy_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path(), options(FsyncPolicy::Memory));
    let mut group = log.group(GROUP);
    let vote = Vote { leader_id: LeaderId { term: 1, node_id: 1 }, committed: true };
    group.save_vote(&vote).await.expect("saved");
    append(&mut group, (0..10).map(|index| entry(1, index, "gone")).collect()).await.expect("appended");
    group.save_committed(Some(id(1, 9))).await.expect("saved");
    log.close().expect("closes");
    let log = open(dir.path(), options(FsyncPolicy::Memory));
    let mut group = log.group(GROUP);
    assert_eq!(group.read_vote().await.expect("readable"), Some(vote));
    assert_eq!(all(&mut group).await, []);
    assert_eq!(group.read_committed().await.expect("readable"), None);
    append(&mut group, (0..10).map(|index| entry(2, index, "kept")).collect()).await.expect("appended");
    group.purge(id(2, 3)).await.expect("purged");
    log.set_policy(FsyncPolicy::EverySec);
    append(&mut group, vec![entry(2, 10, "kept")]).await.expect("appended");
    log.close().expect("closes");
    let log = open(dir.path(), options(FsyncPolicy::Memory));
    assert_eq!(indexes(&all(&mut log.group(GROUP)).await), [4, 5, 6, 7, 8, 9, 10]);
}

/// Random operations on three groups against a plain map, with tiny segments and caches, so that
/// most reads come from disk; with restarts, clean and not.
#[tokio::test(flavor = "multi_thread")]
async fn agrees_with_a_model() {
    #[derive(Default)]
    struct Model {
        entries: BTreeMap<u64, Entry>,
        purged: Option<LogId>,
        next: u64,
        term: u64,
    }
    for seed in 0..6 {
        let mut rng = Rng::new(seed);
        let dir = tempfile::tempdir().expect("a directory");
        let mut home = dir.path().join("0");
        let mut log = open(&home, small_segments(FsyncPolicy::EverySec));
        let mut models: Vec<Model> = (0..3).map(|_| Model { term: 1, ..Model::default() }).collect();
        for step in 0..400 {
            let which = rng.below(3);
            let model = &mut models[which as usize];
            let mut group = log.group(ShardId(which as u32));
            match rng.below(20) {
                0..=13 => {
                    let count = 1 + rng.below(8);
                    let entries: Vec<_> = (model.next..model.next + count)
                        .map(|index| entry(model.term, index, payload(rng.next_u64(), rng.below(900) as usize)))
                        .collect();
                    append(&mut group, entries.clone()).await.expect("appended");
                    model.next += count;
                    model.entries.extend(entries.into_iter().map(|entry| (entry.log_id.index, entry)));
                }
                14..=15 if !model.entries.is_empty() => {
                    let (&first, &last) =
                        (model.entries.keys().next().expect("some"), model.entries.keys().last().expect("some"));
                    let keep = first + rng.below(last - first + 1);
                    group.truncate_after(Some(model.entries[&keep].log_id)).await.expect("truncated");
                    model.entries.retain(|index, _| *index <= keep);
                    model.next = keep + 1;
                    model.term += 1;
                }
                16 if !model.entries.is_empty() => {
                    let (&first, &last) =
                        (model.entries.keys().next().expect("some"), model.entries.keys().last().expect("some"));
                    let upto = first + rng.below(last - first + 1) / 2;
                    let purged = model.entries[&upto].log_id;
                    group.purge(purged).await.expect("purged");
                    model.entries.retain(|index, _| *index > upto);
                    model.purged = Some(purged);
                }
                17 if rng.below(4) == 0 => {
                    let next_home = dir.path().join(format!("{}", step + 1));
                    if rng.below(2) == 0 {
                        log.close().expect("closes");
                    } else {
                        // Truncations and purges that nothing followed may not be written yet.
                        append(&mut group, vec![entry(model.term, model.next, "flush")]).await.expect("appended");
                        model.entries.insert(model.next, entry(model.term, model.next, "flush"));
                        model.next += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    copy_dir(&home, &next_home);
                    home = next_home;
                    drop(group);
                    log = open(&home, small_segments(FsyncPolicy::EverySec));
                }
                _ => {}
            }
            let mut group = log.group(ShardId(which as u32));
            let model = &models[which as usize];
            let low = rng.below(model.next + 2);
            let high = low + rng.below(40);
            let expected: Vec<_> = model.entries.range(low..high).map(|(_, entry)| entry.clone()).collect();
            let got = group.try_get_log_entries(low..high).await.expect("readable");
            assert_eq!(got, expected, "seed {seed} step {step} group {which} range {low}..{high}");
            assert_eq!(group.get_log_state().await.expect("readable").last_purged_log_id, model.purged);
        }
        for (which, model) in models.iter().enumerate() {
            let got = all(&mut log.group(ShardId(which as u32))).await;
            assert_eq!(got, model.entries.values().cloned().collect::<Vec<_>>(), "seed {seed} group {which}");
        }
    }
}

/// Many groups append at once under every policy, which changes meanwhile: no callback is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_append_is_left_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path(), LogOptions { segment_bytes: 64 * 1024, ..options(FsyncPolicy::EverySec) });
    let tasks: Vec<_> = (0..8u32)
        .map(|shard| {
            let mut group = log.group(ShardId(shard));
            tokio::spawn(async move {
                for index in 0..300 {
                    let appended = append(&mut group, vec![entry(1, index, payload(index, 200))]);
                    tokio::time::timeout(Duration::from_secs(20), appended).await.expect("in time").expect("appended");
                    if index % 100 == 50 {
                        let vote = Vote { leader_id: LeaderId { term: index, node_id: 1 }, committed: false };
                        group.save_vote(&vote).await.expect("saved");
                    }
                }
            })
        })
        .collect();
    for policy in
        [FsyncPolicy::No, FsyncPolicy::Always, FsyncPolicy::Memory, FsyncPolicy::EverySec, FsyncPolicy::Always]
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
        log.set_policy(policy);
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    log.close().expect("closes");
    let log = open(dir.path(), options(FsyncPolicy::Always));
    for shard in 0..8 {
        assert_eq!(all(&mut log.group(ShardId(shard))).await.len(), 300);
    }
}

/// A disk with room for so many bytes, or that is broken.
#[derive(Clone)]
struct Disk {
    room: Arc<AtomicI64>,
    mode: Arc<AtomicU8>,
    /// The thread of the latest sync.
    synced_by: Arc<Mutex<Option<String>>>,
    /// Keeps readers waiting.
    readers_wait: Arc<AtomicBool>,
    /// Reads begun.
    reading: Arc<AtomicI64>,
}

const ENDLESS: i64 = 1 << 60;
const WORKS: u8 = 0;
const FAILS: u8 = 1;
/// A sync takes no time.
const QUICK: u8 = 2;
/// A sync takes some milliseconds.
const SLOW: u8 = 3;

impl Disk {
    fn new(room: i64, mode: u8) -> Self {
        let (room, mode) = (Arc::new(AtomicI64::new(room)), Arc::new(AtomicU8::new(mode)));
        Self { room, mode, synced_by: Arc::default(), readers_wait: Arc::default(), reading: Arc::default() }
    }
}

struct DiskFile(Arc<dyn LogFile>, Disk);

impl LogFile for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.1.mode.load(SeqCst) == FAILS {
            return Err(io::Error::from_raw_os_error(5));
        }
        let room = self.1.room.load(SeqCst);
        if room <= 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let part = bytes.len().min(room as usize);
        self.1.room.fetch_sub(part as i64, SeqCst);
        self.0.write_at(&bytes[..part], offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.reading.fetch_add(1, SeqCst);
        while self.1.readers_wait.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.0.read_at(buffer, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        *self.1.synced_by.lock().expect("no panic") = std::thread::current().name().map(str::to_owned);
        match self.1.mode.load(SeqCst) {
            FAILS => Err(io::Error::from_raw_os_error(5)),
            QUICK => Ok(()),
            SLOW => {
                std::thread::sleep(Duration::from_millis(3));
                Ok(())
            }
            _ => self.0.sync(),
        }
    }
}

impl LogFiles for Disk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(DiskFile(OsFiles.create(path)?, self.clone())))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(Arc::new(DiskFile(OsFiles.open(path)?, self.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let room = fs::metadata(path).map_or(0, |file| file.len());
        self.room.fetch_add(room as i64, SeqCst);
        OsFiles.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsFiles.sync_dir(dir)
    }
}

/// Who appends syncs as well while that is quick; a slow disk is left to the log's thread again.
#[tokio::test(flavor = "multi_thread")]
async fn quick_syncs_need_no_other_thread() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Disk::new(ENDLESS, QUICK);
    let log = open(dir.path(), LogOptions { files: Arc::new(disk.clone()), ..options(FsyncPolicy::Always) });
    let mut group = log.group(GROUP);
    let mut next = 0;
    let by_log_thread = || disk.synced_by.lock().expect("no panic").as_deref() == Some("log-writer");
    for (mode, by_thread) in [(QUICK, false), (SLOW, true), (QUICK, false)] {
        disk.mode.store(mode, SeqCst);
        for changed_after in 0.. {
            assert!(changed_after < 1000, "mode {mode}");
            append(&mut group, vec![entry(1, next, payload(next, 50))]).await.expect("appended");
            next += 1;
            if by_log_thread() == by_thread {
                break;
            }
        }
    }
    log.close().expect("closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stalls_and_nothing_is_lost() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        // Room ends within a batch, or, with little room, within the head of a new segment.
        for room in [3000, 4090, 4200] {
            let dir = tempfile::tempdir().expect("a directory");
            let disk = Disk::new(room, WORKS);
            let log = open(dir.path(), LogOptions { files: Arc::new(disk.clone()), ..small_segments(policy) });
            let mut group = log.group(GROUP);
            let (pending, done) = append_until_it_waits(&group, 0, 300).await;
            assert_eq!(log.is_stalled(), Some(StallReason::DiskFull));
            assert!(done >= 5, "{done}");
            // More can be queued, and read, meanwhile.
            let mut second = group.clone();
            let more = tokio::spawn(async move { append(&mut second, vec![entry(1, done + 1, "more")]).await });
            eventually("it is queued", || log.bytes_since_purge(GROUP) > 0).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
            assert!(!more.is_finished());
            assert_eq!(all(&mut group).await.len() as u64, done + 2);
            disk.room.store(1 << 30, SeqCst);
            pending.await.expect("no panic").expect("appended at last");
            more.await.expect("no panic").expect("appended at last");
            assert_eq!(log.is_stalled(), None);
            drop((log, group));
            let log = open(dir.path(), options(policy));
            assert_eq!(all(&mut log.group(GROUP)).await.len() as u64, done + 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_on_a_full_disk_gives_up_what_waits() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(1 << 20, WORKS);
        let log = open(dir.path(), LogOptions { files: Arc::new(disk.clone()), ..options(policy) });
        let mut group = log.group(GROUP);
        append(&mut group, vec![entry(1, 0, "kept")]).await.expect("appended");
        disk.room.store(20, SeqCst);
        let waiting = tokio::spawn(async move { append(&mut group, vec![entry(1, 1, "given up")]).await });
        eventually("it stalls", || log.is_stalled().is_some()).await;
        let error = log.close().expect_err("something is unwritten");
        assert!(error.to_string().contains("DiskFull"), "{error}");
        let outcome = tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("in time");
        assert!(outcome.expect("no panic").is_err());
        drop(log);
        let log = open(dir.path(), options(policy));
        assert_eq!(indexes(&all(&mut log.group(GROUP)).await), [0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_disk_error_is_final() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Disk::new(1 << 30, WORKS);
        let log = open(dir.path(), LogOptions { files: Arc::new(disk.clone()), ..options(policy) });
        let mut group = log.group(GROUP);
        append(&mut group, vec![entry(1, 0, "good")]).await.expect("appended");
        disk.mode.store(FAILS, SeqCst);
        assert!(append(&mut group, vec![entry(1, 1, "bad")]).await.is_err());
        assert!(log.failure().is_some_and(|message| message.contains("writing the raft log")));
        disk.mode.store(WORKS, SeqCst);
        assert!(append(&mut group, vec![entry(1, 2, "too late")]).await.is_err());
        assert!(log.close().is_err());
        drop((log, group));
        let log = open(dir.path(), options(policy));
        assert_eq!(indexes(&all(&mut log.group(GROUP)).await), [0]);
    }
}

fn spare_files(dir: &Path) -> usize {
    let names = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".spare.tmp")).count()
}

/// Appends and purges until segments lie in files of earlier ones; answers the next index.
async fn fill_and_purge(log: &Arc<SharedLog>, group: &mut GroupLog, reused: u64, mut next: u64) -> u64 {
    while log.stats().reused < reused {
        append(group, (next..next + 4).map(|index| entry(1, index, payload(index, 350))).collect())
            .await
            .expect("appended");
        next += 4;
        if (next / 4).is_multiple_of(10) {
            group.purge(id(1, next - 6)).await.expect("purged");
            // The log's thread deletes.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(next < 40_000, "{:?}", log.stats());
    }
    next
}

/// What lies behind the end of a segment in a file that was one before is no part of the log, wherever it ends.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_purged_segments_are_used_again() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
        let log = open(&live, small_segments(policy));
        let mut group = log.group(GROUP);
        let mut next = 0;
        let mut looked_at = 0;
        for round in 1..40 {
            next = fill_and_purge(&log, &mut group, round * 3, next).await;
            append(&mut group, vec![entry(1, next, payload(next, 100))]).await.expect("appended");
            next += 1;
            let tail = segments(&live).pop().expect("a segment");
            let start = log.stats().current_bytes;
            let before = fs::read(&tail).expect("readable");
            append(&mut group, vec![entry(1, next, payload(next, 60))]).await.expect("appended");
            next += 1;
            let end = log.stats().current_bytes;
            if segments(&live).pop().as_ref() != Some(&tail) || before.len() as u64 <= end {
                continue;
            }
            looked_at += 1;
            let after = fs::read(&tail).expect("readable");
            let expected = all(&mut group).await;
            for cut in [start, start + 3, start + 12, start + 40, end - 1, end] {
                drop(fs::remove_dir_all(&copy));
                copy_dir(&live, &copy);
                let tail = copy.join(tail.file_name().expect("a name"));
                let torn = [&after[..cut as usize], &before[cut as usize..]].concat();
                fs::write(&tail, &torn).expect("written");
                // What lay there before may be the same.
                let whole = torn[..end as usize] == after[..end as usize];
                {
                    let log = open(&copy, small_segments(policy));
                    let mut group = log.group(GROUP);
                    let got = all(&mut group).await;
                    assert_eq!(got, expected[..expected.len() - usize::from(!whole)], "cut at {cut} of {start}..{end}");
                    // It goes on there, with another record of the same length.
                    let other = next - u64::from(!whole);
                    append(&mut group, vec![entry(2, other, payload(7, 60))]).await.expect("appended");
                }
                let log = open(&copy, small_segments(policy));
                assert_eq!(
                    all(&mut log.group(GROUP)).await.last(),
                    Some(&entry(2, next - u64::from(!whole), payload(7, 60)))
                );
                drop(log);
                // Damage with a sound record behind it is told from an end.
                let mut damaged = after.clone();
                damaged[start as usize - 3] ^= 1;
                fs::write(&tail, &damaged).expect("written");
                match SharedLog::open(&copy, small_segments(policy)) {
                    Err(LogError::Corrupt { segment, offset, .. }) => {
                        assert_eq!(segment, tail);
                        assert!(offset < start && offset > start - 160, "{offset} of {start}");
                    }
                    other => panic!("damage went unnoticed: {:?}", other.map(|log| log.stats())),
                }
            }
        }
        assert!(looked_at > 10, "{looked_at}");
        assert!(log.stats().spare_bytes > 0, "{:?}", log.stats());
        assert!(spare_files(&live) > 0);
        log.close().expect("closes");
        assert_eq!((log.stats().spare_bytes, spare_files(&live)), (0, 0), "a log that is closed keeps none");
        let lengths: u64 = segments(&live).iter().map(|path| fs::metadata(path).expect("a file").len()).sum();
        assert_eq!(lengths, log.stats().bytes, "nor anything behind its end");
    }
}

/// With `always`, a log that grows is given files of zeros before anything was purged.
#[tokio::test(flavor = "multi_thread")]
async fn always_writes_over_zeros() {
    let dir = tempfile::tempdir().expect("a directory");
    let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
    let log = open(&live, small_segments(FsyncPolicy::Always));
    let mut group = log.group(GROUP);
    let mut next = 0;
    while log.stats().reused < 5 {
        append(&mut group, vec![entry(1, next, payload(next, 100))]).await.expect("appended");
        next += 1;
        assert!(next < 10_000, "{:?}", log.stats());
    }
    copy_dir(&live, &copy);
    let again = open(&copy, small_segments(FsyncPolicy::Always));
    assert_eq!(all(&mut again.group(GROUP)).await.len() as u64, next);
    assert_eq!(spare_files(&copy), 0, "what an earlier process kept is deleted");
}

/// A reader that has begun with a segment gets what it had, though the segment is purged meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_segment_that_is_read_is_not_written_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Disk::new(ENDLESS, WORKS);
    let log = open(dir.path(), LogOptions { files: Arc::new(disk.clone()), ..small_segments(FsyncPolicy::EverySec) });
    let mut group = log.group(GROUP);
    let next = fill_and_purge(&log, &mut group, 3, 0).await;
    let entries: Vec<_> = (next..next + 60).map(|index| entry(1, index, payload(index, 350))).collect();
    for entry in &entries {
        append(&mut group, vec![entry.clone()]).await.expect("appended");
    }
    disk.readers_wait.store(true, SeqCst);
    let mut reader = group.clone();
    let read = tokio::spawn(async move { reader.try_get_log_entries(next..next + 1).await });
    eventually("it reads", || disk.reading.load(SeqCst) > 0).await;
    group.purge(id(1, next + 59)).await.expect("purged");
    let reused = log.stats().reused;
    for index in next + 60..next + 300 {
        append(&mut group, vec![entry(1, index, payload(index, 350))]).await.expect("appended");
        if index % 20 == 0 {
            group.purge(id(1, index - 3)).await.expect("purged");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert!(log.stats().reused > reused + 3, "others are used again");
    disk.readers_wait.store(false, SeqCst);
    assert_eq!(read.await.expect("no panic").expect("readable"), entries[..1]);
}

/// Spare files are the first thing that a full disk takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_takes_the_spare_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = Disk::new(ENDLESS, WORKS);
    let log = open(dir.path(), LogOptions { files: Arc::new(disk.clone()), ..small_segments(FsyncPolicy::EverySec) });
    let mut group = log.group(GROUP);
    let next = fill_and_purge(&log, &mut group, 3, 0).await;
    group.purge(id(1, next - 1)).await.expect("purged");
    eventually("there are some", || spare_files(dir.path()) > 0).await;
    // Deleting makes room, but not that much.
    disk.room.store(-1 << 30, SeqCst);
    let (pending, last) = append_until_it_waits(&group, next, 300).await;
    assert_eq!(log.is_stalled(), Some(StallReason::DiskFull));
    assert_eq!((log.stats().spare_bytes, spare_files(dir.path())), (0, 0));
    disk.room.store(1 << 30, SeqCst);
    pending.await.expect("no panic").expect("appended at last");
    drop((log, group));
    let log = open(dir.path(), options(FsyncPolicy::EverySec));
    assert_eq!(indexes(&all(&mut log.group(GROUP)).await), (next..=last).collect::<Vec<_>>());
}

/// A real full file system. Needs the right to mount one.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_tmpfs_stalls() {
    let dir = tempfile::tempdir().expect("a directory");
    let mount = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).arg(dir.path()).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]) {
        eprintln!("skipped: this user may not mount a tmpfs");
        return;
    }
    let filler = dir.path().join("filler");
    let log = open(&dir.path().join("log"), options(FsyncPolicy::EverySec));
    let mut group = log.group(GROUP);
    append(&mut group, vec![entry(1, 0, payload(0, 1000))]).await.expect("appended");
    drop(fs::write(&filler, vec![0; 2 << 20]));
    let (pending, index) = append_until_it_waits(&group, 1, 5000).await;
    assert_eq!(log.is_stalled(), Some(StallReason::DiskFull));
    fs::remove_file(&filler).expect("removed");
    pending.await.expect("no panic").expect("appended at last");
    assert_eq!(log.is_stalled(), None);
    log.close().expect("closes");
    let again = open(&dir.path().join("log"), options(FsyncPolicy::EverySec));
    assert_eq!(all(&mut again.group(GROUP)).await.len() as u64, index + 1);
    again.close().expect("closes");
    drop((group, log, again));
    assert!(mount("umount", &["-l"]), "the tmpfs stays mounted");
}

/// The format is on disks. To make a fixture of a new version, copy the segment that this test leaves when `KEEP_FIXTURE`
/// names a file.
#[tokio::test(flavor = "multi_thread")]
async fn fixtures_of_all_versions_are_readable() {
    let dir = tempfile::tempdir().expect("a directory");
    if let Some(target) = std::env::var_os("KEEP_FIXTURE") {
        let log = open(dir.path(), options(FsyncPolicy::Always));
        let mut group = log.group(GROUP);
        let vote = Vote { leader_id: LeaderId { term: 2, node_id: 1 }, committed: true };
        group.save_vote(&vote).await.expect("saved");
        append(&mut group, (0..5).map(|index| entry(2, index, "payload")).collect()).await.expect("appended");
        group.truncate_after(Some(id(2, 3))).await.expect("truncated");
        group.save_committed(Some(id(2, 2))).await.expect("saved");
        append(&mut group, vec![entry(3, 4, "other")]).await.expect("appended");
        group.purge(id(2, 0)).await.expect("purged");
        log.close().expect("closes");
        fs::copy(&segments(dir.path())[0], target).expect("copied");
        return;
    }
    let expected: Vec<_> = (1..4).map(|index| entry(2, index, "payload")).chain([entry(3, 4, "other")]).collect();
    for version in [1, 2] {
        let fixture = format!("tests/fixtures/raft-log-v{version}.log");
        let bytes = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture)).expect("it is in the repository");
        assert_eq!(check_segment(&bytes), Ok(bytes.len() as u64));
        let home = dir.path().join(version.to_string());
        fs::create_dir(&home).expect("a directory");
        fs::write(home.join("0000000000000001.log"), &bytes).expect("written");
        let log = open(&home, small_segments(FsyncPolicy::Always));
        let mut group = log.group(GROUP);
        let vote = Vote { leader_id: LeaderId { term: 2, node_id: 1 }, committed: true };
        assert_eq!(group.read_vote().await.expect("readable"), Some(vote));
        assert_eq!(group.read_committed().await.expect("readable"), Some(id(2, 2)));
        assert_eq!(all(&mut group).await, expected);
        // It goes on as it is, and behind it in segments of the version now written.
        for index in 5..60 {
            append(&mut group, vec![entry(3, index, payload(index, 200))]).await.expect("appended");
        }
        assert!(segments(&home).len() > 2);
        drop((log, group));
        let log = open(&home, small_segments(FsyncPolicy::Always));
        assert_eq!(indexes(&all(&mut log.group(GROUP)).await), (1..60).collect::<Vec<_>>());
    }
}
