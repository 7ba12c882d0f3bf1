//! A long sequence that shows a difference, made short.

use super::grammar::Command;
use super::known::Known;
use super::servers::{Difference, Server, compare};

/// Leaves out whatever can be left out such that a difference is still seen, larger parts first (Zeller and Hildebrandt:
/// "Simplifying and isolating failure-inducing input", 2002).
pub(crate) fn shrink(
    servers: &mut Vec<Server>,
    mut round: Vec<Command>,
    known: &mut Known,
    difference: Box<Difference>,
) -> (Vec<Command>, Box<Difference>) {
    // The reference and the server that differs are enough.
    let other = servers.swap_remove(difference.server);
    servers.truncate(1);
    servers.push(other);
    round.truncate(difference.index + 1);
    let mut last = difference;
    let mut size = round.len() / 2;
    while size > 0 {
        let mut start = 0;
        let mut shorter = false;
        while start < round.len() {
            let end = (start + size).min(round.len());
            let kept = |index: usize, command: &Command| command.fixed || !(start..end).contains(&index);
            let fewer: Vec<Command> = round
                .iter()
                .enumerate()
                .filter(|(index, command)| kept(*index, command))
                .map(|(_, c)| c.clone())
                .collect();
            if fewer.len() == round.len() {
                start = end;
                continue;
            }
            match compare(servers, &fewer, known) {
                Err(difference) => {
                    round = fewer;
                    round.truncate(difference.index + 1);
                    last = difference;
                    shorter = true;
                }
                Ok(_) => start = end,
            }
        }
        if !(shorter && size == 1) {
            size /= 2;
        }
    }
    (round, last)
}
