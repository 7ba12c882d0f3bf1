//! What the commands of streams have in common: ids, options, replies.

use crate::command::context::WriteContext;
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, NOT_INTEGER, SYNTAX};
use crate::resp::{Reply, ReplyBuffer};
use crate::storage::streams::{Fields, IdRange, StreamEdit, StreamView, Threshold, Trim};
use crate::types::number::parse_i64;
use crate::types::stream_id::NewId;
use crate::types::{StreamId, UnixMs};

/// The error of an id that is none.
pub(super) const INVALID_ID: CommandError =
    CommandError::Static("ERR Invalid stream ID specified as stream command argument");

/// Reads an id where `-` and `+` have no meaning.
pub(super) fn strict_id(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    StreamId::parse(arg, missing_seq).ok_or(INVALID_ID)
}

/// Reads an id, `-` for the smallest or `+` for the largest.
pub(super) fn lenient_id(arg: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match arg {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict_id(arg, missing_seq),
    }
}

/// The beginning of a range; `(` before it leaves the id itself out.
pub(super) fn range_start(arg: &[u8]) -> Result<StreamId, CommandError> {
    const INVALID: CommandError = CommandError::Static("ERR invalid start ID for the interval");
    match arg {
        [b'(', id @ ..] if !id.is_empty() => strict_id(id, 0)?.next().ok_or(INVALID),
        _ => lenient_id(arg, 0),
    }
}

/// The end of a range; `(` before it leaves the id itself out.
pub(super) fn range_end(arg: &[u8]) -> Result<StreamId, CommandError> {
    const INVALID: CommandError = CommandError::Static("ERR invalid end ID for the interval");
    match arg {
        [b'(', id @ ..] if !id.is_empty() => strict_id(id, u64::MAX)?.previous().ok_or(INVALID),
        _ => lenient_id(arg, u64::MAX),
    }
}

/// Reads an integer, with an error of its own.
pub(super) fn integer_or(arg: &[u8], error: &'static str) -> Result<i64, CommandError> {
    parse_i64(arg).ok_or(CommandError::Static(error))
}

/// The error of a key or a group that is not there.
pub(super) fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::Text(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

/// The error of a group that the stream does not have.
pub(super) fn no_group_of(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::Text(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// The error of a subcommand whose arguments are not as they should be.
pub(super) fn wrong_subcommand(args: &[&[u8]]) -> CommandError {
    const SHOWN_BYTES_MAX: usize = 128;
    let name = args[1];
    let shown = String::from_utf8_lossy(&name[..name.len().min(SHOWN_BYTES_MAX)]);
    let command = String::from_utf8_lossy(args[0]).to_ascii_uppercase();
    CommandError::Text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{shown}'. Try {command} HELP."
    ))
}

/// The time as ids have it.
pub(super) fn id_time(now: UnixMs) -> u64 {
    u64::try_from(now.0).unwrap_or(0)
}

/// Edits the stream at a key. The edit answers a result and whether it changed anything; if it fails, it must not have.
/// `None` when there is no stream and none is to be created.
pub(super) fn edit<T>(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    create: bool,
    edit: impl FnOnce(&mut dyn StreamEdit) -> Result<(T, bool), CommandError>,
) -> Result<Option<T>, CommandError> {
    let (at, now) = (ctx.at(key), ctx.now);
    let mut edit = Some(edit);
    let mut outcome = None;
    ctx.engine_mut(at).edit_stream(at, now, create, &mut |stream| {
        let Some(edit) = edit.take() else { return Ok(false) };
        let (result, changed) = match edit(stream) {
            Ok((result, changed)) => (Ok(result), changed),
            Err(error) => (Err(error), false),
        };
        outcome = Some(result);
        Ok(changed)
    })?;
    outcome.transpose()
}

// ---- options of XADD and XTRIM ----

/// What stands between the key and the fields of XADD, or behind the key of XTRIM.
pub(super) struct AddOptions {
    /// Do not make a stream.
    pub(super) no_stream: bool,
    /// How to trim.
    pub(super) trim: Option<Trim>,
    /// The id of XADD, `None` for XTRIM.
    pub(super) id: Option<NewId>,
    /// Where the fields of XADD begin.
    pub(super) fields_at: usize,
}

impl AddOptions {
    /// Reads the options, checked in Redis's order.
    pub(super) fn parse(args: &[&[u8]], adds: bool) -> Result<Self, CommandError> {
        const TWO_STRATEGIES: CommandError =
            CommandError::Static("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        const NO_STRATEGY: CommandError =
            CommandError::Static("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
        const XTRIM_WITHOUT: CommandError =
            CommandError::Static("ERR syntax error, XTRIM must be called with a trimming strategy");
        const EXACT_LIMIT: CommandError =
            CommandError::Static("ERR syntax error, LIMIT cannot be used without the special ~ option");
        let mut options = Self { no_stream: false, trim: None, id: None, fields_at: args.len() };
        let mut limit = None;
        let mut at = 2;
        while at < args.len() {
            let more = args.len() - 1 - at;
            let is = |word: &str| args[at].eq_ignore_ascii_case(word.as_bytes());
            if adds && args[at] == b"*" {
                options.id = Some(NewId::Auto);
                break;
            }
            let by_length = is("MAXLEN");
            if (by_length || is("MINID")) && more > 0 {
                if options.trim.is_some() {
                    return Err(TWO_STRATEGIES);
                }
                let operator = if more >= 2 && matches!(args[at + 1], b"~" | b"=") { Some(args[at + 1]) } else { None };
                at += 1 + usize::from(operator.is_some());
                let threshold = if by_length { max_len(args[at])? } else { Threshold::MinId(strict_id(args[at], 0)?) };
                options.trim = Some(Trim { threshold, approximate: operator == Some(b"~"), limit: None });
            } else if is("LIMIT") && more > 0 {
                at += 1;
                let number = parse_i64(args[at]).ok_or(NOT_INTEGER)?;
                limit = Some(
                    u64::try_from(number)
                        .map_err(|_negative| CommandError::Static("ERR The LIMIT argument must be >= 0."))?,
                );
            } else if adds && is("NOMKSTREAM") {
                options.no_stream = true;
            } else if adds {
                options.id = Some(StreamId::parse_new(args[at]).ok_or(INVALID_ID)?);
                break;
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        options.fields_at = at + 1;
        match &mut options.trim {
            None if limit.is_some_and(|limit| limit > 0) => return Err(NO_STRATEGY),
            None if !adds => return Err(XTRIM_WITHOUT),
            Some(Trim { approximate: true, limit: place, .. }) => *place = limit,
            _ if limit.is_some() => return Err(EXACT_LIMIT),
            _ => {}
        }
        Ok(options)
    }
}

fn max_len(arg: &[u8]) -> Result<Threshold, CommandError> {
    let number = parse_i64(arg).ok_or(NOT_INTEGER)?;
    let len =
        u64::try_from(number).map_err(|_negative| CommandError::Static("ERR The MAXLEN argument must be >= 0."))?;
    Ok(Threshold::MaxLen(len))
}

/// The `COUNT` of XRANGE and XREAD: negative is none, and what none means is the caller's.
pub(super) fn count_option(cursor: &mut Cursor<'_>) -> Result<u64, CommandError> {
    Ok(u64::try_from(cursor.integer()?).unwrap_or(0))
}

// ---- replies ----

/// Answers an id.
pub(super) fn reply_id(id: StreamId, reply: &mut Reply<'_>) {
    reply.bulk_display(id);
}

/// Answers an entry: its id, and its fields with their values.
pub(super) fn reply_entry(id: StreamId, fields: &Fields<'_>, reply: &mut Reply<'_>) {
    reply.array(2);
    reply_id(id, reply);
    reply.array(fields.len() * 2);
    for (field, value) in fields {
        reply.bulk(field);
        reply.bulk(value);
    }
}

/// Answers all entries.
pub(in crate::command) fn reply_whole(view: &dyn StreamView, reply: &mut Reply<'_>) -> Result<(), CommandError> {
    reply.array(usize::try_from(view.head().len).expect("counts fit the address space"));
    view.entries(IdRange::ALL, false, &mut |id, fields| {
        reply_entry(id, fields, reply);
        true
    })?;
    Ok(())
}

/// Answers the entry of an id, if there is one; answers whether there is.
pub(super) fn reply_one(view: &dyn StreamView, id: StreamId, reply: &mut Reply<'_>) -> Result<bool, CommandError> {
    let mut found = false;
    view.entries(IdRange::one(id), false, &mut |id, fields| {
        reply_entry(id, fields, reply);
        found = true;
        false
    })?;
    Ok(found)
}

/// Replies of which the number is known only at their end.
pub(super) struct Gathered {
    buffer: ReplyBuffer,
    count: usize,
}

impl Gathered {
    /// None so far.
    pub(super) fn new() -> Self {
        Self { buffer: ReplyBuffer::default(), count: 0 }
    }

    /// Where the next one goes, which is counted.
    pub(super) fn next(&mut self, like: &Reply<'_>) -> Reply<'_> {
        self.count += 1;
        self.buffer.reply(like.protocol())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Answers them as an array.
    pub(super) fn finish(mut self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        reply.append(&mut self.buffer);
    }

    /// Answers them without a header.
    pub(super) fn finish_bare(mut self, reply: &mut Reply<'_>) {
        reply.append(&mut self.buffer);
    }
}
