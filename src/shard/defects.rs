//! Defects that tests plant to show that they would find them. Only `DEBUG PLANT` gets here.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::run::Op;
use super::{Mailbox, Refusal, Run, Shard};
use crate::resp::{Protocol, ReplyBuffer};

/// What a shard can be made to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// SET is acknowledged when it is queued.
    AcknowledgesBeforeCommit,
    /// A leader reads without knowing that it still leads.
    ReadsWithoutLease,
}

impl Shard {
    /// Makes the shard defective until it is opened again.
    pub fn plant(&self, defect: Defect) {
        match defect {
            Defect::AcknowledgesBeforeCommit => self.acknowledges_early.store(true, Ordering::Relaxed),
            Defect::ReadsWithoutLease => self.group().plant_reads_without_lease(),
        }
    }

    /// Submits a run of SETs and acknowledges it at once; `None` for any other run.
    #[cold]
    pub(super) fn acknowledge_early(
        &self,
        run: &Run,
        mailbox: &Arc<Mailbox>,
        protocol: Protocol,
        touch: bool,
    ) -> Option<Result<(), Refusal>> {
        if !run.ops.iter().all(|op| matches!(op, Op::Write { spec } if spec.name == "SET")) {
            return None;
        }
        if self.queue.submit(run, &Mailbox::new(), protocol, touch).is_err() {
            return Some(Err(Refusal::Full));
        }
        let mut replies = ReplyBuffer::default();
        let mut ends = Vec::new();
        for _ in &run.ops {
            replies.reply(protocol).ok();
            ends.push(replies.len());
        }
        mailbox.put_ends(ends);
        if let Some(waker) = mailbox.deliver(replies) {
            waker.wake();
        }
        Some(Ok(()))
    }
}
