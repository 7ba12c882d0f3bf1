//! Why a history is not linearizable, for people: the first operation that no order explains, and what
//! happened around it.

use std::fmt;

use super::history::{Operation, Reply, shown};
use super::model::State;

/// Operations shown that ended before the impossible one began.
const BEFORE_SHOWN: usize = 8;

/// Operations with unknown outcome shown, and writers of the value.
const OTHERS_SHOWN: usize = 12;

/// An operation whose reply no order explains, though all replies before it can be explained.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The first one, by the time of its reply.
    pub(crate) impossible: Operation,
    /// What the key may hold before it; not all, if there is much, and none, if that is hard to say.
    pub(crate) states: Vec<State>,
    /// The last ones that ended before it began, and those that overlap it, by the time of the request.
    pub(crate) around: Vec<Operation>,
    /// Those that name the value which it should not have seen.
    pub(crate) writers: Vec<Operation>,
    /// Those that may still take effect.
    pub(crate) open: Vec<Operation>,
    /// Operations on the key.
    pub(crate) total: usize,
}

impl Violation {
    pub(crate) fn new(operations: &[&Operation], impossible: &Operation, states: Vec<State>) -> Self {
        let mut sorted: Vec<&Operation> = operations.to_vec();
        sorted.sort_by_key(|operation| operation.returned_ns);
        let with_reply = || sorted.iter().copied().filter(|operation| operation.reply().is_some());
        let before: Vec<_> = with_reply().filter(|op| op.returned_ns < impossible.invoked_ns).collect();
        let overlapping = with_reply().filter(|operation| {
            operation.returned_ns >= impossible.invoked_ns && operation.invoked_ns <= impossible.returned_ns
        });
        let last = &before[before.len().saturating_sub(BEFORE_SHOWN)..];
        let mut around: Vec<Operation> = last.iter().copied().chain(overlapping).cloned().collect();
        around.sort_by_key(|operation| operation.invoked_ns);

        let seen = match impossible.reply() {
            Some(Reply::Value(value)) => Some(value.as_str()),
            _ => None,
        };
        let writers = sorted.iter().filter(|operation| seen.is_some() && operation.action.written() == seen);
        let open = sorted.iter().filter(|operation| {
            operation.is_unknown() && !operation.action.is_read() && operation.invoked_ns <= impossible.returned_ns
        });
        Self {
            impossible: impossible.clone(),
            states,
            around,
            writers: writers.map(|operation| (*operation).clone()).collect(),
            open: open.map(|operation| (*operation).clone()).collect(),
            total: operations.len(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.states.iter().map(state_text).collect::<Vec<_>>();
        sorted.sort();
        writeln!(f, "key {}: no order of its {} operations explains", self.impossible.key, self.total)?;
        writeln!(f, "      {}", self.impossible)?;
        if !sorted.is_empty() {
            writeln!(f, "  the replies before it leave the key at: {}", sorted.join(", or "))?;
        }
        if let Some(Reply::Value(value)) = self.impossible.reply() {
            if self.writers.is_empty() {
                writeln!(f, "  no operation has written \"{}\" as such", shown(value))?;
            } else {
                writeln!(f, "  what it read was written by:")?;
                list(f, &self.writers, |_| ' ')?;
            }
        }
        writeln!(f, "  around it, by the time of the request (* overlaps it, > is it):")?;
        list(f, &self.around, |operation| match operation {
            _ if *operation == self.impossible => '>',
            _ if operation.returned_ns >= self.impossible.invoked_ns => '*',
            _ => ' ',
        })?;
        if !self.open.is_empty() {
            writeln!(f, "  {} with unknown outcome were sent before its reply, the last:", self.open.len())?;
            list(f, &self.open[self.open.len().saturating_sub(OTHERS_SHOWN)..], |_| ' ')?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, operations: &[Operation], mark: impl Fn(&Operation) -> char) -> fmt::Result {
    operations.iter().try_for_each(|operation| writeln!(f, "    {} {operation}", mark(operation)))
}

fn state_text(state: &State) -> String {
    match state {
        State::Absent => "nothing".to_owned(),
        State::String(text) => format!("\"{}\"", shown(text)),
        State::Hash(number) => format!("a hash with {number}"),
    }
}
