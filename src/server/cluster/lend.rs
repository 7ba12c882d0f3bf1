//! Clients of this node that wait at the leader of a shard on another.
//!
//! Little endian, runs as `codec::reader` has them; the frame's group is the shard:
//!
//! ```text
//! request  ticket u128 | place u64, 0 if it has none | milliseconds left u64, 0 is for ever | commands: as in `forward`
//! answer   code u8
//!          0 served       the reply's bytes
//!          1 not leader   leader u64, 0 if unknown | commands, as they are now
//!          2 refused      the error's text, UTF-8
//!          3 waits on     place u64: ask again with it | commands, as they are now
//!          4 timed out
//!          5 called off
//! call off ticket u128; one way
//! ```
//!
//! The commands change where the leader has found out what `$` in XREAD stands for; nothing for no change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::{ClusterNode, forward, services};
use crate::codec::{DecodeError, Reader};
use crate::limits::LOANS_MAX;
use crate::raft::BusError;
use crate::raft::bus::{Body, Class, Urgency};
use crate::resp::ReplyBuffer;
use crate::server::blocking::LOAN_LASTS;
use crate::shard::{Blocked, CallOff, Manner, Run, Unserved, clock};
use crate::types::{NodeId, ShardId};

/// What the leader answered.
pub(in crate::server) enum Answer {
    /// The request is over.
    Over(Blocked),
    /// An error.
    Failed(String),
    /// Ask again, with this place.
    StillWaiting(u64),
    /// Nobody knows.
    Lost,
}

/// The clients of other nodes that wait here, by ticket.
#[derive(Default)]
pub(in crate::server) struct Loans(Mutex<BTreeMap<u128, Arc<CallOff>>>);

/// How long the answer to an expired loan may take.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Lets the clients of other nodes wait here.
pub(super) fn serve(node: &Arc<ClusterNode>) {
    let weak = Arc::downgrade(node);
    node.bus.serve(
        services::LEND,
        Arc::new(move |incoming| {
            let weak = weak.clone();
            Box::pin(async move {
                let node = weak.upgrade().ok_or("the node is going down")?;
                let shard = ShardId(incoming.group);
                wait_here(&node, shard, &incoming.payload).await.map_err(|error| error.to_string())
            })
        }),
    );
    let weak = Arc::downgrade(node);
    node.bus.serve(
        services::CALL_OFF,
        Arc::new(move |incoming| {
            let weak = weak.clone();
            Box::pin(async move {
                let node = weak.upgrade().ok_or("the node is going down")?;
                if let Some(ticket) = incoming.payload.first_chunk::<16>()
                    && let Some(call_off) = node.loans.0.lock().get(&u128::from_le_bytes(*ticket))
                {
                    call_off.call_off();
                }
                Ok(Body::default())
            })
        }),
    );
}

/// Ends a loan in the table when its answer is known, or nobody waits for it.
struct Loan<'a>(&'a ClusterNode, u128);

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.loans.0.lock().remove(&self.1);
    }
}

async fn wait_here(node: &ClusterNode, shard: ShardId, payload: &[u8]) -> Result<Body, DecodeError> {
    let mut reader = Reader::new(payload, "lent request");
    let ticket = u128::from(reader.u64()?) | u128::from(reader.u64()?) << 64;
    let (place, left_ms) = (reader.u64()?, reader.u64()?);
    let (mut run, manner): (Run, Manner) = forward::read_request(reader.take_rest())?;
    let mut order = (place != 0).then_some(place);
    let Some(shard) = node.shard(shard) else { return Ok(not_leader(None, &[])) };
    let call_off = Arc::new(CallOff::default());
    {
        let mut loans = node.loans.0.lock();
        if loans.len() >= LOANS_MAX {
            // More would keep the connection from being read.
            return Ok(waits_on(place, &[]));
        }
        loans.insert(ticket, Arc::clone(&call_off));
    }
    let _loan = Loan(node, ticket);
    let left = (left_ms > 0).then(|| Duration::from_millis(left_ms));
    let is_last = left.is_some_and(|left| left <= LOAN_LASTS);
    let deadline = clock::instant() + left.unwrap_or(LOAN_LASTS).min(LOAN_LASTS);
    let outcome = shard.execute_blocking(&mut run, manner, Some(deadline), &mut order, &call_off).await;
    let now = || forward::request(&run, manner);
    Ok(match outcome {
        Blocked::Served(replies) => {
            let mut body = Body::from(vec![0]);
            replies.into_chunks(|chunk| body.push(Bytes::from(chunk)));
            body
        }
        Blocked::Unserved(Unserved::NotLeader(leader)) => not_leader(leader, &now()),
        Blocked::Refused(text) => [&[2], text.as_bytes()].concat().into(),
        Blocked::Unserved(Unserved::TimedOut) if !is_last => waits_on(order.unwrap_or(0), &now()),
        Blocked::Unserved(Unserved::TimedOut) => vec![4].into(),
        Blocked::Unserved(Unserved::Cancelled) => vec![5].into(),
    })
}

fn not_leader(leader: Option<NodeId>, commands: &[u8]) -> Body {
    let leader = leader.map_or(0, |node| node.0);
    [&[1], &leader.to_le_bytes()[..], commands].concat().into()
}

fn waits_on(place: u64, commands: &[u8]) -> Body {
    [&[3], &place.to_le_bytes()[..], commands].concat().into()
}

/// A request that is lent; dropped, it is called off.
struct Lent<'a> {
    node: &'a Arc<ClusterNode>,
    shard: ShardId,
    leader: NodeId,
    ticket: u128,
    is_over: bool,
}

impl Lent<'_> {
    fn call_off(&self) {
        let ticket = self.ticket.to_le_bytes().to_vec();
        // If it is lost, the loan ends in time.
        let peer = self.leader.into();
        let body = Body::from(ticket);
        let _ = self.node.bus.send(&peer, Class::Forward, services::CALL_OFF, self.shard.0, body, Urgency::Now);
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.call_off();
        }
    }
}

/// Asks a leader to let a client wait there.
pub(in crate::server) async fn ask(
    node: &Arc<ClusterNode>,
    shard: ShardId,
    leader: NodeId,
    (run, manner): (&mut Run, Manner),
    left: Option<Duration>,
    place: Option<u64>,
    call_off: &CallOff,
) -> Answer {
    let halves = (clock::entropy(), clock::entropy());
    let ticket = u128::from(halves.0) | u128::from(halves.1) << 64;
    let left_ms = left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
    let mut payload = ticket.to_le_bytes().to_vec();
    payload.extend_from_slice(&place.unwrap_or(0).to_le_bytes());
    payload.extend_from_slice(&left_ms.to_le_bytes());
    payload.extend_from_slice(&forward::request(run, manner));
    node.forwarded.fetch_add(1, Ordering::Relaxed);
    let mut lent = Lent { node, shard, leader, ticket, is_over: false };
    let peer = leader.into();
    let patience = LOAN_LASTS + ANSWER_PATIENCE;
    let asked = node.bus.call(&peer, Class::Forward, services::LEND, shard.0, payload, patience);
    let mut asked = std::pin::pin!(asked);
    let answered = tokio::select! {
        answered = &mut asked => answered,
        () = call_off.wait() => {
            lent.call_off();
            asked.await
        }
    };
    lent.is_over = true;
    match answered {
        Ok(bytes) => read_answer(&bytes, run).unwrap_or(Answer::Lost),
        Err(error) if error.is_unsent() => Answer::Over(Blocked::Unserved(Unserved::NotLeader(None))),
        Err(BusError::TooLarge) => Answer::Failed(forward::TOO_LARGE.to_owned()),
        Err(BusError::Refused(_)) => Answer::Over(Blocked::Unserved(Unserved::NotLeader(None))),
        Err(_) => Answer::Lost,
    }
}

/// Reads what the leader says; the run becomes what it is now.
fn read_answer(bytes: &[u8], run: &mut Run) -> Result<Answer, DecodeError> {
    let mut reader = Reader::new(bytes, "answer to a lent request");
    Ok(match reader.u8()? {
        0 => {
            let mut replies = ReplyBuffer::default();
            replies.push(reader.take_rest().to_vec());
            Answer::Over(Blocked::Served(replies))
        }
        1 => {
            let leader = reader.u64()?;
            take_commands(&mut reader, run)?;
            Answer::Over(Blocked::Unserved(Unserved::NotLeader((leader != 0).then_some(NodeId(leader)))))
        }
        2 => Answer::Failed(String::from_utf8_lossy(reader.take_rest()).into_owned()),
        3 => {
            let place = reader.u64()?;
            take_commands(&mut reader, run)?;
            Answer::StillWaiting(place)
        }
        4 => Answer::Over(Blocked::Unserved(Unserved::TimedOut)),
        5 => Answer::Over(Blocked::Unserved(Unserved::Cancelled)),
        _ => return Err(reader.error("an unknown code")),
    })
}

fn take_commands(reader: &mut Reader<'_>, run: &mut Run) -> Result<(), DecodeError> {
    if reader.remaining() > 0 {
        *run = forward::read_request(reader.take_rest())?.0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::find;
    use crate::resp::Protocol;
    use crate::types::Db;
    use crate::types::ReadPolicy;

    fn flat(body: &Body) -> Vec<u8> {
        body.pieces().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn the_commands_come_back_as_they_are_now() {
        let spec = find(b"GET").expect("a command");
        let (mut before, mut now) = (Run::default(), Run::default());
        before.push_read(spec, Db(1), &[b"GET", b"$"]);
        now.push_read(spec, Db(1), &[b"GET", b"5-1"]);
        let manner = Manner { protocol: Protocol::Resp3, touch: true, policy: ReadPolicy::Lease, count: true };
        let commands = forward::request(&now, manner);
        let answer = read_answer(&flat(&waits_on(7, &commands)), &mut before).expect("it reads");
        assert!(matches!(answer, Answer::StillWaiting(7)));
        assert_eq!(forward::request(&before, manner), commands);
        let answer = read_answer(&flat(&not_leader(Some(NodeId(3)), &[])), &mut before).expect("it reads");
        assert!(matches!(answer, Answer::Over(Blocked::Unserved(Unserved::NotLeader(Some(NodeId(3)))))));
        assert_eq!(forward::request(&before, manner), commands);
        assert!(read_answer(&[9], &mut before).is_err());
    }
}
