//! SAVE and BGSAVE: an RDB file of this node's data, which Redis loads, and snapshots of the shards.
//!
//! The file shows each shard as it was at one moment, those of several shards being a little apart. In a cluster it
//! has what this node has replicas of. The server itself never reads it: `kvorum import` does, and Redis.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::Server;
use super::commands::{KVORUM_VERSION, REDIS_VERSION};
use super::settings::Setting;
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

impl Server {
    /// Writes the RDB file, and then takes a snapshot of every shard.
    ///
    /// # Errors
    /// When one is being taken already, or a file cannot be written.
    pub async fn save(self: &Arc<Self>) -> Result<(), SaveError> {
        let saving = self.begin_saving()?;
        let written = self.write_rdb().await;
        self.rdb_failed.store(written.is_err(), Relaxed);
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
