//! Secrets in arguments, kept out of the slow log.

use crate::command::ServerCommand;
use crate::server::settings::Setting;

/// What stands in a secret's place.
const REDACTED: &[u8] = b"(redacted)";

/// The arguments without their secrets, if the command has any: passwords of AUTH and HELLO, and
/// settings that are secret.
pub fn redacted<'a>(command: ServerCommand, args: &[&'a [u8]]) -> Option<Vec<&'a [u8]>> {
    let mut shown = args.to_vec();
    match command {
        ServerCommand::Auth => shown[1..].fill(REDACTED),
        ServerCommand::Hello => {
            let at = args.iter().position(|arg| arg.eq_ignore_ascii_case(b"auth"))?;
            let end = args.len().min(at + 3);
            shown[at + 1..end].fill(REDACTED);
        }
        ServerCommand::Config if args.get(1).is_some_and(|arg| arg.eq_ignore_ascii_case(b"set")) => {
            for pair in shown[2..].chunks_exact_mut(2) {
                let setting = std::str::from_utf8(pair[0]).ok().and_then(Setting::named);
                if setting.is_some_and(|setting| setting.spec().sensitive) {
                    pair[1] = REDACTED;
                }
            }
        }
        _ => return None,
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(command: ServerCommand, line: &str) -> Option<String> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let shown = redacted(command, &args)?;
        Some(shown.iter().map(|arg| String::from_utf8_lossy(arg)).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn secrets_are_not_shown() {
        let auth = shown(ServerCommand::Auth, "auth user pass");
        assert_eq!(auth.as_deref(), Some("auth (redacted) (redacted)"));
        let hello = shown(ServerCommand::Hello, "hello 3 AUTH default pass SETNAME me");
        assert_eq!(hello.as_deref(), Some("hello 3 AUTH (redacted) (redacted) SETNAME me"));
        assert_eq!(shown(ServerCommand::Hello, "hello 3"), None);
        let config = shown(ServerCommand::Config, "config set REQUIREPASS x maxmemory 1");
        assert_eq!(config.as_deref(), Some("config set REQUIREPASS (redacted) maxmemory 1"));
        assert_eq!(shown(ServerCommand::Config, "config get requirepass"), None);
        assert_eq!(shown(ServerCommand::Ping, "ping secret"), None);
    }
}
