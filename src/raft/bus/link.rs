//! The dialling side: one connection to a peer, made when something is to be sent.
//!
//! A link is idle until the first call, then dials. When the connection breaks, everything that is
//! unanswered fails, and calls fail at once until it is time to dial again; the first call after that
//! dials. A connection on which an answer is due but nothing arrives, not even the answer to a ping, is
//! given up: TCP alone takes minutes to notice that the other side is gone.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::frame::{Body, HELLO_BYTES, Header, Hello, Kind, OutFrame};
use super::outbox::{Outbox, Urgency, write_frames};
use super::socket::Socket;
use super::stream::{BusStream, FrameReader};
use super::{BusError, Class, Shared, Target, Trust, trust};
use crate::limits::BUS_FRAME_MAX_BYTES;
use crate::types::NodeId;

/// How long connecting and greeting may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Time after a failure before the peer is dialled again; doubled with each failure in a row.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How often a link looks whether a peer that was asked something is alive.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// Silence after a request, answered in time or not, after which the connection is given up. Half of it after which
/// the peer is asked for a sign of life.
const SILENCE_MAX: Duration = Duration::from_millis(1000);
/// The same while a write waits for the peer to take bytes.
const STALLED_WRITE_MAX: Duration = Duration::from_secs(10);

type Reply = Result<Bytes, BusError>;

/// One side's view of a connection that it dials.
pub(super) struct Link {
    pub(super) target: Target,
    pub(super) class: Class,
    outbox: Outbox,
    state: Mutex<State>,
    /// Ends the connection there is.
    hang_up: tokio::sync::Notify,
    pub(super) counters: Counters,
}

/// Bytes of a connection, both ways.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) frames_in: AtomicU64,
    pub(super) frames_out: AtomicU64,
}

#[derive(Default)]
struct State {
    pending: HashMap<u64, oneshot::Sender<Reply>>,
    last_request: u64,
    is_running: bool,
    connected: Option<(Instant, NodeId)>,
    /// Since when something was asked and nothing at all was heard. Whoever asked may have given up since: that he
    /// did is no sign of life.
    silent_since: Option<Instant>,
    /// A write is waiting for the peer since.
    writing: Option<Instant>,
    retry_at: Option<Instant>,
    failures: u32,
    last_error: Option<BusError>,
}

impl State {
    /// Something has come from the peer. What is unanswered is waited for anew.
    fn note_sign_of_life(&mut self) {
        self.silent_since = (!self.pending.is_empty()).then(Instant::now);
    }
}

impl Link {
    pub(super) fn new(target: Target, class: Class) -> Arc<Self> {
        Arc::new(Self {
            target,
            class,
            outbox: Outbox::default(),
            state: Mutex::default(),
            hang_up: tokio::sync::Notify::new(),
            counters: Counters::default(),
        })
    }

    /// Sends a request; the answer is what the returned future yields.
    pub(super) fn start(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        service: u8,
        group: u32,
        body: Body,
        urgency: Urgency,
    ) -> Result<PendingCall, BusError> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.prepare(shared, &body)?;
        state.last_request += 1;
        let request = state.last_request;
        state.silent_since.get_or_insert_with(Instant::now);
        state.pending.insert(request, sender);
        let header = Header { kind: Kind::Request, service, group, request };
        self.outbox.push(OutFrame::new(&header, body), urgency);
        drop(state);
        Ok(PendingCall { receiver, link: Arc::downgrade(self), request })
    }

    /// Sends a frame that nobody answers. It is lost with the connection.
    pub(super) fn send(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        service: u8,
        group: u32,
        body: Body,
        urgency: Urgency,
    ) -> Result<(), BusError> {
        let state = self.prepare(shared, &body)?;
        let header = Header { kind: Kind::OneWay, service, group, request: 0 };
        self.outbox.push(OutFrame::new(&header, body), urgency);
        drop(state);
        Ok(())
    }

    /// Checks that a frame can be queued, and sees to it that somebody dials.
    fn prepare(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        body: &Body,
    ) -> Result<parking_lot::MutexGuard<'_, State>, BusError> {
        if body.len() > BUS_FRAME_MAX_BYTES {
            return Err(BusError::TooLarge);
        }
        if shared.is_closed() {
            return Err(BusError::Closed);
        }
        let mut state = self.state.lock();
        if !state.is_running {
            if state.retry_at.is_some_and(|at| Instant::now() < at) {
                // Whatever ended the connection before: this request was not sent.
                let why = state.last_error.clone().unwrap_or(BusError::Disconnected);
                return Err(if why.is_unsent() {
                    why
                } else {
                    BusError::Unreachable(format!("{}: {why}", self.target))
                });
            }
            state.is_running = true;
            tokio::spawn(Arc::clone(self).run(Arc::clone(shared)));
        }
        Ok(state)
    }

    /// Ready when less than the bound is queued.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        self.outbox.poll_room(context)
    }

    /// Ends the connection, and lets the next call dial at once.
    pub(super) fn reset(&self) {
        let mut state = self.state.lock();
        state.retry_at = None;
        state.failures = 0;
        let is_running = state.is_running;
        drop(state);
        if is_running {
            self.hang_up.notify_one();
        }
    }

    /// The peer shows signs of life: the next call dials at once.
    pub(super) fn retry_now(&self) {
        let mut state = self.state.lock();
        state.retry_at = None;
        state.failures = 0;
    }

    pub(super) fn connected(&self) -> Option<(Duration, NodeId)> {
        self.state.lock().connected.map(|(since, node)| (since.elapsed(), node))
    }

    pub(super) fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        let mut changes = shared.changes();
        let outcome = tokio::select! {
            outcome = self.connect_and_serve(&shared) => outcome,
            () = self.hang_up.notified() => BusError::Disconnected,
            _ = changes.changed() => BusError::Disconnected,
        };
        let pending = {
            let mut state = self.state.lock();
            let was_connected = state.connected.take().is_some();
            state.is_running = false;
            state.failures = if was_connected { 1 } else { state.failures.saturating_add(1) };
            let backoff = BACKOFF_MIN.saturating_mul(1 << state.failures.min(10).saturating_sub(1)).min(BACKOFF_MAX);
            state.retry_at = Some(Instant::now() + backoff);
            state.silent_since = None;
            state.writing = None;
            state.last_error = Some(outcome.clone());
            self.outbox.clear();
            std::mem::take(&mut state.pending)
        };
        tracing::debug!(target = %self.target, class = ?self.class, error = %outcome, "bus connection ended");
        for sender in pending.into_values() {
            // Who waited may have given up.
            drop(sender.send(Err(outcome.clone())));
        }
    }

    /// Answers why the connection ended.
    async fn connect_and_serve(self: &Arc<Self>, shared: &Arc<Shared>) -> BusError {
        let unreachable = |error: io::Error| BusError::Unreachable(format!("{}: {error}", self.target));
        let greeted = match tokio::time::timeout(DIAL_TIMEOUT, self.dial(shared)).await {
            Ok(Ok(greeted)) => greeted,
            Ok(Err(error)) => return error,
            Err(_) => return unreachable(io::ErrorKind::TimedOut.into()),
        };
        let (reader, mut writer, peer) = greeted;
        {
            let mut state = self.state.lock();
            state.connected = Some((Instant::now(), peer.node));
            state.note_sign_of_life();
        }
        // Its own task, so that neither direction waits for the other; ended with this one.
        let reading = AbortOnDrop(tokio::spawn(Arc::clone(self).read(reader)));
        let writing = async {
            while let Some(frames) = self.outbox.take().await {
                self.counters.frames_out.fetch_add(frames.len() as u64, Relaxed);
                self.state.lock().writing = Some(Instant::now());
                match write_frames(&mut writer, &frames).await {
                    Ok(count) => self.counters.bytes_out.fetch_add(count, Relaxed),
                    Err(error) => return error,
                };
                self.state.lock().writing = None;
            }
            io::ErrorKind::NotConnected.into()
        };
        let error = tokio::select! {
            error = reading => error,
            error = writing => error,
            () = self.watch() => io::ErrorKind::TimedOut.into(),
        };
        tracing::debug!(target = %self.target, class = ?self.class, %error, "bus connection broke");
        BusError::Disconnected
    }

    async fn dial(
        &self,
        shared: &Shared,
    ) -> Result<(FrameReader<tokio::io::ReadHalf<BusStream>>, tokio::io::WriteHalf<BusStream>, Hello), BusError> {
        let unreachable = |error: io::Error| BusError::Unreachable(format!("{}: {error}", self.target));
        let address = shared.address_of(&self.target)?;
        let socket = Socket::connect(&address).await.map_err(unreachable)?;
        let stream = BusStream::dialled(socket, shared.tls.as_ref()).await.map_err(|error| {
            if error.kind() != io::ErrorKind::InvalidData {
                return unreachable(error);
            }
            // It does not speak TLS, or has a certificate of another authority.
            let why = format!("{address}: {error}");
            shared.log_stranger(&address, &why);
            BusError::Stranger(why)
        })?;
        let (reader, mut writer) = tokio::io::split(stream);
        let ours = shared.hello(self.class);
        let hello = OutFrame::new(&Header::plain(Kind::Hello), ours.encode().into());
        write_frames(&mut writer, &[hello].into()).await.map_err(unreachable)?;
        // A refusal may be longer than a hello, not much.
        let mut reader = FrameReader::new(reader, HELLO_BYTES + 256);
        let answer = reader.next(|_| {}).await.map_err(unreachable)?;
        let theirs = match answer {
            Some((Header { kind: Kind::Hello, .. }, payload)) => {
                Hello::decode(&payload).map_err(|error| BusError::Stranger(error.to_string()))?
            }
            Some((Header { kind: Kind::Refusal, .. }, why)) => {
                let why = String::from_utf8_lossy(&why).into_owned();
                shared.log_stranger(&address, &why);
                return Err(BusError::Stranger(why));
            }
            Some(_) => return Err(BusError::Stranger("it does not greet".to_owned())),
            None => return Err(unreachable(io::ErrorKind::UnexpectedEof.into())),
        };
        if trust(ours.cluster, theirs.cluster) == Trust::Stranger {
            shared.log_stranger(&address, "it belongs to another cluster");
            return Err(BusError::Stranger("it belongs to another cluster".to_owned()));
        }
        if let Target::Node(wanted) = self.target
            && wanted != theirs.node
        {
            let text = format!("{address} is node {}, not {}", theirs.node.0, wanted.0);
            shared.log_stranger(&address, &text);
            return Err(BusError::Stranger(text));
        }
        reader.lift_limit();
        Ok((reader, writer, theirs))
    }

    /// Answers why there is nothing more to read.
    async fn read(self: Arc<Self>, mut reader: FrameReader<tokio::io::ReadHalf<BusStream>>) -> io::Error {
        loop {
            let heard = |count: usize| {
                self.counters.bytes_in.fetch_add(count as u64, Relaxed);
                self.counters.frames_in.fetch_add(1, Relaxed);
                self.state.lock().note_sign_of_life();
            };
            let (header, payload) = match reader.next(heard).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return io::ErrorKind::UnexpectedEof.into(),
                Err(error) => return error,
            };
            let reply = match header.kind {
                Kind::Answer => Ok(payload),
                Kind::Refusal => Err(BusError::Refused(String::from_utf8_lossy(&payload).into_owned())),
                Kind::Pong => continue,
                Kind::Hello | Kind::Request | Kind::OneWay | Kind::Ping => {
                    return io::Error::new(io::ErrorKind::InvalidData, "the side that was dialled asks");
                }
            };
            let waiting = {
                let mut state = self.state.lock();
                let waiting = state.pending.remove(&header.request);
                if state.pending.is_empty() {
                    state.silent_since = None;
                }
                waiting
            };
            if let Some(sender) = waiting {
                // Who waited may have given up.
                drop(sender.send(reply));
            }
        }
    }

    /// Ends when the peer has been silent for too long.
    async fn watch(&self) {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let silence = {
                let state = self.state.lock();
                if state.writing.is_some_and(|since| since.elapsed() > STALLED_WRITE_MAX) {
                    return;
                }
                if state.writing.is_some() {
                    continue;
                }
                state.silent_since.map_or(Duration::ZERO, |since| since.elapsed())
            };
            if silence >= SILENCE_MAX {
                return;
            }
            if silence >= SILENCE_MAX / 2 {
                self.outbox.push(OutFrame::new(&Header::plain(Kind::Ping), Body::default()), Urgency::Now);
            }
        }
    }
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<io::Error>);

impl Future for AbortOnDrop {
    type Output = io::Error;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Error> {
        Pin::new(&mut self.0).poll(context).map(|joined| joined.unwrap_or_else(io::Error::other))
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that was sent; yields the answer. Dropped, it forgets the answer.
pub struct PendingCall {
    receiver: oneshot::Receiver<Reply>,
    link: Weak<Link>,
    request: u64,
}

impl Future for PendingCall {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        Pin::new(&mut self.receiver).poll(context).map(|reply| reply.unwrap_or(Err(BusError::Disconnected)))
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        if let Some(link) = self.link.upgrade() {
            link.state.lock().pending.remove(&self.request);
        }
    }
}
