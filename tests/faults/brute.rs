//! A checker that tries every order, to check the checker with: obviously right, and for a dozen operations at most.

use super::history::{Operation, Outcome};
use super::model::State;

/// Whether the operations, all of one key, are linearizable.
pub(crate) fn is_linearizable(operations: &[Operation]) -> bool {
    assert!(operations.len() <= 16, "the orders of {} operations are too many", operations.len());
    search(operations, &mut vec![false; operations.len()], &State::Absent)
}

fn search(operations: &[Operation], done: &mut Vec<bool>, state: &State) -> bool {
    let waits = |at: usize, done: &[bool]| !done[at] && matches!(operations[at].outcome, Outcome::Replied(_));
    if (0..operations.len()).all(|at| !waits(at, done)) {
        return true;
    }
    for at in 0..operations.len() {
        let operation = &operations[at];
        let overtakes = (0..operations.len())
            .any(|other| waits(other, done) && operations[other].returned_ns < operation.invoked_ns);
        if done[at] || overtakes || matches!(operation.outcome, Outcome::NotExecuted(_)) {
            continue;
        }
        let (after, reply) = state.step(&operation.action);
        if operation.reply().is_none_or(|seen| *seen == reply) {
            done[at] = true;
            if search(operations, done, &after) {
                return true;
            }
            done[at] = false;
        }
    }
    false
}
