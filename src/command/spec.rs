//! How a command is declared.

use super::context::{ReadContext, WriteContext};
use super::error::CommandResult;
use crate::resp::Reply;

/// One command, declared once.
#[derive(Debug)]
pub struct CommandSpec {
    /// Its name in upper case.
    pub name: &'static str,
    /// The Redis version that first had it, or kvorum's.
    pub since: &'static str,
    /// The family it is documented under.
    pub group: Group,
    /// How many arguments it takes, its name included.
    pub arity: Arity,
    /// What it does and may not do.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// One sentence.
    pub summary: &'static str,
    /// Big-O, as Redis's documentation puts it.
    pub complexity: &'static str,
    /// Its arguments after the name, for `COMMAND DOCS`.
    pub args: &'static [Arg],
    /// Redis's hints to proxies and clients, such as `nondeterministic_output`.
    pub tips: &'static [&'static str],
    /// What to use in its place, if new programs should not use it.
    pub deprecated: Option<Deprecation>,
    /// Its subcommands, if it is a container such as `CONFIG`.
    pub subcommands: &'static [Subcommand],
    /// What runs it.
    pub handler: Handler,
}

impl CommandSpec {
    /// What most commands have in common. It is not a command: each entry of the table names at least its name,
    /// arity, summary and handler.
    pub const BASE: Self = Self {
        name: "",
        since: "",
        group: Group::Generic,
        arity: Arity(0),
        flags: Flags::NONE,
        keys: &[],
        summary: "",
        complexity: "",
        args: &[],
        tips: &[],
        deprecated: None,
        subcommands: &[],
        handler: Handler::Server(ServerCommand::Command),
    };
}

/// Since when a command is deprecated, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// The Redis version that deprecated it.
    pub since: &'static str,
    /// What to use in its place.
    pub replaced_by: &'static str,
}

/// A subcommand of a container command; documented and checked like a command.
#[derive(Debug)]
pub struct Subcommand {
    /// Its name in upper case, without the container's.
    pub name: &'static str,
    /// The Redis version that first had it.
    pub since: &'static str,
    /// How many arguments it takes, container and subcommand names included.
    pub arity: Arity,
    /// What it does and may not do.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: &'static [KeySpec],
    /// One sentence.
    pub summary: &'static str,
    /// Big-O.
    pub complexity: &'static str,
    /// Its arguments after both names.
    pub args: &'static [Arg],
    /// Redis's hints to proxies and clients.
    pub tips: &'static [&'static str],
}

impl Subcommand {
    /// What most subcommands have in common; see [`CommandSpec::BASE`].
    pub const BASE: Self = Self {
        name: "",
        since: "",
        arity: Arity(0),
        flags: Flags::NONE,
        keys: &[],
        summary: "",
        complexity: "",
        args: &[],
        tips: &[],
    };
}

/// Runs a write; `args[0]` is the command's name as the client wrote it.
pub type WriteFn = fn(&mut WriteContext<'_>, &[&[u8]], &mut Reply<'_>) -> CommandResult;
/// Runs a read; `args[0]` is the command's name as the client wrote it.
pub type ReadFn = fn(&ReadContext<'_>, &[&[u8]], &mut Reply<'_>) -> CommandResult;

/// What runs a command.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Reads the store; runs under the shard's read lock.
    Read(ReadFn),
    /// Changes the store; runs at apply, on every replica.
    Write(WriteFn),
    /// Concerns the session or the process; the server runs it.
    Server(ServerCommand),
}

/// Commands the server layer runs, because they need the session, the settings or the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the command of its name")]
pub enum ServerCommand {
    Asking,
    Auth,
    Bgsave,
    Bgrewriteaof,
    Client,
    Cluster,
    Command,
    Config,
    Dbsize,
    Debug,
    Discard,
    Echo,
    Exec,
    Hello,
    Info,
    Keyspace,
    Lastsave,
    Latency,
    Memory,
    Monitor,
    Pfselftest,
    Multi,
    Ping,
    Quit,
    Readonly,
    Readwrite,
    Reset,
    Role,
    Save,
    Select,
    Shutdown,
    Slowlog,
    Time,
    Unwatch,
    Wait,
    Watch,
}

/// How many arguments a command takes, its name included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity(pub i16);

impl Arity {
    /// So many, no more and no less.
    pub const fn exactly(count: i16) -> Self {
        Self(count)
    }

    /// So many or more.
    pub const fn at_least(count: i16) -> Self {
        Self(-count)
    }

    /// Whether a request with `count` arguments, its name included, fits.
    pub fn accepts(self, count: usize) -> bool {
        let wanted = usize::from(self.0.unsigned_abs());
        if self.0 >= 0 { count == wanted } else { count >= wanted }
    }
}

/// A set of command flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Flags(u32);

#[expect(missing_docs, reason = "Redis's own names for its command flags")]
impl Flags {
    pub const NONE: Self = Self(0);
    pub const WRITE: Self = Self(1);
    pub const READONLY: Self = Self(1 << 1);
    pub const DENYOOM: Self = Self(1 << 2);
    pub const ADMIN: Self = Self(1 << 3);
    pub const PUBSUB: Self = Self(1 << 4);
    pub const NOSCRIPT: Self = Self(1 << 5);
    pub const BLOCKING: Self = Self(1 << 6);
    pub const LOADING: Self = Self(1 << 7);
    pub const STALE: Self = Self(1 << 8);
    pub const SKIP_MONITOR: Self = Self(1 << 9);
    pub const SKIP_SLOWLOG: Self = Self(1 << 10);
    pub const FAST: Self = Self(1 << 11);
    pub const NO_AUTH: Self = Self(1 << 12);
    pub const MOVABLEKEYS: Self = Self(1 << 13);
    pub const NO_MULTI: Self = Self(1 << 14);
    pub const ALLOW_BUSY: Self = Self(1 << 15);
    /// ACL category `@dangerous`.
    pub const DANGEROUS: Self = Self(1 << 16);
    /// ACL category `@keyspace`.
    pub const KEYSPACE: Self = Self(1 << 17);
    /// ACL category `@connection`.
    pub const CONNECTION: Self = Self(1 << 18);
    pub const NO_ASYNC_LOADING: Self = Self(1 << 19);
    pub const NO_MANDATORY_KEYS: Self = Self(1 << 20);
    /// A write that answers what was stored, which may be long. Not shown to clients.
    pub const ANSWERS_VALUE: Self = Self(1 << 21);

    /// Both sets.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Families of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the families' own names")]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    Hyperloglog,
    List,
    Server,
    SortedSet,
    Stream,
    Set,
    String,
    Transactions,
}

impl Group {
    /// The name that `COMMAND DOCS` gives.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bitmap => "bitmap",
            Self::Cluster => "cluster",
            Self::Connection => "connection",
            Self::Generic => "generic",
            Self::Geo => "geo",
            Self::Hash => "hash",
            Self::Hyperloglog => "hyperloglog",
            Self::List => "list",
            Self::Server => "server",
            Self::SortedSet => "sorted-set",
            Self::Stream => "stream",
            Self::Set => "set",
            Self::String => "string",
            Self::Transactions => "transactions",
        }
    }
}

/// What a command does with a key; Redis's key-spec flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `RO ACCESS`
    Read,
    /// `RO` without reading the value (EXISTS, TYPE, STRLEN).
    ReadMeta,
    /// `RW ACCESS UPDATE`
    ReadWrite,
    /// `RW UPDATE` (does not return the value)
    Update,
    /// `OW UPDATE`
    Overwrite,
    /// `RW INSERT`
    Insert,
    /// `RM DELETE`
    Delete,
    /// `RW ACCESS DELETE`
    Take,
    /// `RW DELETE`: removes a part of the value.
    Remove,
    /// `OW INSERT`
    Create,
    /// `RW ACCESS`: reads the value, and may note something in it that changes nothing about what it stands for.
    Note,
    /// `RW ACCESS INSERT`
    ReadInsert,
    /// `RW ACCESS UPDATE VARIABLE_FLAGS`: the arguments decide between [`Self::ReadWrite`] and
    /// [`Self::Overwrite`], as in SET with and without GET.
    Variable,
}

/// Where keys are among a command's arguments; index 0 is the command's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySpec {
    /// Keys from `first` to `last` (negative counts from the end: -1 is the last argument),
    /// every `step`-th argument.
    Range {
        /// Index of the first key.
        first: i16,
        /// Index of the last key, or negative from the end.
        last: i16,
        /// Distance between keys.
        step: i16,
        /// What is done with them.
        access: Access,
    },
    /// A literal word at index `from` or behind it, and after it keys up to a share of the arguments that are left.
    Keyword {
        /// The word, in upper case.
        word: &'static str,
        /// Index where the search for it begins.
        from: i16,
        /// Keys are the first of so many equal parts of what is left; 0 for one key behind the last such word, if there
        /// is any.
        limit: i16,
        /// What is done with them.
        access: Access,
    },
    /// A count at index `count_at`, and that many keys after it.
    Counted {
        /// Index of the count.
        count_at: i16,
        /// What is done with them.
        access: Access,
    },
}

impl KeySpec {
    /// One key at `index`.
    pub const fn one(index: i16, access: Access) -> Self {
        Self::Range { first: index, last: index, step: 1, access }
    }

    /// All arguments from `first` on are keys.
    pub const fn rest(first: i16, access: Access) -> Self {
        Self::Range { first, last: -1, step: 1, access }
    }
}

/// One argument of a command, for `COMMAND DOCS` and the completion hints of redis-cli.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// How it is shown to people; empty for its name.
    pub display: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// The literal word before it or, for [`ArgKind::Token`], the word itself; empty for none.
    pub token: &'static str,
    /// May be left out.
    pub optional: bool,
    /// May stand several times.
    pub multiple: bool,
    /// Its token repeats with it.
    pub multiple_token: bool,
}

/// Kinds of argument, as `COMMAND DOCS` names them.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "Redis's own names")]
pub enum ArgKind {
    /// `key`, with the index of its key spec.
    Key(u8),
    String,
    Integer,
    Double,
    Pattern,
    UnixTime,
    Token,
    OneOf(&'static [Arg]),
    Block(&'static [Arg]),
}

impl Arg {
    const fn new(name: &'static str, kind: ArgKind) -> Self {
        Self { name, display: "", kind, token: "", optional: false, multiple: false, multiple_token: false }
    }
    /// `[COUNT count]`
    pub const COUNT: Self = Self::integer("count").after("COUNT").optional();
    /// `[MATCH pattern]`
    pub const MATCH: Self = Self::pattern("pattern").after("MATCH").optional();
    /// `[ASC|DESC]`
    pub const ORDER: Self = Self::one_of("order", &[Self::word("asc", "ASC"), Self::word("desc", "DESC")]).optional();
    /// `LEFT|RIGHT`, the ends of a list.
    pub const LEFT_OR_RIGHT: &'static [Self] = &[Self::word("left", "LEFT"), Self::word("right", "RIGHT")];
    /// `MIN|MAX`, the ends of a sorted set.
    pub const MIN_OR_MAX: Self = Self::one_of("where", &[Self::word("min", "MIN"), Self::word("max", "MAX")]);

    /// A key covered by the first key spec.
    pub const fn key(name: &'static str) -> Self {
        Self::new(name, ArgKind::Key(0))
    }
    /// A key covered by key spec `index`.
    pub const fn key_at(name: &'static str, index: u8) -> Self {
        Self::new(name, ArgKind::Key(index))
    }
    /// A string.
    pub const fn string(name: &'static str) -> Self {
        Self::new(name, ArgKind::String)
    }
    /// An integer.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, ArgKind::Integer)
    }
    /// A floating-point number.
    pub const fn double(name: &'static str) -> Self {
        Self::new(name, ArgKind::Double)
    }
    /// A glob pattern.
    pub const fn pattern(name: &'static str) -> Self {
        Self::new(name, ArgKind::Pattern)
    }
    /// A Unix time.
    pub const fn unix_time(name: &'static str) -> Self {
        Self::new(name, ArgKind::UnixTime)
    }
    /// A literal word.
    pub const fn word(name: &'static str, token: &'static str) -> Self {
        let mut arg = Self::new(name, ArgKind::Token);
        arg.token = token;
        arg
    }
    /// One of several.
    pub const fn one_of(name: &'static str, choices: &'static [Arg]) -> Self {
        Self::new(name, ArgKind::OneOf(choices))
    }
    /// Several in a row.
    pub const fn block(name: &'static str, parts: &'static [Arg]) -> Self {
        Self::new(name, ArgKind::Block(parts))
    }
    /// The same argument, after a literal word.
    pub const fn after(mut self, token: &'static str) -> Self {
        self.token = token;
        self
    }
    /// The same argument, which may be left out.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
    /// The same argument, which may stand several times.
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }
    /// The same argument, whose token is repeated with it.
    pub const fn repeated_token(mut self) -> Self {
        self.multiple_token = true;
        self
    }
    /// The same argument, shown to people by another name.
    pub const fn shown_as(mut self, display: &'static str) -> Self {
        self.display = display;
        self
    }
}
