//! What the process uses of memory, put together for INFO and MEMORY.

use std::sync::atomic::Ordering::Relaxed;

use crate::server::clients::Client;
use crate::server::{Server, memory};
use crate::storage::EngineKind;
use crate::types::Db;

/// One database's share.
pub(super) struct DatabaseReport {
    pub(super) number: u16,
    pub(super) keys: u64,
}

/// All figures, in bytes where nothing else is said.
pub(super) struct MemoryReport {
    pub(super) used: u64,
    pub(super) peak: u64,
    pub(super) startup: u64,
    pub(super) resident: u64,
    pub(super) allocator: memory::AllocatorUsage,
    pub(super) machine: u64,
    /// Buffers of connections.
    pub(super) clients: u64,
    /// Commands that wait for the next log entry.
    pub(super) log_queue: u64,
    /// Everything that is not data of the hash engine.
    pub(super) overhead: u64,
    /// Data of the hash engine.
    pub(super) dataset: u64,
    /// Databases that hold keys.
    pub(super) databases: Vec<DatabaseReport>,
    pub(super) keys: u64,
    /// By engine, what it knows of its own memory.
    pub(super) engines: Vec<(EngineKind, u64)>,
}

impl MemoryReport {
    /// Takes all figures now.
    pub(super) fn take(server: &Server) -> Self {
        server.sample_memory();
        let allocator = memory::allocator();
        let used = server.used_memory.load(Relaxed);
        let clients: u64 = server.clients.all().iter().map(|client| client_bytes(client)).sum();
        let log_queue = server.waiting_bytes();
        let mut databases = Vec::new();
        for Db(number) in server.databases() {
            let keys = server.count_keys(Db(number)).unwrap_or_default().keys;
            if keys > 0 {
                databases.push(DatabaseReport { number, keys });
            }
        }
        let engines: Vec<(EngineKind, u64)> =
            server.engine_usage().into_iter().map(|(kind, _, usage)| (kind, usage.memory_bytes)).collect();
        // Engines on disk keep their caches outside the allocator whose figures these are.
        let dataset =
            engines.iter().find(|(kind, _)| *kind == EngineKind::Hash).map_or(0, |(_, bytes)| *bytes).min(used);
        Self {
            used,
            peak: server.stats.peak_memory.load(Relaxed).max(used),
            startup: server.startup_memory,
            resident: memory::resident_set(),
            allocator,
            machine: memory::machine_total(),
            clients,
            log_queue,
            overhead: used - dataset,
            dataset,
            keys: databases.iter().map(|database| database.keys).sum(),
            databases,
            engines,
        }
    }

    /// Used memory without what was used before there was any data.
    pub(super) fn net(&self) -> u64 {
        self.used.saturating_sub(self.startup).max(1)
    }

    /// Net memory per key.
    pub(super) fn per_key(&self) -> u64 {
        self.net().checked_div(self.keys).unwrap_or(0)
    }

    /// The data's share of the net memory, in percent.
    pub(super) fn dataset_percent(&self) -> f64 {
        100.0 * ratio(self.dataset, self.net())
    }

    /// Used memory as a share of its peak, in percent.
    pub(super) fn peak_percent(&self) -> f64 {
        100.0 * ratio(self.used, self.peak)
    }

    /// Ratio and difference of two sizes that follow from each other, in the order in which
    /// Redis reports them: the allocator's pages to its allocations, its resident memory to its pages,
    /// the process's resident memory to the allocator's, and to what is used.
    pub(super) fn overheads(&self) -> [(f64, i64); 4] {
        let allocator = &self.allocator;
        [
            (allocator.active, allocator.allocated),
            (allocator.resident, allocator.active),
            (self.resident, allocator.resident),
            (self.resident, self.used),
        ]
        .map(|(whole, part)| (ratio(whole, part), whole as i64 - part as i64))
    }
}

/// Bytes that a connection takes.
fn client_bytes(client: &Client) -> u64 {
    let buffers = [&client.query_bytes, &client.query_free_bytes, &client.argument_bytes, &client.output_bytes];
    (buffers.iter().map(|bytes| bytes.load(Relaxed)).sum::<usize>() + size_of::<Client>()) as u64
}

fn ratio(whole: u64, part: u64) -> f64 {
    if part == 0 { 0.0 } else { whole as f64 / part as f64 }
}

/// A size with its unit, as INFO writes it for people.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [char; 5] = ['K', 'M', 'G', 'T', 'P'];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = *larger;
    }
    format!("{value:.2}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536, "1.50K"),
            (5 << 20, "5.00M"),
            (3 << 30, "3.00G"),
            (1 << 40, "1.00T"),
            (1 << 50, "1.00P"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(5, 0), 0.0);
        assert_eq!(ratio(6, 4), 1.5);
    }
}
