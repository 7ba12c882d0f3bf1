//! Small commands about the server.

use std::sync::Arc;

use super::{CANNOT_READ, Call, DONE, Executed, client, late_error};
use crate::command::CommandError;
use crate::shard::clock;

/// `TIME`
pub(super) fn time(call: &mut Call<'_>) -> Executed {
    const MICROS_PER_SECOND: i64 = 1_000_000;
    let now = clock::now_micros();
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk_display(now / MICROS_PER_SECOND);
    reply.bulk_display(now % MICROS_PER_SECOND);
    DONE
}

/// `ROLE`: a master without replicas in Redis's sense, whose offset is the applied log index.
pub(super) fn role(call: &mut Call<'_>) -> Executed {
    let offset = call.server.applied_total();
    let mut reply = call.reply();
    reply.array(3);
    reply.bulk(b"master");
    reply.integer(i64::try_from(offset).unwrap_or(i64::MAX));
    reply.array(0);
    DONE
}

/// `WAIT numreplicas timeout`: the connection's writes are applied by now, on a quorum, and there are
/// no replicas beside the quorum to count.
pub(super) fn wait(call: &mut Call<'_>) -> Executed {
    call.integer_at(1)?;
    client::timeout_ms(call.args[2])?;
    call.integer(0)
}

/// `PFSELFTEST`
pub(super) fn pfselftest(call: &mut Call<'_>) -> Executed {
    match crate::types::hll::selftest() {
        Ok(()) => call.ok(),
        Err(finding) => Err(CommandError::Text(format!("ERR TESTFAILED {finding}"))),
    }
}

/// `DBSIZE`
pub(super) fn dbsize(call: &mut Call<'_>) -> Executed {
    let db = call.session.db;
    if call.server.cluster.is_none() {
        let keys = call.server.count_keys(db).map_err(|_| CANNOT_READ)?.keys;
        return call.integer(i64::try_from(keys).unwrap_or(i64::MAX));
    }
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        match server.count_all_keys(db).await {
            Ok(count) => format!(":{}\r\n", count.keys).into_bytes(),
            Err(_) => late_error(&server, protocol, crate::server::cluster::forward::NO_LEADER),
        }
    })))
}

/// `COMMAND …`
pub(super) fn command(call: &mut Call<'_>) -> Executed {
    let (args, mut reply) = (call.args, call.reply());
    crate::command::docs::command(args, &mut reply)?;
    DONE
}
