//! The slow log: the commands that took longer than a threshold.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::clock;
use super::latency::LatencyMonitor;
use crate::command::{CommandSpec, Flags};

/// Most arguments of a command that an entry keeps (Redis's SLOWLOG_ENTRY_MAX_ARGC).
const ENTRY_ARGS_MAX: usize = 32;
/// Most bytes of an argument that an entry keeps (Redis's SLOWLOG_ENTRY_MAX_STRING).
const ENTRY_ARG_BYTES_MAX: usize = 128;

/// Who sent a command.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The client's address.
    pub address: String,
    /// The client's name.
    pub name: String,
}

/// One slow command.
#[derive(Clone, Debug)]
pub struct SlowEntry {
    /// Counts the entries since start.
    pub id: u64,
    /// When it was executed, in seconds since the Unix epoch.
    pub unix_seconds: i64,
    /// How long it took.
    pub micros: i64,
    /// The command, shortened as Redis does.
    pub args: Vec<Vec<u8>>,
    /// Who sent it.
    pub origin: Origin,
}

/// The slow log of this process.
pub struct SlowLog {
    /// Commands that take fewer nanoseconds concern neither the log nor the monitor.
    watched_nanos: AtomicU64,
    /// Commands that take so many microseconds are logged; negative turns the log off.
    threshold_micros: AtomicI64,
    /// Commands that take so many milliseconds are shown to the latency monitor; 0 turns it off.
    monitor_millis: AtomicU64,
    length_max: AtomicU64,
    /// Samples of commands that took longer than its own threshold.
    pub latency: LatencyMonitor,
    entries: Mutex<(u64, VecDeque<SlowEntry>)>,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self {
            watched_nanos: AtomicU64::new(10_000_000),
            threshold_micros: AtomicI64::new(10_000),
            monitor_millis: AtomicU64::new(0),
            length_max: AtomicU64::new(128),
            latency: LatencyMonitor::default(),
            entries: Mutex::default(),
        }
    }
}

impl SlowLog {
    /// Applies `slowlog-log-slower-than`, `slowlog-max-len` and `latency-monitor-threshold`.
    pub fn configure(&self, threshold_micros: i64, length_max: u64, monitor_millis: u64) {
        self.threshold_micros.store(threshold_micros, Ordering::Relaxed);
        self.length_max.store(length_max, Ordering::Relaxed);
        self.monitor_millis.store(monitor_millis, Ordering::Relaxed);
        let logged = u64::try_from(threshold_micros).map_or(u64::MAX, |micros| micros.saturating_mul(1000));
        let monitored = if monitor_millis == 0 { u64::MAX } else { monitor_millis.saturating_mul(1_000_000) };
        self.watched_nanos.store(logged.min(monitored), Ordering::Relaxed);
    }

    /// Notes a command if it was slow.
    #[inline]
    pub fn observe(&self, spec: &CommandSpec, nanos: u64, args: &[&[u8]], origin: impl FnOnce() -> Origin) {
        if nanos >= self.watched_nanos.load(Ordering::Relaxed) {
            self.note(spec, nanos, args, origin());
        }
    }

    #[cold]
    fn note(&self, spec: &CommandSpec, nanos: u64, args: &[&[u8]], origin: Origin) {
        let monitor_millis = self.monitor_millis.load(Ordering::Relaxed);
        let millis = nanos / 1_000_000;
        if monitor_millis > 0 && millis >= monitor_millis {
            let event = if spec.flags.has(Flags::FAST) { "fast-command" } else { "command" };
            self.latency.note(event, clock::now().0 / 1000, millis);
        }
        let threshold = self.threshold_micros.load(Ordering::Relaxed);
        let micros = i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        if threshold >= 0 && micros >= threshold && !spec.flags.has(Flags::SKIP_SLOWLOG) {
            self.push(micros, args, origin);
        }
    }

    fn push(&self, micros: i64, args: &[&[u8]], origin: Origin) {
        let length_max = usize::try_from(self.length_max.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let mut entries = self.entries.lock();
        let id = entries.0;
        entries.0 += 1;
        let unix_seconds = clock::now().0 / 1000;
        entries.1.push_front(SlowEntry { id, unix_seconds, micros, args: shorten(args), origin });
        entries.1.truncate(length_max);
    }

    /// The newest entries, newest first.
    pub fn newest(&self, count: usize) -> Vec<SlowEntry> {
        self.entries.lock().1.iter().take(count).cloned().collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.lock().1.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries.
    pub fn reset(&self) {
        self.entries.lock().1.clear();
    }
}

fn shorten(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let kept = if args.len() > ENTRY_ARGS_MAX { ENTRY_ARGS_MAX - 1 } else { args.len() };
    let mut shortened: Vec<Vec<u8>> = args[..kept]
        .iter()
        .map(|arg| {
            if arg.len() > ENTRY_ARG_BYTES_MAX {
                let mut short = arg[..ENTRY_ARG_BYTES_MAX].to_vec();
                short.extend_from_slice(format!("... ({} more bytes)", arg.len() - ENTRY_ARG_BYTES_MAX).as_bytes());
                short
            } else {
                arg.to_vec()
            }
        })
        .collect();
    if kept < args.len() {
        shortened.push(format!("... ({} more arguments)", args.len() - kept).into_bytes());
    }
    shortened
}
