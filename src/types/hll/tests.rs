use super::*;
use crate::types::rng::Rng;

/// `hll-sparse-max-bytes` as it is by default.
const SPARSE_MAX: usize = 3000;

fn of(elements: impl Iterator<Item = u64>, sparse_max_bytes: usize) -> Vec<u8> {
    let mut bytes = empty();
    for element in elements {
        raise(&mut bytes, place_of(element.to_string().as_bytes()), sparse_max_bytes).unwrap();
    }
    bytes
}

#[test]
fn hash_is_that_of_redis() {
    // From a redis-server: PFADD, then PFDEBUG DECODE.
    let bytes = of(1..=3, SPARSE_MAX);
    assert_eq!(describe_sparse(&bytes).unwrap(), "Z:7527 v:1,1 Z:3445 v:1,1 Z:4397 v:4,1 Z:1012");
}

#[test]
fn forms_agree() {
    for elements in [0, 1, 10, 100, 500, 1000, 5000, 50_000] {
        let sparse = of(0..elements, usize::MAX);
        let mut dense = sparse.clone();
        let is_sparse = encoding(&sparse) == Some(Encoding::Sparse);
        assert_eq!(make_dense(&mut dense).unwrap(), is_sparse);
        assert_eq!(count(&sparse).unwrap(), count(&dense).unwrap());
        assert!(count(&dense).unwrap().abs_diff(elements) as f64 <= elements as f64 * 0.03, "{elements}");
        let mut registers = Registers::default();
        registers.merge(&sparse).unwrap();
        let dense_values = (0..REGISTERS).map(|index| dense::get(&dense[HEADER_BYTES..], index));
        assert!(dense_values.eq(registers.values().iter().copied()));
        assert_eq!(registers.count(), count(&dense).unwrap());
    }
}

#[test]
fn raising_agrees_with_plain_registers() {
    let mut rng = Rng::new(1);
    for round in 0..200 {
        let max_bytes = [20, 200, 3000, usize::MAX][round % 4];
        let mut bytes = empty();
        let mut plain = [0u8; REGISTERS];
        // Few indexes and values make runs that split and join.
        let indexes = [20, 300, REGISTERS as u64][round % 3];
        for _ in 0..400 {
            let (index, value) = (rng.below(indexes) as usize, 1 + rng.below(3) as u8 + rng.below(33) as u8 / 32 * 40);
            assert_eq!(raise(&mut bytes, (index, value), max_bytes), Ok(plain[index] < value));
            plain[index] = plain[index].max(value);
        }
        let mut registers = Registers::default();
        registers.merge(&bytes).unwrap();
        assert_eq!(registers.values(), &plain);
    }
}

#[test]
fn sparse_stays_within_its_size() {
    let mut bytes = empty();
    for element in 0..3000u64 {
        raise(&mut bytes, place_of(&element.to_le_bytes()), 1000).unwrap();
        assert!(bytes.len() <= 1000 || encoding(&bytes) == Some(Encoding::Dense));
    }
    assert_eq!(encoding(&bytes), Some(Encoding::Dense));
}

#[test]
fn the_cardinality_is_kept_until_it_is_out_of_date() {
    let mut bytes = empty();
    assert_eq!(cached(&bytes), Some(0));
    invalidate(&mut bytes);
    assert_eq!(cached(&bytes), None);
    bytes[CARDINALITY].copy_from_slice(&[0x39, 0x30, 0, 0, 0, 0, 0, 0]);
    assert_eq!(cached(&bytes), Some(12345));
}

#[test]
fn other_strings_are_none() {
    let mut wrong = vec![empty(); 4];
    wrong[0][0] = b'h';
    wrong[1][ENCODING_AT] = 2;
    wrong[2][ENCODING_AT] = 0;
    wrong[3].truncate(15);
    for bytes in wrong {
        assert_eq!(encoding(&bytes), None);
        assert_eq!(count(&bytes), Err(Corrupt));
    }
}

#[test]
fn damaged_runs_are_noticed() {
    let good = of(0..100, SPARSE_MAX);
    let damaged: [(&str, Vec<u8>); 4] = [
        ("too many", [&good[..], &[0]].concat()),
        ("too few", [&good[..16], &[0x00]].concat()),
        ("none", good[..16].to_vec()),
        ("half a run", [&good[..], &[0x40]].concat()),
    ];
    for (what, bytes) in damaged {
        assert_eq!(count(&bytes), Err(Corrupt), "{what}");
        assert_eq!(make_dense(&mut bytes.clone()), Err(Corrupt), "{what}");
        assert_eq!(Registers::default().merge(&bytes), Err(Corrupt), "{what}");
        assert_eq!(describe_sparse(&bytes), Err(Corrupt), "{what}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let mut rng = Rng::new(1);
    let good = of(0..300, SPARSE_MAX);
    for _ in 0..20_000 {
        let mut bytes = good[..16 + rng.below(good.len() as u64 - 15) as usize].to_vec();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next_u64() as u8;
        }
        let _ = count(&bytes);
        let _ = Registers::default().merge(&bytes);
        let place = place_of(&rng.next_u64().to_le_bytes());
        let _ = raise(&mut bytes, place, 3000);
    }
}

#[test]
fn selftest_passes() {
    assert_eq!(selftest(), Ok(()));
}
