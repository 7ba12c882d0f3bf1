//! Replies: where they end, what they are, and when two are as good as equal.

use std::fmt;

/// How two replies to a command are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Byte by byte.
    Exact,
    /// The elements of the array in any order.
    Sorted,
    /// Pairs of elements in any order.
    Pairs,
    /// A cursor, and elements in any order.
    Scan,
    /// A cursor, and pairs of elements in any order.
    ScanPairs,
    /// Integers that the servers' clocks may move a little.
    Near,
    /// Only the kind of reply and the number of its elements.
    Shape,
    /// Byte by byte, but only for servers whose encodings are Redis's. `TYPE` is asked before, and `known.txt` sees it in
    /// parentheses behind the command, with the key's mark.
    Encoding,
    /// As `geo.rs` says.
    Geo,
}

/// How far apart integers that depend on the clock may be: milliseconds, and so many seconds more than enough.
const NEAR: i64 = 20_000;

impl How {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "exact" => Self::Exact,
            "sorted" => Self::Sorted,
            "pairs" => Self::Pairs,
            "scan" => Self::Scan,
            "scan-pairs" => Self::ScanPairs,
            "near" => Self::Near,
            "shape" => Self::Shape,
            "encoding" => Self::Encoding,
            "geo" => Self::Geo,
            _ => return None,
        })
    }

    /// Whether two replies, which differ as bytes, are as good as equal.
    pub(crate) fn agree(self, one: &[u8], other: &[u8]) -> bool {
        let (one, other) = (Value::read(one), Value::read(other));
        match (self, &one, &other) {
            (Self::Near, Value::Integer(a), Value::Integer(b)) => {
                *a > 0 && *b > 0 && a.abs_diff(*b) < NEAR.unsigned_abs()
            }
            (Self::Shape, Value::Array(a), Value::Array(b)) => a.len() == b.len(),
            (Self::Shape, ..) => std::mem::discriminant(&one) == std::mem::discriminant(&other) && !one.is_error(),
            (Self::Sorted, ..) => one.sorted(1) == other.sorted(1),
            (Self::Pairs, ..) => one.sorted(2) == other.sorted(2),
            (Self::Scan, ..) => one.second_sorted(1) == other.second_sorted(1),
            (Self::ScanPairs, ..) => one.second_sorted(2) == other.second_sorted(2),
            _ => false,
        }
    }
}

/// A reply of RESP2.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Simple(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    Null,
    NullArray,
    Array(Vec<Value>),
}

impl Value {
    pub(crate) fn read(mut bytes: &[u8]) -> Self {
        Self::take(&mut bytes)
    }

    fn take(bytes: &mut &[u8]) -> Self {
        let line_end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("the reply is complete");
        let line = bytes[1..line_end].to_vec();
        let kind = bytes[0];
        *bytes = &bytes[line_end + 2..];
        let number = || std::str::from_utf8(&line).ok().and_then(|text| text.parse::<i64>().ok());
        match kind {
            b'+' => Self::Simple(line),
            b'-' => Self::Error(line),
            b':' => Self::Integer(number().expect("an integer")),
            b'$' => match usize::try_from(number().expect("a length")) {
                Ok(len) => {
                    let value = bytes[..len].to_vec();
                    *bytes = &bytes[len + 2..];
                    Self::Bulk(value)
                }
                Err(_) => Self::Null,
            },
            b'*' => match usize::try_from(number().expect("a length")) {
                Ok(len) => Self::Array((0..len).map(|_| Self::take(bytes)).collect()),
                Err(_) => Self::NullArray,
            },
            _ => panic!("no reply begins with {kind}"),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The array with its elements, or groups of so many, in order.
    pub(crate) fn sorted(&self, width: usize) -> Self {
        let Self::Array(elements) = self else { return self.clone() };
        let mut groups: Vec<&[Self]> = elements.chunks(width).collect();
        groups.sort();
        Self::Array(groups.concat())
    }

    fn second_sorted(&self, width: usize) -> Self {
        match self {
            Self::Array(parts) if parts.len() == 2 => Self::Array(vec![parts[0].clone(), parts[1].sorted(width)]),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{}", text.escape_ascii()),
            Self::Error(text) => write!(f, "-{}", text.escape_ascii()),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bulk(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Self::Null => write!(f, "nil"),
            Self::NullArray => write!(f, "nil array"),
            Self::Array(elements) => {
                write!(f, "[")?;
                for (index, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if index > 0 { ", " } else { "" })?;
                }
                write!(f, "]")
            }
        }
    }
}

/// Where the reply that begins at `at` ends, if it is complete.
pub(crate) fn end_of(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut left = 1u64;
    while left > 0 {
        let line_end = at + bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let number = || {
            let text = std::str::from_utf8(&bytes[at + 1..line_end]).ok()?;
            text.parse::<i64>().ok().map(|number| u64::try_from(number).unwrap_or(0))
        };
        left -= 1;
        match bytes[at] {
            b'$' if bytes[at + 1] != b'-' => {
                let end = line_end + 2 + usize::try_from(number()?).ok()? + 2;
                if end > bytes.len() {
                    return None;
                }
                at = end;
            }
            b'*' => {
                left += number()?;
                at = line_end + 2;
            }
            _ => at = line_end + 2,
        }
    }
    Some(at)
}
