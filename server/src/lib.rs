//! The signalbox binary: command line, configuration, HTTP, starting and stopping.
//!
//! It refuses to hold rules: what may happen is decided in `engine` and `domain`.

pub mod assets;
mod bench;
pub mod cli;
pub mod config;
pub mod http;
pub mod lifecycle;
mod telemetry;
