//! Checks on the source itself: the arrows between layers, the sizes of files, documentation, and
//! words that do not belong in a repository.
//!
//! The checks are plain functions from text to complaints, so that each is tested on good and bad
//! samples below. They read text rather than syntax: `crate::layer` outside comments and strings is
//! what counts as using a layer, whether it stands in a `use` or in a path.

use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file under `src/`, its tests not counted.
const FILE_LINES_MAX: usize = 800;

/// The layers, lowest first, each with the modules of this crate that it may use besides itself.
///
/// `limits` and `codec` are leaves that everyone may use. A file directly under `src/` is a module
/// of its own; those not named here may use anything.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("codec", &[]),
    ("types", &["limits"]),
    ("resp", &["limits", "types"]),
    ("storage", &["limits", "codec", "types"]),
    ("command", &["limits", "codec", "types", "resp", "storage"]),
    ("raft", &["limits", "codec", "types"]),
    ("shard", &["limits", "codec", "types", "resp", "storage", "command", "raft"]),
    ("cluster", &["limits", "codec", "types", "storage", "raft"]),
    ("server", &["limits", "codec", "types", "resp", "storage", "command", "raft", "shard", "cluster"]),
];

/// Names of `resp` that `command` may use: handlers write replies and never see requests' bytes.
const COMMAND_MAY_USE_OF_RESP: &[&str] = &["Reply", "ReplyBuffer", "Protocol"];

/// Layers that compute the same on every replica.
const PURE_LAYERS: &[&str] = &["types", "resp", "storage", "command"];

/// What would make replicas differ, or make these layers wait.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "reads a clock"),
    ("SystemTime", "reads a clock"),
    ("RandomState", "hashes differently on every replica"),
    ("thread_rng", "draws from an ambient source of chance"),
    ("rand::random", "draws from an ambient source of chance"),
    ("getrandom", "draws from an ambient source of chance"),
    ("tokio::", "is asynchronous"),
    ("async fn", "is asynchronous"),
    ("std::net", "uses the network"),
];

/// The file's lines before its unit tests, which by custom are its last item.
fn logic_lines(source: &str) -> usize {
    source.lines().position(|line| line.trim_end() == "#[cfg(test)]").unwrap_or_else(|| source.lines().count())
}

/// The source without comments and the contents of string literals, line by line.
fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if rest.starts_with("/*") {
            let end = rest.find("*/").map_or(rest.len(), |at| at + 2);
            code.extend(rest[..end].chars().filter(|&c| c == '\n'));
            rest = &rest[end..];
        } else if first == '"' {
            let end = literal_end(rest);
            code.push_str("\"\"");
            code.extend(rest[..end].chars().filter(|&c| c == '\n'));
            rest = &rest[end..];
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            rest = &rest[rest.find("\"'").map_or(rest.len(), |at| at + 2)..];
        } else if first.is_alphanumeric() || first == '_' {
            // A whole word, so that the `r` at a word's end does not begin a raw string.
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let word = &rest[..end];
            if matches!(word, "r" | "br" | "cr") && rest[end..].trim_start_matches('#').starts_with('"') {
                let end = end - 1 + literal_end(&rest[end - 1..]);
                code.push_str("\"\"");
                code.extend(rest[..end].chars().filter(|&c| c == '\n'));
                rest = &rest[end..];
            } else {
                code.push_str(word);
                rest = &rest[end..];
            }
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// Where the string literal ends that `text` begins with; it may begin with `r` and hashes.
fn literal_end(text: &str) -> usize {
    let raw = text.starts_with('r');
    let hashes = text.bytes().skip(usize::from(raw)).take_while(|&b| b == b'#').count();
    let open = usize::from(raw) + hashes + 1;
    if raw {
        let close = format!("\"{}", "#".repeat(hashes));
        return text[open..].find(&close).map_or(text.len(), |at| open + at + close.len());
    }
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every `crate::…` path of the source: the module, and the name after it where one follows directly.
/// Groups are opened: `use crate::{resp::Reply, types}` gives two, and `resp::{A, B}` two of `resp`.
fn crate_paths(source: &str) -> Vec<(String, Option<String>)> {
    let code = code_only(source);
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            for path in open_groups(&code[at + "crate::".len()..]) {
                let mut parts = path.split("::").map(str::trim);
                let module = parts.next().unwrap_or_default().to_owned();
                let name = parts.next().filter(|name| !name.is_empty()).map(str::to_owned);
                paths.push((module, name));
            }
        }
    }
    paths
}

/// The paths that `text` begins with, with `{…}` opened; ends where the path ends.
fn open_groups(text: &str) -> Vec<String> {
    let text = text.trim_start();
    if let Some(inner) = text.strip_prefix('{') {
        let mut depth = 1;
        let mut parts = vec![String::new()];
        for c in inner.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => {
                    parts.push(String::new());
                    continue;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            parts.last_mut().expect("there is always a last part").push(c);
        }
        return parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| open_groups(part)).collect();
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => {
            let below = open_groups(rest);
            if below.is_empty() {
                vec![word.to_owned()]
            } else {
                below.iter().map(|path| format!("{word}::{path}")).collect()
            }
        }
        _ => vec![word.to_owned()],
    }
}

/// Uses of layers that `layer` must not know.
fn wrong_arrows(layer: &str, source: &str) -> Vec<String> {
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else { return Vec::new() };
    let mut complaints = Vec::new();
    for (module, name) in crate_paths(source) {
        let is_layer = LAYERS.iter().any(|(other, _)| *other == module);
        if is_layer && module != layer && !allowed.contains(&module.as_str()) {
            complaints.push(format!("{layer} must not use {module}"));
        }
        if layer == "command"
            && module == "resp"
            && let Some(name) = name.filter(|name| !COMMAND_MAY_USE_OF_RESP.contains(&name.as_str()))
        {
            complaints.push(format!("command may use of resp only {COMMAND_MAY_USE_OF_RESP:?}, not {name}"));
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

/// Uses of clocks, chance and the network in a layer that has none.
fn impurities(layer: &str, source: &str) -> Vec<String> {
    if !PURE_LAYERS.contains(&layer) {
        return Vec::new();
    }
    let logic: String = source.split_inclusive('\n').take(logic_lines(source)).collect();
    let code = code_only(&logic);
    let found = IMPURE.iter().filter(|(word, _)| code.contains(word));
    found.map(|(word, why)| format!("{word} {why}, which {layer} must not")).collect()
}

/// What is wrong with the top of a file: it begins with a `//!` sentence.
fn missing_module_doc(source: &str) -> Option<String> {
    let first = source.lines().next().unwrap_or_default();
    let is_sentence = first.strip_prefix("//! ").is_some_and(|text| !text.trim().is_empty());
    (!is_sentence).then(|| format!("begins with {first:?} and not with a //! sentence that says what it is"))
}

/// Words that have no place in the repository: unfinished work, and paths of somebody's machine.
fn unwanted_words(source: &str) -> Vec<String> {
    // Put together here, so that this file does not contain them.
    let words = [
        ["todo", "!("].concat(),
        ["unimpl", "emented!("].concat(),
        ["dbg", "!("].concat(),
        ["FIX", "ME"].concat(),
        ["/ho", "me/"].concat(),
        ["/ro", "ot/"].concat(),
        ["/wo", "rk/"].concat(),
        ["/Us", "ers/"].concat(),
        ["/tm", "p/w/"].concat(),
    ];
    let mut complaints = Vec::new();
    for (index, line) in source.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(word.as_str())) {
            complaints.push(format!("line {} has {word:?}", index + 1));
        }
    }
    complaints
}

/// The repository's files with one of these endings below one of these folders.
fn files(folders: &[&str], endings: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir()
                && !["target", "corpus", "artifacts", "node_modules", "__pycache__"].contains(&name.as_str())
            {
                walk(&path, endings, found);
            } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        walk(&root.join(folder), endings, &mut found);
    }
    found.sort();
    found
}

/// Runs a check over files and fails with everything it has to say.
fn check(files: &[PathBuf], check: impl Fn(&Path, &str) -> Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut complaints = Vec::new();
    for path in files {
        let source = fs::read_to_string(path).expect("the repository's text files are UTF-8");
        let relative = path.strip_prefix(root).expect("below the repository");
        complaints.extend(check(relative, &source).into_iter().map(|what| format!("{}: {what}", relative.display())));
    }
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// The layer that a file under `src/` belongs to.
fn layer_of(path: &Path) -> Option<&str> {
    let below = path.strip_prefix("src").ok()?;
    let first = below.iter().next()?.to_str()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

#[test]
fn layers_use_only_layers_below_them() {
    let sources = files(&["src"], &[".rs"]);
    assert!(sources.len() > 10, "found only {} files under src", sources.len());
    check(&sources, |path, source| layer_of(path).map_or(Vec::new(), |layer| wrong_arrows(layer, source)));
}

#[test]
fn pure_layers_have_no_clock_no_chance_and_no_network() {
    let sources = files(&["src"], &[".rs"]).into_iter().filter(|path| !path.ends_with("tests.rs")).collect::<Vec<_>>();
    check(&sources, |path, source| layer_of(path).map_or(Vec::new(), |layer| impurities(layer, source)));
}

#[test]
fn only_raft_names_openraft() {
    check(&files(&["src"], &[".rs"]), |path, source| {
        let outside = layer_of(path) != Some("raft");
        let named = code_only(source).contains("openraft");
        if outside && named { vec!["names openraft, which only raft may".to_owned()] } else { Vec::new() }
    });
}

#[test]
fn files_are_one_idea_long() {
    check(&files(&["src"], &[".rs"]), |path, source| {
        if path.ends_with("tests.rs") {
            return Vec::new();
        }
        let lines = logic_lines(source);
        if lines > FILE_LINES_MAX {
            vec![format!("has {lines} lines of logic, more than {FILE_LINES_MAX}")]
        } else {
            Vec::new()
        }
    });
}

#[test]
fn files_say_what_they_are() {
    let sources = files(&["src", "tests", "benches", "examples"], &[".rs"]);
    // Unit tests in a file of their own are described by the module beside them.
    let sources: Vec<_> = sources.into_iter().filter(|path| !path.ends_with("tests.rs")).collect();
    check(&sources, |_, source| missing_module_doc(source).into_iter().collect());
}

#[test]
fn nothing_unfinished_and_no_machine_paths() {
    let folders =
        ["src", "tests", "benches", "configs", "scripts", "redis-tests", "fuzz/fuzz_targets", ".ci", ".config"];
    let endings = [".rs", ".py", ".mjs", ".toml", ".md", ".sh", "run", "setup", "step", "fuzz", "disk_full"];
    check(&files(&folders, &endings), |_, source| unwanted_words(source));
}

// ---- the checks themselves ----

#[test]
fn arrows_are_found_in_uses_and_paths() {
    assert_eq!(wrong_arrows("storage", "use crate::types::Db;\nuse crate::storage::hash;"), Vec::<String>::new());
    assert_eq!(wrong_arrows("storage", "use crate::command::Cursor;"), ["storage must not use command"]);
    assert_eq!(wrong_arrows("raft", "fn f() { crate::shard::run() }"), ["raft must not use shard"]);
    assert_eq!(wrong_arrows("resp", "use crate::{storage::Db, limits};"), ["resp must not use storage"]);
    assert_eq!(wrong_arrows("types", "pub(crate) struct A;\nuse crate::\n    server;"), ["types must not use server"]);
    assert_eq!(wrong_arrows("server", "use crate::{cluster::*, shard, raft};"), Vec::<String>::new());
}

#[test]
fn commands_see_only_replies_of_resp() {
    assert_eq!(wrong_arrows("command", "use crate::resp::Reply;"), Vec::<String>::new());
    assert_eq!(wrong_arrows("command", "use crate::resp::{Reply, Decoder};").len(), 1);
    assert_eq!(wrong_arrows("command", "fn f(r: &mut crate::resp::Decoder<'_>) {}").len(), 1);
}

#[test]
fn clocks_are_found_outside_tests_only() {
    let clock = "let begun = Instant::now();\n";
    assert_eq!(impurities("storage", clock).len(), 1);
    assert_eq!(impurities("raft", clock), Vec::<String>::new());
    assert_eq!(impurities("storage", &format!("#[cfg(test)]\nmod tests {{ {clock} }}")), Vec::<String>::new());
    assert_eq!(impurities("command", "// no Instant::now here\n"), Vec::<String>::new());
}

#[test]
fn comments_and_strings_are_not_code() {
    let source = "// crate::server\n/* crate::server */ /// crate::server\nlet a = \"crate::server \\\" crate::server\";\n\
                  let b = r#\"crate::server \" \"#; let c = '\"'; let d = b'\"';\nlet r = x.for_each(\"crate::server\");";
    assert_eq!(wrong_arrows("types", source), Vec::<String>::new());
    assert_eq!(wrong_arrows("types", &format!("{source}\nuse crate::server;")), ["types must not use server"]);
    assert_eq!(code_only("a /* b\nc */ d"), "a \n d");
    assert_eq!(code_only("r#type + br\"x\""), "r#type + \"\"");
}

#[test]
fn groups_are_opened() {
    let paths = crate_paths("use crate::{resp::{Reply, Decoder as D}, types, storage::hash::{self, table::*}};");
    let names: Vec<_> = paths.iter().map(|(module, name)| (module.as_str(), name.as_deref())).collect();
    assert_eq!(
        names,
        [
            ("resp", Some("Reply")),
            ("resp", Some("Decoder")),
            ("types", None),
            ("storage", Some("hash")),
            ("storage", Some("hash")),
        ]
    );
}

#[test]
fn tests_do_not_count_as_logic() {
    assert_eq!(logic_lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(logic_lines("a\nb\nc"), 3);
}

#[test]
fn module_docs_are_sentences() {
    assert_eq!(missing_module_doc("//! The typed store of a shard.\n"), None);
    for bad in ["use std::fs;\n", "//!\n", "/// The store.\n", ""] {
        assert!(missing_module_doc(bad).is_some(), "{bad:?} should not do");
    }
}

#[test]
fn unwanted_words_are_found() {
    assert_eq!(unwanted_words("let x = 1;\n// a list of things to do\n"), Vec::<String>::new());
    let bad = ["todo", "!()"].concat() + "\n" + &["path = \"/ho", "me/me\""].concat();
    assert_eq!(unwanted_words(&bad).len(), 2);
}
