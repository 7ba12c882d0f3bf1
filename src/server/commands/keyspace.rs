//! `KEYSPACE`: which engine keeps which keys.
//!
//! Beside the configured keyspaces, each database has one for all keys that no rule takes. It is
//! called `default:<database>`, which no configured name can be.

use std::sync::Arc;

use super::{Call, DONE, Executed, late_error};
use crate::command::CommandError;
use crate::resp::Reply;
use crate::server::Server;
use crate::server::dispatch::lossy;
use crate::server::settings::Setting;
use crate::shard::{Shard, clock};
use crate::storage::value::EngineUsage;
use crate::storage::{Address, EngineKind, KeyspaceRules, ScanCursor, StorageResult};
use crate::types::Db;

/// Keys that are counted under one hold of the store's lock.
const COUNT_STEP_KEYS: usize = 1000;

/// A keyspace, configured or a database's default.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Keyspace {
    name: String,
    db: Db,
    prefix: Vec<u8>,
    engine: EngineKind,
    configured: bool,
}

/// All keyspaces: the configured ones by name, then the defaults of databases that no rule takes whole.
fn keyspaces(rules: &KeyspaceRules, databases: u16) -> Vec<Keyspace> {
    let mut all: Vec<Keyspace> = rules
        .rules()
        .iter()
        .map(|rule| Keyspace {
            name: rule.name.clone(),
            db: rule.db,
            prefix: rule.prefix.clone(),
            engine: rule.engine,
            configured: true,
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    for db in (0..databases).map(Db) {
        if !rules.rules().iter().any(|rule| rule.db == db && rule.prefix.is_empty()) {
            all.push(Keyspace {
                name: format!("default:{}", db.0),
                db,
                prefix: Vec::new(),
                engine: rules.default_engine(),
                configured: false,
            });
        }
    }
    all
}

/// `KEYSPACE subcommand …`
pub(super) fn keyspace(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "HELP" => call.help("KEYSPACE"),
        "INFO" => info(call),
        "LIST" => list(call),
        _ => Err(call.wrong_subcommand()),
    }
}

fn all(server: &Server) -> Vec<Keyspace> {
    keyspaces(&server.rules, server.shared().databases)
}

fn list(call: &mut Call<'_>) -> Executed {
    let all = all(call.server);
    let mut reply = call.reply();
    reply.array(all.len());
    for keyspace in &all {
        reply.map(IDENTITY_FIELDS);
        identify(&mut reply, keyspace);
    }
    DONE
}

/// Number of fields that [`identify`] writes.
const IDENTITY_FIELDS: usize = 4;

fn identify(reply: &mut Reply<'_>, keyspace: &Keyspace) {
    reply.bulk(b"name");
    reply.bulk(keyspace.name.as_bytes());
    reply.bulk(b"database");
    reply.integer(keyspace.db.0.into());
    reply.bulk(b"prefix");
    reply.bulk(&keyspace.prefix);
    reply.bulk(b"engine");
    reply.bulk(keyspace.engine.name().as_bytes());
}

/// What is counted.
#[derive(Default)]
struct Figures {
    keys: u64,
    expires: u64,
    usage: EngineUsage,
}

fn info(call: &mut Call<'_>) -> Executed {
    let name = lossy(call.args[2]);
    let Some(keyspace) = all(call.server).into_iter().find(|keyspace| keyspace.name == name) else {
        return Err(CommandError::Text(format!("ERR no such keyspace '{name}'; KEYSPACE LIST shows them")));
    };
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        let counted = {
            let (server, keyspace) = (Arc::clone(&server), keyspace.clone());
            tokio::task::spawn_blocking(move || count(&server, &keyspace)).await
        };
        let figures = match counted {
            Ok(Ok(figures)) => figures,
            Ok(Err(error)) => return late_error(&server, protocol, &error.to_string()),
            Err(error) => return late_error(&server, protocol, &format!("ERR counting the keys failed: {error}")),
        };
        let settings = settings_of(keyspace.engine);
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, protocol);
        reply.map(IDENTITY_FIELDS + 5);
        identify(&mut reply, &keyspace);
        for (field, value) in [
            ("keys", figures.keys),
            ("expires", figures.expires),
            ("engine-memory-bytes", figures.usage.memory_bytes),
            ("engine-disk-bytes", figures.usage.disk_bytes),
        ] {
            reply.bulk(field.as_bytes());
            reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
        }
        reply.bulk(b"settings");
        reply.map(settings.len());
        for &setting in settings {
            reply.bulk(setting.spec().name.as_bytes());
            reply.bulk(server.settings.get(setting).as_bytes());
        }
        out
    })))
}

/// Settings that the engine obeys.
fn settings_of(engine: EngineKind) -> &'static [Setting] {
    match engine {
        EngineKind::Hash => &[Setting::HashMaxListpackEntries, Setting::HashMaxListpackValue],
        EngineKind::Lsm => &[Setting::LsmBlockCacheBytes, Setting::LsmWriteBufferBytes],
        EngineKind::BTree => &[Setting::BtreeMapBytes],
    }
}

/// Counts the keys of all shards.
fn count(server: &Server, keyspace: &Keyspace) -> Result<Figures, CommandError> {
    let mut all = Figures::default();
    for shard in server.router().shards() {
        let figures = count_in(shard, keyspace)?;
        all.keys += figures.keys;
        all.expires += figures.expires;
        all.usage.memory_bytes += figures.usage.memory_bytes;
        all.usage.disk_bytes += figures.usage.disk_bytes;
    }
    Ok(all)
}

/// Counts the keys of a shard: at once when the engine keeps no other keys of the database, else by a walk that
/// lets go of the store's lock between its steps.
fn count_in(shard: &Shard, keyspace: &Keyspace) -> Result<Figures, CommandError> {
    let rules = shard.rules();
    let db = keyspace.db;
    let alone = keyspaces(rules, db.0.saturating_add(1))
        .iter()
        .filter(|other| other.db == db && other.engine == keyspace.engine)
        .count()
        == 1;
    let mut figures = Figures::default();
    let mut cursor = ScanCursor::START;
    loop {
        let store = shard.replica();
        let Some(engine) = store.engine_of_kind(keyspace.engine) else { return Ok(figures) };
        figures.usage = engine.usage();
        if alone {
            (figures.keys, figures.expires) = (engine.len(db), engine.expires(db));
            return Ok(figures);
        }
        let now = shard.read_time(clock::now());
        let mut step: StorageResult<()> = Ok(());
        cursor = engine.scan(db, cursor, COUNT_STEP_KEYS, now, &mut |key, _kind| {
            let owner = rules.rule_for(db, key).map(|rule| rule.name.as_str());
            if owner == keyspace.configured.then_some(keyspace.name.as_str()) {
                figures.keys += 1;
                match engine.meta(Address::new(db, key), now) {
                    Ok(meta) => figures.expires += u64::from(meta.is_some_and(|meta| meta.expires_at.is_some())),
                    Err(error) => step = Err(error),
                }
            }
            step.is_ok()
        })?;
        step?;
        if cursor == ScanCursor::START {
            return Ok(figures);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::KeyspaceRule;

    #[test]
    fn a_database_taken_whole_has_no_default() {
        let rule = |name: &str, db: u16, prefix: &str, engine| KeyspaceRule {
            name: name.to_owned(),
            db: Db(db),
            prefix: prefix.as_bytes().to_vec(),
            engine,
            read_policy: None,
        };
        let rules = KeyspaceRules::new(
            EngineKind::Hash,
            vec![rule("whole", 1, "", EngineKind::Lsm), rule("logs", 0, "log:", EngineKind::BTree)],
        );
        let names: Vec<String> = keyspaces(&rules, 3).into_iter().map(|keyspace| keyspace.name).collect();
        assert_eq!(names, ["logs", "whole", "default:0", "default:2"]);
    }
}
