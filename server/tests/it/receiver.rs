//! A receiver of webhooks that records what it gets, and misbehaves on request.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use futures_util::stream;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::harness::PATIENCE;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Hit {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).to_str().unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Shared {
    hits: mpsc::UnboundedSender<Hit>,
    /// Statuses to answer with, the first one first; then what the path says.
    script: Mutex<Vec<u16>>,
    /// Answers are held back until this is cancelled.
    gate: Mutex<CancellationToken>,
}

/// Listens on a port of its own. What it answers is in the path: `/status/<code>`, `/after/<ms>`, `/endless`, `/bomb`,
/// `/cut`, `/echo` (400 with the headers of the request); everything else is 200.
pub(crate) struct Receiver {
    pub(crate) url: String,
    hits: mpsc::UnboundedReceiver<Hit>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let (sender, hits) = mpsc::unbounded_channel();
        let open = CancellationToken::new();
        open.cancel();
        let shared = Arc::new(Shared { hits: sender, script: Mutex::default(), gate: Mutex::new(open) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let serving = axum::serve(listener, router);
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = serving => {}
                () = stopped.cancelled() => {}
            }
        });
        Self { url, hits, shared, stop }
    }

    /// The next answers have these statuses.
    pub(crate) fn script(&self, statuses: &[u16]) {
        self.shared.script.lock().unwrap().extend(statuses);
    }

    /// From now on requests are recorded, and answered only when the returned token is cancelled.
    pub(crate) fn close(&self) -> CancellationToken {
        let gate = CancellationToken::new();
        *self.shared.gate.lock().unwrap() = gate.clone();
        gate
    }

    /// The next request.
    pub(crate) async fn hit(&mut self) -> Hit {
        tokio::time::timeout(PATIENCE, self.hits.recv()).await.expect("nothing arrived").unwrap()
    }

    /// How many requests arrived that nobody asked for yet.
    pub(crate) fn unread(&self) -> usize {
        self.hits.len()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let path = parts.uri.path().to_owned();
    let hit_headers = parts.headers.clone();
    let hit = Hit { path: path.clone(), headers: parts.headers, body };
    // The test may have seen enough.
    drop(shared.hits.send(hit));
    let gate = shared.gate.lock().unwrap().clone();
    gate.cancelled().await;
    if let Some(pause) = path.strip_prefix("/after/") {
        tokio::time::sleep(Duration::from_millis(pause.parse().unwrap())).await;
    }
    let scripted = {
        let mut script = shared.script.lock().unwrap();
        (!script.is_empty()).then(|| script.remove(0))
    };
    let response = Response::builder();
    let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
    let response = match path.as_str() {
        _ if scripted.is_some() => response.status(scripted.unwrap_or_default()).body(Body::from("scripted")),
        "/endless" => response.body(Body::from_stream(stream::repeat(Ok::<_, Infallible>(chunk)))),
        "/bomb" => response.header("content-encoding", "gzip").body(Body::from(bomb())),
        "/cut" => {
            let cut = stream::iter([Ok(chunk), Err(std::io::Error::other("cut"))]);
            response.header("content-length", "1000000").body(Body::from_stream(cut))
        }
        "/echo" => {
            let said = format!("{hit_headers:?}");
            response.status(400).body(Body::from(said))
        }
        "/status/302" => response.status(302).header("location", "/elsewhere").body(Body::empty()),
        path => match path.strip_prefix("/status/") {
            Some(status) => response.status(status.parse::<u16>().unwrap()).body(Body::from("said so")),
            None => response.body(Body::from("thank you")),
        },
    };
    response.unwrap()
}

/// The head of a gzip stream of stored zeros that claims to go on: whoever decompresses gets nothing but work.
fn bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    // A block of a repeated distance-1 match, over and over: about a thousand times its size.
    bytes.extend(std::iter::repeat_n([0xec, 0xc1, 0x01, 0x01, 0, 0, 0, 0x80, 0x90, 0xfe], 20_000).flatten());
    bytes
}

/// A port where every connection is cut with a reset as soon as something arrives.
pub(crate) async fn resetting() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                connection.readable().await.unwrap();
                connection.set_zero_linger().unwrap();
            });
        }
    });
    address
}

/// A port where connections are taken and never answered.
pub(crate) async fn hanging() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    address
}

/// A port where nobody listens.
pub(crate) async fn refusing() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
