//! Documents that are made from the code are up to date. `UPDATE_DOCS=1` writes them (`make complexity`).

use std::path::Path;

use kvorum::command::docs::complexity_table;

#[test]
fn complexity_is_that_of_the_table_of_commands() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/complexity.md");
    let table = complexity_table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &table).expect("the document can be written");
        return;
    }
    let found = std::fs::read_to_string(&path).expect("the document is there");
    assert_eq!(found, table, "docs/complexity.md is out of date: run `make complexity`");
}
