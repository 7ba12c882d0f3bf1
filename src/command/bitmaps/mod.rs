//! Strings as rows of bits, and as rows of small integers.
//!
//! [`bit`] reads and writes one bit, [`range`] counts and searches, [`combine`] makes a string of several, and [`field`]
//! has the integers.

mod bit;
mod combine;
mod field;
mod range;

use super::cursor::Cursor;
use super::error::CommandError;
use super::spec::{Access, Arg, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::types::number::parse_i64;
use bit::{getbit, setbit};
use combine::bitop;
use field::{bitfield, bitfield_ro};
use range::{bitcount, bitpos};

const UNIT: Arg = Arg::one_of("unit", &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")]).optional();
const GET: Arg = Arg::block("get-block", &[Arg::string("encoding"), Arg::integer("offset")]).after("GET");
const OVERFLOW: Arg =
    Arg::one_of("overflow-block", &[Arg::word("wrap", "WRAP"), Arg::word("sat", "SAT"), Arg::word("fail", "FAIL")])
        .after("OVERFLOW");
const SET: Arg =
    Arg::block("set-block", &[Arg::string("encoding"), Arg::integer("offset"), Arg::integer("value")]).after("SET");
const INCRBY: Arg =
    Arg::block("increment-block", &[Arg::string("encoding"), Arg::integer("offset"), Arg::integer("increment")])
        .after("INCRBY");

/// The commands of this family.
pub(super) static COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "BITCOUNT",
        since: "2.6.0",
        group: Group::Bitmap,
        arity: Arity::at_least(2),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Counts the bits that are set in a string, or in a part of it.",
        complexity: "O(N)",
        args: &[Arg::key("key"), Arg::block("range", &[Arg::integer("start"), Arg::integer("end"), UNIT]).optional()],
        handler: Handler::Read(bitcount),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITFIELD",
        since: "3.2.0",
        group: Group::Bitmap,
        arity: Arity::at_least(2),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::Variable)],
        summary: "Reads and changes integers of any size at any bit of a string.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::one_of(
                "operation",
                &[GET, Arg::block("write", &[OVERFLOW.optional(), Arg::one_of("write-operation", &[SET, INCRBY])])],
            )
            .optional()
            .multiple(),
        ],
        handler: Handler::Write(bitfield),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITFIELD_RO",
        since: "6.0.0",
        group: Group::Bitmap,
        arity: Arity::at_least(2),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Reads integers of any size at any bit of a string.",
        complexity: "O(N)",
        args: &[Arg::key("key"), GET.optional().multiple().repeated_token()],
        handler: Handler::Read(bitfield_ro),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITOP",
        since: "2.6.0",
        group: Group::Bitmap,
        arity: Arity::at_least(4),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(2, Access::Overwrite), KeySpec::rest(3, Access::Read)],
        summary: "Combines strings bit by bit and stores the result.",
        complexity: "O(N)",
        args: &[
            Arg::one_of(
                "operation",
                &[Arg::word("and", "AND"), Arg::word("or", "OR"), Arg::word("xor", "XOR"), Arg::word("not", "NOT")],
            ),
            Arg::key("destkey"),
            Arg::key_at("key", 1).multiple(),
        ],
        handler: Handler::Write(bitop),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "BITPOS",
        since: "2.8.7",
        group: Group::Bitmap,
        arity: Arity::at_least(3),
        flags: Flags::READONLY,
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Finds the first bit that is set, or clear, in a string or in a part of it.",
        complexity: "O(N)",
        args: &[
            Arg::key("key"),
            Arg::integer("bit"),
            Arg::block(
                "range",
                &[Arg::integer("start"), Arg::block("end-unit-block", &[Arg::integer("end"), UNIT]).optional()],
            )
            .optional(),
        ],
        handler: Handler::Read(bitpos),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "GETBIT",
        since: "2.2.0",
        group: Group::Bitmap,
        arity: Arity::exactly(3),
        flags: Flags::READONLY.or(Flags::FAST),
        keys: &[KeySpec::one(1, Access::Read)],
        summary: "Returns one bit of a string.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("offset")],
        handler: Handler::Read(getbit),
        ..CommandSpec::BASE
    },
    CommandSpec {
        name: "SETBIT",
        since: "2.2.0",
        group: Group::Bitmap,
        arity: Arity::exactly(4),
        flags: Flags::WRITE.or(Flags::DENYOOM),
        keys: &[KeySpec::one(1, Access::ReadWrite)],
        summary: "Sets or clears one bit of a string, and returns what it was.",
        complexity: "O(1)",
        args: &[Arg::key("key"), Arg::integer("offset"), Arg::integer("value")],
        handler: Handler::Write(setbit),
        ..CommandSpec::BASE
    },
];

/// The offset of a bit in a string that may be as long as a client may send one. With `field_bits`, `#n` is the
/// offset of the n-th field of so many bits.
fn bit_offset(arg: &[u8], bulk_max_bytes: i64, field_bits: Option<u64>) -> Result<u64, CommandError> {
    const OFFSET: CommandError = CommandError::Static("ERR bit offset is not an integer or out of range");
    let offset = match (arg, field_bits) {
        ([b'#', number @ ..], Some(bits)) => {
            let bits = i64::try_from(bits).expect("fields have 64 bits at most");
            parse_i64(number).and_then(|number| number.checked_mul(bits))
        }
        _ => parse_i64(arg),
    };
    offset.filter(|&offset| offset / 8 < bulk_max_bytes).and_then(|offset| u64::try_from(offset).ok()).ok_or(OFFSET)
}

/// Whether the next argument says that a range is of bits; that it is of bytes is what it says otherwise.
fn unit_is_bit(cursor: &mut Cursor<'_>) -> Result<bool, CommandError> {
    if cursor.accept("BIT") {
        return Ok(true);
    }
    if cursor.accept("BYTE") { Ok(false) } else { Err(super::error::SYNTAX) }
}
