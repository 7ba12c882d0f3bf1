//! `INFO`: sections of `field:value` lines, with the names that tools read.
//!
//! Fields of features that are not here are 0, so that tools find what they expect. What is ours alone
//! stands in the sections `raft`, `engines` and `shards` and in the field `kvorum_version`.

mod counters;
mod data;
mod process;

use std::fmt::{Display, Write as _};

use super::{Call, Executed};
use crate::server::Server;

/// A section: its name in arguments, whether it is shown by default, and what writes it.
struct Section {
    name: &'static str,
    default: bool,
    write: fn(&mut Writer, &Server),
}

const fn section(name: &'static str, default: bool, write: fn(&mut Writer, &Server)) -> Section {
    Section { name, default, write }
}

/// All sections in the order of the reply.
const SECTIONS: &[Section] = &[
    section("server", true, process::server),
    section("clients", true, process::clients),
    section("memory", true, process::memory),
    section("persistence", true, data::persistence),
    section("stats", true, counters::stats),
    section("replication", true, data::replication),
    section("cpu", true, process::cpu),
    section("modules", true, |out, _| out.title("Modules")),
    section("commandstats", false, counters::commandstats),
    section("errorstats", true, counters::errorstats),
    section("latencystats", false, counters::latencystats),
    section("cluster", true, data::cluster),
    section("keyspace", true, data::keyspace),
    section("raft", true, data::raft),
    section("engines", true, data::engines),
    section("shards", true, data::shards),
];

/// Writes lines.
#[derive(Default)]
struct Writer {
    text: String,
}

impl Writer {
    /// Begins a section.
    fn title(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        // Writing to a string cannot fail.
        let _ = write!(self.text, "# {title}\r\n");
    }

    /// One line.
    fn field(&mut self, name: impl Display, value: impl Display) {
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// Lines of numbers that are 0 because what they count is not here.
    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.field(name, 0);
        }
    }
}

/// `INFO [section …]`
pub(super) fn info(call: &mut Call<'_>) -> Executed {
    let wanted = Wanted::parse(&call.args[1..]);
    let mut writer = Writer::default();
    for section in SECTIONS.iter().filter(|section| wanted.includes(section)) {
        (section.write)(&mut writer, call.server);
    }
    call.text(&writer.text)
}

/// What was asked for.
struct Wanted<'a> {
    all: bool,
    default: bool,
    names: &'a [&'a [u8]],
}

impl<'a> Wanted<'a> {
    fn parse(names: &'a [&'a [u8]]) -> Self {
        let has = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word.as_bytes()));
        Self { all: has("all") || has("everything"), default: names.is_empty() || has("default"), names }
    }

    fn includes(&self, section: &Section) -> bool {
        let named = |name: &[u8]| {
            name.eq_ignore_ascii_case(section.name.as_bytes())
                || (section.name == "modules" && name.eq_ignore_ascii_case(b"module_list"))
        };
        self.all || (self.default && section.default) || self.names.iter().any(|name| named(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(line: &str) -> Vec<&'static str> {
        let names: Vec<&[u8]> = line.split_whitespace().map(str::as_bytes).collect();
        let wanted = Wanted::parse(&names);
        SECTIONS.iter().filter(|section| wanted.includes(section)).map(|section| section.name).collect()
    }

    #[test]
    fn sections_are_chosen_as_in_redis() {
        assert_eq!(sections("").len(), SECTIONS.len() - 2);
        assert_eq!(sections("default"), sections(""));
        assert_eq!(sections("everything").len(), SECTIONS.len());
        assert_eq!(sections("cpu all").len(), SECTIONS.len());
        assert_eq!(sections("cpu sentinel"), ["cpu"]);
        assert_eq!(sections("commandSTATS"), ["commandstats"]);
        assert_eq!(sections("cpu default"), sections(""));
        assert_eq!(sections("module_list keyspace"), ["modules", "keyspace"]);
        assert!(sections("sentinel").is_empty());
    }

    #[test]
    fn sections_are_apart() {
        let mut writer = Writer::default();
        writer.title("One");
        writer.field("a", 1);
        writer.title("Two");
        writer.zeros(&["b"]);
        assert_eq!(writer.text, "# One\r\na:1\r\n\r\n# Two\r\nb:0\r\n");
    }
}
