//! The server under test, as a process, and what the system says of it.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use engine::http::Client;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{
    BenchError,
    api::{Api, KEY, OWNER},
};

/// Clock ticks per second in `/proc`; fixed by the kernel's interface on Linux.
const TICKS: f64 = 100.0;

/// A running server. It is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) api: Api,
    /// From the start of the process to its being ready.
    pub(super) ready: Duration,
}

impl Server {
    /// Starts this very binary on a free port, with its key in `folder` and its data in `database`.
    pub(super) async fn start(folder: &Path, database: &str, client: Client) -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("server", error);
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe().map_err(io)?);
        command
            .arg("serve")
            .current_dir(folder)
            .env("SIGNALBOX_LISTEN", "127.0.0.1:0")
            .env("SIGNALBOX_DATA_DIR", folder)
            .env("SIGNALBOX_DATABASE_URL", database)
            .env("SIGNALBOX_ALLOW_NETWORKS", "127.0.0.0/8")
            .env("SIGNALBOX_BOOTSTRAP_API_KEY", KEY)
            .env("SIGNALBOX_BOOTSTRAP_EMAIL", OWNER.0)
            .env("SIGNALBOX_BOOTSTRAP_PASSWORD", OWNER.1)
            .env("SIGNALBOX_LOG", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(io)?;
        let output = child.stdout.take().ok_or_else(|| BenchError::Server("the server has no output".into()))?;
        let mut lines = BufReader::new(output).lines();
        let find = async {
            while let Some(line) = lines.next_line().await.map_err(io)? {
                if let Some((_, url)) = line.split_once("ready at ") {
                    return Ok(url.split_whitespace().next().unwrap_or_default().to_owned());
                }
            }
            Err(BenchError::Server("the server ended before it was ready".into()))
        };
        let url = tokio::time::timeout(Duration::from_secs(30), find)
            .await
            .map_err(|_| BenchError::Server("the server was not ready within 30 seconds".into()))??;
        let ready = began.elapsed();
        // What it prints later must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, api: Api::new(client, &url)?, ready })
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends it as a crash would.
    pub(super) async fn kill(mut self) -> Result<(), BenchError> {
        self.child.kill().await.map_err(|error| BenchError::Io("server", error))
    }

    /// Ends it in good order.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        let io = |error| BenchError::Io("server", error);
        Command::new("kill").arg(self.pid().to_string()).status().await.map_err(io)?;
        self.child.wait().await.map(drop).map_err(io)
    }

    /// A line of the process's status, in megabytes: `VmRSS` is what it has now, `VmHWM` the most it ever had.
    pub(super) fn memory_mb(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or_default() / 1024.0
    }
}

/// CPU seconds used until some moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    pub(super) server_s: f64,
    /// All PostgreSQL processes of this machine: the one under test is expected to be alone on it. 0 on SQLite.
    pub(super) database_s: f64,
}

impl Cpu {
    pub(super) fn until_now(server: &Server, database_is_a_process: bool) -> Self {
        let database_s = if database_is_a_process { postgres_cpu_seconds() } else { 0.0 };
        Self { server_s: cpu_seconds(&server.pid().to_string()), database_s }
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self { server_s: self.server_s - earlier.server_s, database_s: self.database_s - earlier.database_s }
    }
}

/// Of a process, and of its children that ended.
fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may contain blanks; user and system time are the 12th to 15th fields behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: f64 = fields.skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS
}

fn postgres_cpu_seconds() -> f64 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0.0 };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres"))
        .map(|pid| cpu_seconds(&pid))
        .sum()
}
