//! Reading streams.

use super::super::input::Input;
use super::super::kinds::{STREAM, STREAM_3};
use super::super::listpack::{self, Item};
use super::{FLAG_REMOVED, FLAG_SAME_FIELDS, READ_UNKNOWN};
use crate::codec::DecodeError;
use crate::storage::streams::{
    StreamConsumer, StreamEntry, StreamGroup, StreamHead, StreamNode, StreamObject, StreamPending,
};
use crate::types::{StreamId, UnixMs};

/// Bytes of an id.
const ID_BYTES: usize = 16;
/// Fewest bytes of a node: two empty strings.
const NODE_MIN_BYTES: usize = 2;
/// Fewest bytes of a pending entry: its id, a time and a number.
const PENDING_MIN_BYTES: usize = ID_BYTES + 8 + 1;
/// Fewest bytes of a consumer: its name, a time and a number.
const CONSUMER_MIN_BYTES: usize = 1 + 8 + 1;

/// Reads the body of a stream of a form.
pub(in super::super) fn load(form: u8, input: &mut Input<'_>) -> Result<StreamObject, DecodeError> {
    let mut object = StreamObject::default();
    let mut last = None;
    for _ in 0..input.count(NODE_MIN_BYTES)? {
        let name = input.string()?;
        let master = <[u8; ID_BYTES]>::try_from(&*name).map_err(|_| input.error("a node whose name is no id"))?;
        let packed = input.string()?;
        let items = listpack::decode(&packed)?;
        let mut node = node(StreamId::from_bytes(master), &items).map_err(|reason| input.error(reason))?;
        if last.is_some_and(|last| last >= node.master_id) {
            return Err(input.error("nodes out of order"));
        }
        last = Some(node.last_id);
        let counts = [items[0], items[1]].map(|item| item.int().map_or(0, listpack::int_bytes));
        let weight = packed.len().saturating_sub(counts[0] + counts[1]);
        node.weight = u32::try_from(weight).unwrap_or(u32::MAX);
        // A node of which everything was removed says nothing.
        if !node.entries.is_empty() {
            object.nodes.push(node);
        }
    }
    if input.length()? != object.len() {
        return Err(input.error("a number of entries that is not theirs"));
    }
    object.last_id = id(input)?;
    if last.is_some_and(|last| last > object.last_id) {
        return Err(input.error("an entry after the last"));
    }
    if form == STREAM {
        object.entries_added = object.len();
    } else {
        // The first id follows from the entries.
        id(input)?;
        object.max_deleted_id = id(input)?;
        object.entries_added = input.length()?;
    }
    for _ in 0..input.count(1)? {
        let group = group(form, input, &object)?;
        object.groups.push(group);
    }
    object.groups.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    if object.groups.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(input.error("a group that stands twice"));
    }
    Ok(object)
}

fn id(input: &mut Input<'_>) -> Result<StreamId, DecodeError> {
    Ok(StreamId::new(input.length()?, input.length()?))
}

fn raw_id(input: &mut Input<'_>) -> Result<StreamId, DecodeError> {
    input.array().map(StreamId::from_bytes)
}

fn time(input: &mut Input<'_>) -> Result<UnixMs, DecodeError> {
    Ok(UnixMs(i64::from_le_bytes(input.array()?)))
}

/// Takes the items of a node, one after the other.
struct Items<'i, 'a> {
    items: &'i [Item<'a>],
    at: usize,
}

impl<'a> Items<'_, 'a> {
    fn next(&mut self) -> Result<Item<'a>, &'static str> {
        let item = self.items.get(self.at).copied().ok_or("a node that ends too early")?;
        self.at += 1;
        Ok(item)
    }

    fn int(&mut self) -> Result<i64, &'static str> {
        self.next()?.int().ok_or("a string in a node where a number is expected")
    }

    /// A number of things, of which not more than are there are believed.
    fn count(&mut self) -> Result<usize, &'static str> {
        let left = self.items.len() - self.at;
        usize::try_from(self.int()?).ok().filter(|&count| count <= left).ok_or("a number in a node that is too large")
    }

    fn bytes(&mut self) -> Result<Vec<u8>, &'static str> {
        Ok(self.next()?.into_bytes().into_owned())
    }
}

fn node(master_id: StreamId, items: &[Item<'_>]) -> Result<StreamNode, &'static str> {
    let mut items = Items { items, at: 0 };
    let (live, removed) = (items.count()?, items.count()?);
    let master_fields = (0..items.count()?).map(|_| items.bytes()).collect::<Result<Vec<_>, _>>()?;
    if items.int()? != 0 {
        return Err("no end of the fields of a node");
    }
    let total = u32::try_from(live + removed).map_err(|_| "a node of too many entries")?;
    let mut node = StreamNode { master_id, last_id: master_id, total, ..StreamNode::default() };
    let mut seen = None;
    for _ in 0..total {
        let (entry, is_removed) = entry(master_id, &master_fields, &mut items)?;
        let follows = seen.is_none_or(|seen| seen < entry.id) && entry.id >= master_id && !entry.id.is_zero();
        if !follows {
            return Err("entries out of order");
        }
        seen = Some(entry.id);
        node.last_id = entry.id;
        if !is_removed {
            node.entries.push(entry);
        }
    }
    if items.at != items.items.len() || node.entries.len() != live || total == 0 {
        return Err("a node whose numbers of entries are not theirs");
    }
    Ok(node)
}

fn entry(
    master: StreamId,
    master_fields: &[Vec<u8>],
    items: &mut Items<'_, '_>,
) -> Result<(StreamEntry, bool), &'static str> {
    let start = items.at;
    let flags = items.int()?;
    if flags & !(FLAG_REMOVED | FLAG_SAME_FIELDS) != 0 {
        return Err("flags of an entry that there are not");
    }
    // The differences are those of unsigned numbers, kept as signed ones.
    let ms = master.ms.wrapping_add(items.int()?.cast_unsigned());
    let seq = master.seq.wrapping_add(items.int()?.cast_unsigned());
    let mut fields = Vec::new();
    if flags & FLAG_SAME_FIELDS != 0 {
        for field in master_fields {
            fields.push((field.clone(), items.bytes()?));
        }
    } else {
        for _ in 0..items.count()? {
            fields.push((items.bytes()?, items.bytes()?));
        }
    }
    if fields.is_empty() {
        return Err("an entry without fields");
    }
    let taken = (items.at - start) as i64;
    if items.int()? != taken {
        return Err("an entry whose length is not its own");
    }
    Ok((StreamEntry { id: StreamId::new(ms, seq), fields }, flags & FLAG_REMOVED != 0))
}

fn group(form: u8, input: &mut Input<'_>, stream: &StreamObject) -> Result<StreamGroup, DecodeError> {
    let name = input.string()?.into_owned();
    let last_id = id(input)?;
    let entries_read = if form == STREAM {
        // The best that can be said of a group of an old version.
        let head = StreamHead {
            len: stream.len(),
            first: stream.first_id(),
            last: stream.last_id,
            max_deleted: stream.max_deleted_id,
            added: stream.entries_added,
            ..StreamHead::default()
        };
        head.added_up_to(last_id)
    } else {
        match input.length()? {
            READ_UNKNOWN => None,
            read if i64::try_from(read).is_ok() => Some(read),
            _ => return Err(input.error("a number of entries read that there cannot be")),
        }
    };
    let mut group = StreamGroup { name, last_id, entries_read, ..StreamGroup::default() };
    // Until its consumer is known, a pending entry names none.
    for _ in 0..input.count(PENDING_MIN_BYTES)? {
        let (id, delivered_at, deliveries) = (raw_id(input)?, time(input)?, input.length()?);
        group.pending.push(StreamPending { id, consumer: usize::MAX, delivered_at, deliveries });
    }
    group.pending.sort_unstable_by_key(|pending| pending.id);
    if group.pending.windows(2).any(|pair| pair[0].id == pair[1].id) {
        return Err(input.error("a pending entry that stands twice"));
    }
    let mut consumers = Vec::new();
    for _ in 0..input.count(CONSUMER_MIN_BYTES)? {
        let name = input.string()?.into_owned();
        let seen_at = time(input)?;
        // Before it was kept, the last question is the best guess; -1 is never.
        let active_at = if form == STREAM_3 { Some(time(input)?).filter(|at| at.0 != -1) } else { Some(seen_at) };
        let mut ids = Vec::new();
        for _ in 0..input.count(ID_BYTES)? {
            ids.push(raw_id(input)?);
        }
        consumers.push((StreamConsumer { name, seen_at, active_at }, ids));
    }
    consumers.sort_unstable_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    if consumers.windows(2).any(|pair| pair[0].0.name == pair[1].0.name) {
        return Err(input.error("a consumer that stands twice"));
    }
    for (number, (consumer, ids)) in consumers.into_iter().enumerate() {
        group.consumers.push(consumer);
        for id in ids {
            let found = group.pending.binary_search_by_key(&id, |pending| pending.id);
            match found.ok().map(|at| &mut group.pending[at]) {
                Some(pending) if pending.consumer == usize::MAX => pending.consumer = number,
                _ => return Err(input.error("a consumer's pending entry that is not its group's, or another's")),
            }
        }
    }
    if group.pending.iter().any(|pending| pending.consumer == usize::MAX) {
        return Err(input.error("a pending entry of nobody"));
    }
    Ok(group)
}
