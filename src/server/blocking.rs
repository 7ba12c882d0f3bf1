//! Requests that wait for a key to have something: BLPOP and its like.
//!
//! The client waits at the leader of the key's shard (`shard::parking`). Where another node leads, the request is *lent* to it:
//! a call on the bus that the leader answers when the client is served, when its time is over, or after
//! [`LOAN_LASTS`], with the client's place in the order. It is then asked again, and the client comes back to its
//! place. So a node that goes away without a word leaves its clients at the leader for a few seconds only, in which an
//! element may be given to a client that is gone. A client that goes away is called off at once.
//!
//! A leader that steps down says so, and its clients wait on at the next one. If the connection to it is lost instead, nobody
//! knows whether the client was being served: it is answered as Redis answers when a master becomes a replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Server;
use super::clients::Client;
use super::cluster::{ClusterNode, forward, lend};
use super::dispatch::{Batch, CANNOT_SERVE_TEXT, Outcome, Timed};
use super::router::{Router, Target};
use super::session::Session;
use crate::command::{CommandSpec, Handler, Waiting};
use crate::limits::{FORWARD_PATIENCE, FORWARD_RETRY};
use crate::resp::Reply;
use crate::shard::{Blocked, CallOff, Manner, Run, Unserved, clock};

/// How long another node's client waits here before its node has to ask again.
pub const LOAN_LASTS: Duration = Duration::from_secs(5);

/// A leader at which a client waited for so long did lead.
const WAITED_WELL: Duration = Duration::from_secs(1);
/// How long it takes at least until a leader is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

const CALLED_OFF: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
/// The answer when the leader was lost while a client waited there.
const LEADER_LOST: &str =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// How CLIENT UNBLOCK ends a wait.
#[derive(Default)]
pub struct Waiter {
    call_off: CallOff,
    /// The reply is an error.
    with_error: AtomicBool,
}

impl Waiter {
    /// Ends the wait.
    pub fn end(&self, with_error: bool) {
        self.with_error.store(with_error, Ordering::Relaxed);
        self.call_off.call_off();
    }
}

/// While it lives the client is shown as blocked.
struct Shown(Arc<Client>);

impl Shown {
    fn new(client: &Arc<Client>, waiter: &Arc<Waiter>) -> Self {
        *client.waiter.lock() = Some(Arc::clone(waiter));
        client.blocked.store(true, Ordering::Relaxed);
        client.waits.store(true, Ordering::Relaxed);
        Self(Arc::clone(client))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        *self.0.waiter.lock() = None;
        self.0.blocked.store(false, Ordering::Relaxed);
        self.0.waits.store(false, Ordering::Relaxed);
    }
}

impl Batch<'_> {
    /// Executes a request that waits if there is nothing to answer.
    pub(super) fn wait(
        &mut self,
        session: &Session,
        position: usize,
        (spec, waiting): (&'static CommandSpec, Waiting),
        args: &[&[u8]],
    ) -> Outcome {
        self.begin(session, spec, args);
        self.release();
        let mut run = Run::default();
        match spec.handler {
            Handler::Read(_) => run.push_read(spec, session.db, args),
            _ => run.push_write(spec, session.db, args),
        }
        let (server, router) = (Arc::clone(self.server), Arc::clone(self.router));
        let (client, manner) = (Arc::clone(&session.client), session.manner());
        let deadline =
            waiting.timeout_ms.and_then(|millis| clock::instant().checked_add(Duration::from_millis(millis)));
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        Outcome::Wait(Box::pin(async move {
            let waiter = Arc::new(Waiter::default());
            let shown = Shown::new(&client, &waiter);
            let request = Request { server: &server, router: &router, position, manner, deadline };
            let end = request.wait(&mut run, &waiter.call_off).await;
            drop(shown);
            let mut out = Vec::new();
            let mut reply = Reply::new(&mut out, manner.protocol);
            match end {
                End::Served(bytes) => return bytes,
                End::TimedOut => reply.null_array(),
                End::CalledOff if waiter.with_error.load(Ordering::Relaxed) => reply.error(CALLED_OFF),
                End::CalledOff => reply.null_array(),
                End::Failed(text) => reply.error(&text),
            }
            // The shard counts those that it serves.
            let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
            let started = clock::instant();
            Timed { spec, started, server: &server, client: &client }.over(&args, out.starts_with(b"-"));
            if out.starts_with(b"-") {
                server.counters.errors.count_reply(&out);
            }
            out
        }))
    }
}

/// How a wait ends.
enum End {
    Served(Vec<u8>),
    TimedOut,
    CalledOff,
    Failed(String),
}

struct Request<'a> {
    server: &'a Arc<Server>,
    router: &'a Arc<Router>,
    position: usize,
    manner: Manner,
    deadline: Option<Instant>,
}

impl Request<'_> {
    /// Waits wherever the shard is led.
    async fn wait(&self, run: &mut Run, call_off: &CallOff) -> End {
        let target = self.router.target(self.position);
        let mut order = None;
        // Since when nobody leads.
        let mut lost_since: Option<Instant> = None;
        loop {
            let started = clock::instant();
            let local = target.local().filter(|shard| shard.is_leader());
            let outcome = match (local, self.server.cluster.as_ref()) {
                (Some(shard), _) => shard.execute_blocking(run, self.manner, self.deadline, &mut order, call_off).await,
                (None, Some(node)) => match self.borrow(node, target, run, &mut order, call_off).await {
                    Ok(outcome) => outcome,
                    Err(end) => return end,
                },
                (None, None) => return End::Failed(CANNOT_SERVE_TEXT.to_owned()),
            };
            let led_before = lost_since.is_none();
            match outcome {
                Blocked::Served(replies) => return End::Served(replies.to_vec()),
                Blocked::Refused(text) => return End::Failed(text.to_owned()),
                Blocked::Unserved(Unserved::TimedOut) => return End::TimedOut,
                Blocked::Unserved(Unserved::Cancelled) => return End::CalledOff,
                Blocked::Unserved(Unserved::NotLeader(leader)) => {
                    if leader.is_some() && target.local().is_none() {
                        target.note_leader(leader);
                    }
                    if self.server.limits.redirects.load(Ordering::Relaxed) && led_before {
                        return End::Failed(LEADER_LOST.to_owned());
                    }
                }
            }
            if started.elapsed() > WAITED_WELL {
                lost_since = None;
            }
            let since = *lost_since.get_or_insert_with(clock::instant);
            if since.elapsed() > FORWARD_PATIENCE {
                return End::Failed(forward::NO_LEADER.to_owned());
            }
            if call_off.is_off() {
                return End::CalledOff;
            }
            tokio::time::sleep(FORWARD_RETRY).await;
        }
    }

    /// Lets another node's replica do it, as often as it takes.
    async fn borrow(
        &self,
        node: &Arc<ClusterNode>,
        target: &Target,
        run: &mut Run,
        order: &mut Option<u64>,
        call_off: &CallOff,
    ) -> Result<Blocked, End> {
        let Some(leader) = target.leader(node.number, None) else {
            return Ok(Blocked::Unserved(Unserved::NotLeader(None)));
        };
        loop {
            let asked = clock::instant();
            let left = match self.deadline {
                None => None,
                Some(at) => match at.checked_duration_since(clock::instant()) {
                    None => return Err(End::TimedOut),
                    left => left,
                },
            };
            match lend::ask(node, target.id(), leader, (&mut *run, self.manner), left, *order, call_off).await {
                lend::Answer::Over(outcome) => return Ok(outcome),
                lend::Answer::Failed(text) => return Err(End::Failed(text)),
                lend::Answer::StillWaiting(place) => {
                    *order = (place != 0).then_some(place);
                    // It has no room for more.
                    tokio::time::sleep(ASK_AGAIN.saturating_sub(asked.elapsed())).await;
                }
                lend::Answer::Lost => return Err(End::Failed(LEADER_LOST.to_owned())),
            }
        }
    }
}
