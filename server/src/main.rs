//! The process: its allocator, its threads, its exit code. Everything else is in the library.

use std::{io::Write as _, process::ExitCode, thread};

use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Fewest worker threads: with one, whatever computes for long would delay every delivery. Pages have threads of their own; more
/// than there are cores wake each other.
const MIN_WORKERS: usize = 2;

/// Takes as many open files as the system gives. Each connection is one, and the usual 1,024 are fewer than the requests
/// that may be in flight. A system that gives no more still runs: what finds no place is tried again.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

fn main() -> ExitCode {
    raise_open_files();
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
