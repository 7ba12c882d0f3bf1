//! What a key does when one operation after the other is executed: the specification that histories are
//! checked against.

use super::history::{Action, Reply};

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum State {
    #[default]
    Absent,
    String(String),
    /// A hash with the one field.
    Hash(i64),
}

impl State {
    /// Roughly what it costs to keep.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + if let Self::String(text) = self { text.len() } else { 0 }
    }

    fn value(&self) -> Reply {
        match self {
            Self::Absent => Reply::Nil,
            Self::String(text) => Reply::Value(text.clone()),
            Self::Hash(_) => Reply::WrongType,
        }
    }

    /// The state after an action, and the reply to it.
    pub(crate) fn step(&self, action: &Action) -> (Self, Reply) {
        let same = |reply| (self.clone(), reply);
        match action {
            Action::Get => same(self.value()),
            Action::Set(value) => (Self::String(value.clone()), Reply::Ok),
            Action::GetSet(_) if matches!(self, Self::Hash(_)) => same(Reply::WrongType),
            Action::GetSet(value) => (Self::String(value.clone()), self.value()),
            Action::SetNx(value) => match self {
                Self::Absent => (Self::String(value.clone()), Reply::Number(1)),
                _ => same(Reply::Number(0)),
            },
            Action::Del => match self {
                Self::Absent => same(Reply::Number(0)),
                _ => (Self::Absent, Reply::Number(1)),
            },
            Action::IncrBy(by) => {
                let before = match self {
                    Self::Absent => Some(0),
                    Self::String(text) => text.parse::<i64>().ok().filter(|number| number.to_string() == *text),
                    Self::Hash(_) => return same(Reply::WrongType),
                };
                match before.and_then(|before| before.checked_add(*by)) {
                    Some(after) => (Self::String(after.to_string()), Reply::Number(after)),
                    None => same(Reply::NotAnInteger),
                }
            }
            Action::Append(value) => {
                let before = match self {
                    Self::Absent => "",
                    Self::String(text) => text,
                    Self::Hash(_) => return same(Reply::WrongType),
                };
                let after = format!("{before}{value}");
                let length = i64::try_from(after.len()).expect("values are short");
                (Self::String(after), Reply::Number(length))
            }
            Action::HashGet => match self {
                Self::Absent => same(Reply::Nil),
                Self::Hash(number) => same(Reply::Value(number.to_string())),
                Self::String(_) => same(Reply::WrongType),
            },
            Action::HashIncrBy(by) => {
                let before = match self {
                    Self::Absent => 0,
                    Self::Hash(number) => *number,
                    Self::String(_) => return same(Reply::WrongType),
                };
                match before.checked_add(*by) {
                    Some(after) => (Self::Hash(after), Reply::Number(after)),
                    None => same(Reply::NotAnInteger),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(actions: &[Action]) -> Vec<Reply> {
        let mut state = State::Absent;
        let mut replies = Vec::new();
        for action in actions {
            let (after, reply) = state.step(action);
            state = after;
            replies.push(reply);
        }
        replies
    }

    fn text(value: &str) -> String {
        value.to_owned()
    }

    #[test]
    fn strings_behave() {
        let replies = run(&[
            Action::Get,
            Action::SetNx(text("a")),
            Action::SetNx(text("b")),
            Action::GetSet(text("c")),
            Action::Append(text("de")),
            Action::Get,
            Action::IncrBy(1),
            Action::Del,
            Action::Del,
            Action::IncrBy(5),
            Action::IncrBy(-7),
            Action::Set(text("007")),
            Action::IncrBy(1),
        ]);
        let number = Reply::Number;
        let expected = [
            Reply::Nil,
            number(1),
            number(0),
            Reply::Value(text("a")),
            number(3),
            Reply::Value(text("cde")),
            Reply::NotAnInteger,
            number(1),
            number(0),
            number(5),
            number(-2),
            Reply::Ok,
            Reply::NotAnInteger,
        ];
        assert_eq!(replies, expected);
    }

    #[test]
    fn types_do_not_mix() {
        let replies = run(&[
            Action::HashIncrBy(3),
            Action::HashGet,
            Action::Get,
            Action::GetSet(text("x")),
            Action::IncrBy(1),
            Action::Append(text("x")),
            Action::HashGet,
            Action::SetNx(text("x")),
            Action::Set(text("x")),
            Action::HashGet,
            Action::HashIncrBy(1),
        ]);
        let wrong = || Reply::WrongType;
        let three = || Reply::Value(text("3"));
        let expected =
            [Reply::Number(3), three(), wrong(), wrong(), wrong(), wrong(), three(), Reply::Number(0), Reply::Ok];
        assert_eq!(replies[..9], expected);
        assert_eq!(replies[9..], [wrong(), wrong()]);
    }
}
