//! How openraft reaches the other replicas of a group: over the [`Bus`], or not at all.
//!
//! A group without a bus has one voter, this node, so openraft never asks for a connection. Should one be
//! asked for all the same, [`NoPeers`] answers that the peer is unreachable, which raft is made to live with:
//! nothing is lost, nothing is granted.
//!
//! A group with a bus sends append requests without waiting for the answers of those before
//! ([`APPENDS_IN_FLIGHT_MAX`]); the bus keeps their order. Heartbeats may wait for others, see
//! [`Urgency::Gather`].

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use tokio::time::Instant;

use super::blocking::blocking;
use super::bus::{Body, Bus, BusError, Class, PendingCall, Target, Urgency, services};
use super::peers::Registry;
use super::send::{SendError, Sender};
use super::snapshot::SnapshotFile;
use super::types::{LogId, PeerNode, TypeConfig, Vote};
use super::wire;
use crate::limits::{APPENDS_IN_FLIGHT_MAX, APPENDS_IN_FLIGHT_MAX_BYTES};
use crate::types::{NodeId, ShardId};

/// How long the answer to an append request may take: the follower's disk may be slow. That a peer is gone is
/// noticed by the bus.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes connections that reach nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl RaftNetworkFactory<TypeConfig> for NoPeers {
    type Network = NoPeers;

    async fn new_client(&mut self, _target: u64, _node: &PeerNode) -> NoPeers {
        NoPeers
    }
}

fn unreachable() -> Unreachable<TypeConfig> {
    Unreachable::from_string("this server has no bus: its groups have one voter")
}

impl RaftNetworkV2<TypeConfig> for NoPeers {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        _rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(unreachable().into())
    }

    async fn vote(
        &mut self,
        _rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(unreachable().into())
    }

    /// openraft's default would grant the vote in the peer's name.
    async fn pre_vote(
        &mut self,
        _rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        Err(unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: Vote,
        _snapshot: openraft::alias::SnapshotOf<TypeConfig, SnapshotFile>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        Err(unreachable().into())
    }
}

type RpcError = RPCError<TypeConfig>;

fn rpc_error(error: &BusError) -> RpcError {
    match error {
        // It answered, or it may: at once again is fine.
        BusError::Timeout | BusError::TooLarge => NetworkError::from_string(error).into(),
        BusError::Unreachable(_)
        | BusError::NoAddress(_)
        | BusError::Stranger(_)
        | BusError::Disconnected
        | BusError::Refused(_)
        | BusError::Closed => Unreachable::from_string(error).into(),
    }
}

/// Makes connections over the bus.
pub(super) struct BusPeers {
    pub(super) bus: Arc<Bus>,
    pub(super) group: ShardId,
    /// Not zero while somebody waits for the answers to heartbeats.
    pub(super) urgent: Arc<AtomicUsize>,
}

impl BusPeers {
    fn client(&self, target: u64, node: &PeerNode, heartbeats: bool) -> Peer {
        let target = NodeId(target);
        self.bus.suggest_address(target, &node.bus_address);
        let (bus, urgent) = (Arc::clone(&self.bus), Arc::clone(&self.urgent));
        Peer { bus, group: self.group.0, target: Target::Node(target), heartbeats, urgent }
    }
}

impl RaftNetworkFactory<TypeConfig> for BusPeers {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &PeerNode) -> Peer {
        self.client(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &PeerNode) -> Peer {
        self.client(target, node, true)
    }
}

/// Another replica of a group.
pub(super) struct Peer {
    bus: Arc<Bus>,
    group: u32,
    target: Target,
    /// What it is asked can wait for others, unless it is urgent.
    heartbeats: bool,
    urgent: Arc<AtomicUsize>,
}

impl Peer {
    /// A snapshot of the state as it is now, made for another replica, where the group's own rests on files of this
    /// node. What it has beyond the group's own is sent again as entries, which are known then.
    async fn whole_snapshot(&self) -> io::Result<Option<SnapshotFile>> {
        let Some(member) = Registry::of(&self.bus).member(self.group) else { return Ok(None) };
        let begun = member.raft.with_state_machine(|machine| {
            let begun = machine.begin_whole_snapshot();
            Box::pin(std::future::ready(begun))
        });
        let Some((meta, job)) = begun.await.map_err(io::Error::other)?? else { return Ok(None) };
        let dir = member.dir.clone();
        blocking(move || super::snapshot::write_outgoing(&dir, &meta, job)).await?.map(Some)
    }

    async fn call(&self, service: u8, body: impl Into<Body>, timeout: Duration) -> Result<Bytes, RpcError> {
        let call = self.bus.call(&self.target, Class::Raft, service, self.group, body, timeout);
        call.await.map_err(|error| rpc_error(&error))
    }

    fn start_append(&self, request: &wire::Append) -> Result<(usize, PendingCall), BusError> {
        let can_wait = self.heartbeats && self.urgent.load(Relaxed) == 0;
        let (service, urgency) =
            if can_wait { (services::HEARTBEAT, Urgency::Gather) } else { (services::APPEND, Urgency::Now) };
        let body = wire::append(request);
        let bytes = body.len();
        let call = self.bus.start_call(&self.target, Class::Raft, service, self.group, body, urgency)?;
        Ok((bytes, call))
    }
}

fn decoded<T>(read: Result<T, crate::codec::DecodeError>) -> Result<T, RpcError> {
    read.map_err(|error| Unreachable::from_string(error).into())
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let (_, call) = self.start_append(&rpc).map_err(|error| rpc_error(&error))?;
        let answered = tokio::time::timeout(option.soft_ttl(), call).await.unwrap_or(Err(BusError::Timeout));
        let answer = answered.map_err(|error| rpc_error(&error))?;
        decoded(wire::read_append_answer(&answer))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        let timeout = if self.heartbeats { option.soft_ttl() } else { APPEND_TIMEOUT };
        let stream: BoxStream<'s, _> = Box::pin(Appends {
            peer: self,
            input: Some(input),
            under_way: VecDeque::new(),
            bytes: 0,
            failed: None,
            timeout,
            timer: Box::pin(tokio::time::sleep(timeout)),
        });
        Box::pin(std::future::ready(Ok(stream)))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let answer = self.call(services::VOTE, wire::vote(&rpc), option.soft_ttl()).await?;
        decoded(wire::read_vote_answer(&answer))
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let answer = self.call(services::PRE_VOTE, wire::vote(&rpc), option.soft_ttl()).await?;
        decoded(wire::read_vote_answer(&answer))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::alias::SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let sender = Sender { bus: &self.bus, target: &self.target, group: self.group };
        let sent = tokio::select! {
            sent = async {
                let whole = self.whole_snapshot().await.map_err(SendError::Read)?;
                sender.send(vote, whole.as_ref().unwrap_or(&snapshot.snapshot)).await
            } => sent,
            closed = cancel => return Err(closed.into()),
        };
        match sent {
            Ok(vote) => Ok(SnapshotResponse::new(vote)),
            Err(error @ (SendError::Bus(_) | SendError::Read(_) | SendError::Answer(_))) => {
                tracing::warn!(group = self.group, target = %self.target, %error, "a snapshot was not sent");
                Err(Unreachable::from_string(error).into())
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        self.call(services::TRANSFER_LEADER, wire::transfer(&req), option.hard_ttl()).await?;
        Ok(Ok(()))
    }
}

struct UnderWay {
    before: Option<LogId>,
    last: Option<LogId>,
    bytes: usize,
    since: Instant,
    call: PendingCall,
}

/// Append requests on their way, and their answers in the order of the requests.
struct Appends<'a, S> {
    peer: &'a Peer,
    /// `None`: there is nothing more to send.
    input: Option<S>,
    under_way: VecDeque<UnderWay>,
    bytes: usize,
    /// Why nothing more can be sent; told after the answers.
    failed: Option<RpcError>,
    timeout: Duration,
    timer: Pin<Box<tokio::time::Sleep>>,
}

impl<S: Stream<Item = wire::Append> + Unpin> Appends<'_, S> {
    fn poll_send(&mut self, context: &mut Context<'_>) {
        while let Some(input) = &mut self.input
            && self.under_way.len() < APPENDS_IN_FLIGHT_MAX
            && self.bytes < APPENDS_IN_FLIGHT_MAX_BYTES
            && self.peer.bus.poll_room(&self.peer.target, Class::Raft, context).is_ready()
        {
            let request = match Pin::new(input).poll_next(context) {
                Poll::Ready(Some(request)) => request,
                Poll::Ready(None) => {
                    self.input = None;
                    return;
                }
                Poll::Pending => return,
            };
            let before = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(before);
            match self.peer.start_append(&request) {
                Ok((bytes, call)) => {
                    self.bytes += bytes;
                    self.under_way.push_back(UnderWay { before, last, bytes, since: Instant::now(), call });
                }
                Err(error) => {
                    self.input = None;
                    self.failed = Some(rpc_error(&error));
                }
            }
        }
    }

    /// Nothing more is sent, and no answer is waited for.
    fn end(&mut self) {
        self.input = None;
        self.failed = None;
        self.under_way.clear();
    }
}

impl<S: Stream<Item = wire::Append> + Unpin> Stream for Appends<'_, S> {
    type Item = Result<StreamAppendResult<TypeConfig>, RpcError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.poll_send(context);
        let Some(first) = this.under_way.front_mut() else {
            return match (this.failed.take(), &this.input) {
                (Some(error), _) => Poll::Ready(Some(Err(error))),
                (None, None) => Poll::Ready(None),
                (None, Some(_)) => Poll::Pending,
            };
        };
        let answered = match Pin::new(&mut first.call).poll(context) {
            Poll::Ready(answered) => answered,
            Poll::Pending => {
                let due = first.since + this.timeout;
                if this.timer.deadline() != due {
                    this.timer.as_mut().reset(due);
                }
                match this.timer.as_mut().poll(context) {
                    Poll::Ready(()) => Err(BusError::Timeout),
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        let first = this.under_way.pop_front().expect("it was there");
        this.bytes -= first.bytes;
        let answer = answered.map_err(|error| rpc_error(&error));
        let answer = answer.and_then(|answer| decoded(wire::read_append_answer(&answer)));
        let answer = match answer {
            Ok(AppendEntriesResponse::Conflict) if first.before.is_none() => {
                Err(Unreachable::from_string("a follower says that the beginning of the log is in conflict").into())
            }
            answer => answer,
        };
        let is_whole = matches!(answer, Ok(AppendEntriesResponse::Success));
        if !is_whole {
            // What was sent behind it cannot succeed either.
            this.end();
        }
        Poll::Ready(Some(answer.map(|answer| answer.into_stream_result(first.before, first.last))))
    }
}
