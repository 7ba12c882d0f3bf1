//! Counters of the process.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Samples over which the momentary rates are averaged.
const RATE_SAMPLES: usize = 16;

/// Counters since start or `CONFIG RESETSTAT`.
#[derive(Default)]
pub struct Stats {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because of `maxclients`.
    pub rejected_connections: AtomicU64,
    /// Commands processed.
    pub commands: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Reads from sockets.
    pub reads: AtomicU64,
    /// Writes to sockets.
    pub writes: AtomicU64,
    /// Clients closed because they did not read their replies.
    pub output_limit_disconnections: AtomicU64,
    /// Clients closed because their requests were too large.
    pub query_limit_disconnections: AtomicU64,
    /// AUTH failures.
    pub auth_failures: AtomicU64,
    /// Largest `used_memory` seen, in bytes.
    pub peak_memory: AtomicU64,
    rates: Mutex<[Rate; 3]>,
}

#[derive(Clone, Copy, Default)]
struct Rate {
    last_value: u64,
    last_ms: i64,
    samples: [u64; RATE_SAMPLES],
    next: usize,
}

impl Rate {
    fn sample(&mut self, value: u64, now_ms: i64) {
        let elapsed = now_ms.saturating_sub(self.last_ms).max(1).unsigned_abs();
        if self.last_ms != 0 {
            self.samples[self.next] = value.saturating_sub(self.last_value) * 1000 / elapsed;
            self.next = (self.next + 1) % RATE_SAMPLES;
        }
        (self.last_value, self.last_ms) = (value, now_ms);
    }

    fn per_second(&self) -> u64 {
        self.samples.iter().sum::<u64>() / RATE_SAMPLES as u64
    }
}

impl Stats {
    /// Takes a sample of the rates; called ten times a second.
    pub fn sample_rates(&self, now_ms: i64) {
        let values = [&self.commands, &self.bytes_in, &self.bytes_out].map(|counter| counter.load(Ordering::Relaxed));
        let mut rates = self.rates.lock();
        for (rate, value) in rates.iter_mut().zip(values) {
            rate.sample(value, now_ms);
        }
    }

    /// Commands, bytes received and bytes sent a second, averaged over the last samples.
    pub fn rates(&self) -> [u64; 3] {
        self.rates.lock().map(|rate| rate.per_second())
    }

    /// Zeroes everything that `CONFIG RESETSTAT` zeroes.
    pub fn reset(&self) {
        for counter in [
            &self.connections,
            &self.rejected_connections,
            &self.commands,
            &self.bytes_in,
            &self.bytes_out,
            &self.reads,
            &self.writes,
            &self.output_limit_disconnections,
            &self.query_limit_disconnections,
            &self.auth_failures,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        *self.rates.lock() = Default::default();
    }
}
