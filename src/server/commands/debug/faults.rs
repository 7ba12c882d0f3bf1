//! `DEBUG` subcommands for the tests that look for faults: clocks that are wrong, and defects on purpose.

use std::time::Duration;

use crate::command::CommandError;
use crate::command::error::SYNTAX;
use crate::raft;
use crate::server::commands::{Call, Executed};
use crate::shard::{Defect, clock};

/// `DEBUG CLOCK OFFSET ms`: the time of day is wrong by so much from now on. `DEBUG CLOCK SLEPT ms`: the machine has
/// just slept for so long.
pub(super) fn clock(call: &mut Call<'_>) -> Executed {
    let ms = call.integer_at(3)?;
    if call.is_word(2, "OFFSET") {
        tracing::warn!(offset_ms = ms, "DEBUG CLOCK: the time of day is wrong from now on");
        clock::set_offset_ms(ms);
    } else if call.is_word(2, "SLEPT") {
        let ms = u64::try_from(ms).map_err(|_| CommandError::Static("ERR nobody sleeps for a negative time"))?;
        tracing::warn!(ms, "DEBUG CLOCK: it is as if the machine had slept");
        raft::clock::pretend_sleep(Duration::from_millis(ms));
    } else {
        return Err(SYNTAX);
    }
    call.ok()
}

/// `DEBUG PLANT defect`: from now on, and until it is started again, this node does what it must never do.
pub(super) fn plant(call: &mut Call<'_>) -> Executed {
    let defect = if call.is_word(2, "ACKNOWLEDGE-BEFORE-COMMIT") {
        Defect::AcknowledgesBeforeCommit
    } else if call.is_word(2, "READ-WITHOUT-LEASE") {
        Defect::ReadsWithoutLease
    } else {
        return Err(SYNTAX);
    };
    tracing::error!(?defect, "DEBUG PLANT: this node is defective from now on and loses data");
    call.server.router().shards().for_each(|shard| shard.plant(defect));
    call.ok()
}
