//! Sorted sets on every engine against a sorted list.

use std::collections::BTreeMap;
use std::ops::Range;

use kvorum::storage::digest::{digest_engine, digest_value};
use kvorum::storage::{
    Address, Engine, Kind, Object, ScanCursor, ScoreRule, StorageError, ZaddOutcome, ZsetEdge, ZsetRead,
};
use kvorum::types::UnixMs;
use kvorum::types::rng::Rng;

use super::{DB, NOW, at, fixtures, on_each};

/// Members and scores in order, and whether they have left the compact encoding, which keeps no negative zeros.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sorted(Vec<(f64, Vec<u8>)>, bool);

impl Sorted {
    fn score(&self, member: &[u8]) -> Option<f64> {
        self.0.iter().find(|(_, other)| other == member).map(|(score, _)| *score)
    }

    fn set(&mut self, member: &[u8], score: f64) {
        self.1 |= !self.remove(member) && (member.len() > 64 || self.0.len() + 1 > 128);
        let score = if self.1 { score } else { score + 0.0 };
        self.0.push((score, member.to_vec()));
        self.0.sort_by(|a, b| a.partial_cmp(b).unwrap());
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, other)| other != member);
        before > self.0.len()
    }

    /// What a whole value becomes when it is put.
    fn settle(&mut self) {
        self.1 = self.0.len() > 128 || self.0.iter().any(|(_, member)| member.len() > 64);
        if !self.1 {
            self.0.iter_mut().for_each(|(score, _)| *score += 0.0);
        }
    }
}

fn range_of(zset: &ZsetRead<'_>, ranks: Range<u64>, reverse: bool) -> Vec<(f64, Vec<u8>)> {
    let mut found = Vec::new();
    zset.walk(ranks, reverse, &mut |member, score| {
        found.push((score, member.to_vec()));
        true
    })
    .unwrap();
    found
}

fn scan_of(zset: &ZsetRead<'_>, count: usize) -> BTreeMap<Vec<u8>, String> {
    let mut found = BTreeMap::new();
    let mut cursor = ScanCursor::START;
    loop {
        cursor = zset
            .scan(cursor, count, &mut |member, score| {
                assert_eq!(found.insert(member.to_vec(), score.to_string()), None, "nothing changed");
                true
            })
            .unwrap();
        if cursor == ScanCursor::START {
            return found;
        }
    }
}

struct Generator {
    rng: Rng,
    members: u64,
}

impl Generator {
    fn member(&mut self) -> Vec<u8> {
        let number = self.rng.below(self.members);
        match number % 9 {
            0 => vec![b'x'; number as usize % 40],
            1 => [vec![b'l'; 420], number.to_string().into_bytes()].concat(),
            2 => number.to_be_bytes().to_vec(),
            _ => format!("member:{number}").into_bytes(),
        }
    }

    fn score(&mut self) -> f64 {
        match self.rng.below(10) {
            0..4 => self.rng.below(6) as f64 - 3.0,
            4..7 => (self.rng.next_u64() as i32 as f64) / 7.0,
            7 => self.rng.below(1000) as f64,
            8 => [f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e-300][self.rng.below(4) as usize],
            _ => [0.0, -0.0][self.rng.below(2) as usize],
        }
    }

    fn rule(&mut self) -> ScoreRule {
        let mut one_in = |n| self.rng.below(n) == 0;
        ScoreRule {
            only_new: one_in(15),
            only_present: one_in(15),
            only_greater: one_in(15),
            only_less: one_in(30),
            increment: one_in(6),
        }
    }
}

fn check(engine: &dyn Engine, key: &[u8], model: &Sorted, generator: &mut Generator) {
    let Some(zset) = engine.zset(at(key), NOW).unwrap() else {
        assert!(model.0.is_empty());
        assert_eq!(engine.meta(at(key), NOW).unwrap(), None);
        return;
    };
    let len = model.0.len() as u64;
    assert_eq!(zset.len(), len);
    assert_eq!(engine.meta(at(key), NOW).unwrap().unwrap().kind, Kind::Zset);
    assert_eq!(range_of(&zset, 0..len, false), model.0);
    let signs = |members: &[(f64, Vec<u8>)]| members.iter().map(|(score, _)| score.to_bits()).collect::<Vec<_>>();
    assert_eq!(signs(&range_of(&zset, 0..len, false)), signs(&model.0), "the sign of zeros stays");
    for _ in 0..4 {
        let start = generator.rng.below(len + 1);
        let end = start + generator.rng.below(len + 4);
        let mut expected = model.0[start as usize..end.min(len) as usize].to_vec();
        assert_eq!(range_of(&zset, start..end, false), expected);
        expected.reverse();
        assert_eq!(range_of(&zset, start..end, true), expected);
        let member = generator.member();
        let rank = model.0.iter().position(|(_, other)| *other == member);
        assert_eq!(zset.score(&member).unwrap(), model.score(&member));
        assert_eq!(zset.rank(&member).unwrap(), rank.map(|rank| (rank as u64, model.0[rank].0)));
        let edge = generator.score();
        for after in [false, true] {
            let before = |score: f64| score < edge || (after && score == edge);
            let expected = model.0.iter().filter(|(score, _)| before(*score)).count() as u64;
            assert_eq!(zset.count_before(ZsetEdge::Score { score: edge, after }).unwrap(), expected);
            // By halving, which is exact when members are in order.
            let (mut expected, mut to) = (0, len);
            while expected < to {
                let middle = expected + (to - expected) / 2;
                let other = &model.0[middle as usize].1;
                if *other < member || (after && *other == member) {
                    expected = middle + 1;
                } else {
                    to = middle;
                }
            }
            assert_eq!(zset.count_before(ZsetEdge::Lex { member: &member, after }).unwrap(), expected);
        }
    }
    assert_eq!(zset.count_before(ZsetEdge::First).unwrap(), 0);
    assert_eq!(zset.count_before(ZsetEdge::Last).unwrap(), len);
    let all: BTreeMap<Vec<u8>, String> =
        model.0.iter().map(|(score, member)| (member.clone(), score.to_string())).collect();
    assert_eq!(scan_of(&zset, 1 + generator.rng.below(9) as usize), all);
    let mut drawn = None;
    zset.random(&mut generator.rng, &mut |member, score| {
        drawn = Some((member.to_vec(), score));
        true
    })
    .unwrap();
    let (member, score) = drawn.unwrap();
    assert_eq!(model.score(&member), Some(score));
    let object = Object::Zset(model.0.iter().map(|(score, member)| (member.clone(), *score)).collect());
    assert_eq!(engine.object(at(key), NOW).unwrap(), Some((object.clone(), None)));
    let mut bytes = Vec::new();
    object.encode(&mut bytes);
    assert_eq!(Object::decode(&bytes).unwrap(), object);
}

/// One random change of both; what the engine answers is compared.
fn change(engine: &mut dyn Engine, key: &[u8], model: &mut Sorted, generator: &mut Generator) {
    match generator.rng.below(20) {
        0..12 => {
            let count =
                if generator.rng.below(8) == 0 { 1 + generator.rng.below(60) } else { 1 + generator.rng.below(3) };
            let pairs: Vec<(Vec<u8>, f64)> = (0..count).map(|_| (generator.member(), generator.score())).collect();
            let rule = if count > 1 { ScoreRule { increment: false, ..generator.rule() } } else { generator.rule() };
            let mut expected = ZaddOutcome::default();
            for (member, given) in &pairs {
                let old = model.score(member);
                expected.score = None;
                match rule.decide(old, *given) {
                    kvorum::storage::zsets::Verdict::Keep => {}
                    kvorum::storage::zsets::Verdict::NotANumber => expected.not_a_number = true,
                    kvorum::storage::zsets::Verdict::Set(score) => {
                        expected.score = Some(score);
                        match old {
                            None => expected.added += 1,
                            Some(old) => expected.updated += u64::from(old != score),
                        }
                        if old != Some(score) {
                            model.set(member, score);
                        }
                    }
                }
            }
            let pairs: Vec<(&[u8], f64)> = pairs.iter().map(|(member, score)| (&member[..], *score)).collect();
            assert_eq!(engine.zset_add(at(key), &pairs, rule, NOW).unwrap(), expected);
        }
        12..16 => {
            let members: Vec<Vec<u8>> = (0..1 + generator.rng.below(12)).map(|_| generator.member()).collect();
            let expected = members.iter().filter(|member| model.remove(member)).count() as u64;
            let members: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
            assert_eq!(engine.zset_remove(at(key), &members, NOW).unwrap(), expected);
        }
        16..19 => {
            let len = model.0.len() as u64;
            let start = [0, generator.rng.below(len + 1)][generator.rng.below(2) as usize];
            let count = if generator.rng.below(6) == 0 { len } else { generator.rng.below(4) };
            let reverse = generator.rng.below(2) == 0;
            let end = (start + count).min(len);
            let mut expected: Vec<(f64, Vec<u8>)> = model.0.drain(start as usize..end as usize).collect();
            if reverse {
                expected.reverse();
            }
            let mut removed = Vec::new();
            let counted = engine
                .zset_remove_range(at(key), start..start + count, reverse, NOW, &mut |member, score| {
                    removed.push((score, member.to_vec()));
                })
                .unwrap();
            assert_eq!((counted, removed), (expected.len() as u64, expected));
        }
        _ => {
            for _ in 0..generator.rng.below(40) {
                let (member, score) = (generator.member(), generator.score());
                model.set(&member, score);
            }
            let members = model.0.iter().map(|(score, member)| (member.clone(), *score)).collect();
            engine.put_zset(at(key), members, None).unwrap();
            model.settle();
        }
    }
    model.1 &= !model.0.is_empty();
}

#[test]
fn sorted_sets_match_a_sorted_list() {
    // Few members stay compact now and then, many make trees of several levels.
    for (seed, members, entries) in [(1, 8, 400), (2, 40, 400), (3, 3000, 400)] {
        let mut digests = Vec::new();
        for fixture in fixtures() {
            let dir = tempfile::tempdir().unwrap();
            let mut engine = fixture.open(dir.path());
            let mut generator = Generator { rng: Rng::new(seed), members };
            let mut models = [Sorted::default(), Sorted::default()];
            let keys: [&[u8]; 2] = [b"zset", b"{other}zset"];
            for index in 1..=entries {
                for _ in 0..1 + generator.rng.below(6) {
                    let which = generator.rng.below(2) as usize;
                    change(&mut *engine, keys[which], &mut models[which], &mut generator);
                }
                engine.commit(index).unwrap();
                let mut checks = Generator { rng: Rng::new(index), members };
                if index % 8 == 0 {
                    keys.iter().zip(&models).for_each(|(key, model)| check(&*engine, key, model, &mut checks));
                }
                if fixture.has_files && index % 100 == 0 {
                    engine.prepare_sync().unwrap().unwrap()().unwrap();
                    drop(engine);
                    engine = fixture.open(dir.path());
                    keys.iter().zip(&models).for_each(|(key, model)| check(&*engine, key, model, &mut checks));
                }
            }
            digests.push(digest_engine(&*engine, DB, NOW).unwrap());
        }
        assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}");
    }
}

#[test]
fn sorted_sets_change_their_encoding_and_keep_their_expiry() {
    on_each(|fixture, engine| {
        let later = Some(UnixMs(NOW.0 + 1000));
        let add = |engine: &mut dyn Engine, member: &[u8], score| {
            engine.zset_add(at(b"z"), &[(member, score)], ScoreRule::default(), NOW).unwrap()
        };
        add(engine, b"a", 1.0);
        assert_eq!(engine.encoding(at(b"z"), NOW).unwrap(), Some("listpack"));
        engine.set_expiry(at(b"z"), later, NOW).unwrap();
        let small = engine.memory_usage(at(b"z"), 0, NOW).unwrap().unwrap();
        for number in 0..200 {
            add(engine, format!("member {number}").as_bytes(), f64::from(number));
        }
        assert_eq!(engine.encoding(at(b"z"), NOW).unwrap(), Some("skiplist"), "{}", fixture.name);
        assert_eq!(engine.meta(at(b"z"), NOW).unwrap().unwrap().expires_at, later);
        assert!(engine.memory_usage(at(b"z"), 0, NOW).unwrap().unwrap() > small + 200 * 10);
        engine.zset_remove_range(at(b"z"), 1..1000, false, NOW, &mut |_, _| {}).unwrap();
        assert_eq!(engine.encoding(at(b"z"), NOW).unwrap(), Some("skiplist"), "it does not go back");
        assert_eq!(engine.meta(at(b"z"), NOW).unwrap().unwrap().expires_at, later);
        assert_eq!(engine.zset_remove(at(b"z"), &[b"member 0", b"a"], NOW).unwrap(), 1);
        assert_eq!(engine.len(DB), 0);
        assert_eq!(engine.expires(DB), 0);
        engine.zset_add(at(b"z"), &[(&[b'x'; 65], 1.0)], ScoreRule::default(), NOW).unwrap();
        assert_eq!(engine.encoding(at(b"z"), NOW).unwrap(), Some("skiplist"));
        assert_eq!(engine.meta(at(b"z"), NOW).unwrap().unwrap().expires_at, None);
    });
}

#[test]
fn expired_sorted_sets_are_gone() {
    on_each(|_, engine| {
        let expired = UnixMs(NOW.0 + 11);
        let make = |engine: &mut dyn Engine| {
            engine.put_zset(at(b"z"), vec![(b"old".to_vec(), 1.0)], Some(UnixMs(NOW.0 + 10))).unwrap();
        };
        make(engine);
        assert!(engine.zset(at(b"z"), expired).unwrap().is_none());
        let rule = ScoreRule { only_present: true, ..ScoreRule::default() };
        assert_eq!(engine.zset_add(at(b"z"), &[(b"old", 2.0)], rule, expired).unwrap().changed(), 0);
        assert_eq!(engine.len(DB), 0);
        make(engine);
        assert_eq!(engine.zset_remove(at(b"z"), &[b"old"], expired).unwrap(), 0);
        assert_eq!(engine.len(DB), 0);
        make(engine);
        assert_eq!(engine.zset_add(at(b"z"), &[(b"new", 2.0)], ScoreRule::default(), expired).unwrap().added, 1);
        assert_eq!(engine.zset(at(b"z"), expired).unwrap().unwrap().len(), 1);
        assert_eq!(engine.expires(DB), 0);
    });
}

#[test]
fn other_kinds_are_refused_and_replaced() {
    on_each(|_, engine| {
        engine.set_string(at(b"s"), b"x", kvorum::storage::Expiry::Clear, NOW).unwrap();
        let wrong = |result| assert!(matches!(result, Err(StorageError::WrongType)));
        wrong(engine.zset(at(b"s"), NOW).map(|_| ()));
        wrong(engine.zset_add(at(b"s"), &[(b"a", 1.0)], ScoreRule::default(), NOW).map(|_| ()));
        wrong(engine.zset_remove(at(b"s"), &[b"a"], NOW).map(|_| ()));
        wrong(engine.zset_remove_range(at(b"s"), 0..1, false, NOW, &mut |_, _| {}).map(|_| ()));
        let members: Vec<(Vec<u8>, f64)> = (0..500).map(|i| (format!("{i:03}").into_bytes(), 1.0)).collect();
        engine.put_zset(at(b"s"), members.clone(), None).unwrap();
        wrong(engine.string(at(b"s"), NOW).map(|_| ()));
        let object = Object::Zset(members);
        assert_eq!(engine.object(at(b"s"), NOW).unwrap(), Some((object.clone(), None)));
        assert_ne!(digest_value(&object, None), digest_value(&Object::Zset(vec![(b"000".to_vec(), 1.0)]), None));
        engine.set_string(at(b"s"), b"x", kvorum::storage::Expiry::Clear, NOW).unwrap();
        assert!(engine.remove(at(b"s"), NOW).unwrap());
        engine.put_zset(at(b"s"), Vec::new(), None).unwrap();
        assert_eq!(engine.len(DB), 0);
        let _ = Address::new(DB, b"s");
    });
}

#[test]
fn scans_meet_what_stays() {
    on_each(|fixture, engine| {
        let rule = ScoreRule::default();
        let mut rng = Rng::new(9);
        let name = |number: u64| format!("member {number}").into_bytes();
        for number in 0..600 {
            engine.zset_add(at(b"z"), &[(&name(number), number as f64)], rule, NOW).unwrap();
        }
        let mut seen = BTreeMap::new();
        let mut cursor = ScanCursor::START;
        loop {
            let zset = engine.zset(at(b"z"), NOW).unwrap().unwrap();
            cursor = zset
                .scan(cursor, 7, &mut |member, _| {
                    seen.insert(member.to_vec(), ());
                    true
                })
                .unwrap();
            drop(zset);
            if cursor == ScanCursor::START {
                break;
            }
            for _ in 0..rng.below(20) {
                // Members with numbers that three divides stay.
                let number = rng.below(300) * 3 + 1;
                if rng.below(2) == 0 {
                    engine.zset_remove(at(b"z"), &[&name(number)], NOW).unwrap();
                } else {
                    engine.zset_add(at(b"z"), &[(&name(1000 + number), 1.0)], rule, NOW).unwrap();
                }
            }
        }
        assert!((0..600).step_by(3).all(|number| seen.contains_key(&name(number))), "{}", fixture.name);
    });
}
