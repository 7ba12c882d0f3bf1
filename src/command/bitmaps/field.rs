//! Integers at any bit: BITFIELD and BITFIELD_RO.

use super::bit_offset;
use crate::command::context::{ReadContext, WriteContext};
use crate::command::cursor::Cursor;
use crate::command::error::{CommandError, CommandResult, SYNTAX};
use crate::resp::Reply;
use crate::types::bits::field::{FieldType, Overflow};
use crate::types::number::parse_i64;

/// One operation on one field.
struct Operation {
    field: FieldType,
    offset: u64,
    action: Action,
}

enum Action {
    Get,
    Set(i64, Overflow),
    Increment(i64, Overflow),
}

impl Operation {
    /// All operations of a request, in order.
    fn parse_all(args: &[&[u8]], bulk_max_bytes: i64) -> Result<Vec<Self>, CommandError> {
        const OVERFLOW: CommandError = CommandError::Static("ERR Invalid OVERFLOW type specified");
        let mut operations = Vec::new();
        let mut cursor = Cursor::new(args, 2);
        let mut overflow = Overflow::Wrap;
        while cursor.remaining() > 0 {
            // A word with too few arguments behind it is as good as unknown.
            let behind = cursor.remaining() - 1;
            if behind >= 1 && cursor.accept("OVERFLOW") {
                overflow = match () {
                    () if cursor.accept("WRAP") => Overflow::Wrap,
                    () if cursor.accept("SAT") => Overflow::Saturate,
                    () if cursor.accept("FAIL") => Overflow::Fail,
                    () => return Err(OVERFLOW),
                };
                continue;
            }
            let action: fn(i64, Overflow) -> Action = if behind >= 2 && cursor.accept("GET") {
                |_, _| Action::Get
            } else if behind >= 3 && cursor.accept("SET") {
                Action::Set
            } else if behind >= 3 && cursor.accept("INCRBY") {
                Action::Increment
            } else {
                return Err(SYNTAX);
            };
            let field = field_type(cursor.required()?)?;
            let offset = bit_offset(cursor.required()?, bulk_max_bytes, Some(field.bits()))?;
            let reads = matches!(action(0, overflow), Action::Get);
            let operand = if reads { 0 } else { cursor.integer()? };
            operations.push(Self { field, offset, action: action(operand, overflow) });
        }
        Ok(operations)
    }

    fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }

    /// The first byte that the field does not reach.
    fn end(&self) -> usize {
        let end = (self.offset + self.field.bits()).div_ceil(8);
        usize::try_from(end).expect("offsets are below the longest string")
    }

    /// Does it to a string that reaches as far as all fields to write; answers what to reply, and whether a value changed.
    fn execute(&self, bytes: &mut [u8]) -> (Option<i64>, bool) {
        let old = self.field.get(bytes, self.offset);
        let (new, answer) = match self.action {
            Action::Get => return (Some(old), false),
            Action::Set(value, overflow) => (self.field.fit_new(value, overflow), old),
            Action::Increment(increment, overflow) => {
                let new = self.field.add(old, increment, overflow);
                (new, new.unwrap_or(old))
            }
        };
        let Some(new) = new else { return (None, false) };
        self.field.set(bytes, self.offset, new);
        (Some(answer), new != old)
    }
}

fn field_type(arg: &[u8]) -> Result<FieldType, CommandError> {
    const TYPE: CommandError = CommandError::Static(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    );
    let (signed, bits) = match arg {
        [b'i', bits @ ..] => (true, bits),
        [b'u', bits @ ..] => (false, bits),
        _ => return Err(TYPE),
    };
    parse_i64(bits).and_then(|bits| FieldType::new(signed, bits)).ok_or(TYPE)
}

/// `BITFIELD key [GET type offset | [OVERFLOW WRAP|SAT|FAIL] SET type offset value | INCRBY type offset increment ...]`
pub(super) fn bitfield(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    let operations = Operation::parse_all(args, ctx.shared.bulk_max_bytes)?;
    let value = ctx.string(args[1])?;
    let end = operations.iter().filter(|operation| operation.writes()).map(Operation::end).max();
    let Some(end) = end else {
        let bytes = value.map(|value| value.into_bytes()).unwrap_or_default();
        answer_reads(&operations, &bytes, reply);
        return Ok(());
    };
    let grows = value.is_none_or(|value| value.into_bytes().len() < end);
    let mut answers = Vec::with_capacity(operations.len());
    let mut changes = 0;
    let (at, now) = (ctx.at(args[1]), ctx.now);
    ctx.engine_mut(at).edit_string(at, now, &mut |bytes| {
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        for operation in &operations {
            let (answer, changed) = operation.execute(bytes);
            // In a string that grew, whatever was written counts.
            changes += u64::from(changed || (grows && operation.writes() && answer.is_some()));
            answers.push(answer);
        }
    })?;
    ctx.dirty += changes;
    reply.array(answers.len());
    for answer in answers {
        match answer {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `BITFIELD_RO key [GET type offset ...]`
pub(super) fn bitfield_ro(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const ONLY_GET: CommandError = CommandError::Static("ERR BITFIELD_RO only supports the GET subcommand");
    let operations = Operation::parse_all(args, ctx.shared.bulk_max_bytes)?;
    if operations.iter().any(Operation::writes) {
        return Err(ONLY_GET);
    }
    let bytes = ctx.string(args[1])?.map(|value| value.into_bytes()).unwrap_or_default();
    answer_reads(&operations, &bytes, reply);
    Ok(())
}

fn answer_reads(operations: &[Operation], bytes: &[u8], reply: &mut Reply<'_>) {
    reply.array(operations.len());
    for operation in operations {
        reply.integer(operation.field.get(bytes, operation.offset));
    }
}
