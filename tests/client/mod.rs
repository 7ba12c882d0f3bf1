//! A client without a server: commands run over a store as a shard would run them.

use std::cell::Cell;
use std::sync::Arc;

use kvorum::command::table::{arity_error, unknown_command, unknown_subcommand};
use kvorum::command::{
    CommandError, Handler, ReadContext, ServerCommand, Shared, WriteContext, docs, find, find_subcommand,
};
use kvorum::resp::{Protocol, Reply};
use kvorum::storage::store::Store;
use kvorum::storage::{EncodingSettings, EngineKind, KeyspaceRule, KeyspaceRules};
use kvorum::types::rng::Rng;
use kvorum::types::{Db, UnixMs};

/// Where the clock stands at first: some day in 2023.
const START: UnixMs = UnixMs(1_700_000_000_000);

/// One client with a store of its own.
pub(crate) struct Client {
    store: Store,
    shared: Shared,
    db: Db,
    pub(crate) now: UnixMs,
    pub(crate) protocol: Protocol,
    entry: u64,
    _dir: tempfile::TempDir,
}

impl Client {
    pub(crate) fn new(default: EngineKind, keyspaces: Vec<KeyspaceRule>) -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let rules = Arc::new(KeyspaceRules::new(default, keyspaces));
        let store =
            Store::open(dir.path(), rules, &EncodingSettings::default(), &Default::default()).expect("the store opens");
        let shared = Shared { databases: 16, bulk_max_bytes: 512 << 20, one_shard: true };
        Self { store, shared, db: Db(0), now: START, protocol: Protocol::Resp2, entry: 0, _dir: dir }
    }

    pub(crate) fn request(&mut self, args: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.run(args, &mut bytes) {
            bytes.clear();
            Reply::new(&mut bytes, self.protocol).error(&error.to_string());
        }
        bytes
    }

    fn run(&mut self, args: &[&[u8]], bytes: &mut Vec<u8>) -> Result<(), CommandError> {
        let spec = find(args[0]).ok_or_else(|| unknown_command(args))?;
        if !spec.subcommands.is_empty() && args.len() > 1 {
            let subcommand = find_subcommand(spec, args[1]).ok_or_else(|| unknown_subcommand(spec, args[1]))?;
            if !subcommand.arity.accepts(args.len()) {
                return Err(arity_error(&format!("{}|{}", spec.name, subcommand.name).to_lowercase()));
            }
        } else if !spec.arity.accepts(args.len()) {
            return Err(arity_error(&spec.name.to_lowercase()));
        }
        let mut reply = Reply::new(bytes, self.protocol);
        match spec.handler {
            Handler::Read(handler) => {
                let context = ReadContext {
                    store: &self.store,
                    db: self.db,
                    now: self.now,
                    shared: &self.shared,
                    rng: Cell::new(Rng::new(self.entry)),
                    hits: Cell::new(0),
                    misses: Cell::new(0),
                    touch: true,
                };
                handler(&context, args, &mut reply)
            }
            Handler::Write(handler) => {
                self.entry += 1;
                let mut context = WriteContext {
                    store: &mut self.store,
                    db: self.db,
                    now: self.now,
                    shared: &self.shared,
                    first_argument: None,
                    rng: &mut Rng::new(self.entry),
                    only_changed: None,
                    dirty: 0,
                    hits: 0,
                    misses: 0,
                };
                let result = handler(&mut context, args, &mut reply);
                assert!(result.is_ok() || context.dirty == 0, "a command that fails changes nothing");
                self.store.commit(self.entry).expect("the engines commit");
                result
            }
            Handler::Server(ServerCommand::Command) => docs::command(args, &mut reply),
            Handler::Server(ServerCommand::Select) => {
                self.db = Db(String::from_utf8_lossy(args[1]).parse().expect("the script selects a database"));
                reply.ok();
                Ok(())
            }
            Handler::Server(ServerCommand::Dbsize) => {
                reply.integer(i64::try_from(self.store.len(self.db)).expect("scripts are short"));
                Ok(())
            }
            Handler::Server(_) => panic!("{} needs a server", spec.name),
        }
    }
}
