//! The clocks that leases are measured on.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// For how long the machine is said to have slept, in nanoseconds.
static SLEPT_NS: AtomicU64 = AtomicU64::new(0);

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Nanoseconds since the machine was started, those in which it slept included.
pub(super) fn boottime_ns() -> u64 {
    #[cfg(test)]
    if let Some(elapsed) = super::tests::simulation::elapsed() {
        return elapsed.as_nanos() as u64;
    }
    nanoseconds(ClockId::Boottime).wrapping_add(SLEPT_NS.load(Relaxed))
}

/// How far [`boottime_ns`] is ahead of the clock that stands still while the machine sleeps.
pub(super) fn slept_ns() -> u64 {
    #[cfg(test)]
    if super::tests::simulation::elapsed().is_some() {
        return 0;
    }
    boottime_ns().saturating_sub(nanoseconds(ClockId::Monotonic))
}

/// From now on it is as if the machine had just slept for so long: a fault for tests.
pub fn pretend_sleep(duration: Duration) {
    SLEPT_NS.fetch_add(duration.as_nanos() as u64, Relaxed);
}
