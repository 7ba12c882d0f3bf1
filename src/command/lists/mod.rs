//! Lists: sequences of byte strings under one key.

mod edit;
mod find;
mod pop;
mod push;
mod read;
mod transfer;

use super::spec::{Access, Arg, Arity, CommandSpec, Deprecation, Flags, Group, Handler, KeySpec};
use crate::storage::ListEnd;
use edit::{linsert, lrem, lset, ltrim};
use find::lpos;
pub(super) use pop::parse_lmpop;
use pop::{lmpop, lpop, rpop};
use push::{lpush, lpushx, rpush, rpushx};
use read::{lindex, llen, lrange};
use transfer::{lmove, rpoplpush};

/// The end that `LEFT` or `RIGHT` names.
fn end_of(word: &[u8]) -> Option<ListEnd> {
    if word.eq_ignore_ascii_case(b"left") {
        Some(ListEnd::Head)
    } else {
        word.eq_ignore_ascii_case(b"right").then_some(ListEnd::Tail)
    }
}

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "LINDEX",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::exactly(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the element at an index of a list.",
        complexity: "O(log(N)) as rows; in the hash engine O(N) with one step for each chunk of the list (8 KiB)",
        args: &[Arg::key("key"), Arg::integer("index")],
        handler: Handler::Read(lindex),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LINSERT",
        since: "2.2.0",
        group: Group::List,
        arity: Arity::exactly(5),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Inserts an element before or after another one of a list.",
        complexity: "O(N) where N is the number of elements before the one that is looked for",
        args: &[
            Arg::key("key"),
            Arg::one_of("where", &[Arg::word("before", "BEFORE"), Arg::word("after", "AFTER")]),
            Arg::string("pivot"),
            Arg::string("element"),
        ],
        handler: Handler::Write(linsert),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LLEN",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::exactly(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::ReadMeta)],
        summary: "Returns how many elements a list has.",
        complexity: "O(1)",
        args: &[Arg::key("key")],
        handler: Handler::Read(llen),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LMOVE",
        since: "6.2.0",
        group: Group::List,
        arity: Arity::exactly(5),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Insert)],
        summary: "Moves an element from an end of a list to an end of another and returns it.",
        complexity: "O(1)",
        args: &[
            Arg::key("source"),
            Arg::key_at("destination", 1),
            Arg::one_of("wherefrom", Arg::LEFT_OR_RIGHT),
            Arg::one_of("whereto", Arg::LEFT_OR_RIGHT),
        ],
        handler: Handler::Write(lmove),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LMPOP",
        since: "7.0.0",
        group: Group::List,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::MOVABLEKEYS).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::Counted { count_at: 1, access: Access::Take }],
        summary: "Removes elements from an end of the first list that is there, and returns them with its name.",
        complexity: "O(N+M) where N is the number of keys and M the number of elements returned",
        args: &[
            Arg::integer("numkeys"),
            Arg::key("key").multiple(),
            Arg::one_of("where", Arg::LEFT_OR_RIGHT),
            Arg::COUNT,
        ],
        handler: Handler::Write(lmpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LPOP",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Removes elements from the head of a list and returns them.",
        complexity: "O(N) where N is the number of elements returned",
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        handler: Handler::Write(lpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LPOS",
        since: "6.0.6",
        group: Group::List,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the indexes of elements of a list that equal another.",
        complexity: "O(N) where N is the number of elements compared",
        args: &[
            Arg::key("key"),
            Arg::string("element"),
            Arg::integer("rank").after("RANK").optional(),
            Arg::integer("num-matches").after("COUNT").optional(),
            Arg::integer("len").after("MAXLEN").optional(),
        ],
        handler: Handler::Read(lpos),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LPUSH",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Adds elements to the head of a list, which is created if it is not there.",
        complexity: "O(1) for each element",
        args: &[Arg::key("key"), Arg::string("element").multiple()],
        handler: Handler::Write(lpush),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LPUSHX",
        since: "2.2.0",
        group: Group::List,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Adds elements to the head of a list that is there.",
        complexity: "O(1) for each element",
        args: &[Arg::key("key"), Arg::string("element").multiple()],
        handler: Handler::Write(lpushx),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LRANGE",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::exactly(4),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns the elements of a list between two indexes.",
        complexity: "O(N) where N is the number of elements returned, and LINDEX for the first",
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
        handler: Handler::Read(lrange),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LREM",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::exactly(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes elements of a list that equal another.",
        complexity: "O(N) where N is the length of the list",
        args: &[Arg::key("key"), Arg::integer("count"), Arg::string("element")],
        handler: Handler::Write(lrem),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LSET",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Update)],
        summary: "Replaces the element at an index of a list.",
        complexity: "O(log(N)) as rows, and as LINDEX in the hash engine",
        args: &[Arg::key("key"), Arg::integer("index"), Arg::string("element")],
        handler: Handler::Write(lset),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "LTRIM",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::exactly(4),
        flags: Flags::WRITE,
        keys: &[KeySpec::one(1, Access::Remove)],
        summary: "Removes the elements of a list that are not between two indexes.",
        complexity: "O(N) where N is the number of elements removed",
        args: &[Arg::key("key"), Arg::integer("start"), Arg::integer("stop")],
        handler: Handler::Write(ltrim),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RPOP",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::FAST).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take)],
        summary: "Removes elements from the tail of a list and returns them.",
        complexity: "O(N) where N is the number of elements returned",
        args: &[Arg::key("key"), Arg::integer("count").optional()],
        handler: Handler::Write(rpop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RPOPLPUSH",
        since: "1.2.0",
        group: Group::List,
        arity: Arity::exactly(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::ANSWERS_VALUE),
        keys: &[KeySpec::one(1, Access::Take), KeySpec::one(2, Access::Insert)],
        summary: "Moves the last element of a list to the head of another and returns it.",
        complexity: "O(1)",
        args: &[Arg::key("source"), Arg::key_at("destination", 1)],
        deprecated: Some(Deprecation { since: "6.2.0", replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments" }),
        handler: Handler::Write(rpoplpush),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RPUSH",
        since: "1.0.0",
        group: Group::List,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Adds elements to the tail of a list, which is created if it is not there.",
        complexity: "O(1) for each element",
        args: &[Arg::key("key"), Arg::string("element").multiple()],
        handler: Handler::Write(rpush),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "RPUSHX",
        since: "2.2.0",
        group: Group::List,
        arity: Arity::at_least(3),
        flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Insert)],
        summary: "Adds elements to the tail of a list that is there.",
        complexity: "O(1) for each element",
        args: &[Arg::key("key"), Arg::string("element").multiple()],
        handler: Handler::Write(rpushx),
        ..CommandSpec::BASE
    },
];
