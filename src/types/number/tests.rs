use proptest::prelude::*;

use super::*;

#[test]
fn signed_integers_are_strict() {
    for (text, value) in [
        ("0", 0),
        ("1", 1),
        ("-1", -1),
        ("99", 99),
        ("1000000000000000000", 1_000_000_000_000_000_000),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
    }
    for text in [
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "01",
        "-0",
        "-01",
        "00",
        "1a",
        "a",
        "0x1",
        "1.0",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551617",
        "99999999999999999999",
        "1\0",
    ] {
        assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn unsigned_integers_are_less_strict() {
    for (text, value) in [
        ("0", 0),
        ("18446744073709551615", u64::MAX),
        ("+7", 7),
        ("007", 7),
        ("00000000000000000000000000007", 7),
        (" \t7", 7),
        ("-0", 0),
    ] {
        assert_eq!(parse_u64(text.as_bytes()), Some(value), "{text}");
    }
    for text in ["", "-", "+", " ", "-1", "-01", "7 ", "1a", "+-1", "- 1", "18446744073709551616"] {
        assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn doubles_as_strtod_takes_them() {
    for (text, value) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("3.0e2", 300.0),
        ("+5", 5.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1E+2", 100.0),
        ("inf", f64::INFINITY),
        ("+INF", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
        ("0x10", 16.0),
        ("-0x1.8p1", -3.0),
        ("0X.8", 0.5),
        ("0xAp-1", 5.0),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("0x1.fffffffffffff7fffp1023", f64::MAX),
        ("0x0.0000000000001p-1022", 5e-324),
        ("0x1p-1074", 5e-324),
        ("0x1.8p-1075", 5e-324),
        ("0x1.00000000000008p0", 1.0),
        ("0x1.000000000000080000000000000000000000000000001p0", 1.0 + f64::EPSILON),
        ("0x1.00000000000018p0", 1.0 + 2.0 * f64::EPSILON),
        ("0x0.fffffffffffffcp-1022", f64::MIN_POSITIVE),
        ("0x0p999999999999999999999999", 0.0),
        ("5e-324", 5e-324),
        ("2.5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("0e99999999999999999999", 0.0),
    ] {
        let parsed = parse_f64(text.as_bytes());
        assert_eq!(parsed.map(f64::to_bits), Some(value.to_bits()), "{text}: {parsed:?}");
    }
}

#[test]
fn what_is_no_double() {
    for text in [
        "",
        ".",
        "+",
        "-",
        " 1",
        "1 ",
        "\t1",
        "1\0",
        "1e",
        "1e+",
        "e5",
        "nan",
        "-nan",
        "NAN",
        "nan(1)",
        "infi",
        "in",
        "infinity1",
        "0x",
        "0x.",
        "0xp1",
        "0x1p",
        "0x1p+",
        "0x1g",
        "1_0",
        "1,0",
        "--1",
        "+-1",
        "1e400",
        "-1e400",
        "1e-400",
        "2e-324",
        "0x1p1024",
        "0x1.fffffffffffff8p1023",
        "0x1p-1075",
        "0x1p99999999999999999999999",
        "1p5",
        "0x1e+5",
        "١",
    ] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn doubles_are_written_with_17_digits() {
    // Printed by C with "%.17g".
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-12.0, "-12"),
        (3.25, "3.25"),
        (0.1, "0.10000000000000001"),
        (7.7, "7.7000000000000002"),
        (1e15, "1000000000000000"),
        (1e16, "10000000000000000"),
        (1e17, "1e+17"),
        (123456789012345680000.0, "1.2345678901234568e+20"),
        (4503599627370495.5, "4503599627370495.5"),
        (4503599627370497.0, "4503599627370497"),
        (1e100, "1e+100"),
        (1.5e300, "1.5000000000000001e+300"),
        (1e-4, "0.0001"),
        (1e-5, "1.0000000000000001e-05"),
        (0.5f64.powi(25), "2.9802322387695312e-08"),
        (0.000244140625, "0.000244140625"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (-5e-324, "-4.9406564584124654e-324"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        assert_eq!(format_f64(value).as_str(), text);
    }
}

proptest! {
    #[test]
    fn integers_come_back(value: i64) {
        prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        let magnitude = value.unsigned_abs();
        prop_assert_eq!(parse_u64(magnitude.to_string().as_bytes()), Some(magnitude));
    }

    #[test]
    fn only_what_would_be_written_is_an_integer(text in "[-+ ]?[0-9]{0,21}") {
        let written = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
        prop_assert_eq!(parse_i64(text.as_bytes()), written);
    }

    #[test]
    fn doubles_come_back(bits: u64) {
        let value = f64::from_bits(bits);
        let parsed = parse_f64(format_f64(value).as_bytes());
        prop_assert_eq!(parsed.map(f64::to_bits), (!value.is_nan()).then_some(bits));
    }

    #[test]
    fn hexadecimal_doubles_come_back(bits: u64) {
        let exponent = (bits >> 52) & 0x7ff;
        prop_assume!(exponent != 0x7ff);
        let hidden = u64::from(exponent != 0);
        let sign = if bits >> 63 == 1 { "-" } else { "" };
        let power = exponent.max(1).cast_signed() - 1023;
        let text = format!("{sign}0x{hidden}.{:013x}p{power}", bits & ((1 << 52) - 1));
        prop_assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), Some(bits), "{}", text);
    }
}
