//! What a session keeps of a transaction: the commands it queued, the keys it watches, and how far EXEC has come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use super::Server;
use super::cluster::ask;
use super::session::{ReplyMode, Session};
use crate::command::CommandSpec;
use crate::shard::{Run, WatchId};
use crate::types::{Db, ShardId, Slot};

/// A command that waits for EXEC.
pub(super) struct Queued {
    pub(super) spec: &'static CommandSpec,
    pub(super) args: Vec<Vec<u8>>,
}

impl Queued {
    pub(super) fn borrowed(&self) -> Vec<&[u8]> {
        self.args.iter().map(Vec::as_slice).collect()
    }
}

/// What was queued since MULTI.
#[derive(Default)]
pub struct Transaction {
    pub(super) commands: Vec<Queued>,
    pub(super) bytes: usize,
    /// A command was refused: EXEC will be.
    pub(super) aborted: bool,
}

/// The commands of a transaction that shards execute, which is done at once.
pub(super) enum Block {
    /// There are none.
    None,
    /// They are to be executed on the shard at a position.
    Ready(usize, Box<Run>),
    /// They are being executed; their reply will be here.
    UnderWay(Arc<Mutex<Option<Vec<u8>>>>),
    /// Their reply: an array, of which so many bytes were taken.
    Done(Vec<u8>, usize),
}

/// A transaction that is being executed.
pub struct Executing {
    pub(super) commands: VecDeque<Queued>,
    pub(super) total: usize,
    pub(super) block: Block,
    /// The block goes before all other commands: it depends on what is watched.
    pub(super) block_first: bool,
    pub(super) header_written: bool,
    /// No reply is to be sent (`CLIENT REPLY`).
    pub(super) silent: bool,
}

/// Keys of one shard that a session watches.
#[derive(Clone, Copy)]
pub(super) struct OfShard {
    pub(super) shard: ShardId,
    pub(super) slot: Slot,
    pub(super) watch: WatchId,
}

/// What a session watches.
#[derive(Default)]
pub(super) struct WatchList {
    pub(super) shards: Vec<OfShard>,
    pub(super) keys: usize,
    /// Something that was watched is lost: EXEC answers nil.
    pub(super) lost: bool,
}

/// What a session watches, also for the commands of it that are under way.
pub(super) type Watches = Arc<Mutex<WatchList>>;

impl WatchList {
    /// Whether nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.shards.is_empty() && !self.lost
    }
}

impl Session {
    /// Begins a transaction.
    pub(super) fn begin_transaction(&mut self) {
        self.transaction = Some(Box::default());
        self.note_transaction();
    }

    /// Ends a transaction; answers what was queued.
    pub(super) fn take_transaction(&mut self) -> Option<Box<Transaction>> {
        let transaction = self.transaction.take();
        self.note_transaction();
        transaction
    }

    /// A command of a transaction was refused.
    pub(super) fn abort_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.aborted = true;
        }
    }

    /// Shows others how many commands are queued.
    pub(super) fn note_transaction(&self) {
        let queued = self.transaction.as_ref().map_or(-1, |transaction| transaction.commands.len() as i64);
        self.client.queued.store(queued, Relaxed);
        self.client.queued_bytes.store(self.transaction.as_ref().map_or(0, |transaction| transaction.bytes), Relaxed);
    }

    /// Forgets all that is watched, here and at the leaders of the shards.
    pub(super) fn unwatch(&self, server: &Arc<Server>) {
        let WatchList { shards, .. } = std::mem::take(&mut *self.watches.lock());
        self.client.watched_keys.store(0, Relaxed);
        if shards.is_empty() {
            return;
        }
        let router = server.router();
        for OfShard { shard, watch, .. } in shards {
            let Some(position) = router.targets().iter().position(|target| target.id() == shard) else { continue };
            let target = router.target(position);
            if let Some(shard) = target.local() {
                shard.unwatch(watch);
            }
            if target.serving().is_none() {
                let (server, router) = (Arc::clone(server), Arc::clone(&router));
                let question = ask::Question::Unwatch { shard: shard.0, watch: (watch.origin, watch.number) };
                // If it is lost, the leader forgets the watch in time.
                tokio::spawn(async move {
                    let _ = server.ask_leader(router.target(position), &question).await;
                });
            }
        }
    }

    /// Ends EXEC.
    pub(super) fn finish_executing(&mut self) {
        self.executing = None;
        if self.reply_mode == ReplyMode::SkipNext {
            self.reply_mode = ReplyMode::On;
        }
    }
}

/// The database that a SELECT among the commands leads to.
pub(super) fn selected(args: &[Vec<u8>], databases: u16) -> Option<Db> {
    let number = args.get(1).and_then(|arg| crate::types::number::parse_i64(arg))?;
    super::dispatch::database(number, databases)
}
