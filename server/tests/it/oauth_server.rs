//! A real authorization server: `oidc-provider`, in a process of its own, and a browser that goes through it.

use std::{collections::BTreeMap, process::Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::harness::{App, PATIENCE, client, text};

/// The server; gone when dropped (`end2end/support/oauth-server.mjs`).
pub(crate) struct OauthServer {
    _child: Child,
    input: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
    /// Requests to its token endpoint that were read so far.
    tokens: Vec<Value>,
}

impl OauthServer {
    /// Starts one that knows the server at `url` as its client.
    pub(crate) async fn start(url: &str, options: Value) -> Self {
        let modules = std::env::var("SIGNALBOX_TEST_NODE_MODULES")
            .expect("SIGNALBOX_TEST_NODE_MODULES is not set: run `make test`");
        let mut all = json!({"redirect_uris": [format!("{url}/oauth/callback/custom_oauth")]});
        for (name, value) in options.as_object().unwrap() {
            all[name] = value.clone();
        }
        let mut child = Command::new("node")
            .arg("--no-warnings")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../end2end/support/oauth-server.mjs"))
            .arg(all.to_string())
            .env("SIGNALBOX_TEST_NODE_MODULES", modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It warns that it is not meant for production.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is installed");
        let said = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let input = child.stdin.take().expect("it is piped");
        let mut server = Self { _child: child, input, said, url: String::new(), tokens: Vec::new() };
        let port = server.says("listening").await["port"].as_u64().expect("a port");
        server.url = format!("http://127.0.0.1:{port}");
        server
    }

    /// The next event of that name; requests for tokens are kept meanwhile.
    pub(crate) async fn says(&mut self, event: &str) -> Value {
        loop {
            let line = timeout(PATIENCE, self.said.next_line()).await.expect("it says something").unwrap();
            let said: Value = serde_json::from_str(&line.expect("it runs")).unwrap();
            if said["event"] == event {
                return said;
            }
            match said["event"].as_str() {
                Some("token") => self.tokens.push(said),
                Some("held") => {}
                _ => panic!("{said}"),
            }
        }
    }

    /// Changes what it does.
    pub(crate) async fn change(&mut self, options: &Value) {
        self.input.write_all(format!("{options}\n").as_bytes()).await.unwrap();
        self.says("changed").await;
    }

    /// Requests to its token endpoint since this was last asked.
    pub(crate) async fn tokens(&mut self) -> Vec<Value> {
        // Whatever it said before it said that, has been read.
        self.change(&json!({})).await;
        std::mem::take(&mut self.tokens)
    }

    /// An integration that is connected by it.
    pub(crate) fn draft(&self) -> Value {
        json!({
            "provider": "custom_oauth",
            "name": "Calendar",
            "config": {
                "client_id": "signalbox", "issuer": self.url, "scopes": "openid email offline_access calendar.read",
                "calendars_url": format!("{}/calendars", self.url),
            },
            "secrets": {"client_secret": "right-secret"},
        })
    }

    /// Stores that integration.
    pub(crate) async fn integration(&self, app: &App) -> String {
        text(&app.post("/api/v1/integrations", self.draft()).expect(201).await["id"])
    }

    /// An integration with an account that has consented by a link.
    pub(crate) async fn connected(&self, app: &App) -> String {
        let id = self.integration(app).await;
        let path = format!("/api/v1/integrations/{id}/oauth/authorize");
        let link = text(&app.post(path, json!({})).expect(200).await["authorization_url"]);
        let mut browser = Browser::default();
        browser.open(Method::POST, &link, None).await;
        let page = browser.consent(&[]).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        id
    }
}

/// Where a browser is.
pub(crate) struct Shown {
    pub(crate) status: StatusCode,
    pub(crate) url: String,
    pub(crate) body: String,
}

/// A browser: it keeps cookies for each host and follows redirects.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: BTreeMap<(String, String), String>,
    at: String,
    /// Stops before it goes back to Signalbox: the address it was sent to.
    pub(crate) stops_before_callback: bool,
}

impl Browser {
    /// One that has a cookie of ours already: `name=value; …`.
    pub(crate) fn with_cookies(app: &App, cookies: &str) -> Self {
        let host = app.url.clone();
        let pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        let cookies = pairs.map(|(name, value)| ((host.clone(), name.to_owned()), value.to_owned())).collect();
        Self { cookies, ..Self::default() }
    }

    /// Takes the cookies of an answer that did not come by this browser's own doing.
    pub(crate) fn keep(&mut self, app: &App, set_cookie: &str) {
        let (name, value) = set_cookie.split(';').next().unwrap().split_once('=').unwrap();
        self.cookies.insert((app.url.clone(), name.to_owned()), value.to_owned());
    }

    /// Opens an address and follows where it leads.
    pub(crate) async fn open(&mut self, method: Method, url: &str, form: Option<&[(&str, &str)]>) -> Shown {
        let (mut method, mut url, mut form) = (method, url.to_owned(), form);
        for _ in 0..20 {
            let parsed = reqwest::Url::parse(&url).unwrap();
            let origin = parsed.origin().ascii_serialization();
            let own = self.cookies.iter().filter(|((host, _), _)| *host == origin);
            let cookies: Vec<_> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
            let mut request = client().request(method.clone(), url.clone()).header("cookie", cookies.join("; "));
            if let Some(pairs) = form.take() {
                let mut encoded = reqwest::Url::parse("http://x/").unwrap();
                encoded.query_pairs_mut().extend_pairs(pairs);
                request = request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(encoded.query().unwrap_or_default().to_owned());
            }
            let answer = request.send().await.unwrap();
            for set in answer.headers().get_all("set-cookie") {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                self.cookies.insert((origin.clone(), name.to_owned()), value.to_owned());
            }
            self.at.clone_from(&url);
            let status = answer.status();
            let Some(location) = answer.headers().get("location").filter(|_| status.is_redirection()) else {
                return Shown { status, url, body: answer.text().await.unwrap() };
            };
            url = parsed.join(location.to_str().unwrap()).unwrap().to_string();
            method = Method::GET;
            if self.stops_before_callback && url.contains("/oauth/callback/") {
                return Shown { status, url, body: String::new() };
            }
        }
        panic!("{url} leads nowhere");
    }

    /// Signs in as `john` on the page that it is at, and allows what is asked for.
    pub(crate) async fn consent(&mut self, more: &[(&str, &str)]) -> Shown {
        let mut form = vec![("account", "john"), ("decision", "allow")];
        form.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
        form.extend(more);
        let at = self.at.clone();
        assert!(at.contains("/interaction/"), "{at}");
        self.open(Method::POST, &at, Some(&form)).await
    }
}
