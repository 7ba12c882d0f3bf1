//! Integers of 1 to 64 bits at any offset of a string: `BITFIELD`.

/// The type of a bit field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldType {
    /// Whether the highest bit is a sign (two's complement).
    signed: bool,
    /// 1 to 64, or 63 without a sign, so that every value fits an `i64`.
    bits: u32,
}

/// What becomes of a value that does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Its low bits are taken.
    Wrap,
    /// The nearest value that fits is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl FieldType {
    /// A type, if there is one with so many bits.
    pub fn new(signed: bool, bits: i64) -> Option<Self> {
        let max = if signed { 64 } else { 63 };
        let bits = u32::try_from(bits).ok().filter(|bits| (1..=max).contains(bits))?;
        Some(Self { signed, bits })
    }

    /// How many bits it takes.
    pub fn bits(self) -> u64 {
        u64::from(self.bits)
    }

    /// The least and the greatest value.
    fn limits(self) -> (i128, i128) {
        if self.signed {
            let beyond = 1i128 << (self.bits - 1);
            (-beyond, beyond - 1)
        } else {
            (0, (1i128 << self.bits) - 1)
        }
    }

    /// The value at a bit offset; what lies beyond the string's end is zero.
    pub fn get(self, bytes: &[u8], offset: u64) -> i64 {
        // A field touches nine bytes at most.
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        let mut window = [0; 16];
        if let Some(rest) = bytes.get(start..) {
            let taken = rest.len().min(9);
            window[..taken].copy_from_slice(&rest[..taken]);
        }
        let shifted = u128::from_be_bytes(window) << (offset % 8);
        let unused = u128::BITS - self.bits;
        let value = if self.signed { (shifted.cast_signed()) >> unused } else { (shifted >> unused).cast_signed() };
        i64::try_from(value).expect("a field has 64 bits, or 63 without a sign")
    }

    /// Writes a value at a bit offset of a string that reaches beyond the field.
    ///
    /// # Panics
    /// When the string ends before the field does.
    pub fn set(self, bytes: &mut [u8], offset: u64, value: i64) {
        let start = usize::try_from(offset / 8).expect("the field lies in the string");
        let end = usize::try_from((offset + self.bits()).div_ceil(8)).expect("the field lies in the string");
        let mut window = [0; 16];
        let place = &mut bytes[start..end];
        window[..place.len()].copy_from_slice(place);
        let shift = u128::BITS - self.bits - u32::try_from(offset % 8).expect("it is below 8");
        let mask = (u128::MAX >> (u128::BITS - self.bits)) << shift;
        let value = i128::from(value).cast_unsigned() << shift;
        let window = ((u128::from_be_bytes(window) & !mask) | (value & mask)).to_be_bytes();
        place.copy_from_slice(&window[..place.len()]);
    }

    /// The sum of a field's value and an increment, made to fit; `None` if it does not and must not be written.
    pub fn add(self, value: i64, increment: i64, overflow: Overflow) -> Option<i64> {
        self.fit(i128::from(value) + i128::from(increment), overflow)
    }

    /// A value from a client, made to fit; `None` if it does not and must not be written. To a field without a sign
    /// a negative number is one beyond all others, as in Redis.
    pub fn fit_new(self, value: i64, overflow: Overflow) -> Option<i64> {
        let value = if self.signed { i128::from(value) } else { i128::from(value.cast_unsigned()) };
        self.fit(value, overflow)
    }

    fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = self.limits();
        let fitting = if (min..=max).contains(&value) {
            value
        } else {
            match overflow {
                Overflow::Fail => return None,
                Overflow::Saturate => value.clamp(min, max),
                Overflow::Wrap => {
                    let unused = i128::BITS - self.bits;
                    let high = value << unused;
                    if self.signed { high >> unused } else { (high.cast_unsigned() >> unused).cast_signed() }
                }
            }
        };
        Some(i64::try_from(fitting).expect("values of fields fit 64 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::bits;
    use crate::types::rng::Rng;

    fn types() -> impl Iterator<Item = FieldType> {
        let all = |signed| (1..=64).filter_map(move |bits| FieldType::new(signed, bits));
        all(true).chain(all(false))
    }

    #[test]
    fn types_have_bounds() {
        assert_eq!(types().count(), 64 + 63);
        assert!(FieldType::new(false, 64).is_none() && FieldType::new(true, 65).is_none());
        assert!(FieldType::new(true, 0).is_none() && FieldType::new(true, -1).is_none());
    }

    #[test]
    fn fields_agree_with_bit_by_bit() {
        let mut rng = Rng::new(1);
        for _ in 0..100 {
            for field in types() {
                let offset = rng.below(30);
                let len = (offset + field.bits()).div_ceil(8) + rng.below(3);
                let before: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
                let value = field.fit_new(rng.next_u64().cast_signed(), Overflow::Wrap).expect("wrapping always fits");
                let mut after = before.clone();
                field.set(&mut after, offset, value);
                assert_eq!(field.get(&after, offset), value);
                for bit in 0..len * 8 {
                    let expected = if (offset..offset + field.bits()).contains(&bit) {
                        value.cast_unsigned() >> (offset + field.bits() - 1 - bit) & 1 == 1
                    } else {
                        bits::get(&before, bit)
                    };
                    assert_eq!(bits::get(&after, bit), expected, "{field:?} at {offset}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn beyond_the_end_is_zero() {
        let field = FieldType::new(false, 8).unwrap();
        assert_eq!(field.get(b"\xff", 4), 0xf0);
        assert_eq!(field.get(b"\xff", 8), 0);
        assert_eq!(field.get(b"", 1 << 60), 0);
    }

    #[test]
    fn overflow_is_handled_as_asked() {
        let (i8, u8) = (FieldType::new(true, 8).unwrap(), FieldType::new(false, 8).unwrap());
        let (i64, u63) = (FieldType::new(true, 64).unwrap(), FieldType::new(false, 63).unwrap());
        assert_eq!(i8.add(100, 100, Overflow::Wrap), Some(-56));
        assert_eq!(i8.add(100, 100, Overflow::Saturate), Some(127));
        assert_eq!(i8.add(-100, -100, Overflow::Saturate), Some(-128));
        assert_eq!(i8.add(100, 28, Overflow::Fail), None);
        assert_eq!(i8.add(100, 27, Overflow::Fail), Some(127));
        assert_eq!(u8.add(10, -11, Overflow::Wrap), Some(255));
        assert_eq!(u8.add(10, -11, Overflow::Saturate), Some(0));
        assert_eq!(u8.fit_new(-1, Overflow::Saturate), Some(255));
        assert_eq!(u8.fit_new(257, Overflow::Wrap), Some(1));
        assert_eq!(i64.add(i64::MAX, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(i64.add(i64::MIN, -1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(i64.add(i64::MAX, i64::MIN, Overflow::Fail), Some(-1));
        assert_eq!(u63.add(i64::MAX, 1, Overflow::Wrap), Some(0));
    }
}
