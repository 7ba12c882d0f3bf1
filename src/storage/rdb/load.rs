//! Values from their bodies, in every form that Redis has written so far.

use super::expiring_hash;
use super::input::Input;
use super::kinds::*;
use super::listpack::{self, Item};
use super::{intset, stream, ziplist, zipmap};
use crate::codec::DecodeError;
use crate::storage::Object;
use crate::types::number::parse_f64;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
type Scored = Vec<(Vec<u8>, f64)>;

/// Reads the body of a value of a form.
pub(super) fn load(kind: u8, input: &mut Input<'_>) -> Result<Object, DecodeError> {
    match kind {
        STRING => Ok(Object::String(input.string()?.into_owned())),
        LIST | LIST_ZIPLIST | LIST_QUICKLIST | LIST_QUICKLIST_2 => load_list(kind, input),
        SET | SET_INTSET | SET_LISTPACK => load_set(kind, input),
        HASH | HASH_ZIPMAP | HASH_ZIPLIST | HASH_LISTPACK => load_hash(kind, input),
        ZSET | ZSET_2 | ZSET_ZIPLIST | ZSET_LISTPACK => load_zset(kind, input),
        STREAM | STREAM_2 | STREAM_3 => Ok(Object::Stream(Box::new(stream::load(kind, input)?))),
        HASH_METADATA | HASH_LISTPACK_EX => {
            let fields = expiring_hash::load(kind, input)?;
            check_names(input, fields.iter().map(|field| field.field.as_slice()))?;
            Ok(expiring_hash::object(fields))
        }
        MODULE | MODULE_OLD => Err(input.error("a value of a module")),
        _ => Err(input.error("a value of a form that there is not")),
    }
}

fn owned(items: Vec<Item<'_>>) -> Vec<Vec<u8>> {
    items.into_iter().map(|item| item.into_bytes().into_owned()).collect()
}

/// Gives every item of a packed string to `take`.
fn packed<T>(
    input: &mut Input<'_>,
    decode: fn(&[u8]) -> Result<Vec<Item<'_>>, DecodeError>,
    take: impl FnOnce(Vec<Item<'_>>) -> T,
) -> Result<T, DecodeError> {
    Ok(take(decode(&input.string()?)?))
}

fn load_list(kind: u8, input: &mut Input<'_>) -> Result<Object, DecodeError> {
    let elements = match kind {
        LIST => {
            let count = input.count_of_value(1)?;
            input.strings(count)?
        }
        LIST_ZIPLIST => packed(input, ziplist::decode, owned)?,
        _ => {
            let mut elements = Vec::new();
            for _ in 0..input.count_of_value(1)? {
                if kind == LIST_QUICKLIST {
                    packed(input, ziplist::decode, |items| elements.append(&mut owned(items)))?;
                    continue;
                }
                match input.length()? {
                    NODE_PLAIN => elements.push(input.string()?.into_owned()),
                    NODE_PACKED => packed(input, listpack::decode, |items| elements.append(&mut owned(items)))?,
                    _ => return Err(input.error("a node of a list of a form that there is not")),
                }
            }
            elements
        }
    };
    if elements.is_empty() { Err(input.error("a list without elements")) } else { Ok(Object::List(elements)) }
}

/// Refuses names that stand twice, and a value without any.
fn check_names<'n>(input: &Input<'_>, names: impl Iterator<Item = &'n [u8]>) -> Result<(), DecodeError> {
    let mut names: Vec<&[u8]> = names.collect();
    if names.is_empty() {
        return Err(input.error("a value without items"));
    }
    names.sort_unstable();
    let unique = names.windows(2).all(|pair| pair[0] != pair[1]);
    if unique { Ok(()) } else { Err(input.error("an item that stands twice")) }
}

fn load_set(kind: u8, input: &mut Input<'_>) -> Result<Object, DecodeError> {
    let members = match kind {
        SET => {
            let count = input.count_of_value(1)?;
            input.strings(count)?
        }
        SET_LISTPACK => packed(input, listpack::decode, owned)?,
        _ => {
            // They are in order, so all are different.
            let members = intset::decode(&input.string()?)?;
            let members = members.into_iter().map(|member| member.to_string().into_bytes());
            return Ok(Object::Set(members.collect()));
        }
    };
    check_names(input, members.iter().map(Vec::as_slice))?;
    Ok(Object::Set(members))
}

fn paired(input: &Input<'_>, items: Vec<Vec<u8>>) -> Result<Pairs, DecodeError> {
    if items.len() % 2 == 1 {
        return Err(input.error("a field without a value"));
    }
    let mut items = items.into_iter();
    let mut pairs = Vec::with_capacity(items.len() / 2);
    while let (Some(field), Some(value)) = (items.next(), items.next()) {
        pairs.push((field, value));
    }
    Ok(pairs)
}

fn load_hash(kind: u8, input: &mut Input<'_>) -> Result<Object, DecodeError> {
    let items = match kind {
        HASH => {
            let count = input.count_of_value(2)?;
            input.strings(2 * count)?
        }
        HASH_ZIPMAP => zipmap::decode(&input.string()?)?,
        HASH_ZIPLIST => packed(input, ziplist::decode, owned)?,
        _ => packed(input, listpack::decode, owned)?,
    };
    let pairs = paired(input, items)?;
    check_names(input, pairs.iter().map(|(field, _)| field.as_slice()))?;
    Ok(Object::Hash(pairs))
}

/// Scores as old versions wrote them: as text, or as a length that stands for what has no digits.
fn text_score(input: &mut Input<'_>) -> Result<Option<f64>, DecodeError> {
    Ok(match input.u8()? {
        253 => None,
        254 => Some(f64::INFINITY),
        255 => Some(f64::NEG_INFINITY),
        length => parse_f64(input.bytes(usize::from(length))?),
    })
}

fn item_score(item: Item<'_>) -> Option<f64> {
    match item {
        Item::Int(number) => Some(number as f64),
        Item::Bytes(text) => parse_f64(text),
    }
}

fn load_zset(kind: u8, input: &mut Input<'_>) -> Result<Object, DecodeError> {
    let mut members: Scored = Vec::new();
    match kind {
        ZSET | ZSET_2 => {
            let score_bytes = if kind == ZSET { 1 } else { 8 };
            for _ in 0..input.count_of_value(1 + score_bytes)? {
                let member = input.string()?.into_owned();
                let score = if kind == ZSET { text_score(input)? } else { Some(f64::from_le_bytes(input.array()?)) };
                members.push((member, valid_score(input, score)?));
            }
            // They are written from the last to the first, but may stand in any order.
            members.sort_unstable_by(|(a, low), (b, high)| low.total_order(*high).then_with(|| a.cmp(b)));
        }
        _ => {
            let decode = if kind == ZSET_ZIPLIST { ziplist::decode } else { listpack::decode };
            let scored = packed(input, decode, |items| {
                let (pairs, rest) = items.as_chunks::<2>();
                let scored: Vec<_> = pairs
                    .iter()
                    .map(|[member, score]| (member.into_bytes().into_owned(), item_score(*score)))
                    .collect();
                rest.is_empty().then_some(scored)
            })?;
            let Some(scored) = scored else { return Err(input.error("a member without a score")) };
            for (member, score) in scored {
                members.push((member, valid_score(input, score)?));
            }
            let in_order =
                members.is_sorted_by(|(a, low), (b, high)| low.total_order(*high).then_with(|| a.cmp(b)).is_lt());
            if !in_order {
                return Err(input.error("members out of order"));
            }
        }
    }
    check_names(input, members.iter().map(|(member, _)| member.as_slice()))?;
    Ok(Object::Zset(members))
}

fn valid_score(input: &Input<'_>, score: Option<f64>) -> Result<f64, DecodeError> {
    score.filter(|score| !score.is_nan()).ok_or_else(|| input.error("a score that is not a number"))
}

/// The order of scores, in which both zeros are one.
trait ScoreOrder {
    fn total_order(self, other: Self) -> std::cmp::Ordering;
}

impl ScoreOrder for f64 {
    fn total_order(self, other: Self) -> std::cmp::Ordering {
        self.partial_cmp(&other).expect("no score is a NaN")
    }
}
