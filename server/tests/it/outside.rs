//! Integrations against programs of others that verify what we send and write what we read: the S3 of moto, and Postfix.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use http::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
};

use crate::{
    emails::{note, sent, until},
    harness::{ADMIN, App, PATIENCE, rows},
    mail::MailServer,
    on_each_database,
};

on_each_database!(a_bucket_is_asked_for_with_a_valid_signature, a_bounce_of_postfix_suppresses_its_recipient);

/// An S3 with one bucket and one key; gone when dropped.
pub(crate) struct Storage {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Value,
}

impl Storage {
    pub(crate) async fn start() -> Self {
        let python = std::env::var("SIGNALBOX_TEST_PYTHON").expect("SIGNALBOX_TEST_PYTHON is not set: run `make test`");
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/s3.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = next(&mut lines).await;
        Self { child, lines, said }
    }

    /// What the bucket has under a key.
    pub(crate) async fn object(&mut self, key: &str) -> Value {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(format!("{key}\n").as_bytes()).await.unwrap();
        next(&mut self.lines).await
    }

    /// An integration that may use the bucket.
    pub(crate) fn valid(&self) -> Value {
        let of = |name: &str| self.said[name].as_str().unwrap();
        self.integration("documents", of("id"), of("secret"))
    }

    fn integration(&self, bucket: &str, id: &str, secret: &str) -> Value {
        json!({
            "provider": "s3",
            "name": "Documents",
            "config": {
                "region": "us-east-1", "bucket": bucket, "access_key_id": id, "endpoint": self.said["endpoint"],
            },
            "secrets": {"secret_access_key": secret},
        })
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it says something").unwrap();
    serde_json::from_str(&line.expect("it runs")).unwrap()
}

async fn a_bucket_is_asked_for_with_a_valid_signature(app: &App) {
    let storage = Storage::start().await;
    let (id, secret) = (storage.said["id"].as_str().unwrap(), storage.said["secret"].as_str().unwrap());
    let found = async |bucket: &str, id: &str, secret: &str| {
        app.post("/api/v1/integrations/test", storage.integration(bucket, id, secret)).expect(200).await
    };
    let good = found("documents", id, secret).await;
    assert_eq!(good["ok"], true, "{good}");
    for (id, secret) in [(id, "not the secret"), ("AKIAIOSFODNN7EXAMPLE", secret)] {
        let refused = found("documents", id, secret).await;
        assert_eq!((&refused["ok"], &refused["fault"]), (&json!(false), &json!("authentication")), "{refused}");
        assert!(!refused.to_string().contains(secret), "{refused}");
    }
    let missing = found("nothing-here", id, secret).await;
    assert_eq!((&missing["ok"], &missing["fault"]), (&json!(false), &json!("rejected")), "{missing}");
    assert!(missing.to_string().contains("There is no bucket nothing-here at this endpoint."), "{missing}");
}

/// Postfix with settings and a queue of its own. It hands everything on to another server. Gone when dropped.
struct Postfix {
    _child: Child,
    _folder: TempDir,
    port: u16,
}

const SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";

impl Postfix {
    /// Only root can start it: its programs run as users of their own.
    async fn relaying_to(next: u64) -> Self {
        let folder = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir().unwrap();
        let path = folder.path();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let settings = format!(
            "compatibility_level = 3.6\nqueue_directory = {0}/queue\ndata_directory = {0}/data\nmaillog_file = {0}/log\n\
             maillog_file_prefixes = {0}\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.example.net\n\
             mydestination =\nalias_maps =\nlocal_recipient_maps =\nlocal_transport = error:nobody is here\n\
             mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             relayhost = [127.0.0.1]:{next}\nsmtp_dns_support_level = disabled\n",
            path.display()
        );
        std::fs::write(path.join("main.cf"), settings).unwrap();
        std::fs::write(path.join("master.cf"), format!("127.0.0.1:{port} inet n - n - - smtpd\n{SERVICES}")).unwrap();
        for name in ["data", "queue"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        run(Command::new("chown").arg("postfix").arg(path.join("data"))).await;
        run(Command::new("postfix").arg("-c").arg(path).arg("check")).await;
        let programs = run(Command::new("postconf").arg("-c").arg(path).args(["-h", "daemon_directory"])).await;
        let child = Command::new(Path::new(programs.trim()).join("master"))
            .arg("-d")
            .arg("-c")
            .arg(path)
            .env("MAIL_CONFIG", path)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let listens = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        let log = path.join("log");
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        tokio::time::timeout(PATIENCE, listens).await.unwrap_or_else(|_| panic!("it does not listen: {}", told()));
        Self { _child: child, _folder: folder, port }
    }
}

/// Runs a program and answers what it said.
async fn run(command: &mut Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it is installed");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn a_bounce_of_postfix_suppresses_its_recipient(app: &App) {
    let mut next = MailServer::start().await;
    let postfix = Postfix::relaying_to(next.port()).await;
    let mut integration = next.integration("smtp", &json!({}));
    integration["config"]["smtp_port"] = json!(postfix.port);
    app.post("/api/v1/integrations", integration).expect(201).await;
    // Postfix takes it; only the next server says that there is nobody.
    let email = sent(app, note("reply-550@example.com")).await;
    let taken = until(app, &email, &["sent"]).await;
    assert!(taken["detail"].as_str().unwrap().contains("queued as"), "{taken}");
    // Its report goes to the sender's address, and from there, as the operations guide says, to us.
    let report = next.message().await;
    assert_eq!((&report["from"], &report["to"]), (&json!(""), &json!(["noreply@example.com"])));
    let report = report["text"].as_str().unwrap().to_owned();
    let heard = app.ask(Method::POST, "/api/v1/emails/bounces").key(ADMIN).body(report).expect(200).await;
    assert_eq!(heard["heard"], 1);
    let bounced = until(app, &email, &["bounced"]).await;
    assert_eq!(bounced["detail"], "550 5.1.1 No such user here");
    let kinds: Vec<_> = bounced["steps"].as_array().unwrap().iter().map(|step| step["kind"].clone()).collect();
    assert_eq!(kinds, ["sent", "bounced"]);
    let list = app.get("/api/v1/suppressions").expect(200).await;
    assert_eq!(
        (&rows(&list)[0]["email"], &rows(&list)[0]["reason"]),
        (&json!("reply-550@example.com"), &json!("bounce"))
    );
    assert_eq!(sent(app, note("reply-550@example.com")).await["state"], "suppressed");
}
