//! Declarations of the commands that the server runs, because they need the session, the settings or
//! the process. What runs them is not here: [`Handler::Server`](super::Handler::Server) names it.

mod cluster;
mod connection;
mod diagnosis;
mod process;
mod transactions;

pub(super) use cluster::COMMANDS as CLUSTER_COMMANDS;
pub(super) use connection::COMMANDS as CONNECTION_COMMANDS;
pub(super) use diagnosis::COMMANDS as DIAGNOSIS_COMMANDS;
pub(super) use process::COMMANDS as PROCESS_COMMANDS;
pub(super) use transactions::COMMANDS as TRANSACTION_COMMANDS;
