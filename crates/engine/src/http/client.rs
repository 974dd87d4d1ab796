//! Sending one request within its bounds.
//!
//! The hot path is: a lock to take a waiting connection, one write, one read, a lock to put it back. It spawns nothing,
//! resolves nothing and opens nothing unless there is no connection.

use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use domain::delivery::ErrorClass;
use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
    },
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use rustls::RootCertStore;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::{
    Failure, Guard, Refusal, Request, Response, Timing,
    connection::{Connection, Connector, Message},
    fault::Fault,
    guard::Target,
    pool::{IDLE, Pool},
};

/// Most headers in an answer.
const MAX_HEADERS: usize = 100;
/// Age at which a connection is not used again, so that a change in DNS is noticed however busy the host is.
const MAX_AGE: Duration = Duration::from_secs(300);
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

    pub(super) fn trusting(config: ClientConfig, roots: RootCertStore) -> Self {
        let printable: String = config.user_agent.chars().filter(|c| matches!(c, ' '..='~')).collect();
        Self(Arc::new(Inner {
            connector: Connector::new(config.guard, roots),
            pool: Arc::default(),
            user_agent: HeaderValue::try_from(printable).expect("printable ASCII is a header value"),
        }))
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
        let origin = match exempt {
            // No URL begins like this, so the two kinds never share a connection.
            Some(address) => Cow::Owned(format!("exempt {address}")),
            None => {
                if let Some(ip) = target.literal() {
                    connector.guard().check(target.secure, &[ip])?;
                }
                Cow::Borrowed(&url[..Position::AfterPort])
            }
        };

        for name in &OWN_HEADERS {
            headers.remove(name);
        }
        headers.entry(USER_AGENT).or_insert_with(|| user_agent.clone());
        let mut message = http::Request::new(Full::new(body));
        *message.method_mut() = method;
        *message.headers_mut() = headers;

        let (mut connection, response) = loop {
            let taken = pool.take(&origin, Instant::now());
            let reused = taken.is_some();
            let mut connection = match taken {
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
            match connection.send(message).await {
                Ok(response) => break (connection, response),
                Err(mut error) => {
                    pool.discard(&origin, &connection);
                    // The peer closed it while it waited, before a byte was written: not a try yet.
                    match error.take_message() {
                        Some(unsent) if reused => message = unsent,
                        _ => return Err(error.into_error().into()),
                    }
                }
            }
        };
        trace.timing.first_byte_ms = Some(trace.elapsed_ms());
        trace.enter(Phase::Body);
    }
}
