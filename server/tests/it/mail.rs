//! A real mail server: the one that nodemailer publishes, in a process of its own.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::harness::PATIENCE;

/// The server; gone when dropped. What it does to a message is said by the recipient's local part
/// (`end2end/support/smtp-server.mjs`).
pub(crate) struct MailServer {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let modules = std::env::var("SIGNALBOX_TEST_NODE_MODULES")
            .expect("SIGNALBOX_TEST_NODE_MODULES is not set: run `make test`");
        let mut child = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/support/smtp-server.mjs"))
            .env("SIGNALBOX_TEST_NODE_MODULES", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut server = Self { child, said, port: 0 };
        server.port = server.says("listening").await["port"].as_u64().expect("a port");
        server
    }

    async fn says(&mut self, event: &str) -> Value {
        let line = timeout(PATIENCE, self.said.next_line()).await.expect("it says something").unwrap();
        let said: Value = serde_json::from_str(&line.expect("it runs")).unwrap();
        assert_eq!(said["event"], event, "{said}");
        said
    }

    /// Where it listens on 127.0.0.1.
    pub(crate) fn port(&self) -> u64 {
        self.port
    }

    /// The next message that it has in full.
    pub(crate) async fn message(&mut self) -> Value {
        self.says("message").await
    }

    /// Changes its options from now on. Messages that were not read yet are passed over.
    pub(crate) async fn change(&mut self, options: Value) {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("{options}\n").as_bytes()).await.unwrap();
        loop {
            let line = timeout(PATIENCE, self.said.next_line()).await.expect("it says something").unwrap();
            let said: Value = serde_json::from_str(&line.expect("it runs")).unwrap();
            if said["event"] == "changed" {
                return;
            }
        }
    }

    /// Ends it as a crash would, and answers the messages that it had in full.
    pub(crate) async fn kill(mut self) -> Vec<Value> {
        self.child.kill().await.unwrap();
        let mut messages = Vec::new();
        while let Some(line) = self.said.next_line().await.unwrap() {
            // What it was saying may be cut off.
            messages.extend(serde_json::from_str::<Value>(&line).ok().filter(|said| said["event"] == "message"));
        }
        messages
    }

    /// An integration of `provider` that sends through it.
    pub(crate) fn integration(&self, provider: &str, secrets: &Value) -> Value {
        let mut all = json!({"smtp_password": "right"});
        for (name, value) in secrets.as_object().unwrap() {
            all[name] = value.clone();
        }
        json!({
            "type": "email",
            "provider": provider,
            "name": format!("Mail by {provider}"),
            "config": {
                "smtp_host": "127.0.0.1", "smtp_port": self.port, "smtp_security": "none", "smtp_username": "apikey",
                "from_email": "noreply@example.com", "from_name": "Signalbox",
            },
            "secrets": all,
        })
    }
}
