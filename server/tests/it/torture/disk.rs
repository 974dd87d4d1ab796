//! A disk without room left, under SQLite.
//!
//! For root it is a small tmpfs, mounted where only the server sees it. Others may not mount: for them the server's files
//! may not grow beyond a size, which it is told by another error.

use std::{
    io::Write as _,
    path::PathBuf,
    process::Command,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use super::{Chance, ledger::Ledger, load::Load, rounds, subscribe};
use crate::{database::Database, process::Process};

/// How soon everything goes on once there is room.
const RESUMED: Duration = Duration::from_secs(5);

/// What has no room.
enum Disk {
    /// Seen from outside the server's mounts.
    Tmpfs(PathBuf),
    /// The process whose files are limited.
    Limit(String),
}

impl Disk {
    async fn with_server() -> (Self, Database, Process) {
        let user = Command::new("id").arg("-u").output().unwrap().stdout;
        let mut database = Database::sqlite();
        if user == b"0\n" {
            let disk = database.folder.path().join("disk");
            std::fs::create_dir(&disk).unwrap();
            database.url = format!("sqlite://{}", disk.join("signalbox.db").display());
            // `unshare` makes mounts that end with the process, and that nobody else sees.
            let script = "mount -t tmpfs -o size=32m tmpfs disk && exec \"$@\"";
            let server =
                Process::start(&mut Process::command(&database, &["unshare", "--mount", "sh", "-c", script, "sh"]))
                    .await;
            let id = server.child.id().expect("it runs");
            let disk = PathBuf::from(format!("/proc/{id}/root{}", disk.display()));
            return (Self::Tmpfs(disk), database, server);
        }
        let starter = ["env", "--ignore-signal=XFSZ"];
        let server = Process::start(&mut Process::command(&database, &starter)).await;
        let id = server.child.id().expect("it runs").to_string();
        (Self::Limit(id), database, server)
    }

    /// Leaves room for `left` bytes at most.
    fn fill(&self, left: usize) {
        match self {
            Self::Tmpfs(disk) => {
                let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
                let block = vec![b'x'; 64 * 1024];
                while filler.write_all(&block).is_ok() {}
                let full = filler.metadata().unwrap().len();
                filler.set_len(full.saturating_sub(left as u64)).unwrap();
            }
            Self::Limit(id) => limit(id, &format!("{left}:unlimited")),
        }
    }

    fn free(&self) {
        match self {
            Self::Tmpfs(disk) => std::fs::remove_file(disk.join("filler")).unwrap(),
            Self::Limit(id) => limit(id, "unlimited"),
        }
    }
}

fn limit(process: &str, size: &str) {
    let status = Command::new("prlimit").args(["--pid", process, &format!("--fsize={size}")]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_work_goes_on_when_there_is_room() {
    let chance = Chance::new("full disk");
    let (disk, _database, server) = Disk::with_server().await;
    let mut ledger = Ledger::open().await;
    subscribe(&server.url, &ledger.receiver().url).await;
    let numbers = Arc::new(AtomicU64::new(0));
    for _ in 0..rounds(0.05, 1) {
        let load = Load::start(vec![server.url.clone()], &numbers);
        load.is_accepted(20).await;
        disk.fill(usize::try_from(chance.below(256 * 1024)).unwrap());
        // Every answer is 202 or 503: the callers insist on it. What is in flight meanwhile cannot be settled.
        load.is_turned_away(200).await;
        disk.free();

        let freed = Instant::now();
        load.is_accepted(20).await;
        let accepting = freed.elapsed();
        ledger.promise(load.finish().await);
        ledger.is_kept().await;
        let delivering = freed.elapsed();
        eprintln!("accepting after {accepting:?}, everything delivered after {delivering:?}");
        assert!(accepting < RESUMED && delivering < RESUMED, "{accepting:?}, {delivering:?}");
        assert_eq!(ledger.repeated().await, 0, "nothing crashed, so nothing is repeated");
    }
    server.signal("TERM").await;
    server.ends_well().await;
}
