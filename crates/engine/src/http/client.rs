//! Sending one request within its bounds.
//!
//! The hot path is: a lock to take a waiting connection, one write, one read, a lock to put it back. It spawns nothing,
//! resolves nothing and opens nothing unless there is no connection.

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use domain::delivery::ErrorClass;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use rustls::RootCertStore;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::{
    Failure, Guard, Proxy, Refusal, Request, Response, Timing,
    connection::{Connection, Connector, Message},
    fault::Fault,
    guard::Target,
    pool::{IDLE, Pool},
};

/// Most headers in an answer.
const MAX_HEADERS: usize = 100;
/// How messages are framed and routed is decided here and nowhere else.
static OWN_HEADERS: [HeaderName; 10] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Which addresses it may connect to.
    pub guard: Guard,
    /// The way to them, when it is not the direct one.
    pub proxy: Option<Proxy>,
    /// `User-Agent` of requests that bring none. What a header cannot carry is left out.
    pub user_agent: String,
}

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    connector: Connector,
    pool: Arc<Pool>,
    user_agent: HeaderValue,
}

impl Client {
    /// A client that trusts the certificate authorities of the system (on Debian, package `ca-certificates`, or what
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name). Loaded once: a restart picks up changes. With none, every https request
    /// fails with class `tls`, and a warning says why.
    pub fn new(config: ClientConfig) -> Self {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (trusted, _) = roots.add_parsable_certificates(found.certs);
        if trusted == 0 {
            tracing::warn!(errors = ?found.errors, "no certificate authorities found: requests over https will fail");
        }
        Self::trusting(config, roots)
    }

    pub(crate) fn trusting(config: ClientConfig, roots: RootCertStore) -> Self {
        let printable: String = config.user_agent.chars().filter(|c| matches!(c, ' '..='~')).collect();
        Self(Arc::new(Inner {
            connector: Connector::new(config.guard, config.proxy, roots),
            pool: Arc::default(),
            user_agent: HeaderValue::try_from(printable).expect("printable ASCII is a header value"),
        }))
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.0.connector
    }

    /// What decides whether a target may be sent to.
    pub fn guard(&self) -> &Guard {
        self.0.connector.guard()
    }

    /// Sends one request and reads its answer, all within the request's deadline. Cancel-safe: dropping the future
    /// closes the connection.
    pub async fn send(&self, request: Request) -> Result<Response, Failure> {
        let mut trace = Trace::begin();
        let deadline = trace.began + Duration::from_millis(request.timeout_ms.into());
        let outcome = timeout_at(deadline, self.exchange(request, deadline, &mut trace)).await;
        trace.timing.total_ms = trace.elapsed_ms();
        let Trace { timing, remote, phase, .. } = trace;
        match outcome.unwrap_or_else(|_| Err(phase.overdue())) {
            Ok(Answer { status, headers, body, body_truncated }) => {
                Ok(Response { status, headers, body, body_truncated, timing, remote })
            }
            Err(Fault { class, detail }) => Err(Failure { class, detail: detail.into_owned(), timing, remote }),
        }
    }

    async fn exchange(&self, request: Request, deadline: Instant, trace: &mut Trace) -> Result<Answer, Fault> {
        let Inner { connector, pool, user_agent } = &*self.0;
        let Request { url, method, mut headers, body, max_body_bytes, exempt, .. } = request;
        let target = Target::of(&url)?;
        let origin = if let Some(address) = exempt {
            // No URL begins like this, so the two kinds never share a connection.
            Cow::Owned(format!("exempt {address}"))
        } else {
            if let Some(ip) = target.literal() {
                connector.guard().check(target.secure, &[ip])?;
            }
            Cow::Borrowed(&url[..Position::AfterPort])
        };

        for name in &OWN_HEADERS {
            headers.remove(name);
        }
        headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
        let mut message = http::Request::new(Full::new(body));
        *message.method_mut() = method;
        *message.headers_mut() = headers;

        let (lent, response) = loop {
            let taken = pool.take(&origin, Instant::now());
            let reused = taken.is_some();
            let connection = match taken {
                Some(connection) => connection,
                // Boxed: rare, and large beside what every request needs.
                None => Box::pin(connector.connect(&target, exempt, deadline, trace)).await?,
            };
            trace.enter(Phase::Answer);
            trace.remote = Some(connection.remote);
            address(&mut message, &url, connection.is_http2())?;
            if let (false, Some(shared)) = (reused, connection.share()) {
                pool.put(&origin, shared, IDLE);
            }
            let mut lent = Lent { connection: Some(connection), pool, origin: &origin };
            match lent.connection().send(message, max_body_bytes).await {
                Ok(response) => break (lent, response),
                Err(mut error) => match error.take_message() {
                    // The peer closed it while it waited, before a byte was written: not a try yet.
                    Some(unsent) if reused => message = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        };
        trace.timing.first_byte_ms = Some(trace.elapsed_ms());
        trace.enter(Phase::Body);
        let (head, body) = response.into_parts();
        if head.headers.len() > MAX_HEADERS {
            return Err(Fault::new(ErrorClass::TooLarge, "the answer has too many headers"));
        }
        let (body, body_truncated) = read(body, max_body_bytes).await?;
        if !body_truncated {
            lent.give_back(waiting_time(&head.headers));
        }
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Ok(Answer { status: head.status.as_u16(), headers: headers.collect(), body, body_truncated })
    }

    #[cfg(test)]
    pub(super) fn waiting_connections(&self) -> usize {
        self.0.pool.len()
    }
}

/// A connection for the time of one exchange. Unless that ends with a whole answer nobody uses it again, so that a
/// receiver which does not keep to the protocol, or floods a stream that was given up, loses the connection with it.
struct Lent<'c> {
    connection: Option<Connection>,
    pool: &'c Arc<Pool>,
    origin: &'c str,
}

impl Lent<'_> {
    fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is given back once, by value")
    }

    fn give_back(mut self, idle: Duration) {
        // The pool has its share of one that carries several requests.
        if let Some(connection) = self.connection.take()
            && !(idle.is_zero() || connection.is_http2() || connection.is_closed())
        {
            self.pool.put(self.origin, connection, idle);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            self.pool.discard(self.origin, connection);
        }
    }
}

/// A response before it is known how long it took.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    body_truncated: bool,
}

/// Writes the target into the message, in the form that the protocol wants.
fn address(message: &mut Message, url: &Url, http2: bool) -> Result<(), Fault> {
    let (uri, host) = if http2 {
        (Uri::try_from(&url[..Position::AfterQuery]), None)
    } else {
        let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        (Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]), Some(host.map_err(|_| Refusal::Malformed)?))
    };
    *message.uri_mut() = uri.map_err(|_| Refusal::Malformed)?;
    match host {
        Some(host) => drop(message.headers_mut().insert(HOST, host)),
        None => drop(message.headers_mut().remove(HOST)),
    }
    Ok(())
}

/// The body up to `most` bytes, and whether there was more.
async fn read(mut body: Incoming, most: usize) -> Result<(Bytes, bool), Fault> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), false));
    }
    // Copied, because a frame is a piece of the connection's buffer and would keep the whole of it in memory.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(most);
    let mut bytes = BytesMut::with_capacity(announced.min(most));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = most - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((bytes.freeze(), true));
        }
    }
    Ok((bytes.freeze(), false))
}

/// How long this connection may wait: what the receiver announces (`Keep-Alive: timeout=5`), less a second for the way,
/// so that it is not used while it is being closed.
fn waiting_time(headers: &HeaderMap) -> Duration {
    let announced = headers
        .get(&KEEP_ALIVE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(',').find_map(|part| part.trim().strip_prefix("timeout=")?.trim().parse().ok()));
    announced.map_or(IDLE, |seconds: u32| IDLE.min(Duration::from_secs(seconds.saturating_sub(1).into())))
}

/// What a request is doing; it tells what a missed deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Dns,
    Connect,
    Proxy,
    Tls,
    Answer,
    Body,
}

impl Phase {
    pub fn overdue(self) -> Fault {
        match self {
            Self::Dns => Fault::new(ErrorClass::Dns, "the name did not resolve in time"),
            Self::Connect => Fault::new(ErrorClass::ConnectTimeout, "no connection in time"),
            Self::Proxy => Fault::new(ErrorClass::ConnectTimeout, "the proxy made no connection in time"),
            Self::Tls => Fault::new(ErrorClass::Timeout, "the TLS handshake was not finished in time"),
            Self::Answer => Fault::new(ErrorClass::Timeout, "no answer in time"),
            Self::Body => Fault::new(ErrorClass::Timeout, "the answer's body was not complete in time"),
        }
    }
}

/// How far a request is and what the way took.
pub(super) struct Trace {
    began: Instant,
    pub phase: Phase,
    phase_began: Instant,
    pub timing: Timing,
    pub remote: Option<SocketAddr>,
}

impl Trace {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self { began: now, phase: Phase::Connect, phase_began: now, timing: Timing::default(), remote: None }
    }

    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_began = Instant::now();
    }

    pub fn phase_ms(&self) -> u32 {
        milliseconds(self.phase_began.elapsed())
    }

    fn elapsed_ms(&self) -> u32 {
        milliseconds(self.began.elapsed())
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
