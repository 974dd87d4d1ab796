//! The server under test, as a process, and what the system says of it.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::BenchError;

/// The key that the server is started with.
pub(super) const KEY: &str = "bench-key-that-is-long-enough-for-it";
/// Clock ticks per second in `/proc`; fixed by the kernel's interface on Linux.
const TICKS: f64 = 100.0;

/// A running server. It is killed when this is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    /// From the start of the process to its first answer.
    pub(super) ready_ms: u128,
}

impl Server {
    /// Starts this very binary on a free port, with its data under `folder` or in the database named.
    pub(super) async fn start(folder: &Path, database: Option<&str>) -> Result<Self, BenchError> {
        let io = |error| BenchError::Io("server", error);
        let began = Instant::now();
        let mut command = Command::new(std::env::current_exe().map_err(io)?);
        command
            .arg("serve")
            .current_dir(folder)
            .env("SIGNALBOX_LISTEN", "127.0.0.1:0")
            .env("SIGNALBOX_DATA_DIR", folder)
            .env("SIGNALBOX_ALLOW_NETWORKS", "127.0.0.0/8")
            .env("SIGNALBOX_BOOTSTRAP_API_KEY", KEY)
            .env("SIGNALBOX_LOG", "warn")
            .env_remove("SIGNALBOX_DATABASE_URL")
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(url) = database {
            command.env("SIGNALBOX_DATABASE_URL", url);
        }
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
        let ready_ms = began.elapsed().as_millis();
        // What it prints later must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, url, ready_ms })
    }

    fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// CPU seconds that the server has used.
    pub(super) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.pid().to_string())
    }

    /// A line of the process's status, in megabytes: `VmRSS` is what it has now, `VmHWM` the most it ever had.
    pub(super) fn memory_mb(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let value = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        let kilobytes = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or_default() / 1024.0
    }
}

fn cpu_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in parentheses may contain blanks; user and system time are the 12th and 13th fields behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / TICKS
}

/// CPU seconds of all PostgreSQL processes of this machine: the one under test is expected to be alone on it. Those that
/// ended meanwhile are not counted.
pub(super) fn postgres_cpu_seconds() -> f64 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0.0 };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres"))
        .map(|pid| cpu_seconds(&pid))
        .sum()
}
