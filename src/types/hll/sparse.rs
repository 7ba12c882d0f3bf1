//! Registers as runs.
//!
//! ```text
//! 00nnnnnn            n + 1 registers are zero
//! 01nnnnnn nnnnnnnn   n + 1 registers are zero
//! 1vvvvvnn            n + 1 registers are v + 1
//! ```
//! When a register is raised, the run that it is in is split, and neighbours with the same value are joined. Which are
//! joined and when is Redis's way, so that the same elements make the same bytes.

use super::estimate::Histogram;
use super::{Corrupt, HEADER_BYTES, REGISTERS};

/// All registers are zero.
pub(super) const EMPTY: [u8; 2] = [LONG_ZERO | 0x3f, 0xff];

const LONG_ZERO: u8 = 0x40;
const VALUE: u8 = 0x80;
/// Registers of the longest run of a value.
const VALUE_LEN_MAX: usize = 4;
/// Registers of the longest run of zeros that one byte can say.
const SHORT_ZERO_LEN_MAX: usize = 64;
/// Largest value that a run can have.
const VALUE_MAX: u8 = 32;
/// Runs that are looked at for joining after one was split.
const JOINED_RUNS: usize = 5;

/// Registers of equal value in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// What they all are.
    pub(super) value: u8,
    /// How many they are.
    pub(super) len: usize,
    /// Whether it takes two bytes.
    long: bool,
}

impl Run {
    /// The run that begins at `at`.
    fn read(bytes: &[u8], at: usize) -> Result<Self, Corrupt> {
        let first = bytes[at];
        if first & VALUE != 0 {
            return Ok(Self { value: (first >> 2 & 0x1f) + 1, len: usize::from(first & 3) + 1, long: false });
        }
        let low = usize::from(first & 0x3f);
        if first & LONG_ZERO == 0 {
            return Ok(Self { value: 0, len: low + 1, long: false });
        }
        let second = bytes.get(at + 1).ok_or(Corrupt)?;
        Ok(Self { value: 0, len: (low << 8 | usize::from(*second)) + 1, long: true })
    }

    fn byte_len(self) -> usize {
        1 + usize::from(self.long)
    }
}

/// A run of a value.
fn value_run(value: u8, len: usize) -> u8 {
    debug_assert!((1..=VALUE_MAX).contains(&value) && (1..=VALUE_LEN_MAX).contains(&len));
    VALUE | (value - 1) << 2 | (len - 1) as u8
}

/// All runs; an error, and the end, where they are not runs of exactly all registers.
pub(super) fn runs(bytes: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> {
    let (mut at, mut index, mut over) = (0, 0, false);
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        if at == bytes.len() {
            over = true;
            return (index != REGISTERS).then_some(Err(Corrupt));
        }
        let run = Run::read(bytes, at).and_then(|run| if index + run.len > REGISTERS { Err(Corrupt) } else { Ok(run) });
        match run {
            Ok(run) => {
                at += run.byte_len();
                index += run.len;
            }
            Err(Corrupt) => over = true,
        }
        Some(run)
    })
}

/// How many registers have each value.
pub(super) fn histogram(bytes: &[u8]) -> Result<Histogram, Corrupt> {
    let mut histogram: Histogram = [0; 64];
    for run in runs(bytes) {
        let run = run?;
        histogram[usize::from(run.value)] += run.len as u32;
    }
    Ok(histogram)
}

/// The runs as `PFDEBUG DECODE` shows them.
pub(super) fn describe(bytes: &[u8]) -> Result<String, Corrupt> {
    let mut words = Vec::new();
    for run in runs(bytes) {
        let run = run?;
        words.push(match run {
            Run { value: 0, len, long: false } => format!("z:{len}"),
            Run { value: 0, len, long: true } => format!("Z:{len}"),
            Run { value, len, .. } => format!("v:{value},{len}"),
        });
    }
    Ok(words.join(" "))
}

/// What became of the attempt to raise a register.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Raised {
    /// It is as high already.
    No,
    /// It was raised.
    Yes,
    /// The registers have to become dense for that. Nothing was changed.
    TooSmall,
}

/// Raises a register of the runs that follow the header.
pub(super) fn raise(bytes: &mut Vec<u8>, index: usize, value: u8, max_bytes: usize) -> Result<Raised, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Raised::TooSmall);
    }
    let (mut before, mut at, mut first) = (None, HEADER_BYTES, 0);
    let run = loop {
        if at >= bytes.len() {
            return Err(Corrupt);
        }
        let run = Run::read(bytes, at)?;
        if index < first + run.len {
            break run;
        }
        before = Some(at);
        at += run.byte_len();
        first += run.len;
    };
    if run.value >= value {
        return Ok(Raised::No);
    }
    let mut pieces = Pieces::default();
    pieces.push(run.value, index - first);
    pieces.push(value, 1);
    pieces.push(run.value, first + run.len - index - 1);
    let growth = pieces.len.saturating_sub(run.byte_len());
    // What takes no more room than before is written however much there is.
    if growth > 0 && bytes.len() + growth > max_bytes {
        return Ok(Raised::TooSmall);
    }
    bytes.splice(at..at + run.byte_len(), pieces.bytes[..pieces.len].iter().copied());
    join(bytes, before.unwrap_or(HEADER_BYTES));
    Ok(Raised::Yes)
}

/// What a run becomes when one of its registers is raised.
#[derive(Default)]
struct Pieces {
    bytes: [u8; 5],
    len: usize,
}

impl Pieces {
    fn push_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// Adds a run, if it is of any register.
    fn push(&mut self, value: u8, len: usize) {
        match (value, len) {
            (_, 0) => {}
            (0, 1..=SHORT_ZERO_LEN_MAX) => self.push_byte((len - 1) as u8),
            (0, _) => {
                self.push_byte(LONG_ZERO | ((len - 1) >> 8) as u8);
                self.push_byte((len - 1) as u8);
            }
            _ => self.push_byte(value_run(value, len)),
        }
    }
}

/// Joins neighbours of the same value among the next few runs.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS {
        let Some(Ok(run)) = bytes.get(at).map(|_| Run::read(bytes, at)) else { return };
        if run.value > 0 && bytes.get(at + 1).is_some_and(|next| next & VALUE != 0) {
            let Ok(next) = Run::read(bytes, at + 1) else { return };
            let len = run.len + next.len;
            if run.value == next.value && len <= VALUE_LEN_MAX {
                bytes[at + 1] = value_run(run.value, len);
                bytes.remove(at);
                // What was joined may join with what follows.
                continue;
            }
        }
        at += run.byte_len();
    }
}
