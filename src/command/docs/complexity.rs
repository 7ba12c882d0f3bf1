//! The table of what commands cost on each engine.

use std::fmt::Write as _;

use crate::command::spec::{CommandSpec, Handler};
use crate::command::table;

/// What stands before the table.
const PREFACE: &str = "\
# What commands cost

Made from the table of commands by `make complexity`; do not edit.

N, M, K and L are Redis's: the numbers of keys, elements, members, fields or bytes that a command names, compares or
answers. n is the size of the value at the key, in elements or, for a string, in bytes.

In the hash engine a key or an element of a hash or set is found in O(1). In the row engines the key is a row, an element is
a row, a string is one row and a node of a list or sorted set is one: the columns count rows that are read or written. Each
takes O(log R) where the engine holds R rows, a factor that is left out here. Whatever a command changes is also written
to the log as the command, however much it changes.

Commands that are not about keys cost the same whatever the engine.

| command | hash | LSM | B+ tree |
|---|---|---|---|
";

/// Where the table's own word is not the whole truth: command, hash engine, LSM engine, B+ tree engine. An empty text
/// stands for the one before it, the first for the table's own.
const EXCEPTIONS: &[(&str, [&str; 3])] = &[
    // A row is written whole.
    ("APPEND", ["", "O(n)", ""]),
    ("BITFIELD", ["", "O(N+n)", ""]),
    ("BITFIELD_RO", ["", "O(N+n)", ""]),
    ("GETBIT", ["", "O(n)", ""]),
    ("SETBIT", ["", "O(n)", ""]),
    ("SETRANGE", ["", "O(n)", ""]),
    ("STRLEN", ["", "O(n)", ""]),
    ("GETRANGE", ["", "O(n)", ""]),
    ("SUBSTR", ["", "O(n)", ""]),
    // Row engines carry values whole. What is left behind there is swept later.
    ("COPY", ["O(n)", "", ""]),
    ("MOVE", ["O(1)", "O(n)", ""]),
    ("RENAME", ["O(1), and DEL of what is replaced", "O(n)", ""]),
    ("RENAMENX", ["O(1)", "O(n)", ""]),
    ("DEL", ["O(N+n)", "O(N), whatever the values", ""]),
    ("UNLINK", ["O(N+n)", "O(N), whatever the values", ""]),
    // One path through a counted tree.
    ("LINDEX", ["O(n / 8 KiB), an addition each", "O(log(n))", ""]),
    ("LSET", ["as LINDEX", "O(log(n))", ""]),
    ("LPUSH", ["O(N)", "O(N+log(n))", ""]),
    ("RPUSH", ["O(N)", "O(N+log(n))", ""]),
    ("LPOP", ["O(N)", "O(N+log(n))", ""]),
    ("RPOP", ["O(N)", "O(N+log(n))", ""]),
    ("LRANGE", ["O(N), and LINDEX for the first", "O(N+log(n))", ""]),
    // Only one engine has keys in order.
    ("KEYS", ["O(K), of all keys", "", "O(M), of the keys with the pattern's prefix"]),
    ("SCAN", ["O(N), COUNT keys a step", "", "with a prefix in MATCH only keys that have it"]),
    ("KEYCOUNT", ["refused", "refused", "O(N), of the keys in the range"]),
    ("KEYRANGE", ["refused", "refused", "O(N), of the keys answered"]),
];

/// The document: every command that reads or changes keys, family by family.
pub fn complexity_table() -> String {
    let mut out = PREFACE.to_owned();
    let mut specs: Vec<&CommandSpec> =
        table::all().filter(|spec| !matches!(spec.handler, Handler::Server(_))).collect();
    specs.sort_by_key(|spec| (spec.group.name(), spec.name));
    let mut group = "";
    for spec in specs {
        if spec.group.name() != group {
            group = spec.group.name();
            writeln!(out, "| **{group}** | | | |").expect("strings take everything");
        }
        if spec.subcommands.is_empty() {
            row(&mut out, spec.name, spec.complexity);
        }
        for subcommand in spec.subcommands.iter().filter(|subcommand| !subcommand.keys.is_empty()) {
            row(&mut out, &format!("{} {}", spec.name, subcommand.name), subcommand.complexity);
        }
    }
    out
}

fn row(out: &mut String, name: &str, declared: &str) {
    let exception = EXCEPTIONS.iter().find(|(other, _)| *other == name);
    let mut last = declared;
    write!(out, "| {name}").expect("strings take everything");
    for column in 0..3 {
        last = exception.map(|(_, costs)| costs[column]).filter(|cost| !cost.is_empty()).unwrap_or(last);
        // An asterisk would begin emphasis.
        write!(out, " | {}", last.replace('*', "\\*")).expect("strings take everything");
    }
    out.push_str(" |\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_of_commands() {
        for (name, _) in EXCEPTIONS {
            assert!(table::find(name.as_bytes()).is_some(), "{name}");
        }
    }
}
