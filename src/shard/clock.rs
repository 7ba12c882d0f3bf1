//! The one place that asks the machine for the time of day.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::types::UnixMs;

/// How wrong the machine's clock is said to be, in milliseconds.
static OFFSET_MS: AtomicI64 = AtomicI64::new(0);

/// From now on the machine's clock is so much ahead of what it would be, or behind: a fault for tests.
pub fn set_offset_ms(offset_ms: i64) {
    OFFSET_MS.store(offset_ms, Ordering::Relaxed);
}

/// The machine's time in milliseconds.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now() -> UnixMs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    UnixMs(ms.saturating_add(OFFSET_MS.load(Ordering::Relaxed)))
}

/// The machine's time in microseconds.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn now_micros() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

/// A point of the monotonic clock, to measure durations.
pub fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

/// 64 random bits from the operating system.
pub fn entropy() -> u64 {
    let mut bytes = [0u8; 8];
    match std::fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes)) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => now_micros().unsigned_abs() ^ (u64::from(std::process::id()) << 48),
    }
}
