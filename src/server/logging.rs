//! Logs, under Redis's levels.
//!
//! | `loglevel` | of this server | of the libraries it uses |
//! |---|---|---|
//! | `debug` | everything | debug and up |
//! | `verbose` | debug and up | warnings and errors |
//! | `notice` | information and up | warnings and errors |
//! | `warning` | warnings and errors | errors |
//! | `nothing` | nothing | nothing |

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::sync::{Arc, OnceLock};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use super::settings::{Setting, Settings};

static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log file cannot be opened.
    #[error("cannot open the log file '{path}'")]
    File {
        /// The value of `logfile`.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Something else has set up logging in this process.
    #[error("logging is set up already")]
    Twice,
}

/// Starts logging to `logfile`, or the standard output, at `loglevel`. Once in a process.
pub fn start(settings: &Settings) -> Result<(), LoggingError> {
    let (filter, handle) = reload::Layer::new(targets(settings.word(Setting::Loglevel)));
    let path = settings.string(Setting::Logfile);
    let layer = fmt::layer().with_target(false);
    let subscriber = tracing_subscriber::registry().with(filter);
    let started = if path.is_empty() {
        subscriber.with(layer.with_ansi(io::stdout().is_terminal()).with_writer(io::stdout)).try_init()
    } else {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&*path)
            .map_err(|source| LoggingError::File { path: path.to_string(), source })?;
        subscriber.with(layer.with_ansi(false).with_writer(Arc::new(file))).try_init()
    };
    started.map_err(|_| LoggingError::Twice)?;
    FILTER.set(handle).map_err(|_| LoggingError::Twice)
}

/// Obeys a changed `loglevel`. Does nothing where [`start`] was not called.
pub fn apply_level(settings: &Settings) {
    if let Some(handle) = FILTER.get() {
        // It fails only when the subscriber is gone, and then nothing logs.
        let _ = handle.reload(targets(settings.word(Setting::Loglevel)));
    }
}

fn targets(loglevel: &str) -> Targets {
    let (own, others) = match loglevel {
        "debug" => (LevelFilter::TRACE, LevelFilter::DEBUG),
        "verbose" => (LevelFilter::DEBUG, LevelFilter::WARN),
        "warning" => (LevelFilter::WARN, LevelFilter::ERROR),
        "nothing" => (LevelFilter::OFF, LevelFilter::OFF),
        _ => (LevelFilter::INFO, LevelFilter::WARN),
    };
    Targets::new().with_default(others).with_target(env!("CARGO_PKG_NAME"), own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_the_server_and_of_libraries() {
        let enabled = |loglevel, target, level| targets(loglevel).would_enable(target, &level);
        assert!(enabled("notice", "kvorum::server", tracing::Level::INFO));
        assert!(!enabled("notice", "kvorum::server", tracing::Level::DEBUG));
        assert!(!enabled("notice", "openraft", tracing::Level::INFO));
        assert!(enabled("notice", "openraft", tracing::Level::WARN));
        assert!(enabled("debug", "kvorum", tracing::Level::TRACE));
        assert!(!enabled("nothing", "kvorum", tracing::Level::ERROR));
    }
}
