//! `SLOWLOG`.

use super::{Call, DONE, Executed};
use crate::command::CommandError;
use crate::types::number::parse_i64;

/// Entries that GET returns when it is not told how many.
const ENTRIES_DEFAULT: i64 = 10;

/// `SLOWLOG subcommand …`
pub(super) fn slowlog(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "GET" if call.args.len() <= 3 => get(call),
        "HELP" => call.help("SLOWLOG"),
        "LEN" => {
            let length = call.server.counters.slowlog.len();
            call.integer(i64::try_from(length).unwrap_or(i64::MAX))
        }
        "RESET" => {
            call.server.counters.slowlog.reset();
            call.ok()
        }
        _ => Err(call.wrong_subcommand()),
    }
}

fn get(call: &mut Call<'_>) -> Executed {
    let count = match call.args.get(2) {
        None => ENTRIES_DEFAULT,
        Some(count) => parse_i64(count)
            .filter(|&count| count >= -1)
            .ok_or(CommandError::Static("ERR count should be greater than or equal to -1"))?,
    };
    // -1 stands for all.
    let entries = call.server.counters.slowlog.newest(usize::try_from(count).unwrap_or(usize::MAX));
    let mut reply = call.reply();
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.integer(i64::try_from(entry.id).unwrap_or(i64::MAX));
        reply.integer(entry.unix_seconds);
        reply.integer(entry.micros);
        reply.array(entry.args.len());
        for arg in &entry.args {
            reply.bulk(arg);
        }
        reply.bulk(entry.origin.address.as_bytes());
        reply.bulk(entry.origin.name.as_bytes());
    }
    DONE
}
