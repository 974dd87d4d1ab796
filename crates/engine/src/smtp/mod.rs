//! Sending e-mail: one message, or one trial sign-in, over one connection to a provider's SMTP server.
//!
//! The address is resolved, checked and connected to by [`crate::http`], because a host is written by a tenant. lettre gives
//! the commands, the replies and the mechanisms of signing in. Its own connection is not used: it resolves names itself, and
//! does not say how far a conversation had come, on which depends whether a message may be sent a second time.
//!
//! It refuses to go on unencrypted where encryption is asked for, to sign in over an encryption that could not be verified,
//! and to try twice.

mod dialogue;
#[cfg(test)]
mod tests;
mod verdict;

use std::{net::SocketAddr, time::Duration};

use domain::{catalogue::Fault, delivery::ErrorClass};
use lettre::Address;
use tokio::time::{Instant, timeout_at};

use self::dialogue::Dialogue;
use crate::{
    http::{Client, Failure},
    secrets::Secret,
};

/// The longest that a conversation may take, from the name's resolution to the last reply.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Longest text of a reply that is kept, in characters.
const MAX_DETAIL: usize = 500;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// By the port: 465 from the first byte, 587 by STARTTLS, 25 not, others by STARTTLS when the server offers it.
    Auto,
    /// By STARTTLS, or not at all.
    StartTls,
    /// From the first byte.
    Tls,
    /// Not.
    Plain,
}

impl Security {
    /// Reads the value of the field `smtp_security`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "auto" => Some(Self::Auto),
            "starttls" => Some(Self::StartTls),
            "tls" => Some(Self::Tls),
            "none" => Some(Self::Plain),
            _ => None,
        }
    }
}

/// What is done about encryption at a certain port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    FirstByte,
    Demanded,
    WhenOffered,
    Never,
}

/// A provider's server, and who we are there.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// Its name or address. The certificate must be for it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// Who signs in. Nobody does when the server does not offer it.
    pub username: String,
    /// With what.
    pub password: Secret,
}

/// The last reply of a conversation that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpReply {
    /// Its code.
    pub code: u16,
    /// Its text, bounded.
    pub text: String,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
    /// Whether the server asked for user name and password, and took them.
    pub signed_in: bool,
    /// Whom the connection was to.
    pub remote: SocketAddr,
}

/// How far a conversation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Resolving and connecting.
    Connect,
    /// Waiting for the server's greeting.
    Greeting,
    /// Introducing ourselves.
    Hello,
    /// Encrypting.
    Encrypt,
    /// Signing in.
    SignIn,
    /// Saying who sends.
    Sender,
    /// Saying who receives.
    Recipient,
    /// Sending the message.
    Message,
    /// Waiting for what the server says of the message.
    Accepted,
}

/// Why a conversation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpFault {
    /// In which class.
    pub fault: Fault,
    /// The reply's code, when there was one.
    pub code: Option<u16>,
    /// The server's own reply, or what happened; bounded, without secrets.
    pub detail: String,
    /// How far it had come.
    pub stage: Stage,
    /// Whether the server may have accepted the message all the same: everything was sent, and no reply came.
    pub ambiguous: bool,
}

impl SmtpFault {
    /// Whether the same message would be refused again: a code of the five hundreds about this message, not about us.
    pub fn is_permanent(&self) -> bool {
        self.fault == Fault::Rejected && self.code.is_none_or(|code| code >= 500)
    }
}

impl SmtpServer {
    /// Connects, encrypts, signs in, and leaves.
    pub async fn verify(&self, client: &Client, deadline: Instant) -> Result<SmtpReply, SmtpFault> {
        self.within(client, deadline, None).await
    }

    /// Hands over one message for one recipient. `message` is as RFC 5322 has it, with lines that end in CRLF.
    pub async fn send(
        &self,
        client: &Client,
        from: &str,
        to: &str,
        message: &[u8],
        deadline: Instant,
    ) -> Result<SmtpReply, SmtpFault> {
        let address = |text: &str, stage| {
            text.parse::<Address>().map_err(|error| SmtpFault {
                fault: Fault::Rejected,
                code: None,
                detail: format!("{text} is not an address: {error}"),
                stage,
                ambiguous: false,
            })
        };
        let letter = Letter { from: address(from, Stage::Sender)?, to: address(to, Stage::Recipient)?, message };
        self.within(client, deadline, Some(letter)).await
    }

    async fn within(
        &self,
        client: &Client,
        deadline: Instant,
        letter: Option<Letter<'_>>,
    ) -> Result<SmtpReply, SmtpFault> {
        let mut stage = Stage::Connect;
        let began = Instant::now();
        let outcome = timeout_at(deadline, self.converse(client, deadline, letter, &mut stage)).await;
        let mut fault = match outcome {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(fault)) => fault,
            Err(_) => {
                let (host, port, seconds) = (&self.host, self.port, began.elapsed().as_secs());
                let detail = format!("{host}:{port} did not {} in {seconds} seconds", stage.missed());
                SmtpFault { fault: Fault::Timeout, code: None, detail, stage, ambiguous: false }
            }
        };
        fault.ambiguous = stage == Stage::Accepted && fault.code.is_none();
        let password = self.password.expose();
        if !password.is_empty() {
            fault.detail = fault.detail.replace(password, "…");
        }
        Err(fault)
    }

    async fn converse(
        &self,
        client: &Client,
        deadline: Instant,
        letter: Option<Letter<'_>>,
        stage: &mut Stage,
    ) -> Result<SmtpReply, SmtpFault> {
        let lost = |failure: Failure, stage: Stage| SmtpFault {
            fault: of_class(failure.class),
            code: None,
            detail: bounded(&failure.detail),
            stage,
            ambiguous: false,
        };
        let (mut line, remote) =
            client.dial(&self.host, self.port, deadline).await.map_err(|failure| lost(failure, *stage))?;
        let encryption = self.encryption();
        let mut encrypted = encryption == Encryption::FirstByte;
        if encrypted {
            *stage = Stage::Encrypt;
            line = client.secure(&self.host, line, deadline).await.map_err(|failure| lost(failure, *stage))?;
        }
        let mut dialogue = Dialogue::new(line, remote, stage);
        dialogue.greeting().await?;
        let mut offers = dialogue.hello().await?;
        let is_offered = offers.start_tls();
        if !is_offered && encryption == Encryption::Demanded {
            return Err(dialogue.failed(Fault::Tls, "the server does not offer STARTTLS"));
        }
        if is_offered && matches!(encryption, Encryption::Demanded | Encryption::WhenOffered) {
            let line = dialogue.start_tls().await?;
            let line =
                client.secure(&self.host, line, deadline).await.map_err(|failure| lost(failure, Stage::Encrypt))?;
            dialogue.go_on(line);
            // What was said before encryption began may have been said by anybody.
            offers = dialogue.hello().await?;
            encrypted = true;
        }
        let mut reply = offers.reply;
        let mut signed_in = false;
        if let Some(mechanism) = offers.mechanism {
            reply = dialogue.sign_in(mechanism, &self.username, &self.password).await?;
            signed_in = true;
        }
        if let Some(letter) = letter {
            reply = dialogue.hand_over(&letter).await?;
        }
        dialogue.quit().await;
        let (code, text) = reply;
        Ok(SmtpReply { code, text: bounded(&text), encrypted, signed_in, remote })
    }

    fn encryption(&self) -> Encryption {
        match (self.security, self.port) {
            (Security::Tls, _) | (Security::Auto, 465) => Encryption::FirstByte,
            (Security::StartTls, _) | (Security::Auto, 587) => Encryption::Demanded,
            (Security::Plain, _) | (Security::Auto, 25) => Encryption::Never,
            (Security::Auto, _) => Encryption::WhenOffered,
        }
    }
}

/// One message with its envelope.
struct Letter<'m> {
    from: Address,
    to: Address,
    message: &'m [u8],
}

impl Stage {
    /// What did not happen when time ran out in it.
    const fn missed(self) -> &'static str {
        match self {
            Self::Connect => "take the connection",
            Self::Greeting => "greet",
            Self::Encrypt => "finish the encryption",
            Self::SignIn => "answer the sign-in",
            Self::Hello | Self::Sender | Self::Recipient | Self::Message => "answer",
            Self::Accepted => "say whether it accepted the message",
        }
    }
}

fn of_class(class: ErrorClass) -> Fault {
    match class {
        ErrorClass::Dns => Fault::Dns,
        ErrorClass::ConnectRefused => Fault::Refused,
        ErrorClass::ConnectTimeout | ErrorClass::Timeout => Fault::Timeout,
        ErrorClass::Tls => Fault::Tls,
        ErrorClass::Blocked => Fault::Blocked,
        ErrorClass::Protocol | ErrorClass::TooLarge => Fault::Garbage,
        _ => Fault::Reset,
    }
}

fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(MAX_DETAIL).collect()
}
