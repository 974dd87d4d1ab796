//! The conversation itself: a command, a reply, the next command, and how far it has come.

use std::{io, net::SocketAddr, time::Duration};

use domain::catalogue::Fault;
use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    commands::{Auth, Data, Ehlo, Mail, Quit, Rcpt, Starttls},
    extension::{ClientId, Extension, ServerInfo},
    response::Response,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use super::{Letter, SmtpFault, Stage, bounded, verdict::fault_of};
use crate::{http::Line, secrets::Secret};

/// Longest line of a reply (Postfix takes no longer ones either; RFC 5321 says 512).
const MAX_LINE_BYTES: u64 = 2_048;
/// Most lines of one reply.
const MAX_LINES: usize = 100;
/// How long a server may take to answer a farewell that nobody waits for.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a server said: code and text.
pub(super) type Reply = (u16, String);

/// What a server offers.
pub(super) struct Offers {
    info: ServerInfo,
    /// Its reply to the introduction.
    pub reply: Reply,
    /// The way of signing in that both know.
    pub mechanism: Option<Mechanism>,
}

impl Offers {
    pub fn start_tls(&self) -> bool {
        self.info.supports_feature(Extension::StartTls)
    }
}

/// A conversation. After an error it is over.
pub(super) struct Dialogue<'s> {
    line: Option<BufReader<Line>>,
    remote: SocketAddr,
    stage: &'s mut Stage,
}

impl<'s> Dialogue<'s> {
    pub fn new(line: Line, remote: SocketAddr, stage: &'s mut Stage) -> Self {
        Self { line: Some(BufReader::new(line)), remote, stage }
    }

    /// What the server says first.
    pub async fn greeting(&mut self) -> Result<Reply, SmtpFault> {
        *self.stage = Stage::Greeting;
        self.reply().await.map(|(reply, _)| reply)
    }

    /// Introduces us, by our address, as one who has no name does (RFC 5321 §4.1.3).
    pub async fn hello(&mut self) -> Result<Offers, SmtpFault> {
        *self.stage = Stage::Hello;
        let (reply, response) = self.command(&Ehlo::new(ClientId::Domain("[127.0.0.1]".to_owned()))).await?;
        let info = ServerInfo::from_response(&response)
            .map_err(|_| self.failed(Fault::Garbage, "the server does not say what it offers"))?;
        let mechanism = info.get_auth_mechanism(&[Mechanism::Plain, Mechanism::Login]);
        Ok(Offers { info, reply, mechanism })
    }

    /// Asks for encryption, and gives the line to be encrypted.
    pub async fn start_tls(&mut self) -> Result<Line, SmtpFault> {
        *self.stage = Stage::Encrypt;
        self.command(&Starttls).await?;
        let line = self.line.take().expect("it is there between commands");
        if line.buffer().is_empty() {
            Ok(line.into_inner())
        } else {
            // Injected by somebody in between, to be taken for what comes after the handshake (CVE-2011-0411).
            Err(self.failed(Fault::Garbage, "the server spoke before encryption had begun"))
        }
    }

    pub fn go_on(&mut self, line: Line) {
        self.line = Some(BufReader::new(line));
    }

    pub async fn sign_in(&mut self, way: Mechanism, user: &str, password: &Secret) -> Result<Reply, SmtpFault> {
        *self.stage = Stage::SignIn;
        let credentials = Credentials::new(user.to_owned(), password.expose().to_owned());
        let strange = |this: &Self| this.failed(Fault::Garbage, "the server asks something strange to sign in");
        let first = Auth::new(way, credentials.clone(), None).map_err(|_| strange(self))?;
        let (mut reply, mut response) = self.command(&first).await?;
        // LOGIN asks twice.
        for _ in 0..2 {
            if reply.0 != 334 {
                break;
            }
            let next = Auth::new_from_response(way, credentials.clone(), &response).map_err(|_| strange(self))?;
            (reply, response) = self.command(&next).await?;
        }
        if reply.0 == 235 { Ok(reply) } else { Err(strange(self)) }
    }

    pub async fn hand_over(&mut self, letter: &Letter<'_>) -> Result<Reply, SmtpFault> {
        *self.stage = Stage::Sender;
        self.command(&Mail::new(Some(letter.from.clone()), Vec::new())).await?;
        *self.stage = Stage::Recipient;
        self.command(&Rcpt::new(letter.to.clone(), Vec::new())).await?;
        *self.stage = Stage::Message;
        let (reply, _) = self.command(&Data).await?;
        if reply.0 != 354 {
            return Err(self.failed(Fault::Garbage, "the server does not ask for the message"));
        }
        self.write(&stuffed(letter.message)).await?;
        // From here on the server may have the whole message, whatever we learn of it.
        *self.stage = Stage::Accepted;
        self.write(b".\r\n").await?;
        self.reply().await.map(|(reply, _)| reply)
    }

    /// Leaves. The work is done: what the server says to it does not matter.
    pub async fn quit(mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.command(&Quit)).await;
    }

    /// A failure of this moment that is not a reply.
    pub fn failed(&self, fault: Fault, detail: &str) -> SmtpFault {
        SmtpFault { fault, code: None, detail: bounded(detail), stage: *self.stage, ambiguous: false }
    }

    async fn command(&mut self, command: &impl std::fmt::Display) -> Result<(Reply, Response), SmtpFault> {
        self.write(command.to_string().as_bytes()).await?;
        self.reply().await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), SmtpFault> {
        let line = self.line.as_mut().expect("it is there between commands");
        let written = async {
            line.write_all(bytes).await?;
            line.flush().await
        };
        written.await.map_err(|error| self.broken(&error))
    }

    /// Reads a whole reply, and is content with a positive one.
    async fn reply(&mut self) -> Result<(Reply, Response), SmtpFault> {
        let mut text = String::new();
        for _ in 0..MAX_LINES {
            let read = self.read_line().await?;
            let is_last = !matches!(read.as_bytes(), [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..]);
            text.push_str(&read);
            if is_last {
                let response: Response = text
                    .parse()
                    .map_err(|_| self.failed(Fault::Garbage, &format!("this is not SMTP: {}", text.trim_end())))?;
                let code = u16::from(response.code());
                let said: Vec<&str> = response.message().collect();
                let said = said.join("\n");
                if response.is_positive() {
                    return Ok(((code, said), response));
                }
                let fault = fault_of(*self.stage, code, &said);
                let detail = bounded(&format!("{code} {said}"));
                return Err(SmtpFault { fault, code: Some(code), detail, stage: *self.stage, ambiguous: false });
            }
        }
        Err(self.failed(Fault::Garbage, "the reply has no end"))
    }

    async fn read_line(&mut self) -> Result<String, SmtpFault> {
        let line = self.line.as_mut().expect("it is there between commands");
        let mut bytes = Vec::new();
        let read = line.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).await;
        if let Err(error) = read {
            return Err(self.broken(&error));
        }
        match bytes.last() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            _ if bytes.len() as u64 == MAX_LINE_BYTES => {
                Err(self.failed(Fault::Garbage, "a line of the reply has no end"))
            }
            _ => Err(self.failed(Fault::Reset, &format!("{} closed the connection", self.remote))),
        }
    }

    fn broken(&self, error: &io::Error) -> SmtpFault {
        match error.kind() {
            io::ErrorKind::FileTooLarge => self.failed(Fault::Garbage, &error.to_string()),
            _ => self.failed(Fault::Reset, &format!("the connection to {} broke: {error}", self.remote)),
        }
    }
}

/// A message as it travels: a full stop at the beginning of a line is doubled (RFC 5321 §4.5.2), and the last line ends.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 2);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            bytes.push(b'.');
        }
        bytes.extend_from_slice(line);
    }
    if !bytes.ends_with(b"\r\n") {
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
