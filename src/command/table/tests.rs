//! The table checked against itself.

use std::collections::BTreeSet;

use super::*;
use crate::command::spec::{Arg, ArgKind, Flags, Handler};

#[test]
fn every_name_is_found_in_any_case() {
    for spec in all() {
        for name in [spec.name.to_owned(), spec.name.to_lowercase()] {
            assert!(std::ptr::eq(find(name.as_bytes()).expect("every command is found"), spec), "{name}");
        }
        for subcommand in spec.subcommands {
            let name = subcommand.name.to_lowercase();
            let found = find_subcommand(spec, name.as_bytes()).expect("every subcommand is found");
            assert!(std::ptr::eq(found, subcommand), "{} {name}", spec.name);
        }
    }
    for name in [
        "",
        "g",
        "ge",
        "\u{7}ET",
        "GE4",
        "get\0",
        "get\0\0\0\0\0\0",
        "\0",
        " ",
        "ge",
        "gett",
        "bitfield\x7fro",
        "get ",
        "\u{7}et",
        "config|get",
        "a name that is longer than that of any command",
    ] {
        assert!(find(name.as_bytes()).is_none(), "{name}");
    }
}

#[test]
fn names_are_upper_case_and_unique() {
    let mut seen = BTreeSet::new();
    for spec in all() {
        // Looking names up relies on their having no other bytes than these.
        assert!(spec.name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{}", spec.name);
        assert!(seen.insert(spec.name.to_owned()), "{} is there twice", spec.name);
        for subcommand in spec.subcommands {
            assert_eq!(subcommand.name, subcommand.name.to_uppercase());
            assert!(seen.insert(format!("{}|{}", spec.name, subcommand.name)), "{} is there twice", subcommand.name);
        }
    }
}

#[test]
fn words_are_little_endian() {
    let bytes = *b"ABCDEFGH";
    for len in 0..=bytes.len() {
        let mut padded = [0; 8];
        padded[..len].copy_from_slice(&bytes[..len]);
        assert_eq!(word(&bytes[..len]), u64::from_le_bytes(padded), "{len} bytes");
    }
}

#[test]
fn indexes_are_positions() {
    for (index, spec) in all().enumerate() {
        assert_eq!(index_of(spec), index, "{}", spec.name);
    }
}

#[test]
fn writes_are_those_that_the_store_runs_as_writes() {
    for spec in all() {
        let writes = matches!(spec.handler, Handler::Write(_));
        assert_eq!(spec.flags.has(Flags::WRITE), writes, "{}", spec.name);
        assert!(!(writes && spec.flags.has(Flags::READONLY)), "{}", spec.name);
        let reads_keys = matches!(spec.handler, Handler::Read(_)) && spec.subcommands.is_empty();
        assert!(!reads_keys || spec.flags.has(Flags::READONLY), "{}", spec.name);
    }
}

fn check_text(name: &str, summary: &str, complexity: &str, since: &str) {
    assert!(summary.ends_with('.') && summary == summary.trim(), "{name}: {summary:?}");
    assert!(summary.starts_with(|first: char| first.is_ascii_uppercase()), "{name}: {summary:?}");
    assert!(complexity.starts_with("O(") && !complexity.ends_with('.'), "{name}: {complexity:?}");
    assert!(since.split('.').count() == 3, "{name}: {since:?}");
}

#[test]
fn everything_is_documented() {
    for spec in all() {
        check_text(spec.name, spec.summary, spec.complexity, spec.since);
        assert_ne!(spec.arity.0, 0, "{}", spec.name);
        if spec.arity.0.unsigned_abs() > 1 && spec.subcommands.is_empty() && spec.name != "DEBUG" {
            assert!(!spec.args.is_empty(), "{} has no documented arguments", spec.name);
        }
        for subcommand in spec.subcommands {
            let name = format!("{} {}", spec.name, subcommand.name);
            check_text(&name, subcommand.summary, subcommand.complexity, subcommand.since);
            if subcommand.arity.0.unsigned_abs() > 2 {
                assert!(!subcommand.args.is_empty(), "{name} has no documented arguments");
            }
        }
        if !spec.subcommands.is_empty() {
            assert!(find_subcommand(spec, b"HELP").is_some(), "{} has no HELP", spec.name);
        }
    }
}

fn check_keys(name: &str, specs: &[KeySpec], arity: usize) {
    for spec in specs {
        let first = match *spec {
            KeySpec::Range { first, last, step, .. } => {
                assert!(step > 0 && first > 0 && (last < 0 || last >= first), "{name}");
                first
            }
            KeySpec::Counted { count_at, .. } => count_at + 1,
            // It need not be there.
            KeySpec::Keyword { from, limit: 0, .. } => {
                assert!(from > 0, "{name}");
                continue;
            }
            KeySpec::Keyword { from, .. } => from + 1,
        };
        // The rest of the arguments may be none.
        let may_lack = matches!(*spec, KeySpec::Range { last, .. } if last < 0);
        assert!(
            usize::from(first.unsigned_abs()) < arity + usize::from(may_lack),
            "{name}: the first key lies outside"
        );
    }
}

/// Checks arguments and answers how many of them are keys.
fn check_args(name: &str, args: &[Arg], key_specs: usize) -> usize {
    let mut keys = 0;
    for arg in args {
        assert!(!arg.name.is_empty(), "{name}");
        match arg.kind {
            ArgKind::Key(index) => {
                assert!(usize::from(index) < key_specs, "{name}: {} has no key specification", arg.name);
                keys += 1;
            }
            ArgKind::Token => assert!(!arg.token.is_empty(), "{name}: {} has no token", arg.name),
            ArgKind::OneOf(parts) | ArgKind::Block(parts) => {
                assert!(!parts.is_empty(), "{name}: {} has no parts", arg.name);
                keys += check_args(name, parts, key_specs);
            }
            _ => {}
        }
    }
    keys
}

/// One specification may cover several arguments that are keys, as in LCS; each covers one or more.
fn check_documented(name: &str, args: &[Arg], specs: &[KeySpec]) {
    let keys = check_args(name, args, specs.len());
    assert!(keys >= specs.len() && (keys > 0) != specs.is_empty(), "{name} documents {keys} keys");
}

#[test]
fn keys_lie_inside_the_arity_and_are_documented() {
    for spec in all() {
        check_keys(spec.name, spec.keys, usize::from(spec.arity.0.unsigned_abs()));
        check_documented(spec.name, spec.args, spec.keys);
        for subcommand in spec.subcommands {
            let name = format!("{} {}", spec.name, subcommand.name);
            check_keys(&name, subcommand.keys, usize::from(subcommand.arity.0.unsigned_abs()));
            check_documented(&name, subcommand.args, subcommand.keys);
        }
    }
}

fn keys_in(request: &str) -> Vec<(usize, Access)> {
    let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
    let spec = find(args[0]).expect("the command is there");
    keys_of(spec, &args).expect("the keys are in order").into_vec()
}

#[test]
fn keys_are_found() {
    assert_eq!(keys_in("get a"), [(1, Access::Read)]);
    assert_eq!(keys_in("mset a 1 b 2"), [(1, Access::Overwrite), (3, Access::Overwrite)]);
    assert_eq!(keys_in("del a b c").len(), 3);
    assert_eq!(keys_in("rename a b"), [(1, Access::Take), (2, Access::Overwrite)]);
    assert_eq!(keys_in("set a 1"), [(1, Access::Overwrite)]);
    assert_eq!(keys_in("set a 1 ex 5 Get"), [(1, Access::ReadWrite)]);
    assert_eq!(keys_in("bitfield a get u8 0"), [(1, Access::Read)]);
    assert_eq!(keys_in("bitfield a get u8 0 Set u8 0 1"), [(1, Access::ReadWrite)]);
    assert_eq!(keys_in("bitop and a b c"), [(2, Access::Overwrite), (3, Access::Read), (4, Access::Read)]);
    assert_eq!(keys_in("object encoding a"), [(2, Access::ReadMeta)]);
    assert_eq!(keys_in("memory usage a samples 5"), [(2, Access::ReadMeta)]);
    assert_eq!(keys_in("xread count 1 streams a b 0 0"), [(4, Access::Read), (5, Access::Read)]);
    assert_eq!(keys_in("xreadgroup group streams c streams a 0"), [(5, Access::Read)]);
    assert_eq!(keys_in("xreadgroup count 1 group g streams streams a 0"), [(7, Access::Read)]);
    assert_eq!(keys_in("xread streams streams 0"), [(2, Access::Read)]);
    assert_eq!(keys_in("sort store store to"), [(1, Access::Read), (3, Access::Overwrite)]);
    assert_eq!(keys_in("sort a store store"), [(1, Access::Read), (3, Access::Overwrite)]);
    assert_eq!(keys_in("sort a store b by store get store"), [(1, Access::Read), (3, Access::Overwrite)]);
    assert_eq!(keys_in("sort a by store get b"), [(1, Access::Read)]);
    assert_eq!(keys_in("sort a store b limit 0 1 store c"), [(1, Access::Read), (8, Access::Overwrite)]);
    assert_eq!(keys_in("georadius a 1 1 1 m store storedist"), [(1, Access::Read), (7, Access::Overwrite)]);
    assert_eq!(
        keys_in("georadiusbymember a b 1 m count 1 storedist storedist"),
        [(1, Access::Read), (8, Access::Overwrite)]
    );
    assert_eq!(keys_in("xgroup create a g 0"), [(2, Access::Insert)]);
    assert_eq!(keys_in("object help"), []);
    assert_eq!(keys_in("ping"), []);
}

fn words(text: &str) -> Vec<&[u8]> {
    text.split(' ').map(str::as_bytes).collect()
}

#[test]
fn errors_repeat_what_was_sent() {
    assert_eq!(arity_error("get").to_string(), "ERR wrong number of arguments for 'get' command");
    assert_eq!(
        unknown_command(&words("foo a b")).to_string(),
        "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
    );
    assert_eq!(unknown_command(&words("foo")).to_string(), "ERR unknown command 'foo', with args beginning with: ");
    let config = find(b"config").expect("the command is there");
    assert_eq!(unknown_subcommand(config, b"x\ny").to_string(), "ERR unknown subcommand 'x y'. Try CONFIG HELP.");
}

#[test]
fn errors_repeat_no_more_than_redis_does() {
    let long = "x".repeat(300);
    let error = unknown_command(&[long.as_bytes(), long.as_bytes(), b"more"]).to_string();
    let quoted = "x".repeat(128);
    assert_eq!(error, format!("ERR unknown command '{quoted}', with args beginning with: '{quoted}' "));
    let error = unknown_command(&[b"foo", &long.as_bytes()[..120], b"abcdefgh", b"more"]).to_string();
    // 123 bytes are used up by the first argument and its quotes; 5 are left.
    assert_eq!(error, format!("ERR unknown command 'foo', with args beginning with: '{}' 'abcde' ", "x".repeat(120)));
}
