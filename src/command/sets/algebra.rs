//! Intersections, unions and differences.
//!
//! Only one or two sets are open at a time, however many the command names; [`portions`](crate::command::portions) says
//! why.

use super::basic::len;
use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::command::gathered::Gathered;
use crate::command::portions::in_portions;
use crate::command::text::reply_len;
use crate::resp::Reply;
use crate::storage::{SetRead, StorageResult};
use crate::types::number::parse_i64;

/// Where sets are looked up.
trait Sets {
    fn open(&self, key: &[u8]) -> StorageResult<Option<SetRead<'_>>>;
}

impl Sets for ReadContext<'_> {
    fn open(&self, key: &[u8]) -> StorageResult<Option<SetRead<'_>>> {
        let at = self.at(key);
        self.engine(at).members(at, self.now)
    }
}

impl Sets for WriteContext<'_> {
    fn open(&self, key: &[u8]) -> StorageResult<Option<SetRead<'_>>> {
        self.members(key)
    }
}

/// A set that a command names, and its size, 0 when it is not there.
#[derive(Clone, Copy)]
struct Named<'k> {
    key: &'k [u8],
    members: usize,
}

/// Looks every set up once, so that a key of another kind is refused before anything else.
fn name_all<'k>(
    keys: &[&'k [u8]],
    mut look_up: impl FnMut(&[u8]) -> StorageResult<usize>,
) -> StorageResult<Vec<Named<'k>>> {
    keys.iter().map(|&key| Ok(Named { key, members: look_up(key)? })).collect()
}

fn name_read<'k>(ctx: &ReadContext<'_>, keys: &[&'k [u8]]) -> StorageResult<Vec<Named<'k>>> {
    name_all(keys, |key| Ok(ctx.members(key)?.as_ref().map_or(0, len)))
}

fn name_written<'k>(ctx: &WriteContext<'_>, keys: &[&'k [u8]]) -> StorageResult<Vec<Named<'k>>> {
    name_all(keys, |key| Ok(ctx.members(key)?.as_ref().map_or(0, len)))
}

/// The members of the set `first` that all of `others` have, or, if not `wanted`, that none of them has; at most
/// `limit`.
fn filter(
    sets: &dyn Sets,
    first: Named<'_>,
    others: &[Named<'_>],
    wanted: bool,
    limit: usize,
) -> StorageResult<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    let Some(set) = sets.open(first.key)? else { return Ok(found) };
    in_portions(
        |visit| set.for_each(&mut |member| visit(member.to_vec())),
        |mut portion| {
            for other in others {
                let Some(set) = sets.open(other.key)? else { continue };
                let mut kept = Vec::with_capacity(portion.len());
                for member in portion {
                    if set.contains(&member)? == wanted {
                        kept.push(member);
                    }
                }
                portion = kept;
                if portion.is_empty() {
                    break;
                }
            }
            found.append(&mut portion);
            Ok(found.len() < limit)
        },
    )?;
    found.truncate(limit);
    Ok(found)
}

/// At most `limit` of the members that all sets have. Costs the size of the smallest set, times the number of sets.
fn intersection(sets: &dyn Sets, mut named: Vec<Named<'_>>, limit: usize) -> StorageResult<Vec<Vec<u8>>> {
    named.sort_by_key(|set| set.members);
    match named.split_first() {
        Some((first, others)) if first.members > 0 => filter(sets, *first, others, true, limit),
        _ => Ok(Vec::new()),
    }
}

/// The members that any set has.
fn union(sets: &dyn Sets, named: &[Named<'_>]) -> StorageResult<Gathered> {
    let mut all = Gathered::with_capacity(named.iter().map(|set| set.members).max().unwrap_or(0));
    for set in named {
        if let Some(set) = sets.open(set.key)? {
            set.for_each(&mut |member| {
                all.add(member);
                true
            })?;
        }
    }
    Ok(all)
}

/// The members of the first set that no other has.
///
/// Either every member of the first set is looked for in the others, or the members of the others are taken out of the
/// first; as in Redis, whichever reads less, where the former counts half because it may end early.
fn difference(sets: &dyn Sets, named: &[Named<'_>]) -> StorageResult<Vec<Vec<u8>>> {
    let Some((first, others)) = named.split_first() else { return Ok(Vec::new()) };
    if first.members == 0 || others.iter().any(|other| other.key == first.key) {
        return Ok(Vec::new());
    }
    let mut others: Vec<Named<'_>> = others.iter().copied().filter(|other| other.members > 0).collect();
    let lookups = first.members.saturating_mul(others.len() + 1) / 2;
    let removals: usize = first.members + others.iter().map(|other| other.members).sum::<usize>();
    if lookups <= removals {
        // Members are most likely found in the largest sets.
        others.sort_by_key(|other| std::cmp::Reverse(other.members));
        return filter(sets, *first, &others, false, usize::MAX);
    }
    let mut left = union(sets, &[*first])?;
    for other in &others {
        if let Some(set) = sets.open(other.key)? {
            set.for_each(&mut |member| {
                left.remove(member);
                left.len() > 0
            })?;
        }
    }
    Ok(left.into_members())
}

fn reply_members(members: &[Vec<u8>], reply: &mut Reply<'_>) {
    reply.set(members.len());
    members.iter().for_each(|member| reply.bulk(member));
}

/// Puts a set into the place of whatever was at the destination, and replies with its size.
fn store(ctx: &mut WriteContext<'_>, key: &[u8], members: Vec<Vec<u8>>, reply: &mut Reply<'_>) -> CommandResult {
    let count = members.len();
    if count == 0 {
        ctx.remove(key)?;
    } else {
        let at = ctx.at(key);
        ctx.engine_mut(at).put_set(at, members, None)?;
        ctx.dirty += 1;
    }
    reply_len(count, reply);
    Ok(())
}

/// `SINTER key [key ...]`
pub(super) fn sinter(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let named = name_read(ctx, &args[1..])?;
    reply_members(&intersection(ctx, named, usize::MAX)?, reply);
    Ok(())
}

/// `SINTERSTORE destination key [key ...]`
pub(super) fn sinterstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let named = name_written(ctx, &args[2..])?;
    let members = intersection(ctx, named, usize::MAX)?;
    store(ctx, args[1], members, reply)
}

/// `SINTERCARD numkeys key [key ...] [LIMIT limit]`
pub(super) fn sintercard(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const NO_KEYS: CommandError = CommandError::Static("ERR numkeys should be greater than 0");
    const TOO_MANY: CommandError = CommandError::Static("ERR Number of keys can't be greater than number of args");
    const NEGATIVE: CommandError = CommandError::Static("ERR LIMIT can't be negative");
    let keys = parse_i64(args[1]).filter(|&keys| keys > 0).ok_or(NO_KEYS)?;
    let keys = usize::try_from(keys).ok().filter(|&keys| keys <= args.len() - 2).ok_or(TOO_MANY)?;
    let mut limit = 0;
    let mut cursor = Cursor::new(args, 2 + keys);
    while cursor.remaining() > 0 {
        if cursor.remaining() < 2 || !cursor.accept("LIMIT") {
            return Err(SYNTAX);
        }
        limit = parse_i64(cursor.required()?).and_then(|limit| usize::try_from(limit).ok()).ok_or(NEGATIVE)?;
    }
    let named = name_read(ctx, &args[2..2 + keys])?;
    let members = intersection(ctx, named, if limit == 0 { usize::MAX } else { limit })?;
    reply_len(members.len(), reply);
    Ok(())
}

/// `SUNION key [key ...]`
pub(super) fn sunion(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let named = name_read(ctx, &args[1..])?;
    reply_members(&union(ctx, &named)?.into_members(), reply);
    Ok(())
}

/// `SUNIONSTORE destination key [key ...]`
pub(super) fn sunionstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let named = name_written(ctx, &args[2..])?;
    let members = union(ctx, &named)?.into_members();
    store(ctx, args[1], members, reply)
}

/// `SDIFF key [key ...]`
pub(super) fn sdiff(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let named = name_read(ctx, &args[1..])?;
    reply_members(&difference(ctx, &named)?, reply);
    Ok(())
}

/// `SDIFFSTORE destination key [key ...]`
pub(super) fn sdiffstore(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let named = name_written(ctx, &args[2..])?;
    let members = difference(ctx, &named)?;
    store(ctx, args[1], members, reply)
}
