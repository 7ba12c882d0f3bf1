//! The table of what commands cost on each engine.

use std::fmt::Write as _;

use crate::command::spec::{CommandSpec, Handler};
use crate::command::table;

/// What stands before the table.
const PREFACE: &str = "\
# What commands cost

Made from the table of commands by `make complexity`; do not edit.

N is the number of elements, members, fields or arguments that the command names or answers, or the size of the value where it
has to look at all of it; M is the number of elements answered, where N is another; n is the number of elements of the value.
In the hash engine a key or an element is found in O(1). In the row engines each is a row of an ordered map with K
rows, found in O(log K): the row engines' columns count such rows, and leave that factor out. What a command
changes is written once more to the log.

Commands that are not about keys cost the same whatever the engine.

| command | hash | LSM | B+ tree |
|---|---|---|---|
";

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
        row(&mut out, spec.name, spec.complexity, spec);
        for subcommand in spec.subcommands.iter().filter(|subcommand| !subcommand.keys.is_empty()) {
            row(&mut out, &format!("{} {}", spec.name, subcommand.name), subcommand.complexity, spec);
        }
    }
    out
}

fn row(out: &mut String, name: &str, hash: &str, spec: &CommandSpec) {
    let lsm = spec.complexity_rows.unwrap_or(hash);
    let btree = spec.complexity_btree.unwrap_or(lsm);
    // An asterisk would begin emphasis.
    let [hash, lsm, btree] = [hash, lsm, btree].map(|cost| cost.replace('*', "\\*"));
    writeln!(out, "| {name} | {hash} | {lsm} | {btree} |").expect("strings take everything");
}
