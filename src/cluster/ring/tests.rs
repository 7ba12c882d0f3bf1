use proptest::prelude::*;

use super::*;

/// The figures that are asked of a ring of equal shards with 64 virtual nodes.
const MAX_LOAD: f64 = 1.05;
const MAX_MOVED: f64 = 1.1;

fn ring_of(shards: u32, virtual_nodes: u16) -> Ring {
    Ring::with_shards((1..=shards).map(ShardId), virtual_nodes).unwrap()
}

fn moved_slots(old: &Ring, new: &Ring) -> u32 {
    moves(old, new).iter().map(|moved| u32::from(moved.slots())).sum()
}

/// What holds of every ring.
fn check(ring: &Ring) {
    let shares = ring.shares();
    let owned: u32 = shares.iter().map(|share| u32::from(share.slots)).sum();
    assert_eq!(owned, if shares.is_empty() { 0 } else { u32::from(SLOT_COUNT) });
    assert!(shares.iter().all(|share| share.slots > 0 && share.tokens > 0), "{shares:?}");
    assert_eq!(shares.iter().map(|share| share.shard).collect::<Vec<_>>(), ring.shards().collect::<Vec<_>>());

    let ranges = ring.ranges();
    assert!(ranges.len() <= ring.token_count());
    assert!(ranges.windows(2).all(|pair| pair[0].end.0 + 1 == pair[1].start.0 && pair[0].shard != pair[1].shard));
    for range in &ranges {
        assert!((range.start.0..=range.end.0).all(|slot| ring.owner(Slot(slot)) == Some(range.shard)));
    }
    for share in &shares {
        let own = ranges.iter().filter(|range| range.shard == share.shard);
        assert_eq!(own.map(|range| range.end.0 - range.start.0 + 1).sum::<u16>(), share.slots);
    }
    assert_eq!(Ring::decode(&ring.encode()).as_ref(), Ok(ring));
}

#[test]
fn empty_ring_owns_nothing() {
    let ring = Ring::new();
    check(&ring);
    assert_eq!(ring.owner(Slot(0)), None);
    assert_eq!(ring.ranges(), []);
    let one = ring_of(1, 64);
    assert_eq!(one.ranges(), [SlotRange { start: Slot(0), end: Slot(SLOT_COUNT - 1), shard: ShardId(1) }]);
    let all = SlotMove { start: Slot(0), end: Slot(SLOT_COUNT - 1), from: None, to: Some(ShardId(1)) };
    assert_eq!(moves(&ring, &one), [all]);
    let mut none = one;
    none.remove(ShardId(1)).unwrap();
    assert_eq!(none, ring);
}

#[test]
fn wrong_changes_are_refused_and_change_nothing() {
    let mut ring = ring_of(3, 16);
    let before = ring.clone();
    assert_eq!(ring.add(ShardId(2), 100, 16), Err(RingError::AlreadyMember(ShardId(2))));
    assert_eq!(ring.add(ShardId(4), 0, 16), Err(RingError::NoWeight));
    assert_eq!(ring.add(ShardId(4), 100, 0), Err(RingError::NoVirtualNodes));
    assert_eq!(ring.remove(ShardId(4)), Err(RingError::NotMember(ShardId(4))));
    assert_eq!(ring.set_weight(ShardId(4), 1), Err(RingError::NotMember(ShardId(4))));
    assert_eq!(ring.set_weight(ShardId(1), 0), Err(RingError::NoWeight));
    assert_eq!(ring, before);
}

/// Nodes of different builds must agree on what `add` does. A change here is a change of the algorithm: rings in the
/// metadata stay as they are, but builds from before and after it must not add shards side by side.
#[test]
fn tokens_are_these() {
    let ring = ring_of(3, 4);
    let tokens: Vec<(u16, u32)> = ring.tokens.iter().map(|token| (token.slot, token.shard.0)).collect();
    assert_eq!(
        tokens,
        [
            (0, 1),
            (2050, 2),
            (4058, 1),
            (4938, 3),
            (6293, 2),
            (7105, 3),
            (8391, 1),
            (9791, 2),
            (11720, 1),
            (12918, 3),
            (14185, 2),
            (14997, 3)
        ]
    );
    let digest = twox_hash::XxHash3_64::oneshot(&ring_of(64, 64).encode());
    assert_eq!(digest, 0x5fbc_9fc9_cb8f_8851, "{digest:#x}");
}

#[test]
fn eight_shards_and_a_ninth() {
    let eight = ring_of(8, 64);
    assert!(eight.max_load() <= MAX_LOAD, "{}", eight.max_load());
    assert!(eight.ranges().len() <= 8 * 64);
    let mut nine = eight.clone();
    nine.add(ShardId(9), DEFAULT_WEIGHT, 64).unwrap();
    assert!(moves(&eight, &nine).iter().all(|moved| moved.to == Some(ShardId(9))));
    let moved = f64::from(moved_slots(&eight, &nine));
    assert!(moved <= MAX_MOVED / 9.0 * f64::from(SLOT_COUNT), "{moved} slots moved");
    assert!(nine.ranges().len() <= 9 * 64);
}

#[test]
fn shares_stay_even_from_1_to_64_shards() {
    let mut ring = Ring::new();
    for shards in 1..=64u16 {
        let old = ring.clone();
        ring.add(ShardId(u32::from(shards)), DEFAULT_WEIGHT, 64).unwrap();
        check(&ring);
        assert!(ring.max_load() <= MAX_LOAD, "{} with {shards} shards", ring.max_load());
        assert!(ring.token_count() <= usize::from(shards) * 64);
        if shards > 1 {
            let moved = f64::from(moved_slots(&old, &ring)) / f64::from(SLOT_COUNT);
            assert!(moved <= MAX_MOVED / f64::from(shards), "{moved} of the slots moved to shard {shards}");
        }
    }
}

#[test]
fn any_of_64_shards_can_be_removed() {
    for shards in [2, 3, 8, 9, 20, 44, 64] {
        let ring = ring_of(shards, 64);
        for shard in ring.shards() {
            let mut less = ring.clone();
            less.remove(shard).unwrap();
            check(&less);
            assert!(moves(&ring, &less).iter().all(|moved| moved.from == Some(shard)));
            assert!(less.max_load() <= MAX_LOAD, "{} without {} of {shards}", less.max_load(), shard.0);
        }
    }
}

#[test]
fn more_shards_than_arcs_allow_take_whole_arcs() {
    let mut ring = ring_of(200, 64);
    for shard in 201..=300 {
        ring.add(ShardId(shard), DEFAULT_WEIGHT, 64).unwrap();
    }
    check(&ring);
    assert!(ring.max_load() <= MAX_LOAD, "{}", ring.max_load());
}

#[test]
fn ring_of_single_slots_is_full() {
    let member = Member { weight: 1, virtual_nodes: 1 };
    let members = (0..u32::from(SLOT_COUNT)).map(|shard| (ShardId(shard), member)).collect();
    let tokens = (0..SLOT_COUNT).map(|slot| Token { slot, shard: ShardId(u32::from(slot)) }).collect();
    let mut ring = Ring::from_parts(members, tokens);
    assert_eq!(ring.add(ShardId(20_000), 1, 1), Err(RingError::Full));
}

#[test]
fn balanced_ring_is_left_alone() {
    let ring = ring_of(9, 64);
    assert_eq!(ring.rebalanced(), ring);
}

#[test]
fn doubled_weight_takes_from_all_and_moves_nothing_else() {
    let mut ring = ring_of(8, 64);
    ring.set_weight(ShardId(3), 2 * DEFAULT_WEIGHT).unwrap();
    let even = ring.rebalanced();
    check(&even);
    assert!(even.max_load() <= MAX_LOAD, "{}", even.max_load());
    assert!(even.shares().iter().all(|share| share.load() >= 0.95), "{:?}", even.shares());
    // It owned an eighth and is to own two ninths.
    let lacking = f64::from(SLOT_COUNT) * (2.0 / 9.0 - 1.0 / 8.0);
    assert!(f64::from(moved_slots(&ring, &even)) <= lacking * 1.1);
    assert!(moves(&ring, &even).iter().all(|moved| moved.to == Some(ShardId(3))));
}

#[test]
fn tokens_are_given_up_where_there_are_too_many() {
    let mut ring = ring_of(64, 64);
    for shard in 1..=32 {
        ring.set_weight(ShardId(shard), 10 * DEFAULT_WEIGHT).unwrap();
    }
    let even = ring.rebalanced();
    check(&even);
    assert!(even.max_load() <= MAX_LOAD, "{}", even.max_load());
    assert!(even.token_count() < ring.token_count());
}

#[test]
fn damaged_rings_are_refused() {
    let bytes = ring_of(2, 2).encode();
    for length in 0..bytes.len() {
        assert!(matches!(Ring::decode(&bytes[..length]), Err(RingError::Damaged(_))), "{length}");
    }
    let damaged = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        Ring::decode(&bytes).unwrap_err()
    };
    // Version, then two shards of ten bytes after their number, then four tokens of four bytes after theirs.
    assert_eq!(damaged(0, 2), RingError::Damaged("unknown version"));
    assert_eq!(damaged(3, 9), RingError::Damaged("shards do not ascend"));
    assert_eq!(damaged(7, 0), RingError::Damaged("a shard without weight or virtual nodes"));
    assert_eq!(damaged(25, 1), RingError::Damaged("tokens do not ascend from slot 0"));
    assert_eq!(damaged(27, 2), RingError::Damaged("a token of no shard"));
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Ring::decode(&longer), Err(RingError::Damaged("bytes after its end")));
}

/// A change of a ring; the number picks the shard where one must exist.
#[derive(Clone, Debug)]
enum Change {
    Add { weight: u32, virtual_nodes: u16 },
    Remove(usize),
    SetWeight(usize, u32),
    Rebalance,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (1u32..20, 1u16..100).prop_map(|(weight, virtual_nodes)| Change::Add { weight, virtual_nodes }),
        2 => any::<usize>().prop_map(Change::Remove),
        1 => (any::<usize>(), 1u32..20).prop_map(|(shard, weight)| Change::SetWeight(shard, weight)),
        1 => Just(Change::Rebalance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequence_of_changes_keeps_a_whole_ring(changes in proptest::collection::vec(change(), 1..24)) {
        let mut ring = Ring::new();
        let mut next = 1;
        for change in changes {
            let old = ring.clone();
            let shards: Vec<ShardId> = ring.shards().collect();
            let pick = |number: usize| shards.get(number % shards.len().max(1)).copied();
            match change {
                Change::Add { weight, virtual_nodes } => {
                    let shard = ShardId(next);
                    next += 1;
                    ring.add(shard, weight, virtual_nodes).unwrap();
                    prop_assert!(moves(&old, &ring).iter().all(|moved| moved.to == Some(shard)));
                }
                Change::Remove(number) => {
                    let Some(shard) = pick(number) else { continue };
                    ring.remove(shard).unwrap();
                    prop_assert!(moves(&old, &ring).iter().all(|moved| moved.from == Some(shard)));
                }
                Change::SetWeight(number, weight) => {
                    let Some(shard) = pick(number) else { continue };
                    ring.set_weight(shard, weight).unwrap();
                    prop_assert_eq!(moves(&old, &ring), []);
                }
                Change::Rebalance => {
                    ring = ring.rebalanced();
                    prop_assert!(ring.max_load() <= old.max_load().max(MAX_LOAD) + 1e-9);
                    prop_assert_eq!(&ring.rebalanced(), &ring);
                }
            }
            check(&ring);
        }
    }

    #[test]
    fn equal_shards_are_even(shards in 1u32..64, virtual_nodes in 32u16..128) {
        let ring = ring_of(shards, virtual_nodes);
        check(&ring);
        prop_assert!(ring.max_load() <= MAX_LOAD, "{}", ring.max_load());
        prop_assert!(ring.ranges().len() <= shards as usize * usize::from(virtual_nodes));
    }

    #[test]
    fn shares_follow_weights(weights in proptest::collection::vec(1u32..=4, 1..40)) {
        let mut ring = Ring::new();
        for (shard, weight) in (1..).zip(weights) {
            let old = ring.clone();
            ring.add(ShardId(shard), weight, 64).unwrap();
            prop_assert!(ring.max_load() <= MAX_LOAD, "{} with shard {}", ring.max_load(), shard);
            let share = *ring.shares().last().unwrap();
            prop_assert!(shard == 1 || f64::from(moved_slots(&old, &ring)) <= MAX_MOVED * share.target);
        }
    }

    #[test]
    fn rebalanced_rings_are_even(weights in proptest::collection::vec(1u32..=10, 2..32)) {
        let mut ring = ring_of(u32::try_from(weights.len()).unwrap(), 64);
        for (shard, weight) in (1..).zip(weights) {
            ring.set_weight(ShardId(shard), weight).unwrap();
        }
        let even = ring.rebalanced();
        check(&even);
        let near = |share: &Share| share.load() <= MAX_LOAD && share.load() >= 0.95;
        // A share of a few slots cannot come nearer than to the next whole one.
        let whole = |share: &Share| (f64::from(share.slots) - share.target).abs() < 1.0;
        prop_assert!(even.shares().iter().all(|share| near(share) || whole(share)), "{:?}", even.shares());
    }

    #[test]
    fn no_bytes_make_decoding_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at: usize, value: u8) {
        let _ = Ring::decode(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let _ = Ring::decode(&bytes);
        let mut whole = ring_of(3, 4).encode();
        let length = whole.len();
        whole[at % length] = value;
        if let Ok(ring) = Ring::decode(&whole) {
            check(&ring);
        }
    }
}
