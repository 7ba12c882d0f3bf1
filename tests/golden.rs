//! Golden scripts: transcripts of commands and replies, run against a store with every engine.
//!
//! A line `> COMMAND arguments` is a request and the line after it the reply: `+simple`, `-error`, a number,
//! `"bulk"`, `nil`, `[array]`, `~[set]`, `{map: value}`. After `>~` the elements of the reply (those of
//! the nested array, for scans) are sorted before they are compared, because their order is
//! the engine's. `#` begins a comment. Directives:
//!
//! - `@resp 3` changes the protocol;
//! - `@wait ms` moves the clock, which otherwise stands still;
//! - `@keyspace name db prefix engine` adds a keyspace. A script with keyspaces runs once, with the hash engine
//!   as the default; the others run once for each engine.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes what was answered into the scripts, to be reviewed.

mod client;

use std::fmt::Write as _;
use std::path::Path;

use client::Client;
use kvorum::resp::Protocol;
use kvorum::storage::{EngineKind, KeyspaceRule};
use kvorum::types::Db;

/// Splits a request into arguments; those in double quotes may have escapes.
fn arguments(line: &str) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let mut arg = Vec::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut chars = quoted.char_indices();
            rest = loop {
                match chars.next().expect("the quote is closed") {
                    (at, '"') => break &quoted[at + 1..],
                    (_, '\\') => match chars.next().expect("something is escaped").1 {
                        'n' => arg.push(b'\n'),
                        'r' => arg.push(b'\r'),
                        't' => arg.push(b'\t'),
                        'x' => {
                            let (at, _) = chars.next().expect("two digits follow");
                            chars.next();
                            arg.push(u8::from_str_radix(&quoted[at..at + 2], 16).expect("two digits follow"));
                        }
                        other => arg.extend_from_slice(other.to_string().as_bytes()),
                    },
                    (_, other) => arg.extend_from_slice(other.to_string().as_bytes()),
                }
            };
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            arg.extend_from_slice(&rest.as_bytes()[..end]);
            rest = &rest[end..];
        }
        args.push(arg);
        rest = rest.trim_start();
    }
    args
}

/// A reply as its text, or as texts in brackets.
enum Text {
    One(String),
    Many(&'static str, Vec<Text>),
}

impl Text {
    fn read(bytes: &mut &[u8]) -> Self {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
        let line = String::from_utf8_lossy(&bytes[..end]).into_owned();
        *bytes = &bytes[end + 2..];
        let (kind, rest) = line.split_at(1);
        let mut many = |prefix, per_element: usize| match rest.parse::<usize>() {
            Ok(count) => Self::Many(prefix, (0..count * per_element).map(|_| Self::read(bytes)).collect()),
            Err(_) => Self::One("nil".to_owned()),
        };
        match kind {
            "+" | "-" => Self::One(line),
            ":" | "," => Self::One(rest.to_owned()),
            "_" => Self::One("nil".to_owned()),
            "*" => many("", 1),
            "~" => many("~", 1),
            "%" => many("%", 2),
            "$" if rest == "-1" => Self::One("nil".to_owned()),
            "$" => {
                let len: usize = rest.parse().expect("a bulk string has a length");
                let text = quoted(&bytes[..len]);
                *bytes = &bytes[len + 2..];
                Self::One(text)
            }
            _ => panic!("{line} is no reply"),
        }
    }

    fn sort(&mut self) {
        if let Self::Many(_, elements) = self {
            if let [_cursor, Self::Many(_, found)] = elements.as_mut_slice() {
                found.sort_by_cached_key(Self::show);
            } else {
                elements.sort_by_cached_key(Self::show);
            }
        }
    }

    fn show(&self) -> String {
        match self {
            Self::One(text) => text.clone(),
            Self::Many("%", elements) => {
                let pairs = elements.chunks(2).map(|pair| format!("{}: {}", pair[0].show(), pair[1].show()));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
            Self::Many(prefix, elements) => {
                format!("{prefix}[{}]", elements.iter().map(Self::show).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for &byte in bytes {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").expect("strings take everything"),
        }
    }
    text.push('"');
    text
}

fn keyspaces(script: &str) -> Vec<KeyspaceRule> {
    let lines = script.lines().filter_map(|line| line.strip_prefix("@keyspace "));
    lines
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, db, prefix, engine] = words[..] else { panic!("@keyspace name db prefix engine") };
            KeyspaceRule {
                name: name.to_owned(),
                db: Db(db.parse().expect("the database is a number")),
                prefix: prefix.as_bytes().to_vec(),
                engine: engine.parse().expect("the engine is one"),
                read_policy: None,
            }
        })
        .collect()
}

/// The script with the replies as they are.
fn replay(script: &str, client: &mut Client) -> String {
    let mut out = String::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if let Some(protocol) = line.strip_prefix("@resp ") {
            client.protocol = if protocol == "3" { Protocol::Resp3 } else { Protocol::Resp2 };
        } else if let Some(ms) = line.strip_prefix("@wait ") {
            client.now.0 += ms.parse::<i64>().expect("@wait takes milliseconds");
        } else if let Some(request) = line.strip_prefix('>') {
            lines.next();
            let (sorted, request) = request.strip_prefix('~').map_or((false, request), |request| (true, request));
            let args = arguments(request);
            let bytes = client.request(&args.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let mut rest = bytes.as_slice();
            let mut text = Text::read(&mut rest);
            assert!(rest.is_empty(), "{request}: there is more than one reply");
            if sorted {
                text.sort();
            }
            out.push_str(&text.show());
            out.push('\n');
        }
    }
    out
}

fn check(name: &str, engine: EngineKind) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("txt");
    let script = std::fs::read_to_string(&path).expect("the script is there");
    let mut client = Client::new(engine, keyspaces(&script));
    let answered = replay(&script, &mut client);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &answered).expect("the script can be written");
        return;
    }
    let mut differences = String::new();
    let mut request = "";
    for (number, (expected, found)) in script.lines().zip(answered.lines()).enumerate() {
        if expected != found {
            let line = number + 1;
            write!(differences, "\n{name}.txt:{line}: {request}\n  expected {expected}\n  answered {found}")
                .expect("strings take everything");
        }
        request = expected;
    }
    assert!(differences.is_empty(), "on the {engine} engine:{differences}");
}

macro_rules! golden {
    ($($script:ident),* $(,)?) => {
        mod hash {
            $(#[test] fn $script() { super::check(stringify!($script), super::EngineKind::Hash); })*
        }
        mod lsm {
            $(#[test] fn $script() { super::check(stringify!($script), super::EngineKind::Lsm); })*
        }
        mod btree {
            $(#[test] fn $script() { super::check(stringify!($script), super::EngineKind::BTree); })*
        }
    };
}

golden!(
    strings,
    numbers,
    lcs,
    bitmaps,
    hyperloglog,
    sort,
    expiry,
    keys,
    scan,
    hashes,
    command,
    zsets,
    zranges,
    geo,
    streams,
    streams_groups,
    streams_info,
    lists,
    hash_expiry,
    sets,
    dump,
    dump_collections,
    dump_streams
);

#[test]
fn keyspaces_in_several_engines() {
    check("keyspaces", EngineKind::Hash);
}

#[test]
fn ranges_of_an_ordered_engine() {
    check("ranges", EngineKind::BTree);
}
