//! XREAD and XREADGROUP.

use super::args::{Gathered, INVALID_ID, count_option, edit, reply_entry, reply_id, reply_one};
use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::resp::{Protocol, Reply};
use crate::storage::streams::{ConsumerId, GroupId, IdRange, Owner, Pending, StreamEdit, StreamView};
use crate::types::number::parse_i64;
use crate::types::{StreamId, UnixMs};

/// From where on a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// After an id.
    After(StreamId),
    /// After what is there (`$`).
    Now,
    /// After what the group has delivered (`>`).
    Undelivered,
}

/// The arguments of XREAD and XREADGROUP.
pub(super) struct ReadArgs<'a> {
    /// `BLOCK`, in milliseconds; 0 is for ever.
    pub(super) block_ms: Option<u64>,
    /// Most entries of each stream; 0 is no limit.
    pub(super) count: u64,
    /// Group and consumer.
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Where the keys begin among the arguments.
    pub(super) keys_at: usize,
    pub(super) keys: &'a [&'a [u8]],
    pub(super) ids: &'a [&'a [u8]],
}

impl<'a> ReadArgs<'a> {
    pub(super) fn parse(args: &'a [&'a [u8]]) -> Result<Self, CommandError> {
        const ONLY_GROUP: CommandError =
            CommandError::Static("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
        const ONLY_NOACK: CommandError =
            CommandError::Static("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
        const NO_GROUP: CommandError = CommandError::Static("ERR Missing GROUP option for XREADGROUP");
        const UNBALANCED: CommandError = CommandError::Static(
            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
        );
        let groups = args[0].eq_ignore_ascii_case(b"XREADGROUP");
        let mut parsed = Self { block_ms: None, count: 0, group: None, no_ack: false, keys_at: 0, keys: &[], ids: &[] };
        let mut cursor = Cursor::new(args, 1);
        while cursor.remaining() > 0 {
            let more = cursor.remaining() - 1;
            if more > 0 && cursor.accept("BLOCK") {
                parsed.block_ms = Some(timeout(cursor.required()?)?);
            } else if more > 0 && cursor.accept("COUNT") {
                parsed.count = count_option(&mut cursor)?;
            } else if more > 0 && cursor.accept("STREAMS") {
                parsed.keys_at = args.len() - cursor.remaining();
                let streams = &args[parsed.keys_at..];
                if !streams.len().is_multiple_of(2) {
                    return Err(UNBALANCED);
                }
                (parsed.keys, parsed.ids) = streams.split_at(streams.len() / 2);
                break;
            } else if more >= 2 && cursor.accept("GROUP") {
                if !groups {
                    return Err(ONLY_GROUP);
                }
                parsed.group = Some((cursor.required()?, cursor.required()?));
            } else if cursor.accept("NOACK") {
                if !groups {
                    return Err(ONLY_NOACK);
                }
                parsed.no_ack = true;
            } else {
                return Err(SYNTAX);
            }
        }
        if parsed.keys.is_empty() {
            return Err(SYNTAX);
        }
        if groups && parsed.group.is_none() {
            return Err(NO_GROUP);
        }
        Ok(parsed)
    }

    /// From where on the stream at a position among the keys is read.
    pub(super) fn from(&self, position: usize) -> Result<From, CommandError> {
        const MEANINGLESS: CommandError = CommandError::Static(
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
             specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        );
        const ONLY_GROUPS: CommandError = CommandError::Static(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        );
        match (self.ids[position], self.group) {
            (b"$", Some(_)) => Err(MEANINGLESS),
            (b"$", None) => Ok(From::Now),
            (b">", None) => Err(ONLY_GROUPS),
            (b">", Some(_)) => Ok(From::Undelivered),
            (id, group) => match StreamId::parse(id, 0).ok_or(INVALID_ID)? {
                // Redis uses this id for `>`.
                StreamId::MAX if group.is_some() => Ok(From::Undelivered),
                id => Ok(From::After(id)),
            },
        }
    }

    fn limit(&self) -> usize {
        if self.count == 0 { usize::MAX } else { usize::try_from(self.count).unwrap_or(usize::MAX) }
    }
}

/// How long an XREAD or XREADGROUP is to wait, in milliseconds, 0 for ever; `None` when it does not wait, or is refused.
pub(in crate::command) fn block_ms(args: &[&[u8]]) -> Option<u64> {
    ReadArgs::parse(args).ok()?.block_ms
}

/// Reads the timeout of `BLOCK`.
fn timeout(arg: &[u8]) -> Result<u64, CommandError> {
    const NO_NUMBER: CommandError = CommandError::Static("ERR timeout is not an integer or out of range");
    const NEGATIVE: CommandError = CommandError::Static("ERR timeout is negative");
    u64::try_from(parse_i64(arg).ok_or(NO_NUMBER)?).map_err(|_negative| NEGATIVE)
}

/// The error of a key or group that XREADGROUP does not find.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::Text(format!(
        "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
    ))
}

/// The streams of which something was read, as one reply: in RESP3 a map, in RESP2 an array of pairs.
struct Streams {
    gathered: Gathered,
}

impl Streams {
    fn add(&mut self, key: &[u8], entries: Gathered, like: &Reply<'_>) {
        let mut reply = self.gathered.next(like);
        if reply.protocol() == Protocol::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
        entries.finish(&mut reply);
    }

    fn finish(self, reply: &mut Reply<'_>) {
        match (self.gathered.count(), reply.protocol()) {
            (0, _) => reply.null_array(),
            (_, Protocol::Resp2) => self.gathered.finish(reply),
            (count, Protocol::Resp3) => {
                reply.map(count);
                self.gathered.finish_bare(reply);
            }
        }
    }
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]`
///
/// With nothing to read it answers as when the time has run out; waiting is not its affair.
pub(super) fn xread(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let read = ReadArgs::parse(args)?;
    let mut streams = Streams { gathered: Gathered::new() };
    // One stream is open at a time: an open one of a row engine holds a view of the engine's files.
    for (position, key) in read.keys.iter().enumerate() {
        let stream = ctx.stream(key)?;
        let (From::After(id), Some(stream)) = (read.from(position)?, stream) else { continue };
        let Some(start) = id.next() else { continue };
        let entries = read_entries(&*stream, start, read.limit(), reply, &mut |_| ())?;
        if entries.count() > 0 {
            streams.add(key, entries, reply);
        }
    }
    streams.finish(reply);
    Ok(())
}

/// The entries from an id on; `note` gets the id of each.
fn read_entries(
    stream: &dyn StreamView,
    start: StreamId,
    limit: usize,
    like: &Reply<'_>,
    note: &mut dyn FnMut(StreamId),
) -> Result<Gathered, CommandError> {
    let mut entries = Gathered::new();
    stream.entries(IdRange::from(start), false, &mut |id, fields| {
        reply_entry(id, fields, &mut entries.next(like));
        note(id);
        entries.count() < limit
    })?;
    Ok(entries)
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key ...] id [id ...]`
///
/// With nothing to read it answers as when the time has run out; waiting is not its affair.
pub(super) fn xreadgroup(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let read = ReadArgs::parse(args)?;
    let Some((group, consumer)) = read.group else { return Err(SYNTAX) };
    let mut from = Vec::with_capacity(read.keys.len());
    for (position, key) in read.keys.iter().enumerate() {
        let at = ctx.at(key);
        let found = match ctx.engine(at).stream(at, ctx.now)? {
            Some(stream) => stream.group(group)?.is_some(),
            None => false,
        };
        if !found {
            return Err(no_group(key, group));
        }
        from.push(read.from(position)?);
    }
    let mut streams = Streams { gathered: Gathered::new() };
    for (from, key) in from.into_iter().zip(read.keys) {
        let now = ctx.now;
        let served = edit(ctx, key, false, |stream| {
            let Some((group, _)) = stream.group(group)? else { return Err(no_group(key, group)) };
            let (consumer, is_new) = consumer_of(stream, group, consumer, now)?;
            let (entries, changed) = match from {
                From::After(id) => (Some(history(stream, group, consumer, id, &read, now, reply)?), false),
                From::Undelivered | From::Now => deliver(stream, group, consumer, &read, now, reply)?,
            };
            Ok(((entries, u64::from(is_new) + u64::from(changed)), true))
        })?;
        let Some((entries, changes)) = served else { continue };
        ctx.dirty += changes;
        if let Some(entries) = entries {
            streams.add(key, entries, reply);
        }
    }
    streams.finish(reply);
    Ok(())
}

/// A consumer that asks for something, made if it is not there; answers whether it was made.
pub(super) fn consumer_of(
    stream: &mut dyn StreamEdit,
    group: GroupId,
    name: &[u8],
    now: UnixMs,
) -> Result<(ConsumerId, bool), CommandError> {
    match stream.consumer(group, name)? {
        Some((consumer, _)) => {
            stream.touch_consumer(group, consumer, Some(now), None)?;
            Ok((consumer, false))
        }
        None => Ok((stream.create_consumer(group, name, now)?, true)),
    }
}

/// Delivers what the group has not delivered. Answers the entries, if there are any, and whether any is now pending
/// or the group has gone on.
fn deliver(
    stream: &mut dyn StreamEdit,
    group: GroupId,
    consumer: ConsumerId,
    read: &ReadArgs<'_>,
    now: UnixMs,
    like: &Reply<'_>,
) -> Result<(Option<Gathered>, bool), CommandError> {
    let head = stream.head();
    let Some((_, mut group_head)) = read.group.map_or(Ok(None), |(name, _)| stream.group(name))? else {
        return Ok((None, false));
    };
    let Some(start) = group_head.last.next() else { return Ok((None, false)) };
    let mut ids = Vec::new();
    let entries = read_entries(&*stream, start, read.limit(), like, &mut |id| {
        group_head.deliver(&head, id);
        ids.push(id);
    })?;
    if ids.is_empty() {
        return Ok((None, false));
    }
    stream.set_group(group, group_head.last, group_head.entries_read)?;
    if !read.no_ack {
        for id in ids {
            stream.put_pending(group, id, Pending { consumer, delivered_at: now, deliveries: 1 })?;
        }
        stream.touch_consumer(group, consumer, None, Some(now))?;
    }
    Ok((Some(entries), true))
}

/// What is pending with the consumer after an id, delivered once more. Entries that are gone have no fields.
fn history(
    stream: &mut dyn StreamEdit,
    group: GroupId,
    consumer: ConsumerId,
    after: StreamId,
    read: &ReadArgs<'_>,
    now: UnixMs,
    like: &Reply<'_>,
) -> Result<Gathered, CommandError> {
    let mut entries = Gathered::new();
    let Some(start) = after.next() else { return Ok(entries) };
    let mut pending = Vec::new();
    let owner = Owner { group, consumer: Some(consumer) };
    stream.pending(owner, IdRange::from(start), &mut |id, entry| {
        pending.push((id, *entry));
        pending.len() < read.limit()
    })?;
    for (id, entry) in pending {
        let mut reply = entries.next(like);
        if reply_one(&*stream, id, &mut reply)? {
            let deliveries = entry.deliveries.saturating_add(1);
            stream.put_pending(group, id, Pending { delivered_at: now, deliveries, ..entry })?;
        } else {
            reply.array(2);
            reply_id(id, &mut reply);
            reply.null_array();
        }
    }
    Ok(entries)
}
