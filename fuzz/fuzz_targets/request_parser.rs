//! Any bytes in any pieces: no panic, no difference between pieces and whole, no memory beyond
//! what arrived, and what was understood is understood again when encoded.
//!
//! The first two bytes of the input choose the limits and how the rest is cut into pieces.

#![no_main]

use kvorum_fuzz::resp::{ParseLimits, Parsed, Protocol, ProtocolError, Reply, RequestParser};
use kvorum_fuzz::types::rng::Rng;
use libfuzzer_sys::fuzz_target;

type Outcome = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Parses what arrives in pieces of the sizes that `piece` tells, discarding some of what was parsed.
fn drive(input: &[u8], limits: &ParseLimits, mut piece: impl FnMut() -> usize) -> Outcome {
    let mut parser = RequestParser::new();
    let mut buffer = Vec::new();
    let mut requests = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let (arrived, later) = rest.split_at(piece().clamp(1, rest.len()));
        buffer.extend_from_slice(arrived);
        rest = later;
        loop {
            match parser.parse(&buffer, limits) {
                Ok(Parsed::Request) => {
                    assert!(parser.arg_count() > 0, "a request has a name");
                    requests.push(parser.args(&buffer).map(<[u8]>::to_vec).collect());
                }
                Ok(Parsed::Incomplete) => break,
                Err(error) => {
                    assert!(!error.to_string().contains(['\r', '\n']), "an error is one line");
                    return (requests, Some(error));
                }
            }
        }
        if let Some(wanted) = parser.wanted() {
            assert!(wanted > 0 && wanted as i64 <= limits.max_bulk_bytes + 2);
        }
        let consumed = parser.consumed();
        assert!(consumed <= buffer.len());
        let discarded = if piece() % 4 == 0 { consumed / 2 } else { consumed };
        buffer.drain(..discarded);
        parser.discard(discarded);
    }
    (requests, None)
}

fuzz_target!(|data: &[u8]| {
    let [bounds, cuts, input @ ..] = data else { return };
    let limits = ParseLimits {
        max_args: if bounds & 1 == 0 { 1024 * 1024 } else { 4 },
        max_bulk_bytes: if bounds & 2 == 0 { 512 * 1024 * 1024 } else { 20 },
        authenticated: bounds & 4 == 0,
    };
    let whole = drive(input, &limits, || usize::MAX);
    let mut rng = Rng::new(u64::from(*cuts));
    let most = 1 + u64::from(cuts % 16) * 7;
    assert_eq!(drive(input, &limits, || rng.below(most) as usize), whole);

    let mut encoded = Vec::new();
    let mut reply = Reply::new(&mut encoded, Protocol::Resp2);
    for request in &whole.0 {
        reply.array(request.len());
        request.iter().for_each(|arg| reply.bulk(arg));
    }
    let lenient = ParseLimits { max_args: i64::MAX, max_bulk_bytes: i64::MAX - 2, authenticated: true };
    assert_eq!(drive(&encoded, &lenient, || usize::MAX), (whole.0, None));
});
