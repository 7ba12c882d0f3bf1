//! A bar that shows on a terminal how far something has come.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::shard::clock;

/// How often it is drawn.
const REDRAW: Duration = Duration::from_millis(200);
/// Cells of the bar.
const CELLS: u64 = 24;

/// Draws to the standard error stream, if that is a terminal.
pub(super) struct Progress {
    total: Option<u64>,
    unit: Unit,
    started: Instant,
    drawn: Option<Instant>,
    shown: bool,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Keys,
}

impl Progress {
    /// Begins; `total` is how much there is to do, if that is known.
    pub(super) fn begin(total: Option<u64>, unit: Unit) -> Self {
        Self { total, unit, started: clock::instant(), drawn: None, shown: std::io::stderr().is_terminal() }
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        clock::instant() - self.started
    }

    /// So much is done, with so many keys.
    pub(super) fn update(&mut self, done: u64, keys: u64) {
        let now = clock::instant();
        if !self.shown || self.drawn.is_some_and(|drawn| now - drawn < REDRAW) {
            return;
        }
        self.drawn = Some(now);
        let line = line(self.total, self.unit, done, keys, now - self.started);
        // A terminal that is gone is no reason to stop.
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
    }

    /// Takes the bar away.
    pub(super) fn end(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(total: Option<u64>, unit: Unit, done: u64, keys: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = done as f64 / seconds;
    let speed = match unit {
        Unit::Bytes => format!("{}/s", bytes(rate as u64)),
        Unit::Keys => format!("{} keys/s", rate as u64),
    };
    let Some(total) = total.filter(|&total| total > 0) else {
        return format!("{keys} keys, {speed}");
    };
    let share = (done as f64 / total as f64).min(1.0);
    let filled = (share * CELLS as f64) as u64;
    let bar: String = (0..CELLS).map(|cell| if cell < filled { '#' } else { '.' }).collect();
    let left = if rate > 0.0 { duration(total.saturating_sub(done) as f64 / rate) } else { "?".to_owned() };
    format!("[{bar}] {:3.0} %, {keys} keys, {speed}, {left} left", share * 100.0)
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Seconds for people.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_what_is_left() {
        let two_seconds = Duration::from_secs(2);
        assert_eq!(
            line(Some(100 << 20), Unit::Bytes, 25 << 20, 1000, two_seconds),
            "[######..................]  25 %, 1000 keys, 12.5 MiB/s, 0:06 left"
        );
        assert_eq!(line(None, Unit::Keys, 10, 10, two_seconds), "10 keys, 5 keys/s");
        assert_eq!(line(Some(0), Unit::Keys, 0, 0, Duration::ZERO), "0 keys, 0 keys/s");
    }

    #[test]
    fn quantities_for_people() {
        assert_eq!((bytes(1023), bytes(1536)), ("1023 B".to_owned(), "1.5 KiB".to_owned()));
        assert_eq!((duration(59.6), duration(3_725.0)), ("1:00".to_owned(), "1:02:05".to_owned()));
    }
}
