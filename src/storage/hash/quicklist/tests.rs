//! Quicklists against vectors.

use super::*;
use crate::types::rng::Rng;

fn contents(list: &Quicklist) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    list.walk(0, false, &mut |element| {
        elements.push(element.to_vec());
        true
    });
    elements
}

fn check(list: &Quicklist, model: &[Vec<u8>], limits: ChunkLimits) {
    assert_eq!(list.len(), model.len() as u64);
    assert!(contents(list) == model);
    assert_eq!(list.chunk_bytes, list.chunks.iter().map(Chunk::memory).sum::<usize>());
    for chunk in &list.chunks {
        assert_eq!(packed::verify(chunk.packed()).unwrap(), chunk.len() as u64);
        assert!(chunk.len() > 0 && limits.fits(chunk.packed().len(), chunk.len()));
    }
}

fn element(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.below(100) {
        0 => 10_000,
        1..=5 => 3_000,
        _ => rng.below(20),
    };
    (0..length).map(|_| rng.below(256) as u8).collect()
}

#[test]
fn it_is_a_vector() {
    for (seed, size) in [(1, -2), (2, -1), (3, 1), (4, 7), (5, 128), (6, -5)] {
        let limits = ChunkLimits::of(size);
        let mut rng = Rng::new(seed);
        let mut list = Quicklist::new();
        let mut model: Vec<Vec<u8>> = Vec::new();
        for step in 0..4_000 {
            let len = model.len() as u64;
            let growing = (step / 800) % 2 == 0;
            match rng.below(if growing { 8 } else { 14 }) {
                0 | 1 => {
                    let element = element(&mut rng);
                    list.push(ListEnd::Head, &element, limits);
                    model.insert(0, element);
                }
                2 | 3 => {
                    let element = element(&mut rng);
                    list.push(ListEnd::Tail, &element, limits);
                    model.push(element);
                }
                4 | 5 if len > 0 => {
                    let index = rng.below(len);
                    let element = element(&mut rng);
                    list.insert(index, &element, limits);
                    model.insert(index as usize, element);
                }
                6 if len > 0 => {
                    let index = rng.below(len);
                    let element = element(&mut rng);
                    list.set(index, &element, limits);
                    model[index as usize] = element;
                }
                7 | 8 if len > 0 => {
                    let end = if rng.below(2) == 0 { ListEnd::Head } else { ListEnd::Tail };
                    let count = 1 + rng.below(5);
                    let mut popped = Vec::new();
                    let taken = list.pop(end, count, &mut |element| popped.push(element.to_vec())) as usize;
                    assert_eq!(taken as u64, count.min(len));
                    let mut expected: Vec<Vec<u8>> = match end {
                        ListEnd::Head => model.drain(..taken).collect(),
                        ListEnd::Tail => model.drain(model.len() - taken..).rev().collect(),
                    };
                    assert_eq!(popped, std::mem::take(&mut expected));
                }
                _ if len > 0 => {
                    let start = rng.below(len);
                    let end = (start + 1 + rng.below(20)).min(len);
                    let second = end + 1..(end + 3).min(len);
                    let ranges: Vec<_> =
                        [start..end, second].into_iter().filter(|range| range.start < range.end).collect();
                    list.remove(&ranges, limits);
                    for range in ranges.iter().rev() {
                        model.drain(range.start as usize..range.end as usize);
                    }
                }
                _ => {}
            }
            if step % 40 == 0 {
                check(&list, &model, limits);
                let from = rng.below(model.len() as u64 + 1);
                assert_eq!(list.get(from), model.get(from as usize).map(Vec::as_slice));
                let mut back = Vec::new();
                list.walk(from, true, &mut |element| {
                    back.push(element.to_vec());
                    back.len() < 30
                });
                let before = model.get(..=from as usize).unwrap_or_default();
                assert!(back.iter().eq(before.iter().rev().take(30)));
            }
        }
    }
}

#[test]
fn a_queue_keeps_its_memory() {
    let limits = ChunkLimits::of(-2);
    let mut list = Quicklist::new();
    for i in 0..200_000u32 {
        list.push(ListEnd::Tail, &i.to_be_bytes(), limits);
        if i >= 1_000 {
            list.pop(ListEnd::Head, 1, &mut |element| assert_eq!(element, (i - 1_000).to_be_bytes()));
        }
    }
    assert_eq!(list.len(), 1_000);
    assert!(list.bytes() < 30_000, "{} bytes", list.bytes());
}
