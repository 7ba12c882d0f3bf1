//! One reply out of the replies of several shards.

use smallvec::SmallVec;

use crate::resp::{Protocol, Reply};
use crate::types::number::{parse_i64, parse_u64};

/// How replies are put together. If one is an error, so is the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// All are `+OK`.
    Ok,
    /// Numbers are added up.
    Sum,
    /// Each has the values of some keys: they are put in the order of the request's keys.
    Values,
    /// Arrays, one behind the other.
    Concatenated,
    /// Arrays of keys, each in order, that become one in order (KEYRANGE).
    Range {
        /// Most keys of the whole.
        limit: usize,
        /// The order is from the last key to the first.
        reverse: bool,
        /// Each key has its value with it.
        with_values: bool,
    },
}

impl Merge {
    /// How replies to a KEYRANGE are put together; its options are checked by the shards.
    pub fn range(args: &[&[u8]]) -> Self {
        let has = |word: &[u8]| args.iter().skip(3).position(|arg| arg.eq_ignore_ascii_case(word));
        let limit = has(b"LIMIT").and_then(|index| args.get(index + 4)).and_then(|arg| parse_u64(arg));
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self::Range { limit, reverse: has(b"REV").is_some(), with_values: has(b"WITHVALUES").is_some() }
    }
}

/// A shard, by whatever number, and its reply.
pub type Part<'a> = (u16, &'a [u8]);

/// Appends the whole reply. `routes` says by key which part has it.
pub fn merge(how: Merge, routes: &[u16], parts: &[Part<'_>], protocol: Protocol, out: &mut Vec<u8>) {
    if let Some((_, error)) = parts.iter().find(|(_, reply)| reply.starts_with(b"-")) {
        out.extend_from_slice(error);
        return;
    }
    let mut reply = Reply::new(out, protocol);
    match how {
        Merge::Ok => reply.ok(),
        Merge::Sum => reply.integer(parts.iter().map(|(_, part)| number(part)).sum()),
        Merge::Values => {
            let mut parts: SmallVec<[Part<'_>; 8]> =
                parts.iter().map(|&(shard, part)| (shard, header(part).1)).collect();
            reply.array(routes.len());
            for route in routes {
                let part = parts.iter_mut().find(|(shard, _)| shard == route).expect("every key is in a part");
                reply.raw(next(&mut part.1));
            }
        }
        Merge::Concatenated => {
            reply.array(parts.iter().map(|(_, part)| header(part).0).sum());
            for (_, part) in parts {
                reply.raw(header(part).1);
            }
        }
        Merge::Range { limit, reverse, with_values } => {
            // With RESP3 a key and its value are an array.
            let nested = with_values && protocol == Protocol::Resp3;
            let mut keys: Vec<(&[u8], &[u8])> = Vec::new();
            for (_, part) in parts {
                let mut rest = header(part).1;
                while !rest.is_empty() {
                    let start = rest;
                    if nested {
                        rest = header(rest).1;
                    }
                    let key = header(next(&mut rest)).1;
                    let key = &key[..key.len() - LINE_END.len()];
                    if with_values {
                        next(&mut rest);
                    }
                    keys.push((key, &start[..start.len() - rest.len()]));
                }
            }
            keys.sort_unstable_by_key(|&(key, _)| key);
            if reverse {
                keys.reverse();
            }
            keys.truncate(limit);
            reply.array(if with_values && !nested { keys.len() * 2 } else { keys.len() });
            keys.iter().for_each(|(_, element)| reply.raw(element));
        }
    }
}

const LINE_END: &[u8] = b"\r\n";

/// The number of a reply's first line, and what comes after the line.
pub fn header(reply: &[u8]) -> (usize, &[u8]) {
    let end = line_end(reply);
    let count = parse_i64(&reply[1..end]).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    (count, &reply[end + LINE_END.len()..])
}

/// The integer of a reply.
pub fn number(reply: &[u8]) -> i64 {
    parse_i64(&reply[1..line_end(reply)]).expect("the reply is an integer")
}

fn line_end(reply: &[u8]) -> usize {
    reply.windows(2).position(|pair| pair == LINE_END).expect("replies are made of lines")
}

/// Takes the first element off a list of replies.
pub fn next<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (element, behind) = rest.split_at(length(rest));
    *rest = behind;
    element
}

/// Bytes of the first element of a list of replies.
fn length(replies: &[u8]) -> usize {
    let line = line_end(replies) + LINE_END.len();
    let count = || parse_i64(&replies[1..line - LINE_END.len()]).and_then(|count| usize::try_from(count).ok());
    let elements = match replies[0] {
        b'$' | b'=' => return line + count().map_or(0, |bytes| bytes + LINE_END.len()),
        b'*' | b'~' | b'>' => count().unwrap_or(0),
        b'%' => count().unwrap_or(0) * 2,
        _ => return line,
    };
    (0..elements).fold(line, |end, _| end + length(&replies[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(how: Merge, routes: &[u16], parts: &[&str], protocol: Protocol) -> String {
        let parts: Vec<Part<'_>> = (0..).zip(parts.iter().map(|part| part.as_bytes())).collect();
        let mut out = Vec::new();
        merge(how, routes, &parts, protocol, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_error_is_the_whole_reply() {
        for how in [Merge::Ok, Merge::Sum, Merge::Values, Merge::Concatenated] {
            assert_eq!(merged(how, &[0, 1], &["+OK\r\n", "-ERR no\r\n"], Protocol::Resp2), "-ERR no\r\n");
        }
    }

    #[test]
    fn sums_and_concatenations() {
        assert_eq!(merged(Merge::Sum, &[], &[":3\r\n", ":0\r\n", ":4\r\n"], Protocol::Resp2), ":7\r\n");
        let parts = ["*1\r\n$1\r\na\r\n", "*0\r\n", "*2\r\n$1\r\nb\r\n$0\r\n\r\n"];
        assert_eq!(merged(Merge::Concatenated, &[], &parts, Protocol::Resp2), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn values_come_in_the_order_of_the_keys() {
        let parts = ["*2\r\n$2\r\n\r\n\r\n$-1\r\n", "*1\r\n$1\r\nx\r\n"];
        assert_eq!(
            merged(Merge::Values, &[0, 1, 0], &parts, Protocol::Resp2),
            "*3\r\n$2\r\n\r\n\r\n$1\r\nx\r\n$-1\r\n"
        );
        let parts = ["*1\r\n_\r\n", "*1\r\n$1\r\nx\r\n"];
        assert_eq!(merged(Merge::Values, &[1, 0], &parts, Protocol::Resp3), "*2\r\n$1\r\nx\r\n_\r\n");
    }

    #[test]
    fn ranges_are_put_in_order_and_cut() {
        let range = |limit, reverse, with_values| Merge::Range { limit, reverse, with_values };
        let parts = ["*2\r\n$1\r\na\r\n$2\r\nab\r\n", "*2\r\n$2\r\na\0\r\n$1\r\nb\r\n"];
        assert_eq!(
            merged(range(3, false, false), &[], &parts, Protocol::Resp2),
            "*3\r\n$1\r\na\r\n$2\r\na\0\r\n$2\r\nab\r\n"
        );
        let parts = ["*2\r\n$2\r\nab\r\n$1\r\na\r\n", "*1\r\n$1\r\nb\r\n"];
        assert_eq!(merged(range(2, true, false), &[], &parts, Protocol::Resp2), "*2\r\n$1\r\nb\r\n$2\r\nab\r\n");
        let parts = ["*2\r\n$1\r\nb\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n", "*2\r\n$1\r\na\r\n$1\r\nx\r\n"];
        assert_eq!(
            merged(range(usize::MAX, false, true), &[], &parts, Protocol::Resp2),
            "*4\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nb\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n"
        );
        let parts = ["*1\r\n*2\r\n$1\r\nb\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n", "*1\r\n*2\r\n$1\r\na\r\n$1\r\nx\r\n"];
        assert_eq!(
            merged(range(1, true, true), &[], &parts, Protocol::Resp3),
            "*1\r\n*2\r\n$1\r\nb\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
        );
    }

    #[test]
    fn options_of_a_range() {
        let args: Vec<&[u8]> = "KEYRANGE - + limit 7 Rev".split(' ').map(str::as_bytes).collect();
        assert_eq!(Merge::range(&args), Merge::Range { limit: 7, reverse: true, with_values: false });
    }
}
