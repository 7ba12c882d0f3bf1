//! `MONITOR`: clients that are shown the commands of all clients.
//!
//! While there is none, a command costs one relaxed load. Each has a feed of lines that its connection takes
//! when it is poked; a client that does not read its feed is closed when the feed has grown too large.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::clients::Client;
use super::commands;
use crate::command::{CommandSpec, Flags, Handler, find_subcommand};
use crate::shard::clock;
use crate::types::Db;

/// Most bytes of lines that wait for a monitor's connection.
const FEED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The clients that asked to be shown commands.
#[derive(Default)]
pub struct Monitors {
    count: AtomicUsize,
    clients: Mutex<Vec<Arc<Client>>>,
}

impl Monitors {
    /// Whether there is any.
    #[inline]
    pub fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Adds a client, unless it is one already.
    pub fn add(&self, client: &Arc<Client>) {
        let mut clients = self.clients.lock();
        if !client.monitor.swap(true, Ordering::Relaxed) {
            clients.push(Arc::clone(client));
            self.count.store(clients.len(), Ordering::Relaxed);
        }
    }

    /// Removes a client, if it is one.
    pub fn remove(&self, client: &Client) {
        let mut clients = self.clients.lock();
        if client.monitor.swap(false, Ordering::Relaxed) {
            clients.retain(|other| other.id != client.id);
            self.count.store(clients.len(), Ordering::Relaxed);
        }
    }

    /// Shows a command, unless it is one of administration.
    #[cold]
    pub fn show(&self, from: &Client, db: Db, spec: &CommandSpec, args: &[&[u8]]) {
        let subcommand = args.get(1).and_then(|name| find_subcommand(spec, name));
        let flags = subcommand.map_or(spec.flags, |subcommand| subcommand.flags);
        if flags.has(Flags::ADMIN) || flags.has(Flags::SKIP_MONITOR) {
            return;
        }
        let line = match spec.handler {
            Handler::Server(command) => match commands::redacted(command, args) {
                Some(shown) => line(&from.peer.to_string(), db, &shown),
                None => line(&from.peer.to_string(), db, args),
            },
            _ => line(&from.peer.to_string(), db, args),
        };
        for client in &*self.clients.lock() {
            let mut feed = client.feed.lock();
            feed.extend_from_slice(line.as_bytes());
            let over = feed.len() > FEED_BYTES_MAX;
            drop(feed);
            if over {
                tracing::warn!(client = %client.peer, "closing a monitor that does not read its feed");
                client.kill();
            } else if client.id != from.id {
                client.mailbox.poke();
            }
        }
    }
}

/// The line of one command, as Redis writes it.
fn line(peer: &str, db: Db, args: &[&[u8]]) -> String {
    const MICROS_PER_SECOND: i64 = 1_000_000;
    let now = clock::now_micros();
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = write!(line, "+{}.{:06} [{} {peer}]", now / MICROS_PER_SECOND, now % MICROS_PER_SECOND, db.0);
    for arg in args {
        line.push(' ');
        quote(&mut line, arg);
    }
    line.push_str("\r\n");
    line
}

/// Appends an argument in quotes, with escapes for what is not printable.
fn quote(line: &mut String, arg: &[u8]) {
    line.push('"');
    for &byte in arg {
        match byte {
            b'\\' | b'"' => line.extend(['\\', byte.into()]),
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x07 => line.push_str("\\a"),
            0x08 => line.push_str("\\b"),
            b' '..=b'~' => line.push(byte.into()),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;

    fn client(id: u64) -> Arc<Client> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 5));
        Client::new(id, address, address, 3, 0, true)
    }

    fn shown(line: &str) -> String {
        let monitors = Monitors::default();
        let (monitor, other) = (client(1), client(2));
        monitors.add(&monitor);
        monitors.add(&monitor);
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        monitors.show(&other, Db(3), find(args[0]).unwrap(), &args);
        let feed = String::from_utf8(monitor.feed.lock().clone()).unwrap();
        monitors.remove(&monitor);
        assert!(!monitors.any());
        feed.split_once(' ').map(|(_time, rest)| rest.to_owned()).unwrap_or_default()
    }

    #[test]
    fn commands_are_shown_as_redis_does() {
        assert_eq!(shown("set k a\"\n\u{1}"), "[3 127.0.0.1:5] \"set\" \"k\" \"a\\\"\\n\\x01\"\r\n");
        assert_eq!(shown("auth secret"), "[3 127.0.0.1:5] \"auth\" \"(redacted)\"\r\n");
        assert_eq!(shown("config set requirepass x"), "");
        assert_eq!(shown("client getname"), "[3 127.0.0.1:5] \"client\" \"getname\"\r\n");
    }
}
