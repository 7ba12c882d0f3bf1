//! What a client has chosen on its connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clients::Client;
use crate::resp::Protocol;
use crate::types::Db;

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
    /// Close after the replies so far were sent.
    pub closing: bool,
    /// What others see of it.
    pub client: Arc<Client>,
}

impl Session {
    /// A fresh session.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self { db: Db(0), protocol: Protocol::Resp2, reply_mode: ReplyMode::On, authenticated, closing: false, client }
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

    /// Back to the state of a new connection (`RESET`).
    pub fn reset(&mut self, authenticated: bool) {
        self.select(Db(0));
        self.set_protocol(Protocol::Resp2);
        self.set_authenticated(authenticated);
        self.reply_mode = ReplyMode::On;
        self.client.set_name("");
        self.client.no_evict.store(false, Ordering::Relaxed);
        self.client.no_touch.store(false, Ordering::Relaxed);
    }
}
