//! What a client has chosen on its connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clients::Client;
use super::transaction::{Executing, Transaction, Watches};
use crate::limits::{COMMANDS_PER_TURN_MAX, OUTPUT_TURN_BYTES, RUN_READS_AT_FIRST};
use crate::resp::Protocol;
use crate::shard::Manner;
use crate::types::{Db, ReadPolicy};

/// What happens to replies (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// They are sent.
    On,
    /// None is sent.
    Off,
    /// The next command's is not sent.
    SkipNext,
}

/// The state of one connection that commands can change.
pub struct Session {
    /// The selected database.
    pub db: Db,
    /// RESP version of replies.
    pub protocol: Protocol,
    /// What happens to replies.
    pub reply_mode: ReplyMode,
    /// Whether the client may run commands.
    pub authenticated: bool,
    /// Most commands of one run whose replies may be long: they are all made before any is sent. Follows the
    /// size of the replies seen.
    pub run_reads_max: usize,
    /// How reads make sure that they miss nothing, if the client has chosen.
    pub read_policy: Option<ReadPolicy>,
    /// The next command may be for a slot that is on its way here (`ASKING`).
    pub asking: bool,
    /// Close after the replies so far were sent.
    pub closing: bool,
    /// What was queued since MULTI, if a transaction is open.
    pub transaction: Option<Box<Transaction>>,
    /// The transaction that is being executed, where that takes several steps.
    pub executing: Option<Box<Executing>>,
    pub(super) watches: Watches,
    /// What others see of it.
    pub client: Arc<Client>,
}

impl Session {
    /// A fresh session.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self {
            db: Db(0),
            protocol: Protocol::Resp2,
            reply_mode: ReplyMode::On,
            authenticated,
            run_reads_max: RUN_READS_AT_FIRST,
            read_policy: None,
            asking: false,
            closing: false,
            transaction: None,
            executing: None,
            watches: Watches::default(),
            client,
        }
    }

    /// Learns from the replies of a run how many reads the next one may have.
    pub fn note_run(&mut self, reads: usize, reply_bytes: usize) {
        if reply_bytes > OUTPUT_TURN_BYTES {
            self.run_reads_max = (reads * OUTPUT_TURN_BYTES / reply_bytes).max(1);
        } else if reads >= self.run_reads_max {
            self.run_reads_max = (self.run_reads_max * 2).min(COMMANDS_PER_TURN_MAX);
        }
    }

    /// Selects a database.
    pub fn select(&mut self, db: Db) {
        self.db = db;
        self.client.db.store(db.0, Ordering::Relaxed);
    }

    /// Chooses the RESP version.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        let version = if protocol == Protocol::Resp3 { 3 } else { 2 };
        self.client.protocol.store(version, Ordering::Relaxed);
    }

    /// Notes whether the client may run commands.
    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
        self.client.authenticated.store(authenticated, Ordering::Relaxed);
    }

    /// Whether look-ups leave a trace (`CLIENT NO-TOUCH`).
    pub fn touch(&self) -> bool {
        !self.client.no_touch.load(Ordering::Relaxed)
    }

    /// How replies to this client are made. What reads need depends on the command.
    pub fn manner(&self) -> Manner {
        Manner { protocol: self.protocol, touch: self.touch(), policy: ReadPolicy::Lease, count: true }
    }

    /// Back to the state of a new connection (`RESET`).
    pub fn reset(&mut self, authenticated: bool) {
        self.select(Db(0));
        self.set_protocol(Protocol::Resp2);
        self.set_authenticated(authenticated);
        self.reply_mode = ReplyMode::On;
        self.read_policy = None;
        self.asking = false;
        self.take_transaction();
        self.client.set_name("");
        self.client.no_evict.store(false, Ordering::Relaxed);
        self.client.no_touch.store(false, Ordering::Relaxed);
    }
}
