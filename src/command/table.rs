//! Finding commands by name, and keys among arguments.
//!
//! Every request looks its command up here, so the lookup neither allocates nor copies: an
//! open-addressing table, built once, over a hash of the name's upper-cased bytes.

use std::sync::LazyLock;

use smallvec::SmallVec;

use super::error::CommandError;
use super::spec::{Access, CommandSpec, KeySpec, Subcommand};
use super::{
    bitmaps, blocking, databases, dump, geo, hashes, hyperloglog, keys, lists, ranges, server, sets, sort, streams,
    strings, zsets,
};

/// The families, in the order of [`all`] and of [`index_of`].
static FAMILIES: &[&[CommandSpec]] = &[
    strings::COMMANDS,
    hashes::COMMANDS,
    bitmaps::COMMANDS,
    hyperloglog::COMMANDS,
    lists::COMMANDS,
    streams::COMMANDS,
    zsets::COMMANDS,
    zsets::RANGE_COMMANDS,
    zsets::ALGEBRA_COMMANDS,
    geo::COMMANDS,
    hashes::EXPIRY_COMMANDS,
    sets::COMMANDS,
    keys::COMMANDS,
    dump::COMMANDS,
    sort::COMMANDS,
    databases::COMMANDS,
    ranges::COMMANDS,
    server::CONNECTION_COMMANDS,
    server::CLUSTER_COMMANDS,
    server::PROCESS_COMMANDS,
    server::DIAGNOSIS_COMMANDS,
    server::TRANSACTION_COMMANDS,
    blocking::COMMANDS,
];

/// Slots of the table; a power of two several times the number of commands, so that most names are
/// found at the first probe.
const TABLE_SLOTS: usize = 1024;

/// A name and the command it is of.
#[derive(Clone, Copy)]
struct Named {
    name: Name,
    spec: &'static CommandSpec,
    /// The name has other bytes than letters, so the form alone does not identify it.
    has_underscore: bool,
}

static TABLE: LazyLock<Box<[Option<Named>; TABLE_SLOTS]>> = LazyLock::new(|| {
    let mut table = Box::new([None; TABLE_SLOTS]);
    for spec in all() {
        let name = Name::new(spec.name.as_bytes()).expect("names of commands are short");
        let mut slot = name.slot();
        while table[slot].is_some() {
            slot = (slot + 1) % TABLE_SLOTS;
        }
        table[slot] = Some(Named { name, spec, has_underscore: spec.name.contains('_') });
    }
    table
});

/// A name in a form in which comparing ignores case and costs two comparisons of words.
///
/// Clearing one bit turns a lower-case letter into its upper case, and nothing else into a letter. So for
/// names of letters alone, as those of most commands are, this form is the same exactly when the name is,
/// but for case.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name {
    words: [u64; 3],
    len: usize,
}

impl Name {
    /// No command has a longer name.
    const MAX_BYTES: usize = 24;

    #[inline]
    fn new(name: &[u8]) -> Option<Self> {
        const UPPER: u64 = 0xdfdf_dfdf_dfdf_dfdf;
        if name.len() > Self::MAX_BYTES {
            return None;
        }
        let (first, rest) = name.split_at(name.len().min(8));
        let (second, third) = rest.split_at(rest.len().min(8));
        Some(Self { words: [first, second, third].map(|part| word(part) & UPPER), len: name.len() })
    }

    /// The slot where the search for the name begins.
    #[inline]
    fn slot(self) -> usize {
        /// The golden ratio's fraction: spreads the input over the high bits.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let [first, second, third] = self.words;
        let hash = (first ^ second.rotate_left(29) ^ third.rotate_left(43)).wrapping_mul(SPREAD);
        (hash >> (u64::BITS - TABLE_SLOTS.ilog2())) as usize
    }
}

/// Up to eight bytes as a number, without a copy of varying length.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        debug_assert_eq!(first, last, "there are no more than eight bytes");
        u64::from_le_bytes(*first)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<2>(), bytes.last_chunk::<2>()) {
        u64::from(u16::from_le_bytes(*first)) | u64::from(u16::from_le_bytes(*last)) << (8 * (len - 2))
    } else {
        bytes.first().copied().map_or(0, u64::from)
    }
}

/// The command of a name, in any case.
#[inline]
pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    let asked = Name::new(name)?;
    let table = &**TABLE;
    let mut slot = asked.slot();
    while let Some(Named { name: other, spec, has_underscore }) = table[slot] {
        if other == asked {
            let same = !has_underscore || spec.name.as_bytes().eq_ignore_ascii_case(name);
            return same.then_some(spec);
        }
        slot = (slot + 1) % TABLE_SLOTS;
    }
    None
}

/// Which argument is a field or member, in commands that look one up. For reading ahead: what is wrong here costs a vain look.
#[inline]
pub fn member_argument(name: &[u8]) -> usize {
    let has_score =
        matches!(name.len(), 4 | 7) && (name.eq_ignore_ascii_case(b"zadd") || name.eq_ignore_ascii_case(b"zincrby"));
    if has_score { 3 } else { 2 }
}

/// All commands, family by family.
pub fn all() -> impl Iterator<Item = &'static CommandSpec> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The position of a command in [`all`], for tables of statistics.
///
/// # Panics
/// When the specification is not the table's own.
#[inline]
pub fn index_of(spec: &CommandSpec) -> usize {
    let address = std::ptr::from_ref(spec).addr();
    let mut first = 0;
    for family in FAMILIES {
        let range = family.as_ptr_range();
        if (range.start.addr()..range.end.addr()).contains(&address) {
            return first + (address - range.start.addr()) / size_of::<CommandSpec>();
        }
        first += family.len();
    }
    panic!("{} is not in the table of commands", spec.name)
}

/// The subcommand of a name, in any case.
pub fn find_subcommand(spec: &CommandSpec, name: &[u8]) -> Option<&'static Subcommand> {
    spec.subcommands.iter().find(|subcommand| subcommand.name.as_bytes().eq_ignore_ascii_case(name))
}

/// Indexes of keys among arguments, with what is done with each.
pub type KeyPositions = SmallVec<[(usize, Access); 4]>;

/// Where the keys of a request are. `args[0]` is the command's name; the arity has been checked.
///
/// # Errors
/// When a count among the arguments that says how many keys there are is not one.
pub fn keys_of(spec: &CommandSpec, args: &[&[u8]]) -> Result<KeyPositions, CommandError> {
    let specs = match args.get(1).and_then(|name| find_subcommand(spec, name)) {
        Some(subcommand) => subcommand.keys,
        None => spec.keys,
    };
    let mut positions = KeyPositions::new();
    for spec in specs {
        add_positions(spec, args, &mut positions)?;
    }
    Ok(positions)
}

fn add_positions(spec: &KeySpec, args: &[&[u8]], positions: &mut KeyPositions) -> Result<(), CommandError> {
    const INVALID: CommandError = CommandError::Static("ERR Invalid arguments specified for command");
    let index = |value: i16| usize::from(value.unsigned_abs());
    let (first, end, step, access) = match *spec {
        KeySpec::Range { first, last, step, access } => {
            let end = if last < 0 { (args.len() + 1).saturating_sub(index(last)) } else { index(last) + 1 };
            (index(first), end, index(step), access)
        }
        KeySpec::Keyword { word, from, limit: 0, access } => {
            // An option: the last one counts, and there need be none.
            let first = keyword(word, args, index(from), true).map_or(args.len(), |at| at + 1);
            (first, first + 1, 1, access)
        }
        KeySpec::Keyword { word, limit, access, .. } => {
            // Other options stand before it, also where Redis tells clients to begin their search behind them.
            let first = keyword(word, args, 1, false).ok_or(INVALID)? + 1;
            (first, first + (args.len() - first) / index(limit), 1, access)
        }
        KeySpec::Counted { count_at, access } => {
            let at = index(count_at);
            let count = args.get(at).and_then(|arg| crate::types::number::parse_i64(arg)).ok_or(INVALID)?;
            let count = usize::try_from(count).map_err(|_negative| INVALID)?;
            if count > args.len().saturating_sub(at + 1) {
                return Err(INVALID);
            }
            (at + 1, at + 1 + count, 1, access)
        }
    };
    let access = if access == Access::Variable { variable_access(args) } else { access };
    positions.extend((first..end.min(args.len())).step_by(step).map(|index| (index, access)));
    Ok(())
}

/// Where a word stands among the options from `from` on, the last time or the first. What belongs to another option is
/// not looked at: in `SORT key GET store STORE to` and in `SORT key STORE store` one of two such words is a pattern or a
/// key.
fn keyword(word: &str, args: &[&[u8]], from: usize, last: bool) -> Option<usize> {
    /// Options of the commands that have keys behind words, and how many arguments belong to each.
    const OPTIONS: &[(&str, usize)] = &[
        ("BLOCK", 1),
        ("BY", 1),
        ("COUNT", 1),
        ("GET", 1),
        ("GROUP", 2),
        ("LIMIT", 2),
        ("STORE", 1),
        ("STOREDIST", 1),
    ];
    let mut found = None;
    let mut at = from;
    while let Some(arg) = args.get(at) {
        let is = |word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
        if is(word) {
            found = Some(at);
            if !last {
                break;
            }
        }
        at += 1 + OPTIONS.iter().find(|(option, _)| is(option)).map_or(0, |&(_, own)| own);
    }
    found
}

/// What SET does with its key: with GET it also reads it. And BITFIELD: with nothing but GETs it only reads.
fn variable_access(args: &[&[u8]]) -> Access {
    if args[0].eq_ignore_ascii_case(b"bitfield") {
        let writes = |arg: &&[u8]| arg.eq_ignore_ascii_case(b"set") || arg.eq_ignore_ascii_case(b"incrby");
        return if args.iter().skip(2).any(writes) { Access::ReadWrite } else { Access::Read };
    }
    let reads = args.iter().skip(3).any(|arg| arg.eq_ignore_ascii_case(b"get"));
    if reads { Access::ReadWrite } else { Access::Overwrite }
}

/// The error of a request with too few or too many arguments; `name` is in lower case, that of a
/// subcommand after its container's and `|`.
pub fn arity_error(name: &str) -> CommandError {
    CommandError::Text(format!("ERR wrong number of arguments for '{name}' command"))
}

/// Most bytes of a client's words that an error repeats (Redis's own bound).
const QUOTED_MAX_BYTES: usize = 128;

/// The error of a request whose command does not exist. Repeats some of its arguments, as Redis does.
pub fn unknown_command(args: &[&[u8]]) -> CommandError {
    let mut beginning = Vec::new();
    for arg in args.iter().skip(1) {
        if beginning.len() >= QUOTED_MAX_BYTES {
            break;
        }
        let room = QUOTED_MAX_BYTES - beginning.len();
        beginning.push(b'\'');
        beginning.extend_from_slice(quoted(arg, room));
        beginning.extend_from_slice(b"' ");
    }
    let name = args.first().map_or(&[][..], |name| quoted(name, QUOTED_MAX_BYTES));
    CommandError::Text(one_line(format!(
        "ERR unknown command '{}', with args beginning with: {}",
        String::from_utf8_lossy(name),
        String::from_utf8_lossy(&beginning)
    )))
}

/// The error of a request to a container command whose subcommand does not exist.
pub fn unknown_subcommand(spec: &CommandSpec, name: &[u8]) -> CommandError {
    CommandError::Text(one_line(format!(
        "ERR unknown subcommand '{}'. Try {} HELP.",
        String::from_utf8_lossy(quoted(name, QUOTED_MAX_BYTES)),
        spec.name
    )))
}

/// The first bytes of a client's word, up to a zero byte as in Redis.
fn quoted(word: &[u8], limit: usize) -> &[u8] {
    let word = &word[..word.len().min(limit)];
    word.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Errors are lines: a line break in what a client sent becomes a space.
fn one_line(text: String) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests;
