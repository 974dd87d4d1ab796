//! The binary as a process: how it starts, what prevents it, how it ends, and its other commands.

use std::{path::Path, process::Output, process::Stdio};

use http::Method;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpListener,
    process::{Child, ChildStderr, Command},
    sync::mpsc,
};

use crate::{
    database::Database,
    harness::{ADMIN, PATIENCE, client, rows, text},
    receiver::Receiver,
};

/// The binary in an environment without settings, ready to be given some.
pub(crate) fn signalbox(folder: &Path, arguments: &[&str]) -> Command {
    signalbox_under(&[], folder, arguments)
}

/// The same, started by another program that is given the binary and its arguments behind its own.
pub(crate) fn signalbox_under(starter: &[&str], folder: &Path, arguments: &[&str]) -> Command {
    let words = [starter, &[env!("CARGO_BIN_EXE_signalbox")], arguments].concat();
    let mut command = Command::new(words[0]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SIGNALBOX_")) {
        command.env_remove(name);
    }
    command.args(&words[1..]).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A server process that is ready.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) url: String,
    /// What it printed below the first line.
    setup: Option<String>,
    /// Read as it is written: a full pipe would stop the server.
    log: mpsc::UnboundedReceiver<String>,
}

impl Process {
    pub(crate) async fn serve(database: &Database) -> Self {
        Self::start(&mut Self::command(database, &[])).await
    }

    /// The command of [`Self::serve`], given to another program.
    pub(crate) fn command(database: &Database, starter: &[&str]) -> Command {
        let mut command = signalbox_under(starter, database.folder.path(), &["serve"]);
        command
            .env("SIGNALBOX_DATABASE_URL", &database.url)
            .env("SIGNALBOX_BOOTSTRAP_API_KEY", ADMIN)
            .env("SIGNALBOX_LISTEN", "127.0.0.1:0")
            .env("SIGNALBOX_ALLOW_NETWORKS", "127.0.0.0/8");
        command
    }

    pub(crate) async fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = follow(child.stderr.take().unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it does not get ready").unwrap();
        let Some(ready) = ready else {
            let output = child.wait_with_output().await.unwrap();
            let mut text = String::new();
            while let Some(line) = log.recv().await {
                text.push_str(&line);
            }
            panic!("it ended with {}: {text}", output.status);
        };
        let url = ready.strip_prefix("Signalbox is ready at ").unwrap().to_owned();
        // It prints in one piece: what there is beyond the first line is here already.
        let setup = if lines.get_ref().buffer().is_empty() { None } else { lines.next_line().await.unwrap() };
        Self { child, url, setup, log }
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
    }

    /// Waits until it logs `words`.
    pub(crate) async fn logs(&mut self, words: &str) {
        self.logs_each(&[words]).await;
    }

    /// Waits until it has logged each of these, in any order.
    pub(crate) async fn logs_each(&mut self, words: &[&str]) {
        let mut awaited = words.to_vec();
        let found = async {
            while !awaited.is_empty() {
                let line = self.log.recv().await.unwrap_or_else(|| panic!("it never logged {awaited:?}"));
                awaited.retain(|words| !line.contains(words));
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("it does not log each of {words:?}"));
    }

    /// What it logged until now is not waited for.
    pub(crate) fn forget_log(&mut self) {
        while self.log.try_recv().is_ok() {}
    }

    /// What it logged since it was last asked for anything, until it ended by itself or by a signal.
    pub(crate) async fn rest_of_log(&mut self) -> String {
        let mut log = String::new();
        while let Some(line) = self.log.recv().await {
            log.push_str(&line);
            log.push('\n');
        }
        log
    }

    pub(crate) async fn ends_well(mut self) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it does not end").unwrap();
        assert!(status.success(), "{status}");
    }
}

/// The lines of what a process logs.
fn follow(log: ChildStderr) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut lines = BufReader::new(log).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            // Nobody may be interested.
            drop(sender.send(line));
        }
    });
    receiver
}

async fn run(command: &mut Command) -> Output {
    tokio::time::timeout(PATIENCE, command.output()).await.expect("it does not end").unwrap()
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What it says when it refuses.
async fn refusal(command: &mut Command) -> String {
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("signalbox: ").unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test]
async fn what_prevents_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let serve = || signalbox(folder.path(), &["serve"]);
    for (name, value, words) in [
        ("SIGNALBOX_LISTNE", "x", "There is no setting SIGNALBOX_LISTNE. Did you mean SIGNALBOX_LISTEN?"),
        (
            "SIGNALBOX_ALLOW_NETWORKS",
            "10.0.0/8",
            "SIGNALBOX_ALLOW_NETWORKS cannot be \"10.0.0/8\": \"10.0.0/8\" is not a network; expected an address and a \
             prefix length, such as 10.20.0.0/16",
        ),
        (
            "SIGNALBOX_MASTER_KEY",
            "short",
            "The master key in SIGNALBOX_MASTER_KEY cannot be used: expected 32 bytes in base64",
        ),
        (
            "SIGNALBOX_CONFIG",
            "none.toml",
            "Cannot read the configuration file none.toml: No such file or directory (os error 2)",
        ),
    ] {
        let mut command = serve();
        command.env("SIGNALBOX_LISTEN", "127.0.0.1:0").env(name, value);
        assert_eq!(refusal(&mut command).await, words);
    }

    std::fs::write(folder.path().join("signalbox.toml"), "listne = '127.0.0.1:0'").unwrap();
    let words = refusal(&mut serve()).await;
    assert_eq!(words, "There is no setting listne in signalbox.toml. Did you mean listen?");
    std::fs::remove_file(folder.path().join("signalbox.toml")).unwrap();

    std::fs::write(folder.path().join("file"), "").unwrap();
    let words = refusal(serve().args(["--listen", "127.0.0.1:0", "--data-dir", "file/data"])).await;
    assert_eq!(
        words,
        "The data folder file/data cannot be written: Not a directory (os error 20). Choose another with --data-dir or \
         SIGNALBOX_DATA_DIR"
    );

    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let fresh = folder.path().join("fresh");
    let words = refusal(serve().args(["--listen", &address, "--data-dir"]).arg(&fresh)).await;
    assert!(words.starts_with(&format!("Cannot listen on {address}: the port is in use")), "{words}");
    assert!(!fresh.exists(), "it ended before it touched anything");
}

#[tokio::test]
async fn databases_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |url: &str| {
        let mut command = signalbox(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        command.env("SIGNALBOX_DATABASE_URL", url);
        command
    };
    std::fs::write(folder.path().join("text.db"), "this is a letter and no database; ".repeat(100)).unwrap();
    let words = refusal(&mut serve("sqlite://text.db")).await;
    assert!(words.starts_with("Cannot use the database sqlite://text.db: "), "{words}");
    assert!(words.contains("not a database"), "{words}");
    let words = refusal(&mut serve("sqlite://no/such/folder/x.db")).await;
    assert!(words.starts_with("Cannot use the database sqlite://no/such/folder/x.db: "), "{words}");
    let words = refusal(&mut serve("postgres://me:hush@127.0.0.1:1/x")).await;
    assert!(words.starts_with("Cannot use the database postgres://me:…@127.0.0.1:1/x: "), "{words}");
    assert!(!words.contains("hush"), "{words}");

    let database = Database::sqlite();
    let process = Process::serve(&database).await;
    let words = refusal(serve(&database.url).env("SIGNALBOX_DATA_DIR", database.folder.path())).await;
    assert!(words.contains("is in use by another Signalbox process"), "{words}");
    process.signal("TERM").await;
    process.ends_well().await;
    let other_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let words = refusal(serve(&database.url).env("SIGNALBOX_MASTER_KEY", other_key)).await;
    assert!(words.to_lowercase().contains("master key"), "{words}");
}

#[tokio::test]
async fn stopping_lets_what_is_under_way_end() {
    let database = Database::sqlite();
    let mut process = Process::serve(&database).await;
    assert!(process.setup.as_ref().unwrap().starts_with(&format!("Set it up at {}/setup?token=", process.url)));
    let mut receiver = Receiver::start().await;
    let client = client();
    let post = |path: &str, body: serde_json::Value| {
        client.post(format!("{}{path}", process.url)).bearer_auth(ADMIN).json(&body).send()
    };
    let webhook = post("/api/v1/webhooks", json!({"name": "W", "url": receiver.url, "events": ["*"]})).await.unwrap();
    let webhook: serde_json::Value = webhook.json().await.unwrap();

    let gate = receiver.close();
    post("/api/v1/events", json!({"event": "job.created", "data": {}})).await.unwrap();
    receiver.hit().await;
    let test = tokio::spawn(post(&format!("/api/v1/webhooks/{}/test", text(&webhook["id"])), json!({})));
    receiver.hit().await;
    process.signal("TERM").await;
    process.logs("stopping").await;
    gate.cancel();
    let test: serde_json::Value = test.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(test["status"], "delivered", "a request in progress is answered");
    process.ends_well().await;

    let process = Process::serve(&database).await;
    let list = client.get(format!("{}/api/v1/deliveries", process.url)).bearer_auth(ADMIN).send().await.unwrap();
    let list: serde_json::Value = list.json().await.unwrap();
    assert!(rows(&list).iter().all(|one| one["status"] == "delivered" && one["attempts"] == 1), "{list}");
    assert_eq!((rows(&list).len(), receiver.unread()), (2, 0));
    process.signal("INT").await;
    process.ends_well().await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let database = Database::sqlite();
    let mut process = Process::serve(&database).await;
    let mut receiver = Receiver::start().await;
    let client = client();
    let webhook = json!({"name": "W", "url": receiver.url, "events": ["*"]});
    let created = client.post(format!("{}/api/v1/webhooks", process.url)).bearer_auth(ADMIN).json(&webhook);
    assert_eq!(created.send().await.unwrap().status(), 201);
    let _never = receiver.close();
    let event = json!({"event": "job.created", "data": {}});
    let accepted = client.post(format!("{}/api/v1/events", process.url)).bearer_auth(ADMIN).json(&event);
    let accepted: serde_json::Value = accepted.send().await.unwrap().json().await.unwrap();
    assert_eq!(accepted["deliveries"], 1, "{accepted}");
    receiver.hit().await;
    process.signal("TERM").await;
    process.logs("stopping").await;
    process.signal("TERM").await;
    let status = tokio::time::timeout(PATIENCE, process.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn the_other_commands() {
    let folder = tempfile::tempdir().unwrap();
    let signalbox = |arguments: &[&str]| signalbox(folder.path(), arguments);
    let help = run(&mut signalbox(&[])).await;
    assert_eq!(help.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&help.stderr).contains("Usage: signalbox"), "{help:?}");

    let printed = out(&run(signalbox(&["config", "print"]).env("SIGNALBOX_LOG", "debug")).await);
    assert!(printed.contains("log = \"debug\" # SIGNALBOX_LOG\n"), "{printed}");
    let document = out(&run(&mut signalbox(&["openapi"])).await);
    assert!(document.starts_with("{\n  \"openapi\": \"3.1.0\""));
    assert!(!folder.path().join("data").exists(), "looking makes nothing");

    out(&run(&mut signalbox(&["migrate"])).await);
    let no_organization = refusal(&mut signalbox(&["keys", "create", "--name", "k", "--scope", "admin"])).await;
    assert!(no_organization.starts_with("There is no organization yet"), "{no_organization}");
    let create = ["admin", "create", "--email", "ada@example.com", "--name", "Ada"];
    let viewer = refusal(signalbox(&create).args(["--role", "viewer", "--password", "correct horse battery"])).await;
    assert_eq!(viewer, "There is nobody yet, so the first member must be an owner");
    let short = refusal(signalbox(&create).args(["--password", "short"])).await;
    assert_eq!(short, "Password must be at least 12 characters");
    let mut child = signalbox(&create).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"correct horse battery\n").await.unwrap();
    assert_eq!(out(&child.wait_with_output().await.unwrap()), "The member can sign in now\n");
    let again = refusal(signalbox(&create).args(["--password", "correct horse battery"])).await;
    assert_eq!(again, "A member with this e-mail address already exists");
    let key = out(&run(&mut signalbox(&["keys", "create", "--name", "k", "--scope", "events:write"])).await);
    let key = key.trim();
    assert!(key.starts_with("sbk_"), "{key}");

    let process = Process::start(signalbox(&["serve"]).env("SIGNALBOX_LISTEN", "127.0.0.1:0")).await;
    assert_eq!(process.setup, None, "there is an owner");
    let send = ["events", "send", "--url", &process.url, "--key", key, "--event"];
    let by_environment = ["events", "send", "--url", &process.url, "--event", "job.created", "--data", "{\"a\":1}"];
    let accepted = out(&run(signalbox(&by_environment).env("SIGNALBOX_API_KEY", key)).await);
    assert!(accepted.starts_with("{\"id\":\"evt_"), "{accepted}");
    let unknown = refusal(signalbox(&send).args(["job.dreamt"])).await;
    assert!(unknown.contains("answered 422") && unknown.contains("Unknown event type: job.dreamt"), "{unknown}");
    let not_json = refusal(signalbox(&send).args(["job.created", "--data", "{"])).await;
    assert!(not_json.starts_with("--data is not JSON"), "{not_json}");
    let refused = client().request(Method::GET, format!("{}/api/v1/webhooks", process.url)).bearer_auth(key).send();
    assert_eq!(refused.await.unwrap().status(), 403);
    process.signal("TERM").await;
    process.ends_well().await;
}
