//! The client against real sockets on loopback: receivers that answer, lie, stall and cut.

mod addresses;
mod blocks;
mod bounds;
mod hostile;
mod names;
mod proxy;
mod reuse;
mod target;
mod tls;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use domain::delivery::ErrorClass;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use super::{Client, ClientConfig, Failure, Guard, Proxy, Request, Resolver, Response};

/// A receiver on loopback; gone when dropped.
struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Receiver {
    /// Every connection gets `behave`.
    async fn new<F>(behave: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let (counter, gauge) = (connections.clone(), open.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                gauge.fetch_add(1, Ordering::SeqCst);
                let (behaviour, gauge) = (behave(stream), gauge.clone());
                tokio::spawn(async move {
                    // How it ended is for the client to say.
                    let _ = behaviour.await;
                    gauge.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, connections, open, _task: AbortOnDropHandle::new(task) }
    }

    /// Every request on every connection gets these bytes.
    async fn answering(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                while request_in(&mut stream).await?.is_some() {
                    stream.write_all(&answer).await?;
                }
                Ok(())
            }
        })
        .await
    }

    /// The first request of a connection gets these bytes, then the connection is closed.
    async fn closing_after(answer: impl Into<Bytes>) -> Self {
        let answer = answer.into();
        Self::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                request_in(&mut stream).await?;
                stream.write_all(&answer).await
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?a=1#fragment", self.address)
    }

    /// Connections whose behaviour has not come to its end.
    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// One whole request, or nothing at the end of the stream.
async fn request_in(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if bytes.len() >= end + 4 + length.unwrap_or(0) {
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}

/// Cuts the connection with a reset instead of an end.
fn reset(stream: TcpStream) -> io::Result<()> {
    stream.set_zero_linger()?;
    drop(stream);
    Ok(())
}

fn client(guard: Guard) -> Client {
    Client::new(ClientConfig { guard, proxy: None, user_agent: "Signalbox/0".to_owned() })
}

/// May reach loopback.
fn local_client() -> Client {
    client(loopback(Resolver::system()))
}

fn loopback(resolver: Resolver) -> Guard {
    Guard::with_resolver(vec!["127.0.0.0/8".parse().expect("a network")], resolver)
}

/// Answers every name with these.
fn resolving(addresses: &[&str]) -> Resolver {
    let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().expect("an address")).collect();
    Resolver::new(Duration::ZERO, move |_| Ok(addresses.clone()))
}

fn post(url: &str) -> Request {
    Request {
        url: Url::parse(url).expect("a URL"),
        method: http::Method::POST,
        headers: http::HeaderMap::new(),
        body: Bytes::from_static(br#"{"event":"ping"}"#),
        // Nothing on loopback takes this long; what must time out says so itself.
        timeout_ms: 20_000,
        max_body_bytes: 1_024,
        exempt: None,
    }
}

fn hasty(url: &str) -> Request {
    Request { timeout_ms: 200, ..post(url) }
}

async fn failure(client: &Client, request: Request) -> Failure {
    client.send(request).await.expect_err("this cannot be answered")
}

async fn class(client: &Client, request: Request) -> ErrorClass {
    failure(client, request).await.class
}

async fn answer(client: &Client, request: Request) -> Response {
    client.send(request).await.expect("the receiver answers")
}
