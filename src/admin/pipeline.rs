//! A connection on which many requests are under way, with arguments and replies of any bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{AdminError, Connection};

/// How long a reply may take: that of a huge value takes long to make.
const REPLY_PATIENCE: Duration = Duration::from_secs(120);
/// Longest string that makes sense as a reply.
const STRING_MAX_BYTES: u64 = 8 << 30;
/// Arrays in arrays that make sense.
const DEPTH_MAX: usize = 8;
/// Longest line of a reply.
const LINE_MAX_BYTES: u64 = 64 * 1024;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A string or a number, as bytes.
    Bytes(Vec<u8>),
    /// Nothing.
    Nothing,
    /// An error, its code included.
    Error(String),
    /// Several.
    Array(Vec<Reply>),
}

/// A connection to a node.
pub(super) struct Pipeline {
    address: String,
    stream: BufReader<TcpStream>,
    unsent: Vec<u8>,
}

impl Pipeline {
    /// Connects, and authenticates if there is a password.
    pub(super) fn open(address: &str, password: Option<&str>) -> Result<Self, AdminError> {
        let stream = Connection::open(address, password, REPLY_PATIENCE)?.into_stream();
        Ok(Self { address: address.to_owned(), stream, unsent: Vec::new() })
    }

    fn io_error(&self, source: std::io::Error) -> AdminError {
        AdminError::Io { address: self.address.clone(), source }
    }

    /// An error about what the node answers.
    pub(super) fn strange(&self, message: &str) -> AdminError {
        AdminError::Strange { address: self.address.clone(), message: message.to_owned() }
    }

    /// Adds a request to those that are sent next.
    pub(super) fn push(&mut self, args: &[&[u8]]) {
        push_request(&mut self.unsent, args);
    }

    /// Adds requests that were made by [`push_request`].
    pub(super) fn push_raw(&mut self, requests: &[u8]) {
        self.unsent.extend_from_slice(requests);
    }

    /// Bytes that are not yet sent.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent.len()
    }

    /// Sends what was added.
    pub(super) fn send(&mut self) -> Result<(), AdminError> {
        let unsent = std::mem::take(&mut self.unsent);
        self.stream.get_mut().write_all(&unsent).map_err(|error| self.io_error(error))?;
        self.unsent = unsent;
        self.unsent.clear();
        Ok(())
    }

    /// Sends a request and waits for its reply; an error is an error. No other may be under way.
    pub(super) fn call(&mut self, args: &[&[u8]]) -> Result<Reply, AdminError> {
        self.push(args);
        self.send()?;
        match self.reply()? {
            Reply::Error(message) => Err(AdminError::Refused { address: self.address.clone(), message }),
            reply => Ok(reply),
        }
    }

    /// The next reply.
    pub(super) fn reply(&mut self) -> Result<Reply, AdminError> {
        self.read(0)
    }

    fn read(&mut self, depth: usize) -> Result<Reply, AdminError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LINE_MAX_BYTES).read_until(b'\n', &mut line);
        if read.map_err(|error| self.io_error(error))? == 0 {
            return Err(self.strange("it closed the connection"));
        }
        let Some((kind, rest)) = line.trim_ascii_end().split_first() else {
            return Err(self.strange("it does not speak RESP"));
        };
        let text = String::from_utf8_lossy(rest);
        match kind {
            b'+' | b':' => Ok(Reply::Bytes(rest.to_vec())),
            b'-' => Ok(Reply::Error(text.into_owned())),
            b'$' => match text.parse::<u64>() {
                Ok(length) => self.read_string(length).map(Reply::Bytes),
                Err(_) => Ok(Reply::Nothing),
            },
            b'*' if depth < DEPTH_MAX => match text.parse::<u64>() {
                Ok(count) => (0..count).map(|_| self.read(depth + 1)).collect::<Result<_, _>>().map(Reply::Array),
                Err(_) => Ok(Reply::Nothing),
            },
            _ => Err(self.strange("it does not speak RESP")),
        }
    }

    fn read_string(&mut self, length: u64) -> Result<Vec<u8>, AdminError> {
        if length > STRING_MAX_BYTES {
            return Err(self.strange("a string is too long"));
        }
        let mut bytes = Vec::new();
        let read = (&mut self.stream).take(length + 2).read_to_end(&mut bytes);
        if read.map_err(|error| self.io_error(error))? as u64 != length + 2 {
            return Err(self.strange("it closed the connection"));
        }
        bytes.truncate(bytes.len() - 2);
        Ok(bytes)
    }
}

/// Appends a request.
pub(super) fn push_request(out: &mut Vec<u8>, args: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_of_any_bytes() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        let node = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut request = [0; 21];
            stream.read_exact(&mut request).expect("reads");
            assert_eq!(&request, b"*2\r\n$3\r\nGET\r\n$2\r\n\xff\0\r\n");
            stream.write_all(b"*4\r\n$2\r\n\r\n\r\n:7\r\n$-1\r\n-ERR no\r\n-ERR again\r\n").expect("writes");
        });
        let mut pipeline = Pipeline::open(&address, None).expect("connects");
        let reply = pipeline.call(&[b"GET", b"\xff\0"]).expect("a reply");
        let expected = [
            Reply::Bytes(b"\r\n".to_vec()),
            Reply::Bytes(b"7".to_vec()),
            Reply::Nothing,
            Reply::Error("ERR no".to_owned()),
        ];
        assert_eq!(reply, Reply::Array(expected.to_vec()));
        assert_eq!(pipeline.reply().expect("a reply"), Reply::Error("ERR again".to_owned()));
        node.join().expect("the node ends");
        assert!(pipeline.reply().is_err());
    }
}
