//! Running other programs. A program that fails ends the step with its name; nothing is retried.

use crate::Outcome;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Runs a program with our terminal.
pub fn run(command: &mut Command) -> Outcome<()> {
    let status = command.status().map_err(|error| unstarted(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", line(command)).into()) }
}

/// Runs a program without showing what it prints, unless it fails.
pub fn quietly(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| unstarted(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Err(format!("{} failed: {}\n{}", line(command), output.status, printed.trim_end()).into())
}

/// The first folder of `PATH` that holds the program.
pub fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Whether we may install packages and must not run PostgreSQL.
pub fn is_root() -> bool {
    quietly(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// The command as a person would type it.
pub fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    [program].into_iter().chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn unstarted(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start {}: {error}", line(command))
}
