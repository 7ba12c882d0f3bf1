use super::*;
use crate::storage::EncodingSettings;
use crate::types::rng::Rng;

fn dumped(object: &Object) -> Vec<u8> {
    dump(object, SaveOptions { encoding: &EncodingSettings::default(), compress: true })
}

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn numbered(prefix: &str, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("{prefix}{i}").into_bytes()).collect()
}

/// Objects of every kind and size class.
fn samples() -> Vec<Object> {
    let mut samples = vec![
        Object::String(Vec::new()),
        Object::String(text("12345")),
        Object::String(text("-9223372036854775808")),
        Object::String(text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")),
        Object::String((0..=255).collect()),
        Object::Set(vec![text("3"), text("x")]),
        Object::Set(vec![text("-5"), text("40000"), text("9000000000")]),
        Object::Zset(vec![
            (text("min"), f64::NEG_INFINITY),
            (text("m"), -1.5),
            (text("17"), 0.1),
            (text("a"), 1.0),
            (text("b"), 1.0),
            (text("big"), 1e300),
            (text("max"), f64::INFINITY),
        ]),
    ];
    for count in [1, 2, 127, 128, 129, 511, 512, 513, 5000] {
        samples.push(Object::List(numbered("element", count)));
        samples.push(Object::Set(numbered("member", count)));
        let mut sorted = (0..count as i64).map(|i| i * i - 1000).collect::<Vec<_>>();
        sorted.sort_unstable();
        sorted.dedup();
        samples.push(Object::Set(sorted.iter().map(|i| i.to_string().into_bytes()).collect()));
        samples.push(Object::Hash(numbered("field", count).into_iter().zip(numbered("", count)).collect()));
        let scored = numbered("member", count).into_iter().enumerate().map(|(i, member)| (member, i as f64 / 4.0));
        samples.push(Object::Zset(scored.collect()));
    }
    for length in [63, 64, 65, 4096, 70_000] {
        let long = vec![b'l'; length];
        samples.push(Object::List(vec![long.clone(), text("1"), long.clone()]));
        samples.push(Object::Set(vec![long.clone(), text("1")]));
        samples.push(Object::Hash(vec![(text("f"), long.clone()), (long.clone(), text("7"))]));
        samples.push(Object::Zset(vec![(text("f"), 1.0), (long, 1.0)]));
    }
    samples
}

#[test]
fn every_object_comes_back() {
    for object in samples() {
        let payload = dumped(&object);
        let back = restore(&payload).unwrap_or_else(|error| panic!("{error} in {:?}", object.kind()));
        assert_eq!(back, object);
        let plain = dump(&object, SaveOptions { encoding: &EncodingSettings::default(), compress: false });
        assert_eq!(restore(&plain), Ok(object));
    }
}

#[test]
fn lists_follow_their_setting() {
    let object = Object::List(numbered("element", 1000));
    for list_max_listpack_size in [i64::MIN, -6, -5, -4, -3, -2, -1, 0, 1, 2, 100, i64::MAX] {
        let encoding = EncodingSettings { list_max_listpack_size, ..EncodingSettings::default() };
        let payload = dump(&object, SaveOptions { encoding: &encoding, compress: false });
        assert_eq!(restore(&payload).as_ref(), Ok(&object), "{list_max_listpack_size}");
    }
}

#[test]
fn the_forms_are_those_that_redis_would_choose() {
    let forms = |object: &Object| dumped(object)[0];
    assert_eq!(forms(&Object::String(text("x"))), kinds::STRING);
    assert_eq!(forms(&Object::List(numbered("", 1))), kinds::LIST_QUICKLIST_2);
    assert_eq!(forms(&Object::Set(numbered("", 512))), kinds::SET_INTSET);
    assert_eq!(forms(&Object::Set(numbered("", 513))), kinds::SET);
    assert_eq!(forms(&Object::Set(numbered("a", 1))), kinds::SET);
    let hash = |count| Object::Hash(numbered("f", count).into_iter().zip(numbered("", count)).collect());
    assert_eq!(forms(&hash(128)), kinds::HASH_LISTPACK);
    assert_eq!(forms(&hash(129)), kinds::HASH);
    let zset = |length| Object::Zset(vec![(vec![b'm'; length], 1.0)]);
    assert_eq!(forms(&zset(64)), kinds::ZSET_LISTPACK);
    assert_eq!(forms(&zset(65)), kinds::ZSET_2);
}

#[test]
fn payloads_are_those_of_redis() {
    // DUMP of redis-server 7.0.15 after SET s 10, and after RPUSH l a.
    assert_eq!(dumped(&Object::String(text("10"))), b"\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb");
}

#[test]
fn damage_never_passes() {
    let mut rng = Rng::new(11);
    for object in samples().iter().filter(|object| dumped(object).len() < 3000) {
        let payload = dumped(object);
        for _ in 0..40 {
            let mut damaged = payload.clone();
            let at = rng.below(damaged.len() as u64) as usize;
            damaged[at] ^= 1 << rng.below(8);
            assert_eq!(restore(&damaged), Err(RestoreError::Footer));
            // With a checksum that fits the damage must be seen, or the value must be sound.
            if let Ok(object) = decode(&damaged[..damaged.len() - FOOTER_BYTES]) {
                assert_eq!(restore(&dumped(&object)), Ok(object));
            }
        }
        for cut in 0..payload.len().min(200) {
            assert!(restore(&payload[..cut]).is_err());
            assert!(decode(&payload[..cut.min(payload.len() - FOOTER_BYTES - 1)]).is_err());
        }
    }
}

#[test]
fn values_that_are_none_are_refused() {
    let bad: [(&[u8], &str); 14] = [
        (b"\x01\x00", "an empty list"),
        (b"\x02\x00", "an empty set"),
        (b"\x04\x00", "an empty hash"),
        (b"\x05\x00", "an empty sorted set"),
        (b"\x12\x00", "a list without nodes"),
        (b"\x12\x01\x02\x07\x07\0\0\0\0\0\xff", "a list of an empty node"),
        (b"\x12\x01\x03\x01a", "a node of an unknown form"),
        (b"\x02\x02\x01a\x01a", "a member that stands twice"),
        (b"\x04\x02\x01a\x01b\x01a\x01c", "a field that stands twice"),
        (b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f", "a NaN"),
        (b"\x03\x01\x01a\xfd", "an old NaN"),
        (b"\x03\x01\x01a\x01x", "a score that is no number"),
        (b"\x00\x01ab", "something left over"),
        (b"\x08\x00", "an unknown form"),
    ];
    for (bytes, what) in bad {
        assert!(decode(bytes).is_err(), "{what}");
    }
}

#[test]
fn old_forms_are_read() {
    let cases: [(&[u8], Object); 6] = [
        (b"\x01\x02\x01a\xc0\x05", Object::List(vec![text("a"), text("5")])),
        (
            b"\x03\x03\x01a\x03\x31.5\x01b\xfe\x01c\xff",
            Object::Zset(vec![(text("c"), f64::NEG_INFINITY), (text("a"), 1.5), (text("b"), f64::INFINITY)]),
        ),
        (b"\x09\x08\x01\x01a\x01\x00b\xff", Object::Hash(vec![])),
        (b"\x0a\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff", Object::List(vec![text("2"), text("5")])),
        (b"\x0d\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff", Object::Hash(vec![(text("2"), text("5"))])),
        (b"\x0c\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff", Object::Zset(vec![(text("2"), 5.0)])),
    ];
    for (bytes, object) in cases {
        if object == Object::Hash(vec![]) {
            assert_eq!(decode(b"\x09\x07\x01\x01a\x01\x00b\xff"), Ok(Object::Hash(vec![(text("a"), text("b"))])));
            continue;
        }
        assert_eq!(decode(bytes), Ok(object));
    }
    let nodes = b"\x0e\x02\x0f\x0f\0\0\0\x0c\0\0\0\x02\0\x00\xf3\x02\xf6\xff\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff";
    assert_eq!(decode(nodes), Ok(Object::List(vec![text("2"), text("5")])));
    let listpack = b"\x14\x0b\x0b\0\0\0\x02\0\x81a\x02\x01\x01\xff";
    assert!(decode(listpack).is_err(), "a length that is wrong");
    assert_eq!(decode(b"\x14\x0c\x0c\0\0\0\x02\0\x81a\x02\x01\x01\xff"), Ok(Object::Set(vec![text("a"), text("1")])));
}
