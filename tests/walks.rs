//! Walks and draws over more keys and fields than fit one step, on every engine.

mod client;

use std::collections::BTreeSet;

use client::Client;
use kvorum::resp::Protocol;
use kvorum::storage::{EngineKind, KeyspaceRule};
use kvorum::types::Db;

/// Keys and fields of a test: more than any compact encoding holds.
const COUNT: usize = 3000;

fn words(request: &str) -> Vec<&[u8]> {
    request.split(' ').map(str::as_bytes).collect()
}

/// The bulk strings of a reply, however nested.
fn bulks(reply: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(reply).expect("test data is text");
    let lines: Vec<&str> = text.split("\r\n").collect();
    let bulk = |pair: &[&str]| pair[0].starts_with('$').then(|| pair[1].to_owned());
    lines.windows(2).filter_map(bulk).collect()
}

/// Walks to the end; answers all elements, and checks that no step is far larger than asked for.
fn walk(client: &mut Client, step: impl Fn(&str) -> String, most: usize) -> Vec<String> {
    let mut elements = Vec::new();
    let mut cursor = "0".to_owned();
    for _ in 0..=COUNT {
        let mut found = bulks(&client.request(&words(&step(&cursor))));
        cursor = found.remove(0);
        assert!(found.len() <= most, "a step has {} elements", found.len());
        assert!(cursor.parse::<u64>().expect("the cursor is a number") < 1 << 53);
        elements.extend(found);
        if cursor == "0" {
            return elements;
        }
    }
    panic!("the walk does not end");
}

fn several_engines() -> Vec<KeyspaceRule> {
    [("a", EngineKind::Lsm), ("b", EngineKind::BTree)]
        .map(|(name, engine)| KeyspaceRule {
            name: name.to_owned(),
            db: Db(0),
            prefix: format!("key:{}", if name == "a" { "1" } else { "2" }).into_bytes(),
            engine,
            read_policy: None,
        })
        .into()
}

fn clients() -> Vec<Client> {
    let mut clients: Vec<Client> = EngineKind::ALL.into_iter().map(|engine| Client::new(engine, Vec::new())).collect();
    clients.push(Client::new(EngineKind::Hash, several_engines()));
    clients
}

#[test]
fn scan_visits_every_key() {
    for mut client in clients() {
        for number in 0..COUNT {
            client.request(&words(&format!("SET key:{number} x")));
        }
        client.request(&words("HSET hash f v"));
        for count in [1, 10, 100, 10_000] {
            let found = walk(&mut client, |cursor| format!("SCAN {cursor} COUNT {count}"), 10 * count + 100);
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), COUNT + 1);
        }
        let found = walk(&mut client, |cursor| format!("SCAN {cursor} COUNT 50 MATCH key:2*"), 2000);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), 1111);
        let found = walk(&mut client, |cursor| format!("SCAN {cursor} COUNT 50 TYPE hash"), 1);
        assert_eq!(found, ["hash"]);
        // Keys that are there from the beginning to the end are found whatever happens to others.
        let mut removed = 0;
        let mut cursor = "0".to_owned();
        let mut seen = BTreeSet::new();
        loop {
            let mut found = bulks(&client.request(&words(&format!("SCAN {cursor} COUNT 20"))));
            cursor = found.remove(0);
            seen.extend(found);
            if cursor == "0" {
                break;
            }
            client.request(&words(&format!("DEL key:{}", removed * 2 + 1)));
            client.request(&words(&format!("SET new:{removed} x")));
            removed += 1;
        }
        assert!((0..COUNT).step_by(2).all(|number| seen.contains(&format!("key:{number}"))));
    }
}

#[test]
fn random_keys_come_from_all_engines() {
    let mut client = Client::new(EngineKind::Hash, several_engines());
    for number in 0..300 {
        client.request(&words(&format!("SET key:{number} x")));
    }
    let mut first_digits = BTreeSet::new();
    for _ in 0..100 {
        // The generator of reads follows the number of writes.
        client.request(&words("SET key:0 x"));
        let [key] = bulks(&client.request(&words("RANDOMKEY"))).try_into().expect("there is one key");
        first_digits.insert(key.as_bytes()[4]);
    }
    assert!(first_digits.is_superset(&BTreeSet::from([b'1', b'2', b'3'])));
}

#[test]
fn hscan_and_hrandfield_see_every_field() {
    for mut client in clients() {
        for number in 0..COUNT {
            client.request(&words(&format!("HSET hash field:{number} {number}")));
        }
        let found = walk(&mut client, |cursor| format!("HSCAN hash {cursor} COUNT 50"), 2000);
        let fields: BTreeSet<_> = found.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        assert_eq!(fields.len(), COUNT);
        assert!(fields.iter().all(|(field, value)| *field == format!("field:{value}")));
        let found = walk(&mut client, |cursor| format!("HSCAN hash {cursor} COUNT 50 MATCH field:1? NOVALUES"), 20);
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), 10);

        for (count, expected) in [(1, 1), (10, 10), (1500, 1500), (2999, 2999), (5000, COUNT)] {
            let found = bulks(&client.request(&words(&format!("HRANDFIELD hash {count}"))));
            assert_eq!(found.len(), expected);
            assert_eq!(found.into_iter().collect::<BTreeSet<_>>().len(), expected, "{count} different fields");
        }
        let found = bulks(&client.request(&words("HRANDFIELD hash -5000 WITHVALUES")));
        assert_eq!(found.len(), 10_000);
        assert!(found.chunks(2).all(|pair| pair[0] == format!("field:{}", pair[1])));
        let drawn = found.chunks(2).map(|pair| pair[0].clone()).collect::<BTreeSet<_>>().len();
        assert!((1000..COUNT).contains(&drawn), "{drawn} different fields of {COUNT} in 5000 draws");
        client.protocol = Protocol::Resp3;
        assert!(client.request(&words("HRANDFIELD hash 2 WITHVALUES")).starts_with(b"*2\r\n*2\r\n"));
        assert!(client.request(&words("HRANDFIELD hash -100000000")).starts_with(b"-ERR reply exceeds"));
        client.now.0 += 1;
    }
}
