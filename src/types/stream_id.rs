//! Ids of the entries of streams.

use std::fmt;

use super::number::parse_u64;

/// Longest text that can be an id. Redis's own bound.
const TEXT_MAX_BYTES: usize = 127;

/// The id of an entry: a time and a number among the entries of that time. Ids order entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds since the Unix epoch, or what the client takes for them.
    pub ms: u64,
    /// Distinguishes entries of one millisecond.
    pub seq: u64,
}

impl StreamId {
    /// The smallest id, `0-0`. No entry has it.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The largest id.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The id of these parts.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// Whether it is `0-0`, which stands for "none" in many places.
    pub fn is_zero(self) -> bool {
        self == Self::MIN
    }

    /// The id after this one; none is after the largest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The id before this one; none is before the smallest.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// Sixteen bytes that sort as ids do.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(bytes);
        Self { ms: (number >> 64) as u64, seq: number as u64 }
    }

    /// Reads `ms-seq`, or `ms` alone, which takes `missing_seq`.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<Self> {
        let (ms, seq) = split(text)?;
        Some(Self { ms: parse_u64(ms)?, seq: seq.map_or(Some(missing_seq), parse_u64)? })
    }

    /// Reads the id of a new entry: like [`parse`](Self::parse), and `ms-*` leaves the rest to the stream.
    pub fn parse_new(text: &[u8]) -> Option<NewId> {
        let (ms, seq) = split(text)?;
        let ms = parse_u64(ms)?;
        match seq {
            Some(b"*") => Some(NewId::Time(ms)),
            Some(seq) => Some(NewId::Exact(Self { ms, seq: parse_u64(seq)? })),
            None => Some(NewId::Exact(Self { ms, seq: 0 })),
        }
    }
}

/// The parts around the first `-`.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > TEXT_MAX_BYTES {
        return None;
    }
    match text.iter().position(|&byte| byte == b'-') {
        Some(dash) => Some((&text[..dash], Some(&text[dash + 1..]))),
        None => Some((text, None)),
    }
}

/// What a client says of the id of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// Nothing (`*`): it follows from the time.
    Auto,
    /// Its time (`ms-*`).
    Time(u64),
    /// All of it.
    Exact(StreamId),
}

impl NewId {
    /// The id after `last` at a time, or `None` when no id after it is as wanted.
    pub fn resolve(self, last: StreamId, now_ms: u64) -> Option<StreamId> {
        let id = match self {
            Self::Auto if now_ms > last.ms => StreamId::new(now_ms, 0),
            Self::Auto => last.next()?,
            Self::Time(ms) if ms == last.ms => StreamId::new(ms, last.seq.checked_add(1)?),
            Self::Time(ms) => StreamId::new(ms, 0),
            Self::Exact(id) => id,
        };
        (id > last).then_some(id)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
        formatter.write_str(ms.format(self.ms))?;
        formatter.write_str("-")?;
        formatter.write_str(seq.format(self.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_carry_and_end() {
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!(StreamId::new(2, 0).previous(), Some(StreamId::new(1, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.previous(), None);
        for id in [StreamId::MIN, StreamId::new(0, u64::MAX), StreamId::new(5, 7)] {
            assert_eq!(id.next().and_then(StreamId::previous), Some(id));
            assert_eq!(StreamId::from_bytes(id.to_bytes()), id);
        }
    }

    #[test]
    fn bytes_sort_as_ids() {
        let ids = [StreamId::MIN, StreamId::new(0, 256), StreamId::new(1, 0), StreamId::new(256, 1), StreamId::MAX];
        assert!(ids.is_sorted());
        assert!(ids.map(StreamId::to_bytes).is_sorted());
    }

    #[test]
    fn texts() {
        assert_eq!(StreamId::parse(b"12-34", 9), Some(StreamId::new(12, 34)));
        assert_eq!(StreamId::parse(b"12", 9), Some(StreamId::new(12, 9)));
        assert_eq!(StreamId::parse(b"18446744073709551615-18446744073709551615", 0), Some(StreamId::MAX));
        for text in [&b""[..], b"-", b"+", b"a", b"1-", b"-1", b"1-a", b"1-*", b"1-2-3", b"18446744073709551616", b"$"]
        {
            assert_eq!(StreamId::parse(text, 0), None, "{}", text.escape_ascii());
        }
        assert_eq!(StreamId::new(12, 34).to_string(), "12-34");
        assert_eq!(StreamId::parse_new(b"5-*"), Some(NewId::Time(5)));
        assert_eq!(StreamId::parse_new(b"5"), Some(NewId::Exact(StreamId::new(5, 0))));
        assert_eq!(StreamId::parse_new(b"*-5"), None);
    }

    #[test]
    fn new_ids_are_after_the_last() {
        let last = StreamId::new(10, 3);
        assert_eq!(NewId::Auto.resolve(last, 11), Some(StreamId::new(11, 0)));
        assert_eq!(NewId::Auto.resolve(last, 10), Some(StreamId::new(10, 4)));
        assert_eq!(NewId::Auto.resolve(last, 2), Some(StreamId::new(10, 4)));
        assert_eq!(NewId::Auto.resolve(StreamId::MAX, 2), None);
        assert_eq!(NewId::Time(10).resolve(last, 0), Some(StreamId::new(10, 4)));
        assert_eq!(NewId::Time(12).resolve(last, 0), Some(StreamId::new(12, 0)));
        assert_eq!(NewId::Time(9).resolve(last, 0), None);
        assert_eq!(NewId::Time(10).resolve(StreamId::new(10, u64::MAX), 0), None);
        assert_eq!(NewId::Exact(last).resolve(last, 0), None);
        assert_eq!(NewId::Exact(StreamId::new(10, 4)).resolve(last, 0), Some(StreamId::new(10, 4)));
    }
}
