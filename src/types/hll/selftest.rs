//! `PFSELFTEST`: checks that the code computes on this machine what it does on others.

use super::{REGISTERS, Registers, count, dense, empty, make_dense, place_of, raise};
use crate::types::rng::Rng;

/// Adds so many different elements, and looks at the estimates on the way.
const ELEMENTS: u64 = 200_000;
/// The standard error is 1.04 / √16384. An estimate of one run is off by more than five times that about once
/// in two million.
const ERROR_MAX: f64 = 5.0 * 0.008_125;

/// Says what is wrong, if anything is.
///
/// # Errors
/// A sentence on the first thing that is wrong.
pub fn selftest() -> Result<(), String> {
    registers()?;
    estimates()
}

fn registers() -> Result<(), String> {
    let mut rng = Rng::new(1);
    let mut bytes = vec![0; dense::BYTES];
    let mut plain = [0u8; REGISTERS];
    for _ in 0..4 * REGISTERS {
        let (index, value) = (rng.below(REGISTERS as u64) as usize, rng.below(64) as u8);
        dense::raise(&mut bytes, index, value);
        plain[index] = plain[index].max(value);
    }
    match plain.iter().enumerate().find(|&(index, &value)| dense::get(&bytes, index) != value) {
        Some((index, value)) => Err(format!("register {index} should be {value}")),
        None => Ok(()),
    }
}

fn estimates() -> Result<(), String> {
    let (mut sparse, mut dense) = (empty(), empty());
    let failed = |_| "a HyperLogLog of its own making is corrupt".to_owned();
    make_dense(&mut dense).map_err(failed)?;
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let place = place_of(&number.to_le_bytes());
        for bytes in [&mut sparse, &mut dense] {
            raise(bytes, place, 3000).map_err(failed)?;
        }
        if number != checkpoint {
            continue;
        }
        checkpoint *= 10;
        let estimate = count(&sparse).map_err(failed)?;
        let mut merged = Registers::default();
        merged.merge(&dense).map_err(failed)?;
        if (estimate, estimate) != (count(&dense).map_err(failed)?, merged.count()) {
            return Err(format!("the forms disagree about {number} elements"));
        }
        let off = (estimate as f64 - number as f64).abs() / number as f64;
        if off > ERROR_MAX && estimate.abs_diff(number) > 1 {
            return Err(format!("the estimate for {number} elements is {estimate}"));
        }
    }
    Ok(())
}
