use proptest::prelude::*;
use redis_protocol::resp2;
use redis_protocol::resp2::types::Resp2Frame as _;

use super::*;

const LIMITS: ParseLimits =
    ParseLimits { max_args: 1024 * 1024, max_bulk_bytes: 512 * 1024 * 1024, authenticated: true };
const STRANGER: ParseLimits = ParseLimits { authenticated: false, ..LIMITS };

type Requests = Vec<Vec<Vec<u8>>>;

/// Parses `input` as it arrives in pieces of these sizes (and a last one with the rest), discarding after
/// every piece.
fn drive(input: &[u8], pieces: &[usize], limits: &ParseLimits) -> (Requests, Option<ProtocolError>) {
    let mut parser = RequestParser::new();
    let mut requests = Vec::new();
    let mut buffer = Vec::new();
    let mut rest = input;
    for piece in pieces.iter().copied().chain([usize::MAX]) {
        let (arrived, later) = rest.split_at(piece.min(rest.len()));
        rest = later;
        buffer.extend_from_slice(arrived);
        loop {
            match parser.parse(&buffer, limits) {
                Ok(Parsed::Request) => {
                    let mut args = SmallVec::new();
                    parser.args_into(&buffer, &mut args);
                    assert_eq!(parser.arg_count(), args.len());
                    assert!((0..args.len()).all(|index| parser.arg(&buffer, index) == args[index]));
                    requests.push(args.iter().map(|arg| arg.to_vec()).collect());
                }
                Ok(Parsed::Incomplete) => break,
                Err(error) => {
                    assert_eq!(parser.parse(&buffer, limits), Err(error), "an error stays");
                    return (requests, Some(error));
                }
            }
        }
        let consumed = parser.consumed();
        buffer.drain(..consumed);
        parser.discard(consumed);
        assert_eq!(parser.consumed(), 0);
    }
    (requests, None)
}

fn whole(input: &[u8]) -> (Requests, Option<ProtocolError>) {
    drive(input, &[], &LIMITS)
}

fn one(input: &str) -> Vec<String> {
    let (requests, error) = whole(input.as_bytes());
    assert_eq!((requests.len(), error), (1, None), "{input:?}");
    requests[0].iter().map(|arg| String::from_utf8(arg.clone()).unwrap()).collect()
}

fn error_of(input: &[u8], limits: &ParseLimits) -> String {
    drive(input, &[], limits).1.map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn multibulk() {
    assert_eq!(one("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$4\r\nfoo\n\r\n"), ["SET", "x", "foo\n"]);
    assert_eq!(one("*2\r\n$0\r\n\r\n$0\r\n\r\n"), ["", ""]);
    let long = "x".repeat(123_456);
    assert_eq!(one(&format!("*1\r\n$123456\r\n{long}\r\n")), [long]);
}

#[test]
fn empty_requests_are_none() {
    assert_eq!(whole(b"\r\n\n\r\n*0\r\n*-1\r\n*-10\r\n   \r\n\t\n"), (vec![], None));
    assert_eq!(one("\r\n*-10\r\nPING\r\n"), ["PING"]);
}

#[test]
fn bytes_after_a_carriage_return_are_skipped_unseen() {
    assert_eq!(one("*2\rx$3\ryGET\rz$1\r\nk--"), ["GET", "k"]);
}

#[test]
fn inline() {
    assert_eq!(one("SET key value\r\n"), ["SET", "key", "value"]);
    assert_eq!(one("  SET\tkey   value \n"), ["SET", "key", "value"]);
    assert_eq!(one("a\rb\r\n"), ["a", "b"]);
    assert_eq!(one("\x0ba\x0bb \x0cc\n"), ["a\x0bb", "c"]);
    assert_eq!(one(&r#"set "a b" 'c d'"#.add_line()), ["set", "a b", "c d"]);
    assert_eq!(one(&r#"e "\n\r\t\b\a\q\\\"\x41\x4a\xzz""#.add_line()), ["e", "\n\r\t\x08\x07q\\\"AJxzz"]);
    assert_eq!(one(&r"e '\n\'\\x'".add_line()), ["e", r"\n'\\x"]);
    assert_eq!(one(&r#"fo"o b""#.add_line()), ["foo b"]);
    assert_eq!(one(&r#"e "" '' x"#.add_line()), ["e", "", "", "x"]);
    assert_eq!(one(&r"e\x41 \".add_line()), [r"e\x41", r"\"]);
    assert_eq!(whole(b"e \"\\xff\\x00\"\r\n").0, [[b"e".to_vec(), b"\xff\0".to_vec()]]);
}

trait AddLine {
    fn add_line(&self) -> String;
}

impl AddLine for str {
    fn add_line(&self) -> String {
        format!("{self}\r\n")
    }
}

#[test]
fn unbalanced_quotes() {
    for line in [r#"set """test-key""" test-value"#, "'abc", "\"abc", "\"abc\\", "'abc\\'", "\"a\"b", "'a'b", "a\"b\"c"]
    {
        assert_eq!(error_of(line.add_line().as_bytes(), &LIMITS), "unbalanced quotes in request", "{line}");
    }
}

#[test]
fn errors_of_redis() {
    for (input, text) in [
        // The cases of Redis's unit/protocol, with a bound of 1024 * 1024 arguments.
        ("*3000000000\r\n", "invalid multibulk length"),
        ("*20000000\r\n", "invalid multibulk length"),
        ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'"),
        ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n", "invalid bulk length"),
        ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n", "invalid bulk length"),
        ("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n", "invalid bulk length"),
        ("*1\r\nfoo\r\n", "expected '$', got 'f'"),
        // Others.
        ("*\r\n", "invalid multibulk length"),
        ("*+1\r\n", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("* 1\r\n", "invalid multibulk length"),
        ("*x\r\n", "invalid multibulk length"),
        ("*99999999999999999999\r\n", "invalid multibulk length"),
        ("*1\r\n$\r\n", "invalid bulk length"),
        ("*1\r\n$01\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        ("*1\r\n\r\n", "expected '$', got ' '"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\nfoo", ""),
        ("*1\r\n$-", ""),
        ("*x\r", ""),
    ] {
        assert_eq!(error_of(input.as_bytes(), &LIMITS), text, "{input:?}");
    }
    assert_eq!(error_of(b"*1\r\n\xff\r\n", &LIMITS), "expected '$', got '\u{fffd}'");
}

#[test]
fn strangers_have_tighter_bounds() {
    assert_eq!(error_of(b"*10\r\n", &STRANGER), "");
    assert_eq!(error_of(b"*11\r\n", &STRANGER), "unauthenticated multibulk length");
    assert_eq!(error_of(b"*1\r\n$16384\r\n", &STRANGER), "");
    assert_eq!(error_of(b"*1\r\n$16385\r\n", &STRANGER), "unauthenticated bulk length");
    assert_eq!(error_of(b"*1\r\n$600000000\r\n", &STRANGER), "invalid bulk length");
}

#[test]
fn limits_may_change_between_calls() {
    let buffer = b"AUTH secret\r\n*11\r\n$99\r\n";
    let mut parser = RequestParser::new();
    assert_eq!(parser.parse(buffer, &STRANGER), Ok(Parsed::Request));
    let mut refused = RequestParser::new();
    assert_eq!(refused.parse(buffer, &STRANGER), Ok(Parsed::Request));
    assert_eq!(refused.parse(buffer, &STRANGER), Err(ProtocolError::UnauthenticatedCount));
    assert_eq!(parser.parse(buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert_eq!(parser.wanted(), Some(101));
    let short = ParseLimits { max_bulk_bytes: 98, ..LIMITS };
    assert_eq!(error_of(b"*1\r\n$99\r\n", &short), "invalid bulk length");
}

#[test]
fn lines_are_bounded() {
    // The line's end may be at most 64 KiB after its begin, whether the rest has arrived or not.
    for (begin, end, text) in [
        ("", "\n", "too big inline request"),
        ("*", "\r\n", "too big mbulk count string"),
        ("*1\r\n$", "\r\n", "too big bulk count string"),
    ] {
        let line_start = begin.len() - begin.len().min(1);
        let most = INLINE_MAX_BYTES - (begin.len() - line_start);
        for tail in ["", end] {
            let excess = format!("{begin}{}{tail}", "1".repeat(most + 1));
            assert_eq!(error_of(excess.as_bytes(), &LIMITS), text);
        }
        assert_eq!(error_of(format!("{begin}{}", "1".repeat(most)).as_bytes(), &LIMITS), "");
        let fits = error_of(format!("{begin}{}{end}", "1".repeat(most)).as_bytes(), &LIMITS);
        assert!(!fits.contains("too big"), "{fits}");
    }
}

#[test]
fn nul_hides_the_end_of_its_line() {
    // "Protocol desync regression test" of Redis's unit/protocol.
    for (begin, text) in [
        ("\0", "too big inline request"),
        ("*\0", "too big mbulk count string"),
        ("*1\r\n$\0", "too big bulk count string"),
    ] {
        let mut input = begin.as_bytes().to_vec();
        input.extend_from_slice(b"\r\nPING\r\n");
        assert_eq!(whole(&input), (vec![], None));
        input.extend_from_slice(&b"payload\r\n".repeat(10_000));
        assert_eq!(error_of(&input, &LIMITS), text);
        assert_eq!(drive(&input, &[1; 70_000], &LIMITS), whole(&input));
    }
}

#[test]
fn missing_bytes_of_a_bulk_are_told() {
    let mut parser = RequestParser::new();
    let mut buffer = b"*2\r\n$3\r\nGET\r\n$1000000".to_vec();
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert_eq!(parser.wanted(), None);
    assert!(parser.is_inside_request());
    buffer.extend_from_slice(b"\r\nabc");
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert_eq!(parser.wanted(), Some(999_999));
    buffer.resize(buffer.len() + 999_998, b'x');
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert_eq!(parser.wanted(), Some(1));
    buffer.push(b'\n');
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Request));
    assert_eq!(parser.wanted(), None);
    assert_eq!(parser.arg(&buffer, 1).len(), 1_000_000);
}

#[test]
fn nothing_is_reserved_for_what_was_only_announced() {
    let mut parser = RequestParser::new();
    let buffer = b"*1048576\r\n$500000000\r\n";
    assert_eq!(parser.parse(buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert!(parser.args.capacity() <= 8);
}

#[test]
fn a_giant_leaves_no_memory_behind() {
    let mut parser = RequestParser::new();
    let mut buffer = b"*5000\r\n".to_vec();
    buffer.extend_from_slice(&b"$1\r\nx\r\n".repeat(5000));
    buffer.extend_from_slice(&b"word ".repeat(5000));
    buffer.extend_from_slice(b"\n*1\r\n");
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Request));
    assert_eq!(parser.arg_count(), 5000);
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Request));
    assert_eq!(parser.arg_count(), 5000);
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert!(parser.args.capacity() <= RETAINED_MAX && parser.unescaped.capacity() <= RETAINED_MAX);
}

#[test]
fn arguments_survive_the_discarding_of_earlier_requests() {
    let mut parser = RequestParser::new();
    let mut buffer = b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n$3\r\nab".to_vec();
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Request));
    let first = parser.consumed();
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Request));
    buffer.drain(..first);
    parser.discard(first);
    assert!(parser.args(&buffer).eq([b"ECHO".as_slice(), b"hi"]));
    let second = parser.consumed();
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Incomplete));
    assert_eq!(parser.args(&buffer).len(), 0);
    buffer.drain(..second);
    parser.discard(second);
    buffer.extend_from_slice(b"c\r\n");
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Request));
    assert!(parser.args(&buffer).eq([b"abc"]));
    buffer.clear();
    parser.discard(parser.consumed());
    assert_eq!(parser.arg_count(), 0);
    assert_eq!(parser.parse(&buffer, &LIMITS), Ok(Parsed::Incomplete));
}

#[test]
#[should_panic(expected = "not parsed")]
fn no_more_can_be_discarded_than_was_parsed() {
    let mut parser = RequestParser::new();
    assert_eq!(parser.parse(b"*1\r\n", &LIMITS), Ok(Parsed::Incomplete));
    parser.discard(1);
}

fn encode(request: &[Vec<u8>]) -> Vec<u8> {
    let frames = request.iter().cloned().map(resp2::types::OwnedFrame::BulkString).collect();
    let frame = resp2::types::OwnedFrame::Array(frames);
    let mut encoded = vec![0; frame.encode_len(false)];
    let length = resp2::encode::encode(&mut encoded, &frame, false).unwrap();
    encoded.truncate(length);
    encoded
}

/// Pieces of protocol, whole and broken.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let arg = proptest::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        6 => proptest::collection::vec(arg, 1..5).prop_map(|request| encode(&request)),
        2 => "[a-z \"'\\\\]{0,12}\r?\n".prop_map(String::into_bytes),
        2 => r#"[a-z]{1,3}( "([a-z \n]|\\x[0-9a-f]{2}|\\[nrtba"\\])*"| '[a-z ]*'){0,3}"#
            .prop_map(|line| line.replace('\n', " ").add_line().into_bytes()),
        1 => "[*$][0-9-]{0,4}\r\n".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        fragments in proptest::collection::vec(fragment(), 0..12),
        pieces in proptest::collection::vec(0usize..20, 0..40),
        authenticated: bool,
    ) {
        let input = fragments.concat();
        let limits = ParseLimits { max_args: 12, max_bulk_bytes: 2000, authenticated };
        let expected = drive(&input, &[], &limits);
        prop_assert_eq!(&drive(&input, &pieces, &limits), &expected);
        prop_assert_eq!(&drive(&input, &vec![1; input.len()], &limits), &expected);
    }

    #[test]
    fn what_another_implementation_encodes_is_understood(
        requests in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1100), 1..12), 0..6),
        pieces in proptest::collection::vec(0usize..2000, 0..10),
    ) {
        let input: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        prop_assert_eq!(drive(&input, &pieces, &LIMITS), (requests, None));
    }
}
