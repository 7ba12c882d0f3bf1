//! Bounds of ranges of scores and of members, as ZRANGEBYSCORE and ZRANGEBYLEX read them.

use super::number::{FloatText, parse_f64, scan_float};

/// The score of a bound and whether it is excluded, as Redis reads it with `strtod`: other than elsewhere nothing
/// at all is zero, white space may stand before the number, and one that is too large is infinite. `None` for what
/// is not a number, and for NaN.
pub fn parse_score_bound(text: &[u8]) -> Option<(f64, bool)> {
    let (text, excluded) = match text {
        [b'(', rest @ ..] => (rest, true),
        whole => (whole, false),
    };
    // C's strings end at a zero byte.
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some((0.0, excluded));
    }
    let spaces = text.iter().take_while(|&&byte| super::number::is_c_space(byte)).count();
    let text = &text[spaces..];
    let score = parse_f64(text).or_else(|| match scan_float(text)? {
        // Too large, or too small.
        FloatText::Decimal(_) => std::str::from_utf8(text).ok()?.parse().ok(),
        FloatText::Hexadecimal(digits) if digits.exponent < 0 => Some(0.0),
        FloatText::Hexadecimal(digits) => Some(if digits.negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        FloatText::Infinity { .. } => None,
    })?;
    Some((score, excluded))
}

/// A bound of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// `-`: before all members.
    First,
    /// `+`: behind all members.
    Last,
    /// `[member`
    Included(&'a [u8]),
    /// `(member`
    Excluded(&'a [u8]),
}

impl<'a> LexBound<'a> {
    /// Reads one.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        match text {
            b"-" => Some(Self::First),
            b"+" => Some(Self::Last),
            [b'[', member @ ..] => Some(Self::Included(member)),
            [b'(', member @ ..] => Some(Self::Excluded(member)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_like_strtod() {
        for (text, expected) in [
            ("1.5", Some((1.5, false))),
            ("(1.5", Some((1.5, true))),
            ("-inf", Some((f64::NEG_INFINITY, false))),
            ("(+inf", Some((f64::INFINITY, true))),
            ("", Some((0.0, false))),
            ("(", Some((0.0, true))),
            (" 2", Some((2.0, false))),
            (" ", None),
            ("2 ", None),
            ("1e400", Some((f64::INFINITY, false))),
            ("-1e400", Some((f64::NEG_INFINITY, false))),
            ("1e-400", Some((0.0, false))),
            ("0x10", Some((16.0, false))),
            ("3\0x", Some((3.0, false))),
            ("nan", None),
            ("((1", None),
            ("str", None),
        ] {
            assert_eq!(parse_score_bound(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn members_need_their_mark() {
        assert_eq!(LexBound::parse(b"-"), Some(LexBound::First));
        assert_eq!(LexBound::parse(b"+"), Some(LexBound::Last));
        assert_eq!(LexBound::parse(b"[a"), Some(LexBound::Included(b"a")));
        assert_eq!(LexBound::parse(b"("), Some(LexBound::Excluded(b"")));
        for text in [&b""[..], b"a", b"-a", b"+x"] {
            assert_eq!(LexBound::parse(text), None);
        }
    }
}
