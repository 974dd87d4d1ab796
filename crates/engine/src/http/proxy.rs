//! The operator's way out: an HTTP proxy that opens tunnels.
//!
//! It is asked to CONNECT to an address that was checked here, never to a name, so whatever it would resolve the name to
//! does not count, and what the guard refuses it never hears of. It is not asked to forward requests: TLS ends at the
//! receiver. Its own address comes from the operator and is not judged.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use domain::delivery::ErrorClass;
use http::{
    HeaderValue, Uri,
    header::{HOST, PROXY_AUTHORIZATION},
};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;
use url::Host;

use super::{connection::MAX_HEAD_BYTES, fault::Fault, resolver::Resolver};
use crate::secrets::Secret;

/// A proxy, spoken to in plain HTTP.
#[derive(Debug, Clone)]
pub struct Proxy {
    host: Host,
    port: u16,
    /// The value of `Proxy-Authorization`.
    credentials: Option<Secret>,
}

/// Why a text does not name a proxy. Says what is expected and never what was given, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAProxy {
    /// Not of the form at all.
    #[error(
        "expected http://host:port or http://user:password@host:port, with nothing behind; in a user name or password, \
         write special characters in percent-encoding, such as %40 for @"
    )]
    Form,
    /// `https://`, `socks5://` and their like.
    #[error("expected a proxy that is spoken to over http://; other kinds are not supported")]
    Scheme,
    /// There is no default that proxies agree on.
    #[error("expected a port from 1 to 65535 behind the host, such as http://proxy.example.com:3128")]
    Port,
    /// RFC 7617 §2: the colon ends the user name, and there is no way to write a control character.
    #[error("expected a user name without a colon, and no control characters in it or in the password")]
    Credentials,
}

impl Proxy {
    /// Reads `http://[user:password@]host:port`.
    pub fn parse(text: &str) -> Result<Self, NotAProxy> {
        let uri: Uri = text.parse().map_err(|_| NotAProxy::Form)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(NotAProxy::Form) };
        if scheme != "http" {
            return Err(NotAProxy::Scheme);
        }
        if uri.path() != "/" || uri.query().is_some() || text.contains('#') {
            return Err(NotAProxy::Form);
        }
        let host = Host::parse(authority.host()).map_err(|_| NotAProxy::Form)?;
        let port = authority.port_u16().filter(|port| *port > 0).ok_or(NotAProxy::Port)?;
        let userinfo = authority.as_str().rsplit_once('@').map(|(userinfo, _)| userinfo);
        Ok(Self { host, port, credentials: userinfo.map(basic).transpose()? })
    }

    /// A connection that leads to exactly this address. The caller has a deadline.
    pub(super) async fn tunnel(&self, to: SocketAddr, resolver: &Resolver) -> Result<TcpStream, Fault> {
        let stream = self.reach(resolver).await?;
        let mut request = http::Request::new(Empty::<Bytes>::new());
        *request.method_mut() = http::Method::CONNECT;
        let to = to.to_string();
        *request.uri_mut() = Uri::try_from(&to).expect("an address and a port are an authority");
        request.headers_mut().insert(HOST, HeaderValue::try_from(to).expect("an address and a port are printable"));
        if let Some(credentials) = &self.credentials {
            let mut value = HeaderValue::try_from(credentials.expose()).expect("base64 is printable");
            value.set_sensitive(true);
            request.headers_mut().insert(PROXY_AUTHORIZATION, value);
        }
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES as usize)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(of_proxy)?;
        let driver = AbortOnDropHandle::new(tokio::spawn(connection.with_upgrades()));
        let response = sender.send_request(request).await.map_err(of_proxy)?;
        match (response.status().as_u16(), &self.credentials) {
            (200..=299, _) => {}
            (407, None) => return Err(refused("the proxy asks for a user name and a password (407)")),
            (407, Some(_)) => return Err(refused("the proxy refused our user name and password (407)")),
            (504, _) => {
                return Err(Fault::new(ErrorClass::ConnectTimeout, "the proxy got no connection in time (504)"));
            }
            _ => return Err(refused(format!("the proxy made no connection: {}", response.status()))),
        }
        let tunnel = hyper::upgrade::on(response).await.map_err(of_proxy)?;
        drop(driver);
        let parts = tunnel.downcast::<TokioIo<TcpStream>>().expect("what was put in comes out");
        if parts.read_buf.is_empty() {
            Ok(parts.io.into_inner())
        } else {
            // Receivers do not speak first, so this would be taken for an answer to what was not asked yet.
            Err(Fault::new(ErrorClass::Protocol, "the proxy sent more than its answer"))
        }
    }

    /// A connection to the proxy itself.
    async fn reach(&self, resolver: &Resolver) -> Result<TcpStream, Fault> {
        let addresses = match &self.host {
            Host::Ipv4(ip) => [IpAddr::V4(*ip)].into(),
            Host::Ipv6(ip) => [IpAddr::V6(*ip)].into(),
            Host::Domain(name) => resolver.resolve(name).await.map_err(|reason| {
                Fault::new(ErrorClass::Dns, format!("the proxy: its name did not resolve: {reason}"))
            })?,
        };
        let addresses: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect();
        TcpStream::connect(&*addresses).await.map_err(|error| Fault::connecting(&error).of_proxy())
    }
}

fn of_proxy(error: hyper::Error) -> Fault {
    Fault::from(error).of_proxy()
}

fn refused(detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(ErrorClass::ConnectRefused, detail)
}

/// The credentials of a URL as RFC 7617 sends them.
fn basic(userinfo: &str) -> Result<Secret, NotAProxy> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let [user, password]: [Cow<'_, [u8]>; 2] = [user, password].map(|text| percent_decode_str(text).into());
    if user.contains(&b':') || [&user, &password].iter().any(|text| text.iter().any(u8::is_ascii_control)) {
        return Err(NotAProxy::Credentials);
    }
    Ok(Secret::new(format!("Basic {}", BASE64_STANDARD.encode([&*user, b":", &*password].concat()))))
}
