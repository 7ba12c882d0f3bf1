//! Connections, and the comparison of a round's replies.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

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
        encode(&Command::fixed(&format!("COMMAND INFO {name}")), &mut request);
        self.send(&request);
        matches!(Value::read(self.receive()), Value::Array(found) if matches!(found[..], [Value::Array(_)]))
    }
}

fn encode(command: &Command, out: &mut Vec<u8>) {
    write!(out, "*{}\r\n", command.args.len()).expect("vectors take everything");
    for arg in &command.args {
        write!(out, "${}\r\n", arg.len()).expect("vectors take everything");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// Two servers that answered differently.
pub(crate) struct Difference {
    /// Position of the command in the round.
    pub(crate) index: usize,
    /// Position of the server among all.
    pub(crate) server: usize,
    command: Command,
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
    let mut request = Vec::new();
    for (number, batch) in round.chunks(BATCH).enumerate() {
        request.clear();
        batch.iter().for_each(|command| encode(command, &mut request));
        servers.iter_mut().for_each(|server| server.send(&request));
        for (index, command) in batch.iter().enumerate() {
            let (reference, others) = servers.split_first_mut().expect("there is a reference");
            let name = reference.name.clone();
            let expected = reference.receive();
            refused += u64::from(expected[0] == b'-');
            for (server, other) in others.iter_mut().enumerate() {
                let skipped = command.how == How::Encoding && !other.name.ends_with("hash");
                let other_name = other.name.clone();
                let found = other.receive();
                if skipped || expected == found || command.how.agree(expected, found) || failure.is_some() {
                    continue;
                }
                let (expected, found) = (Value::read(expected), Value::read(found));
                if known.covers(command, &expected, &found) {
                    continue;
                }
                failure = Some(Box::new(Difference {
                    index: number * BATCH + index,
                    server: server + 1,
                    command: command.clone(),
                    expected: (name.clone(), expected),
                    found: (other_name, found),
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
