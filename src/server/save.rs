//! SAVE and BGSAVE: an RDB file of this node's data, which Redis loads, and snapshots of the shards.
//!
//! The file shows each shard as it was at one moment, those of several shards being a little apart. In a cluster it
//! has what this node has replicas of. The server itself never reads it: `kvorum import` does, and Redis.
//!
//! With save points (`save`), files are also written when enough was changed, and at the end of the process. There are
//! none by default: what makes writes durable is the log, and a file is for others to read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::time::Duration;

use super::Server;
use super::commands::{KVORUM_VERSION, REDIS_VERSION};
use super::process::PauseMode;
use super::settings::{SavePoint, Setting};
use crate::raft::SnapshotError;
use crate::shard::{ShardImage, clock};
use crate::storage::rdb::SaveOptions;
use crate::storage::rdb::file::FileWriter;

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// A snapshot cannot be taken.
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    /// The file cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How long a save point waits after a file could not be written, as in Redis.
const RETRY_MS: i64 = 5000;
/// How often is looked whether something that is in the way of a file is over.
const POLL: Duration = Duration::from_millis(10);
/// How long the end of the process waits for writes that were under way when it began.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// What is known of the files that were written. Times are in ms since the Unix epoch.
pub struct Saves {
    /// When the last file was finished; before the first one, when the process started.
    pub last_ms: AtomicI64,
    /// How long the last file took; -1 before the first.
    pub took_ms: AtomicI64,
    /// When the file that is being written was begun; 0 when there is none.
    pub began_ms: AtomicI64,
    /// Files that were written.
    pub count: AtomicU64,
    /// The last file could not be written.
    pub failed: AtomicBool,
    /// When the last file was begun.
    tried_ms: AtomicI64,
    /// Changes that had been made when the last file that was finished was begun.
    changes: AtomicU64,
}

impl Saves {
    /// Nothing was written yet, and the changes so far were made before the process started.
    pub(super) fn new(now_ms: i64, changes: u64) -> Self {
        Self {
            last_ms: AtomicI64::new(now_ms),
            took_ms: AtomicI64::new(-1),
            began_ms: AtomicI64::new(0),
            count: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            tried_ms: AtomicI64::new(0),
            changes: AtomicU64::new(changes),
        }
    }

    fn begin(&self, now_ms: i64) {
        self.began_ms.store(now_ms, Relaxed);
        self.tried_ms.store(now_ms, Relaxed);
    }

    /// Notes the end of a file that was begun when `changes` had been made.
    fn end(&self, now_ms: i64, changes: u64, written: bool) {
        let began_ms = self.began_ms.swap(0, Relaxed);
        self.failed.store(!written, Relaxed);
        if written {
            self.last_ms.store(now_ms, Relaxed);
            self.took_ms.store((now_ms - began_ms).max(0), Relaxed);
            self.changes.store(changes, Relaxed);
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Changes since the last file, of so many in all.
    fn unsaved(&self, changes: u64) -> u64 {
        // The changes of a shard that left this node are no longer among them.
        changes - self.changes.fetch_min(changes, Relaxed).min(changes)
    }

    /// The save point that asks for a file now.
    fn due(&self, points: &[SavePoint], unsaved: u64, now_ms: i64) -> Option<SavePoint> {
        let seconds = now_ms.saturating_sub(self.last_ms.load(Relaxed)).max(0) / 1000;
        if self.failed.load(Relaxed) && now_ms.saturating_sub(self.tried_ms.load(Relaxed)) <= RETRY_MS {
            return None;
        }
        points.iter().copied().find(|point| unsaved >= point.changes && seconds.unsigned_abs() > point.seconds)
    }
}

impl Server {
    /// Changes since the last file.
    pub fn unsaved_changes(&self) -> u64 {
        self.saves.unsaved(self.sum(|shard| shard.stats.dirty.load(Relaxed)))
    }

    /// Begins to write a file in the background if a save point asks for one.
    pub(super) fn obey_save_points(self: &Arc<Self>) {
        let points = self.settings.save_points();
        if points.is_empty() || self.snapshot_running() {
            return;
        }
        let unsaved = self.unsaved_changes();
        if let Some(point) = self.saves.due(&points, unsaved, clock::now().0) {
            tracing::info!("{unsaved} changes in {} seconds. Saving...", point.seconds);
            let server = Arc::clone(self);
            tokio::spawn(async move {
                if let Err(error) = server.save().await {
                    tracing::warn!(%error, "the file that a save point asked for could not be written");
                }
            });
        }
    }

    /// Whether the end of the process writes a file, when it is told to, told not to, or neither.
    pub(super) fn saves_at_end(&self, save: bool, no_save: bool) -> bool {
        save || (!no_save && !self.settings.save_points().is_empty())
    }

    /// Writes the file with which the process ends. Clients' writes are held up from now on; when there is an error,
    /// the process goes on, and so do they. (In a cluster other nodes' clients write on.)
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) async fn save_at_end(self: &Arc<Self>) -> Result<(), SaveError> {
        let pause = self.paused();
        self.pause(i64::MAX, PauseMode::Write);
        self.settle().await;
        let saved = loop {
            match self.save().await {
                Err(SaveError::Snapshot(SnapshotError::InProgress)) => tokio::time::sleep(POLL).await,
                other => break other,
            }
        };
        if saved.is_err() {
            self.unpause();
            if let Some((mode, until_ms)) = pause {
                self.pause(until_ms, mode);
            }
        }
        saved
    }

    /// Waits until nothing is applied any more: clients get answers only to what the file has.
    async fn settle(&self) {
        let settled = async {
            let mut before = None;
            loop {
                let now = (self.waiting_bytes(), self.applied_total());
                if now.0 == 0 && before == Some(now) {
                    break;
                }
                before = Some(now);
                tokio::time::sleep(POLL).await;
            }
        };
        if tokio::time::timeout(SETTLE_MAX, settled).await.is_err() {
            tracing::warn!("writes are applied while the last file is written; the log has them");
        }
    }

    /// Writes the RDB file, and then takes a snapshot of every shard.
    ///
    /// # Errors
    /// When one is being taken already, or a file cannot be written.
    pub async fn save(self: &Arc<Self>) -> Result<(), SaveError> {
        let saving = self.begin_saving()?;
        let changes = self.sum(|shard| shard.stats.dirty.load(Relaxed));
        self.saves.begin(clock::now().0);
        let written = self.write_rdb().await;
        self.saves.end(clock::now().0, changes, written.is_ok());
        written?;
        Ok(self.snapshot_shards(saving).await?)
    }

    async fn write_rdb(self: &Arc<Self>) -> Result<(), SaveError> {
        let dir = self.settings.dir();
        let path = dir.join(&*self.settings.string(Setting::Dbfilename));
        let part = dir.join(format!("temp-{}.rdb", std::process::id()));
        let in_file = |source| SaveError::File { path: path.clone(), source };
        let server = Arc::clone(self);
        let written = tokio::task::spawn_blocking({
            let (part, path) = (part.clone(), path.clone());
            move || {
                let images = server.router().shards().map(|shard| shard.image()).collect::<Result<Vec<_>, _>>();
                let compress = server.settings.bool(Setting::Rdbcompression);
                let checksum = server.settings.bool(Setting::Rdbchecksum);
                write_file(&part, images.map_err(io::Error::other)?, compress, checksum)?;
                fs::rename(&part, &path)?;
                File::open(&dir)?.sync_all()
            }
        });
        let written = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if written.is_err() {
            // The error says more than that the rest could not be removed.
            let _ = fs::remove_file(&part);
        }
        written.map_err(in_file)
    }
}

fn write_file(path: &Path, images: Vec<ShardImage>, compress: bool, checksum: bool) -> io::Result<()> {
    let mut writer = FileWriter::new(File::create(path)?, checksum)?;
    writer.aux(b"redis-ver", REDIS_VERSION.as_bytes())?;
    writer.aux(b"redis-bits", b"64")?;
    writer.aux(b"ctime", (clock::now().0 / 1000).to_string().as_bytes())?;
    writer.aux(b"used-mem", super::memory::allocator().allocated.to_string().as_bytes())?;
    writer.aux(b"kvorum-ver", KVORUM_VERSION.as_bytes())?;
    for image in images {
        let encoding = image.encoding().clone();
        let options = SaveOptions { encoding: &encoding, compress };
        image.for_each(&mut |db, key, expires_at, object| {
            writer.select(db)?;
            writer.object(key, expires_at, object, options)
        })?;
    }
    let mut file = writer.finish()?;
    file.flush()?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [SavePoint; 2] = [SavePoint { seconds: 60, changes: 10 }, SavePoint { seconds: 5, changes: 1000 }];

    #[test]
    fn a_save_point_needs_its_time_and_its_changes() {
        let saves = Saves::new(1_000_000, 7);
        assert_eq!(saves.unsaved(7), 0, "what the log had is not new");
        let due = |unsaved, seconds: i64| saves.due(&POINTS, unsaved, 1_000_000 + seconds * 1000);
        assert_eq!(due(1_000_000, 5), None, "later than so many seconds");
        assert_eq!(due(999, 6), None);
        assert_eq!(due(1000, 6), Some(POINTS[1]));
        assert_eq!(due(1000, 61), Some(POINTS[0]));
        assert_eq!(due(9, 3600), None);
        assert_eq!(due(u64::MAX, -10), None, "a clock that was put back");
        assert_eq!(saves.due(&[], u64::MAX, i64::MAX), None);
    }

    #[test]
    fn only_a_file_that_was_written_counts() {
        let saves = Saves::new(0, 0);
        saves.begin(70_000);
        saves.end(71_000, 500, false);
        assert_eq!((saves.unsaved(500), saves.last_ms.load(Relaxed), saves.count.load(Relaxed)), (500, 0, 0));
        assert_eq!(saves.due(&POINTS, 500, 75_000), None, "tried again after five seconds");
        assert_eq!(saves.due(&POINTS, 500, 75_001), Some(POINTS[0]));
        saves.begin(76_000);
        saves.end(77_500, 500, true);
        assert_eq!(saves.unsaved(520), 20, "what came after the file was begun");
        assert_eq!((saves.last_ms.load(Relaxed), saves.took_ms.load(Relaxed)), (77_500, 1500));
        assert_eq!(saves.unsaved(300), 0, "a shard has left");
        assert_eq!(saves.unsaved(310), 10);
    }
}
