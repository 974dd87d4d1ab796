//! Connections for other protocols than HTTP, under the same guard.
//!
//! The name is resolved here, refused when any of its addresses may not be connected to, and the connection leads to
//! exactly an address that was checked. The operator's proxy is passed by: servers that speak first, as those of e-mail
//! do, do not get along with the tunnel of a proxy for HTTP.

use std::net::{IpAddr, SocketAddr};

use domain::delivery::ErrorClass;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, timeout_at},
};
use url::Host;

use super::{
    Client, Failure, Timing,
    client::{Phase, Trace},
    connection::server_name,
    fault::Fault,
    guard::Target,
    meter::{Allowance, Metered},
};

/// What may be read from such a connection in all: certificates and replies.
const READ_BYTES: usize = 512 * 1024;

/// Both directions of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A connection, secured or not.
pub(crate) type Line = Box<dyn Duplex>;

impl Client {
    /// Connects. `host` is a name or an address.
    pub(crate) async fn dial(&self, host: &str, port: u16, deadline: Instant) -> Result<(Line, SocketAddr), Failure> {
        let mut trace = Trace::begin();
        let dialled = timeout_at(deadline, async {
            let host = parse(host)?;
            let target = Target { host: borrowed(&host), port, secure: true };
            if let Some(ip) = target.literal() {
                self.guard().check(true, &[ip])?;
            }
            self.connector().reach(&target, deadline, &mut trace).await
        })
        .await;
        let remote = trace.remote;
        let (stream, remote) =
            dialled.unwrap_or_else(|_| Err(trace.phase.overdue())).map_err(|Fault { class, detail }| Failure {
                class,
                detail: detail.into_owned(),
                timing: Timing::default(),
                remote,
            })?;
        Ok((Box::new(Metered::new(stream, Allowance::new(READ_BYTES))), remote))
    }

    /// Encrypts a connection to `host`, whose certificate must be for that name.
    pub(crate) async fn secure(&self, host: &str, line: Line, deadline: Instant) -> Result<Line, Failure> {
        let secured = timeout_at(deadline, async {
            let host = parse(host)?;
            let handshake = self.connector().mail_tls().connect(server_name(&borrowed(&host))?, line);
            handshake.await.map_err(|error| Fault::securing(&error))
        })
        .await;
        match secured.unwrap_or_else(|_| Err(Phase::Tls.overdue())) {
            Ok(line) => Ok(Box::new(line)),
            Err(Fault { class, detail }) => {
                Err(Failure { class, detail: detail.into_owned(), timing: Timing::default(), remote: None })
            }
        }
    }
}

fn parse(host: &str) -> Result<Host, Fault> {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => Ok(Host::Ipv4(ip)),
        Ok(IpAddr::V6(ip)) => Ok(Host::Ipv6(ip)),
        Err(_) => Host::parse(host).map_err(|_| Fault::new(ErrorClass::Dns, format!("{host} is not a host name"))),
    }
}

fn borrowed(host: &Host) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}
