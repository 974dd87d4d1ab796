//! A throw-away PostgreSQL around one command: started in a temporary folder on a free port with the durability settings of
//! a fresh installation (tests of crashes would prove nothing without fsync), stopped and removed however the command ends.
//! It refuses to touch a PostgreSQL that it did not start. Tests that stop their server have one of their own, by
//! `start` and `stop`.

use crate::{
    Outcome,
    process::{is_root, line, quietly, run},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    env,
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

/// Runs a command with `SIGNALBOX_TEST_POSTGRES_URL` set, and returns its exit status. `SIGNALBOX_TEST_XTASK` names this
/// program, for tests that want a server of their own to stop.
pub fn beside(program: &str, arguments: &[&str]) -> Outcome<ExitCode> {
    // From here on Ctrl-C ends the command and not us, so that there is always someone to clean up.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let server = Server::start()?;
    if signals.pending().next().is_some() {
        return Err("interrupted".into());
    }
    let mut command = Command::new(program);
    command.args(arguments).env("SIGNALBOX_TEST_POSTGRES_URL", server.url());
    command.env("SIGNALBOX_TEST_XTASK", env::current_exe()?);
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

/// Starts a server in `folder` that outlives us; the first time, it is made there.
pub fn start(folder: &str, port: &str) -> Outcome<ExitCode> {
    let cluster = Cluster { programs: installed()?, folder: folder.into() };
    if !cluster.data().exists() {
        cluster.make()?;
    }
    // Only the server is stopped, never the machine, so that nothing written is lost. A start after a crash would wait until
    // the whole disk is synchronized.
    cluster.start(port.parse()?, "-c fsync=off")?;
    Ok(ExitCode::SUCCESS)
}

/// Stops the server in `folder` as a crash would: nothing is finished and nothing written.
pub fn stop(folder: &str) -> Outcome<ExitCode> {
    Cluster { programs: installed()?, folder: folder.into() }.stop()?;
    Ok(ExitCode::SUCCESS)
}

struct Server {
    cluster: Cluster,
    port: u16,
    _folder: TempDir,
}

impl Server {
    fn start() -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("signalbox-postgres-").tempdir()?;
        let cluster = Cluster { programs: installed()?, folder: folder.path().to_owned() };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = Self { cluster, port, _folder: folder };
        server.cluster.make()?;
        server.cluster.start(port, "")?;
        Ok(server)
    }

    fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.cluster.data().join("postmaster.pid").exists()
            && let Err(error) = self.cluster.stop()
        {
            eprintln!("{error}");
        }
    }
}

/// What `initdb` made in a folder.
struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
}

impl Cluster {
    fn make(&self) -> Outcome<()> {
        if is_root() {
            let id = |flag| -> Outcome<u32> { Ok(quietly(Command::new("id").args([flag, USER]))?.parse()?) };
            chown(&self.folder, Some(id("-u")?), Some(id("-g")?))?;
        }
        let mut initdb = self.program("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username", USER]);
        quietly(initdb.arg("--pgdata").arg(self.data())).map(drop)
    }

    fn start(&self, port: u16, more: &str) -> Outcome<()> {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={port} -c max_connections=200 -c unix_socket_directories='{}' {more}",
            self.folder.display()
        );
        let log = self.folder.join("log");
        // pg_ctl leaves its own stdout open in the server it starts: not a pipe of ours, or reading it would never end.
        run(self
            .program("pg_ctl")
            .args(["start", "--silent", "--wait", "--options", &options])
            .arg("--log")
            .arg(&log)
            .arg("--pgdata")
            .arg(self.data()))
        .map_err(|error| format!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default()).into())
    }

    fn stop(&self) -> Outcome<()> {
        quietly(self.program("pg_ctl").args(["stop", "--mode=immediate", "--pgdata"]).arg(self.data())).map(drop)
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
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
        command.current_dir(&self.folder);
        command
    }
}

fn installed() -> Outcome<PathBuf> {
    let missing = "no PostgreSQL found (initdb): install it, on Debian and Ubuntu with `apt-get install postgresql`";
    programs().ok_or_else(|| missing.into())
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
