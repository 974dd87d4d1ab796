//! How much a receiver may send, whatever it sends.
//!
//! Heads and bodies have their own bounds, but a receiver can talk without saying anything: interim answers, pings,
//! settings, tickets. Counting bytes as they leave the socket, under TLS, bounds all of it in one place. It does not
//! know what the bytes mean, and it does not count what is sent.
//!
//! It also sets a pace to HTTP/2, which keeps what it has parsed until another task takes it, and of tiny frames keeps
//! thirty times what came in.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// The text of the error.
const TOO_MUCH: &str = "the receiver sent far more than an answer may be long";
/// Bytes that are read before others have time to take what was parsed.
const TURN_BYTES: usize = 4 * 1024;
/// That time. Giving up the turn is not enough: who takes needs the lock that parsing holds.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes that may still be read from a connection. Clones are the same allowance.
#[derive(Clone)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// From now on so many, whatever was left.
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)) {
            Ok(_) => Ok(()),
            // A kind that no socket has: kind and text are all that HTTP/2 keeps of an error.
            Err(_) => Err(io::Error::new(io::ErrorKind::FileTooLarge, TOO_MUCH)),
        }
    }
}

/// A connection that ends with an error of kind `FileTooLarge` when more was read than allowed.
pub(super) struct Metered<S> {
    stream: S,
    allowance: Allowance,
    /// Bytes read since the last pause.
    streak: usize,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Metered<S> {
    pub fn new(stream: S, allowance: Allowance) -> Self {
        Self { stream, allowance, streak: 0, pause: None }
    }

    /// From now on a pause follows every few KB that were read.
    pub fn pace(&mut self) {
        self.pause = Some(Box::pin(sleep(Duration::ZERO)));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, allowance, streak, pause } = self.get_mut();
        if let Some(pause) = pause {
            ready!(pause.as_mut().poll(cx));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        *streak += read;
        if let Some(pause) = pause
            && *streak >= TURN_BYTES
        {
            *streak = 0;
            pause.as_mut().reset(Instant::now() + PAUSE);
        }
        Poll::Ready(allowance.spend(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
