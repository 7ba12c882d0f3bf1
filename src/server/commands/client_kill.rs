//! `CLIENT KILL`.

use super::client_list::Class;
use super::{Call, DEFAULT_USER, Executed};
use crate::command::CommandError;
use crate::command::error::SYNTAX;
use crate::server::clients::Client;
use crate::server::dispatch::lossy;
use crate::shard::clock;
use crate::types::number::parse_i64;

/// Whom to kill: those that fit everything given.
struct Filter {
    id: Option<u64>,
    class: Option<Class>,
    address: Option<Vec<u8>>,
    local_address: Option<Vec<u8>>,
    age_seconds_min: Option<i64>,
    skip_me: bool,
}

impl Filter {
    /// The old form: an address, which may be one's own.
    fn address(address: &[u8]) -> Self {
        Self { address: Some(address.to_vec()), skip_me: false, ..Self::all() }
    }

    fn all() -> Self {
        Self { id: None, class: None, address: None, local_address: None, age_seconds_min: None, skip_me: true }
    }

    fn parse(options: &[&[u8]]) -> Result<Self, CommandError> {
        let mut filter = Self::all();
        for pair in options.chunks(2) {
            let &[option, value] = pair else { return Err(SYNTAX) };
            match lossy(option).to_ascii_lowercase().as_str() {
                "id" => {
                    let id = parse_i64(value).filter(|&id| id > 0);
                    let id = id.ok_or(CommandError::Static("ERR client-id should be greater than 0"))?;
                    filter.id = Some(id.unsigned_abs());
                }
                "type" => filter.class = Some(Class::named(value)?),
                "addr" => filter.address = Some(value.to_vec()),
                "laddr" => filter.local_address = Some(value.to_vec()),
                "user" if value == DEFAULT_USER => {}
                "user" => return Err(CommandError::Text(format!("ERR No such user '{}'", lossy(value)))),
                "maxage" => {
                    let age =
                        parse_i64(value).ok_or(CommandError::Static("ERR maxage is not an integer or out of range"))?;
                    if age <= 0 {
                        return Err(CommandError::Static("ERR maxage should be greater than 0"));
                    }
                    filter.age_seconds_min = Some(age);
                }
                "skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skip_me = true,
                "skipme" if value.eq_ignore_ascii_case(b"no") => filter.skip_me = false,
                _ => return Err(SYNTAX),
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client, now_ms: i64) -> bool {
        let is = |wanted: &Option<Vec<u8>>, found: std::net::SocketAddr| {
            wanted.as_ref().is_none_or(|wanted| found.to_string().as_bytes() == wanted)
        };
        self.id.is_none_or(|id| id == client.id)
            && self.class.is_none_or(|class| class == Class::Normal)
            && is(&self.address, client.peer)
            && is(&self.local_address, client.local)
            && self.age_seconds_min.is_none_or(|age| (now_ms - client.created_ms) / 1000 >= age)
    }
}

/// `CLIENT KILL ip:port` and `CLIENT KILL option value …`
pub(super) fn kill(call: &mut Call<'_>) -> Executed {
    let old_form = call.args.len() == 3;
    let filter = if old_form { Filter::address(call.args[2]) } else { Filter::parse(&call.args[2..])? };
    let now_ms = clock::now().0;
    let mut killed = 0;
    for client in call.server.clients.all() {
        if !filter.fits(&client, now_ms) {
            continue;
        }
        if client.id == call.session.client.id {
            if filter.skip_me {
                continue;
            }
            call.session.closing = true;
        } else {
            client.kill();
            // From now on it is not listed, although its task may take a moment to end.
            call.server.clients.remove(client.id);
        }
        killed += 1;
    }
    match (old_form, killed) {
        (true, 0) => Err(CommandError::Static("ERR No such client")),
        (true, _) => call.ok(),
        (false, _) => call.integer(killed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        let options: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        Filter::parse(&options).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn wrong_filters_are_refused_as_in_redis() {
        assert_eq!(error("id 10 wrong_arg"), "ERR syntax error");
        for id in ["str", "-1", "0"] {
            assert_eq!(error(&format!("id {id}")), "ERR client-id should be greater than 0");
        }
        assert_eq!(error("type wrong_type"), "ERR Unknown client type 'wrong_type'");
        assert_eq!(error("user wrong_user"), "ERR No such user 'wrong_user'");
        assert_eq!(error("skipme yes_or_no"), "ERR syntax error");
        assert_eq!(error("ADDR 1.2.3.4:5 LADDR 1.2.3.4:6 SKIPME no TYPE pubsub USER default"), "");
    }

    #[test]
    fn filters_choose() {
        let address = |text: &str| text.parse().expect("an address");
        let client = Client::new(7, address("127.0.0.1:1000"), address("127.0.0.1:6379"), 3, 1_000, true);
        let fits = |line: &str| {
            let options: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            Filter::parse(&options).expect("valid").fits(&client, 11_000)
        };
        assert!(fits("id 7"));
        assert!(!fits("id 8"));
        assert!(fits("addr 127.0.0.1:1000 laddr 127.0.0.1:6379 type normal user default"));
        assert!(!fits("addr 127.0.0.1:1001"));
        assert!(!fits("type replica"));
        assert!(fits("maxage 10"));
        assert!(!fits("maxage 11"));
    }
}
