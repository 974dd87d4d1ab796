//! Making a connection to a checked address, and the two kinds of it.
//!
//! The address that was checked is the address that is connected to: between the two nothing resolves again. It does
//! not reuse connections (the pool does) and does not know what is sent over them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use domain::delivery::ErrorClass;
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::Host;

use super::{
    client::{Phase, Trace},
    fault::Fault,
    guard::{Guard, Target},
    meter::{Allowance, Metered},
    proxy::Proxy,
};

/// Longest wait for a connection, and again for its TLS handshake, within the request's deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one host that are tried.
const TRIES: usize = 4;
/// Largest head of an answer.
pub(super) const MAX_HEAD_BYTES: u32 = 64 * 1024;
/// What a receiver may send on one HTTP/2 stream before we have read it. Small, as bodies are capped anyway.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// How often an HTTP/2 connection with requests in flight is asked whether it still lives, and how long that may take:
/// a shared connection that went dead silently would otherwise take every request of its host with it.
const PING: Duration = Duration::from_secs(10);
/// What may be read from a connection for one request, as a multiple of what is read of its answer: head and body. The
/// rest is for interim answers, framing, encryption, and what was on its way when no more was wanted.
const ALLOWANCE: usize = 3;
/// What may be read from a connection before the first request: certificates, mostly.
const HANDSHAKE_BYTES: usize = 256 * 1024;
/// Requests at a time over one HTTP/2 connection; the hundred that RFC 9113 asks servers to allow at least.
const STREAMS: usize = 100;

pub(super) type Message = http::Request<Full<Bytes>>;

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An open connection. Dropping it (for HTTP/2, its last share) closes the socket at once, whatever state it is in.
pub(super) struct Connection {
    sender: Sender,
    pub remote: SocketAddr,
    pub opened: Instant,
    allowance: Allowance,
    task: Arc<AbortOnDropHandle<()>>,
}

impl Connection {
    /// Whether its peer, or an error, has ended it.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether the last exchange is over on both sides.
    pub fn is_ready(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => sender.is_ready(),
            Sender::Http2(_) => false,
        }
    }

    pub fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Another handle on the same connection, if it is of the kind that carries several requests and has room.
    pub fn share(&self) -> Option<Self> {
        match &self.sender {
            // The pool holds one share, each request in flight another.
            Sender::Http2(sender) if Arc::strong_count(&self.task) <= STREAMS => Some(Self {
                sender: Sender::Http2(sender.clone()),
                remote: self.remote,
                opened: self.opened,
                allowance: self.allowance.clone(),
                task: self.task.clone(),
            }),
            _ => None,
        }
    }

    /// Whether both are handles on one connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.task, &other.task)
    }

    /// Sends, and waits for the answer's head; `max_body_bytes` will be read of its body. The message comes back if the
    /// connection was gone before any of it was written.
    pub async fn send(
        &mut self,
        message: Message,
        max_body_bytes: usize,
    ) -> Result<http::Response<Incoming>, TrySendError<Message>> {
        let exchange = (MAX_HEAD_BYTES as usize).saturating_add(max_body_bytes).saturating_mul(ALLOWANCE);
        // One share of an HTTP/2 connection is the pool's. All exchanges under way have their full allowance again:
        // simpler than a count for each, and still a bound.
        let exchanges = Arc::strong_count(&self.task).saturating_sub(self.is_http2().into()).max(1);
        self.allowance.set(exchange.saturating_mul(exchanges));
        match &mut self.sender {
            Sender::Http1(sender) => sender.try_send_request(message).await,
            Sender::Http2(sender) => sender.try_send_request(message).await,
        }
    }
}

/// Opens connections.
pub(super) struct Connector {
    guard: Guard,
    proxy: Option<Proxy>,
    tls: TlsConnector,
    /// The same without offering HTTP.
    mail_tls: TlsConnector,
}

impl Connector {
    pub fn new(guard: Guard, proxy: Option<Proxy>, roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has suites for TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mail_tls = Arc::new(config.clone()).into();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { guard, proxy, tls: Arc::new(config).into(), mail_tls }
    }

    pub fn mail_tls(&self) -> &TlsConnector {
        &self.mail_tls
    }

    /// Resolves, checks a name, and connects, directly.
    pub async fn reach(
        &self,
        target: &Target<'_>,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<(TcpStream, SocketAddr), Fault> {
        let addresses = self.addresses(target, trace).await?;
        trace.enter(Phase::Connect);
        let (stream, remote) =
            self.open(&addresses, None, trace.phase, deadline.min(Instant::now() + CONNECT_TIMEOUT)).await?;
        stream.set_nodelay(true).map_err(|error| Fault::connecting(&error))?;
        trace.remote = Some(remote);
        Ok((stream, remote))
    }

    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Resolves, checks, connects, secures. `exempt` replaces the first two and the last: exactly there, directly, in
    /// plain.
    pub async fn connect(
        &self,
        target: &Target<'_>,
        exempt: Option<SocketAddr>,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Connection, Fault> {
        let addresses = match exempt {
            Some(address) => vec![address],
            None => self.addresses(target, trace).await?,
        };
        let proxy = self.proxy.as_ref().filter(|_| exempt.is_none());
        trace.enter(if proxy.is_some() { Phase::Proxy } else { Phase::Connect });
        let (stream, remote) =
            self.open(&addresses, proxy, trace.phase, deadline.min(Instant::now() + CONNECT_TIMEOUT)).await?;
        // A signed request is one small write after another; waiting to fill a packet would cost 40 ms each.
        stream.set_nodelay(true).map_err(|error| Fault::connecting(&error))?;
        trace.timing.connect_ms = Some(trace.phase_ms());
        trace.remote = Some(remote);
        let allowance = Allowance::new(HANDSHAKE_BYTES);
        let stream = Metered::new(stream, allowance.clone());
        if !target.secure || exempt.is_some() {
            return http1(stream, remote, allowance).await;
        }
        trace.enter(Phase::Tls);
        let handshake = self.tls.connect(server_name(&target.host)?, stream);
        let mut stream = match timeout_at(deadline.min(Instant::now() + CONNECT_TIMEOUT), handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Fault::securing(&error)),
            Err(_) => return Err(Phase::Tls.overdue()),
        };
        trace.timing.tls_ms = Some(trace.phase_ms());
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            stream.get_mut().0.pace();
            http2(stream, remote, allowance).await
        } else {
            http1(stream, remote, allowance).await
        }
    }

    /// Connects to the first address that answers, giving each an equal share of the time that is left.
    async fn open(
        &self,
        addresses: &[SocketAddr],
        proxy: Option<&Proxy>,
        phase: Phase,
        until: Instant,
    ) -> Result<(TcpStream, SocketAddr), Fault> {
        let mut fault = phase.overdue();
        for (left, address) in (1..=u32::try_from(addresses.len()).unwrap_or(1)).rev().zip(addresses) {
            let share = until.saturating_duration_since(Instant::now()) / left;
            let connecting = async {
                match proxy {
                    Some(proxy) => proxy.tunnel(*address, self.guard.resolver()).await,
                    None => TcpStream::connect(address).await.map_err(|error| Fault::connecting(&error)),
                }
            };
            match timeout(share, connecting).await {
                Ok(Ok(stream)) => return Ok((stream, *address)),
                Ok(Err(error)) => fault = error,
                Err(_) => fault = phase.overdue(),
            }
        }
        Err(fault)
    }

    async fn addresses(&self, target: &Target<'_>, trace: &mut Trace) -> Result<Vec<SocketAddr>, Fault> {
        let at = |ip: &IpAddr| SocketAddr::new(*ip, target.port);
        let name = match &target.host {
            Host::Ipv4(ip) => return Ok(vec![at(&IpAddr::V4(*ip))]),
            Host::Ipv6(ip) => return Ok(vec![at(&IpAddr::V6(*ip))]),
            Host::Domain(name) => name,
        };
        trace.enter(Phase::Dns);
        let addresses = self
            .guard
            .resolver()
            .resolve(name)
            .await
            .map_err(|reason| Fault::new(ErrorClass::Dns, format!("{name} did not resolve: {reason}")))?;
        trace.timing.dns_ms = Some(trace.phase_ms());
        self.guard.check(target.secure, &addresses)?;
        Ok(addresses.iter().take(TRIES).map(at).collect())
    }
}

pub(super) fn server_name(host: &Host<&str>) -> Result<ServerName<'static>, Fault> {
    match host {
        Host::Ipv4(ip) => Ok(ServerName::IpAddress(IpAddr::V4(*ip).into())),
        Host::Ipv6(ip) => Ok(ServerName::IpAddress(IpAddr::V6(*ip).into())),
        // `example.com.` is `example.com` to certificates.
        Host::Domain(name) => ServerName::try_from(name.strip_suffix('.').unwrap_or(name).to_owned())
            .map_err(|_| Fault::new(ErrorClass::Tls, format!("no certificate can be for the name {name}"))),
    }
}

pub(super) async fn http1<S>(stream: S, remote: SocketAddr, allowance: Allowance) -> Result<Connection, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // One hundred headers is hyper's own limit.
    let (sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD_BYTES as usize).handshake(TokioIo::new(stream)).await?;
    Ok(driven(Sender::Http1(sender), connection, remote, allowance))
}

async fn http2<S>(stream: S, remote: SocketAddr, allowance: Allowance) -> Result<Connection, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(MAX_HEAD_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .handshake(TokioIo::new(stream))
        .await?;
    Ok(driven(Sender::Http2(sender), connection, remote, allowance))
}

/// hyper moves bytes only while the connection is polled: one task per connection, none per request.
fn driven<C>(sender: Sender, connection: C, remote: SocketAddr, allowance: Allowance) -> Connection
where
    C: Future<Output = hyper::Result<()>> + Send + 'static,
{
    let task = tokio::spawn(async move {
        // Whoever waits for an answer is told of the error by its own future.
        let _ = connection.await;
    });
    Connection { sender, remote, opened: Instant::now(), allowance, task: Arc::new(AbortOnDropHandle::new(task)) }
}
