//! Commands that set up and end a connection.

use std::sync::atomic::Ordering;

use super::{Call, DEFAULT_USER, DONE, Executed, REDIS_VERSION, client};
use crate::command::CommandError;
use crate::command::error::{NOT_INTEGER, SYNTAX};
use crate::command::table::arity_error;
use crate::resp::Protocol;
use crate::server::Server;
use crate::server::dispatch::{database, lossy};
use crate::server::settings::Setting;
use crate::types::number::parse_i64;

const WRONG_PASSWORD: CommandError =
    CommandError::Static("WRONGPASS invalid username-password pair or user is disabled.");

/// `AUTH [username] password`
pub(super) fn auth(call: &mut Call<'_>) -> Executed {
    let (user, password) = match *call.args {
        [_, password] => {
            if !call.server.limits.password_required.load(Ordering::Relaxed) {
                return Err(CommandError::Static(
                    "ERR AUTH <password> called without any password configured for the default user. \
                     Are you sure your configuration is correct?",
                ));
            }
            (DEFAULT_USER, password)
        }
        [_, user, password] => (user, password),
        _ => return Err(SYNTAX),
    };
    authenticate(call, user, password)?;
    call.ok()
}

fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Result<(), CommandError> {
    if user != DEFAULT_USER || !is_password(call.server, password) {
        call.server.stats.auth_failures.fetch_add(1, Ordering::Relaxed);
        return Err(WRONG_PASSWORD);
    }
    call.session.set_authenticated(true);
    Ok(())
}

/// Whether a password is right. Without one configured, any is.
fn is_password(server: &Server, given: &[u8]) -> bool {
    let configured = server.settings.string(Setting::Requirepass);
    configured.is_empty() || equal_in_constant_time(configured.as_bytes(), given)
}

/// Compares in a time that does not tell where the difference is, only how long `given` is.
fn equal_in_constant_time(secret: &[u8], given: &[u8]) -> bool {
    let mut difference = secret.len() ^ given.len();
    for (position, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ secret.get(position).copied().unwrap_or(0));
    }
    std::hint::black_box(difference) == 0
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
pub(super) fn hello(call: &mut Call<'_>) -> Executed {
    let protocol = match call.args.get(1) {
        None => None,
        Some(version) => match parse_i64(version) {
            Some(2) => Some(Protocol::Resp2),
            Some(3) => Some(Protocol::Resp3),
            Some(_) => return Err(CommandError::Static("NOPROTO unsupported protocol version")),
            None => {
                return Err(CommandError::Static("ERR Protocol version is not an integer or out of range"));
            }
        },
    };
    let (mut credentials, mut name) = (None, None);
    let mut rest = call.args.get(2..).unwrap_or_default();
    loop {
        match *rest {
            [] => break,
            [option, user, password, ..] if option.eq_ignore_ascii_case(b"auth") => {
                credentials = Some((user, password));
                rest = &rest[3..];
            }
            [option, value, ..] if option.eq_ignore_ascii_case(b"setname") => {
                name = Some(client::checked_name(value)?);
                rest = &rest[2..];
            }
            [option, ..] => {
                return Err(CommandError::Text(format!("ERR Syntax error in HELLO option '{}'", lossy(option))));
            }
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(call, user, password)?;
    }
    if !call.session.authenticated {
        return Err(CommandError::Static(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
             AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
             version at the same time",
        ));
    }
    if let Some(name) = name {
        call.session.client.set_name(name);
    }
    if let Some(protocol) = protocol {
        call.session.set_protocol(protocol);
    }
    let id = client::id(call.session);
    let mode = if call.server.cluster.is_some() { "cluster" } else { "standalone" };
    let version = if call.session.protocol == Protocol::Resp3 { 3 } else { 2 };
    let mut reply = call.reply();
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(version);
    reply.bulk(b"id");
    reply.integer(id);
    for (field, value) in [("mode", mode), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    DONE
}

/// `ECHO message`
pub(super) fn echo(call: &mut Call<'_>) -> Executed {
    let message = call.args[1];
    call.reply().bulk(message);
    DONE
}

/// `PING [message]`
pub(super) fn ping(call: &mut Call<'_>) -> Executed {
    match *call.args {
        [_] => call.reply().simple("PONG"),
        [_, message] => call.reply().bulk(message),
        _ => return Err(arity_error("ping")),
    }
    DONE
}

/// `QUIT`
pub(super) fn quit(call: &mut Call<'_>) -> Executed {
    call.session.closing = true;
    call.ok()
}

/// `MONITOR`
pub(super) fn monitor(call: &mut Call<'_>) -> Executed {
    call.server.monitors.add(&call.session.client);
    call.ok()
}

/// `RESET`
pub(super) fn reset(call: &mut Call<'_>) -> Executed {
    call.server.monitors.remove(&call.session.client);
    let authenticated = !call.server.limits.password_required.load(Ordering::Relaxed);
    call.session.unwatch(call.server);
    call.session.reset(authenticated);
    call.reply().simple("RESET");
    DONE
}

/// `SELECT index`
pub(super) fn select(call: &mut Call<'_>) -> Executed {
    let number = parse_i64(call.args[1]).filter(|&number| i32::try_from(number).is_ok()).ok_or(NOT_INTEGER)?;
    let db =
        database(number, call.server.shared().databases).ok_or(CommandError::Static("ERR DB index is out of range"))?;
    call.session.select(db);
    call.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_compared_whole() {
        assert!(equal_in_constant_time(b"secret", b"secret"));
        assert!(equal_in_constant_time(b"", b""));
        for wrong in [b"secre".as_slice(), b"secrets", b"secreT", b"", b"secret\0"] {
            assert!(!equal_in_constant_time(b"secret", wrong));
        }
    }
}
