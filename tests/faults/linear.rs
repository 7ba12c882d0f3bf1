//! Decides whether a history is linearizable: whether each operation can be given a moment between its
//! request and its reply, such that the replies are those of a store that executes the operations at these moments.
//!
//! The search is Wing and Gong's, with the memory of Lowe's *Testing for linearizability*: keys are checked apart
//! (a history is linearizable if that of each key is), and no pair of a set of linearized operations and a
//! state is looked at twice. On top of that:
//!
//! - Operations are linearized as late as possible: only when a reply arrives, the operation it answers must be.
//!   All that replied earlier are then linearized, so the set is a number of replies and the bits of those that
//!   are under way.
//! - An operation that fits the state as it is, and whose reply says that it changed nothing, is linearized at once. To
//!   do that earlier never hurts.
//! - An operation with an unknown outcome may be linearized at any time after its invocation, or not at all. Of equal ones
//!   the one that was invoked first is taken first; and a set is not looked at when one with the same state and
//!   fewer of them was, because what is left over can only help.
//! - A register whose values are all different is easier: a value that is still to be read is not overwritten, and one
//!   that nobody is going to read is written just before the next one that somebody does.
//!
//! So the work grows with the length of the history and not with the subsets of its unknown outcomes, unless these
//! are appends that no read tells apart. It is bounded by a [`Budget`] in any case.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use smallvec::SmallVec;

use super::explain::Violation;
use super::history::{Action, History, Operation, Outcome, Reply};
use super::model::State;

/// What checking one key may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Sets of linearized operations that are looked at.
    pub(crate) steps: u64,
    /// Memory for what was looked at and for states, roughly.
    pub(crate) bytes: usize,
}

impl Default for Budget {
    /// A few seconds and half a gigabyte.
    fn default() -> Self {
        Self { steps: 20_000_000, bytes: 512 << 20 }
    }
}

/// What became of the check of one key.
#[derive(Debug)]
pub(crate) enum Verdict {
    Linearizable,
    Violation(Box<Violation>),
    /// The budget was spent. Says which part of it.
    Undecided(&'static str),
}

/// The check of one key.
#[derive(Debug)]
pub(crate) struct KeyReport {
    pub(crate) key: String,
    pub(crate) verdict: Verdict,
    /// Sets of linearized operations that were looked at.
    pub(crate) steps: u64,
}

/// Checks each key of a history.
pub(crate) fn check(history: &History, budget: Budget) -> Vec<KeyReport> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in &history.operations {
        keys.entry(&operation.key).or_default().push(operation);
    }
    keys.into_iter().map(|(key, operations)| check_key(key, &operations, budget)).collect()
}

fn check_key(key: &str, operations: &[&Operation], budget: Budget) -> KeyReport {
    let (found, steps) = search(&Plan::new(operations, true), budget);
    let verdict = match found {
        Found::Order => Verdict::Linearizable,
        Found::BudgetSpent(what) => Verdict::Undecided(what),
        Found::Nothing { .. } => Verdict::Violation(Box::new(locate(operations, budget))),
    };
    KeyReport { key: key.to_owned(), verdict, steps }
}

fn search(plan: &Plan<'_>, budget: Budget) -> (Found, u64) {
    let mut search = Search { plan, budget, steps: 0, bytes: 0, states: States::default(), seen: HashMap::new() };
    (search.run(), search.steps)
}

/// Finds the first reply that cannot be explained, of a history that cannot: the search itself looks ahead, and may give
/// up before it gets there.
fn locate(operations: &[&Operation], budget: Budget) -> Violation {
    let mut replies: Vec<&Operation> = operations.iter().copied().filter(|op| op.reply().is_some()).collect();
    replies.sort_by_key(|operation| operation.returned_ns);
    // The replies before `good` can be explained, those before `bad` cannot.
    let (mut good, mut bad) = (0, replies.len());
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        let cut = until(operations, replies[middle - 1].returned_ns);
        let cut: Vec<&Operation> = cut.iter().collect();
        match search(&Plan::new(&cut, true), budget).0 {
            Found::Nothing { .. } => bad = middle,
            Found::Order | Found::BudgetSpent(_) => good = middle,
        }
    }
    let impossible = replies[bad - 1];
    let cut = until(operations, impossible.returned_ns);
    let cut: Vec<&Operation> = cut.iter().collect();
    let small = Budget { steps: budget.steps.min(20_000), ..budget };
    let states = match search(&Plan::new(&cut, false), small).0 {
        Found::Nothing { states } => states,
        Found::Order | Found::BudgetSpent(_) => Vec::new(),
    };
    Violation::new(operations, impossible, states)
}

/// What was known at a time: operations that had no reply then have an unknown outcome.
fn until(operations: &[&Operation], time_ns: u64) -> Vec<Operation> {
    let sent = operations.iter().filter(|operation| operation.invoked_ns <= time_ns);
    let mut cut: Vec<Operation> = sent.map(|operation| (*operation).clone()).collect();
    for operation in &mut cut {
        if operation.reply().is_some() && operation.returned_ns > time_ns {
            operation.outcome = Outcome::Unknown("under way".to_owned());
        }
    }
    cut
}

/// A set of small numbers; sets that are compared have the same width.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Bits(SmallVec<[u64; 2]>);

impl Bits {
    fn with_room_for(count: usize) -> Self {
        Self(SmallVec::from_elem(0, count.div_ceil(64)))
    }

    fn contains(&self, bit: usize) -> bool {
        self.0[bit / 64] & (1 << (bit % 64)) != 0
    }

    fn insert(&mut self, bit: usize) {
        self.0[bit / 64] |= 1 << (bit % 64);
    }

    fn remove(&mut self, bit: usize) {
        self.0[bit / 64] &= !(1 << (bit % 64));
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, others)| own & !others == 0)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + if self.0.spilled() { self.0.len() * 8 } else { 0 }
    }
}

/// An operation with a reply.
struct Known<'a> {
    operation: &'a Operation,
    reply: &'a Reply,
    /// Its bit while it is under way; used again by others afterwards.
    slot: usize,
}

/// An operation that may take effect or not.
struct Open<'a> {
    action: &'a Action,
    /// The one before it with the same action, which is taken first.
    twin: Option<usize>,
}

/// The operations of a key, prepared for the search.
struct Plan<'a> {
    /// In the order of the replies.
    known: Vec<Known<'a>>,
    /// For each reply, what else was under way when it arrived: positions in `known`, later replies last.
    under_way: Vec<Vec<usize>>,
    /// In the order of the invocations.
    open: Vec<Open<'a>>,
    /// For each reply, how many of `open` were invoked before it.
    opened: Vec<usize>,
    slots: usize,
    /// Of a register with unique values: who reads each value, or that there is none; positions in `known`.
    readers: Option<HashMap<Option<&'a str>, Vec<usize>>>,
}

impl<'a> Plan<'a> {
    /// `look_ahead` is whether to make use of who reads which value.
    fn new(operations: &[&'a Operation], look_ahead: bool) -> Self {
        let with_reply = operations.iter().filter_map(|operation| Some((*operation, operation.reply()?)));
        let mut known: Vec<_> =
            with_reply.map(|(operation, reply)| Known { operation, reply, slot: usize::MAX }).collect();
        known.sort_by_key(|known| known.operation.returned_ns);
        let mut unknown: Vec<&Operation> =
            operations.iter().copied().filter(|op| op.is_unknown() && !op.action.is_read()).collect();
        unknown.sort_by_key(|operation| operation.invoked_ns);

        let mut calls: Vec<usize> = (0..known.len()).collect();
        calls.sort_by_key(|&at| known[at].operation.invoked_ns);
        let mut calls = calls.into_iter().peekable();
        let mut current: Vec<usize> = Vec::new();
        let (mut free, mut slots) = (Vec::new(), 0);
        let mut under_way = Vec::with_capacity(known.len());
        let mut opened = Vec::with_capacity(known.len());
        for at in 0..known.len() {
            let returned_ns = known[at].operation.returned_ns;
            // Equal times count as concurrent: a clock's tick must not make an order that was not there.
            while let Some(call) = calls.next_if(|&call| known[call].operation.invoked_ns <= returned_ns) {
                known[call].slot = free.pop().unwrap_or_else(|| {
                    slots += 1;
                    slots - 1
                });
                current.push(call);
            }
            current.retain(|&other| other != at);
            current.sort_unstable();
            under_way.push(current.clone());
            free.push(known[at].slot);
            opened.push(unknown.partition_point(|operation| operation.invoked_ns <= returned_ns));
        }

        let mut last_of: HashMap<&Action, usize> = HashMap::new();
        let open = unknown.iter().enumerate();
        let open =
            open.map(|(at, op)| Open { action: &op.action, twin: last_of.insert(&op.action, at) }).collect::<Vec<_>>();
        let readers = (look_ahead && is_register(operations)).then(|| readers_of(&known));
        Self { known, under_way, open, opened, slots, readers }
    }
}

/// Whether values are only read and overwritten, and none is written twice: once overwritten, none comes back.
fn is_register(operations: &[&Operation]) -> bool {
    let mut written = HashSet::new();
    operations.iter().all(|operation| match &operation.action {
        Action::Get => true,
        Action::Set(value) | Action::GetSet(value) => written.insert(value),
        _ => false,
    })
}

fn readers_of<'a>(known: &[Known<'a>]) -> HashMap<Option<&'a str>, Vec<usize>> {
    let mut readers: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, known) in known.iter().enumerate().filter(|(_, known)| !matches!(known.operation.action, Action::Set(_))) {
        match known.reply {
            Reply::Nil => readers.entry(None).or_default().push(at),
            Reply::Value(value) => readers.entry(Some(value.as_str())).or_default().push(at),
            _ => {}
        }
    }
    readers
}

/// States by number.
#[derive(Default)]
struct States {
    numbers: HashMap<Rc<State>, u32>,
    states: Vec<Rc<State>>,
    bytes: usize,
}

impl States {
    fn number(&mut self, state: State) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        let number = u32::try_from(self.states.len()).expect("the budget ends the search before");
        self.bytes += state.bytes() + 32;
        let state = Rc::new(state);
        self.states.push(Rc::clone(&state));
        self.numbers.insert(state, number);
        number
    }
}

/// A point of the search: what is linearized, and what the key holds after that.
#[derive(Clone)]
struct Point {
    /// All operations before this position in `known` are linearized.
    replies: usize,
    /// Slots of those under way that are linearized too.
    early: Bits,
    /// Operations with unknown outcome that took effect.
    taken: Bits,
    state: u32,
}

enum Found {
    Order,
    /// The states at the last reply that the search came to.
    Nothing {
        states: Vec<State>,
    },
    BudgetSpent(&'static str),
}

struct Search<'a> {
    plan: &'a Plan<'a>,
    budget: Budget,
    steps: u64,
    bytes: usize,
    states: States,
    /// For each set without the unknown outcomes, the sets of unknown outcomes that were looked at.
    seen: HashMap<(usize, Bits, u32), Vec<Bits>>,
}

impl Search<'_> {
    /// States shown to explain a violation.
    const STATES_SHOWN_MAX: usize = 8;

    fn run(&mut self) -> Found {
        let start = Point {
            replies: 0,
            early: Bits::with_room_for(self.plan.slots),
            taken: Bits::with_room_for(self.plan.open.len()),
            state: self.states.number(State::Absent),
        };
        let (mut deepest, mut deepest_states) = (0, Vec::new());
        let mut stack = vec![start];
        while let Some(mut point) = stack.pop() {
            self.advance(&mut point);
            if point.replies == self.plan.known.len() {
                return Found::Order;
            }
            if !self.is_new(&point) {
                continue;
            }
            if point.replies > deepest {
                deepest = point.replies;
                deepest_states.clear();
            }
            if point.replies == deepest
                && deepest_states.len() < Self::STATES_SHOWN_MAX
                && !deepest_states.contains(&point.state)
            {
                deepest_states.push(point.state);
            }
            self.steps += 1;
            if self.steps > self.budget.steps {
                return Found::BudgetSpent("steps");
            }
            if self.bytes + self.states.bytes + stack.len() * size_of::<Point>() > self.budget.bytes {
                return Found::BudgetSpent("memory");
            }
            self.push_successors(&point, &mut stack);
        }
        let states = deepest_states.iter().map(|&state| State::clone(&self.states.states[state as usize])).collect();
        Found::Nothing { states }
    }

    /// Linearizes what changes nothing, and passes the replies of all that is linearized.
    fn advance(&self, point: &mut Point) {
        let plan = self.plan;
        let state = &*self.states.states[point.state as usize];
        while let Some(next) = plan.known.get(point.replies) {
            if !point.early.contains(next.slot) && !leaves_alone(next, state) {
                return self.take_idle(point, state);
            }
            point.early.remove(next.slot);
            point.replies += 1;
        }
    }

    fn take_idle(&self, point: &mut Point, state: &State) {
        for &at in &self.plan.under_way[point.replies] {
            let known = &self.plan.known[at];
            if !point.early.contains(known.slot) && leaves_alone(known, state) {
                point.early.insert(known.slot);
            }
        }
    }

    /// Notes that a point is looked at, unless one that can do as much was.
    fn is_new(&mut self, point: &Point) -> bool {
        let key = (point.replies, point.early.clone(), point.state);
        let key_bytes = size_of_val(&key) + point.early.bytes();
        let others = self.seen.entry(key).or_insert_with(|| {
            self.bytes += key_bytes;
            Vec::new()
        });
        if others.iter().any(|other| other.is_within(&point.taken)) {
            return false;
        }
        others.retain(|other| !point.taken.is_within(other));
        others.push(point.taken.clone());
        self.bytes += point.taken.bytes();
        true
    }

    /// Puts the points that follow onto the stack, the most promising last: the operation whose reply is next,
    /// then others that are under way, then those with unknown outcome.
    fn push_successors(&mut self, point: &Point, stack: &mut Vec<Point>) {
        let plan = self.plan;
        let state = Rc::clone(&self.states.states[point.state as usize]);
        for (at, open) in plan.open[..plan.opened[point.replies]].iter().enumerate().rev() {
            let in_turn = open.twin.is_none_or(|twin| point.taken.contains(twin));
            let useful = plan.readers.is_none() || self.is_awaited(point, open.action.written(), None);
            if in_turn && useful && !point.taken.contains(at) && !self.buries(point, &state, None) {
                let (after, _) = state.step(open.action);
                if after != *state {
                    let mut next = Point { state: self.states.number(after), ..point.clone() };
                    next.taken.insert(at);
                    self.hide_unread(&mut next, open.action);
                    stack.push(next);
                }
            }
        }
        let next = std::iter::once(point.replies);
        for at in plan.under_way[point.replies].iter().rev().copied().chain(next) {
            let known = &plan.known[at];
            if !point.early.contains(known.slot) {
                let (after, reply) = state.step(&known.operation.action);
                if reply == *known.reply && !self.buries(point, &state, Some(at)) {
                    let mut next = Point { state: self.states.number(after), ..point.clone() };
                    next.early.insert(known.slot);
                    self.hide_unread(&mut next, &known.operation.action);
                    stack.push(next);
                }
            }
        }
    }

    /// Whether overwriting a register would leave somebody without the value that he is to read.
    fn buries(&self, point: &Point, state: &State, writer: Option<usize>) -> bool {
        match state {
            State::Absent => self.is_awaited(point, None, writer),
            State::String(value) => self.is_awaited(point, Some(value), writer),
            State::Hash(_) => false,
        }
    }

    /// Whether an operation of a register other than `except` has a value in its reply and is not linearized.
    fn is_awaited(&self, point: &Point, value: Option<&str>, except: Option<usize>) -> bool {
        let Some(readers) = self.plan.readers.as_ref().and_then(|readers| readers.get(&value)) else { return false };
        let now_ns = self.plan.known[point.replies].operation.returned_ns;
        let first = readers.partition_point(|&at| at < point.replies);
        readers[first..].iter().any(|&at| {
            let known = &self.plan.known[at];
            let linearized = known.operation.invoked_ns <= now_ns && point.early.contains(known.slot);
            !linearized && Some(at) != except
        })
    }

    /// Linearizes, just before a blind write that was made last, the writes to a register that nobody reads.
    fn hide_unread(&self, point: &mut Point, last: &Action) {
        if self.plan.readers.is_none() || !matches!(last, Action::Set(_)) {
            return;
        }
        let next = std::iter::once(point.replies);
        for at in self.plan.under_way[point.replies].iter().copied().chain(next) {
            let Known { operation, reply, slot } = &self.plan.known[at];
            let blind = matches!(operation.action, Action::Set(_)) && **reply == Reply::Ok;
            if blind && !point.early.contains(*slot) && !self.is_awaited(point, operation.action.written(), None) {
                point.early.insert(*slot);
            }
        }
    }
}

/// Whether an operation can be executed in a state, with its reply, and its reply says that it changed nothing.
///
/// That it happens to change nothing here is not enough: a SET of the value that is there already may be needed later.
fn leaves_alone(known: &Known<'_>, state: &State) -> bool {
    let idle = match (&known.operation.action, known.reply) {
        (Action::Get | Action::HashGet, _) | (_, Reply::WrongType | Reply::NotAnInteger) => true,
        (Action::SetNx(_) | Action::Del, reply) => *reply == Reply::Number(0),
        _ => false,
    };
    idle && state.step(&known.operation.action).1 == *known.reply
}
