//! What `strtod` and `strtold` have in common: the grammar, and rounding to a binary format.

/// A number's text, understood but not yet rounded to a format.
pub(in crate::types) enum FloatText<'a> {
    /// `inf` or `infinity`, in any case.
    Infinity {
        /// Whether a minus sign stands before it.
        negative: bool,
    },
    /// Digits and a power of ten.
    Decimal(Digits<'a>),
    /// `0x`, digits and a power of two.
    Hexadecimal(Digits<'a>),
}

/// The digits of a number; at least one of the two runs is not empty.
pub(in crate::types) struct Digits<'a> {
    /// Whether a minus sign stands before it.
    pub(in crate::types) negative: bool,
    /// Digits before the point.
    pub(in crate::types) integer: &'a [u8],
    /// Digits after the point.
    pub(in crate::types) fraction: &'a [u8],
    /// Power of ten, or of two if the digits are hexadecimal; of absurd size if so written.
    pub(in crate::types) exponent: i64,
}

/// Far beyond any format's exponents, and small enough to add the length of a text to.
const EXPONENT_MAX: i64 = 1 << 56;

/// Understands the whole of `text`, or nothing. NaN is not among the numbers.
pub(in crate::types) fn scan_float(text: &[u8]) -> Option<FloatText<'_>> {
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(FloatText::Infinity { negative });
    }
    match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => {
            scan_digits(negative, digits, u8::is_ascii_hexdigit, b'p').map(FloatText::Hexadecimal)
        }
        digits => scan_digits(negative, digits, u8::is_ascii_digit, b'e').map(FloatText::Decimal),
    }
}

fn scan_digits<'a>(negative: bool, text: &'a [u8], is_digit: fn(&u8) -> bool, exponent_mark: u8) -> Option<Digits<'a>> {
    let (integer, rest) = split_run(text, is_digit);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => split_run(rest, is_digit),
        rest => (&[][..], rest),
    };
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [mark, b'-', digits @ ..] if mark.eq_ignore_ascii_case(&exponent_mark) => -scan_exponent(digits)?,
        [mark, b'+', digits @ ..] if mark.eq_ignore_ascii_case(&exponent_mark) => scan_exponent(digits)?,
        [mark, digits @ ..] if mark.eq_ignore_ascii_case(&exponent_mark) => scan_exponent(digits)?,
        _ => return None,
    };
    Some(Digits { negative, integer, fraction, exponent })
}

fn split_run(text: &[u8], is_digit: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| is_digit(byte)).count())
}

fn scan_exponent(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value: i64, byte| (value * 10 + i64::from(byte - b'0')).min(EXPONENT_MAX)))
}

impl Digits<'_> {
    /// Whether all digits are zero.
    pub(in crate::types) fn is_zero(&self) -> bool {
        self.integer.iter().chain(self.fraction).all(|digit| *digit == b'0')
    }

    /// Hexadecimal digits as `significand * 2^exponent`, and whether anything nonzero was left out
    /// below the significand.
    pub(in crate::types) fn hexadecimal_parts(&self) -> (u128, i64, bool) {
        let mut significand = 0u128;
        let mut exponent = self.exponent;
        let mut sticky = false;
        let integer = self.integer.iter().map(|byte| (byte, 0));
        let fraction = self.fraction.iter().map(|byte| (byte, 4));
        for (byte, scale) in integer.chain(fraction) {
            let digit = char::from(*byte).to_digit(16).expect("only hexadecimal digits were taken");
            if significand >> 124 == 0 {
                significand = (significand << 4) | u128::from(digit);
                exponent -= scale;
            } else {
                sticky |= digit != 0;
                exponent += 4 - scale;
            }
        }
        (significand, exponent, sticky)
    }
}

/// A number in a binary format.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::types) enum Rounded {
    /// `mantissa * 2^exponent`, the mantissa of full precision unless the exponent is the least.
    Finite {
        /// At most as many bits as the precision.
        mantissa: u64,
        /// Of the mantissa's lowest bit.
        exponent: i32,
    },
    /// Beyond the largest number of the format.
    Overflow,
}

/// Rounds `significand * 2^exponent` (and a little more, if `sticky`) to the nearest number with
/// `precision` bits whose lowest has an exponent from `exponent_min` to `exponent_max`; a tie goes to
/// the even one.
///
/// If `sticky`, the significand must have more bits than the precision and one, or be zero.
pub(in crate::types) fn round_binary(
    significand: u128,
    exponent: i64,
    sticky: bool,
    precision: u32,
    exponent_min: i32,
    exponent_max: i32,
) -> Rounded {
    let zero = Rounded::Finite { mantissa: 0, exponent: exponent_min };
    if significand == 0 {
        return zero;
    }
    let bits = 128 - significand.leading_zeros();
    // Where the lowest kept bit lies: at the precision's end, but not below the format's least.
    let lowest = (exponent + i64::from(bits) - i64::from(precision)).max(i64::from(exponent_min));
    let dropped = lowest - exponent;
    let mut mantissa = match dropped {
        // At most `precision` bits remain, so nothing is shifted out at the top.
        ..=0 => significand << dropped.unsigned_abs(),
        1..=127 => {
            let kept = significand >> dropped;
            let remainder = significand & ((1 << dropped) - 1);
            let half = 1u128 << (dropped - 1);
            let up = remainder > half || (remainder == half && (sticky || kept & 1 == 1));
            kept + u128::from(up)
        }
        128 => u128::from(significand > 1 << 127 || (significand == 1 << 127 && sticky)),
        _ => 0,
    };
    if mantissa == 0 {
        return zero;
    }
    let mut lowest = lowest;
    if mantissa >> precision != 0 {
        // Rounding up carried into a new bit, so the bit that goes is zero.
        mantissa >>= 1;
        lowest += 1;
    }
    if lowest > i64::from(exponent_max) {
        return Rounded::Overflow;
    }
    let mantissa = u64::try_from(mantissa).expect("a precision is at most 64 bits");
    Rounded::Finite { mantissa, exponent: i32::try_from(lowest).expect("it lies between two i32") }
}
