//! What clients did and saw: operations with the times of their requests and replies.
//!
//! All times are nanoseconds of one monotonic clock, so that "returned before the other was invoked"
//! means what it says across clients. A history is kept as JSON lines, one operation each, so that a run that
//! failed can be looked at and checked again.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The field that the hash actions read and change.
pub(crate) const FIELD: &str = "n";

/// What a client asked of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Get,
    Set(String),
    /// SET with GET: sets, and answers what was there.
    GetSet(String),
    SetNx(String),
    Del,
    IncrBy(i64),
    Append(String),
    /// HGET of the one field.
    HashGet,
    /// HINCRBY of the one field.
    HashIncrBy(i64),
}

impl Action {
    /// The command, as the server gets it.
    pub(crate) fn command(&self, key: &str) -> Vec<String> {
        let words: Vec<&str> = match self {
            Self::Get => vec!["GET", key],
            Self::Set(value) => vec!["SET", key, value],
            Self::GetSet(value) => vec!["GETSET", key, value],
            Self::SetNx(value) => vec!["SETNX", key, value],
            Self::Del => vec!["DEL", key],
            Self::Append(value) => vec!["APPEND", key, value],
            Self::HashGet => vec!["HGET", key, FIELD],
            Self::IncrBy(by) => return vec!["INCRBY".into(), key.into(), by.to_string()],
            Self::HashIncrBy(by) => return vec!["HINCRBY".into(), key.into(), FIELD.into(), by.to_string()],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Whether it never changes anything: not knowing its outcome means nothing.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Self::Get | Self::HashGet)
    }

    /// The value that it writes, where it names one.
    pub(crate) fn written(&self) -> Option<&str> {
        match self {
            Self::Set(value) | Self::GetSet(value) | Self::SetNx(value) | Self::Append(value) => Some(value),
            _ => None,
        }
    }
}

/// What the server answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Ok,
    Nil,
    Value(String),
    Number(i64),
    WrongType,
    NotAnInteger,
    /// Something that no model answers, so that it is never right.
    Other(String),
}

/// How an operation ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Replied(Reply),
    /// It may take effect at any time after its invocation, or never. Why that is.
    Unknown(String),
    /// The server said that it did nothing. Its words.
    NotExecuted(String),
}

/// One operation of one client on one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) client: u32,
    pub(crate) key: String,
    /// Read before the request was sent.
    pub(crate) invoked_ns: u64,
    /// Read after the reply was there, or when the client gave up.
    pub(crate) returned_ns: u64,
    /// The address that was asked; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) node: String,
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
}

impl Operation {
    /// The reply, where there is one that counts.
    pub(crate) fn reply(&self) -> Option<&Reply> {
        match &self.outcome {
            Outcome::Replied(reply) => Some(reply),
            Outcome::Unknown(_) | Outcome::NotExecuted(_) => None,
        }
    }

    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown(_))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |ns: u64| ns as f64 / 1e6;
        let end = if self.is_unknown() { "open".to_owned() } else { format!("{:.3}", ms(self.returned_ns)) };
        write!(f, "client {:<3} {:>12.3} .. {:>12} ms  ", self.client, ms(self.invoked_ns), end)?;
        write!(f, "{}", self.action.command(&self.key).iter().map(|word| shown(word)).collect::<Vec<_>>().join(" "))?;
        match &self.outcome {
            Outcome::Replied(Reply::Ok) => write!(f, " -> OK")?,
            Outcome::Replied(Reply::Nil) => write!(f, " -> nil")?,
            Outcome::Replied(Reply::Value(value)) => write!(f, " -> \"{}\"", shown(value))?,
            Outcome::Replied(Reply::Number(number)) => write!(f, " -> {number}")?,
            Outcome::Replied(Reply::WrongType) => write!(f, " -> WRONGTYPE")?,
            Outcome::Replied(Reply::NotAnInteger) => write!(f, " -> not an integer")?,
            Outcome::Replied(Reply::Other(text)) => write!(f, " -> {}", shown(text))?,
            Outcome::Unknown(why) => write!(f, " -> outcome unknown ({})", shown(why))?,
            Outcome::NotExecuted(why) => write!(f, " -> not executed ({})", shown(why))?,
        }
        if self.node.is_empty() { Ok(()) } else { write!(f, "  at {}", self.node) }
    }
}

/// A text of which the middle is left out when it is long.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= SHOWN_MAX {
        return text.to_owned();
    }
    let part = |chars: &[char]| chars.iter().collect::<String>();
    let (head, tail) = (&chars[..SHOWN_MAX / 2], &chars[chars.len() - SHOWN_MAX / 2..]);
    format!("{}[{} characters]{}", part(head), chars.len() - SHOWN_MAX, part(tail))
}

/// Everything that was recorded, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
}

impl History {
    /// Writes JSON lines, in the order of the invocations.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let mut sorted: Vec<_> = self.operations.iter().collect();
        sorted.sort_by_key(|operation| operation.invoked_ns);
        let mut text = String::new();
        for operation in sorted {
            text.push_str(&serde_json::to_string(operation)?);
            text.push('\n');
        }
        fs::write(path, text)
    }

    /// Reads what [`History::save`] wrote.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let lines = fs::read_to_string(path)?;
        let operations = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Self { operations })
    }

    /// Numbers of operations that have a reply, an unknown outcome, and that did nothing.
    pub(crate) fn counts(&self) -> Counts {
        let count = |wanted: fn(&Outcome) -> bool| self.operations.iter().filter(|op| wanted(&op.outcome)).count();
        Counts {
            replied: count(|outcome| matches!(outcome, Outcome::Replied(_))),
            unknown: count(|outcome| matches!(outcome, Outcome::Unknown(_))),
            not_executed: count(|outcome| matches!(outcome, Outcome::NotExecuted(_))),
        }
    }
}

/// How the operations of a history ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) replied: usize,
    pub(crate) unknown: usize,
    pub(crate) not_executed: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_survives_a_file() {
        let operation = |action, outcome| Operation {
            client: 7,
            key: "k".to_owned(),
            invoked_ns: 1_500_000,
            returned_ns: 2_000_000,
            node: "127.0.0.1:1".to_owned(),
            action,
            outcome,
        };
        let history = History {
            operations: vec![
                operation(Action::Get, Outcome::Replied(Reply::Nil)),
                operation(Action::Set("a\"\n".to_owned()), Outcome::Unknown("timed out".to_owned())),
                operation(Action::IncrBy(-3), Outcome::NotExecuted("MOVED 1 x".to_owned())),
                operation(Action::HashIncrBy(2), Outcome::Replied(Reply::Number(2))),
            ],
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        history.save(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4);
        assert_eq!(History::load(&path).unwrap(), history);
        assert_eq!(history.counts(), Counts { replied: 2, unknown: 1, not_executed: 1 });
        fs::write(&path, "{\"client\":1}\n").unwrap();
        assert_eq!(History::load(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let text = history.operations[0].to_string();
        assert!(text.contains("client 7") && text.contains("1.500") && text.contains("GET k -> nil"), "{text}");
    }

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(shown("short"), "short");
        assert_eq!(shown(&"x".repeat(1000)).len(), 60 + "[940 characters]".len());
    }
}
