//! The data directory: one process at a time, one format, one node.
//!
//! | file | content |
//! |---|---|
//! | `LOCK` | held with an advisory lock while a process uses the directory; its process id, in decimal |
//! | `VERSION` | the format version of everything in the directory, in decimal |
//! | `node-id` | the name of the node, made once: 40 hexadecimal digits |
//! | `CACHE` | only where nothing outlives the process (`appendonly no`): the data here may be deleted |
//! | `cluster-id` | only on a node that is in a cluster: the cluster's number, 32 hexadecimal digits |
//! | `BOOT` | the boot id of the machine at the last start |
//! | `CLEAN` | only between a clean shutdown and the next start: the boot id of the machine |
//!
//! Each file is one line. The operating system drops the lock with the process, however it ends, so
//! a `LOCK` file that is there means nothing by itself.
//!
//! The clean marker answers one question at the start: may the tail of the files be trusted? It may
//! if the marker is there (everything was synced before it was written) or if the machine has
//! not been started anew since (the operating system has written what the process gave it).

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Version of the formats of all files in a data directory. A newer one is refused.
pub const FORMAT_VERSION: u32 = 1;

const LOCK: &str = "LOCK";
const VERSION: &str = "VERSION";
const NODE_ID: &str = "node-id";
const CLEAN: &str = "CLEAN";
const CACHE: &str = "CACHE";
const CLUSTER_ID: &str = "cluster-id";
const BOOT: &str = "BOOT";
/// Everything that holds data.
const DATA: [&str; 2] = ["log", "metadata"];
/// Directories of shards begin with this.
const SHARD_PREFIX: &str = "shard-";

/// Digits of a node's name; as many as Redis's run ids and replication ids have.
const NODE_ID_DIGITS: usize = 40;

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error("the data directory {} is in use by process {holder}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// What the lock file says of the process: its id, or that it is unknown.
        holder: String,
    },
    /// A newer version of the server made it.
    #[error(
        "the data directory {} has format version {found}, and this server knows versions up to {FORMAT_VERSION}: \
         start it with the server that wrote it, or a newer one",
        path.display()
    )]
    TooNew {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A file in it does not hold what it should.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It holds data that a cache would delete.
    #[error(
        "the data directory {} holds data that was written to be kept, and with 'appendonly no' it would be lost: \
         choose another directory with the setting dir, set 'appendonly yes', or delete the data yourself",
        path.display()
    )]
    HoldsData {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to a server that is in no cluster.
    #[error(
        "the data directory {} holds the data of a server outside any cluster: start it with 'cluster-enabled no', or \
         choose another directory with the setting dir",
        path.display()
    )]
    Standalone {
        /// The directory.
        path: PathBuf,
    },
    /// It belongs to a node of a cluster.
    #[error(
        "the data directory {} belongs to a node of cluster {cluster}: start it with 'cluster-enabled yes', or choose \
         another directory with the setting dir",
        path.display()
    )]
    Clustered {
        /// The directory.
        path: PathBuf,
        /// The cluster's number.
        cluster: String,
    },
    /// The operating system refuses something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The proof that everything was on disk when the last process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanMarker {
    /// The boot of the machine in which it was written; see [`boot_id`].
    pub boot_id: String,
}

/// A data directory in use by this process, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    node_id: String,
    /// Its lock is the process's claim on the directory.
    _lock: File,
}

impl DataDir {
    /// Claims a directory, and creates it when it is missing.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        fs::create_dir_all(path).map_err(failed("create the directory", path))?;
        let lock = claim(path)?;
        check_version(path)?;
        let node_id = node_id(path)?;
        Ok(Self { path: path.to_owned(), node_id, _lock: lock })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of this node: 40 hexadecimal digits that stay the same for the life of the directory.
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// The number of the cluster that this node belongs to.
    pub fn cluster_id(&self) -> Result<Option<u128>, DataDirError> {
        let path = self.path.join(CLUSTER_ID);
        let Some(line) = read_line(&path)? else { return Ok(None) };
        match u128::from_str_radix(&line, 16) {
            Ok(id) if id != 0 && line.len() == 32 => Ok(Some(id)),
            _ => Err(DataDirError::Damaged { path, reason: "it does not hold 32 hexadecimal digits".to_owned() }),
        }
    }

    /// Refuses to use a node's data outside its cluster, and a standalone server's data in one.
    pub fn check_cluster(&self, clustered: bool) -> Result<(), DataDirError> {
        match (self.cluster_id()?, clustered) {
            (Some(id), false) => {
                Err(DataDirError::Clustered { path: self.path.clone(), cluster: format!("{id:032x}") })
            }
            (None, true) if self.path.join("metadata").exists() => {
                Err(DataDirError::Standalone { path: self.path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Notes the machine's boot; answers whether the machine went down while the directory was in use, so that what
    /// was not synced is lost. `clean` is whether the last process ended cleanly.
    pub fn note_boot(&self, clean: bool) -> Result<bool, DataDirError> {
        let path = self.path.join(BOOT);
        let before = read_line(&path)?;
        let now = boot_id().unwrap_or_else(|| "unknown".to_owned());
        let same = before.as_ref() == Some(&now) && now != "unknown";
        if before.as_ref() != Some(&now) {
            write_file(&self.path, BOOT, &now)?;
        }
        Ok(before.is_some() && !clean && !same)
    }

    /// Makes the directory ready for data that is to be kept (`durable`), or for a cache, whose data is
    /// worthless after a restart and is deleted here. What was a cache starts empty in either case.
    pub fn prepare(&self, durable: bool) -> Result<(), DataDirError> {
        let marker = self.path.join(CACHE);
        let was_cache = marker.try_exists().map_err(failed("look for", &marker))?;
        let data = self.data()?;
        if !durable && !was_cache {
            if !data.is_empty() {
                return Err(DataDirError::HoldsData { path: self.path.clone() });
            }
            // Before there is any data, so that a cache can never be taken for more than it is.
            return write_file(&self.path, CACHE, "the data here is a cache, and is deleted at every start");
        }
        if was_cache {
            for path in data {
                fs::remove_dir_all(&path).map_err(failed("delete", &path))?;
            }
            if durable {
                sync_directory(&self.path)?;
                fs::remove_file(&marker).map_err(failed("remove", &marker))?;
                sync_directory(&self.path)?;
            }
        }
        Ok(())
    }

    /// Directories in it that hold data.
    fn data(&self) -> Result<Vec<PathBuf>, DataDirError> {
        let list = || -> io::Result<Vec<PathBuf>> {
            let mut found = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                let name = entry.file_name();
                let holds_data =
                    name.to_str().is_some_and(|name| DATA.contains(&name) || name.starts_with(SHARD_PREFIX));
                if holds_data && entry.file_type()?.is_dir() {
                    found.push(entry.path());
                }
            }
            Ok(found)
        };
        list().map_err(failed("list", &self.path))
    }

    /// Takes the marker of a clean shutdown, if there is one; once this returns, it is gone from the
    /// disk, so that a crash from here on is seen as one.
    pub fn take_clean_marker(&self) -> Result<Option<CleanMarker>, DataDirError> {
        let file = self.path.join(CLEAN);
        let Some(boot_id) = read_line(&file)? else { return Ok(None) };
        fs::remove_file(&file).map_err(failed("remove", &file))?;
        sync_directory(&self.path)?;
        Ok((!boot_id.is_empty()).then_some(CleanMarker { boot_id }))
    }

    /// Marks a clean shutdown. The caller has synced everything else before.
    pub fn write_clean_marker(&self) -> Result<(), DataDirError> {
        write_file(&self.path, CLEAN, &boot_id().unwrap_or_else(|| "unknown".to_owned()))
    }
}

/// Notes in a data directory that it belongs to a node of a cluster. Blocking.
///
/// # Errors
/// When the file cannot be written.
pub fn set_cluster_id(directory: &Path, cluster: u128) -> Result<(), DataDirError> {
    write_file(directory, CLUSTER_ID, &format!("{cluster:032x}"))
}

/// The identity of the machine's current boot, where the operating system tells it.
pub fn boot_id() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

/// Locks the directory and writes the process id into the lock file.
fn claim(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if known { holder.trim().to_owned() } else { "(unknown)".to_owned() };
            return Err(DataDirError::InUse { path: directory.to_owned(), holder });
        }
        Err(error) => return Err(failed("lock", &path)(error.into())),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed("write", &path))?;
    Ok(file)
}

fn check_version(directory: &Path) -> Result<(), DataDirError> {
    let path = directory.join(VERSION);
    let Some(line) = read_line(&path)? else {
        return write_file(directory, VERSION, &FORMAT_VERSION.to_string());
    };
    match line.parse::<u32>() {
        Ok(1..=FORMAT_VERSION) => Ok(()),
        Ok(0) | Err(_) => Err(DataDirError::Damaged { path, reason: format!("'{line}' is no format version") }),
        Ok(found) => Err(DataDirError::TooNew { path: directory.to_owned(), found }),
    }
}

fn node_id(directory: &Path) -> Result<String, DataDirError> {
    let path = directory.join(NODE_ID);
    let Some(line) = read_line(&path)? else {
        let id = random_id().map_err(failed("make", &path))?;
        write_file(directory, NODE_ID, &id)?;
        return Ok(id);
    };
    if line.len() == NODE_ID_DIGITS && line.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(line)
    } else {
        Err(DataDirError::Damaged { path, reason: format!("it does not hold {NODE_ID_DIGITS} hexadecimal digits") })
    }
}

/// A random name for a node or for a run of the server: 40 hexadecimal digits.
pub fn random_id() -> io::Result<String> {
    let mut bytes = [0; NODE_ID_DIGITS / 2];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut id = String::with_capacity(NODE_ID_DIGITS);
    for byte in bytes {
        write!(id, "{byte:02x}").expect("writing to a string does not fail");
    }
    Ok(id)
}

/// The trimmed content of a file; `None` when there is no file.
fn read_line(path: &Path) -> Result<Option<String>, DataDirError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Writes a file so that after a crash it is there whole or not at all.
fn write_file(directory: &Path, name: &str, line: &str) -> Result<(), DataDirError> {
    let path = directory.join(name);
    let temporary = directory.join(format!("{name}.tmp"));
    let write = || {
        let mut file = File::create(&temporary)?;
        writeln!(file, "{line}")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().map_err(failed("write", &path))?;
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> Result<(), DataDirError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(failed("sync", directory))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn one_at_a_time() {
        let root = directory();
        let path = root.path().join("a/b");
        let first = DataDir::open(&path).expect("first");
        match DataDir::open(&path) {
            Err(DataDirError::InUse { holder, .. }) => assert_eq!(holder, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        drop(first);
        DataDir::open(&path).expect("after the first is gone");
    }

    #[test]
    fn node_id_is_made_once() {
        let root = directory();
        let first = DataDir::open(root.path()).expect("open").node_id().to_owned();
        assert_eq!(first.len(), 40);
        assert_eq!(DataDir::open(root.path()).expect("open").node_id(), first);
        assert_ne!(DataDir::open(directory().path()).expect("open").node_id(), first);
        fs::write(root.path().join(NODE_ID), "short\n").expect("write");
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::Damaged { .. })));
    }

    #[test]
    fn newer_format_is_refused() {
        let root = directory();
        drop(DataDir::open(root.path()).expect("open"));
        let version = root.path().join(VERSION);
        assert_eq!(fs::read_to_string(&version).expect("read"), "1\n");
        fs::write(&version, "2\n").expect("write");
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::TooNew { found: 2, .. })));
        for damaged in ["", "x", "0", "-1"] {
            fs::write(&version, damaged).expect("write");
            assert!(matches!(DataDir::open(root.path()), Err(DataDirError::Damaged { .. })), "{damaged}");
        }
    }

    #[test]
    fn clean_marker_is_taken_once() {
        let root = directory();
        let data = DataDir::open(root.path()).expect("open");
        assert_eq!(data.take_clean_marker().expect("take"), None);
        data.write_clean_marker().expect("write");
        let marker = data.take_clean_marker().expect("take").expect("was written");
        assert_eq!(Some(marker.boot_id), boot_id());
        assert_eq!(data.take_clean_marker().expect("take"), None);
    }

    #[test]
    fn a_cache_is_emptied_and_durable_data_never_is() {
        let root = directory();
        let data = DataDir::open(root.path()).expect("open");
        let fill = || {
            for name in ["log", "metadata", "shard-1/lsm"] {
                fs::create_dir_all(root.path().join(name)).expect("make");
            }
            fs::write(root.path().join("log/1"), "data").expect("write");
        };
        let is_filled = || root.path().join("log/1").exists();
        data.prepare(false).expect("an empty directory can be a cache");
        fill();
        data.prepare(false).expect("again");
        assert!(!is_filled() && !root.path().join("shard-1").exists());
        fill();
        data.prepare(true).expect("a cache becomes durable");
        assert!(!is_filled(), "what a cache held is not taken for durable");
        fill();
        data.prepare(true).expect("again");
        assert!(is_filled());
        let error = data.prepare(false).expect_err("durable data").to_string();
        assert!(error.contains("appendonly") && is_filled(), "{error}");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let root = directory();
        let path = root.path().join("file");
        fs::write(&path, "").expect("write");
        let error = DataDir::open(&path).expect_err("not a directory").to_string();
        assert!(error.starts_with("cannot create the directory") && error.contains("file"), "{error}");
    }
}
