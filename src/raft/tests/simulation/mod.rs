//! The raft layer in a simulated world.
//!
//! Three or five nodes, each with a bus, a log and a group as in a server, live in one thread on turmoil's network and
//! clock. Clients at every node propose and read while nodes crash, alone or with what they had not synced, and the
//! network delays, holds back, loses and parts. Then everything is healed; the nodes must come to agree, and
//! what the clients saw must be what one list could have answered (`history`).
//!
//! Everything follows from a seed: the faults, the network, elections, and the order in which tasks wake
//! (`chance`). So a run that failed can be had again:
//!
//! ```text
//! KVORUM_SIMULATIONS=500 KVORUM_SIMULATION_SEED=1000 cargo test --release --lib seeded_faults     or: make simulate
//! KVORUM_SIMULATION_SEED=1017 RUST_LOG=debug cargo test --release --lib one_simulation -- --ignored --nocapture
//! ```
//!
//! What is different from a server: blocking work is done at once, in place, and the log has no threads of its own, because
//! threads of the operating system would answer when they like.

mod chance;
mod disk;
mod faults;
mod history;
mod node;
mod runtime;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::FsyncPolicy;
use faults::Faults;
use node::World;
pub(in crate::raft) use runtime::SeededRuntime;

/// For how long faults come.
const STORM: Duration = Duration::from_secs(20);
/// How long nodes may take to agree when there are no more faults.
const RECOVERY: Duration = Duration::from_secs(60);
/// Simulations of the short form.
const SIMULATIONS: u64 = 8;
/// Steps of a millisecond between two comparisons of the nodes' lists.
const COMPARED_EVERY: u64 = 50;

thread_local! {
    static OUTSIDE: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// The time in the simulation that this thread runs; `None` where it runs none.
pub(in crate::raft) fn elapsed() -> Option<Duration> {
    turmoil::sim_elapsed().or_else(|| OUTSIDE.get())
}

/// What is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    ReadsWithoutLease,
    AcknowledgesBeforeCommit,
}

impl Defect {
    const ALL: [Self; 3] = [Self::None, Self::ReadsWithoutLease, Self::AcknowledgesBeforeCommit];

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ReadsWithoutLease => "reads-without-lease",
            Self::AcknowledgesBeforeCommit => "acknowledges-before-commit",
        }
    }
}

/// What a simulation came to.
struct Summary {
    acknowledged: usize,
    reads: usize,
    crashes: u64,
    trace: u64,
}

fn run(seed: u64, defect: Defect) -> Result<Summary, String> {
    let nodes = if seed.is_multiple_of(4) { 5 } else { 3 };
    let mut builder = turmoil::Builder::new();
    builder
        .simulation_duration(STORM + 2 * RECOVERY)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(faults::USUAL_LATENCY)
        .tcp_capacity(1 << 20)
        .rng_seed(seed);
    let mut sim = builder.build();
    let policy = if seed.is_multiple_of(3) { FsyncPolicy::EverySec } else { FsyncPolicy::Always };
    let world = Arc::new(World::new(nodes, policy, defect));
    for id in 1..=nodes {
        let world = Arc::clone(&world);
        sim.host(node::name(id), move || node::live(Arc::clone(&world), id));
    }
    let mut faults = Faults::new(nodes);
    let mut steps = 0;
    let mut step = |sim: &mut turmoil::Sim<'_>| {
        sim.step().map_err(|error| error.to_string())?;
        OUTSIDE.set(Some(sim.elapsed()));
        steps += 1;
        if defect == Defect::None {
            world.check_gates()?;
        }
        if steps % COMPARED_EVERY == 0 { world.check_lists() } else { Ok(()) }
    };
    while sim.elapsed() < STORM {
        step(&mut sim)?;
        faults.come_and_go(&mut sim, &world);
    }
    faults.end(&mut sim);
    world.stop_writing();
    let deadline = sim.elapsed() + RECOVERY;
    let list = loop {
        step(&mut sim)?;
        if let Some(list) = world.agreed() {
            break list;
        }
        if sim.elapsed() > deadline {
            return Err(format!("the nodes do not come to agree: {:?}", world.describe()));
        }
    };
    let history = world.history.lock();
    history.check(&list)?;
    let (acknowledged, reads) = history.counts();
    Ok(Summary { acknowledged, reads, crashes: faults.crashes, trace: history.trace() })
}

/// Runs a simulation in a process of its own: tokio counts what it seeds, for all threads together. Answers the summary, or
/// what is wrong.
fn simulate(seed: u64, defect: Defect) -> Result<String, String> {
    let program = std::env::current_exe().expect("this is a program");
    let name = concat!(module_path!(), "::one_simulation");
    let (_, name) = name.split_once("::").expect("a crate and modules");
    let mut command = Command::new(program);
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env("KVORUM_SIMULATION_SEED", seed.to_string()).env("KVORUM_SIMULATION_DEFECT", defect.name());
    let done = command.output().expect("it can be run again");
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let summary = out.lines().find(|line| line.starts_with("seed ")).map(str::to_owned);
    if done.status.success() { summary.ok_or_else(|| out.into_owned()) } else { Err(format!("{out}\n{errors}")) }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
#[ignore = "the tests below run it in processes of its own"]
fn one_simulation() {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let seed = number("KVORUM_SIMULATION_SEED").expect("KVORUM_SIMULATION_SEED is set");
    let defect = std::env::var("KVORUM_SIMULATION_DEFECT").unwrap_or_default();
    let defect = Defect::ALL.into_iter().find(|known| known.name() == defect).unwrap_or(Defect::None);
    // A thread on which nothing was drawn yet.
    let thread = std::thread::spawn(move || {
        chance::seed(seed);
        OUTSIDE.set(Some(Duration::ZERO));
        run(seed, defect)
    });
    match thread.join().expect("it does not panic") {
        Ok(Summary { acknowledged, reads, crashes, trace }) => {
            println!("\nseed {seed}: {acknowledged} writes, {reads} reads, {crashes} crashes, trace {trace:016x}");
            assert!(acknowledged > 100 && reads > 100, "hardly anything was asked");
        }
        Err(problem) => panic!("{problem}"),
    }
}

#[test]
fn seeded_faults_lose_nothing_and_reads_miss_nothing() {
    let first = number("KVORUM_SIMULATION_SEED").unwrap_or(1);
    let count = number("KVORUM_SIMULATIONS").unwrap_or(SIMULATIONS);
    let mut failed = BTreeMap::new();
    for seed in first..first + count {
        match simulate(seed, Defect::None) {
            Ok(summary) => println!("{summary}"),
            Err(problem) => {
                println!("seed {seed}: FAILED: {problem}");
                failed.insert(seed, problem);
            }
        }
    }
    assert!(failed.is_empty(), "{} of {count} simulations failed: seeds {:?}", failed.len(), failed.keys());
}

#[test]
fn a_seed_gives_the_same_run_again() {
    let run = || simulate(4, Defect::None).expect("nothing is wrong");
    assert_eq!(run(), run());
}

/// How many simulations it takes to find a defect, and what is said of it.
fn simulations_until_found(defect: Defect) -> (u64, String) {
    for seed in 1..=20 {
        if let Err(problem) = simulate(seed, defect) {
            return (seed, problem);
        }
    }
    panic!("{defect:?} is not found");
}

#[test]
fn reads_without_a_lease_are_found() {
    let (seed, problem) = simulations_until_found(Defect::ReadsWithoutLease);
    println!("found by seed {seed}: {problem}");
    assert!(problem.contains("is stale"), "{problem}");
}

#[test]
fn acknowledging_before_the_commit_is_found() {
    let (seed, problem) = simulations_until_found(Defect::AcknowledgesBeforeCommit);
    println!("found by seed {seed}: {problem}");
    assert!(problem.contains("is lost") || problem.contains("is stale"), "{problem}");
}
