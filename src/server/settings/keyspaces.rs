//! The `[[keyspace]]` tables of the configuration file.

use std::ops::Range;

use toml_edit::{Item, Table};

use super::suggest;
use super::table::Setting;
use crate::storage::{EngineKind, KeyspaceRule};
use crate::types::{Db, ReadPolicy};

/// Longest name of a keyspace, in bytes.
const NAME_MAX_BYTES: usize = 64;

const KEYS: [&str; 5] = ["name", "database", "prefix", "engine", "read-policy"];

/// What is wrong with a keyspace, and where in the file.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) span: Option<Range<usize>>,
}

/// Reads one table. `databases` is the number of databases.
pub(super) fn parse(table: &Table, databases: i64, known: &[KeyspaceRule]) -> Result<KeyspaceRule, Problem> {
    let problem = |message: String, item: Option<&Item>| {
        let span = item.and_then(Item::span).or_else(|| table.span());
        Problem { message, span }
    };
    for (key, item) in table {
        if !KEYS.contains(&key) {
            let hint = match Setting::named(key) {
                Some(_) => "; settings stand above the first [[keyspace]]".to_owned(),
                None => suggest::hint(key, KEYS.into_iter()),
            };
            return Err(problem(format!("a keyspace has no '{key}'{hint}"), Some(item)));
        }
    }
    let text = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(item) => match item.as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(problem(format!("the keyspace's {key} must be a string"), Some(item))),
        },
    };

    let name = text("name")?.ok_or_else(|| problem("the keyspace has no name".to_owned(), None))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > NAME_MAX_BYTES || !name.bytes().all(plain) {
        let message = format!(
            "the keyspace's name cannot be '{name}': it takes 1 to {NAME_MAX_BYTES} letters, digits, dots, - and _"
        );
        return Err(problem(message, table.get("name")));
    }

    let database = match table.get("database") {
        None => 0,
        Some(item) => item
            .as_integer()
            .filter(|database| (0..databases).contains(database))
            .and_then(|database| u16::try_from(database).ok())
            .ok_or_else(|| {
                let message = format!(
                    "keyspace '{name}': database cannot be {}: it takes a whole number from 0 to {} (see databases)",
                    item.to_string().trim(),
                    databases - 1
                );
                problem(message, Some(item))
            })?,
    };

    let engine = text("engine")?
        .ok_or_else(|| problem(format!("keyspace '{name}' has no engine: it takes one of hash, lsm, btree"), None))?;
    let engine: EngineKind =
        engine.parse().map_err(|error| problem(format!("keyspace '{name}': {error}"), table.get("engine")))?;

    let read_policy = match text("read-policy")? {
        None => None,
        Some(text) => Some(ReadPolicy::from_name(text).ok_or_else(|| {
            let names = ReadPolicy::ALL.map(ReadPolicy::name).join(", ");
            let message = format!("keyspace '{name}': read-policy cannot be '{text}': it takes one of {names}");
            problem(message, table.get("read-policy"))
        })?),
    };

    let prefix = text("prefix")?.unwrap_or_default();
    let rule = KeyspaceRule {
        name: name.to_owned(),
        db: Db(database),
        prefix: prefix.as_bytes().to_vec(),
        engine,
        read_policy,
    };
    if known.iter().any(|other| other.name == rule.name) {
        return Err(problem(format!("there are two keyspaces named '{name}'"), table.get("name")));
    }
    if let Some(other) = known.iter().find(|other| other.db == rule.db && other.prefix == rule.prefix) {
        let message = format!(
            "keyspaces '{}' and '{name}' both take the keys with prefix '{prefix}' in database {database}",
            other.name
        );
        return Err(problem(message, table.get("prefix")));
    }
    Ok(rule)
}
