//! `DEBUG`: what test suites and the curious ask a server for. Off unless `enable-debug-command`
//! allows it.
//!
//! Switches of Redis internals that do not exist here are accepted and do nothing, so that
//! Redis's own tests can set them; what would crash the process or let replicas differ is refused. PLANT makes a node
//! defective, so that the fault tests can show that they notice.

mod faults;
mod help;
mod inspect;
mod populate;
mod protocol;

use std::sync::Arc;
use std::time::Duration;

use super::{Call, Executed, config, late_error, late_ok};
use crate::command::CommandError;
use crate::command::error::NOT_INTEGER;
use crate::raft::SnapshotError;
use crate::server::dispatch::lossy;
use crate::server::settings::Setting;
use crate::types::glob;
use crate::types::number::{parse_f64, parse_i64};

/// Longest sleep that is accepted, in seconds.
const SLEEP_MAX_SECONDS: f64 = 1e9;
/// How often a snapshot under way is looked after by who waits to take the next.
const SNAPSHOT_POLL: Duration = Duration::from_millis(5);

/// `DEBUG subcommand …`
pub(super) fn debug(call: &mut Call<'_>) -> Executed {
    if !call.server.settings.consents(Setting::EnableDebugCommand, call.origin()) {
        return Err(CommandError::Static(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
             from a local connection, otherwise you need to set this option in the configuration file, and then \
             restart the server.",
        ));
    }
    match (call.subcommand().as_str(), call.args.len()) {
        ("HELP", 2) => help::help(call),
        ("CLOCK", 4) => faults::clock(call),
        ("CONFIG-REWRITE-FORCE-ALL", 2) => {
            let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
            Ok(Some(Box::pin(async move { config::rewritten(server, protocol).await })))
        }
        ("DIGEST", 2) => inspect::digest(call),
        ("DIGEST", 3) if call.is_word(2, "REPLICAS") => inspect::replica_digests(call),
        ("DIGEST-VALUE", 2..) => inspect::digest_value(call),
        ("ERROR", 3) => Err(CommandError::Text(lossy(call.args[2]).into_owned())),
        ("HTSTATS", 3) => inspect::htstats(call),
        ("HTSTATS-KEY", 3) => inspect::htstats_key(call),
        ("LISTPACK", 3) => inspect::listpack(call),
        ("LOADAOF", 2) => reload(call, &[]),
        ("LOG", 3) => {
            tracing::warn!("DEBUG LOG: {}", lossy(call.args[2]));
            call.ok()
        }
        ("OBJECT", 3) => inspect::object(call),
        ("PLANT", 3) => faults::plant(call),
        ("POPULATE", 3..=5) => populate::populate(call),
        ("PROTOCOL", 3) => protocol::protocol(call),
        ("QUICKLIST", 3 | 4) => Err(CommandError::Static("ERR Not a quicklist encoded object.")),
        ("RELOAD", 2..) => reload(call, &["MERGE", "NOFLUSH", "NOSAVE"]),
        ("SDSLEN", 3) => inspect::sdslen(call),
        ("SET-ACTIVE-EXPIRE", 3) => {
            let on = parse_i64(call.args[2]).unwrap_or(0) != 0;
            call.server.router().shards().for_each(|shard| shard.set_active_expire(on));
            call.ok()
        }
        ("SLEEP", 3) => sleep(call),
        ("STRINGMATCH-LEN", 4) => {
            let matched = glob::matches(call.args[2], call.args[3], false);
            call.integer(matched.into())
        }
        ("STRUCTSIZE", 2) => inspect::structsize(call),
        ("CLIENT-EVICTION", 2) => Err(CommandError::Static("ERR maxmemory-clients is disabled.")),
        ("QUICKLIST-PACKED-THRESHOLD", 3) => quicklist_packed_threshold(call),
        ("REPLYBUFFER", 4) => replybuffer(call),
        (
            "AOF-FLUSH-SLEEP"
            | "DICT-RESIZING"
            | "PAUSE-CRON"
            | "SET-DISABLE-DENY-SCRIPTS"
            | "SET-SKIP-CHECKSUM-VALIDATION",
            3,
        ) => {
            parse_i64(call.args[2]).ok_or(NOT_INTEGER)?;
            call.ok()
        }
        ("CHANGE-REPL-ID", 2) => call.ok(),
        (
            name @ ("ASSERT" | "CRASH-AND-RECOVER" | "LEAK" | "OOM" | "PANIC" | "REPLICATE" | "RESTART" | "SEGFAULT"),
            _,
        ) => Err(CommandError::Text(format!(
            "ERR DEBUG {name} is not supported: it would end the process or make it differ from its replicas"
        ))),
        _ => Err(call.wrong_subcommand()),
    }
}

fn sleep(call: &mut Call<'_>) -> Executed {
    // Like Redis, takes what is no number for 0.
    let seconds = parse_f64(call.args[2]).unwrap_or(0.0).clamp(0.0, SLEEP_MAX_SECONDS);
    Ok(Some(Box::pin(async move {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        late_ok()
    })))
}

/// Waits for a snapshot of its own, so that everything written before is in it.
fn reload(call: &mut Call<'_>, options: &[&str]) -> Executed {
    for index in 2..call.args.len() {
        if !options.iter().any(|option| call.is_word(index, option)) {
            return Err(CommandError::Static("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
        }
    }
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        loop {
            match server.snapshot().await {
                Ok(()) => return late_ok(),
                Err(SnapshotError::InProgress) => tokio::time::sleep(SNAPSHOT_POLL).await,
                Err(error) => return late_error(&server, protocol, &format!("ERR saving failed: {error}")),
            }
        }
    })))
}

/// Accepted, as lists are not there to obey it.
fn quicklist_packed_threshold(call: &mut Call<'_>) -> Executed {
    let text = lossy(call.args[2]).to_ascii_lowercase();
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    if digits.parse::<u32>().is_err() {
        return Err(CommandError::Static("ERR argument must be a memory value bigger than 1 and smaller than 4gb"));
    }
    call.ok()
}

/// Accepted: reply buffers are not resized by a timer here.
fn replybuffer(call: &mut Call<'_>) -> Executed {
    if call.is_word(2, "peak-reset-time") {
        if !call.is_word(3, "never") && !call.is_word(3, "reset") {
            call.integer_at(3)?;
        }
        return call.ok();
    }
    if call.is_word(2, "resizing") {
        return call.ok();
    }
    Err(call.wrong_subcommand())
}
