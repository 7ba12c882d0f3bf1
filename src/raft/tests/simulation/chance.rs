//! Chance, as a seed decides it.
//!
//! tokio draws the order in which it wakes those who wait for one thing, and where its `select!` begins. It seeds that
//! from std's `RandomState`, which asks the weak symbol `getrandom`: weak so that a program can answer for the operating
//! system. Here the answer, for the thread of a simulation, follows from its seed.
#![expect(unsafe_code, reason = "a symbol of the C library is defined here, with the C library's signature")]

use std::cell::Cell;

use crate::types::rng::Rng;

thread_local! {
    static STATE: Cell<Option<Rng>> = const { Cell::new(None) };
}

/// From now on this thread's chance follows from a seed.
pub(super) fn seed(seed: u64) {
    STATE.set(Some(Rng::new(seed)));
}

/// The next number of this thread's seed; `None` if it has none.
pub(super) fn draw() -> Option<u64> {
    let mut state = STATE.get()?;
    let drawn = state.next_u64();
    STATE.set(Some(state));
    Some(drawn)
}

/// A number from `low` up to, and without, `high`.
pub(super) fn between(low: u64, high: u64) -> u64 {
    low + draw().expect("only simulations ask") % (high - low)
}

/// Whether something comes about that does so once in `odds` times.
pub(super) fn one_in(odds: u64) -> bool {
    between(0, odds) == 0
}

/// Fills a buffer, as the function of the C library does.
///
/// # Safety
/// `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller promises it.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    match STATE.try_with(Cell::get) {
        Ok(Some(_)) => {
            for chunk in buffer.chunks_mut(8) {
                let drawn = draw().unwrap_or_default().to_le_bytes();
                chunk.copy_from_slice(&drawn[..chunk.len()]);
            }
        }
        _ => {
            let read =
                std::fs::File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, buffer));
            if read.is_err() {
                return -1;
            }
        }
    }
    length as isize
}
