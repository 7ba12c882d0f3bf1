//! Histories written by hand, of which one knows whether they are linearizable.

use super::brute;
use super::history::{Action, History, Operation, Outcome, Reply};
use super::linear::{Budget, KeyReport, Verdict, check};

/// An operation from one time to another, in milliseconds.
fn op(client: u32, from_ms: u64, to_ms: u64, action: Action, reply: Reply) -> Operation {
    Operation {
        client,
        key: "k".to_owned(),
        invoked_ns: from_ms * 1_000_000,
        returned_ns: to_ms * 1_000_000,
        node: String::new(),
        action,
        outcome: Outcome::Replied(reply),
    }
}

fn unknown(client: u32, from_ms: u64, action: Action) -> Operation {
    let outcome = Outcome::Unknown("timed out".to_owned());
    Operation { outcome, ..op(client, from_ms, from_ms + 1, action, Reply::Ok) }
}

fn set(value: &str) -> Action {
    Action::Set(value.to_owned())
}

fn value(text: &str) -> Reply {
    Reply::Value(text.to_owned())
}

fn verdict(operations: &[Operation]) -> Verdict {
    let mut reports = check(&History { operations: operations.to_vec() }, Budget::default());
    assert_eq!(reports.len(), 1, "all is on one key");
    let verdict = reports.remove(0).verdict;
    assert_eq!(matches!(verdict, Verdict::Linearizable), brute::is_linearizable(operations), "{operations:#?}");
    verdict
}

fn passes(operations: &[Operation]) {
    let verdict = verdict(operations);
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
}

/// Checks that a history is refused, and returns the explanation.
fn fails(operations: &[Operation], impossible: usize) -> String {
    match verdict(operations) {
        Verdict::Violation(violation) => {
            assert_eq!(violation.impossible, operations[impossible], "{violation}");
            violation.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_linearizable() {
    assert_eq!(check(&History::default(), Budget::default()).len(), 0);
    passes(&[unknown(1, 0, Action::Get)]);
}

#[test]
fn order_of_concurrent_writes_is_free() {
    let writes = [op(1, 0, 10, set("a"), Reply::Ok), op(2, 5, 15, set("b"), Reply::Ok)];
    for seen in ["a", "b"] {
        passes(&[&writes[..], &[op(3, 20, 21, Action::Get, value(seen))]].concat());
    }
    fails(&[&writes[..], &[op(3, 20, 21, Action::Get, Reply::Nil)]].concat(), 2);
}

#[test]
fn stale_read_is_found() {
    let history = [
        op(1, 0, 1, set("old"), Reply::Ok),
        op(1, 2, 3, set("new"), Reply::Ok),
        op(2, 4, 5, Action::Get, value("old")),
        op(2, 6, 7, Action::Get, value("new")),
    ];
    let text = fails(&history, 2);
    assert!(text.contains("leave the key at: \"new\""), "{text}");
    assert!(text.contains("SET k old"), "{text}");
    assert!(text.lines().any(|line| line.trim_start().starts_with("> client 2")), "{text}");
}

#[test]
fn read_that_overlaps_may_see_either() {
    for seen in ["old", "new"] {
        passes(&[
            op(1, 0, 1, set("old"), Reply::Ok),
            op(1, 2, 9, set("new"), Reply::Ok),
            op(2, 4, 5, Action::Get, value(seen)),
        ]);
    }
}

#[test]
fn reads_do_not_go_backwards() {
    let history = [
        op(1, 0, 1, set("old"), Reply::Ok),
        op(1, 2, 20, set("new"), Reply::Ok),
        op(2, 4, 5, Action::Get, value("new")),
        op(3, 6, 7, Action::Get, value("old")),
    ];
    fails(&history, 3);
}

#[test]
fn value_from_nowhere_is_found() {
    let text = fails(&[op(1, 0, 1, set("a"), Reply::Ok), op(2, 2, 3, Action::Get, value("b"))], 1);
    assert!(text.contains("no operation has written \"b\""), "{text}");
}

#[test]
fn lost_update_is_found() {
    let incr = Action::IncrBy(1);
    fails(&[op(1, 0, 5, incr.clone(), Reply::Number(1)), op(2, 1, 6, incr.clone(), Reply::Number(1))], 1);
    fails(&[op(1, 0, 1, set("a"), Reply::Ok), op(2, 2, 3, Action::Get, Reply::Nil)], 1);
    let swap = |text: &str| Action::GetSet(text.to_owned());
    let start = op(9, 0, 1, set("s"), Reply::Ok);
    fails(&[start, op(1, 2, 6, swap("a"), value("s")), op(2, 3, 7, swap("b"), value("s"))], 2);
}

#[test]
fn only_one_sets_what_does_not_exist() {
    let setnx = |text: &str| Action::SetNx(text.to_owned());
    let first = op(1, 0, 5, setnx("a"), Reply::Number(1));
    passes(&[first.clone(), op(2, 1, 6, setnx("b"), Reply::Number(0))]);
    fails(&[first, op(2, 1, 6, setnx("b"), Reply::Number(1))], 1);
}

#[test]
fn doubly_applied_increment_is_found() {
    let incr = Action::HashIncrBy(1);
    let history = [op(1, 0, 1, incr.clone(), Reply::Number(1)), op(2, 2, 3, incr.clone(), Reply::Number(3))];
    fails(&history, 1);
    // An unknown one explains it once, and not twice.
    passes(&[&history[..], &[unknown(3, 0, incr.clone())]].concat());
    fails(&[&history[..], &[unknown(3, 0, incr.clone()), op(1, 4, 5, Action::HashGet, value("5"))]].concat(), 3);
    // One that was refused explains nothing.
    let mut refused = unknown(3, 0, incr);
    refused.outcome = Outcome::NotExecuted("MOVED".to_owned());
    fails(&[&history[..], &[refused]].concat(), 1);
}

#[test]
fn unknown_write_may_surface_later() {
    let lost = unknown(1, 0, set("late"));
    passes(&[
        lost.clone(),
        op(2, 10, 11, Action::Get, Reply::Nil),
        op(2, 12, 13, set("b"), Reply::Ok),
        op(2, 14, 15, Action::Get, value("b")),
        op(2, 16, 17, Action::Get, value("late")),
    ]);
    passes(&[lost.clone(), op(2, 10, 11, Action::Get, Reply::Nil)]);
    // Not before it was sent.
    let early = [op(2, 0, 1, Action::Get, value("late")), unknown(1, 5, set("late"))];
    fails(&early, 0);
}

#[test]
fn unknown_write_that_surfaced_does_not_vanish() {
    let history = [
        unknown(1, 0, set("late")),
        op(2, 1, 2, set("a"), Reply::Ok),
        op(2, 10, 11, Action::Get, value("late")),
        op(2, 12, 13, Action::Get, value("a")),
    ];
    let text = fails(&history, 3);
    assert!(text.contains("1 with unknown outcome"), "{text}");
}

#[test]
fn appends_and_removals_are_exact() {
    let append = |text: &str| Action::Append(text.to_owned());
    passes(&[
        op(1, 0, 9, append("a"), Reply::Number(2)),
        op(2, 1, 8, append("b"), Reply::Number(1)),
        op(3, 10, 11, Action::Get, value("ba")),
        op(3, 12, 13, Action::Del, Reply::Number(1)),
        op(3, 14, 15, Action::Del, Reply::Number(0)),
    ]);
    fails(
        &[
            op(1, 0, 9, append("a"), Reply::Number(2)),
            op(2, 1, 8, append("b"), Reply::Number(1)),
            op(3, 10, 11, Action::Get, value("ab")),
        ],
        2,
    );
    fails(&[op(1, 0, 1, set("a"), Reply::Ok), op(3, 2, 3, Action::Del, Reply::Number(0))], 1);
}

#[test]
fn strange_reply_is_a_violation() {
    fails(&[op(1, 0, 1, set("a"), Reply::Other("PONG".to_owned()))], 0);
}

#[test]
fn keys_are_checked_apart() {
    let mut other = op(1, 4, 5, Action::Get, value("a"));
    other.key = "other".to_owned();
    let history = History { operations: vec![op(1, 0, 1, set("a"), Reply::Ok), other] };
    let reports = check(&history, Budget::default());
    let good = |report: &KeyReport| matches!(report.verdict, Verdict::Linearizable);
    assert_eq!(
        reports.iter().map(|report| (report.key.as_str(), good(report))).collect::<Vec<_>>(),
        [("k", true), ("other", false)]
    );
}

#[test]
fn spent_budget_is_undecided() {
    // Twelve appends in any order, none of which ends at what is read.
    let mut operations: Vec<_> = (0..12).map(|i| unknown(i, 0, Action::Append(format!("{i:x}")))).collect();
    operations.push(op(20, 10, 11, Action::Get, value("nothing like it")));
    let history = History { operations };
    for (budget, what) in [
        (Budget { steps: 10_000, ..Budget::default() }, "steps"),
        (Budget { bytes: 1 << 20, ..Budget::default() }, "memory"),
    ] {
        match check(&history, budget).remove(0).verdict {
            Verdict::Undecided(spent) => assert_eq!(spent, what),
            other => panic!("{other:?}"),
        }
    }
}
