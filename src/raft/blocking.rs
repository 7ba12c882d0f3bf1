//! Work that blocks, away from the runtime's workers.

use std::io;

/// Does the work on a thread that may block.
///
/// # Errors
/// When the work panicked, or the runtime ends.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    // Another thread would answer when it likes, and a simulation is to be the same every time.
    #[cfg(test)]
    if super::tests::simulation::elapsed().is_some() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
