//! `PFDEBUG`.

use super::{load, store};
use crate::command::context::WriteContext;
use crate::command::error::{CommandError, CommandResult};
use crate::resp::Reply;
use crate::types::hll::{self, Encoding, Registers};

/// `PFDEBUG DECODE|ENCODING|GETREG|TODENSE key`
pub(super) fn pfdebug(ctx: &mut WriteContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const ABSENT: CommandError = CommandError::Static("ERR The specified key does not exist");
    const NOT_SPARSE: CommandError = CommandError::Static("ERR HLL encoding is not sparse");
    let (subcommand, key) = (args[1], args[2]);
    let (mut bytes, encoding) = load(ctx, key)?.ok_or(ABSENT)?;
    match subcommand.to_ascii_uppercase().as_slice() {
        b"DECODE" => {
            if encoding != Encoding::Sparse {
                return Err(NOT_SPARSE);
            }
            reply.bulk(hll::describe_sparse(&bytes)?.as_bytes());
        }
        b"ENCODING" => reply.simple(encoding.name()),
        // It makes the value dense, as in Redis.
        b"GETREG" => {
            let mut registers = Registers::default();
            registers.merge(&bytes)?;
            if hll::make_dense(&mut bytes)? {
                store(ctx, key, bytes)?;
                ctx.dirty += 1;
            }
            reply.array(registers.values().len());
            registers.values().iter().for_each(|&value| reply.integer(i64::from(value)));
        }
        b"TODENSE" => {
            let was_sparse = hll::make_dense(&mut bytes)?;
            if was_sparse {
                store(ctx, key, bytes)?;
                ctx.dirty += 1;
            }
            reply.integer(i64::from(was_sparse));
        }
        _ => {
            let name = String::from_utf8_lossy(subcommand);
            return Err(CommandError::Text(format!("ERR Unknown PFDEBUG subcommand '{name}'")));
        }
    }
    Ok(())
}
