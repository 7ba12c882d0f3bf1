//! `DEBUG POPULATE`: many keys, through the log like any client's.

use std::sync::Arc;

use crate::command::CommandError;
use crate::command::error::NOT_INTEGER;
use crate::command::{CommandSpec, find};
use crate::resp::{Protocol, ReplyBuffer};
use crate::server::Server;
use crate::server::commands::{Call, Executed, late_error, late_ok};
use crate::server::router::Router;
use crate::server::runs::{How, Runs};
use crate::shard::{Mailbox, Manner};
use crate::types::number::parse_i64;
use crate::types::{Db, ReadPolicy};

/// Commands of one run.
const RUN_COMMANDS_MAX: usize = 1000;
/// Bytes at which a run is submitted.
const RUN_TARGET_BYTES: usize = 256 * 1024;

/// `DEBUG POPULATE count [prefix] [size]`
pub(super) fn populate(call: &mut Call<'_>) -> Executed {
    let count = not_negative(call.args[2])?;
    let prefix = call.args.get(3).map_or(b"key".as_slice(), |prefix| *prefix).to_vec();
    let size = call.args.get(4).map_or(Ok(0), |size| not_negative(size))?;
    if size > call.server.shared().bulk_max_bytes {
        return Err(CommandError::Static("ERR string exceeds maximum allowed size (proto-max-bulk-len)"));
    }
    let size = usize::try_from(size).map_err(|_| NOT_INTEGER)?;
    let spec = find(b"SETNX").ok_or(CommandError::Static("ERR DEBUG POPULATE needs SETNX"))?;
    let (server, db, protocol) = (Arc::clone(call.server), call.session.db, call.session.protocol);
    Ok(Some(Box::pin(async move {
        let mut writer = Writer {
            server: &server,
            router: server.router(),
            spec,
            db,
            runs: Runs::default(),
            mailbox: Mailbox::new(),
        };
        let mut value = Vec::new();
        for number in 0..count {
            let key = [prefix.as_slice(), b":", number.to_string().as_bytes()].concat();
            value.clear();
            value.extend_from_slice(format!("value:{number}").as_bytes());
            if size > 0 {
                value.resize(size, 0);
            }
            if let Err(text) = writer.put(&key, &value).await {
                return late_error(&server, protocol, &text);
            }
        }
        match writer.submit().await {
            Ok(()) => late_ok(),
            Err(text) => late_error(&server, protocol, &text),
        }
    })))
}

fn not_negative(arg: &[u8]) -> Result<i64, CommandError> {
    match parse_i64(arg) {
        None => Err(NOT_INTEGER),
        Some(..0) => Err(CommandError::Static("ERR value is out of range, must be positive")),
        Some(value) => Ok(value),
    }
}

struct Writer<'s> {
    server: &'s Server,
    router: Arc<Router>,
    spec: &'static CommandSpec,
    db: Db,
    runs: Runs,
    mailbox: Arc<Mailbox>,
}

impl Writer<'_> {
    async fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.runs.push(self.router.position_of_key(key), self.spec, self.db, &[b"SETNX", key, value]);
        if self.runs.len() >= RUN_COMMANDS_MAX || self.runs.bytes() >= RUN_TARGET_BYTES {
            self.submit().await?;
        }
        Ok(())
    }

    /// Submits what was gathered and waits for it. The error is a reply's text.
    async fn submit(&mut self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Ok(());
        }
        for shard in self.router.shards() {
            if let Some(refusal) = self.server.write_refusal(self.spec, Some(shard)) {
                return Err(refusal.to_string());
            }
        }
        let mut replies = ReplyBuffer::default();
        let manner = Manner { protocol: Protocol::Resp2, touch: true, policy: ReadPolicy::Lease, count: true };
        let how = How {
            router: &self.router,
            cluster: self.server.cluster.as_deref(),
            mailbox: &self.mailbox,
            manner,
            counters: &self.server.counters,
        };
        self.runs.execute(&how, &mut replies).await;
        let replies = replies.to_vec();
        // Replies are integers; a line that is none is the first error.
        match replies.split(|&byte| byte == b'\n').find(|line| line.starts_with(b"-")) {
            Some(error) => Err(String::from_utf8_lossy(&error[1..]).trim_end().to_owned()),
            None => Ok(()),
        }
    }
}
