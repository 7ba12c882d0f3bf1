//! What the simulated clients asked and saw, and whether a single list could have answered so.
//!
//! The state is a list of numbers, each proposed once, so a read is known by how much of the list it saw. Such a history
//! is linearizable if and only if every read saw a beginning of the final list that holds what was acknowledged
//! before it began, nothing that was proposed after it ended, and no less than a read that ended before.

use std::collections::BTreeMap;
use std::time::Duration;

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// Nobody knows, or nobody knows yet.
    Open,
    /// It is in the list.
    Acknowledged(Duration),
    /// It is not in the list and never will be.
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Proposal {
    invoked: Duration,
    outcome: Outcome,
}

/// A read: when it began and ended, and what it saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) node: u64,
    pub(super) how: &'static str,
    pub(super) invoked: Duration,
    pub(super) returned: Duration,
    /// Numbers in the list.
    pub(super) length: usize,
    /// The last of them.
    pub(super) last: Option<u64>,
}

/// All that was asked and seen.
#[derive(Default)]
pub(super) struct History {
    proposals: Vec<Proposal>,
    reads: Vec<Read>,
    /// A digest of everything in the order in which it came about.
    trace: u64,
}

impl History {
    fn note(&mut self, words: &[u64]) {
        for word in words {
            self.trace = (self.trace ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }

    /// A number is about to be proposed; answers which.
    pub(super) fn propose(&mut self, now: Duration) -> u64 {
        self.proposals.push(Proposal { invoked: now, outcome: Outcome::Open });
        let number = self.proposals.len() as u64 - 1;
        self.note(&[1, number, now.as_nanos() as u64]);
        number
    }

    /// What became of it.
    pub(super) fn decide(&mut self, number: u64, outcome: Outcome, now: Duration) {
        self.proposals[number as usize].outcome = outcome;
        let code = match outcome {
            Outcome::Open => 2,
            Outcome::Acknowledged(_) => 3,
            Outcome::Refused => 4,
        };
        self.note(&[code, number, now.as_nanos() as u64]);
    }

    /// A read is over.
    pub(super) fn read(&mut self, read: Read) {
        let (from, to) = (read.invoked.as_nanos() as u64, read.returned.as_nanos() as u64);
        self.note(&[5, read.node, read.how.len() as u64, from, to, read.length as u64]);
        self.reads.push(read);
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace
    }

    /// Proposals that were acknowledged, and reads.
    pub(super) fn counts(&self) -> (usize, usize) {
        let acknowledged =
            self.proposals.iter().filter(|proposal| matches!(proposal.outcome, Outcome::Acknowledged(_)));
        (acknowledged.count(), self.reads.len())
    }

    /// What is wrong with it, given the final list.
    pub(super) fn check(&self, list: &[u64]) -> Result<(), String> {
        let mut places = BTreeMap::new();
        for (place, number) in list.iter().enumerate() {
            if let Some(before) = places.insert(*number, place) {
                return Err(format!("number {number} is in the list at {before} and at {place}"));
            }
        }
        // By time of acknowledgement, how long a list has to be that misses nothing.
        let mut needed: Vec<(Duration, usize)> = Vec::new();
        for (number, proposal) in (0..).zip(&self.proposals) {
            let place = places.get(&number);
            match (proposal.outcome, place) {
                (Outcome::Acknowledged(at), Some(place)) => needed.push((at, place + 1)),
                (Outcome::Acknowledged(at), None) => {
                    return Err(format!("number {number}, acknowledged at {at:?}, is lost"));
                }
                (Outcome::Refused, Some(place)) => {
                    return Err(format!("number {number} was refused, and is in the list at {place}"));
                }
                (Outcome::Refused, None) | (Outcome::Open, _) => {}
            }
        }
        for read in &self.reads {
            let seen = list.get(..read.length).ok_or_else(|| format!("{read:?} saw more than there is"))?;
            if seen.last().copied() != read.last {
                return Err(format!("{read:?} saw another list than the final one, {:?} at its end", seen.last()));
            }
            if let Some(early) = seen.iter().find(|number| self.proposals[**number as usize].invoked > read.returned) {
                return Err(format!("{read:?} saw number {early}, which was proposed later"));
            }
            needed.push((read.returned, read.length));
        }
        needed.sort_unstable();
        for at in 1..needed.len() {
            needed[at].1 = needed[at].1.max(needed[at - 1].1);
        }
        for read in &self.reads {
            let before = needed.partition_point(|(at, _)| *at < read.invoked);
            if let Some((at, length)) = before.checked_sub(1).map(|before| needed[before])
                && read.length < length
            {
                return Err(format!("{read:?} is stale: {length} numbers were acknowledged or seen by {at:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn read(invoked: u64, returned: u64, list: &[u64]) -> Read {
        let (length, last) = (list.len(), list.last().copied());
        Read { node: 1, how: "lease", invoked: ms(invoked), returned: ms(returned), length, last }
    }

    /// Numbers 0, 1 and 2, acknowledged at 10, 20 and never.
    fn history(reads: &[Read]) -> History {
        let mut history = History::default();
        for at in [5, 15, 25] {
            history.propose(ms(at));
        }
        history.decide(0, Outcome::Acknowledged(ms(10)), ms(10));
        history.decide(1, Outcome::Acknowledged(ms(20)), ms(20));
        reads.iter().for_each(|read| history.read(*read));
        history
    }

    #[test]
    fn what_one_list_could_answer_is_right() {
        let reads = [read(0, 4, &[]), read(6, 9, &[]), read(6, 9, &[0]), read(16, 30, &[0]), read(21, 22, &[0, 1])];
        assert_eq!(history(&reads).check(&[0, 1]), Ok(()));
        assert_eq!(history(&reads).check(&[0, 1, 2]), Ok(()));
    }

    #[test]
    fn what_it_could_not_is_wrong() {
        let wrong = |reads: &[Read], list: &[u64], what: &str| {
            let error = history(reads).check(list).expect_err(what);
            assert!(error.contains(what), "{error}");
        };
        wrong(&[], &[0], "is lost");
        wrong(&[], &[0, 1, 0], "is in the list at");
        wrong(&[read(21, 22, &[0])], &[0, 1], "is stale");
        wrong(&[read(16, 17, &[0, 1]), read(18, 19, &[0])], &[0, 1], "is stale");
        wrong(&[read(11, 12, &[0, 1])], &[0, 1], "proposed later");
        wrong(&[read(21, 22, &[1, 0])], &[0, 1], "another list");
        wrong(&[read(21, 22, &[0, 1, 2])], &[0, 1], "more than there is");
        let mut refused = history(&[]);
        refused.decide(2, Outcome::Refused, ms(26));
        assert!(refused.check(&[0, 1]).is_ok() && refused.check(&[0, 1, 2]).is_err());
    }
}
