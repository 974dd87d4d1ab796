//! From what the network did to the class and the words that people and retry rules see.
//!
//! It names causes; it does not decide what follows from them.

use std::{borrow::Cow, error::Error, io};

use domain::delivery::ErrorClass;
use rustls::CertificateError;

use super::guard::Refusal;

/// A failure before it is known how long it took.
#[derive(Debug)]
pub(super) struct Fault {
    pub class: ErrorClass,
    pub detail: Cow<'static, str>,
}

impl Fault {
    pub fn new(class: ErrorClass, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { class, detail: detail.into() }
    }

    /// No connection could be made.
    pub fn connecting(error: &io::Error) -> Self {
        let class = match error.kind() {
            io::ErrorKind::TimedOut => ErrorClass::ConnectTimeout,
            io::ErrorKind::ConnectionReset => ErrorClass::Reset,
            // Also "no route" and their like: nobody there to talk to.
            _ => ErrorClass::ConnectRefused,
        };
        Self::new(class, format!("could not connect: {error}"))
    }

    /// The same, but it happened on the way to the proxy, not to the receiver.
    pub fn of_proxy(self) -> Self {
        Self { detail: format!("the proxy: {}", self.detail).into(), ..self }
    }

    /// The TLS handshake failed.
    pub fn securing(error: &io::Error) -> Self {
        match (rustls_error(error), error.kind()) {
            (Some(error), _) => Self::new(ErrorClass::Tls, tls_words(error)),
            (None, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                Self::new(ErrorClass::Reset, "the connection was reset during the TLS handshake")
            }
            (None, io::ErrorKind::UnexpectedEof) => {
                Self::new(ErrorClass::Tls, "the connection was closed during the TLS handshake")
            }
            (None, _) => Self::new(ErrorClass::Tls, format!("the TLS handshake failed: {error}")),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorClass::Blocked, refusal.to_string())
    }
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse_too_large() {
            return Self::new(ErrorClass::TooLarge, "the answer has too many or too large headers");
        }
        if error.is_parse() {
            return Self::new(ErrorClass::Protocol, format!("the answer is not valid HTTP: {error}"));
        }
        if error.is_incomplete_message() {
            return Self::new(ErrorClass::Reset, "the connection was closed before the answer was complete");
        }
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(cause) = cause.downcast_ref::<io::Error>() {
                return Self::exchanging(cause);
            }
            if let Some(cause) = cause.downcast_ref::<h2::Error>() {
                return match cause.get_io() {
                    Some(io) => Self::exchanging(io),
                    None if cause.is_remote() => {
                        Self::new(ErrorClass::Reset, format!("the receiver cut the stream: {cause}"))
                    }
                    None => Self::new(ErrorClass::Protocol, format!("the answer is not valid HTTP/2: {cause}")),
                };
            }
            source = cause.source();
        }
        if error.is_canceled() || error.is_closed() {
            return Self::new(ErrorClass::Reset, "the connection was closed before an answer came");
        }
        Self::new(ErrorClass::Protocol, format!("the answer is not valid HTTP: {error}"))
    }
}

impl Fault {
    /// Reading or writing failed on a connection that stood.
    fn exchanging(error: &io::Error) -> Self {
        if let Some(error) = rustls_error(error) {
            return Self::new(ErrorClass::Tls, tls_words(error));
        }
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Self::new(ErrorClass::Protocol, format!("the answer is not valid HTTP: {error}"))
            }
            io::ErrorKind::TimedOut => Self::new(ErrorClass::Timeout, "the connection went silent"),
            io::ErrorKind::FileTooLarge => Self::new(ErrorClass::TooLarge, error.to_string()),
            io::ErrorKind::UnexpectedEof => {
                Self::new(ErrorClass::Reset, "the connection was closed before the answer was complete")
            }
            _ => Self::new(ErrorClass::Reset, format!("the connection broke: {error}")),
        }
    }
}

/// rustls reports through `io::Error`.
fn rustls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls_words(error: &rustls::Error) -> Cow<'static, str> {
    let rustls::Error::InvalidCertificate(problem) = error else {
        return format!("TLS failed: {error}").into();
    };
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another host name".into()
        }
        CertificateError::UnknownIssuer => {
            "the certificate is self-signed, or signed by an authority that is not trusted here".into()
        }
        other => format!("the certificate was refused: {other}").into(),
    }
}
