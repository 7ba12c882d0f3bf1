//! Random histories: those of a simulated store pass, damaged ones fail, and small ones are judged as by brute force.
//!
//! A seed fixes a history; the message of a failure names it.

use kvorum::types::rng::Rng;

use super::brute;
use super::history::{Action, History, Operation, Outcome, Reply};
use super::linear::{Budget, KeyReport, Verdict, check};
use super::model::State;

/// What simulated clients do.
#[derive(Clone, Copy)]
struct Simulation {
    clients: u32,
    operations: u64,
    /// Of a thousand operations, so many have an unknown outcome.
    unknown_permille: u64,
    /// Only GET and SET of unique values, or all actions with few values.
    registers_only: bool,
}

/// The history of one key of a store that executes every operation at a random moment between its request and its reply.
fn simulate(seed: u64, simulation: Simulation) -> Vec<Operation> {
    let mut rng = Rng::new(seed);
    let mut free_at = vec![0; simulation.clients as usize];
    let mut planned = Vec::new();
    for number in 0..simulation.operations {
        let client = u32::try_from(rng.below(u64::from(simulation.clients))).expect("a number of a client");
        let invoked_ns = free_at[client as usize] + rng.below(20);
        let returned_ns = invoked_ns + 1 + rng.below(60);
        free_at[client as usize] = returned_ns + 1;
        let unknown = rng.below(1000) < simulation.unknown_permille;
        // `None` is never.
        let moment = match (unknown, rng.below(3)) {
            (false, _) => Some(invoked_ns + rng.below(returned_ns - invoked_ns + 1)),
            (true, 0) => None,
            (true, _) => Some(invoked_ns + rng.below(400)),
        };
        let outcome = if unknown { Outcome::Unknown("lost".to_owned()) } else { Outcome::Replied(Reply::Ok) };
        let action = random_action(&mut rng, number, simulation.registers_only);
        let (key, node) = ("k".to_owned(), String::new());
        planned.push((moment, Operation { client, key, invoked_ns, returned_ns, node, action, outcome }));
    }
    planned.sort_by_key(|(moment, _)| moment.unwrap_or(u64::MAX));
    let mut state = State::Absent;
    for (moment, operation) in &mut planned {
        if moment.is_some() {
            let (after, reply) = state.step(&operation.action);
            state = after;
            if let Outcome::Replied(seen) = &mut operation.outcome {
                *seen = reply;
            }
        }
    }
    planned.into_iter().map(|(_, operation)| operation).collect()
}

fn random_action(rng: &mut Rng, number: u64, registers_only: bool) -> Action {
    if registers_only {
        return if rng.below(2) == 0 { Action::Get } else { Action::Set(format!("v{number}")) };
    }
    let value = rng.below(3).to_string();
    match rng.below(12) {
        0..3 => Action::Get,
        3 => Action::Set(value),
        4 => Action::GetSet(value),
        5 => Action::SetNx(value),
        6 => Action::Del,
        7 | 8 => Action::IncrBy(1),
        9 => Action::Append(value),
        10 => Action::HashGet,
        _ => Action::HashIncrBy(1),
    }
}

/// Another reply, of those that histories have.
fn random_reply(rng: &mut Rng) -> Reply {
    match rng.below(8) {
        0 => Reply::Ok,
        1 => Reply::Nil,
        2 | 3 => Reply::Value(rng.below(4).to_string()),
        4 => Reply::WrongType,
        _ => Reply::Number(i64::try_from(rng.below(4)).expect("less than 4")),
    }
}

fn report(operations: &[Operation]) -> KeyReport {
    check(&History { operations: operations.to_vec() }, Budget::default()).remove(0)
}

fn is_linearizable(operations: &[Operation]) -> bool {
    match report(operations).verdict {
        Verdict::Linearizable => true,
        Verdict::Violation(_) => false,
        Verdict::Undecided(what) => panic!("budget spent: {what}"),
    }
}

#[test]
fn small_histories_are_judged_as_by_brute_force() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..6000 {
        let mut rng = Rng::new(seed ^ 0xfeed);
        let simulation = Simulation {
            clients: 1 + u32::try_from(seed % 5).unwrap(),
            operations: 2 + rng.below(7),
            unknown_permille: [0, 200, 500][usize::try_from(rng.below(3)).unwrap()],
            registers_only: rng.below(3) == 0,
        };
        let mut operations = simulate(seed, simulation);
        assert!(is_linearizable(&operations), "seed {seed}: {operations:#?}");
        assert!(brute::is_linearizable(&operations), "seed {seed}: {operations:#?}");
        for _ in 0..=rng.below(2) {
            let at = usize::try_from(rng.below(operations.len() as u64)).unwrap();
            match &mut operations[at].outcome {
                Outcome::Replied(reply) => *reply = random_reply(&mut rng),
                outcome => *outcome = Outcome::Replied(random_reply(&mut rng)),
            }
        }
        let expected = brute::is_linearizable(&operations);
        assert_eq!(is_linearizable(&operations), expected, "seed {seed}: {operations:#?}");
        if expected { good += 1 } else { bad += 1 }
    }
    assert!(good > 300 && bad > 300, "{good} good and {bad} bad damaged histories: one-sided");
}

/// The forms of long histories.
const LONG: [Simulation; 4] = [
    Simulation { clients: 10, operations: 10_000, unknown_permille: 0, registers_only: true },
    Simulation { clients: 10, operations: 10_000, unknown_permille: 30, registers_only: true },
    Simulation { clients: 5, operations: 10_000, unknown_permille: 3, registers_only: false },
    Simulation { clients: 40, operations: 10_000, unknown_permille: 10, registers_only: true },
];

#[test]
fn long_histories_of_a_good_store_pass() {
    for (form, simulation) in LONG.into_iter().enumerate() {
        for seed in 0..3 {
            let report = report(&simulate(seed, simulation));
            assert!(matches!(report.verdict, Verdict::Linearizable), "form {form}, seed {seed}: {report:?}");
            // Steps rather than seconds: a busy machine does not change them.
            assert!(report.steps < 500_000, "form {form}, seed {seed}: {} steps", report.steps);
        }
    }
}

/// Makes one read answer what had certainly been overwritten when it was sent; returns whether there was one.
fn plant_stale_read(operations: &mut [Operation], rng: &mut Rng) -> bool {
    let sets: Vec<Operation> =
        operations.iter().filter(|op| matches!(op.action, Action::Set(_)) && op.reply().is_some()).cloned().collect();
    let offset = usize::try_from(rng.below(operations.len() as u64)).expect("less than a length");
    operations.rotate_left(offset);
    for read in operations.iter_mut().filter(|op| op.action == Action::Get && op.reply().is_some()) {
        let before: Vec<_> = sets.iter().filter(|set| set.returned_ns < read.invoked_ns).collect();
        let Some(last) = before.iter().max_by_key(|set| set.invoked_ns) else { continue };
        let stale = before.iter().filter(|set| set.returned_ns < last.invoked_ns).max_by_key(|set| set.returned_ns);
        if let Some(Action::Set(value)) = stale.map(|set| &set.action) {
            read.outcome = Outcome::Replied(Reply::Value(value.clone()));
            return true;
        }
    }
    false
}

#[test]
fn long_damaged_histories_fail() {
    for (form, simulation) in LONG.into_iter().enumerate().filter(|(_, simulation)| simulation.registers_only) {
        for seed in 0..3 {
            let mut operations = simulate(seed, simulation);
            assert!(plant_stale_read(&mut operations, &mut Rng::new(seed)), "form {form}, seed {seed}");
            let report = report(&operations);
            assert!(matches!(report.verdict, Verdict::Violation(_)), "form {form}, seed {seed}: {:?}", report.verdict);
            assert!(report.steps < 2_000_000, "form {form}, seed {seed}: {} steps", report.steps);
        }
    }
}

#[test]
fn long_counters_that_count_twice_fail() {
    for seed in 0..3 {
        let mut operations = simulate(seed, LONG[1]);
        // The same clients, but all they do is count; a few do not know whether they did.
        let mut state = State::Absent;
        let doubled = operations.len() / 2;
        for double in [false, true] {
            for (at, operation) in operations.iter_mut().enumerate() {
                operation.action = Action::IncrBy(1);
                let (after, reply) = state.step(&operation.action);
                state = after;
                if double && at == doubled {
                    state = state.step(&operation.action).0;
                }
                if let Outcome::Replied(seen) = &mut operation.outcome {
                    *seen = reply;
                }
            }
            // With unknown outcomes a count too many may be somebody else's, until all of them are known.
            if double {
                operations.iter_mut().filter(|op| op.is_unknown()).for_each(|op| {
                    op.outcome = Outcome::NotExecuted("taken back".to_owned());
                });
            }
            let report = report(&operations);
            assert_eq!(matches!(report.verdict, Verdict::Linearizable), !double, "seed {seed}: {report:?}");
            assert!(report.steps < 2_000_000, "seed {seed}: {} steps", report.steps);
            state = State::Absent;
        }
    }
}
