//! `CLIENT`: what a connection says of itself, and what it does to others.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Call, DONE, Executed, client_kill, client_list, cluster};
use crate::command::CommandError;
use crate::command::error::SYNTAX;
use crate::server::dispatch::lossy;
use crate::server::process::PauseMode;
use crate::server::session::{ReplyMode, Session};
use crate::shard::clock;
use crate::types::number::parse_i64;

/// CACHING is about tracking, which is always off.
const CACHING_WITHOUT_TRACKING: CommandError = CommandError::Static(
    "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);

/// `CLIENT subcommand …`
pub(super) fn client(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "CACHING" => Err(CACHING_WITHOUT_TRACKING),
        "GETNAME" => getname(call),
        "GETREDIR" => call.integer(-1),
        "HELP" => call.help("CLIENT"),
        "ID" => {
            let id = id(call.session);
            call.integer(id)
        }
        "INFO" => client_list::info(call),
        "KILL" => client_kill::kill(call),
        "LIST" => client_list::list(call),
        "NO-EVICT" => switch(call, |session| &session.client.no_evict),
        "NO-TOUCH" => switch(call, |session| &session.client.no_touch),
        "PAUSE" => pause(call),
        "READ-POLICY" => cluster::read_policy(call),
        "REPLY" => reply(call),
        "SETINFO" => setinfo(call),
        "SETNAME" => setname(call),
        "TRACKING" => tracking(call),
        "TRACKINGINFO" => trackinginfo(call),
        "UNBLOCK" => unblock(call),
        "UNPAUSE" => {
            call.server.unpause();
            call.ok()
        }
        _ => Err(call.wrong_subcommand()),
    }
}

/// The connection's id as replies have it.
pub(super) fn id(session: &Session) -> i64 {
    i64::try_from(session.client.id).unwrap_or(i64::MAX)
}

/// Whether a text may stand in a line of `CLIENT LIST`.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// A connection's name, if it may be one.
pub(super) fn checked_name(name: &[u8]) -> Result<&str, CommandError> {
    std::str::from_utf8(name)
        .ok()
        .filter(|_| is_plain(name))
        .ok_or(CommandError::Static("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn setname(call: &mut Call<'_>) -> Executed {
    let name = checked_name(call.args[2])?;
    call.session.client.set_name(name);
    call.ok()
}

fn getname(call: &mut Call<'_>) -> Executed {
    let name = call.session.client.labels.lock().name.clone();
    let mut reply = call.reply();
    if name.is_empty() {
        reply.null()
    } else {
        reply.bulk(name.as_bytes())
    }
    DONE
}

fn setinfo(call: &mut Call<'_>) -> Executed {
    let (attribute, value) = (call.args[2], call.args[3]);
    let is_name = attribute.eq_ignore_ascii_case(b"lib-name");
    if !is_name && !attribute.eq_ignore_ascii_case(b"lib-ver") {
        return Err(CommandError::Text(format!("ERR Unrecognized option '{}'", lossy(attribute))));
    }
    if !is_plain(value) {
        let attribute = lossy(attribute);
        return Err(CommandError::Text(format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        )));
    }
    let value = lossy(value).into_owned();
    let mut labels = call.session.client.labels.lock();
    if is_name {
        labels.library = value;
    } else {
        labels.library_version = value;
    }
    drop(labels);
    call.ok()
}

/// `ON` or `OFF`.
fn switch(call: &mut Call<'_>, flag: impl FnOnce(&Session) -> &AtomicBool) -> Executed {
    let on = call.is_word(2, "on");
    if !on && !call.is_word(2, "off") {
        return Err(SYNTAX);
    }
    flag(call.session).store(on, Ordering::Relaxed);
    call.ok()
}

fn reply(call: &mut Call<'_>) -> Executed {
    if call.is_word(2, "on") {
        call.session.reply_mode = ReplyMode::On;
        return call.ok();
    }
    if call.is_word(2, "off") {
        call.session.reply_mode = ReplyMode::Off;
    } else if call.is_word(2, "skip") {
        if call.session.reply_mode != ReplyMode::Off {
            call.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(SYNTAX);
    }
    DONE
}

fn pause(call: &mut Call<'_>) -> Executed {
    let mode = match call.args.get(3) {
        None => PauseMode::All,
        Some(_) if call.is_word(3, "all") => PauseMode::All,
        Some(_) if call.is_word(3, "write") => PauseMode::Write,
        Some(_) => return Err(CommandError::Static("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout_ms = timeout_ms(call.args[2])?;
    if timeout_ms > 0 {
        call.server.pause(clock::now().0.saturating_add(timeout_ms), mode);
    }
    call.ok()
}

/// A timeout in milliseconds, or Redis's errors.
pub(super) fn timeout_ms(arg: &[u8]) -> Result<i64, CommandError> {
    match parse_i64(arg) {
        None => Err(CommandError::Static("ERR timeout is not an integer or out of range")),
        Some(..0) => Err(CommandError::Static("ERR timeout is negative")),
        Some(timeout) => Ok(timeout),
    }
}

/// `CLIENT UNBLOCK id [TIMEOUT|ERROR]`
fn unblock(call: &mut Call<'_>) -> Executed {
    if call.args.len() > 3 && !call.is_word(3, "timeout") && !call.is_word(3, "error") {
        return Err(CommandError::Static("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"));
    }
    let id = call.integer_at(2)?;
    let client = u64::try_from(id).ok().and_then(|id| call.server.clients.get(id));
    let waiter = client.and_then(|client| client.waiter.lock().take());
    if let Some(waiter) = &waiter {
        waiter.end(call.is_word(3, "error"));
    }
    call.integer(i64::from(waiter.is_some()))
}

fn tracking(call: &mut Call<'_>) -> Executed {
    let mut index = 3;
    while index < call.args.len() {
        let takes_value = call.is_word(index, "redirect") || call.is_word(index, "prefix");
        let known = takes_value || ["bcast", "optin", "optout", "noloop"].iter().any(|word| call.is_word(index, word));
        index += if takes_value { 2 } else { 1 };
        if !known || index > call.args.len() {
            return Err(SYNTAX);
        }
    }
    if call.is_word(2, "off") {
        return call.ok();
    }
    if call.is_word(2, "on") {
        return Err(CommandError::Static("ERR CLIENT TRACKING ON is not supported: this server invalidates no caches"));
    }
    Err(SYNTAX)
}

fn trackinginfo(call: &mut Call<'_>) -> Executed {
    let mut reply = call.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(1);
    reply.bulk(b"off");
    reply.bulk(b"redirect");
    reply.integer(-1);
    reply.bulk(b"prefixes");
    reply.array(0);
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_spaces() {
        assert!(checked_name(b"").is_ok());
        assert!(checked_name(b"a!~z").is_ok());
        for wrong in [b"a b".as_slice(), b"a\n", b"\xc3\xa4", b"\xff", b"\x7f"] {
            let error = checked_name(wrong).expect_err("not a name").to_string();
            assert_eq!(error, "ERR Client names cannot contain spaces, newlines or special characters.");
        }
    }

    #[test]
    fn timeouts_are_not_negative() {
        assert_eq!(timeout_ms(b"0").ok(), Some(0));
        assert_eq!(timeout_ms(b"-1").expect_err("negative").to_string(), "ERR timeout is negative");
        let text = "ERR timeout is not an integer or out of range";
        assert_eq!(timeout_ms(b"1.5").expect_err("no integer").to_string(), text);
    }
}
