//! The latency monitor: samples of commands that took longer than `latency-monitor-threshold`.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

/// Most samples that are kept of an event (Redis's LATENCY_TS_LEN).
const SAMPLES_MAX: usize = 160;

/// One sample: the worst of its second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since the Unix epoch.
    pub unix_seconds: i64,
    /// How long it took.
    pub millis: u64,
}

/// The samples of one event, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The samples.
    pub samples: VecDeque<Sample>,
    /// The worst sample ever, forgotten ones included.
    pub max_millis: u64,
}

/// The samples of all events, by their names.
#[derive(Default)]
pub struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl LatencyMonitor {
    /// Notes that something took long.
    #[cold]
    pub fn note(&self, event: &'static str, unix_seconds: i64, millis: u64) {
        let mut events = self.events.lock();
        let series = events.entry(event).or_default();
        series.max_millis = series.max_millis.max(millis);
        match series.samples.back_mut() {
            Some(last) if last.unix_seconds == unix_seconds => last.millis = last.millis.max(millis),
            _ => {
                if series.samples.len() == SAMPLES_MAX {
                    series.samples.pop_front();
                }
                series.samples.push_back(Sample { unix_seconds, millis });
            }
        }
    }

    /// All events.
    pub fn events(&self) -> BTreeMap<&'static str, Series> {
        self.events.lock().clone()
    }

    /// The samples of an event.
    pub fn series(&self, event: &str) -> Option<Series> {
        self.events.lock().get(event).cloned()
    }

    /// Forgets the events for which `chosen` holds; answers how many there were.
    pub fn reset(&self, chosen: impl Fn(&str) -> bool) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|event, _| !chosen(event));
        before - events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst_sample() {
        let monitor = LatencyMonitor::default();
        for (second, millis) in [(5, 10), (5, 30), (5, 20), (6, 7)] {
            monitor.note("command", second, millis);
        }
        let series = monitor.series("command").unwrap();
        let samples: Vec<_> = series.samples.iter().map(|sample| (sample.unix_seconds, sample.millis)).collect();
        assert_eq!(samples, [(5, 30), (6, 7)]);
        assert_eq!(series.max_millis, 30);
        assert_eq!(monitor.reset(|event| event == "other"), 0);
        assert_eq!(monitor.reset(|_| true), 1);
        assert!(monitor.events().is_empty());
    }

    #[test]
    fn old_samples_are_forgotten() {
        let monitor = LatencyMonitor::default();
        for second in 0..1000 {
            monitor.note("command", second, 1000 - second.unsigned_abs());
        }
        let series = monitor.series("command").unwrap();
        assert_eq!(series.samples.len(), SAMPLES_MAX);
        assert_eq!(series.samples.front().map(|sample| sample.unix_seconds), Some(840));
        assert_eq!(series.max_millis, 1000);
    }
}
