//! `LATENCY`. No latency events and no histograms are recorded, so the replies are those of a Redis
//! that has met none.

use super::{Call, DONE, Executed};
use crate::command::CommandError;
use crate::server::dispatch::lossy;

/// `LATENCY subcommand …`
pub(super) fn latency(call: &mut Call<'_>) -> Executed {
    match call.subcommand().as_str() {
        "DOCTOR" => call.text(
            "Latency events are not recorded. SLOWLOG GET lists slow commands, INFO commandstats the average time of \
             each command.\n",
        ),
        "GRAPH" => {
            let event = lossy(call.args[2]);
            Err(CommandError::Text(format!("ERR No samples available for event '{event}'")))
        }
        "HELP" => call.help("LATENCY"),
        "HISTOGRAM" => {
            call.reply().map(0);
            DONE
        }
        "HISTORY" | "LATEST" => {
            call.reply().array(0);
            DONE
        }
        "RESET" => call.integer(0),
        _ => Err(call.wrong_subcommand()),
    }
}
