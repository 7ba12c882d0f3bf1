//! The 80-bit floating point that `INCRBYFLOAT` and `HINCRBYFLOAT` calculate with.
//!
//! Redis adds C `long double`s, which on x86 have a sign, 15 bits of exponent and 64 bits of
//! mantissa, and prints them with `%.17Lf` less trailing zeros. That is what makes `0.1 + 0.2` answer
//! `0.3`, and a client sees every digit of it. Rust has no such type, and replicas on different
//! machines must agree, so [`LongDouble`] is calculated in integers: a conversion or a sum is the exact result
//! rounded once, to nearest, ties to even.
//!
//! Numbers of everyday size fit 128-bit integers; `num_bigint` does the others.

use std::ops::Add;

use num_bigint::BigUint;

use super::number::{Digits, FloatText, Rounded, round_binary, scan_float};

/// Texts of this many bytes or more are no numbers (Redis: `MAX_LONG_DOUBLE_CHARS`).
pub const TEXT_MAX_BYTES: usize = 5 * 1024;

/// Bits of the mantissa.
const PRECISION: u32 = 64;
/// Exponent of the lowest mantissa bit in the smallest numbers.
const EXPONENT_MIN: i32 = -16445;
/// Exponent of the lowest mantissa bit in the largest numbers.
const EXPONENT_MAX: i32 = 16320;
/// Digits that are printed after the point.
const FRACTION_DIGITS: u32 = 17;

/// An x87 extended precision number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `mantissa * 2^exponent`. The mantissa's highest bit is set unless the exponent is
    /// `EXPONENT_MIN`; so every number, and zero, has one form.
    Finite {
        mantissa: u64,
        exponent: i32,
    },
    Infinite,
    NotANumber,
}

impl LongDouble {
    /// Positive zero.
    pub const ZERO: Self =
        Self { negative: false, magnitude: Magnitude::Finite { mantissa: 0, exponent: EXPONENT_MIN } };

    /// Reads a number as Redis's `string2ld`: all that `strtold` takes, infinities included, with no
    /// space around it, except NaN, a number too large for the format, one so small that it would become
    /// zero, and a text of [`TEXT_MAX_BYTES`] or more.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() >= TEXT_MAX_BYTES {
            return None;
        }
        let (negative, rounded, zero) = match scan_float(text)? {
            FloatText::Infinity { negative } => return Some(Self { negative, magnitude: Magnitude::Infinite }),
            FloatText::Decimal(digits) => (digits.negative, round_decimal(&digits), digits.is_zero()),
            FloatText::Hexadecimal(digits) => {
                let (significand, exponent, sticky) = digits.hexadecimal_parts();
                (digits.negative, round(significand, exponent, sticky), digits.is_zero())
            }
        };
        match rounded {
            Rounded::Overflow => None,
            Rounded::Finite { mantissa: 0, .. } if !zero => None,
            Rounded::Finite { mantissa, exponent } => {
                Some(Self { negative, magnitude: Magnitude::Finite { mantissa, exponent } })
            }
        }
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// The number as Redis's `ld2string` writes it for people: `%.17Lf`, less trailing zeros and a
    /// trailing point; what would be `-0` is `0`.
    pub fn to_human_string(self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let (mantissa, exponent) = match self.magnitude {
            Magnitude::Infinite => return format!("{sign}inf"),
            Magnitude::NotANumber => return "nan".to_owned(),
            Magnitude::Finite { mantissa, exponent } => (mantissa, exponent),
        };
        if exponent > 0 {
            return format!("{sign}{}", BigUint::from(mantissa) << exponent.unsigned_abs());
        }
        const SCALE: u128 = 10u128.pow(FRACTION_DIGITS);
        // Below 2^64 * 10^17, so below 2^121.
        let scaled = round_shift(u128::from(mantissa) * SCALE, exponent.unsigned_abs());
        if scaled == 0 {
            return "0".to_owned();
        }
        let text = format!("{sign}{}.{:017}", scaled / SCALE, scaled % SCALE);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    fn from_parts(negative: bool, significand: u128, exponent: i64, sticky: bool) -> Self {
        let magnitude = match round(significand, exponent, sticky) {
            Rounded::Overflow => Magnitude::Infinite,
            Rounded::Finite { mantissa, exponent } => Magnitude::Finite { mantissa, exponent },
        };
        Self { negative, magnitude }
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        Self::from_parts(value < 0, u128::from(value.unsigned_abs()), 0, false)
    }
}

impl From<f64> for LongDouble {
    fn from(value: f64) -> Self {
        let bits = value.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let negative = value.is_sign_negative();
        match (bits >> 52) & 0x7ff {
            0x7ff if fraction == 0 => Self { negative, magnitude: Magnitude::Infinite },
            0x7ff => Self { negative, magnitude: Magnitude::NotANumber },
            0 => Self::from_parts(negative, u128::from(fraction), -1074, false),
            biased => Self::from_parts(negative, u128::from(fraction | 1 << 52), biased.cast_signed() - 1075, false),
        }
    }
}

/// The sum, rounded as the x87 does; infinities of different sign give NaN.
impl Add for LongDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        use Magnitude::{Finite, Infinite, NotANumber};
        match (self.magnitude, other.magnitude) {
            (NotANumber, _) | (_, NotANumber) => Self { negative: false, magnitude: NotANumber },
            (Infinite, Infinite) if self.negative != other.negative => Self { negative: false, magnitude: NotANumber },
            (Infinite, _) => self,
            (_, Infinite) => other,
            (
                Finite { mantissa: left, exponent: left_exponent },
                Finite { mantissa: right, exponent: right_exponent },
            ) => {
                if (right_exponent, right) > (left_exponent, left) {
                    add_finite(other.negative, right, right_exponent, self.negative, left, left_exponent)
                } else {
                    add_finite(self.negative, left, left_exponent, other.negative, right, right_exponent)
                }
            }
        }
    }
}

/// Adds a number to one that is at least as large.
fn add_finite(
    large_negative: bool,
    large: u64,
    large_exponent: i32,
    small_negative: bool,
    small: u64,
    small_exponent: i32,
) -> LongDouble {
    /// Room below the larger number's mantissa; one bit is left above it for the carry.
    const ROOM: u32 = 63;
    let large = u128::from(large) << ROOM;
    let small = u128::from(small) << ROOM;
    let distance = large_exponent.abs_diff(small_exponent);
    let aligned = small.checked_shr(distance).unwrap_or(0);
    let sticky = aligned.checked_shl(distance).unwrap_or(0) != small;
    let exponent = i64::from(large_exponent) - i64::from(ROOM);
    if large_negative == small_negative {
        return LongDouble::from_parts(large_negative, large + aligned, exponent, sticky);
    }
    // What was shifted out is subtracted too: the difference lies a little below the one of the
    // aligned numbers, which is a little above the next lower integer.
    let difference = large - aligned - u128::from(sticky);
    let negative = large_negative && difference != 0;
    LongDouble::from_parts(negative, difference, exponent, sticky)
}

fn round(significand: u128, exponent: i64, sticky: bool) -> Rounded {
    round_binary(significand, exponent, sticky, PRECISION, EXPONENT_MIN, EXPONENT_MAX)
}

/// `value / 2^shift` to the nearest integer, ties to even, for values below 2^127.
fn round_shift(value: u128, shift: u32) -> u128 {
    match shift {
        0 => value,
        1..=127 => {
            let kept = value >> shift;
            let remainder = value & ((1 << shift) - 1);
            let half = 1u128 << (shift - 1);
            kept + u128::from(remainder > half || (remainder == half && kept & 1 == 1))
        }
        _ => 0,
    }
}

/// The nearest number to `digits * 10^exponent`.
fn round_decimal(digits: &Digits<'_>) -> Rounded {
    let all: Vec<u8> =
        digits.integer.iter().chain(digits.fraction).copied().skip_while(|digit| *digit == b'0').collect();
    let significant = all.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    if significant == 0 {
        return Rounded::Finite { mantissa: 0, exponent: EXPONENT_MIN };
    }
    // Neither length is above TEXT_MAX_BYTES.
    let exponent = digits.exponent - digits.fraction.len() as i64 + (all.len() - significant) as i64;
    let all = &all[..significant];
    // The number is between 10^(leading - 1) and 10^leading; the format's largest is below 10^4933,
    // half its smallest above 10^-4952.
    let leading = exponent + significant as i64;
    if leading > 4933 {
        return Rounded::Overflow;
    }
    if leading < -4952 {
        return Rounded::Finite { mantissa: 0, exponent: EXPONENT_MIN };
    }
    round_small(all, exponent).unwrap_or_else(|| round_big(all, exponent))
}

/// Numbers such as people write: up to 19 digits, up to 18 of them after the point.
fn round_small(digits: &[u8], exponent: i64) -> Option<Rounded> {
    let places = u32::try_from(exponent.checked_neg()?).ok().filter(|places| *places <= 18)?;
    if digits.len() > 19 {
        return None;
    }
    let number = digits.iter().fold(0u128, |number, digit| number * 10 + u128::from(digit - b'0'));
    let divisor = 10u128.pow(places);
    // The dividend has 128 bits and the divisor at most 60, so the quotient has enough for a
    // sticky bit below it.
    let shift = number.leading_zeros();
    let dividend = number << shift;
    Some(round(dividend / divisor, -i64::from(shift), dividend % divisor != 0))
}

fn round_big(digits: &[u8], exponent: i64) -> Rounded {
    let number = BigUint::parse_bytes(digits, 10).expect("these are decimal digits");
    let power = BigUint::from(10u32).pow(u32::try_from(exponent.unsigned_abs()).expect("its size was checked"));
    if exponent >= 0 {
        return round_top(&(number * power), 0, false);
    }
    // Enough quotient bits for the precision, a rounding bit, and some more.
    let shift = (power.bits() + 120).saturating_sub(number.bits());
    let dividend = number << shift;
    let quotient = &dividend / &power;
    let sticky = &quotient * &power != dividend;
    round_top(&quotient, -i64::try_from(shift).expect("some ten thousand bits"), sticky)
}

/// Rounds a large integer times `2^exponent` by its highest 128 bits.
fn round_top(number: &BigUint, exponent: i64, sticky: bool) -> Rounded {
    let excess = number.bits().saturating_sub(128);
    let top = u128::try_from(number >> excess).expect("128 bits are left");
    let below = number.trailing_zeros().is_some_and(|zeros| zeros < excess);
    round(top, exponent + i64::try_from(excess).expect("some ten thousand bits"), sticky || below)
}

#[cfg(test)]
mod tests;
