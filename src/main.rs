//! The `kvorum` program: reads the command line and the settings, starts the logs and the runtime,
//! and runs the server.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use kvorum::server::cli::{EXIT_ERROR, EXIT_OK, EXIT_USAGE, Invocation};
use kvorum::server::logging;
use kvorum::server::settings::Settings;

/// jemalloc keeps fragmentation low over months; INFO and MEMORY read its statistics.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc does with memory that is free: a thread of its own gives it back to the system, after
/// a second, so that the threads that serve requests need not. A large allocation gets no page more than it asks
/// for: the engine's slabs and the chunks of replies are as long as they are on purpose.
/// `_RJEM_MALLOC_CONF` overrides it.
mod allocator {
    #![allow(unsafe_code, reason = "jemalloc looks its configuration up by the name of a symbol")]

    // SAFETY: the symbol is jemalloc's own, which declares it weak for programs to define as a pointer
    // to a string that ends with a zero byte; a reference to an array is such a pointer.
    #[unsafe(export_name = "_rjem_malloc_conf")]
    static MALLOC_CONF: &[u8; 82] =
        b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0,cache_oblivious:false\0";
}

fn main() -> ExitCode {
    let invocation = match Invocation::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(error) => error.exit(),
    };
    let as_client = match &invocation {
        Invocation::Cluster { command, password } => {
            Some(kvorum::admin::execute(command, password.as_deref()).map(|text| (text, true)))
        }
        Invocation::Import(options) => Some(kvorum::admin::import(options)),
        Invocation::Export(options) => Some(kvorum::admin::export(options).map(|text| (text, true))),
        Invocation::Server { .. } => None,
    };
    match as_client {
        Some(Ok((text, complete))) => {
            print!("{text}");
            return ExitCode::from(if complete { EXIT_OK } else { EXIT_ERROR });
        }
        Some(Err(error)) => {
            eprintln!("kvorum: {error}");
            return ExitCode::from(EXIT_ERROR);
        }
        None => {}
    }
    let settings = match invocation.settings() {
        Ok(settings) => settings,
        Err(error) => {
            let code = if error.is_usage() { EXIT_USAGE } else { EXIT_ERROR };
            eprintln!("kvorum: {:#}", anyhow::Error::from(error));
            return ExitCode::from(code);
        }
    };
    match serve(settings) {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => {
            eprintln!("kvorum: {error:#}");
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn serve(settings: Settings) -> anyhow::Result<()> {
    logging::start(&settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.io_threads())
        .thread_name("kvorum-worker")
        .enable_all()
        .build()
        .context("cannot start the worker threads")?;
    runtime.block_on(kvorum::server::run(Arc::new(settings)))?;
    Ok(())
}
