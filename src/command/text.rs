//! Numbers as text and strings as replies, without allocation.

use crate::resp::Reply;
use crate::storage::StringValue;

/// The decimal form of an integer, on the stack.
pub(super) struct Decimal {
    bytes: [u8; Self::MAX_BYTES],
    start: usize,
}

impl Decimal {
    /// Bytes of `-9223372036854775808`.
    const MAX_BYTES: usize = 20;

    /// The decimal form of `number`.
    pub(super) fn new(number: i64) -> Self {
        let mut bytes = [0; Self::MAX_BYTES];
        let mut start = Self::MAX_BYTES;
        let mut rest = number.unsigned_abs();
        loop {
            start -= 1;
            bytes[start] = b'0' + u8::try_from(rest % 10).expect("a digit is below 10");
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if number < 0 {
            start -= 1;
            bytes[start] = b'-';
        }
        Self { bytes, start }
    }

    /// Its bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Replies with a string from the store.
#[inline]
pub(super) fn reply_string(value: &StringValue<'_>, reply: &mut Reply<'_>) {
    match value {
        StringValue::Bytes(bytes) => reply.bulk(bytes),
        StringValue::Int(number) => reply.bulk(Decimal::new(*number).as_bytes()),
    }
}

/// The length in bytes of a string from the store.
pub(super) fn string_len(value: &StringValue<'_>) -> usize {
    match value {
        StringValue::Bytes(bytes) => bytes.len(),
        StringValue::Int(number) => Decimal::new(*number).as_bytes().len(),
    }
}

/// A length or count as a reply's integer.
pub(super) fn reply_len(len: usize, reply: &mut Reply<'_>) {
    reply.integer(i64::try_from(len).expect("lengths in memory fit an i64"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_the_formatter() {
        for number in [0, 1, -1, 9, 10, -10, 12345, i64::MAX, i64::MIN] {
            assert_eq!(Decimal::new(number).as_bytes(), number.to_string().as_bytes());
        }
    }
}
