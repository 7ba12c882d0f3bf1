//! What the server says of itself when it starts: one screen.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::cluster::ClusterNode;
use super::settings::{Setting, Settings};

/// What the settings do not know.
pub struct BannerFacts<'a> {
    /// The addresses the server listens on.
    pub addresses: &'a [SocketAddr],
    /// The name of the node, see [`DataDir::node_id`](super::datadir::DataDir::node_id).
    pub node_id: &'a str,
    /// Number of keys found in the data directory, where it is known.
    pub keys: Option<u64>,
    /// The node's part in a cluster, if it has one.
    pub cluster: Option<&'a ClusterNode>,
}

/// The version with the commit, where the build was told it by `KVORUM_GIT_COMMIT`.
pub fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    option_env!("KVORUM_GIT_COMMIT").map_or_else(|| version.to_owned(), |commit| format!("{version} ({commit})"))
}

/// A few lines for the operator, each a label and a fact, with a line break at the end.
pub fn banner(settings: &Settings, facts: &BannerFacts<'_>) -> String {
    let mut text = format!("kvorum {}\n", version());
    let mut line = |label: &str, fact: &str| {
        writeln!(text, "  {label:<12} {fact}").expect("writing to a string does not fail");
    };
    let addresses: Vec<String> = facts.addresses.iter().map(SocketAddr::to_string).collect();
    line("listening", &addresses.join(", "));
    let threads = settings.io_threads();
    let plural = if threads == 1 { "" } else { "s" };
    line("process", &format!("{}, {threads} worker thread{plural}", std::process::id()));
    line("node", facts.node_id);
    if let Some(node) = facts.cluster {
        let member = match node.bus.cluster() {
            0 => "none yet; `kvorum cluster create` makes one".to_owned(),
            id => format!("{id:032x}"),
        };
        line("cluster", &format!("{member}, bus on port {}", node.bus_port));
    }
    let keys = facts.keys.map(|keys| format!(" ({keys} keys)")).unwrap_or_default();
    line("data", &format!("{}{keys}", settings.dir().display()));
    line("durability", durability(settings));
    let memory = match settings.get(Setting::Maxmemory).as_str() {
        "0" => "no limit".to_owned(),
        bytes => format!("{bytes} bytes, {}", settings.word(Setting::MaxmemoryPolicy)),
    };
    line("maxmemory", &memory);
    if let Some(file) = settings.config_file() {
        line("settings", &file.display().to_string());
    }
    line("engine", settings.default_engine().name());
    for rule in settings.keyspace_rules().rules() {
        let prefix = match String::from_utf8_lossy(&rule.prefix) {
            prefix if prefix.is_empty() => "all keys".to_owned(),
            prefix => format!("keys '{prefix}*'"),
        };
        line("keyspace", &format!("{}: database {}, {prefix}, {}", rule.name, rule.db.0, rule.engine));
    }
    text
}

fn durability(settings: &Settings) -> &'static str {
    if !settings.bool(Setting::Appendonly) {
        return "none: the log is in memory, a restart starts empty (appendonly no)";
    }
    match settings.word(Setting::Appendfsync) {
        "always" => "a write is acknowledged after it is on disk (appendfsync always)",
        "everysec" => "the log is synced every second (appendfsync everysec)",
        _ => "the log is synced when the system wants to (appendfsync no)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_an_operator_wants_to_know() {
        let settings = Settings::with(&[("appendfsync", "always"), ("maxmemory", "1kb")]).expect("valid");
        let addresses = ["127.0.0.1:6379".parse().expect("an address")];
        let text =
            banner(&settings, &BannerFacts { addresses: &addresses, node_id: "abc", keys: Some(3), cluster: None });
        for fact in ["127.0.0.1:6379", "abc", "(3 keys)", "on disk", "1024 bytes, noeviction", "engine       hash"] {
            assert!(text.contains(fact), "{fact} is not in\n{text}");
        }
        assert!(text.contains(&std::process::id().to_string()));
        assert!(text.lines().count() < 24);
    }
}
