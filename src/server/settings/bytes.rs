//! Numbers of bytes with Redis's units: `1k` is 1000, `1kb` is 1024, and so for `m` and `g`.

const UNITS: [(&str, i64); 8] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1 << 30),
];

/// Reads a number of bytes. `None` when it is not one, or is more than an `i64` holds.
pub(super) fn parse(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<i64>().ok()?.checked_mul(*factor)
}

/// Writes a number of bytes with the largest unit that divides it.
pub(super) fn format(bytes: i64) -> String {
    let unit = UNITS.iter().rev().find(|(name, factor)| name.ends_with('b') && bytes % factor == 0);
    match unit {
        Some((name, factor)) if bytes != 0 && *factor > 1 => format!("{}{name}", bytes / factor),
        _ => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_redis() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("17b", Some(17)),
            ("1k", Some(1000)),
            ("1kb", Some(1024)),
            ("2M", Some(2_000_000)),
            ("64mb", Some(64 << 20)),
            ("1Gb", Some(1 << 30)),
            ("1g", Some(1_000_000_000)),
            ("", None),
            ("kb", None),
            ("-1", None),
            ("1tb", None),
            ("1.5gb", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("9223372036854775807kb", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
        }
    }

    #[test]
    fn formats_what_it_parses() {
        for (bytes, text) in
            [(0, "0"), (1, "1"), (1000, "1000"), (1536, "1536"), (64 << 20, "64mb"), (1 << 40, "1024gb")]
        {
            assert_eq!(format(bytes), text);
            assert_eq!(parse(text), Some(bytes));
        }
    }
}
