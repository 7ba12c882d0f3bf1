use proptest::prelude::*;

use super::*;

fn number(text: &str) -> LongDouble {
    LongDouble::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
}

/// `2^power` in decimal digits.
fn power_of_two(power: u32) -> String {
    (BigUint::from(1u32) << power).to_string()
}

// The expected texts of this file were printed by a C program with `strtold` and `%.17Lf` on x86-64.

#[test]
fn numbers_are_read_and_written_as_by_c() {
    for (text, written) in [
        ("0", "0"),
        ("-0", "0"),
        ("3.0e3", "3000"),
        ("0x1p-3", "0.125"),
        ("3.14", "3.14"),
        ("0.1", "0.1"),
        ("-0.00000000000000001", "-0.00000000000000001"),
        ("0.000000000000000005", "0"),
        ("-1e-30", "0"),
        ("17179869184", "17179869184"),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551617", "18446744073709551616"),
        ("18446744073709551619", "18446744073709551620"),
        ("36893488147419103235", "36893488147419103236"),
        ("1e20", "100000000000000000000"),
        ("1.23456789012345678901234567890", "1.23456789012345679"),
        ("123456789.123456789123456789", "123456789.12345678912242875"),
        ("4611686018427387904.5", "4611686018427387904.5"),
        ("9007199254740993.3", "9007199254740993.2998046875"),
        ("0.99999999999999999", "0.99999999999999999"),
        ("0.999999999999999995", "1"),
        ("2.5e-17", "0.00000000000000002"),
        ("0x1.8p-18", "0.00000572204589844"),
        ("5e-1", "0.5"),
        ("1.9e-4951", "0"),
        ("inf", "inf"),
        ("-Infinity", "-inf"),
        ("+1.5", "1.5"),
    ] {
        assert_eq!(number(text).to_human_string(), written, "{text}");
    }
}

#[test]
fn sums_are_those_of_the_x87() {
    for (left, right, sum) in [
        ("0.1", "0.2", "0.3"),
        ("3", "1.1", "4.1"),
        ("10.50", "0.1", "10.6"),
        ("5.0e3", "2.0e2", "5200"),
        ("1", "-1", "0"),
        ("-0", "-0", "0"),
        ("0.3", "-0.3", "0"),
        ("17179869184", "1.5", "17179869185.5"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551615", "0.5", "18446744073709551616"),
        ("18446744073709551614", "0.5", "18446744073709551614"),
        ("18446744073709551615", "-0.5", "18446744073709551614"),
        ("18446744073709551616", "-0.5", "18446744073709551616"),
        ("18446744073709551616", "-1e-4000", "18446744073709551616"),
        ("1e30", "-1e30", "0"),
        ("1e30", "1", "1000000000000000000024696061952"),
        ("123.456", "-123.455", "0.001"),
        ("0.00000000000000001", "0.00000000000000002", "0.00000000000000003"),
        ("1e25", "1e6", "10000000000000000001048576"),
        ("inf", "1", "inf"),
        ("1", "-inf", "-inf"),
        ("inf", "-inf", "nan"),
        ("1e4932", "1.1e4932", "inf"),
    ] {
        assert_eq!((number(left) + number(right)).to_human_string(), sum, "{left} + {right}");
        assert_eq!((number(right) + number(left)).to_human_string(), sum, "{right} + {left}");
    }
    assert!(!(number("1e4932") + number("1.1e4932")).is_finite());
    assert!(!(number("inf") + number("-inf")).is_finite());
    assert!((number("1e4932") + number("-1.1e4932")).is_finite());
}

#[test]
fn what_is_no_number() {
    for text in [
        "",
        " 1",
        "1 ",
        "\n1",
        "1\0",
        "1a",
        ".",
        "-",
        "+",
        "1e",
        "nan",
        "-NaN",
        "0x",
        "1.2e4932",
        "-1e99999999999999999999",
        "1e-4952",
        "1.8e-4951",
        "0x0.0000000000000001p-16382",
        "0x1p16384",
    ] {
        assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
    }
    let longest = "0".repeat(TEXT_MAX_BYTES - 2) + "1";
    assert_eq!(number(&longest), LongDouble::from(1i64));
    assert_eq!(LongDouble::parse(format!("0{longest}").as_bytes()), None);
}

#[test]
fn the_largest_and_the_smallest() {
    // The largest number is 2^16384 - 2^16320, and what is half a step above it is too large.
    let power = BigUint::from(1u32) << 16320;
    let product: BigUint = &power * u64::MAX;
    let largest = product.to_string();
    assert_eq!(number(&largest).to_human_string(), largest);
    let half_above: BigUint = product + (power >> 1u32);
    assert_eq!(LongDouble::parse(half_above.to_string().as_bytes()), None);
    assert_eq!(number(&(half_above - 1u32).to_string()).to_human_string(), largest);

    let smallest = number("0x1p-16445");
    assert_eq!(number("2e-4951"), smallest);
    assert_eq!(smallest + number("-0x1p-16445"), LongDouble::ZERO);
    assert_eq!(number("0x1p-16382") + number("-0x1p-16445"), number("0x0.fffffffffffffffep-16382"));
}

#[test]
fn ties_go_to_the_even_number() {
    // 2^65 + 2 lies between two neighbours of 64 bits that are four apart.
    let base: u128 = 1 << 65;
    for (offset, rounded) in [(1, 0), (2, 0), (3, 4), (5, 4), (6, 8), (7, 8), (10, 8)] {
        let written = number(&(base + offset).to_string()).to_human_string();
        assert_eq!(written, (base + rounded).to_string(), "{offset}");
    }
    assert_eq!(number("36893488147419103234.0000000000000000000001").to_human_string(), "36893488147419103236");
    assert_eq!(number(&power_of_two(16_000)).to_human_string(), power_of_two(16_000));
}

#[test]
fn other_numbers_convert_exactly() {
    assert_eq!(LongDouble::from(i64::MIN).to_human_string(), "-9223372036854775808");
    assert_eq!(LongDouble::from(0i64), LongDouble::ZERO);
    assert_eq!(LongDouble::from(0.1), number("0.1000000000000000055511151231257827021181583404541015625"));
    assert_eq!(LongDouble::from(-0.0).to_human_string(), "0");
    assert_eq!(LongDouble::from(5e-324), number("0x1p-1074"));
    assert_eq!(LongDouble::from(f64::NEG_INFINITY).to_human_string(), "-inf");
    assert_eq!(LongDouble::from(f64::NAN).to_human_string(), "nan");
}

proptest! {
    #[test]
    fn integers_come_back(value: i64) {
        let long = LongDouble::from(value);
        prop_assert_eq!(long.to_human_string(), value.to_string());
        prop_assert_eq!(LongDouble::parse(value.to_string().as_bytes()), Some(long));
    }

    #[test]
    fn sums_of_halves_are_exact(left in -(1i64 << 61)..1 << 61, right in -(1i64 << 61)..1 << 61) {
        let half = |value: i64| number(&format!("{}{}.{}", if value < 0 { "-" } else { "" },
            value.unsigned_abs() / 2, value.unsigned_abs() % 2 * 5));
        prop_assert_eq!(half(left) + half(right), half(left + right));
    }

    #[test]
    fn both_ways_to_read_agree(number in 1u64..10_000_000_000_000_000_000, places in 0usize..=18) {
        let digits = number.to_string();
        let small = round_small(digits.as_bytes(), -(places as i64)).unwrap();
        prop_assert_eq!(small, round_big(digits.as_bytes(), -(places as i64)));
    }

    #[test]
    fn addition_commutes(left in "-?[0-9]{1,25}(\\.[0-9]{1,25})?", right in "-?[0-9]{1,5}(\\.[0-9]{1,25})?") {
        prop_assert_eq!(number(&left) + number(&right), number(&right) + number(&left));
    }
}
