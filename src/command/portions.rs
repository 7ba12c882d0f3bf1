//! Items that are tested together.
//!
//! Commands on several collections have one open, walk it, and look each item up in the others. An open collection of a
//! row engine holds a view of the engine's files, of which there are not arbitrarily many: LMDB has a table of readers,
//! and a command that finds it full stops the shard. So no more than two are open at a time, however many keys a command
//! names: items are gathered in portions, and each of the other collections is opened once for each portion.

use crate::storage::StorageResult;

/// Items of a portion: of the first one, so that a low limit is reached soon, and of the largest.
const PORTION_ITEMS: std::ops::RangeInclusive<usize> = 16..=1024;

/// Gives what `walk` visits to `test`, portion by portion, until `test` wants no more.
pub(super) fn in_portions<T>(
    walk: impl FnOnce(&mut dyn FnMut(T) -> bool) -> StorageResult<()>,
    mut test: impl FnMut(Vec<T>) -> StorageResult<bool>,
) -> StorageResult<()> {
    let mut portion = Vec::new();
    let mut size = *PORTION_ITEMS.start();
    let mut going = Ok(true);
    walk(&mut |item| {
        portion.push(item);
        if portion.len() < size {
            return true;
        }
        size = (size * 2).min(*PORTION_ITEMS.end());
        going = test(std::mem::take(&mut portion));
        matches!(going, Ok(true))
    })?;
    if going? && !portion.is_empty() {
        test(portion)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::StorageError;

    fn walk_to(end: u32, visit: &mut dyn FnMut(u32) -> bool) -> StorageResult<()> {
        (0..end).all(visit);
        Ok(())
    }

    #[test]
    fn everything_comes_once_and_in_order() {
        for end in [0, 1, 15, 16, 17, 48, 5000] {
            let (mut seen, mut largest) = (Vec::new(), 0);
            in_portions(
                |visit| walk_to(end, visit),
                |portion| {
                    largest = largest.max(portion.len());
                    seen.extend(portion);
                    Ok(true)
                },
            )
            .unwrap();
            assert_eq!(seen, (0..end).collect::<Vec<_>>());
            assert!(largest <= *PORTION_ITEMS.end());
        }
    }

    #[test]
    fn it_ends_when_enough_was_seen_or_something_failed() {
        let mut portions = 0;
        in_portions(
            |visit| walk_to(5000, visit),
            |_| {
                portions += 1;
                Ok(portions < 2)
            },
        )
        .unwrap();
        assert_eq!(portions, 2);
        let failed = in_portions(|visit| walk_to(17, visit), |_| Err(StorageError::WrongType));
        assert!(matches!(failed, Err(StorageError::WrongType)));
    }
}
