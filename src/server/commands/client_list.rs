//! `CLIENT LIST` and `CLIENT INFO`.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use super::{Call, Executed};
use crate::command::error::SYNTAX;
use crate::command::{CommandError, find_subcommand, table};
use crate::server::clients::Client;
use crate::server::dispatch::lossy;
use crate::shard::clock;
use crate::types::number::parse_i64;

/// Output that fits into a client's fixed buffer in Redis, which its fields tell from the rest.
const FIXED_OUTPUT_BYTES: usize = 16 * 1024;

/// The classes of clients by which LIST and KILL choose; all of ours are [`Class::Normal`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Sends commands and reads replies.
    Normal,
    /// A class that Redis has and we have no members of.
    Other,
}

impl Class {
    /// Reads the name of a class.
    pub(super) fn named(name: &[u8]) -> Result<Self, CommandError> {
        match lossy(name).to_ascii_lowercase().as_str() {
            "normal" => Ok(Self::Normal),
            "master" | "replica" | "slave" | "pubsub" => Ok(Self::Other),
            _ => Err(CommandError::Text(format!("ERR Unknown client type '{}'", lossy(name)))),
        }
    }
}

/// `CLIENT INFO`
pub(super) fn info(call: &mut Call<'_>) -> Executed {
    note_own_request(call);
    let mut text = String::new();
    describe(&mut text, &call.session.client, clock::now().0);
    call.text(&text)
}

/// `CLIENT LIST [TYPE type | ID id …]`
pub(super) fn list(call: &mut Call<'_>) -> Executed {
    note_own_request(call);
    let clients = if call.args.len() == 2 {
        call.server.clients.all()
    } else if call.args.len() == 4 && call.is_word(2, "type") {
        match Class::named(call.args[3])? {
            Class::Normal => call.server.clients.all(),
            Class::Other => Vec::new(),
        }
    } else if call.args.len() > 3 && call.is_word(2, "id") {
        let mut clients = Vec::new();
        for arg in &call.args[3..] {
            let id = parse_i64(arg).ok_or(CommandError::Static("ERR Invalid client ID"))?;
            clients.extend(u64::try_from(id).ok().and_then(|id| call.server.clients.get(id)));
        }
        clients
    } else {
        return Err(SYNTAX);
    };
    let now_ms = clock::now().0;
    let mut text = String::new();
    for client in clients {
        describe(&mut text, &client, now_ms);
    }
    call.text(&text)
}

/// The request being executed is still in the buffer, as in Redis; the connection notes the sizes
/// of its buffers only when it waits.
fn note_own_request(call: &Call<'_>) {
    let header = |number: usize| number.to_string().len() + 3;
    let framing: usize = call.args.iter().map(|arg| header(arg.len()) + 2).sum();
    let arguments: usize = call.args.iter().map(|arg| arg.len()).sum();
    let client = &call.session.client;
    client.query_bytes.store(header(call.args.len()) + framing + arguments, Relaxed);
    client.argument_bytes.store(arguments, Relaxed);
}

/// Appends the line that describes a client.
fn describe(text: &mut String, client: &Client, now_ms: i64) {
    let mut flags = String::new();
    for (flag, set) in [
        ('O', client.monitor.load(Relaxed)),
        ('x', client.queued.load(Relaxed) >= 0),
        ('b', client.blocked.load(Relaxed)),
        ('A', client.is_killed()),
        ('e', client.no_evict.load(Relaxed)),
        ('T', client.no_touch.load(Relaxed)),
    ] {
        if set {
            flags.push(flag);
        }
    }
    if flags.is_empty() {
        flags.push('N');
    }
    let output = client.output_bytes.load(Relaxed);
    let (fixed, nodes, listed) =
        if output <= FIXED_OUTPUT_BYTES { (output, 0, 0) } else { (0, output.div_ceil(FIXED_OUTPUT_BYTES), output) };
    let (query, query_free) = (client.query_bytes.load(Relaxed), client.query_free_bytes.load(Relaxed));
    let arguments = client.argument_bytes.load(Relaxed);
    let total = query + query_free + arguments + output + size_of::<Client>();
    let labels = client.labels.lock().clone();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub=0 psub=0 ssub=0 multi={} \
         qbuf={query} qbuf-free={query_free} argv-mem={arguments} multi-mem={} rbs={FIXED_OUTPUT_BYTES} rbp={fixed} \
         obl={fixed} oll={nodes} omem={listed} tot-mem={total} events={} cmd={} user=default redir=-1 resp={} \
         lib-name={} lib-ver={}",
        client.id,
        client.peer,
        client.local,
        client.fd,
        labels.name,
        (now_ms - client.created_ms).max(0) / 1000,
        (now_ms - client.active_ms.load(Relaxed)).max(0) / 1000,
        client.db.load(Relaxed),
        client.queued.load(Relaxed),
        client.queued_bytes.load(Relaxed),
        if output > 0 { "rw" } else { "r" },
        last_command(client),
        client.protocol.load(Relaxed),
        labels.library,
        labels.library_version,
    );
}

fn last_command(client: &Client) -> String {
    let position = client.last_command.load(Relaxed);
    let Some(spec) = position.checked_sub(1).and_then(|position| table::all().nth(position)) else {
        return "NULL".to_owned();
    };
    let subcommand = client.last_subcommand.lock().filter(|name| find_subcommand(spec, name.as_bytes()).is_some());
    match subcommand {
        Some(subcommand) => format!("{}|{subcommand}", spec.name).to_ascii_lowercase(),
        None => spec.name.to_ascii_lowercase(),
    }
}
