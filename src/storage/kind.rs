//! The kinds of value.

/// The kinds of value a key can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A byte string.
    String,
    /// A map of fields to byte strings.
    Hash,
    /// A sequence of byte strings.
    List,
    /// A set of byte strings.
    Set,
    /// A set of byte strings in order of their scores.
    Zset,
    /// A log of entries, with its consumer groups.
    Stream,
}

impl Kind {
    /// The name that `TYPE` answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Stream => "stream",
        }
    }
}
