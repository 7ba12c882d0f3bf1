//! Numbers, patterns and keys of any bytes: no panic, and what is written is read again.

#![no_main]

use kvorum_fuzz::types::decimal::LongDouble;
use kvorum_fuzz::types::{SLOT_COUNT, glob, number, slot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert!(slot::slot_of(data).0 < SLOT_COUNT);
    if let Some(value) = number::parse_i64(data) {
        assert_eq!(value.to_string().as_bytes(), data);
    }
    if let Some(value) = number::parse_f64(data) {
        let again = number::parse_f64(number::format_f64(value).as_bytes());
        assert_eq!(again.map(f64::to_bits), Some(value.to_bits()));
    }
    if let Some(value) = LongDouble::parse(data) {
        assert!(LongDouble::parse(value.to_human_string().as_bytes()).is_some());
        assert_eq!(value + LongDouble::ZERO, LongDouble::ZERO + value);
    }
    let (pattern, text) = data.split_at(data.len() / 2);
    if glob::matches(pattern, text, false) {
        assert!(text.starts_with(&glob::literal_prefix(pattern)));
        assert!(glob::matches(b"*", text, true));
    }
});
