//! From the values of registers to a number of elements.
//!
//! Otmar Ertl: "New cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6. Redis computes
//! the same in doubles, operation by operation, so the estimates agree to the digit.

use super::{COUNTED_BITS, REGISTERS};

/// How many registers have each value. The values that 6 bits can hold are more than elements give.
pub(super) type Histogram = [u32; 64];

/// The limit of the constant alpha for many registers: 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate for a histogram of all registers.
pub(super) fn cardinality(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let share = |value: usize| f64::from(histogram[value]) / registers;
    let full = (registers - f64::from(histogram[COUNTED_BITS as usize + 1])) / registers;
    let mut z = registers * tau(full);
    for value in (1..=COUNTED_BITS as usize).rev() {
        z += f64::from(histogram[value]);
        z *= 0.5;
    }
    z += registers * sigma(share(0));
    // Registers that no element gave can make this any number: casts saturate.
    (ALPHA * registers * registers / z).round() as u64
}

/// The correction for registers that are zero.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

/// The correction for registers that have their largest value.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
