//! The connected clients, as CLIENT LIST and CLIENT KILL see them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::blocking::Waiter;
use crate::command::CommandSpec;
use crate::shard::Mailbox;

/// What others may see and change of a connection.
pub struct Client {
    /// Counts the connections since start.
    pub id: u64,
    /// The client's end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// The socket's file descriptor.
    pub fd: i32,
    /// When it connected, in ms since the Unix epoch.
    pub created_ms: i64,
    /// When it last sent something, in ms since the Unix epoch.
    pub active_ms: AtomicI64,
    /// Its selected database.
    pub db: AtomicU16,
    /// 2 or 3.
    pub protocol: AtomicU8,
    /// Whether it has authenticated or need not.
    pub authenticated: AtomicBool,
    /// `CLIENT NO-EVICT`.
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: AtomicBool,
    /// Position of its last command in the table, plus one; 0 before the first.
    pub last_command: AtomicUsize,
    /// Its last subcommand, in lower case, if the last command has any.
    pub last_subcommand: Mutex<Option<&'static str>>,
    /// Bytes of requests that wait to be parsed or executed.
    pub query_bytes: AtomicUsize,
    /// Free capacity of the request buffer.
    pub query_free_bytes: AtomicUsize,
    /// Arguments of the request that is incomplete.
    pub argument_bytes: AtomicUsize,
    /// Bytes of replies that wait to be sent.
    pub output_bytes: AtomicUsize,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Commands executed.
    pub commands: AtomicU64,
    /// Commands queued since MULTI, or -1 outside of a transaction.
    pub queued: AtomicI64,
    /// Bytes of those.
    pub queued_bytes: AtomicUsize,
    /// Keys it watches.
    pub watched_keys: AtomicUsize,
    /// It waits for the end of a pause.
    pub blocked: AtomicBool,
    /// It waits for a key to have something.
    pub waits: AtomicBool,
    /// How to end that.
    pub waiter: Mutex<Option<Arc<Waiter>>>,
    /// It is shown the commands of all (`MONITOR`).
    pub monitor: AtomicBool,
    /// Lines for a monitor that its connection has not taken yet.
    pub feed: Mutex<Vec<u8>>,
    /// It is to be closed.
    killed: AtomicBool,
    /// Its name and its library's.
    pub labels: Mutex<Labels>,
    /// How its task is woken.
    pub mailbox: Arc<Mailbox>,
}

/// What a client says of itself.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// `CLIENT SETNAME`
    pub name: String,
    /// `CLIENT SETINFO LIB-NAME`
    pub library: String,
    /// `CLIENT SETINFO LIB-VER`
    pub library_version: String,
}

impl Client {
    /// A fresh connection.
    pub fn new(id: u64, peer: SocketAddr, local: SocketAddr, fd: i32, now_ms: i64, authenticated: bool) -> Arc<Self> {
        let mailbox = Mailbox::new();
        mailbox.set_origin(crate::shard::slowlog::Origin { address: peer.to_string(), name: String::new() });
        Arc::new(Self {
            id,
            peer,
            local,
            fd,
            created_ms: now_ms,
            active_ms: AtomicI64::new(now_ms),
            db: AtomicU16::new(0),
            protocol: AtomicU8::new(2),
            authenticated: AtomicBool::new(authenticated),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            last_command: AtomicUsize::new(0),
            last_subcommand: Mutex::new(None),
            query_bytes: AtomicUsize::new(0),
            query_free_bytes: AtomicUsize::new(0),
            argument_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            queued: AtomicI64::new(-1),
            queued_bytes: AtomicUsize::new(0),
            watched_keys: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            waiter: Mutex::default(),
            monitor: AtomicBool::new(false),
            feed: Mutex::default(),
            killed: AtomicBool::new(false),
            labels: Mutex::default(),
            mailbox,
        })
    }

    /// Orders the connection to close.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::Release);
        self.mailbox.poke();
    }

    /// Whether it was ordered to close.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Changes the client's name.
    pub fn set_name(&self, name: &str) {
        self.labels.lock().name = name.to_owned();
        let origin = crate::shard::slowlog::Origin { address: self.peer.to_string(), name: name.to_owned() };
        self.mailbox.set_origin(origin);
    }

    /// Notes the command it runs.
    #[inline]
    pub fn note_command(&self, spec: &'static CommandSpec) {
        self.last_command.store(crate::command::table::index_of(spec) + 1, Ordering::Relaxed);
        self.commands.store(self.commands.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// All connected clients, in the order in which they came.
#[derive(Default)]
pub struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
}

impl Clients {
    /// The id of the next connection.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Adds a connection, if there are fewer than `max`; answers whether it did.
    pub fn insert(&self, client: Arc<Client>, max: usize) -> bool {
        let mut by_id = self.by_id.lock();
        if by_id.len() >= max {
            return false;
        }
        by_id.insert(client.id, client);
        true
    }

    /// Removes a connection.
    pub fn remove(&self, id: u64) {
        self.by_id.lock().remove(&id);
    }

    /// Number of connections.
    pub fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A connection.
    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.by_id.lock().get(&id).cloned()
    }

    /// All connections, oldest first.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.lock().values().cloned().collect()
    }
}
