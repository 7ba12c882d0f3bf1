//! When a node must not vote, and must not stand for election.
//!
//! **After a start.** A voter promises each leader that it hears to vote for nobody else for a while, and a
//! leader's lease rests on that promise (`lease`). A restart forgets it. So a voter that was one before keeps
//! quiet for one longest election timeout after its group is opened: every promise has run out by then.
//!
//! **After a loss.** A voter that may have lost acknowledged entries (they were not synced when the
//! machine went down) has a log that is shorter than what it once confirmed. Its vote could elect a leader
//! that lacks what it confirmed. It keeps quiet until a leader has given it everything: until an append request
//! has succeeded that reaches the leader's commit index, where that is an entry of the leader's own term. A
//! leader that has committed in its term has everything that was ever committed; an earlier commit index may be
//! old news. What the voter confirms meanwhile counts, and rightly: raft confirms an entry only with all
//! entries before it. The file `UNTRUSTED` in the group's directory keeps this over further restarts.
//!
//! If all voters of a group have lost entries, as when the power of a whole site fails under `everysec`, nobody
//! votes. [`super::Group::trust_log`] is how an operator accepts the loss.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use tokio::time::Instant;

use super::snapshot;
use super::types::LogId;
use super::wire::{Append, AppendAnswer};

const MARKER: &str = "UNTRUSTED";

/// What keeps a node from voting.
pub(super) struct Votes {
    quiet_until: Option<Instant>,
    untrusted: AtomicBool,
    marker: PathBuf,
}

impl Votes {
    /// `quiet` from now on; `may_have_lost` is remembered in `dir`. Blocking.
    pub(super) fn open(dir: &Path, quiet: Option<Duration>, may_have_lost: bool) -> io::Result<Self> {
        let marker = dir.join(MARKER);
        if may_have_lost && !marker.exists() {
            fs::File::create(&marker)?.sync_all()?;
            snapshot::sync_dir(dir)?;
        }
        let untrusted = AtomicBool::new(marker.exists());
        Ok(Self { quiet_until: quiet.map(|quiet| Instant::now() + quiet), untrusted, marker })
    }

    /// Why there is no vote now.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        if self.is_untrusted() {
            Some("this voter may have lost entries and has not caught up")
        } else if self.quiet_until.is_some_and(|until| Instant::now() < until) {
            Some("this voter has just started")
        } else {
            None
        }
    }

    /// When the quiet after the start ends.
    pub(super) fn quiet_until(&self) -> Option<Instant> {
        self.quiet_until
    }

    /// Entries may be missing.
    pub(super) fn is_untrusted(&self) -> bool {
        self.untrusted.load(Acquire)
    }

    /// The log has everything again, or somebody accepts what it lacks. Blocking.
    pub(super) fn trust(&self) -> io::Result<()> {
        if self.is_untrusted() {
            fs::remove_file(&self.marker)?;
            snapshot::sync_dir(self.marker.parent().expect("the marker is in a directory"))?;
            self.untrusted.store(false, Release);
        }
        Ok(())
    }
}

/// What of an append request tells, when it succeeds, whether the log has everything.
pub(super) struct Progress {
    reaches: Option<LogId>,
    committed: Option<LogId>,
    is_of_its_term: bool,
}

impl Progress {
    pub(super) fn of(request: &Append) -> Self {
        let reaches = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let is_of_its_term = request.leader_commit.is_some_and(|id| id.leader_id == request.vote.leader_id);
        Self { reaches, committed: request.leader_commit, is_of_its_term }
    }

    /// The log now has everything that was ever committed.
    pub(super) fn is_complete(&self, answer: &AppendAnswer) -> bool {
        matches!(answer, AppendAnswer::Success)
            && self.is_of_its_term
            && self.reaches.map(|id| id.index) >= self.committed.map(|id| id.index)
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::{LeaderId, Vote};
    use super::*;

    fn id(term: u64, index: u64) -> LogId {
        LogId { leader_id: LeaderId { term, node_id: 1 }, index }
    }

    #[test]
    fn distrust_outlives_restarts_until_it_is_lifted() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = |lost| Votes::open(dir.path(), None, lost).expect("opens");
        assert!(open(false).refusal().is_none());
        assert!(open(true).refusal().is_some());
        let again = open(false);
        assert!(again.refusal().is_some());
        again.trust().expect("trusts");
        assert!(again.refusal().is_none());
        assert!(open(false).refusal().is_none());
    }

    #[test]
    fn a_start_is_followed_by_quiet() {
        let dir = tempfile::tempdir().expect("a directory");
        let votes = Votes::open(dir.path(), Some(Duration::from_millis(30)), false).expect("opens");
        assert!(votes.refusal().is_some());
        std::thread::sleep(Duration::from_millis(31));
        assert!(votes.refusal().is_none());
    }

    #[test]
    fn only_a_commit_of_the_leaders_own_term_that_was_reached_is_proof() {
        let vote = Vote { leader_id: LeaderId { term: 5, node_id: 1 }, committed: true };
        let request =
            |prev, commit| Append { vote, prev_log_id: Some(prev), entries: Vec::new(), leader_commit: Some(commit) };
        let complete = |request: &Append, answer| Progress::of(request).is_complete(&answer);
        assert!(complete(&request(id(5, 9), id(5, 9)), AppendAnswer::Success));
        assert!(!complete(&request(id(5, 9), id(5, 9)), AppendAnswer::Conflict));
        assert!(!complete(&request(id(4, 8), id(5, 9)), AppendAnswer::Success), "not reached");
        assert!(!complete(&request(id(4, 8), id(4, 7)), AppendAnswer::Success), "old news");
        assert!(!complete(&Append { leader_commit: None, ..request(id(4, 8), id(4, 7)) }, AppendAnswer::Success));
    }
}
