//! `OBJECT`.

use crate::command::context::ReadContext;
use crate::command::docs::help;
use crate::command::error::{CommandError, CommandResult};
use crate::command::table::unknown_subcommand;
use crate::resp::Reply;
use crate::storage::{Kind, StringValue};

/// Integers below this are one shared object in Redis.
const SHARED_INTEGERS: i64 = 10_000;
/// What Redis answers as the reference count of a shared object.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

/// `OBJECT ENCODING|FREQ|HELP|IDLETIME|REFCOUNT`
pub(super) fn object(ctx: &ReadContext<'_>, args: &[&[u8]], reply: &mut Reply<'_>) -> CommandResult {
    const NO_FREQUENCY: CommandError = CommandError::Static(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
         switching between policies at runtime LRU and LFU data will take some time to adjust.",
    );
    let subcommand = args[1].to_ascii_uppercase();
    if subcommand == b"HELP" {
        help("OBJECT", reply);
        return Ok(());
    }
    let Some(&key) = args.get(2) else {
        let spec = crate::command::find(b"OBJECT").expect("the table has OBJECT");
        return Err(unknown_subcommand(spec, args[1]));
    };
    let Some(meta) = ctx.probe(key)? else {
        reply.null();
        return Ok(());
    };
    let at = ctx.at(key);
    let engine = ctx.engine(at);
    match subcommand.as_slice() {
        b"ENCODING" => match engine.encoding(at, ctx.now)? {
            Some(name) => reply.bulk(name.as_bytes()),
            None => reply.null(),
        },
        b"IDLETIME" => {
            let seconds = engine.idle_seconds(at, ctx.now)?.unwrap_or(0);
            reply.integer(i64::try_from(seconds).unwrap_or(i64::MAX));
        }
        b"FREQ" => return Err(NO_FREQUENCY),
        b"REFCOUNT" => {
            let shared = meta.kind == Kind::String
                && matches!(engine.string(at, ctx.now)?, Some(StringValue::Int(0..SHARED_INTEGERS)));
            reply.integer(if shared { SHARED_REFERENCES } else { 1 });
        }
        _ => {
            let spec = crate::command::find(b"OBJECT").expect("the table has OBJECT");
            return Err(unknown_subcommand(spec, args[1]));
        }
    }
    Ok(())
}
