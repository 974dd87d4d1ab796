//! `signalbox bench`: what this machine does, measured on this machine.
//!
//! A figure alone says little, because machines differ and drift. So every run also measures the raw limit, the same HTTP
//! client signing and posting the same bodies to the same receiver with no storage in between, before and after, and
//! says how much of it is left. The server under test is a process of its own, started as a user would; receiver and load
//! run in this process, so all of them share the machine's cores.

mod deliver;
mod process;
mod sink;

pub use deliver::{Options, deliver};

/// Why a bench did not come to a result.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Starting or reading a process or socket.
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
    /// The server did not do its part.
    #[error("{0}")]
    Server(String),
}
