//! The process: its allocator, its threads, its exit code. Everything else is in the library.

use std::{io::Write as _, process::ExitCode, thread};

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fewest worker threads: with one or two, a slow page would delay every delivery.
const MIN_WORKERS: usize = 4;

fn main() -> ExitCode {
    let cli = server::cli::Cli::parse();
    let workers = thread::available_parallelism().map_or(MIN_WORKERS, |cores| cores.get().max(MIN_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(server::cli::run(cli)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening; there is nobody else to tell.
            drop(writeln!(std::io::stderr(), "signalbox: {error}"));
            ExitCode::FAILURE
        }
    }
}
