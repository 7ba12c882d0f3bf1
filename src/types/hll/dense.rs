//! Registers one by one.
//!
//! Register `i` is the six bits from bit `6 * i` on, where bits are counted from the least significant of the first
//! byte: four registers are three bytes.

use super::estimate::Histogram;
use super::{REGISTER_MAX, REGISTERS};

/// Bits of a register.
const BITS: usize = 6;
/// The six bits.
const MASK: u8 = (1 << BITS) - 1;
/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * BITS / 8;

const _: () = assert!(REGISTER_MAX <= MASK);

/// The value of a register.
pub(super) fn get(registers: &[u8], index: usize) -> u8 {
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    let low = u16::from(registers[byte]);
    let high = u16::from(registers.get(byte + 1).copied().unwrap_or(0));
    ((low | high << 8) >> shift) as u8 & MASK
}

/// Raises a register to a value; answers whether it was below.
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    if get(registers, index) >= value {
        return false;
    }
    let (byte, shift) = (index * BITS / 8, index * BITS % 8);
    let (mask, value) = (u16::from(MASK) << shift, u16::from(value & MASK) << shift);
    registers[byte] = registers[byte] & !(mask as u8) | value as u8;
    if let Some(next) = registers.get_mut(byte + 1) {
        *next = *next & !((mask >> 8) as u8) | (value >> 8) as u8;
    }
    true
}

/// The four registers of three bytes.
fn four(bytes: &[u8]) -> [u8; 4] {
    let word = u32::from(bytes[0]) | u32::from(bytes[1]) << 8 | u32::from(bytes[2]) << 16;
    [0, 6, 12, 18].map(|shift| (word >> shift) as u8 & MASK)
}

/// How many registers have each value.
pub(super) fn histogram(registers: &[u8]) -> Histogram {
    // Neighbours often have the same value: four tables keep their additions apart.
    let mut tables: [Histogram; 4] = [[0; 64]; 4];
    for bytes in registers.chunks_exact(3) {
        for (table, value) in tables.iter_mut().zip(four(bytes)) {
            table[usize::from(value)] += 1;
        }
    }
    let mut all: Histogram = [0; 64];
    for table in &tables {
        all.iter_mut().zip(table).for_each(|(sum, count)| *sum += count);
    }
    all
}

/// Raises registers of a byte each to those here.
pub(super) fn merge(registers: &[u8], into: &mut [u8; REGISTERS]) {
    for (bytes, into) in registers.chunks_exact(3).zip(into.chunks_exact_mut(4)) {
        for (register, value) in into.iter_mut().zip(four(bytes)) {
            *register = value.max(*register);
        }
    }
}
