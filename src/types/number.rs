//! Numbers from and to text, with exactly the strictness of Redis.
//!
//! Clients tell integers from other strings by what Redis accepts as one, so these parsers neither
//! trim nor guess: what they accept is what the C library accepts, less what Redis refuses on top.

mod float_text;

use std::fmt;
use std::io::Write as _;

pub(super) use float_text::{Digits, FloatText, Rounded, round_binary, scan_float};

/// Reads a signed 64-bit integer as Redis's `string2ll`: an optional `-`, then digits without a
/// leading zero, and nothing else. `0` is the only zero.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        // Nineteen digits are the most that an i64 has, and always fit a u64.
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// Reads an unsigned 64-bit integer as Redis's `string2ull`, which falls back on `strtoull`: white
/// space and a `+` may stand before the digits, and leading zeros are no matter.
///
/// One oddity is left out: `strtoull` takes `-05` for 2^64 - 5. Here a minus sign is accepted for
/// zero only.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let text = &text[text.iter().take_while(|byte| is_c_space(**byte)).count()..];
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!negative || value == 0).then_some(value)
}

/// Reads a double as Redis's `getDoubleFromObject`: all that `strtod` takes (decimal, hexadecimal,
/// `inf`, `infinity` in any case) with no space around it, except NaN, a number too large for a double,
/// and one so small that it would become zero.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    match scan_float(text)? {
        FloatText::Infinity { negative: true } => Some(f64::NEG_INFINITY),
        FloatText::Infinity { negative: false } => Some(f64::INFINITY),
        FloatText::Decimal(digits) => {
            let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
            let lost = value.is_infinite() || (value == 0.0 && !digits.is_zero());
            (!lost).then_some(value)
        }
        FloatText::Hexadecimal(digits) => hexadecimal_f64(&digits),
    }
}

fn hexadecimal_f64(digits: &Digits<'_>) -> Option<f64> {
    let (significand, exponent, sticky) = digits.hexadecimal_parts();
    let magnitude = match round_binary(significand, exponent, sticky, 53, -1074, 971) {
        Rounded::Overflow => return None,
        Rounded::Finite { mantissa: 0, .. } if !digits.is_zero() => return None,
        Rounded::Finite { mantissa: 0, .. } => 0.0,
        Rounded::Finite { mantissa, exponent } => {
            // 2^52 is the hidden bit: without it the number is subnormal, its exponent the least.
            let biased = if mantissa >> 52 == 0 { 0 } else { (exponent + 1075).unsigned_abs().into() };
            f64::from_bits((biased << 52) | (mantissa & ((1 << 52) - 1)))
        }
    };
    Some(if digits.negative { -magnitude } else { magnitude })
}

/// `isspace` of the C locale.
pub(crate) fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The text of a double, on the stack.
#[derive(Clone, Copy)]
pub struct FloatString {
    bytes: [u8; FloatString::CAPACITY],
    length: usize,
}

impl FloatString {
    /// The longest texts have 24 bytes: a sign, 17 digits, a point, `e-308`; or `-0.000` and 17 digits.
    const CAPACITY: usize = 32;

    fn new() -> Self {
        Self { bytes: [0; Self::CAPACITY], length: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn push_zeros(&mut self, count: usize) {
        self.push(&b"00000000000000000"[..count]);
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a number is written in ASCII")
    }
}

impl AsRef<[u8]> for FloatString {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for FloatString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for FloatString {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Writes a double as Redis 7.0 does in replies and in sorted sets' listpacks: `%.17g`, that is 17
/// significant digits less trailing zeros, and an exponent if it is below -4 or above 16; `inf`,
/// `-inf`, `nan`.
pub fn format_f64(value: f64) -> FloatString {
    /// Below 2^52 a double that is a whole number is written by its digits.
    const WHOLE_LIMIT: f64 = 4_503_599_627_370_496.0;
    let mut text = FloatString::new();
    if value.is_nan() {
        text.push(b"nan");
    } else if value.is_infinite() {
        text.push(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        text.push(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.abs() < WHOLE_LIMIT && value.trunc() == value {
        text.push(itoa::Buffer::new().format(value as i64).as_bytes());
    } else {
        push_17_digits(&mut text, value);
    }
    text
}

fn push_17_digits(text: &mut FloatString, value: f64) {
    const WHY: &str = "17 digits and an exponent fit 32 bytes";
    let mut buffer = [0; 32];
    let mut rest = &mut buffer[..];
    write!(rest, "{:.16e}", value.abs()).expect(WHY);
    let unused = rest.len();
    let written = std::str::from_utf8(&buffer[..32 - unused]).expect("a number is written in ASCII");
    let (mantissa, exponent) = written.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a small integer");
    let mut digits = [0; 17];
    digits[0] = mantissa.as_bytes()[0];
    digits[1..].copy_from_slice(&mantissa.as_bytes()[2..]);
    let significant = digits.iter().rposition(|digit| *digit != b'0').expect("the number is not zero") + 1;
    let digits = &digits[..significant];

    if value < 0.0 {
        text.push(b"-");
    }
    match exponent {
        -4..=-1 => {
            text.push(b"0.");
            text.push_zeros(exponent.unsigned_abs() as usize - 1);
            text.push(digits);
        }
        0..=16 => {
            let whole = exponent as usize + 1;
            let (before, after) = digits.split_at(whole.min(significant));
            text.push(before);
            text.push_zeros(whole - before.len());
            if !after.is_empty() {
                text.push(b".");
                text.push(after);
            }
        }
        _ => {
            text.push(&digits[..1]);
            if significant > 1 {
                text.push(b".");
                text.push(&digits[1..]);
            }
            text.push(if exponent < 0 { b"e-" } else { b"e+" });
            let magnitude = exponent.unsigned_abs();
            text.push_zeros(usize::from(magnitude < 10));
            text.push(itoa::Buffer::new().format(magnitude).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
