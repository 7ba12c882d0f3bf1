//! Differences that are meant.

use kvorum::types::glob;

use super::reply::Value;

struct Entry {
    command: String,
    expected: String,
    found: String,
    seen: u64,
}

impl Entry {
    fn line(&self) -> String {
        format!("{} | {} | {}", self.command, self.expected, self.found)
    }
}

/// The list: lines of `command | reference's reply | other's reply`, each a glob pattern, after comments that say why.
pub(crate) struct Known(Vec<Entry>);

impl Known {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [command, expected, found] = parts[..] else { panic!("command | reply | reply: {line}") };
            Entry { command: command.to_owned(), expected: expected.to_owned(), found: found.to_owned(), seen: 0 }
        });
        Self(entries.collect())
    }

    /// Whether a difference is in the list; `command` is a line for redis-cli.
    pub(crate) fn covers(&mut self, command: &str, expected: &Value, found: &Value) -> bool {
        let matches = |pattern: &str, text: String| glob::matches(pattern.as_bytes(), text.as_bytes(), true);
        let entry = self.0.iter_mut().find(|entry| {
            matches(&entry.command, command.to_owned())
                && matches(&entry.expected, expected.to_string())
                && matches(&entry.found, found.to_string())
        });
        entry.map(|entry| entry.seen += 1).is_some()
    }

    pub(crate) fn summary(&self) -> String {
        let seen: u64 = self.0.iter().map(|entry| entry.seen).sum();
        let unseen = self.0.iter().filter(|entry| entry.seen == 0);
        let unseen: Vec<String> = unseen.map(|entry| format!("\n  not met: {}", entry.line())).collect();
        format!("{seen} replies differ as known.txt says{}", unseen.concat())
    }
}
