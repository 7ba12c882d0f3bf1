//! Sections about the process: server, clients, memory, CPU.

use std::sync::atomic::Ordering::Relaxed;

use super::Writer;
use crate::server::Server;
use crate::server::commands::memory_report::{MemoryReport, human};
use crate::server::commands::{KVORUM_VERSION, REDIS_VERSION};
use crate::server::settings::Setting;
use crate::shard::clock;

/// Bits of the clock that Redis's LRU works with.
const LRU_CLOCK_MASK: i64 = (1 << 24) - 1;

pub(super) fn server(out: &mut Writer, server: &Server) {
    let system = rustix::system::uname();
    let os = [system.sysname(), system.release(), system.machine()].map(|part| part.to_string_lossy().into_owned());
    let micros = clock::now_micros();
    let uptime_seconds = (micros / 1000 - server.started_ms).max(0) / 1000;
    let path = |path: Option<&std::path::Path>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let executable = std::env::current_exe().ok();
    out.title("Server");
    out.field("redis_version", REDIS_VERSION);
    out.field("redis_git_sha1", "00000000");
    out.field("redis_git_dirty", 0);
    out.field("redis_build_id", format_args!("kvorum-{KVORUM_VERSION}"));
    out.field("kvorum_version", KVORUM_VERSION);
    out.field("redis_mode", "standalone");
    out.field("os", os.join(" "));
    out.field("arch_bits", usize::BITS);
    out.field("monotonic_clock", "POSIX clock_gettime");
    out.field("multiplexing_api", "epoll");
    out.field("atomicvar_api", "rust-std");
    out.field("gcc_version", "0.0.0");
    out.field("process_id", std::process::id());
    out.field("process_supervised", "no");
    out.field("run_id", &server.run_id);
    out.field("tcp_port", server.port);
    out.field("server_time_usec", micros);
    out.field("uptime_in_seconds", uptime_seconds);
    out.field("uptime_in_days", uptime_seconds / 86_400);
    let hz = server.settings.int(Setting::Hz);
    out.field("hz", hz);
    out.field("configured_hz", hz);
    out.field("lru_clock", (micros / 1_000_000) & LRU_CLOCK_MASK);
    out.field("executable", path(executable.as_deref()));
    out.field("config_file", path(server.settings.config_file()));
    out.field("io_threads_active", u8::from(server.settings.io_threads() > 1));
    for (number, address) in server.settings.bind_addresses().iter().enumerate() {
        out.field(
            format_args!("listener{number}"),
            format_args!("name=tcp,bind={},port={}", address.host, server.port),
        );
    }
}

pub(super) fn clients(out: &mut Writer, server: &Server) {
    let clients = server.clients.all();
    let input = clients.iter().map(|client| client.query_bytes.load(Relaxed) + client.query_free_bytes.load(Relaxed));
    let output = clients.iter().map(|client| client.output_bytes.load(Relaxed));
    out.title("Clients");
    out.field("connected_clients", clients.len());
    out.field("cluster_connections", 0);
    out.field("maxclients", server.limits.clients_max.load(Relaxed));
    out.field("client_recent_max_input_buffer", input.max().unwrap_or(0));
    out.field("client_recent_max_output_buffer", output.max().unwrap_or(0));
    out.field("blocked_clients", clients.iter().filter(|client| client.blocked.load(Relaxed)).count());
    out.zeros(&["tracking_clients", "pubsub_clients"]);
    let watched: Vec<usize> = clients.iter().map(|client| client.watched_keys.load(Relaxed)).collect();
    out.field("watching_clients", watched.iter().filter(|keys| **keys > 0).count());
    out.zeros(&["clients_in_timeout_table"]);
    out.field("total_watched_keys", watched.iter().sum::<usize>());
    out.field("total_blocking_keys", server.sum(|shard| shard.waited_keys() as u64));
    out.zeros(&["total_blocking_keys_on_nokey"]);
}

pub(super) fn memory(out: &mut Writer, server: &Server) {
    let report = MemoryReport::take(server);
    let max = server.limits.memory_max_bytes.load(Relaxed);
    out.title("Memory");
    for (name, bytes) in
        [("used_memory", report.used), ("used_memory_rss", report.resident), ("used_memory_peak", report.peak)]
    {
        out.field(name, bytes);
        out.field(format_args!("{name}_human"), human(bytes));
    }
    out.field("used_memory_peak_perc", format_args!("{:.2}%", report.peak_percent()));
    out.field("used_memory_overhead", report.overhead);
    out.field("used_memory_startup", report.startup);
    out.field("used_memory_dataset", report.dataset);
    out.field("used_memory_dataset_perc", format_args!("{:.2}%", report.dataset_percent()));
    out.field("allocator_allocated", report.allocator.allocated);
    out.field("allocator_active", report.allocator.active);
    out.field("allocator_resident", report.allocator.resident);
    out.field("total_system_memory", report.machine);
    out.field("total_system_memory_human", human(report.machine));
    out.zeros(&["used_memory_lua", "used_memory_vm_eval"]);
    out.field("used_memory_lua_human", human(0));
    out.zeros(&[
        "used_memory_scripts_eval",
        "number_of_cached_scripts",
        "number_of_functions",
        "number_of_libraries",
        "used_memory_vm_functions",
        "used_memory_vm_total",
    ]);
    out.field("used_memory_vm_total_human", human(0));
    out.zeros(&["used_memory_functions", "used_memory_scripts"]);
    out.field("used_memory_scripts_human", human(0));
    out.field("maxmemory", max);
    out.field("maxmemory_human", human(max));
    out.field("maxmemory_policy", server.settings.word(Setting::MaxmemoryPolicy));
    let names = [
        ("allocator_frag_ratio", "allocator_frag_bytes"),
        ("allocator_rss_ratio", "allocator_rss_bytes"),
        ("rss_overhead_ratio", "rss_overhead_bytes"),
        ("mem_fragmentation_ratio", "mem_fragmentation_bytes"),
    ];
    for ((ratio_name, bytes_name), (ratio, bytes)) in names.into_iter().zip(report.overheads()) {
        out.field(ratio_name, format_args!("{ratio:.2}"));
        out.field(bytes_name, bytes);
    }
    out.zeros(&[
        "mem_not_counted_for_evict",
        "mem_replication_backlog",
        "mem_total_replication_buffers",
        "mem_clients_slaves",
    ]);
    out.field("mem_clients_normal", report.clients);
    out.zeros(&["mem_cluster_links"]);
    out.field("mem_aof_buffer", report.log_queue);
    out.field("mem_allocator", "jemalloc-5.3.1");
    out.zeros(&["active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects"]);
}

pub(super) fn cpu(out: &mut Writer, _server: &Server) {
    let process = CpuTimes::read("/proc/self/stat").unwrap_or_default();
    let main = CpuTimes::read(&format!("/proc/self/task/{}/stat", std::process::id())).unwrap_or_default();
    out.title("CPU");
    for (name, ticks) in [
        ("used_cpu_sys", process.system),
        ("used_cpu_user", process.user),
        ("used_cpu_sys_children", process.children_system),
        ("used_cpu_user_children", process.children_user),
        ("used_cpu_sys_main_thread", main.system),
        ("used_cpu_user_main_thread", main.user),
    ] {
        let seconds = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        out.field(name, format_args!("{seconds:.6}"));
    }
}

/// Processor time in ticks of the kernel's accounting.
#[derive(Debug, Default, PartialEq, Eq)]
struct CpuTimes {
    user: u64,
    system: u64,
    children_user: u64,
    children_system: u64,
}

impl CpuTimes {
    fn read(path: &str) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    /// Reads a line in the form of proc_pid_stat(5): the times are fields 14 to 17, and field 2,
    /// the name in parentheses, may hold anything.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_name) = line.rsplit_once(") ")?;
        let mut times = after_name.split(' ').skip(11).map_while(|field| field.parse().ok());
        Some(Self {
            user: times.next()?,
            system: times.next()?,
            children_user: times.next()?,
            children_system: times.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_times_are_found_behind_any_name() {
        let line = "7 (a) b (c) S 1 7 7 0 -1 4194560 96 0 3 0 150 25 2 1 20 0 5 0 100 200 300\n";
        let times = CpuTimes { user: 150, system: 25, children_user: 2, children_system: 1 };
        assert_eq!(CpuTimes::parse(line), Some(times));
        assert_eq!(CpuTimes::parse("7 (a) S 1"), None);
        assert!(CpuTimes::read("/proc/self/stat").is_some());
    }
}
