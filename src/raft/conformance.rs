//! openraft's own suite of storage tests, run on the log and the state machine adapter.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use super::log::{FsyncPolicy, GroupLog, LogOptions, SharedLog};
use super::state_machine::Adapter;
use super::types::TypeConfig;
use super::{SnapshotJob, StateMachine};
use crate::types::{LogIndex, ShardId};

/// Counts entries.
#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _index: LogIndex, _term: u64, _payload: &Bytes) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn skip(&mut self, _index: LogIndex) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn begin_snapshot(&mut self) -> io::Result<Box<dyn SnapshotJob>> {
        Ok(Box::new(Count(self.0)))
    }

    fn restore(&mut self, _index: LogIndex, body: &Path, body_offset: u64) -> io::Result<()> {
        let bytes = std::fs::read(body)?;
        let at = body_offset as usize;
        self.0 = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Ok(())
    }
}

struct Count(u64);

impl SnapshotJob for Count {
    fn write(self: Box<Self>, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.0.to_le_bytes())
    }
}

struct Builder {
    policy: FsyncPolicy,
    cache_bytes: usize,
}

/// Keeps the directory and the log until the test is over.
type Guard = (tempfile::TempDir, Arc<SharedLog>);

impl StoreBuilder<TypeConfig, GroupLog, Adapter, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, GroupLog, Adapter), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = LogOptions { cache_bytes: self.cache_bytes, ..LogOptions::new(self.policy) };
        let log = SharedLog::open(&dir.path().join("log"), options).expect("a new log opens");
        let group = log.group(ShardId(1));
        let snapshots = dir.path().join("snapshots");
        std::fs::create_dir(&snapshots).expect("a new directory");
        let adapter = Adapter::new(Box::new(Counter::default()), snapshots, None, None);
        Ok(((dir, log), group, adapter))
    }
}

async fn run(policy: FsyncPolicy, cache_bytes: usize) {
    Suite::test_all(Builder { policy, cache_bytes }).await.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_with_appendfsync_always() {
    run(FsyncPolicy::Always, 1 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_with_appendfsync_everysec_reading_back_from_segments() {
    run(FsyncPolicy::EverySec, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_in_memory() {
    run(FsyncPolicy::Memory, 1 << 20).await;
}
