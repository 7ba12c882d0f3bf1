use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use redis_protocol::{resp2, resp3};

use super::*;

fn written(protocol: Protocol, write: impl FnOnce(&mut Reply<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Reply::new(&mut out, protocol));
    String::from_utf8(out).unwrap()
}

fn both(write: impl Fn(&mut Reply<'_>)) -> [String; 2] {
    [written(Protocol::Resp2, &write), written(Protocol::Resp3, &write)]
}

#[test]
fn what_both_versions_have() {
    for (actual, expected) in [
        (both(|reply| reply.ok()), "+OK\r\n"),
        (both(|reply| reply.simple("PONG")), "+PONG\r\n"),
        (both(|reply| reply.error("ERR syntax error")), "-ERR syntax error\r\n"),
        (both(|reply| reply.error("ERR a\r\nb\n")), "-ERR a  b\r\n"),
        (both(|reply| reply.integer(7)), ":7\r\n"),
        (both(|reply| reply.integer(-1)), ":-1\r\n"),
        (both(|reply| reply.integer(i64::MIN)), ":-9223372036854775808\r\n"),
        (both(|reply| reply.bulk(b"")), "$0\r\n\r\n"),
        (both(|reply| reply.bulk(b"a\r\n")), "$3\r\na\r\n\r\n"),
        (both(|reply| reply.bulk(&[b'x'; 12])), "$12\r\nxxxxxxxxxxxx\r\n"),
        (both(|reply| reply.array(0)), "*0\r\n"),
        (both(|reply| reply.array(1_048_576)), "*1048576\r\n"),
    ] {
        assert_eq!(actual, [expected, expected]);
    }
}

#[test]
fn what_only_resp3_has() {
    for (actual, resp2, resp3) in [
        (both(|reply| reply.null()), "$-1\r\n", "_\r\n"),
        (both(|reply| reply.null_array()), "*-1\r\n", "_\r\n"),
        (both(|reply| reply.map(6)), "*12\r\n", "%6\r\n"),
        (both(|reply| reply.set(3)), "*3\r\n", "~3\r\n"),
        (both(|reply| reply.push(3)), "*3\r\n", ">3\r\n"),
        (both(|reply| assert_eq!(reply.attribute(1), reply.protocol() == Protocol::Resp3)), "", "|1\r\n"),
        (both(|reply| reply.boolean(true)), ":1\r\n", "#t\r\n"),
        (both(|reply| reply.boolean(false)), ":0\r\n", "#f\r\n"),
        (both(|reply| reply.double(3.25)), "$4\r\n3.25\r\n", ",3.25\r\n"),
        (both(|reply| reply.double(0.1)), "$19\r\n0.10000000000000001\r\n", ",0.10000000000000001\r\n"),
        (both(|reply| reply.double(f64::NEG_INFINITY)), "$4\r\n-inf\r\n", ",-inf\r\n"),
        (both(|reply| reply.double(f64::NAN)), "$3\r\nnan\r\n", ",nan\r\n"),
        (both(|reply| reply.human_long_double("13.361")), "$6\r\n13.361\r\n", ",13.361\r\n"),
        (both(|reply| reply.verbatim("txt", b"Some string")), "$11\r\nSome string\r\n", "=15\r\ntxt:Some string\r\n"),
        (
            both(|reply| reply.big_number("-123456789012345678901")),
            "$22\r\n-123456789012345678901\r\n",
            "(-123456789012345678901\r\n",
        ),
    ] {
        assert_eq!(actual, [resp2, resp3]);
    }
}

#[test]
fn a_reply_can_be_taken_back() {
    let mut out = b"+OK\r\n".to_vec();
    let mut reply = Reply::new(&mut out, Protocol::Resp3);
    let before = reply.len();
    reply.array(2);
    reply.raw(b":1\r\n");
    reply.truncate(before);
    reply.error("EXECABORT");
    assert!(!reply.is_empty());
    assert_eq!(out, b"+OK\r\n-EXECABORT\r\n");
}

#[test]
fn displayed_bulk_is_a_bulk() {
    for length in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 12_345] {
        let text = "abcdefghij".repeat(length / 10 + 1)[..length].to_owned();
        let write = |displayed: bool| {
            written(Protocol::Resp2, |reply| {
                reply.integer(1);
                if displayed {
                    reply.bulk_display(&text)
                } else {
                    reply.bulk(text.as_bytes())
                }
                reply.ok();
            })
        };
        assert_eq!(write(true), write(false));
    }
}

/// A reply to be written and read back.
#[derive(Clone, Debug)]
enum Value {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Displayed(i64),
    Null,
    Double(f64),
    Boolean(bool),
    Verbatim(String),
    BigNumber(i128),
    Array(Vec<Value>),
    Map(Vec<(i64, Value)>),
    Set(Vec<i64>),
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(Value::Simple),
        "[A-Z]{1,8} [ -~]{0,20}".prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        (-200i64..200).prop_map(Value::Integer),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Value::Bulk),
        any::<i64>().prop_map(Value::Displayed),
        Just(Value::Null),
        any::<f64>().prop_filter("NaN differs from itself", |double| !double.is_nan()).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "[ -~]{0,20}".prop_map(Value::Verbatim),
        any::<i128>().prop_map(Value::BigNumber),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::Array),
            proptest::collection::btree_map(any::<i64>(), inner, 0..4)
                .prop_map(|pairs| Value::Map(pairs.into_iter().collect())),
            proptest::collection::btree_set(any::<i64>(), 0..4)
                .prop_map(|members| Value::Set(members.into_iter().collect())),
        ]
    })
}

fn write(reply: &mut Reply<'_>, value: &Value) {
    match value {
        Value::Simple(text) => reply.simple(text),
        Value::Error(text) => reply.error(text),
        Value::Integer(integer) => reply.integer(*integer),
        Value::Bulk(bytes) => reply.bulk(bytes),
        Value::Displayed(integer) => reply.bulk_display(integer),
        Value::Null => reply.null(),
        Value::Double(double) => reply.double(*double),
        Value::Boolean(boolean) => reply.boolean(*boolean),
        Value::Verbatim(text) => reply.verbatim("txt", text.as_bytes()),
        Value::BigNumber(number) => reply.big_number(&number.to_string()),
        Value::Array(values) => {
            reply.array(values.len());
            values.iter().for_each(|value| write(reply, value));
        }
        Value::Map(pairs) => {
            reply.map(pairs.len());
            for (key, value) in pairs {
                reply.integer(*key);
                write(reply, value);
            }
        }
        Value::Set(members) => {
            reply.set(members.len());
            members.iter().for_each(|member| reply.integer(*member));
        }
    }
}

fn in_resp2(value: &Value) -> resp2::types::OwnedFrame {
    use resp2::types::OwnedFrame as Frame;
    match value {
        Value::Simple(text) => Frame::SimpleString(text.clone().into_bytes()),
        Value::Error(text) => Frame::Error(text.clone()),
        Value::Integer(integer) => Frame::Integer(*integer),
        Value::Bulk(bytes) => Frame::BulkString(bytes.clone()),
        Value::Displayed(integer) => Frame::BulkString(integer.to_string().into_bytes()),
        Value::Null => Frame::Null,
        Value::Double(double) => Frame::BulkString(format_f64(*double).as_bytes().to_vec()),
        Value::Boolean(boolean) => Frame::Integer(i64::from(*boolean)),
        Value::Verbatim(text) => Frame::BulkString(text.clone().into_bytes()),
        Value::BigNumber(number) => Frame::BulkString(number.to_string().into_bytes()),
        Value::Array(values) => Frame::Array(values.iter().map(in_resp2).collect()),
        Value::Map(pairs) => {
            Frame::Array(pairs.iter().flat_map(|(key, value)| [Frame::Integer(*key), in_resp2(value)]).collect())
        }
        Value::Set(members) => Frame::Array(members.iter().copied().map(Frame::Integer).collect()),
    }
}

fn in_resp3(value: &Value) -> resp3::types::OwnedFrame {
    use resp3::types::{OwnedFrame as Frame, VerbatimStringFormat};
    let attributes = None;
    let number = |data: i64| Frame::Number { data, attributes: None };
    match value {
        Value::Simple(text) => Frame::SimpleString { data: text.clone().into_bytes(), attributes },
        Value::Error(text) => Frame::SimpleError { data: text.clone(), attributes },
        Value::Integer(integer) => number(*integer),
        Value::Bulk(bytes) => Frame::BlobString { data: bytes.clone(), attributes },
        Value::Displayed(integer) => Frame::BlobString { data: integer.to_string().into_bytes(), attributes },
        Value::Null => Frame::Null,
        Value::Double(double) => Frame::Double { data: *double, attributes },
        Value::Boolean(boolean) => Frame::Boolean { data: *boolean, attributes },
        Value::Verbatim(text) => {
            Frame::VerbatimString { data: text.clone().into_bytes(), format: VerbatimStringFormat::Text, attributes }
        }
        Value::BigNumber(number) => Frame::BigNumber { data: number.to_string().into_bytes(), attributes },
        Value::Array(values) => Frame::Array { data: values.iter().map(in_resp3).collect(), attributes },
        Value::Map(pairs) => {
            let data: HashMap<_, _> = pairs.iter().map(|(key, value)| (number(*key), in_resp3(value))).collect();
            Frame::Map { data, attributes }
        }
        Value::Set(members) => {
            let data: HashSet<_> = members.iter().copied().map(number).collect();
            Frame::Set { data, attributes }
        }
    }
}

proptest! {
    #[test]
    fn another_implementation_understands_it(value in value()) {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, Protocol::Resp2), &value);
        prop_assert_eq!(resp2::decode::decode(&out).unwrap(), Some((in_resp2(&value), out.len())));

        out.clear();
        write(&mut Reply::new(&mut out, Protocol::Resp3), &value);
        let decoded = resp3::decode::complete::decode(&out).unwrap();
        prop_assert_eq!(decoded, Some((in_resp3(&value), out.len())));
    }
}
