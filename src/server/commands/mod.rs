//! The commands that concern the session or the process.
//!
//! One file per family; [`execute`] is the only way in. A command answers at once, or returns a
//! future with its reply when it must wait for the shard, a timer or the disk. Arity of command and
//! subcommand was checked by the dispatcher, so handlers index the arguments that the arity promises.
//!
//! # Invariants
//! - Nothing here blocks a worker: files are written and whole databases walked off the runtime.
//! - The store is read under [`crate::shard::Shard::read`], whose guard never lives across an await, and changed
//!   only through the log.

mod client;
mod client_kill;
mod client_list;
mod cluster;
mod config;
mod connection;
mod debug;
mod info;
mod keyspace;
mod latency;
mod memory;
mod memory_report;
mod misc;
mod persistence;
mod redact;
mod slowlog;
mod transaction;

use std::sync::Arc;

pub use redact::redacted;

use super::Server;
use super::dispatch::{Pending, lossy};
use super::session::Session;
use super::settings::Origin;
use crate::command::error::NOT_INTEGER;
use crate::command::{CommandError, ServerCommand, find, find_subcommand};
use crate::resp::{Protocol, Reply};
use crate::types::number::parse_i64;

/// The version of Redis whose commands and replies are offered; clients choose features by it.
pub const REDIS_VERSION: &str = "7.2.0";
/// Our own version.
pub const KVORUM_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The only user there is.
const DEFAULT_USER: &[u8] = b"default";

/// What a command comes to: its reply is written, or comes from the future, or is the error.
pub type Executed = Result<Option<Pending>, CommandError>;

/// The reply is written.
const DONE: Executed = Ok(None);

/// One command being executed.
struct Call<'a> {
    server: &'a Arc<Server>,
    session: &'a mut Session,
    args: &'a [&'a [u8]],
    out: &'a mut Vec<u8>,
}

impl<'a> Call<'a> {
    /// Where the reply goes.
    fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.out, self.session.protocol)
    }

    /// Answers `+OK`.
    fn ok(&mut self) -> Executed {
        self.reply().ok();
        DONE
    }

    /// Answers an integer.
    fn integer(&mut self, value: i64) -> Executed {
        self.reply().integer(value);
        DONE
    }

    /// Answers a text for people.
    fn text(&mut self, text: &str) -> Executed {
        self.reply().verbatim("txt", text.as_bytes());
        DONE
    }

    /// Answers the help of a container, made from the table of commands.
    fn help(&mut self, container: &str) -> Executed {
        crate::command::docs::help(container, &mut self.reply());
        DONE
    }

    /// The subcommand in upper case.
    fn subcommand(&self) -> String {
        self.args.get(1).map(|name| lossy(name).to_ascii_uppercase()).unwrap_or_default()
    }

    /// Whether the argument is there and is this word in any case.
    fn is_word(&self, index: usize, word: &str) -> bool {
        self.args.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// The argument as an integer, or Redis's error.
    fn integer_at(&self, index: usize) -> Result<i64, CommandError> {
        parse_i64(self.args[index]).ok_or(NOT_INTEGER)
    }

    /// Where the client is.
    fn origin(&self) -> Origin {
        if self.session.client.peer.ip().to_canonical().is_loopback() { Origin::Local } else { Origin::Remote }
    }

    /// The answer to a subcommand that is unknown or has too many or too few arguments.
    fn wrong_subcommand(&self) -> CommandError {
        const SHOWN_BYTES_MAX: usize = 128;
        let name = self.args[1];
        let shown = lossy(&name[..name.len().min(SHOWN_BYTES_MAX)]);
        let command = lossy(self.args[0]).to_ascii_uppercase();
        CommandError::Text(format!(
            "ERR unknown subcommand or wrong number of arguments for '{shown}'. Try {command} HELP."
        ))
    }
}

/// Executes one command; see [`Executed`].
///
/// # Errors
/// What the client is to be told; whatever was appended to `out` is to be taken back.
pub fn execute(
    server: &Arc<Server>,
    session: &mut Session,
    command: ServerCommand,
    args: &[&[u8]],
    out: &mut Vec<u8>,
) -> Executed {
    note_subcommand(session, args);
    let call = &mut Call { server, session, args, out };
    match command {
        ServerCommand::Asking => cluster::asking(call),
        ServerCommand::Auth => connection::auth(call),
        ServerCommand::Bgrewriteaof => persistence::bgrewriteaof(call),
        ServerCommand::Bgsave => persistence::bgsave(call),
        ServerCommand::Client => client::client(call),
        ServerCommand::Cluster => cluster::cluster(call),
        ServerCommand::Command => misc::command(call),
        ServerCommand::Config => config::config(call),
        ServerCommand::Dbsize => misc::dbsize(call),
        ServerCommand::Debug => debug::debug(call),
        ServerCommand::Echo => connection::echo(call),
        ServerCommand::Hello => connection::hello(call),
        ServerCommand::Info => info::info(call),
        ServerCommand::Keyspace => keyspace::keyspace(call),
        ServerCommand::Lastsave => persistence::lastsave(call),
        ServerCommand::Latency => latency::latency(call),
        ServerCommand::Memory => memory::memory(call),
        ServerCommand::Monitor => connection::monitor(call),
        ServerCommand::Pfselftest => misc::pfselftest(call),
        ServerCommand::Ping => connection::ping(call),
        ServerCommand::Quit => connection::quit(call),
        ServerCommand::Readonly => cluster::readonly(call),
        ServerCommand::Readwrite => cluster::readwrite(call),
        ServerCommand::Reset => connection::reset(call),
        ServerCommand::Role => misc::role(call),
        ServerCommand::Save => persistence::save(call),
        ServerCommand::Select => connection::select(call),
        ServerCommand::Shutdown => persistence::shutdown(call),
        ServerCommand::Slowlog => slowlog::slowlog(call),
        ServerCommand::Time => misc::time(call),
        ServerCommand::Wait => misc::wait(call),
        // The dispatcher executes them; UNWATCH comes here from a transaction.
        ServerCommand::Discard
        | ServerCommand::Exec
        | ServerCommand::Multi
        | ServerCommand::Unwatch
        | ServerCommand::Watch => transaction::unwatch(call),
    }
}

/// Remembers the subcommand for `CLIENT LIST`.
fn note_subcommand(session: &Session, args: &[&[u8]]) {
    if args.len() < 2 {
        return;
    }
    let subcommand = find(args[0]).and_then(|spec| find_subcommand(spec, args[1]));
    *session.client.last_subcommand.lock() = subcommand.map(|subcommand| subcommand.name);
}

/// Appends an error that is part of a future's reply, and counts it.
fn late_error(server: &Server, protocol: Protocol, text: &str) -> Vec<u8> {
    server.counters.errors.count(text);
    let mut out = Vec::new();
    Reply::new(&mut out, protocol).error(text);
    out
}

/// `+OK` as a future's reply.
fn late_ok() -> Vec<u8> {
    b"+OK\r\n".to_vec()
}

/// This node cannot read its store now.
const CANNOT_READ: CommandError = CommandError::Static(super::dispatch::CANNOT_SERVE_TEXT);
