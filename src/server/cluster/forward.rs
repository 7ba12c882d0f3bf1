//! Commands for a shard that this connection's node does not lead, or cannot be sure to lead.
//!
//! A run goes to the shard's leader as one request on the bus, and its replies come back as one answer. Little
//! endian, varints and runs as `codec::reader` has them; the frame's group is the shard:
//!
//! ```text
//! request  version u8 = 1 | RESP version u8 | flags u8: 1 look-ups leave a trace, 2 they are counted | read policy u8
//!          commands: varint | for each: kind u8 (0 write, 1 read) | database varint, of a read
//!          run: records of the writes | run: records of the reads
//! answer   version u8 = 1 | code u8
//!          code 0 done        replies: varint | for each: length varint | then their bytes
//!          code 1 not leader  leader u64, 0 if unknown
//!          code 2 refused     the error's text, UTF-8
//! ```
//!
//! # What is executed how often
//! A run that surely was not executed (the request was not sent, or its receiver does not lead) goes to whoever
//! leads next, until the client has waited long enough. A run of reads is asked again whatever happened.
//! Writes whose answer was lost are never sent again: their clients learn that the outcome is unknown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{ClusterNode, services};
use crate::codec::{DecodeError, Reader, push_varint};
use crate::limits::{FORWARD_PATIENCE, FORWARD_RETRY};
use crate::raft::bus::{Answer, Body, Class};
use crate::raft::{Bus, BusError};
use crate::resp::{Protocol, ReplyBuffer};
use crate::server::router::Target;
use crate::shard::{Executed, Mailbox, Manner, Run};
use crate::types::{NodeId, ReadPolicy, ShardId};

const VERSION: u8 = 1;
const DONE: u8 = 0;
const NOT_LEADER: u8 = 1;
const REFUSED: u8 = 2;
const FLAG_TOUCH: u8 = 1;
const FLAG_COUNT: u8 = 2;

/// How long after another leader is known an answer of the one before is waited for.
const GRACE: Duration = Duration::from_millis(300);

/// The answer when a shard has no leader for too long.
pub const NO_LEADER: &str = "CLUSTERDOWN The shard has no leader now; the command was not executed";
/// The answer to commands that no frame can hold.
pub(super) const TOO_LARGE: &str =
    "ERR the commands are too large to be sent to the shard's leader; they were not executed";
/// The answer to a write when nobody knows what became of it.
pub const UNKNOWN: &str =
    "ERR outcome unknown: the connection to the shard's leader was lost; the command may or may not be executed";

/// Executes the runs that other nodes send.
pub(super) fn serve(node: &Arc<ClusterNode>) {
    let weak = Arc::downgrade(node);
    node.bus.serve(
        services::FORWARD,
        Arc::new(move |incoming| {
            let weak = weak.clone();
            Box::pin(async move {
                let node = weak.upgrade().ok_or("the node is going down")?;
                let Some(shard) = node.shard(ShardId(incoming.group)) else {
                    return Ok(answer(Executed::NotLeader(None)));
                };
                let (mut run, manner) = read_request(&incoming.payload).map_err(|error| error.to_string())?;
                let mailbox = Mailbox::new();
                Ok(answer(shard.execute(&mut run, &mailbox, manner).await)) as Answer
            })
        }),
    );
}

/// Encodes a run.
pub(in crate::server) fn request(run: &Run, manner: Manner) -> Vec<u8> {
    let protocol = if manner.protocol == Protocol::Resp3 { 3 } else { 2 };
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let flags = flag(manner.touch, FLAG_TOUCH) | flag(manner.count, FLAG_COUNT);
    let mut out = Vec::with_capacity(run.bytes() + run.len() * 4 + 32);
    out.extend_from_slice(&[VERSION, protocol, flags, manner.policy as u8]);
    run.encode(&mut out);
    out
}

pub(super) fn read_request(bytes: &[u8]) -> Result<(Run, Manner), DecodeError> {
    let mut reader = Reader::new(bytes, "forwarded run");
    if reader.u8()? != VERSION {
        return Err(reader.error("an unknown version"));
    }
    let protocol = match reader.u8()? {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(reader.error("an unknown protocol")),
    };
    let flags = reader.u8()?;
    let (touch, count) = (flags & FLAG_TOUCH != 0, flags & FLAG_COUNT != 0);
    let policy = reader.u8()?;
    let policy = ReadPolicy::from_number(policy).ok_or_else(|| reader.error("an unknown read policy"))?;
    let run = Run::decode(&mut reader)?;
    reader.end()?;
    Ok((run, Manner { protocol, touch, policy, count }))
}

fn answer(executed: Executed) -> Body {
    let mut head = vec![VERSION];
    match executed {
        Executed::Done(replies, ends) => {
            head.push(DONE);
            push_varint(&mut head, ends.len() as u64);
            let mut before = 0;
            for end in ends {
                push_varint(&mut head, (end - before) as u64);
                before = end;
            }
            let mut body = Body::from(head);
            replies.into_chunks(|chunk| body.push(Bytes::from(chunk)));
            return body;
        }
        Executed::NotLeader(leader) => {
            head.push(NOT_LEADER);
            head.extend_from_slice(&leader.map_or(0, |node| node.0).to_le_bytes());
        }
        Executed::Refused(text) => {
            head.push(REFUSED);
            head.extend_from_slice(text.as_bytes());
        }
    }
    head.into()
}

/// What came back.
enum Answered {
    Done(ReplyBuffer, Vec<usize>),
    NotLeader(Option<NodeId>),
    Refused(String),
}

fn read_answer(bytes: &Bytes, commands: usize) -> Result<Answered, DecodeError> {
    let mut reader = Reader::new(bytes, "answer to a forwarded run");
    if reader.u8()? != VERSION {
        return Err(reader.error("an unknown version"));
    }
    match reader.u8()? {
        DONE => {
            if reader.varint()? != commands as u64 {
                return Err(reader.error("another number of replies than of commands"));
            }
            let mut ends = Vec::with_capacity(commands);
            let mut end = 0usize;
            for _ in 0..commands {
                end = end.saturating_add(usize::try_from(reader.varint()?).unwrap_or(usize::MAX));
                ends.push(end);
            }
            if reader.remaining() != end {
                return Err(reader.error("replies of another length than announced"));
            }
            let mut replies = ReplyBuffer::default();
            replies.push(reader.take_rest().to_vec());
            Ok(Answered::Done(replies, ends))
        }
        NOT_LEADER => {
            let leader = reader.u64()?;
            Ok(Answered::NotLeader((leader != 0).then_some(NodeId(leader))))
        }
        REFUSED => Ok(Answered::Refused(String::from_utf8_lossy(reader.take_rest()).into_owned())),
        _ => Err(reader.error("an unknown code")),
    }
}

/// What a client is told.
pub struct Delivered {
    /// The replies.
    pub replies: ReplyBuffer,
    /// Where each ends.
    pub ends: Vec<usize>,
}

impl Delivered {
    /// The same error for every command.
    pub fn error(text: &str, commands: usize, protocol: Protocol) -> Self {
        let mut delivered = Self { replies: ReplyBuffer::default(), ends: Vec::with_capacity(commands) };
        for _ in 0..commands {
            delivered.replies.reply(protocol).error(text);
            delivered.ends.push(delivered.replies.len());
        }
        delivered
    }
}

/// Executes a run on whatever replica may, and waits for its replies.
pub async fn execute(
    node: &ClusterNode,
    target: &Target,
    run: &mut Run,
    mailbox: &Arc<Mailbox>,
    manner: Manner,
) -> Delivered {
    let deadline = Instant::now() + FORWARD_PATIENCE;
    let commands = run.len();
    let only_reads = run.is_read_only();
    let mut encoded: Option<Bytes> = None;
    let mut avoid = None;
    loop {
        let local = target.local().filter(|shard| shard.is_leader() || (only_reads && manner.policy.any_replica()));
        let not_leader = if let Some(shard) = local {
            match shard.execute(run, mailbox, manner).await {
                Executed::Done(replies, ends) => return Delivered { replies, ends },
                Executed::Refused(text) => return Delivered::error(text, commands, manner.protocol),
                Executed::NotLeader(leader) => Some(leader),
            }
        } else if let Some(leader) = target.leader(node.number, avoid) {
            let payload = encoded.get_or_insert_with(|| request(run, manner).into()).clone();
            node.forwarded.fetch_add(1, Ordering::Relaxed);
            match call(&node.bus, target, leader, payload, only_reads).await {
                Ok(bytes) => match read_answer(&bytes, commands) {
                    Ok(Answered::Done(replies, ends)) => {
                        target.note_leader(Some(leader));
                        return Delivered { replies, ends };
                    }
                    Ok(Answered::Refused(text)) => return Delivered::error(&text, commands, manner.protocol),
                    Ok(Answered::NotLeader(other)) => {
                        avoid = Some(leader);
                        Some(other)
                    }
                    Err(error) => {
                        tracing::error!(%error, "a damaged answer on the bus");
                        return Delivered::error(UNKNOWN, commands, manner.protocol);
                    }
                },
                Err(BusError::TooLarge) => return Delivered::error(TOO_LARGE, commands, manner.protocol),
                Err(error) if error.is_unsent() || only_reads || matches!(error, BusError::Refused(_)) => {
                    avoid = Some(leader);
                    None
                }
                Err(error) => {
                    tracing::debug!(%error, "an answer to a forwarded run was lost");
                    return Delivered::error(UNKNOWN, commands, manner.protocol);
                }
            }
        } else {
            avoid = None;
            None
        };
        if let Some(Some(leader)) = not_leader {
            target.note_leader(Some(leader));
            if avoid == Some(leader) {
                avoid = None;
            } else if Instant::now() < deadline {
                // Somebody else leads: at once.
                avoid = None;
                tokio::task::yield_now().await;
                if leader != node.number {
                    continue;
                }
            }
        }
        if Instant::now() >= deadline {
            return Delivered::error(NO_LEADER, commands, manner.protocol);
        }
        tokio::time::sleep(FORWARD_RETRY).await;
    }
}

/// Sends a run to a node; gives up soon after it is known that another leads.
async fn call(bus: &Bus, target: &Target, leader: NodeId, payload: Bytes, only_reads: bool) -> Result<Bytes, BusError> {
    let peer = leader.into();
    let asked = bus.call(&peer, Class::Forward, services::FORWARD, target.id().0, payload, 2 * FORWARD_PATIENCE);
    let Some(shard) = target.local() else { return asked.await };
    let mut leadership = shard.leadership();
    let term = leadership.borrow().term;
    let other_leads = async {
        let elected =
            |now: &crate::raft::Leadership| now.term > term && now.leader.is_some_and(|other| other != leader);
        let elected = leadership.wait_for(elected).await.is_ok();
        if !elected {
            std::future::pending::<()>().await;
        }
        if !only_reads {
            tokio::time::sleep(GRACE).await;
        }
    };
    tokio::select! {
        answer = asked => answer,
        () = other_leads => Err(BusError::Timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;
    use crate::types::Db;

    fn sample() -> Run {
        let mut run = Run::default();
        run.push_write(find(b"SET").expect("a command"), Db(3), &[b"SET", b"key", b"value"]);
        run.push_read(find(b"GET").expect("a command"), Db(3), &[b"GET", b"key"]);
        run
    }

    #[test]
    fn runs_round_trip_and_every_cut_is_an_error() {
        let manner = Manner { protocol: Protocol::Resp3, touch: true, policy: ReadPolicy::Follower, count: false };
        let bytes = request(&sample(), manner);
        let (run, back) = read_request(&bytes).expect("reads");
        assert_eq!((run.len(), run.reads(), run.bytes()), (2, sample().reads(), sample().bytes()));
        assert_eq!((back.protocol, back.touch, back.policy), (manner.protocol, true, ReadPolicy::Follower));
        assert_eq!(request(&run, manner), bytes);
        for cut in 0..bytes.len() {
            assert!(read_request(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_write_that_calls_itself_a_read_is_refused() {
        let mut run = Run::default();
        run.push_read(find(b"GET").expect("a command"), Db(0), &[b"SET", b"key", b"value"]);
        let manner = Manner { protocol: Protocol::Resp2, touch: false, policy: ReadPolicy::Lease, count: true };
        assert!(read_request(&request(&run, manner)).is_err());
    }

    #[test]
    fn answers_round_trip_and_every_cut_is_an_error() {
        let mut replies = ReplyBuffer::default();
        replies.reply(Protocol::Resp2).ok();
        let first = replies.len();
        replies.reply(Protocol::Resp2).integer(7);
        let ends = vec![first, replies.len()];
        let flat = |body: Body| Bytes::from(body.pieces().flat_map(|piece| piece.to_vec()).collect::<Vec<u8>>());
        let bytes = flat(answer(Executed::Done(replies, ends.clone())));
        let Ok(Answered::Done(back, back_ends)) = read_answer(&bytes, 2) else { panic!("it is done") };
        assert_eq!((back.to_vec(), back_ends), (b"+OK\r\n:7\r\n".to_vec(), ends));
        assert!(read_answer(&bytes, 1).is_err());
        for cut in 0..bytes.len() {
            assert!(read_answer(&bytes.slice(..cut), 2).is_err(), "cut at {cut}");
        }
        let bytes = flat(answer(Executed::NotLeader(Some(NodeId(9)))));
        assert!(matches!(read_answer(&bytes, 1), Ok(Answered::NotLeader(Some(NodeId(9))))));
        let bytes = flat(answer(Executed::Refused("OOM no")));
        assert!(matches!(read_answer(&bytes, 1), Ok(Answered::Refused(text)) if text == "OOM no"));
    }
}
