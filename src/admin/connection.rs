//! A connection to a node that waits for each answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that makes sense.
const ANSWER_MAX_BYTES: usize = 256 << 20;

/// Why a node did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be used.
    #[error("'{0}' is not an address of the form HOST:PORT")]
    BadAddress(String),
    /// The node cannot be talked to.
    #[error("cannot talk to {address}: {source}")]
    Io {
        /// The node.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The node said no.
    #[error("{address} refuses: {message}")]
    Refused {
        /// The node.
        address: String,
        /// Its words.
        message: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// What answers is not a node of a cluster.
    #[error("{address} answers strangely: {message}")]
    Strange {
        /// The node.
        address: String,
        /// What is wrong.
        message: String,
    },
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string, a number, or nothing, as text.
    Text(String),
    /// An array, or a map as keys and values in turn.
    Array(Vec<Value>),
}

impl Value {
    /// The text; of an array, that of its elements.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Array(values) => values.iter().map(Self::text).collect::<Vec<_>>().join(" "),
        }
    }
}

/// A connection to a node.
pub struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

/// Host and port of an address.
pub(super) fn split(address: &str) -> Result<(&str, u16), AdminError> {
    let bad = || AdminError::BadAddress(address.to_owned());
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return Err(bad());
    }
    Ok((host, port.parse().map_err(|_| bad())?))
}

impl Connection {
    /// Connects, and authenticates if there is a password.
    ///
    /// # Errors
    /// When the node cannot be reached or refuses.
    pub fn open(address: &str, password: Option<&str>, patience: Duration) -> Result<Self, AdminError> {
        let io_error = |source| AdminError::Io { address: address.to_owned(), source };
        let (host, port) = split(address)?;
        let mut problem = std::io::Error::new(std::io::ErrorKind::NotFound, "the host has no address");
        for socket in (host, port).to_socket_addrs().map_err(io_error)? {
            match TcpStream::connect_timeout(&socket, CONNECT_PATIENCE) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(patience)).map_err(io_error)?;
                    stream.set_write_timeout(Some(patience)).map_err(io_error)?;
                    let mut connection = Self { address: address.to_owned(), stream: BufReader::new(stream) };
                    if let Some(password) = password {
                        connection.call(&["AUTH", password])?;
                    }
                    return Ok(connection);
                }
                Err(error) => problem = error,
            }
        }
        Err(io_error(problem))
    }

    /// The connection itself.
    pub(super) fn into_stream(self) -> BufReader<TcpStream> {
        self.stream
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    /// When the connection fails, or the reply is an error.
    pub fn call(&mut self, args: &[&str]) -> Result<Value, AdminError> {
        let mut request = format!("*{}\r\n", args.len());
        for arg in args {
            request += &format!("${}\r\n{arg}\r\n", arg.len());
        }
        let sent = self.stream.get_mut().write_all(request.as_bytes());
        sent.map_err(|source| AdminError::Io { address: self.address.clone(), source })?;
        self.read()
    }

    /// An error about what the node answers.
    pub fn strange(&self, message: &str) -> AdminError {
        AdminError::Strange { address: self.address.clone(), message: message.to_owned() }
    }

    fn read(&mut self) -> Result<Value, AdminError> {
        let line = self.line()?;
        let rest = line.get(1..).unwrap_or_default();
        match line.as_bytes().first() {
            Some(b'+' | b':') => Ok(Value::Text(rest.to_owned())),
            Some(b'-') => Err(AdminError::Refused { address: self.address.clone(), message: rest.to_owned() }),
            Some(b'$') => {
                let Ok(length) = rest.parse::<usize>() else { return Ok(Value::Text(String::new())) };
                if length > ANSWER_MAX_BYTES {
                    return Err(self.strange("a string is too long"));
                }
                let mut bytes = vec![0; length + 2];
                let read = self.stream.read_exact(&mut bytes);
                read.map_err(|source| AdminError::Io { address: self.address.clone(), source })?;
                bytes.truncate(length);
                Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
            }
            Some(b'*') => {
                let count = rest.parse::<usize>().unwrap_or(0);
                (0..count).map(|_| self.read()).collect::<Result<_, _>>().map(Value::Array)
            }
            _ => Err(self.strange("it does not speak RESP")),
        }
    }

    fn line(&mut self) -> Result<String, AdminError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(64 * 1024).read_until(b'\n', &mut line);
        let count = read.map_err(|source| AdminError::Io { address: self.address.clone(), source })?;
        if count == 0 {
            return Err(self.strange("it closed the connection"));
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        assert_eq!(split("127.0.0.1:7000").expect("an address"), ("127.0.0.1", 7000));
        assert_eq!(split("[::1]:7000").expect("an address"), ("::1", 7000));
        for bad in ["", "host", "host:", ":7000", "host:70000", "host:x"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn replies_are_read() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        let node = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accepts");
            let mut request = [0; 14];
            stream.read_exact(&mut request).expect("reads");
            assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n");
            stream.write_all(b"*3\r\n$2\r\nhi\r\n:7\r\n$-1\r\n-ERR no\r\n").expect("writes");
        });
        let mut connection = Connection::open(&address, None, Duration::from_secs(5)).expect("connects");
        let reply = connection.call(&["PING"]).expect("a reply");
        assert_eq!(reply.text(), "hi 7 ");
        let error = connection.read().expect_err("an error").to_string();
        assert_eq!(error, format!("{address} refuses: ERR no"));
        node.join().expect("the node ends");
    }
}
