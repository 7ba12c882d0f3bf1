//! Requests that are parsed and wait to be dispatched.
//!
//! A connection parses a few requests before it dispatches the first, so that the memory their keys
//! are in can be read for all of them at once.

use std::ops::Range;

use smallvec::SmallVec;

use crate::command::member_argument;

/// The parsed requests of a connection, as ranges of its input.
#[derive(Default)]
pub(super) struct Ahead {
    ranges: Vec<Range<usize>>,
    /// Where in `ranges` each request ends.
    ends: Vec<usize>,
    /// Requests that were dispatched.
    taken: usize,
}

impl Ahead {
    /// Whether all were dispatched.
    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.ends.len()
    }

    /// Number of requests, dispatched ones included.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.ends.clear();
        self.taken = 0;
    }

    /// Adds a request whose ranges `fill` appends.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut Vec<Range<usize>>)) {
        fill(&mut self.ranges);
        self.ends.push(self.ranges.len());
    }

    /// The next request's arguments.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> SmallVec<[&'a [u8]; 8]> {
        let request = self.taken;
        self.taken += 1;
        let start = if request == 0 { 0 } else { self.ends[request - 1] };
        self.ranges[start..self.ends[request]].iter().map(|range| &input[range.clone()]).collect()
    }

    /// The name of the first request.
    pub(super) fn first_name<'a>(&self, input: &'a [u8]) -> Option<&'a [u8]> {
        self.ranges.first().map(|range| &input[range.clone()])
    }

    /// The first key of every request that may have one, and the field or member that it names, if it does.
    pub(super) fn look_ups<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        (0..self.ends.len()).filter_map(move |request| {
            let start = if request == 0 { 0 } else { self.ends[request - 1] };
            let ranges = &self.ranges[start..self.ends[request]];
            let argument = |index: usize| ranges.get(index).map(|range| &input[range.clone()]);
            let name = argument(0)?;
            Some((argument(1)?, argument(member_argument(name))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_in_order() {
        let input = b"GET a SET b 1 PING";
        let mut ahead = Ahead::default();
        ahead.push(|ranges| ranges.extend([0..3, 4..5]));
        ahead.push(|ranges| ranges.extend([6..9, 10..11, 12..13]));
        ahead.push(|ranges| ranges.push(14..18));
        assert_eq!(ahead.first_name(input), Some(&b"GET"[..]));
        let look_ups: Vec<_> = ahead.look_ups(input).collect();
        assert_eq!(look_ups, [(&b"a"[..], None), (b"b", Some(&b"1"[..]))]);
        assert_eq!(ahead.take(input).as_slice(), [b"GET".as_slice(), b"a"]);
        assert_eq!(ahead.take(input).as_slice(), [b"SET".as_slice(), b"b", b"1"]);
        assert!(!ahead.is_empty());
        assert_eq!(ahead.take(input).as_slice(), [b"PING"]);
        assert!(ahead.is_empty());
    }
}
