//! The one guarded HTTP client: every request that leaves this process goes through it.
//!
//! A target is written by a tenant, so it is hostile until proven otherwise. The client resolves a name itself, refuses
//! when **any** of its addresses is not public (and not opened by `SIGNALBOX_ALLOW_NETWORKS`), connects to exactly an
//! address it has checked, and bounds what comes back in time, headers and bytes.
//!
//! It refuses to follow redirects, to use a proxy that the operator did not give it (`HTTP_PROXY` and its like), to
//! decompress, to keep cookies, to retry, and to judge a status: a 500 is an answer. What the answer means is decided in
//! `domain`.
//!
//! It is built on hyper's connections and not on a ready client, because only there the checked address is the connected
//! address by construction, each phase can be timed and named in a failure, the size of a head is bounded, and the pool
//! adds no task per request.

mod client;
mod connection;
mod dial;
mod fault;
mod guard;
mod meter;
mod pool;
mod proxy;
mod resolver;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use bytes::Bytes;
use domain::delivery::ErrorClass;

pub use client::{Client, ClientConfig};
pub(crate) use dial::Line;
pub use guard::{Guard, Refusal};
pub use proxy::{NotAProxy, Proxy};
pub use resolver::Resolver;

/// One request. Not `Debug`: it carries secrets, and a log must not.
#[derive(Clone)]
pub struct Request {
    /// Where to. The fragment is not sent.
    pub url: url::Url,
    /// Method.
    pub method: http::Method,
    /// Headers as given, except those that say how a message is framed and where it goes (`host`, `content-length`,
    /// `connection` and their like): these are the client's own, so that no header of a tenant can break the framing.
    pub headers: http::HeaderMap,
    /// The exact bytes to send.
    pub body: Bytes,
    /// Deadline over everything, from the name's resolution to the last byte of the body, in milliseconds.
    pub timeout_ms: u32,
    /// Most bytes of the answer's body that are read. What is beyond is not read, and is not an error.
    pub max_body_bytes: usize,
    /// The process's own listener: the request goes exactly there over plain HTTP, whatever the URL's host resolves to.
    /// A proxy is passed by. The only way to reach an address that the guard refuses; must never be set from what a tenant
    /// wrote.
    pub exempt: Option<SocketAddr>,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers in the order of arrival, names in lower case; bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body as sent, never decompressed, at most [`Request::max_body_bytes`].
    pub body: Bytes,
    /// Whether there was more body than was read.
    pub body_truncated: bool,
    /// How long it took.
    pub timing: Timing,
    /// Whom the connection was to; with a proxy, the address that the proxy was told.
    pub remote: Option<SocketAddr>,
}

/// How long each phase took, in milliseconds. `None`: the phase did not take place, as with the first three on a
/// connection that was reused, or was not finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Resolving the name.
    pub dns_ms: Option<u32>,
    /// Connecting; with a proxy, until it has connected.
    pub connect_ms: Option<u32>,
    /// The TLS handshake.
    pub tls_ms: Option<u32>,
    /// From the beginning until the answer's head was there.
    pub first_byte_ms: Option<u32>,
    /// From the beginning to the end.
    pub total_ms: u32,
}

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// The kind of failure, as retry policies and statistics know it. Never one that stands for a status.
    pub class: ErrorClass,
    /// What happened, in words for people.
    pub detail: String,
    /// How far it came.
    pub timing: Timing,
    /// Whom the connection was to, when there was one.
    pub remote: Option<SocketAddr>,
}
