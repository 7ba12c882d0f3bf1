//! The slow log: the commands that took longer than a threshold.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::clock;

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
    /// Commands that take so many microseconds are logged; negative turns the log off.
    threshold_micros: AtomicI64,
    length_max: AtomicU64,
    entries: Mutex<(u64, VecDeque<SlowEntry>)>,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self { threshold_micros: AtomicI64::new(10_000), length_max: AtomicU64::new(128), entries: Mutex::default() }
    }
}

impl SlowLog {
    /// Applies `slowlog-log-slower-than` and `slowlog-max-len`.
    pub fn configure(&self, threshold_micros: i64, length_max: u64) {
        self.threshold_micros.store(threshold_micros, Ordering::Relaxed);
        self.length_max.store(length_max, Ordering::Relaxed);
    }

    /// Notes a command if it was slow.
    #[inline]
    pub fn observe(&self, nanos: u64, args: &[&[u8]], origin: impl FnOnce() -> Origin) {
        let threshold = self.threshold_micros.load(Ordering::Relaxed);
        let micros = i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        if threshold >= 0 && micros >= threshold {
            self.push(micros, args, origin());
        }
    }

    #[cold]
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
