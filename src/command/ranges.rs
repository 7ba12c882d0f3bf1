//! Keys in order: KEYRANGE and KEYCOUNT, which Redis does not have.
//!
//! They need every engine that can hold a key of the range to be ordered by key. Which those are follows
//! from the keyspace rules: a range inside the prefix of one keyspace concerns that keyspace alone.

use std::ops::Bound;

use super::context::ReadContext;
use super::cursor::Cursor;
use super::error::{CommandError, CommandResult, SYNTAX};
use super::spec::{Arg, Arity, CommandSpec, Flags, Group, Handler};
use super::text::{reply_len, reply_string};
use crate::resp::{Protocol, Reply};
use crate::storage::{EngineKind, KeyspaceRule, Kind, Object, StorageResult};

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "KEYCOUNT",
        since: "0.1.0",
        group: Group::Generic,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::KEYSPACE),
        summary: "Counts the keys between two bounds, in a keyspace that is ordered by key.",
        complexity: "O(N)",
        args: &[Arg::string("start"), Arg::string("end")],
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        handler: Handler::Read(keycount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "KEYRANGE",
        since: "0.1.0",
        group: Group::Generic,
        arity: Arity::at_least(3),
        flags: Flags::READONLY.or(Flags::KEYSPACE),
        summary: "Returns the keys between two bounds in byte order, in a keyspace that is ordered by key.",
        complexity: "O(N)",
        args: &[
            Arg::string("start"),
            Arg::string("end"),
            Arg::integer("count").after("LIMIT").optional(),
            Arg::word("rev", "REV").optional(),
            Arg::word("withvalues", "WITHVALUES").optional(),
        ],
        tips: &["request_policy:all_shards", "response_policy:special"],
        handler: Handler::Read(keyrange),
        ..CommandSpec::BASE
    },
];

/// `KEYCOUNT start end`
fn keycount(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let range = Range { start: bound(args[1])?, end: bound(args[2])? };
    let mut count = 0;
    for engine in range.engines(ctx, "KEYCOUNT")? {
        range.visit(ctx, engine, false, &mut |_key, _kind| {
            count += 1;
            true
        })?;
    }
    reply_len(count, reply);
    Ok(())
}

/// `KEYRANGE start end [LIMIT count] [REV] [WITHVALUES]`
fn keyrange(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let mut range = Range { start: bound(args[1])?, end: bound(args[2])? };
    let options = Options::parse(args)?;
    if options.reverse && range.is_backwards() {
        std::mem::swap(&mut range.start, &mut range.end);
    }
    let engines = range.engines(ctx, "KEYRANGE")?;
    let mut keys: Vec<(Vec<u8>, Kind)> = Vec::new();
    for &engine in &engines {
        let mut left = options.limit;
        range.visit(ctx, engine, options.reverse, &mut |key, kind| {
            if left > 0 {
                keys.push((key.to_vec(), kind));
                left -= 1;
            }
            left > 0
        })?;
    }
    if engines.len() > 1 {
        keys.sort_unstable_by(|(a, _), (b, _)| if options.reverse { b.cmp(a) } else { a.cmp(b) });
        keys.truncate(options.limit);
    }
    let nested = options.with_values && reply.protocol() == Protocol::Resp3;
    reply.array(if options.with_values && !nested { keys.len() * 2 } else { keys.len() });
    for (key, kind) in &keys {
        if nested {
            reply.array(2);
        }
        reply.bulk(key);
        if options.with_values {
            reply_value(ctx, key, *kind, reply)?;
        }
    }
    Ok(())
}

/// Replies with the whole value: a string, fields and values, elements, members, or members and scores.
fn reply_value(ctx: &ReadContext<'_>, key: &[u8], kind: Kind, reply: &mut Reply<'_>) -> CommandResult {
    let at = ctx.at(key);
    let engine = ctx.engine(at);
    match kind {
        Kind::String => match engine.string(at, ctx.now)? {
            Some(value) => reply_string(&value, reply),
            None => reply.null(),
        },
        Kind::Hash => match engine.hash(at, ctx.now)? {
            Some(hash) => {
                reply.map(usize::try_from(hash.len()).expect("counts fit the address space"));
                hash.for_each(&mut |field, value| {
                    reply.bulk(field);
                    reply.bulk(value);
                    true
                })?;
            }
            None => reply.null(),
        },
        Kind::Zset => match engine.zset(at, ctx.now)? {
            Some(zset) => super::zsets::reply_whole(&zset, reply)?,
            None => reply.null(),
        },
        Kind::List => match engine.list(at, ctx.now)? {
            Some(list) => {
                reply.array(usize::try_from(list.len()).expect("counts fit the address space"));
                list.walk(0, false, &mut |element| {
                    reply.bulk(element);
                    true
                })?;
            }
            None => reply.null(),
        },
        Kind::Set => match engine.set_object(at, ctx.now)? {
            Some(Object::Set(members)) => {
                reply.set(members.len());
                members.iter().for_each(|member| reply.bulk(member));
            }
            _ => reply.null(),
        },
        Kind::Stream => match engine.stream(at, ctx.now)? {
            Some(stream) => super::streams::reply_whole(&*stream, reply)?,
            None => reply.null(),
        },
    }
    Ok(())
}

struct Options {
    limit: usize,
    reverse: bool,
    with_values: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        const NEGATIVE: CommandError = CommandError::Static("ERR LIMIT can't be negative");
        let mut options = Self { limit: usize::MAX, reverse: false, with_values: false };
        let mut cursor = Cursor::new(args, 3);
        while cursor.remaining() > 0 {
            if cursor.accept("LIMIT") {
                options.limit = usize::try_from(cursor.integer()?).map_err(|_negative| NEGATIVE)?;
            } else if cursor.accept("REV") {
                options.reverse = true;
            } else if cursor.accept("WITHVALUES") {
                options.with_values = true;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }
}

/// One end of a range, as ZRANGEBYLEX writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit<'a> {
    /// `-`: before all keys.
    Lowest,
    /// `+`: after all keys.
    Highest,
    /// `[key`
    Including(&'a [u8]),
    /// `(key`
    Excluding(&'a [u8]),
}

fn bound(arg: &[u8]) -> Result<Limit<'_>, CommandError> {
    match arg {
        b"-" => Ok(Limit::Lowest),
        b"+" => Ok(Limit::Highest),
        [b'[', key @ ..] => Ok(Limit::Including(key)),
        [b'(', key @ ..] => Ok(Limit::Excluding(key)),
        _ => Err(CommandError::Static("ERR min or max not valid string range item")),
    }
}

/// Start and end as the engines take them.
type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

struct Range<'a> {
    start: Limit<'a>,
    end: Limit<'a>,
}

/// A keyspace rule, or none for the keys that no rule takes.
type Keyspace<'a> = Option<&'a KeyspaceRule>;

impl Range<'_> {
    /// Whether the end lies before the start.
    fn is_backwards(&self) -> bool {
        use Limit::{Excluding, Highest, Including, Lowest};
        match (self.start, self.end) {
            (Highest, end) => end != Highest,
            (start, Lowest) => start != Lowest,
            (Including(start) | Excluding(start), Including(end) | Excluding(end)) => start > end,
            _ => false,
        }
    }

    /// The bounds, unless no key can lie between them.
    fn bounds(&self) -> Option<Bounds<'_>> {
        let start = match self.start {
            Limit::Lowest => Bound::Unbounded,
            Limit::Highest => return None,
            Limit::Including(key) => Bound::Included(key),
            Limit::Excluding(key) => Bound::Excluded(key),
        };
        let end = match self.end {
            Limit::Lowest => return None,
            Limit::Highest => Bound::Unbounded,
            Limit::Including(key) => Bound::Included(key),
            Limit::Excluding(key) => Bound::Excluded(key),
        };
        let empty = match (start, end) {
            (Bound::Included(a), Bound::Included(b)) => a > b,
            (Bound::Included(a) | Bound::Excluded(a), Bound::Included(b) | Bound::Excluded(b)) => a >= b,
            _ => false,
        };
        (!empty).then_some((start, end))
    }

    /// Whether every key of the range starts with the prefix; of an empty range, whether both bounds
    /// lie among such keys.
    fn lies_inside(&self, prefix: &[u8]) -> bool {
        let next = successor(prefix);
        let below_next = |key: &[u8]| next.as_ref().is_none_or(|next| key < next.as_slice());
        let start_inside = match self.start {
            Limit::Lowest => prefix.is_empty(),
            Limit::Highest => next.is_none(),
            Limit::Including(key) | Limit::Excluding(key) => key >= prefix && below_next(key),
        };
        let end_inside = match self.end {
            Limit::Lowest => prefix.is_empty(),
            Limit::Highest => next.is_none(),
            Limit::Including(key) => key >= prefix && below_next(key),
            Limit::Excluding(key) => key >= prefix && (below_next(key) || next.as_deref() == Some(key)),
        };
        start_inside && end_inside
    }

    /// Whether some key that starts with the prefix may lie in the range.
    fn touches(&self, prefix: &[u8]) -> bool {
        let Some((start, end)) = self.bounds() else { return false };
        let reaches_end = match end {
            Bound::Unbounded => true,
            Bound::Included(key) => key >= prefix,
            Bound::Excluded(key) => key > prefix,
        };
        let reaches_start = match (start, successor(prefix)) {
            (Bound::Included(key) | Bound::Excluded(key), Some(next)) => key < next.as_slice(),
            _ => true,
        };
        reaches_end && reaches_start
    }

    /// The keyspaces that can hold keys of the range, the one around all of it first.
    fn keyspaces<'c>(&self, ctx: &ReadContext<'c>) -> Vec<Keyspace<'c>> {
        let rules = || ctx.store.rules().rules().iter().filter(|rule| rule.db == ctx.db);
        // The rules come longest prefix first.
        let around = rules().find(|rule| self.lies_inside(&rule.prefix));
        let longer = around.map_or(0, |rule| rule.prefix.len() + 1);
        let inside = rules().filter(|rule| rule.prefix.len() >= longer && !rule.prefix.is_empty());
        std::iter::once(around).chain(inside.filter(|rule| self.touches(&rule.prefix)).map(Some)).collect()
    }

    /// The engines to ask. All are ordered by key.
    fn engines(&self, ctx: &ReadContext<'_>, command: &str) -> Result<Vec<EngineKind>, CommandError> {
        let mut engines = Vec::new();
        for keyspace in self.keyspaces(ctx) {
            let kind = keyspace.map_or(ctx.store.rules().default_engine(), |rule| rule.engine);
            let engine = ctx.store.engine_of_kind(kind).expect("rules name only open engines");
            let mut stop = |_: &[u8], _| false;
            if engine.range(ctx.db, Bound::Unbounded, Bound::Unbounded, false, ctx.now, &mut stop)?.is_none() {
                return Err(not_ordered(command, ctx.db.0, keyspace, kind));
            }
            if !engines.contains(&kind) {
                engines.push(kind);
            }
        }
        Ok(engines)
    }

    fn visit(
        &self,
        ctx: &ReadContext<'_>,
        kind: EngineKind,
        reverse: bool,
        visit: &mut dyn FnMut(&[u8], Kind) -> bool,
    ) -> StorageResult<()> {
        let Some((start, end)) = self.bounds() else { return Ok(()) };
        let engine = ctx.store.engine_of_kind(kind).expect("rules name only open engines");
        engine.range(ctx.db, start, end, reverse, ctx.now, visit)?;
        Ok(())
    }
}

fn not_ordered(command: &str, db: u16, keyspace: Keyspace<'_>, engine: EngineKind) -> CommandError {
    let keyspace = match keyspace {
        Some(rule) => format!("keyspace '{}' of database {db}", rule.name),
        None => format!("the default keyspace of database {db}"),
    };
    CommandError::Text(format!(
        "ERR {command} needs keys in byte order, and {keyspace} is kept by the {engine} engine, which is not ordered \
         by key; configure a keyspace with the {} engine for such keys",
        EngineKind::BTree
    ))
}

/// The lowest key above all that start with the prefix; `None` when there is no such key.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range<'a>(start: &'a str, end: &'a str) -> Range<'a> {
        let bound = |text: &'a str| bound(text.as_bytes()).expect("the bound is one");
        Range { start: bound(start), end: bound(end) }
    }

    #[test]
    fn bounds_are_those_of_zrangebylex() {
        for bad in ["", "a", "--", "++", "]a"] {
            assert!(bound(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(bound(b"[").ok(), Some(Limit::Including(b"")));
        assert_eq!(bound(b"(a").ok(), Some(Limit::Excluding(b"a")));
    }

    #[test]
    fn empty_ranges_have_no_bounds() {
        for (start, end) in
            [("[b", "[a"), ("(a", "[a"), ("(a", "(a"), ("[a", "(a"), ("+", "-"), ("+", "[a"), ("[a", "-")]
        {
            assert!(range(start, end).bounds().is_none(), "{start} {end}");
        }
        for (start, end) in [("[a", "[a"), ("-", "+"), ("(a", "[b"), ("-", "(a")] {
            assert!(range(start, end).bounds().is_some(), "{start} {end}");
        }
    }

    #[test]
    fn ranges_inside_a_prefix() {
        for (start, end) in [("[user:", "(user;"), ("(user:a", "[user:b"), ("[user:", "[user:zzz")] {
            assert!(range(start, end).lies_inside(b"user:"), "{start} {end}");
        }
        for (start, end) in [("-", "[user:z"), ("[user:", "+"), ("[user:", "[user;"), ("[usa", "[user:")] {
            assert!(!range(start, end).lies_inside(b"user:"), "{start} {end}");
            assert!(range(start, end).touches(b"user:"), "{start} {end}");
            assert!(range(start, end).lies_inside(b""));
        }
        assert!(!range("[z", "[a").lies_inside(b"user:"));
        assert!(!range("[user;", "+").touches(b"user:"));
        assert!(!range("-", "(user:").touches(b"user:"));
        assert!(range("[\u{ff}", "+").touches(b"\xff"));
    }

    #[test]
    fn successors_skip_highest_bytes() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(successor(b"\xff\xff"), None);
    }
}
