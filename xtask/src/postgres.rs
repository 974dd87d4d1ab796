//! A throw-away PostgreSQL around one command: started in a temporary folder on a free port with the durability settings of
//! a fresh installation (tests of crashes would prove nothing without fsync), stopped and removed however the command ends.
//! It refuses to touch a PostgreSQL that is already running.

use crate::{
    Outcome,
    process::{is_root, line, quietly, run},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    os::unix::{fs::chown, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};
use tempfile::TempDir;

/// PostgreSQL refuses to run as root; Debian's package brings this user.
const USER: &str = "postgres";

/// Runs a command with `SIGNALBOX_TEST_POSTGRES_URL` set, and returns its exit status.
pub fn beside(program: &str, arguments: &[&str]) -> Outcome<ExitCode> {
    // From here on Ctrl-C ends the command and not us, so that there is always someone to clean up.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let server = Server::start()?;
    if signals.pending().next().is_some() {
        return Err("interrupted".into());
    }
    let mut command = Command::new(program);
    command.args(arguments).env("SIGNALBOX_TEST_POSTGRES_URL", server.url());
    let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", line(&command)))?;
    let id = child.id().to_string();
    thread::spawn(move || {
        for _ in &mut signals {
            // The command may be gone already; then there is nobody to tell.
            let _ = quietly(Command::new("kill").args(["-s", "TERM", &id]));
        }
    });
    let status = child.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}

struct Server {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Server {
    fn start() -> Outcome<Self> {
        let programs = programs().ok_or(
            "no PostgreSQL found (initdb): install it, on Debian and Ubuntu with `apt-get install postgresql`",
        )?;
        let folder = tempfile::Builder::new().prefix("signalbox-postgres-").tempdir()?;
        if is_root() {
            let id = |flag| -> Outcome<u32> { Ok(quietly(Command::new("id").args([flag, USER]))?.parse()?) };
            chown(folder.path(), Some(id("-u")?), Some(id("-g")?))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self { programs, folder, port };
        let initdb = server.program("initdb");
        quietly(
            { initdb }
                .args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username", USER])
                .arg("--pgdata")
                .arg(server.data()),
        )?;
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c max_connections=200 -c unix_socket_directories='{}'",
            server.folder.path().display()
        );
        let log = server.folder.path().join("log");
        // pg_ctl leaves its own stdout open in the server it starts: not a pipe of ours, or reading it would never end.
        run(server
            .program("pg_ctl")
            .args(["start", "--silent", "--wait", "--options", &options])
            .arg("--log")
            .arg(&log)
            .arg("--pgdata")
            .arg(server.data()))
        .map_err(|error| format!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default()))?;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.folder.path());
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists()
            && let Err(error) =
                quietly(self.program("pg_ctl").args(["stop", "--mode=immediate", "--pgdata"]).arg(self.data()))
        {
            eprintln!("{error}");
        }
    }
}

/// The newest of Debian's versions, else the one on `PATH`.
fn programs() -> Option<PathBuf> {
    let version =
        |folder: &Path| folder.parent().and_then(Path::file_name).and_then(OsStr::to_str)?.parse::<u32>().ok();
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    installed
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(|folder| version(folder))
        .or_else(|| crate::process::find("initdb")?.parent().map(Path::to_owned))
}

/// Whether the throw-away server can be started.
pub fn is_installed() -> bool {
    programs().is_some()
}
