//! Connections, and the comparison of a round's replies.

use std::collections::HashSet;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use super::geo::Search;
use super::grammar::Command;
use super::known::Known;
use super::reply::{How, Value, end_of};

/// Commands that are sent before their replies are read. Few enough for requests to fit the sockets' buffers: then no
/// server waits for its replies to be read before it reads on.
const BATCH: usize = 100;

/// One server under test, or the reference.
pub(crate) struct Server {
    pub(crate) name: Arc<str>,
    stream: TcpStream,
    buffer: Vec<u8>,
    at: usize,
}

impl Server {
    pub(crate) fn connect(name: &str, port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|error| panic!("{name}: {error}"));
        stream.set_nodelay(true).expect("sockets have this option");
        Self { name: name.into(), stream, buffer: Vec::new(), at: 0 }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("{} takes no commands: {error}", self.name));
    }

    /// The next reply.
    fn receive(&mut self) -> &[u8] {
        let end = loop {
            if let Some(end) = end_of(&self.buffer, self.at) {
                break end;
            }
            if self.at > 0 {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            let mut chunk = [0; 64 * 1024];
            let read = self.stream.read(&mut chunk).unwrap_or_else(|error| panic!("{}: {error}", self.name));
            assert!(read > 0, "{} has closed the connection: did it crash?", self.name);
            self.buffer.extend_from_slice(&chunk[..read]);
        };
        let start = std::mem::replace(&mut self.at, end);
        &self.buffer[start..end]
    }

    /// Whether the server has a command.
    pub(crate) fn knows(&mut self, name: &str) -> bool {
        let mut request = Vec::new();
        encode(&Command::fixed(&format!("COMMAND INFO {name}")), false, &mut request);
        self.send(&request);
        matches!(Value::read(self.receive()), Value::Array(found) if matches!(found[..], [Value::Array(_)]))
    }
}

/// What a server is sent. Of a single key Redis's PFCOUNT notes the count in the value, where GET shows it; here PFCOUNT is a
/// read. With the key twice the reference answers the same and notes nothing. Where a count may have been written into
/// the value with SETRANGE, which only PFCOUNT of the single key believes, all servers are sent the key twice.
fn encode(command: &Command, to_reference: bool, out: &mut Vec<u8>) {
    match &command.args[..] {
        [name, key] if name.eq_ignore_ascii_case(b"PFCOUNT") && (to_reference || key.starts_with(b"c")) => {
            encode_args(&[name.clone(), key.clone(), key.clone()], out);
        }
        args => encode_args(args, out),
    }
}

fn encode_args(args: &[Vec<u8>], out: &mut Vec<u8>) {
    write!(out, "*{}\r\n", args.len()).expect("vectors take everything");
    for arg in args {
        write!(out, "${}\r\n", arg.len()).expect("vectors take everything");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// What is sent for a command of a round: often it alone, sometimes with others that say how to judge its reply.
struct Exchange {
    before: Option<Vec<Vec<u8>>>,
    after: Vec<Vec<Vec<u8>>>,
}

impl Exchange {
    fn of(command: &Command) -> Self {
        match (command.how, command.args.last()) {
            (How::Encoding, Some(key)) => Self { before: Some(vec![b"TYPE".to_vec(), key.clone()]), after: Vec::new() },
            (How::Geo, _) => {
                let search = Search::of(&command.args);
                Self { before: Some(search.before()), after: search.after() }
            }
            _ => Self { before: None, after: Vec::new() },
        }
    }

    fn encode(&self, command: &Command, to_reference: bool, out: &mut Vec<u8>) {
        self.before.iter().for_each(|args| encode_args(args, out));
        encode(command, to_reference, out);
        self.after.iter().for_each(|args| encode_args(args, out));
    }

    /// The replies to all of it.
    fn receive(&self, server: &mut Server) -> Vec<Vec<u8>> {
        let count = usize::from(self.before.is_some()) + 1 + self.after.len();
        (0..count).map(|_| server.receive().to_vec()).collect()
    }

    /// The reply to the command itself.
    fn own<'r>(&self, replies: &'r [Vec<u8>]) -> &'r [u8] {
        &replies[usize::from(self.before.is_some())]
    }
}

/// Keys whose values commands have met that change encodings in Redis where they change nothing else, and what became of
/// them: `known.txt` sees the marks. Those that SORT has met are `sorted` if they are sorted sets, those that SETBIT and
/// BITFIELD have met `bits` if they are strings.
#[derive(Default)]
struct Marks {
    sorted: HashSet<Vec<u8>>,
    bits: HashSet<Vec<u8>>,
}

impl Marks {
    fn follow(&mut self, command: &Command) {
        let (name, args) = (command.args[0].to_ascii_uppercase(), &command.args[1..]);
        for (marks, names) in
            [(&mut self.sorted, [&b"SORT"[..], b"SORT_RO"]), (&mut self.bits, [&b"SETBIT"[..], b"BITFIELD"])]
        {
            match (&name[..], args) {
                (name, [key, ..]) if names.contains(&name) => {
                    marks.insert(key.clone());
                }
                (b"RENAME" | b"RENAMENX" | b"COPY", [from, to, ..]) if marks.contains(from) => {
                    marks.insert(to.clone());
                }
                (b"DEL" | b"UNLINK", keys) => keys.iter().for_each(|key| {
                    marks.remove(key);
                }),
                _ => {}
            }
        }
    }

    /// What stands behind a command: the type that was asked for, and the key's mark.
    fn of(&self, command: &Command, kind: Option<&[u8]>) -> String {
        let Some(kind) = kind else {
            let sorted = command.args.get(1).is_some_and(|key| self.sorted.contains(key));
            return if sorted { " (sorted)".to_owned() } else { String::new() };
        };
        let (marks, mark) = match kind {
            b"zset" => (&self.sorted, "sorted"),
            _ => (&self.bits, "bits"),
        };
        let marked = matches!(kind, b"zset" | b"string") && command.args.last().is_some_and(|key| marks.contains(key));
        let kind = String::from_utf8_lossy(kind);
        if marked { format!(" ({kind}, {mark})") } else { format!(" ({kind})") }
    }
}

/// Whether replies that differ as bytes are as good as equal.
fn agree(command: &Command, exchange: &Exchange, expected: &[Vec<u8>], found: &[Vec<u8>]) -> bool {
    match command.how {
        How::Geo => {
            let values = |replies: &[Vec<u8>]| replies.iter().map(|reply| Value::read(reply)).collect::<Vec<_>>();
            Search::of(&command.args).agree(&values(expected), &values(found))
        }
        how => how.agree(exchange.own(expected), exchange.own(found)),
    }
}

/// Two servers that answered differently.
pub(crate) struct Difference {
    /// Position of the command in the round.
    pub(crate) index: usize,
    /// Position of the server among all.
    pub(crate) server: usize,
    command: String,
    expected: (Arc<str>, Value),
    found: (Arc<str>, Value),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reference, expected) = &self.expected;
        let (name, found) = &self.found;
        write!(f, "{}\n  {reference}: {expected}\n  {name}: {found}", self.command)
    }
}

/// Sends a round to all servers and compares their replies with those of the first; answers how many commands were refused.
pub(crate) fn compare(servers: &mut [Server], round: &[Command], known: &mut Known) -> Result<u64, Box<Difference>> {
    let mut refused = 0;
    let mut failure = None;
    let mut marks = Marks::default();
    let (mut request, mut for_reference) = (Vec::new(), Vec::new());
    for (number, batch) in round.chunks(BATCH).enumerate() {
        request.clear();
        for_reference.clear();
        let exchanges: Vec<Exchange> = batch.iter().map(Exchange::of).collect();
        for (command, exchange) in batch.iter().zip(&exchanges) {
            exchange.encode(command, false, &mut request);
            exchange.encode(command, true, &mut for_reference);
        }
        let (reference, others) = servers.split_first_mut().expect("there is a reference");
        reference.send(&for_reference);
        others.iter_mut().for_each(|server| server.send(&request));
        for (index, (command, exchange)) in batch.iter().zip(&exchanges).enumerate() {
            let (reference, others) = servers.split_first_mut().expect("there is a reference");
            let name = reference.name.clone();
            marks.follow(command);
            let expected = exchange.receive(reference);
            refused += u64::from(exchange.own(&expected)[0] == b'-');
            for (server, other) in others.iter_mut().enumerate() {
                let skipped = command.how == How::Encoding && !other.name.ends_with("hash");
                let found = exchange.receive(other);
                if skipped || expected == found || failure.is_some() || agree(command, exchange, &expected, &found) {
                    continue;
                }
                // All replies, where the command's own may be the same.
                let shown = |replies: &[Vec<u8>]| match command.how {
                    How::Geo => Value::Array(replies.iter().map(|reply| Value::read(reply)).collect()),
                    _ => Value::read(exchange.own(replies)),
                };
                let kind = (command.how == How::Encoding).then(|| expected[0][1..].trim_ascii_end());
                let line = command.to_string() + &marks.of(command, kind);
                let (expected, found) = (shown(&expected), shown(&found));
                if known.covers(&line, &expected, &found) {
                    continue;
                }
                failure = Some(Box::new(Difference {
                    index: number * BATCH + index,
                    server: server + 1,
                    command: line,
                    expected: (name.clone(), expected),
                    found: (other.name.clone(), found),
                }));
            }
        }
        // Replies that are left would be taken for those of the next round.
        if failure.is_some() {
            break;
        }
    }
    failure.map_or(Ok(refused), Err)
}
