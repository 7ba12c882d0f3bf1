//! Raft groups of one voter: proposals, restarts, crashes, snapshots.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kvorum::raft::{
    FsyncPolicy, Group, GroupError, GroupOptions, LogOptions, ProposeError, Role, SharedLog, SnapshotError,
    SnapshotJob, StateMachine,
};
use kvorum::types::{LogIndex, NodeId, ShardId};
use parking_lot::Mutex;

/// What a machine has seen, looked at from outside.
#[derive(Default)]
struct Seen {
    payloads: Vec<(u64, Bytes)>,
    last: u64,
    restored: Option<u64>,
}

#[derive(Clone, Default)]
struct Machine {
    seen: Arc<Mutex<Seen>>,
    fail_snapshot: Arc<AtomicBool>,
    slow_snapshot: Arc<AtomicBool>,
}

impl StateMachine for Machine {
    fn apply(&mut self, index: LogIndex, _: u64, payload: &Bytes) -> io::Result<()> {
        let mut seen = self.seen.lock();
        assert!(index.0 > seen.last, "entries come in order, once");
        seen.last = index.0;
        if payload == "fail" {
            return Err(io::Error::other("the machine broke"));
        }
        seen.payloads.push((index.0, payload.clone()));
        Ok(())
    }

    fn skip(&mut self, index: LogIndex) -> io::Result<()> {
        self.seen.lock().last = index.0;
        Ok(())
    }

    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>> {
        let payloads = self.seen.lock().payloads.clone();
        let (fail, slow) = (self.fail_snapshot.load(SeqCst), self.slow_snapshot.load(SeqCst));
        Ok(Box::new(Job { payloads, fail, slow }))
    }

    fn restore(&mut self, index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
        let mut file = fs::File::open(body)?;
        file.seek(SeekFrom::Start(body_offset))?;
        let mut number = || -> io::Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        };
        let mut payloads = Vec::new();
        for _ in 0..number()? {
            payloads.push((number()?, Bytes::copy_from_slice(&number()?.to_le_bytes())));
        }
        *self.seen.lock() = Seen { payloads, last: index.0, restored: Some(index.0) };
        Ok(())
    }
}

struct Job {
    payloads: Vec<(u64, Bytes)>,
    fail: bool,
    slow: bool,
}

impl SnapshotJob for Job {
    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&(self.payloads.len() as u64).to_le_bytes())?;
        for (index, payload) in &self.payloads {
            out.write_all(&index.to_le_bytes())?;
            out.write_all(payload)?;
        }
        if self.slow {
            std::thread::sleep(Duration::from_millis(300));
        }
        if self.fail {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }
}

struct Node {
    log: Arc<SharedLog>,
    group: Arc<Group>,
    machine: Machine,
}

const SHARD: ShardId = ShardId(3);

fn open_log(dir: &Path, policy: FsyncPolicy) -> Arc<SharedLog> {
    let options = LogOptions { segment_bytes: 16 * 1024, ..LogOptions::new(policy) };
    SharedLog::open(&dir.join("log"), options).expect("the log opens")
}

fn group_options(dir: &Path, shard: ShardId, log: &Arc<SharedLog>) -> GroupOptions {
    GroupOptions {
        id: shard,
        node: NodeId(1),
        dir: dir.join(format!("shard-{}", shard.0)),
        log: Arc::clone(log),
        cluster: None,
    }
}

async fn start(dir: &Path, policy: FsyncPolicy) -> Node {
    let log = open_log(dir, policy);
    let machine = Machine::default();
    let group = Group::open(group_options(dir, SHARD, &log), machine.clone()).await.expect("the group opens");
    tokio::time::timeout(Duration::from_secs(5), group.wait_ready()).await.expect("in time").expect("ready");
    Node { log, group: Arc::new(group), machine }
}

impl Node {
    async fn propose(&self, number: u64) -> Result<LogIndex, ProposeError> {
        propose(&self.group, Bytes::copy_from_slice(&number.to_le_bytes())).await
    }

    async fn stop(self) {
        self.group.shutdown().await;
        self.log.close().expect("closes");
    }

    fn numbers(&self) -> Vec<u64> {
        let number = |bytes: &Bytes| u64::from_le_bytes(bytes[..].try_into().expect("eight bytes"));
        self.machine.seen.lock().payloads.iter().map(|(_, payload)| number(payload)).collect()
    }
}

async fn propose(group: &Group, payload: Bytes) -> Result<LogIndex, ProposeError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let queued = group.propose(payload, move |result| sender.send(result).expect("somebody waits")).await;
    let result = receiver.await.expect("the callback runs");
    assert!(queued.is_ok() || result.is_err());
    result
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for file in fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        let target = to.join(file.file_name());
        if file.file_type().expect("a type").is_dir() {
            copy_tree(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).expect("a copy");
        }
    }
}

fn snapshots(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(dir.join("shard-3")).expect("a directory").map(|file| file.expect("a file").path()).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_applied_in_order_and_replayed_after_a_restart() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec, FsyncPolicy::No] {
        let dir = tempfile::tempdir().expect("a directory");
        let node = start(dir.path(), policy).await;
        assert!(node.group.read_gate());
        let mut last = LogIndex(0);
        for number in 0..200 {
            let index = node.propose(number).await.expect("applied");
            assert!(index > last);
            assert!(node.group.applied() >= Some(index));
            last = index;
        }
        assert_eq!(node.numbers(), (0..200).collect::<Vec<_>>());
        let status = node.group.status();
        assert_eq!((status.state, status.leader, status.term), (Role::Leader, Some(NodeId(1)), 1));
        let group = Arc::clone(&node.group);
        node.stop().await;
        assert!(!group.read_gate());
        assert_eq!(propose(&group, Bytes::from_static(b"late")).await, Err(ProposeError::Stopped));
        let node = start(dir.path(), policy).await;
        assert_eq!(node.numbers(), (0..200).collect::<Vec<_>>());
        assert_eq!(node.group.status().term, 2, "a restarted leader wins an election first");
        node.propose(200).await.expect("applied");
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_survives_a_crash() {
    for policy in [FsyncPolicy::Always, FsyncPolicy::EverySec] {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
        let node = start(&live, policy).await;
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        for number in 0..500u64 {
            let acknowledged = Arc::clone(&acknowledged);
            let done = move |result: Result<LogIndex, ProposeError>| {
                if result.is_ok() {
                    acknowledged.lock().push(number);
                }
            };
            node.group.propose(Bytes::copy_from_slice(&number.to_le_bytes()), done).await.expect("queued");
            if number == 250 {
                node.group.snapshot().await.expect("written");
            }
        }
        let expected = acknowledged.lock().clone();
        copy_tree(&live, &copy);
        drop(node);
        let node = start(&copy, policy).await;
        let numbers = node.numbers();
        assert!(expected.iter().all(|number| numbers.contains(number)));
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_replaces_the_log() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path(), FsyncPolicy::EverySec).await;
    for number in 0..1000 {
        node.propose(number).await.expect("applied");
    }
    let segments_before = node.log.stats().segments;
    assert!(segments_before > 2);
    let index = node.group.snapshot().await.expect("written");
    assert_eq!(node.group.applied(), Some(index));
    assert_eq!(node.group.snapshot().await.expect("there already"), index);
    assert_eq!(snapshots(dir.path()).len(), 1);
    let start_waiting = Instant::now();
    while node.log.stats().segments >= segments_before {
        assert!(start_waiting.elapsed() < Duration::from_secs(10), "{:?}", node.log.stats());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let status = node.group.status();
    assert_eq!(status.snapshot_index, Some(index.0));
    assert_eq!(status.purged_index, Some(index.0), "a group of one keeps nothing for others: {status:?}");
    for number in 1000..1100 {
        node.propose(number).await.expect("applied");
    }
    let second = node.group.snapshot().await.expect("written");
    assert!(second > index);
    assert_eq!(snapshots(dir.path()).len(), 1, "the older one is gone");
    node.propose(1100).await.expect("applied");
    node.stop().await;
    let node = start(dir.path(), FsyncPolicy::EverySec).await;
    assert_eq!(node.machine.seen.lock().restored, Some(second.0));
    assert_eq!(node.numbers(), (0..=1100).collect::<Vec<_>>());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_fails_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path(), FsyncPolicy::EverySec).await;
    node.propose(1).await.expect("applied");
    node.machine.fail_snapshot.store(true, SeqCst);
    let error = node.group.snapshot().await.expect_err("the disk is full");
    assert!(matches!(&error, SnapshotError::Write { .. }), "{error}");
    assert_eq!(snapshots(dir.path()), [] as [PathBuf; 0]);
    node.propose(2).await.expect("the group goes on");
    node.machine.fail_snapshot.store(false, SeqCst);
    node.machine.slow_snapshot.store(true, SeqCst);
    let group = Arc::clone(&node.group);
    let slow = tokio::spawn(async move { group.snapshot().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(matches!(node.group.snapshot().await, Err(SnapshotError::InProgress)));
    let during = node.propose(3).await.expect("applied while the snapshot is written");
    let index = slow.await.expect("no panic").expect("written");
    assert!(index < during);
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_missing_snapshots_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path(), FsyncPolicy::EverySec).await;
    for number in 0..600 {
        node.propose(number).await.expect("applied");
    }
    node.group.snapshot().await.expect("written");
    node.stop().await;
    let path = snapshots(dir.path()).pop().expect("a snapshot");
    let bytes = fs::read(&path).expect("readable");
    let log = open_log(dir.path(), FsyncPolicy::EverySec);
    let reopen = async || Group::open(group_options(dir.path(), SHARD, &log), Machine::default()).await.err();
    for at in [0, 9, 14, 17, 30, 200, bytes.len() - 14, bytes.len() - 2] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).expect("written");
        let error = reopen().await.expect("an error");
        assert!(matches!(&error, GroupError::Snapshot(error) if error.path == path), "byte {at}: {error}");
    }
    for length in [0, 10, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).expect("written");
        let error = reopen().await.expect("an error");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    fs::remove_file(&path).expect("removed");
    let error = reopen().await.expect("an error");
    assert!(matches!(error, GroupError::MissingSnapshot { .. }), "{error}");
    fs::write(&path, &bytes).expect("written");
    assert!(reopen().await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_share_a_log_and_know_nothing_of_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    for round in 1..=3u64 {
        let log = open_log(dir.path(), FsyncPolicy::Always);
        let machines = [Machine::default(), Machine::default()];
        let mut groups = Vec::new();
        for (shard, machine) in machines.iter().enumerate() {
            let options = group_options(dir.path(), ShardId(shard as u32), &log);
            let group = Group::open(options, machine.clone()).await.expect("opens");
            group.wait_ready().await.expect("ready");
            groups.push(group);
        }
        for _ in 0..20 {
            propose(&groups[0], Bytes::from_static(b"\0\0\0\0\0\0\0\0")).await.expect("applied");
            propose(&groups[1], Bytes::from_static(b"\x01\0\0\0\0\0\0\0")).await.expect("applied");
        }
        if round == 2 {
            groups[1].snapshot().await.expect("written");
        }
        for (shard, machine) in machines.iter().enumerate() {
            let seen = machine.seen.lock();
            assert_eq!(seen.payloads.len() as u64, 20 * round);
            assert!(seen.payloads.iter().all(|(_, payload)| usize::from(payload[0]) == shard));
        }
        for group in groups {
            group.shutdown().await;
        }
        log.close().expect("closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_machine_stops_the_group_and_no_callback_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let node = start(dir.path(), FsyncPolicy::EverySec).await;
    let outcome = tokio::time::timeout(Duration::from_secs(5), propose(&node.group, Bytes::from_static(b"fail")));
    assert_eq!(outcome.await.expect("in time"), Err(ProposeError::Unknown));
    let reason = tokio::time::timeout(Duration::from_secs(5), node.group.wait_stopped()).await.expect("in time");
    assert!(reason.to_string().contains("the machine broke"), "{reason}");
    assert!(!node.group.read_gate());
    assert_eq!(propose(&node.group, Bytes::from_static(b"later")).await, Err(ProposeError::Stopped));
    assert_eq!(node.group.status().state, Role::Stopped);
}
