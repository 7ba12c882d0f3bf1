//! XCLAIM and XAUTOCLAIM: pending entries change hands.

use super::args::{Gathered, edit, integer_or, no_group, range_start, reply_id, reply_one, strict_id};
use super::read::consumer_of;
use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::resp::Reply;
use crate::storage::streams::{ConsumerId, GroupId, IdRange, Owner, Pending, StreamEdit, StreamView};
use crate::types::number::parse_i64;
use crate::types::{StreamId, UnixMs};

/// Pending entries that XAUTOCLAIM looks at together.
const BATCH_ENTRIES: usize = 256;
/// XAUTOCLAIM looks at so many times as many entries as it is to claim.
const ATTEMPTS_FACTOR: u64 = 10;

/// Fails unless key and group are there.
fn check_group(ctx: &WriteContext<'_>, key: &[u8], group: &[u8]) -> Result<(), CommandError> {
    let at = ctx.at(key);
    let found = match ctx.engine(at).stream(at, ctx.now)? {
        Some(stream) => stream.group(group)?.is_some(),
        None => false,
    };
    if found { Ok(()) } else { Err(no_group(key, group)) }
}

/// How entries are claimed.
struct Claim {
    min_idle_ms: i64,
    delivered_at: UnixMs,
    deliveries: Option<u64>,
    force: bool,
    just_id: bool,
    last_id: StreamId,
}

impl Claim {
    /// The options behind the ids.
    fn parse(args: &[&[u8]], first: usize, min_idle_ms: i64, now: UnixMs) -> Result<Self, CommandError> {
        let mut claim = Self {
            min_idle_ms: min_idle_ms.max(0),
            delivered_at: now,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: StreamId::MIN,
        };
        let mut delivered_at = -1;
        let mut cursor = Cursor::new(args, first);
        while cursor.remaining() > 0 {
            let more = cursor.remaining() > 1;
            if cursor.accept("FORCE") {
                claim.force = true;
            } else if cursor.accept("JUSTID") {
                claim.just_id = true;
            } else if more && cursor.accept("IDLE") {
                let idle_ms = integer_or(cursor.required()?, "ERR Invalid IDLE option argument for XCLAIM")?;
                delivered_at = now.0.wrapping_sub(idle_ms);
            } else if more && cursor.accept("TIME") {
                delivered_at = integer_or(cursor.required()?, "ERR Invalid TIME option argument for XCLAIM")?;
            } else if more && cursor.accept("RETRYCOUNT") {
                let count = integer_or(cursor.required()?, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.deliveries = u64::try_from(count).ok();
            } else if more && cursor.accept("LASTID") {
                claim.last_id = strict_id(cursor.required()?, 0)?;
            } else {
                let option = String::from_utf8_lossy(cursor.required()?).into_owned();
                return Err(CommandError::Text(format!("ERR Unrecognized XCLAIM option '{option}'")));
            }
        }
        // A time that cannot be is not refused: it may be a client's clock that is ahead.
        if (0..=now.0).contains(&delivered_at) {
            claim.delivered_at = UnixMs(delivered_at);
        }
        Ok(claim)
    }

    /// Claims one entry. Answers whether it was claimed, and whether anything changed.
    fn one(
        &self,
        stream: &mut dyn StreamEdit,
        (group, consumer): (GroupId, ConsumerId),
        id: StreamId,
        now: UnixMs,
    ) -> Result<(bool, bool), CommandError> {
        let pending = stream.pending_entry(group, id)?;
        if !stream.contains(id)? {
            return Ok((false, stream.remove_pending(group, id)?));
        }
        let old = match pending {
            Some(old) => {
                if self.min_idle_ms > 0 && now.0.saturating_sub(old.delivered_at.0) < self.min_idle_ms {
                    return Ok((false, false));
                }
                old
            }
            // As if it had been delivered to nobody just now.
            None if self.force => Pending { consumer, delivered_at: now, deliveries: 1 },
            None => return Ok((false, false)),
        };
        let counted = old.deliveries.saturating_add(u64::from(!self.just_id));
        let deliveries = self.deliveries.unwrap_or(counted);
        stream.put_pending(group, id, Pending { consumer, delivered_at: self.delivered_at, deliveries })?;
        Ok((true, true))
    }
}

fn reply_claimed(
    stream: &dyn StreamView,
    id: StreamId,
    just_id: bool,
    claimed: &mut Gathered,
    like: &Reply<'_>,
) -> CommandResult {
    let mut reply = claimed.next(like);
    if just_id {
        reply_id(id, &mut reply);
    } else {
        reply_one(stream, id, &mut reply)?;
    }
    Ok(())
}

/// `XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-ms] [RETRYCOUNT count] [FORCE] [JUSTID]
/// [LASTID id]`
pub(super) fn xclaim(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let (key, group, consumer) = (args[1], args[2], args[3]);
    check_group(ctx, key, group)?;
    let min_idle_ms = integer_or(args[4], "ERR Invalid min-idle-time argument for XCLAIM")?;
    let ids: Vec<StreamId> = args[5..].iter().map_while(|id| StreamId::parse(id, 0)).collect();
    let now = ctx.now;
    let claim = Claim::parse(args, 5 + ids.len(), min_idle_ms, now)?;
    let done = edit(ctx, key, false, |stream| {
        let (group, head) = stream.group(group)?.ok_or_else(|| no_group(key, group))?;
        let moves_on = claim.last_id > head.last;
        if moves_on {
            stream.set_group(group, claim.last_id, head.entries_read)?;
        }
        let (consumer, is_new) = consumer_of(stream, group, consumer, now)?;
        let mut changes = 0;
        let mut claimed = Gathered::new();
        for id in ids {
            let (is_claimed, changed) = claim.one(stream, (group, consumer), id, now)?;
            changes += u64::from(changed);
            if is_claimed {
                reply_claimed(&*stream, id, claim.just_id, &mut claimed, reply)?;
            }
        }
        if claimed.count() > 0 {
            stream.touch_consumer(group, consumer, None, Some(now))?;
        }
        changes += u64::from(moves_on && changes == 0) + u64::from(is_new);
        Ok(((claimed, changes), true))
    })?;
    let (claimed, changes) = done.ok_or_else(|| no_group(key, group))?;
    ctx.dirty += changes;
    claimed.finish(reply);
    Ok(())
}

/// `XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]`
pub(super) fn xautoclaim(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    /// Redis bounds what it sets aside for ids that are gone, at 16 bytes each.
    const COUNT_MAX: i64 = i64::MAX / 16;
    const COUNT_RANGE: CommandError = CommandError::Static("ERR COUNT must be > 0");
    let (key, group, consumer) = (args[1], args[2], args[3]);
    let min_idle_ms = integer_or(args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = range_start(args[5])?;
    let (mut count, mut just_id) = (100, false);
    let mut cursor = Cursor::new(args, 6);
    while cursor.remaining() > 0 {
        if cursor.remaining() > 1 && cursor.accept("COUNT") {
            let number = parse_i64(cursor.required()?).filter(|number| (1..=COUNT_MAX).contains(number));
            count = number.ok_or(COUNT_RANGE)?.unsigned_abs();
        } else if cursor.accept("JUSTID") {
            just_id = true;
        } else {
            return Err(SYNTAX);
        }
    }
    let now = ctx.now;
    let claim = Claim {
        min_idle_ms: min_idle_ms.max(0),
        delivered_at: now,
        deliveries: None,
        force: false,
        just_id,
        last_id: StreamId::MIN,
    };
    let done = edit(ctx, key, false, |stream| {
        let (group, _) = stream.group(group)?.ok_or_else(|| no_group(key, group))?;
        let (consumer, is_new) = consumer_of(stream, group, consumer, now)?;
        let mut auto = Auto {
            next: Some(start),
            left: count,
            attempts: count.saturating_mul(ATTEMPTS_FACTOR),
            claimed: Gathered::new(),
            gone: Vec::new(),
        };
        while auto.step(stream, (group, consumer), &claim, now, reply)? {}
        if auto.claimed.count() > 0 {
            stream.touch_consumer(group, consumer, None, Some(now))?;
        }
        let next = match auto.next {
            Some(start) => first_pending(&*stream, group, start)?,
            None => None,
        };
        let changes = (auto.claimed.count() + auto.gone.len()) as u64 + u64::from(is_new);
        Ok(((next, auto, changes), true))
    })?;
    let (next, auto, changes) = done.ok_or_else(|| no_group(key, group))?;
    ctx.dirty += changes;
    reply.array(3);
    reply_id(next.unwrap_or(StreamId::MIN), reply);
    auto.claimed.finish(reply);
    reply.array(auto.gone.len());
    auto.gone.iter().for_each(|&id| reply_id(id, reply));
    Ok(())
}

fn first_pending(stream: &dyn StreamView, group: GroupId, start: StreamId) -> Result<Option<StreamId>, CommandError> {
    let mut first = None;
    stream.pending(Owner { group, consumer: None }, IdRange::from(start), &mut |id, _| {
        first = Some(id);
        false
    })?;
    Ok(first)
}

/// How far XAUTOCLAIM has come.
struct Auto {
    /// Where it goes on; none is beyond the largest id.
    next: Option<StreamId>,
    /// Entries it may yet answer.
    left: u64,
    /// Entries it may yet look at.
    attempts: u64,
    claimed: Gathered,
    /// Ids of entries that are no longer there.
    gone: Vec<StreamId>,
}

impl Auto {
    /// Looks at some pending entries; answers whether to go on.
    fn step(
        &mut self,
        stream: &mut dyn StreamEdit,
        place: (GroupId, ConsumerId),
        claim: &Claim,
        now: UnixMs,
        like: &Reply<'_>,
    ) -> Result<bool, CommandError> {
        let Some(start) = self.next else { return Ok(false) };
        let mut ids = Vec::new();
        stream.pending(Owner { group: place.0, consumer: None }, IdRange::from(start), &mut |id, _| {
            ids.push(id);
            ids.len() < BATCH_ENTRIES
        })?;
        for &id in &ids {
            if self.attempts == 0 || self.left == 0 {
                return Ok(false);
            }
            self.attempts -= 1;
            let (is_claimed, changed) = claim.one(stream, place, id, now)?;
            self.left -= u64::from(changed);
            if is_claimed {
                reply_claimed(&*stream, id, claim.just_id, &mut self.claimed, like)?;
            } else if changed {
                self.gone.push(id);
            }
            self.next = id.next();
        }
        Ok(ids.len() == BATCH_ENTRIES && self.left > 0 && self.attempts > 0)
    }
}
