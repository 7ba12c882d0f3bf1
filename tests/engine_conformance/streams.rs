//! Random changes of streams, on all engines at once and against a simple model.

use std::collections::BTreeMap;

use kvorum::storage::hash::HashEngine;
use kvorum::storage::streams::{
    GroupId, IdRange, Owner, Pending, StreamEdit, StreamObject, StreamView, Threshold, Trim,
};
use kvorum::storage::{EncodingSettings, Engine, Object, StorageResult};
use kvorum::types::rng::Rng;
use kvorum::types::{StreamId, UnixMs};

use super::model::SETTINGS;
use super::{DB, NOW, at, fixtures, text};

/// Nodes of a few entries, so that many are begun and removed.
const STREAM_SETTINGS: EncodingSettings =
    EncodingSettings { stream_node_max_bytes: 120, stream_node_max_entries: 5, ..SETTINGS };

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelConsumer {
    seen_at: UnixMs,
    active_at: Option<UnixMs>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelGroup {
    last: StreamId,
    entries_read: Option<u64>,
    consumers: BTreeMap<Vec<u8>, ModelConsumer>,
    /// Consumer, time and number of deliveries of each pending entry.
    pending: BTreeMap<StreamId, (Vec<u8>, UnixMs, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelStream {
    entries: BTreeMap<StreamId, Fields>,
    last: StreamId,
    max_deleted: StreamId,
    added: u64,
    groups: BTreeMap<Vec<u8>, ModelGroup>,
}

#[derive(Clone, Debug)]
enum Op {
    Append(StreamId, Fields),
    Remove(StreamId),
    Trim(Trim),
    SetCounters(StreamId, u64, StreamId),
    CreateGroup(Vec<u8>, StreamId, Option<u64>),
    SetGroup(Vec<u8>, StreamId, Option<u64>),
    DestroyGroup(Vec<u8>),
    CreateConsumer(Vec<u8>, Vec<u8>, UnixMs),
    TouchConsumer(Vec<u8>, Vec<u8>, Option<UnixMs>, Option<UnixMs>),
    RemoveConsumer(Vec<u8>, Vec<u8>),
    PutPending(Vec<u8>, Vec<StreamId>, Vec<u8>, UnixMs, u64),
    RemovePending(Vec<u8>, Vec<StreamId>),
}

fn flat(fields: &Fields) -> Vec<&[u8]> {
    fields.iter().flat_map(|(field, value)| [&field[..], &value[..]]).collect()
}

fn group_of(stream: &dyn StreamEdit, name: &[u8]) -> StorageResult<GroupId> {
    Ok(stream.group(name)?.expect("the model has it").0)
}

/// Does an operation to a stream; answers the number it answers, if it does.
fn apply(stream: &mut dyn StreamEdit, op: &Op) -> StorageResult<u64> {
    let mut count = 0;
    match op {
        Op::Append(id, fields) => stream.append(*id, &flat(fields))?,
        Op::Remove(id) => count = u64::from(stream.remove(*id)?),
        Op::Trim(trim) => count = stream.trim(trim)?,
        Op::SetCounters(last, added, max_deleted) => stream.set_counters(*last, *added, *max_deleted)?,
        Op::CreateGroup(name, last, read) => {
            stream.create_group(name, *last, *read)?;
        }
        Op::SetGroup(name, last, read) => {
            let group = group_of(stream, name)?;
            stream.set_group(group, *last, *read)?;
        }
        Op::DestroyGroup(name) => {
            let group = group_of(stream, name)?;
            stream.destroy_group(group, name)?;
        }
        Op::CreateConsumer(name, consumer, at) => {
            let group = group_of(stream, name)?;
            stream.create_consumer(group, consumer, *at)?;
        }
        Op::TouchConsumer(name, consumer, seen, active) => {
            let group = group_of(stream, name)?;
            let (consumer, _) = stream.consumer(group, consumer)?.expect("the model has it");
            stream.touch_consumer(group, consumer, *seen, *active)?;
        }
        Op::RemoveConsumer(name, consumer) => {
            let group = group_of(stream, name)?;
            let (id, _) = stream.consumer(group, consumer)?.expect("the model has it");
            count = stream.remove_consumer(group, id, consumer)?;
        }
        Op::PutPending(name, ids, consumer, delivered_at, deliveries) => {
            let group = group_of(stream, name)?;
            let (consumer, _) = stream.consumer(group, consumer)?.expect("the model has it");
            let pending = Pending { consumer, delivered_at: *delivered_at, deliveries: *deliveries };
            for id in ids {
                stream.put_pending(group, *id, pending)?;
            }
        }
        Op::RemovePending(name, ids) => {
            let group = group_of(stream, name)?;
            for id in ids {
                count += u64::from(stream.remove_pending(group, *id)?);
            }
        }
    }
    Ok(count)
}

impl ModelStream {
    fn first(&self) -> StreamId {
        self.entries.keys().next().copied().unwrap_or_default()
    }

    fn drop_front(&mut self, count: u64) {
        for _ in 0..count {
            self.entries.pop_first();
        }
    }

    /// Does an operation; `answer` is what the engines answered, which is needed where only they know.
    fn apply(&mut self, op: &Op, answer: u64) -> u64 {
        let mut count = 0;
        match op {
            Op::Append(id, fields) => {
                self.entries.insert(*id, fields.clone());
                self.last = *id;
                self.added += 1;
            }
            Op::Remove(id) => {
                if self.entries.remove(id).is_some() {
                    count = 1;
                    self.max_deleted = self.max_deleted.max(*id);
                }
            }
            Op::Trim(trim) => {
                let wanted = match trim.threshold {
                    Threshold::MaxLen(len) => (self.entries.len() as u64).saturating_sub(len),
                    Threshold::MinId(id) => self.entries.range(..id).count() as u64,
                };
                count = if trim.approximate { answer } else { wanted };
                assert!(count <= wanted, "nothing is removed that should stay");
                if let (true, Some(limit)) = (trim.approximate, trim.limit.filter(|&limit| limit > 0)) {
                    assert!(count <= limit);
                }
                self.drop_front(count);
            }
            Op::SetCounters(last, added, max_deleted) => {
                (self.last, self.added, self.max_deleted) = (*last, *added, *max_deleted);
            }
            Op::CreateGroup(name, last, read) => {
                self.groups
                    .insert(name.clone(), ModelGroup { last: *last, entries_read: *read, ..ModelGroup::default() });
            }
            Op::SetGroup(name, last, read) => {
                let group = self.groups.get_mut(name).expect("it is there");
                (group.last, group.entries_read) = (*last, *read);
            }
            Op::DestroyGroup(name) => {
                self.groups.remove(name);
            }
            Op::CreateConsumer(name, consumer, seen_at) => {
                let group = self.groups.get_mut(name).expect("it is there");
                group.consumers.insert(consumer.clone(), ModelConsumer { seen_at: *seen_at, active_at: None });
            }
            Op::TouchConsumer(name, consumer, seen, active) => {
                let group = self.groups.get_mut(name).expect("it is there");
                let consumer = group.consumers.get_mut(consumer).expect("it is there");
                consumer.seen_at = seen.unwrap_or(consumer.seen_at);
                consumer.active_at = active.or(consumer.active_at);
            }
            Op::RemoveConsumer(name, consumer) => {
                let group = self.groups.get_mut(name).expect("it is there");
                group.consumers.remove(consumer);
                let before = group.pending.len();
                group.pending.retain(|_, (owner, ..)| owner != consumer);
                count = (before - group.pending.len()) as u64;
            }
            Op::PutPending(name, ids, consumer, delivered_at, deliveries) => {
                let group = self.groups.get_mut(name).expect("it is there");
                for id in ids {
                    group.pending.insert(*id, (consumer.clone(), *delivered_at, *deliveries));
                }
            }
            Op::RemovePending(name, ids) => {
                let group = self.groups.get_mut(name).expect("it is there");
                count = ids.iter().filter(|id| group.pending.remove(id).is_some()).count() as u64;
            }
        }
        count
    }

    /// A read view of the engine agrees with the model, in whole and in parts.
    fn check(&self, view: &dyn StreamView, rng: &mut Rng) {
        let head = view.head();
        assert_eq!(head.len, self.entries.len() as u64);
        assert_eq!((head.first, head.last), (self.first(), self.last));
        assert_eq!((head.added, head.max_deleted), (self.added, self.max_deleted));
        assert_eq!(head.groups, self.groups.len() as u64);
        let (mut nodes, mut live) = (0, 0);
        view.nodes(&mut |node| {
            nodes += 1;
            live += u64::from(node.live);
            assert!(node.live > 0 && node.live <= node.total && node.total <= 5);
        })
        .unwrap();
        assert_eq!((nodes, live), (head.nodes, head.len));
        for _ in 0..4 {
            let range = IdRange { start: random_id(rng), end: random_id(rng) };
            for reverse in [false, true] {
                let mut found = Vec::new();
                view.entries(range, reverse, &mut |id, fields| {
                    found.push((id, fields.iter().map(|(field, value)| (field.to_vec(), value.to_vec())).collect()));
                    true
                })
                .unwrap();
                let mut expected: Vec<(StreamId, Fields)> = Vec::new();
                if range.start <= range.end {
                    let entries = self.entries.range(range.start..=range.end);
                    expected.extend(entries.map(|(id, fields)| (*id, fields.clone())));
                }
                if reverse {
                    expected.reverse();
                }
                assert_eq!(found, expected);
            }
            let id = random_id(rng);
            assert_eq!(view.contains(id).unwrap(), self.entries.contains_key(&id));
        }
        let mut names = Vec::new();
        view.groups(&mut |name, id, head| {
            names.push((name.to_vec(), id, *head));
            true
        })
        .unwrap();
        assert!(names.iter().map(|(name, ..)| name).eq(self.groups.keys()));
        for (name, id, head) in names {
            let group = &self.groups[&name];
            assert_eq!(view.group(&name).unwrap(), Some((id, head)));
            assert_eq!((head.last, head.entries_read), (group.last, group.entries_read));
            assert_eq!(head.pending, group.pending.len() as u64);
            assert_eq!(head.consumers, group.consumers.len() as u64);
            group.check(view, id, rng);
        }
        assert_eq!(view.group(b"no such group").unwrap(), None);
    }
}

impl ModelGroup {
    fn check(&self, view: &dyn StreamView, group: GroupId, rng: &mut Rng) {
        let first = self.pending.keys().next().copied();
        assert_eq!(view.pending_bounds(group).unwrap(), first.zip(self.pending.keys().next_back().copied()));
        let range = IdRange { start: random_id(rng), end: random_id(rng) };
        let mut consumers = Vec::new();
        view.consumers(group, &mut |name, id, head| {
            consumers.push((name.to_vec(), id, *head));
            true
        })
        .unwrap();
        assert!(consumers.iter().map(|(name, ..)| name).eq(self.consumers.keys()));
        let mut owners = vec![(None, None)];
        for (name, id, head) in consumers {
            assert_eq!(view.consumer(group, &name).unwrap(), Some((id, head)));
            assert_eq!(view.consumer_name(group, id).unwrap(), name);
            let ModelConsumer { seen_at, active_at } = self.consumers[&name];
            assert_eq!((head.seen_at, head.active_at), (seen_at, active_at));
            assert_eq!(head.pending, self.pending.values().filter(|(owner, ..)| *owner == name).count() as u64);
            owners.push((Some(id), Some(name)));
        }
        for (consumer, name) in owners {
            for range in [range, IdRange::ALL] {
                let mut found = Vec::new();
                view.pending(Owner { group, consumer }, range, &mut |id, pending| {
                    found.push((id, pending.delivered_at, pending.deliveries));
                    true
                })
                .unwrap();
                let all = self.pending.iter().filter(|(id, _)| range.start <= **id && **id <= range.end);
                let of = all.filter(|(_, (owner, ..))| name.as_ref().is_none_or(|name| owner == name));
                let expected: Vec<_> = of.map(|(id, (_, at, deliveries))| (*id, *at, *deliveries)).collect();
                assert_eq!(found, expected);
            }
        }
    }
}

/// Ids of few times, so that they meet.
fn random_id(rng: &mut Rng) -> StreamId {
    StreamId::new(1 + rng.below(60), rng.below(4))
}

fn name(rng: &mut Rng, kinds: &[&str]) -> Vec<u8> {
    let name = kinds[rng.below(kinds.len() as u64) as usize];
    // A name that is longer than what a row holds.
    if name == "long" { vec![b'l'; 500] } else { name.as_bytes().to_vec() }
}

fn random_op(model: &ModelStream, rng: &mut Rng) -> Option<Op> {
    let group = name(rng, &["a", "b", "long"]);
    let consumer = name(rng, &["x", "y", "long", ""]);
    let time = UnixMs(rng.below(1000) as i64);
    let read = [None, Some(0), Some(7)][rng.below(3) as usize];
    let ids = |rng: &mut Rng| (0..1 + rng.below(6)).map(|_| random_id(rng)).collect::<Vec<_>>();
    let has_group = model.groups.contains_key(&group);
    let has_consumer = model.groups.get(&group).is_some_and(|group| group.consumers.contains_key(&consumer));
    let op = match rng.below(20) {
        0..=6 => {
            let id = StreamId::new(model.last.ms + rng.below(2), model.last.seq + 1 + rng.below(2));
            let fields = (0..1 + rng.below(3))
                .map(|_| (name(rng, &["f", "g", ""]), vec![b'v'; rng.below(9) as usize]))
                .collect();
            Op::Append(id, fields)
        }
        7..=8 => {
            let nth = rng.below(1 + model.entries.len() as u64) as usize;
            Op::Remove(model.entries.keys().nth(nth).copied().unwrap_or_else(|| random_id(rng)))
        }
        9 | 10 => {
            let threshold = if rng.below(2) == 0 {
                Threshold::MaxLen(rng.below(30))
            } else {
                let nth = rng.below(1 + model.entries.len() as u64) as usize;
                Threshold::MinId(model.entries.keys().nth(nth / 2).copied().unwrap_or_default())
            };
            let limit = [None, Some(0), Some(6)][rng.below(3) as usize];
            Op::Trim(Trim { threshold, approximate: rng.below(2) == 0, limit })
        }
        11 if rng.below(4) == 0 => {
            let top = model.entries.keys().next_back().copied().unwrap_or_default();
            Op::SetCounters(top.next()?, model.entries.len() as u64 + rng.below(3), random_id(rng).min(top))
        }
        12 if !has_group => Op::CreateGroup(group, random_id(rng), read),
        12 => Op::SetGroup(group, random_id(rng), read),
        13 if has_group && rng.below(3) == 0 => Op::DestroyGroup(group),
        14 if has_consumer && rng.below(3) == 0 => Op::RemoveConsumer(group, consumer),
        14 if has_consumer => Op::TouchConsumer(group, consumer, Some(time), (rng.below(2) == 0).then_some(time)),
        13..=15 if has_group && !has_consumer => Op::CreateConsumer(group, consumer, time),
        16 | 17 if has_consumer => Op::PutPending(group, ids(rng), consumer, time, rng.below(5)),
        18 | 19 if has_group => Op::RemovePending(group, ids(rng)),
        _ => return None,
    };
    Some(op)
}

fn object_of(engine: &dyn Engine, key: &[u8]) -> Option<StreamObject> {
    match engine.object(at(key), NOW).unwrap() {
        None => None,
        Some((Object::Stream(stream), None)) => Some(*stream),
        Some(other) => panic!("{other:?} is no stream"),
    }
}

/// The same engine after all its keys went through a snapshot.
fn through_snapshot(engine: &mut HashEngine) -> HashEngine {
    let snapshot = engine.begin_snapshot();
    let mut next = Some(Default::default());
    while let Some(cursor) = next {
        next = snapshot.serialise_slot(engine, cursor);
    }
    let mut other = HashEngine::new(STREAM_SETTINGS);
    for chunk in snapshot.finish() {
        other.load_chunk(&chunk).unwrap();
    }
    other
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let dirs: Vec<_> = fixtures().iter().map(|_| tempfile::tempdir().unwrap()).collect();
    let open = || {
        let mut engines: Vec<Box<dyn Engine>> = Vec::new();
        for (fixture, dir) in fixtures().iter().zip(&dirs) {
            engines.push(fixture.open(dir.path()));
        }
        engines.iter_mut().for_each(|engine| engine.set_encoding(&STREAM_SETTINGS));
        engines
    };
    let mut engines = open();
    let mut snapshotted = HashEngine::new(STREAM_SETTINGS);
    let mut model = ModelStream::default();
    let mut index = 0;
    for round in 0..120 {
        // Several operations in one edit see each other.
        let mut batch = Vec::new();
        let mut planned = model.clone();
        for _ in 0..1 + rng.below(4) {
            let Some(op) = random_op(&planned, &mut rng) else { continue };
            if matches!(op, Op::Trim(Trim { approximate: true, .. })) && !batch.is_empty() {
                continue;
            }
            let ends = matches!(op, Op::Trim(_));
            if !ends {
                planned.apply(&op, 0);
            }
            batch.push(op);
            if ends {
                break;
            }
        }
        let mut answers: Vec<Vec<u64>> = Vec::new();
        let all = engines.iter_mut().map(|engine| &mut **engine).chain([&mut snapshotted as &mut dyn Engine]);
        for engine in all {
            let mut answered = Vec::new();
            let edited = engine.edit_stream(at(b"s"), NOW, true, &mut |stream| {
                for op in &batch {
                    answered.push(apply(stream, op)?);
                }
                model_of_edit(stream, &batch);
                Ok(true)
            });
            assert!(edited.unwrap(), "seed {seed}, round {round}");
            answers.push(answered);
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}, round {round}: {batch:?} {answers:?}");
        for (op, answer) in batch.iter().zip(&answers[0]) {
            assert_eq!(model.apply(op, *answer), *answer, "seed {seed}, round {round}: {op:?}");
        }
        index += 1;
        for engine in &mut engines {
            engine.commit(index).unwrap();
            let view = engine.stream(at(b"s"), NOW).unwrap().expect("a stream stays when it is empty");
            model.check(&*view, &mut rng);
        }
        let objects: Vec<_> = engines.iter().map(|engine| object_of(&**engine, b"s")).collect();
        assert!(objects.iter().all(|object| *object == objects[0]), "seed {seed}, round {round}");
        let object = objects[0].clone().expect("it is there");
        assert!(object_of(&snapshotted, b"s").as_ref() == Some(&object), "seed {seed}, round {round}");
        if round % 10 == 3 {
            let mut bytes = Vec::new();
            Object::Stream(Box::new(object.clone())).encode(&mut bytes);
            let decoded = Object::decode(&bytes).unwrap();
            for engine in &mut engines {
                engine.put_object(at(b"copy"), decoded.clone(), None).unwrap();
                assert_eq!(object_of(&**engine, b"copy").as_ref(), Some(&object));
            }
            snapshotted = through_snapshot(&mut snapshotted);
        }
        if round % 40 == 20 {
            // The hash engine has no files, and goes on.
            let kept = engines.swap_remove(0);
            for engine in &mut engines {
                if let Some(job) = engine.prepare_sync().unwrap() {
                    job().unwrap();
                }
            }
            drop(engines);
            engines = open();
            engines[0] = kept;
        }
    }
    for engine in &mut engines {
        assert!(engine.remove(at(b"s"), NOW).unwrap());
        assert!(engine.stream(at(b"s"), NOW).unwrap().is_none());
        assert!(text(&**engine, DB, b"s", NOW).is_none());
    }
}

/// What an edit sees of itself is what it has done: every group and consumer can be found while it is under way.
fn model_of_edit(stream: &dyn StreamEdit, batch: &[Op]) {
    for op in batch {
        if let Op::PutPending(name, ids, ..) = op {
            let Some((group, head)) = stream.group(name).unwrap() else { continue };
            let mut count = 0;
            stream
                .pending(Owner { group, consumer: None }, IdRange::ALL, &mut |_, _| {
                    count += 1;
                    true
                })
                .unwrap();
            assert_eq!(count, head.pending, "{ids:?}");
        }
    }
}

#[test]
fn engines_agree_on_streams() {
    for seed in 0..20 {
        run(seed);
    }
}
