//! `cargo run -p xtask -- <command>`: the parts of building and testing that cargo cannot do alone (ADR 0005). Everything it
//! prints goes to stderr, so that the output of a command run under `postgres` stays that command's. It refuses to hold
//! anything that a Makefile line or a cargo flag can say.

mod bundle;
mod folders;
mod packs;
mod postgres;
mod process;
mod setup;
mod web;

use std::{env, error::Error, process::ExitCode};

/// What every step returns: the message is for the person at the terminal.
type Outcome<T> = Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: cargo run -p xtask -- <command>
  setup [--tests] [--check]    install what is missing: for building; for `make test`; for `make check`
  web [--dev] [--budget]       build dist/: WASM, its JavaScript, CSS; --budget fails when they grew too large
  postgres -- <command> …      run a command beside a throw-away PostgreSQL (SIGNALBOX_TEST_POSTGRES_URL)
  postgres-start <folder> <port>, postgres-stop <folder>
                               one that outlives the command, for tests that stop it as a crash would";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.split_first() {
        Some((&"setup", flags)) => known(flags, &["--tests", "--check"])
            .and_then(|()| setup::install(flags.contains(&"--tests"), flags.contains(&"--check")))
            .map(|()| ExitCode::SUCCESS),
        Some((&"web", flags)) => known(flags, &["--dev", "--budget"])
            .and_then(|()| web::build(flags.contains(&"--dev"), flags.contains(&"--budget")))
            .map(|()| ExitCode::SUCCESS),
        Some((&"postgres", command)) => match command.strip_prefix(&["--"]).unwrap_or(command).split_first() {
            Some((program, rest)) => postgres::beside(program, rest),
            None => Err(USAGE.into()),
        },
        Some((&"postgres-start", [folder, port])) => postgres::start(folder, port),
        Some((&"postgres-stop", [folder])) => postgres::stop(folder),
        _ => Err(USAGE.into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::FAILURE
    })
}

fn known(flags: &[&str], allowed: &[&str]) -> Outcome<()> {
    match flags.iter().find(|flag| !allowed.contains(flag)) {
        Some(flag) => Err(format!("unknown option {flag}\n{USAGE}").into()),
        None => Ok(()),
    }
}
