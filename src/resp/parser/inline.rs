//! The words of an inline request, with Redis's quoting (`sdssplitargs`).
//!
//! Words are separated by white space. Within `"…"`, `\n \r \t \b \a` and `\xHH` mean what they
//! mean in C and any other escaped byte means itself; within `'…'` only `\'` is special. A quote
//! may open in the middle of a word, but where it closes the word ends.

use super::ProtocolError;
use crate::types::number::is_c_space;

/// Appends the words' bytes to `unescaped` and tells the place of each.
pub(super) fn split_words(
    line: &[u8],
    unescaped: &mut Vec<u8>,
    mut word: impl FnMut(usize, usize),
) -> Result<(), ProtocolError> {
    let mut rest = line;
    loop {
        rest = &rest[rest.iter().take_while(|byte| is_c_space(**byte)).count()..];
        if rest.is_empty() {
            return Ok(());
        }
        let start = unescaped.len();
        rest = take_word(rest, unescaped)?;
        word(start, unescaped.len());
    }
}

/// Unescapes the word that `text` begins with; answers what follows it.
fn take_word<'a>(mut text: &'a [u8], unescaped: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        text = match text {
            // A vertical tab or a form feed separates words only after another separator.
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(text),
            [b'"', quoted @ ..] => return take_double_quoted(quoted, unescaped),
            [b'\'', quoted @ ..] => return take_single_quoted(quoted, unescaped),
            [byte, rest @ ..] => {
                unescaped.push(*byte);
                rest
            }
        };
    }
}

fn take_double_quoted<'a>(mut text: &'a [u8], unescaped: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, rest) = match text {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'"', rest @ ..] => return after_quote(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescape(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        unescaped.push(byte);
        text = rest;
    }
}

fn take_single_quoted<'a>(mut text: &'a [u8], unescaped: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, rest) = match text {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [b'\'', rest @ ..] => return after_quote(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        unescaped.push(byte);
        text = rest;
    }
}

/// A closing quote must end the word.
fn after_quote(rest: &[u8]) -> Result<&[u8], ProtocolError> {
    match rest.first() {
        Some(byte) if !is_c_space(*byte) => Err(ProtocolError::UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
