//! XPENDING.

use super::args::{Gathered, no_group, range_end, range_start, reply_id};
use crate::command::context::ReadContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::text::Decimal;
use crate::resp::Reply;
use crate::storage::streams::{ConsumerId, GroupId, IdRange, Owner, StreamView};
use crate::types::UnixMs;

/// `[IDLE min-idle-time] start end count [consumer]`
struct Filter<'a> {
    min_idle_ms: i64,
    range: IdRange,
    count: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// Reads the filter; `None` when there is none. The order of checks is Redis's.
    fn parse(args: &'a [&'a [u8]]) -> Result<Option<Self>, CommandError> {
        match args.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(SYNTAX),
        }
        let mut cursor = Cursor::new(args, 3);
        let mut min_idle_ms = 0;
        if cursor.accept("IDLE") {
            min_idle_ms = cursor.integer()?;
            if args.len() < 8 {
                return Err(SYNTAX);
            }
        }
        let (start, end) = (cursor.required()?, cursor.required()?);
        let count = u64::try_from(cursor.integer()?).unwrap_or(0);
        let range = IdRange { start: range_start(start)?, end: range_end(end)? };
        Ok(Some(Self { min_idle_ms, range, count, consumer: cursor.next_arg() }))
    }
}

/// `XPENDING key group [[IDLE min-idle-time] start end count [consumer]]`
pub(super) fn xpending(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let filter = Filter::parse(args)?;
    let stream = ctx.stream(args[1])?.ok_or_else(|| no_group(args[1], args[2]))?;
    let (group, head) = stream.group(args[2])?.ok_or_else(|| no_group(args[1], args[2]))?;
    match filter {
        Some(filter) => list(&*stream, group, &filter, ctx.now, reply),
        None => summary(&*stream, group, head.pending, reply),
    }
}

fn summary(stream: &dyn StreamView, group: GroupId, pending: u64, reply: &mut Reply<'_>) -> CommandResult {
    reply.array(4);
    reply.integer(i64::try_from(pending).unwrap_or(i64::MAX));
    let Some((first, last)) = stream.pending_bounds(group)? else {
        reply.null();
        reply.null();
        reply.null_array();
        return Ok(());
    };
    reply_id(first, reply);
    reply_id(last, reply);
    let mut consumers = Gathered::new();
    stream.consumers(group, &mut |name, _, head| {
        if head.pending > 0 {
            let mut reply = consumers.next(reply);
            reply.array(2);
            reply.bulk(name);
            reply.bulk(Decimal::new(i64::try_from(head.pending).unwrap_or(i64::MAX)).as_bytes());
        }
        true
    })?;
    consumers.finish(reply);
    Ok(())
}

fn list(
    stream: &dyn StreamView,
    group: GroupId,
    filter: &Filter<'_>,
    now: UnixMs,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let consumer = match filter.consumer {
        None => None,
        Some(name) => match stream.consumer(group, name)? {
            Some((consumer, _)) => Some(consumer),
            None => {
                reply.array(0);
                return Ok(());
            }
        },
    };
    let mut found = Vec::new();
    if filter.count > 0 {
        stream.pending(Owner { group, consumer }, filter.range, &mut |id, pending| {
            let idle_ms = now.0.saturating_sub(pending.delivered_at.0);
            if filter.min_idle_ms == 0 || idle_ms >= filter.min_idle_ms {
                found.push((id, *pending, idle_ms));
            }
            (found.len() as u64) < filter.count
        })?;
    }
    reply.array(found.len());
    let mut names = Names::new(stream, group);
    for (id, pending, idle_ms) in found {
        reply.array(4);
        reply_id(id, reply);
        reply.bulk(names.of(pending.consumer)?);
        reply.integer(idle_ms.max(0));
        reply.integer(i64::try_from(pending.deliveries).unwrap_or(i64::MAX));
    }
    Ok(())
}

/// Names of consumers, looked up when they change from one entry to the next.
pub(super) struct Names<'s> {
    stream: &'s dyn StreamView,
    group: GroupId,
    last: Option<(ConsumerId, Vec<u8>)>,
}

impl<'s> Names<'s> {
    pub(super) fn new(stream: &'s dyn StreamView, group: GroupId) -> Self {
        Self { stream, group, last: None }
    }

    /// The name of a consumer.
    pub(super) fn of(&mut self, consumer: ConsumerId) -> Result<&[u8], CommandError> {
        let is_last = self.last.as_ref().is_some_and(|(last, _)| *last == consumer);
        if !is_last {
            self.last = Some((consumer, self.stream.consumer_name(self.group, consumer)?));
        }
        Ok(self.last.as_ref().map_or(&[], |(_, name)| name))
    }
}
