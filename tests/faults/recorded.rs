//! Histories that `tests/faults/run` has recorded.

use std::path::PathBuf;

use super::history::History;
use super::linear::{Budget, Verdict, check};

/// Checks all files of a directory; says of each what was in it.
#[test]
#[ignore = "tests/faults/run sets KVORUM_HISTORIES to a directory of histories"]
fn recorded_histories_are_linearizable() {
    let directory = PathBuf::from(std::env::var_os("KVORUM_HISTORIES").expect("KVORUM_HISTORIES names a directory"));
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .expect("the directory can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there is no history in {}", directory.display());
    let mut violations = 0;
    for file in files {
        let history = History::load(&file).expect("a history");
        let counts = history.counts();
        let mut undecided = 0;
        for report in check(&history, Budget::default()) {
            match report.verdict {
                Verdict::Linearizable => {}
                Verdict::Undecided(_) => undecided += 1,
                Verdict::Violation(violation) => {
                    violations += 1;
                    println!("{}: key {} is not linearizable\n{violation}", file.display(), report.key);
                }
            }
        }
        println!(
            "{}: {} replies, {} unknown, {} not executed, {undecided} keys undecided",
            file.file_name().unwrap_or_default().to_string_lossy(),
            counts.replied,
            counts.unknown,
            counts.not_executed
        );
    }
    assert_eq!(violations, 0, "keys that are not linearizable");
}
