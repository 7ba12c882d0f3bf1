//! Snapshots, and the end of the process.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::{Call, DONE, Executed, late_error, late_ok};
use crate::command::CommandError;
use crate::command::error::SYNTAX;
use crate::raft::SnapshotError;
use crate::server::dispatch::lossy;
use crate::server::save::SaveError;

type SaveResult = Result<(), SaveError>;

const SAVE_IN_PROGRESS: &str = "ERR Background save already in progress";

/// `SAVE`
pub(super) fn save(call: &mut Call<'_>) -> Executed {
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        match server.save().await {
            Ok(()) => late_ok(),
            Err(SaveError::Snapshot(SnapshotError::InProgress)) => late_error(&server, protocol, SAVE_IN_PROGRESS),
            Err(error) => late_error(&server, protocol, &format!("ERR saving failed: {error}")),
        }
    })))
}

/// `BGSAVE [SCHEDULE]`
pub(super) fn bgsave(call: &mut Call<'_>) -> Executed {
    match call.args.len() {
        1 => {}
        2 if call.is_word(1, "schedule") => {}
        _ => return Err(SYNTAX),
    }
    in_background(call, true, "Background saving started", SAVE_IN_PROGRESS)
}

/// `BGREWRITEAOF`: a snapshot is what lets the log be shortened.
pub(super) fn bgrewriteaof(call: &mut Call<'_>) -> Executed {
    in_background(
        call,
        false,
        "Background append only file rewriting started",
        "ERR Background append only file rewriting already in progress",
    )
}

/// Starts a snapshot, with an RDB file or without, and answers when it is under way, so that INFO shows it from then on.
fn in_background(call: &mut Call<'_>, with_file: bool, started: &'static str, in_progress: &'static str) -> Executed {
    if call.server.snapshot_running() {
        return Err(CommandError::Static(in_progress));
    }
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        let all = Arc::clone(&server);
        let mut snapshot: Pin<Box<dyn Future<Output = SaveResult> + Send>> =
            Box::pin(async move { if with_file { all.save().await } else { Ok(all.snapshot().await?) } });
        let first = std::future::poll_fn(|cx| Poll::Ready(snapshot.as_mut().poll(cx))).await;
        match first {
            Poll::Ready(Err(SaveError::Snapshot(SnapshotError::InProgress))) => {
                return late_error(&server, protocol, in_progress);
            }
            Poll::Ready(result) => log_failure(&result),
            Poll::Pending => {
                tokio::spawn(async move { log_failure(&snapshot.await) });
            }
        }
        format!("+{started}\r\n").into_bytes()
    })))
}

fn log_failure(result: &SaveResult) {
    if let Err(error) = result {
        tracing::warn!(%error, "the snapshot that a client asked for failed");
    }
}

/// `LASTSAVE`
pub(super) fn lastsave(call: &mut Call<'_>) -> Executed {
    let at_ms = call.server.saves.last_ms.load(Ordering::Relaxed);
    call.integer(at_ms / 1000)
}

/// `SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]`
pub(super) fn shutdown(call: &mut Call<'_>) -> Executed {
    const FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";
    let (mut save, mut no_save, mut now, mut force, mut abort) = (false, false, false, false, false);
    for option in &call.args[1..] {
        match lossy(option).to_ascii_lowercase().as_str() {
            "save" => save = true,
            "nosave" => no_save = true,
            // There are no replicas to wait for.
            "now" => now = true,
            "force" => force = true,
            "abort" => abort = true,
            _ => return Err(SYNTAX),
        }
    }
    if (save && no_save) || (abort && (save || no_save || now || force)) {
        return Err(SYNTAX);
    }
    if abort {
        if !call.server.abort_shutdown() {
            return Err(CommandError::Static("ERR No shutdown in progress."));
        }
        tracing::warn!("Shutdown manually aborted");
        return call.ok();
    }
    tracing::warn!(client = %call.session.client.peer, "User requested shutdown...");
    if !call.server.saves_at_end(save, no_save) {
        call.server.ask_shutdown();
        call.session.closing = true;
        return DONE;
    }
    let (server, protocol) = (Arc::clone(call.server), call.session.protocol);
    Ok(Some(Box::pin(async move {
        match server.save_at_end().await {
            Err(error) if !force => {
                tracing::error!(%error, "the file could not be written, so the process does not end");
                return late_error(&server, protocol, FAILED);
            }
            Err(error) => tracing::error!(%error, "the file could not be written"),
            Ok(()) => {}
        }
        server.ask_shutdown();
        // Nothing is answered any more; the connection ends with the process.
        std::future::pending().await
    })))
}
