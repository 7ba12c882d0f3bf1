//! Lengths and strings, written as Redis writes them.

use super::lzf;
use crate::types::number::parse_i64;

/// Longest string that may be kept as an integer: `-2147483648`.
const INTEGER_MAX_BYTES: usize = 11;
/// Strings up to this are not worth compressing.
const COMPRESSED_MIN_BYTES: usize = 21;
/// What compression has to save.
const SAVED_MIN_BYTES: usize = 4;

/// Appends to bytes.
pub(super) struct Output<'o> {
    bytes: &'o mut Vec<u8>,
    compress: bool,
}

impl<'o> Output<'o> {
    /// Appends to `bytes`, and compresses strings if so told.
    pub(super) fn new(bytes: &'o mut Vec<u8>, compress: bool) -> Self {
        Self { bytes, compress }
    }

    /// Bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A number in the form of a length.
    pub(super) fn length(&mut self, length: u64) {
        match length {
            0..0x40 => self.bytes.push(length as u8),
            0x40..0x4000 => self.raw(&(0x4000 | length as u16).to_be_bytes()),
            0x4000..=0xffff_ffff => {
                self.bytes.push(0x80);
                self.raw(&(length as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(0x81);
                self.raw(&length.to_be_bytes());
            }
        }
    }

    /// The number of items.
    pub(super) fn count(&mut self, count: usize) {
        self.length(count as u64);
    }

    /// A string, in its shortest form.
    pub(super) fn string(&mut self, string: &[u8]) {
        if string.len() <= INTEGER_MAX_BYTES
            && let Some(number) = parse_i64(string).and_then(|number| i32::try_from(number).ok())
        {
            return self.integer(number);
        }
        if self.compress
            && string.len() >= COMPRESSED_MIN_BYTES
            && let Some(compressed) = lzf::compress(string, SAVED_MIN_BYTES)
        {
            self.bytes.push(0xc3);
            self.count(compressed.len());
            self.count(string.len());
            return self.raw(&compressed);
        }
        self.count(string.len());
        self.raw(string);
    }

    fn integer(&mut self, number: i32) {
        let bytes = number.to_le_bytes();
        let (form, width) = match number {
            -0x80..0x80 => (0xc0, 1),
            -0x8000..0x8000 => (0xc1, 2),
            _ => (0xc2, 4),
        };
        self.bytes.push(form);
        self.raw(&bytes[..width]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::Input;
    use super::*;

    fn written(write: impl FnOnce(&mut Output<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut Output::new(&mut bytes, true));
        bytes
    }

    #[test]
    fn lengths_come_back_in_the_shortest_form() {
        for (length, width) in
            [(0, 1), (63, 1), (64, 2), (16_383, 2), (16_384, 5), (0xffff_ffff, 5), (1 << 32, 9), (u64::MAX, 9)]
        {
            let bytes = written(|output| output.length(length));
            assert_eq!(bytes.len(), width);
            assert_eq!(Input::new(&bytes, "sample").length(), Ok(length));
        }
    }

    #[test]
    fn strings_come_back() {
        let long = vec![b'x'; 100_000];
        let strings: [&[u8]; 12] = [
            b"",
            b"a",
            b"0",
            b"-128",
            b"128",
            b"-32769",
            b"2147483647",
            b"2147483648",
            b"-2147483648",
            b"007",
            b"twenty-one bytes long",
            &long,
        ];
        for string in strings {
            let bytes = written(|output| output.string(string));
            assert!(bytes.len() <= string.len() + 5);
            assert_eq!(Input::new(&bytes, "sample").string().expect("sound"), string);
        }
        assert_eq!(written(|output| output.string(b"300")), b"\xc1\x2c\x01");
        let mut plain = Vec::new();
        Output::new(&mut plain, false).string(&long);
        assert_eq!(plain.len(), long.len() + 5);
    }
}
