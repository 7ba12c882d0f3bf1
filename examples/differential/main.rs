//! The differential test: the same random commands to a reference server and to others, replies compared byte by byte.
//!
//! `tests/differential/run` starts the servers and calls this. Commands are drawn from the grammars of
//! `tests/differential/commands.txt` and sent in pipelined batches. They come in *rounds*: each begins with an empty store
//! and thresholds of its own, so a difference can be reproduced from its round alone; it is shrunk to a minimal
//! sequence and printed as a script for redis-cli. Differences that are meant are listed in `known.txt`.

mod geo;
mod grammar;
mod known;
mod reply;
mod servers;
mod shrink;
mod values;

use std::process::ExitCode;
use std::time::Instant;

use grammar::Grammar;
use known::Known;
use kvorum::types::rng::Rng;
use servers::Server;

/// Commands of a round.
const ROUND_COMMANDS: usize = 5000;

struct Options {
    seed: u64,
    commands: u64,
    grammar: String,
    known: String,
    only: Option<String>,
    /// Reference first.
    servers: Vec<(String, u16)>,
}

impl Options {
    fn parse() -> Self {
        let mut options = Self {
            seed: 0,
            commands: 100_000,
            grammar: "tests/differential/commands.txt".to_owned(),
            known: "tests/differential/known.txt".to_owned(),
            only: None,
            servers: Vec::new(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let value = args.next().unwrap_or_else(|| panic!("{name} needs a value"));
            match name.as_str() {
                "--seed" => options.seed = value.parse().expect("--seed takes a number"),
                "--commands" => options.commands = value.parse().expect("--commands takes a number"),
                "--grammar" => options.grammar = value,
                "--known" => options.known = value,
                "--only" => options.only = Some(value.to_ascii_uppercase()),
                "--server" => {
                    let (name, port) = value.split_once('=').expect("--server takes name=port");
                    options.servers.push((name.to_owned(), port.parse().expect("the port is a number")));
                }
                _ => panic!("there is no option {name}"),
            }
        }
        assert!(options.servers.len() >= 2, "name at least two servers, the reference first");
        options
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut servers: Vec<Server> = options.servers.iter().map(|(name, port)| Server::connect(name, *port)).collect();
    let mut grammar = Grammar::parse(&read(&options.grammar));
    let missing = grammar.keep_known(&mut servers, options.only.as_deref());
    if !missing.is_empty() {
        println!("not on every server, so left out: {}", missing.join(" "));
    }
    let mut known = Known::parse(&read(&options.known));
    println!("seed {}, {} commands of {} kinds", options.seed, options.commands, grammar.len());
    let started = Instant::now();
    let (mut done, mut errors, mut rounds) = (0u64, 0u64, 0u64);
    while done < options.commands {
        // Every round can be repeated alone: --seed takes this number too.
        let seed = options.seed + rounds;
        let round = grammar.round(&mut Rng::new(seed), ROUND_COMMANDS);
        match servers::compare(&mut servers, &round, &mut known) {
            Ok(refused) => errors += refused,
            Err(difference) => {
                println!("\nDIFFERENCE in the round of seed {seed}, after {done} commands:\n{difference}");
                println!("\nshrinking …");
                let (minimal, difference) = shrink::shrink(&mut servers, round, &mut known, difference);
                println!("\n{difference}\n\nthe shortest sequence that shows it:\n");
                minimal.iter().for_each(|command| println!("{command}"));
                println!("\nagain: tests/differential/run --seed {seed} --commands {ROUND_COMMANDS}");
                return ExitCode::FAILURE;
            }
        }
        done += round.len() as u64;
        rounds += 1;
        if rounds.is_multiple_of(100) {
            let rate = done as f64 / started.elapsed().as_secs_f64();
            println!("{done} commands, {rate:.0} a second");
        }
    }
    let refused = errors as f64 * 100.0 / done as f64;
    println!(
        "differential: {done} commands in {rounds} rounds without a difference, {refused:.0} % of them refused by all; {}",
        known.summary()
    );
    ExitCode::SUCCESS
}
