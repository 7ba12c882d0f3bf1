//! Opening an LMDB environment: the one place of this engine that needs `unsafe`.
#![allow(unsafe_code)]

use std::path::Path;

use heed::{Env, EnvFlags, EnvOpenOptions, WithoutTls};

use super::options::RowOptions;
use crate::storage::StorageResult;

/// Smallest map to fall back to.
const MAP_MIN_BYTES: usize = 1 << 30;
/// Maps are whole pages; this is a multiple of every page size in use.
const MAP_UNIT_BYTES: usize = 64 << 10;

/// Opens or creates the environment in a directory, with the largest map the machine allows up to the
/// one asked for: containers may limit a process' address space.
pub(super) fn open_environment(path: &Path, options: &RowOptions) -> StorageResult<Env<WithoutTls>> {
    let mut map_bytes = options.btree_map_bytes.next_multiple_of(MAP_UNIT_BYTES);
    loop {
        let mut builder = EnvOpenOptions::new().read_txn_without_tls();
        builder.map_size(map_bytes).max_readers(options.btree_readers);
        // Without `NO_READ_AHEAD` each look-up in a file larger than memory reads megabytes around every page it
        // needs, and throws out of memory what the next look-ups need.
        let flags = EnvFlags::NO_READ_AHEAD | if options.durable { EnvFlags::NO_META_SYNC } else { EnvFlags::NO_SYNC };
        // SAFETY: `NO_META_SYNC` may cost the last commit when the machine crashes, which the raft log has,
        // and never the file's integrity. `NO_SYNC` is for a cache, whose files are deleted before they would be
        // opened again. `NO_READ_AHEAD` is advice to the kernel. `WRITE_MAP` and `NO_LOCK` are not set.
        unsafe { builder.flags(flags) };
        // SAFETY: the file belongs to this process alone. A shard's directory is locked by the node that
        // owns it, and heed refuses to open an environment twice in a process, so nothing changes the file
        // under the map.
        match unsafe { builder.open(path) } {
            Ok(env) => return Ok(env),
            Err(heed::Error::Io(error))
                if error.kind() == std::io::ErrorKind::OutOfMemory && map_bytes / 2 >= MAP_MIN_BYTES =>
            {
                map_bytes = (map_bytes / 2).next_multiple_of(MAP_UNIT_BYTES);
            }
            Err(error) => return Err(error.into()),
        }
    }
}
